/*
 * Hosts and sites of a pool. A host's key is the facts themselves, not a digest of them: one that could choose its own
 * must not meet another's. The last few that were asked for are found without writing a key. Hosts that nobody uses stay,
 * with what their breaker and their site have learnt, until there are too many.
 */
#include "delivery/pool_priv.h"

#define HOSTS_MAX    20000
#define UNPROVEN_MIN 5000 /* of these; at least so many may be of sites that have taken nothing */
#define HOST_KEY_MAX (4 * 1024 * 1024)
#define WALK_PLACES  1024 /* of the map of sites, a step */

/* ---- what is asked for ---- */

static int compare_hops(const struct sp_hop *a, const struct sp_hop *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len == 0 ? 0 : memcmp(a->name.ptr, b->name.ptr, len);

    if (order == 0 && a->name.len != b->name.len)
        order = a->name.len < b->name.len ? -1 : 1;
    return order != 0 ? order : (int)a->port - (int)b->port;
}

/* Hosts that an operator has named himself: each is a site of its own, and has its own trouble. Those of a domain are one provider's. */
static bool is_alone(const struct sp_route *route)
{
    return route->via == SP_VIA_ROUTE || route->via == SP_VIA_NEXT_HOP;
}

/* returns: the host whose name stands for the site */
static struct sp_bytes main_host(const struct sp_pool_ask *ask)
{
    const struct sp_route *route = ask->route;
    const struct sp_hop *best = &route->hops[0];

    if (is_alone(route))
        return route->hops[ask->hop].name;
    for (size_t i = 1; i < route->hop_count; i++)
        if (route->hops[i].preference < best->preference ||
            (route->hops[i].preference == best->preference &&
             compare_hops(&route->hops[i], best) < 0))
            best = &route->hops[i];
    return best->name;
}

static const struct sp_site_limits *find_limits(const struct sp_pool *p,
                                                const struct sp_pool_ask *ask)
{
    static const struct sp_site_limits none = {.name = SP_LIT_INIT("default"),
                                               .recipients = SP_SITE_RECIPIENTS_MAX};

    if (p->settings.sites == NULL)
        return &none;
    return sp_sites_find(p->settings.sites, ask->route->domain, main_host(ask));
}

static const struct sp_site_source *
find_source(const struct sp_pool *p, const struct sp_site_limits *limits, struct sp_bytes name)
{
    const struct sp_site_tenant *tenant =
        p->settings.sites == NULL ? NULL : sp_sites_tenant(p->settings.sites, name);

    return tenant != NULL && tenant->source != NULL ? tenant->source : limits->source;
}

/* ---- sites ---- */

