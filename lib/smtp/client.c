/*
 * The life of a client session. The peer is not trusted: replies are capped, a reply that nobody asked for ends the
 * session, and nothing that it says before TLS counts after. Where the connection ends is reported exactly: before the
 * last dot nothing was taken, behind it nobody knows.
 */
#include "smtp/client_priv.h"

#define IN(state) (1U << (state))
#define MINUTE    60000
#define FOREVER   (INT64_MAX / 4)

static const struct {
    const char *name;
    unsigned next;    /* states that may follow; OVER may always */
    int64_t limit_ms; /* longest wait, RFC 5321 4.5.3.2 */
} states[] = {
    [GREETING] = {"greeting", IN(EHLO_SENT), 5 * MINUTE},
    [EHLO_SENT] = {"ehlo", IN(HELO_SENT) | IN(TLS_SENT) | IN(IDLE), 5 * MINUTE},
    [HELO_SENT] = {"helo", IN(IDLE), 5 * MINUTE},
    [TLS_SENT] = {"starttls", IN(TLS_WAIT), 2 * MINUTE},
    [TLS_WAIT] = {"handshake", IN(EHLO_SENT), FOREVER},
    [IDLE] = {"idle", IN(MAILING) | IN(QUIT_SENT), FOREVER},
    [MAILING] = {"mailing", IN(MAILING) | IN(BODY) | IN(EMPTY_DOT) | IN(RSET_SENT), 5 * MINUTE},
    [BODY] = {"body", IN(DOT), 3 * MINUTE},
    [DOT] = {"dot", IN(IDLE) | IN(RSET_SENT), 10 * MINUTE},
    [EMPTY_DOT] = {"empty-dot", IN(RSET_SENT), 2 * MINUTE},
    [RSET_SENT] = {"rset", IN(IDLE), 5 * MINUTE},
    [QUIT_SENT] = {"quit", 0, MINUTE / 2},
    [OVER] = {"over", 0, FOREVER},
};

/* What the setting asks for; behind the dot, where nobody knows who has the message, never less than the RFC says. */
static int64_t limit_of(const struct sp_smtp_client *c, enum client_state state)
{
    int64_t limit_ms = states[state].limit_ms;
    int64_t asked_ms = c->config->command_ms;

    if (asked_ms == 0 || limit_ms == FOREVER || state == BODY || state == QUIT_SENT)
        return limit_ms;
    if (state == DOT)
        return asked_ms > limit_ms ? asked_ms : limit_ms;
    return asked_ms;
}

void sp_smtp_client_enter(struct sp_smtp_client *c, enum client_state next)
{
    sp_assert(next == OVER || (states[c->state].next & IN(next)));
    c->state = next;
    c->deadline_ms = sp_clock_mono_ms(c->config->clock) + limit_of(c, next);
}

struct sp_smtp_client *sp_smtp_client_new(const struct sp_smtp_client_config *config)
{
    struct sp_smtp_client *c = sp_calloc(1, sizeof(*c));

    c->config = config;
    c->tls = config->tls_active;
    c->state = GREETING;
    c->deadline_ms = sp_clock_mono_ms(config->clock) + limit_of(c, GREETING);
    sp_buf_init(&c->out, 1024 * 1024);
    sp_buf_init(&c->commands, 2 * 1024 * 1024);
    return c;
}

void sp_smtp_client_free(struct sp_smtp_client *c)
{
    if (c == NULL)
        return;
    sp_buf_clear(&c->out);
    sp_buf_clear(&c->commands);
    sp_free(c->ends);
    sp_free(c->rcpts);
    sp_free(c);
}

struct sp_smtp_client_event *sp_smtp_client_emit(struct sp_smtp_client *c,
                                                 enum sp_smtp_client_event_type type)
{
    struct sp_smtp_client_event *ev = &c->events[c->events_count];

    sp_assert(c->events_count < CLIENT_EVENTS_MAX);
    c->events_count++;
    *ev = (struct sp_smtp_client_event){.type = type};
    return ev;
}

void sp_smtp_client_fail(struct sp_smtp_client *c, enum sp_rc rc, const struct sp_smtp_reply *reply)
{
    struct sp_smtp_client_event *ev;

    if (c->state == OVER)
        return;
    if (c->result_owed)
        sp_smtp_client_settle(c, c->state == DOT ? SP_SMTP_RCPT_UNSURE : SP_SMTP_RCPT_DEFERRED,
                              reply);
    ev = sp_smtp_client_emit(c, SP_SMTP_CLIENT_FAILED);
    ev->rc = rc;
    if (reply != NULL)
        ev->reply = *reply;
    sp_smtp_client_enter(c, OVER);
}

