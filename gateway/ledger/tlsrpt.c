/*
 * `sallyport tlsrpt show`: the sessions of each day and domain, or one domain's report as RFC 8460 writes it.
 *
 *     {"command": "tlsrpt.show", "day": "2026-11-22" or nothing, "domain": D or nothing}
 *         -> {"domains": [{"day", "domain", "successful", "failed"}], "sent": [{"day", "domain", "uri", "state"}]},
 *            or with both {"report": {...}}
 */
#include "audit/reports.h"
#include "base/text.h"
#include "gateway/ledger/ledger.h"
#include "jobs/command.h"

#define REPLY_MAX SP_JOBS_COMMAND_MAX
#define DAY_LEN   10

static void put_one(void *arg, const struct sp_audit_tlsrpt *t)
{
    struct sp_jw *w = arg;

    sp_jw_object(w, NULL);
    sp_jw_text(w, "day", t->day);
    sp_jw_text(w, "domain", t->domain);
    sp_jw_int(w, "successful", t->successful);
    sp_jw_int(w, "failed", t->failed);
    sp_jw_end(w);
}

static void put_sent(void *arg, const struct sp_audit_reports_row *r)
{
    struct sp_jw *w = arg;

    sp_jw_object(w, NULL);
    sp_jw_text(w, "day", r->day);
    sp_jw_text(w, "domain", r->domain);
    if (r->uri.len > 0)
        sp_jw_text(w, "uri", r->uri);
    sp_jw_text(w, "state", r->state);
    sp_jw_int(w, "tries", r->tries);
    sp_jw_end(w);
}

static enum sp_rc put_report(struct ledger *l, struct sp_bytes day, struct sp_bytes domain,
                             struct sp_jw *w, struct sp_err *err)
{
    struct sp_buf report;
    enum sp_rc rc;

    sp_buf_init(&report, REPLY_MAX / 2);
    rc = sp_audit_book_tlsrpt_report(
        l->book, &(struct sp_audit_tlsrpt_ask){.day = day, .domain = domain}, &report, err);
    if (rc == SP_OK)
        sp_jw_raw(w, "report", sp_buf_bytes(&report));
    sp_buf_clear(&report);
    return rc;
}

void ledger_tlsrpt_show(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_bytes day = sp_json_text_of(q->ask, "day");
    struct sp_bytes domain = sp_json_text_of(q->ask, "domain");
    char today[SP_TIME_TEXT_MAX];
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    enum sp_rc rc;

    sp_time_format_rfc3339(sp_clock_wall_ms(l->clock), today);
    if (domain.len > 0 && day.len == 0)
        day = sp_bytes(today, DAY_LEN);
    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    if (domain.len > 0) {
        rc = put_report(l, day, domain, &w, &err);
    } else {
        sp_jw_array(&w, "domains");
        rc = sp_audit_book_tlsrpt(l->book, day, put_one, &w, &err);
        sp_jw_end(&w);
        sp_jw_array(&w, "sent");
        if (rc == SP_OK)
            rc = sp_audit_reports_each(l->book, day, put_sent, &w, &err);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    if (rc == SP_OK)
        rc = sp_buf_rc(&json);
    if (rc == SP_OK)
        ledger_reply_json(job, rc, sp_buf_bytes(&json));
    else
        ledger_reply_error(job, rc, rc == SP_E_NOT_FOUND ? "no session of it that day" : err.text);
    sp_buf_clear(&json);
}
