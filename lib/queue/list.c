/*
 * Lists. The index has no order of its own, and lists are rare: a page walks over all of it with a bounded heap of the next ids that
 * the sieve lets through, and then reads those records. With a million messages that is a tenth of a second, and all mail shares
 * the loop: so it is done in steps, between which the queue may change. What has gone when its turn comes is passed over.
 */
#include "queue/queue_priv.h"

#include <stdlib.h>

enum { EXAMINED_MAX = 1000 };

#define LOOK_PLACES 2048 /* of the index in a step */
#define READ_STEP   25   /* records */

struct sp_queue_listing {
    struct sp_queue *q;
    struct sp_queue_query query;
    struct sp_queue_sieve wanted;
    struct sp_map_walk walk;
    struct sp_id
        *at; /* the least ids behind query.after, as a heap with the greatest on top; then sorted */
    size_t room;
    size_t count;
    bool with_busy;
    bool
        with_none; /* also what is damaged so much that it has no id: a page that begins has it, none behind */
    bool more;    /* that may match */
    bool is_read; /* the index */
    size_t next;  /* to read */
    size_t visited;
};

/* ---- all of them ---- */

struct each {
    void (*visit)(void *arg, const struct sp_queue_seen *v);
    void *arg;
};

static void see(const struct each *each, const struct sp_queue_entry *e, uint16_t n)
{
    const struct sp_queue_rcpt *r = &e->rcpts[n];
    struct sp_queue_seen seen = {
        .rcpt = &r->r, .is_busy = r->busy, .is_quarantined = e->quarantined};
    struct sp_line_view line = sp_line_look(e->groups[r->group].item.line);

    seen.tenant = line.tenant;
    seen.destination = line.destination;
    seen.line = sp_line_handle(e->groups[r->group].item.line);
    seen.is_frozen = line.is_frozen && !sp_rcpt_state_is_final(r->r.state);
    each->visit(each->arg, &seen);
}

static void see_entry(void *arg, void *value)
{
    const struct sp_queue_entry *e = value;

    for (uint16_t n = 0; n < e->count && e->group_count > 0; n++)
        see(arg, e, n);
}

bool sp_queue_each_some(const struct sp_queue *q, struct sp_map_walk *walk,
                        void (*visit)(void *arg, const struct sp_queue_seen *v), void *arg)
{
    struct each each = {visit, arg};

    return sp_map_walk(q->entries, walk, LOOK_PLACES, see_entry, &each);
}

void sp_queue_each(const struct sp_queue *q,
                   void (*visit)(void *arg, const struct sp_queue_seen *v), void *arg)
{
    struct sp_map_walk walk = {0};

    while (sp_queue_each_some(q, &walk, visit, arg))
        ;
}

/* ---- states ---- */

static const char *const extra_states[] = {"in-delivery", "frozen"};

int sp_queue_state_find(struct sp_bytes name)
{
    for (int i = 0; i < SP_RCPT_STATE_COUNT; i++)
        if (sp_bytes_eq(name, sp_bytes_cstr(sp_rcpt_state_name((uint8_t)i))))
            return i;
    for (int i = 0; i < (int)SP_ARRAY_LEN(extra_states); i++)
        if (sp_bytes_eq(name, sp_bytes_cstr(extra_states[i])))
            return SP_QUEUE_IN_DELIVERY + i;
    return -1;
}

bool sp_queue_state_fits(int state, const struct sp_rcpt *r, bool is_busy, bool is_frozen)
{
    if (state == SP_QUEUE_IN_DELIVERY)
        return is_busy;
    if (state == SP_QUEUE_FROZEN)
        return is_frozen && !is_busy;
    return state < 0 || (r->state == state && !is_busy);
}

/* ---- the index ---- */

static int compare(const struct sp_id *a, const struct sp_id *b)
{
    return memcmp(a->b, b->b, SP_ID_LEN);
}

static void sift_down(struct sp_queue_listing *p, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        struct sp_id swap;

        if (child >= p->count)
            return;
        if (child + 1 < p->count && compare(&p->at[child + 1], &p->at[child]) > 0)
            child++;
        if (compare(&p->at[child], &p->at[i]) <= 0)
            return;
        swap = p->at[i];
        p->at[i] = p->at[child];
        p->at[child] = swap;
        i = child;
    }
}

static void offer(struct sp_queue_listing *p, const struct sp_id *id)
{
    if (p->count < p->room) {
        p->at[p->count++] = *id;
        if (p->count == p->room)
            for (size_t i = p->room / 2; i > 0; i--)
                sift_down(p, i - 1);
        return;
    }
    p->more = true;
    if (compare(id, &p->at[0]) >= 0)
        return;
    p->at[0] = *id;
    sift_down(p, 0);
}

static int compare_ids(const void *a, const void *b)
{
    return compare(a, b);
}

/* with_busy: who is in delivery counts by his state, too */
static bool has_state(const struct sp_queue_entry *e, int state, bool with_busy)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct sp_queue_rcpt *r = &e->rcpts[i];
        bool is_frozen = state == SP_QUEUE_FROZEN && sp_queue_entry_is_frozen(e, r);

        if (sp_queue_state_fits(state, &r->r, r->busy && !with_busy, is_frozen))
            return true;
    }
    return state < 0;
}

