/*
 * A connection's life: it owns socket, TLS and timer, and drives the server machine. The machine sees the stream's input
 * where it lies; what it says is written after it has looked, because a write may move the input. Answers that take time
 * (password, scanner, journal) come back through sp_intake_session_answer, found by handle, so that a session that has
 * gone meanwhile is simply not there.
 */
#include "intake/bounce_priv.h"
#include "intake/intake_priv.h"
#include "io/proxy.h"

#define PROXY_PATIENCE_MS 5000        /* for a load balancer's header */
#define CLOSE_PATIENCE_MS 10000       /* for the peer to take our last words */
#define COMMAND_LEN       20          /* bytes of a command, for who does how much */
#define UNREAD_MAX        (64 * 1024) /* of our replies, that the peer has not taken */

static void greet(struct session *s);

/* Takes the client's address from the header before anything else is read. Not a byte behind it leaves the socket before it
 * has come whole: with implicit TLS that is the handshake's. */
static void take_proxy(struct session *s)
{
    struct sp_proxy p;
    enum sp_rc rc = sp_proxy_parse(sp_stream_input(s->stream), &p);

    if (rc == SP_E_CLOSED) {
        sp_stream_limit_input(s->stream, p.len);
        return;
    }
    if (rc == SP_OK)
        sp_stream_consume(s->stream, p.len);
    if (rc == SP_OK && !p.is_local) {
        s->counted = sp_intake_source_enter(s->in, &p.client);
        s->peer = p.client;
        sp_addr_format_ip(&s->peer, s->ip);
    }
    if (rc != SP_OK || (!p.is_local && !s->counted)) {
        sp_log_info(s->in->parts.log, "intake.proxy-refused",
                    SP_RC("why", rc != SP_OK ? rc : SP_E_INTAKE_BUSY));
        sp_intake_session_free(s);
        return;
    }
    s->proxied = false;
    sp_timer_cancel(s->timer);
    sp_stream_limit_input(s->stream, SP_STREAM_INPUT_MAX);
    greet(s);
}

static void on_input(void *arg)
{
    struct session *s = arg;

    if (s->proxied)
        take_proxy(s);
    else if (sp_intake_share_waits(s->in, s->share))
        sp_stream_tell_anyway(s->stream);
    else
        sp_intake_session_pump(s);
}

/* It is greeted at once, and read from when its source may send. */
static void greet_in_smtp(struct session *s)
{
    s->server = sp_smtp_server_new(&s->gen->servers[s->listen]);
    sp_intake_flow_ask(s);
    sp_intake_session_pump(s);
}

static void on_tls(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    struct session *s = arg;

    s->in_handshake = false;
    if (rc != SP_OK) {
        s->in->stats.handshakes_failed++;
        s->in->stats.handshakes_timed_out += rc == SP_E_TIMEOUT;
        sp_log_info(s->in->parts.log, "intake.tls-failed", SP_RC("why", rc));
        sp_intake_session_free(s);
        return;
    }
    s->proof = proof;
    if (s->server == NULL) {
        greet_in_smtp(s);
        return;
    }
    sp_smtp_server_tls_done(s->server);
    sp_intake_session_pump(s);
}

/* The time for it runs from its beginning: no byte of it moves the end. */
static void shake_hands(struct session *s)
{
    struct sp_tls_params params = {.timeout_ms = s->gen->handshake_ms};

    s->in_handshake = true;
    sp_intake_share_took(s->in, s->share, SP_INTAKE_COST_TLS);
    sp_tls_start(s->stream, s->gen->tls[s->listen], &params, on_tls, s);
}

static void start_tls(struct session *s)
{
    s->wants_tls = false;
    sp_intake_session_hold(s);
    shake_hands(s);
}

