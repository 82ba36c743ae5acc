/*
 * Who waits for a site. Lanes first, by credits as in the queue (lines.h), then tenants in turn, then who came first. So few wait
 * that the next message is there when a connection is, and no more: the rest stand in their lines in the queue, which are shut
 * meanwhile and cost nothing. Places for those who wait for hosts that have not answered yet are limited, or a hundred dead
 * domains would fill all there are.
 */
#include "delivery/pool_priv.h"

#define CROWD_MIN  4
#define CROWD_MAX  64
#define CROWD_NEW  16    /* while the site's rate is not known */
#define CROWD_US   50000 /* that a crowd must last */
#define STRANGERS  160
#define UNSURE_MAX 2 /* connections opened at a time to a host that has not answered yet */
#define AT_ONCE    4 /* lines opened */
#define TICK_MS    1000

/* that a lane may have while others wait, one round */
static const unsigned turns_max[SP_LANE_COUNT] = {64, 16, 4};

struct shut { /* a line that waits for room at a host */
    struct sp_list at;
    struct sp_list twins;      /* the same line's, at hosts that are as good */
    struct sp_pool_site *site; /* NULL: it is among the strangers */
    sp_handle line;
};

/* ---- shares ---- */

struct sp_pool_share *sp_pool_get_share(struct sp_pool_site *s, struct sp_bytes tenant)
{
    struct sp_pool *p = s->pool;
    const struct sp_site_tenant *t;
    struct sp_pool_share *share;
    int64_t relays = p->settings.relays == 0 ? 1 : p->settings.relays;

    SP_LIST_EACH(at, &s->shares)
    {
        share = SP_CONTAINER(at, struct sp_pool_share, at);
        if (sp_bytes_eq(sp_bytes(share->name, share->name_len), tenant))
            return share;
    }
    share = sp_calloc(1, sizeof(*share) + tenant.len + 1);
    share->name_len = tenant.len;
    if (tenant.len > 0)
        memcpy(share->name, tenant.ptr, tenant.len);
    for (size_t i = 0; i < SP_LANE_COUNT; i++) {
        sp_list_init(&share->lanes[i].waiters);
        sp_list_init(&share->lanes[i].shut);
    }
    share->turn = s->turn;
    share->rate.per_minute = (s->limits->tenant_messages_per_minute + relays - 1) / relays;
    t = p->settings.sites == NULL ? NULL : sp_sites_tenant(p->settings.sites, tenant);
    if (t != NULL && t->messages_per_minute > 0) {
        share->total = sp_map_find(p->totals, tenant);
        if (share->total == NULL) {
            share->total = sp_calloc(1, sizeof(*share->total));
            share->total->per_minute = (t->messages_per_minute + relays - 1) / relays;
            (void)sp_map_put(p->totals, tenant, share->total);
        }
    }
    sp_list_append(&s->shares, &share->at);
    return share;
}

void sp_pool_share_free(struct sp_pool_share *share)
{
    sp_list_remove(&share->at);
    sp_free(share);
}

/* ---- waiters ---- */

static bool is_stranger(const struct sp_pool_host *h)
{
    return !h->has_worked;
}

struct sp_pool_waiter *sp_pool_join(struct sp_pool_host *h, const struct sp_pool_ask *ask)
{
    struct sp_pool_waiter *w = sp_calloc(1, sizeof(*w));
    struct sp_pool_crowd *crowd;

    w->pool = h->pool;
    w->host = h;
    w->share = sp_pool_get_share(h->site, ask->tenant);
    w->lane = ask->lane;
    w->line = ask->line;
    w->handle = sp_slots_add(h->pool->waiters, w);
    w->is_stranger = is_stranger(h);
    sp_heap_node_init(&w->in_turns);
    crowd = &w->share->lanes[w->lane];
    sp_pool_host_used(h);
    sp_list_append(&crowd->waiters, &w->at);
    crowd->count++;
    h->waiting++;
    h->site->waiting++;
    h->site->lane_waiting[w->lane]++;
    h->pool->used[h->site->rank].waiting[w->lane]++;
    h->pool->stranger_waiters += w->is_stranger;
    return w;
}

