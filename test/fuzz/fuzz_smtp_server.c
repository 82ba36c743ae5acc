/*
 * The server machine: the same bytes give the same replies, messages and logins however they are cut; no data given on
 * holds a bare CR, bare LF or NUL; nobody logs in, asks for REQUIRETLS or sends before TLS or AUTH where the port wants
 * them. Before each piece of the second run we do not read for an hour, for reasons of ours: the client's time stands
 * still. The first byte of the input says how the second run is cut (low four bits) and what port it is. A byte 0x16, the
 * first of a TLS handshake, ends what comes in one flight: if the machine waits for a handshake there, it is done.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HANDSHAKE 0x16
#define HOUR_MS   (3600 * INT64_C(1000))

/* Bits of the input's first byte. */
enum port { NORMALISES = 16, IMPLICIT_TLS = 32, SUBMISSION = 64, TLS_FIRST = 128 };

struct run {
    struct sp_smtp_server_config config;
    struct sp_clock clock;
    int64_t now_ms;
    struct sp_smtp_server *server;
    struct sp_buf replies;
    struct sp_buf messages; /* and logins */
    struct sp_buf current;
    bool closed;
    bool normalise;
    bool tls;
    bool awaits_handshake;
    bool known; /* AUTH was answered with 235 */
};

static int64_t time_of_run(void *ctx)
{
    return ((struct run *)ctx)->now_ms;
}

static const struct sp_smtp_server_config config = {
    .hostname = "gw.example",
    .size_limit = 3000,
    .line_limit = 200,
    .max_recipients = 5,
    .max_errors = 10,
    .max_idle = 50,
    .free_idle = 20,
    .least_rate = 100,
    .tls_offered = true,
    .auth = SP_SMTP_AUTH_PLAIN | SP_SMTP_AUTH_LOGIN | SP_SMTP_AUTH_EXTERNAL | SP_SMTP_AUTH_SCRAM |
            SP_SMTP_AUTH_OAUTH,
};

/* The whole message, once taken: lines end with CRLF and nothing else does. */
static void check_message(struct sp_bytes m)
{
    for (size_t i = 0; i < m.len; i++) {
        sp_assert(m.ptr[i] != 0);
        sp_assert(m.ptr[i] != '\r' || (i + 1 < m.len && m.ptr[i + 1] == '\n'));
        sp_assert(m.ptr[i] != '\n' || (i > 0 && m.ptr[i - 1] == '\r'));
    }
    sp_assert(m.len == 0 || m.ptr[m.len - 1] == '\n');
}

static enum sp_rc judge(const struct sp_address *a)
{
    return a->local.len > 0 && a->local.ptr[0] == 'x' ? SP_E_INTAKE_POLICY : SP_OK;
}

static void note(struct run *r, struct sp_bytes text)
{
    sp_assert(text.len <= SP_SMTP_AUTH_LINE_MAX);
    sp_buf_put_dec(&r->messages, (int64_t)text.len);
    sp_buf_put(&r->messages, text);
}

/* A name or password that begins with an x is wrong; what is challenged is taken or refused by its second answer. */
static void on_auth(struct run *r, const struct sp_smtp_server_event *ev)
{
    bool in_two =
        ev->mechanism == SP_SMTP_AUTH_SCRAM ||
        (ev->mechanism == SP_SMTP_AUTH_OAUTH && ev->text.len > 0 && ev->text.ptr[0] != 'n');
    struct sp_bytes shown = ev->user.len > 0 ? ev->user : ev->text.len > 0 ? ev->text : ev->authzid;
    bool wrong = shown.len > 0 && shown.ptr[0] == 'x';

    sp_assert(r->tls && !r->known);
    sp_assert(ev->user.len > 0 || ev->mechanism >= SP_SMTP_AUTH_EXTERNAL);
    sp_assert(ev->user.len <= SP_SMTP_AUTH_MAX && ev->password.len <= SP_SMTP_AUTH_MAX &&
              ev->authzid.len <= SP_SMTP_AUTH_MAX);
    sp_assert(sp_bytes_find(ev->user, 0) == SIZE_MAX && sp_bytes_find(ev->text, 0) == SIZE_MAX);
    sp_buf_put_dec(&r->messages, ev->mechanism);
    note(r, ev->authzid);
    note(r, ev->user);
    note(r, ev->password);
    note(r, ev->text);
    if (in_two && ev->is_first) {
        sp_smtp_server_challenge(r->server, SP_LIT("r=nonce"));
        return;
    }
    r->known = !wrong;
    sp_smtp_server_answer(r->server, wrong ? SP_E_SMTP_AUTH_FAILED : SP_OK, sp_bytes(NULL, 0));
}

