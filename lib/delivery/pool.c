/*
 * The pool. A host gets one connection for each that waits, as far as its site's limit allows: that grows with messages taken and
 * halves on trouble (site.c). A host that can't be reached at all rests, each time longer, and then one connection probes it;
 * those who come meanwhile hear the same at once: a dead host costs its own queue and no connection time. Idle connections
 * are kept for the next message, the longest idle of all goes when the total is used up.
 */
#include "delivery/pool_priv.h"

#define MORE_MS                                                                                    \
    1000 /* a host that wants no more connections is not asked for one before; doubles */
#define MORE_MAX_MS 60000
#define PATIENT_MS  60000 /* a longer pause, or one beyond its own end, is told to who waits */
#define PATIENT_LEAST_MS                                                                           \
    5000 /* a shorter one is not, or all that has no time left would come back of it */

static int64_t now_ms(const struct sp_pool *p)
{
    return sp_clock_mono_ms(sp_loop_clock(p->settings.loop));
}

/* ---- links ---- */

static void leave_idle(struct sp_pool_link *l)
{
    sp_list_remove(&l->in_idle);
    sp_list_remove(&l->in_rest);
}

static void drop_link(struct sp_pool_link *l)
{
    struct sp_pool_host *h = l->host;

    sp_pool_answers(l);
    sp_list_remove(&l->in_host);
    leave_idle(l);
    h->pool->used[h->site->rank].links--;
    h->link_count--;
    h->opening -= l->opened ? 0 : 1;
    h->pool->leaving -= l->leaving;
    h->site->link_count--;
    h->pool->open--;
    sp_timer_free(l->timer);
    sp_conn_free(l->conn);
    sp_free(l);
    sp_pool_host_unused(h);
}

static void not_ready(struct sp_pool_link *l)
{
    l->ready = false;
    leave_idle(l);
    sp_timer_cancel(l->timer);
}

void sp_pool_retire(struct sp_pool_link *l)
{
    not_ready(l);
    l->host->pool->leaving += !l->leaving;
    l->leaving = true;
    sp_conn_quit(l->conn);
}

static void on_busy(void *arg, struct sp_conn *c)
{
    struct sp_pool_link *l = arg;
    struct sp_pool_site *s = l->host->site;
    int64_t now = now_ms(s->pool);

    (void)c;
    not_ready(l);
    sp_pool_begins(l);
    sp_site_rate_take(&s->rate, now);
    if (l->asker == NULL)
        return;
    l->asker->turn = ++s->turn;
    sp_site_rate_take(&l->asker->rate, now);
    if (l->asker->total != NULL)
        sp_site_rate_take(l->asker->total, now);
}

static void on_idle(void *arg)
{
    sp_pool_retire(arg);
}

static bool is_worn(const struct sp_pool_link *l)
{
    unsigned most = l->host->pool->settings.messages_max;
    int64_t own = l->host->site->limits->messages_per_connection;

    if (own > 0 && own < most)
        most = (unsigned)own;
    return sp_conn_messages(l->conn) >= most;
}

/* It goes to a share's message: it is that one's doing if it gets busy. */
static void lend(struct sp_pool_link *l, struct sp_pool_share *share, enum sp_lane lane,
                 sp_handle line)
{
    const struct sp_pool *p = l->host->pool;

    l->asker = share;
    l->lane = lane;
    if (p->settings.lines == NULL || line == 0)
        return;
    sp_lines_slow(p->settings.lines, line, false);
    if (sp_lines_wake(p->settings.lines, line) && p->settings.on_room != NULL)
        p->settings.on_room(p->settings.arg);
}

static void wait_until(struct sp_pool_site *s, int64_t at_ms, int64_t now)
{
    if (at_ms == INT64_MAX || (sp_timer_is_running(s->timer) && s->wake_ms <= at_ms))
        return;
    s->wake_ms = at_ms;
    sp_timer_start(s->timer, at_ms > now ? at_ms - now : 1);
}

