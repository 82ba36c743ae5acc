/*
 * DANE through and through: every usage, selector and matching type, of the certificate shown and of another, with a wrong
 * name and past its time; and of several digests only the strongest (RFC 7671 9, RFC 7672 2.1.3, 3.1).
 */
#include "shake.h"

#define DAY_S 86400

static struct pki_cert ca, other_ca, good, expired, other;

/* Shows a certificate to a client that knows these records. returns: what they proved */
static enum sp_tls_dane shake(const struct pki_cert *shown, struct sp_bytes name,
                              const struct record *records, size_t count)
{
    struct shake s = {.certificate_pem = shown->certificate_pem,
                      .key_pem = shown->key_pem,
                      .trust_pem = ca.certificate_pem,
                      .name = name,
                      .records = records,
                      .count = count};

    shake_hands(&s);
    return s.dane;
}

START_TEST(each_kind_of_record_proves_its_own_and_nothing_else)
{
    static const struct sp_bytes right = SP_LIT_INIT("mx.example");
    static const struct sp_bytes wrong = SP_LIT_INIT("mx.elsewhere");

    for (uint8_t usage = 2; usage <= 3; usage++) {
        const struct pki_cert *own = usage == 2 ? &ca : &good;
        const struct pki_cert *strange = usage == 2 ? &other_ca : &other;
        enum sp_tls_dane proved = usage == 2 ? SP_TLS_DANE_TA : SP_TLS_DANE_EE;
        /* usage 2 looks at name and time, usage 3 at neither (RFC 7672 3.1.1, 3.1.2) */
        enum sp_tls_dane lax = usage == 2 ? SP_TLS_DANE_MISMATCH : SP_TLS_DANE_EE;

        for (uint8_t kind = 0; kind < 6; kind++) {
            uint8_t selector = kind / 3;
            uint8_t matching = kind % 3;
            struct record r;

            make_record(&r, own, usage, selector, matching);
            ck_assert_msg(shake(&good, right, &r, 1) == proved, "%u %u %u", usage, selector,
                          matching);
            ck_assert_msg(shake(&good, wrong, &r, 1) == lax, "%u %u %u, wrong name", usage,
                          selector, matching);
            make_record(&r, strange, usage, selector, matching);
            ck_assert_msg(shake(&good, right, &r, 1) == SP_TLS_DANE_MISMATCH, "%u %u %u of another",
                          usage, selector, matching);
            make_record(&r, usage == 2 ? &ca : &expired, usage, selector, matching);
            ck_assert_msg(shake(&expired, right, &r, 1) == lax, "%u %u %u, expired", usage,
                          selector, matching);
        }
    }
}
END_TEST

START_TEST(of_several_digests_the_strongest_counts)
{
    static const struct sp_bytes name = SP_LIT_INIT("mx.example");
    const struct {
        const char *what;
        struct {
            const struct pki_cert *of;
            uint8_t usage, selector, matching;
        } records[2];
        enum sp_tls_dane dane;
    } cases[] = {
        {"the stronger is another's", {{&other, 3, 1, 2}, {&good, 3, 1, 1}}, SP_TLS_DANE_MISMATCH},
        {"the stronger is ours", {{&other, 3, 1, 1}, {&good, 3, 1, 2}}, SP_TLS_DANE_EE},
        {"each selector by itself", {{&other, 3, 0, 2}, {&good, 3, 1, 1}}, SP_TLS_DANE_EE},
        {"each usage by itself", {{&other, 3, 1, 2}, {&ca, 2, 1, 1}}, SP_TLS_DANE_TA},
        {"the whole is no digest", {{&other, 3, 1, 2}, {&good, 3, 1, 0}}, SP_TLS_DANE_EE},
        {"of one strength either will do", {{&other, 3, 1, 1}, {&good, 3, 1, 1}}, SP_TLS_DANE_EE},
        {"PKIX usages beside it are nothing",
         {{&good, 1, 1, 1}, {&other, 3, 1, 1}},
         SP_TLS_DANE_MISMATCH},
        {"and alone are unusable", {{&good, 1, 1, 1}, {&ca, 0, 1, 1}}, SP_TLS_DANE_UNUSABLE},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct record r[2];

        for (size_t k = 0; k < 2; k++)
            make_record(&r[k], cases[i].records[k].of, cases[i].records[k].usage,
                        cases[i].records[k].selector, cases[i].records[k].matching);
        ck_assert_msg(shake(&good, name, r, 2) == cases[i].dane, "%s", cases[i].what);
    }
}
END_TEST

static void set_up(void)
{
    pki_make(&ca, &(struct pki_wish){"Test CA", NULL, NULL, -DAY_S, DAY_S, false, 0, false});
    pki_make(&other_ca, &(struct pki_wish){"Other CA", NULL, NULL, -DAY_S, DAY_S, false, 0, false});
    pki_make(&good,
             &(struct pki_wish){"mx.example", "serverAuth", &ca, -DAY_S, DAY_S, false, 0, false});
    pki_make(&expired, &(struct pki_wish){"mx.example", "serverAuth", &ca, -2 * DAY_S, -DAY_S,
                                          false, 0, false});
    pki_make(&other, &(struct pki_wish){"mx.example", "serverAuth", &other_ca, -DAY_S, DAY_S, false,
                                        0, false});
}

static void tear_down(void)
{
    pki_clear(&ca);
    pki_clear(&other_ca);
    pki_clear(&good);
    pki_clear(&expired);
    pki_clear(&other);
}

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, each_kind_of_record_proves_its_own_and_nothing_else);
    tcase_add_test(c, of_several_digests_the_strongest_counts);
}

SP_TEST_MAIN("tls.dane", add)
