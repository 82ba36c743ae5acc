/*
 * Sender Policy Framework: who may send by records that include, redirect, exclude, loop and run too long (RFC 7208), and
 * which networks a provider's records come to. Each row is one question to the same small world.
 */
#include "dns/answer.h"
#include "dns/spf.h"
#include "support/check_main.h"

static const struct {
    const char *name;
    enum sp_dns_type type;
    const char *text;
} world[] = {
    {"plain.test", SP_DNS_TXT, "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"},
    {"soft.test", SP_DNS_TXT, "v=spf1 ip4:192.0.2.1 ~all"},
    {"open.test", SP_DNS_TXT, "v=spf1 +all"},
    {"none.test", SP_DNS_TXT, "hello"},
    {"near.test", SP_DNS_TXT, "v=spf10 ip4:192.0.2.1"},
    {"two.test", SP_DNS_TXT, "v=spf1 -all"},
    {"two.test", SP_DNS_TXT, "v=spf1 ip4:192.0.2.1 -all"},
    {"other.test", SP_DNS_TXT, "google-site-verification=x"},
    {"other.test", SP_DNS_TXT, "V=SPF1 ip4:192.0.2.1"},
    {"include.test", SP_DNS_TXT, "v=spf1 include:plain.test include:soft.test -all"},
    {"deep.test", SP_DNS_TXT, "v=spf1 include:include.test -all"},
    {"not.test", SP_DNS_TXT, "v=spf1 -include:soft.test ip4:192.0.2.0/24 -all"},
    {"outer.test", SP_DNS_TXT, "v=spf1 include:not.test ?all"},
    {"nobody.test", SP_DNS_TXT, "v=spf1 include:absent.test -all"},
    {"redirect.test", SP_DNS_TXT, "v=spf1 redirect=plain.test"},
    {"within.test", SP_DNS_TXT, "v=spf1 include:redirect.test -all"},
    {"lost.test", SP_DNS_TXT, "v=spf1 redirect=none.test"},
    {"round.test", SP_DNS_TXT, "v=spf1 include:trip.test -all"},
    {"trip.test", SP_DNS_TXT, "v=spf1 include:round.test -all"},
    {"again.test", SP_DNS_TXT, "v=spf1 redirect=again.test"},
    {"host.test", SP_DNS_TXT, "v=spf1 a a:mail.test/24 -all"},
    {"host.test", SP_DNS_A, "198.51.100.1"},
    {"mail.test", SP_DNS_A, "203.0.113.9"},
    {"mail.test", SP_DNS_AAAA, "2001:db8:1::9"},
    {"six.test", SP_DNS_TXT, "v=spf1 a:mail.test//48 -all"},
    {"mx.test", SP_DNS_TXT, "v=spf1 mx -all"},
    {"mx.test", SP_DNS_MX, "mail.test"},
    {"wrong.test", SP_DNS_TXT, "v=spf1 ip4:192.0.2.1.5 -all"},
    {"strange.test", SP_DNS_TXT, "v=spf1 frobnicate -all"},
    {"macro.test", SP_DNS_TXT, "v=spf1 include:%{d}.test -all"},
    {"exists.test", SP_DNS_TXT, "v=spf1 exists:%{i}.list.test ip4:192.0.2.1 -all"},
    {"voids.test", SP_DNS_TXT, "v=spf1 mx:v1.test mx:v2.test mx:v3.test ip4:192.0.2.1 -all"},
    {"many.test", SP_DNS_TXT,
     "v=spf1 a:mail.test a:mail.test a:mail.test a:mail.test a:mail.test a:mail.test a:mail.test "
     "a:mail.test a:mail.test a:mail.test a:mail.test ip4:192.0.2.1 -all"},
    {"ten.test", SP_DNS_TXT,
     "v=spf1 a:mail.test a:mail.test a:mail.test a:mail.test a:mail.test a:mail.test a:mail.test "
     "a:mail.test a:mail.test a:mail.test ip4:192.0.2.1 -all"},
    {"late.test", SP_DNS_TXT, "v=spf1 include:broken.test ip4:192.0.2.1 -all"},
    {"spaces.test", SP_DNS_TXT, "v=spf1   ip4:192.0.2.1   -all "},
    {"ended.test", SP_DNS_TXT, "v=spf1 ip4:192.0.2.0/24 -all redirect=soft.test"},
    {"first.test", SP_DNS_TXT,
     "v=spf1 redirect=soft.test ip4:192.0.2.0/24 ~all ip4:203.0.113.0/24"},
    {"past.test", SP_DNS_TXT,
     "v=spf1 include:ended.test ip4:198.51.100.0/24 ?all include:absent.test"},
    {"minus.test", SP_DNS_TXT, "v=spf1 -ip4:192.0.2.7 ip4:192.0.2.0/24 -all"},
};

