/*
 * The pool. A site opens one connection for each that waits, up to a limit that grows by one with every message taken
 * and halves when the host fails; while it has any that works, failures to open more only lower the limit. A host that
 * can't be reached at all rests for a while, and those who come meanwhile hear the same at once: a dead next hop costs
 * its own queue and no connection time. Idle connections are kept for the next message, the longest idle of all goes
 * when the total is used up.
 */
#include "delivery/pool.h"

#include "io/loop.h"
#include "log/log.h"

#define START_LIMIT  8
#define CROWD        64  /* who waits for a site in the process; others come again */
#define COME_MS      500 /* soonest */
#define COME_MAX_MS  60000
#define RATE_MS      2000 /* over which a site's rate is measured */
#define SITES_MAX    20000
#define SITE_KEY_MAX (4 * 1024 * 1024)

struct link { /* a connection in the pool */
    struct sp_list in_site;
    struct sp_list in_idle; /* of the pool, longest idle first */
    struct site *site;
    struct sp_conn *conn;
    struct sp_timer *timer; /* idle */
    bool ready;             /* idle, or lent for the moment */
    bool opened;            /* was ready once */
};

struct waiter {
    struct sp_list at;
    struct sp_pool *pool;
    struct site *site; /* while it waits for a connection there */
    sp_handle handle;
    sp_pool_fn fn;
    void *arg;
    struct sp_conn_end end; /* when it hears only that */
};

struct site {
    struct sp_pool *pool;
    struct sp_list links;
    struct sp_list waiters;
    size_t link_count;
    size_t waiter_count;
    size_t opening;
    unsigned limit;
    int64_t rest_until_ms; /* monotonic */
    int64_t line_end_ms;   /* monotonic: when the last one sent away is to come again */
    int64_t rate_from_ms;  /* monotonic */
    unsigned served;       /* since then */
    int64_t each_us;       /* what one took in the window before */
    int64_t line_end_us;   /* what line_end_ms leaves over */
    struct sp_conn_end rest_why;
    const struct sp_route *route; /* of the last who asked */
    size_t hop;
    bool plain;
};

struct sp_pool {
    struct sp_pool_settings settings;
    struct sp_map *sites;
    struct sp_slots *waiters;
    struct sp_list idle;
    struct sp_list told; /* waiters that hear that there is none, next turn */
    struct sp_timer *tell;
    size_t open;
    uint64_t opened;
    bool starved; /* somebody waits for the total to fall */
};

static void serve(struct site *s);

static int64_t now_ms(const struct sp_pool *p)
{
    return sp_clock_mono_ms(sp_loop_clock(p->settings.loop));
}

/* ---- waiters ---- */

static void drop_waiter(struct waiter *w)
{
    (void)sp_slots_remove(w->pool->waiters, w->handle);
    sp_list_remove(&w->at);
    if (w->site != NULL)
        w->site->waiter_count--;
    sp_free(w);
}

static void tell_later(struct waiter *w, const struct sp_conn_end *e)
{
    w->end = *e;
    if (w->site != NULL)
        w->site->waiter_count--;
    w->site = NULL;
    sp_list_remove(&w->at);
    sp_list_append(&w->pool->told, &w->at);
    sp_timer_start(w->pool->tell, 0);
}

static void on_tell(void *arg)
{
    struct sp_pool *p = arg;
    size_t count = 0;

    SP_LIST_EACH(at, &p->told)
    count++;
    for (; count > 0 && !sp_list_is_empty(&p->told); count--) {
        struct waiter *w = SP_CONTAINER(p->told.next, struct waiter, at);
        struct waiter copy = *w;

        drop_waiter(w);
        copy.fn(copy.arg, NULL, &copy.end);
    }
}

/* All hear the same; the first alone hears it as something new. */
static void fail_waiters(struct site *s, const struct sp_conn_end *e)
{
    struct sp_conn_end told = *e;

    told.is_new = true;
    SP_LIST_EACH(at, &s->waiters)
    {
        tell_later(SP_CONTAINER(at, struct waiter, at), &told);
        told.is_new = false;
    }
}

/* ---- links ---- */

static void drop_link(struct link *l)
{
    sp_list_remove(&l->in_site);
    sp_list_remove(&l->in_idle);
    l->site->link_count--;
    l->site->opening -= l->opened ? 0 : 1;
    l->site->pool->open--;
    sp_timer_free(l->timer);
    sp_conn_free(l->conn);
    sp_free(l);
}

static void retire(struct link *l)
{
    l->ready = false;
    sp_list_remove(&l->in_idle);
    sp_timer_cancel(l->timer);
    sp_conn_quit(l->conn);
}

static void on_busy(void *arg, struct sp_conn *c)
{
    struct link *l = arg;

    (void)c;
    l->ready = false;
    sp_list_remove(&l->in_idle);
    sp_timer_cancel(l->timer);
}

