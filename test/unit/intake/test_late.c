/*
 * Who is refused again and again is answered later each time, and who is not, or seldom, never. How a session behaves
 * meanwhile is in test_intake.c.
 */
#include "intake/intake_priv.h"
#include "support/check_main.h"

START_TEST(the_first_are_answered_at_once_and_each_more_is_later)
{
    struct refusals r = {0};
    int64_t last = 0;

    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(sp_intake_refusals_add(&r, 1000), 0);
    for (int i = 1; i <= 500; i++) {
        last = sp_intake_refusals_add(&r, 1000);
        ck_assert_int_eq(last, i * 10);
    }
    for (int i = 0; i < 1000; i++) /* no client gives up for it */
        ck_assert_int_eq(sp_intake_refusals_add(&r, 1000), last);
}
END_TEST

START_TEST(two_a_second_are_answered_at_once_for_ever)
{
    struct refusals r = {0};

    for (int64_t now = 0; now < 3600000; now += 500)
        ck_assert_int_eq(sp_intake_refusals_add(&r, now), 0);
}
END_TEST

START_TEST(a_flood_is_forgotten)
{
    struct refusals r = {0};
    int64_t now = 1000;

    ck_assert(sp_intake_refusals_are_none(&r, now));
    for (int i = 0; i < 10000; i++)
        (void)sp_intake_refusals_add(&r, now);
    now += 100000;
    ck_assert_int_eq(sp_intake_refusals_add(&r, now), 3010);
    now += 260000;
    ck_assert(sp_intake_refusals_are_none(&r, now));
    ck_assert_int_eq(sp_intake_refusals_add(&r, now), 0);
}
END_TEST

/* Fifty sessions that ask again as soon as they are answered. */
START_TEST(a_flood_that_is_refused_slows_down)
{
    struct refusals r = {0};
    int64_t due[50] = {0};
    int answers[10] = {0};

    for (int64_t now = 0; now < 100000; now++) {
        for (int i = 0; i < 50; i++) {
            if (due[i] > now)
                continue;
            due[i] = now + 5 + sp_intake_refusals_add(&r, now);
            answers[now / 10000]++;
        }
    }
    ck_assert_int_lt(answers[0], 500);
    ck_assert_int_lt(answers[9], 150);
    ck_assert_int_gt(answers[9], 50); /* they are answered */
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_first_are_answered_at_once_and_each_more_is_later);
    tcase_add_test(c, two_a_second_are_answered_at_once_for_ever);
    tcase_add_test(c, a_flood_is_forgotten);
    tcase_add_test(c, a_flood_that_is_refused_slows_down);
}

SP_TEST_MAIN("intake.late", add)
