/*
 * What each record does to the index: the same functions at restart, over all records in order, and live, when a record
 * has become durable. So a restart can't come to another result than the run before it.
 */
#include "queue/check.h"
#include "queue/over.h"
#include "queue/queue_priv.h"

void sp_queue_apply_outcome(struct sp_queue *q, struct sp_queue_entry *e,
                            const struct sp_outcome *o)
{
    for (size_t i = 0; i < o->result_count; i++) {
        const struct sp_result *res = &o->results[i];
        struct sp_rcpt to;

        if (res->n >= e->count || sp_rcpt_state_is_final(e->rcpts[res->n].r.state))
            continue; /* told twice */
        to = (struct sp_rcpt){
            .state = res->state,
            .rung = res->rung,
            .smtp = res->smtp & SP_RECORD_SMTP,
            .told = res->told || e->rcpts[res->n].r.told,
            .by_hand = res->state == SP_RCPT_HELD && e->rcpts[res->n].r.by_hand,
            .why = res->why,
            .attempts = o->attempt > UINT16_MAX ? UINT16_MAX : (uint16_t)o->attempt,
            .next_at_ms = res->next_at_ms,
        };
        sp_queue_entry_set(q, e, res->n, &to);
    }
}

bool sp_queue_act_fits(uint8_t type, const struct sp_rcpt *r)
{
    if (sp_rcpt_state_is_final(r->state))
        return false;
    switch (type) {
    case SP_RECORD_HOLD:
    case SP_RECORD_DELETE:
        return true;
    case SP_RECORD_RELEASE:
        return r->state == SP_RCPT_HELD;
    case SP_RECORD_RETRY:
        return r->state != SP_RCPT_HELD;
    default:
        return false;
    }
}

static void act_on(struct sp_queue *q, struct sp_queue_entry *e, uint8_t type,
                   const struct sp_act *a, uint16_t n)
{
    struct sp_rcpt to = e->rcpts[n].r;

    if (!sp_queue_act_fits(type, &to))
        return;
    if (type == SP_RECORD_HOLD)
        to.state = SP_RCPT_HELD;
    else if (type == SP_RECORD_DELETE)
        to.state = SP_RCPT_DELETED;
    else
        to.state = to.attempts == 0 ? SP_RCPT_PENDING : SP_RCPT_DEFERRED;
    to.by_hand = type == SP_RECORD_HOLD;
    to.next_at_ms = a->next_at_ms;
    sp_queue_entry_set(q, e, n, &to);
    if (e->rcpts[n].end_ms < to.next_at_ms + SP_QUEUE_SPARE_MS)
        e->rcpts[n].end_ms = to.next_at_ms + SP_QUEUE_SPARE_MS;
}

void sp_queue_apply_act(struct sp_queue *q, struct sp_queue_entry *e, uint8_t type,
                        const struct sp_act *a)
{
    if (sp_queue_act_tells_damage(type, a))
        e->damage_told = sp_queue_act_knows_lost(q, a);
    else if (type == SP_RECORD_RELEASE)
        e->damage_told = false;
    if (e->quarantined && type == SP_RECORD_DELETE &&
        (a->n_count == 0 || sp_id_is_zero(&e->id))) { /* of all of it */
        if (sp_queue_act_knows_lost(q, a))
            sp_queue_entry_give_up(q, e);
        return;
    }
    if (a->n_count == 0)
        for (uint16_t n = 0; n < e->count; n++)
            act_on(q, e, type, a, n);
    for (size_t i = 0; i < a->n_count; i++)
        if (a->ns[i] < e->count)
            act_on(q, e, type, a, a->ns[i]);
}

/* ---- restart ---- */

static void put_folded(struct sp_queue *q, const struct sp_accept *a,
                       const struct sp_journal_entry *je, bool is_child)
{
    struct sp_queue_entry *e = sp_queue_entry_new(q, a);

    e->type = je->type;
    e->is_child = is_child;
    (void)sp_queue_entry_put(q, e, &je->place);
}

static enum sp_rc fold_accept(struct sp_queue *q, const struct sp_journal_entry *je)
{
    struct sp_accept a;
    enum sp_rc rc = sp_accept_decode(je->meta, q->arena, &a);

    if (rc != SP_OK)
        return rc;
    put_folded(q, &a, je, false);
    if (a.child != NULL)
        put_folded(q, a.child, je, true);
    return SP_OK;
}

static void tell_ended(const struct sp_queue *q, const struct sp_id *id, uint16_t n)
{
    if (q->o.on_ended != NULL)
        q->o.on_ended(q->o.arg, id, n);
}

static enum sp_rc fold_outcome(struct sp_queue *q, const struct sp_journal_entry *je)
{
    struct sp_outcome o;
    struct sp_queue_entry *e;
    enum sp_rc rc = sp_outcome_decode(je->meta, q->arena, &o);

    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < o.result_count; i++)
        if (sp_rcpt_state_is_final(o.results[i].state))
            tell_ended(q, &o.id, o.results[i].n);
    e = sp_queue_entry_find(q, &o.id);
    if (e != NULL) {
        sp_queue_apply_outcome(q, e, &o);
        (void)sp_queue_entry_settle(q, e);
    }
    if (o.child != NULL)
        put_folded(q, o.child, je, true);
    return SP_OK;
}

