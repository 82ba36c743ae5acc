/*
 * Who may have a place for an attempt. As with connections (rank.c) a part must bind when a place is given, since it may be kept for
 * ten minutes, and who is below counts in each part above: parts that are asked for one by one let known sites fill
 * theirs and strangers add their first places to that, until none was left to those that take mail.
 *
 * Urgent attempts fill the places of their lane first; only what they have beyond these counts against the others. If all of them
 * counted, forty codes would take forty places from all other mail while their own stood empty.
 */
#include "delivery/places.h"

#define SHARED (SP_PLACES_MAX - SP_PLACES_URGENT)

static size_t without(size_t most, size_t taken)
{
    return taken < most ? most - taken : 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* returns: how many of the places that all lanes share are taken */
static size_t shared(size_t all, size_t urgent)
{
    return all - smaller(smaller(urgent, SP_PLACES_URGENT), all);
}

unsigned sp_places_lanes(const struct sp_places *now)
{
    unsigned lanes = 0;

    if (now->active < SP_PLACES_MAX)
        lanes |= 1U << SP_LANE_URGENT;
    if (shared(now->active, now->urgent) < SHARED)
        lanes |= 1U << SP_LANE_NORMAL;
    if (shared(now->active, now->urgent) < SHARED && now->bulk < SP_PLACES_BULK)
        lanes |= 1U << SP_LANE_BULK;
    return lanes;
}

/* returns: what a rank and those below it may have still */
static size_t left_of_part(enum sp_pool_rank rank, const struct sp_pool_places *ask)
{
    const struct sp_pool_taken *used = &ask->used[rank];
    size_t part = sp_pool_part(rank, SHARED);

    if (ask->lane == SP_LANE_URGENT)
        return without(part + sp_pool_part(rank, SP_PLACES_URGENT), used->all);
    return without(part, shared(used->all, used->urgent));
}

static size_t left_of_parts(const struct sp_pool_places *ask)
{
    size_t left = SP_PLACES_MAX;

    for (unsigned at = ask->rank; at < SP_POOL_RANK_PROVEN; at++)
        left = smaller(left, left_of_part((enum sp_pool_rank)at, ask));
    return left;
}

/* The lane has few, so what better sites have of them counts, but to who has none. */
static size_t left_of_bulk(const struct sp_places *now, const struct sp_pool_places *ask)
{
    size_t left = without(sp_pool_part(ask->rank, SP_PLACES_BULK), now->bulk);
    size_t theirs = SP_PLACES_BULK;

    for (unsigned at = ask->rank; at < SP_POOL_RANK_PROVEN; at++)
        theirs = smaller(theirs, without(sp_pool_part((enum sp_pool_rank)at, SP_PLACES_BULK),
                                         ask->used[at].bulk));
    return ask->is_first && theirs > left ? theirs : left;
}

size_t sp_places_left(const struct sp_places *now, const struct sp_pool_places *ask)
{
    size_t left = left_of_parts(ask);
    size_t free_now = ask->lane == SP_LANE_URGENT
                          ? without(SP_PLACES_MAX, now->active)
                          : without(SHARED, shared(now->active, now->urgent));

    if (!ask->is_first)
        left = smaller(left, free_now);
    return ask->lane == SP_LANE_BULK ? smaller(left, left_of_bulk(now, ask)) : left;
}
