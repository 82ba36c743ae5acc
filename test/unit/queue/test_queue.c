/*
 * A message's way through the queue, with a restart at every turn: accepted, due, deferred, held, released, delivered,
 * with its children, its body in the record or in a file; and the disk space that comes back.
 */
#include "queue/check.h"
#include "queue/list.h"
#include "rig.h"

#include "journal/reader.h"

#include <errno.h>

static struct rig rig;

/* Written over ciphertext: one byte would, one time in 256, be what is there already. */
static const uint8_t damage[] = {'d', 'a', 'm', 'a', 'g', 'e', '!', '!'};

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void teardown(void)
{
    rig_free(&rig);
}

static size_t body_files(void)
{
    return fake_disk_files(rig.disk, "body-");
}

static void assert_body(const struct sp_id *id, size_t len, bool for_role)
{
    struct sp_content c;
    uint8_t out[4096];
    uint64_t at = 0;
    size_t got = 0;
    bool right = true;
    SP_AUTO(sp_content_reader) r = NULL;

    ck_assert_int_eq(for_role ? sp_queue_body_for_role(rig.queue, id, &c)
                              : sp_queue_body(rig.queue, id, &c),
                     SP_OK);
    ck_assert_uint_eq(c.len, len);
    r = sp_content_reader_new(&c);
    do {
        ck_assert_int_eq(sp_content_read(r, at, out, sizeof(out), &got), SP_OK);
        for (size_t i = 0; i < got; i++) /* one check a block: each costs a write */
            right = right && out[i] == 'b';
        at += got;
    } while (got > 0);
    ck_assert(right);
    ck_assert_uint_eq(at, len);
    sp_content_clear(&c);
}

START_TEST(an_accepted_message_is_due_once_and_settles)
{
    struct sp_queue_due due;
    struct sp_id id = rig_put(&rig, 1000);

    ck_assert_uint_eq(rig.due_told, 1);
    ck_assert_int_le(sp_queue_due_at(rig.queue), rig.clock.wall_ms);
    ck_assert(rig_due(&rig, &due));
    ck_assert(sp_id_eq(&due.id, &id) && due.n_count == 1 && due.ns[0] == 0);
    ck_assert(!due.possibly_attempted);
    ck_assert(!rig_due(&rig, &due)); /* busy */
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
    rig_reopen(&rig);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
    ck_assert(!rig_due(&rig, &due));
}
END_TEST

START_TEST(a_message_and_its_body_survive_a_restart)
{
    static const size_t lens[] = {0, 1, 4096, 65536, 262144, 262145, 1000000};

    for (size_t i = 0; i < SP_ARRAY_LEN(lens); i++) {
        struct sp_id id = rig_put(&rig, lens[i]);
        SP_AUTO(sp_queue_message) m = NULL;

        ck_assert_uint_eq(body_files(), lens[i] > 262144 ? 1 : 0);
        assert_body(&id, lens[i], false);
        assert_body(&id, lens[i], true);
        rig_crash(&rig, i % 2 == 0 ? FAKE_CRASH_ALL : FAKE_CRASH_NONE, i);
        assert_body(&id, lens[i], false);
        ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_OK);
        ck_assert(sp_bytes_eq(m->accept.sender, SP_LIT("dr@hospital.example")));
        ck_assert(sp_bytes_eq(m->accept.recipients[0].address, SP_LIT("p0@clinic0.example")));
        ck_assert_uint_eq(m->accept.body_len, lens[i]);
        ck_assert(m->possibly_attempted);
        ck_assert(rig_deliver_one(&rig));
        ck_assert_uint_eq(body_files(), 0);
    }
}
END_TEST

/* Nothing would sync a file that begins behind the end. */
START_TEST(a_body_that_has_ended_goes_into_no_file)
{
    struct sp_accept *a = rig_accept(&rig, 1);
    struct sp_queue_accept accept = {.accept = a, .done = rig_done, .arg = &rig};

    accept.body = sp_queue_body_new(rig.queue, &a->id);
    ck_assert_int_eq(sp_queue_body_feed(accept.body, SP_LIT("bbbb")), SP_OK);
    sp_queue_body_finish(accept.body, rig_done, &rig);
    sp_queue_body_spill(accept.body);
    sp_queue_commit(rig.queue);
    sp_queue_body_spill(accept.body);
    rig.rc = PENDING_RC;
    sp_queue_accept(rig.queue, &accept);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
    ck_assert_uint_eq(body_files(), 0);
    rig_crash(&rig, FAKE_CRASH_NONE, 1);
    assert_body(&a->id, 4, false);
}
END_TEST

START_TEST(a_deferred_recipient_comes_back_in_time_even_after_a_restart)
{
    struct sp_queue_due due;

    (void)rig_put(&rig, 100);
    ck_assert(rig_due(&rig, &due));
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DEFERRED, rig.clock.wall_ms + 300000), SP_OK);
    rig_reopen(&rig);
    ck_assert_int_eq(sp_queue_due_at(rig.queue), rig.clock.wall_ms + 300000);
    ck_assert(!rig_due(&rig, &due));
    fake_clock_advance(&rig.clock, 300000);
    ck_assert(rig_due(&rig, &due));
    sp_queue_put_back(rig.queue, &due.id, due.ns, due.n_count, rig.clock.wall_ms + 5);
    ck_assert(!rig_due(&rig, &due));
    fake_clock_advance(&rig.clock, 5);
    ck_assert(rig_due(&rig, &due));
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
}
END_TEST

/* All recipients that are due, by destination; so many must it be. returns: how often some were handed out */
static size_t take_all(struct sp_queue_due *dues, size_t expected, bool possibly_attempted)
{
    bool seen[100] = {false};
    size_t total = 0;
    size_t count = 0;

    while (count < 4 && rig_due(&rig, &dues[count])) {
        const struct sp_queue_due *due = &dues[count++];

        ck_assert_int_eq(due->possibly_attempted, possibly_attempted);
        ck_assert_uint_ne(due->n_count, 0);
        for (size_t i = 0; i < due->n_count; i++, total++) {
            ck_assert_uint_eq(due->ns[i] % 3, due->ns[0] % 3); /* the same domain */
            ck_assert(!seen[due->ns[i]]);
            seen[due->ns[i]] = true;
        }
    }
    ck_assert_uint_eq(total, expected);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_busy, expected);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_pending, 0); /* each counts once */
    return count;
}

