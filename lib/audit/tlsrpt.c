/*
 * TLS reports (RFC 8460): each session that an attempt saw first is counted by day, domain, policy, host and result, in the
 * transaction that takes the attempt's line, so that the counts neither lose nor repeat one. A report is made from them when
 * somebody asks. Days older than a month are forgotten.
 */
#include "audit/book_priv.h"
#include "base/text.h"

#define DAY_LEN   10
#define TEXT_MAX_ 256
#define KEEP_MS   ((int64_t)31 * 24 * 3600 * 1000)
#define IDS_MAX   600

#define TEXT_LEN_MAX 4096 /* of a policy's line */

static struct sp_bytes day_of(int64_t ms, char *room)
{
    sp_time_format_rfc3339(ms, room);
    return sp_bytes(room, DAY_LEN);
}

/* ---- counting ---- */

static enum sp_rc forget_old(struct sp_audit_book *b, int64_t now_ms, struct sp_err *err)
{
    static const char *const statements[] = {"DELETE FROM tlsrpt WHERE day < ?1",
                                             "DELETE FROM tlsrpt_text WHERE day < ?1",
                                             "DELETE FROM report WHERE day < ?1"};
    char room[SP_TIME_TEXT_MAX];
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < SP_ARRAY_LEN(statements) && rc == SP_OK; i++) {
        struct sp_store_query *q = sp_store_query(b->store, statements[i]);

        sp_store_bind_text(q, 1, day_of(now_ms - KEEP_MS, room));
        rc = sp_store_run(q, err);
    }
    return rc;
}

/* What the session's policy says, once a day: the TLSA records of DANE; an MTA-STS policy is remembered by itself. */
static enum sp_rc note_texts(struct sp_audit_book *b, struct sp_bytes day, struct sp_bytes domain,
                             const struct sp_json *session, struct sp_err *err)
{
    const struct sp_json *list = sp_json_find(session, "records");
    enum sp_rc rc = SP_OK;

    for (const struct sp_json *t = list == NULL ? NULL : list->first; t != NULL && rc == SP_OK;
         t = t->next) {
        struct sp_store_query *q =
            sp_store_query(b->store, "INSERT OR IGNORE INTO tlsrpt_text VALUES (?1, ?2, ?3, ?4)");

        if (t->text.len > TEXT_LEN_MAX)
            continue;
        sp_store_bind_text(q, 1, day);
        sp_store_bind_text(q, 2, domain);
        sp_store_bind_text(q, 3, sp_json_text_of(session, "policy"));
        sp_store_bind_text(q, 4, t->text);
        rc = sp_store_run(q, err);
    }
    return rc;
}

static enum sp_rc count(struct sp_audit_book *b, struct sp_bytes day, struct sp_bytes domain,
                        const struct sp_json *session, struct sp_err *err)
{
    static const char *const members[] = {"policy", "mx", "ip", "result"};
    struct sp_store_query *q =
        sp_store_query(b->store, "INSERT INTO tlsrpt VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)"
                                 " ON CONFLICT DO UPDATE SET sessions = sessions + 1");

    sp_store_bind_text(q, 1, day);
    sp_store_bind_text(q, 2, domain);
    for (size_t i = 0; i < SP_ARRAY_LEN(members); i++) {
        struct sp_bytes text = sp_json_text_of(session, members[i]);

        sp_store_bind_text(q, (int)i + 3,
                           text.len > TEXT_MAX_ || text.len == 0 ? SP_LIT("") : text);
    }
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_tlsrpt_learn(struct sp_audit_book *b, const struct sp_audit_line *line,
                                 struct sp_err *err)
{
    struct sp_bytes domain = sp_json_text_of(sp_json_find(line->root, "hop"), "domain");
    const struct sp_json *sessions = sp_json_find(line->root, "sessions");
    char room[SP_TIME_TEXT_MAX];
    struct sp_bytes day;
    enum sp_rc rc = SP_OK;

    if (sessions == NULL || domain.len == 0 || domain.len > TEXT_MAX_ ||
        strcmp(line->event->name, "delivery.attempted") != 0)
        return SP_OK;
    day = day_of(line->time_ms, room);
    for (const struct sp_json *s = sessions->first; s != NULL && rc == SP_OK; s = s->next)
        if ((rc = count(b, day, domain, s, err)) == SP_OK)
            rc = note_texts(b, day, domain, s, err);
    if (rc == SP_OK && !sp_bytes_eq(day, sp_bytes_cstr(b->tlsrpt_day))) {
        memcpy(b->tlsrpt_day, room, DAY_LEN);
        rc = forget_old(b, line->time_ms, err);
    }
    return rc;
}

/* ---- telling ---- */

enum sp_rc sp_audit_book_tlsrpt(struct sp_audit_book *b, struct sp_bytes day, sp_audit_tlsrpt_fn fn,
                                void *arg, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT day, domain, sum((result = 'success') * sessions),"
                  " sum((result <> 'success') * sessions) FROM tlsrpt"
                  " WHERE ?1 = '' OR day = ?1 GROUP BY day, domain ORDER BY day, domain");
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, day.len == 0 ? SP_LIT("") : day);
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_tlsrpt t = {.day = sp_store_text(q, 0),
                                    .domain = sp_store_text(q, 1),
                                    .successful = sp_store_int(q, 2),
                                    .failed = sp_store_int(q, 3)};

        fn(arg, &t);
    }
    return rc;
}

