/*
 * TLS sessions for reports (RFC 8460) that an attempt has seen and not put on record, since it went back to its line: the next
 * record of an attempt at the same domain has them. In memory only. thread: loop
 */
#ifndef SP_DELIVERY_SESSIONS_H
#define SP_DELIVERY_SESSIONS_H

#include "base/mem.h"

struct sp_sessions;

/* owner: the caller. max: kept at a time; of more the oldest go, uncounted. returns: never NULL */
struct sp_sessions *sp_sessions_new(size_t max);
/* NULL is allowed. */
void sp_sessions_free(struct sp_sessions *s);
SP_AUTO_DEFINE(sp_sessions)

#endif
