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
         "success"},
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

        ck_assert_msg(strcmp(sp_tlsrpt_policy(&route, &hop), cases[i].policy) == 0, "%s",
                      cases[i].name);
        ck_assert_msg(strcmp(sp_tlsrpt_result(&route, &hop, cases[i].proof, cases[i].rc),
                             cases[i].result) == 0,
                      "%s: %s", cases[i].name,
                      sp_tlsrpt_result(&route, &hop, cases[i].proof, cases[i].rc));
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

static void add(TCase *c)
{
    tcase_add_test(c, each_session_has_its_policy_and_result);
    tcase_add_test(c, a_partners_key_stands_in_the_place_of_dns);
    tcase_add_test(c, a_partner_below_its_level_is_broken);
}

SP_TEST_MAIN("transport.tlsrpt", add)
