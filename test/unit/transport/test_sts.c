/*
 * MTA-STS texts and the policies in memory: what is malformed is none, what is valid binds until its end.
 */
#include "crypt/hash.h"
#include "support/check_main.h"
#include "transport/sts.h"

#include <stdio.h>

START_TEST(txt_records_are_one_and_well_formed_or_none)
{
    static const struct {
        const char *txt[3];
        const char *id; /* NULL: none */
    } cases[] = {
        {{"v=STSv1; id=20260101T000000;"}, "20260101T000000"},
        {{"v=STSv1;id=1"}, "1"},
        {{"v=spf1 -all", "v=STSv1; id=a1; x=y"}, "a1"},
        {{"v=STSv1 ; id = b2 ;"}, "b2"},
        {{NULL}, NULL},
        {{"v=STSv1; id=1;", "v=STSv1; id=2;"}, NULL},
        {{"v=STSv1;"}, NULL},
        {{"v=STSv1"}, NULL},
        {{"v=STSv10; id=1;"}, NULL},
        {{"V=STSV1; id=1;"}, NULL},
        {{"v=STSv1; id=;"}, NULL},
        {{"v=STSv1; id=1; id=2;"}, NULL},
        {{"v=STSv1; id=has space;"}, NULL},
        {{"v=STSv1; id=123456789012345678901234567890123;"}, NULL},
        {{"v=STSv1; nonsense; id=1"}, NULL},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_bytes txt[3];
        struct sp_bytes id = {0};
        size_t n = 0;
        enum sp_rc rc;

        for (; n < 3 && cases[i].txt[n] != NULL; n++)
            txt[n] = sp_bytes_cstr(cases[i].txt[n]);
        rc = sp_sts_txt_parse(txt, n, &id);
        ck_assert_msg((rc == SP_OK) == (cases[i].id != NULL), "case %zu: %s", i, cases[i].txt[0]);
        if (rc == SP_OK)
            ck_assert_msg(sp_bytes_eq(id, sp_bytes_cstr(cases[i].id)), "case %zu", i);
    }
}
END_TEST

START_TEST(policies_are_whole_or_invalid)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"version: STSv1\r\nmode: enforce\r\nmx: mx.a.test\r\nmx: *.b.test\r\nmax_age: 86400\r\n",
         true},
        {"version: STSv1\nmode: none\nmax_age: 60\n", true},
        {"version:STSv1\nmode:testing\nmx:a.test\nmax_age:60\nextra: thing\n", true},
        {"mode: enforce\nmx: a.test\nmax_age: 60\n", false},
        {"version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 60\n", false},
        {"version: STSv1\nmode: enforce\nmax_age: 60\n", false},
        {"version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 60\n", false},
        {"version: STSv1\nmode: enforce\nmx: a.test\n", false},
        {"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n", false},
        {"version: STSv1\nmode: enforce\nmx: a..test\nmax_age: 60\n", false},
        {"version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 60\n", false},
        {"<html>not found</html>", false},
        {"", false},
    };
    struct sp_sts_policy p;

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        enum sp_rc rc = sp_sts_policy_parse(sp_bytes_cstr(cases[i].text), &p);

        ck_assert_msg((rc == SP_OK) == cases[i].ok, "case %zu", i);
    }
    ck_assert(sp_sts_policy_parse(SP_LIT("version: STSv1\nmode: none\nmax_age: 9999999999\n"),
                                  &p) == SP_OK);
    ck_assert_int_eq(p.max_age_s, SP_STS_AGE_MAX);
}
END_TEST

START_TEST(a_star_takes_one_label)
{
    struct sp_sts_policy p;

    ck_assert(sp_sts_policy_parse(SP_LIT("version: STSv1\nmode: enforce\nmx: mx.a.test\n"
                                         "mx: *.B.test\nmax_age: 60\n"),
                                  &p) == SP_OK);
    ck_assert(sp_sts_mx_matches(&p, SP_LIT("MX.a.test")));
    ck_assert(sp_sts_mx_matches(&p, SP_LIT("one.b.test")));
    ck_assert(!sp_sts_mx_matches(&p, SP_LIT("one.two.b.test")));
    ck_assert(!sp_sts_mx_matches(&p, SP_LIT("b.test")));
    ck_assert(!sp_sts_mx_matches(&p, SP_LIT(".b.test")));
    ck_assert(!sp_sts_mx_matches(&p, SP_LIT("mx.a.test.evil")));
}
END_TEST

#define ENFORCE SP_LIT("version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 1000\n")
#define DOMAIN  SP_LIT("a.test")

