/*
 * OCSP staples and weak keys, shown by a server that is OpenSSL's own in a child: what a certificate that must staple proves
 * with, without and with a bad staple, and that a key below 112 bits proves nothing and ends no handshake.
 */
#include "pki.h"
#include "support/check_main.h"
#include "tls/tls.h"

#include <fcntl.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY_S 86400

static struct sp_loop *loop;
static struct pki_cert ca, other_ca, plain, stapling, weak;
static int dones;
static enum sp_rc done_rc;
static const struct sp_tls_proof *done_proof;

enum staple { NONE, GOOD, REVOKED, OLD, OF_ANOTHER, BY_ANOTHER, NONSENSE };

static void done(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    (void)arg;
    dones++;
    done_rc = rc;
    done_proof = proof;
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

static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};

/* returns: the DER of a response, for OPENSSL_free */
static unsigned char *make_staple(const struct pki_cert *leaf, enum staple kind, int *len)
{
    const struct pki_cert *signer = kind == BY_ANOTHER ? &other_ca : &ca;
    const struct pki_cert *about = kind == OF_ANOTHER ? &plain : leaf;
    int to_s = kind == OLD ? -DAY_S : DAY_S;
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, about->x, ca.x);
    ASN1_TIME *from = X509_gmtime_adj(NULL, -2 * DAY_S);
    ASN1_TIME *to = X509_gmtime_adj(NULL, to_s);
    OCSP_RESPONSE *response;
    unsigned char *der = NULL;

    OCSP_basic_add1_status(basic, id,
                           kind == REVOKED ? V_OCSP_CERTSTATUS_REVOKED : V_OCSP_CERTSTATUS_GOOD, 0,
                           kind == REVOKED ? from : NULL, from, to);
    ck_assert_int_eq(OCSP_basic_sign(basic, signer->x, signer->key, EVP_sha256(), NULL, 0), 1);
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    *len = i2d_OCSP_RESPONSE(response, &der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    return der;
}

struct shown {
    const struct pki_cert *leaf;
    enum staple staple;
};

static int on_status(SSL *ssl, void *arg)
{
    const struct shown *s = arg;
    unsigned char *der;
    int len;

    if (s->staple == NONE)
        return SSL_TLSEXT_ERR_NOACK;
    if (s->staple == NONSENSE) {
        der = OPENSSL_zalloc(10);
        len = 10;
    } else {
        der = make_staple(s->leaf, s->staple, &len);
    }
    SSL_set_tlsext_status_ocsp_resp(ssl, der, len);
    return SSL_TLSEXT_ERR_OK;
}

/* The child: one handshake, then until the peer goes. */
static void serve(int fd, const struct shown *s, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char byte;
    SSL *ssl;

    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_use_certificate(ctx, s->leaf->x);
    SSL_CTX_use_PrivateKey(ctx, s->leaf->key);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(ctx, (void *)s);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        while (SSL_read(ssl, &byte, 1) > 0)
            ;
    _exit(0);
}

/* Shakes hands with a child that shows a certificate and a staple. fn: looks at the proof */
static void shake(const struct shown *s, int version, const struct sp_tls_tlsa *tlsa,
                  void (*fn)(const struct sp_tls_proof *p, const void *arg), const void *arg)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    const struct sp_tls_client_config config = {.extra_ca_pem = sp_bytes_cstr(ca.certificate_pem)};
    struct sp_tls_params params = {.timeout_ms = 10000,
                                   .server_name = names[0],
                                   .names = names,
                                   .name_count = 1,
                                   .tlsa = tlsa,
                                   .tlsa_count = tlsa == NULL ? 0 : 1};
    struct sp_tls_context *ctx = sp_tls_client_new(&config, NULL);
    struct sp_stream *stream;
    int fds[2];
    pid_t child;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        serve(fds[1], s, version);
    }
    close(fds[1]);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    loop = sp_loop_new();
    stream = sp_stream_new(loop, fds[0], &events, NULL);
    dones = 0;
    sp_tls_start(stream, ctx, &params, done, NULL);
    for (int i = 0; i < 10000 && dones == 0; i++)
        sp_loop_run_once(loop, 5);
    ck_assert_int_eq(dones, 1);
    ck_assert_int_eq(done_rc, SP_OK);
    fn(done_proof, arg);
    sp_stream_free(stream);
    sp_loop_run_once(loop, 1);
    sp_tls_context_unref(ctx);
    sp_loop_free(loop);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

