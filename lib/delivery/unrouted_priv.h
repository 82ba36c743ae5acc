/*
 * Inside delivery: mail of strangers, that waits for a route. thread: loop
 */
#ifndef SP_DELIVERY_UNROUTED_PRIV_H
#define SP_DELIVERY_UNROUTED_PRIV_H

#include "delivery/delivery_priv.h"

/* owner: the caller, to sp_unrouted_free. returns: never NULL */
struct sp_unrouted *sp_unrouted_new(struct sp_delivery *d);
/* Opens all lines. */
void sp_unrouted_free(struct sp_unrouted *u);
/* Adds to what sites of each rank have those that are not known to be any's yet. */
void sp_unrouted_add(const struct sp_unrouted *u, struct sp_pool_places *ask);
/* Opens a line if there is a place, and one of the urgent lane's: who had one needed it not. */
void sp_unrouted_next(struct sp_unrouted *u);

/*
 * A route has to be looked up. returns: whether there is no place for a stranger who waits for one: its line is shut, give the
 * message back to it; else it is counted if it is one's, until sp_attempt_routed
 */
SP_MUST_CHECK bool sp_attempt_shuts_unrouted(struct sp_attempt *a);
/* It waits for none any more. Not to be counted is allowed. */
void sp_attempt_routed(struct sp_attempt *a);

#endif
