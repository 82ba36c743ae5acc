/*
 * What a handshake is worth: every kind of promise against every kind of proof.
 */
#include "support/check_main.h"
#include "transport/route.h"

/* proofs */
#define P_NONE                                                                                     \
    {                                                                                              \
        0                                                                                          \
    }
#define P_ANY                                                                                      \
    {                                                                                              \
        .tls = true                                                                                \
    }
#define P_PKIX                                                                                     \
    {                                                                                              \
        .tls = true, .chain_ok = true, .name_ok = true                                             \
    }
#define P_NAME                                                                                     \
    {                                                                                              \
        .tls = true, .chain_ok = true                                                              \
    }
#define P_EXPIRED                                                                                  \
    {                                                                                              \
        .tls = true, .name_ok = true, .expired = true                                              \
    }
#define P_DANE                                                                                     \
    {                                                                                              \
        .tls = true, .dane_ok = true                                                               \
    }
#define P_PIN                                                                                      \
    {                                                                                              \
        .tls = true, .chain_ok = true, .pin_ok = true                                              \
    }

static const struct {
    const char *name;
    enum sp_tlsa_state tlsa;
    bool mx_insecure;
    enum sp_sts_mode sts;
    bool sts_other; /* the host is none of the policy's */
    const char *pin;
    struct sp_hop_proof proof;
    bool broken;
    enum sp_level level;
    enum sp_rc dane, auth, verified, tls;
} cases[] = {
    {.name = "nothing promised, no TLS",
     .proof = P_NONE,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_TLS_ABSENT,
     .verified = SP_E_TLS_ABSENT,
     .tls = SP_E_TLS_ABSENT},
    {.name = "any certificate",
     .proof = P_ANY,
     .level = SP_LEVEL_ENCRYPTED,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_UNTRUSTED},
    {.name = "expired",
     .proof = P_EXPIRED,
     .level = SP_LEVEL_ENCRYPTED,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_EXPIRED},
    {.name = "wrong name",
     .proof = P_NAME,
     .level = SP_LEVEL_ENCRYPTED,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_NAME},
    {.name = "verified",
     .proof = P_PKIX,
     .level = SP_LEVEL_VERIFIED,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_STS_NONE},
    {.name = "DANE", .tlsa = SP_TLSA_USABLE, .proof = P_DANE, .level = SP_LEVEL_DANE},
    {.name = "DANE mismatch",
     .tlsa = SP_TLSA_USABLE,
     .proof = P_ANY,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_TLS_DANE,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_UNTRUSTED},
    {.name = "DANE mismatch of a good PKIX chain",
     .tlsa = SP_TLSA_USABLE,
     .proof = P_PKIX,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_TLS_DANE,
     .auth = SP_E_STS_NONE},
    {.name = "DANE, no TLS",
     .tlsa = SP_TLSA_USABLE,
     .proof = P_NONE,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_TLS_ABSENT,
     .auth = SP_E_TLS_ABSENT,
     .verified = SP_E_TLS_ABSENT,
     .tls = SP_E_TLS_ABSENT},
    {.name = "DANE behind an unsigned MX",
     .tlsa = SP_TLSA_USABLE,
     .mx_insecure = true,
     .proof = P_DANE,
     .level = SP_LEVEL_ENCRYPTED,
     .dane = SP_E_DANE_UNSIGNED,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_UNTRUSTED},
    {.name = "DANE mismatch behind an unsigned MX",
     .tlsa = SP_TLSA_USABLE,
     .mx_insecure = true,
     .proof = P_PKIX,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_TLS_DANE,
     .auth = SP_E_STS_NONE},
    {.name = "unusable TLSA: any TLS will do",
     .tlsa = SP_TLSA_UNUSABLE,
     .proof = P_ANY,
     .level = SP_LEVEL_ENCRYPTED,
     .dane = SP_E_DANE_UNUSABLE,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_UNTRUSTED},
    {.name = "unusable TLSA: but TLS it must be",
     .tlsa = SP_TLSA_UNUSABLE,
     .proof = P_NONE,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_DANE_UNUSABLE,
     .auth = SP_E_TLS_ABSENT,
     .verified = SP_E_TLS_ABSENT,
     .tls = SP_E_TLS_ABSENT},
    {.name = "STS enforce kept",
     .sts = SP_STS_MODE_ENFORCE,
     .proof = P_PKIX,
     .level = SP_LEVEL_AUTHENTICATED,
     .dane = SP_E_DANE_NONE},
    {.name = "STS enforce, expired",
     .sts = SP_STS_MODE_ENFORCE,
     .proof = P_EXPIRED,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_TLS_EXPIRED,
     .verified = SP_E_TLS_EXPIRED},
    {.name = "STS enforce, host not in it",
     .sts = SP_STS_MODE_ENFORCE,
     .sts_other = true,
     .proof = P_PKIX,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_STS_MX},
    {.name = "STS enforce, no TLS",
     .sts = SP_STS_MODE_ENFORCE,
     .proof = P_NONE,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_TLS_ABSENT,
     .verified = SP_E_TLS_ABSENT,
     .tls = SP_E_TLS_ABSENT},
    {.name = "STS testing binds nothing",
     .sts = SP_STS_MODE_TESTING,
     .proof = P_ANY,
     .level = SP_LEVEL_ENCRYPTED,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_STS_NONE,
     .verified = SP_E_TLS_UNTRUSTED},
    {.name = "DANE beats STS",
     .tlsa = SP_TLSA_USABLE,
     .sts = SP_STS_MODE_ENFORCE,
     .sts_other = true,
     .proof = P_DANE,
     .level = SP_LEVEL_DANE},
    {.name = "DANE behind an unsigned MX does not beat STS",
     .tlsa = SP_TLSA_USABLE,
     .mx_insecure = true,
     .sts = SP_STS_MODE_ENFORCE,
     .proof = P_DANE,
     .broken = true,
     .level = SP_LEVEL_PLAIN,
     .dane = SP_E_DANE_UNSIGNED,
     .auth = SP_E_TLS_UNTRUSTED,
     .verified = SP_E_TLS_UNTRUSTED},
    {.name = "pinned name",
     .pin = "partner.test",
     .proof = P_PIN,
     .level = SP_LEVEL_AUTHENTICATED,
     .dane = SP_E_DANE_NONE,
     .verified = SP_E_TLS_NAME},
    {.name = "pinned name not shown",
     .pin = "partner.test",
     .proof = P_PKIX,
     .level = SP_LEVEL_VERIFIED,
     .dane = SP_E_DANE_NONE,
     .auth = SP_E_TLS_NAME},
};

