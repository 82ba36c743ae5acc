/*
 * Reading: a message's record is read and opened again each time somebody asks, which costs microseconds and keeps the
 * index small enough for a million messages. A list walks ids in order with a bounded heap of the next ones that the
 * sieve lets through, because the index has no order of its own and lists are rare.
 */
#include "queue/queue_priv.h"

#include <stdlib.h>

enum { EXAMINED_MAX = 1000 };

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

static struct sp_bytes destination_of(const struct sp_queue_entry *e, const struct sp_queue_rcpt *r)
{
    return e->group_count > 0 && !sp_rcpt_state_is_final(r->r.state)
               ? sp_line_look(e->groups[r->group].item.line).destination
               : sp_bytes(NULL, 0);
}

struct sp_bytes sp_queue_destination(const struct sp_queue *q, const struct sp_id *id, size_t n)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, id);

    return e != NULL && n < e->count ? destination_of(e, &e->rcpts[n]) : sp_bytes(NULL, 0);
}

static bool is_frozen(const struct sp_queue_entry *e, const struct sp_queue_rcpt *r)
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
        m->frozen[i] = is_frozen(e, &e->rcpts[i]);
    }
    m->possibly_attempted = e->possibly_attempted;
    m->accepted_at_ms = m->accept.time_ms + e->skew_ms;
}

static enum sp_rc load(struct sp_queue *q, const struct sp_queue_entry *e,
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
    enum sp_rc rc = e == NULL ? SP_E_NOT_FOUND : load(q, e, out);

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
    out->fd = -1;
    sp_content_clear(out);
    return SP_E_IO;
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

void sp_queue_each(const struct sp_queue *q,
                   void (*visit)(void *arg, const struct sp_queue_seen *v), void *arg)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(q->entries, &at, &key, &value)) {
        const struct sp_queue_entry *e = value;

        for (uint16_t n = 0; n < e->count; n++) {
            const struct sp_queue_rcpt *r = &e->rcpts[n];
            struct sp_line_view line;
            struct sp_queue_seen seen = {.rcpt = &r->r, .is_busy = r->busy};

            if (sp_rcpt_state_is_final(r->r.state) || e->group_count == 0)
                continue;
            line = sp_line_look(e->groups[r->group].item.line);
            seen.tenant = line.tenant;
            seen.destination = line.destination;
            seen.is_frozen = line.is_frozen;
            visit(arg, &seen);
        }
    }
}

/* ---- list ---- */

static int compare(const struct sp_id *a, const struct sp_id *b)
{
    return memcmp(a->b, b->b, SP_ID_LEN);
}

/* The least ids behind `after`, as a heap with the greatest on top. */
struct page {
    const struct sp_queue_entry **at;
    size_t room;
    size_t count;
    bool more;
};

static void sift_down(struct page *p, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        const struct sp_queue_entry *swap;

        if (child >= p->count)
            return;
        if (child + 1 < p->count && compare(&p->at[child + 1]->id, &p->at[child]->id) > 0)
            child++;
        if (compare(&p->at[child]->id, &p->at[i]->id) <= 0)
            return;
        swap = p->at[i];
        p->at[i] = p->at[child];
        p->at[child] = swap;
        i = child;
    }
}

static void offer(struct page *p, const struct sp_queue_entry *e)
{
    if (p->count < p->room) {
        p->at[p->count++] = e;
        if (p->count == p->room)
            for (size_t i = p->room / 2; i > 0; i--)
                sift_down(p, i - 1);
        return;
    }
    p->more = true;
    if (compare(&e->id, &p->at[0]->id) >= 0)
        return;
    p->at[0] = e;
    sift_down(p, 0);
}

static int compare_entries(const void *a, const void *b)
{
    return compare(&(*(const struct sp_queue_entry *const *)a)->id,
                   &(*(const struct sp_queue_entry *const *)b)->id);
}

static bool has_state(const struct sp_queue_entry *e, int state)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->rcpts[i].r.state == state)
            return true;
    return state < 0;
}

static bool goes_to(const struct sp_queue_entry *e, const struct sp_map *destinations)
{
    for (size_t i = 0; destinations != NULL && i < e->count; i++) {
        struct sp_bytes name = destination_of(e, &e->rcpts[i]);

        if (name.len > 0 && sp_map_find(destinations, name) != NULL)
            return true;
    }
    return destinations == NULL;
}

