/*
 * The life of a server session: states, lines, events, answers, time. Input is never copied: the caller offers the same
 * bytes again until a whole line (or a piece of data) is there, so a cut can't change what is understood. A line is
 * what ends with CRLF. One that holds a bare LF is answered once for each line that the client may think it sent, and
 * nothing of it is executed: neither a forged command behind a LF in an address, nor a client that hangs because it
 * sends LF alone.
 */
#include "smtp/server_priv.h"

#define IN(state) (1U << (state))
#define MINUTE    60000

static const struct {
    const char *name;
    unsigned next;    /* states that may follow */
    int64_t limit_ms; /* longest stay without a line or data, RFC 5321 4.5.3.2.7 */
} states[] = {
    [GREETED] = {"greeted", IN(GREETED) | IN(READY) | IN(TLS_WAIT) | IN(CLOSED), 5 * MINUTE},
    [READY] = {"ready", IN(GREETED) | IN(READY) | IN(MAIL) | IN(AUTH) | IN(TLS_WAIT) | IN(CLOSED),
               5 * MINUTE},
    [MAIL] = {"mail", IN(READY) | IN(MAIL) | IN(RCPT) | IN(CLOSED), 5 * MINUTE},
    [RCPT] = {"rcpt", IN(READY) | IN(RCPT) | IN(DATA) | IN(CHUNK) | IN(CLOSED), 5 * MINUTE},
    [DATA] = {"data", IN(READY) | IN(CLOSED), 5 * MINUTE},
    [CHUNK] = {"chunk", IN(READY) | IN(CHUNK_WAIT) | IN(CLOSED), 5 * MINUTE},
    [CHUNK_WAIT] = {"chunk-wait", IN(READY) | IN(CHUNK) | IN(CLOSED), 5 * MINUTE},
    [AUTH] = {"auth", IN(READY) | IN(CLOSED), 5 * MINUTE},
    [TLS_WAIT] = {"tls-wait", IN(GREETED) | IN(CLOSED), MINUTE},
    [CLOSED] = {"closed", 0, INT64_MAX / 4},
};

static bool in_message(const struct sp_smtp_server *s)
{
    return s->state == DATA || s->state == CHUNK || s->state == CHUNK_WAIT;
}

/* A message has a deadline that only its size moves: a byte now and then does not keep a session. */
static int64_t message_deadline(const struct sp_smtp_server *s, int64_t grace_ms)
{
    uint64_t rate = s->config->least_rate;

    if (rate == 0)
        return INT64_MAX;
    return s->data_since_ms + grace_ms + (int64_t)(s->data_taken / rate * 1000);
}

void sp_smtp_server_touch(struct sp_smtp_server *s)
{
    int64_t limit_ms = states[s->state].limit_ms, latest_ms;

    if (limit_ms == 5 * MINUTE && s->config->idle_ms > 0)
        limit_ms = s->config->idle_ms;
    s->deadline_ms = sp_clock_mono_ms(s->config->clock) + limit_ms;
    latest_ms = in_message(s) ? message_deadline(s, limit_ms) : s->progress_ms + 3 * limit_ms;
    if (s->deadline_ms > latest_ms)
        s->deadline_ms = latest_ms;
}

void sp_smtp_server_enter(struct sp_smtp_server *s, enum state next)
{
    sp_assert(states[s->state].next & IN(next));
    s->state = next;
    sp_smtp_server_touch(s);
}

struct sp_smtp_server *sp_smtp_server_new(const struct sp_smtp_server_config *config)
{
    struct sp_smtp_server *s = sp_calloc(1, sizeof(*s));

    s->config = config;
    s->state = GREETED;
    s->tls = config->tls_active;
    sp_buf_init(&s->out, OUTPUT_MAX);
    sp_buf_init(&s->helo, 256);
    sp_buf_init(&s->domain, SP_DOMAIN_MAX);
    sp_buf_init(&s->orcpt, SP_ORCPT_MAX);
    s->progress_ms = sp_clock_mono_ms(config->clock);
    sp_smtp_server_touch(s);
    sp_buf_put_cstr(&s->out, "220 ");
    sp_buf_put_cstr(&s->out, config->hostname);
    sp_buf_put_cstr(&s->out, " ESMTP\r\n");
    return s;
}

