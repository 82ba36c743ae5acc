/*
 * Real handshakes over a socket pair: what a proof says of good, wrong, old, foreign and DANE-named certificates, of
 * clients' certificates, of resumed sessions, and of handshakes that fail.
 */
#include "io/stream_priv.h"
#include "pki.h"
#include "support/check_main.h"
#include "tls/tls_priv.h"

#include <signal.h>
#include <unistd.h>

struct end {
    struct sp_stream *stream;
    int dones, closed, drained;
    enum sp_rc rc;
    const struct sp_tls_proof *proof;
    char got[70000];
    size_t got_len;
};

static struct sp_loop *loop;
static struct end client, server;
static struct pki_cert ca, other_ca, good, expired, foreign, client_cert, mail_cert;
static struct sp_tls_context *client_ctx;

static void on_input(void *arg)
{
    struct end *e = arg;
    struct sp_bytes in = sp_stream_input(e->stream);

    ck_assert_uint_le(in.len, sizeof(e->got) - e->got_len);
    memcpy(e->got + e->got_len, in.ptr, in.len);
    e->got_len += in.len;
    sp_stream_consume(e->stream, in.len);
}

static void on_drained(void *arg)
{
    ((struct end *)arg)->drained++;
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)why;
    ((struct end *)arg)->closed++;
}

static const struct sp_stream_events events = {
    .on_input = on_input, .on_drained = on_drained, .on_closed = on_closed};

static void done(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    struct end *e = arg;

    e->dones++;
    e->rc = rc;
    e->proof = proof;
}

static struct sp_tls_context *server_context(const struct pki_cert *cert)
{
    const struct sp_tls_server_config config = {.identity.certificate_pem =
                                                    sp_bytes_cstr(cert->certificate_pem),
                                                .identity.key_pem = sp_bytes_cstr(cert->key_pem),
                                                .client_ca_pem = sp_bytes_cstr(ca.certificate_pem),
                                                .ask_client_certificate = true};
    struct sp_err err;
    struct sp_tls_context *context = sp_tls_server_new(&config, &err);

    ck_assert_msg(context != NULL, "%s", err.text);
    return context;
}

static struct sp_tls_context *client_context(const struct pki_cert *own)
{
    struct sp_tls_client_config config = {.extra_ca_pem = sp_bytes_cstr(ca.certificate_pem)};
    struct sp_err err;
    struct sp_tls_context *context;

    if (own != NULL) {
        config.certificate_pem = sp_bytes_cstr(own->certificate_pem);
        config.key_pem = sp_bytes_cstr(own->key_pem);
    }
    context = sp_tls_client_new(&config, &err);
    ck_assert_msg(context != NULL, "%s", err.text);
    return context;
}

static void turn(int times)
{
    for (int i = 0; i < times; i++)
        sp_loop_run_once(loop, 1);
}

static void connect_pair(void)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client = (struct end){0};
    server = (struct end){0};
    client.stream = sp_stream_new(loop, fds[0], &events, &client);
    server.stream = sp_stream_new(loop, fds[1], &events, &server);
}

static void disconnect(void)
{
    sp_stream_free(client.stream);
    sp_stream_free(server.stream);
    turn(2);
}

/* Runs a handshake of the two contexts. */
static void shake(struct sp_tls_context *sctx, struct sp_tls_context *cctx,
                  const struct sp_tls_params *params)
{
    connect_pair();
    sp_tls_start(server.stream, sctx, NULL, done, &server);
    sp_tls_start(client.stream, cctx, params, done, &client);
    ck_assert_int_eq(client.dones + server.dones, 0);
    for (int i = 0; i < 3000 && (client.dones == 0 || server.dones == 0); i++)
        turn(1);
    ck_assert_int_eq(client.dones, 1);
    ck_assert_int_eq(server.dones, 1);
}

static struct sp_tls_params params_of(const struct sp_bytes *names, size_t count)
{
    return (struct sp_tls_params){
        .timeout_ms = 5000, .server_name = names[0], .names = names, .name_count = count};
}

static void begin(void)
{
    loop = sp_loop_new();
    client_ctx = client_context(NULL);
}

static void end(void)
{
    sp_tls_context_unref(client_ctx);
    sp_loop_free(loop);
}