START_TEST(a_promise_that_is_not_kept_breaks_the_host_and_no_promise_only_lowers)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_route r = {.mx_secure = !cases[i].mx_insecure,
                             .pin = sp_bytes_cstr(cases[i].pin),
                             .sts_why =
                                 cases[i].sts == SP_STS_MODE_ENFORCE ? SP_OK : SP_E_STS_NONE};
        struct sp_hop h = {.tlsa = cases[i].tlsa, .sts_match = !cases[i].sts_other};
        struct sp_hop_verdict v;

        r.sts.mode = cases[i].sts;
        h.tlsa_why = h.tlsa == SP_TLSA_USABLE     ? SP_OK
                     : h.tlsa == SP_TLSA_UNUSABLE ? SP_E_DANE_UNUSABLE
                                                  : SP_E_DANE_NONE;
        v = sp_hop_judge(&r, &h, &cases[i].proof, SP_OK);
        ck_assert_msg(v.broken == cases[i].broken, "%s: broken %d", cases[i].name, v.broken);
        ck_assert_msg(v.level == cases[i].level, "%s: %s", cases[i].name, sp_level_name(v.level));
        ck_assert_msg(v.dane_why == cases[i].dane, "%s: dane %s", cases[i].name,
                      sp_rc_name(v.dane_why));
        ck_assert_msg(v.auth_why == cases[i].auth, "%s: auth %s", cases[i].name,
                      sp_rc_name(v.auth_why));
        ck_assert_msg(v.verified_why == cases[i].verified, "%s: verified %s", cases[i].name,
                      sp_rc_name(v.verified_why));
        ck_assert_msg(v.tls_why == cases[i].tls, "%s: tls %s", cases[i].name,
                      sp_rc_name(v.tls_why));
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_promise_that_is_not_kept_breaks_the_host_and_no_promise_only_lowers);
}

SP_TEST_MAIN("transport.judge", add)