static void on_ask(void *ctx, struct sp_bytes name, enum sp_dns_type type,
                   const struct sp_dns_answer **out)
{
    struct sp_dns_draft *d = sp_dns_draft_new();
    struct sp_dns_answer like = {.rc = SP_E_DNS_NXDOMAIN};

    (void)ctx;
    if (sp_bytes_eq(name, SP_LIT("broken.test")))
        like.rc = SP_E_DNS_SERVFAIL;
    for (size_t i = 0; i < SP_ARRAY_LEN(world); i++) {
        struct sp_dns_record r = {.name = {NULL, 0}};
        struct sp_bytes text = sp_bytes_cstr(world[i].text);

        if (!sp_bytes_eq_nocase(name, sp_bytes_cstr(world[i].name)))
            continue;
        if (like.rc == SP_E_DNS_NXDOMAIN)
            like.rc = SP_E_DNS_NONE;
        if (world[i].type != type)
            continue;
        like.rc = SP_OK;
        if (type == SP_DNS_TXT)
            r.data = text;
        else if (type == SP_DNS_MX)
            r.name = text;
        else
            ck_assert(sp_dns_ip_parse(text, &r.ip));
        ck_assert_int_eq(sp_dns_draft_add(d, &r), SP_OK);
    }
    *out = sp_dns_draft_finish(d, &like);
}

static const struct sp_spf_ops ops = {.ask = on_ask};

static const struct {
    const char *domain;
    const char *host;
    enum sp_spf_result result;
} checks[] = {
    {"plain.test", "192.0.2.77", SP_SPF_PASS},       {"plain.test", "192.0.3.77", SP_SPF_FAIL},
    {"plain.test", "2001:db8:ffff::1", SP_SPF_PASS}, {"plain.test", "2001:db9::1", SP_SPF_FAIL},
    {"soft.test", "192.0.2.2", SP_SPF_SOFTFAIL},     {"none.test", "192.0.2.1", SP_SPF_NONE},
    {"near.test", "192.0.2.1", SP_SPF_NONE},         {"absent.test", "192.0.2.1", SP_SPF_NONE},
    {"two.test", "192.0.2.1", SP_SPF_PERMERROR},     {"other.test", "192.0.2.1", SP_SPF_PASS},
    {"other.test", "192.0.2.2", SP_SPF_NEUTRAL},     {"include.test", "192.0.2.9", SP_SPF_PASS},
    {"include.test", "198.51.100.9", SP_SPF_FAIL},   {"deep.test", "192.0.2.1", SP_SPF_PASS},
    {"not.test", "192.0.2.1", SP_SPF_FAIL},          {"not.test", "192.0.2.2", SP_SPF_PASS},
    {"outer.test", "192.0.2.1", SP_SPF_NEUTRAL},     {"outer.test", "192.0.2.2", SP_SPF_PASS},
    {"nobody.test", "192.0.2.1", SP_SPF_PERMERROR},  {"redirect.test", "192.0.2.1", SP_SPF_PASS},
    {"redirect.test", "198.51.100.1", SP_SPF_FAIL},  {"within.test", "192.0.2.1", SP_SPF_PASS},
    {"lost.test", "192.0.2.1", SP_SPF_PERMERROR},    {"round.test", "192.0.2.1", SP_SPF_PERMERROR},
    {"again.test", "192.0.2.1", SP_SPF_PERMERROR},   {"host.test", "198.51.100.1", SP_SPF_PASS},
    {"host.test", "198.51.100.2", SP_SPF_FAIL},      {"host.test", "203.0.113.200", SP_SPF_PASS},
    {"host.test", "2001:db8:1::9", SP_SPF_PASS},     {"host.test", "2001:db8:1::8", SP_SPF_FAIL},
    {"six.test", "2001:db8:1:5::8", SP_SPF_PASS},    {"six.test", "203.0.113.9", SP_SPF_PASS},
    {"six.test", "203.0.113.8", SP_SPF_FAIL},        {"mx.test", "203.0.113.9", SP_SPF_PASS},
    {"mx.test", "203.0.113.8", SP_SPF_FAIL},         {"wrong.test", "192.0.2.1", SP_SPF_PERMERROR},
    {"strange.test", "192.0.2.1", SP_SPF_PERMERROR}, {"macro.test", "192.0.2.1", SP_SPF_PERMERROR},
    {"exists.test", "192.0.2.1", SP_SPF_PASS},       {"voids.test", "192.0.2.1", SP_SPF_PERMERROR},
    {"many.test", "192.0.2.1", SP_SPF_PERMERROR},    {"ten.test", "192.0.2.1", SP_SPF_PASS},
    {"late.test", "192.0.2.1", SP_SPF_TEMPERROR},    {"broken.test", "192.0.2.1", SP_SPF_TEMPERROR},
    {"spaces.test", "192.0.2.1", SP_SPF_PASS},       {"minus.test", "192.0.2.7", SP_SPF_FAIL},
    {"minus.test", "192.0.2.8", SP_SPF_PASS},        {"ended.test", "192.0.2.8", SP_SPF_PASS},
    {"ended.test", "203.0.113.1", SP_SPF_FAIL},      {"first.test", "203.0.113.1", SP_SPF_SOFTFAIL},
    {"past.test", "203.0.113.1", SP_SPF_NEUTRAL},    {"", "192.0.2.1", SP_SPF_PERMERROR},
};

