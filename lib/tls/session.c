/*
 * One session: OpenSSL's state as the transport of a stream. The handshake has a time limit of its own; when it passes,
 * the socket is shut down, which the stream sees as the end, and the reason is put right on the way out. Clients keep
 * what a server hands out for resumption together with what the handshake proved (cache.c).
 */
#include "tls/tls_priv.h"

#include "base/fault.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define DEFAULT_TIMEOUT_MS 30000
#define KEY_LEN_MAX        (32 * 1024)
#define NAME_LEN_MAX       255

static enum sp_io_want want_of(int error)
{
    switch (error) {
    case SSL_ERROR_WANT_READ:
        return SP_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return SP_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return SP_IO_EOF;
    default:
        return SP_IO_FAILED;
    }
}

static int take_error(const struct session *s, int result)
{
    int error = SSL_get_error(s->ssl, result);

    ERR_clear_error();
    return error;
}

static enum sp_io_want tls_read(void *ctx, uint8_t *buf, size_t len, size_t *n)
{
    struct session *s = ctx;
    int result;

    if (SP_FAULT("tls.read"))
        return SP_IO_FAILED;
    result = SSL_read_ex(s->ssl, buf, len, n);
    if (result != 1)
        return want_of(take_error(s, result));
    s->without_data = 0;
    return SP_IO_DONE;
}

static enum sp_io_want tls_write(void *ctx, const uint8_t *buf, size_t len, bool more, size_t *n)
{
    struct session *s = ctx;
    int result;

    if (SP_FAULT("tls.write"))
        return SP_IO_FAILED;
    s->more_follows = more || len > SSL3_RT_MAX_PLAIN_LENGTH;
    if (len >
        SSL3_RT_MAX_PLAIN_LENGTH) /* one record at a time: only the last may be sent at once */
        len = SSL3_RT_MAX_PLAIN_LENGTH;
    result = SSL_write_ex(s->ssl, buf, len, n);
    s->more_follows = false;
    return result == 1 ? SP_IO_DONE : want_of(take_error(s, result));
}

static bool tls_pending(void *ctx)
{
    return SSL_has_pending(((struct session *)ctx)->ssl) == 1;
}

static void tls_end(void *ctx)
{
    struct session *s = ctx;

    if (s->handshaken) {
        (void)SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
}

/* Some hosts hang up on a session that they have forgotten, and would do so again each time it is offered. */
static void take_back_offer(struct session *s)
{
    if (s->offered == NULL || s->handshaken)
        return;
    sp_tls_cache_drop(s->context->cache, s->key);
    sp_tls_evidence_free(SP_STEAL(s->offered));
}

static void tls_free(void *ctx)
{
    struct session *s = ctx;

    sp_timer_free(s->timer);
    take_back_offer(s); /* the caller may have given up on it */
    if (s->handshaken)  /* else OpenSSL takes the session for broken, and it can't be resumed */
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    SSL_SESSION_free(s->early);
    sp_tls_evidence_free(s->offered);
    sp_tls_evidence_free(s->evidence);
    sp_tls_context_unref(s->context);
    sp_arena_free(s->arena);
}

static enum sp_io_want tls_handshake(void *ctx)
{
    struct session *s = ctx;
    int result, error;

    if (SP_FAULT("tls.handshake"))
        return SP_IO_FAILED;
    result = SSL_do_handshake(s->ssl);
    if (result == 1)
        return SP_IO_DONE;
    error = take_error(s, result);
    /* A peer that goes away is seen as the end, or as a reset by what we say to it, as time has it: it has not refused TLS. */
    return error == SSL_ERROR_SYSCALL ? SP_IO_EOF : want_of(error);
}

static const struct sp_stream_transport transport = {.read = tls_read,
                                                     .write = tls_write,
                                                     .pending = tls_pending,
                                                     .end = tls_end,
                                                     .free = tls_free,
                                                     .handshake = tls_handshake};

int64_t sp_tls_session_now_ms(const struct session *s)
{
    return sp_clock_wall_ms(sp_loop_clock(sp_stream_loop(s->stream)));
}

static void on_timeout(void *arg)
{
    struct session *s = arg;

    s->timed_out = true;
    (void)shutdown(sp_stream_fd(s->stream), SHUT_RDWR);
}

static void on_handshake(void *arg, enum sp_rc rc)
{
    struct session *s = arg;

    sp_timer_free(s->timer);
    s->timer = NULL;
    if (rc != SP_OK) {
        take_back_offer(s);
        s->done(s->arg, s->timed_out ? SP_E_TIMEOUT : rc, NULL);
        return;
    }
    s->handshaken = true;
    if (s->offered != NULL && SSL_session_reused(s->ssl) == 1)
        s->evidence = sp_tls_evidence_again(s->offered, s->ssl);
    else
        s->evidence = sp_tls_evidence_new(s);
    if (s->early != NULL) {
        sp_tls_cache_put(s->context->cache, s->key, SP_STEAL(s->early), s->evidence,
                         sp_tls_session_now_ms(s));
    }
    s->done(s->arg, SP_OK, &s->evidence->proof);
}

int sp_tls_session_new_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct session *s = SSL_get_app_data(ssl);

    if (s == NULL || s->key.len == 0)
        return 0; /* OpenSSL frees it */
    if (s->evidence == NULL) {
        SSL_SESSION_free(s->early);
        s->early = ticket;
    } else {
        sp_tls_cache_put(s->context->cache, s->key, ticket, s->evidence, sp_tls_session_now_ms(s));
    }
    return 1;
}