/* Gives a ready connection to who waits, for as long as nobody sends on it. */
static void offer(struct sp_pool_link *l)
{
    struct sp_pool_site *s = l->host->site;

    while (l->ready) {
        int64_t now = now_ms(s->pool), at_ms;
        struct sp_pool_waiter *w = sp_pool_first(s, l->host, now, &at_ms);
        struct sp_pool_waiter copy;

        if (w == NULL) {
            wait_until(s, at_ms, now);
            return;
        }
        copy = *w;
        sp_pool_leave(w);
        sp_pool_count_turn(s, copy.lane);
        lend(l, copy.share, copy.lane, copy.line);
        copy.fn(copy.arg, l->conn, NULL);
    }
}

/* returns: which end of a pause is worth waiting for now. end_ms: as in sp_pool_waiter */
static int64_t patient_until(int64_t now, int64_t end_ms)
{
    if (end_ms < now + PATIENT_LEAST_MS)
        return now + PATIENT_LEAST_MS;
    return end_ms < now + PATIENT_MS ? end_ms : now + PATIENT_MS;
}

static bool waits_for_pause(const struct sp_pool_waiter *w)
{
    return w->host->site->state.pause_until_ms <= patient_until(now_ms(w->pool), w->end_ms);
}

/* Those of a site who wait for this host, or (NULL) do not wait for its pause, hear the same; what is new the first alone hears as that. */
static void tell_waiters(struct sp_pool_site *s, const struct sp_pool_host *h,
                         const struct sp_conn_end *e)
{
    struct sp_conn_end told = *e;

    SP_LIST_EACH(at_share, &s->shares)
    for (size_t lane = 0; lane < SP_LANE_COUNT; lane++)
        SP_LIST_EACH(at, &SP_CONTAINER(at_share, struct sp_pool_share, at)->lanes[lane].waiters)
        {
            struct sp_pool_waiter *w = SP_CONTAINER(at, struct sp_pool_waiter, at);

            if (h != NULL ? w->host != h : waits_for_pause(w))
                continue;
            sp_pool_tell(w, &told);
            told.is_new = false;
        }
}

/* Who waits for a pause that has become long, or outlasts him, has his next host or attempt before it is over. */
static void tell_pause(struct sp_pool_site *s)
{
    static const struct sp_conn_end paused = {.rc = SP_E_HOP_PAUSED};

    if (s->state.pause_until_ms > now_ms(s->pool))
        tell_waiters(s, NULL, &paused);
}

static void on_result(void *arg, struct sp_conn *c, const struct sp_smtp_result *result)
{
    struct sp_pool_link *l = arg;
    struct sp_pool_site *s = l->host->site;
    const struct sp_smtp_reply *put_off = NULL;
    bool taken = false;

    l->was_stale = result->is_unheard && sp_conn_messages(c) > 1; /* this one is counted */
    for (size_t i = 0; i < result->count; i++) {
        const struct sp_smtp_rcpt_result *r = &result->rcpts[i];

        taken = taken || r->state == SP_SMTP_RCPT_ACCEPTED;
        if (put_off == NULL && r->reply.code >= 400 && r->reply.code < 500)
            put_off = &r->reply;
    }
    sp_pool_note_served(s);
    if (taken)
        sp_pool_note_taken(s);
    if (put_off != NULL)
        sp_pool_note_reply(s, put_off);
    tell_pause(s);
}

static void on_ready(void *arg, struct sp_conn *c)
{
    struct sp_pool_link *l = arg;
    struct sp_pool_host *h = l->host;
    struct sp_pool_site *s = h->site, *other;

    (void)c;
    sp_pool_answers(l);
    if (!l->opened) {
        l->opened = true;
        l->opened_ms = now_ms(s->pool);
        h->opening--;
        h->has_worked = true;
        h->more_wait_ms = 0;
        s->pool->opened++;
        if (sp_breaker_worked(&h->breaker))
            sp_pool_host_back(h);
    }
    if (is_worn(l) || s->link_count > s->state.limit || sp_pool_is_over(l)) {
        sp_pool_retire(l);
        sp_pool_serve(s);
        return;
    }
    l->ready = true;
    offer(l);
    if (l->ready) {
        leave_idle(l);
        sp_list_append(&s->pool->idle, &l->in_idle);
        sp_list_append(&s->rest, &l->in_rest);
        sp_timer_start(l->timer, s->pool->settings.idle_ms);
        sp_pool_serve(s); /* who waits for another host of the site may have its place */
    }
    if (l->ready && (other = sp_pool_wants(l)) != NULL)
        sp_pool_end_idle_for(other);
    sp_pool_serve_starved(h->pool); /* what it took may have made its site's part larger */
}

