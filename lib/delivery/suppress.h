/*
 * Addresses that are not tried, since they have bounced for good or an administrator says so: a relay's memory of what the
 * ledger keeps. thread: loop
 */
#ifndef SP_DELIVERY_SUPPRESS_H
#define SP_DELIVERY_SUPPRESS_H

#include "base/bytes.h"
#include "base/mem.h"

struct sp_suppress;

/* owner: the caller. max: addresses kept; more are not taken. returns: never NULL */
struct sp_suppress *sp_suppress_new(size_t max);
/* NULL is allowed. */
void sp_suppress_free(struct sp_suppress *s);
SP_AUTO_DEFINE(sp_suppress)

/* until_ms: wall clock; 0: until it is removed. now_ms: whose time is over makes room. Any case of letters */
void sp_suppress_set(struct sp_suppress *s, struct sp_bytes address, int64_t until_ms,
                     int64_t now_ms);
void sp_suppress_remove(struct sp_suppress *s, struct sp_bytes address);

/* s: NULL counts as empty. returns: whether the address is left alone now (wall clock) */
bool sp_suppress_has(struct sp_suppress *s, struct sp_bytes address, int64_t now_ms);

#endif
