/*
 * How much of the gateway one source, or one tenant, may take: counted in limits.c.
 */
#ifndef SP_INTAKE_LIMITS_PRIV_H
#define SP_INTAKE_LIMITS_PRIV_H

#include "intake/intake_priv.h"

/* Counts a session of this source. returns: false if it has as many as it may */
bool sp_intake_source_enter(struct sp_intake *in, const struct sp_addr *peer);
void sp_intake_source_leave(struct sp_intake *in, const struct sp_addr *peer);
/* returns: whether a password of this source is looked at; false after too many wrong ones */
bool sp_intake_source_may_guess(struct sp_intake *in, const struct sp_addr *peer);
void sp_intake_source_failed(struct sp_intake *in, const struct sp_addr *peer);
/* Counts a message of the tenant's. returns: false if it has sent too many within the last minute */
bool sp_intake_tenant_may_send(struct sp_intake *in, const struct sp_tenant *t);
/* Bounces of a tenant are counted by themselves, with a limit that is built in: who has a return path stops no mail by it.
 * returns: whether one more would be taken now */
bool sp_intake_bounce_has_room(struct sp_intake *in, const struct sp_tenant *t);
/* Counts a bounce that is whole. returns: false if there were too many within the last minute */
bool sp_intake_bounce_take_room(struct sp_intake *in, const struct sp_tenant *t);
/* Counts bytes of the tenant's. returns: how long its session should wait before it reads on, in ms */
int64_t sp_intake_tenant_took(struct sp_intake *in, const struct sp_tenant *t, size_t bytes);
void sp_intake_limits_free(struct sp_intake *in);

#endif
