/*
 * Settings: defaults, every kind of error at once with its place and a suggestion, tenants, and the reference in docs.
 */
#include "base/clock.h"
#include "config/config.h"
#include "config/directory.h"
#include "config/tenant.h"

#include <stdio.h>

#include "base/buf.h"
#include "support/check_main.h"

static const char least[] = "{\"node\": \"gw1\", \"hostname\": \"gw.example\",\n"
                            " \"listen\": [{\"address\": \"127.0.0.1:2525\", \"tls\": \"none\"}]}";

static char *all_of(const struct sp_problems *p, bool warnings)
{
    struct sp_buf out;

    sp_buf_init(&out, 100000);
    for (size_t i = 0; i < sp_problems_count(p); i++) {
        if (sp_problems_at(p, i)->is_warning != warnings)
            continue;
        sp_problem_format(sp_problems_at(p, i), &out);
        sp_buf_put_u8(&out, '\n');
    }
    return sp_buf_take_cstr(&out);
}

static char *all_problems(const struct sp_problems *p)
{
    return all_of(p, false);
}

START_TEST(defaults_fill_what_is_not_written)
{
    SP_AUTO(sp_problems) p = sp_problems_new();
    SP_AUTO(sp_config) c = NULL;

    ck_assert_int_eq(sp_config_load(sp_bytes_cstr(least), "c.json", p, &c), SP_OK);
    ck_assert_str_eq(c->node, "gw1");
    ck_assert_uint_eq(c->listen_count, 1);
    ck_assert_int_eq(c->listen[0].tls, SP_LISTEN_NONE);
    ck_assert(!c->listen[0].plain_ok);
    ck_assert_int_eq(c->intake.size_limit, 150LL << 20);
    ck_assert_int_eq(c->delivery.retry_first_ms, 300000);
    ck_assert_uint_eq(c->resolver.servers.count, 1);
    ck_assert_str_eq(c->resolver.servers.items[0], "127.0.0.1:53");
    ck_assert_str_eq(c->policy, "policies/policy.json");
    ck_assert_str_eq(c->delivery.next_hop, "");
}
END_TEST

START_TEST(written_values_are_taken)
{
    SP_AUTO(sp_problems) p = sp_problems_new();
    SP_AUTO(sp_config) c = NULL;
    const char text[] =
        "{ // a gateway\n \"node\": \"gw1\", \"hostname\": \"gw.example\", \"workers\": 3,\n"
        "\"listen\": [{\"address\": \"[::1]:25\"}, {\"address\": \"a.example:465\", \"tls\": "
        "\"implicit\"}],\n"
        "\"tls\": {\"certificate\": \"c.pem\", \"key\": \"k.pem\"}, \"intake\": {\"size_limit\": "
        "\"1MiB\"},\n"
        "\"resolver\": {\"servers\": [\"127.0.0.1:5353\", \"[::1]:53\"], \"trusted\": true},\n"
        "\"delivery\": {\"routes\": {\"b.example\": \"127.0.0.1:26\"}, \"dsn_delay\": \"0s\"}}";

    ck_assert_int_eq(sp_config_load(sp_bytes_cstr(text), "c.json", p, &c), SP_OK);
    ck_assert_int_eq(c->workers, 3);
    ck_assert_uint_eq(c->listen_count, 2);
    ck_assert_int_eq(c->listen[0].tls, SP_LISTEN_STARTTLS);
    ck_assert_int_eq(c->listen[1].tls, SP_LISTEN_IMPLICIT);
    ck_assert_int_eq(c->intake.size_limit, 1 << 20);
    ck_assert_uint_eq(c->resolver.servers.count, 2);
    ck_assert(c->resolver.trusted);
    ck_assert_uint_eq(c->delivery.route_count, 1);
    ck_assert_str_eq(c->delivery.routes[0].domain, "b.example");
    ck_assert_str_eq(c->delivery.routes[0].to, "127.0.0.1:26");
    ck_assert_int_eq(c->delivery.dsn_delay_ms, 0);
}
END_TEST

