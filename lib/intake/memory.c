/*
 * Memory of a source, of a tenant, and of all: what their sessions hold (what was read and is not understood yet, replies that they
 * don't take, TLS), and their messages until they are on disk (header, recipients, decisions, body). It is counted anew after
 * whatever a session did, so that nothing that allocates need know of it.
 *
 * Where a limit is reached, nothing new begins: a connection is told 421, MAIL and RCPT 452. A message that is coming gives its
 * body to the disk, and waits a while for others to end; then it is refused at its end, and holds nothing until then, so
 * that waiting for each other ends. The gateway's limit asks only those who hold more than an equal part of it, until a
 * quarter more than it is held: one of them there must be, and the others need not care.
 */
#include "intake/bounce_priv.h"

#define SESSION_LEN 4096                /* of a session without TLS, as measured */
#define TLS_LEN     ((size_t)16 * 1024) /* what TLS adds to it */
#define LEAST       (4.0 * 1024 * 1024) /* a message with a large header must fit in */
#define LOOK_MS     100
#define PATIENCE_MS 5000
#define TOLD_MS     60000

static void set(struct sp_intake *in, struct memory *m, size_t *part, size_t bytes)
{
    bool before = m->bytes > 0;

    m->bytes = m->bytes - *part + bytes;
    *part = bytes;
    if (m == &in->memories.all || before == (m->bytes > 0))
        return;
    if (before)
        in->memories.holders--;
    else
        in->memories.holders++;
}

static size_t of_bytes(const struct sp_buf *b)
{
    return b->cap;
}

static size_t of_message(const struct transaction *tx)
{
    return sizeof(*tx) + tx->recipient_cap * (sizeof(*tx->recipients) + sizeof(*tx->marks)) +
           of_bytes(&tx->head) + of_bytes(&tx->replay) + of_bytes(&tx->replay_last) +
           of_bytes(&tx->scan_reply_bytes) + sp_arena_size(tx->arena) +
           sp_queue_body_memory(tx->body) + sp_queue_body_memory(tx->child_body);
}

static size_t of_bounce(const struct bounce *b)
{
    return sizeof(*b) + of_bytes(&b->head) + sp_arena_size(b->arena) +
           sp_queue_body_memory(b->body);
}

/* ---- limits ---- */

static bool is_full(const struct memory *m, double limit)
{
    return limit > 0 && (double)m->bytes >= (limit < LEAST ? LEAST : limit);
}

static void tell(struct sp_intake *in, struct memory *m, const char *limit,
                 const struct sp_log_field *whose)
{
    int64_t now = sp_clock_mono_ms(in->parts.clock);

    if (m->told_ms != 0 && now - m->told_ms < TOLD_MS)
        return;
    m->told_ms = now;
    sp_log_warn(in->parts.log, "intake.memory-full", SP_TEXT("limit", limit),
                SP_INT("bytes", m->bytes), *whose);
}

/* The gateway's limit. holder: of the tenant or source */
static bool is_all_full(struct sp_intake *in, const struct memory *holder)
{
    struct memory *all = &in->memories.all;
    double limit = in->now->memory;

    if (!is_full(all, limit))
        return false;
    if (limit < LEAST)
        limit = LEAST;
    if ((double)all->bytes < limit * 1.25 && holder != NULL &&
        (double)holder->bytes * (double)in->memories.holders < limit)
        return false;
    tell(in, all, "intake.max_memory", &SP_INT("holders", in->memories.holders));
    return true;
}

static bool is_over(struct session *s, const struct sp_tenant *t)
{
    struct sp_intake *in = s->in;
    struct memory *holder = s->source == NULL ? NULL : &s->source->memory;

    if (s->source != NULL && is_full(&s->source->memory, in->now->source_memory)) {
        tell(in, &s->source->memory, "intake.max_source_memory",
             &SP_DOMAIN("client", sp_bytes_cstr(s->ip)));
        return true;
    }
    if (t != NULL) {
        holder = sp_intake_tenant_memory(in, t);
        if (is_full(holder, (double)t->limits.memory / in->now->relays)) {
            tell(in, holder, "limits.memory", &SP_TEXT("tenant", t->name));
            return true;
        }
    }
    return is_all_full(in, holder);
}

