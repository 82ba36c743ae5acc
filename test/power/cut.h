/*
 * One power cut: what is found at a moment of a recorded day, opened, judged, and now and then run on to its end or cut
 * once more while it recovers.
 */
#ifndef SP_TEST_POWER_CUT_H
#define SP_TEST_POWER_CUT_H

#include "power/world.h"

struct power_cut {
    size_t at;
    enum power_crash how;
    uint64_t seed;
    bool proofs;  /* also walk the audit file with the verifier */
    bool records; /* also look for keys that the journal says are gone */
    bool to_end;  /* also run it on to its end */
    bool again;   /* and cut the power once more while it recovers */
};

/* A day to be recorded. */
struct power_day {
    uint64_t run;
    int steps;
    const char *skip; /* a place where syncs do nothing; may be NULL */
    bool is_tight;
};

/* met: as of the world; lent as long as it. returns: the moment from which on cuts are worth while: before lies its past */
size_t power_record(struct world *day, const struct power_day *of, struct world_met *met);

/* walk: of the day's disk, at c->at. v: out */
void power_cut(const struct world *day, struct power_walk *walk, const struct power_cut *c,
               struct world_verdict *v);

/* A day's files and those of each disk found need many descriptors. */
void power_allow_files(void);

#endif