START_TEST(all_errors_come_at_once)
{
    static const char text[] =
        "{\"node\": 7,\n"
        "\"hostnam\": \"gw.example\",\n"
        "\"listen\": [{\"adress\": \"x:1\", \"tls\": \"startls\"}, 3],\n"
        "\"intake\": {\"size_limit\": \"1TiB\", \"max_recipients\": 0},\n"
        "\"size_limit\": 4,\n"
        "\"resolver\": {\"trusted\": \"yes\", \"servers\": [\"127.0.0.1\"]},\n"
        "\"tls\": \"x\"}";
    static const char *const expected[] = {
        "c.json:2: hostnam: unknown setting; did you mean \"hostname\"?",
        "c.json:1: \"hostname\" is missing",
        "c.json:1: node: expected text, found whole number",
        "c.json:3: listen[0].adress: unknown setting; did you mean \"address\"?",
        "c.json:3: listen[0]: \"address\" is missing",
        "c.json:3: listen[0].tls: expected one of \"starttls\", \"implicit\", \"none\"; did you "
        "mean "
        "\"starttls\"?",
        "c.json:3: listen[1]: expected an object, found whole number",
        "c.json:4: intake.size_limit: expected a size like",
        "c.json:4: intake.max_recipients: out of range: expected 1 to 10000",
        "c.json:5: size_limit: unknown setting; did you mean \"intake.size_limit\"?",
        "c.json:6: resolver.trusted: expected true or false",
        "c.json:6: resolver.servers[0]: expected host:port",
        "c.json:7: tls: expected an object, found text",
    };
    SP_AUTO(sp_problems) p = sp_problems_new();
    struct sp_config *c = NULL;
    char *said;

    ck_assert_int_ne(sp_config_load(sp_bytes_cstr(text), "c.json", p, &c), SP_OK);
    ck_assert_ptr_null(c);
    said = all_problems(p);
    for (size_t i = 0; i < SP_ARRAY_LEN(expected); i++)
        ck_assert_msg(strstr(said, expected[i]) != NULL, "missing: %s\nin:\n%s", expected[i], said);
    ck_assert_uint_eq(sp_problems_errors(p), SP_ARRAY_LEN(expected));
    sp_free(said);
}
END_TEST

START_TEST(settings_that_contradict_each_other_are_refused)
{
    static const char text[] = "{\"node\": \"g\", \"hostname\": \"gw.example\",\n"
                               "\"listen\": [{\"address\": \"127.0.0.1:25\"}],\n"
                               "\"portal\": {\"listen\": \"127.0.0.1:8443\"},\n"
                               "\"delivery\": {\"retry_first\": \"3h\"}}";
    SP_AUTO(sp_problems) p = sp_problems_new();
    struct sp_config *c = NULL;
    char *said;

    ck_assert_int_eq(sp_config_load(sp_bytes_cstr(text), "c.json", p, &c), SP_E_CONFIG_MISSING);
    said = all_problems(p);
    ck_assert_ptr_nonnull(strstr(said, "listener 0 uses TLS"));
    ck_assert_ptr_nonnull(strstr(said, "\"portal.url\" is missing"));
    ck_assert_ptr_nonnull(strstr(said, "retry_max is shorter than retry_first"));
    sp_free(said);
}
END_TEST

START_TEST(an_issuer_vouches_for_one_tenant)
{
    static const char text[] =
        "{\"node\": \"g\", \"hostname\": \"gw.example\", \"listen\": [{\"address\": "
        "\"127.0.0.1:25\", \"tls\": \"none\", \"plain_ok\": true}],\n"
        "\"oauth\": {\"issuers\": [{\"issuer\": \"https://a.example/\", \"audience\": \"gw\", "
        "\"keys\": \"a.json\", \"tenant\": \"a\"},\n"
        "{\"issuer\": \"https://b.example/\", \"audience\": \"gw\", \"keys\": \"b.json\"}]}}";
    SP_AUTO(sp_problems) p = sp_problems_new();
    SP_AUTO(sp_config) c = NULL;
    char *said;

    if (sp_config_load(sp_bytes_cstr(text), "c.json", p, &c) != SP_OK)
        ck_abort_msg("%s", all_problems(p));
    ck_assert_int_eq(sp_config_check_issuers(c, 1, "c.json", p), SP_OK);
    ck_assert_uint_eq(sp_problems_errors(p), 0);
    ck_assert_int_eq(sp_config_check_issuers(c, 2, "c.json", p), SP_E_CONFIG_MISSING);
    ck_assert_uint_eq(sp_problems_errors(p), 1);
    said = all_problems(p);
    ck_assert_ptr_nonnull(strstr(said, "oauth.issuers[1]: \"tenant\" is missing: with 2 tenants"));
    sp_free(said);
}
END_TEST