/* The same hosts in the same order, whatever the shuffle. */
static void put_hosts(const struct sp_pool_ask *ask, struct sp_buf *key)
{
    const struct sp_hop *sorted[SP_TRANSPORT_HOPS_MAX];
    const struct sp_route *route = ask->route;
    size_t count = 0;

    for (size_t i = 0; i < route->hop_count && count < SP_ARRAY_LEN(sorted); i++) {
        size_t at = count;

        if (is_alone(route) && i != ask->hop)
            continue;
        count++;

        for (; at > 0 && compare_hops(&route->hops[i], sorted[at - 1]) < 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &route->hops[i];
    }
    for (size_t i = 0; i < count; i++) {
        sp_buf_put_var(key, sorted[i]->name);
        sp_buf_put_u16(key, sorted[i]->port);
    }
}

static void make_site_key(const struct sp_pool_ask *ask, const struct sp_site_limits *limits,
                          const struct sp_site_source *source, struct sp_buf *key)
{
    bool is_named = limits->mx_count + limits->domain_count > 0;

    sp_buf_put_u8(key, ask->plain);
    sp_buf_put_u8(key, (uint8_t)ask->route->must);
    sp_buf_put_var(key, source == NULL ? SP_LIT("") : source->name);
    sp_buf_put_u8(key, is_named);
    if (is_named) {
        sp_buf_put_var(key, limits->name);
        return;
    }
    sp_buf_put_u8(key, (uint8_t)ask->route->via);
    put_hosts(ask, key);
}

static int64_t share_of(const struct sp_pool *p, int64_t whole)
{
    int64_t relays = p->settings.relays == 0 ? 1 : p->settings.relays;

    if (whole == 0)
        return 0;
    return whole < relays ? 1 : whole / relays;
}

static void on_may_go(void *arg)
{
    struct sp_pool_site *s = arg;

    sp_pool_serve(s);
}

static struct sp_pool_site *new_site(struct sp_pool *p, const struct sp_pool_ask *ask,
                                     const struct sp_site_limits *limits, struct sp_bytes key)
{
    bool is_named = limits->mx_count + limits->domain_count > 0;
    struct sp_bytes name = is_named ? limits->name : main_host(ask);
    struct sp_pool_site *s = sp_calloc(1, sizeof(*s) + key.len + name.len);
    int64_t max = share_of(p, limits->connections);

    s->pool = p;
    s->id = ++p->sites_made;
    s->limits = limits;
    s->must = ask->route->must;
    s->plain = ask->plain;
    sp_site_init(&s->state, max == 0 ? p->settings.site_max : (unsigned)max);
    s->rate.per_minute = share_of(p, limits->messages_per_minute);
    sp_list_init(&s->hosts);
    sp_list_init(&s->shares);
    sp_list_init(&s->rest);
    sp_list_init(&s->starved);
    s->timer = sp_timer_new(p->settings.loop, on_may_go, s);
    s->key_len = key.len;
    memcpy(s->key, key.ptr, key.len);
    if (name.len > 0)
        memcpy(s->key + key.len, name.ptr, name.len);
    s->name = sp_bytes(s->key + key.len, name.len);
    (void)sp_map_put(p->sites, key, s);
    return s;
}

static void free_site(struct sp_pool_site *s)
{
    struct sp_pool *p = s->pool;

    SP_LIST_EACH(at, &s->shares)
    {
        struct sp_pool_share *share = SP_CONTAINER(at, struct sp_pool_share, at);

        for (size_t i = 0; i < SP_LANE_COUNT; i++)
            sp_pool_open_lines(p, &share->lanes[i].shut);
        sp_pool_share_free(share);
    }
    (void)sp_map_remove(p->sites, sp_bytes(s->key, s->key_len));
    sp_pool_starve_end(s);
    sp_timer_free(s->timer);
    sp_free(s);
}

int64_t sp_pool_site_at(struct sp_pool_site *s, struct sp_pool_share *share, int64_t now_ms)
{
    int64_t at_ms = s->state.pause_until_ms;
    int64_t rate_ms = sp_site_rate_at(&s->rate, now_ms);
    int64_t share_ms = sp_site_rate_at(&share->rate, now_ms);

    if (rate_ms > at_ms)
        at_ms = rate_ms;
    if (share_ms > at_ms)
        at_ms = share_ms;
    if (share->total != NULL && (share_ms = sp_site_rate_at(share->total, now_ms)) > at_ms)
        at_ms = share_ms;
    return at_ms;
}

/* ---- hosts ---- */

static void make_key(const struct sp_pool_ask *ask, const struct sp_site_limits *limits,
                     const struct sp_site_source *source, struct sp_buf *key, size_t *site_len)
{
    sp_buf_init(key, HOST_KEY_MAX);
    make_site_key(ask, limits, source, key);
    *site_len = key->len;
    sp_hop_put_site(ask->route, &ask->route->hops[ask->hop], key);
    sp_assert(sp_buf_rc(key) == SP_OK); /* a DNS answer at most */
}

static struct sp_pool_host **recent(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    size_t at = ((uintptr_t)ask->route >> 4) + ask->hop * 7 + ask->plain;

    return &p->recent[at % SP_POOL_RECENT];
}

/* Without writing a key. returns: NULL if it must be looked for */
static struct sp_pool_host *find_recent(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_pool_host *h = *recent(p, ask);

    if (h == NULL || h->route != ask->route || h->hop != ask->hop || h->plain != ask->plain ||
        find_source(p, h->site->limits, ask->tenant) != h->source)
        return NULL;
    return h;
}

struct sp_pool_host *sp_pool_find_host(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_pool_host *h = find_recent(p, ask);
    const struct sp_site_limits *limits;
    struct sp_buf key;
    size_t site_len;

    if (h != NULL)
        return h;
    limits = find_limits(p, ask);
    make_key(ask, limits, find_source(p, limits, ask->tenant), &key, &site_len);
    h = sp_map_find(p->hosts, sp_buf_bytes(&key));
    sp_buf_clear(&key);
    return h;
}

void sp_pool_host_free(struct sp_pool_host *h)
{
    struct sp_pool *p = h->pool;
    struct sp_pool_site *s = h->site;

    (void)sp_map_remove(p->hosts, sp_bytes(h->key, h->key_len));
    for (size_t i = 0; i < SP_POOL_RECENT; i++)
        if (p->recent[i] == h)
            p->recent[i] = NULL;
    sp_list_remove(&h->in_site);
    sp_pool_host_used(h);
    sp_route_unref(h->route);
    sp_free(h);
    if (--s->host_count == 0)
        free_site(s);
}

void sp_pool_host_used(struct sp_pool_host *h)
{
    if (sp_list_is_empty(&h->in_unused))
        return;
    sp_list_remove(&h->in_unused);
    h->pool->unused_count[h->is_among_proven]--;
}

void sp_pool_host_unused(struct sp_pool_host *h)
{
    if (h->link_count > 0 || h->waiting > 0)
        return;
    sp_pool_host_used(h);
    h->is_among_proven = h->site->score > 0;
    sp_list_append(&h->pool->unused[h->is_among_proven], &h->in_unused);
    h->pool->unused_count[h->is_among_proven]++;
}

/*
 * A crowd of hosts that nobody ever reached must not take from others what they have shown; but that one of them rests must not
 * be forgotten at the next one either, however many have shown something.
 */
static void make_room(struct sp_pool *p)
{
    bool among_proven =
        p->unused_count[false] < UNPROVEN_MIN && !sp_list_is_empty(&p->unused[true]);
    const struct sp_list *from = &p->unused[among_proven];

    if (sp_map_count(p->hosts) >= HOSTS_MAX && !sp_list_is_empty(from))
        sp_pool_host_free(SP_CONTAINER(from->next, struct sp_pool_host, in_unused));
}

static struct sp_pool_host *new_host(struct sp_pool *p, const struct sp_pool_ask *ask,
                                     const struct sp_site_limits *limits, struct sp_bytes key,
                                     size_t site_len)
{
    struct sp_pool_host *h = sp_calloc(1, sizeof(*h) + key.len);
    struct sp_bytes site_key = sp_bytes_slice(key, 0, site_len);

    make_room(p);
    h->pool = p;
    h->source = find_source(p, limits, ask->tenant);
    h->site = sp_map_find(p->sites, site_key);
    if (h->site == NULL)
        h->site = new_site(p, ask, limits, site_key);
    h->site->source = h->source;
    h->site->host_count++;
    sp_list_append(&h->site->hosts, &h->in_site);
    sp_list_init(&h->in_unused);
    sp_list_init(&h->links);
    h->plain = ask->plain;
    h->key_len = key.len;
    memcpy(h->key, key.ptr, key.len);
    (void)sp_map_put(p->hosts, key, h);
    sp_pool_host_unused(h);
    return h;
}

struct sp_pool_host *sp_pool_get_host(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_pool_host *h = find_recent(p, ask);
    const struct sp_site_limits *limits;
    const struct sp_route *old;
    struct sp_buf key;
    size_t site_len;

    if (h != NULL)
        return h;
    limits = find_limits(p, ask);
    make_key(ask, limits, find_source(p, limits, ask->tenant), &key, &site_len);
    h = sp_map_find(p->hosts, sp_buf_bytes(&key));
    if (h == NULL)
        h = new_host(p, ask, limits, sp_buf_bytes(&key), site_len);
    sp_buf_clear(&key);
    old = h->route;
    h->route = sp_route_ref(ask->route);
    h->hop = ask->hop;
    sp_route_unref(old);
    *recent(p, ask) = h;
    return h;
}

/* ---- for people ---- */

static void view_hosts(const struct sp_pool_site *s, int64_t now_ms, struct sp_pool_view *v)
{
    SP_LIST_EACH(at, &s->hosts)
    {
        const struct sp_pool_host *h = SP_CONTAINER(at, struct sp_pool_host, in_site);

        if (h->breaker.state == SP_BREAKER_CLOSED || v->breaker == SP_BREAKER_OPEN)
            continue;
        v->breaker = h->breaker.state;
        v->breaker_host = h->route->hops[h->hop].name;
        v->breaker_ms = h->breaker.until_ms > now_ms ? h->breaker.until_ms - now_ms : 0;
        v->breaker_why = h->why.rc;
    }
}

static void view_shares(struct sp_pool_site *s, int64_t now_ms, struct sp_pool_view *v)
{
    int64_t at_ms = s->state.pause_until_ms;

    SP_LIST_EACH(at, &s->shares)
    {
        struct sp_pool_share *share = SP_CONTAINER(at, struct sp_pool_share, at);
        int64_t may_ms = sp_pool_site_at(s, share, now_ms);

        if (may_ms > at_ms)
            at_ms = may_ms;
    }
    v->next_ms = at_ms > now_ms ? at_ms - now_ms : 0;
}

static struct sp_pool_view view_of(struct sp_pool_site *s, int64_t now_ms)
{
    size_t idle = 0;
    struct sp_pool_view v = {
        .id = s->id,
        .name = s->name,
        .entry = s->limits->name,
        .source = s->source == NULL ? SP_LIT("") : s->source->name,
        .level = s->plain                    ? "plain"
                 : s->must == SP_LEVEL_PLAIN ? ""
                                             : sp_level_name(s->must),
        .host_count = s->host_count,
        .open = s->link_count,
        .waiting = s->waiting,
        .shut = s->shut,
        .state = &s->state,
        .per_minute = s->rate.per_minute,
    };

    SP_LIST_EACH(i, &s->rest)
    idle++;
    v.busy = v.open - idle;
    view_hosts(s, now_ms, &v);
    view_shares(s, now_ms, &v);
    return v;
}

struct each {
    void (*visit)(void *arg, const struct sp_pool_view *v);
    void *arg;
    int64_t now_ms;
};

static void visit_site(void *arg, void *site)
{
    const struct each *each = arg;
    struct sp_pool_view v = view_of(site, each->now_ms);

    each->visit(each->arg, &v);
}

bool sp_pool_each_some(struct sp_pool *p, struct sp_map_walk *walk,
                       void (*visit)(void *arg, const struct sp_pool_view *v), void *arg)
{
    struct each each = {visit, arg, sp_clock_mono_ms(sp_loop_clock(p->settings.loop))};

    return sp_map_walk(p->sites, walk, WALK_PLACES, visit_site, &each);
}

void sp_pool_each(struct sp_pool *p, void (*visit)(void *arg, const struct sp_pool_view *v),
                  void *arg)
{
    struct sp_map_walk walk = {0};

    while (sp_pool_each_some(p, &walk, visit, arg))
        continue;
}

uint64_t sp_pool_site_id(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    const struct sp_pool_host *h = sp_pool_find_host(p, ask);

    return h == NULL ? 0 : h->site->id;
}

const void *sp_pool_site_of(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    const struct sp_pool_host *h = sp_pool_find_host(p, ask);

    return h == NULL ? NULL : h->site;
}
