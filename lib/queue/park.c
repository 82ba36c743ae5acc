/*
 * Parking is in memory alone: a recipient's time and reason are overwritten here, and what a record says of them stays. What
 * is read of it, for people or to be carried, gets the time at which the line tries (read.c).
 */
#include "queue/park.h"

#include "queue/queue_priv.h"

void sp_queue_rest(struct sp_queue *q, sp_handle line, int64_t until_ms)
{
    int64_t before = sp_queue_due_at(q);

    sp_lines_rest(q->lines, line, until_ms);
    sp_queue_tell_due(q, before);
}

int64_t sp_queue_rests_until(struct sp_queue *q, const struct sp_id *id, uint16_t n)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    struct sp_line_view line;

    if (e == NULL || n >= e->count || e->groups == NULL)
        return 0;
    line = sp_line_look(e->groups[e->rcpts[n].group].item.line);
    return line.wake_ms > sp_clock_steady_ms(q->o.clock) ? line.wake_ms : 0;
}

void sp_queue_park(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns, size_t n_count,
                   int64_t at_ms, enum sp_rc why)
{
    struct sp_queue_entry *e = sp_queue_entry_find(q, id);

    for (size_t i = 0; e != NULL && i < n_count; i++) {
        struct sp_queue_rcpt *r = &e->rcpts[ns[i]];

        sp_assert(ns[i] < e->count);
        r->r.why = (uint16_t)why;
        r->parked = !sp_rcpt_state_is_final(r->r.state);
    }
    sp_queue_put_back(q, id, ns, n_count, at_ms);
}