START_TEST(a_display_name_fits_a_mail)
{
    for (size_t len = 256; len <= 257; len++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_tenant) t = NULL;
        char name[300] = "", text[600];

        memset(name, 'n', len);
        (void)snprintf(
            text, sizeof(text),
            "{\"tenant\": \"a\", \"domains\": [\"a.example\"], \"display_name\": \"%s\",\n"
            "\"proofs\": {\"users\": {\"u\": \"$argon2id$v=19$x\"}}}",
            name);
        ck_assert_int_eq(sp_tenant_load(sp_bytes_cstr(text), "t.json", p, &t),
                         len == 256 ? SP_OK : SP_E_CONFIG_RANGE);
    }
}
END_TEST

START_TEST(smarthosts_are_checked_together)
{
    static const struct {
        const char *delivery;
        const char *said; /* NULL: nothing is wrong */
    } cases[] = {
        {"\"smarthosts\": [{\"route\": \"a.test\", \"host\": \"one.test:25\"}, {\"route\": "
         "\"a.test\", \"host\": \"two.test:25\", \"priority\": 20, \"weight\": 5}]",
         NULL},
        {"\"smarthosts\": [{\"route\": \"a.test\", \"host\": \"one.test:25\", "
         "\"certificate\": \"us.pem\"}]",
         "certificate and key are given both or not at all"},
        {"\"smarthosts\": [{\"route\": \"a.test\", \"host\": \"one.test:25\"}], \"routes\": "
         "{\"a.test\": \"two.test:25\"}",
         "stands in delivery.routes too"},
        {"\"smarthosts\": [{\"route\": \"*\", \"host\": \"one.test:25\"}], \"next_hop\": "
         "\"two.test:25\"",
         "stands in delivery.next_hop too"},
        {"\"smarthosts\": [{\"route\": \"\", \"host\": \"one.test:25\"}]", "is empty"},
        {"\"smarthosts\": [{\"route\": \"a.test\", \"host\": \"one.test:25\", \"weight\": 0}]",
         "weight"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_config) c = NULL;
        char text[600];
        char *said;

        snprintf(text, sizeof(text),
                 "{\"node\": \"g\", \"hostname\": \"gw.example\", \"listen\": [{\"address\": "
                 "\"127.0.0.1:25\", \"tls\": \"none\"}], \"delivery\": {%s}}",
                 cases[i].delivery);
        ck_assert_msg((sp_config_load(sp_bytes_cstr(text), "c.json", p, &c) == SP_OK) ==
                          (cases[i].said == NULL),
                      "case %zu", i);
        said = all_problems(p);
        ck_assert_msg(cases[i].said == NULL || strstr(said, cases[i].said) != NULL, "case %zu: %s",
                      i, said);
        ck_assert(c == NULL || (sp_config_has_route(c, SP_LIT("a.test")) &&
                                !sp_config_has_route(c, SP_LIT("b.test"))));
        sp_free(said);
    }
}
END_TEST

START_TEST(settings_that_once_changed_nothing_do_what_they_say)
{
    static const char *const cases[] = {
        "\"intake\": {\"inline_limit\": \"4KiB\"}", "\"delivery\": {\"expire\": \"1d\"}",
        "\"delivery\": {\"command\": \"1m\"}",      "\"delivery\": {\"dsn_delay\": \"0s\"}",
        "\"delivery\": {\"connect\": \"30s\"}",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_config) c = NULL;
        char text[300];
        char *said;

        snprintf(text, sizeof(text),
                 "{\"node\": \"g\", \"hostname\": \"gw.example\", \"listen\": [{\"address\": "
                 "\"127.0.0.1:25\", \"tls\": \"none\"}], %s}",
                 cases[i]);
        ck_assert_int_eq(sp_config_load(sp_bytes_cstr(text), "c.json", p, &c), SP_OK);
        said = all_of(p, true);
        ck_assert_msg(strstr(said, "is not carried out yet") == NULL, "%s:\n%s", cases[i], said);
        sp_free(said);
    }
}
END_TEST

