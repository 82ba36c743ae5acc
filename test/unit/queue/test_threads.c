/*
 * The queue with its threads, on a real folder: small and big bodies from many sessions at once, closing while records
 * are under way, and what is there again afterwards. Meant for ThreadSanitizer as much as for its checks.
 */
#include "queue/queue.h"
#include "support/check_main.h"
#include "support/queue_folder.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SESSIONS = 50, MESSAGES_MIXED = 120, MESSAGES_SMALL = 1000 };

struct session {
    struct sp_accept accept;
    struct sp_queue_body *body;
};

static struct queue_folder at;
static struct session sessions[SESSIONS];
static struct sp_journal_io counted; /* the disk, with its syncs counted */
static atomic_uint syncs;
static unsigned messages;  /* to be taken in all */
static bool small;         /* none with a file of its own */
static size_t blocks_each; /* 0: a few have many */
static unsigned begun;
static unsigned accepted;
static unsigned delivered;
static unsigned at_hand; /* bodies that need not be read from the disk */
static bool deliver;

static void begin(struct session *s);

static void on_accepted(void *arg, enum sp_rc rc)
{
    ck_assert_int_eq(rc, SP_OK);
    accepted++;
    begin(arg);
    if (accepted == messages && !deliver)
        sp_loop_stop(at.loop);
}

static void on_finished(void *arg, enum sp_rc rc)
{
    struct session *s = arg;
    struct sp_queue_accept a = {
        .accept = &s->accept, .body = s->body, .done = on_accepted, .arg = s};

    ck_assert_int_eq(rc, SP_OK);
    sp_queue_accept(at.queue, &a);
}

static void begin(struct session *s)
{
    static uint8_t text[70000] = "its own text";
    size_t blocks = blocks_each > 0 ? blocks_each : !small && begun % 7 == 0 ? 6 : 0;

    if (begun == messages)
        return;
    begun++;
    s->accept = queue_folder_accept(&at);
    s->body = sp_queue_body_new(at.queue, &s->accept.id);
    ck_assert_int_eq(sp_queue_body_feed(s->body, sp_bytes(text, 3000)), SP_OK);
    for (size_t i = 0; i < blocks; i++)
        ck_assert_int_eq(sp_queue_body_feed(s->body, sp_bytes(text, sizeof(text))), SP_OK);
    sp_queue_body_finish(s->body, on_finished, s);
}

static void on_outcome(void *arg, enum sp_rc rc)
{
    (void)arg;
    ck_assert_int_eq(rc, SP_OK);
    if (++delivered == messages)
        sp_loop_stop(at.loop);
}

/* What is kept in the clear is what was sealed. */
static void look_at_hand(const struct sp_id *id, struct sp_bytes first)
{
    struct sp_content body;
    struct sp_bytes view;

    if (!sp_queue_body_at_hand(at.queue, id, &body))
        return;
    at_hand++;
    {
        SP_AUTO(sp_content_reader) r = sp_content_reader_new(&body);

        ck_assert_int_eq(sp_content_view(r, 0, &view), SP_OK);
        ck_assert(sp_bytes_eq(view, first));
    }
    sp_content_clear(&body);
}

static void deliver_due(void *arg)
{
    struct sp_queue_due due;

    (void)arg;
    while (at.queue != NULL && sp_queue_next_due(at.queue, INT64_MAX - 1, &due)) {
        struct sp_result result = {.state = SP_RCPT_DELIVERED};
        struct sp_outcome o = {.id = due.id, .results = &result, .result_count = 1};
        struct sp_content body;
        struct sp_bytes view;
        SP_AUTO(sp_content_reader) r = NULL;

        ck_assert_int_eq(sp_queue_body(at.queue, &due.id, &body), SP_OK);
        r = sp_content_reader_new(&body);
        ck_assert_int_eq(sp_content_view(r, 0, &view), SP_OK);
        look_at_hand(&due.id, view);
        sp_content_clear(&body);
        sp_queue_outcome(at.queue, &o, NULL, on_outcome, NULL);
    }
}

static void on_due(void *arg)
{
    (void)arg;
    if (deliver)
        sp_loop_post(at.loop, deliver_due, NULL);
}

static int count_sync(void *ctx, int fd)
{
    syncs++;
    return at.disk.sync(ctx, fd);
}

static int count_sync_folder(void *ctx, const char *name)
{
    syncs++;
    return at.disk.sync_folder(ctx, name);
}

static void open_queue(void)
{
    queue_folder_open(
        &at, &(struct sp_queue_options){.io = &counted, .prewrite = true, .on_due = on_due});
}

static void setup(void)
{
    queue_folder_make(&at);
    counted = at.disk;
    counted.sync = count_sync;
    counted.sync_folder = count_sync_folder;
    begun = accepted = delivered = at_hand = 0;
    messages = MESSAGES_MIXED;
    blocks_each = 0;
    deliver = small = false;
    open_queue();
}

static void teardown(void)
{
    queue_folder_remove(&at);
}