static void step_out(struct sp_pool_waiter *w)
{
    struct sp_pool_host *h = w->host;

    sp_list_remove(&w->at);
    if (h == NULL)
        return;
    sp_pool_turn_ends(w);
    w->host = NULL;
    w->share->lanes[w->lane].count--;
    h->waiting--;
    h->site->waiting--;
    h->site->lane_waiting[w->lane]--;
    h->pool->used[h->site->rank].waiting[w->lane]--;
    if (w->is_stranger && h->pool->stranger_waiters-- == STRANGERS / 2)
        sp_pool_open_lines(h->pool, &h->pool->strangers);
    sp_pool_feed(h->site);
    sp_pool_host_unused(h);
}

void sp_pool_leave(struct sp_pool_waiter *w)
{
    (void)sp_slots_remove(w->pool->waiters, w->handle);
    step_out(w);
    sp_free(w);
}

void sp_pool_tell(struct sp_pool_waiter *w, const struct sp_conn_end *e)
{
    struct sp_pool *p = w->pool;

    w->end = *e;
    if (p->settings.lines != NULL && e->rc != SP_E_DELIVERY_TURN)
        sp_lines_slow(p->settings.lines, w->line, true);
    step_out(w);
    sp_list_append(&p->told, &w->at);
    sp_timer_start(p->tell, 0);
}

void sp_pool_on_tell(void *arg)
{
    struct sp_pool *p = arg;
    size_t count = 0;

    SP_LIST_EACH(at, &p->told)
    count++;
    for (; count > 0 && !sp_list_is_empty(&p->told); count--) {
        struct sp_pool_waiter *w = SP_CONTAINER(p->told.next, struct sp_pool_waiter, at);
        struct sp_pool_waiter copy = *w;

        sp_pool_leave(w);
        copy.fn(copy.arg, NULL, &copy.end);
    }
}

/* Whether another connection would help who waits there: few at a time until it has answered, and one as a probe. */
static bool needs_more(const struct sp_pool_host *h)
{
    size_t most = h->breaker.state == SP_BREAKER_CLOSED ? UNSURE_MAX : 1;

    return h->opening < h->waiting && (h->has_worked || h->opening < most);
}

/* Whether it may be opened now. A host that wants none for a while keeps nobody from another of its site. */
static bool may_open(const struct sp_pool_host *h, int64_t now_ms, int64_t *at_ms)
{
    int64_t from_ms = h->more_after_ms;

    if (!needs_more(h))
        return false;
    if (sp_breaker_rests(&h->breaker, now_ms) && h->breaker.until_ms > from_ms)
        from_ms = h->breaker.until_ms;
    if (from_ms <= now_ms)
        return true;
    if (from_ms < *at_ms)
        *at_ms = from_ms;
    return false;
}

static struct sp_pool_waiter *first_of(const struct sp_pool_crowd *crowd,
                                       const struct sp_pool_host *host, int64_t now_ms,
                                       int64_t *at_ms)
{
    SP_LIST_EACH(at, &crowd->waiters)
    {
        struct sp_pool_waiter *w = SP_CONTAINER(at, struct sp_pool_waiter, at);

        if (host == NULL ? may_open(w->host, now_ms, at_ms) : w->host == host)
            return w;
    }
    return NULL;
}

/* Of a lane, the tenant who was served longest ago. at_ms: as sp_pool_first */
static struct sp_pool_waiter *first_in_lane(struct sp_pool_site *s, const struct sp_pool_host *host,
                                            size_t lane, int64_t now_ms, int64_t *at_ms)
{
    struct sp_pool_waiter *best = NULL;

    SP_LIST_EACH(at, &s->shares)
    {
        struct sp_pool_share *share = SP_CONTAINER(at, struct sp_pool_share, at);
        struct sp_pool_waiter *w;
        int64_t may_ms;

        if (share->lanes[lane].count == 0 || (best != NULL && best->share->turn <= share->turn))
            continue;
        w = first_of(&share->lanes[lane], host, now_ms, at_ms);
        if (w == NULL)
            continue;
        may_ms = sp_pool_site_at(s, share, now_ms);
        if (may_ms <= now_ms)
            best = w;
        else if (may_ms < *at_ms)
            *at_ms = may_ms;
    }
    return best;
}

struct sp_pool_waiter *sp_pool_first(struct sp_pool_site *s, const struct sp_pool_host *host,
                                     int64_t now_ms, int64_t *at_ms)
{
    struct sp_pool_waiter *over = NULL; /* of a lane that has had its turns */

    *at_ms = INT64_MAX;
    for (size_t lane = 0; lane < SP_LANE_COUNT; lane++) {
        struct sp_pool_waiter *w = first_in_lane(s, host, lane, now_ms, at_ms);

        if (w != NULL && s->lane_turns[lane] < turns_max[lane])
            return w;
        if (over == NULL)
            over = w;
    }
    return over;
}