START_TEST(what_a_resolver_cannot_prove_is_warned_of)
{
    static const struct {
        const char *resolver;
        const char *says; /* NULL: nothing */
    } cases[] = {
        {"{}", "no domain can prove DANE"},
        {"{\"trusted\": false}", "no domain can prove DANE"},
        {"{\"trusted\": true, \"servers\": [\"127.0.0.1:53\", \"[::1]:53\"]}", NULL},
        {"{\"trusted\": true, \"servers\": [\"127.0.0.1:53\", \"192.0.2.53:53\"]}",
         "whoever stands between us and 192.0.2.53:53 can make DANE say what he likes"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_config) c = NULL;
        char text[400];
        char *said;

        snprintf(text, sizeof(text),
                 "{\"node\": \"g\", \"hostname\": \"gw.example\", \"listen\": [{\"address\": "
                 "\"127.0.0.1:25\", \"tls\": \"none\"}], \"resolver\": %s}",
                 cases[i].resolver);
        ck_assert_int_eq(sp_config_load(sp_bytes_cstr(text), "c.json", p, &c), SP_OK);
        said = all_of(p, true);
        if (cases[i].says != NULL)
            ck_assert_msg(strstr(said, cases[i].says) != NULL, "%s:\n%s", cases[i].resolver, said);
        else
            ck_assert_msg(strstr(said, "DANE") == NULL, "%s:\n%s", cases[i].resolver, said);
        sp_free(said);
    }
}
END_TEST

START_TEST(ipv4_that_nobody_serves_is_told)
{
    static const struct {
        const char *listen;
        const char *said; /* NULL: nothing */
    } cases[] = {
        {"{\"address\": \"[::]:25\"}", NULL}, /* alone it takes both */
        {"{\"address\": \"[::]:25\"}, {\"address\": \"0.0.0.0:25\"}", NULL},
        {"{\"address\": \"[::]:25\"}, {\"address\": \"127.0.0.1:587\"}", NULL},
        {"{\"address\": \"[::]:0\"}, {\"address\": \"127.0.0.1:0\"}", NULL},
        {"{\"address\": \"[::1]:25\"}, {\"address\": \"127.0.0.1:25\"}", NULL},
        {"{\"address\": \"0.0.0.0:25\"}, {\"address\": \"127.0.0.1:25\"}, {\"address\": "
         "\"[::]:25\"}",
         NULL},
        {"{\"address\": \"127.0.0.1:25\"}, {\"address\": \"[::]:25\"}",
         "listener 1: [::]:25 takes IPv6 alone, since 127.0.0.1:25 has the same port"},
        {"{\"address\": \"[::]:25\"}, {\"address\": \"192.0.2.1:25\"}",
         "listener 0: [::]:25 takes IPv6 alone, since 192.0.2.1:25 has the same port"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_config) c = NULL;
        char text[600], *said;

        snprintf(text, sizeof(text),
                 "{\"node\": \"gw1\", \"hostname\": \"gw.example\", \"tls\": {\"certificate\": "
                 "\"a\", \"key\": \"b\"}, \"listen\": [%s]}",
                 cases[i].listen);
        ck_assert_int_eq(sp_config_load(sp_bytes_cstr(text), "c.json", p, &c), SP_OK);
        said = all_of(p, true);
        ck_assert_msg(cases[i].said != NULL ? strstr(said, cases[i].said) != NULL
                                            : strstr(said, "IPv6 alone") == NULL,
                      "%s: %s", cases[i].listen, said);
        sp_free(said);
    }
}
END_TEST

