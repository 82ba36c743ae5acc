/*
 * A message whose record is damaged is put on record as held, with the reason, as one whose body can't be read is: else the
 * audit would know of its acceptance and of nothing more. It is a HOLD like a person's, so that a restart knows that it was
 * told, and the ledger how the recipients stand. Told again after a release, which only somebody can have asked for who did
 * not know. Where not even the id can be read, audit.gap says so instead; one entry then stands for all that is lost so, and what is
 * put on record about it, also that it is given up, names the segments that it knows of: of one that is lost later nobody knew.
 */
#include "queue/check.h"
#include "queue/queue_priv.h"

#include "base/text.h"

enum { EVENT_LEN_MAX = 1024 };

#define REASON "content.damaged"

bool sp_queue_act_tells_damage(uint8_t type, const struct sp_act *act)
{
    return type == SP_RECORD_HOLD && sp_bytes_eq(act->reason, SP_LIT(REASON));
}

void sp_queue_note_lost(struct sp_queue *q, uint64_t segment)
{
    if (segment == q->lost_to || q->lost_count == SP_RECORD_RECIPIENTS_MAX)
        return;
    if (q->lost_count == q->lost_cap) {
        q->lost_cap = q->lost_cap == 0 ? 16 : q->lost_cap * 2;
        q->lost = sp_realloc(q->lost, q->lost_cap * sizeof(*q->lost));
        q->lost_low = sp_realloc(q->lost_low, q->lost_cap * sizeof(*q->lost_low));
    }
    q->lost[q->lost_count] = segment;
    q->lost_low[q->lost_count++] = (uint16_t)segment;
    q->lost_to = segment;
}

size_t sp_queue_lost(const struct sp_queue *q, const uint64_t **out)
{
    *out = q->lost;
    return q->lost_count;
}

void sp_queue_act_put_lost(const struct sp_queue *q, struct sp_act *act)
{
    if (!sp_id_is_zero(&act->id))
        return;
    act->ns = q->lost_low;
    act->n_count = q->lost_count;
}

static bool names(const struct sp_act *act, uint16_t n)
{
    for (size_t i = 0; i < act->n_count; i++)
        if (act->ns[i] == n)
            return true;
    return false;
}

bool sp_queue_act_knows_lost(const struct sp_queue *q, const struct sp_act *act)
{
    bool all = true;

    for (size_t i = 0; sp_id_is_zero(&act->id) && act->n_count > 0 && i < q->lost_count; i++)
        all = all && names(act, q->lost_low[i]);
    return all;
}

static void put_event(const struct sp_queue_entry *e, struct sp_buf *out)
{
    bool has_id = !sp_id_is_zero(&e->id);
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", has_id ? "message.held" : "audit.gap");
    if (e->group_count > 0)
        sp_jw_text(&w, "tenant", sp_line_look(e->groups[0].item.line).tenant);
    if (has_id)
        sp_jw_id(&w, "message", e->id.b);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_cstr(&w, "id", "queue");
    sp_jw_end(&w);
    sp_jw_cstr(&w, "reason", has_id ? REASON : "journal-damaged");
    sp_jw_end(&w);
}

static void told(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct sp_queue *q = p->queue;
    struct sp_queue_entry *e = sp_queue_entry_find(q, &a->message);
    struct sp_act act;

    sp_arena_reset(q->arena);
    if (e != NULL && rc == SP_OK && sp_act_decode(a->meta, q->arena, &act) == SP_OK) {
        sp_queue_apply_act(q, e, SP_RECORD_HOLD, &act);
        (void)sp_queue_entry_settle(q, e);
    }
    sp_queue_pending_free(
        p); /* HAPPENED: fails only at closing, and is told after the next start */
}

void sp_queue_tell_damage(struct sp_queue *q, struct sp_queue_entry *e)
{
    struct sp_act act = {.id = e->id, .time_ms = sp_clock_wall_ms(q->o.clock)};
    struct sp_queue_pending *p;
    struct sp_bytes event;
    struct sp_buf text;
    enum sp_rc rc;

    if (e->damage_told || q->journal == NULL || q->o.read_only)
        return;
    e->damage_told = true;
    sp_buf_init(&text, EVENT_LEN_MAX);
    put_event(e, &text);
    event = sp_buf_bytes(&text);
    act.reason = SP_LIT(REASON);
    act.audit = (struct sp_audit_list){&event, sp_buf_rc(&text) == SP_OK ? 1 : 0};
    sp_queue_act_put_lost(q, &act);
    p = sp_queue_pending_new(q, NULL, NULL);
    rc = sp_act_encode(&act, &p->meta);
    sp_buf_clear(&text);
    if (rc != SP_OK) {
        sp_queue_pending_free(p);
        return;
    }
    p->append.type = SP_RECORD_HOLD;
    p->append.class = SP_JOURNAL_HAPPENED;
    p->append.message = e->id;
    p->append.meta = sp_buf_bytes(&p->meta);
    p->append.done = told;
    sp_journal_append(q->journal, &p->append);
}

void sp_queue_tell_damages(struct sp_queue *q)
{
    struct sp_bytes key;
    size_t at = 0;
    void *entry;

    if (q->stats.quarantined == 0)
        return;
    while (sp_map_next(q->entries, &at, &key, &entry))
        if (((struct sp_queue_entry *)entry)->quarantined)
            sp_queue_tell_damage(q, entry);
}