static void on_drained(void *arg)
{
    struct session *s = arg;

    sp_intake_memory_weigh(s); /* what it was told and what it said are held no more */
    if (s->wants_tls && !s->in_handshake && !s->closing)
        start_tls(s);
    if (s->is_stuffed) {
        s->is_stuffed = false;
        sp_intake_session_hold(s);
        sp_intake_session_pump(s);
    }
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)why;
    sp_intake_session_free(arg);
}

static const struct sp_stream_events stream_events = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

/* The timer runs to the deadline that was known when it was set; if that has moved on, it is set again. */
static void rearm(struct session *s)
{
    int64_t due = s->server == NULL ? INT64_MAX : sp_smtp_server_deadline_ms(s->server);
    int64_t now = sp_clock_mono_ms(s->in->parts.clock);

    if (s->closing || due == INT64_MAX || sp_timer_is_running(s->timer))
        return;
    sp_timer_start(s->timer, due > now ? due - now : 0);
}

static bool waits_for_us(const struct session *s)
{
    return s->holding || s->flow.waits || s->memory.waits;
}

/* What we keep a client waiting for is not its time: the machine's deadlines move. */
void sp_intake_session_hold(struct session *s)
{
    bool waits = waits_for_us(s);
    bool hold = waits || s->wants_tls || s->is_stuffed;
    int64_t now = sp_clock_mono_ms(s->in->parts.clock);

    if (waits && s->held_at_ms == 0) {
        s->held_at_ms = now;
    } else if (!waits && s->held_at_ms != 0) {
        if (s->server != NULL)
            sp_smtp_server_held(s->server, now - s->held_at_ms);
        s->held_at_ms = 0;
    }
    if (hold != s->is_held)
        sp_stream_hold_input(s->stream, hold);
    s->is_held = hold;
    rearm(s);
}

static void on_timer(void *arg)
{
    struct session *s = arg;

    if (s->closing || s->proxied) {
        s->in->stats.timed_out += s->proxied;
        sp_intake_session_free(s);
        return;
    }
    /* the time that it waits is not its own; it is armed again when it goes on */
    if (waits_for_us(s))
        return;
    if (s->server == NULL || s->in_handshake || !sp_smtp_server_check_time(s->server)) {
        rearm(s);
        return;
    }
    s->in->stats.timed_out++;
    sp_intake_session_pump(s);
}

bool sp_intake_is_proxy(const struct generation *g, size_t listen, const struct sp_addr *peer)
{
    const struct networks *n = &g->proxies[listen];

    for (size_t i = 0; i < n->count; i++) {
        if (sp_network_has(&n->items[i], peer))
            return true;
    }
    return false;
}

/* The client is known: TLS at once, or our greeting. */
static void greet(struct session *s)
{
    if (s->counted) {
        s->source = sp_intake_source_get(s->in, &s->peer);
        s->share = &s->source->share;
    }
    sp_intake_share_took(s->in, s->share, SP_INTAKE_COST_SESSION);
    if (s->gen->listen_tls[s->listen] == SP_LISTEN_IMPLICIT) {
        shake_hands(s);
        return;
    }
    greet_in_smtp(s);
}

void sp_intake_session_start(struct sp_intake *in, size_t listen, int fd,
                             const struct sp_addr *peer)
{
    struct session *s = sp_calloc(1, sizeof(*s));

    s->in = in;
    s->gen = sp_intake_generation_ref(in->now);
    s->listen = listen;
    s->peer = *peer;
    sp_addr_format_ip(peer, s->ip);
    sp_buf_init(&s->helo, 256);
    sp_buf_init(&s->user, SP_SMTP_AUTH_MAX);
    s->handle = sp_slots_add(in->sessions, s);
    sp_list_append(&in->all, &s->link);
    in->stats.sessions++;
    in->stats.active++;
    s->timer = sp_timer_new(in->parts.loop, on_timer, s);
    s->stream = sp_stream_new(in->parts.loop, fd, &stream_events, s);
    s->proxied = sp_intake_is_proxy(s->gen, listen, peer);
    s->counted = !s->proxied;
    if (s->proxied) {
        sp_stream_limit_input(s->stream, SP_PROXY_MIN);
        sp_timer_start(s->timer, PROXY_PATIENCE_MS);
    } else {
        greet(s);
    }
}