static void on_event(struct run *r, const struct sp_smtp_server_event *ev)
{
    enum sp_rc rc = SP_OK;

    switch (ev->type) {
    case SP_SMTP_SERVER_CHUNK:
        sp_buf_put(&r->current, ev->text);
        return;
    case SP_SMTP_SERVER_CLOSE:
        r->closed = true;
        return;
    case SP_SMTP_SERVER_END:
        sp_assert(ev->data.size == r->current.len);
        sp_assert(ev->data.line_max <= r->current.len);
        sp_buf_put_dec(&r->messages, (int64_t)ev->data.line_max);
        check_message(sp_buf_bytes(&r->current));
        sp_buf_put(&r->messages, sp_buf_bytes(&r->current));
        sp_buf_put_u8(&r->messages, 0xFF);
        break;
    case SP_SMTP_SERVER_DATA:
        sp_buf_reset(&r->current);
        if (r->normalise)
            sp_smtp_server_normalise(r->server);
        break;
    case SP_SMTP_SERVER_IDLE:
        break;
    case SP_SMTP_SERVER_MAIL:
        sp_assert(r->known || !r->config.auth_required);
        sp_assert(r->tls || (!r->config.tls_required && !ev->mail.requiretls));
        rc = judge(&ev->address);
        break;
    case SP_SMTP_SERVER_RCPT:
        rc = judge(&ev->address);
        break;
    case SP_SMTP_SERVER_AUTH:
        on_auth(r, ev);
        return;
    case SP_SMTP_SERVER_STARTTLS:
        sp_assert(!r->tls);
        r->awaits_handshake = true;
        return;
    default:
        return;
    }
    sp_smtp_server_answer(r->server, rc, sp_bytes(NULL, 0));
}

static void start(struct run *r, unsigned port)
{
    *r = (struct run){
        .config = config, .normalise = (port & NORMALISES) != 0, .tls = (port & IMPLICIT_TLS) != 0};
    r->now_ms = 1000;
    r->clock = (struct sp_clock){time_of_run, time_of_run, r, NULL};
    r->config.clock = &r->clock;
    r->config.tls_active = r->tls;
    r->config.auth_required = (port & SUBMISSION) != 0;
    r->config.tls_required = (port & TLS_FIRST) != 0;
    r->server = sp_smtp_server_new(&r->config);
    sp_buf_init(&r->replies, 1 << 20);
    sp_buf_init(&r->messages, 1 << 20);
    sp_buf_init(&r->current, 1 << 20);
}

static void stop(struct run *r)
{
    sp_smtp_server_free(r->server);
    sp_buf_clear(&r->replies);
    sp_buf_clear(&r->messages);
    sp_buf_clear(&r->current);
}

/* Time goes by while we do not read: what the client has left of its own stays the same. */
static void hold(struct run *r)
{
    int64_t due = sp_smtp_server_deadline_ms(r->server);

    r->now_ms += HOUR_MS;
    sp_smtp_server_held(r->server, HOUR_MS);
    sp_assert(sp_smtp_server_deadline_ms(r->server) == (due == INT64_MAX ? due : due + HOUR_MS));
    sp_assert(!sp_smtp_server_check_time(r->server));
}

/* Offers what has come and is not used, and takes what the machine says. returns: bytes used */
static size_t offer(struct run *r, struct sp_bytes in)
{
    size_t len = in.len;
    struct sp_smtp_server_event ev;

    while (sp_smtp_server_next(r->server, &in, &ev))
        on_event(r, &ev);
    sp_buf_put(&r->replies, sp_smtp_server_output(r->server));
    sp_smtp_server_sent(r->server, sp_smtp_server_output(r->server).len);
    return len - in.len;
}

/* Feeds the input in pieces of step bytes (0: whole flights), offering again what was left. */
static void feed(struct run *r, struct sp_bytes all, size_t step)
{
    size_t used = 0, given = 0, flight = 0;

    while (given < all.len) {
        if (flight <= given) {
            flight = sp_bytes_find(sp_bytes_slice(all, given + 1, all.len), HANDSHAKE);
            flight = flight == SIZE_MAX ? all.len : given + 1 + flight;
        }
        if (step > 0)
            hold(r);
        given = step == 0 || given + step > flight ? flight : given + step;
        used += offer(r, sp_bytes_slice(all, used, given - used));
        sp_assert(!sp_smtp_server_check_time(r->server));
        if (given < flight || given == all.len || !r->awaits_handshake || r->closed)
            continue;
        r->awaits_handshake = false;
        r->tls = true;
        sp_smtp_server_tls_done(r->server);
        used = ++given;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct run whole, cut;

    if (len < 1)
        return 0;
    start(&whole, data[0]);
    start(&cut, data[0]);
    feed(&whole, sp_bytes(data + 1, len - 1), 0);
    feed(&cut, sp_bytes(data + 1, len - 1), (size_t)(data[0] % 16) + 1);
    sp_assert(sp_bytes_eq(sp_buf_bytes(&whole.replies), sp_buf_bytes(&cut.replies)));
    sp_assert(sp_bytes_eq(sp_buf_bytes(&whole.messages), sp_buf_bytes(&cut.messages)));
    sp_assert(whole.closed == cut.closed && whole.tls == cut.tls && whole.known == cut.known);
    stop(&whole);
    stop(&cut);
    return 0;
}
