/*
 * TLS reports (RFC 8460), day by day: once a day has ended its domains are planned at random moments, then one after the
 * other is asked where it wants its report, and told. What is to be done lies in the database, with the time of the next try
 * written before each; so this file only waits, asks a relay, and writes down what came of it. One task at a time: a report
 * is in no hurry.
 */
#include "gateway/ledger/ledger.h"

#include "audit/reports.h"
#include "jobs/report.h"

#define PLAN_MS     ((int64_t)3600 * 1000)
#define IDLE_MS     60000 /* a set clock is noticed after this time at the latest */
#define LEAST_MS    200
#define TIMEOUT_MS  120000
#define ID_MAX      600
#define DAY_MS      ((int64_t)24 * 3600 * 1000)
#define PAYLOAD_MAX ((size_t)SP_JOBS_REPORT_CONTENT_MAX + 16384)

struct ledger_reports {
    struct ledger *ledger;
    struct sp_timer *timer;
    int64_t plan_at_ms; /* wall clock */
    struct sp_audit_report_task task;
    sp_handle call; /* of the task; 0: none is under way */
};

/* What the database refuses ends the process, as elsewhere in the ledger. */
static void must(struct ledger_reports *r, enum sp_rc rc, struct sp_err *err)
{
    if (rc != SP_OK)
        sp_role_fail(r->ledger->role, err);
}

static void commit(struct ledger_reports *r)
{
    struct sp_err err = {0};

    must(r, sp_audit_book_commit(r->ledger->book, &err), &err);
    ledger_tail_poke(r->ledger);
}

/* ---- answers ---- */

static void on_found(struct ledger_reports *r, enum sp_rc rc, struct sp_bytes payload)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct sp_jobs_report_reply reply = {.uri_count = 0};
    struct sp_err err = {0};

    if (rc == SP_OK)
        rc = sp_jobs_report_reply_decode(payload, arena, &reply);
    if (rc != SP_OK && rc != SP_E_NOT_FOUND) /* DNS said nothing: later */
        return;
    must(r,
         sp_audit_reports_found(r->ledger->book, &r->task, reply.uris, reply.uri_count,
                                reply.contact, &err),
         &err);
    commit(r);
}

static void on_answer(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct ledger_reports *r = arg;
    struct sp_err err = {0};

    r->call = 0;
    sp_log_info(r->ledger->log, "ledger.report", SP_TEXT("day", r->task.day),
                SP_DOMAIN("domain", sp_bytes_cstr(r->task.domain)),
                SP_TEXT("step", r->task.uri[0] == 0 ? "find" : "send"), SP_RC("why", rc));
    if (r->task.uri[0] == 0) {
        on_found(r, rc, reply->payload);
    } else if (rc == SP_OK) {
        must(r, sp_audit_reports_sent(r->ledger->book, &r->task, &err), &err);
        commit(r);
    }
    sp_timer_start(r->timer, LEAST_MS);
}

/* ---- asking ---- */

static enum sp_rc fill(struct ledger_reports *r, struct sp_buf *id, struct sp_buf *content,
                       struct sp_jobs_report_request *out)
{
    const struct sp_audit_report_task *t = &r->task;
    struct sp_err err = {0};
    struct sp_buf day;
    enum sp_rc rc;
    int64_t ms;

    sp_buf_init(&day, SP_TIME_TEXT_MAX);
    sp_buf_printf(&day, "%sT00:00:00Z", t->day);
    rc = sp_time_parse_rfc3339(sp_buf_bytes(&day), &ms) ? SP_OK : SP_E_MALFORMED;
    sp_buf_clear(&day);
    if (rc == SP_OK)
        rc = sp_audit_reports_content(r->ledger->book, t, id, content, &err);
    if (rc == SP_E_STORE_FAILED)
        sp_role_fail(r->ledger->role, &err);
    if (rc != SP_OK)
        return rc;
    out->op = SP_JOBS_REPORT_SEND;
    out->uri = sp_bytes_cstr(t->uri);
    out->id = sp_buf_bytes(id);
    out->key = sp_bytes_cstr(t->key);
    out->from_s = ms / 1000;
    out->to_s = (ms + DAY_MS) / 1000 - 1;
    out->content = sp_buf_bytes(content);
    return SP_OK;
}

