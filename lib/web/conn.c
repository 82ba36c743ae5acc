/*
 * A connection, from accept to close: bytes in, requests to their handlers. A phase has one absolute deadline, set when
 * it is entered, so a client that sends a byte now and then gains nothing by it.
 *
 * Handlers run from the loop only, never from inside a reply: after an answer the next pipelined request waits for the
 * kick timer, so a burst of requests is no recursion and other connections get their turn.
 */
#include "web/web_priv.h"

#include "tls/tls.h"

#define REQUESTS_A_TURN 16
#define LINGER_MS       5000 /* for the client to take the end of an answer and close */

/* Longest stay in each state; REPLY and CLOSING are watched for progress instead. */
static int64_t state_limit_ms(const struct web_conn *c, enum conn_state state)
{
    const struct sp_web_limits *l = &c->server->o.limits;

    switch (state) {
    case CONN_HANDSHAKE:
        return l->handshake_ms;
    case CONN_IDLE:
        return l->idle_ms;
    case CONN_HEAD:
        return l->head_ms;
    case CONN_BODY:
        return l->body_ms;
    case CONN_RUN:
        return l->reply_ms; /* its handler has deadlines of its own */
    case CONN_CLOSING:
        return l->stall_ms < LINGER_MS ? l->stall_ms : LINGER_MS;
    default:
        return l->stall_ms;
    }
}

void sp_web_conn_enter(struct web_conn *c, enum conn_state next)
{
    c->state = next;
    c->pending_before = sp_stream_pending(c->stream);
    c->drained = false;
    if (next == CONN_REPLY)
        c->reply_end_ms = sp_clock_mono_ms(c->server->clock) + c->server->o.limits.reply_ms;
    sp_timer_start(c->deadline, state_limit_ms(c, next));
}

static void conn_destroy(void *ptr)
{
    struct web_conn *c = ptr;

    sp_timer_free(c->deadline);
    sp_timer_free(c->kick);
    sp_buf_wipe(&c->req.head_bytes);
    sp_buf_wipe(&c->req.body);
    sp_buf_clear(&c->req.fields);
    sp_free(c);
}

void sp_web_conn_drop(struct web_conn *c, enum sp_rc why)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    sp_timer_cancel(c->deadline);
    sp_timer_cancel(c->kick);
    if (c->req.handle != 0)
        sp_slots_remove(c->server->requests, c->req.handle);
    c->req.handle = 0;
    if (c->sourced) {
        c->sourced = false;
        c->source.end(c->source.ctx, why == SP_OK ? SP_E_CLOSED : why);
    }
    sp_stream_free(c->stream);
    c->stream = NULL;
    sp_list_remove(&c->in_server);
    sp_web_server_lost(c->server, &c->peer);
    sp_loop_free_later(c->server->o.loop, conn_destroy, c);
}

/* A reply that moves may take until its end; one that stands still is cut off, and so is a client that has all of it
 * but does not close. */
static bool makes_progress(struct web_conn *c)
{
    size_t pending = sp_stream_pending(c->stream);
    bool moved = c->drained || pending < c->pending_before;

    if (c->state != CONN_REPLY && (c->state != CONN_CLOSING || pending == 0))
        return false;
    if (c->state == CONN_REPLY && sp_clock_mono_ms(c->server->clock) >= c->reply_end_ms)
        return false;
    c->drained = false;
    c->pending_before = pending;
    return moved;
}

static void on_deadline(void *arg)
{
    struct web_conn *c = arg;

    if (makes_progress(c)) {
        sp_timer_start(c->deadline, c->server->o.limits.stall_ms);
        return;
    }
    if (c->state == CONN_HEAD || c->state == CONN_BODY) {
        sp_web_reply_refuse(c, 408);
        return;
    }
    sp_web_conn_drop(c, SP_E_TIMEOUT);
}

/* ---- requests ---- */

static const struct sp_web_route *find_route(struct web_conn *c, bool *path_known)
{
    struct sp_web_request *req = &c->req;
    enum sp_web_method method = req->head.method == SP_WEB_HEAD ? SP_WEB_GET : req->head.method;

    *path_known = false;
    for (size_t i = 0; i < c->server->o.route_count; i++) {
        const struct sp_web_route *r = &c->server->o.routes[i];

        if (!sp_web_path_fits(req->head.path, r->path, req->segments))
            continue;
        *path_known = true;
        if (r->method == method)
            return r;
    }
    return NULL;
}

static void dispatch(struct web_conn *c)
{
    struct sp_web_request *req = &c->req;

    sp_web_conn_enter(c, CONN_RUN);
    req->handle = sp_slots_add(c->server->requests, req);
    req->route->run(c->server->o.arg, req);
}

