/*
 * Which rung of a ladder is taken now. Pure: status of every rung in, answer out; no clock, no look-up, no memory. There
 * is no path to a rung below the floor: the last thing done before "take" is the floor's test. thread: any
 */
#ifndef SP_PROTECT_PROTECT_H
#define SP_PROTECT_PROTECT_H

#include "policy/ladder.h"

/* What is known of a rung at this attempt. Zero is the safest: nothing is taken that nobody looked at. */
enum sp_rung_status {
    SP_STATUS_UNAVAILABLE =
        0, /* no key, no STARTTLS, no TLSA or policy, wrong name: next rung at once */
    SP_STATUS_UNREACHABLE, /* no connection, DNS error, 4xx: stay.unreachable */
    SP_STATUS_BROKEN, /* the domain's valid promise is not kept: as unreachable, and the sender hears `late` */
    SP_STATUS_DROPPED, /* proved better before and no longer promises it: alert, stay.dropped */
    SP_STATUS_POSSIBLE,
    SP_STATUS_COUNT
};

enum sp_protect_verb {
    SP_PROTECT_TAKE, /* rung `index` */
    SP_PROTECT_WAIT, /* try again; the rung waited for is `index` */
    SP_PROTECT_END,  /* nothing is left: return or hold, as the ladder says */
};

struct sp_protect_question {
    const struct sp_ladder *ladder;
    enum sp_floor floor;                             /* the decision's effective floor */
    bool is_sealed;                                  /* arrived as ciphertext */
    enum sp_rung_status status[SP_LADDER_RUNGS_MAX]; /* by position in the ladder */
    int64_t since_accept_ms;
    int64_t expire_ms; /* since acceptance */
};

struct sp_protect_answer {
    enum sp_protect_verb verb;
    size_t index; /* of the rung taken or waited for; the ladder's count at the end */
    int64_t
        wait_until_ms; /* WAIT: since acceptance, when this rung's stay is over; never past expire_ms */
    bool late;         /* the sender is to hear that a promise is broken */
    bool alert;        /* a domain dropped its protection */
    enum sp_at_end at_end; /* END */
};

/* Chooses. returns: nothing; *out is wholly set */
void sp_protect_choose(const struct sp_protect_question *q, struct sp_protect_answer *out);

/* returns: the name in audit ("unavailable", "unreachable", "broken", "dropped", "possible"), static */
const char *sp_rung_status_name(enum sp_rung_status status);

#endif
