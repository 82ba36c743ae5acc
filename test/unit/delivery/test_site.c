/*
 * What may be asked of a site: growth, halving, pauses, rates, and a host's breaker, on hand-made times.
 */
#include "delivery/site.h"
#include "support/check_main.h"

START_TEST(it_grows_with_success_and_halves_on_trouble)
{
    struct sp_smtp_reply busy = {.code = 421, .status = {4, 7, 0}};
    struct sp_site s;
    int64_t now = 1000;

    sp_site_init(&s, 40);
    ck_assert_uint_eq(s.limit, 8);
    for (int i = 0; i < 100; i++)
        sp_site_taken(&s, now);
    ck_assert_uint_eq(s.limit, 40);
    ck_assert(sp_site_trouble(&s, "throttled", &busy, now));
    ck_assert_uint_eq(s.limit, 20);
    ck_assert_str_eq(s.why, "throttled: 421 4.7.0");
    ck_assert(!sp_site_trouble(&s, "throttled", &busy, now + 500)); /* of the same moment */
    ck_assert_uint_eq(s.limit, 20);
    ck_assert(sp_site_trouble(&s, "throttled", &busy, now + 2000));
    ck_assert_uint_eq(s.limit, 10);
    for (int i = 0; i < 10; i++) /* one round */
        sp_site_taken(&s, now + 2000);
    ck_assert_uint_eq(s.limit, 11);
    for (int i = 0; i < 40 * 40; i++)
        sp_site_taken(&s, now + 4000);
    ck_assert_uint_eq(s.limit, 40);
    ck_assert_str_eq(s.why, "");
}
END_TEST

START_TEST(at_one_connection_trouble_makes_pauses_that_grow_and_shrink)
{
    struct sp_site s;
    int64_t now = 1000;
    int64_t last = 0;

    sp_site_init(&s, 1);
    for (int i = 0; i < 20; i++) {
        ck_assert(sp_site_trouble(&s, "connection lost", NULL, now));
        ck_assert_uint_eq(s.limit, 1);
        ck_assert_int_ge(s.pause_until_ms - now, last);
        ck_assert_int_le(s.pause_until_ms - now, 300000);
        last = s.pause_until_ms - now;
        now = s.pause_until_ms;
    }
    ck_assert_int_eq(last, 300000);
    for (int i = 0; i < 20; i++) {
        now += 600000;
        sp_site_taken(&s, now);
    }
    ck_assert_int_eq(s.pause_ms, 0);
    ck_assert_str_eq(s.why, "");
    sp_site_pause(&s, 5000, now);
    ck_assert_int_eq(s.pause_until_ms, now + 5000);
    sp_site_pause(&s, 100, now); /* never shorter */
    ck_assert_int_eq(s.pause_until_ms, now + 5000);
}
END_TEST

START_TEST(a_rate_is_kept_and_nothing_is_saved_up)
{
    static const int64_t rates[] = {1, 7, 60, 600, 60000};

    for (size_t i = 0; i < SP_ARRAY_LEN(rates); i++) {
        struct sp_site_rate r = {.per_minute = rates[i]};
        int64_t from = 5000000, now = from, sent = 0;

        while (now < from + 600000) { /* ten minutes */
            int64_t at = sp_site_rate_at(&r, now);

            if (at > now) {
                now = at;
                continue;
            }
            sp_site_rate_take(&r, now);
            sent++;
        }
        ck_assert_int_le(sent, rates[i] * 10 + 1 + rates[i] / 3000);
        ck_assert_int_ge(sent, rates[i] * 10 - 1);
        now +=
            3600000; /* an idle hour gives no more at once than a fiftieth of a second's, or one */
        for (sent = 0; sp_site_rate_at(&r, now) <= now; sent++)
            sp_site_rate_take(&r, now);
        ck_assert_int_le(sent, 1 + rates[i] / 3000);
    }
}
END_TEST

START_TEST(no_limit_never_waits)
{
    struct sp_site_rate r = {0};

    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(sp_site_rate_at(&r, 77), 77);
        sp_site_rate_take(&r, 77);
    }
}
END_TEST

START_TEST(a_breaker_rests_longer_each_time_and_lets_one_probe_through)
{
    struct sp_breaker b = {0};
    int64_t now = 1000;

    ck_assert(sp_breaker_lets(&b, now) && !sp_breaker_rests(&b, now));
    sp_breaker_failed(&b, 100, 350, now);
    ck_assert(sp_breaker_rests(&b, now + 99) && !sp_breaker_lets(&b, now + 99));
    ck_assert(sp_breaker_lets(&b, now + 100));
    ck_assert_str_eq(sp_breaker_name(b.state), "probe");
    ck_assert(!sp_breaker_lets(&b, now + 100)); /* one alone */
    sp_breaker_failed(&b, 100, 350, now + 100);
    ck_assert(sp_breaker_rests(&b, now + 299));
    sp_breaker_failed(&b, 100, 350, now + 300);
    ck_assert_int_eq(b.until_ms, now + 300 + 350);
    ck_assert(sp_breaker_lets(&b, now + 650));
    ck_assert(sp_breaker_worked(&b));
    ck_assert(!sp_breaker_worked(&b));
    ck_assert(sp_breaker_lets(&b, now + 650));
    sp_breaker_failed(&b, 100, 350, now + 700); /* what was before is forgotten */
    ck_assert_int_eq(b.until_ms, now + 800);
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_test(c, it_grows_with_success_and_halves_on_trouble);
    tcase_add_test(c, at_one_connection_trouble_makes_pauses_that_grow_and_shrink);
    tcase_add_test(c, a_rate_is_kept_and_nothing_is_saved_up);
    tcase_add_test(c, no_limit_never_waits);
    tcase_add_test(c, a_breaker_rests_longer_each_time_and_lets_one_probe_through);
}

SP_TEST_MAIN("delivery.site", add_tests)