START_TEST(certificates_and_what_they_prove)
{
    static const struct sp_bytes right[] = {SP_LIT_INIT("mx.example")};
    static const struct sp_bytes second[] = {SP_LIT_INIT("a.example"), SP_LIT_INIT("mx.example")};
    static const struct sp_bytes wrong[] = {SP_LIT_INIT("example")};
    const struct {
        const char *name;
        const struct pki_cert *cert;
        const struct sp_bytes *names;
        size_t name_count;
        enum sp_rc chain;
        bool name_ok, time_ok;
        const char *verified_by;
    } cases[] = {
        {"good", &good, right, 1, SP_OK, true, true, "pkix"},
        {"one of two names", &good, second, 2, SP_OK, true, true, "pkix"},
        {"wrong name", &good, wrong, 1, SP_OK, false, true, "none"},
        {"expired", &expired, right, 1, SP_E_TLS_EXPIRED, true, false, "none"},
        {"untrusted", &foreign, right, 1, SP_E_TLS_UNTRUSTED, true, true, "none"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_tls_params params = params_of(cases[i].names, cases[i].name_count);
        struct sp_tls_context *sctx;
        const struct sp_tls_proof *p;
        const char *name = cases[i].name;

        begin();
        sctx = server_context(cases[i].cert);
        shake(sctx, client_ctx, &params);
        p = client.proof;
        ck_assert_msg(client.rc == SP_OK && p->has_certificate, "%s", name);
        ck_assert_msg(p->chain == cases[i].chain, "%s: %s", name, sp_rc_name(p->chain));
        ck_assert_msg(p->name_ok == cases[i].name_ok && p->time_ok == cases[i].time_ok, "%s", name);
        ck_assert_msg(strcmp(p->verified_by, cases[i].verified_by) == 0, "%s: %s", name,
                      p->verified_by);
        ck_assert_str_eq(p->version, "1.3");
        ck_assert_str_eq(p->cipher, "TLS_AES_256_GCM_SHA384");
        ck_assert_str_eq(p->group, "P-256");
        ck_assert_uint_eq(p->name_count, 1);
        ck_assert(sp_bytes_eq(p->names[0], SP_LIT("mx.example")));
        ck_assert_uint_gt(sp_tls_proof_chain(p).len, 300);
        ck_assert_int_eq(p->dane, SP_TLS_DANE_NOT_ASKED);
        ck_assert(!server.proof->has_certificate);
        disconnect();
        sp_tls_context_unref(sctx);
        end();
    }
}
END_TEST

/* TLSA data: SHA-256 of the public key, or of the whole certificate */
static struct sp_tls_tlsa tlsa_of(const struct pki_cert *cert, uint8_t usage, uint8_t selector,
                                  uint8_t *digest)
{
    unsigned char *der = NULL;
    int len = selector == 1 ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert->x), &der)
                            : i2d_X509(cert->x, &der);

    ck_assert_int_gt(len, 0);
    ck_assert_int_eq(EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
    return (struct sp_tls_tlsa){usage, selector, 1, sp_bytes(digest, 32)};
}

