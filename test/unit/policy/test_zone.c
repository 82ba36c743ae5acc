/* Time zones by their rules: hours and weekdays at the edges of summer time, on both sides of the equator. */
#include "policy/zone.h"

#include "base/clock.h"
#include "support/check_main.h"

START_TEST(hours_are_those_of_the_place)
{
    static const struct {
        const char *zone;
        const char *utc;
        int hour, weekday;
    } cases[] = {
        {"UTC", "2026-11-22T05:30:00Z", 5, 7},
        {"America/Chicago", "2026-03-08T07:59:59Z", 1, 7}, /* the last second before summer time */
        {"America/Chicago", "2026-03-08T08:00:00Z", 3, 7},
        {"America/Chicago", "2026-11-01T06:59:59Z", 1,
         7}, /* the last of summer, then the same hour again */
        {"America/Chicago", "2026-11-01T07:00:00Z", 1, 7},
        {"America/Chicago", "2026-11-01T08:00:00Z", 2, 7},
        {"America/Chicago", "2026-11-23T05:59:00Z", 23, 7}, /* Sunday night there, Monday in UTC */
        {"Europe/Berlin", "2026-03-29T00:59:59Z", 1, 7},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", 3, 7},
        {"Europe/Dublin", "2026-07-01T12:00:00Z", 13, 3}, /* its winter is the exception */
        {"Australia/Sydney", "2026-01-05T00:00:00Z", 11, 1},
        {"Australia/Sydney", "2026-07-06T00:00:00Z", 10, 1},
        {"Asia/Kolkata", "2026-11-23T18:45:00Z", 0, 2},
        {"Pacific/Chatham", "2026-01-01T00:00:00Z", 13, 4},
        {"America/Nuuk", "2026-12-31T23:00:00Z", 21, 4},
        {"UTC", "1969-12-31T23:59:59Z", 23, 3},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_local_time t;
        struct sp_zone zone;
        int64_t ms;

        ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(cases[i].utc), &ms));
        ck_assert_msg(sp_zone_find(sp_bytes_cstr(cases[i].zone), &zone), "%s", cases[i].zone);
        t = sp_zone_local(&zone, ms);
        ck_assert_msg(t.hour == cases[i].hour && t.weekday == cases[i].weekday,
                      "%s at %s: hour %d, weekday %d", cases[i].zone, cases[i].utc, t.hour,
                      t.weekday);
    }
}
END_TEST

START_TEST(a_day_begins_at_its_midnight)
{
    static const struct {
        const char *zone, *day, *begins;
    } cases[] = {
        {"UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"},
        {"America/Chicago", "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z"},
        {"America/Chicago", "2026-06-30T00:00:00Z", "2026-06-30T05:00:00Z"},
        {"America/Chicago", "2026-03-08T00:00:00Z",
         "2026-03-08T06:00:00Z"}, /* summer begins at 2 */
        {"America/Chicago", "2026-11-01T00:00:00Z", "2026-11-01T05:00:00Z"},
        {"Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-28T23:00:00Z"},
        {"Australia/Sydney", "2026-01-05T00:00:00Z", "2026-01-04T13:00:00Z"},
        /* summer begins at midnight: the day begins at one */
        {"America/Havana", "2026-03-08T00:00:00Z", "2026-03-08T05:00:00Z"},
        {"America/Santiago", "2026-09-06T00:00:00Z", "2026-09-06T04:00:00Z"},
        {"Atlantic/Azores", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
        {"Asia/Beirut", "2026-03-29T00:00:00Z", "2026-03-28T22:00:00Z"},
        /* it ends at midnight, or an hour later: the day begins once, or at the first midnight */
        {"America/Santiago", "2026-04-05T00:00:00Z", "2026-04-05T04:00:00Z"},
        {"America/Havana", "2026-11-01T00:00:00Z", "2026-11-01T04:00:00Z"},
        {"Asia/Beirut", "2026-10-25T00:00:00Z", "2026-10-24T22:00:00Z"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_zone zone;
        int64_t day, begins;

        ck_assert(sp_zone_find(sp_bytes_cstr(cases[i].zone), &zone));
        ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(cases[i].day), &day));
        ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(cases[i].begins), &begins));
        ck_assert_msg(sp_zone_day(&zone, day) == begins, "%s %s", cases[i].zone, cases[i].day);
    }
}
END_TEST

START_TEST(unknown_names_are_told_the_nearest)
{
    struct sp_zone zone;

    ck_assert(!sp_zone_find(SP_LIT("America/Chicgo"), &zone));
    ck_assert_str_eq(sp_zone_nearest(SP_LIT("America/Chicgo")), "America/Chicago");
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, hours_are_those_of_the_place);
    tcase_add_test(c, a_day_begins_at_its_midnight);
    tcase_add_test(c, unknown_names_are_told_the_nearest);
}

SP_TEST_MAIN("policy.zone", add)
