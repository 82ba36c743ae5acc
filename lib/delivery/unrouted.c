/*
 * Mail waits for a route first: for as long as the resolver is patient, or a host of MTA-STS policies stalls, and each such
 * attempt has a place. Nobody knows which domains do so, and a thousand of them kept all other mail for half a minute. So
 *
 * - who takes longer than a moment gives the place back, and its line is shut until the look-up ends, which goes on by itself;
 * - strangers count among sites that have taken nothing (rank.c), and few look up at a time; the rest stand in their lines, which
 *   are shut. The urgent lane has some look-ups of its own and fills them first: a code is not to wait behind a thousand domains;
 * - whose route of before led to a site that takes mail looks it up at once, but no site has more look-ups than it leaves to others:
 *   one that takes mail may have a thousand domains whose DNS is silent one day.
 */
#include "delivery/unrouted_priv.h"

#include "delivery/park_priv.h"

/* Strangers at a time, and more for the urgent lane. */
#define UNROUTED_MAX    100
#define UNROUTED_URGENT 20
/* Look-ups for sites that take mail, of which one may have half of what is left; and what each may always have. */
#define RETURNING_MAX   48
#define RETURNING_LEAST 4
/* Look-ups that go on without a place: each takes memory, and a connection to a host of policies that stalls. */
#define SLOW_MS            1000
#define SLOW_STRANGERS_MAX 500
#define SLOW_OTHERS_MAX    200
#define TICK_MS            1000
#define RETURNING_A_TICK   32

enum { STRANGERS, URGENT, RETURNING, SHUT_COUNT };

struct sp_unrouted {
    struct sp_delivery *d;
    struct sp_pool_taken taken[SP_POOL_RANK_COUNT]; /* attempts that wait for a route */
    struct sp_list shut[SHUT_COUNT];                /* lines of others, longest shut first */
    struct sp_list
        slow; /* look-ups that go on without a place: each counts once, whosever mail waits for it */
    struct sp_map *slow_by_way;
    size_t slow_strangers;
    size_t slow_others;
    struct sp_timer *tick;
};

struct shut {
    struct sp_list at;
    sp_handle line;
};

struct slow {
    struct sp_list at;
    struct sp_list lines; /* that wait for it, shut */
    const void *site;     /* NULL: a stranger's */
    size_t way_len;
    uint8_t way[];
};

void sp_unrouted_add(const struct sp_unrouted *u, struct sp_pool_places *ask)
{
    for (size_t rank = 0; rank < SP_POOL_RANK_COUNT; rank++) {
        for (size_t i = rank; i < SP_POOL_RANK_COUNT; i++) {
            ask->used[i].all += u->taken[rank].all;
            ask->used[i].urgent += u->taken[rank].urgent;
            ask->used[i].bulk += u->taken[rank].bulk;
        }
    }
}

static size_t look_ups_left(const struct sp_unrouted *u, enum sp_lane lane)
{
    const struct sp_pool_taken *taken = &u->taken[SP_POOL_RANK_NEW];
    size_t own = taken->urgent < UNROUTED_URGENT ? taken->urgent : UNROUTED_URGENT;
    size_t most = UNROUTED_MAX, has = taken->all - own;

    if (lane == SP_LANE_URGENT) {
        most += UNROUTED_URGENT;
        has = taken->all;
    }
    return has < most ? most - has : 0;
}

static size_t places_left(const struct sp_unrouted *u, enum sp_lane lane, enum sp_pool_rank rank)
{
    struct sp_pool_places ask = {.lane = lane, .rank = rank, .is_first = true};
    struct sp_places now = sp_delivery_places(u->d);

    sp_pool_count_places(u->d->pool, &ask);
    sp_unrouted_add(u, &ask);
    return sp_places_left(&now, &ask);
}

static size_t strangers_left(const struct sp_unrouted *u, enum sp_lane lane)
{
    size_t most = look_ups_left(u, lane), left = places_left(u, lane, SP_POOL_RANK_NEW);

    return left < most ? left : most;
}

/* returns: whether a site that takes mail may have one look-up more. cost: O(attempts) */
static bool has_room(const struct sp_unrouted *u, const void *site)
{
    size_t all = u->slow_others, has = 0;

    for (size_t rank = SP_POOL_RANK_KNOWN; rank < SP_POOL_RANK_COUNT; rank++)
        all += u->taken[rank].all;
    SP_LIST_EACH(at, &u->d->attempts)
    {
        const struct sp_unrouted_as *as = &SP_CONTAINER(at, struct sp_attempt, at)->unrouted;

        has += as->is_there && as->site == site;
    }
    SP_LIST_EACH(at, &u->slow)
    has += SP_CONTAINER(at, struct slow, at)->site == site;
    return has < RETURNING_LEAST || all + has < RETURNING_MAX;
}

/* ---- lines ---- */

