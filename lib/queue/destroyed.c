/*
 * What is told when a segment's key has gone: which messages can no longer be read by anybody. The ids are gathered from
 * the segment itself, on the journal's worker, so that nothing has to be kept for settled mail. A message that was carried
 * has its key in a later segment too, and is told of when that one goes; after a crash that later one may be among those whose
 * key has gone, which no fold reads, so what they hold is gone through before any is told of. The events of a segment stand in an order that
 * its file gives, so that after a crash the number of those on record says where to go on; the file goes behind the last.
 */
#include "queue/queue_priv.h"

#include "base/text.h"

#include <stdio.h>

enum { EVENTS_MAX = 500, EVENT_LEN_MAX = 1024, KEY_MAX = 40 };

#define KEY_PREFIX "segment-"

/* thread: the journal's worker: nothing of the queue may be touched */
void sp_queue_on_going(void *arg, const struct sp_journal_entry *e, struct sp_buf *notes)
{
    struct sp_arena *arena = sp_arena_new(4096);
    const struct sp_accept *found[2] = {NULL, NULL};
    struct sp_accept accept;
    struct sp_outcome outcome;
    struct sp_carry carry;

    (void)arg;
    if (e->type == SP_RECORD_ACCEPT && sp_accept_decode(e->meta, arena, &accept) == SP_OK) {
        found[0] = &accept;
        found[1] = accept.child;
    } else if (e->type == SP_RECORD_OUTCOME &&
               sp_outcome_decode(e->meta, arena, &outcome) == SP_OK) {
        found[0] = outcome.child;
    } else if (e->type == SP_RECORD_CARRY && sp_carry_decode(e->meta, arena, &carry) == SP_OK) {
        found[0] = &carry.accept;
    }
    for (size_t i = 0; i < 2; i++) {
        if (found[i] == NULL)
            continue;
        sp_buf_put_u8(notes, e->type == SP_RECORD_CARRY);
        sp_buf_put(notes, sp_bytes(found[i]->id.b, SP_ID_LEN));
        sp_buf_put_var(notes, found[i]->tenant);
    }
    sp_arena_free(arena);
}

static void note(struct sp_map *map, struct sp_bytes key, uint64_t value)
{
    uint64_t *at = sp_map_find(map, key);

    if (at == NULL) {
        at = sp_calloc(1, sizeof(*at));
        (void)sp_map_put(map, key, at);
    }
    *at = value;
}

void sp_queue_note_carried(struct sp_queue *q, const struct sp_id *id, uint64_t into)
{
    note(q->carried, sp_bytes(id->b, SP_ID_LEN), into);
}

/* Reads one of what on_going wrote. returns: false at the end */
static bool next_note(struct sp_reader *r, bool *is_carried, struct sp_bytes *id,
                      struct sp_bytes *tenant)
{
    if (sp_reader_left(r) == 0)
        return false;
    *is_carried = sp_reader_u8(r) != 0;
    *id = sp_reader_take(r, SP_ID_LEN);
    *tenant = sp_reader_var(r, EVENT_LEN_MAX);
    return sp_reader_rc(r) == SP_OK;
}

void sp_queue_on_noted(void *arg, uint64_t segment, struct sp_bytes notes)
{
    struct sp_queue *q = arg;
    struct sp_reader r = sp_reader(notes);
    struct sp_bytes id;
    struct sp_bytes tenant;
    bool is_carried;

    while (next_note(&r, &is_carried, &id, &tenant)) {
        const uint64_t *into = is_carried ? sp_map_find(q->carried, id) : NULL;

        if (is_carried && (into == NULL || *into < segment))
            note(q->carried, id, segment);
    }
}

void sp_queue_note_told(struct sp_queue *q, const struct sp_act *act)
{
    const uint64_t *before = sp_map_find(q->told, act->reason);

    if (act->reason.len > 0)
        note(q->told, act->reason, act->audit.count + (before == NULL ? 0 : *before));
}

#define TOLD 0 /* in place of the segment, while a segment is told of: of this one */

/* Whether the message has its key in a later segment, or has been told of with this one, in which it may lie twice. */
static bool lives_on(struct sp_queue *q, struct sp_bytes id, uint64_t segment)
{
    uint64_t *into = sp_map_find(q->carried, id);

    if (into == NULL)
        return false;
    if (*into == TOLD || *into > segment)
        return true;
    *into = TOLD;
    return false;
}

