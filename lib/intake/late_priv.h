/*
 * Refusals that come late: who is refused again and again waits for the answer, and nobody else: late.c.
 */
#ifndef SP_INTAKE_LATE_PRIV_H
#define SP_INTAKE_LATE_PRIV_H

#include "base/err.h"
#include "io/loop.h"

struct session;
struct source;
struct sp_tenant;

/* How often a tenant, or a source without one, was refused lately. All zero: not at all. */
struct refusals {
    double count; /* fades with time */
    int64_t at_ms;
};

/* A session's answer that is on its way. */
struct late {
    struct sp_timer *timer; /* NULL: there never was one */
    bool waits;
    enum sp_rc rc;
    struct source *source; /* that has one session less to be answered late; or NULL */
};

/* Counts one more. returns: how many milliseconds its answer should wait */
int64_t sp_intake_refusals_add(struct refusals *r, int64_t now_ms);
/* returns: whether all of them are forgotten */
bool sp_intake_refusals_are_none(struct refusals *r, int64_t now_ms);
/* Answers what the machine has asked with rc, now or later. r: whose refusal it is; NULL: nobody's, it is answered now */
void sp_intake_answer_late(struct session *s, enum sp_rc rc, struct refusals *r);
/* What waits is answered now; without pumping. */
void sp_intake_late_now(struct session *s);
/* The session goes. */
void sp_intake_late_forget(struct session *s);

#endif
