/*
 * What an administrator asks of the queue. Reading answers at once from the index and the records; a change goes through
 * the queue's own road for acts, so that it is in the journal, with actor and reason, before anybody is told that it is
 * done. Asking twice does no harm. A relay answers for all its shards, those left behind too.
 *
 *     {"command": "queue.list", ...}                       list.c
 *     {"command": "queue.show", "message": ID}             -> {"message": {...}}
 *     {"command": "queue.stats"}                           stats.c
 *     {"command": "queue.sites"}                           -> {"sites": [...], "destinations": [...], "elsewhere": {...}}
 *     {"command": "queue.hold", ...}                       change.c; "queue.would-hold": what it would change
 *     {"command": "queue.freeze", ...}                     order.c
 *     {"command": "queue.count", ...}                      count.c
 *     {"command": "relay.alive"}                           -> {}: its loop runs
 *     {"command": "tenant.seen", "tenant": NAME}           -> {"accepted": {...}, "refused": {...}, "probed": {...}}
 */
#include "gateway/relay/command.h"

#include "jobs/command.h"
#include "policy/ladder.h"

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

void relay_put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char text[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, text);
    sp_jw_cstr(w, key, ms == 0 ? NULL : text);
}

static void put_recipient(struct relay *owner, const struct relay_question *q,
                          const struct sp_queue_message *m, size_t n, struct sp_jw *w)
{
    const struct sp_accept_recipient *r = &m->accept.recipients[n];
    const struct sp_accept_decision *d = &m->accept.decisions[r->decision];
    const struct sp_rcpt *state = &m->rcpts[n];
    bool final = sp_rcpt_state_is_final(state->state);

    sp_jw_object(w, NULL);
    sp_jw_int(w, "n", (int64_t)n);
    sp_jw_text(w, "address", r->address);
    sp_jw_cstr(w, "state", m->busy[n] ? "in-delivery" : sp_rcpt_state_name(state->state));
    sp_jw_bool(w, "frozen", m->frozen[n]);
    sp_jw_text(w, "rule", d->rule);
    sp_jw_cstr(w, "floor",
               d->floor < SP_FLOOR_COUNT ? sp_floor_name((enum sp_floor)d->floor) : NULL);
    sp_jw_cstr(w, "rung",
               state->rung < SP_RUNG_COUNT ? sp_rung_name((enum sp_rung)state->rung) : NULL);
    sp_jw_int(w, "attempts", state->attempts);
    relay_put_time(w, "next", final ? 0 : state->next_at_ms);
    sp_jw_int(w, "smtp", state->smtp);
    sp_jw_cstr(w, "why",
               state->why != 0 && state->why < SP_RC_COUNT ? sp_rc_name((enum sp_rc)state->why)
                                                           : NULL);
    relay_put_time(w, "expires", d->expire_at_ms);
    if (!final)
        relay_put_where(owner, q->ask, &m->accept.id, n, w);
    sp_jw_end(w);
}

void relay_put_message(struct relay *r, const struct relay_question *q,
                       const struct sp_queue_message *m, const char *key, struct sp_jw *w)
{
    const struct sp_accept *a = &m->accept;

    sp_jw_object(w, key);
    sp_jw_id(w, "id", a->id.b);
    if (m->quarantined) { /* nothing else is known of it */
        sp_jw_bool(w, "quarantined", true);
        sp_jw_end(w);
        return;
    }
    relay_put_time(w, "accepted", a->time_ms);
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
        if (relay_is_for(q, m, n))
            put_recipient(r, q, m, n, w);
    sp_jw_end(w);
    sp_jw_end(w);
}

struct relay *relay_load(struct relay *r, const struct sp_id *id, struct sp_queue_message **m)
{
    for (; r != NULL; r = r->left) {
        enum sp_rc rc = sp_queue_load(r->queue, id, m);

        if (rc == SP_E_JOURNAL_DAMAGED)
            *m = sp_queue_message_quarantined(id);
        if (rc == SP_OK || rc == SP_E_JOURNAL_DAMAGED)
            return r;
    }
    return NULL;
}

static void on_show(struct relay *r, const struct relay_question *q)
{
    SP_AUTO(sp_queue_message) m = NULL;
    struct sp_buf json;
    struct sp_jw w;
    struct sp_id id;

    if (!sp_id_parse(sp_json_text_of(q->ask, "message"), &id)) {
        relay_reply_error(q->job, SP_E_USAGE,
                          "message: that is no message's id; trace takes a Message-ID, too");
        return;
    }
    r = relay_load(r, &id, &m);
    if (r == NULL) {
        relay_reply_error(q->job, SP_E_NOT_FOUND, "no such message in the queue");
        return;
    }
    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    relay_put_message(r, q, m, "message", &w);
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void on_seen(const struct relay_question *q, const struct relay *r)
{
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_intake_put_seen(r->intake, sp_json_text_of(q->ask, "tenant"), &w);
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void on_alive(const struct relay_question *q)
{
    struct sp_buf json;

    sp_buf_init(&json, 16);
    sp_buf_put_cstr(&json, "{}");
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

/* ---- dispatch ---- */

#define OF_QUEUE SP_LIT("queue.")
#define TRIAL    SP_LIT("queue.would-")

bool relay_is_trial(const struct relay_question *q)
{
    return sp_bytes_starts_nocase(sp_json_text_of(q->ask, "command"), TRIAL);
}

bool relay_is_about(struct sp_bytes name, const char *command)
{
    struct sp_bytes whole = sp_bytes_cstr(command);

    if (!sp_bytes_starts_nocase(name, TRIAL))
        return sp_bytes_eq(name, whole);
    return sp_bytes_eq(sp_bytes_slice(name, TRIAL.len, SIZE_MAX),
                       sp_bytes_slice(whole, OF_QUEUE.len, SIZE_MAX));
}

static void run(struct relay *r, const struct relay_question *q)
{
    struct sp_bytes name = sp_json_text_of(q->ask, "command");

    if (sp_bytes_eq(name, SP_LIT("relay.alive"))) {
        on_alive(q);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("queue.list"))) {
        relay_list(r, q);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("queue.stats"))) {
        relay_stats(r, q);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("queue.sites"))) {
        relay_sites(r, q);
        return;
    }
    if (sp_bytes_eq(name, SP_LIT("tenant.seen"))) {
        on_seen(q, r);
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
    if (sp_bytes_eq(name, SP_LIT("queue.count"))) {
        relay_count(r, q);
        return;
    }
    if (relay_is_about(name, "queue.redirect")) {
        relay_redirect(r, q);
        return;
    }
    if (relay_change(r, q) || relay_order(r, q))
        return;
    relay_reply_error(q->job, SP_E_UNSUPPORTED, "no such command");
}

static void on_command(void *arg, struct sp_jobs_job *job)
{
    struct sp_jobs_command_request request;
    SP_AUTO(sp_json_doc) doc = NULL;
    struct relay_question q = {.job = job};

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
