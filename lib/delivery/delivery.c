/*
 * The engine: takes what is due, as much as may be under way at a time, and starts an attempt for each group of
 * recipients that can share one: same decision, same domain, and no rung that makes a copy of its own for each. What is
 * left in the queue when the limit is reached comes when an attempt ends. Who is next is the queue's to say (lines.h).
 */
#include "delivery/delivery.h"

#include "delivery/board_priv.h"
#include "delivery/delivery_priv.h"
#include "delivery/over_priv.h"
#include "delivery/unrouted_priv.h"

#include "mail/idn.h"

#define TURN_MAX        64 /* messages taken a turn; then others run */
#define RETRY_MAX_MS    ((int64_t)4 * 3600 * 1000)
#define CONNECT_MS      30000
#define OWN_EXPIRE_MS   ((int64_t)2 * 24 * 3600 * 1000)
#define IDLE_MS         30000
#define REST_MAX_MS     15000
#define CONNECTIONS_MAX 200
#define SITE_MAX        20
#define MESSAGES_MAX    1000
#define JOB_MS          60000
#define LOAD_AGAIN_MS   10000
#define OVER_MAX        64 /* attempts for whom no host is asked, beside all others */

/* ---- groups ---- */

static struct sp_bytes domain_of(const struct sp_queue_message *m, uint16_t n)
{
    struct sp_bytes a = m->accept.recipients[n].address;
    size_t at = a.len;

    while (at > 0 && a.ptr[at - 1] != '@')
        at--;
    return sp_bytes_slice(a, at, a.len - at);
}

/* Whether recipients of this decision can share a transaction at all. */
static bool may_share(const struct sp_accept_decision *d)
{
    for (size_t i = 0; i < d->rung_count; i++)
        if (d->rungs[i].rung < SP_RUNG_COUNT && sp_rung_is_crypto((enum sp_rung)d->rungs[i].rung))
            return false;
    return true;
}

static bool same_group(const struct sp_queue_message *m, uint16_t a, uint16_t b)
{
    uint16_t decision = m->accept.recipients[a].decision;

    return decision == m->accept.recipients[b].decision &&
           (m->rcpts[a].state == SP_RCPT_HELD) == (m->rcpts[b].state == SP_RCPT_HELD) &&
           may_share(&m->accept.decisions[decision]) &&
           sp_bytes_eq_nocase(domain_of(m, a), domain_of(m, b));
}

bool sp_delivery_suppresses(const struct sp_delivery *d, struct sp_bytes address)
{
    return sp_suppress_has(d->parts.suppress, address,
                           sp_clock_wall_ms(sp_loop_clock(d->parts.loop)));
}

static bool same_luck(const struct sp_delivery *d, const struct sp_queue_message *m, uint16_t a,
                      uint16_t b)
{
    return sp_delivery_suppresses(d, m->accept.recipients[a].address) ==
           sp_delivery_suppresses(d, m->accept.recipients[b].address);
}

/* Whom only SMTPUTF8 reaches goes alone, so that a host without it refuses nobody else. */
static bool same_script(const struct sp_queue_message *m, uint16_t a, uint16_t b)
{
    return sp_text_is_ascii(m->accept.recipients[a].address) ==
           sp_text_is_ascii(m->accept.recipients[b].address);
}

static void start_groups(struct sp_delivery *d, struct sp_parcel *p, const struct sp_queue_due *due)
{
    bool taken[SP_QUEUE_DUE_MAX] = {false};
    bool single = sp_delivery_has_own_path(d, &p->m->accept);

    for (size_t i = 0; i < due->n_count; i++) {
        uint16_t group[SP_QUEUE_DUE_MAX];
        size_t count = 0;

        if (taken[i])
            continue;
        for (size_t k = i; k < due->n_count; k++) {
            if (taken[k] || (k != i && (single || !same_group(p->m, due->ns[i], due->ns[k]) ||
                                        !same_luck(d, p->m, due->ns[i], due->ns[k]) ||
                                        !same_script(p->m, due->ns[i], due->ns[k]))))
                continue;
            taken[k] = true;
            group[count++] = due->ns[k];
        }
        sp_attempt_start(d, p, group, count);
    }
}