static void copy_names(struct session *s, const struct sp_tls_params *params)
{
    s->names = sp_arena_alloc(s->arena, SP_TLS_NAMES_MAX * sizeof(*s->names));
    for (size_t i = 0; i < params->name_count && i < SP_TLS_NAMES_MAX; i++) {
        if (params->names[i].len > 0 && params->names[i].len <= NAME_LEN_MAX &&
            sp_bytes_find(params->names[i], '\0') == SIZE_MAX)
            s->names[s->name_count++] = sp_arena_cstr(s->arena, params->names[i]);
    }
}

/* Records of usages 0 and 1 are no DANE for SMTP (RFC 7672 3.1.3), whatever OpenSSL takes. */
static void add_tlsa(struct session *s, const struct sp_tls_params *params)
{
    for (size_t i = 0; i < params->tlsa_count && i < SP_TLS_TLSA_MAX; i++) {
        const struct sp_tls_tlsa *t = &params->tlsa[i];

        if (t->usage != SP_TLS_USAGE_TA && t->usage != SP_TLS_USAGE_EE)
            continue;
        if (SSL_dane_tlsa_add(s->ssl, t->usage, t->selector, t->matching, t->data.ptr,
                              t->data.len) > 0)
            s->dane = true;
    }
    ERR_clear_error();
}

static void set_dane(struct session *s, const struct sp_tls_params *params, const char *server_name)
{
    const char *base = server_name != NULL ? server_name : s->name_count > 0 ? s->names[0] : NULL;

    s->unusable = params->tlsa_count > 0;
    if (params->tlsa_count == 0 || base == NULL || SSL_dane_enable(s->ssl, base) != 1)
        return;
    (void)SSL_dane_set_flags(s->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 0; i < s->name_count; i++)
        (void)SSL_add1_host(s->ssl, s->names[i]);
    add_tlsa(s, params);
    s->unusable = !s->dane;
}

/* All that a proof depends on: peer, names, TLSA. */
static void set_key(struct session *s, const struct sp_tls_params *params)
{
    struct sp_buf key;
    char peer[SP_ADDR_TEXT_MAX];

    sp_buf_init(&key, KEY_LEN_MAX);
    sp_addr_format(sp_stream_peer(s->stream), peer);
    sp_buf_put_var(&key, sp_bytes_cstr(peer));
    sp_buf_put_var(&key, params->server_name);
    for (size_t i = 0; i < s->name_count; i++)
        sp_buf_put_var(&key, sp_bytes_cstr(s->names[i]));
    for (size_t i = 0; i < params->tlsa_count && i < SP_TLS_TLSA_MAX; i++) {
        sp_buf_put_u8(&key, params->tlsa[i].usage);
        sp_buf_put_u8(&key, params->tlsa[i].selector);
        sp_buf_put_u8(&key, params->tlsa[i].matching);
        sp_buf_put_var(&key, params->tlsa[i].data);
    }
    if (sp_buf_rc(&key) == SP_OK)
        s->key = sp_arena_copy(s->arena, sp_buf_bytes(&key));
    sp_buf_clear(&key);
}

static void set_client(struct session *s, const struct sp_tls_params *params)
{
    char *server_name = NULL;
    SSL_SESSION *ticket;

    SSL_set_connect_state(s->ssl);
    if (params == NULL)
        return;
    copy_names(s, params);
    if (params->server_name.len > 0 && params->server_name.len <= NAME_LEN_MAX &&
        sp_bytes_find(params->server_name, '\0') == SIZE_MAX)
        server_name = sp_arena_cstr(s->arena, params->server_name);
    set_dane(s, params, server_name);
    (void)SSL_set_tlsext_status_type(s->ssl, TLSEXT_STATUSTYPE_ocsp);
    if (server_name != NULL)
        (void)SSL_set_tlsext_host_name(s->ssl, server_name);
    if (!params->resume)
        return;
    set_key(s, params);
    if (s->key.len > 0 && sp_tls_cache_take(s->context->cache, s->key, sp_tls_session_now_ms(s),
                                            &ticket, &s->offered)) {
        (void)SSL_set_session(s->ssl, ticket);
        SSL_SESSION_free(ticket);
    }
}

/* NOLINTNEXTLINE(readability-function-size): so OpenSSL wants it */
static void on_message(int written, int version, int type, const void *message, size_t len,
                       SSL *ssl, void *arg)
{
    struct session *s = arg;

    (void)version;
    (void)message;
    (void)len;
    (void)ssl;
    if (s->handshaken && written == 0 && type == SSL3_RT_HANDSHAKE)
        s->messages++;
}

void sp_tls_start(struct sp_stream *stream, struct sp_tls_context *context,
                  const struct sp_tls_params *params,
                  void (*done)(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof),
                  void *arg)
{
    struct sp_arena *arena = sp_arena_new(512);
    struct session *s = sp_arena_alloc(arena, sizeof(*s));
    BIO *socket;

    s->arena = arena;
    s->stream = stream;
    s->context = sp_tls_context_ref(context);
    s->done = done;
    s->arg = arg;
    s->ssl = SP_FAULT("tls.session") ? NULL : SSL_new(context->ctx);
    socket = s->ssl == NULL ? NULL : sp_tls_socket(s);
    if (socket == NULL)
        sp_out_of("memory");
    SSL_set_bio(s->ssl, socket, socket);
    SSL_set_app_data(s->ssl, s);
    SSL_set_msg_callback(s->ssl, on_message);
    SSL_set_msg_callback_arg(s->ssl, s);
    if (context->server != NULL)
        SSL_set_accept_state(s->ssl);
    else
        set_client(s, params);
    s->timer = sp_timer_new(sp_stream_loop(stream), on_timeout, s);
    sp_timer_start(s->timer, params != NULL && params->timeout_ms > 0 ? params->timeout_ms
                                                                      : DEFAULT_TIMEOUT_MS);
    sp_stream_set_transport(stream, &transport, s, on_handshake, s);
}
