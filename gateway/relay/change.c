/*
 * Acts on messages of the queue: hold, release, retry, delete. Each names the recipients that it changes, as they are
 * chosen now, in one record with its line for the audit.
 *
 *     {"command": "queue.hold", "message": ID, "n": [0], "until": TIME, "reason": TEXT}
 *     {"command": "queue.release" | "queue.retry" | "queue.delete" | "queue.recall", "message": ID, "n": [0], "reason": TEXT}
 *                                          -> {"message": ID, "done": "release", "n": [0]}: who was changed, nobody if it stood so already
 *
 * Of those retried whose host rests, which will hear the same again without an attempt, it is told how many and until when:
 * "rests": {"recipients": N, "until": TIME}. With "now": true the hosts are asked all the same.
 *
 * "queue.would-hold" and so on answer as the act would and change nothing; no reason is needed, and nothing is on record, since
 * whoever asks learns what a list tells. They are commands of their own: a relay of another version, which knows no such
 * wish, refuses them instead of acting.
 */
#include "gateway/relay/command.h"

#include "policy/options.h"
#include "queue/park.h"

#define NS_MAX    SP_RECORD_RECIPIENTS_MAX
#define EVENT_MAX (256 * 1024)

struct kind {
    const char *command;
    const char *name;  /* in the answer and in admin.acted */
    const char *event; /* of the audit */
    uint8_t record;    /* enum sp_record_type */
    bool reason_needed;
};

static const struct kind kinds[] = {
    {"queue.hold", "hold", "message.held", SP_RECORD_HOLD, true},
    {"queue.release", "release", "message.released", SP_RECORD_RELEASE, true},
    {"queue.retry", "retry", "admin.acted", SP_RECORD_RETRY, false},
    {"queue.delete", "delete", "admin.acted", SP_RECORD_DELETE, true},
    {"queue.recall", "recall", "message.recalled", SP_RECORD_DELETE, true},
};

struct change {
    struct relay *relay;
    struct sp_jobs_job *job;
    const struct kind *kind;
    struct sp_id id;
    bool now;
    bool is_whole; /* it is quarantined: nobody knows who its recipients are */
    uint16_t *ns;  /* that it changes */
    size_t n_count;
};

/* Who comes to a host that rests is parked at once: nobody would know why nothing happens. */
static void put_rests(const struct change *c, struct sp_jw *w)
{
    const struct sp_clock *clock = sp_loop_clock(c->relay->loop);
    int64_t first_ms = 0;
    size_t count = 0;

    for (size_t i = 0; i < c->n_count; i++) {
        int64_t until_ms = sp_queue_rests_until(c->relay->queue, &c->id, c->ns[i]);

        count += until_ms != 0;
        if (until_ms != 0 && (first_ms == 0 || until_ms < first_ms))
            first_ms = until_ms;
    }
    if (count == 0)
        return;
    sp_jw_object(w, "rests");
    sp_jw_int(w, "recipients", (int64_t)count);
    relay_put_time(w, "until", first_ms - sp_clock_steady_ms(clock) + sp_clock_wall_ms(clock));
    sp_jw_end(w);
}

static void put_changed(const struct change *c, struct sp_jw *w)
{
    if (c->is_whole)
        return;
    sp_jw_array(w, "n");
    for (size_t i = 0; i < c->n_count; i++)
        sp_jw_int(w, NULL, c->ns[i]);
    sp_jw_end(w);
}

static void on_changed(void *arg, enum sp_rc rc)
{
    struct change *change = arg;
    struct sp_buf json;
    struct sp_jw w;

    if (rc == SP_E_EXISTS) {
        relay_reply_error(change->job, rc, "it is in delivery now: repeat in a moment");
    } else if (rc != SP_OK) {
        relay_reply_error(change->job, rc, "it was not recorded, so it was not done");
    } else {
        sp_buf_init(&json, RELAY_REPLY_MAX);
        sp_jw_init(&w, &json);
        sp_jw_object(&w, NULL);
        sp_jw_id(&w, "message", change->id.b);
        sp_jw_cstr(&w, "done", change->kind->name);
        put_changed(change, &w);
        if (change->now)
            relay_delivery_ask_now(change->relay, &change->id, change->n_count);
        else if (change->kind->record == SP_RECORD_RETRY)
            put_rests(change, &w);
        sp_jw_end(&w);
        relay_reply_json(change->job, SP_OK, &json);
        sp_buf_clear(&json);
        relay_delivery_poke(change->relay);
    }
    sp_free(change->ns);
    sp_free(change);
}

/* Recipient n, if the act changes it: what is in delivery now, or does not fit, stays as it is. */
static void put_n(const struct sp_queue_message *m, uint8_t record, size_t n, struct sp_jw *w)
{
    if (!m->busy[n] && sp_queue_act_fits(record, &m->rcpts[n]))
        sp_jw_int(w, NULL, (int64_t)n);
}