/* The notes of those end that were told of. */
static void drop_told(struct sp_queue *q, struct sp_bytes notes)
{
    struct sp_reader r = sp_reader(notes);
    struct sp_bytes tenant;
    struct sp_bytes id;
    bool is_carried;

    while (next_note(&r, &is_carried, &id, &tenant)) {
        const uint64_t *into = sp_map_find(q->carried, id);

        if (into != NULL && *into == TOLD)
            sp_free(sp_map_remove(q->carried, id));
    }
}

/* The records that tell of one segment. */
struct telling {
    struct sp_queue *queue;
    uint64_t segment;
    uint64_t skip; /* events that are on record already */
    size_t open;   /* records on their way, and one for being made */
    bool failed;
    char key[KEY_MAX];
    struct sp_bytes events[EVENTS_MAX];
    size_t count;
    struct sp_arena *arena;
};

static void record_ended(struct telling *t, enum sp_rc rc)
{
    struct sp_queue *q = t->queue;
    uint64_t segment = t->segment;
    bool all;

    t->failed = t->failed || rc != SP_OK;
    if (--t->open > 0)
        return;
    all = !t->failed;
    sp_arena_free(t->arena);
    sp_free(t);
    if (all && q->journal != NULL)
        sp_journal_told(q->journal, segment);
}

static void destroyed_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct telling *t = p->arg;

    sp_queue_pending_free(p);
    record_ended(t, rc); /* HAPPENED: fails only at closing, and is told after the next start */
}

/* Appends one record of the events gathered. */
static void append(struct telling *t)
{
    struct sp_queue *q = t->queue;
    struct sp_queue_pending *p = sp_queue_pending_new(q, NULL, t);
    struct sp_act act = {.time_ms = sp_clock_wall_ms(q->o.clock),
                         .reason = sp_bytes_cstr(t->key),
                         .audit = {t->events, t->count}};
    enum sp_rc rc = sp_act_encode(&act, &p->meta);

    t->count = 0;
    sp_arena_reset(t->arena);
    if (rc != SP_OK) {
        sp_queue_pending_free(p);
        t->failed = true;
        return;
    }
    t->open++;
    p->append.type = SP_RECORD_DESTROYED;
    p->append.class = SP_JOURNAL_HAPPENED;
    p->append.meta = sp_buf_bytes(&p->meta);
    p->append.done = destroyed_done;
    sp_journal_append(q->journal, &p->append);
}

static struct sp_bytes event_of(struct sp_arena *arena, struct sp_bytes id, struct sp_bytes tenant,
                                const char *key)
{
    struct sp_buf text;
    struct sp_jw w;
    struct sp_bytes out;

    sp_buf_init(&text, EVENT_LEN_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "content.destroyed");
    sp_jw_text(&w, "tenant", tenant);
    sp_jw_id(&w, "message", id.ptr);
    sp_jw_cstr(&w, "key", key);
    sp_jw_cstr(&w, "how", "key-destroyed");
    sp_jw_end(&w);
    out = sp_arena_copy(arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return out;
}

static struct telling *telling_new(struct sp_queue *q, uint64_t segment)
{
    struct telling *t = sp_calloc(1, sizeof(*t));
    uint64_t *told;

    t->queue = q;
    t->segment = segment;
    t->open = 1;
    t->arena = sp_arena_new(16384);
    (void)snprintf(t->key, sizeof(t->key), KEY_PREFIX "%llu", (unsigned long long)segment);
    told = sp_map_remove(q->told, sp_bytes_cstr(t->key));
    t->skip = told == NULL ? 0 : *told;
    sp_free(told);
    return t;
}

void sp_queue_on_gone(void *arg, uint64_t segment, struct sp_bytes notes)
{
    struct sp_queue *q = arg;
    struct sp_reader r = sp_reader(notes);
    struct sp_bytes tenant;
    struct sp_bytes id;
    struct telling *t;
    bool is_carried;

    if (q->journal == NULL) /* closing: told after the next start */
        return;
    t = telling_new(q, segment);
    while (next_note(&r, &is_carried, &id, &tenant)) {
        if (lives_on(q, id, segment))
            continue;
        if (t->skip > 0) {
            t->skip--;
            continue;
        }
        t->events[t->count++] = event_of(t->arena, id, tenant, t->key);
        if (t->count == EVENTS_MAX)
            append(t);
    }
    drop_told(q, notes);
    if (t->count > 0)
        append(t);
    record_ended(t, SP_OK);
}
