/* A recipient who waits gets another address or way: after crashes, too, with the body it had, and nobody else is touched. */
#include "queue/orders.h"
#include "queue/redirect.h"
#include "rig.h"

static struct rig rig;

static void set_up(void)
{
    rig_init(&rig, fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void tear_down(void)
{
    rig_free(&rig);
}

static enum sp_rc redirect(const struct sp_id *id, uint16_t n, const char *to)
{
    struct sp_accept_rung rung = {.rung = 4, .unreachable_ms = -1};
    struct sp_bytes event = SP_LIT("{\"event\":\"delivery.redirected\"}");
    struct sp_queue_change change = {.n = n,
                                     .address = sp_bytes_cstr(to),
                                     .orcpt = SP_LIT("rfc822;meant@clinic.example"),
                                     .decision = {.does = SP_ACCEPT_DO_PROTECT,
                                                  .floor = 3,
                                                  .rule = SP_LIT("other"),
                                                  .rungs = &rung,
                                                  .rung_count = 1}};
    struct sp_queue_redirect r = {.id = *id,
                                  .changes = &change,
                                  .n_count = 1,
                                  .policy = SP_LIT("beef"),
                                  .audit = {.events = &event, .count = 1}};

    rig.rc = PENDING_RC;
    sp_queue_redirect(rig.queue, &r, rig_done, &rig);
    ck_assert_int_eq(rig.rc, PENDING_RC);
    sp_queue_commit(rig.queue);
    return rig.rc;
}

static void assert_body(const struct sp_id *id, size_t len)
{
    SP_AUTO(sp_content_reader) r = NULL;
    struct sp_content c;
    uint8_t out[4096];
    size_t got = 0, at = 0;

    ck_assert_int_eq(sp_queue_body(rig.queue, id, &c), SP_OK);
    r = sp_content_reader_new(&c);
    do {
        ck_assert_int_eq(sp_content_read(r, at, out, sizeof(out), &got), SP_OK);
        ck_assert(got == 0 || (out[0] == 'b' && out[got - 1] == 'b'));
        at += got;
    } while (got > 0);
    ck_assert_uint_eq(at, len);
    sp_content_clear(&c);
}

static void assert_redirected(const struct sp_id *id)
{
    SP_AUTO(sp_queue_message) m = NULL;
    const struct sp_accept_recipient *r;

    ck_assert_int_eq(sp_queue_load(rig.queue, id, &m), SP_OK);
    r = &m->accept.recipients[1];
    ck_assert(sp_bytes_eq(r->address, SP_LIT("new@elsewhere.example")));
    ck_assert(sp_bytes_eq(r->orcpt, SP_LIT("rfc822;meant@clinic.example")));
    ck_assert(sp_bytes_eq(m->accept.decisions[r->decision].rule, SP_LIT("other")));
    ck_assert_uint_eq(m->accept.decisions[r->decision].floor, 3);
    ck_assert(sp_bytes_eq(m->accept.recipients[0].address, SP_LIT("p0@clinic0.example")));
    ck_assert(
        sp_bytes_eq(m->accept.decisions[m->accept.recipients[0].decision].rule, SP_LIT("phi")));
    ck_assert(sp_bytes_eq(m->accept.policy, SP_LIT("41f0"))); /* the others' decision is older */
    ck_assert_int_eq(m->rcpts[1].state, SP_RCPT_PENDING);
    ck_assert_uint_eq(m->rcpts[1].attempts, 0);
}

START_TEST(it_survives_a_crash_with_its_body_and_the_others)
{
    static const size_t lens[] = {10, 300 * 1024};

    for (size_t i = 0; i < SP_ARRAY_LEN(lens); i++) {
        struct sp_accept *a = rig_accept(&rig, 3);
        struct sp_queue_due due;

        rig_submit(&rig, a, lens[i]);
        sp_queue_commit(rig.queue);
        while (rig_due(&rig, &due)) /* one was tried and put off, the last is done */
            ck_assert_int_eq(rig_outcome(&rig, &due,
                                         due.ns[0] == 2 ? SP_RCPT_DELIVERED : SP_RCPT_DEFERRED,
                                         rig.clock.wall_ms + 3600000),
                             SP_OK);
        ck_assert_int_eq(redirect(&a->id, 2, "new@elsewhere.example"), SP_E_NOT_FOUND);
        ck_assert_int_eq(redirect(&a->id, 1, "new@elsewhere.example"), SP_OK);
        assert_redirected(&a->id);
        rig_crash(&rig, FAKE_CRASH_NONE, i);
        assert_redirected(&a->id);
        assert_body(&a->id, lens[i]);
        ck_assert(rig_due(&rig, &due));
        ck_assert_uint_eq(due.n_count, 1);
        ck_assert_uint_eq(due.ns[0], 1);
        ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
        ck_assert(!rig_due(&rig, &due)); /* the first one waits for its time */
        fake_clock_advance(&rig.clock, 3600000);
        ck_assert(rig_deliver_one(&rig));
        ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
        rig_reopen(&rig);
        ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
        ck_assert_uint_eq(fake_disk_files(rig.disk, "body-"), 0);
    }
}
END_TEST

START_TEST(who_is_busy_or_held_or_gone)
{
    struct sp_id id = rig_put(&rig, 100), gone = rig_id(&rig);
    struct sp_queue_due due;

    ck_assert(rig_due(&rig, &due));
    ck_assert_int_eq(redirect(&id, 0, "new@elsewhere.example"), SP_E_EXISTS);
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DEFERRED, rig.clock.wall_ms), SP_OK);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &id), SP_OK);
    ck_assert_int_eq(redirect(&id, 0, "new@elsewhere.example"), SP_OK);
    rig_crash(&rig, FAKE_CRASH_NONE, 0);
    ck_assert(!rig_due(&rig, &due)); /* a redirection releases nobody */
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_held, 1);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &id), SP_OK);
    ck_assert(rig_deliver_one(&rig));
    ck_assert_int_eq(redirect(&gone, 0, "new@elsewhere.example"), SP_E_NOT_FOUND);
}
END_TEST

START_TEST(it_stands_in_the_line_of_its_new_destination)
{
    struct sp_id id = rig_put(&rig, 100);
    struct sp_queue_due due;

    ck_assert_int_eq(
        sp_queue_order(rig.queue, SP_QUEUE_ORDER_SITE, SP_LIT("elsewhere.example"), true, NULL),
        SP_OK);
    ck_assert_int_eq(redirect(&id, 0, "new@elsewhere.example"), SP_OK);
    ck_assert(!rig_due(&rig, &due));
    ck_assert_int_eq(
        sp_queue_order(rig.queue, SP_QUEUE_ORDER_SITE, SP_LIT("elsewhere.example"), false, NULL),
        SP_OK);
    ck_assert(rig_deliver_one(&rig));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, it_survives_a_crash_with_its_body_and_the_others);
    tcase_add_test(c, who_is_busy_or_held_or_gone);
    tcase_add_test(c, it_stands_in_the_line_of_its_new_destination);
}

SP_TEST_MAIN("queue.redirect", add)