static void put_ns(const struct sp_queue_message *m, uint8_t record, const struct sp_act *act,
                   struct sp_jw *w)
{
    sp_jw_array(w, "n");
    for (size_t n = 0; act->n_count == 0 && n < m->accept.recipient_count; n++)
        put_n(m, record, n, w);
    for (size_t i = 0; i < act->n_count; i++)
        put_n(m, record, act->ns[i], w);
    sp_jw_end(w);
}

/* What the answer needs to know of whom it is for. */
static void note_ns(struct change *c, const struct relay_question *q,
                    const struct sp_queue_message *m, const struct sp_act *act)
{
    size_t all = act->n_count > 0 ? act->n_count : m->accept.recipient_count;

    c->is_whole = m->quarantined;
    if (c->is_whole)
        return;
    c->now = c->kind->record == SP_RECORD_RETRY && sp_json_bool_of(q->ask, "now", false);
    c->ns = sp_calloc(all + 1, sizeof(*c->ns));
    for (size_t i = 0; i < all; i++) {
        uint16_t n = act->n_count > 0 ? act->ns[i] : (uint16_t)i;

        if (!m->busy[n] && sp_queue_act_fits(c->kind->record, &m->rcpts[n]))
            c->ns[c->n_count++] = n;
    }
}

static void put_event(const struct relay_question *q, const struct kind *kind,
                      const struct sp_queue_message *m, const struct sp_act *act,
                      struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", kind->event);
    if (!m->quarantined)
        sp_jw_text(&w, "tenant", m->accept.tenant);
    sp_jw_id(&w, "message", m->accept.id.b);
    put_ns(m, kind->record, act, &w);
    sp_jw_cstr(&w, "act", kind->command);
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    if (act->reason.len > 0)
        sp_jw_text(&w, "reason", act->reason);
    relay_put_time(&w, "until", act->next_at_ms);
    sp_jw_end(&w);
}

bool relay_read_ns(const struct relay_question *q, const struct sp_queue_message *m,
                   struct sp_act *act)
{
    const struct sp_json *list = sp_json_find(q->ask, "n");

    if (list == NULL || list->type == SP_JSON_NULL)
        return true;
    if (list->type != SP_JSON_ARRAY || list->count == 0 || list->count > NS_MAX)
        return false;
    act->ns = sp_arena_alloc(m->arena, list->count * sizeof(*act->ns));
    for (const struct sp_json *n = list->first; n != NULL; n = n->next) {
        if (n->type != SP_JSON_INT || n->integer < 0 ||
            n->integer >= (int64_t)m->accept.recipient_count)
            return false;
        act->ns[act->n_count++] = (uint16_t)n->integer;
    }
    return true;
}

/* Only what still waits can be taken back: the recipients on hold. returns: false if there are none */
static bool keep_held(const struct sp_queue_message *m, struct sp_act *act)
{
    size_t count = 0;
    uint16_t *held = sp_arena_alloc(m->arena, (m->accept.recipient_count + 1) * sizeof(*held));

    for (size_t n = 0; !m->quarantined && n < m->accept.recipient_count; n++)
        if (!m->busy[n] && m->rcpts[n].state == SP_RCPT_HELD)
            held[count++] = (uint16_t)n;
    act->ns = held;
    act->n_count = count;
    return count > 0;
}

struct sp_bytes relay_held_for(const struct sp_queue_message *m, size_t n)
{
    const struct sp_accept *a = &m->accept;
    struct sp_bytes group = SP_LIT("");
    struct sp_options *o;

    if (m->quarantined || m->rcpts[n].state != SP_RCPT_HELD || m->rcpts[n].by_hand ||
        a->recipients[n].decision >= a->decision_count)
        return group;
    o = sp_calloc(1, sizeof(*o));
    if (sp_options_read(a->decisions[a->recipients[n].decision].options, m->arena, o) == SP_OK)
        group = o->hold_by;
    sp_free(o);
    return group;
}

bool relay_is_for(const struct relay_question *q, const struct sp_queue_message *m, size_t n)
{
    const struct sp_json *groups = sp_json_find(q->ask, "approver_of");
    struct sp_bytes group;

    if (groups == NULL)
        return true;
    group = relay_held_for(m, n);
    return group.len > 0 && sp_json_find_bytes(groups, group) != NULL;
}

/* Of those asked for (all, if none is named) the ones that this user may act on. returns: false if there are none */
static bool keep_own(const struct relay_question *q, const struct sp_queue_message *m,
                     struct sp_act *act)
{
    size_t count = 0, all = m->accept.recipient_count;
    uint16_t *own = sp_arena_alloc(m->arena, (all + act->n_count + 1) * sizeof(*own));

    if (sp_json_find(q->ask, "approver_of") == NULL)
        return true;
    for (size_t i = 0; i < (act->n_count > 0 ? act->n_count : all); i++) {
        uint16_t n = act->n_count > 0 ? act->ns[i] : (uint16_t)i;

        if (relay_is_for(q, m, n))
            own[count++] = n;
    }
    act->ns = own;
    act->n_count = count;
    return count > 0;
}

