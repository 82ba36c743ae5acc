/*
 * The server machine: the same bytes give the same replies and the same messages however they are cut; no data given on
 * holds a bare CR, bare LF or NUL. The first byte of the input says how the second run is cut, and whether the driver
 * normalises.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
    struct sp_smtp_server *server;
    struct sp_buf replies;
    struct sp_buf messages;
    struct sp_buf current;
    bool closed;
    bool normalise;
};

static int64_t fixed_ms(void *ctx)
{
    (void)ctx;
    return 1000;
}

static const struct sp_clock clock_fixed = {fixed_ms, fixed_ms, NULL, NULL};

static const struct sp_smtp_server_config config = {
    .hostname = "gw.example",
    .clock = &clock_fixed,
    .size_limit = 3000,
    .line_limit = 200,
    .max_recipients = 5,
    .max_errors = 10,
    .max_idle = 50,
    .tls_offered = true,
    .auth = SP_SMTP_AUTH_PLAIN | SP_SMTP_AUTH_LOGIN | SP_SMTP_AUTH_EXTERNAL | SP_SMTP_AUTH_SCRAM,
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
    case SP_SMTP_SERVER_MAIL:
    case SP_SMTP_SERVER_RCPT:
        rc = judge(&ev->address);
        break;
    case SP_SMTP_SERVER_AUTH:
        sp_assert(ev->user.len > 0 || ev->mechanism >= SP_SMTP_AUTH_EXTERNAL);
        if (ev->mechanism == SP_SMTP_AUTH_SCRAM && ev->is_first) {
            sp_smtp_server_challenge(r->server, SP_LIT("r=nonce"));
            return;
        }
        break;
    default:
        return;
    }
    sp_smtp_server_answer(r->server, rc, sp_bytes(NULL, 0));
}

static void start(struct run *r)
{
    r->normalise = false;
    r->closed = false;
    r->server = sp_smtp_server_new(&config);
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

/* Feeds the input in pieces of step bytes (0: whole), offering again what was left. */
static void feed(struct run *r, struct sp_bytes all, size_t step)
{
    size_t used = 0, given = 0;
    struct sp_smtp_server_event ev;

    while (given < all.len) {
        struct sp_bytes in;

        given = step == 0 || given + step > all.len ? all.len : given + step;
        in = sp_bytes_slice(all, used, given - used);
        while (sp_smtp_server_next(r->server, &in, &ev))
            on_event(r, &ev);
        used = given - in.len;
        sp_buf_put(&r->replies, sp_smtp_server_output(r->server));
        sp_smtp_server_sent(r->server, sp_smtp_server_output(r->server).len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct run whole, cut;

    if (len < 1)
        return 0;
    start(&whole);
    start(&cut);
    whole.normalise = cut.normalise = (data[0] & 16) != 0;
    feed(&whole, sp_bytes(data + 1, len - 1), 0);
    feed(&cut, sp_bytes(data + 1, len - 1), (size_t)(data[0] % 16) + 1);
    sp_assert(sp_bytes_eq(sp_buf_bytes(&whole.replies), sp_buf_bytes(&cut.replies)));
    sp_assert(sp_bytes_eq(sp_buf_bytes(&whole.messages), sp_buf_bytes(&cut.messages)));
    sp_assert(whole.closed == cut.closed);
    stop(&whole);
    stop(&cut);
    return 0;
}