struct wanted {
    const char *name;
    enum sp_rc chain;
};

static void expect(const struct sp_tls_proof *p, const void *arg)
{
    const struct wanted *w = arg;

    ck_assert_msg(p->chain == w->chain, "%s: %s", w->name, sp_rc_name(p->chain));
    ck_assert_msg((strcmp(p->verified_by, "pkix") == 0) == (w->chain == SP_OK), "%s: %s", w->name,
                  p->verified_by);
}

START_TEST(what_must_staple_proves_nothing_without)
{
    const struct {
        struct wanted w;
        const struct pki_cert *leaf;
        enum staple staple;
    } cases[] = {
        {{"nothing asked, nothing shown", SP_OK}, &plain, NONE},
        {{"nothing asked, good", SP_OK}, &plain, GOOD},
        {{"nothing asked, nonsense", SP_OK}, &plain, NONSENSE},
        {{"nothing asked, revoked", SP_E_TLS_REVOKED}, &plain, REVOKED},
        {{"nothing asked, revoked by a stranger", SP_OK}, &plain, BY_ANOTHER},
        {{"asked, good", SP_OK}, &stapling, GOOD},
        {{"asked, none", SP_E_TLS_STAPLE}, &stapling, NONE},
        {{"asked, revoked", SP_E_TLS_REVOKED}, &stapling, REVOKED},
        {{"asked, old", SP_E_TLS_STAPLE}, &stapling, OLD},
        {{"asked, of another certificate", SP_E_TLS_STAPLE}, &stapling, OF_ANOTHER},
        {{"asked, signed by another", SP_E_TLS_STAPLE}, &stapling, BY_ANOTHER},
        {{"asked, nonsense", SP_E_TLS_STAPLE}, &stapling, NONSENSE},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct shown s = {cases[i].leaf, cases[i].staple};

        shake(&s, i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION, NULL, expect, &cases[i].w);
    }
}
END_TEST

START_TEST(a_weak_key_proves_nothing_and_ends_no_handshake)
{
    static const struct wanted w = {"RSA of 1024 bits", SP_E_TLS_UNTRUSTED};
    const struct shown s = {&weak, NONE};

    shake(&s, TLS1_3_VERSION, NULL, expect, &w);
    shake(&s, TLS1_2_VERSION, NULL, expect, &w);
}
END_TEST

static void expect_no_dane(const struct sp_tls_proof *p, const void *arg)
{
    (void)arg;
    ck_assert_int_eq(p->dane, SP_TLS_DANE_MISMATCH);
    ck_assert_str_eq(p->verified_by, "none");
}

/* SP 800-52r2: what a key of less than 112 bits signs is worth nothing, whoever names it. */
START_TEST(a_weak_key_proves_nothing_by_dane)
{
    const struct shown s = {&weak, NONE};
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(weak.x), &der);
    const struct sp_tls_tlsa tlsa = {3, 1, 0, sp_bytes(der, (size_t)len)};

    shake(&s, TLS1_3_VERSION, &tlsa, expect_no_dane, NULL);
    OPENSSL_free(der);
}
END_TEST

static void set_up(void)
{
    pki_make(&ca, &(struct pki_wish){"Test CA", NULL, NULL, -DAY_S, DAY_S, false, 0, false});
    pki_make(&other_ca, &(struct pki_wish){"Other CA", NULL, NULL, -DAY_S, DAY_S, false, 0, false});
    pki_make(&plain,
             &(struct pki_wish){"mx.example", "serverAuth", &ca, -DAY_S, DAY_S, false, 0, false});
    pki_make(&stapling,
             &(struct pki_wish){"mx.example", "serverAuth", &ca, -DAY_S, DAY_S, true, 0, false});
    pki_make(&weak, &(struct pki_wish){"mx.example", "serverAuth", &ca, -DAY_S, DAY_S, false, 1024,
                                       false});
}

static void tear_down(void)
{
    pki_clear(&ca);
    pki_clear(&other_ca);
    pki_clear(&plain);
    pki_clear(&stapling);
    pki_clear(&weak);
}

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, what_must_staple_proves_nothing_without);
    tcase_add_test(c, a_weak_key_proves_nothing_and_ends_no_handshake);
    tcase_add_test(c, a_weak_key_proves_nothing_by_dane);
}

SP_TEST_MAIN("tls.staple", add)