void sp_smtp_server_free(struct sp_smtp_server *s)
{
    if (s == NULL)
        return;
    sp_buf_clear(&s->out);
    sp_buf_clear(&s->helo);
    sp_buf_clear(&s->domain);
    sp_buf_clear(&s->orcpt);
    sp_smtp_server_forget_secret(s);
    sp_free(s->secret);
    sp_free(s);
}

struct sp_smtp_server_event *sp_smtp_server_emit(struct sp_smtp_server *s,
                                                 enum sp_smtp_server_event_type type)
{
    struct sp_smtp_server_event *ev = &s->events[s->events_count];

    sp_assert(s->events_count < EVENTS_MAX);
    s->events_count++;
    *ev = (struct sp_smtp_server_event){.type = type};
    return ev;
}

struct sp_smtp_server_event *sp_smtp_server_ask(struct sp_smtp_server *s,
                                                enum sp_smtp_server_event_type type)
{
    s->waiting = true;
    s->asked = type;
    return sp_smtp_server_emit(s, type);
}

void sp_smtp_server_reply(struct sp_smtp_server *s, int code, const char *enhanced,
                          struct sp_bytes text)
{
    sp_buf_put_dec(&s->out, code);
    sp_buf_put_u8(&s->out, ' ');
    if (enhanced != NULL) {
        sp_buf_put_cstr(&s->out, enhanced);
        sp_buf_put_u8(&s->out, ' ');
    }
    for (size_t i = 0; i < text.len && i < 400; i++) {
        uint8_t c = text.ptr[i];

        sp_buf_put_u8(&s->out, c >= 32 && c < 127 ? c : ' ');
    }
    sp_buf_put_cstr(&s->out, "\r\n");
}

void sp_smtp_server_reset(struct sp_smtp_server *s)
{
    if (s->state == MAIL || s->state == RCPT || in_message(s)) {
        sp_smtp_server_emit(s, SP_SMTP_SERVER_RESET);
        sp_smtp_server_enter(s, READY);
    }
    s->recipients = 0;
}

void sp_smtp_server_close(struct sp_smtp_server *s, enum sp_rc rc)
{
    if (s->state == CLOSED)
        return;
    sp_smtp_server_reset(s);
    sp_smtp_server_emit(s, SP_SMTP_SERVER_CLOSE)->rc = rc;
    sp_smtp_server_enter(s, CLOSED);
}

/* Says the reply of the table and, for a 421, ends the session. */
static void refuse(struct sp_smtp_server *s, enum sp_rc rc, struct sp_bytes text)
{
    const struct sp_rc_info *info = sp_rc_info(rc);

    if (info->smtp == 0) /* a failure that is no client's business */
        info = sp_rc_info(SP_E_INTERNAL);
    sp_smtp_server_reply(s, info->smtp, info->enhanced,
                         text.len > 0 ? text : sp_bytes_cstr(info->text));
    if (info->smtp == 421)
        sp_smtp_server_close(s, rc);
}

/* Counts a refusal; too many end the session. */
static void count_error(struct sp_smtp_server *s)
{
    if (++s->errors > s->config->max_errors && s->state != CLOSED)
        refuse(s, SP_E_SMTP_ERRORS_MANY, sp_bytes(NULL, 0));
}

void sp_smtp_server_fault(struct sp_smtp_server *s, enum sp_rc rc)
{
    sp_smtp_server_emit(s, SP_SMTP_SERVER_REFUSED)->rc = rc;
    refuse(s, rc, sp_bytes(NULL, 0));
    count_error(s);
}

static bool has_stray(struct sp_bytes line)
{
    return line.len > 0 &&
           (memchr(line.ptr, '\r', line.len) != NULL || memchr(line.ptr, 0, line.len) != NULL);
}

/* A token needs more room than any command; nobody else gets it. */
static size_t line_max(const struct sp_smtp_server *s, struct sp_bytes input)
{
    bool is_token = s->tls && (s->config->auth & SP_SMTP_AUTH_OAUTH) != 0 &&
                    (s->state == AUTH ? s->mechanism == SP_SMTP_AUTH_OAUTH
                                      : sp_bytes_starts_nocase(input, SP_LIT("AUTH OAUTHBEARER ")));

    return is_token ? SP_SMTP_AUTH_LINE_MAX : SP_SMTP_COMMAND_MAX;
}