START_TEST(recipients_settle_one_by_one)
{
    struct sp_accept *a = rig_accept(&rig, 100);
    struct sp_queue_due dues[4];
    SP_AUTO(sp_queue_message) m = NULL;

    rig_submit(&rig, a, 10);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(take_all(dues, 100, false), 3);
    ck_assert_int_eq(rig_outcome(&rig, &dues[2], SP_RCPT_DELIVERED, 0), SP_OK);
    ck_assert_int_eq(sp_queue_load(rig.queue, &a->id, &m), SP_OK);
    ck_assert_int_eq(m->rcpts[dues[2].ns[0]].state, SP_RCPT_DELIVERED);
    ck_assert_int_eq(m->rcpts[dues[0].ns[0]].state, SP_RCPT_PENDING);
    ck_assert(m->busy[dues[0].ns[0]] && !m->busy[dues[2].ns[0]]);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_eq(take_all(dues, 100 - dues[2].n_count, true), 2);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(rig_outcome(&rig, &dues[i], SP_RCPT_FAILED, 0), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(recipients_of_one_domain_come_in_portions)
{
    struct sp_accept *a = rig_accept(&rig, 100);
    struct sp_queue_due due;
    struct sp_queue_due rest;
    SP_AUTO(sp_queue_message) m = NULL;

    for (size_t i = 0; i < 100; i++)
        a->recipients[i].address = SP_LIT("p@clinic.example");
    rig_submit(&rig, a, 10);
    sp_queue_commit(rig.queue);
    ck_assert(rig_due(&rig, &due) && due.n_count == SP_QUEUE_DUE_MAX);
    ck_assert(rig_due(&rig, &rest) && rest.n_count == 100 - SP_QUEUE_DUE_MAX);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_busy, 100);
    ck_assert_int_eq(rig_outcome(&rig, &rest, SP_RCPT_DELIVERED, 0), SP_OK);
    ck_assert_int_eq(sp_queue_load(rig.queue, &a->id, &m), SP_OK);
    ck_assert_int_eq(m->rcpts[99].state, SP_RCPT_DELIVERED);
    ck_assert_int_eq(m->rcpts[0].state, SP_RCPT_PENDING);
    ck_assert(m->busy[0] && !m->busy[99]);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert(rig_due(&rig, &due) && due.n_count == SP_QUEUE_DUE_MAX && due.possibly_attempted);
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_FAILED, 0), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(a_doubt_outlasts_a_clean_stop)
{
    struct sp_queue_due due;

    (void)rig_put(&rig, 100);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    rig_reopen(&rig);
    ck_assert(rig_due(&rig, &due) && due.possibly_attempted);
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
    (void)rig_put(&rig, 100);
    rig_reopen(&rig);
    ck_assert(rig_due(&rig, &due) && !due.possibly_attempted);
    rig_reopen(&rig); /* stopped with that attempt under way */
    ck_assert(rig_due(&rig, &due) && due.possibly_attempted);
}
END_TEST

START_TEST(held_mail_waits_for_its_release)
{
    struct sp_accept *a = rig_accept(&rig, 1);
    struct sp_queue_due due;

    a->recipients[0].decision = 1;
    rig_submit(&rig, a, 10);
    sp_queue_commit(rig.queue);
    ck_assert(!rig_due(&rig, &due));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_held, 1);
    rig_reopen(&rig);
    ck_assert(!rig_due(&rig, &due));
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RETRY, &a->id), SP_OK); /* no way round a hold */
    ck_assert(!rig_due(&rig, &due));
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &a->id), SP_OK);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &a->id), SP_OK);
    rig_reopen(&rig);
    ck_assert(rig_due(&rig, &due));
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &a->id), SP_E_EXISTS); /* under way */
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DEFERRED, INT64_MAX - 1), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_by_hand, 0);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &a->id), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_by_hand, 1);
    rig_reopen(&rig);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_by_hand, 1);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &a->id), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_by_hand, 0);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RETRY, &a->id), SP_OK);
    ck_assert(rig_due(&rig, &due));
}
END_TEST

START_TEST(a_deleted_message_is_gone_with_its_file)
{
    struct sp_id id = rig_put(&rig, 400000);
    struct sp_queue_due due;

    ck_assert_uint_eq(body_files(), 1);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &id), SP_OK);
    ck_assert_uint_eq(body_files(), 0);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &id), SP_E_NOT_FOUND);
    rig_reopen(&rig);
    ck_assert(!rig_due(&rig, &due));
}
END_TEST

START_TEST(a_child_lives_on_when_its_parent_has_settled)
{
    struct sp_queue_due due;
    struct sp_id id = rig_put(&rig, 100);
    struct sp_accept *dsn = rig_accept(&rig, 1);
    struct sp_result result = {.n = 0, .state = SP_RCPT_RETURNED};
    struct sp_outcome o = {.id = id, .results = &result, .result_count = 1, .child = dsn};

    dsn->kind = SP_ACCEPT_KIND_DSN;
    dsn->parent = id;
    ck_assert(rig_due(&rig, &due));
    rig.rc = PENDING_RC;
    sp_queue_outcome(rig.queue, &o, rig_body(&rig, &dsn->id, 700), rig_done, &rig);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
    for (int round = 0; round < 2; round++) {
        SP_AUTO(sp_queue_message) m = NULL;

        ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 1);
        ck_assert_int_eq(sp_queue_load(rig.queue, &dsn->id, &m), SP_OK);
        ck_assert_int_eq(m->accept.kind, SP_ACCEPT_KIND_DSN);
        ck_assert(sp_id_eq(&m->accept.parent, &id));
        assert_body(&dsn->id, 700, true);
        rig_crash(&rig, FAKE_CRASH_NONE, 0);
    }
    ck_assert(rig_deliver_one(&rig));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(an_outcome_whose_audit_is_too_large_is_recorded_with_a_gap)
{
    enum { BIG = 200 * 1024, COUNT = 6 };
    struct sp_id id = rig_put(&rig, 100);
    struct sp_bytes events[COUNT];
    struct sp_queue_due due;
    struct sp_result result = {.n = 0, .state = SP_RCPT_DEFERRED, .next_at_ms = INT64_MAX - 1};
    struct sp_outcome o = {.id = id,
                           .attempt = 1,
                           .results = &result,
                           .result_count = 1,
                           .audit = {.events = events, .count = COUNT}};
    uint8_t *big = sp_arena_alloc(rig.arena, BIG);

    memset(big, 'x', BIG);
    for (size_t i = 0; i < COUNT; i++)
        events[i] = sp_bytes(big, BIG);
    ck_assert(rig_due(&rig, &due));
    rig.rc = PENDING_RC;
    sp_queue_outcome(rig.queue, &o, NULL, rig_done, &rig);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_E_LIMIT);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_busy, 0);
    for (int round = 0; round < 2; round++) {
        SP_AUTO(sp_queue_message) m = NULL;

        ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_OK);
        ck_assert_int_eq(m->rcpts[0].state, SP_RCPT_DEFERRED);
        ck_assert(!m->busy[0]);
        rig_crash(&rig, FAKE_CRASH_NONE, 0);
    }
}
END_TEST

