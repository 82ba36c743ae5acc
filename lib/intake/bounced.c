/*
 * A bounce that is whole: the scanner says what it is, the ledger whose message it was; then one record has the audit's lines,
 * the address that is left alone from now on, and the mail itself as one of ours, on its way to the sender as it came, from
 * the null sender, so that its own failure is told to nobody. A scanner that fails says nothing, and the mail goes on all the
 * same; without the ledger nobody knows where to, and the peer is asked to come again.
 */
#include "intake/bounce_priv.h"

#include "base/text.h"
#include "journal/records.h"

#define LEDGER_MS 30000
#define EVENT_MAX 16384

static void ask_ledger(struct bounce *b);

/* ---- what it is ---- */

static void on_said(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct bounce *b = arg;

    b->call = 0;
    if (rc == SP_OK) /* what it lends must outlive the reply */
        rc = sp_jobs_bounce_reply_decode(sp_arena_copy(b->arena, reply->payload), b->arena,
                                         &b->said);
    if (rc != SP_OK) {
        b->said = (struct sp_jobs_bounce_reply){.kind = SP_JOBS_BOUNCE_OTHER};
        sp_log_warn(b->in->parts.log, "intake.bounce-unread", SP_ID("message", &b->id),
                    SP_RC("why", rc));
    }
    ask_ledger(b);
}

void sp_intake_bounced(struct bounce *b)
{
    struct sp_jobs_bounce_request request;
    struct sp_jobs_request call = {.role = SP_ROLE_SCANNER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_BOUNCE,
                                   .fds = &b->content.fd,
                                   .fd_count = 1,
                                   .timeout_ms = b->gen->scan_ms,
                                   .wait_for_peer = true};
    struct sp_buf payload;
    enum sp_rc rc = sp_queue_body_export(b->body, &b->content);

    if (rc != SP_OK) {
        sp_intake_bounce_done(b, rc, sp_bytes(NULL, 0));
        return;
    }
    request.content = b->content;
    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_bounce_request_encode(&payload, &request);
    call.payload = sp_buf_bytes(&payload);
    b->call = sp_jobs_call(b->in->parts.jobs, &call, on_said, b);
    sp_buf_wipe(&payload); /* it holds the key */
}

/* ---- what is written ---- */

const struct sp_dsn_said *sp_intake_bounce_said(const struct bounce *b, bool *exact)
{
    for (size_t i = 0; i < b->said.said_count; i++) {
        *exact = sp_dsn_said_is_about(&b->said.said[i], b->origin.recipient);
        if (*exact)
            return &b->said.said[i];
    }
    *exact = false;
    return b->said.said_count == 1 ? &b->said.said[0] : NULL;
}

static void begin_event(struct bounce *b, struct sp_jw *w, struct sp_buf *out, const char *event)
{
    sp_buf_init(out, EVENT_MAX);
    sp_jw_init(w, out);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "event", event);
    sp_jw_text(w, "tenant", b->origin.tenant);
    sp_jw_id(w, "message", b->origin.message.b);
    sp_jw_array(w, "n");
    sp_jw_int(w, NULL, b->origin.n);
    sp_jw_end(w);
}

/* returns: whether it fitted */
static bool end_event(struct bounce *b, struct sp_jw *w)
{
    struct sp_audit_list *list = &b->accept.audit;
    bool ok;

    sp_jw_end(w);
    ok = sp_buf_rc(w->out) == SP_OK;
    if (ok)
        list->events[list->count++] = sp_arena_copy(b->arena, sp_buf_bytes(w->out));
    sp_buf_clear(w->out);
    return ok;
}

static void put_status(struct sp_jw *w, const struct sp_dsn_said *said)
{
    struct sp_buf text;

    sp_jw_cstr(w, "action", sp_dsn_action_name(said->action));
    if (said->status.class != 0) {
        sp_buf_init(&text, 32);
        sp_status_format(said->status, &text);
        sp_jw_text(w, "status", sp_buf_bytes(&text));
        sp_buf_clear(&text);
    }
    if (said->reply_code != 0)
        sp_jw_int(w, "reply_code", said->reply_code);
}

static bool put_received(struct bounce *b, const struct sp_dsn_said *said, bool exact)
{
    struct sp_buf text;
    struct sp_jw w;

    begin_event(b, &w, &text, "dsn.received");
    if (b->origin.package.len > 0) {
        sp_jw_text(&w, "package", b->origin.package);
        sp_jw_id(&w, "notice", b->token.id.b);
    }
    if (!sp_intake_bounced_is_notice(b))
        sp_jw_id(&w, "dsn", b->id.b);
    sp_jw_cstr(&w, "kind", sp_jobs_bounce_kind_name(b->said.kind));
    if (said != NULL) {
        put_status(&w, said);
        sp_jw_bool(&w, "names_recipient", exact);
    }
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "client");
    if (b->session != NULL)
        sp_jw_cstr(&w, "ip", b->session->ip);
    sp_jw_end(&w);
    sp_jw_text(&w, "to", b->origin.sender);
    return end_event(b, &w);
}

