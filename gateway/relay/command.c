/*
 * What an administrator asks of the queue. Reading answers at once from the index and the records; a change goes through
 * the queue's own road for acts, so that it is in the journal, with actor and reason, before anybody is told that it is
 * done. Asking twice does no harm.
 *
 *     {"command": "queue.list", "state": "held", "sender": T, "recipient": T, "tenant": T, "rule": R, "after": ID,
 *      "limit": N}                                         -> {"messages": [...], "next": ID or null}
 *     {"command": "queue.show", "message": ID}             -> {"message": {...}}
 *     {"command": "queue.stats"}                           -> {"messages": N, "pending": N, ...}
 *     {"command": "queue.hold", "message": ID, "n": [0], "until": TIME, "reason": TEXT}
 *     {"command": "queue.release" | "queue.retry" | "queue.delete", "message": ID, "n": [0], "reason": TEXT}
 *                                                          -> {"message": ID, "done": "release"}
 */
#include "gateway/relay/relay.h"

#include "base/text.h"
#include "jobs/command.h"
#include "json/json.h"
#include "policy/ladder.h"

#define REPLY_MAX     ((size_t)4 << 20)
#define PAGE_BYTES    ((size_t)2 << 20) /* a page ends when it is so long */
#define PAGE_MESSAGES 1000
#define NS_MAX        SP_RECORD_RECIPIENTS_MAX
#define EVENT_MAX     (256 * 1024)

void relay_reply_json(struct sp_jobs_job *job, enum sp_rc rc, const struct sp_buf *json)
{
    struct sp_jobs_command_reply reply = {.json = sp_buf_bytes(json)};
    struct sp_buf out;

    sp_buf_init(&out, SP_JOBS_COMMAND_MAX + 64);
    if (sp_buf_rc(json) != SP_OK)
        rc = SP_E_LIMIT;
    sp_jobs_command_reply_encode(&out, &reply);
    sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), NULL, 0);
    sp_buf_clear(&out);
}

void relay_reply_error(struct sp_jobs_job *job, enum sp_rc rc, const char *detail)
{
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, 4096);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "error", sp_rc_name(rc));
    sp_jw_cstr(&w, "detail", detail);
    sp_jw_end(&w);
    relay_reply_json(job, rc, &json);
    sp_buf_clear(&json);
}

/* ---- reading ---- */

static void put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char text[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, text);
    sp_jw_cstr(w, key, ms == 0 ? NULL : text);
}

static void put_recipient(const struct sp_queue_message *m, size_t n, struct sp_jw *w)
{
    const struct sp_accept_recipient *r = &m->accept.recipients[n];
    const struct sp_accept_decision *d = &m->accept.decisions[r->decision];
    const struct sp_rcpt *state = &m->rcpts[n];
    bool final = sp_rcpt_state_is_final(state->state);

    sp_jw_object(w, NULL);
    sp_jw_int(w, "n", (int64_t)n);
    sp_jw_text(w, "address", r->address);
    sp_jw_cstr(w, "state", m->busy[n] ? "in-delivery" : sp_rcpt_state_name(state->state));
    sp_jw_text(w, "rule", d->rule);
    sp_jw_cstr(w, "floor",
               d->floor < SP_FLOOR_COUNT ? sp_floor_name((enum sp_floor)d->floor) : NULL);
    sp_jw_cstr(w, "rung",
               state->rung < SP_RUNG_COUNT ? sp_rung_name((enum sp_rung)state->rung) : NULL);
    sp_jw_int(w, "attempts", state->attempts);
    put_time(w, "next", final ? 0 : state->next_at_ms);
    sp_jw_int(w, "smtp", state->smtp);
    sp_jw_cstr(w, "why",
               state->why != 0 && state->why < SP_RC_COUNT ? sp_rc_name((enum sp_rc)state->why)
                                                           : NULL);
    put_time(w, "expires", d->expire_at_ms);
    sp_jw_end(w);
}

static void put_message(const struct sp_queue_message *m, const char *key, struct sp_jw *w)
{
    const struct sp_accept *a = &m->accept;

    sp_jw_object(w, key);
    sp_jw_id(w, "id", a->id.b);
    put_time(w, "accepted", a->time_ms);
    sp_jw_cstr(w, "kind", sp_accept_kind_name(a->kind));
    sp_jw_text(w, "tenant", a->tenant);
    sp_jw_text(w, "sender", a->sender);
    sp_jw_int(w, "size", (int64_t)a->body_len);
    sp_jw_text(w, "message_id", a->message_id);
    sp_jw_text(w, "policy", a->policy);
    sp_jw_text(w, "phi", a->phi);
    sp_jw_bool(w, "possibly_attempted", m->possibly_attempted);
    sp_jw_array(w, "recipients");
    for (size_t n = 0; n < a->recipient_count; n++)
        put_recipient(m, n, w);
    sp_jw_end(w);
    sp_jw_end(w);
}

