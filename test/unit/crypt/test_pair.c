/*
 * A certificate and a key as a server wants them: what is good, and each way in which it is not, named.
 */
#include "crypt/pair.h"

#include "base/buf.h"
#include "support/check_main.h"
#include "unit/tls/pki.h"

#include <string.h>

#define DAY_S 86400

static struct pki_cert ca, stranger, leaf, rsa, weak, expired;

static void make(struct pki_cert *c, const struct pki_cert *issuer, int to_s, unsigned rsa_bits)
{
    pki_make(c, &(struct pki_wish){.name = issuer == NULL ? "CA" : "mx.example",
                                   .issuer = issuer,
                                   .from_s = -2 * DAY_S,
                                   .to_s = to_s,
                                   .rsa_bits = rsa_bits});
}

static void set_up(void)
{
    make(&ca, NULL, DAY_S, 0);
    pki_make(&stranger, &(struct pki_wish){.name = "Stranger", .from_s = 0, .to_s = DAY_S});
    make(&leaf, &ca, DAY_S, 0);
    make(&rsa, &ca, DAY_S, 2048);
    make(&weak, &ca, DAY_S, 1024);
    make(&expired, &ca, -DAY_S, 0);
}

static void tear_down(void)
{
    struct pki_cert *all[] = {&ca, &stranger, &leaf, &rsa, &weak, &expired};

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        pki_clear(all[i]);
}

START_TEST(pairs_that_are_good)
{
    const struct pki_cert *good[] = {&leaf, &rsa, &expired};
    static const int to_s[] = {DAY_S, DAY_S, -DAY_S};

    for (size_t i = 0; i < SP_ARRAY_LEN(good); i++) {
        struct sp_pair what;
        struct sp_err err = {0};

        ck_assert_msg(sp_pair_check(sp_bytes_cstr(good[i]->certificate_pem),
                                    sp_bytes_cstr(good[i]->key_pem), &what, &err) == SP_OK,
                      "%s", err.text);
        ck_assert_uint_eq(strlen(what.sha256), SP_PAIR_DIGEST_LEN);
        ck_assert_uint_eq(strspn(what.sha256, "0123456789abcdef"), SP_PAIR_DIGEST_LEN);
        ck_assert_int_eq((what.not_after_ms - what.not_before_ms) / 1000, to_s[i] + 2 * DAY_S);
    }
}
END_TEST

START_TEST(pairs_that_are_not)
{
    char chain[2 * sizeof(leaf.certificate_pem)], cut[sizeof(leaf.certificate_pem)];
    const struct {
        const char *what;
        const char *certificate, *key, *says;
    } rows[] = {
        {"another's key", leaf.certificate_pem, rsa.key_pem, "does not belong"},
        {"a key of the same kind", leaf.certificate_pem, expired.key_pem, "does not belong"},
        {"weak", weak.certificate_pem, weak.key_pem, "too weak"},
        {"no key", leaf.certificate_pem, "", "no private key"},
        {"a certificate for a key", leaf.certificate_pem, leaf.certificate_pem, "no private key"},
        {"nothing", "", leaf.key_pem, "no certificate"},
        {"a key for a certificate", leaf.key_pem, leaf.key_pem, "no certificate"},
        {"cut off", cut, leaf.key_pem, "can't be read"},
        {"a chain of others", chain, leaf.key_pem, "certificate 2 of the file is not signed by"},
    };

    snprintf(chain, sizeof(chain), "%s%s", leaf.certificate_pem, stranger.certificate_pem);
    memcpy(cut, leaf.certificate_pem, sizeof(cut));
    cut[300] = '\0';
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_pair what;
        struct sp_err err = {0};

        ck_assert_msg(sp_pair_check(sp_bytes_cstr(rows[i].certificate), sp_bytes_cstr(rows[i].key),
                                    &what, &err) == SP_E_TLS_CONFIG,
                      "%s", rows[i].what);
        ck_assert_msg(strstr(err.text, rows[i].says) != NULL, "%s: %s", rows[i].what, err.text);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, set_up, tear_down);
    tcase_add_test(c, pairs_that_are_good);
    tcase_add_test(c, pairs_that_are_not);
}

SP_TEST_MAIN("crypt.pair", add)