static void open_line(struct sp_unrouted *u, struct shut *shut)
{
    sp_list_remove(&shut->at);
    if (sp_lines_shut(sp_queue_lines(u->d->parts.queue), shut->line, false))
        sp_delivery_opened(u->d);
    sp_free(shut);
}

static void open_some(struct sp_unrouted *u, struct sp_list *list, size_t count)
{
    for (; count > 0 && !sp_list_is_empty(list); count--)
        open_line(u, SP_CONTAINER(list->next, struct shut, at));
}

static struct sp_bytes way_of(const struct slow *s)
{
    return sp_bytes(s->way, s->way_len);
}

static void end_slow(struct sp_unrouted *u, struct slow *s)
{
    u->slow_strangers -= s->site == NULL;
    u->slow_others -= s->site != NULL;
    (void)sp_map_remove(u->slow_by_way, way_of(s));
    sp_list_remove(&s->at);
    open_some(u, &s->lines, SIZE_MAX);
    sp_free(s);
}

static void open_ended(struct sp_unrouted *u)
{
    SP_LIST_EACH(at, &u->slow)
    {
        struct slow *s = SP_CONTAINER(at, struct slow, at);

        if (!sp_transport_is_asking(u->d->parts.transport, way_of(s)))
            end_slow(u, s);
    }
}

/* returns: how many of a list may look up now; whether one that returns may is seen when it does */
static size_t left_for(const struct sp_unrouted *u, size_t list, size_t returning)
{
    return list == RETURNING ? returning
                             : strangers_left(u, list == URGENT ? SP_LANE_URGENT : SP_LANE_NORMAL);
}

void sp_unrouted_next(struct sp_unrouted *u)
{
    for (size_t i = 0; i < SHUT_COUNT && !u->d->draining; i++)
        if (!sp_list_is_empty(&u->shut[i]) && left_for(u, i, 1) > 0)
            open_some(u, &u->shut[i], 1);
}

/* Unless another message of it did, which has it opened. */
static void shut_line(struct sp_unrouted *u, const struct sp_attempt *a, struct sp_list *list)
{
    struct shut *shut;

    if (!sp_lines_shut(sp_queue_lines(u->d->parts.queue), a->line, true))
        return;
    shut = sp_calloc(1, sizeof(*shut));
    shut->line = a->line;
    sp_list_append(list, &shut->at);
}

static struct slow *new_slow(struct sp_unrouted *u, const struct sp_attempt *a)
{
    struct slow *s = sp_calloc(1, sizeof(*s) + a->way.len);

    s->site = a->unrouted.site;
    s->way_len = a->way.len;
    memcpy(s->way, a->way.ptr, a->way.len);
    sp_list_init(&s->lines);
    sp_list_append(&u->slow, &s->at);
    (void)sp_map_put(u->slow_by_way, a->way, s);
    u->slow_strangers += s->site == NULL;
    u->slow_others += s->site != NULL;
    return s;
}

/*
 * Its place is for others; the look-up goes on, and what comes of it is there when the line opens. It counts although its line is
 * shut already, since the next of it found no place: by lines, a crowd with two messages for each domain had as many look-ups as it liked.
 */
static void give_back(struct sp_unrouted *u, struct sp_attempt *a)
{
    struct slow *s = sp_map_find(u->slow_by_way, a->way);

    shut_line(u, a, s == NULL ? &new_slow(u, a)->lines : &s->lines);
    sp_attempt_put_first(a);
}

/* Another message may wait for the same look-up, which is counted then. */
static bool may_be_slow(const struct sp_unrouted *u, const struct sp_attempt *a)
{
    if (sp_map_find(u->slow_by_way, a->way) != NULL)
        return true;
    return a->unrouted.site == NULL ? u->slow_strangers < SLOW_STRANGERS_MAX
                                    : u->slow_others < SLOW_OTHERS_MAX;
}

static bool may_go_back(const struct sp_attempt *a)
{
    return a->line != 0 && a->rounds <= 1 && sp_attempt_is_fresh(a) && !a->d->draining;
}

static void give_back_slow(struct sp_unrouted *u)
{
    int64_t now_ms = sp_clock_mono_ms(sp_loop_clock(u->d->parts.loop));

    SP_LIST_EACH(at, &u->d->attempts)
    {
        struct sp_attempt *a = SP_CONTAINER(at, struct sp_attempt, at);

        if (a->unrouted.is_there && now_ms - a->unrouted.since_ms >= SLOW_MS && may_go_back(a) &&
            may_be_slow(u, a))
            give_back(u, a);
    }
}

static bool has_work(const struct sp_unrouted *u)
{
    bool has = !sp_list_is_empty(&u->slow);

    for (size_t i = 0; i < SHUT_COUNT; i++)
        has = has || !sp_list_is_empty(&u->shut[i]);
    for (size_t rank = 0; rank < SP_POOL_RANK_COUNT; rank++)
        has = has || u->taken[rank].all > 0;
    return has;
}