static enum sp_rc rc_of(const struct sp_smtp_reply *reply)
{
    if (reply->code >= 500)
        return SP_E_HOP_REFUSED;
    return reply->code >= 400 ? SP_E_HOP_DEFERRED : SP_E_SMTP_REPLY;
}

void sp_smtp_client_hello(struct sp_smtp_client *c, bool extended)
{
    c->extensions = 0;
    c->size_limit = 0;
    sp_buf_put_cstr(&c->out, extended ? "EHLO " : "HELO ");
    sp_buf_put_cstr(&c->out, c->config->hostname);
    sp_buf_put_cstr(&c->out, "\r\n");
    sp_smtp_client_enter(c, extended ? EHLO_SENT : HELO_SENT);
}

static void ready(struct sp_smtp_client *c)
{
    sp_smtp_client_enter(c, IDLE);
    sp_smtp_client_emit(c, SP_SMTP_CLIENT_READY);
}

/* What was offered is known: take TLS or go on. */
static void on_hello_done(struct sp_smtp_client *c)
{
    bool offered = (c->extensions & SP_SMTP_EXT_STARTTLS) != 0;

    if (c->tls || c->config->tls == SP_SMTP_TLS_NEVER ||
        (!offered && c->config->tls == SP_SMTP_TLS_OFFERED)) {
        ready(c);
        return;
    }
    if (!offered) {
        sp_smtp_client_fail(c, SP_E_TLS_ABSENT, NULL);
        return;
    }
    sp_buf_put_cstr(&c->out, "STARTTLS\r\n");
    sp_smtp_client_enter(c, TLS_SENT);
}

static void on_hello_reply(struct sp_smtp_client *c)
{
    if (c->reply.code == 250)
        on_hello_done(c);
    else if (c->state == EHLO_SENT && c->reply.code >= 500 && !c->tls)
        sp_smtp_client_hello(c, false); /* RFC 5321 3.2: an old server */
    else
        sp_smtp_client_fail(c, rc_of(&c->reply), &c->reply);
}

/* A whole reply has come. */
static void on_reply(struct sp_smtp_client *c)
{
    switch (c->state) {
    case GREETING:
        if (c->reply.code == 220)
            sp_smtp_client_hello(c, true);
        else
            sp_smtp_client_fail(c, rc_of(&c->reply), &c->reply);
        break;
    case EHLO_SENT:
    case HELO_SENT:
        on_hello_reply(c);
        break;
    case TLS_SENT:
        if (c->reply.code == 220) {
            sp_smtp_client_enter(c, TLS_WAIT);
            sp_smtp_client_emit(c, SP_SMTP_CLIENT_STARTTLS);
        } else {
            sp_smtp_client_fail(c, SP_E_TLS_HANDSHAKE, &c->reply);
        }
        break;
    case MAILING:
    case BODY:
    case DOT:
    case EMPTY_DOT:
        sp_smtp_client_transaction_reply(c);
        break;
    case RSET_SENT:
        if (c->reply.code == 250)
            ready(c);
        else
            sp_smtp_client_fail(c, rc_of(&c->reply), &c->reply);
        break;
    case QUIT_SENT:
        sp_smtp_client_emit(c, SP_SMTP_CLIENT_CLOSED);
        sp_smtp_client_enter(c, OVER);
        break;
    default: /* nobody asked */
        sp_smtp_client_fail(c, c->reply.code == 421 ? SP_E_HOP_DEFERRED : SP_E_SMTP_REPLY,
                            &c->reply);
        break;
    }
}

/*
 * Takes a line's status and keeps its text, behind that of the lines before: printable ASCII, cut. What a large provider means
 * stands in the first of several lines, its status in each.
 */
static void keep_line(struct sp_smtp_reply *reply, int code, struct sp_bytes text)
{
    size_t room;

    reply->code = code;
    if (!sp_status_parse(text, &reply->status, &text) ||
        reply->status.class != (unsigned)code / 100)
        reply->status = sp_status_of_reply(code);
    if (reply->text_len > 0 && reply->text_len < SP_SMTP_REPLY_TEXT_MAX)
        reply->text[reply->text_len++] = ' ';
    room = SP_SMTP_REPLY_TEXT_MAX - reply->text_len;
    for (size_t i = 0; i < text.len && i < room; i++)
        reply->text[reply->text_len++] = text.ptr[i] >= 32 && text.ptr[i] < 127 ? text.ptr[i] : '?';
}