static void take_one(struct sp_delivery *d, const struct sp_queue_due *due)
{
    struct sp_queue_message *m;
    struct sp_parcel *p;
    enum sp_rc rc = sp_queue_load(d->parts.queue, &due->id, &m);

    if (rc != SP_OK) {
        int64_t now_ms = sp_clock_steady_ms(sp_loop_clock(d->parts.loop));

        sp_log_error(d->parts.log, "delivery.not-loaded", SP_ID("message", &due->id),
                     SP_RC("why", rc));
        sp_queue_put_back(d->parts.queue, &due->id, due->ns, due->n_count, now_ms + LOAD_AGAIN_MS);
        return;
    }
    p = sp_calloc(1, sizeof(*p));
    p->refs = 1;
    p->m = m;
    p->lane = due->lane;
    p->line = due->line;
    p->ends_ms = due->ends_ms;
    p->is_over = due->is_over;
    start_groups(d, p, due);
    sp_parcel_unref(p);
}

/* ---- what is due ---- */

static void wait_for_due(struct sp_delivery *d, bool is_full, int64_t now_ms)
{
    const struct sp_lines *lines = sp_queue_lines(d->parts.queue);
    int64_t at_ms = is_full ? INT64_MAX : sp_lines_due_at(lines);

    if (d->over >= OVER_MAX)
        d->holds_back = true;
    else if (sp_lines_ends_at(lines) < at_ms)
        at_ms = sp_lines_ends_at(lines);

    if (at_ms == INT64_MAX)
        sp_timer_cancel(d->take);
    else
        sp_timer_start(d->take, at_ms > now_ms ? at_ms - now_ms : 0);
}

/* returns: how many of a lane's do not count. A connection may stall behind its message, which has no place any more then */
static size_t halves(const struct sp_delivery *d, enum sp_lane lane, size_t active)
{
    size_t stalling = sp_pool_stalling(d->pool, lane);

    return (stalling < active ? stalling : active) / 2;
}

/* What is kept waiting by its next hop for long counts half, as its connection does (rank.c). */
struct sp_places sp_delivery_places(const struct sp_delivery *d)
{
    const struct sp_places *all = &d->places;
    size_t urgent = halves(d, SP_LANE_URGENT, all->urgent);
    size_t bulk = halves(d, SP_LANE_BULK, all->bulk);
    size_t normal = halves(d, SP_LANE_NORMAL, all->active - all->urgent - all->bulk);

    return (struct sp_places){
        .active = all->active - urgent - bulk - normal,
        .urgent = all->urgent - urgent,
        .bulk = all->bulk - bulk,
    };
}

static bool is_full(const struct sp_delivery *d)
{
    return d->places.active >= SP_PLACES_MAX && sp_delivery_places(d).active >= SP_PLACES_MAX;
}

/* The last places are for those who are waited for; mass mail has a quarter of all. */
static void choose_lanes(struct sp_delivery *d)
{
    struct sp_places now = sp_delivery_places(d);
    unsigned lanes = sp_places_lanes(&now);

    d->holds_back = lanes != SP_LANES_ALL;
    sp_lines_serve(sp_queue_lines(d->parts.queue), lanes);
}

/* Who is over keeps nobody waiting for a host, and has places of his own. returns: whether there was one */
static bool take_over(struct sp_delivery *d, int64_t now_ms)
{
    struct sp_queue_due due;

    if (d->over >= OVER_MAX || !sp_queue_next_over(d->parts.queue, now_ms, &due))
        return false;
    take_one(d, &due);
    return true;
}

static void on_take(void *arg)
{
    struct sp_delivery *d = arg;
    int64_t now_ms = sp_clock_steady_ms(sp_loop_clock(d->parts.loop));
    struct sp_queue_due due;

    if (d->draining || !sp_queue_may_deliver(d->parts.queue))
        return;
    for (int i = 0; i < TURN_MAX; i++) {
        bool was_over = take_over(d, now_ms); /* by turns: many whose time ends delay nobody */
        bool full;

        choose_lanes(d); /* sp_delivery_ended looks again */
        full = is_full(d);
        if (!full && sp_queue_next_due(d->parts.queue, now_ms, &due)) {
            take_one(d, &due);
        } else if (!was_over) {
            wait_for_due(d, full, now_ms);
            return;
        }
    }
    sp_timer_start(d->take, 0);
}

void sp_delivery_poke(struct sp_delivery *d)
{
    if (!d->draining)
        sp_timer_start(d->take, 0);
}

/* While this engine ends it takes nothing: what stands there is for the one that has followed it, who sleeps until it is told. */
void sp_delivery_opened(struct sp_delivery *d)
{
    if (d->draining)
        sp_queue_tell_due(d->parts.queue, INT64_MAX);
    else
        sp_delivery_poke(d);
}

/* ---- the end ---- */

static void finish_drain(void *arg)
{
    struct sp_delivery *d = arg;
    void (*fn)(void *) = d->drained;

    d->drained = NULL;
    sp_timer_cancel(d->patience);
    if (fn != NULL)
        fn(d->drained_arg);
}