START_TEST(a_dsn_that_no_record_can_hold_leaves_its_recipients_held)
{
    enum { BIG = 250 * 1024 };
    struct sp_id id = rig_put(&rig, 100);
    struct sp_accept *dsn = rig_accept(&rig, 1);
    struct sp_queue_due due;
    struct sp_result result = {.n = 0, .state = SP_RCPT_RETURNED};
    struct sp_outcome o = {
        .id = id, .attempt = 1, .results = &result, .result_count = 1, .child = dsn};
    uint8_t *big = sp_arena_alloc(rig.arena, BIG);
    SP_AUTO(sp_queue_message) m = NULL;

    memset(big, 'x', BIG);
    dsn->trace = dsn->facts = dsn->envid = dsn->message_id = dsn->phi = sp_bytes(big, BIG);
    ck_assert(rig_due(&rig, &due));
    rig.rc = PENDING_RC;
    sp_queue_outcome(rig.queue, &o, rig_body(&rig, &dsn->id, 500), rig_done, &rig);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_E_LIMIT);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 1);
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_OK);
    ck_assert_int_eq(m->rcpts[0].state, SP_RCPT_HELD);
    ck_assert_int_eq(m->rcpts[0].why, SP_E_LIMIT);
}
END_TEST

START_TEST(a_damaged_record_is_quarantined_and_the_rest_flows)
{
    struct sp_id ids[3];
    struct sp_queue_due due;
    size_t delivered = 0;

    ids[0] = rig_put(&rig, 2000);
    ids[1] = rig_put(&rig, 300000); /* its body is a file */
    ids[2] = rig_put(&rig, 2000);
    rig_crash(&rig, FAKE_CRASH_ALL, 0);
    for (size_t block = 2; block <= 3; block++) /* the records of the first two */
        fake_disk_poke(rig.disk, "000000000001.seg", block * 4096 + 200, damage, sizeof(damage));
    rig_reopen(&rig);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 2);
    ck_assert_uint_eq(fake_disk_files(rig.disk, "body-"), 1); /* its record is broken, not gone */
    while (rig_due(&rig, &due)) {
        ck_assert(sp_id_eq(&due.id, &ids[2]));
        ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
        delivered++;
    }
    ck_assert_uint_eq(delivered, 1);
    sp_queue_ledger_passed(rig.queue, UINT64_MAX);
    sp_queue_commit(rig.queue);
    ck_assert_int_gt(fake_disk_len(rig.disk, "000000000001.seg"), 0); /* for a person to look at */
}
END_TEST

static void count_damaged(void *arg, const struct sp_queue_message *m)
{
    ck_assert(m->quarantined && m->accept.recipient_count == 0);
    (*(size_t *)arg)++;
}

static void put_states(void *arg, const struct sp_queue_message *m)
{
    struct sp_buf *text = arg;

    sp_buf_put(text, sp_bytes(m->accept.id.b, SP_ID_LEN));
    for (size_t i = 0; i < m->accept.recipient_count; i++) {
        sp_buf_put_u8(text, m->rcpts[i].state);
        sp_buf_put_u16(text, m->rcpts[i].attempts);
        sp_buf_put_u64(text, (uint64_t)m->rcpts[i].next_at_ms);
    }
}

/* Where the footer of a segment begins, found by its magic. */
static uint64_t footer_of(struct rig *r, uint64_t number, char name[32])
{
    int64_t len;

    (void)snprintf(name, 32, "%012llu.seg", (unsigned long long)number);
    len = fake_disk_len(r->disk, name);
    for (int64_t at = 4096; at < len; at += 4096) {
        char magic[4];

        fake_disk_peek(r->disk, name, (size_t)at, magic, sizeof(magic));
        if (memcmp(magic, "SPf1", sizeof(magic)) == 0)
            return (uint64_t)at;
    }
    ck_abort_msg("%s has no footer", name);
}

static size_t list_damaged(struct rig *r)
{
    size_t found = 0;
    struct sp_queue_query query = {
        .state = -1, .quarantined_only = true, .limit = 10, .visit = count_damaged, .arg = &found};
    struct sp_id last;

    ck_assert(!sp_queue_list(r->queue, &query, &last));
    return found;
}

/* Fills segments until the first `count` are closed long enough to have a footer. */
static void fill_segments(struct rig *r, uint64_t count)
{
    while (sp_queue_stats(r->queue).current_segment < count + 2)
        (void)rig_put(r, 30000);
}

/* Records of a hold for damage that name this message, as the ledger reads them. */
static size_t count_held(const struct sp_id *id)
{
    struct sp_journal_cursor from = {0, 0};
    struct sp_journal_entry e;
    size_t count = 0;
    char want[SP_ID_TEXT_LEN + 1];
    enum sp_rc rc;
    SP_AUTO(sp_journal_reader)
    r = sp_journal_reader_new(rig.options.io, &rig.keys.record, &from);

    sp_id_format(id, want);
    while ((rc = sp_journal_reader_next(r, &e)) == SP_OK || rc == SP_E_JOURNAL_DAMAGED) {
        struct sp_act act;

        if (rc != SP_OK || e.type != SP_RECORD_HOLD || !sp_id_eq(&e.message, id))
            continue;
        sp_arena_reset(rig.arena);
        ck_assert_int_eq(sp_act_decode(e.meta, rig.arena, &act), SP_OK);
        ck_assert_uint_eq(act.audit.count, 1);
        ck_assert(sp_bytes_find_all(act.audit.events[0], sp_bytes_cstr(want)) != SIZE_MAX);
        if (sp_bytes_find_all(act.audit.events[0], SP_LIT("content.damaged")) != SIZE_MAX)
            count++;
    }
    return count;
}

START_TEST(damage_of_a_row_is_on_record_once)
{
    struct sp_id id = rig_put(&rig, 2000);
    struct sp_queue_message *m;

    fill_segments(&rig, 1);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)2 * 4096 + 200, damage, sizeof(damage));
    rig_reopen(&rig); /* by the footer: not seen yet */
    ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 0);
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_E_JOURNAL_DAMAGED);
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_E_JOURNAL_DAMAGED);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_held, 1);
    for (int i = 0; i < 2; i++) {
        rig_reopen(&rig);
        ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_held, 1);
        ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_E_JOURNAL_DAMAGED);
        fill_segments(&rig,
                      sp_queue_stats(rig.queue).current_segment); /* that record has a footer too */
    }
    rig_reopen(&rig);
    ck_assert_uint_eq(count_held(&id), 1);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &id), SP_OK); /* not known yet in this run */
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_E_JOURNAL_DAMAGED);
    sp_queue_commit(rig.queue);
    rig_reopen(&rig);
    ck_assert_uint_eq(count_held(&id), 2);
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_E_JOURNAL_DAMAGED);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &id), SP_OK);
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_E_NOT_FOUND);
}
END_TEST

