/*
 * How long a turn is worth waiting for: the ladder is asked what it would say if all hosts were silent, at the end of one stay behind
 * the other, until it says anything but to wait. Keys that nobody has asked for yet are taken to be there: then their rung waits
 * for a host like any other.
 */
#include "delivery/outcome.h"

int64_t sp_outcome_own_end(const struct sp_standing *s)
{
    struct sp_standing told = *s;
    struct sp_next next;

    for (size_t i = 0; i < s->ladder->count; i++) {
        struct sp_rung_fact *f = &told.rungs[i];

        if (s->ladder->rungs[i].rung == SP_RUNG_PORTAL ||
            (f->known && f->status != SP_STATUS_POSSIBLE))
            continue;
        *f = (struct sp_rung_fact){.known = true,
                                   .status = SP_STATUS_UNREACHABLE,
                                   .why = SP_E_DELIVERY_TURN,
                                   .dropped = f->dropped};
    }
    for (told.since_accept_ms = 0;; told.since_accept_ms = next.wait_until_ms) {
        sp_outcome_next(&told, &next);
        if (next.step != SP_STEP_WAIT)
            return told.since_accept_ms;
    }
}