START_TEST(a_tenant_on_trial_has_an_end)
{
    static const struct {
        const char *until;
        const char *now;
        bool observes;
        const char *says; /* NULL: nothing */
    } cases[] = {
        {"2026-12-06", "2026-11-22T10:00:00Z", true, "OBSERVED ONLY until 2026-12-06"},
        {"2026-12-06", "2026-12-06T23:59:58Z", true, "OBSERVED ONLY"},
        {"2026-12-06", "2026-12-07T00:00:00Z", false, "is over"},
        {"2027-01-23", "2026-11-22T10:00:00Z", true, "OBSERVED ONLY"},
        {"2027-01-25", "2026-11-22T10:00:00Z", false, "more than 62 days ahead"},
        {"", "2026-11-22T10:00:00Z", false, NULL},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_tenant) t = NULL;
        char text[300];
        int64_t now;
        char *said;

        (void)snprintf(
            text, sizeof(text),
            "{\"tenant\": \"a\", \"domains\": [\"a.example\"], \"display_name\": \"A\",\n"
            "\"proofs\": {\"users\": {\"u\": \"$argon2id$v=19$x\"}}%s%s%s}",
            cases[i].until[0] ? ", \"observe\": {\"until\": \"" : "", cases[i].until,
            cases[i].until[0] ? "\"}" : "");
        ck_assert_int_eq(sp_tenant_load(sp_bytes_cstr(text), "t.json", p, &t), SP_OK);
        ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(cases[i].now), &now));
        ck_assert_msg(sp_tenant_observes(t, now) == cases[i].observes, "case %zu", i);
        sp_tenant_tell_observed(t, now, "t.json", p);
        ck_assert_uint_eq(sp_problems_count(p), cases[i].says != NULL);
        if (cases[i].says == NULL)
            continue;
        said = all_of(p, sp_problems_errors(p) == 0);
        ck_assert_msg(strstr(said, cases[i].says) != NULL, "case %zu: %s", i, said);
        sp_free(said);
    }
}
END_TEST

START_TEST(networks_of_a_provider_are_read_strictly)
{
    static const struct {
        const char *text;
        size_t count; /* 0: refused */
    } cases[] = {
        {"# a list\n# refreshed 2026-11-22T10:00:00Z\n192.0.2.0/24\n 2001:db8::/32 \n\n", 2},
        {"192.0.2.1", 1},
        {"10.0.0.0/10\n", 1},
        {"10.0.0.0/9\n", 0},
        {"10.0.0.0/8\n", 0},
        {"::ffff:192.0.2.0/120\n::ffff:10.0.0.0/106\n", 2},
        {"::ffff:10.0.0.0/105\n", 0},
        {"::ffff:0:0/96\n", 0},
        {"192.0.2.0/24\n::ffff:192.0.2.0/95\n", 0},
        {"::/24\n", 0},
        {"::/80\n", 0},
        {"::/96\n::1\n", 2},
        {"2000::/24\n", 1},
        {"2000::/23\n", 0},
        {"10.0.0.0/7\n", 0},
        {"0.0.0.0/0\n", 0},
        {"192.0.2.0/24\n2000::/3\n", 0},
        {"192.0.2.0/24\nhello\n", 0},
        {"192.0.2.0/33\n", 0},
        {"192.0.2.0/24 10.0.0.1\n", 0},
        {"# nothing\n", 0},
        {"", 0},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_tenant) t = NULL;
        struct sp_bytes text = sp_bytes_cstr(cases[i].text);
        int64_t refreshed;

        ck_assert_msg(sp_tenant_count_networks(text, &refreshed, p) == cases[i].count, "case %zu",
                      i);
        ck_assert_msg((refreshed != 0) == (i == 0), "case %zu", i);
        ck_assert_int_eq(
            sp_tenant_load(SP_LIT("{\"tenant\": \"a\", \"domains\": [\"a.example\"],\n"
                                  "\"proofs\": {\"client_certificates\": [\"c.example\"],\n"
                                  "\"networks\": [\"198.51.100.0/24\"], "
                                  "\"networks_from\": [\"_spf.example\"]}}"),
                           "t.json", p, &t),
            SP_OK);
        ck_assert_msg((sp_tenant_add_networks(t, text, "n.txt", p) == SP_OK) ==
                          (cases[i].count > 0),
                      "case %zu", i);
        ck_assert_uint_eq(t->proofs.networks.count, 1 + cases[i].count);
        ck_assert_str_eq(t->proofs.networks.items[0], "198.51.100.0/24");
    }
}
END_TEST