START_TEST(dane_records_and_what_they_prove)
{
    static const struct sp_bytes right[] = {SP_LIT_INIT("mx.example")};
    static const struct sp_bytes wrong[] = {SP_LIT_INIT("other.example")};
    const struct {
        const char *name;
        const struct pki_cert *shown, *named;
        uint8_t usage, selector;
        const struct sp_bytes *names;
        enum sp_tls_dane dane;
        enum sp_rc chain;
    } cases[] = {
        {"3 1 1 match", &foreign, &foreign, 3, 1, right, SP_TLS_DANE_EE, SP_E_TLS_UNTRUSTED},
        {"3 1 1 match, wrong name", &good, &good, 3, 1, wrong, SP_TLS_DANE_EE, SP_OK},
        {"3 1 1 match, expired", &expired, &expired, 3, 1, right, SP_TLS_DANE_EE, SP_E_TLS_EXPIRED},
        {"3 0 1 match", &good, &good, 3, 0, right, SP_TLS_DANE_EE, SP_OK},
        {"3 1 1 of another key", &good, &foreign, 3, 1, right, SP_TLS_DANE_MISMATCH, SP_OK},
        {"2 1 1 match", &foreign, &other_ca, 2, 1, right, SP_TLS_DANE_TA, SP_E_TLS_UNTRUSTED},
        {"2 1 1, wrong name", &good, &ca, 2, 1, wrong, SP_TLS_DANE_MISMATCH, SP_OK},
        {"2 1 1, expired", &expired, &ca, 2, 1, right, SP_TLS_DANE_MISMATCH, SP_E_TLS_EXPIRED},
        {"2 1 1 of another CA", &good, &other_ca, 2, 1, right, SP_TLS_DANE_MISMATCH, SP_OK},
        {"1 1 1 is no DANE", &good, &good, 1, 1, right, SP_TLS_DANE_UNUSABLE, SP_OK},
        {"0 1 1 is no DANE", &good, &ca, 0, 1, right, SP_TLS_DANE_UNUSABLE, SP_OK},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        uint8_t digest[32];
        struct sp_tls_tlsa tlsa =
            tlsa_of(cases[i].named, cases[i].usage, cases[i].selector, digest);
        struct sp_tls_params params = params_of(cases[i].names, 1);
        struct sp_tls_context *sctx;

        params.tlsa = &tlsa;
        params.tlsa_count = 1;
        begin();
        sctx = server_context(cases[i].shown);
        shake(sctx, client_ctx, &params);
        ck_assert_msg(client.rc == SP_OK, "%s", cases[i].name);
        ck_assert_msg(client.proof->dane == cases[i].dane, "%s: dane %d", cases[i].name,
                      client.proof->dane);
        ck_assert_msg(client.proof->chain == cases[i].chain, "%s: chain %s", cases[i].name,
                      sp_rc_name(client.proof->chain));
        if (cases[i].dane >= SP_TLS_DANE_EE) {
            ck_assert_uint_eq(client.proof->tlsa.usage, cases[i].usage);
            ck_assert(sp_bytes_eq(client.proof->tlsa.data, sp_bytes(digest, 32)));
        }
        ck_assert_msg((strncmp(client.proof->verified_by, "dane", 4) == 0) ==
                          (cases[i].dane >= SP_TLS_DANE_EE),
                      "%s: %s", cases[i].name, client.proof->verified_by);
        disconnect();
        sp_tls_context_unref(sctx);
        end();
    }
}
END_TEST

START_TEST(a_tlsa_of_bad_length_is_unusable)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    static const struct sp_tls_tlsa tlsa[] = {{3, 1, 1, SP_LIT_INIT("short")},
                                              {3, 1, 9, SP_LIT_INIT("unknown matching")}};
    struct sp_tls_params params = params_of(names, 1);
    struct sp_tls_context *sctx;

    params.tlsa = tlsa;
    params.tlsa_count = 2;
    begin();
    sctx = server_context(&good);
    shake(sctx, client_ctx, &params);
    ck_assert_int_eq(client.proof->dane, SP_TLS_DANE_UNUSABLE);
    ck_assert_str_eq(client.proof->verified_by, "pkix");
    disconnect();
    sp_tls_context_unref(sctx);
    end();
}
END_TEST

START_TEST(a_client_shows_its_certificate_if_it_has_one)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    const struct {
        const char *name;
        const struct pki_cert *cert;
        enum sp_rc chain;
    } cases[] = {
        {"for servers only, as public CAs make them", &client_cert, SP_OK},
        {"of a CA that we do not know", &foreign, SP_E_TLS_UNTRUSTED},
        {"expired", &expired, SP_E_TLS_EXPIRED},
        {"for mail signatures, not for TLS", &mail_cert, SP_E_TLS_UNTRUSTED},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_tls_params params = params_of(names, 1);
        struct sp_tls_context *sctx, *cctx;

        begin();
        sctx = server_context(&good);
        cctx = client_context(cases[i].cert);
        shake(sctx, cctx, &params);
        ck_assert_msg(server.rc == SP_OK && server.proof->has_certificate, "%s", cases[i].name);
        ck_assert_msg(server.proof->chain == cases[i].chain, "%s: %s", cases[i].name,
                      sp_rc_name(server.proof->chain));
        ck_assert_uint_eq(server.proof->name_count, 1);
        disconnect();
        sp_tls_context_unref(sctx);
        sp_tls_context_unref(cctx);
        end();
    }
}
END_TEST