/* The head is whole: is there somebody for it, and may its body come? */
static void begin_request(struct web_conn *c)
{
    struct sp_web_request *req = &c->req;
    bool path_known;

    req->route = find_route(c, &path_known);
    if (req->route == NULL) {
        /* a body of a request that nobody wants is not read */
        if (req->head.content_length > 0)
            c->close = true;
        sp_web_conn_enter(c, CONN_RUN);
        req->handle = sp_slots_add(c->server->requests, req);
        sp_web_reply_error(req, path_known ? 405 : 404);
        return;
    }
    if (req->head.content_length > req->route->body_max) {
        sp_web_reply_refuse(c, 413);
        return;
    }
    if (req->head.content_length == 0) {
        dispatch(c);
        return;
    }
    if (req->head.expect_continue && sp_stream_input(c->stream).len == 0)
        sp_stream_write(c->stream, SP_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    sp_buf_init(&req->body, (size_t)req->head.content_length);
    sp_web_conn_enter(c, CONN_BODY);
}

/* Copies the head, since its views must outlive the stream's buffer. */
static void read_head(struct web_conn *c)
{
    struct sp_bytes in = sp_stream_input(c->stream);
    struct sp_web_request *req = &c->req;
    size_t used = 0, again = 0;
    int status;

    if (c->state == CONN_IDLE)
        sp_web_conn_enter(c, CONN_HEAD);
    status = sp_web_head_parse(in, &c->scanned, &used, &req->head);
    if (status == 0)
        return;
    if (status != 200) {
        sp_web_reply_refuse(c, status);
        return;
    }
    sp_buf_wipe(&req->head_bytes);
    sp_buf_wipe(&req->body);
    sp_buf_reset(&req->fields);
    req->has_policy = false;
    sp_buf_put(&req->head_bytes, sp_bytes_slice(in, 0, used));
    status = sp_web_head_parse(sp_buf_bytes(&req->head_bytes), &again, &used, &req->head);
    sp_assert(status == 200);
    sp_stream_consume(c->stream, used);
    c->scanned = 0;
    c->close = c->close || req->head.close || c->server->draining;
    begin_request(c);
}

static void read_body(struct web_conn *c)
{
    struct sp_web_request *req = &c->req;
    struct sp_bytes in = sp_stream_input(c->stream);
    struct sp_bytes mine = sp_bytes_slice(in, 0, (size_t)req->head.content_length - req->body.len);

    sp_buf_put(&req->body, mine);
    sp_stream_consume(c->stream, mine.len);
    if (req->body.len == req->head.content_length)
        dispatch(c);
}

/* Whether what is in the input may be looked at now. */
static bool can_read(const struct web_conn *c)
{
    if (c->state != CONN_IDLE && c->state != CONN_HEAD && c->state != CONN_BODY)
        return false;
    return sp_stream_pending(c->stream) <= SP_WEB_SOURCE_CHUNK &&
           sp_stream_input(c->stream).len > 0;
}

void sp_web_conn_read(struct web_conn *c)
{
    unsigned turns = 0;

    c->reading = true;
    while (c->state != CONN_DEAD && can_read(c)) {
        size_t before = sp_stream_input(c->stream).len;

        if (turns++ == REQUESTS_A_TURN) {
            sp_timer_start(c->kick, 0);
            break;
        }
        if (c->state == CONN_BODY)
            read_body(c);
        else
            read_head(c);
        if (c->state == CONN_HEAD && sp_stream_input(c->stream).len == before)
            break; /* more is needed */
    }
    c->reading = false;
    if (c->state == CONN_RUN ||
        c->state == CONN_REPLY) /* what a client sends ahead is kept small */
        sp_stream_hold_input(c->stream, sp_stream_input(c->stream).len > SP_WEB_HEAD_MAX);
}

void sp_web_conn_answered(struct web_conn *c)
{
    if (c->close) {
        sp_web_conn_enter(c, CONN_CLOSING);
        sp_stream_close_after_write(c->stream);
        return;
    }
    sp_web_conn_enter(c, CONN_IDLE);
    sp_stream_hold_input(c->stream, false);
    if (!c->reading)
        sp_timer_start(c->kick, 0);
}

/* ---- events ---- */

static void on_kick(void *arg)
{
    sp_web_conn_read(arg);
}

static void on_input(void *arg)
{
    sp_web_conn_read(arg);
}

static void on_drained(void *arg)
{
    struct web_conn *c = arg;

    c->drained = true;
    if (c->state == CONN_REPLY)
        sp_web_reply_pump(c);
    else
        sp_web_conn_read(c);
}

static void on_closed(void *arg, enum sp_rc why)
{
    sp_web_conn_drop(arg, why);
}

static const struct sp_stream_events events = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

static void on_tls(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    struct web_conn *c = arg;

    (void)proof; /* clients of the web show no certificate */
    if (rc != SP_OK) {
        sp_log_debug(c->server->o.log, "web.tls-failed", SP_RC("why", rc));
        sp_web_conn_drop(c, rc);
        return;
    }
    sp_web_conn_enter(c, CONN_IDLE);
}

void sp_web_conn_start(struct sp_web_server *s, int fd, const struct sp_addr *peer)
{
    struct web_conn *c = sp_calloc(1, sizeof(*c));

    c->server = s;
    c->peer = *peer;
    c->req.conn = c;
    sp_buf_init(&c->req.head_bytes, SP_WEB_HEAD_MAX);
    sp_buf_init(&c->req.fields, SP_WEB_HEAD_MAX);
    sp_list_append(&s->conns, &c->in_server);
    c->deadline = sp_timer_new(s->o.loop, on_deadline, c);
    c->kick = sp_timer_new(s->o.loop, on_kick, c);
    c->stream = sp_stream_new(s->o.loop, fd, &events, c);
    sp_web_conn_enter(c, s->o.tls == NULL ? CONN_IDLE : CONN_HANDSHAKE);
    if (s->o.tls != NULL)
        sp_tls_start(c->stream, s->o.tls,
                     &(struct sp_tls_params){.timeout_ms = s->o.limits.handshake_ms}, on_tls, c);
}