struct page {
    struct sp_jw w;
    struct sp_buf json;
    size_t count;
    size_t limit;
    struct sp_id last;
    bool is_full;
};

static void on_message(void *arg, const struct sp_queue_message *m)
{
    struct page *page = arg;

    if (page->count >= page->limit || page->json.len > PAGE_BYTES) {
        page->is_full = true;
        return;
    }
    put_message(m, NULL, &page->w);
    page->last = m->accept.id;
    page->count++;
}

static int find_state(struct sp_bytes name)
{
    for (int i = 0; i < SP_RCPT_STATE_COUNT; i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(sp_rcpt_state_name((uint8_t)i))))
            return i;
    }
    return -1;
}

/* Lists what comes behind query->after, until the end or until the page is full. returns: whether there may be more */
static bool list(struct sp_queue *q, struct sp_queue_query *query, struct page *page)
{
    bool more = true;

    while (more && !page->is_full) {
        struct sp_id last = query->after;

        more = sp_queue_list(q, query, &last);
        query->after = last;
        if (page->count >= page->limit)
            return more || page->is_full;
    }
    return page->is_full;
}

struct question {
    const struct sp_json *ask;
    struct sp_bytes actor;
    struct sp_jobs_job *job;
};

static bool read_query(const struct question *q, struct sp_queue_query *query)
{
    struct sp_bytes state = sp_json_text_of(q->ask, "state");
    struct sp_bytes after = sp_json_text_of(q->ask, "after");

    query->state = state.len == 0 ? -1 : find_state(state);
    query->sender = sp_json_text_of(q->ask, "sender");
    query->recipient = sp_json_text_of(q->ask, "recipient");
    query->tenant = sp_json_text_of(q->ask, "tenant");
    query->rule = sp_json_text_of(q->ask, "rule");
    query->limit = (size_t)sp_json_int_of(q->ask, "limit", PAGE_MESSAGES - 1) + 1;
    if (state.len > 0 && query->state < 0)
        return false;
    return after.len == 0 || sp_id_parse(after, &query->after);
}

static void on_list(struct relay *r, const struct question *q)
{
    int64_t limit = sp_json_int_of(q->ask, "limit", PAGE_MESSAGES);
    struct sp_queue_query query = {.visit = on_message};
    struct page page = {.limit = PAGE_MESSAGES};
    bool more;

    if (!read_query(q, &query) || limit < 1 || limit > PAGE_MESSAGES) {
        relay_reply_error(q->job, SP_E_USAGE, "state, after or limit is none");
        return;
    }
    page.limit = (size_t)limit;
    query.arg = &page;
    sp_buf_init(&page.json, REPLY_MAX);
    sp_jw_init(&page.w, &page.json);
    sp_jw_object(&page.w, NULL);
    sp_jw_array(&page.w, "messages");
    more = list(r->queue, &query, &page);
    sp_jw_end(&page.w);
    if (more && page.count > 0)
        sp_jw_id(&page.w, "next", page.last.b);
    else
        sp_jw_null(&page.w, "next");
    sp_jw_end(&page.w);
    relay_reply_json(q->job, SP_OK, &page.json);
    sp_buf_clear(&page.json);
}

/* Loads a message from whichever of the relay's shards has it. returns: that shard, NULL if none has */
static struct relay *load_from_any(struct relay *r, const struct sp_id *id,
                                   struct sp_queue_message **m)
{
    while (r != NULL && sp_queue_load(r->queue, id, m) != SP_OK)
        r = r->left;
    return r;
}

static void on_show(struct relay *r, const struct question *q)
{
    SP_AUTO(sp_queue_message) m = NULL;
    struct sp_buf json;
    struct sp_jw w;
    struct sp_id id;

    if (!sp_id_parse(sp_json_text_of(q->ask, "message"), &id)) {
        relay_reply_error(q->job, SP_E_USAGE, "message: no message id");
        return;
    }
    if (load_from_any(r, &id, &m) == NULL) {
        relay_reply_error(q->job, SP_E_NOT_FOUND, "no such message in the queue");
        return;
    }
    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    put_message(m, "message", &w);
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void on_stats(struct relay *r, const struct question *q)
{
    struct sp_queue_stats stats = sp_queue_stats(r->queue);
    enum sp_rc ready = sp_queue_ready(r->queue);
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "accepts", ready == SP_OK ? "yes" : sp_rc_name(ready));
    sp_jw_int(&w, "messages", (int64_t)stats.messages);
    sp_jw_int(&w, "pending", (int64_t)stats.recipients_pending);
    sp_jw_int(&w, "held", (int64_t)stats.recipients_held);
    sp_jw_int(&w, "in_delivery", (int64_t)stats.recipients_busy);
    sp_jw_int(&w, "quarantined", (int64_t)stats.quarantined);
    sp_jw_int(&w, "bytes", (int64_t)stats.disk_len);
    sp_jw_int(&w, "records", (int64_t)stats.journal.records);
    sp_jw_int(&w, "batches", (int64_t)stats.journal.batches);
    sp_jw_int(&w, "syncs", (int64_t)stats.journal.syncs);
    sp_jw_int(&w, "failures", (int64_t)stats.journal.failures);
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

/* ---- changing ---- */

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
};