void sp_intake_session_free(struct session *s)
{
    struct sp_intake *in = s->in;

    sp_intake_flow_forget(s);
    sp_intake_memory_leave(s);
    sp_intake_late_forget(s);
    if (s->counted)
        sp_intake_source_leave(in, &s->peer);
    sp_slots_remove(in->sessions, s->handle);
    sp_list_remove(&s->link);
    if (s->tx != NULL)
        sp_intake_tx_orphan(s->tx);
    if (s->bounce != NULL)
        sp_intake_bounce_orphan(s->bounce);
    sp_smtp_server_free(s->server);
    sp_timer_free(s->timer);
    sp_timer_free(s->delay);
    sp_intake_login_forget(s);
    sp_stream_free(s->stream);
    sp_buf_clear(&s->helo);
    sp_buf_clear(&s->user);
    sp_free(s->user_tenant);
    sp_intake_generation_unref(s->gen);
    sp_free(s);
    in->stats.active--;
    sp_intake_check_drained(in);
}

static void drop_transaction(struct session *s)
{
    if (s->tx != NULL)
        sp_intake_tx_free(s->tx);
    s->tx = NULL;
    sp_intake_bounce_drop(s);
    if (s->memory.waits) {
        s->memory.waits = false;
        sp_timer_cancel(s->memory.timer);
        sp_intake_session_hold(s);
    }
    if (s->holding) { /* it waited for this message's body */
        s->holding = false;
        sp_intake_session_hold(s);
    }
}

/* A handshake makes a new session of it: what was said before is forgotten. */
static void forget(struct session *s)
{
    drop_transaction(s);
    sp_free(s->user_tenant);
    s->user_tenant = NULL;
    sp_buf_reset(&s->user);
}

/* Where several tenants may fit, only the header tells whose mail it is: till then it counts for its source alone. */
static enum sp_rc count_mail(struct session *s, const struct proof *proof,
                             const struct candidates *among)
{
    const struct sp_tenant *t = among->open ? NULL : proof->who->tenant;
    enum sp_rc rc = sp_intake_flow_check(s, t);

    if (rc == SP_OK && t != NULL)
        rc = sp_intake_tenant_begin(s, t);
    else if (rc == SP_OK)
        rc = sp_intake_memory_check(s, NULL);
    if (rc == SP_OK && t == NULL && s->source != NULL)
        s->share = &s->source->share;
    return rc;
}

/* Whose refusal it is: that of a rate, whosever it is, counts for the tenant who asked, if one has proved himself; it makes
 * only his next refusals late. What the gateway lacks is nobody's. */
static struct refusals *whose_refusal(struct session *s, enum sp_rc rc, const struct proof *proof,
                                      const struct candidates *among)
{
    if (rc == SP_E_INTAKE_RATE && proof->who != NULL && !among->open)
        return sp_intake_tenant_refusals(s->in, proof->who->tenant);
    if (s->source != NULL && (rc == SP_E_INTAKE_RATE || sp_rc_info(rc)->class == SP_CLASS_PERM))
        return &s->source->refusals;
    return NULL;
}

static void on_mail(struct session *s, const struct sp_smtp_server_event *ev)
{
    struct candidates among = {.open = false};
    struct proof proof = {0};
    enum sp_rc rc = sp_queue_ready(s->in->parts.queue);

    if (rc == SP_OK)
        rc = sp_intake_prove(s, s->in->now, &ev->address, &proof, &among);
    if (rc == SP_OK)
        rc = count_mail(s, &proof, &among);
    if (rc == SP_OK) {
        s->tx = sp_intake_tx_new(s, &proof, &among, ev);
    } else if (sp_rc_info(rc)->class == SP_CLASS_PERM) {
        s->refused = proof; /* told at once: its tenant may be gone later */
        sp_intake_refused(s, NULL, "intake.refused", rc, sp_bytes(NULL, 0));
        s->refused.who = NULL;
    }
    if (rc == SP_OK)
        sp_smtp_server_answer(s->server, rc, sp_bytes(NULL, 0));
    else
        sp_intake_answer_late(s, rc, whose_refusal(s, rc, &proof, &among));
}