START_TEST(damage_found_at_a_start_is_on_record_once)
{
    struct sp_id id = rig_put(&rig, 2000);

    rig_crash(&rig, FAKE_CRASH_ALL, 0);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)2 * 4096 + 200, damage, sizeof(damage));
    for (int i = 0; i < 3; i++) {
        rig_reopen(&rig);
        sp_queue_commit(rig.queue);
        ck_assert_uint_eq(list_damaged(&rig), 1);
    }
    ck_assert_uint_eq(count_held(&id), 1);
}
END_TEST

START_TEST(a_quarantined_message_is_listed_and_can_be_deleted)
{
    struct sp_id ids[2];

    ids[0] = rig_put(&rig, 300000); /* its body is a file */
    ids[1] = rig_put(&rig, 2000);
    rig_crash(&rig, FAKE_CRASH_ALL, 0);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)2 * 4096 + 200, damage, sizeof(damage));
    rig_reopen(&rig);
    ck_assert_uint_eq(list_damaged(&rig), 1);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &ids[0]), SP_E_JOURNAL_DAMAGED);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &ids[0]), SP_OK);
    ck_assert_uint_eq(list_damaged(&rig), 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 1);
    ck_assert_uint_eq(fake_disk_files(rig.disk, "body-"), 0);
    rig_reopen(&rig); /* and it stays so */
    ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 1);
}
END_TEST

START_TEST(what_has_no_id_any_more_is_listed_and_can_be_deleted)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    struct sp_id none = {{0}};

    (void)rig_put(&rig, 2000);
    fill_segments(&rig, 2);
    rig_reopen(&rig);
    ck_assert_int_eq(io->unlink(io->ctx, "000000000002.seg"), 0);
    for (int i = 0; i < 2; i++) {
        rig_reopen(&rig);
        ck_assert_uint_eq(list_damaged(&rig), 1);
        ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 1);
    }
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &none), SP_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(list_damaged(&rig), 0);
        ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 0);
        rig_reopen(&rig);
    }
}
END_TEST

/* Records of a hold for damage without an id, as the ledger reads them. */
static size_t count_gaps(void)
{
    struct sp_journal_cursor from = {0, 0};
    struct sp_journal_entry e;
    size_t count = 0;
    enum sp_rc rc;
    SP_AUTO(sp_journal_reader)
    r = sp_journal_reader_new(rig.options.io, &rig.keys.record, &from);

    sp_journal_reader_tell(r, UINT64_MAX, 0);
    while ((rc = sp_journal_reader_next(r, &e)) == SP_OK || rc == SP_E_JOURNAL_DAMAGED)
        count += rc == SP_OK && e.type == SP_RECORD_HOLD && sp_id_is_zero(&e.message);
    return count;
}

START_TEST(who_gave_one_loss_up_hears_of_the_next)
{
    static const char *const names[] = {"000000000003.seg", "000000000002.seg", "000000000004.seg"};
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    const struct sp_id none = {{0}};

    (void)rig_put(&rig, 2000);
    fill_segments(&rig, 5);
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        sp_queue_close(rig.queue);
        ck_assert_int_eq(io->unlink(io->ctx, names[i]), 0);
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        for (int again = 0; again < 2; again++) {
            ck_assert_uint_eq(list_damaged(&rig), 1);
            sp_queue_commit(rig.queue);
            rig_reopen(&rig);
        }
        ck_assert_uint_eq(count_gaps(), i + 1);
        ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &none), SP_OK);
        for (int again = 0; again < 2; again++) {
            ck_assert_uint_eq(list_damaged(&rig), 0);
            rig_reopen(&rig);
        }
    }
}
END_TEST

struct ends {
    struct sp_id id;
    size_t count;
};

static void on_ended(void *arg, const struct sp_id *id, uint16_t n)
{
    struct ends *e = arg;

    e->count += sp_id_eq(id, &e->id) && n == 0;
}

/* Who looks learns which segments are lost, who has ended and who is there; one that only he knows of can be given up. */
START_TEST(what_is_missing_can_be_found_and_given_up)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    struct ends ends = {.id = rig_put(&rig, 2000)};
    struct sp_id missing;
    const uint64_t *lost;

    ck_assert(rig_deliver_one(&rig));
    fill_segments(&rig, 2);
    missing = rig_put(&rig, 2000); /* into the 4th, or the 5th */
    fill_segments(&rig, 5);
    ck_assert(sp_queue_has(rig.queue, &missing) && !sp_queue_has(rig.queue, &ends.id));
    sp_queue_close(rig.queue);
    ck_assert_int_eq(io->unlink(io->ctx, "000000000004.seg"), 0);
    ck_assert_int_eq(io->unlink(io->ctx, "000000000005.seg"), 0);
    rig.options.on_due = NULL;
    rig.options.on_ended = on_ended;
    rig.options.arg = &ends;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(ends.count, 1);
    ck_assert_uint_eq(sp_queue_lost(rig.queue, &lost), 2);
    ck_assert(lost[0] == 4 && lost[1] == 5);
    ck_assert(!sp_queue_has(rig.queue, &missing));
    sp_queue_miss(rig.queue, &missing);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &missing), SP_OK);
    ck_assert(!sp_queue_has(rig.queue, &missing));
    rig_reopen(&rig);
    ck_assert(!sp_queue_has(rig.queue, &missing));
}
END_TEST

/* What was lost may have said that older mail has gone out; of what came later it said nothing. */
START_TEST(mail_from_before_what_was_lost_counts_as_possibly_attempted)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    struct sp_id ids[2] = {rig_put(&rig, 2000)};

    fill_segments(&rig, 2);
    ids[1] = rig_put(&rig, 2000);
    rig_reopen(&rig);
    for (size_t i = 0; i < 2; i++) {
        SP_AUTO(sp_queue_message) m = NULL;

        ck_assert_int_eq(sp_queue_load(rig.queue, &ids[i], &m), SP_OK);
        ck_assert(!m->possibly_attempted);
    }
    sp_queue_close(rig.queue);
    ck_assert_int_eq(io->unlink(io->ctx, "000000000002.seg"), 0);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    for (size_t i = 0; i < 2; i++) {
        SP_AUTO(sp_queue_message) m = NULL;

        ck_assert_int_eq(sp_queue_load(rig.queue, &ids[i], &m), SP_OK);
        ck_assert_int_eq(m->possibly_attempted, i == 0);
    }
}
END_TEST