static enum sp_rc take_line(struct sp_smtp_client *c, struct sp_bytes *input, bool *progress)
{
    struct sp_bytes text;
    size_t len = 0;
    int code = 0;
    bool last = false;
    enum sp_rc rc = sp_smtp_reply_line(*input, &len, &code, &last, &text);

    if (rc != SP_OK || len == 0)
        return rc;
    *progress = true;
    *input = sp_bytes_slice(*input, len, input->len);
    if (c->lines > 0 && code != c->code)
        return SP_E_SMTP_REPLY;
    if (++c->lines > SP_SMTP_REPLY_LINES_MAX)
        return SP_E_SMTP_REPLY;
    c->code = code;
    if (c->state == EHLO_SENT && code == 250)
        sp_smtp_client_ehlo_line(c, text, c->lines == 1);
    if (c->lines == 1)
        c->reply.text_len = 0;
    keep_line(&c->reply, code, text);
    if (!last)
        return SP_OK;
    c->lines = 0;
    on_reply(c);
    return SP_OK;
}

bool sp_smtp_client_next(struct sp_smtp_client *c, struct sp_bytes *input,
                         struct sp_smtp_client_event *event)
{
    for (;;) {
        bool progress = false;
        enum sp_rc rc;

        /* bytes behind the reply to STARTTLS were injected (RFC 3207 6): not even the event is given */
        if (c->state == TLS_WAIT && input->len > 0) {
            c->events_count = 0;
            sp_smtp_client_fail(c, SP_E_SMTP_INJECTION, NULL);
        }
        if (c->events_count > 0) {
            *event = c->events[0];
            c->events_count--;
            memmove(&c->events[0], &c->events[1], c->events_count * sizeof(c->events[0]));
            return true;
        }
        if (c->state == OVER || input->len == 0)
            return false;
        rc = take_line(c, input, &progress);
        if (rc != SP_OK)
            sp_smtp_client_fail(c, rc, NULL);
        else if (!progress)
            return false;
    }
}

void sp_smtp_client_tls_done(struct sp_smtp_client *c)
{
    sp_assert(c->state == TLS_WAIT);
    c->tls = true;
    sp_smtp_client_hello(c, true);
}

void sp_smtp_client_quit(struct sp_smtp_client *c)
{
    if (c->state == IDLE) {
        sp_buf_put_cstr(&c->out, "QUIT\r\n");
        sp_smtp_client_enter(c, QUIT_SENT);
    } else {
        sp_smtp_client_fail(c, SP_E_CANCELLED, NULL);
    }
}

void sp_smtp_client_lost(struct sp_smtp_client *c, enum sp_rc rc)
{
    if (c->state == QUIT_SENT) { /* many servers just close */
        sp_smtp_client_emit(c, SP_SMTP_CLIENT_CLOSED);
        sp_smtp_client_enter(c, OVER);
        return;
    }
    sp_smtp_client_fail(c, rc == SP_OK ? SP_E_HOP_LOST : rc, NULL);
}

unsigned sp_smtp_client_extensions(const struct sp_smtp_client *c)
{
    return c->extensions;
}

uint64_t sp_smtp_client_size_limit(const struct sp_smtp_client *c)
{
    return c->size_limit;
}

bool sp_smtp_client_is_ready(const struct sp_smtp_client *c)
{
    return c->state == IDLE;
}

int64_t sp_smtp_client_deadline_ms(const struct sp_smtp_client *c)
{
    return states[c->state].limit_ms == FOREVER ? INT64_MAX : c->deadline_ms;
}

bool sp_smtp_client_check_time(struct sp_smtp_client *c)
{
    if (sp_clock_mono_ms(c->config->clock) < sp_smtp_client_deadline_ms(c))
        return false;
    sp_smtp_client_fail(c, SP_E_TIMEOUT, NULL);
    return true;
}

void sp_smtp_client_body_moved(struct sp_smtp_client *c)
{
    if (c->state == BODY)
        c->deadline_ms = sp_clock_mono_ms(c->config->clock) + states[BODY].limit_ms;
}

struct sp_bytes sp_smtp_client_output(const struct sp_smtp_client *c)
{
    return sp_buf_bytes(&c->out);
}

void sp_smtp_client_sent(struct sp_smtp_client *c, size_t len)
{
    if (len == c->out.len)
        sp_buf_reset(&c->out);
    else
        sp_buf_drop(&c->out, len);
}
