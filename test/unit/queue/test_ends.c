/*
 * Whose own time ends while he stands in line: he is handed out then, once, whatever keeps the line from being served.
 */
#include "queue/orders.h"
#include "queue/over.h"
#include "queue/redirect.h"
#include "rig.h"

#define END_MS  60000
#define TURN_MS 10000 /* who becomes due has so long for a turn */

static struct rig rig;
static int64_t ends[3]; /* of each recipient, since acceptance */

static void classify(void *arg, const struct sp_accept *a, size_t n, struct sp_queue_way *way)
{
    (void)arg;
    way->destination = SP_LIT("shut.example");
    way->end_ms = a->time_ms + ends[n];
}

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    rig.options.classify = classify;
    ends[0] = ends[1] = ends[2] = END_MS;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void teardown(void)
{
    rig_free(&rig);
}

/* Nothing of it is served any more. */
static void shut(struct sp_queue_due *due)
{
    ck_assert(rig_due(&rig, due));
    (void)sp_lines_shut(sp_queue_lines(rig.queue), due->line, true);
    sp_queue_put_first(rig.queue, &due->id, due->ns, due->n_count);
    ck_assert(!rig_due(&rig, due));
}

static bool over(struct sp_queue_due *out)
{
    return sp_queue_next_over(rig.queue, rig.clock.wall_ms, out);
}

START_TEST(it_is_handed_out_at_its_end_and_once)
{
    struct sp_id id = rig_put(&rig, 100);
    struct sp_queue_due due;

    shut(&due);
    ck_assert_int_eq(sp_queue_due_at(rig.queue), rig.clock.wall_ms + END_MS);
    fake_clock_advance(&rig.clock, END_MS - 1);
    ck_assert(!over(&due));
    fake_clock_advance(&rig.clock, 1);
    ck_assert(!rig_due(&rig, &due));
    ck_assert(over(&due));
    ck_assert(sp_id_eq(&due.id, &id) && due.is_over);
    ck_assert(!over(&due));
    ck_assert_int_eq(sp_queue_due_at(rig.queue), INT64_MAX);
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_FAILED, 0), SP_OK);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(who_has_nothing_to_do_stands_in_line_again)
{
    struct sp_queue_due due;

    (void)rig_put(&rig, 100);
    shut(&due);
    fake_clock_advance(&rig.clock, END_MS);
    ck_assert(over(&due));
    sp_queue_stand_again(rig.queue, &due.id, due.ns, due.n_count, rig.clock.wall_ms + END_MS);
    ck_assert(!over(&due));
    (void)sp_lines_shut(sp_queue_lines(rig.queue), due.line, false);
    ck_assert(rig_due(&rig, &due)); /* his turn comes as before */
    ck_assert(!due.is_over);
    (void)sp_lines_shut(sp_queue_lines(rig.queue), due.line, true);
    sp_queue_put_first(rig.queue, &due.id, due.ns, due.n_count);
    fake_clock_advance(&rig.clock, END_MS);
    ck_assert(over(&due));
}
END_TEST

START_TEST(who_stand_in_line_again_keep_their_order)
{
    struct sp_id ids[3];
    struct sp_queue_due due;

    for (size_t i = 0; i < 3; i++) {
        ids[i] = rig_put(&rig, 100);
        if (i == 0)
            shut(&due);
        fake_clock_advance(&rig.clock, 1);
    }
    (void)rig_put(&rig, 100); /* whose time is not over */
    fake_clock_advance(&rig.clock, END_MS - 1);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(over(&due));
        ck_assert(sp_id_eq(&due.id, &ids[i]));
        sp_queue_stand_again(rig.queue, &due.id, due.ns, due.n_count, rig.clock.wall_ms + END_MS);
    }
    (void)sp_lines_shut(sp_queue_lines(rig.queue), due.line, false);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(rig_due(&rig, &due));
        ck_assert(sp_id_eq(&due.id, &ids[i]));
    }
}
END_TEST

START_TEST(who_is_due_at_his_end_has_a_moment_for_a_last_try)
{
    struct sp_queue_due due;
    int64_t end_ms;

    (void)rig_put(&rig, 100);
    end_ms = rig.clock.wall_ms + END_MS;
    ck_assert(rig_due(&rig, &due));
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DEFERRED, end_ms), SP_OK);
    (void)sp_lines_shut(sp_queue_lines(rig.queue), due.line, true);
    fake_clock_advance(&rig.clock, END_MS + TURN_MS - 1);
    ck_assert(!over(&due));
    fake_clock_advance(&rig.clock, 1);
    ck_assert(over(&due));
}
END_TEST