struct change {
    struct relay *relay;
    struct sp_jobs_job *job;
    const struct kind *kind;
    struct sp_id id;
};

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
        sp_buf_init(&json, 4096);
        sp_jw_init(&w, &json);
        sp_jw_object(&w, NULL);
        sp_jw_id(&w, "message", change->id.b);
        sp_jw_cstr(&w, "done", change->kind->name);
        sp_jw_end(&w);
        relay_reply_json(change->job, SP_OK, &json);
        sp_buf_clear(&json);
        relay_delivery_poke(change->relay);
    }
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

static void put_event(const struct question *q, const struct kind *kind,
                      const struct sp_queue_message *m, const struct sp_act *act,
                      struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", kind->event);
    sp_jw_text(&w, "tenant", m->accept.tenant);
    sp_jw_id(&w, "message", m->accept.id.b);
    put_ns(m, kind->record, act, &w);
    sp_jw_cstr(&w, "act", kind->command);
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    if (act->reason.len > 0)
        sp_jw_text(&w, "reason", act->reason);
    put_time(&w, "until", act->next_at_ms);
    sp_jw_end(&w);
}

/* returns: false if "n" is no list of recipients of this message */
static bool read_ns(const struct question *q, const struct sp_queue_message *m, struct sp_act *act)
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

static const char *read_act(const struct question *q, const struct kind *kind,
                            const struct sp_queue_message *m, struct sp_act *act)
{
    struct sp_bytes until = sp_json_text_of(q->ask, "until");

    act->reason = sp_json_text_of(q->ask, "reason");
    if (kind->reason_needed && sp_bytes_trim(act->reason).len == 0)
        return "reason: needed, it is part of the audit record";
    if (!read_ns(q, m, act))
        return "n: recipients of this message by their numbers";
    if (kind->record != SP_RECORD_HOLD)
        act->next_at_ms = 0;
    else if (until.len > 0 && !sp_time_parse_rfc3339(until, &act->next_at_ms))
        return "until: a time like 2026-11-23T15:04:05Z";
    return NULL;
}

static void change(struct relay *r, const struct question *q, const struct kind *kind)
{
    SP_AUTO(sp_queue_message) m = NULL;
    struct sp_act act = {.time_ms = sp_clock_wall_ms(sp_loop_clock(r->loop))};
    struct sp_bytes event;
    struct change *change;
    bool found;
    const char *wrong;
    struct sp_buf text;

    if (!sp_id_parse(sp_json_text_of(q->ask, "message"), &act.id)) {
        relay_reply_error(q->job, SP_E_USAGE, "message: no message id");
        return;
    }
    r = load_from_any(r, &act.id, &m);
    found = r != NULL;
    wrong = found ? read_act(q, kind, m, &act) : "no such message in the queue";
    if (wrong != NULL) {
        relay_reply_error(q->job, found ? SP_E_USAGE : SP_E_NOT_FOUND, wrong);
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
        sp_queue_act(r->queue, kind->record, &act, on_changed, change);
    }
    sp_buf_clear(&text);
}

/* ---- dispatch ---- */

static void run(struct relay *r, const struct question *q)
{
    struct sp_bytes name = sp_json_text_of(q->ask, "command");

    if (sp_bytes_eq(name, SP_LIT("queue.list"))) {
        on_list(r, q);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("queue.stats"))) {
        on_stats(r, q);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("probe"))) {
        relay_probe_start(r, q->job, q->ask);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("queue.show"))) {
        on_show(r, q);
        return;
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(kinds[i].command))) {
            change(r, q, &kinds[i]);
            return;
        }
    }
    relay_reply_error(q->job, SP_E_UNSUPPORTED, "no such command");
}

static void on_command(void *arg, struct sp_jobs_job *job)
{
    struct sp_jobs_command_request request;
    SP_AUTO(sp_json_doc) doc = NULL;
    struct question q = {.job = job};

    if (sp_jobs_command_request_decode(sp_jobs_job_payload(job), &request) != SP_OK ||
        sp_json_parse(request.json, NULL, &doc, NULL) != SP_OK) {
        relay_reply_error(job, SP_E_MALFORMED, "no command");
        return;
    }
    q.ask = sp_json_root(doc);
    q.actor = request.actor;
    run(arg, &q);
}

void relay_command_serve(struct relay *r)
{
    sp_jobs_serve(r->jobs, SP_JOBS_COMMAND, on_command, r);
}