/* No connection came about. If there is none that works either, the host rests. */
static void note_failed(struct sp_pool_host *h, const struct sp_conn_end *why)
{
    struct sp_pool *p = h->pool;
    int64_t max_ms = p->settings.rest_max_ms;
    struct sp_conn_end told = *why;
    bool was_down = h->breaker.state != SP_BREAKER_CLOSED;

    if (h->link_count > h->opening) {
        h->more_wait_ms = h->more_wait_ms == 0 ? MORE_MS : h->more_wait_ms * 2;
        if (h->more_wait_ms > MORE_MAX_MS)
            h->more_wait_ms = MORE_MAX_MS;
        h->more_after_ms = now_ms(p) + h->more_wait_ms;
        sp_pool_note_trouble(h->site, "no more connections", &why->reply);
        return;
    }
    sp_breaker_failed(&h->breaker, p->settings.rest_ms,
                      max_ms < p->settings.rest_ms ? p->settings.rest_ms : max_ms, now_ms(p));
    h->has_worked = false;
    h->why = *why;
    sp_pool_host_down(h, was_down);
    told.is_new = true;
    tell_waiters(h->site, h, &told);
}

static void on_end(void *arg, struct sp_conn *c, const struct sp_conn_end *e)
{
    struct sp_pool_link *l = arg;
    struct sp_pool_host *h = l->host;
    struct sp_pool_site *s = h->site;
    struct sp_pool *p = h->pool;
    struct sp_conn_end why = *e;
    bool opened = l->opened;
    bool broke_off = opened && !l->ready && !l->leaving && !l->was_stale && e->rc != SP_E_CANCELLED;

    (void)c;
    drop_link(l);
    if (!opened)
        note_failed(h, &why);
    if (why.reply_code >= 400 && why.reply_code < 500)
        sp_pool_note_reply(s, &why.reply);
    else if (broke_off && why.reply_code == 0)
        sp_pool_note_trouble(s, "connection lost", NULL);
    tell_pause(s);
    if (s->waiting > 0) /* in turn with the others */
        sp_pool_starve(s);
    sp_pool_feed(s);
    sp_pool_serve_starved(p);
}

static const struct sp_conn_events conn_events = {
    .on_ready = on_ready,
    .on_busy = on_busy,
    .on_result = on_result,
    .on_end = on_end,
};

static void open_link(struct sp_pool_host *h)
{
    struct sp_pool *p = h->pool;
    struct sp_pool_link *l = sp_calloc(1, sizeof(*l));
    struct sp_conn_plan plan = {
        .loop = p->settings.loop,
        .hostname = p->settings.hostname,
        .tls = p->settings.tls,
        .route = h->route,
        .hop = h->hop,
        .plain = h->plain,
        .connect_ms = p->settings.connect_ms,
        .command_ms = p->settings.command_ms,
        .source = h->source,
        .source_turn = h->source_turn++,
    };

    l->host = h;
    sp_list_init(&l->in_idle);
    sp_list_init(&l->in_rest);
    sp_list_init(&l->in_busy);
    sp_list_append(&h->links, &l->in_host);
    sp_pool_host_used(h);
    sp_pool_begins(l);
    l->timer = sp_timer_new(p->settings.loop, on_idle, l);
    h->link_count++;
    h->opening++;
    h->site->link_count++;
    p->used[h->site->rank].links++;
    p->open++;
    l->conn = sp_conn_new(&plan, &conn_events, l);
}

/* The site's limit is used up: an idle connection to another host of it makes room. returns: false if there is none */
static bool has_place(struct sp_pool_site *s)
{
    if (s->link_count < s->state.limit)
        return true;
    (void)sp_pool_end_own_idle(s);
    return false;
}

