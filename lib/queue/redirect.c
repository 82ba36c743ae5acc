/*
 * A recipient of a waiting message gets another address or another way. The record is that of a carry, the message as it
 * stands with the change made, so that a restart comes to the same and nothing else of the queue has to know of it; its audit
 * tells of the change, which an ordinary carry's does not. As with a carry nothing else may be under way for the message.
 */
#include "queue/redirect.h"

#include "queue/queue_priv.h"

static void redirect_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct sp_queue *q = p->queue;
    struct sp_queue_entry *e = sp_queue_entry_find(q, &a->message);
    void (*done)(void *arg, enum sp_rc rc) = p->done;
    void *arg = p->arg;
    int64_t before = sp_queue_due_at(q);
    struct sp_carry c;

    if (e != NULL)
        sp_queue_entry_busy_all(q, e, false);
    sp_arena_reset(q->arena);
    if (e != NULL && rc == SP_OK && sp_carry_decode(a->meta, q->arena, &c) == SP_OK)
        sp_queue_put_carried(q, &c, &a->place, e);
    sp_queue_pending_free(p);
    done(arg, rc);
    sp_queue_tell_due(q, before);
    sp_queue_reclaim(q);
}

/* As if it had just been accepted; but who is held stays held, until that is released. */
static void begin_anew(const struct sp_queue *q, const struct sp_accept_decision *d,
                       struct sp_rcpt *r)
{
    struct sp_rcpt fresh = {
        .rung = UINT8_MAX, .state = SP_RCPT_PENDING, .next_at_ms = sp_clock_steady_ms(q->o.clock)};

    if (r->state == SP_RCPT_HELD) {
        fresh.state = SP_RCPT_HELD;
        fresh.next_at_ms = r->next_at_ms;
        fresh.by_hand = r->by_hand;
    } else if (d->does == SP_ACCEPT_DO_HOLD) {
        fresh.state = SP_RCPT_HELD;
        fresh.next_at_ms =
            d->hold_until_ms == 0 ? 0 : d->hold_until_ms + sp_clock_skew_ms(q->o.clock);
    }
    *r = fresh;
}

/* The message as it is to be; in m's arena. returns: whether anything was changed */
static bool apply(struct sp_queue *q, struct sp_queue_message *m, const struct sp_queue_redirect *r)
{
    struct sp_accept *a = &m->accept;
    struct sp_accept_decision *decisions =
        sp_arena_alloc(m->arena, (a->decision_count + r->n_count) * sizeof(*decisions));
    size_t changed = 0;

    memcpy(decisions, a->decisions, a->decision_count * sizeof(*decisions));
    for (size_t i = 0; i < r->n_count; i++) {
        struct sp_accept_recipient *to = &a->recipients[r->changes[i].n];
        const struct sp_accept_decision *d = &r->changes[i].decision;

        if (sp_rcpt_state_is_final(m->rcpts[r->changes[i].n].state))
            continue;
        to->address = r->changes[i].address;
        to->orcpt = r->changes[i].orcpt;
        to->decision = (uint16_t)a->decision_count;
        decisions[a->decision_count++] = *d;
        begin_anew(q, d, &m->rcpts[r->changes[i].n]);
        changed++;
    }
    a->decisions = decisions;
    if (changed == a->recipient_count)
        a->policy = r->policy;
    a->audit = r->audit;
    return changed > 0;
}

static enum sp_rc begin(struct sp_queue_pending *p, const struct sp_queue_redirect *r)
{
    struct sp_queue *q = p->queue;
    SP_AUTO(sp_queue_message) m = NULL;
    enum sp_rc rc = sp_journal_state(q->journal) == SP_JOURNAL_OPEN ? sp_queue_load(q, &r->id, &m)
                                                                    : SP_E_JOURNAL_FULL;
    struct sp_carry carry;

    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < m->accept.recipient_count; i++)
        if (m->busy[i])
            return SP_E_EXISTS;
    if (!apply(q, m, r))
        return SP_E_NOT_FOUND;
    carry = (struct sp_carry){.accept = m->accept, .states = m->rcpts};
    return sp_queue_carry_append(p, &carry, redirect_done);
}

void sp_queue_redirect(struct sp_queue *q, const struct sp_queue_redirect *r,
                       void (*done)(void *arg, enum sp_rc rc), void *arg)
{
    struct sp_queue_pending *p = sp_queue_pending_new(q, done, arg);
    enum sp_rc rc = q->journal == NULL ? SP_E_CLOSED : begin(p, r);

    if (rc != SP_OK)
        sp_queue_pending_end(p, rc);
}
