/*
 * How much of the loop's work a tenant, or a source without one, makes now, and whether it waits for the others: share.c.
 */
#ifndef SP_INTAKE_SHARE_PRIV_H
#define SP_INTAKE_SHARE_PRIV_H

#include "io/loop.h"

/* A command, a KiB of a message: 1 */
#define SP_INTAKE_COST_ROUND   5   /* a read, and a write that wakes the client */
#define SP_INTAKE_COST_END     50  /* of a message: policy, journal and delivery */
#define SP_INTAKE_COST_SESSION 20  /* its beginning and end */
#define SP_INTAKE_COST_TLS     100 /* a handshake */

struct share {
    double work; /* fades with time */
    int64_t epoch;
    bool is_ahead;
    double turn;    /* of its next session that has to wait for bytes: flow.c */
    size_t waiting; /* such sessions */
};

struct shares {
    double total;
    int64_t epoch;
    unsigned active; /* shares that did something in this epoch */
    unsigned active_before;
    unsigned spent; /* in this turn, of those that are ahead */
    struct sp_timer *turn;
    uint64_t busy_turn; /* of the loop, to which the next belongs */
    unsigned busy;      /* by all, in that turn */
};

struct sp_intake;

/* Counts what a session has done. share: NULL for one that has none */
void sp_intake_share_took(struct sp_intake *in, struct share *share, unsigned cost);
/* returns: whether it is ahead of the others, and as many of its kind as may have been served in this turn */
bool sp_intake_share_waits(struct sp_intake *in, struct share *share);
/* returns: commands that a session may have in this turn: few, if it is ahead, or where the turn has been long already */
unsigned sp_intake_share_lines(struct sp_intake *in, const struct share *share);
void sp_intake_shares_clear(struct sp_intake *in);

#endif