static void find_one(void *arg, const struct sp_queue_finding *finding)
{
    *(struct sp_queue_finding *)arg = *finding;
}

START_TEST(a_body_whose_file_is_gone_is_damage)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    struct sp_id id = rig_put(&rig, 300000);
    struct sp_queue_finding found = {.why = SP_OK};
    char name[64];
    char text[SP_ID_TEXT_LEN + 1];

    sp_id_format(&id, text);
    (void)snprintf(name, sizeof(name), "body-%x/%s", id.b[SP_ID_LEN - 1] & 15U, text);
    ck_assert_int_eq(io->unlink(io->ctx, name), 0);
    ck_assert_uint_eq(sp_queue_check(rig.queue, find_one, &found), 1);
    ck_assert_int_eq(found.why, SP_E_CONTENT_TRUNCATED);
    ck_assert(sp_id_eq(&found.id, &id) && found.segment == 1 && found.record == 1);
}
END_TEST

START_TEST(damage_found_while_it_runs_quarantines_that_message)
{
    struct sp_id ids[2] = {rig_put(&rig, 2000), rig_put(&rig, 2000)};
    struct sp_queue_message *m;
    struct sp_queue_due due;

    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)2 * 4096 + 200, damage, sizeof(damage));
    ck_assert(rig_due(&rig, &due));
    ck_assert(sp_id_eq(&due.id, &ids[0]));
    ck_assert_int_eq(sp_queue_load(rig.queue, &ids[0], &m), SP_E_JOURNAL_DAMAGED);
    sp_queue_put_back(rig.queue, &ids[0], due.ns, due.n_count, rig.clock.wall_ms);
    ck_assert_uint_eq(list_damaged(&rig), 1);
    ck_assert(rig_due(&rig, &due));
    ck_assert(sp_id_eq(&due.id, &ids[1]));
    ck_assert(!rig_due(&rig, &due));
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &ids[0]), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 1);
}
END_TEST

/* Opens the queue and lists how every recipient stands. returns: what depends on it all */
static struct sp_buf fold_of(struct rig *r)
{
    struct sp_queue_query query = {.state = -1, .limit = 1000, .visit = put_states};
    struct sp_id last;
    struct sp_buf text;

    sp_buf_init(&text, 1 << 20);
    query.arg = &text;
    ck_assert(!sp_queue_list(r->queue, &query, &last));
    ck_assert_int_eq(sp_buf_rc(&text), SP_OK);
    return text;
}

START_TEST(a_restart_by_footers_finds_the_same)
{
    struct sp_id first = rig_put(&rig, 2000);
    struct sp_queue_due due;
    struct sp_queue_stats stats;
    struct sp_buf by_footer;
    struct sp_buf by_record;
    uint8_t nothing[64] = {0};

    (void)rig_put(&rig, 300000);
    (void)rig_put(&rig, 100);
    for (int i = 0; i < 3 && rig_due(&rig, &due); i++) {
        uint8_t state = sp_id_eq(&due.id, &first) ? SP_RCPT_DELIVERED : SP_RCPT_DEFERRED;

        ck_assert_int_eq(rig_outcome(&rig, &due, state, rig.clock.wall_ms + 5000), SP_OK);
    }
    fill_segments(&rig, 3);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &due.id), SP_OK);
    rig_reopen(&rig);
    stats = sp_queue_stats(rig.queue);
    ck_assert_uint_ge(stats.footers, 3);
    by_footer = fold_of(&rig);
    for (uint64_t n = 1; n <= stats.footers; n++) { /* the same without them */
        char name[32];
        uint64_t end = footer_of(&rig, n, name);

        fake_disk_poke(rig.disk, name, end, nothing, sizeof(nothing));
    }
    rig_reopen(&rig);
    ck_assert_uint_lt(sp_queue_stats(rig.queue).footers, stats.footers);
    by_record = fold_of(&rig);
    ck_assert_uint_gt(by_record.len, 100);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&by_footer), sp_buf_bytes(&by_record)));
    sp_buf_clear(&by_footer);
    sp_buf_clear(&by_record);
}
END_TEST

START_TEST(a_row_damaged_under_a_footer_is_found_when_it_is_read)
{
    struct sp_id first = rig_put(&rig, 2000);
    struct sp_queue_message *m;

    fill_segments(&rig, 1);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)2 * 4096 + 200, damage, sizeof(damage));
    rig_reopen(&rig);
    ck_assert_uint_ge(sp_queue_stats(rig.queue).footers, 1);
    ck_assert_int_eq(sp_queue_load(rig.queue, &first, &m), SP_E_JOURNAL_DAMAGED);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 1);
}
END_TEST

/* Who looks at every record finds a batch's head damaged; who looks as a start does finds what the footer tells of it. */
START_TEST(a_message_under_a_footer_is_not_lost_with_its_batch)
{
    struct sp_id first = rig_put(&rig, 2000);

    fill_segments(&rig, 2);
    sp_queue_close(rig.queue);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)2 * 4096, damage, sizeof(damage));
    rig.options.read_only = true;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert(!sp_queue_has(rig.queue, &first));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).damaged, 1);
    rig.options.by_footers = true;
    rig_reopen(&rig);
    ck_assert(sp_queue_has(rig.queue, &first));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).quarantined, 0);
    rig.options.read_only = false;
    rig_reopen(&rig);
    assert_body(&first, 2000, false);
}
END_TEST