static void ask(struct ledger_reports *r)
{
    struct sp_jobs_report_request what = {.op = SP_JOBS_REPORT_FIND,
                                          .domain = sp_bytes_cstr(r->task.domain)};
    struct sp_jobs_request call = {.role = SP_ROLE_RELAY,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_REPORT,
                                   .timeout_ms = TIMEOUT_MS,
                                   .wait_for_peer = true};
    struct sp_buf id;
    struct sp_buf content;
    struct sp_buf payload;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&id, ID_MAX);
    sp_buf_init(&content, SP_JOBS_REPORT_CONTENT_MAX);
    sp_buf_init(&payload, PAYLOAD_MAX);
    if (r->task.uri[0] != 0)
        rc = fill(r, &id, &content, &what);
    sp_jobs_report_request_encode(&payload, &what);
    if (rc == SP_OK)
        rc = sp_buf_rc(&payload);
    call.payload = sp_buf_bytes(&payload);
    if (rc == SP_OK)
        r->call = sp_jobs_call(r->ledger->jobs, &call, on_answer, r);
    else
        sp_log_warn(r->ledger->log, "ledger.report", SP_TEXT("day", r->task.day),
                    SP_DOMAIN("domain", sp_bytes_cstr(r->task.domain)), SP_TEXT("step", "write"),
                    SP_RC("why", rc));
    sp_buf_clear(&payload);
    sp_buf_clear(&content);
    sp_buf_clear(&id);
}

static void plan(struct ledger_reports *r, int64_t now_ms)
{
    struct ledger *l = r->ledger;
    struct sp_err err = {0};

    if (now_ms < r->plan_at_ms && r->plan_at_ms - now_ms <= PLAN_MS)
        return;
    r->plan_at_ms = now_ms - now_ms % PLAN_MS + PLAN_MS; /* so at each midnight, too */
    must(r, sp_audit_reports_plan(l->book, now_ms, l->config->tls_reports.delay_ms, &err), &err);
    commit(r);
}

/* Begins what is due. returns: when to look again, in ms from now */
static int64_t look(struct ledger_reports *r, int64_t now_ms)
{
    struct ledger *l = r->ledger;
    struct sp_err err = {0};
    int64_t next_ms = 0;
    enum sp_rc rc;
    bool found;

    must(r, sp_audit_reports_next(l->book, &r->task, &next_ms, &found, &err), &err);
    if (!found)
        return IDLE_MS;
    if (next_ms > now_ms)
        return next_ms - now_ms < IDLE_MS ? next_ms - now_ms : IDLE_MS;
    rc = sp_audit_reports_try(l->book, &r->task, now_ms, l->config->tls_reports.retry_ms, &err);
    if (rc != SP_OK && rc != SP_E_NOT_FOUND)
        sp_role_fail(l->role, &err);
    commit(r);
    if (rc == SP_OK)
        ask(r);
    else
        sp_log_warn(l->log, "ledger.report", SP_TEXT("day", r->task.day),
                    SP_DOMAIN("domain", sp_bytes_cstr(r->task.domain)), SP_TEXT("step", "give-up"),
                    SP_RC("why", SP_E_TIMEOUT));
    return LEAST_MS;
}

static void on_timer(void *arg)
{
    struct ledger_reports *r = arg;
    int64_t now_ms = sp_clock_wall_ms(r->ledger->clock);
    int64_t pause_ms;

    if (r->call != 0)
        return;
    ledger_tail_now(
        r->ledger); /* a mail that lies in a queue is known as sent before it is asked for again */
    plan(r, now_ms);
    pause_ms = look(r, now_ms);
    if (r->call == 0)
        sp_timer_start(r->timer, pause_ms < LEAST_MS ? LEAST_MS : pause_ms);
}

void ledger_reports_start(struct ledger *l)
{
    struct ledger_reports *r;

    if (!l->config->tls_reports.send)
        return;
    r = sp_calloc(1, sizeof(*r));
    r->ledger = l;
    r->timer = sp_timer_new(l->loop, on_timer, r);
    l->reports = r;
    sp_timer_start(r->timer, IDLE_MS / 12);
}

void ledger_reports_poke(struct ledger *l)
{
    if (l->reports != NULL && l->reports->call == 0)
        sp_timer_start(l->reports->timer, LEAST_MS);
}

void ledger_reports_free(struct ledger *l)
{
    struct ledger_reports *r = l->reports;

    if (r == NULL)
        return;
    if (r->call != 0)
        sp_jobs_cancel(l->jobs, r->call);
    sp_timer_free(r->timer);
    sp_free(r);
    l->reports = NULL;
}
