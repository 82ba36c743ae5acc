/*
 * Inside delivery: mail that waits for a route, and lines that open. thread: loop
 */
#ifndef SP_DELIVERY_UNROUTED_PRIV_H
#define SP_DELIVERY_UNROUTED_PRIV_H

#include "delivery/delivery_priv.h"

/* owner: the caller, to sp_unrouted_free. returns: never NULL */
struct sp_unrouted *sp_unrouted_new(struct sp_delivery *d);
/* Opens all lines. */
void sp_unrouted_free(struct sp_unrouted *u);
/* Adds to what sites of each rank have those that are to be theirs. */
void sp_unrouted_add(const struct sp_unrouted *u, struct sp_pool_places *ask);
/* Opens lines if there is a place: who had one needed it not. */
void sp_unrouted_next(struct sp_unrouted *u);

/*
 * A route has to be looked up. returns: whether there is no place for one who waits for it: its line is shut, give the
 * message back to it; else it is counted, until sp_attempt_routed
 */
SP_MUST_CHECK bool sp_attempt_shuts_unrouted(struct sp_attempt *a);
/* It waits for none any more. Not to be counted is allowed. */
void sp_attempt_routed(struct sp_attempt *a);
/* returns: for whom its look-up asks the DNS */
enum sp_dns_party sp_attempt_party(const struct sp_attempt *a);

/* ---- delivery.c ---- */

/* Something in the lines may go that could not before: this engine takes it, or whoever has followed it. */
void sp_delivery_opened(struct sp_delivery *d);
/* returns: the attempts under way, as they count: of those that are kept waiting for long each second one does not */
struct sp_places sp_delivery_places(const struct sp_delivery *d);

#endif
