/*
 * Disk space while much lives long: however many wait, and wherever their records lie, the log stays within a small
 * multiple of them, the keys of what is settled go, and no message is lost, doubled or carried for nothing.
 */
#include "journal/reader.h"
#include "queue/check.h"
#include "queue/redirect.h"
#include "rig.h"

enum { DAY_MS = 86400000, SEGMENT = 1024 * 1024, TOGETHER = 100, PAGE = 4096 };

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    rig.options.segment_len = SEGMENT;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    sp_queue_ledger_passed(rig.queue, UINT64_MAX);
}

static void teardown(void)
{
    rig_free(&rig);
}

/* Takes so many messages in, many with a commit. */
static void put_many(size_t count, size_t body_len)
{
    struct sp_queue_accept accepts[TOGETHER];

    for (size_t done = 0; done < count; done += TOGETHER) {
        for (size_t i = 0; i < TOGETHER; i++) {
            struct sp_accept *a = rig_accept(&rig, 1);

            accepts[i] = (struct sp_queue_accept){.accept = a,
                                                  .body = rig_body(&rig, &a->id, body_len),
                                                  .done = rig_done,
                                                  .arg = &rig};
        }
        for (size_t i = 0; i < TOGETHER; i++)
            sp_queue_accept(rig.queue, &accepts[i]);
        sp_queue_commit(rig.queue);
        ck_assert_int_eq(rig.rc, SP_OK);
    }
}

/* Ends all that is due. */
static void end_all(uint8_t state, int64_t next_at_ms)
{
    struct sp_queue_due due;

    while (rig_due(&rig, &due))
        ck_assert_int_eq(rig_outcome(&rig, &due, state, next_at_ms), SP_OK);
}

static void defer_all(void)
{
    end_all(SP_RCPT_DEFERRED, rig.clock.wall_ms + DAY_MS);
}

/* Mail that comes and goes. */
static void pass_mail(size_t count, size_t body_len)
{
    for (size_t i = 0; i < count; i++) {
        (void)rig_put(&rig, body_len);
        ck_assert(rig_deliver_one(&rig));
        sp_arena_reset(rig.arena);
    }
}

/* content.destroyed on record, in what is left of the log; of this message, or of any (NULL). */
static size_t count_destroyed(const struct sp_id *id)
{
    struct sp_journal_cursor from = {0, 0};
    struct sp_journal_entry e;
    struct sp_audit_list audit;
    int64_t time_ms;
    size_t count = 0;
    char want[SP_ID_TEXT_LEN + 1] = "";
    SP_AUTO(sp_journal_reader)
    r = sp_journal_reader_new(rig.options.io, &rig.keys.record, &from);

    if (id != NULL)
        sp_id_format(id, want);
    while (sp_journal_reader_next(r, &e) == SP_OK) {
        sp_arena_reset(rig.arena);
        if (e.type != SP_RECORD_DESTROYED)
            continue;
        ck_assert_int_eq(sp_record_audit(e.type, e.meta, rig.arena, &time_ms, &audit), SP_OK);
        for (size_t i = 0; i < audit.count; i++)
            if (id == NULL || sp_bytes_find_all(audit.events[i], sp_bytes_cstr(want)) != SIZE_MAX)
                count++;
    }
    return count;
}

/* Written anew as it stands, as people do who send it elsewhere. */
static void rewrite(const struct sp_id *id)
{
    struct sp_queue_change change = {.address = SP_LIT("new@elsewhere.example"),
                                     .decision = {.does = SP_ACCEPT_DO_PROTECT}};
    struct sp_queue_redirect r = {
        .id = *id, .changes = &change, .n_count = 1, .policy = SP_LIT("beef")};

    rig.rc = PENDING_RC;
    sp_queue_redirect(rig.queue, &r, rig_done, &rig);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
}

/* A day later everybody is delivered, once. */
static void assert_delivered(size_t count)
{
    size_t delivered = 0;

    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, count);
    fake_clock_advance(&rig.clock, DAY_MS);
    while (rig_deliver_one(&rig))
        delivered++;
    ck_assert_uint_eq(delivered, count);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}

START_TEST(two_thousand_that_wait_in_one_segment_hold_nothing_back)
{
    struct sp_queue_stats s;

    put_many(2000, 10);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).current_segment, 1);
    defer_all();
    for (int i = 0; i < 40; i++) {
        pass_mail(10, 90000);
        s = sp_queue_stats(rig.queue);
        ck_assert_uint_le(s.disk_len, 12 * SEGMENT);
    }
    ck_assert_uint_gt(s.current_segment, 30);
    ck_assert_uint_gt(s.first_segment, 15);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_gt(count_destroyed(NULL), 50);
    assert_delivered(2000);
}
END_TEST