void sp_delivery_ended(struct sp_delivery *d)
{
    if (d->draining) {
        if (d->places.active == 0 && d->committing == 0 && d->drained != NULL)
            sp_timer_start(d->patience, 0);
        return;
    }
    if (!sp_timer_is_running(d->take) || d->holds_back)
        sp_timer_start(d->take, 0);
}

void sp_delivery_drain(struct sp_delivery *d, int64_t patience_ms, void (*fn)(void *arg), void *arg)
{
    d->draining = true;
    d->drained = fn;
    d->drained_arg = arg;
    sp_timer_cancel(d->take);
    sp_timer_start(d->patience, d->places.active == 0 && d->committing == 0 ? 0 : patience_ms);
}

/* A line was opened: what stands in it may go. */
static void on_room(void *arg)
{
    sp_delivery_opened(arg);
}

static size_t places_left(void *arg, const struct sp_pool_places *ask)
{
    const struct sp_delivery *d = arg;
    struct sp_pool_places all = *ask;
    struct sp_places now = sp_delivery_places(d);

    sp_unrouted_add(d->unrouted, &all);
    return sp_places_left(&now, &all);
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static void set_defaults(struct sp_delivery_settings *s)
{
    s->retry_max_ms = or_default(s->retry_max_ms, RETRY_MAX_MS);
    s->connect_ms = or_default(s->connect_ms, CONNECT_MS);
    s->idle_ms = or_default(s->idle_ms, IDLE_MS);
    s->own_expire_ms = or_default(s->own_expire_ms, OWN_EXPIRE_MS);
    s->job_ms = or_default(s->job_ms, JOB_MS);
    s->connections_max = (unsigned)or_default(s->connections_max, CONNECTIONS_MAX);
    s->site_max = (unsigned)or_default(s->site_max, SITE_MAX);
    s->messages_max = (unsigned)or_default(s->messages_max, MESSAGES_MAX);
}

struct sp_delivery *sp_delivery_new(const struct sp_delivery_parts *parts,
                                    const struct sp_delivery_settings *settings)
{
    struct sp_delivery *d = sp_calloc(1, sizeof(*d));
    struct sp_pool_settings pool = {.loop = parts->loop, .log = parts->log, .tls = parts->tls};

    d->parts = *parts;
    d->settings = *settings;
    set_defaults(&d->settings);
    pool.hostname = d->settings.hostname;
    pool.connect_ms = d->settings.connect_ms;
    pool.command_ms = d->settings.command_ms;
    pool.idle_ms = d->settings.idle_ms;
    pool.rest_ms = d->settings.retry_first_ms / 2;
    if (pool.rest_ms > REST_MAX_MS)
        pool.rest_ms = REST_MAX_MS;
    pool.total_max = d->settings.connections_max;
    pool.places = places_left;
    pool.site_max = d->settings.site_max;
    pool.rest_max_ms = d->settings.retry_first_ms;
    pool.messages_max = d->settings.messages_max;
    pool.relays = d->settings.relays;
    pool.sites = d->settings.sites;
    pool.lines = sp_queue_lines(parts->queue);
    pool.on_room = on_room;
    pool.on_news = sp_delivery_news;
    pool.arg = d;
    d->pool = sp_pool_new(&pool);
    sp_lines_open_all(pool.lines); /* what is known of hosts begins anew */
    d->take = sp_timer_new(parts->loop, on_take, d);
    d->patience = sp_timer_new(parts->loop, finish_drain, d);
    d->evidence = sp_map_new();
    sp_list_init(&d->attempts);
    sp_list_init(&d->boards);
    d->unrouted = sp_unrouted_new(d);
    return d;
}

void sp_delivery_free(struct sp_delivery *d)
{
    if (d == NULL)
        return;
    d->draining = true;
    d->drained = NULL;
    sp_delivery_boards_leave(d);
    SP_LIST_EACH(at, &d->attempts)
    sp_attempt_free(SP_CONTAINER(at, struct sp_attempt, at));
    sp_pool_free(d->pool); /* asks for places still */
    sp_unrouted_free(d->unrouted);
    sp_timer_free(d->take);
    sp_timer_free(d->patience);
    sp_map_free(d->evidence);
    sp_free(d);
}

struct sp_delivery_stats sp_delivery_stats(const struct sp_delivery *d)
{
    struct sp_delivery_stats stats = d->stats;

    stats.connections = sp_pool_stats(d->pool).opened;
    stats.active = (unsigned)d->places.active;
    return stats;
}