/* Handles a line that a LF ends. line: with its LF */
static void on_line(struct sp_smtp_server *s, struct sp_bytes line)
{
    bool ends_well = line.len >= 2 && line.ptr[line.len - 2] == '\r';
    bool tainted = s->tainted;

    if (s->skipping) {
        s->skipping = false;
        s->tainted = !ends_well;
        return;
    }
    sp_smtp_server_touch(s);
    s->tainted = !ends_well;
    if (line.len > line_max(s, line)) {
        if (s->state == AUTH)
            sp_smtp_server_enter(s, READY);
        sp_smtp_server_fault(s, SP_E_SMTP_LINE_LONG);
        return;
    }
    line.len -= ends_well ? 2 : 1;
    if (tainted || !ends_well || has_stray(line)) {
        if (s->state == AUTH)
            sp_smtp_server_enter(s, READY);
        sp_smtp_server_fault(s, SP_E_SMTP_BARE_LINE);
        return;
    }
    if (s->state == AUTH)
        sp_smtp_server_auth_response(s, line);
    else
        sp_smtp_server_command(s, line);
}

/* Takes a line off the input, if one is whole. returns: false if more input is needed */
static bool line_step(struct sp_smtp_server *s, struct sp_bytes *input)
{
    struct sp_bytes fresh = sp_bytes_slice(*input, s->scanned, input->len);
    size_t lf = sp_bytes_find(fresh, '\n');
    struct sp_bytes line;

    if (lf == SIZE_MAX && input->len <= line_max(s, *input) && !s->skipping) {
        s->scanned = input->len;
        return false;
    }
    if (lf == SIZE_MAX) {
        struct sp_bytes all = *input;
        bool told = s->skipping;
        /* keep a last CR: with the LF to come it ends the line well */
        size_t keep = all.len > 0 && all.ptr[all.len - 1] == '\r' ? 1 : 0;

        *input = sp_bytes_slice(all, all.len - keep, keep);
        s->scanned = 0;
        s->skipping = true;
        if (!told) {
            sp_smtp_server_touch(s);
            if (s->state == AUTH)
                sp_smtp_server_enter(s, READY);
            sp_smtp_server_fault(s, SP_E_SMTP_LINE_LONG);
        }
        return !told;
    }
    line = sp_bytes_slice(*input, 0, s->scanned + lf + 1);
    *input = sp_bytes_slice(*input, line.len, input->len);
    s->scanned = 0;
    on_line(s, line);
    return true;
}

/* Bytes behind STARTTLS, before the handshake: somebody in between injected them (RFC 3207 6, CVE-2011-0411). */
static bool tls_wait_step(struct sp_smtp_server *s, const struct sp_bytes *input)
{
    if (input->len == 0)
        return false;
    sp_smtp_server_emit(s, SP_SMTP_SERVER_REFUSED)->rc = SP_E_SMTP_INJECTION;
    sp_smtp_server_close(s, SP_E_SMTP_INJECTION);
    return true;
}

static bool step(struct sp_smtp_server *s, struct sp_bytes *input)
{
    if (s->swallow > 0)
        return sp_smtp_server_swallow(s, input);
    if (s->shut_rc != SP_OK && !in_message(s) && s->state != TLS_WAIT) {
        refuse(s, s->shut_rc, sp_bytes(NULL, 0));
        sp_smtp_server_close(s, s->shut_rc);
        return true;
    }
    if (s->state == DATA)
        return sp_smtp_server_data(s, input);
    if (s->state == CHUNK)
        return sp_smtp_server_chunk(s, input);
    if (s->state == TLS_WAIT)
        return tls_wait_step(s, input);
    return line_step(s, input);
}

bool sp_smtp_server_next(struct sp_smtp_server *s, struct sp_bytes *input,
                         struct sp_smtp_server_event *event)
{
    for (;;) {
        if (s->events_count > 0) {
            *event = s->events[0];
            s->events_count--;
            memmove(&s->events[0], &s->events[1], s->events_count * sizeof(s->events[0]));
            return true;
        }
        if (s->waiting || s->state == CLOSED || !step(s, input))
            return false;
    }
}