void sp_pool_count_turn(struct sp_pool_site *s, enum sp_lane lane)
{
    bool is_alone = s->waiting == s->lane_waiting[lane];

    if (is_alone ||
        s->lane_turns[lane] >= turns_max[lane]) /* nobody else who could go has any left */
        memset(s->lane_turns, 0, sizeof(s->lane_turns));
    s->lane_turns[lane] += !is_alone;
}

/* ---- lines ---- */

static size_t crowd_max(const struct sp_pool_site *s)
{
    size_t max = CROWD_NEW;

    if (s->each_us > 0)
        max = CROWD_MIN + (size_t)(CROWD_US / s->each_us);
    return max < CROWD_MAX ? max : CROWD_MAX;
}

/* Connections that stall count half, as in the parts of these. */
void sp_pool_count_places(struct sp_pool *p, struct sp_pool_places *ask)
{
    for (unsigned at = 0; at < SP_POOL_RANK_COUNT; at++) {
        struct sp_pool_used used = sp_pool_used(p, (enum sp_pool_rank)at);
        struct sp_pool_taken *taken = &ask->used[at];

        taken->urgent = used.waiting[SP_LANE_URGENT];
        taken->bulk = used.links - p->stalling / 2 + used.waiting[SP_LANE_BULK];
        taken->all = taken->bulk + taken->urgent + used.waiting[SP_LANE_NORMAL];
    }
}

static size_t places_left(const struct sp_pool_site *s, enum sp_lane lane)
{
    const struct sp_pool_settings *p = &s->pool->settings;
    struct sp_pool_places ask = {.lane = lane, .rank = sp_pool_rank_of(s)};

    ask.is_first = s->waiting + s->link_count == 0;
    sp_pool_count_places(s->pool, &ask);
    return p->places(p->arg, &ask);
}

/* returns: whether what is left of the places is for sites of a better rank */
static bool finds_no_place(const struct sp_pool_site *s, enum sp_lane lane)
{
    return s->pool->settings.places != NULL && sp_pool_rank_of(s) != SP_POOL_RANK_PROVEN &&
           places_left(s, lane) == 0;
}

/*
 * The same as with connections: no more places than half of what it leaves, or a few slow sites would fill all. Who has none at all
 * is not kept from a first one by proven sites: others without end would keep it for ever. Urgent mail has places of its own, and goes
 * before who waits already: what others have there does not keep it.
 */
static bool takes_too_much(const struct sp_pool_site *s, enum sp_lane lane)
{
    size_t has =
        lane == SP_LANE_URGENT ? s->lane_waiting[SP_LANE_URGENT] : s->waiting + s->link_count;
    size_t left;

    if (s->pool->settings.places == NULL || (has == 0 && sp_pool_rank_of(s) == SP_POOL_RANK_PROVEN))
        return false;
    left = places_left(s, lane);
    return left == 0 || has > left / 2;
}

bool sp_pool_is_crowded(const struct sp_pool_host *h, const struct sp_pool_share *share,
                        enum sp_lane lane)
{
    const struct sp_pool *p = h->pool;

    if (p->settings.lines == NULL)
        return false;
    if (is_stranger(h) && (p->stranger_waiters >= STRANGERS || h->waiting >= CROWD_NEW))
        return true;
    return share->lanes[lane].count >= crowd_max(h->site) || takes_too_much(h->site, lane);
}

/* It opens when this host has room. returns: what stands for that; twin: of the same line and another host, or NULL */
static struct shut *note_shut(struct sp_pool_host *h, struct sp_pool_share *share,
                              const struct sp_pool_ask *ask, struct shut *twin)
{
    struct sp_pool *p = h->pool;
    bool among_strangers = is_stranger(h) && p->stranger_waiters >= STRANGERS;
    struct shut *shut = sp_calloc(1, sizeof(*shut));

    shut->line = ask->line;
    shut->site = among_strangers ? NULL : h->site;
    sp_list_init(&shut->twins);
    if (twin != NULL)
        sp_list_append(&twin->twins, &shut->twins);
    sp_list_append(among_strangers ? &p->strangers : &share->lanes[ask->lane].shut, &shut->at);
    if (!among_strangers)
        h->site->shut++;
    p->shut++;
    return shut;
}

