/*
 * Reading: a message's record is read and opened again each time somebody asks, which costs microseconds and keeps the
 * index small enough for a million messages.
 */
#include "queue/queue_priv.h"

#include <errno.h>

void sp_queue_message_free(struct sp_queue_message *m)
{
    if (m == NULL)
        return;
    sp_buf_wipe(&m->meta);
    sp_arena_free(m->arena);
    sp_free(m);
}

struct sp_queue_message *sp_queue_message_quarantined(const struct sp_id *id)
{
    struct sp_queue_message *m = sp_calloc(1, sizeof(*m));

    m->arena = sp_arena_new(1024);
    sp_buf_init(&m->meta, SP_QUEUE_META_MAX);
    m->accept.id = *id;
    m->quarantined = true;
    return m;
}

static enum sp_rc decode(const struct sp_queue_entry *e, struct sp_bytes meta,
                         struct sp_arena *arena, struct sp_accept *out)
{
    const struct sp_accept *child = NULL;
    struct sp_outcome outcome;
    struct sp_carry carry;
    enum sp_rc rc;

    switch (e->type) {
    case SP_RECORD_OUTCOME:
        rc = sp_outcome_decode(meta, arena, &outcome);
        child = outcome.child;
        break;
    case SP_RECORD_CARRY:
        rc = sp_carry_decode(meta, arena, &carry);
        *out = carry.accept;
        break;
    default:
        rc = sp_accept_decode(meta, arena, out);
        child = out->child;
        break;
    }
    if (rc != SP_OK)
        return SP_E_JOURNAL_DAMAGED;
    if (e->is_child) {
        if (child == NULL)
            return SP_E_JOURNAL_DAMAGED;
        *out = *child;
    }
    if (!sp_id_eq(&out->id, &e->id) || out->recipient_count != e->count)
        return SP_E_JOURNAL_DAMAGED;
    out->audit = (struct sp_audit_list){NULL, 0};
    out->child = NULL;
    return SP_OK;
}

/* When a parked one is tried again: what is written into a carry too, so that a restart has no other time than people saw. */
static int64_t tried_at(const struct sp_queue *q, const struct sp_queue_entry *e,
                        const struct sp_queue_rcpt *r)
{
    struct sp_line_view line = sp_line_look(e->groups[r->group].item.line);

    if (line.wake_ms == 0) /* it may go now; no time at all would be a hold's without an end */
        line.wake_ms = sp_clock_steady_ms(q->o.clock);
    return line.wake_ms < r->r.next_at_ms ? line.wake_ms : r->r.next_at_ms;
}

struct sp_bytes sp_queue_entry_destination(const struct sp_queue_entry *e,
                                           const struct sp_queue_rcpt *r)
{
    return e->group_count > 0 && !sp_rcpt_state_is_final(r->r.state)
               ? sp_line_destination(e->groups[r->group].item.line)
               : sp_bytes(NULL, 0);
}

struct sp_bytes sp_queue_destination(const struct sp_queue *q, const struct sp_id *id, size_t n)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, id);

    return e != NULL && n < e->count ? sp_queue_entry_destination(e, &e->rcpts[n])
                                     : sp_bytes(NULL, 0);
}

bool sp_queue_entry_is_frozen(const struct sp_queue_entry *e, const struct sp_queue_rcpt *r)
{
    return e->group_count > 0 && !sp_rcpt_state_is_final(r->r.state) &&
           sp_line_look(e->groups[r->group].item.line).is_frozen;
}