static void accept_answer(struct sp_smtp_server *s, struct sp_bytes text)
{
    switch (s->asked) {
    case SP_SMTP_SERVER_AUTH:
        s->authenticated = true;
        s->progress_ms = sp_clock_mono_ms(s->config->clock);
        sp_smtp_server_reply(s, 235, "2.7.0", text.len > 0 ? text : SP_LIT("authenticated"));
        break;
    case SP_SMTP_SERVER_MAIL:
        sp_smtp_server_reply(s, 250, "2.1.0", text.len > 0 ? text : SP_LIT("sender ok"));
        sp_smtp_server_enter(s, MAIL);
        break;
    case SP_SMTP_SERVER_RCPT:
        s->recipients++;
        s->progress_ms = sp_clock_mono_ms(s->config->clock);
        sp_smtp_server_reply(s, 250, "2.1.5", text.len > 0 ? text : SP_LIT("recipient ok"));
        sp_smtp_server_enter(s, RCPT);
        break;
    case SP_SMTP_SERVER_IDLE:
        sp_smtp_server_touch(s);
        break;
    case SP_SMTP_SERVER_DATA:
        if (!s->chunking)
            sp_buf_put_cstr(&s->out, "354 end with <CRLF>.<CRLF>\r\n");
        sp_smtp_server_data_start(s);
        break;
    default:
        sp_assert(s->asked == SP_SMTP_SERVER_END);
        s->idle = 0;
        s->errors = 0;
        s->progress_ms = sp_clock_mono_ms(s->config->clock);
        s->recipients = 0;
        sp_smtp_server_reply(s, 250, "2.0.0", text.len > 0 ? text : SP_LIT("accepted"));
        sp_smtp_server_enter(s, READY);
        break;
    }
}

void sp_smtp_server_answer(struct sp_smtp_server *s, enum sp_rc rc, struct sp_bytes text)
{
    sp_assert(s->waiting);
    s->waiting = false;
    sp_smtp_server_forget_secret(s);
    if (rc == SP_OK) {
        accept_answer(s, text);
        return;
    }
    if (s->asked == SP_SMTP_SERVER_END) {
        s->recipients = 0;
        sp_smtp_server_enter(s, READY);
    }
    sp_smtp_server_touch(s);
    refuse(s, rc, text);
    if (s->asked == SP_SMTP_SERVER_DATA && s->chunking)
        sp_smtp_server_chunk_refused(s);
    if (sp_rc_info(rc)->class == SP_CLASS_PERM)
        count_error(s);
}

void sp_smtp_server_tls_done(struct sp_smtp_server *s)
{
    sp_assert(s->state == TLS_WAIT);
    s->tls = true;
    s->extended = false;
    s->authenticated = false;
    s->scanned = 0;
    sp_buf_reset(&s->helo);
    sp_smtp_server_enter(s, GREETED);
}

void sp_smtp_server_shut(struct sp_smtp_server *s, enum sp_rc rc)
{
    s->shut_rc = rc;
}

int64_t sp_smtp_server_deadline_ms(const struct sp_smtp_server *s)
{
    return s->waiting || s->state == CLOSED ? INT64_MAX : s->deadline_ms;
}

bool sp_smtp_server_check_time(struct sp_smtp_server *s)
{
    if (sp_clock_mono_ms(s->config->clock) < sp_smtp_server_deadline_ms(s))
        return false;
    refuse(s, SP_E_SMTP_IDLE, sp_bytes(NULL, 0));
    return true;
}

void sp_smtp_server_held(struct sp_smtp_server *s, int64_t ms)
{
    s->deadline_ms += ms;
    s->progress_ms += ms;
    s->data_since_ms += ms;
}

struct sp_bytes sp_smtp_server_output(const struct sp_smtp_server *s)
{
    return sp_buf_bytes(&s->out);
}

void sp_smtp_server_sent(struct sp_smtp_server *s, size_t len)
{
    if (len == s->out.len)
        sp_buf_reset(&s->out);
    else
        sp_buf_drop(&s->out, len);
}

bool sp_smtp_server_in_data(const struct sp_smtp_server *s)
{
    return in_message(s);
}

void sp_smtp_server_normalise(struct sp_smtp_server *s)
{
    sp_assert(s->waiting && s->asked == SP_SMTP_SERVER_DATA);
    s->normalise = true;
}

bool sp_smtp_server_is_closed(const struct sp_smtp_server *s)
{
    return s->state == CLOSED;
}

bool sp_smtp_server_is_extended(const struct sp_smtp_server *s)
{
    return s->extended;
}