static void on_idle(void *arg)
{
    retire(arg);
}

static bool is_worn(const struct link *l)
{
    return sp_conn_messages(l->conn) >= l->site->pool->settings.messages_max;
}

/* Gives a ready connection to who waits, for as long as nobody sends on it. */
static void offer(struct link *l)
{
    struct site *s = l->site;

    while (l->ready && !sp_list_is_empty(&s->waiters)) {
        struct waiter *w = SP_CONTAINER(s->waiters.next, struct waiter, at);
        struct waiter copy = *w;

        drop_waiter(w);
        copy.fn(copy.arg, l->conn, NULL);
    }
}

/* A message has been taken: the site may have one connection more, and its rate is known better. */
static void note_served(struct site *s)
{
    int64_t now = now_ms(s->pool);

    if (s->limit < s->pool->settings.site_max)
        s->limit++;
    s->served++;
    if (now - s->rate_from_ms < RATE_MS)
        return;
    if (s->rate_from_ms != 0)
        s->each_us = (now - s->rate_from_ms) * 1000 / s->served;
    s->rate_from_ms = now;
    s->served = 0;
}

static void on_ready(void *arg, struct sp_conn *c)
{
    struct link *l = arg;
    struct site *s = l->site;

    (void)c;
    if (!l->opened) {
        l->opened = true;
        s->opening--;
        s->pool->opened++;
        s->rest_until_ms = 0;
    } else {
        note_served(s);
    }
    if (is_worn(l)) {
        retire(l);
        serve(s);
        return;
    }
    l->ready = true;
    offer(l);
    if (!l->ready)
        return;
    sp_list_remove(&l->in_idle);
    sp_list_append(&s->pool->idle, &l->in_idle);
    sp_timer_start(l->timer, s->pool->settings.idle_ms);
}

/* A connection has gone: whoever found the total used up may try again. */
static void serve_starved(struct sp_pool *p)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (!p->starved)
        return;
    p->starved = false;
    while (sp_map_next(p->sites, &at, &key, &value))
        serve(value);
}

static void on_end(void *arg, struct sp_conn *c, const struct sp_conn_end *e)
{
    struct link *l = arg;
    struct site *s = l->site;
    bool opened = l->opened;
    struct sp_conn_end why = *e;

    (void)c;
    drop_link(l);
    if (!opened) {
        s->limit = s->limit > 1 ? s->limit / 2 : 1;
        if (s->link_count == s->opening) { /* no connection that works */
            s->rest_until_ms = now_ms(s->pool) + s->pool->settings.rest_ms;
            s->rest_why = why;
            sp_log_info(s->pool->settings.log, "hop.unreachable",
                        SP_DOMAIN("host", s->route->hops[s->hop].name), SP_RC("why", why.rc),
                        SP_INT("reply", why.reply_code));
            fail_waiters(s, &why);
        }
    }
    serve(s);
    serve_starved(s->pool);
}

static const struct sp_conn_events conn_events = {
    .on_ready = on_ready,
    .on_busy = on_busy,
    .on_end = on_end,
};

static void open_link(struct site *s)
{
    struct sp_pool *p = s->pool;
    struct link *l = sp_calloc(1, sizeof(*l));
    struct sp_conn_plan plan = {
        .loop = p->settings.loop,
        .hostname = p->settings.hostname,
        .tls = p->settings.tls,
        .route = s->route,
        .hop = s->hop,
        .plain = s->plain,
        .connect_ms = p->settings.connect_ms,
        .command_ms = p->settings.command_ms,
    };

    l->site = s;
    sp_list_init(&l->in_idle);
    sp_list_append(&s->links, &l->in_site);
    l->timer = sp_timer_new(p->settings.loop, on_idle, l);
    s->link_count++;
    s->opening++;
    p->open++;
    l->conn = sp_conn_new(&plan, &conn_events, l);
}

/* Makes room in the total by ending what has been idle longest. */
static bool has_room(struct sp_pool *p)
{
    if (p->open < p->settings.total_max)
        return true;
    if (!sp_list_is_empty(&p->idle))
        retire(SP_CONTAINER(p->idle.next, struct link, in_idle));
    p->starved = true;
    return false;
}

/* Opens what the waiters need. */
static void serve(struct site *s)
{
    while (s->waiter_count > s->opening && s->link_count < s->limit && has_room(s->pool))
        open_link(s);
}

/* ---- sites ---- */

static void free_site(struct site *s)
{
    SP_LIST_EACH(at, &s->links)
    drop_link(SP_CONTAINER(at, struct link, in_site));
    SP_LIST_EACH(at, &s->waiters)
    drop_waiter(SP_CONTAINER(at, struct waiter, at));
    sp_route_unref(s->route);
    sp_free(s);
}