START_TEST(what_lives_in_all_segments_bounds_the_disk)
{
    struct sp_queue_stats s;

    put_many(100, 180000); /* eighteen segments of nothing but the living */
    defer_all();
    s = sp_queue_stats(rig.queue);
    ck_assert_uint_gt(s.current_segment, 17);
    ck_assert_uint_eq(s.carried, 0);
    pass_mail(100, 90000); /* half as much has died: it is not worth it */
    ck_assert_uint_eq(sp_queue_stats(rig.queue).carried, 0);
    for (int i = 0; i < 60; i++) {
        pass_mail(10, 90000);
        s = sp_queue_stats(rig.queue);
        ck_assert_uint_le(s.disk_len, 2 * s.living_len + 10 * SEGMENT);
        ck_assert_uint_le(s.carried_len, s.journal.bytes / 2);
    }
    ck_assert_uint_gt(s.first_segment, 18);
    ck_assert_uint_ge(s.carried, 100);
    assert_delivered(100);
}
END_TEST

START_TEST(a_tenth_that_waits_is_carried_at_a_tenth_of_the_cost)
{
    size_t waiting = 0;
    struct sp_queue_stats s;

    for (int i = 0; i < 600; i++) {
        (void)rig_put(&rig, 40000);
        if (i % 10 == 0) {
            defer_all();
            waiting++;
        }
        end_all(SP_RCPT_DELIVERED, 0);
        sp_arena_reset(rig.arena);
        s = sp_queue_stats(rig.queue);
        ck_assert_uint_le(s.disk_len, 2 * s.living_len + 10 * SEGMENT);
    }
    ck_assert_uint_gt(s.first_segment, 8);
    ck_assert_uint_le(s.carried_len, s.journal.bytes / 4);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    assert_delivered(waiting);
}
END_TEST

/* Each alone in its batch takes a page for a few hundred bytes: carried together they take a tenth, and then it ends. */
START_TEST(many_small_ones_are_not_carried_in_circles)
{
    struct sp_queue_stats s;
    size_t count = 0;

    sp_queue_close(rig.queue);
    rig.options.segment_len = 32 * 1024;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    sp_queue_ledger_passed(rig.queue, UINT64_MAX);
    for (; count < 300; count++) {
        (void)rig_put(&rig, 10);
        defer_all();
    }
    s = sp_queue_stats(rig.queue);
    ck_assert_uint_ge(s.carried, 200);
    ck_assert_uint_le(s.carried_len, count * 2 * PAGE);
    ck_assert_uint_le(s.current_segment - s.first_segment, 14);
    for (int i = 0; i < 3; i++)
        sp_queue_ledger_passed(rig.queue, UINT64_MAX);
    sp_queue_commit(rig.queue);
    ck_assert_uint_le(sp_queue_stats(rig.queue).carried - s.carried, 64);
    assert_delivered(count);
}
END_TEST

START_TEST(one_under_way_waits_and_goes_later)
{
    struct sp_queue_due due;
    struct sp_queue_stats s;

    put_many(100, 10);
    ck_assert(rig_due(&rig, &due)); /* and no outcome yet */
    defer_all();
    pass_mail(120, 90000);
    s = sp_queue_stats(rig.queue);
    ck_assert_uint_eq(s.carried, 99);
    ck_assert_uint_eq(s.first_segment, 1);
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DEFERRED, rig.clock.wall_ms + DAY_MS), SP_OK);
    sp_queue_commit(rig.queue);
    s = sp_queue_stats(rig.queue);
    ck_assert_uint_eq(s.carried, 100);
    ck_assert_uint_gt(s.first_segment, 3);
    assert_delivered(100);
}
END_TEST