START_TEST(private_networks_are_told_from_a_providers)
{
    static const struct {
        const char *text;
        uint32_t wrong; /* how many */
    } cases[] = {
        {"# a list\n192.0.2.0/24\n2001:db8::/32\n203.0.113.9\n", 0},
        {"9.255.255.0/24\n11.0.0.0/10\n172.15.0.0/16\n172.32.0.0/11\n192.167.0.0/16\n", 0},
        {"126.0.0.0/10\n128.0.0.0/10\n100.128.0.0/10\n169.253.0.0/16\n", 0},
        {"127.0.0.1\n192.0.2.1\n127.0.0.0/8\n", 2},
        {"10.1.2.0/24\n172.31.0.0/16\n192.168.7.0/24\n169.254.1.1\n", 4},
        {"0.0.0.0\n100.64.0.0/16\n224.0.0.1\n255.255.255.255\n", 4},
        {"192.0.0.0/8\n172.0.0.0/10\n", 2}, /* hold such */
        {"::1\n::\nfe80::/64\nfd00::/32\nff02::1\n", 5},
        {"::ffff:127.0.0.1\n::ffff:10.0.0.0/120\n::/64\n", 3},
        {"::ffff:192.0.2.0/120\n", 0},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();

        ck_assert_msg(sp_tenant_networks_are_public(sp_bytes_cstr(cases[i].text), p) ==
                          (cases[i].wrong == 0),
                      "case %zu", i);
        ck_assert_msg(sp_problems_errors(p) == cases[i].wrong, "case %zu: %zu", i,
                      sp_problems_errors(p));
    }
}
END_TEST

/* What Microsoft 365 forwards for people outside is Anonymous: who allows forwards and not that is told. */
START_TEST(forwards_without_anonymous_are_told)
{
    static const struct {
        const char *proofs;
        bool forwards, warned;
    } rows[] = {
        {"\"originator_org\": [\"a.example\"]", true, true},
        {"\"originator_org\": [\"a.example\"]", false, false},
        {"\"tenant_id\": \"1\", \"auth_as\": [\"Internal\"]", true, true},
        {"\"tenant_id\": \"1\", \"auth_as\": [\"Internal\", \"Anonymous\"]", true, false},
        {"\"dkim\": [\"a.example\"]", true, false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_tenant) t = NULL;
        bool told = false;
        char text[500];

        snprintf(text, sizeof(text),
                 "{\"tenant\": \"a\", \"domains\": [\"a.example\"],\n"
                 " \"proofs\": {\"networks\": [\"192.0.2.0/24\"], %s},\n"
                 " \"senders\": {\"forwards\": %s}}",
                 rows[i].proofs, rows[i].forwards ? "true" : "false");
        ck_assert_int_eq(sp_tenant_load(sp_bytes_cstr(text), "t.json", p, &t), SP_OK);
        for (size_t k = 0; k < sp_problems_count(p); k++)
            told = told || strstr(sp_problems_at(p, k)->text, "Anonymous") != NULL;
        ck_assert_msg(told == rows[i].warned, "row %zu", i);
    }
}
END_TEST

START_TEST(a_tenant_needs_a_proof)
{
    SP_AUTO(sp_problems) p = sp_problems_new();
    SP_AUTO(sp_tenant) t = NULL;
    struct sp_tenant *none = NULL;

    ck_assert_int_eq(sp_tenant_load(SP_LIT("{\"tenant\": \"a\", \"domains\": [\"a.example\"]}"),
                                    "t.json", p, &none),
                     SP_E_CONFIG_MISSING);
    ck_assert_int_eq(
        sp_tenant_load(SP_LIT("{\"tenant\": \"a\", \"domains\": [\"A.Example\", \"b.example\"],\n"
                              "\"proofs\": {\"networks\": [\"127.0.0.0/8\", \"::1\"],\n"
                              "\"users\": {\"u\": \"$argon2id$v=19$x\"}}}"),
                       "t.json", p, &t),
        SP_OK);
    ck_assert_str_eq(t->domains.items[0], "a.example");
    ck_assert(sp_tenant_has_domain(t, SP_LIT("B.EXAMPLE")));
    ck_assert(!sp_tenant_has_domain(t, SP_LIT("sub.b.example")));
    ck_assert_uint_eq(t->proofs.user_count, 1);
    ck_assert_str_eq(t->proofs.users[0].name, "u");
    ck_assert(sp_tenant_is_provable(t));
    ck_assert_uint_eq(t->proofs.client_certificates.count, 0);
}
END_TEST