static void on_rcpt(struct session *s, const struct sp_smtp_server_event *ev)
{
    struct sp_bytes text = {NULL, 0};
    enum sp_rc rc = sp_intake_memory_check(s, s->tx->counted);

    if (rc == SP_OK)
        rc = sp_intake_tx_rcpt(s->tx, ev, &text);
    sp_smtp_server_answer(s->server, rc, text);
}

static void on_data(struct session *s)
{
    const struct sp_decision *d = s->tx->whole_reject;

    if (d == NULL && s->tx->proof.who->tenant->normalise_newlines)
        sp_smtp_server_normalise(s->server);
    if (d != NULL)
        sp_smtp_server_answer(s->server, SP_E_INTAKE_POLICY, d->text);
    else
        sp_smtp_server_answer(s->server, SP_OK, sp_bytes(NULL, 0));
}

static void on_event(struct session *s, const struct sp_smtp_server_event *ev)
{
    if (s->gen->bounces[s->listen] && sp_intake_bounce_event(s, ev))
        return;
    switch (ev->type) {
    case SP_SMTP_SERVER_HELLO:
        sp_buf_reset(&s->helo);
        sp_buf_put(&s->helo, ev->text);
        break;
    case SP_SMTP_SERVER_STARTTLS:
        forget(s);
        s->wants_tls = true;
        break;
    case SP_SMTP_SERVER_AUTH:
        sp_intake_auth_check(s, ev);
        break;
    case SP_SMTP_SERVER_MAIL:
        on_mail(s, ev);
        break;
    case SP_SMTP_SERVER_RCPT:
        on_rcpt(s, ev);
        break;
    case SP_SMTP_SERVER_DATA:
        on_data(s);
        break;
    case SP_SMTP_SERVER_CHUNK:
        sp_intake_tx_chunk(s->tx, ev->text);
        break;
    case SP_SMTP_SERVER_END:
        sp_intake_tx_end(s->tx, &ev->data);
        break;
    case SP_SMTP_SERVER_IDLE:
        sp_intake_answer_late(s, SP_OK, s->source == NULL ? NULL : &s->source->refusals);
        break;
    case SP_SMTP_SERVER_RESET:
        drop_transaction(s);
        break;
    case SP_SMTP_SERVER_REFUSED:
        if (ev->rc == SP_E_SMTP_INJECTION || ev->rc == SP_E_SMTP_BARE_DATA ||
            ev->rc == SP_E_SMTP_NUL)
            sp_intake_refused(s, s->tx, "intake.refused", ev->rc, sp_bytes(NULL, 0));
        break;
    case SP_SMTP_SERVER_CLOSE:
        s->closing = true;
        s->wants_tls = false; /* bytes behind STARTTLS: there will be no handshake */
        break;
    }
}

/* Sends what the machine has said. */
static void flush(struct session *s)
{
    struct sp_bytes out = sp_smtp_server_output(s->server);

    if (out.len == 0)
        return;
    sp_stream_write(s->stream, out);
    sp_smtp_server_sent(s->server, out.len);
}

/* What follows when the machine wants nothing more now. */
static void settle(struct session *s)
{
    if (s->closing) {
        sp_intake_flow_forget(s);
        sp_stream_close_after_write(s->stream);
        sp_timer_start(s->timer, CLOSE_PATIENCE_MS);
        return;
    }
    if (s->wants_tls) {
        sp_intake_session_hold(s); /* what comes now belongs to the handshake */
        if (sp_stream_pending(s->stream) == 0)
            start_tls(s);
    }
    rearm(s);
}