static bool matches(const struct sp_queue_query *query, const struct sp_accept *a)
{
    bool recipient = query->recipient.len == 0;
    bool rule = query->rule.len == 0;

    if (query->tenant.len > 0 && !sp_bytes_eq(query->tenant, a->tenant))
        return false;
    if (query->sender.len > 0 && !sp_bytes_has_nocase(a->sender, query->sender))
        return false;
    for (size_t i = 0; i < a->recipient_count && !(recipient && rule); i++) {
        const struct sp_accept_recipient *to = &a->recipients[i];

        recipient = recipient || sp_bytes_has_nocase(to->address, query->recipient);
        rule = rule || sp_bytes_eq(a->decisions[to->decision].rule, query->rule);
    }
    return recipient && rule;
}

static bool asks_nothing(const struct sp_queue_query *query)
{
    return query->state < 0 && query->sender.len + query->recipient.len == 0 &&
           query->tenant.len + query->rule.len == 0 && query->destinations == NULL;
}

/* Of one that can't be read there is an id alone. returns: whether it was visited */
static bool visit_damaged(const struct sp_queue_query *query, const struct sp_queue_entry *e)
{
    struct sp_queue_message m = {.accept = {.id = e->id}, .quarantined = true};

    if (!query->quarantined_only && !asks_nothing(query))
        return false;
    query->visit(query->arg, &m);
    return true;
}

/* Visits one if it matches. returns: whether it did */
static bool visit_one(struct sp_queue *q, const struct sp_queue_query *query,
                      const struct sp_queue_entry *e)
{
    SP_AUTO(sp_queue_message) m = NULL;

    if (e->quarantined || query->quarantined_only)
        return e->quarantined && visit_damaged(query, e);

    if (!has_state(e, query->state) || load(q, e, &m) != SP_OK || !matches(query, &m->accept))
        return false;
    query->visit(query->arg, m);
    return true;
}

/* What can be said of one without its record. */
static bool may_match(const struct sp_queue_query *query, const struct sp_queue_sieve *wanted,
                      const struct sp_queue_entry *e)
{
    if (e->quarantined || query->quarantined_only)
        return e->quarantined && (query->quarantined_only || asks_nothing(query));
    return has_state(e, query->state) && sp_queue_sieve_passes(&e->sieve, wanted) &&
           goes_to(e, query->destinations);
}

/* All that may match, the least ids of them, in order. out: at and room are set */
static void look(struct sp_queue *q, const struct sp_queue_query *query, struct page *out)
{
    struct sp_queue_sieve wanted;
    struct sp_bytes key;
    void *entry;
    size_t at = 0;

    sp_queue_sieve_ask(query, &wanted);
    while (sp_map_next(q->entries, &at, &key, &entry)) {
        const struct sp_queue_entry *e = entry;

        if (compare(&e->id, &query->after) > 0 && may_match(query, &wanted, e))
            offer(out, e);
    }
    qsort(out->at, out->count, sizeof(struct sp_queue_entry *), compare_entries);
}

size_t sp_queue_ids(struct sp_queue *q, int state, const struct sp_id *after, struct sp_id *out,
                    size_t max)
{
    const struct sp_queue_query query = {.state = state, .after = *after};
    struct page page = {.room = max < SP_QUEUE_IDS_MAX ? max : SP_QUEUE_IDS_MAX};

    page.at = sp_calloc(page.room, sizeof(struct sp_queue_entry *));
    look(q, &query, &page);
    for (size_t i = 0; i < page.count; i++)
        out[i] = page.at[i]->id;
    sp_free(page.at);
    return page.count;
}

bool sp_queue_list(struct sp_queue *q, const struct sp_queue_query *query, struct sp_id *last)
{
    struct page page = {.room = EXAMINED_MAX};
    size_t visited = 0;
    size_t i;

    page.at = sp_calloc(page.room, sizeof(struct sp_queue_entry *));
    look(q, query, &page);
    *last = query->after;
    for (i = 0; i < page.count && visited < query->limit; i++) {
        *last = page.at[i]->id;
        if (visit_one(q, query, page.at[i]))
            visited++;
    }
    sp_free(page.at);
    return page.more || i < page.count;
}