START_TEST(a_stopped_shard_keeps_outcomes_until_it_can_write_again)
{
    struct sp_id ids[2] = {rig_put(&rig, 100), rig_put(&rig, 100)};
    struct sp_queue_due due[2];

    ck_assert(rig_due(&rig, &due[0]) && rig_due(&rig, &due[1]));
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &ids[0]), SP_E_EXISTS);
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, true);
    for (int i = 0; i < 2; i++) /* the second finds it stopped */
        ck_assert_int_eq(rig_outcome(&rig, &due[i], SP_RCPT_DELIVERED, 0), PENDING_RC);
    ck_assert(!sp_queue_may_deliver(rig.queue));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_busy, 2);
    ck_assert_int_eq(sp_queue_ready(rig.queue), SP_E_JOURNAL_FULL);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &ids[i]), SP_E_JOURNAL_FULL);
    fake_disk_mend(rig.disk);
    rig.done_count = 0;
    rig.due_told = 0;
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(rig.done_count, 2);
    ck_assert_int_eq(rig.rc, SP_OK);
    ck_assert_uint_ge(rig.due_told, 1); /* deliveries may go on */
    ck_assert_int_eq(sp_queue_ready(rig.queue), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(refused_recipients_and_their_dsn_lie_in_one_record)
{
    struct sp_accept *a = rig_accept(&rig, 2);
    struct sp_accept *dsn = rig_accept(&rig, 1);
    struct sp_queue_due due;

    a->decisions[1].does = SP_ACCEPT_DO_REJECT;
    a->recipients[1].decision = 1;
    a->child = dsn;
    rig_submit(&rig, a, 2000);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_OK);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 2);
    assert_body(&a->id, 2000, false);
    assert_body(&dsn->id, 500, false);
    ck_assert(rig_due(&rig, &due) && due.n_count == 1 && due.ns[0] == 0);
}
END_TEST

START_TEST(nothing_changes_before_it_is_durable)
{
    struct sp_accept *a = rig_accept(&rig, 1);
    struct sp_queue_due due;

    rig_submit(&rig, a, 100);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
    ck_assert(!rig_due(&rig, &due));
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, false);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_E_JOURNAL_FAILED);
    ck_assert(!rig_due(&rig, &due));
    rig_crash(&rig, FAKE_CRASH_ALL, 0);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(an_unnamed_body_file_is_removed)
{
    struct sp_id id = rig_id(&rig);
    struct sp_queue_body *b = rig_body(&rig, &id, 500000);
    struct fake_disk *after;

    ck_assert_uint_eq(body_files(), 1);
    sp_queue_body_free(b);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(body_files(), 0);
    b = rig_body(&rig, &id, 500000);
    after = fake_disk_crash(rig.disk, fake_disk_now(rig.disk), FAKE_CRASH_ALL, 0);
    ck_assert_uint_eq(fake_disk_files(after, "body-"), 1);
    sp_queue_body_free(b);
    rig_free(&rig);
    rig_init(&rig, after);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(body_files(), 0);
}
END_TEST

START_TEST(a_body_file_that_fails_fails_the_message)
{
    struct sp_id id = rig_id(&rig);
    struct sp_queue_body *b = sp_queue_body_new(rig.queue, &id);
    uint8_t *block = sp_calloc(1, 300000);

    fake_disk_fail(rig.disk, FAKE_SYNC, 1, ENOSPC, false);
    ck_assert_int_eq(sp_queue_body_feed(b, sp_bytes(block, 300000)), SP_OK);
    sp_queue_body_finish(b, rig_done, &rig);
    sp_queue_commit(rig.queue);
    ck_assert_int_eq(rig.rc, SP_E_JOURNAL_FULL);
    sp_queue_body_free(b);
    sp_free(block);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(body_files(), 0);
}
END_TEST

/* Waiting for write-back takes the error, so that the sync behind it succeeds: the message fails all the same. */
START_TEST(a_body_whose_write_back_fails_fails_the_message)
{
    for (size_t n = 1; n <= 3; n++) {
        struct sp_id id = rig_id(&rig);
        struct sp_queue_body *b = sp_queue_body_new(rig.queue, &id);
        size_t from = fake_disk_now(rig.disk), pieces = 0;
        uint8_t block[65536] = {0};

        fake_disk_fail(rig.disk, FAKE_WRITE_BACK, n, EIO, false);
        /* 2.5 MiB: two pieces of write-back, and the rest at the end */
        while (pieces++ < 40 && sp_queue_body_feed(b, sp_bytes(block, sizeof(block))) == SP_OK)
            sp_queue_commit(rig.queue);
        sp_queue_body_finish(b, rig_done, &rig);
        sp_queue_commit(rig.queue);
        ck_assert_int_eq(rig.rc, SP_E_JOURNAL_FAILED);
        ck_assert_uint_eq(fake_disk_count(rig.disk, FAKE_WRITE_BACK, from), n);
        sp_queue_body_free(b);
        sp_queue_commit(rig.queue);
        ck_assert_uint_eq(body_files(), 0);
    }
}
END_TEST

static void count_room(void *arg)
{
    ++*(size_t *)arg;
}

START_TEST(a_feeder_is_stopped_and_told_to_go_on)
{
    struct sp_id id = rig_id(&rig);
    struct sp_queue_body *b = sp_queue_body_new(rig.queue, &id);
    uint8_t *block = sp_calloc(1, 65536);
    size_t told = 0;
    int fed = 0;

    while (!sp_queue_body_is_full(b) && fed++ < 100)
        ck_assert_int_eq(sp_queue_body_feed(b, sp_bytes(block, 65536)), SP_OK);
    ck_assert_int_lt(fed, 40);
    sp_queue_body_wait(b, count_room, &told);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(told, 1);
    ck_assert(!sp_queue_body_is_full(b));
    sp_queue_body_free(b);
    sp_free(block);
    sp_queue_commit(rig.queue);
}
END_TEST

struct listed {
    size_t count;
    struct sp_id last;
};

static void on_listed(void *arg, const struct sp_queue_message *m)
{
    struct listed *l = arg;

    ck_assert(l->count == 0 || memcmp(m->accept.id.b, l->last.b, SP_ID_LEN) > 0);
    l->last = m->accept.id;
    l->count++;
}

static size_t list_all(struct sp_queue_query query, size_t *pages)
{
    struct listed l = {0};
    struct sp_id last;
    bool more;

    query.visit = on_listed;
    query.arg = &l;
    *pages = 0;
    do {
        more = sp_queue_list(rig.queue, &query, &last);
        query.after = last;
        ++*pages;
    } while (more);
    return l.count;
}

/* The ids in portions of any size: the same, each once, in order. */
static void ck_ids(int state, size_t expected)
{
    for (size_t max = 1; max <= expected + 1; max++) {
        struct sp_id ids[40], after = {0};
        size_t n, all = 0;

        do {
            SP_AUTO(sp_queue_listing) l = sp_queue_ids_new(rig.queue, state, &after, max);

            while (sp_queue_ids_step(l))
                ;
            n = sp_queue_ids(l, ids);
            for (size_t i = 0; i < n; i++) {
                ck_assert_int_gt(memcmp(ids[i].b, after.b, SP_ID_LEN), 0);
                after = ids[i];
            }
            all += n;
        } while (n == max);
        ck_assert_uint_eq(all, expected);
    }
}

