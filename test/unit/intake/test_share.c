/*
 * Who waits when the loop has more to do than time: the one who does clearly more than the others do now.
 */
#include "intake/intake_priv.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

static struct fake_clock fake;
static struct sp_intake in;
static struct share flood, quiet, third;

static void set_up(void)
{
    memset(&in, 0, sizeof(in));
    memset(&flood, 0, sizeof(flood));
    memset(&quiet, 0, sizeof(quiet));
    memset(&third, 0, sizeof(third));
    fake_clock_init(&fake, 1795359845118);
    in.parts.clock = &fake.clock;
    in.parts.loop = sp_loop_new();
}

static void tear_down(void)
{
    sp_intake_shares_clear(&in);
    sp_loop_free(in.parts.loop);
}

/* Both work for so many turns of 10 ms. returns: how often the first had to wait */
static int run(struct share *a, unsigned cost_a, struct share *b, unsigned cost_b, int turns)
{
    int waits = 0;

    for (int i = 0; i < turns; i++) {
        waits += sp_intake_share_waits(&in, a);
        sp_intake_share_took(&in, a, cost_a);
        ck_assert_msg(b == NULL || cost_b > cost_a || !sp_intake_share_waits(&in, b), "turn %d", i);
        sp_intake_share_took(&in, b, b == NULL ? 0 : cost_b);
        fake_clock_advance(&fake, 10);
    }
    return waits;
}

START_TEST(nobody_waits_for_himself)
{
    ck_assert_int_eq(run(&flood, 5000, NULL, 0, 500), 0);
}
END_TEST

START_TEST(who_does_much_more_waits_and_nobody_else)
{
    run(&flood, 500, &quiet, 5, 50);
    ck_assert(
        sp_intake_share_waits(&in, &flood)); /* the turn never ended, and it had its part of it */
    ck_assert(!sp_intake_share_waits(&in, &quiet));
    ck_assert(!sp_intake_share_waits(&in, NULL));
}
END_TEST

START_TEST(each_turn_serves_some_of_who_is_ahead)
{
    int served = 0;

    run(&flood, 500, &quiet, 5, 50);
    for (int i = 0; i < 20; i++) {
        ck_assert(sp_intake_share_waits(&in, &flood));
        sp_loop_run_once(in.parts.loop, 100);
        while (!sp_intake_share_waits(&in, &flood)) {
            sp_intake_share_took(&in, &flood, 40);
            served++;
        }
    }
    ck_assert_int_eq(served, 20 * 2); /* up to fifty, and what was begun is ended */
}
END_TEST

START_TEST(a_long_turn_leaves_each_few_commands)
{
    ck_assert_uint_eq(sp_intake_share_lines(&in, &quiet), 100);
    sp_intake_share_took(&in, &flood, 199);
    ck_assert_uint_eq(sp_intake_share_lines(&in, &quiet), 100);
    sp_intake_share_took(&in, &flood, 1); /* even if nobody else is there: somebody may come */
    ck_assert_uint_eq(sp_intake_share_lines(&in, &quiet), 10);
    sp_loop_run_once(in.parts.loop, 0);
    ck_assert_uint_eq(sp_intake_share_lines(&in, &quiet), 100);
}
END_TEST

START_TEST(who_is_ahead_has_few_commands)
{
    run(&flood, 500, &quiet, 5, 50);
    sp_loop_run_once(in.parts.loop, 0); /* a turn that was not long */
    (void)sp_intake_share_waits(&in, &flood);
    (void)sp_intake_share_waits(&in, &quiet);
    ck_assert_uint_eq(sp_intake_share_lines(&in, &flood), 25);
    ck_assert_uint_eq(sp_intake_share_lines(&in, &quiet), 100);
    ck_assert_uint_eq(sp_intake_share_lines(&in, NULL), 100);
}
END_TEST

START_TEST(equals_dont_wait_for_each_other)
{
    ck_assert_int_eq(run(&flood, 100, &quiet, 100, 500), 0);
}
END_TEST

START_TEST(two_floods_wait_for_a_third)
{
    for (int i = 0; i < 100; i++) {
        sp_intake_share_took(&in, &flood, 300);
        sp_intake_share_took(&in, &third, 300);
        sp_intake_share_took(&in, &quiet, 3);
        fake_clock_advance(&fake, 10);
    }
    (void)sp_intake_share_waits(&in, &flood); /* from here on it is known to be ahead */
    (void)sp_intake_share_waits(&in, &third);
    sp_intake_share_took(&in, &flood, 60);
    sp_intake_share_took(&in, &third, 60);
    ck_assert(sp_intake_share_waits(&in, &flood));
    ck_assert(sp_intake_share_waits(&in, &third));
    ck_assert(!sp_intake_share_waits(&in, &quiet));
}
END_TEST

START_TEST(a_flood_is_forgotten)
{
    run(&flood, 500, &quiet, 5, 50);
    ck_assert(sp_intake_share_waits(&in, &flood));
    fake_clock_advance(&fake, 5000);
    ck_assert_int_eq(run(&quiet, 5, &flood, 6, 1), 0);
    ck_assert(!sp_intake_share_waits(&in, &flood));
}
END_TEST

START_TEST(a_little_holds_up_nobody)
{
    ck_assert_int_eq(run(&flood, 5, &quiet, 1, 200), 0); /* five commands in 10 ms are no flood */
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, nobody_waits_for_himself);
    tcase_add_test(c, who_does_much_more_waits_and_nobody_else);
    tcase_add_test(c, each_turn_serves_some_of_who_is_ahead);
    tcase_add_test(c, a_long_turn_leaves_each_few_commands);
    tcase_add_test(c, who_is_ahead_has_few_commands);
    tcase_add_test(c, equals_dont_wait_for_each_other);
    tcase_add_test(c, two_floods_wait_for_a_third);
    tcase_add_test(c, a_flood_is_forgotten);
    tcase_add_test(c, a_little_holds_up_nobody);
}

SP_TEST_MAIN("intake.share", add)