/* Forgets sites that nobody uses. */
static void sweep(struct sp_pool *p)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    while (sp_map_next(p->sites, &at, &key, &value)) {
        struct site *s = value;

        if (s->link_count > 0 || s->waiter_count > 0 || s->rest_until_ms > now_ms(p))
            continue;
        (void)sp_map_remove(p->sites, key);
        free_site(s);
    }
}

/* The facts themselves, not a digest of them: a host that could choose its own must not meet another's. */
static void make_key(const struct sp_pool_ask *ask, struct sp_buf *key)
{
    sp_buf_init(key, SITE_KEY_MAX);
    sp_buf_put_u8(key, ask->plain);
    sp_hop_put_site(ask->route, &ask->route->hops[ask->hop], key);
    sp_assert(sp_buf_rc(key) == SP_OK); /* a DNS answer at most */
}

static struct site *get_site(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_buf key;
    struct site *s;

    make_key(ask, &key);
    s = sp_map_find(p->sites, sp_buf_bytes(&key));
    if (s == NULL) {
        if (sp_map_count(p->sites) >= SITES_MAX)
            sweep(p);
        s = sp_calloc(1, sizeof(*s));
        s->pool = p;
        sp_list_init(&s->links);
        sp_list_init(&s->waiters);
        s->limit = p->settings.site_max < START_LIMIT ? p->settings.site_max : START_LIMIT;
        s->plain = ask->plain;
        (void)sp_map_put(p->sites, sp_buf_bytes(&key), s);
    }
    sp_buf_clear(&key);
    if (s->route != ask->route) {
        const struct sp_route *old = s->route;

        s->route = sp_route_ref(ask->route);
        sp_route_unref(old);
    }
    s->hop = ask->hop;
    return s;
}

struct sp_conn *sp_pool_find(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct site *s = get_site(p, ask);

    if (s->waiter_count > 0)
        return NULL;
    SP_LIST_EACH(at, &s->links)
    {
        struct link *l = SP_CONTAINER(at, struct link, in_site);

        if (l->ready)
            return l->conn;
    }
    return NULL;
}

sp_handle sp_pool_wait(struct sp_pool *p, const struct sp_pool_ask *ask, sp_pool_fn fn, void *arg)
{
    struct site *s = get_site(p, ask);
    struct waiter *w = sp_calloc(1, sizeof(*w));

    w->pool = p;
    w->fn = fn;
    w->arg = arg;
    w->handle = sp_slots_add(p->waiters, w);
    sp_list_init(&w->at);
    if (s->link_count == s->opening && s->rest_until_ms > now_ms(p)) {
        tell_later(w, &s->rest_why);
        return w->handle;
    }
    w->site = s;
    sp_list_append(&s->waiters, &w->at);
    s->waiter_count++;
    serve(s);
    return w->handle;
}

void sp_pool_cancel(struct sp_pool *p, sp_handle wait)
{
    struct waiter *w = sp_slots_find(p->waiters, wait);

    if (w != NULL)
        drop_waiter(w);
}

int64_t sp_pool_crowd_ms(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct site *s = get_site(p, ask);
    int64_t now = now_ms(p);

    if (s->waiter_count <= CROWD)
        return 0;
    if (s->line_end_ms < now + COME_MS)
        s->line_end_ms = now + COME_MS;
    s->line_end_us += s->each_us * 3 / 4; /* rather too early: an idle connection costs more */
    s->line_end_ms += s->line_end_us / 1000;
    s->line_end_us %= 1000;
    if (s->line_end_ms > now + COME_MAX_MS)
        s->line_end_ms = now + COME_MAX_MS;
    return s->line_end_ms - now;
}

struct sp_pool *sp_pool_new(const struct sp_pool_settings *settings)
{
    struct sp_pool *p = sp_calloc(1, sizeof(*p));

    p->settings = *settings;
    p->sites = sp_map_new();
    p->waiters = sp_slots_new();
    p->tell = sp_timer_new(settings->loop, on_tell, p);
    sp_list_init(&p->idle);
    sp_list_init(&p->told);
    return p;
}

void sp_pool_free(struct sp_pool *p)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (p == NULL)
        return;
    while (sp_map_next(p->sites, &at, &key, &value))
        free_site(value);
    SP_LIST_EACH(i, &p->told)
    drop_waiter(SP_CONTAINER(i, struct waiter, at));
    sp_timer_free(p->tell);
    sp_map_free(p->sites);
    sp_slots_free(p->waiters);
    sp_free(p);
}

struct sp_pool_stats sp_pool_stats(const struct sp_pool *p)
{
    return (struct sp_pool_stats){.opened = p->opened, .open = p->open};
}