START_TEST(a_policy_binds_until_its_end_and_only_a_valid_one_replaces_it)
{
    struct sp_sts_cache *c = sp_sts_cache_new(10);
    const struct sp_sts_policy *p;

    ck_assert(sp_sts_cache_find(c, DOMAIN, 0) == NULL);
    ck_assert(sp_sts_cache_put(c, DOMAIN, SP_LIT("1"), ENFORCE, 5000) == SP_OK);
    ck_assert(sp_sts_cache_put(c, DOMAIN, SP_LIT("2"), SP_LIT("rubbish"), 6000) ==
              SP_E_STS_INVALID);
    p = sp_sts_cache_find(c, DOMAIN, 1004999);
    ck_assert(p != NULL && p->mode == SP_STS_MODE_ENFORCE);
    ck_assert(sp_bytes_eq(p->id, SP_LIT("1")));
    ck_assert(sp_sts_cache_find(c, DOMAIN, 1005000) == NULL);
    ck_assert(sp_sts_cache_put(c, DOMAIN, SP_LIT("3"),
                               SP_LIT("version: STSv1\nmode: none\nmax_age: 60\n"), 7000) == SP_OK);
    ck_assert(sp_sts_cache_find(c, DOMAIN, 8000)->mode == SP_STS_MODE_NONE);
    sp_sts_cache_free(c);
}
END_TEST

START_TEST(a_policy_is_fetched_when_new_or_old_and_not_too_often)
{
    struct sp_sts_cache *c = sp_sts_cache_new(10);

    ck_assert(sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("1"), 1000));
    ck_assert(!sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("1"), 2000));
    ck_assert(sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("2"), 2000));
    ck_assert(sp_sts_cache_put(c, DOMAIN, SP_LIT("2"), ENFORCE, 2000) == SP_OK);
    ck_assert(!sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("2"), 3000));
    ck_assert(sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("2"), 2000 + 900000));
    ck_assert(sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("4"), 3000));
    sp_sts_cache_free(c);
}
END_TEST

/* Nobody can have his policy fetched, and its text written into the audit, each few seconds for ever. */
START_TEST(a_policy_that_binds_for_a_minute_is_not_refreshed)
{
    struct sp_sts_cache *c = sp_sts_cache_new(10);

    ck_assert(sp_sts_cache_put(c, DOMAIN, SP_LIT("1"),
                               SP_LIT("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 60\n"),
                               1000) == SP_OK);
    for (int64_t at_ms = 1000; at_ms < 61000; at_ms += 1000) {
        ck_assert_uint_eq(sp_sts_cache_find_old(c, at_ms).len, 0);
        ck_assert(!sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("1"), at_ms));
    }
    ck_assert(sp_sts_cache_should_fetch(c, DOMAIN, SP_LIT("1"), 61000)); /* by mail, at its end */
    sp_sts_cache_free(c);
}
END_TEST

START_TEST(a_flood_of_domains_pushes_out_what_binds_nothing_first)
{
    struct sp_sts_cache *c = sp_sts_cache_new(3);

    ck_assert(sp_sts_cache_put(c, DOMAIN, SP_LIT("1"), ENFORCE, 1000) == SP_OK);
    for (char i = 'a'; i < 'z'; i++)
        (void)sp_sts_cache_should_fetch(c, sp_bytes(&i, 1), SP_LIT("1"), 2000);
    ck_assert(sp_sts_cache_find(c, DOMAIN, 2000) != NULL);
    sp_sts_cache_free(c);
}
END_TEST

/* A policy that has no text any more binds as before: nobody fetches it again, and it takes the same hosts. */
START_TEST(a_text_counts_as_written_for_a_week)
{
    enum { DAY = 86400000 };
    struct sp_bytes text = SP_LIT("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 864000\n");
    struct sp_bytes other = SP_LIT("version: STSv1\nmode: enforce\nmx: b.test\nmax_age: 864000\n");
    struct sp_sts_cache *c = sp_sts_cache_new(10);
    struct sp_bytes d = SP_LIT("d.test");
    int64_t now = (int64_t)100 * DAY;
    uint8_t sum[SP_SHA256_LEN];

    sp_crypt_sha256(text, sum);
    ck_assert(!sp_sts_cache_has_written(c, d, sum, now));
    ck_assert_int_eq(sp_sts_cache_tell(c, d, SP_LIT("1"), text, now - DAY), SP_OK);
    ck_assert(!sp_sts_cache_has_written(c, d, sum, now)); /* nobody knows when it was */
    ck_assert_int_eq(sp_sts_cache_put(c, d, SP_LIT("1"), text, now), SP_OK);
    for (int64_t day = 1; day < 7; day++) { /* refreshed each day, which puts nothing off */
        ck_assert(sp_sts_cache_has_written(c, d, sum, now + day * DAY));
        ck_assert_int_eq(sp_sts_cache_put(c, d, SP_LIT("1"), text, now + day * DAY), SP_OK);
    }
    ck_assert(!sp_sts_cache_has_written(c, d, sum, now + (int64_t)7 * DAY));
    ck_assert_int_eq(sp_sts_cache_put(c, d, SP_LIT("1"), text, now + (int64_t)7 * DAY), SP_OK);
    ck_assert(sp_sts_cache_has_written(c, d, sum, now + (int64_t)8 * DAY));
    ck_assert_int_eq(sp_sts_cache_put(c, d, SP_LIT("2"), other, now + (int64_t)8 * DAY), SP_OK);
    ck_assert(!sp_sts_cache_has_written(c, d, sum, now + (int64_t)8 * DAY));
    sp_sts_cache_free(c);
}
END_TEST