START_TEST(of_those_in_a_line_only_whose_time_is_over)
{
    struct sp_queue_due due;

    ends[1] = 2 * END_MS;
    rig_submit(&rig, rig_accept(&rig, 3), 100);
    sp_queue_commit(rig.queue);
    shut(&due);
    fake_clock_advance(&rig.clock, END_MS);
    ck_assert(over(&due));
    ck_assert_uint_eq(due.n_count, 2);
    ck_assert_uint_eq(due.ns[0], 0);
    ck_assert_uint_eq(due.ns[1], 2);
    ck_assert(!over(&due));
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_FAILED, 0), SP_OK);
    fake_clock_advance(&rig.clock, END_MS);
    ck_assert(over(&due));
    ck_assert_uint_eq(due.ns[0], 1);
}
END_TEST

START_TEST(nothing_ends_while_frozen_and_behind_that_there_is_a_last_try)
{
    const enum sp_queue_order site = SP_QUEUE_ORDER_SITE;
    struct sp_queue_due due;

    (void)rig_put(&rig, 100);
    ck_assert_int_eq(sp_queue_order(rig.queue, site, SP_LIT("shut.example"), true, NULL), SP_OK);
    fake_clock_advance(&rig.clock, 10 * END_MS);
    ck_assert(!over(&due));
    ck_assert(!rig_due(&rig, &due));
    ck_assert_int_eq(sp_queue_order(rig.queue, site, SP_LIT("shut.example"), false, NULL), SP_OK);
    shut(&due);
    ck_assert_int_eq(due.ends_ms, rig.clock.wall_ms + SP_QUEUE_SPARE_MS);
    fake_clock_advance(&rig.clock, SP_QUEUE_SPARE_MS - 1);
    ck_assert(!over(&due));
    fake_clock_advance(&rig.clock, 1);
    ck_assert(over(&due));
}
END_TEST

START_TEST(who_waited_for_us_to_run_has_a_last_try)
{
    struct sp_queue_due due;

    (void)rig_put(&rig, 100);
    fake_clock_advance(&rig.clock, 10 * END_MS);
    rig_reopen(&rig);
    shut(&due);
    ck_assert_int_eq(due.ends_ms, rig.clock.wall_ms + SP_QUEUE_SPARE_MS);
    fake_clock_advance(&rig.clock, SP_QUEUE_SPARE_MS - 1);
    ck_assert(!over(&due));
    fake_clock_advance(&rig.clock, 1);
    ck_assert(over(&due));
}
END_TEST

START_TEST(who_is_released_has_a_last_try)
{
    struct sp_id id = rig_put(&rig, 100);
    struct sp_queue_due due;
    struct sp_act act = {.id = id, .reason = SP_LIT("test")};

    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &id), SP_OK);
    fake_clock_advance(&rig.clock, 10 * END_MS);
    ck_assert(!over(&due));
    act.time_ms = act.next_at_ms = rig.clock.wall_ms;
    sp_queue_act(rig.queue, SP_RECORD_RELEASE, &act, rig_done, &rig);
    sp_queue_commit(rig.queue);
    shut(&due);
    ck_assert_int_eq(due.ends_ms, rig.clock.wall_ms + SP_QUEUE_SPARE_MS);
    fake_clock_advance(&rig.clock, SP_QUEUE_SPARE_MS - 1);
    ck_assert(!over(&due));
    fake_clock_advance(&rig.clock, 1);
    ck_assert(over(&due));
}
END_TEST

START_TEST(who_is_redirected_has_a_last_try)
{
    struct sp_id id = rig_put(&rig, 100);
    struct sp_queue_change change = {
        .address = SP_LIT("new@shut.example"),
        .decision = {.does = SP_ACCEPT_DO_PROTECT, .rule = SP_LIT("r"), .options = SP_LIT("{}")}};
    struct sp_queue_redirect r = {
        .id = id, .policy = SP_LIT("p"), .changes = &change, .n_count = 1};
    struct sp_queue_due due;

    fake_clock_advance(&rig.clock, 10 * END_MS);
    sp_queue_redirect(rig.queue, &r, rig_done, &rig);
    sp_queue_commit(rig.queue);
    shut(&due);
    ck_assert_int_eq(due.ends_ms, rig.clock.wall_ms + SP_QUEUE_SPARE_MS);
    fake_clock_advance(&rig.clock, SP_QUEUE_SPARE_MS - 1);
    ck_assert(!over(&due));
    fake_clock_advance(&rig.clock, 1);
    ck_assert(over(&due));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, it_is_handed_out_at_its_end_and_once);
    tcase_add_test(c, who_has_nothing_to_do_stands_in_line_again);
    tcase_add_test(c, who_is_due_at_his_end_has_a_moment_for_a_last_try);
    tcase_add_test(c, of_those_in_a_line_only_whose_time_is_over);
    tcase_add_test(c, nothing_ends_while_frozen_and_behind_that_there_is_a_last_try);
    tcase_add_test(c, who_waited_for_us_to_run_has_a_last_try);
    tcase_add_test(c, who_is_released_has_a_last_try);
    tcase_add_test(c, who_is_redirected_has_a_last_try);
    tcase_add_test(c, who_stand_in_line_again_keep_their_order);
}

SP_TEST_MAIN("queue.ends", add)
