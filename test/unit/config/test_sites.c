/*
 * The table of sites: what it says, what it inherits, and that every mistake is told with its place.
 */
#include "config/sites.h"
#include "support/check_main.h"

static enum sp_rc load(const char *text, struct sp_problems *problems, struct sp_sites **out)
{
    *out = NULL;
    return sp_sites_load(sp_bytes_cstr(text), "sites.json", problems, out);
}

START_TEST(a_site_says_what_the_default_does_not)
{
    static const char text[] =
        "{\"version\": 1, \"sources\": {\"out\": [\"192.0.2.1\", \"2001:db8::1\"]},\n"
        " \"default\": {\"connections\": 7, \"recipients\": 10},\n"
        " \"tenants\": {\"clinic\": {\"source\": \"out\", \"messages_per_minute\": 60}},\n"
        " \"sites\": {\"big\": {\"mx\": [\"*.Big.example\", \"one.example\"], "
        "\"messages_per_minute\": 600},\n"
        "             \"small\": {\"domains\": [\"small.example\"], \"connections\": 1}}}";
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) s = NULL;
    const struct sp_site_limits *big;

    ck_assert_int_eq(load(text, problems, &s), SP_OK);
    ck_assert_uint_eq(sp_sites_count(s), 2);
    big = sp_sites_find(s, SP_LIT("a.example"), SP_LIT("mx1.big.example"));
    ck_assert(sp_bytes_eq(big->name, SP_LIT("big")));
    ck_assert_int_eq(big->connections, 7);
    ck_assert_int_eq(big->messages_per_minute, 600);
    ck_assert_int_eq(big->recipients, 10);
    ck_assert_ptr_eq(sp_sites_find(s, SP_LIT("a.example"), SP_LIT("ONE.example")), big);
    ck_assert_ptr_eq(sp_sites_find(s, SP_LIT("a.example"), SP_LIT("big.example")),
                     sp_sites_default(s)); /* the star is a label at least */
    ck_assert_ptr_eq(sp_sites_find(s, SP_LIT("a.example"), SP_LIT("notone.example")),
                     sp_sites_default(s));
    ck_assert_int_eq(sp_sites_find(s, SP_LIT("small.example"), SP_LIT("x"))->connections, 1);
    ck_assert_uint_eq(sp_sites_tenant(s, SP_LIT("clinic"))->source->count, 2);
    ck_assert_int_eq(sp_sites_tenant(s, SP_LIT("clinic"))->messages_per_minute, 60);
    ck_assert_ptr_null(sp_sites_tenant(s, SP_LIT("other")));
}
END_TEST

START_TEST(no_file_limits_nothing)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) s = NULL;
    const struct sp_site_throttle *rule;

    ck_assert_int_eq(load("", problems, &s), SP_OK);
    ck_assert_uint_eq(sp_sites_count(s), 0);
    ck_assert_int_eq(sp_sites_default(s)->messages_per_minute, 0);
    ck_assert_int_eq(sp_sites_default(s)->recipients, SP_SITE_RECIPIENTS_MAX);
    ck_assert_int_eq(
        sp_sites_weigh(s, sp_sites_default(s), 421, SP_LIT("4.0.0"), SP_LIT(""), &rule),
        SP_SITE_SLOW);
    ck_assert_int_eq(
        sp_sites_weigh(s, sp_sites_default(s), 451, SP_LIT("4.7.500"), SP_LIT(""), &rule),
        SP_SITE_SLOW);
    ck_assert_int_eq(
        sp_sites_weigh(s, sp_sites_default(s), 450, SP_LIT("4.2.0"), SP_LIT(""), &rule),
        SP_SITE_IGNORE);
    ck_assert_int_eq(
        sp_sites_weigh(s, sp_sites_default(s), 550, SP_LIT("5.7.1"), SP_LIT(""), &rule),
        SP_SITE_IGNORE);
}
END_TEST

