/*
 * Mail for strangers waits for a route first: for as long as the resolver is patient, or a host of MTA-STS policies stalls, and
 * each such attempt has a place. Nobody knows which domains do so, and a thousand of them kept all other mail for half a minute. So they count
 * among sites that have taken nothing (rank.c), and have a part of the places; the rest stand in their lines, which are shut. Whose
 * route of before led to a site that takes mail looks it up at once. As with places, the urgent lane has some of its own and fills
 * them first: a code is not to wait behind a thousand domains that nobody answers for.
 */
#include "delivery/unrouted_priv.h"

#include "delivery/park_priv.h"

/* At a time, and more for the urgent lane: the resolver has 256 questions under way, of which a look-up begins with two. */
#define UNROUTED_MAX    100
#define UNROUTED_URGENT 20
#define TICK_MS         1000

struct sp_unrouted {
    struct sp_delivery *d;
    struct sp_pool_taken taken; /* attempts of strangers that wait for a route */
    struct sp_list shut[2]; /* lines of others, longest shut first; [true]: of the urgent lane */
    struct sp_timer *tick;
};

struct shut {
    struct sp_list at;
    sp_handle line;
};

void sp_unrouted_add(const struct sp_unrouted *u, struct sp_pool_places *ask)
{
    for (size_t i = 0; i < SP_POOL_RANK_COUNT; i++) {
        ask->used[i].all += u->taken.all;
        ask->used[i].urgent += u->taken.urgent;
        ask->used[i].bulk += u->taken.bulk;
    }
}

static size_t look_ups_left(const struct sp_unrouted *u, enum sp_lane lane)
{
    size_t own = u->taken.urgent < UNROUTED_URGENT ? u->taken.urgent : UNROUTED_URGENT;
    size_t most = UNROUTED_MAX, has = u->taken.all - own;

    if (lane == SP_LANE_URGENT) {
        most += UNROUTED_URGENT;
        has = u->taken.all;
    }
    return has < most ? most - has : 0;
}

static size_t places_left(const struct sp_unrouted *u, enum sp_lane lane)
{
    struct sp_pool_places ask = {.lane = lane, .rank = SP_POOL_RANK_NEW, .is_first = true};
    size_t left, most = look_ups_left(u, lane);

    sp_pool_count_places(u->d->pool, &ask);
    sp_unrouted_add(u, &ask);
    left = sp_places_left(&u->d->places, &ask);
    return left < most ? left : most;
}

/* ---- lines ---- */

/* Whose places are asked for when a line is opened. */
static const enum sp_lane lane_of[] = {[false] = SP_LANE_NORMAL, [true] = SP_LANE_URGENT};

static void open_first(struct sp_unrouted *u, struct sp_list *list)
{
    struct shut *shut = SP_CONTAINER(list->next, struct shut, at);

    sp_list_remove(&shut->at);
    if (sp_lines_shut(sp_queue_lines(u->d->parts.queue), shut->line, false))
        sp_delivery_opened(u->d);
    sp_free(shut);
}

static void open_some(struct sp_unrouted *u, struct sp_list *list, size_t count)
{
    for (; count > 0 && !sp_list_is_empty(list); count--)
        open_first(u, list);
}

void sp_unrouted_next(struct sp_unrouted *u)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(u->shut) && !u->d->draining; i++)
        if (!sp_list_is_empty(&u->shut[i]) && places_left(u, lane_of[i]) > 0)
            open_first(u, &u->shut[i]);
}

/* Nobody may follow whom a line let in: it may have nothing any more, or its lane no place. */
static void on_tick(void *arg)
{
    struct sp_unrouted *u = arg;

    for (size_t i = 0; i < SP_ARRAY_LEN(u->shut); i++) {
        open_some(u, &u->shut[i], 1 + places_left(u, lane_of[i]));
        if (!sp_list_is_empty(&u->shut[i]))
            sp_timer_start(u->tick, TICK_MS);
    }
}

static void shut_line(struct sp_unrouted *u, const struct sp_attempt *a)
{
    struct shut *shut;

    if (!sp_lines_shut(sp_queue_lines(u->d->parts.queue), a->line, true))
        return; /* another message of it did */
    shut = sp_calloc(1, sizeof(*shut));
    shut->line = a->line;
    sp_list_append(&u->shut[a->lane == SP_LANE_URGENT], &shut->at);
    if (!sp_timer_is_running(u->tick))
        sp_timer_start(u->tick, TICK_MS);
}

struct sp_unrouted *sp_unrouted_new(struct sp_delivery *d)
{
    struct sp_unrouted *u = sp_calloc(1, sizeof(*u));

    u->d = d;
    for (size_t i = 0; i < SP_ARRAY_LEN(u->shut); i++)
        sp_list_init(&u->shut[i]);
    u->tick = sp_timer_new(d->parts.loop, on_tick, u);
    return u;
}

void sp_unrouted_free(struct sp_unrouted *u)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(u->shut); i++)
        open_some(u, &u->shut[i], SIZE_MAX);
    sp_timer_free(u->tick);
    sp_free(u);
}

/* ---- attempts ---- */

/* returns: whether the domain was never heard of, or led last to a site that has taken no mail, or stalls */
static bool is_stranger(const struct sp_attempt *a)
{
    const struct sp_route *last = sp_transport_last(a->d->parts.transport, a->way);
    struct sp_pool_ask ask = sp_attempt_pool_ask(a, 0);

    if (last == NULL || last->rc != SP_OK)
        return true;
    ask.route = last;
    for (ask.hop = 0; ask.hop < last->hop_count; ask.hop++)
        if (last->hops[ask.hop].rc == SP_OK &&
            sp_pool_rank_at(a->d->pool, &ask) != SP_POOL_RANK_NEW)
            return false;
    return true;
}

static void count(struct sp_attempt *a, bool is_there)
{
    struct sp_pool_taken *taken = &a->d->unrouted->taken;
    bool is_urgent = a->lane == SP_LANE_URGENT, is_bulk = a->lane == SP_LANE_BULK;

    a->is_unrouted = is_there;
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

bool sp_attempt_shuts_unrouted(struct sp_attempt *a)
{
    if (!is_stranger(a))
        return false;
    if (a->line != 0 && sp_attempt_is_fresh(a) && !a->d->draining &&
        places_left(a->d->unrouted, a->lane) == 0) {
        shut_line(a->d->unrouted, a);
        return true;
    }
    count(a, true);
    return false;
}

void sp_attempt_routed(struct sp_attempt *a)
{
    if (!a->is_unrouted)
        return;
    count(a, false);
    sp_unrouted_next(a->d->unrouted);
}
