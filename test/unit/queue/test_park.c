/*
 * What waits for a destination that is left alone: nothing is written of it, one tries for all, and each is looked at when its
 * own time has come.
 */
#include "queue/park.h"
#include "rig.h"

#define REST_MS 60000
#define LOOK_MS 3600000

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void teardown(void)
{
    rig_free(&rig);
}

/* The host of its line rests so long; it has to be looked at after that. */
static void park(const struct sp_queue_due *due, int64_t rest_ms, int64_t look_ms)
{
    sp_queue_rest(rig.queue, due->line, rig.clock.wall_ms + rest_ms);
    sp_queue_park(rig.queue, &due->id, due->ns, due->n_count, rig.clock.wall_ms + look_ms,
                  SP_E_HOP_UNREACHABLE);
}

/* Parks all that is due. returns: how many messages */
static size_t park_all(void)
{
    struct sp_queue_due due;
    size_t count = 0;

    for (; rig_due(&rig, &due); count++)
        park(&due, REST_MS, LOOK_MS + (int64_t)count);
    return count;
}

static uint64_t written(void)
{
    return sp_queue_stats(rig.queue).journal.records;
}

START_TEST(one_tries_for_all_and_nothing_is_written)
{
    struct sp_queue_due due;
    uint64_t records;

    for (int i = 0; i < 5; i++)
        (void)rig_put(&rig, 100);
    records = written();
    ck_assert_uint_eq(park_all(), 5);
    ck_assert_int_eq(sp_queue_due_at(rig.queue), rig.clock.wall_ms + REST_MS);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).recipients_busy, 0);
    fake_clock_advance(&rig.clock, REST_MS);
    ck_assert(rig_due(&rig, &due));
    ck_assert_uint_eq(park_all(), 0);
    park(&due, REST_MS, LOOK_MS); /* nor does the host answer now */
    ck_assert_uint_eq(written(), records);
    fake_clock_advance(&rig.clock, REST_MS);
    ck_assert(rig_due(&rig, &due));
    (void)sp_lines_wake(sp_queue_lines(rig.queue), due.line);
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
    for (int i = 0; i < 4; i++)
        ck_assert(rig_deliver_one(&rig));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(each_is_looked_at_when_its_own_time_has_come)
{
    struct sp_id first = rig_put(&rig, 100);
    struct sp_queue_due due;

    (void)rig_put(&rig, 100);
    ck_assert(rig_due(&rig, &due));
    park(&due, LOOK_MS * 9, LOOK_MS);
    ck_assert(rig_due(&rig, &due));
    park(&due, LOOK_MS * 9, LOOK_MS * 2);
    ck_assert_int_eq(sp_queue_due_at(rig.queue), rig.clock.wall_ms + LOOK_MS);
    fake_clock_advance(&rig.clock, LOOK_MS);
    ck_assert(rig_due(&rig, &due));
    ck_assert(sp_id_eq(&due.id, &first));
    ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_FAILED, 0), SP_OK);
    ck_assert(!rig_due(&rig, &due));
    fake_clock_advance(&rig.clock, LOOK_MS);
    ck_assert(rig_deliver_one(&rig));
}
END_TEST

START_TEST(people_see_why_it_waits_and_until_when)
{
    struct sp_id id = rig_put(&rig, 100);
    struct sp_queue_message *m;

    ck_assert_uint_eq(park_all(), 1);
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_OK);
    ck_assert_uint_eq(m->rcpts[0].why, SP_E_HOP_UNREACHABLE);
    ck_assert_int_eq(m->rcpts[0].next_at_ms, rig.clock.wall_ms + REST_MS);
    ck_assert_uint_eq(m->rcpts[0].state, SP_RCPT_PENDING);
    ck_assert_uint_eq(m->rcpts[0].attempts, 0);
    sp_queue_message_free(m);
    sp_lines_open_all(sp_queue_lines(rig.queue)); /* it may go now, which is a time too */
    ck_assert_int_eq(sp_queue_load(rig.queue, &id, &m), SP_OK);
    ck_assert_int_eq(m->rcpts[0].next_at_ms, rig.clock.wall_ms);
    sp_queue_message_free(m);
}
END_TEST

START_TEST(orders_reach_what_is_parked)
{
    struct sp_id ids[3] = {rig_put(&rig, 100), rig_put(&rig, 100), rig_put(&rig, 100)};
    struct sp_queue_due due;

    ck_assert_uint_eq(park_all(), 3);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_HOLD, &ids[0]), SP_OK);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_DELETE, &ids[1]), SP_OK);
    ck_assert(!rig_due(&rig, &due));
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RETRY, &ids[2]), SP_OK);
    ck_assert(rig_due(&rig, &due));
    ck_assert(sp_id_eq(&due.id, &ids[2]));
    park(&due, REST_MS, LOOK_MS);
    ck_assert_int_eq(rig_act(&rig, SP_RECORD_RELEASE, &ids[0]), SP_OK);
    ck_assert(rig_deliver_one(&rig)); /* it is due again, and no more parked */
    fake_clock_advance(&rig.clock, REST_MS);
    ck_assert(rig_deliver_one(&rig));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(who_waits_for_what_is_due_hears_of_an_earlier_time)
{
    struct sp_queue_due due;
    size_t told;

    (void)rig_put(&rig, 100);
    (void)rig_put(&rig, 100);
    ck_assert_uint_eq(park_all(), 2);
    fake_clock_advance(&rig.clock, REST_MS);
    ck_assert(rig_due(&rig, &due)); /* it tries: the line waits for a word of it */
    told = rig.due_told;
    sp_queue_rest(rig.queue, due.line, rig.clock.wall_ms + 5);
    ck_assert_uint_eq(rig.due_told, told + 1);
    ck_assert_int_eq(sp_queue_due_at(rig.queue), rig.clock.wall_ms + 5);
    ck_assert(sp_lines_wake(sp_queue_lines(rig.queue), due.line));
    ck_assert(!sp_lines_wake(sp_queue_lines(rig.queue), due.line));
    ck_assert_int_eq(sp_queue_due_at(rig.queue), 0);
}
END_TEST