/* An MTA-STS policy's own lines, and the hosts that it names. */
static void put_sts(const struct sp_audit_posture *p, struct sp_jw *w)
{
    static const struct sp_bytes mx = SP_LIT_INIT("mx:");
    struct sp_bytes text = p->sts;
    struct sp_bytes line;

    sp_jw_array(w, "policy-string");
    while (sp_bytes_split(&text, '\n', &line))
        if (sp_bytes_trim(line).len > 0)
            sp_jw_text(w, NULL, sp_bytes_trim(line));
    sp_jw_end(w);
    text = p->sts;
    sp_jw_array(w, "mx-host");
    while (sp_bytes_split(&text, '\n', &line)) {
        line = sp_bytes_trim(line);
        if (sp_bytes_starts_nocase(line, mx))
            sp_jw_text(w, NULL, sp_bytes_trim(sp_bytes_slice(line, mx.len, SIZE_MAX)));
    }
    sp_jw_end(w);
}

static enum sp_rc put_texts(struct sp_audit_book *b, const struct sp_audit_tlsrpt_ask *ask,
                            const char *policy, struct sp_jw *w, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT text FROM tlsrpt_text WHERE day = ?1 AND domain = ?2"
                                 " AND policy = ?3 ORDER BY text");
    enum sp_rc rc;
    size_t count = 0;
    bool row;

    sp_store_bind_text(q, 1, ask->day);
    sp_store_bind_text(q, 2, ask->domain);
    sp_store_bind_text(q, 3, sp_bytes_cstr(policy));
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        if (count++ == 0)
            sp_jw_array(w, "policy-string");
        sp_jw_text(w, NULL, sp_store_text(q, 0));
    }
    if (count > 0)
        sp_jw_end(w);
    return rc;
}

/* RFC 8460 4.4 */
static enum sp_rc put_policy(struct sp_audit_book *b, const struct sp_audit_tlsrpt_ask *ask,
                             const char *type, struct sp_jw *w, struct sp_err *err)
{
    struct sp_audit_posture p;
    enum sp_rc rc = SP_OK;

    sp_jw_object(w, "policy");
    sp_jw_cstr(w, "policy-type", type);
    if (strcmp(type, "tlsa") == 0)
        rc = put_texts(b, ask, type, w, err);
    else if (strcmp(type, "sts") == 0 && sp_audit_book_posture_find(b, ask->domain, &p) &&
             p.sts.len > 0)
        put_sts(&p, w);
    sp_jw_text(w, "policy-domain", ask->domain);
    sp_jw_end(w);
    return rc;
}

static enum sp_rc put_sums(struct sp_audit_book *b, struct sp_bytes day, struct sp_bytes domain,
                           const char *policy, struct sp_jw *w, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT total(sessions * (result = 'success')),"
                                 " total(sessions * (result <> 'success')) FROM tlsrpt"
                                 " WHERE day = ?1 AND domain = ?2 AND policy = ?3");
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, day);
    sp_store_bind_text(q, 2, domain);
    sp_store_bind_text(q, 3, sp_bytes_cstr(policy));
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row) {
        sp_jw_object(w, "summary");
        sp_jw_int(w, "total-successful-session-count", sp_store_int(q, 0));
        sp_jw_int(w, "total-failure-session-count", sp_store_int(q, 1));
        sp_jw_end(w);
    }
    sp_store_done(q);
    return rc;
}