START_TEST(many_sessions_share_syncs_and_all_is_there_again)
{
    struct sp_journal_stats stats;

    for (unsigned i = 0; i < SESSIONS; i++)
        begin(&sessions[i]);
    sp_loop_run(at.loop);
    ck_assert_uint_eq(accepted, messages);
    stats = sp_queue_stats(at.queue).journal;
    ck_assert_uint_lt(stats.syncs, messages);
    queue_folder_close(&at);
    open_queue();
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, messages);
    queue_folder_close(&at);
    deliver = true;
    open_queue();
    deliver_due(NULL);
    sp_loop_run(at.loop);
    ck_assert_uint_eq(delivered, messages);
    ck_assert_uint_eq(at_hand, 0); /* it was another process, as it were */
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, 0);
}
END_TEST

START_TEST(accepting_and_delivering_at_once)
{
    deliver = true;
    sp_queue_ledger_passed(at.queue, UINT64_MAX);
    for (unsigned i = 0; i < SESSIONS; i++)
        begin(&sessions[i]);
    sp_loop_run(at.loop);
    ck_assert_uint_eq(delivered, messages);
    ck_assert_uint_ge(at_hand, messages / 2); /* not those with a file of their own */
    ck_assert_uint_lt(at_hand, messages);
    queue_folder_close(&at);
    open_queue();
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, 0);
}
END_TEST

static void forget_it(void *arg, enum sp_rc rc)
{
    (void)arg;
    ck_assert_int_eq(rc, SP_OK);
    sp_loop_stop(at.loop);
}

START_TEST(plaintext_goes_with_its_message)
{
    struct sp_result result = {.state = SP_RCPT_DELIVERED};
    struct sp_content body;
    struct sp_queue_due due;
    struct sp_outcome o = {.results = &result, .result_count = 1};

    messages = 1;
    small = true;
    begin(&sessions[0]);
    sp_loop_run(at.loop);
    ck_assert(sp_queue_next_due(at.queue, INT64_MAX - 1, &due));
    ck_assert(sp_queue_body_at_hand(at.queue, &due.id, &body));
    sp_content_clear(&body);
    o.id = due.id;
    sp_queue_outcome(at.queue, &o, NULL, forget_it, NULL);
    sp_loop_run(at.loop);
    ck_assert(!sp_queue_body_at_hand(at.queue, &due.id, &body));
}
END_TEST

/* Takes one in and borrows its plaintext; the attempt then ends. returns: false if it was not kept */
static bool borrow(struct sp_content *out)
{
    struct sp_result result = {.state = SP_RCPT_DELIVERED};
    struct sp_outcome o = {.results = &result, .result_count = 1};
    struct sp_queue_due due;
    bool kept;

    messages = begun + 1;
    begin(&sessions[0]);
    sp_loop_run(at.loop);
    ck_assert(sp_queue_next_due(at.queue, INT64_MAX - 1, &due));
    kept = sp_queue_body_at_hand(at.queue, &due.id, out);
    o.id = due.id;
    sp_queue_outcome(at.queue, &o, NULL, forget_it, NULL);
    sp_loop_run(at.loop);
    return kept;
}

START_TEST(plaintext_that_is_lent_counts_until_it_comes_back)
{
    enum { MOST = 8 * 1024 * 1024 };
    struct sp_content lent[64];
    size_t count = 0;
    uint64_t len = 0;

    blocks_each = 3;
    while (count < SP_ARRAY_LEN(lent) && borrow(&lent[count]))
        len += lent[count++].len;
    ck_assert_uint_ge(len, MOST / 2);
    ck_assert_uint_le(len, MOST);
    queue_folder_close(&at); /* before those who borrowed */
    open_queue();
    ck_assert(borrow(&lent[count]));
    sp_content_clear(&lent[count]);
    while (count > 0)
        sp_content_clear(&lent[--count]);
    while (borrow(&lent[count]) && ++count < 20) {
    }
    ck_assert_uint_eq(count, 20);
    while (count > 0)
        sp_content_clear(&lent[--count]);
    for (; count < SP_ARRAY_LEN(lent); count++) { /* what has come back is free for others */
        ck_assert(borrow(&lent[count]));
        sp_content_clear(&lent[count]);
    }
}
END_TEST

START_TEST(closing_commits_what_is_under_way)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        begun = messages - 1 - i; /* each begins one, and none another */
        begin(&sessions[i]);
        begun = messages;
    }
    queue_folder_close(&at); /* nothing has run on the loop yet */
    ck_assert_uint_eq(accepted, SESSIONS);
    open_queue();
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, SESSIONS);
}
END_TEST

START_TEST(fifty_sessions_cost_a_tenth_of_a_sync_a_message)
{
    unsigned before = syncs; /* what opening took is not any message's */

    small = true;
    messages = MESSAGES_SMALL;
    for (unsigned i = 0; i < SESSIONS; i++)
        begin(&sessions[i]);
    sp_loop_run(at.loop);
    ck_assert_uint_eq(accepted, MESSAGES_SMALL);
    ck_assert_uint_le((syncs - before) * 10, MESSAGES_SMALL);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, many_sessions_share_syncs_and_all_is_there_again);
    tcase_add_test(c, accepting_and_delivering_at_once);
    tcase_add_test(c, plaintext_goes_with_its_message);
    tcase_add_test(c, plaintext_that_is_lent_counts_until_it_comes_back);
    tcase_add_test(c, closing_commits_what_is_under_way);
    tcase_add_test(c, fifty_sessions_cost_a_tenth_of_a_sync_a_message);
}

SP_TEST_MAIN("queue.threads", add)