bool sp_pool_shuts(struct sp_pool *p, const struct sp_pool_ask *asks, size_t count)
{
    struct sp_pool_host *h = sp_pool_get_host(p, &asks[0]);
    struct sp_pool_share *share = sp_pool_get_share(h->site, asks[0].tenant);
    struct sp_conn_end why;
    struct shut *shut;

    if (asks[0].line == 0 || sp_pool_is_closed(h, &asks[0], &why) ||
        !sp_pool_is_crowded(h, share, asks[0].lane))
        return false;
    if (!sp_lines_shut(p->settings.lines, asks[0].line, true))
        return true; /* another message of it did */
    shut = note_shut(h, share, &asks[0], NULL);
    for (size_t i = 1; i < count; i++) {
        h = sp_pool_find_host(p, &asks[i]);
        if (h != NULL && !sp_pool_is_closed(h, &asks[i], &why))
            (void)note_shut(h, sp_pool_get_share(h->site, asks[i].tenant), &asks[i], shut);
    }
    if (!sp_timer_is_running(p->tick))
        sp_timer_start(p->tick, TICK_MS);
    return true;
}

unsigned sp_pool_load(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    struct sp_pool_host *h = sp_pool_find_host(p, ask);
    struct sp_pool_site *s;
    struct sp_pool_share *share;
    struct sp_conn_end why;
    int64_t now_ms = sp_clock_mono_ms(sp_loop_clock(p->settings.loop));
    size_t room;

    if (h == NULL)
        return 0;
    s = h->site;
    share = sp_pool_get_share(s, ask->tenant);
    if (sp_pool_is_closed(h, ask, &why))
        return SP_POOL_CLOSED;
    if (sp_pool_is_crowded(h, share, ask->lane))
        return SP_POOL_CROWDED;
    if (sp_pool_site_at(s, share, now_ms) > now_ms)
        return SP_POOL_CROWDED - 1;
    room = h->opening + !sp_list_is_empty(&s->rest);
    if (s->link_count < s->state.limit)
        room += s->state.limit - s->link_count;
    if (s->waiting < room)
        return 0;
    return 1 + (unsigned)(s->waiting * 16 / (s->state.limit + 1));
}

static void forget(struct sp_pool *p, struct shut *shut)
{
    sp_list_remove(&shut->at);
    sp_list_remove(&shut->twins);
    if (shut->site != NULL)
        shut->site->shut--;
    p->shut--;
    sp_free(shut);
}

/* For all hosts that it waits for. */
static void open_first(struct sp_pool *p, struct sp_list *list)
{
    struct shut *shut = SP_CONTAINER(list->next, struct shut, at);
    sp_handle line = shut->line;

    SP_LIST_EACH(at, &shut->twins)
    forget(p, SP_CONTAINER(at, struct shut, twins));
    forget(p, shut);
    if (sp_lines_shut(p->settings.lines, line, false) && p->settings.on_room != NULL)
        p->settings.on_room(p->settings.arg);
}

void sp_pool_open_lines(struct sp_pool *p, struct sp_list *shut)
{
    while (!sp_list_is_empty(shut))
        open_first(p, shut);
}

/* One at a time: a line may have much. Several where nobody waits: these may have one message each. */
static void feed_crowd(struct sp_pool_site *s, struct sp_pool_crowd *crowd, enum sp_lane lane)
{
    if (sp_list_is_empty(&crowd->shut) || finds_no_place(s, lane))
        return;
    for (size_t n = crowd->count == 0 ? AT_ONCE : 1; n > 0; n--) {
        if (sp_list_is_empty(&crowd->shut) || crowd->count * 2 > crowd_max(s))
            return;
        open_first(s->pool, &crowd->shut);
    }
}

void sp_pool_feed(struct sp_pool_site *s)
{
    if (s->shut == 0)
        return;
    SP_LIST_EACH(at, &s->shares)
    for (size_t i = 0; i < SP_LANE_COUNT; i++)
        feed_crowd(s, &SP_CONTAINER(at, struct sp_pool_share, at)->lanes[i], (enum sp_lane)i);
}

void sp_pool_on_tick(void *arg)
{
    struct sp_pool *p = arg;
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    if (p->stranger_waiters < STRANGERS)
        sp_pool_open_lines(p, &p->strangers);
    while (sp_map_next(p->sites, &at, &key, &value))
        sp_pool_feed(value);
    if (p->shut > 0)
        sp_timer_start(p->tick, TICK_MS);
}