static enum sp_rc put_failures(struct sp_audit_book *b, struct sp_bytes day, struct sp_bytes domain,
                               const char *policy, struct sp_jw *w, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT result, mx, ip, sessions FROM tlsrpt WHERE day = ?1 AND domain = ?2"
                  " AND policy = ?3 AND result <> 'success' ORDER BY mx, ip, result");
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, day);
    sp_store_bind_text(q, 2, domain);
    sp_store_bind_text(q, 3, sp_bytes_cstr(policy));
    sp_jw_array(w, "failure-details");
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        sp_jw_object(w, NULL);
        sp_jw_text(w, "result-type", sp_store_text(q, 0));
        if (sp_store_text(q, 1).len > 0) /* of its MX nothing could be had */
            sp_jw_text(w, "receiving-mx-hostname", sp_store_text(q, 1));
        if (sp_store_text(q, 2).len > 0)
            sp_jw_text(w, "receiving-ip", sp_store_text(q, 2));
        sp_jw_int(w, "failed-session-count", sp_store_int(q, 3));
        sp_jw_end(w);
    }
    sp_jw_end(w);
    return rc;
}

static enum sp_rc has_policy(struct sp_audit_book *b, struct sp_bytes day, struct sp_bytes domain,
                             const char *policy, bool *out, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT 1 FROM tlsrpt WHERE day = ?1 AND domain = ?2"
                                 " AND policy = ?3 LIMIT 1");
    enum sp_rc rc;

    sp_store_bind_text(q, 1, day);
    sp_store_bind_text(q, 2, domain);
    sp_store_bind_text(q, 3, sp_bytes_cstr(policy));
    rc = sp_store_next(q, out, err);
    sp_store_done(q);
    return rc;
}

void sp_audit_tlsrpt_put_id(const struct sp_audit_book *b, const struct sp_audit_tlsrpt_ask *ask,
                            struct sp_buf *out)
{
    sp_buf_printf(out, "%.*s.%.*s@%s", SP_FMT(ask->day), SP_FMT(ask->domain), b->signer.node);
}

static void put_head(const struct sp_audit_book *b, const struct sp_audit_tlsrpt_ask *ask,
                     struct sp_jw *w)
{
    struct sp_bytes day = ask->day;
    struct sp_buf text;

    sp_buf_init(&text, IDS_MAX);
    sp_jw_cstr(w, "organization-name", b->organization);
    sp_jw_object(w, "date-range");
    sp_buf_printf(&text, "%.*sT00:00:00Z", SP_FMT(day));
    sp_jw_text(w, "start-datetime", sp_buf_bytes(&text));
    sp_buf_reset(&text);
    sp_buf_printf(&text, "%.*sT23:59:59Z", SP_FMT(day));
    sp_jw_text(w, "end-datetime", sp_buf_bytes(&text));
    sp_jw_end(w);
    if (ask->contact.len > 0)
        sp_jw_text(w, "contact-info", ask->contact);
    sp_buf_reset(&text);
    sp_audit_tlsrpt_put_id(b, ask, &text);
    sp_jw_text(w, "report-id", sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

enum sp_rc sp_audit_book_tlsrpt_report(struct sp_audit_book *b,
                                       const struct sp_audit_tlsrpt_ask *ask, struct sp_buf *out,
                                       struct sp_err *err)
{
    struct sp_bytes day = ask->day;
    struct sp_bytes domain = ask->domain;
    static const char *const policies[] = {"tlsa", "sts", "no-policy-found"};
    enum sp_rc rc = SP_OK;
    size_t found = 0;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    put_head(b, ask, &w);
    sp_jw_array(&w, "policies");
    for (size_t i = 0; i < SP_ARRAY_LEN(policies) && rc == SP_OK; i++) {
        bool has;

        rc = has_policy(b, day, domain, policies[i], &has, err);
        if (rc != SP_OK || !has)
            continue;
        found++;
        sp_jw_object(&w, NULL);
        rc = put_policy(b, ask, policies[i], &w, err);
        if (rc == SP_OK)
            rc = put_sums(b, day, domain, policies[i], &w, err);
        if (rc == SP_OK)
            rc = put_failures(b, day, domain, policies[i], &w, err);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (rc == SP_OK && found == 0)
        return SP_E_NOT_FOUND;
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}
