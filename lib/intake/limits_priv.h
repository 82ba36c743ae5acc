/*
 * How much of the gateway one source, or one tenant, may take: counted in limits.c.
 */
#ifndef SP_INTAKE_LIMITS_PRIV_H
#define SP_INTAKE_LIMITS_PRIV_H

#include "intake/intake_priv.h"

struct source {
    unsigned sessions;
    unsigned failures;
    int64_t failure_at_ms; /* of the last one that was forgiven or counted */
    double connects;       /* tokens; starts full */
    int64_t connects_at_ms;
    struct share share;
    struct flow flow;
    struct memory memory;
    struct refusals refusals;
    size_t late; /* sessions of it whose refusal waits */
};

/* Counts a session of this source. returns: false if it has as many as it may */
bool sp_intake_source_enter(struct sp_intake *in, const struct sp_addr *peer);
void sp_intake_source_leave(struct sp_intake *in, const struct sp_addr *peer);
/* returns: whether a password of this source is looked at; false after too many wrong ones */
bool sp_intake_source_may_guess(struct sp_intake *in, const struct sp_addr *peer);
void sp_intake_source_failed(struct sp_intake *in, const struct sp_addr *peer);
/* Counts a session that sends for the tenant, until it leaves. returns: false if there are as many as may be */
bool sp_intake_tenant_enter(struct sp_intake *in, const struct sp_tenant *t);
void sp_intake_tenant_leave(struct sp_intake *in, const struct sp_tenant *t);
/* Counts a message of the tenant's. returns: false if it has sent too many within the last minute */
bool sp_intake_tenant_may_send(struct sp_intake *in, const struct sp_tenant *t);
/* Both for a message that begins: until tenant_leave the session is the tenant's. returns: SP_OK or SP_E_INTAKE_RATE */
SP_MUST_CHECK enum sp_rc sp_intake_tenant_begin(struct session *s, const struct sp_tenant *t);
/* Bounces of a tenant are counted by themselves, with a limit that is built in: who has a return path stops no mail by it.
 * returns: whether one more would be taken now */
bool sp_intake_bounce_has_room(struct sp_intake *in, const struct sp_tenant *t);
/* Counts a bounce that is whole. returns: false if there were too many within the last minute */
bool sp_intake_bounce_take_room(struct sp_intake *in, const struct sp_tenant *t);
/* returns: what its messages hold, lent as long as the intake */
struct memory *sp_intake_tenant_memory(struct sp_intake *in, const struct sp_tenant *t);
/* returns: its bytes a second, lent as long as the intake */
struct flow *sp_intake_tenant_flow(struct sp_intake *in, const struct sp_tenant *t);
/* returns: how often it was refused lately, lent as long as the intake */
struct refusals *sp_intake_tenant_refusals(struct sp_intake *in, const struct sp_tenant *t);
/* Lent: as long as the source has a session, as long as the intake. returns: what they do, and make the loop do */
struct source *sp_intake_source_get(struct sp_intake *in, const struct sp_addr *peer);
struct share *sp_intake_tenant_share(struct sp_intake *in, const struct sp_tenant *t);
void sp_intake_limits_free(struct sp_intake *in);

#endif
