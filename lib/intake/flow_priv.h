/*
 * Bytes a second: who has taken more than a limit lets him is not read from until its time has come: flow.c.
 */
#ifndef SP_INTAKE_FLOW_PRIV_H
#define SP_INTAKE_FLOW_PRIV_H

#include "base/err.h"
#include "base/map.h"
#include "io/loop.h"

struct session;
struct share;
struct sp_intake;
struct sp_tenant;

/* What has come of one source, one tenant, or all: a bucket that fills with time. All zero: it is full. */
struct flow {
    double room; /* bytes; below 0: in debt */
    int64_t at_ms;
    bool begun;
    size_t waiting;  /* sessions that are not read from */
    int64_t told_ms; /* when it was logged that some are; 0: never */
};

#define FLOW_LANES 3 /* all, the source's, the tenant's */

/* A session's place among those that wait. */
struct flow_place {
    struct sp_list link;
    bool waits;
    double turn;
    struct share *share; /* whose turn it is, while it waits; NULL: nobody's */
    size_t paid;         /* bytes that are counted already and may come */
    struct flow *payers[FLOW_LANES];
    size_t payer_count;
};

struct flows {
    struct flow all;
    struct sp_list waiters; /* in the order of their turns */
    double turn;            /* of who went last */
    struct sp_timer *timer;
    int64_t due_ms;
    unsigned now;   /* of them */
    uint64_t waits; /* since the start */
};

void sp_intake_flows_init(struct flows *f);
void sp_intake_flows_clear(struct sp_intake *in);
/* Looks at once who may go on: limits have changed. */
void sp_intake_flows_look(struct sp_intake *in);
/* Before anything is taken of a session that has no piece: while there is debt it waits. */
void sp_intake_flow_ask(struct session *s);
/* Counts what was taken of a session; it may have to wait from now on. */
void sp_intake_flow_took(struct session *s, size_t bytes);
/* It waits no more, and what it has not used is given back: it goes, or others do as they like. Read from it as before. */
void sp_intake_flow_forget(struct session *s);
/* returns: SP_OK, or SP_E_INTAKE_RATE if so many wait that a message would take too long to come. t: whose it is; or NULL */
SP_MUST_CHECK enum sp_rc sp_intake_flow_check(struct session *s, const struct sp_tenant *t);
/* returns: whether the bucket is as full as it gets. rate: bytes a millisecond */
bool sp_intake_flow_is_full(struct flow *f, double rate, int64_t now_ms);

#endif