START_TEST(of_long_texts_the_policy_stays)
{
    enum { MANY = 600, LONG = 64000 }; /* 37 MiB: more than is kept */
    struct sp_sts_cache *c = sp_sts_cache_new(10000);
    char domain[32], *text = sp_calloc(1, LONG);
    struct sp_bytes honest = SP_LIT("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 86400\n");
    size_t left = 0;

    memset(text, 'x', LONG);
    memcpy(text, honest.ptr, honest.len);
    memcpy(text + honest.len, "mx: *.B.test\nfiller: ", 21);
    text[LONG - 1] = '\n';
    ck_assert_int_eq(sp_sts_cache_put(c, SP_LIT("honest.test"), SP_LIT("1"), honest, 1000), SP_OK);
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(domain, sizeof(domain), "d%u.test", i);
        ck_assert_int_eq(
            sp_sts_cache_put(c, sp_bytes_cstr(domain), SP_LIT("1"), sp_bytes(text, LONG), 1000),
            SP_OK);
        ck_assert_ptr_nonnull(sp_sts_cache_find(c, sp_bytes_cstr(domain), 2000));
    }
    ck_assert(sp_bytes_eq(sp_sts_cache_find(c, SP_LIT("honest.test"), 2000)->text, honest));
    for (unsigned i = 0; i < MANY; i++) {
        const struct sp_sts_policy *p;

        (void)snprintf(domain, sizeof(domain), "d%u.test", i);
        ck_assert(!sp_sts_cache_should_fetch(c, sp_bytes_cstr(domain), SP_LIT("1"), 2000));
        p = sp_sts_cache_find(c, sp_bytes_cstr(domain), 2000);
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(p->mode, SP_STS_MODE_ENFORCE);
        ck_assert(p->is_short == (p->text.len == 0));
        ck_assert(sp_sts_mx_matches(p, SP_LIT("A.test")));
        ck_assert(sp_sts_mx_matches(p, SP_LIT("one.b.test")));
        ck_assert(!sp_sts_mx_matches(p, SP_LIT("one.two.b.test")));
        ck_assert(!sp_sts_mx_matches(p, SP_LIT("b.test")));
        ck_assert(!sp_sts_mx_matches(p, SP_LIT(".b.test")));
        ck_assert(!sp_sts_mx_matches(p, SP_LIT("a.test.evil")));
        left += !p->is_short;
    }
    ck_assert_uint_le(left, (32U << 20) / LONG);
    ck_assert_uint_ge(left, (32U << 20) / LONG - 1);
    for (unsigned i = 0; i < MANY;
         i++) { /* what takes its place, and what is put away, are counted right */
        (void)snprintf(domain, sizeof(domain), "d%u.test", i);
        ck_assert_int_eq(sp_sts_cache_put(c, sp_bytes_cstr(domain), SP_LIT("2"), honest, 3000),
                         SP_OK);
        ck_assert(!sp_sts_cache_find(c, sp_bytes_cstr(domain), 3000)->is_short);
    }
    sp_free(text);
    sp_sts_cache_free(c);
}
END_TEST

#define DAY_MS  ((int64_t)86400 * 1000)
#define LENGTHY 65000

/* A domain asked each second for a day, each time with 64 KiB of another text. returns: bytes that it has written */
static size_t written_in_a_day(struct sp_sts_cache *c, int64_t from_ms)
{
    size_t bytes = 0;

    for (int64_t at_ms = from_ms; at_ms < from_ms + DAY_MS; at_ms += 1000)
        if (sp_sts_cache_spend(c, SP_LIT("evil.test"), LENGTHY, at_ms))
            bytes += LENGTHY;
    return bytes;
}

