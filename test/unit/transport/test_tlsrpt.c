/*
 * TLS reports: the policy that a session was under, and its result in the RFC's words.
 */
#include "support/check_main.h"
#include "transport/tlsrpt.h"

START_TEST(each_session_has_its_policy_and_result)
{
    static const struct sp_hop_proof good = {.tls = true, .chain_ok = true, .name_ok = true};
    static const struct sp_hop_proof dane = {.tls = true, .dane_ok = true};
    static const struct sp_hop_proof bare = {.tls = true};
    static const struct sp_hop_proof old = {.tls = true, .expired = true};
    static const struct sp_hop_proof other = {.tls = true, .chain_ok = true};
    static const struct sp_hop_proof none = {.tls = false};
    static const struct {
        const char *name;
        enum sp_tlsa_state tlsa;
        enum sp_sts_mode sts;
        bool sts_match;
        const struct sp_hop_proof *proof;
        enum sp_rc rc;
        const char *policy;
        const char *result;
    } cases[] = {
        {"matched", SP_TLSA_USABLE, SP_STS_MODE_ENFORCE, true, &dane, SP_OK, "tlsa", "success"},
        {"other key", SP_TLSA_USABLE, SP_STS_MODE_ENFORCE, true, &good, SP_OK, "tlsa",
         "validation-failure"},
        {"unusable set", SP_TLSA_UNUSABLE, SP_STS_MODE_NONE, false, &bare, SP_OK, "tlsa",
         "tlsa-invalid"},
        {"stripped", SP_TLSA_USABLE, SP_STS_MODE_NONE, false, &none, SP_E_TLS_ABSENT, "tlsa",
         "starttls-not-supported"},
        {"kept", SP_TLSA_NONE, SP_STS_MODE_ENFORCE, true, &good, SP_OK, "sts", "success"},
        {"testing counts", SP_TLSA_NONE, SP_STS_MODE_TESTING, true, &old, SP_OK, "sts",
         "certificate-expired"},
        {"unknown CA", SP_TLSA_NONE, SP_STS_MODE_ENFORCE, true, &bare, SP_OK, "sts",
         "certificate-not-trusted"},
        {"name", SP_TLSA_NONE, SP_STS_MODE_ENFORCE, true, &other, SP_OK, "sts",
         "certificate-host-mismatch"},
        {"MX not in it", SP_TLSA_NONE, SP_STS_MODE_ENFORCE, false, &good, SP_OK, "sts",
         "validation-failure"},
        {"nothing asked", SP_TLSA_NONE, SP_STS_MODE_NONE, false, &bare, SP_OK, "no-policy-found",
         "success"},
        {"TLS fails", SP_TLSA_NONE, SP_STS_MODE_NONE, false, &none, SP_E_TLS_HANDSHAKE,
         "no-policy-found", "validation-failure"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_hop hop = {.tlsa = cases[i].tlsa, .sts_match = cases[i].sts_match};
        struct sp_route route = {
            .sts = {.mode = cases[i].sts}, .hops = &hop, .hop_count = 1, .mx_secure = true};

        ck_assert_msg(strcmp(sp_tlsrpt_policy(&route, &hop, SP_LEVEL_PLAIN), cases[i].policy) == 0,
                      "%s", cases[i].name);
        ck_assert_msg(
            strcmp(sp_tlsrpt_result(&route, &hop, SP_LEVEL_PLAIN, cases[i].proof, cases[i].rc),
                   cases[i].result) == 0,
            "%s: %s", cases[i].name,
            sp_tlsrpt_result(&route, &hop, SP_LEVEL_PLAIN, cases[i].proof, cases[i].rc));
    }
}
END_TEST

START_TEST(a_partners_key_stands_in_the_place_of_dns)
{
    struct sp_hop hop = {.tlsa = SP_TLSA_USABLE, .tlsa_pinned = true};
    struct sp_route route = {
        .hops = &hop, .hop_count = 1, .mx_secure = true, .must = SP_LEVEL_AUTHENTICATED};
    struct sp_hop_proof proof = {.tls = true, .dane_ok = true};
    struct sp_hop_verdict v = sp_hop_judge(&route, &hop, &proof, SP_OK);

    ck_assert(!v.broken);
    ck_assert_int_eq(v.level, SP_LEVEL_AUTHENTICATED);
    ck_assert_int_eq(v.dane_why, SP_E_DANE_NONE);
    proof.dane_ok = false;
    proof.chain_ok = proof.name_ok = true;
    v = sp_hop_judge(&route, &hop, &proof, SP_OK);
    ck_assert(v.broken);
    ck_assert_int_eq(v.auth_why, SP_E_PARTNER_KEY);
    proof.tls = false;
    ck_assert(sp_hop_judge(&route, &hop, &proof, SP_E_TLS_ABSENT).broken);
}
END_TEST

START_TEST(a_partner_below_its_level_is_broken)
{
    struct sp_hop hop = {.tlsa = SP_TLSA_NONE, .tlsa_why = SP_E_DANE_NONE};
    struct sp_route route = {
        .hops = &hop, .hop_count = 1, .sts_why = SP_E_STS_NONE, .must = SP_LEVEL_AUTHENTICATED};
    struct sp_hop_proof proof = {.tls = true, .chain_ok = true, .name_ok = true};

    ck_assert(sp_hop_judge(&route, &hop, &proof, SP_OK).broken);
    route.must = SP_LEVEL_VERIFIED;
    ck_assert(!sp_hop_judge(&route, &hop, &proof, SP_OK).broken);
    route.must = SP_LEVEL_DANE;
    ck_assert(sp_hop_judge(&route, &hop, &proof, SP_OK).broken);
}
END_TEST

START_TEST(a_policy_that_could_not_be_had_is_told)
{
    static const struct sp_hop_proof good = {.tls = true, .chain_ok = true, .name_ok = true};
    static const struct {
        enum sp_rc txt;
        enum sp_rc why;
        const char *policy;
        const char *result;
    } cases[] = {
        {SP_OK, SP_E_FETCH_STATUS, "sts", "sts-policy-fetch-error"},
        {SP_OK, SP_E_TIMEOUT, "sts", "sts-policy-fetch-error"},
        {SP_OK, SP_E_DNS_SERVFAIL, "sts", "sts-policy-fetch-error"},
        {SP_OK, SP_E_TLS_UNTRUSTED, "sts", "sts-webpki-invalid"},
        {SP_OK, SP_E_STS_INVALID, "sts", "sts-policy-invalid"},
        {SP_OK, SP_E_LIMIT, "sts", "sts-policy-invalid"},
        {SP_OK, SP_E_STS_NONE, "no-policy-found", "success"},
        {SP_E_STS_NONE, SP_E_STS_NONE, "no-policy-found", "success"},
        {SP_E_DNS_SERVFAIL, SP_E_DNS_SERVFAIL, "no-policy-found", "success"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_hop hop = {.tlsa = SP_TLSA_NONE};
        struct sp_route route = {.sts_txt = cases[i].txt, .sts_why = cases[i].why};

        ck_assert_msg(strcmp(sp_tlsrpt_policy(&route, &hop, SP_LEVEL_PLAIN), cases[i].policy) == 0,
                      "case %zu", i);
        ck_assert_msg(strcmp(sp_tlsrpt_result(&route, &hop, SP_LEVEL_PLAIN, &good, SP_OK),
                             cases[i].result) == 0,
                      "case %zu: %s", i,
                      sp_tlsrpt_result(&route, &hop, SP_LEVEL_PLAIN, &good, SP_OK));
    }
}
END_TEST

START_TEST(dane_that_we_demand_and_dns_that_does_not_hold_are_told)
{
    static const struct sp_hop_proof good = {.tls = true, .chain_ok = true, .name_ok = true};
    static const struct sp_hop_proof dane = {.tls = true, .dane_ok = true};
    struct sp_hop hop = {.tlsa = SP_TLSA_NONE, .sts_match = true};
    struct sp_route route = {.sts = {.mode = SP_STS_MODE_ENFORCE}, .mx_secure = true};

    ck_assert_str_eq(sp_tlsrpt_policy(&route, &hop, SP_LEVEL_DANE), "tlsa");
    ck_assert_str_eq(sp_tlsrpt_result(&route, &hop, SP_LEVEL_DANE, &good, SP_OK), "dane-required");
    ck_assert_str_eq(sp_tlsrpt_policy(&route, &hop, SP_LEVEL_AUTHENTICATED), "sts");
    ck_assert_str_eq(sp_tlsrpt_result(&route, &hop, SP_LEVEL_AUTHENTICATED, &good, SP_OK),
                     "success");
    hop.tlsa = SP_TLSA_USABLE;
    ck_assert_str_eq(sp_tlsrpt_result(&route, &hop, SP_LEVEL_DANE, &dane, SP_OK), "success");
    ck_assert_str_eq(sp_tlsrpt_result(&route, &hop, SP_LEVEL_DANE, &good, SP_OK),
                     "validation-failure");
    ck_assert_str_eq(sp_tlsrpt_dns_result(SP_E_DNS_BOGUS), "dnssec-invalid");
    ck_assert_ptr_null(sp_tlsrpt_dns_result(SP_E_DNS_SERVFAIL));
    ck_assert_ptr_null(sp_tlsrpt_dns_result(SP_E_DNS_TIMEOUT));
}
END_TEST

START_TEST(a_record_is_one_and_well_formed_or_none)
{
    static const struct {
        const char *txt[2];
        size_t uris; /* 0: none */
        const char *last;
    } cases[] = {
        {{"v=TLSRPTv1; rua=mailto:tls@a.test"}, 1, "mailto:tls@a.test"},
        {{"v=TLSRPTv1;rua=mailto:a@a.test , https://r.a.test/x;"}, 2, "https://r.a.test/x"},
        {{"v=spf1 -all", "v=TLSRPTv1 ; ext=1; rua=mailto:a@a.test"}, 1, "mailto:a@a.test"},
        {{"v=TLSRPTv1; rua=mailto:a@a.test", "v=TLSRPTv1; rua=mailto:b@a.test"}, 0, NULL},
        {{"v=TLSRPTv1"}, 0, NULL},
        {{"v=TLSRPTv1;"}, 0, NULL},
        {{"v=TLSRPTv1; rua="}, 0, NULL},
        {{"v=TLSRPTv1; rua=mailto:a@a.test; rua=mailto:b@a.test"}, 0, NULL},
        {{"v=TLSRPTv1; rua=mailto:a@a.test,"}, 0, NULL},
        {{"v=TLSRPTv1; rua=mailto:a@a.test,,mailto:b@a.test"}, 0, NULL},
        {{"v=TLSRPTv1; rua=mailto:a b@a.test"}, 0, NULL},
        {{"v=TLSRPTv1; nonsense; rua=mailto:a@a.test"}, 0, NULL},
        {{"v=TLSRPTv2; rua=mailto:a@a.test"}, 0, NULL},
        {{"V=TLSRPTv1; rua=mailto:a@a.test"}, 0, NULL},
        {{NULL}, 0, NULL},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_tlsrpt_record r = {.uri_count = 0};
        struct sp_bytes txt[2];
        size_t n = 0;
        enum sp_rc rc;

        for (; n < 2 && cases[i].txt[n] != NULL; n++)
            txt[n] = sp_bytes_cstr(cases[i].txt[n]);
        rc = sp_tlsrpt_record_parse(txt, n, &r);
        ck_assert_msg((rc == SP_OK) == (cases[i].uris > 0), "case %zu", i);
        ck_assert_msg(r.uri_count == cases[i].uris, "case %zu: %zu", i, r.uri_count);
        if (rc == SP_OK)
            ck_assert_msg(sp_bytes_eq(r.uris[r.uri_count - 1], sp_bytes_cstr(cases[i].last)),
                          "case %zu", i);
    }
}
END_TEST

START_TEST(a_report_goes_to_one_address_or_one_host)
{
    static const struct {
        const char *uri;
        const char *to; /* address, or host; NULL: refused */
        const char *path;
        unsigned port;
    } cases[] = {
        {"mailto:tls@a.test", "tls@a.test", NULL, 0},
        {"MAILTO:t%6cs@a.test", "tls@a.test", NULL, 0},
        {"mailto:tls@a.test?subject=x", "tls@a.test", NULL, 0},
        {"mailto:a@a.test%2Cb@a.test", NULL, NULL, 0},
        {"mailto:a%0d%0aRCPT@a.test", NULL, NULL, 0},
        {"mailto:a@[127.0.0.1]", NULL, NULL, 0},
        {"mailto:", NULL, NULL, 0},
        {"mailto:a%4", NULL, NULL, 0},
        {"https://r.a.test/v1/x?y=1", "r.a.test", "/v1/x?y=1", 443},
        {"https://r.a.test:8443", "r.a.test", "/", 8443},
        {"https://r.a.test:0/", NULL, NULL, 0},
        {"https://r.a.test:65536/", NULL, NULL, 0},
        {"https://u@r.a.test/", NULL, NULL, 0},
        {"https://127.0.0.1/", NULL, NULL, 0},
        {"https://[::1]/", NULL, NULL, 0},
        {"https://r..test/", NULL, NULL, 0},
        {"https://r.a.test/#f", NULL, NULL, 0},
        {"https:///x", NULL, NULL, 0},
        {"http://r.a.test/", NULL, NULL, 0},
        {"ftp://r.a.test/", NULL, NULL, 0},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_tlsrpt_uri u = {.port = 0};
        bool ok = sp_tlsrpt_uri_parse(sp_bytes_cstr(cases[i].uri), &u);

        ck_assert_msg(ok == (cases[i].to != NULL), "%s", cases[i].uri);
        if (!ok)
            continue;
        ck_assert_msg(sp_bytes_eq(u.is_mail ? sp_bytes(u.address, u.address_len) : u.host,
                                  sp_bytes_cstr(cases[i].to)),
                      "%s", cases[i].uri);
        ck_assert_uint_eq(u.port, cases[i].port);
        if (!u.is_mail)
            ck_assert_msg(sp_bytes_eq(u.path, sp_bytes_cstr(cases[i].path)), "%s", cases[i].uri);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, each_session_has_its_policy_and_result);
    tcase_add_test(c, a_partners_key_stands_in_the_place_of_dns);
    tcase_add_test(c, a_partner_below_its_level_is_broken);
    tcase_add_test(c, a_policy_that_could_not_be_had_is_told);
    tcase_add_test(c, dane_that_we_demand_and_dns_that_does_not_hold_are_told);
    tcase_add_test(c, a_record_is_one_and_well_formed_or_none);
    tcase_add_test(c, a_report_goes_to_one_address_or_one_host);
}

SP_TEST_MAIN("transport.tlsrpt", add)