static void say(struct end *from, const char *text)
{
    sp_stream_write(from->stream, sp_bytes_cstr(text));
}

START_TEST(a_second_session_is_resumed_with_the_same_proof)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    static const struct sp_bytes others[] = {SP_LIT_INIT("mx.example"), SP_LIT_INIT("x.example")};
    struct sp_tls_params params = params_of(names, 1);
    struct sp_tls_context *sctx, *cctx;
    uint8_t digest[32];

    begin();
    params.resume = true;
    sctx = server_context(&good);
    cctx = client_context(&client_cert);
    shake(sctx, cctx, &params);
    memcpy(digest, client.proof->spki_sha256, sizeof(digest));
    ck_assert(!client.proof->resumed);
    say(&server, "220"); /* the ticket comes with the first bytes */
    turn(10);
    ck_assert_uint_eq(client.got_len, 3);
    disconnect();
    shake(sctx, cctx, &params);
    ck_assert(client.proof->resumed && server.proof->resumed);
    ck_assert_str_eq(client.proof->verified_by, "pkix");
    ck_assert_int_eq(memcmp(digest, client.proof->spki_sha256, sizeof(digest)), 0);
    ck_assert(server.proof->has_certificate);
    ck_assert_int_eq(server.proof->chain, SP_OK);
    say(&server, "220");
    turn(10);
    disconnect();
    params.names = others; /* other names: another question, so another handshake */
    params.name_count = 2;
    shake(sctx, cctx, &params);
    ck_assert(!client.proof->resumed);
    disconnect();
    sp_tls_context_unref(sctx);
    sp_tls_context_unref(cctx);
    end();
}
END_TEST

/* A smarthost given by its address: what is kept is kept for that peer. */
START_TEST(a_session_without_a_server_name_is_resumed_too)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    struct sp_tls_params params = params_of(names, 1);
    struct sp_tls_context *sctx, *cctx;

    begin();
    sctx = server_context(&good);
    params.resume = true;
    params.server_name = SP_LIT("");
    cctx = client_context(NULL);
    for (int i = 0; i < 2; i++) {
        shake(sctx, cctx, &params);
        ck_assert(client.rc == SP_OK && client.proof->resumed == (i > 0));
        ck_assert(client.proof->name_ok);
        say(&server, "220");
        turn(10);
        disconnect();
    }
    params.server_name = SP_LIT("mx.example"); /* another question */
    shake(sctx, cctx, &params);
    ck_assert(client.rc == SP_OK && !client.proof->resumed);
    disconnect();
    sp_tls_context_unref(sctx);
    sp_tls_context_unref(cctx);
    end();
}
END_TEST

/* A host may have forgotten its sessions and hang up on who offers one: the next handshake is a whole one. */
START_TEST(a_session_on_which_a_host_hangs_up_is_not_offered_again)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    struct sp_tls_params params = params_of(names, 1);
    struct sp_tls_context *sctx;

    begin();
    params.resume = true;
    sctx = server_context(&good);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(sctx->ctx, TLS1_2_VERSION), 1);
    for (int i = 0; i < 3; i++) { /* one of TLS 1.2 is offered again and again */
        shake(sctx, client_ctx, &params);
        ck_assert(client.rc == SP_OK && client.proof->resumed == (i > 0));
        disconnect();
    }
    connect_pair();
    sp_tls_start(client.stream, client_ctx, &params, done, &client);
    sp_stream_free(server.stream);
    for (int i = 0; i < 3000 && client.dones == 0; i++)
        turn(1);
    ck_assert(client.dones == 1 && client.rc != SP_OK);
    sp_stream_free(client.stream);
    turn(2);
    shake(sctx, client_ctx, &params);
    ck_assert(client.rc == SP_OK && !client.proof->resumed);
    disconnect();
    connect_pair(); /* the same when the caller gives up on it */
    sp_tls_start(client.stream, client_ctx, &params, done, &client);
    turn(2);
    disconnect();
    shake(sctx, client_ctx, &params);
    ck_assert(client.rc == SP_OK && !client.proof->resumed);
    disconnect();
    sp_tls_context_unref(sctx);
    end();
}
END_TEST

