/*
 * The 54 cases of OpenSSL's own DANE test (test/danetest.in of its 3.0), told in words: which records there are, which
 * certificates the server shows, and what that proves. The certificates are made here, since a handshake needs their keys:
 * a leaf for example.com under an issuer under a root, one for example.org under others, and one that has no name and was
 * never valid. Two things are ours: usages 0 and 1, half of them, prove nothing to SMTP (RFC 7672 3.1.3), and the last case
 * asks OpenSSL for name checks with usage 3, which RFC 7672 3.1.1 forbids. Of several that match the best is told.
 */
#include "shake.h"

#define DAY_S 86400

static struct pki_cert root, issuer, leaf, root2, issuer2, other, nobody;

static const struct dane_case {
    int number; /* in OpenSSL's file */
    struct {
        uint8_t usage, selector, matching;
        const struct pki_cert *of;
        bool is_wrong; /* with a bit turned */
    } records[2];      /* the first is to match */
    size_t count;
    const struct pki_cert *chain[3]; /* leaf first */
    enum sp_tls_dane dane;
} cases[] = {
    {1, {{3, 0, 0, &nobody, false}}, 1, {&nobody}, SP_TLS_DANE_EE},
    {2, {{3, 1, 0, &nobody, false}}, 1, {&nobody}, SP_TLS_DANE_EE},
    {3, {{3, 0, 1, &nobody, false}}, 1, {&nobody}, SP_TLS_DANE_EE},
    {4, {{3, 1, 1, &nobody, false}}, 1, {&nobody}, SP_TLS_DANE_EE},
    {5, {{3, 0, 2, &nobody, false}}, 1, {&nobody}, SP_TLS_DANE_EE},
    {6, {{3, 1, 2, &nobody, false}}, 1, {&nobody}, SP_TLS_DANE_EE},
    {7, {{3, 0, 1, &nobody, true}}, 1, {&nobody}, SP_TLS_DANE_MISMATCH},
    {8, {{3, 1, 1, &nobody, true}}, 1, {&nobody}, SP_TLS_DANE_MISMATCH},
    {9, {{3, 0, 2, &nobody, true}}, 1, {&nobody}, SP_TLS_DANE_MISMATCH},
    {10, {{3, 1, 2, &nobody, true}}, 1, {&nobody}, SP_TLS_DANE_MISMATCH},
    {11, {{3, 0, 1, &leaf, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_EE},
    {12, {{3, 1, 1, &leaf, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_EE},
    {13, {{3, 0, 2, &leaf, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_EE},
    {14, {{3, 1, 2, &leaf, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_EE},
    {15, {{2, 0, 1, &issuer, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {16, {{2, 1, 1, &issuer, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {17, {{2, 0, 2, &issuer, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {18, {{2, 1, 2, &issuer, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {19, {{2, 0, 1, &root, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {20, {{2, 1, 1, &root, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {21, {{2, 0, 2, &root, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {22, {{2, 1, 2, &root, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_TA},
    {23, {{1, 0, 0, &leaf, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {24, {{1, 1, 0, &leaf, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {25, {{1, 0, 1, &leaf, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {26, {{1, 1, 1, &leaf, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {27, {{1, 0, 2, &leaf, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {28, {{1, 1, 2, &leaf, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {29, {{0, 0, 1, &issuer, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {30, {{0, 1, 0, &issuer, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {31, {{0, 1, 1, &issuer, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {32, {{0, 0, 2, &issuer, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {33, {{0, 1, 2, &issuer, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {34, {{0, 0, 1, &root, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {35, {{0, 1, 1, &root, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {36, {{0, 0, 2, &root, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {37, {{0, 1, 2, &root, false}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {38, {{1, 0, 1, &leaf, false}}, 1, {&leaf}, SP_TLS_DANE_UNUSABLE},
    {39, {{1, 1, 1, &leaf, false}, {0, 0, 0, &issuer, false}}, 2, {&leaf}, SP_TLS_DANE_UNUSABLE},
    {40, {{1, 0, 2, &leaf, true}}, 1, {&leaf, &issuer, &root}, SP_TLS_DANE_UNUSABLE},
    {41, {{0, 0, 1, &issuer, true}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {42, {{0, 0, 1, &root, true}}, 1, {&leaf, &issuer}, SP_TLS_DANE_UNUSABLE},
    {43,
     {{3, 1, 2, &leaf, false}, {2, 1, 2, &root, false}},
     2,
     {&leaf, &issuer, &root},
     SP_TLS_DANE_EE},
    {44,
     {{2, 1, 2, &issuer, false}, {2, 1, 2, &root, false}},
     2,
     {&leaf, &issuer, &root},
     SP_TLS_DANE_TA},
    {45,
     {{2, 0, 1, &root, false}, {0, 0, 1, &issuer, false}},
     2,
     {&leaf, &issuer, &root},
     SP_TLS_DANE_TA},
    {46,
     {{2, 0, 1, &root, false}, {1, 0, 1, &leaf, false}},
     2,
     {&leaf, &issuer, &root},
     SP_TLS_DANE_TA},
    {47, {{2, 0, 0, &root, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_TA},
    {48, {{2, 0, 0, &issuer, false}}, 1, {&leaf}, SP_TLS_DANE_TA},
    {49, {{2, 1, 0, &issuer, false}}, 1, {&leaf}, SP_TLS_DANE_TA},
    {50, {{2, 1, 0, &root, false}}, 1, {&leaf, &issuer}, SP_TLS_DANE_TA},
    {51, {{3, 1, 1, &other, false}}, 1, {&other, &issuer2, &root2}, SP_TLS_DANE_EE},
    {52, {{2, 1, 1, &issuer2, false}}, 1, {&other, &issuer2, &root2}, SP_TLS_DANE_MISMATCH},
    {53, {{2, 1, 1, &root2, false}}, 1, {&other, &issuer2, &root2}, SP_TLS_DANE_MISMATCH},
    {54, {{3, 1, 1, &other, false}}, 1, {&other, &issuer2, &root2}, SP_TLS_DANE_EE},
};

/* Only the certificates named, in their order. */
static void write_chain(const struct dane_case *c, char *pem, size_t room)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    for (size_t i = 0; i < SP_ARRAY_LEN(c->chain) && c->chain[i] != NULL; i++)
        PEM_write_bio_X509(bio, c->chain[i]->x);
    n = BIO_read(bio, pem, (int)room - 1);
    ck_assert_int_gt(n, 0);
    pem[n] = '\0';
    BIO_free(bio);
}

START_TEST(each_of_openssls_cases_ends_as_smtp_wants_it)
{
    static struct record records[SHAKE_RECORDS_MAX];
    static char pem[16384];

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct dane_case *c = &cases[i];
        bool proves = c->dane > SP_TLS_DANE_MISMATCH;
        struct shake s = {.certificate_pem = pem,
                          .key_pem = c->chain[0]->key_pem,
                          .trust_pem = root.certificate_pem,
                          .name = SP_LIT("example.com"),
                          .records = records,
                          .count = c->count};

        ck_assert_int_eq(c->number, (int)i + 1);
        for (size_t k = 0; k < c->count; k++) {
            make_record(&records[k], c->records[k].of, c->records[k].usage, c->records[k].selector,
                        c->records[k].matching);
            if (c->records[k].is_wrong)
                records[k].data[records[k].tlsa.data.len - 1] ^= 1;
        }
        write_chain(c, pem, sizeof(pem));
        shake_hands(&s);
        ck_assert_msg(s.dane == c->dane, "case %d: %d", c->number, s.dane);
        ck_assert_msg(s.matched == (proves ? 0 : s.count), "case %d: record %zu", c->number,
                      s.matched);
    }
}
END_TEST

static void make(struct pki_cert *c, const char *name, const struct pki_cert *by, bool is_ca)
{
    struct pki_wish wish = {.name = name,
                            .usage = is_ca ? NULL : "serverAuth",
                            .issuer = by,
                            .from_s = -DAY_S,
                            .to_s = DAY_S,
                            .is_ca = is_ca};

    pki_make(c, &wish);
}

static void set_up(void)
{
    const struct pki_wish never = {.name = "", .from_s = -DAY_S, .to_s = -2 * DAY_S};

    make(&root, "Root CA", NULL, true);
    make(&issuer, "Issuer CA", &root, true);
    make(&leaf, "example.com", &issuer, false);
    make(&root2, "Root CA2", NULL, true);
    make(&issuer2, "CA2", &root2, true);
    make(&other, "example.org", &issuer2, false);
    pki_make(&nobody, &never);
}

static void tear_down(void)
{
    struct pki_cert *all[] = {&root, &issuer, &leaf, &root2, &issuer2, &other, &nobody};

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        pki_clear(all[i]);
}

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, each_of_openssls_cases_ends_as_smtp_wants_it);
}

SP_TEST_MAIN("tls.dane-cases", add)