static bool put_left_alone(struct bounce *b, const struct sp_dsn_said *said)
{
    char time[SP_TIME_TEXT_MAX];
    struct sp_buf text, reply;
    struct sp_jw w;

    sp_time_format_rfc3339(b->alone_until_ms, time);
    sp_buf_init(&reply, 32);
    if (said->reply_code != 0) {
        sp_buf_put_dec(&reply, said->reply_code);
        sp_buf_put_u8(&reply, ' ');
    }
    sp_status_format(said->status, &reply);
    begin_event(b, &w, &text, "list.changed");
    sp_jw_cstr(&w, "list", "suppression");
    sp_jw_cstr(&w, "change", "added");
    sp_jw_text(&w, "address", b->origin.recipient);
    sp_jw_cstr(&w, "why", sp_rc_name(SP_E_HOP_BOUNCED));
    sp_jw_text(&w, "reply", sp_buf_bytes(&reply));
    sp_jw_cstr(&w, "until", time);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_end(&w);
    sp_buf_clear(&reply);
    return end_event(b, &w);
}

/* Only what names our recipient: another address that a mailbox forwards to may be dead, and ours alive. */
static void choose_alone(struct bounce *b, const struct sp_dsn_said *said, bool exact)
{
    const struct sp_intake_parts *parts = &b->in->parts;
    int code = said == NULL || said->reply_code == 0 ? 550 : said->reply_code;

    if (exact && said->action == SP_DSN_FAILED && parts->left_alone_until != NULL &&
        sp_dsn_said_is_final(said, b->origin.recipient))
        b->alone_until_ms = parts->left_alone_until(parts->arg, code, said->status);
}

/* It may hold the message that was sent: never below its floor. Of a sealed one only ciphertext ever left. */
static enum sp_floor floor_of(const struct bounce *b)
{
    enum sp_floor own =
        sp_policy_floor(sp_policy_for(b->gen->policy, b->origin.tenant, b->origin.sender));
    enum sp_floor was =
        b->origin.floor < SP_FLOOR_SEALED ? (enum sp_floor)b->origin.floor : SP_FLOOR_TLS_ENCRYPTED;

    return was > own ? was : own;
}

static enum sp_rc put_trace(struct bounce *b)
{
    const struct session *s = b->session;
    char mark[SP_ID_TEXT_LEN + 1];
    struct sp_trace t = {.id = b->id,
                         .host = sp_bytes_cstr(b->gen->hostname),
                         .with = "SMTP",
                         .mark = sp_bytes(mark, SP_ID_TEXT_LEN),
                         .now_ms = b->time_ms};
    struct sp_buf text;
    enum sp_rc rc;

    sp_id_format(&b->id, mark);
    if (s != NULL) {
        t.helo = sp_buf_bytes(&s->helo);
        t.ip = sp_bytes_cstr(s->ip);
        t.with = s->proof != NULL ? "ESMTPS" : "ESMTP";
        if (s->proof != NULL) {
            t.tls_version = sp_bytes_cstr(s->proof->version);
            t.tls_cipher = sp_bytes_cstr(s->proof->cipher);
        }
    }
    sp_buf_init(&text, 4096);
    rc = sp_trace_build(&t, &text);
    if (rc == SP_OK)
        b->accept.trace = sp_arena_copy(b->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return rc;
}

/*
 * It has no sender who could hear that a host wants no such bytes: what they are is declared where a host knows the word,
 * and keeps them from no host. Lines of any length go as they came.
 */
static uint32_t needs_of(const struct bounce *b)
{
    return SP_SENDER_FOREIGN | (b->data.has_8bit ? SP_ASKED_8BITMIME : 0U);
}

static void fill_accept(struct bounce *b)
{
    struct sp_accept *a = &b->accept;

    *a = (struct sp_accept){
        .id = b->id,
        .parent = b->origin.message,
        .time_ms = b->time_ms,
        .skew_ms = b->skew_ms,
        .kind = SP_ACCEPT_KIND_DSN,
        .needs = needs_of(b),
        .tenant = b->origin.tenant,
        .policy = sp_bytes_cstr(sp_policy_hash(b->gen->policy)),
        .decision_count = 1,
        .recipient_count = 1,
    };
    a->decisions = sp_arena_alloc(b->arena, sizeof(*a->decisions));
    sp_intake_own_decision(b->arena, floor_of(b),
                           b->time_ms + sp_policy_expire_ms(b->gen->policy, b->gen->expire_ms),
                           a->decisions);
    a->recipients = sp_arena_alloc(b->arena, sizeof(*a->recipients));
    a->recipients[0] =
        (struct sp_accept_recipient){.address = b->origin.sender, .notify = SP_ACCEPT_NOTIFY_NEVER};
    a->audit.events = sp_arena_alloc(b->arena, SP_BOUNCE_EVENTS_MAX * sizeof(*a->audit.events));
}

enum sp_rc sp_intake_bounce_events(struct bounce *b)
{
    bool exact = false;
    const struct sp_dsn_said *said = sp_intake_bounce_said(b, &exact);