START_TEST(processes_with_one_ticket_key_resume_each_others_sessions)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    static const uint8_t key[SP_TLS_TICKET_KEY_LEN] = {1, 2, 3};
    const struct sp_tls_server_config config = {.identity.certificate_pem =
                                                    sp_bytes_cstr(good.certificate_pem),
                                                .identity.key_pem = sp_bytes_cstr(good.key_pem),
                                                .ticket_keys = sp_bytes(key, sizeof(key))};
    struct sp_tls_params params = params_of(names, 1);
    struct sp_tls_context *one = sp_tls_server_new(&config, NULL);
    struct sp_tls_context *two = sp_tls_server_new(&config, NULL);

    begin();
    params.resume = true;
    shake(one, client_ctx, &params);
    say(&server, "220");
    turn(10);
    disconnect();
    shake(two, client_ctx, &params);
    ck_assert(client.proof->resumed);
    disconnect();
    sp_tls_context_unref(one);
    sp_tls_context_unref(two);
    end();
}
END_TEST

START_TEST(much_goes_through_and_the_end_is_seen)
{
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.example")};
    static char text[60001];
    struct sp_tls_params params = params_of(names, 1);
    struct sp_tls_context *sctx;

    begin();
    sctx = server_context(&good);
    shake(sctx, client_ctx, &params);
    memset(text, 'x', sizeof(text) - 1);
    say(&client, text);
    say(&server, "hello");
    for (int i = 0; i < 500 && server.got_len < sizeof(text) - 1; i++)
        turn(1);
    ck_assert_uint_eq(server.got_len, sizeof(text) - 1);
    ck_assert_uint_eq(client.got_len, 5);
    sp_stream_free(client.stream);
    client.stream = NULL;
    for (int i = 0; i < 500 && server.closed == 0; i++)
        turn(1);
    ck_assert_int_eq(server.closed, 1);
    disconnect();
    sp_tls_context_unref(sctx);
    end();
}
END_TEST

/* A client of OpenSSL alone, so that it can do what ours never does. returns: it, with the handshake done */
static SSL *strange_client(SSL_CTX *ctx, struct sp_tls_context *sctx)
{
    SSL *ssl = SSL_new(ctx);
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    server = (struct end){0};
    server.stream = sp_stream_new(loop, fds[1], &events, &server);
    sp_tls_start(server.stream, sctx, NULL, done, &server);
    ck_assert_int_eq(SSL_set_fd(ssl, fds[0]), 1);
    SSL_set_connect_state(ssl);
    for (int i = 0; i < 500 && (server.dones == 0 || SSL_is_init_finished(ssl) == 0); i++) {
        (void)SSL_do_handshake(ssl);
        turn(1);
    }
    ck_assert_int_eq(server.rc, SP_OK);
    return ssl;
}

static void renew_keys(SSL *ssl)
{
    ck_assert_int_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    for (int i = 0; i < 500 && server.closed == 0 && SSL_do_handshake(ssl) != 1; i++)
        turn(1);
}

/* Begins with a strange client. */
static SSL *begin_strangely(SSL_CTX **ctx, struct sp_tls_context **sctx)
{
    begin();
    *ctx = SSL_CTX_new(TLS_client_method());
    *sctx = server_context(&good);
    return strange_client(*ctx, *sctx);
}

static void end_strangely(SSL *ssl, SSL_CTX *ctx, struct sp_tls_context *sctx)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    sp_stream_free(server.stream);
    turn(2);
    sp_tls_context_unref(sctx);
    end();
}

START_TEST(records_without_data_come_to_an_end)
{
    struct sp_tls_context *sctx;
    SSL_CTX *ctx;
    SSL *ssl = begin_strangely(&ctx, &sctx);
    struct session *s = server.stream->transport_ctx;
    int count = 0;

    for (; count < 5000 && server.closed == 0; count++) {
        s->messages = 0; /* as if there were no limit of these */
        renew_keys(ssl);
        turn(1);
    }
    ck_assert_int_eq(server.closed, 1);
    ck_assert_int_gt(count, 1000);
    end_strangely(ssl, ctx, sctx);
}
END_TEST