START_TEST(the_first_rule_that_fits_counts_and_the_sites_own_before_the_defaults)
{
    static const char text[] =
        "{\"version\": 1,\n"
        " \"default\": {\"throttle\": [{\"text\": \"greylist\", \"do\": \"ignore\"},\n"
        "   {\"status\": \"4.2.*\", \"do\": \"slow\"}]},\n"
        " \"sites\": {\"big\": {\"mx\": [\"mx.example\"], \"throttle\": [\n"
        "   {\"reply\": 421, \"status\": \"4.7.28\", \"text\": \"Rate\", \"do\": \"pause\", "
        "\"for\": \"10m\"},\n"
        "   {\"reply\": 451, \"do\": \"ignore\"}]}}}";
    static const struct {
        int code;
        const char *status;
        const char *text;
        enum sp_site_answer big, other;
    } cases[] = {
        {421, "4.7.28", "unusual RATE of mail", SP_SITE_PAUSE, SP_SITE_SLOW},
        {421, "4.7.28", "something else", SP_SITE_SLOW, SP_SITE_SLOW},
        {451, "4.7.1", "busy", SP_SITE_IGNORE, SP_SITE_SLOW},
        {450, "4.7.1", "You are Greylisted", SP_SITE_IGNORE, SP_SITE_IGNORE},
        {450, "4.2.9", "", SP_SITE_SLOW, SP_SITE_SLOW},
        {450, "4.3.0", "", SP_SITE_IGNORE, SP_SITE_IGNORE},
    };
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) s = NULL;

    ck_assert_int_eq(load(text, problems, &s), SP_OK);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct sp_site_throttle *rule;
        const struct sp_site_limits *big = sp_sites_find(s, SP_LIT("x"), SP_LIT("mx.example"));

        ck_assert_int_eq(sp_sites_weigh(s, big, cases[i].code, sp_bytes_cstr(cases[i].status),
                                        sp_bytes_cstr(cases[i].text), &rule),
                         cases[i].big);
        ck_assert(cases[i].big != SP_SITE_PAUSE || rule->for_ms == 600000);
        ck_assert_int_eq(sp_sites_weigh(s, sp_sites_default(s), cases[i].code,
                                        sp_bytes_cstr(cases[i].status),
                                        sp_bytes_cstr(cases[i].text), &rule),
                         cases[i].other);
    }
}
END_TEST

START_TEST(a_mistake_is_told_with_its_place)
{
    static const struct {
        const char *text;
        const char *told; /* part of what is said */
    } cases[] = {
        {"{\"version\": 2}", "expected \"version\": 1"},
        {"{\"version\": 1, \"site\": {}}", "meant: sites"},
        {"{\"version\": 1, \"default\": {\"conections\": 3}}", "meant: connections"},
        {"{\"version\": 1, \"default\": {\"mx\": [\"a\"]}}", "not known here"},
        {"{\"version\": 1, \"default\": {\"connections\": \"3\"}}", "expected a whole number"},
        {"{\"version\": 1, \"default\": {\"recipients\": 65}}", "expected 1 to 64"},
        {"{\"version\": 1, \"default\": {\"source\": \"out\"}}", "stands in \"sources\""},
        {"{\"version\": 1, \"sources\": {\"out\": [\"192.0.2.256\"]}}", "an IPv4 or IPv6 address"},
        {"{\"version\": 1, \"sources\": {\"out\": []}}", "an array of 1 to"},
        {"{\"version\": 1, \"sites\": {\"x\": {\"connections\": 1}}}", "expected mx or domains"},
        {"{\"version\": 1, \"sites\": {\"x\": {\"mx\": [\"*\"]}}}", "*. and the end of one"},
        {"{\"version\": 1, \"sites\": {\"x\": []}}", "expected an object"},
        {"{\"version\": 1, \"default\": {\"throttle\": [{\"do\": \"slow\"}]}}",
         "expected reply, status or text"},
        {"{\"version\": 1, \"default\": {\"throttle\": [{\"reply\": 500}]}}", "400 to 499"},
        {"{\"version\": 1, \"default\": {\"throttle\": [{\"reply\": 421, \"do\": \"stop\"}]}}",
         "ignore, slow or pause"},
        {"{\"version\": 1, \"default\": {\"throttle\": [{\"reply\": 421, \"do\": \"pause\"}]}}",
         "\"for\" goes with"},
        {"{\"version\": 1, \"default\": {\"throttle\": [{\"status\": \"5.7.1\"}]}}",
         "a status code like"},
        {"{\"version\": 1, \"tenants\": {\"t\": {\"mesages_per_minute\": 3}}}",
         "meant: messages_per_minute"},
        {"{\"version\": 1", "sites.json:1"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        SP_AUTO(sp_sites) s = NULL;
        struct sp_buf told;

        ck_assert_int_ne(load(cases[i].text, problems, &s), SP_OK);
        ck_assert_ptr_null(s);
        ck_assert_uint_ge(sp_problems_count(problems), 1);
        sp_buf_init(&told, 4096);
        for (size_t k = 0; k < sp_problems_count(problems); k++)
            sp_problem_format(sp_problems_at(problems, k), &told);
        sp_buf_put_u8(&told, 0);
        ck_assert_msg(strstr((const char *)told.ptr, cases[i].told) != NULL, "%s: told %s",
                      cases[i].text, (const char *)told.ptr);
        ck_assert_ptr_nonnull(strstr((const char *)told.ptr, "sites.json"));
        sp_buf_clear(&told);
    }
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_test(c, a_site_says_what_the_default_does_not);
    tcase_add_test(c, no_file_limits_nothing);
    tcase_add_test(c, the_first_rule_that_fits_counts_and_the_sites_own_before_the_defaults);
    tcase_add_test(c, a_mistake_is_told_with_its_place);
}

SP_TEST_MAIN("config.sites", add_tests)
