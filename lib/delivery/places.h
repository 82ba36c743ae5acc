/*
 * Inside delivery: places for attempts. A relay makes so many attempts at a time; some places are for the urgent lane alone, the
 * bulk lane has few, and of each lane's what is left to better sites (pool.h: ranks) is theirs, however many others ask. Pure.
 * thread: any
 */
#ifndef SP_DELIVERY_PLACES_H
#define SP_DELIVERY_PLACES_H

#include "delivery/pool.h"

#define SP_PLACES_MAX    400 /* of which those that are kept waiting for long count half */
#define SP_PLACES_URGENT 40  /* of these, for the urgent lane alone, which fills them first */
#define SP_PLACES_BULK   100 /* of these, the bulk lane's at most */

/* How an attempt is counted that waits for a route (unrouted.c). */
struct sp_unrouted_as {
    bool is_there;
    enum sp_pool_rank rank;
    const void *site; /* where its last route led; NULL for a stranger's */
    int64_t since_ms; /* monotonic */
};

/* Attempts under way. */
struct sp_places {
    size_t active;
    size_t urgent; /* of these, in the urgent lane */
    size_t bulk;
};

/* returns: the lanes that may begin an attempt more, as bits 1 << lane */
unsigned sp_places_lanes(const struct sp_places *now);

/*
 * ask:     who asks has a place already, and is counted in now
 * returns: how many more there are of which it may have half
 */
size_t sp_places_left(const struct sp_places *now, const struct sp_pool_places *ask);

#endif
