/*
 * Inside delivery: whose own time ends before his turn has come. thread: loop
 */
#ifndef SP_DELIVERY_OVER_PRIV_H
#define SP_DELIVERY_OVER_PRIV_H

#include "delivery/delivery_priv.h"

#include "queue/over.h"

/* ---- way.c ---- */

/* The record's rungs as a ladder. returns: false if the record holds what no policy makes */
SP_MUST_CHECK bool sp_delivery_ladder(const struct sp_accept_decision *d, struct sp_ladder *out);

/* ---- over.c ---- */

/* It has stood in line for too long: no host is asked. returns: whether it went back there, since its hosts are frozen; a is freed then */
bool sp_attempt_over(struct sp_attempt *a);
/* The same of one that waited for a connection; the attempt goes on. May free a. */
void sp_attempt_turn_ended(struct sp_attempt *a);
/* returns: ms that it waits for its turn still, 1 at least */
int64_t sp_attempt_turn_left(const struct sp_attempt *a);
/* WAIT: it stands in line again if that is all there is to do. returns: whether it does; a is freed then */
bool sp_attempt_stands_again(struct sp_attempt *a, const struct sp_next *next);

#endif
