/*
 * The table of sites: what it says, what it inherits, and that every mistake is told with its place.
 */
#include "config/sites.h"
#include "base/mem.h"
#include "support/check_main.h"

#include <stdio.h>

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

static char *read_shipped(size_t *len)
{
    FILE *f = fopen(SP_SOURCE_DIR "/policies/sites.json", "rb");
    char *text = sp_malloc(65536);

    ck_assert_ptr_nonnull(f);
    *len = fread(text, 1, 65536, f);
    ck_assert_uint_lt(*len, 65536);
    fclose(f);
    return text;
}

/* Replies as the providers' hosts give them, addresses aside, against the table as it is shipped. */
START_TEST(what_large_providers_say_is_understood)
{
    static const struct {
        const char *mx;
        int code;
        const char *status;
        const char *text;
        enum sp_site_answer answer;
        int minutes;
    } cases[] = {
        {"alt1.aspmx.l.google.com", 421, "4.7.28",
         "[192.0.2.1 4] Our system has detected an unusual rate of\nunsolicited mail originating "
         "from your IP address. To protect our\nusers from spam, mail sent from your IP address "
         "has "
         "been temporarily\nrate limited. - gsmtp",
         SP_SITE_PAUSE, 10},
        {"gmail-smtp-in.l.google.com", 421, "4.7.28",
         "Gmail has detected an unusual rate of mail originating from your SPF\ndomain. - gsmtp",
         SP_SITE_PAUSE, 10},
        {"gmail-smtp-in.l.google.com", 421, "4.7.0",
         "[192.0.2.1 15] Our system has detected an unusual rate of unsolicited mail originating "
         "from your IP address.",
         SP_SITE_PAUSE, 10},
        {"gmail-smtp-in.l.google.com", 421, "4.7.0",
         "[192.0.2.1 15] Our system has detected that this message is\nsuspicious due to the very "
         "low reputation of the sending IP address.",
         SP_SITE_SLOW, 0},
        {"gmail-smtp-in.l.google.com", 450, "4.2.1",
         "The user you are trying to contact is receiving mail at a rate that\nprevents additional "
         "messages from being delivered. Please resend your\nmessage at a later time.",
         SP_SITE_IGNORE, 0},
        {"gmail-smtp-in.l.google.com", 452, "4.2.2",
         "The email account that you tried to reach is over quota.", SP_SITE_IGNORE, 0},
        {"tenant-com.mail.protection.outlook.com", 451, "4.7.500",
         "Server busy. Please try again later from [192.0.2.1]. (S77719)", SP_SITE_PAUSE, 5},
        {"tenant-com.mail.protection.outlook.com", 451, "4.7.550",
         "Access denied, please try again later", SP_SITE_PAUSE, 2},
        {"tenant-com.mail.protection.outlook.com", 451, "4.7.651",
         "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. "
         "(S3114)",
         SP_SITE_PAUSE, 10},
        {"tenant-com.mail.protection.outlook.com", 452, "4.5.3", "Too many recipients",
         SP_SITE_IGNORE, 0},
        {"hotmail-com.olc.protection.outlook.com", 451, "4.7.650",
         "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For "
         "e-mail delivery information, see https://aka.ms/postmaster (S775) [Name=Protocol Filter "
         "Agent]",
         SP_SITE_PAUSE, 10},
        {"hotmail-com.olc.protection.outlook.com", 421, "",
         "RP-001 (BAY004-MC1F1) Unfortunately, some messages from 192.0.2.1 weren't sent. Please "
         "try again. We have limits for how many messages can be sent per hour and per day.",
         SP_SITE_PAUSE, 10},
        {"mx-eu.mail.am0.yahoodns.net", 421, "4.7.0",
         "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
         "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
         SP_SITE_PAUSE, 240},
        {"mx-eu.mail.am0.yahoodns.net", 421, "4.7.0",
         "[TSS05] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
         "complaints - 4.16.55.1",
         SP_SITE_PAUSE, 120},
        {"mta7.am0.yahoodns.net", 421, "4.7.0",
         "[TS02] Messages from 192.0.2.1 temporarily deferred - 4.16.56.1", SP_SITE_PAUSE, 120},
        {"mta7.am0.yahoodns.net", 421, "4.7.0",
         "Resources temporarily unavailable. Please try later", SP_SITE_SLOW, 0},
        {"mx.small.example", 450, "4.7.1", "Greylisted, see https://postgrey.schweikert.ch/help",
         SP_SITE_IGNORE, 0},
        {"mx.small.example", 451, "4.7.1", "Greylisting in action, please come back later",
         SP_SITE_IGNORE, 0},
    };
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) s = NULL;
    size_t len;
    char *text = read_shipped(&len);

    ck_assert_int_eq(sp_sites_load(sp_bytes(text, len), "sites.json", problems, &s), SP_OK);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct sp_site_throttle *rule = NULL;
        const struct sp_site_limits *site =
            sp_sites_find(s, SP_LIT("example.net"), sp_bytes_cstr(cases[i].mx));
        enum sp_site_answer answer =
            sp_sites_weigh(s, site, cases[i].code, sp_bytes_cstr(cases[i].status),
                           sp_bytes_cstr(cases[i].text), &rule);

        ck_assert_msg(answer == cases[i].answer, "%s %s %.40s: %d", cases[i].mx, cases[i].status,
                      cases[i].text, answer);
        ck_assert_msg(answer != SP_SITE_PAUSE || rule->for_ms == cases[i].minutes * 60000LL,
                      "%s %.40s", cases[i].mx, cases[i].text);
    }
    sp_free(text);
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
    tcase_add_test(c, what_large_providers_say_is_understood);
    tcase_add_test(c, a_mistake_is_told_with_its_place);
}

SP_TEST_MAIN("config.sites", add_tests)