enum sp_rc sp_intake_memory_check(struct session *s, const struct sp_tenant *t)
{
    if (!is_over(s, t))
        return SP_OK;
    s->in->memories.refused++;
    return SP_E_INTAKE_MEMORY;
}

bool sp_intake_memory_admits(struct sp_intake *in, struct source *src, const struct sp_addr *peer)
{
    bool full = is_full(&src->memory, in->now->source_memory);
    char ip[SP_ADDR_TEXT_MAX];

    if (full) {
        sp_addr_format_ip(peer, ip);
        tell(in, &src->memory, "intake.max_source_memory", &SP_DOMAIN("client", sp_bytes_cstr(ip)));
    }
    full = full || is_all_full(in, &src->memory);
    in->memories.refused += full;
    return !full;
}

/* ---- messages that are coming ---- */

static void on_look(void *arg)
{
    struct session *s = arg;
    struct transaction *tx = s->tx;
    int64_t now = sp_clock_mono_ms(s->in->parts.clock);

    if (tx != NULL && is_over(s, tx->counted)) {
        if (now - s->memory.since_ms < PATIENCE_MS) {
            sp_timer_start(s->memory.timer, LOOK_MS);
            return;
        }
        s->in->memories.refused++;
        sp_intake_tx_give_up(tx, SP_E_INTAKE_MEMORY);
    }
    s->memory.waits = false;
    sp_intake_session_hold(s);
    sp_intake_session_pump(s);
}

static void wait(struct session *s)
{
    if (s->memory.timer == NULL)
        s->memory.timer = sp_timer_new(s->in->parts.loop, on_look, s);
    s->memory.waits = true;
    s->memory.since_ms = sp_clock_mono_ms(s->in->parts.clock);
    sp_intake_session_hold(s);
    sp_timer_start(s->memory.timer, LOOK_MS);
}

static void count(struct session *s)
{
    struct sp_intake *in = s->in;
    struct transaction *tx = s->tx;
    size_t message = tx != NULL ? of_message(tx) : s->bounce != NULL ? of_bounce(s->bounce) : 0;
    size_t bytes = SESSION_LEN + sp_stream_memory(s->stream) + message;

    if (s->proof != NULL)
        bytes += TLS_LEN;
    set(in, &in->memories.all, &s->memory.of_all, bytes);
    if (s->source != NULL)
        set(in, &s->source->memory, &s->memory.of_source, bytes);
    if (tx != NULL && tx->counted != NULL && tx->memory == NULL)
        tx->memory = sp_intake_tenant_memory(in, tx->counted);
    if (tx != NULL && tx->memory != NULL)
        set(in, tx->memory, &tx->of_tenant, message);
}

void sp_intake_memory_weigh(struct session *s)
{
    struct transaction *tx = s->tx;

    count(s);
    if (tx == NULL || tx->whole || s->memory.waits || s->closing ||
        !sp_smtp_server_in_data(s->server) || tx->refuse_rc != SP_OK || !is_over(s, tx->counted))
        return;
    if (tx->body != NULL)
        sp_queue_body_spill(tx->body);
    count(s);
    if (is_over(s, tx->counted))
        wait(s);
}

void sp_intake_memory_leave(struct session *s)
{
    struct sp_intake *in = s->in;

    if (s->tx != NULL && s->tx->in_flight)
        set(in, &in->memories.all, &s->tx->of_all, of_message(s->tx));
    set(in, &in->memories.all, &s->memory.of_all, 0);
    if (s->source != NULL)
        set(in, &s->source->memory, &s->memory.of_source, 0);
    sp_timer_free(s->memory.timer);
    s->memory.timer = NULL;
}

void sp_intake_memory_drop(struct transaction *tx)
{
    set(tx->in, &tx->in->memories.all, &tx->of_all, 0);
    if (tx->memory != NULL)
        set(tx->in, tx->memory, &tx->of_tenant, 0);
}
