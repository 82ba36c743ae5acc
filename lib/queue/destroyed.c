/*
 * What is told when a segment's key has gone: which messages can no longer be read by anybody. The ids are gathered from
 * the segment itself before its key goes, on the journal's worker, so that nothing has to be kept for settled mail. A
 * message that was carried has its key in a later segment too, and is told of when that one goes.
 */
#include "queue/queue_priv.h"

#include "base/text.h"

#include <stdio.h>

enum { EVENTS_MAX = 500, EVENT_LEN_MAX = 1024, KEY_MAX = 40 };

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
        sp_buf_put(notes, sp_bytes(found[i]->id.b, SP_ID_LEN));
        sp_buf_put_var(notes, found[i]->tenant);
    }
    sp_arena_free(arena);
}

void sp_queue_note_carried(struct sp_queue *q, const struct sp_id *id, uint64_t from)
{
    struct sp_bytes key = sp_bytes(id->b, SP_ID_LEN);
    uint64_t *segment = sp_map_find(q->carried, key);

    if (segment == NULL) {
        segment = sp_calloc(1, sizeof(*segment));
        (void)sp_map_put(q->carried, key, segment);
    }
    *segment = from;
}

/* Whether the message was carried out of that segment; the note of it ends here. */
static bool was_carried(struct sp_queue *q, struct sp_bytes id, uint64_t segment)
{
    const uint64_t *from = sp_map_find(q->carried, id);

    if (from == NULL || *from != segment)
        return false;
    sp_free(sp_map_remove(q->carried, id));
    return true;
}

static void ignore(void *arg, enum sp_rc rc)
{
    (void)arg;
    (void)rc;
}

static void destroyed_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;

    (void)rc; /* HAPPENED: fails only with the whole shard */
    sp_queue_pending_free(p);
}

/* One record of up to EVENTS_MAX events. */
static void append(struct sp_queue *q, const struct sp_audit_list *events)
{
    struct sp_queue_pending *p = sp_queue_pending_new(q, ignore, NULL);
    struct sp_act act = {.time_ms = sp_clock_wall_ms(q->o.clock), .audit = *events};

    if (sp_act_encode(&act, &p->meta) != SP_OK) {
        sp_queue_pending_free(p);
        return;
    }
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

void sp_queue_on_gone(void *arg, uint64_t segment, struct sp_bytes notes)
{
    struct sp_queue *q = arg;
    struct sp_reader r = sp_reader(notes);
    struct sp_arena *arena = sp_arena_new(16384);
    struct sp_bytes *events = sp_calloc(EVENTS_MAX, sizeof(*events));
    struct sp_audit_list list = {events, 0};
    char key[KEY_MAX];

    (void)snprintf(key, sizeof(key), "segment-%llu", (unsigned long long)segment);
    while (q->journal != NULL && sp_reader_left(&r) > 0) {
        struct sp_bytes id = sp_reader_take(&r, SP_ID_LEN);
        struct sp_bytes tenant = sp_reader_var(&r, EVENT_LEN_MAX);

        if (sp_reader_rc(&r) != SP_OK)
            break;
        if (was_carried(q, id, segment))
            continue;
        events[list.count++] = event_of(arena, id, tenant, key);
        if (list.count == EVENTS_MAX) {
            append(q, &list);
            list.count = 0;
            sp_arena_reset(arena);
        }
    }
    if (list.count > 0)
        append(q, &list);
    sp_free(events);
    sp_arena_free(arena);
}
