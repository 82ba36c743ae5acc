/*
 * Which line of the queue a recipient's mail stands in: the destination is its domain, or what a rule's route puts in the
 * domain's place; the lane is the rule's. Ordinary mail has no options and is not looked into. How long it stands there is the
 * ladder's to say: where that is sooner than right, its attempt sees so, and it stands there again.
 */
#include "delivery/over_priv.h"
#include "queue/queue.h"

static bool has_word(struct sp_bytes text, struct sp_bytes word)
{
    return text.len >= word.len && memmem(text.ptr, text.len, word.ptr, word.len) != NULL;
}

bool sp_delivery_ladder(const struct sp_accept_decision *d, struct sp_ladder *out)
{
    *out = (struct sp_ladder){
        .name = "",
        .count = d->rung_count,
        .floor = (enum sp_floor)d->floor,
        .at_end = d->at_end == 0 ? SP_AT_END_RETURN : SP_AT_END_HOLD,
    };
    if (d->rung_count > SP_LADDER_RUNGS_MAX || d->floor >= SP_FLOOR_COUNT)
        return false;
    for (size_t i = 0; i < d->rung_count; i++) {
        if (d->rungs[i].rung >= SP_RUNG_COUNT)
            return false;
        out->rungs[i] = (struct sp_ladder_rung){
            .rung = (enum sp_rung)d->rungs[i].rung,
            .stay_unreachable_ms =
                d->rungs[i].unreachable_ms < 0 ? SP_STAY_UNTIL_EXPIRE : d->rungs[i].unreachable_ms,
            .stay_dropped_ms = d->rungs[i].dropped_ms,
        };
    }
    return true;
}

/* returns: wall clock: when mail of this decision has something else to do than to wait for its turn */
static int64_t end_of(const struct sp_accept *a, const struct sp_accept_decision *d)
{
    struct sp_ladder ladder;
    struct sp_standing s = {
        .ladder = &ladder,
        .floor = (enum sp_floor)d->floor,
        .has_portal = true,
        .requires_tls = (a->needs & SP_ASKED_REQUIRETLS) != 0 && a->sender.len > 0,
        .expire_ms = d->expire_at_ms - a->time_ms,
    };

    if (d->does ==
        SP_ACCEPT_DO_HOLD) /* nobody waits for a turn before that; who then goes on has a try */
        return d->hold_until_ms +
               (has_word(d->options, SP_LIT("\"hold_protects\"")) ? SP_QUEUE_SPARE_MS : 0);
    if (!sp_delivery_ladder(d, &ladder))
        return INT64_MAX;
    sp_outcome_begin(&s);
    return a->time_ms + sp_outcome_own_end(&s);
}

void sp_delivery_way(const struct sp_accept *a, size_t n, struct sp_arena *arena,
                     struct sp_queue_way *way)
{
    const struct sp_accept_decision *d = &a->decisions[a->recipients[n].decision];
    struct sp_bytes text = d->options;
    struct sp_options options;

    way->end_ms = end_of(a, d);
    if (!has_word(text, SP_LIT("\"bulk\"")) && !has_word(text, SP_LIT("\"urgent\"")) &&
        !has_word(text, SP_LIT("\"route\"")))
        return;
    sp_arena_reset(arena);
    if (sp_options_read(text, arena, &options) != SP_OK)
        return; /* its attempt will hold it */
    if (options.route.len > 0)
        way->destination = options.route;
    if (options.is_urgent)
        way->lane = SP_LANE_URGENT;
    else if (options.is_bulk)
        way->lane = SP_LANE_BULK;
}