/* Opens what the waiters need. */
static void open_links(struct sp_pool_site *s)
{
    int64_t now = now_ms(s->pool), at_ms;
    struct sp_pool_waiter *w;

    while (s->waiting > 0 && (w = sp_pool_first(s, NULL, now, &at_ms)) != NULL) {
        struct sp_pool_host *h = w->host;

        if (!has_place(s) || !sp_pool_has_room(s) || !sp_breaker_lets(&h->breaker, now))
            return;
        open_link(h);
    }
    if (s->waiting > 0)
        wait_until(s, at_ms, now);
}

/* What is called back may change the list: it is looked at anew each time. returns: false if nobody may have any */
static bool give_one(struct sp_pool_site *s)
{
    int64_t now = now_ms(s->pool), at_ms;

    SP_LIST_EACH(at, &s->rest)
    {
        struct sp_pool_link *l = SP_CONTAINER(at, struct sp_pool_link, in_rest);

        if (l->host->waiting == 0)
            continue;
        if (sp_pool_first(s, l->host, now, &at_ms) != NULL) {
            offer(l);
            return true;
        }
        wait_until(s, at_ms, now);
    }
    return false;
}

void sp_pool_serve(struct sp_pool_site *s)
{
    while (s->waiting > 0 && give_one(s))
        continue;
    if (s->waiting > 0)
        open_links(s);
    sp_pool_feed(s);
}

/* ---- who asks ---- */

struct sp_conn *sp_pool_find(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_pool_host *h = sp_pool_get_host(p, ask);
    struct sp_pool_share *share;
    int64_t now = now_ms(p);

    if (h->waiting > 0)
        return NULL;
    share = sp_pool_get_share(h->site, ask->tenant);
    if (sp_pool_site_at(h->site, share, now) > now)
        return NULL;
    SP_LIST_EACH(at, &h->links)
    {
        struct sp_pool_link *l = SP_CONTAINER(at, struct sp_pool_link, in_host);

        if (!l->ready)
            continue;
        lend(l, share, ask->lane, ask->line);
        return l->conn;
    }
    return NULL;
}

/*
 * Why somebody who comes now need not wait. A pause is our own doing and says nothing of what the host would show, so it has
 * a reason of its own. end_ms: as in sp_pool_waiter. returns: for how long still; 0 if it is worth it
 */
static int64_t closed_ms(const struct sp_pool_host *h, int64_t end_ms, struct sp_conn_end *why)
{
    int64_t now = now_ms(h->pool);
    int64_t left_ms = h->site->state.pause_until_ms - patient_until(now, end_ms);

    if (h->link_count == h->opening && sp_breaker_rests(&h->breaker, now)) {
        *why = h->why;
        return h->breaker.until_ms - now;
    }
    *why = (struct sp_conn_end){.rc = SP_E_HOP_PAUSED};
    return left_ms > 0 ? left_ms : 0;
}

/*
 * It is asked again by a probe, which takes its time where nobody answers: who has another host need not wait for that. Where it
 * was TLS that did not come about, it is waited for: that it has none is for the probe to say.
 */
static bool is_probed(const struct sp_pool_host *h)
{
    return h->why.rc != SP_E_TLS_HANDSHAKE && h->breaker.state == SP_BREAKER_PROBE &&
           h->link_count > 0 && h->link_count == h->opening;
}

/* returns: as in sp_pool_waiter */
static int64_t end_of(const struct sp_pool *p, const struct sp_pool_ask *ask)
{
    return ask->ends_ms > 0 ? now_ms(p) + ask->ends_ms : INT64_MAX;
}

bool sp_pool_is_closed(const struct sp_pool_host *h, const struct sp_pool_ask *ask,
                       struct sp_conn_end *why)
{
    if (closed_ms(h, end_of(h->pool, ask), why) > 0)
        return true;
    if (!ask->has_next || !is_probed(h))
        return false;
    *why = h->why;
    return true;
}

int64_t sp_pool_rests(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    const struct sp_pool_host *h = sp_pool_find_host(p, ask);
    struct sp_conn_end why;

    return h == NULL ? 0 : closed_ms(h, INT64_MAX, &why);
}