/* Copies how the recipients stand. */
static void add_states(const struct sp_queue *q, const struct sp_queue_entry *e,
                       struct sp_queue_message *m)
{
    m->rcpts = sp_arena_alloc(m->arena, e->count * sizeof(*m->rcpts));
    m->busy = sp_arena_alloc(m->arena, e->count * sizeof(*m->busy));
    m->frozen = sp_arena_alloc(m->arena, e->count * sizeof(*m->frozen));
    for (size_t i = 0; i < e->count; i++) {
        m->rcpts[i] = e->rcpts[i].r;
        if (e->rcpts[i].parked)
            m->rcpts[i].next_at_ms = tried_at(q, e, &e->rcpts[i]);
        m->busy[i] = e->rcpts[i].busy;
        m->frozen[i] = sp_queue_entry_is_frozen(e, &e->rcpts[i]);
    }
    m->possibly_attempted = e->possibly_attempted;
    m->accepted_at_ms = m->accept.time_ms + e->skew_ms;
}

enum sp_rc sp_queue_entry_load(struct sp_queue *q, const struct sp_queue_entry *e,
                               struct sp_queue_message **out)
{
    struct sp_journal_entry je;
    enum sp_rc rc;
    SP_AUTO(sp_queue_message) m = sp_calloc(1, sizeof(*m));

    m->arena = sp_arena_new(1024);
    sp_buf_init(&m->meta, SP_QUEUE_META_MAX);
    if (e->quarantined)
        return SP_E_JOURNAL_DAMAGED;
    rc = sp_journal_read(q->journal, &e->place, &m->meta, &je);
    if (rc == SP_OK)
        rc = decode(e, je.meta, m->arena, &m->accept);
    if (rc != SP_OK)
        return rc;
    add_states(q, e, m);
    *out = SP_STEAL(m);
    return SP_OK;
}

enum sp_rc sp_queue_load(struct sp_queue *q, const struct sp_id *id, struct sp_queue_message **out)
{
    struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    enum sp_rc rc = e == NULL ? SP_E_NOT_FOUND : sp_queue_entry_load(q, e, out);

    if (rc == SP_E_JOURNAL_DAMAGED)
        sp_queue_entry_quarantine(q, e);
    return rc;
}

enum sp_rc sp_queue_body(struct sp_queue *q, const struct sp_id *id, struct sp_content *out)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    struct sp_journal_body_place place;
    char name[SP_QUEUE_FILE_NAME_MAX];
    enum sp_rc rc;

    if (e == NULL)
        return SP_E_NOT_FOUND;
    rc = sp_journal_body(q->journal, &e->place, e->is_child && e->type == SP_RECORD_ACCEPT ? 1 : 0,
                         &place);
    if (rc != SP_OK)
        return rc;
    sp_content_init(out);
    out->id = *id;
    out->len = e->body_len;
    out->key = place.key;
    out->fd = place.fd;
    out->offset = place.offset;
    sp_secret_clear(&place.key);
    if (!e->body_in_file)
        return SP_OK;
    sp_queue_body_file(id, name);
    out->offset = 0;
    out->fd = q->o.io->open(q->o.io->ctx, name, SP_IO_OPEN_READ);
    if (out->fd >= 0)
        return SP_OK;
    rc = out->fd == -ENOENT ? SP_E_CONTENT_TRUNCATED : SP_E_IO; /* gone: it will not come back */
    out->fd = -1;
    sp_content_clear(out);
    return rc;
}

bool sp_queue_body_at_hand(struct sp_queue *q, const struct sp_id *id, struct sp_content *out)
{
    struct sp_content_plain *plain = sp_queue_warm_find(q, id);

    if (plain == NULL || sp_queue_entry_find(q, id) == NULL)
        return false;
    sp_content_init_plain(out, id, sp_content_plain_ref(plain));
    return true;
}

enum sp_rc sp_queue_body_for_role(struct sp_queue *q, const struct sp_id *id,
                                  struct sp_content *out)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    struct sp_content in;
    enum sp_rc rc = sp_queue_body(q, id, &in);

    if (rc != SP_OK)
        return rc;
    if (e->body_in_file) {
        *out = in;
        return SP_OK;
    }
    rc = sp_content_export_memfd(&in, out);
    sp_content_clear(&in);
    return rc;
}