static const char *read_act(const struct relay_question *q, const struct kind *kind,
                            const struct sp_queue_message *m, struct sp_act *act)
{
    struct sp_bytes until = sp_json_text_of(q->ask, "until");

    act->reason = sp_json_text_of(q->ask, "reason");
    if (kind->reason_needed && !relay_is_trial(q) && sp_bytes_trim(act->reason).len == 0)
        return "reason: needed, it is part of the audit record";
    if (m->quarantined && kind->record != SP_RECORD_DELETE)
        return "its record is damaged: it can be deleted, nothing else";
    if (!relay_read_ns(q, m, act))
        return "n: recipients of this message by their numbers, as `queue show` has them";
    if (kind->record != SP_RECORD_HOLD)
        act->next_at_ms = 0;
    else if (until.len > 0 && !sp_time_parse_rfc3339(until, &act->next_at_ms))
        return "until: a time like 2026-11-23T15:04:05Z";
    if (until.len > 0 && kind->record == SP_RECORD_HOLD && act->next_at_ms <= act->time_ms)
        return "until: that time is past: it would go back to its sender at once";
    return NULL;
}

/* What would be changed, and what would refuse it (as sp_queue_act chooses). */
static void try_only(const struct relay_question *q, const struct kind *kind,
                     const struct sp_queue_message *m, const struct sp_act *act)
{
    size_t all = act->n_count > 0 ? act->n_count : m->accept.recipient_count;
    struct change c = {.kind = kind, .is_whole = m->quarantined};
    size_t busy = 0;
    struct sp_buf json;
    struct sp_jw w;

    note_ns(&c, q, m, act);
    for (size_t i = 0; i < all && !m->quarantined; i++) {
        uint16_t n = act->n_count > 0 ? act->ns[i] : (uint16_t)i;

        busy += m->busy[n] && sp_queue_act_fits(kind->record, &m->rcpts[n]);
    }
    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_id(&w, "message", m->accept.id.b);
    sp_jw_cstr(&w, "would", kind->name);
    put_changed(&c, &w);
    sp_jw_end(&w);
    if (busy > 0 && c.n_count == 0)
        relay_reply_error(q->job, SP_E_EXISTS, "it is in delivery now: repeat in a moment");
    else
        relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
    sp_free(c.ns);
}

static void change(struct relay *r, const struct relay_question *q, const struct kind *kind)
{
    SP_AUTO(sp_queue_message) m = NULL;
    struct sp_act act = {.time_ms = sp_clock_wall_ms(sp_loop_clock(r->loop))};
    struct sp_bytes event;
    struct change *change;
    bool found;
    const char *wrong;
    struct sp_buf text;

    if (!sp_id_parse(sp_json_text_of(q->ask, "message"), &act.id)) {
        relay_reply_error(q->job, SP_E_USAGE,
                          "message: that is no message's id; trace takes a Message-ID, too");
        return;
    }
    r = relay_load(r, &act.id, &m);
    found = r != NULL;
    wrong = found ? read_act(q, kind, m, &act) : "no such message in the queue";
    if (wrong != NULL) {
        relay_reply_error(q->job, found ? SP_E_USAGE : SP_E_NOT_FOUND, wrong);
        return;
    }
    if (!keep_own(q, m, &act)) {
        relay_reply_error(q->job, SP_E_DENIED, "nothing of it is on hold for a group of yours");
        return;
    }
    if (strcmp(kind->name, "recall") == 0 && !keep_held(m, &act)) {
        relay_reply_error(q->job, SP_E_NOT_FOUND, "nothing of it is on hold any more");
        return;
    }
    if (relay_is_trial(q)) {
        try_only(q, kind, m, &act);
        return;
    }
    if (kind->record == SP_RECORD_RELEASE || kind->record == SP_RECORD_RETRY)
        act.next_at_ms = sp_clock_steady_ms(sp_loop_clock(r->loop));
    sp_buf_init(&text, EVENT_MAX);
    put_event(q, kind, m, &act, &text);
    event = sp_buf_bytes(&text);
    if (sp_buf_rc(&text) != SP_OK) {
        relay_reply_error(q->job, SP_E_LIMIT, "reason: too long");
    } else {
        act.audit = (struct sp_audit_list){.events = &event, .count = 1};
        change = sp_calloc(1, sizeof(*change));
        change->relay = r;
        change->job = q->job;
        change->kind = kind;
        change->id = act.id;
        note_ns(change, q, m, &act);
        sp_queue_act(r->queue, kind->record, &act, on_changed, change);
    }
    sp_buf_clear(&text);
}

bool relay_change(struct relay *r, const struct relay_question *q)
{
    struct sp_bytes name = sp_json_text_of(q->ask, "command");

    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        if (relay_is_about(name, kinds[i].command)) {
            change(r, q, &kinds[i]);
            return true;
        }
    }
    return false;
}