START_TEST(another_text_each_time_is_written_for_so_much_a_day)
{
    struct sp_sts_cache *c = sp_sts_cache_new(10);

    ck_assert_uint_le(written_in_a_day(c, 1000), 512 * 1024); /* what was saved up, and a day's */
    ck_assert_uint_ge(written_in_a_day(c, 1000 + DAY_MS), 256 * 1024 - LENGTHY);
    ck_assert_uint_le(written_in_a_day(c, 1000 + 2 * DAY_MS), 256 * 1024 + LENGTHY);
    ck_assert(sp_sts_cache_spend(c, SP_LIT("honest.test"), 200, 1000 + 3 * DAY_MS));
    sp_sts_cache_free(c);
}
END_TEST

START_TEST(long_texts_of_many_domains_are_bounded_and_short_ones_are_not_kept_from_the_record)
{
    struct sp_sts_cache *c = sp_sts_cache_new(100000);
    size_t bytes = 0;
    char domain[32];

    for (unsigned i = 0; i < 4000; i++) {
        (void)snprintf(domain, sizeof(domain), "d%u.test", i);
        bytes += sp_sts_cache_spend(c, sp_bytes_cstr(domain), LENGTHY, 1000) ? LENGTHY : 0;
    }
    ck_assert_uint_le(bytes, 64U << 20);
    ck_assert_uint_ge(bytes, (64U << 20) - LENGTHY);
    ck_assert(sp_sts_cache_spend(c, SP_LIT("honest.test"), 4096, 1000));
    ck_assert(!sp_sts_cache_spend(c, SP_LIT("large.test"), LENGTHY, 1000));
    ck_assert(sp_sts_cache_spend(c, SP_LIT("large.test"), LENGTHY, 1000 + DAY_MS / 100));
    sp_sts_cache_free(c);
}
END_TEST

START_TEST(who_has_used_that_up_is_not_fetched_for_a_while_whatever_its_id)
{
    struct sp_bytes policy = SP_LIT("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 86400\n");
    struct sp_sts_cache *c = sp_sts_cache_new(10);
    int64_t at_ms = 1000;

    while (sp_sts_cache_spend(c, SP_LIT("evil.test"), LENGTHY, at_ms))
        continue;
    ck_assert_int_eq(sp_sts_cache_put_unwritten(c, SP_LIT("evil.test"), SP_LIT("1"), policy, at_ms),
                     SP_OK);
    ck_assert(sp_sts_cache_find(c, SP_LIT("evil.test"), at_ms)->is_short);
    ck_assert(
        sp_sts_mx_matches(sp_sts_cache_find(c, SP_LIT("evil.test"), at_ms), SP_LIT("a.test")));
    ck_assert(!sp_sts_cache_should_fetch(c, SP_LIT("evil.test"), SP_LIT("2"), at_ms + 299999));
    sp_sts_cache_hurry(c, SP_LIT("evil.test"));
    ck_assert_uint_eq(sp_sts_cache_find_old(c, at_ms + 299999).len, 0); /* nor before others */
    ck_assert(sp_sts_cache_should_fetch(c, SP_LIT("evil.test"), SP_LIT("3"), at_ms + 300000));
    ck_assert(sp_sts_cache_should_fetch(c, SP_LIT("other.test"), SP_LIT("1"), at_ms));
    sp_sts_cache_free(c);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, another_text_each_time_is_written_for_so_much_a_day);
    tcase_add_test(
        c, long_texts_of_many_domains_are_bounded_and_short_ones_are_not_kept_from_the_record);
    tcase_add_test(c, who_has_used_that_up_is_not_fetched_for_a_while_whatever_its_id);
    tcase_add_test(c, txt_records_are_one_and_well_formed_or_none);
    tcase_add_test(c, policies_are_whole_or_invalid);
    tcase_add_test(c, a_star_takes_one_label);
    tcase_add_test(c, a_policy_binds_until_its_end_and_only_a_valid_one_replaces_it);
    tcase_add_test(c, a_policy_is_fetched_when_new_or_old_and_not_too_often);
    tcase_add_test(c, a_flood_of_domains_pushes_out_what_binds_nothing_first);
    tcase_add_test(c, a_policy_that_binds_for_a_minute_is_not_refreshed);
    tcase_add_test(c, a_text_counts_as_written_for_a_week);
    tcase_add_test(c, of_long_texts_the_policy_stays);
}

SP_TEST_MAIN("transport.sts", add)
