/*
 * The choice of a rung. One walk down the ladder, best rung first: a rung below the floor does not exist; an unavailable
 * one is passed; an unreachable, broken or dropped one is waited for while its stay lasts, then passed; the first
 * possible one is taken. Nothing else can be returned, and the assertion before "take" holds in release builds too.
 *
 * A broken promise waits like an unreachable host: the next hop may be in an attacker's hands, so that falling to a lower
 * rung is what the attacker wants. Only a promise that has ended (dropped) opens the next rung before its time.
 */
#include "protect/protect.h"

#include "base/mem.h"

const char *sp_rung_status_name(enum sp_rung_status status)
{
    static const char *const names[] = {
        [SP_STATUS_UNAVAILABLE] = "unavailable", [SP_STATUS_UNREACHABLE] = "unreachable",
        [SP_STATUS_BROKEN] = "broken",           [SP_STATUS_DROPPED] = "dropped",
        [SP_STATUS_POSSIBLE] = "possible",
    };

    sp_assert(status < SP_STATUS_COUNT);
    return names[status];
}

/* How long, since acceptance, a rung in this state is waited for; 0: not at all. */
static int64_t stay_ms(const struct sp_ladder_rung *rung, enum sp_rung_status status,
                       int64_t expire_ms)
{
    int64_t stay = 0;

    if (status == SP_STATUS_UNREACHABLE || status == SP_STATUS_BROKEN)
        stay = rung->stay_unreachable_ms == SP_STAY_UNTIL_EXPIRE ? expire_ms
                                                                 : rung->stay_unreachable_ms;
    else if (status == SP_STATUS_DROPPED)
        stay = rung->stay_dropped_ms;
    return stay < expire_ms ? stay : expire_ms;
}

void sp_protect_choose(const struct sp_protect_question *q, struct sp_protect_answer *out)
{
    const struct sp_ladder *ladder = q->ladder;

    *out = (struct sp_protect_answer){
        .verb = SP_PROTECT_END, .index = ladder->count, .at_end = ladder->at_end};
    for (size_t i = 0; i < ladder->count; i++) {
        const struct sp_ladder_rung *rung = &ladder->rungs[i];
        enum sp_rung_status status = q->status[i];
        int64_t stay;

        if (!sp_rung_meets(rung->rung, q->floor, q->is_sealed))
            continue;
        out->late = out->late || status == SP_STATUS_BROKEN;
        out->alert = out->alert || status == SP_STATUS_DROPPED;
        stay = stay_ms(rung, status, q->expire_ms);
        if (status == SP_STATUS_POSSIBLE) {
            sp_assert(sp_rung_meets(rung->rung, q->floor, q->is_sealed));
            out->verb = SP_PROTECT_TAKE;
        } else if (q->since_accept_ms < stay) {
            out->verb = SP_PROTECT_WAIT;
            out->wait_until_ms = stay;
        } else {
            continue;
        }
        out->index = i;
        return;
    }
}
