/*
 * Who waits for hosts that are left alone, and has been put off before, so that the audit has a word of it. Nobody was asked,
 * so it is no attempt: no record, no number, no event. The queue parks it until one of the hosts may be asked, or its own
 * time has come, whichever is first. Whoever has something to say now, or waits for something other than hosts, is put off in
 * a record like anybody else.
 */
#include "delivery/park_priv.h"

#include "queue/park.h"

/* returns: ms until the first host of its route may be asked again; 0: one may now, or there is none */
static int64_t rests_for(const struct sp_attempt *a)
{
    int64_t least_ms = 0;

    for (size_t i = 0; a->route != NULL && i < a->route->hop_count; i++) {
        struct sp_pool_ask ask = sp_attempt_pool_ask(a, i);
        int64_t rests_ms;

        if (a->route->hops[i].rc != SP_OK)
            continue;
        ask.plain = false; /* so it is asked first */
        rests_ms = sp_pool_rests(a->d->pool, &ask);
        if (rests_ms == 0)
            return 0;
        if (least_ms == 0 || rests_ms < least_ms)
            least_ms = rests_ms;
    }
    return least_ms;
}

/* returns: whether the audit has nothing yet of one, or somebody hears of it now or when it has been tried once more */
static bool has_word(const struct sp_attempt *a)
{
    for (size_t i = 0; i < a->n_count; i++)
        if (a->p->m->rcpts[a->ns[i]].attempts == 0 || sp_attempt_may_hear(a, a->ns[i]))
            return true;
    return false;
}

/* returns: whether it is hosts that this rung waits for, and no helper of ours */
static bool waits_for_hosts(const struct sp_attempt *a, size_t index)
{
    enum sp_rung rung = a->ladder.rungs[index].rung;

    if (rung == SP_RUNG_PORTAL)
        return false;
    return !sp_rung_is_crypto(rung) ||
           (a->s.keys[index].known && a->s.keys[index].status == SP_STATUS_POSSIBLE);
}

/* returns: the steady time at which it has to be looked at, whatever hosts do */
static int64_t look_at(const struct sp_attempt *a, const struct sp_next *next)
{
    int64_t stay_ms = next->wait_until_ms;
    int64_t delay_ms = a->d->settings.dsn_delay_ms;

    if (stay_ms > a->s.expire_ms)
        stay_ms = a->s.expire_ms;
    if (delay_ms > a->s.since_accept_ms && delay_ms < stay_ms)
        stay_ms = delay_ms;
    return a->p->m->accepted_at_ms + stay_ms;
}

bool sp_attempt_park(struct sp_attempt *a, const struct sp_next *next)
{
    int64_t rests_ms = rests_for(a);
    int64_t now_ms = sp_clock_steady_ms(sp_loop_clock(a->d->parts.loop));
    int64_t at_ms = look_at(a, next);

    if (rests_ms == 0 || a->line == 0)
        return false;
    sp_queue_rest(a->d->parts.queue, a->line, now_ms + rests_ms);
    if (a->has_asked || !sp_attempt_is_fresh(a) || a->event_count > 0 ||
        !sp_list_is_empty(&a->sessions))
        return false;
    if (!waits_for_hosts(a, next->index) || next->late || at_ms <= now_ms || has_word(a))
        return false;
    sp_queue_park(a->d->parts.queue, &a->p->m->accept.id, a->ns, a->n_count, at_ms, next->why);
    sp_attempt_free(a);
    return true;
}