static bool goes_there(const struct sp_queue_query *query, const struct sp_queue_entry *e)
{
    for (size_t i = 0; query->goes_there != NULL && i < e->count; i++) {
        const struct sp_queue_rcpt *r = &e->rcpts[i];
        struct sp_bytes name = sp_queue_entry_destination(e, r);

        if (name.len > 0 &&
            query->goes_there(query->arg, name, sp_line_handle(e->groups[r->group].item.line)))
            return true;
    }
    return query->goes_there == NULL;
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
           query->tenant.len + query->rule.len == 0 && query->goes_there == NULL;
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

/* Visits one if it matches, and is still there. returns: whether it did */
static bool visit_one(struct sp_queue *q, const struct sp_queue_query *query,
                      const struct sp_id *id)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    SP_AUTO(sp_queue_message) m = NULL;

    if (e == NULL)
        return false;
    if (e->quarantined || query->quarantined_only)
        return e->quarantined && visit_damaged(query, e);
    if (!has_state(e, query->state, false) || sp_queue_entry_load(q, e, &m) != SP_OK ||
        !matches(query, &m->accept))
        return false;
    query->visit(query->arg, m);
    return true;
}

/* What can be said of one without its record. */
static bool may_match(const struct sp_queue_listing *l, const struct sp_queue_entry *e)
{
    const struct sp_queue_query *query = &l->query;

    if (e->quarantined || query->quarantined_only)
        return e->quarantined && (query->quarantined_only || asks_nothing(query));
    return has_state(e, query->state, l->with_busy) &&
           sp_queue_sieve_passes(&e->sieve, &l->wanted) && goes_there(query, e);
}

static void look_at(void *arg, void *value)
{
    const struct sp_queue_entry *e = value;
    struct sp_queue_listing *l = arg;

    if ((compare(&e->id, &l->query.after) > 0 || (l->with_none && sp_id_is_zero(&e->id))) &&
        may_match(l, e))
        offer(l, &e->id);
}

/* returns: whether there is more of the index */
static bool look_on(struct sp_queue_listing *l)
{
    if (sp_map_walk(l->q->entries, &l->walk, LOOK_PLACES, look_at, l))
        return true;
    qsort(l->at, l->count, sizeof(*l->at), compare_ids);
    return false;
}

static struct sp_queue_listing *listing_new(struct sp_queue *q, const struct sp_queue_query *query,
                                            size_t room)
{
    struct sp_queue_listing *l = sp_calloc(1, sizeof(*l));

    l->q = q;
    l->query = *query;
    l->room = room;
    l->at = sp_calloc(room, sizeof(*l->at));
    sp_queue_sieve_ask(query, &l->wanted);
    return l;
}

struct sp_queue_listing *sp_queue_ids_new(struct sp_queue *q, int state, const struct sp_id *after,
                                          size_t max)
{
    const struct sp_queue_query query = {.state = state, .after = *after};
    struct sp_queue_listing *l =
        listing_new(q, &query, max < SP_QUEUE_IDS_MAX ? max : SP_QUEUE_IDS_MAX);

    l->with_busy = true; /* nobody asks again for those that are changed at this moment */
    return l;
}

bool sp_queue_ids_step(struct sp_queue_listing *l)
{
    return look_on(l);
}

size_t sp_queue_ids(const struct sp_queue_listing *l, struct sp_id *out)
{
    memcpy(out, l->at, l->count * sizeof(*out));
    return l->count;
}

/* ---- a page ---- */

struct sp_queue_listing *sp_queue_listing_new(struct sp_queue *q,
                                              const struct sp_queue_query *query)
{
    struct sp_queue_listing *l = listing_new(q, query, EXAMINED_MAX);

    l->with_none = sp_id_is_zero(&query->after);
    return l;
}

void sp_queue_listing_free(struct sp_queue_listing *l)
{
    if (l == NULL)
        return;
    sp_free(l->at);
    sp_free(l);
}

bool sp_queue_listing_step(struct sp_queue_listing *l)
{
    size_t end = l->next + READ_STEP;

    if (!l->is_read) {
        l->is_read = !look_on(l);
        return true;
    }
    for (; l->next < end && l->next < l->count && l->visited < l->query.limit; l->next++)
        l->visited += visit_one(l->q, &l->query, &l->at[l->next]);
    return l->next < l->count && l->visited < l->query.limit;
}

bool sp_queue_listing_more(const struct sp_queue_listing *l, struct sp_id *last)
{
    *last = sp_queue_list_behind(l->next > 0 ? &l->at[l->next - 1] : &l->query.after);
    return l->more || l->next < l->count;
}

struct sp_id sp_queue_list_behind(const struct sp_id *last)
{
    struct sp_id after = *last;

    if (sp_id_is_zero(last))
        after.b[SP_ID_LEN - 1] = 1;
    return after;
}

bool sp_queue_list(struct sp_queue *q, const struct sp_queue_query *query, struct sp_id *last)
{
    SP_AUTO(sp_queue_listing) l = sp_queue_listing_new(q, query);

    while (sp_queue_listing_step(l))
        ;
    return sp_queue_listing_more(l, last);
}