START_TEST(each_host_gets_its_result)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(checks); i++) {
        struct sp_err err = {0};
        struct sp_addr host;
        enum sp_spf_result result;

        ck_assert(sp_addr_from_ip(sp_bytes_cstr(checks[i].host), 0, &host));
        result = sp_spf_check(&ops, sp_bytes_cstr(checks[i].domain), &host, &err);
        ck_assert_msg(result == checks[i].result, "%s for %s: %s, not %s (%s)", checks[i].domain,
                      checks[i].host, sp_spf_result_name(result),
                      sp_spf_result_name(checks[i].result), err.text);
        if (result == SP_SPF_PERMERROR || result == SP_SPF_TEMPERROR)
            ck_assert_msg(err.text[0] != 0, "%s says why", checks[i].domain);
    }
}
END_TEST

static void gather(void *arg, struct sp_bytes text)
{
    sp_buf_put(arg, text);
    sp_buf_put_u8(arg, ' ');
}

static const struct {
    const char *domain;
    enum sp_rc rc;
    const char *networks;
} lists[] = {
    {"plain.test", SP_OK, "192.0.2.0/24 2001:db8::/32 "},
    {"deep.test", SP_OK, "192.0.2.0/24 2001:db8::/32 192.0.2.1 "},
    {"redirect.test", SP_OK, "192.0.2.0/24 2001:db8::/32 "},
    {"within.test", SP_OK, "192.0.2.0/24 2001:db8::/32 "},
    {"mx.test", SP_OK, "203.0.113.9 2001:db8:1::9 "},
    {"host.test", SP_OK, "198.51.100.1 203.0.113.9/24 2001:db8:1::9 "},
    {"ended.test", SP_OK, "192.0.2.0/24 "},
    {"first.test", SP_OK, "192.0.2.0/24 "},
    {"past.test", SP_OK, "192.0.2.0/24 198.51.100.0/24 "},
    {"open.test", SP_E_UNSUPPORTED, NULL},
    {"not.test", SP_E_UNSUPPORTED, NULL},
    {"minus.test", SP_E_UNSUPPORTED, NULL},
    {"exists.test", SP_E_UNSUPPORTED, NULL},
    {"none.test", SP_E_DNS_NONE, NULL},
    {"nobody.test", SP_E_DNS_NONE, NULL},
    {"late.test", SP_E_DNS_SERVFAIL, NULL},
    {"round.test", SP_E_LIMIT, NULL},
    {"again.test", SP_E_LIMIT, NULL},
    {"many.test", SP_E_LIMIT, NULL},
    {"voids.test", SP_E_LIMIT, NULL},
    {"wrong.test", SP_E_MALFORMED, NULL},
    {"two.test", SP_E_MALFORMED, NULL},
};

START_TEST(a_providers_networks_are_told_whole_or_not_at_all)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(lists); i++) {
        struct sp_err err = {0};
        struct sp_buf all;
        enum sp_rc rc;

        sp_buf_init(&all, 65536);
        rc = sp_spf_networks(&ops, sp_bytes_cstr(lists[i].domain), gather, &all, &err);
        ck_assert_msg(rc == lists[i].rc, "%s: %s, not %s", lists[i].domain, sp_rc_name(rc),
                      sp_rc_name(lists[i].rc));
        if (rc == SP_OK)
            ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&all), sp_bytes_cstr(lists[i].networks)),
                          "%s: %.*s", lists[i].domain, SP_FMT(sp_buf_bytes(&all)));
        sp_buf_clear(&all);
    }
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, each_host_gets_its_result);
    tcase_add_test(tc, a_providers_networks_are_told_whole_or_not_at_all);
}

SP_TEST_MAIN("dns.spf", add_tests)