static enum sp_rc fold_act(struct sp_queue *q, const struct sp_journal_entry *je)
{
    struct sp_act a;
    struct sp_queue_entry *e;
    enum sp_rc rc = sp_act_decode(je->meta, q->arena, &a);

    if (rc != SP_OK)
        return rc;
    if (je->type == SP_RECORD_DELETE && a.n_count == 0)
        tell_ended(q, &a.id, SP_QUEUE_ALL);
    for (size_t i = 0; je->type == SP_RECORD_DELETE && i < a.n_count; i++)
        tell_ended(q, &a.id, a.ns[i]);
    e = sp_queue_entry_find(q, &a.id);
    if (e != NULL) {
        sp_queue_apply_act(q, e, je->type, &a);
        (void)sp_queue_entry_settle(q, e);
    }
    return SP_OK;
}

static enum sp_rc fold_destroyed(struct sp_queue *q, const struct sp_journal_entry *je)
{
    struct sp_act a;
    enum sp_rc rc = sp_act_decode(je->meta, q->arena, &a);

    if (rc == SP_OK)
        sp_queue_note_told(q, &a);
    return rc;
}

/* Its record tells the ends, those of another address included; whose is over has a last try. */
static void begin_ends(const struct sp_queue *q, struct sp_queue_entry *e)
{
    int64_t spare_ms = sp_clock_steady_ms(q->o.clock) + SP_QUEUE_SPARE_MS;

    for (size_t i = 0; i < e->count; i++) {
        int64_t *end_ms = &e->rcpts[i].end_ms;

        if (*end_ms != INT64_MAX)
            *end_ms += e->skew_ms;
        if (*end_ms < spare_ms)
            *end_ms = spare_ms;
    }
}

void sp_queue_put_carried(struct sp_queue *q, const struct sp_carry *c,
                          const struct sp_journal_place *place, const struct sp_queue_entry *old)
{
    struct sp_queue_entry *e;

    sp_queue_note_carried(q, &c->accept.id, place->segment);
    e = sp_queue_entry_new(q, &c->accept);
    e->type = SP_RECORD_CARRY;
    e->open = 0;
    for (size_t i = 0; i < e->count; i++) {
        e->rcpts[i].r = c->states[i];
        if (!sp_rcpt_state_is_final(c->states[i].state))
            e->open++;
    }
    if (old != NULL) {
        e->skew_ms = old->skew_ms;
        e->possibly_attempted = old->possibly_attempted;
        begin_ends(q, e);
    }
    (void)sp_queue_entry_put(q, e, place);
}

static enum sp_rc fold_carry(struct sp_queue *q, const struct sp_journal_entry *je)
{
    struct sp_carry c;
    enum sp_rc rc = sp_carry_decode(je->meta, q->arena, &c);

    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < c.accept.recipient_count; i++)
        if (sp_rcpt_state_is_final(c.states[i].state))
            tell_ended(q, &c.accept.id, (uint16_t)i);
    sp_queue_put_carried(q, &c, &je->place, NULL);
    return SP_OK;
}

/*
 * Its record, or one about it, is damaged: nobody knows its state, so it goes nowhere. One that is not known otherwise
 * gets an entry without recipients, so that its segment stays and a person can look at it.
 */
static void quarantine(struct sp_queue *q, const struct sp_journal_entry *je)
{
    struct sp_queue_entry *e = sp_queue_entry_find(q, &je->message);

    if (sp_id_is_zero(&je->message))
        sp_queue_note_lost(q, je->place.segment);
    if (e == NULL) {
        struct sp_accept unknown = {.id = je->message};

        e = sp_queue_entry_new(q, &unknown);
        e->type = je->type;
        e->body_in_file = true; /* it may have one */
        e->open = 1;
        (void)sp_queue_entry_put(q, e, &je->place);
    }
    sp_queue_entry_quarantine(q, e);
}

void sp_queue_miss(struct sp_queue *q, const struct sp_id *id)
{
    const struct sp_journal_entry nowhere = {.message = *id,
                                             .place = {.segment = sp_journal_current(q->journal)}};

    if (sp_queue_entry_find(q, id) == NULL)
        quarantine(q, &nowhere);
}

void sp_queue_on_entry(void *arg, const struct sp_journal_entry *je)
{
    struct sp_queue *q = arg;
    enum sp_rc rc = SP_OK;

    if (je->damaged) {
        quarantine(q, je);
        return;
    }
    sp_arena_reset(q->arena);
    switch (je->type) {
    case SP_RECORD_ACCEPT:
        rc = fold_accept(q, je);
        break;
    case SP_RECORD_OUTCOME:
        rc = fold_outcome(q, je);
        break;
    case SP_RECORD_CARRY:
        rc = fold_carry(q, je);
        break;
    case SP_RECORD_HOLD:
    case SP_RECORD_RELEASE:
    case SP_RECORD_RETRY:
    case SP_RECORD_DELETE:
        rc = fold_act(q, je);
        break;
    case SP_RECORD_DESTROYED:
        rc = fold_destroyed(q, je);
        break;
    default: /* ACT: the ledger's concern */
        break;
    }
    if (rc != SP_OK)
        quarantine(q, je);
}