void sp_pool_end_rest(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_pool_host *h = sp_pool_find_host(p, ask);

    if (h != NULL && sp_breaker_rests(&h->breaker, now_ms(p)))
        h->breaker.until_ms = now_ms(p);
}

sp_handle sp_pool_wait(struct sp_pool *p, const struct sp_pool_ask *ask, sp_pool_fn fn, void *arg)
{
    struct sp_pool_host *h = sp_pool_get_host(p, ask);
    struct sp_pool_waiter *w = sp_pool_join(h, ask);
    struct sp_conn_end why;
    sp_handle handle;

    w->fn = fn;
    w->arg = arg;
    w->end_ms = end_of(p, ask);
    sp_pool_turn_begins(w, ask->turn_ms);
    handle = w->handle;
    if (sp_pool_is_closed(h, ask, &why))
        sp_pool_tell(w, &why);
    else if (sp_list_is_empty(&h->site->rest))
        sp_pool_serve(h->site);
    else /* a connection is at hand: whoever gets it hears so on a later turn, never before he has his handle */
        wait_until(h->site, now_ms(p), now_ms(p));
    return handle;
}

void sp_pool_cancel(struct sp_pool *p, sp_handle wait)
{
    struct sp_pool_waiter *w = sp_slots_find(p->waiters, wait);

    if (w != NULL)
        sp_pool_leave(w);
}

size_t sp_pool_recipients(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    return (size_t)sp_pool_get_host(p, ask)->site->limits->recipients;
}

struct sp_pool *sp_pool_new(const struct sp_pool_settings *settings)
{
    struct sp_pool *p = sp_calloc(1, sizeof(*p));

    p->settings = *settings;
    p->hosts = sp_map_new();
    p->sites = sp_map_new();
    p->totals = sp_map_new();
    p->waiters = sp_slots_new();
    p->tell = sp_timer_new(settings->loop, sp_pool_on_tell, p);
    p->tick = sp_timer_new(settings->loop, sp_pool_on_tick, p);
    p->turn = sp_timer_new(settings->loop, sp_pool_on_turn, p);
    p->stall = sp_timer_new(settings->loop, sp_pool_on_stall, p);
    sp_list_init(&p->idle);
    for (size_t i = 0; i < SP_ARRAY_LEN(p->unused); i++)
        sp_list_init(&p->unused[i]);
    sp_list_init(&p->busy);
    for (size_t i = 0; i < SP_POOL_STARVED_LISTS; i++)
        sp_list_init(&p->starved[i]);
    sp_list_init(&p->told);
    sp_list_init(&p->strangers);
    return p;
}

static void empty_host(struct sp_pool_host *h)
{
    SP_LIST_EACH(s, &h->site->shares)
    for (size_t lane = 0; lane < SP_LANE_COUNT; lane++)
        SP_LIST_EACH(at, &SP_CONTAINER(s, struct sp_pool_share, at)->lanes[lane].waiters)
    sp_pool_leave(SP_CONTAINER(at, struct sp_pool_waiter, at));
    SP_LIST_EACH(at, &h->links)
    drop_link(SP_CONTAINER(at, struct sp_pool_link, in_host));
}

void sp_pool_free(struct sp_pool *p)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (p == NULL)
        return;
    p->settings.on_room = NULL;
    SP_LIST_EACH(i, &p->told)
    sp_pool_leave(SP_CONTAINER(i, struct sp_pool_waiter, at));
    while (sp_map_next(p->hosts, &at, &key, &value)) {
        empty_host(value);
        sp_pool_host_free(value);
    }
    sp_pool_open_lines(p, &p->strangers);
    at = 0;
    while (sp_map_next(p->totals, &at, &key, &value))
        sp_free(value);
    sp_timer_free(p->tell);
    sp_timer_free(p->tick);
    sp_timer_free(p->turn);
    sp_heap_clear(&p->turns);
    sp_timer_free(p->stall);
    sp_map_free(p->hosts);
    sp_map_free(p->sites);
    sp_map_free(p->totals);
    sp_slots_free(p->waiters);
    sp_free(p);
}

struct sp_pool_stats sp_pool_stats(const struct sp_pool *p)
{
    return (struct sp_pool_stats){.opened = p->opened, .open = p->open};
}
