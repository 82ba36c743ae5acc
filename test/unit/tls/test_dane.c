/*
 * DANE through and through: every usage, selector and matching type, of the certificate shown and of another, with a wrong
 * name and past its time; and of several digests only the strongest (RFC 7671 9, RFC 7672 2.1.3, 3.1).
 */
#include "pki.h"
#include "support/check_main.h"
#include "tls/tls.h"

#include <sys/socket.h>

#define DAY_S      86400
#define RECORD_MAX 4096

static struct pki_cert ca, other_ca, good, expired, other;
static int dones;
static const struct sp_tls_proof *seen;

struct record {
    struct sp_tls_tlsa tlsa;
    uint8_t data[RECORD_MAX];
};

static void make_record(struct record *r, const struct pki_cert *of, uint8_t usage,
                        uint8_t selector, uint8_t matching)
{
    const EVP_MD *const digests[] = {NULL, EVP_sha256(), EVP_sha512()};
    unsigned char *der = NULL;
    int len =
        selector == 1 ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(of->x), &der) : i2d_X509(of->x, &der);
    unsigned digest_len = (unsigned)len;

    ck_assert(len > 0 && len <= RECORD_MAX);
    if (matching == 0)
        memcpy(r->data, der, (size_t)len);
    else
        ck_assert_int_eq(
            EVP_Digest(der, (size_t)len, r->data, &digest_len, digests[matching], NULL), 1);
    OPENSSL_free(der);
    r->tlsa = (struct sp_tls_tlsa){usage, selector, matching, sp_bytes(r->data, digest_len)};
}

static void on_input(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)arg;
    (void)why;
}

static void on_server(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    (void)arg;
    (void)proof;
    ck_assert_int_eq(rc, SP_OK);
    dones++;
}

static void on_client(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    on_server(arg, rc, proof);
    seen = proof;
}

/* Shows a certificate to a client that knows these records. returns: what they proved */
static enum sp_tls_dane shake(const struct pki_cert *shown, struct sp_bytes name,
                              const struct record *records, size_t count)
{
    static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};
    const struct sp_tls_server_config server = {.certificate_pem =
                                                    sp_bytes_cstr(shown->certificate_pem),
                                                .key_pem = sp_bytes_cstr(shown->key_pem)};
    const struct sp_tls_client_config client = {.extra_ca_pem = sp_bytes_cstr(ca.certificate_pem)};
    struct sp_tls_context *contexts[2] = {sp_tls_server_new(&server, NULL),
                                          sp_tls_client_new(&client, NULL)};
    struct sp_tls_tlsa tlsa[4];
    struct sp_tls_params params = {.timeout_ms = 10000,
                                   .server_name = name,
                                   .names = &name,
                                   .name_count = 1,
                                   .tlsa = tlsa,
                                   .tlsa_count = count};
    struct sp_loop *loop = sp_loop_new();
    struct sp_stream *ends[2];
    enum sp_tls_dane dane;
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (size_t i = 0; i < count; i++)
        tlsa[i] = records[i].tlsa;
    for (int i = 0; i < 2; i++)
        ends[i] = sp_stream_new(loop, fds[i], &events, NULL);
    dones = 0;
    sp_tls_start(ends[0], contexts[0], NULL, on_server, NULL);
    sp_tls_start(ends[1], contexts[1], &params, on_client, NULL);
    for (int i = 0; i < 5000 && dones < 2; i++)
        sp_loop_run_once(loop, 5);
    ck_assert_int_eq(dones, 2);
    dane = seen->dane;
    for (int i = 0; i < 2; i++) {
        sp_stream_free(ends[i]);
        sp_tls_context_unref(contexts[i]);
    }
    sp_loop_run_once(loop, 1);
    sp_loop_free(loop);
    return dane;
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
    pki_make(&ca, &(struct pki_wish){"Test CA", NULL, NULL, -DAY_S, DAY_S, false, 0});
    pki_make(&other_ca, &(struct pki_wish){"Other CA", NULL, NULL, -DAY_S, DAY_S, false, 0});
    pki_make(&good, &(struct pki_wish){"mx.example", "serverAuth", &ca, -DAY_S, DAY_S, false, 0});
    pki_make(&expired,
             &(struct pki_wish){"mx.example", "serverAuth", &ca, -2 * DAY_S, -DAY_S, false, 0});
    pki_make(&other,
             &(struct pki_wish){"mx.example", "serverAuth", &other_ca, -DAY_S, DAY_S, false, 0});
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