START_TEST(new_keys_come_to_an_end_whatever_is_between)
{
    struct sp_tls_context *sctx;
    SSL_CTX *ctx;
    SSL *ssl = begin_strangely(&ctx, &sctx);

    for (int i = 0; i < 100; i++) {
        renew_keys(ssl);
        for (int k = 0; i % 10 == 9 && k < 500 && SSL_write(ssl, "x", 1) != 1; k++)
            turn(1);
    }
    for (int i = 0; i < 500 && server.got_len < 10; i++)
        turn(1);
    ck_assert_uint_eq(server.got_len, 10);
    ck_assert_int_eq(server.closed, 0);
    for (int i = 0; i < 1000 && server.closed == 0; i++) {
        renew_keys(ssl);
        (void)SSL_write(ssl, "x", 1);
        turn(1);
    }
    ck_assert_int_eq(server.closed, 1);
    ck_assert_uint_lt(server.got_len, 20);
    end_strangely(ssl, ctx, sctx);
}
END_TEST

START_TEST(a_wish_to_begin_again_is_one_of_them)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct sp_tls_context *sctx;
    const struct session *s;
    SSL *ssl;

    begin();
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION), 1);
    sctx = server_context(&good);
    ssl = strange_client(ctx, sctx);
    s = server.stream->transport_ctx;
    ck_assert_uint_eq(s->messages, 0);
    ck_assert_int_eq(SSL_renegotiate(ssl), 1);
    (void)SSL_do_handshake(ssl);
    for (int i = 0; i < 500 && s->messages == 0; i++)
        turn(1);
    ck_assert_uint_eq(s->messages, 1);
    ck_assert_int_eq(server.closed, 0);
    end_strangely(ssl, ctx, sctx);
}
END_TEST

START_TEST(a_handshake_that_can_not_be_fails_once)
{
    static const struct {
        const char *name, *bytes;
        bool closes;
        enum sp_rc rc;
    } cases[] = {
        {"not TLS", "EHLO client.example\r\n", false, SP_E_TLS_HANDSHAKE},
        {"goes away", "", true, SP_E_CLOSED},
        {"says nothing", "", false, SP_E_TIMEOUT},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct sp_tls_params params = {.timeout_ms = 30};
        struct sp_tls_context *sctx;

        begin();
        sctx = server_context(&good);
        connect_pair();
        sp_tls_start(server.stream, sctx, &params, done, &server);
        say(&client, cases[i].bytes);
        turn(1);
        if (cases[i].closes) {
            sp_stream_free(client.stream);
            client.stream = NULL;
        }
        for (int k = 0; k < 500 && server.dones == 0; k++)
            turn(1);
        turn(3);
        ck_assert_msg(server.dones == 1 && server.rc == cases[i].rc, "%s: %d %s", cases[i].name,
                      server.dones, sp_rc_name(server.rc));
        ck_assert_ptr_null(server.proof);
        disconnect();
        sp_tls_context_unref(sctx);
        end();
    }
}
END_TEST

/* Whether the end comes before our hello, behind it, or as a reset since nobody has read it, is a matter of time alone. */
START_TEST(a_peer_that_goes_away_in_the_handshake_is_gone)
{
    enum { AT_ONCE, UNREAD, READ, WAYS };

    for (int way = 0; way < WAYS; way++) {
        const struct sp_tls_params params = {.timeout_ms = 5000};
        uint8_t hello[4096];
        int fds[2];

        begin();
        client = (struct end){0};
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        client.stream = sp_stream_new(loop, fds[0], &events, &client);
        sp_tls_start(client.stream, client_ctx, &params, done, &client);
        for (int i = 0; i < 500 && way != AT_ONCE && recv(fds[1], hello, 1, MSG_PEEK) < 1; i++)
            turn(1);
        if (way == READ)
            ck_assert_int_gt(recv(fds[1], hello, sizeof(hello), 0), 0);
        ck_assert_int_eq(close(fds[1]), 0);
        for (int i = 0; i < 500 && client.dones == 0; i++)
            turn(1);
        ck_assert_msg(client.dones == 1 && client.rc == SP_E_CLOSED, "way %d: %d %s", way,
                      client.dones, sp_rc_name(client.rc));
        sp_stream_free(client.stream);
        turn(2);
        end();
    }
}
END_TEST

