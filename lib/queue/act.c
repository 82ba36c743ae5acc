/*
 * What people do to the queue. The record names the recipients that it changes, as they are chosen now: those that are
 * being delivered are left alone, and those chosen are kept busy until the record is durable, so that no attempt begins
 * in between and a restart comes to the same result.
 */
#include "queue/queue_priv.h"

static void act_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct sp_queue *q = p->queue;
    struct sp_queue_entry *e = sp_queue_entry_find(q, &a->message);
    void (*done)(void *arg, enum sp_rc rc) = p->done;
    void *arg = p->arg;
    int64_t before = sp_queue_due_at(q);
    struct sp_act act;

    if (e != NULL) {
        for (size_t i = 0; i < p->n_count; i++)
            sp_queue_entry_busy(q, e, p->ns[i], false);
        sp_arena_reset(q->arena);
        if (rc == SP_OK && sp_act_decode(a->meta, q->arena, &act) == SP_OK &&
            (act.n_count > 0 || e->quarantined))
            sp_queue_apply_act(q, e, a->type, &act);
        (void)sp_queue_entry_settle(q, e);
    }
    sp_queue_pending_free(p);
    done(arg, rc);
    sp_queue_tell_due(q, before);
    sp_queue_reclaim(q);
}

/* Whether the act names recipient n. */
static bool names(const struct sp_act *act, uint16_t n)
{
    for (size_t i = 0; i < act->n_count; i++)
        if (act->ns[i] == n)
            return true;
    return act->n_count == 0;
}

/* Chooses the recipients. returns: SP_E_EXISTS if all that fit are busy; SP_OK with p->n_count 0 if none fits */
static enum sp_rc choose(struct sp_queue_pending *p, const struct sp_queue_entry *e, uint8_t type,
                         const struct sp_act *act)
{
    size_t busy = 0;

    p->ns = sp_calloc(e->count, sizeof(*p->ns));
    for (uint16_t n = 0; n < e->count; n++) {
        if (!names(act, n) || !sp_queue_act_fits(type, &e->rcpts[n].r))
            continue;
        if (e->rcpts[n].busy)
            busy++;
        else
            p->ns[p->n_count++] = n;
    }
    return p->n_count == 0 && busy > 0 ? SP_E_EXISTS : SP_OK;
}

/* One that can't be read is deleted as a whole, or stays as it is. returns: as choose */
static enum sp_rc choose_damaged(const struct sp_queue_entry *e, uint8_t type,
                                 const struct sp_act *act)
{
    for (size_t n = 0; n < e->count; n++)
        if (e->rcpts[n].busy)
            return SP_E_EXISTS;
    return type == SP_RECORD_DELETE && act->n_count == 0 ? SP_OK : SP_E_JOURNAL_DAMAGED;
}

static bool changes_messages(uint8_t type)
{
    return type == SP_RECORD_HOLD || type == SP_RECORD_RELEASE || type == SP_RECORD_RETRY ||
           type == SP_RECORD_DELETE;
}

static void ignore(void *arg, enum sp_rc rc)
{
    (void)arg;
    (void)rc;
}

void sp_queue_say(struct sp_queue *q, struct sp_bytes event)
{
    struct sp_act act = {.time_ms = sp_clock_wall_ms(q->o.clock), .audit = {&event, 1}};

    sp_queue_act(q, SP_RECORD_ACT, &act, ignore, NULL);
}

enum sp_rc sp_queue_rekey(struct sp_queue *q, const struct sp_journal_keys *keys,
                          struct sp_bytes event)
{
    enum sp_rc rc = q->journal == NULL ? SP_E_CLOSED : sp_journal_rekey(q->journal, keys);

    if (rc == SP_OK)
        sp_queue_say(q, event);
    return rc;
}

void sp_queue_act(struct sp_queue *q, uint8_t type, const struct sp_act *act,
                  void (*done)(void *arg, enum sp_rc rc), void *arg)
{
    struct sp_queue_pending *p = sp_queue_pending_new(q, done, arg);
    struct sp_queue_entry *e = sp_queue_entry_find(q, &act->id);
    struct sp_act chosen = *act;
    enum sp_rc rc = SP_OK;

    sp_assert(changes_messages(type) || type == SP_RECORD_ACT);
    if (q->journal == NULL) {
        sp_queue_pending_end(p, SP_E_CLOSED);
        return;
    }
    if (sp_journal_state(q->journal) != SP_JOURNAL_OPEN) {
        sp_queue_pending_end(p, SP_E_JOURNAL_FULL);
        return;
    }
    if (changes_messages(type)) {
        bool is_whole = e != NULL && e->quarantined;

        if (e == NULL)
            rc = SP_E_NOT_FOUND;
        else
            rc = is_whole ? choose_damaged(e, type, act) : choose(p, e, type, act);
        chosen.ns = p->ns;
        chosen.n_count = p->n_count;
        if (is_whole)
            sp_queue_act_put_lost(q, &chosen);
        if (rc != SP_OK ||
            (p->n_count == 0 && !is_whole)) { /* repeating what stands changes nothing */
            sp_queue_pending_end(p, rc);
            return;
        }
    }
    rc = sp_act_encode(&chosen, &p->meta);
    if (rc != SP_OK) {
        sp_queue_pending_end(p, rc);
        return;
    }
    for (size_t i = 0; i < p->n_count; i++)
        sp_queue_entry_busy(q, e, p->ns[i], true);
    if (e != NULL)
        (void)sp_queue_entry_settle(q, e);
    p->append.type = type;
    p->append.class = SP_JOURNAL_ASKED;
    p->append.message = act->id;
    p->append.meta = sp_buf_bytes(&p->meta);
    p->append.done = act_done;
    sp_journal_append(q->journal, &p->append);
}