/* Three records hold its key, two of them in one segment. */
START_TEST(the_end_of_a_message_is_told_once)
{
    struct sp_id id;

    sp_queue_ledger_passed(rig.queue, 0);
    pass_mail(1, 100);
    id = rig_put(&rig, 100);
    rewrite(&id);
    rig_reopen(&rig); /* another segment */
    rewrite(&id);
    rewrite(&id);
    end_all(SP_RCPT_DELIVERED, 0);
    rig_reopen(&rig);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).first_segment, 1);
    sp_queue_ledger_passed(rig.queue, UINT64_MAX); /* both keys go at once; nothing is told yet */
    for (int i = 0; i < 2; i++) {
        rig_crash(&rig, FAKE_CRASH_NONE, 0);
        sp_queue_ledger_passed(rig.queue, UINT64_MAX);
        if (i > 0)
            sp_queue_commit(rig.queue);
    }
    rig_reopen(&rig);
    ck_assert_uint_eq(count_destroyed(&id), 1);
    ck_assert_uint_eq(count_destroyed(NULL), 2);
}
END_TEST

/* ---- somebody looks while it goes on ---- */

/* Another process's view of the disk: it stands still behind each list of the shard's folder, so often as is asked for. */
struct look {
    struct sp_journal_io disk;
    size_t stops;
};

static int look_list(void *ctx, const char *folder, void (*visit)(void *arg, const char *name),
                     void *arg)
{
    struct look *l = ctx;
    int rc = l->disk.list(l->disk.ctx, folder, visit, arg);
    uint64_t first = sp_queue_stats(rig.queue).first_segment;

    if (strcmp(folder, ".") != 0 || l->stops == 0)
        return rc;
    l->stops--;
    while (sp_queue_stats(rig.queue).first_segment == first) { /* until what lives has moved */
        pass_mail(10, 9000);
        sp_queue_commit(rig.queue);
    }
    return rc;
}

static int look_open(void *ctx, const char *name, enum sp_io_open how)
{
    const struct look *l = ctx;

    return l->disk.open(l->disk.ctx, name, how);
}

static void look_close(void *ctx, int fd)
{
    const struct look *l = ctx;

    l->disk.close(l->disk.ctx, fd);
}

static ssize_t look_pread(void *ctx, int fd, void *out, size_t len, int64_t offset)
{
    const struct look *l = ctx;

    return l->disk.pread(l->disk.ctx, fd, out, len, offset);
}

/* Opens the shard to look only, while mail moves on behind its back so often. owner: the caller */
static struct sp_queue *look_while_moving(struct look *l, size_t stops)
{
    static struct sp_journal_io io;
    struct sp_queue_options o = rig.options;
    struct sp_queue *q = NULL;
    struct sp_err err = {0};

    *l = (struct look){.disk = *fake_disk_io(rig.disk), .stops = stops};
    io = (struct sp_journal_io){
        .open = look_open, .close = look_close, .pread = look_pread, .list = look_list, .ctx = l};
    o.io = &io;
    o.read_only = true;
    ck_assert_msg(sp_queue_open(&o, &q, &err) == SP_OK, "%s", err.text);
    return q;
}

static struct sp_id put_one_that_stays(void)
{
    struct sp_id id;

    sp_queue_close(rig.queue);
    rig.options.segment_len = 32 * 1024;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    sp_queue_ledger_passed(rig.queue, UINT64_MAX);
    id = rig_put(&rig, 1000);
    defer_all();
    pass_mail(4, 9000);
    return id;
}

START_TEST(who_is_carried_while_somebody_looks_is_seen)
{
    struct sp_id id = put_one_that_stays();

    for (size_t stops = 0; stops < 4; stops++) {
        struct look l;
        struct sp_queue *q = look_while_moving(&l, stops);

        ck_assert_msg(sp_queue_has(q, &id), "the shard moved %zu times", stops);
        ck_assert(!sp_queue_stats(q).is_torn);
        sp_queue_close(q);
    }
}
END_TEST

START_TEST(a_look_that_never_held_still_says_so)
{
    struct look l;
    struct sp_queue *q;

    (void)put_one_that_stays();
    q = look_while_moving(&l, SIZE_MAX);
    ck_assert(sp_queue_stats(q).is_torn);
    sp_queue_close(q);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, two_thousand_that_wait_in_one_segment_hold_nothing_back);
    tcase_add_test(c, what_lives_in_all_segments_bounds_the_disk);
    tcase_add_test(c, a_tenth_that_waits_is_carried_at_a_tenth_of_the_cost);
    tcase_add_test(c, many_small_ones_are_not_carried_in_circles);
    tcase_add_test(c, one_under_way_waits_and_goes_later);
    tcase_add_test(c, the_end_of_a_message_is_told_once);
    tcase_add_test(c, who_is_carried_while_somebody_looks_is_seen);
    tcase_add_test(c, a_look_that_never_held_still_says_so);
}

SP_TEST_MAIN("queue", add)