    choose_alone(b, said, exact);
    if (!put_received(b, said, exact) || (b->alone_until_ms > 0 && !put_left_alone(b, said)))
        return SP_E_LIMIT;
    return SP_OK;
}

static enum sp_rc fill_audit(struct bounce *b)
{
    struct sp_audit_list *list = &b->accept.audit;
    enum sp_rc rc = sp_intake_bounce_events(b);
    uint8_t sha256[32];
    struct sp_buf text;

    if (rc != SP_OK)
        return rc;
    sp_queue_body_sha256(b->body, sha256);
    sp_buf_init(&text, EVENT_MAX);
    sp_intake_audit_own(&b->accept, sha256, sp_queue_body_len(b->body), false, &text);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        list->events[list->count++] = sp_arena_copy(b->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return rc;
}

static void on_queued(void *arg, enum sp_rc rc)
{
    struct bounce *b = arg;
    struct sp_intake *in = b->in;

    b->in_flight = false;
    in->transactions--;
    if (rc == SP_OK) {
        in->stats.bounced++;
        sp_log_info(in->parts.log, "intake.bounced", SP_ID("message", &b->origin.message),
                    SP_TEXT("kind", sp_jobs_bounce_kind_name(b->said.kind)),
                    SP_BOOL("left_alone", b->alone_until_ms > 0));
        if (b->alone_until_ms > 0)
            in->parts.leave_alone(in->parts.arg, b->origin.recipient, b->alone_until_ms);
    }
    sp_intake_bounce_done(b, rc, sp_bytes(NULL, 0));
    sp_intake_check_drained(in);
    sp_intake_unref(in);
}

static enum sp_rc record(struct bounce *b)
{
    struct sp_queue_accept accept = {.accept = &b->accept, .done = on_queued, .arg = b};
    enum sp_rc rc;

    fill_accept(b);
    rc = put_trace(b);
    if (rc == SP_OK)
        rc = fill_audit(b);
    if (rc != SP_OK)
        return rc;
    sp_content_clear(&b->content);
    accept.body = SP_STEAL(b->body);
    b->in_flight = true;
    b->in->transactions++;
    sp_intake_ref(b->in);
    sp_queue_accept(b->in->parts.queue, &accept);
    return SP_OK;
}

/* ---- whose it was ---- */

/* Mail of a tenant whose paths lie in that very domain, and that somebody sent. */
static bool is_right(const struct bounce *b)
{
    const struct sp_jobs_origin_reply *o = &b->origin;
    struct sp_address a;

    if (!o->known || o->kind != SP_ACCEPT_KIND_MAIL || sp_address_parse(o->sender, &a) != SP_OK)
        return false;
    for (size_t i = 0; i < b->gen->tenant_count; i++)
        if (sp_bytes_eq(o->tenant, sp_bytes_cstr(b->gen->tenants[i].tenant->name)))
            return sp_bytes_eq(sp_bytes_cstr(b->tenant->bounces.domain),
                               sp_bytes_cstr(b->gen->tenants[i].tenant->bounces.domain));
    return false;
}

static void on_origin(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct bounce *b = arg;

    b->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_origin_reply_decode(sp_arena_copy(b->arena, reply->payload), &b->origin);
    if (rc != SP_OK)
        rc = SP_E_ROLE_GONE; /* nobody knows now: come again */
    else if (!is_right(b))
        rc = SP_E_INTAKE_PATH;
    else
        rc = sp_intake_bounced_is_notice(b) ? sp_intake_bounced_notice(b) : record(b);
    if (rc != SP_OK)
        sp_intake_bounce_done(b, rc, sp_bytes(NULL, 0));
}

static void ask_ledger(struct bounce *b)
{
    struct sp_jobs_origin_request request = {.id = b->token.id, .n = b->token.n};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_ORIGIN,
                                   .timeout_ms = LEDGER_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    sp_buf_init(&payload, 256);
    sp_jobs_origin_request_encode(&payload, &request);
    call.payload = sp_buf_bytes(&payload);
    b->call = sp_jobs_call(b->in->parts.jobs, &call, on_origin, b);
    sp_buf_clear(&payload);
}