/* More recipients than are handed out at once, of three destinations. */
START_TEST(of_many_recipients_none_is_forgotten_and_none_comes_twice)
{
    struct sp_accept *a = rig_accept(&rig, 300);
    struct sp_queue_due due;
    size_t taken = 0;

    rig_submit(&rig, a, 100);
    sp_queue_commit(rig.queue);
    ck_assert_uint_eq(park_all(), 6); /* 100 each, 64 at a time */
    fake_clock_advance(&rig.clock, REST_MS);
    while (rig_due(&rig, &due)) {
        (void)sp_lines_wake(sp_queue_lines(rig.queue), due.line);
        taken += due.n_count;
        ck_assert_uint_le(taken, 300);
        ck_assert_int_eq(rig_outcome(&rig, &due, SP_RCPT_DELIVERED, 0), SP_OK);
    }
    ck_assert_uint_eq(taken, 300);
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

START_TEST(one_given_back_to_its_line_is_there_at_once)
{
    struct sp_queue_due due, again;
    size_t told;

    (void)rig_put(&rig, 100);
    ck_assert_uint_eq(park_all(), 1);
    fake_clock_advance(&rig.clock, REST_MS);
    ck_assert(rig_due(&rig, &due));
    told = rig.due_told;
    ck_assert(sp_lines_shut(sp_queue_lines(rig.queue), due.line, true));
    sp_queue_put_first(rig.queue, &due.id, due.ns, due.n_count);
    ck_assert_uint_eq(rig.due_told, told); /* its line takes no more now */
    ck_assert(sp_lines_shut(sp_queue_lines(rig.queue), due.line, false));
    ck_assert(rig_due(&rig, &due));
    sp_queue_put_first(rig.queue, &due.id, due.ns, due.n_count);
    ck_assert_uint_eq(rig.due_told, told + 1); /* who gives it back may not be who takes it */
    ck_assert(rig_due(&rig, &again));
    ck_assert(sp_id_eq(&due.id, &again.id));
    ck_assert_uint_eq(again.n_count, 1);
    ck_assert_int_eq(rig_outcome(&rig, &again, SP_RCPT_DELIVERED, 0), SP_OK);
}
END_TEST

START_TEST(a_restart_looks_at_all_of_them)
{
    for (int i = 0; i < 3; i++)
        (void)rig_put(&rig, 100);
    ck_assert_uint_eq(park_all(), 3);
    rig_reopen(&rig);
    for (int i = 0; i < 3; i++)
        ck_assert(rig_deliver_one(&rig));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

/* What is in memory alone must not get into a record: it would wait for its end after a restart. */
START_TEST(carried_and_restarted_it_waits_no_longer_than_the_host_rests)
{
    for (int i = 0; i < 20; i++)
        (void)rig_put(&rig, 100);
    ck_assert_uint_eq(park_all(), 20);
    for (int i = 0; i < 2000 && sp_queue_stats(rig.queue).carried < 20; i++) {
        struct sp_accept *a = rig_accept(&rig, 1);

        a->recipients[0].address = SP_LIT("x@elsewhere.example");
        rig_submit(&rig, a, 4000);
        sp_queue_commit(rig.queue);
        ck_assert(rig_deliver_one(&rig));
        sp_arena_reset(rig.arena);
    }
    ck_assert_uint_ge(sp_queue_stats(rig.queue).carried, 20);
    rig_reopen(&rig);
    fake_clock_advance(&rig.clock, REST_MS);
    for (int i = 0; i < 20; i++)
        ck_assert(rig_deliver_one(&rig));
    ck_assert_uint_eq(sp_queue_stats(rig.queue).messages, 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, one_tries_for_all_and_nothing_is_written);
    tcase_add_test(c, each_is_looked_at_when_its_own_time_has_come);
    tcase_add_test(c, people_see_why_it_waits_and_until_when);
    tcase_add_test(c, orders_reach_what_is_parked);
    tcase_add_test(c, who_waits_for_what_is_due_hears_of_an_earlier_time);
    tcase_add_test(c, of_many_recipients_none_is_forgotten_and_none_comes_twice);
    tcase_add_test(c, one_given_back_to_its_line_is_there_at_once);
    tcase_add_test(c, a_restart_looks_at_all_of_them);
    tcase_add_test(c, carried_and_restarted_it_waits_no_longer_than_the_host_rests);
}

SP_TEST_MAIN("queue.park", add)