static void on_tick(void *arg)
{
    struct sp_unrouted *u = arg;

    give_back_slow(u);
    open_ended(u);
    /* nobody may follow whom a line let in: it may have nothing any more, or its lane no place */
    for (size_t i = 0; i < SHUT_COUNT; i++)
        open_some(u, &u->shut[i], 1 + left_for(u, i, RETURNING_A_TICK));
    if (has_work(u))
        sp_timer_start(u->tick, TICK_MS);
}

static void need_tick(struct sp_unrouted *u)
{
    if (!sp_timer_is_running(u->tick))
        sp_timer_start(u->tick, TICK_MS);
}

struct sp_unrouted *sp_unrouted_new(struct sp_delivery *d)
{
    struct sp_unrouted *u = sp_calloc(1, sizeof(*u));

    u->d = d;
    for (size_t i = 0; i < SHUT_COUNT; i++)
        sp_list_init(&u->shut[i]);
    sp_list_init(&u->slow);
    u->slow_by_way = sp_map_new();
    u->tick = sp_timer_new(d->parts.loop, on_tick, u);
    return u;
}

void sp_unrouted_free(struct sp_unrouted *u)
{
    for (size_t i = 0; i < SHUT_COUNT; i++)
        open_some(u, &u->shut[i], SIZE_MAX);
    SP_LIST_EACH(at, &u->slow)
    end_slow(u, SP_CONTAINER(at, struct slow, at));
    sp_map_free(u->slow_by_way);
    sp_timer_free(u->tick);
    sp_free(u);
}

/* ---- attempts ---- */

/* What its last route led to: NEW, and no site, for one that was never heard of, or if that site has taken nothing, or stalls. */
static struct sp_unrouted_as last_of(const struct sp_attempt *a)
{
    const struct sp_route *last = sp_transport_last(a->d->parts.transport, a->way);
    struct sp_unrouted_as as = {.rank = SP_POOL_RANK_NEW};
    struct sp_pool_ask ask = sp_attempt_pool_ask(a, 0);

    if (last == NULL || last->rc != SP_OK)
        return as;
    ask.route = last;
    for (ask.hop = 0; ask.hop < last->hop_count; ask.hop++) {
        enum sp_pool_rank rank =
            last->hops[ask.hop].rc == SP_OK ? sp_pool_rank_at(a->d->pool, &ask) : SP_POOL_RANK_NEW;

        if (rank > as.rank) {
            as.rank = rank;
            as.site = sp_pool_site_of(a->d->pool, &ask);
        }
    }
    return as;
}

static void count(struct sp_attempt *a, bool is_there)
{
    struct sp_pool_taken *taken = &a->d->unrouted->taken[a->unrouted.rank];
    bool is_urgent = a->lane == SP_LANE_URGENT, is_bulk = a->lane == SP_LANE_BULK;

    a->unrouted.is_there = is_there;
    if (is_there) {
        taken->all++;
        taken->urgent += is_urgent;
        taken->bulk += is_bulk;
    } else {
        taken->all--;
        taken->urgent -= is_urgent;
        taken->bulk -= is_bulk;
    }
}

/* Who joins a look-up under way asks nothing. */
static bool has_place(const struct sp_attempt *a, const struct sp_unrouted_as *as)
{
    const struct sp_unrouted *u = a->d->unrouted;

    if (as->rank == SP_POOL_RANK_NEW)
        return strangers_left(u, a->lane) > 0;
    if (as->rank == SP_POOL_RANK_KNOWN && places_left(u, a->lane, as->rank) == 0)
        return false;
    return sp_transport_is_asking(a->d->parts.transport, a->way) || has_room(u, as->site);
}

bool sp_attempt_shuts_unrouted(struct sp_attempt *a)
{
    struct sp_unrouted *u = a->d->unrouted;
    struct sp_unrouted_as as = last_of(a);
    size_t list = as.rank != SP_POOL_RANK_NEW ? RETURNING
                  : a->lane == SP_LANE_URGENT ? URGENT
                                              : STRANGERS;

    need_tick(u);
    if (may_go_back(a) && !has_place(a, &as)) {
        shut_line(u, a, &u->shut[list]);
        return true;
    }
    a->unrouted = as;
    a->unrouted.since_ms = sp_clock_mono_ms(sp_loop_clock(a->d->parts.loop));
    count(a, true);
    return false;
}

enum sp_dns_party sp_attempt_party(const struct sp_attempt *a)
{
    if (a->unrouted.rank == SP_POOL_RANK_PROVEN)
        return SP_DNS_PARTY_PROVEN;
    if (a->lane == SP_LANE_URGENT)
        return SP_DNS_PARTY_URGENT;
    return a->unrouted.rank == SP_POOL_RANK_KNOWN ? SP_DNS_PARTY_KNOWN : SP_DNS_PARTY_STRANGERS;
}

void sp_attempt_routed(struct sp_attempt *a)
{
    if (!a->unrouted.is_there)
        return;
    count(a, false);
    sp_unrouted_next(a->d->unrouted);
}