START_TEST(what_has_no_id_any_more_is_listed_once)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    struct sp_queue_query query = {.state = -1, .limit = 1};
    size_t pages;

    fill_segments(&rig, 2);
    rig_reopen(&rig);
    ck_assert_int_eq(io->unlink(io->ctx, "000000000002.seg"), 0);
    rig_reopen(&rig);
    ck_assert_uint_eq(list_all(query, &pages), sp_queue_stats(rig.queue).messages);
    query.quarantined_only = true;
    ck_assert_uint_eq(list_all(query, &pages), 1);
}
END_TEST

START_TEST(a_list_gives_each_message_once_in_order)
{
    struct sp_queue_query any = {.state = -1, .limit = 7};
    struct sp_queue_query query = {.state = SP_RCPT_HELD, .limit = 100};
    size_t pages;

    for (int i = 0; i < 30; i++) {
        struct sp_accept *a = rig_accept(&rig, i == 3 ? 3 : 1);

        if (i % 10 == 0)
            a->recipients[0].decision = 1;
        rig_submit(&rig, a, 10);
    }
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(list_all(any, &pages), 30);
    ck_assert_uint_eq(pages, 5);
    ck_assert_uint_eq(list_all(query, &pages), 3);
    ck_ids(SP_RCPT_HELD, 3);
    ck_ids(-1, 30);
    query = (struct sp_queue_query){.state = -1, .limit = 100, .recipient = SP_LIT("CLINIC2")};
    ck_assert_uint_eq(list_all(query, &pages), 1);
    query = (struct sp_queue_query){.state = -1, .limit = 100, .rule = SP_LIT("hold-it")};
    ck_assert_uint_eq(list_all(query, &pages), 3);
    query = (struct sp_queue_query){.state = -1, .limit = 100, .tenant = SP_LIT("other")};
    ck_assert_uint_eq(list_all(query, &pages), 0);
}
END_TEST

static size_t fitting(int state)
{
    struct sp_queue_query query = {.state = state, .limit = 1000};
    size_t pages;

    return list_all(query, &pages);
}

struct counted {
    int state;
    size_t count;
};

static void on_counted(void *arg, const struct sp_queue_seen *v)
{
    struct counted *c = arg;

    c->count += sp_queue_state_fits(c->state, v->rcpt, v->is_busy, v->is_frozen);
}

/* Messages of one recipient each: lists and counts are the same. */
static void ck_state(const char *name, size_t expected)
{
    struct counted c = {.state = sp_queue_state_find(sp_bytes_cstr(name))};

    ck_assert_int_ge(c.state, 0);
    sp_queue_each(rig.queue, on_counted, &c);
    ck_assert_msg(c.count == expected, "%s: %zu counted", name, c.count);
    ck_assert_msg(fitting(c.state) == expected, "%s: %zu listed", name, fitting(c.state));
}

START_TEST(a_state_means_the_same_to_lists_and_counts)
{
    const struct sp_queue_given given = {.time_ms = 1};
    struct sp_queue_due due;

    ck_assert_int_eq(sp_queue_state_find(SP_LIT("quarantined")), -1);
    for (int i = 0; i < 8; i++) {
        struct sp_accept *a = rig_accept(&rig, 1);

        if (i < 3)
            a->recipients[0].decision = 1; /* hold */
        rig_submit(&rig, a, 10);
    }
    sp_queue_commit(rig.queue);
    ck_state("pending", 5);
    ck_state("held", 3);
    ck_state("frozen", 0);
    ck_assert(rig_due(&rig, &due));
    ck_state("in-delivery", 1);
    ck_state("pending", 4); /* not who is in delivery */
    ck_assert_int_eq(
        sp_queue_order(rig.queue, SP_QUEUE_ORDER_TENANT, SP_LIT("hospital"), true, &given), SP_OK);
    ck_state("frozen", 7);
    ck_state("held", 3); /* who is frozen stands in his own state, too */
    ck_state("pending", 4);
    ck_state("in-delivery", 1);
    sp_queue_put_back(rig.queue, &due.id, due.ns, due.n_count, rig.clock.wall_ms);
    ck_state("frozen", 8);
}
END_TEST

struct told {
    size_t count;
    struct sp_id last;
};

static void on_told(void *arg, const struct sp_queue_message *m)
{
    struct told *t = arg;

    ck_assert_int_gt(memcmp(m->accept.id.b, t->last.b, SP_ID_LEN), 0);
    t->last = m->accept.id;
    t->count++;
}

START_TEST(a_list_in_steps_passes_over_what_goes_meanwhile)
{
    struct told told = {0};
    struct sp_queue_query query = {.state = -1, .limit = 1000, .visit = on_told, .arg = &told};
    struct sp_queue_listing *l;
    struct sp_id last;
    size_t steps = 1;

    for (int i = 0; i < 200; i++)
        (void)rig_put(&rig, 100);
    l = sp_queue_listing_new(rig.queue, &query);
    for (; sp_queue_listing_step(l); steps++) {
        ck_assert(rig_deliver_one(&rig));
        (void)rig_put(&rig, 100);
    }
    ck_assert_uint_gt(steps, 5);
    ck_assert(!sp_queue_listing_more(l, &last));
    ck_assert_uint_ge(told.count, 200 - steps);
    ck_assert_uint_le(told.count, 200);
    sp_queue_listing_free(l);
}
END_TEST

/* Reads the shard's journal as the ledger does; counts content.destroyed for `id`, or for any. */
static size_t count_destroyed(const struct sp_id *id)
{
    struct sp_journal_cursor from = {0, 0};
    struct sp_journal_entry e;
    struct sp_audit_list audit;
    int64_t time_ms;
    size_t count = 0;
    char want[SP_ID_TEXT_LEN + 1];
    SP_AUTO(sp_journal_reader)
    r = sp_journal_reader_new(rig.options.io, &rig.keys.record, &from);

    if (id != NULL)
        sp_id_format(id, want);
    while (sp_journal_reader_next(r, &e) == SP_OK) {
        if (e.type != SP_RECORD_DESTROYED)
            continue;
        sp_arena_reset(rig.arena);
        ck_assert_int_eq(sp_record_audit(e.type, e.meta, rig.arena, &time_ms, &audit), SP_OK);
        for (size_t i = 0; i < audit.count; i++)
            if (id == NULL || sp_bytes_find_all(audit.events[i], sp_bytes_cstr(want)) != SIZE_MAX)
                count++;
    }
    return count;
}

