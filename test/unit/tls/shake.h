/*
 * One handshake over a socket pair, with a client that knows TLSA records: what did they prove?
 */
#ifndef SP_TEST_TLS_SHAKE_H
#define SP_TEST_TLS_SHAKE_H

#include "pki.h"
#include "support/check_main.h"
#include "tls/tls.h"

#include <sys/socket.h>

#define SHAKE_RECORD_MAX  4096
#define SHAKE_RECORDS_MAX 4

struct record {
    struct sp_tls_tlsa tlsa;
    uint8_t data[SHAKE_RECORD_MAX];
};

struct shake {
    const char *certificate_pem; /* what the server shows */
    const char *key_pem;
    const char *trust_pem; /* of the client */
    struct sp_bytes name;  /* that it wants */
    const struct record *records;
    size_t count;
    /* out */
    enum sp_tls_dane dane;
    size_t matched; /* which record; count: none */
    int dones;
    const struct sp_tls_proof *seen;
};

/* The record of a certificate or its key, as a zone would publish it. */
static inline void make_record(struct record *r, const struct pki_cert *of, uint8_t usage,
                               uint8_t selector, uint8_t matching)
{
    const EVP_MD *const digests[] = {NULL, EVP_sha256(), EVP_sha512()};
    unsigned char *der = NULL;
    int len =
        selector == 1 ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(of->x), &der) : i2d_X509(of->x, &der);
    unsigned digest_len = (unsigned)len;

    ck_assert(len > 0 && len <= SHAKE_RECORD_MAX);
    if (matching == 0)
        memcpy(r->data, der, (size_t)len);
    else
        ck_assert_int_eq(
            EVP_Digest(der, (size_t)len, r->data, &digest_len, digests[matching], NULL), 1);
    OPENSSL_free(der);
    r->tlsa = (struct sp_tls_tlsa){usage, selector, matching, sp_bytes(r->data, digest_len)};
}

static inline void shake_on_input(void *arg)
{
    (void)arg;
}

static inline void shake_on_closed(void *arg, enum sp_rc why)
{
    (void)arg;
    (void)why;
}

static inline void shake_on_server(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    (void)proof;
    ck_assert_int_eq(rc, SP_OK);
    ((struct shake *)arg)->dones++;
}

static inline void shake_on_client(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    shake_on_server(arg, rc, proof);
    ((struct shake *)arg)->seen = proof;
}

static inline void shake_note(struct shake *s)
{
    const struct sp_tls_tlsa *t = &s->seen->tlsa;

    s->dane = s->seen->dane;
    s->matched = s->count;
    for (size_t i = 0; i < s->count && s->dane > SP_TLS_DANE_MISMATCH; i++) {
        const struct sp_tls_tlsa *r = &s->records[i].tlsa;

        if (r->usage == t->usage && r->selector == t->selector && r->matching == t->matching &&
            sp_bytes_eq(r->data, t->data))
            s->matched = i;
    }
}

/* Shakes hands once; s says how, and gets what came of it. */
static inline void shake_hands(struct shake *s)
{
    static const struct sp_stream_events events = {.on_input = shake_on_input,
                                                   .on_closed = shake_on_closed};
    const struct sp_tls_server_config server = {.identity.certificate_pem =
                                                    sp_bytes_cstr(s->certificate_pem),
                                                .identity.key_pem = sp_bytes_cstr(s->key_pem)};
    const struct sp_tls_client_config client = {.extra_ca_pem = sp_bytes_cstr(s->trust_pem)};
    struct sp_tls_context *contexts[2] = {sp_tls_server_new(&server, NULL),
                                          sp_tls_client_new(&client, NULL)};
    struct sp_tls_tlsa tlsa[SHAKE_RECORDS_MAX];
    struct sp_tls_params params = {.timeout_ms = 10000,
                                   .server_name = s->name,
                                   .names = &s->name,
                                   .name_count = 1,
                                   .tlsa = tlsa,
                                   .tlsa_count = s->count};
    struct sp_loop *loop = sp_loop_new();
    struct sp_stream *ends[2];
    int fds[2];

    ck_assert_uint_le(s->count, SHAKE_RECORDS_MAX);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (size_t i = 0; i < s->count; i++)
        tlsa[i] = s->records[i].tlsa;
    for (int i = 0; i < 2; i++)
        ends[i] = sp_stream_new(loop, fds[i], &events, NULL);
    s->dones = 0;
    sp_tls_start(ends[0], contexts[0], NULL, shake_on_server, s);
    sp_tls_start(ends[1], contexts[1], &params, shake_on_client, s);
    for (int i = 0; i < 5000 && s->dones < 2; i++)
        sp_loop_run_once(loop, 5);
    ck_assert_int_eq(s->dones, 2);
    shake_note(s);
    for (int i = 0; i < 2; i++) {
        sp_stream_free(ends[i]);
        sp_tls_context_unref(contexts[i]);
    }
    sp_loop_run_once(loop, 1);
    sp_loop_free(loop);
}

#endif
