/*
 * Getting disk space back. A segment can go when no living message has its record in it or before it: then every record
 * in it speaks of the dead. A few messages that live long (a next hop that is down for days) would keep all the segments
 * behind them, so once there are many, and little lives in the oldest, its living are carried: metadata and state as a
 * new record, the body as the ciphertext that it is, under its old key wrapped anew. Nothing else may be under way for a
 * message meanwhile, or its outcome could lie before the carry and be forgotten by it: so its recipients are busy.
 */
#include "queue/queue_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <unistd.h>

enum {
    SEGMENTS_KEPT = 8,
    CARRY_MAX = 1024, /* messages carried out of one segment at most */
    CARRY_LEN_MAX = 16 * 1024 * 1024,
};

static bool carry_next(struct sp_queue *q);

void sp_queue_entry_busy_all(struct sp_queue *q, struct sp_queue_entry *e, bool busy)
{
    for (uint16_t i = 0; i < e->count; i++)
        sp_queue_entry_busy(q, e, i, busy);
    (void)sp_queue_entry_settle(q, e);
}

static bool is_idle(const struct sp_queue_entry *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->rcpts[i].busy)
            return false;
    return !e->quarantined;
}

static void carry_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct sp_queue *q = p->queue;
    struct sp_queue_entry *e = sp_queue_entry_find(q, &a->message);
    int64_t before = sp_queue_due_at(q);

    if (e != NULL && rc == SP_OK) {
        sp_queue_note_carried(q, &e->id, a->place.segment);
        sp_queue_entry_move(q, e, &a->place);
        e->type = SP_RECORD_CARRY;
        e->is_child = false;
    }
    if (e != NULL)
        sp_queue_entry_busy_all(q, e, false);
    sp_queue_pending_free(p);
    sp_queue_tell_due(q, before);
    q->carrying = rc == SP_OK && q->journal != NULL && carry_next(q);
    if (!q->carrying && q->journal != NULL)
        sp_journal_forget(q->journal, sp_queue_oldest_needed(q));
}

/* The body's key, and its chunks if they lie in the record. */
static enum sp_rc take_body(struct sp_queue *q, const struct sp_queue_entry *e,
                            struct sp_queue_pending *p)
{
    struct sp_content body;
    size_t len = e->body_in_file ? 0 : (size_t)sp_content_sealed_len(e->body_len);
    size_t done = 0;
    enum sp_rc rc = sp_queue_body(q, &e->id, &body);

    if (rc != SP_OK)
        return rc;
    p->key = body.key;
    p->sealed = sp_malloc_try(len);
    if (p->sealed == NULL) {
        sp_content_clear(&body);
        return SP_E_IO;
    }
    while (done < len) {
        ssize_t n = SP_FAULT_ERRNO("queue.carry-read", EIO)
                        ? -1
                        : pread(body.fd, p->sealed + done, len - done, (off_t)(body.offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    sp_content_clear(&body);
    p->append.body_count = 1;
    p->append.bodies[0] =
        (struct sp_journal_body){.id = e->id, .key = &p->key, .sealed = sp_bytes(p->sealed, len)};
    return done == len ? SP_OK : SP_E_IO;
}

static void ignore(void *arg, enum sp_rc rc)
{
    (void)arg;
    (void)rc;
}

enum sp_rc sp_queue_carry_append(struct sp_queue_pending *p, const struct sp_carry *c,
                                 void (*done)(struct sp_journal_append *a, enum sp_rc rc))
{
    struct sp_queue *q = p->queue;
    struct sp_queue_entry *e = sp_queue_entry_find(q, &c->accept.id);
    enum sp_rc rc = sp_carry_encode(c, &p->meta);

    if (rc == SP_OK)
        rc = take_body(q, e, p);
    if (rc != SP_OK)
        return rc;
    sp_queue_entry_busy_all(q, e, true);
    p->append.type = SP_RECORD_CARRY;
    p->append.class = SP_JOURNAL_ASKED;
    p->append.message = e->id;
    p->append.meta = sp_buf_bytes(&p->meta);
    p->append.done = done;
    sp_journal_append(q->journal, &p->append);
    return SP_OK;
}

/* Starts carrying one message. returns: whether it is under way */
static bool carry_one(struct sp_queue *q, struct sp_queue_entry *e)
{
    struct sp_queue_pending *p;
    struct sp_carry carry;
    SP_AUTO(sp_queue_message) m = NULL;

    if (!is_idle(e) || sp_queue_load(q, &e->id, &m) != SP_OK)
        return false;
    p = sp_queue_pending_new(q, ignore, NULL);
    carry.accept = m->accept;
    carry.states = m->rcpts;
    if (sp_queue_carry_append(p, &carry, carry_done) == SP_OK)
        return true;
    sp_queue_pending_free(p);
    return false;
}

/* Goes on with the next message noted. returns: whether one is under way */
static bool carry_next(struct sp_queue *q)
{
    while (q->carry_count > 0) {
        struct sp_queue_entry *e = sp_queue_entry_find(q, &q->carry[--q->carry_count]);

        if (e != NULL && e->place.segment == sp_journal_first(q->journal) && carry_one(q, e))
            return true;
    }
    return false;
}

/* Notes the messages that live in the oldest segment, if they are few. */
static void sweep(struct sp_queue *q, uint64_t segment)
{
    struct sp_bytes key;
    void *entry;
    size_t at = 0;
    uint64_t len = 0;

    if (q->carry == NULL)
        q->carry = sp_calloc(CARRY_MAX, sizeof(*q->carry));
    q->carry_count = 0;
    while (sp_map_next(q->entries, &at, &key, &entry)) {
        const struct sp_queue_entry *e = entry;

        if (e->place.segment != segment)
            continue;
        len += e->place.len;
        if (q->carry_count == CARRY_MAX || len > CARRY_LEN_MAX) {
            q->carry_count = 0;
            return;
        }
        q->carry[q->carry_count++] = e->id;
    }
}

void sp_queue_reclaim(struct sp_queue *q)
{
    uint64_t needed;
    uint64_t current;

    if (q->journal == NULL) /* closing */
        return;
    needed = sp_queue_oldest_needed(q);
    current = sp_journal_current(q->journal);
    sp_journal_forget(q->journal, needed);
    if (q->carrying || current == q->swept_at || current - needed < SEGMENTS_KEPT ||
        needed != sp_journal_first(q->journal) || sp_journal_state(q->journal) != SP_JOURNAL_OPEN)
        return;
    q->swept_at = current;
    sweep(q, needed);
    q->carrying = carry_next(q);
}