START_TEST(segments_of_settled_mail_go)
{
    for (int i = 0; i < 100; i++) {
        (void)rig_put(&rig, 20000);
        ck_assert(rig_deliver_one(&rig));
    }
    ck_assert_uint_eq(sp_queue_stats(rig.queue).first_segment, 1); /* the ledger has not passed */
    sp_queue_ledger_passed(rig.queue, sp_queue_stats(rig.queue).current_segment);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).first_segment,
                      sp_queue_stats(rig.queue).current_segment);
    sp_queue_commit(rig.queue); /* the files go when their messages are told of */
    ck_assert_uint_le(fake_disk_files(rig.disk, "0000"), 1);
    rig_reopen(&rig);
    ck_assert_uint_gt(count_destroyed(NULL), 80); /* all but those in the last segment */
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(long_livers_are_carried_out_of_old_segments)
{
    struct sp_queue_due due;
    struct sp_id old = rig_put(&rig, 5000);
    struct sp_id big = rig_put(&rig, 300000);

    for (int i = 0; i < 2; i++) {
        ck_assert(rig_due(&rig, &due));
        ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DEFERRED, rig.clock.wall_ms + 86400000),
                         SP_OK);
    }
    sp_queue_ledger_passed(rig.queue, UINT64_MAX);
    for (int i = 0; i < 300; i++) {
        (void)rig_put(&rig, 20000);
        ck_assert(rig_deliver_one(&rig));
    }
    ck_assert_uint_gt(sp_queue_stats(rig.queue).first_segment, 5);
    ck_assert_uint_le(
        sp_queue_stats(rig.queue).current_segment - sp_queue_stats(rig.queue).first_segment, 10);
    for (int round = 0; round < 2; round++) {
        SP_AUTO(sp_queue_message) m = NULL;

        ck_assert_uint_eq(count_destroyed(&old), 0);
        ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 2);
        assert_body(&old, 5000, false);
        assert_body(&big, 300000, false);
        ck_assert_int_eq(sp_queue_load(rig.queue, &old, &m), SP_OK);
        ck_assert_int_eq(m->rcpts[0].state, SP_RCPT_DEFERRED);
        ck_assert_uint_eq(m->rcpts[0].attempts, 1);
        rig_crash(&rig, FAKE_CRASH_NONE, 0);
    }
    fake_clock_advance(&rig.clock, 86400000);
    ck_assert(rig_deliver_one(&rig) && rig_deliver_one(&rig));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(a_full_disk_refuses_mail_and_still_takes_outcomes)
{
    struct sp_queue_due due[4];
    size_t taken = 0;

    for (int i = 0; i < 4; i++)
        (void)rig_put(&rig, 1000);
    for (int i = 0; i < 4; i++)
        ck_assert(rig_due(&rig, &due[i]));
    fake_disk_set_room(rig.disk, 60000);
    do {
        struct sp_accept *a = rig_accept(&rig, 1);

        rig_submit(&rig, a, 20000);
        sp_queue_commit(rig.queue);
    } while (rig.rc == SP_OK && taken++ < 100);
    ck_assert_int_eq(rig.rc, SP_E_JOURNAL_FULL);
    ck_assert_int_eq(sp_queue_ready(rig.queue), SP_E_JOURNAL_FULL);
    ck_assert(sp_queue_may_deliver(rig.queue));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(rig_outcome(&rig, &due[i], SP_RCPT_DELIVERED, 0), SP_OK);
    fake_disk_mend(rig.disk);
    (void)rig_deliver_one(&rig); /* something is written: there is room again */
    (void)rig_deliver_one(&rig);
    ck_assert_int_eq(sp_queue_ready(rig.queue), SP_OK);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    while (rig_deliver_one(&rig))
        ;
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_accepted_message_is_due_once_and_settles);
    tcase_add_test(c, a_message_and_its_body_survive_a_restart);
    tcase_add_test(c, a_body_that_has_ended_goes_into_no_file);
    tcase_add_test(c, a_deferred_recipient_comes_back_in_time_even_after_a_restart);
    tcase_add_test(c, recipients_settle_one_by_one);
    tcase_add_test(c, recipients_of_one_domain_come_in_portions);
    tcase_add_test(c, a_doubt_outlasts_a_clean_stop);
    tcase_add_test(c, held_mail_waits_for_its_release);
    tcase_add_test(c, a_deleted_message_is_gone_with_its_file);
    tcase_add_test(c, a_child_lives_on_when_its_parent_has_settled);
    tcase_add_test(c, an_outcome_whose_audit_is_too_large_is_recorded_with_a_gap);
    tcase_add_test(c, a_dsn_that_no_record_can_hold_leaves_its_recipients_held);
    tcase_add_test(c, a_damaged_record_is_quarantined_and_the_rest_flows);
    tcase_add_test(c, a_restart_by_footers_finds_the_same);
    tcase_add_test(c, a_row_damaged_under_a_footer_is_found_when_it_is_read);
    tcase_add_test(c, a_message_under_a_footer_is_not_lost_with_its_batch);
    tcase_add_test(c, damage_of_a_row_is_on_record_once);
    tcase_add_test(c, damage_found_at_a_start_is_on_record_once);
    tcase_add_test(c, a_quarantined_message_is_listed_and_can_be_deleted);
    tcase_add_test(c, what_has_no_id_any_more_is_listed_and_can_be_deleted);
    tcase_add_test(c, who_gave_one_loss_up_hears_of_the_next);
    tcase_add_test(c, what_is_missing_can_be_found_and_given_up);
    tcase_add_test(c, mail_from_before_what_was_lost_counts_as_possibly_attempted);
    tcase_add_test(c, a_body_whose_file_is_gone_is_damage);
    tcase_add_test(c, damage_found_while_it_runs_quarantines_that_message);
    tcase_add_test(c, a_stopped_shard_keeps_outcomes_until_it_can_write_again);
    tcase_add_test(c, refused_recipients_and_their_dsn_lie_in_one_record);
    tcase_add_test(c, nothing_changes_before_it_is_durable);
    tcase_add_test(c, an_unnamed_body_file_is_removed);
    tcase_add_test(c, a_body_file_that_fails_fails_the_message);
    tcase_add_test(c, a_body_whose_write_back_fails_fails_the_message);
    tcase_add_test(c, a_feeder_is_stopped_and_told_to_go_on);
    tcase_add_test(c, what_has_no_id_any_more_is_listed_once);
    tcase_add_test(c, a_list_gives_each_message_once_in_order);
    tcase_add_test(c, a_state_means_the_same_to_lists_and_counts);
    tcase_add_test(c, a_list_in_steps_passes_over_what_goes_meanwhile);
    tcase_add_test(c, segments_of_settled_mail_go);
    tcase_add_test(c, long_livers_are_carried_out_of_old_segments);
    tcase_add_test(c, a_full_disk_refuses_mail_and_still_takes_outcomes);
}

SP_TEST_MAIN("queue", add)
