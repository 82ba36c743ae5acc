/*
 * Getting disk space back. A segment can go when no living message has its record in it or before it: then every record
 * in it speaks of the dead. A few messages that live long (a next hop that is down for days) would keep all the segments
 * behind them, so what lives in the oldest is carried: metadata and state as a new record, the body as the ciphertext that
 * it is, under its old key wrapped anew. Nothing else may be under way for a message meanwhile, or its outcome could lie
 * before the carry and be forgotten by it: so its recipients are busy.
 *
 * It is done, a portion at a time, while the segments from the oldest needed on take more than twice what lives in all of
 * them: once round the log then costs what lives, and frees at least as much. So the disk is bounded by what lives,
 * wherever that lies, and a byte carried has been paid for by one that died. A segment that is full of the living is
 * carried like any other, for the sake of those behind it.
 */
#include "queue/queue_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <unistd.h>

enum {
    SEGMENTS_KEPT = 8,
    PORTION = 32, /* messages on their way at once: what a turn reads, and what shares a sync */
    PORTION_LEN = 1024 * 1024,
    LOOK_MAX = 64, /* messages a turn looks at to find them */
    PAGE = 4096,   /* of a portion's last one, part stays empty */
};

static bool carry_portion(struct sp_queue *q);

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

/* All of a portion are done: goes on, or lets go of what is no longer needed. */
static void portion_done(struct sp_queue *q)
{
    struct sp_queue_live *oldest = sp_queue_live_oldest(q);

    if (oldest == NULL || oldest->segment != q->carry_from) {
        sp_log_info(q->o.log, "queue.carried", SP_INT("segment", q->carry_from),
                    SP_INT("messages", q->carry_count), SP_INT("living", q->stats.living_len),
                    SP_INT("disk", sp_journal_disk_len(q->journal)));
        q->carry_count = 0;
        sp_journal_forget(q->journal, sp_queue_oldest_needed(q));
    }
    q->carrying = carry_portion(q);
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
        q->carry_count++;
        q->stats.carried++;
        q->stats.carried_len += a->place.len;
    }
    if (rc != SP_OK)
        q->carry_failed_at = q->journal == NULL ? 0 : sp_journal_current(q->journal);
    if (e != NULL)
        sp_queue_entry_busy_all(q, e, false);
    sp_queue_pending_free(p);
    sp_queue_tell_due(q, before);
    if (--q->carry_open == 0 && q->journal != NULL)
        portion_done(q);
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
    enum sp_rc rc = sp_queue_load(q, &e->id, &m);

    if (rc == SP_OK) {
        p = sp_queue_pending_new(q, ignore, NULL);
        carry.accept = m->accept;
        carry.states = m->rcpts;
        rc = sp_queue_carry_append(p, &carry, carry_done);
        if (rc != SP_OK)
            sp_queue_pending_free(p);
    }
    if (rc !=
        SP_OK) /* a disk that does not read is asked again with the next segment, not all the time */
        q->carry_failed_at = sp_journal_current(q->journal);
    return rc == SP_OK;
}

/* Whether the oldest segment can be freed at all, and the log holds more that is dead than lives. */
static bool pays(const struct sp_queue *q, const struct sp_queue_live *oldest)
{
    uint64_t current = sp_journal_current(q->journal);
    uint64_t living = q->stats.living_len + sp_map_count(q->entries) * (PAGE / PORTION);

    return sp_journal_state(q->journal) == SP_JOURNAL_OPEN && current != q->carry_failed_at &&
           current - oldest->segment >= SEGMENTS_KEPT &&
           oldest->segment == sp_journal_first(q->journal) &&
           sp_journal_len_from(q->journal, oldest->segment) > 2 * living;
}

/* Carries some of those that live in the oldest segment, if that pays. returns: whether any is under way */
static bool carry_portion(struct sp_queue *q)
{
    struct sp_queue_live *oldest = sp_queue_live_oldest(q);
    size_t look = 0;
    size_t len = 0;

    if (oldest == NULL || !pays(q, oldest))
        return false;
    q->carry_from = oldest->segment;
    while (look++ < LOOK_MAX && look <= oldest->messages && q->carry_open < PORTION &&
           len < PORTION_LEN) {
        struct sp_queue_entry *e =
            SP_CONTAINER(oldest->entries.next, struct sp_queue_entry, neighbours);

        sp_list_remove(&e->neighbours); /* next time another is looked at first */
        sp_list_append(&oldest->entries, &e->neighbours);
        if (!is_idle(e) || !carry_one(q, e))
            continue;
        q->carry_open++;
        len += e->place.len;
    }
    return q->carry_open > 0;
}

void sp_queue_reclaim(struct sp_queue *q)
{
    if (q->journal == NULL) /* closing */
        return;
    sp_journal_forget(q->journal, sp_queue_oldest_needed(q));
    if (!q->carrying)
        q->carrying = carry_portion(q);
}