START_TEST(a_network_or_a_certificate_alone_proves_nobody)
{
    static const struct {
        const char *proofs;
        bool enough;
    } cases[] = {
        {"\"networks\": [\"192.0.2.0/24\"]", false},
        {"\"client_certificates\": [\"mail.example\"]", false},
        {"\"networks\": [\"192.0.2.0/24\"], \"client_certificates\": [\"mail.example\"]", true},
        {"\"users\": {\"u\": \"$argon2id$v=19$x\"}", true},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_tenant) t = NULL;
        char text[300];

        snprintf(text, sizeof(text),
                 "{\"tenant\": \"a\", \"domains\": [\"a.example\"], \"proofs\": {%s}}",
                 cases[i].proofs);
        ck_assert_int_eq(sp_tenant_load(sp_bytes_cstr(text), "t.json", p, &t), SP_OK);
        ck_assert_msg(sp_tenant_is_provable(t) == cases[i].enough, "%s", cases[i].proofs);
        ck_assert_msg((sp_problems_count(p) == 0) == cases[i].enough, "%s", cases[i].proofs);
    }
}
END_TEST

START_TEST(networks_are_checked)
{
    static const struct {
        const char *network;
        bool good;
    } cases[] = {
        {"192.0.2.0/24", true},  {"192.0.2.1", true},    {"2001:db8::/32", true},
        {"192.0.2.0/33", false}, {"192.0.2", false},     {"2001:db8::/129", false},
        {"a.example", false},    {"192.0.2.0/x", false}, {"", false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) p = sp_problems_new();
        SP_AUTO(sp_tenant) t = NULL;
        char text[200];
        enum sp_rc rc;

        snprintf(
            text, sizeof(text),
            "{\"tenant\":\"a\",\"domains\":[\"a.example\"],\"proofs\":{\"networks\":[\"%s\"]}}",
            cases[i].network);
        rc = sp_tenant_load(sp_bytes_cstr(text), "t.json", p, &t);
        ck_assert_msg((rc == SP_OK) == cases[i].good, "%s", cases[i].network);
    }
}
END_TEST

START_TEST(docs_hold_the_reference_as_it_is)
{
    struct sp_buf made;
    char text[65536];
    FILE *f = fopen(SP_SOURCE_DIR "/docs/settings.md", "rb");
    size_t len;

    ck_assert_ptr_nonnull(f);
    len = fread(text, 1, sizeof(text) - 1, f);
    text[len] = 0;
    fclose(f);
    sp_buf_init(&made, sizeof(text));
    sp_config_reference(&made);
    sp_buf_put_u8(&made, '\n');
    sp_tenant_reference(&made);
    sp_buf_put_u8(&made, '\n');
    sp_directory_reference(&made);
    sp_buf_put_u8(&made, 0);
    ck_assert_msg(strstr(text, (const char *)made.ptr) != NULL,
                  "docs/settings.md is old: build/dev/libexec/sallyport/cli-policy settings > "
                  "docs/settings.md");
    sp_buf_clear(&made);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, defaults_fill_what_is_not_written);
    tcase_add_test(c, written_values_are_taken);
    tcase_add_test(c, all_errors_come_at_once);
    tcase_add_test(c, settings_that_contradict_each_other_are_refused);
    tcase_add_test(c, an_issuer_vouches_for_one_tenant);
    tcase_add_test(c, a_display_name_fits_a_mail);
    tcase_add_test(c, smarthosts_are_checked_together);
    tcase_add_test(c, settings_that_once_changed_nothing_do_what_they_say);
    tcase_add_test(c, what_a_resolver_cannot_prove_is_warned_of);
    tcase_add_test(c, ipv4_that_nobody_serves_is_told);
    tcase_add_test(c, a_tenant_on_trial_has_an_end);
    tcase_add_test(c, networks_of_a_provider_are_read_strictly);
    tcase_add_test(c, private_networks_are_told_from_a_providers);
    tcase_add_test(c, forwards_without_anonymous_are_told);
    tcase_add_test(c, a_tenant_needs_a_proof);
    tcase_add_test(c, a_network_or_a_certificate_alone_proves_nobody);
    tcase_add_test(c, networks_are_checked);
    tcase_add_test(c, docs_hold_the_reference_as_it_is);
}

SP_TEST_MAIN("config", add)
