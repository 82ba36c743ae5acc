/*
 * Whose own time ends before his turn has come: in a line that is shut or too long, or among those who wait for a connection, since a
 * site may have no more messages, or no more connections. No host is asked for him any more, and nothing that one would
 * show is guessed: all are silent to this mail, as a host is that can't be reached. Outcome says what follows: the next rung that needs
 * none, the sender hears, or a person looks at it. Where there is nothing but to wait, he stands in line as before: no host has been
 * asked, so there is nothing to record.
 */
#include "delivery/over_priv.h"
#include "delivery/park_priv.h"

#include "queue/orders.h"

static int64_t since_accept(const struct sp_attempt *a)
{
    int64_t now_ms = sp_clock_steady_ms(sp_loop_clock(a->d->parts.loop));
    int64_t since_ms = now_ms - a->p->m->accepted_at_ms;

    return since_ms < a->s.since_accept_ms ? a->s.since_accept_ms : since_ms;
}

/* returns: whether there is nothing to record of it yet, so that it may go back to its line */
static bool is_untried(const struct sp_attempt *a)
{
    return a->line != 0 && !a->has_asked && sp_attempt_is_fresh(a) && a->event_count == 0 &&
           sp_list_is_empty(&a->sessions);
}

/* returns: whether an order keeps it back that came while it waited */
static bool is_frozen(const struct sp_attempt *a)
{
    const struct sp_queue *q = a->d->parts.queue;

    return sp_attempt_freezes(a, a->route) ||
           sp_queue_is_ordered(q, SP_QUEUE_ORDER_TENANT, a->p->m->accept.tenant) ||
           sp_queue_is_ordered(q, SP_QUEUE_ORDER_SITE, a->way);
}

bool sp_attempt_over(struct sp_attempt *a)
{
    const struct sp_route *last = sp_transport_last(a->d->parts.transport, a->way);

    if (last != NULL && sp_attempt_freezes(a, last)) { /* nothing ends while that lasts */
        sp_attempt_put_first(a);
        return true;
    }
    a->no_more = SP_E_DELIVERY_TURN;
    return false;
}

void sp_attempt_turn_ended(struct sp_attempt *a)
{
    if (is_untried(a) && is_frozen(a)) {
        sp_attempt_put_first(a);
        return;
    }
    a->s.since_accept_ms = since_accept(a);
    a->no_more = SP_E_DELIVERY_TURN;
    a->only_hop = SIZE_MAX;
    sp_attempt_weigh_unasked(a, a->no_more, 0, &a->s);
    sp_outcome_put_off(&a->s, a->no_more);
    sp_attempt_step(a);
}

int64_t sp_attempt_turn_left(const struct sp_attempt *a)
{
    int64_t spare_ms = a->p->ends_ms - sp_clock_steady_ms(sp_loop_clock(a->d->parts.loop));
    struct sp_standing s = a->s;
    int64_t left_ms;

    sp_attempt_weigh_unasked(a, SP_E_DELIVERY_TURN, 0, &s);
    left_ms = sp_outcome_own_end(&s) - since_accept(a);
    if (spare_ms > SP_QUEUE_SPARE_MS) /* what is known now counts, but for who was kept back */
        spare_ms = SP_QUEUE_SPARE_MS;
    if (left_ms < spare_ms)
        left_ms = spare_ms;
    return left_ms < 1 ? 1 : left_ms;
}

bool sp_attempt_stands_again(struct sp_attempt *a, const struct sp_next *next)
{
    if (next->why != SP_E_DELIVERY_TURN || !is_untried(a))
        return false;
    sp_queue_stand_again(a->d->parts.queue, &a->p->m->accept.id, a->ns, a->n_count,
                         a->p->m->accepted_at_ms + next->wait_until_ms);
    sp_attempt_free(a);
    return true;
}