START_TEST(a_stream_freed_in_the_handshake_hears_nothing)
{
    struct sp_tls_context *sctx;

    begin();
    sctx = server_context(&good);
    connect_pair();
    sp_tls_start(server.stream, sctx, NULL, done, &server);
    sp_tls_start(client.stream, client_ctx, NULL, done, &client);
    turn(1);
    disconnect();
    turn(5);
    ck_assert_int_eq(server.dones + client.dones, 0);
    sp_tls_context_unref(sctx);
    end();
}
END_TEST

START_TEST(bad_configurations_are_refused)
{
    const struct {
        const char *name;
        struct sp_tls_server_config config;
    } cases[] = {
        {"nothing", {.ask_client_certificate = false}},
        {"another's key",
         {.identity.certificate_pem = sp_bytes_cstr(good.certificate_pem),
          .identity.key_pem = sp_bytes_cstr(foreign.key_pem)}},
        {"short ticket key",
         {.identity.certificate_pem = sp_bytes_cstr(good.certificate_pem),
          .identity.key_pem = sp_bytes_cstr(good.key_pem),
          .ticket_keys = SP_LIT("short")}},
        {"no CA in the CAs",
         {.identity.certificate_pem = sp_bytes_cstr(good.certificate_pem),
          .identity.key_pem = sp_bytes_cstr(good.key_pem),
          .client_ca_pem = SP_LIT("nonsense"),
          .ask_client_certificate = true}},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_err err = {0};

        ck_assert_msg(sp_tls_server_new(&cases[i].config, &err) == NULL, "%s", cases[i].name);
        ck_assert_msg(err.rc == SP_E_TLS_CONFIG && err.text[0] != '\0', "%s", cases[i].name);
    }
}
END_TEST

static void add(TCase *c)
{
    static const int day = 86400;

    pki_make(&ca,
             &(struct pki_wish){.name = "Test CA", .from_s = -day, .to_s = day, false, 0, false});
    pki_make(&other_ca,
             &(struct pki_wish){.name = "Other CA", .from_s = -day, .to_s = day, false, 0, false});
    pki_make(&good,
             &(struct pki_wish){"mx.example", "serverAuth", &ca, -day, day, false, 0, false});
    pki_make(&expired,
             &(struct pki_wish){"mx.example", NULL, &ca, -2 * day, -day, false, 0, false});
    pki_make(&foreign,
             &(struct pki_wish){"mx.example", NULL, &other_ca, -day, day, false, 0, false});
    pki_make(&client_cert,
             &(struct pki_wish){"out.example", "serverAuth", &ca, -day, day, false, 0, false});
    pki_make(&mail_cert,
             &(struct pki_wish){"out.example", "emailProtection", &ca, -day, day, false, 0, false});
    tcase_add_test(c, certificates_and_what_they_prove);
    tcase_add_test(c, dane_records_and_what_they_prove);
    tcase_add_test(c, a_tlsa_of_bad_length_is_unusable);
    tcase_add_test(c, a_client_shows_its_certificate_if_it_has_one);
    tcase_add_test(c, a_second_session_is_resumed_with_the_same_proof);
    tcase_add_test(c, a_session_without_a_server_name_is_resumed_too);
    tcase_add_test(c, a_session_on_which_a_host_hangs_up_is_not_offered_again);
    tcase_add_test(c, processes_with_one_ticket_key_resume_each_others_sessions);
    tcase_add_test(c, much_goes_through_and_the_end_is_seen);
    tcase_add_test(c, records_without_data_come_to_an_end);
    tcase_add_test(c, new_keys_come_to_an_end_whatever_is_between);
    tcase_add_test(c, a_wish_to_begin_again_is_one_of_them);
    tcase_add_test(c, a_handshake_that_can_not_be_fails_once);
    tcase_add_test(c, a_peer_that_goes_away_in_the_handshake_is_gone);
    tcase_add_test(c, a_stream_freed_in_the_handshake_hears_nothing);
    tcase_add_test(c, bad_configurations_are_refused);
}

static int suite_main(void);
#define main suite_main
static SP_TEST_MAIN("tls", add)
#undef main

    int main(void)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};
    int result;

    (void)sigaction(SIGPIPE, &ignore, NULL);
    result = suite_main();
    pki_clear(&ca);
    pki_clear(&other_ca);
    pki_clear(&good);
    pki_clear(&expired);
    pki_clear(&foreign);
    pki_clear(&client_cert);
    pki_clear(&mail_cert);
    return result;
}