/* A command costs much more than as many bytes of a message; many are answered by the machine alone, without an event. */
static void charge(struct session *s, size_t len, size_t data_len)
{
    size_t of_commands = len > data_len ? len - data_len : 0;

    sp_intake_share_took(
        s->in, s->share,
        (unsigned)(SP_INTAKE_COST_ROUND + of_commands / COMMAND_LEN + data_len / 1024));
}

/* Who doesn't take our replies is not asked for more; that time is its own. */
static void look_at_output(struct session *s)
{
    if (s->closing || sp_stream_pending(s->stream) <= UNREAD_MAX)
        return;
    s->is_stuffed = true;
    sp_intake_session_hold(s);
}

/* returns: whether it has to wait before any more of its input is looked at */
static bool is_full(struct session *s)
{
    return s->flow.waits || s->memory.waits || s->is_stuffed ||
           (s->tx != NULL ? sp_intake_tx_is_full(s->tx) : sp_intake_bounce_is_full(s));
}

/* returns: whether the rest is for later. Not if the machine has closed: it takes no input then, and what it has to tell (the end)
 * waits for nobody. */
static bool is_enough(struct session *s, unsigned lines, unsigned most)
{
    if (is_full(s))
        return true;
    return lines >= most && !s->wants_tls; /* behind STARTTLS the rest must be looked at now */
}

void sp_intake_session_pump(struct session *s)
{
    struct sp_smtp_server_event ev;
    struct sp_bytes input, left;
    unsigned lines = 0, most;
    size_t data_len = 0, counted = 0;
    bool is_cut = false;

    if (s->pumping || s->in_handshake || s->closing || s->server == NULL)
        return;
    s->pumping = true;
    most = sp_intake_share_lines(s->in, s->share);
    input = left = sp_stream_input(s->stream);
    if (input.len > 0 && !s->wants_tls && !sp_smtp_server_is_closed(s->server))
        sp_intake_flow_ask(s);
    while (!s->closing) {
        is_cut = !sp_smtp_server_is_closed(s->server) && is_enough(s, lines, most);
        if (is_cut || !sp_smtp_server_next(s->server, &left, &ev))
            break;
        if (ev.type == SP_SMTP_SERVER_END || ev.type == SP_SMTP_SERVER_RESET) {
            sp_intake_flow_took(s, input.len - left.len - counted); /* while it is known whose */
            counted = input.len - left.len;
        }
        on_event(s, &ev);
        if (ev.type == SP_SMTP_SERVER_END)
            sp_intake_share_took(s->in, s->share, SP_INTAKE_COST_END);
        else if (ev.type == SP_SMTP_SERVER_CHUNK)
            data_len += ev.text.len;
        lines += ev.type != SP_SMTP_SERVER_CHUNK;
    }
    sp_stream_consume(s->stream, input.len - left.len);
    charge(s, input.len - left.len, data_len);
    sp_intake_flow_took(s, input.len - left.len - counted);
    if (is_cut)
        sp_stream_tell_anyway(s->stream);
    flush(s);
    s->pumping = false;
    sp_intake_memory_weigh(s);
    look_at_output(s);
    settle(s);
}

void sp_intake_session_answer(struct session *s, enum sp_rc rc, struct sp_bytes text)
{
    sp_smtp_server_answer(s->server, rc, text);
    if (!s->pumping && !s->closing && !sp_smtp_server_is_closed(s->server) &&
        sp_stream_input(s->stream).len > 0 && sp_intake_share_waits(s->in, s->share)) {
        flush(s); /* it has its answer now, and what it sent behind waits */
        sp_stream_tell_again(s->stream);
        rearm(s);
    } else {
        sp_intake_session_pump(s);
    }
}
