/*
 * The policy versions that took effect, in order, with the canonical text of each: what a decision's hash stands for. When
 * a version takes effect that somebody published, the line says who, why and with how many tests; where files changed
 * without anybody having published them, a line says just that.
 */
#include "audit/policies.h"

#include "audit/book_priv.h"
#include "base/text.h"
#include "json/json.h"

#define EVENT_MAX 65536

static enum sp_rc read_last(struct sp_audit_book *b, struct sp_buf *last, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT hash FROM policy ORDER BY seq DESC LIMIT 1");
    bool row = false;
    enum sp_rc rc = sp_store_next(q, &row, err);

    if (rc == SP_OK && row)
        sp_buf_put(last, sp_store_text(q, 0));
    sp_store_done(q);
    return rc;
}

static enum sp_rc keep(struct sp_audit_book *b, const struct sp_audit_policy *p, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store,
        "INSERT INTO policy (hash, at, canonical) VALUES (?1, ?2,"
        " CASE WHEN EXISTS (SELECT 1 FROM policy WHERE hash = ?1) THEN NULL ELSE ?3 END)");

    sp_store_bind_text(q, 1, p->hash);
    sp_store_bind_int(q, 2, sp_clock_wall_ms(b->clock));
    sp_store_bind_blob(q, 3, p->canonical);
    return sp_store_run(q, err);
}

/* approver: as the ledger itself knows it; else as the act says */
static void write_admin(struct sp_jw *w, const struct sp_json *act, struct sp_bytes approver)
{
    if (approver.len == 0)
        approver = sp_json_text_of(act, "approver");

    sp_jw_text(w, "event", sp_json_text_of(act, "event"));
    sp_jw_object(w, "actor");
    sp_jw_cstr(w, "type", "admin");
    sp_jw_text(w, "id", sp_json_text_of(act, "who"));
    sp_jw_end(w);
    if (approver.len > 0)
        sp_jw_text(w, "approver", approver);
    sp_jw_text(w, "reason", sp_json_text_of(act, "reason"));
    sp_jw_text(w, "published", sp_json_text_of(act, "time"));
    sp_jw_int(w, "tests_passed", sp_json_int_of(act, "tests", 0));
}

/* Whether this act made the version live. */
static bool is_act_of(const struct sp_json *act, struct sp_bytes hash)
{
    struct sp_bytes event = sp_json_text_of(act, "event");

    return sp_bytes_eq(sp_json_text_of(act, "after"), hash) &&
           sp_json_text_of(act, "who").len > 0 && sp_json_text_of(act, "reason").len > 0 &&
           (sp_bytes_eq(event, SP_LIT("policy.published")) ||
            sp_bytes_eq(event, SP_LIT("policy.rolled-back")));
}

struct seen {
    bool approved;
    struct sp_buf by;
};

static void see(void *arg, const struct sp_audit_approval *a)
{
    struct seen *s = arg;

    s->approved = a->approved_by.len > 0;
    sp_buf_reset(&s->by);
    sp_buf_put(&s->by, a->approved_by);
}

/* What took effect without anybody having said so, or without the second person that it needs. */
static void write_unpublished(struct sp_jw *w, const char *what)
{
    sp_jw_cstr(w, "event", "config.changed");
    sp_jw_cstr(w, "what", what);
}

static bool is_rollback(const struct sp_json *act)
{
    return sp_bytes_eq(sp_json_text_of(act, "event"), SP_LIT("policy.rolled-back"));
}

static enum sp_rc say(struct sp_audit_book *b, const struct sp_audit_policy *p,
                      struct sp_bytes before, struct sp_err *err)
{
    struct seen seen = {.approved = false};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err ignored;
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;
    bool known = p->published.len > 0 &&
                 sp_json_parse(p->published, NULL, &doc, &ignored) == SP_OK &&
                 is_act_of(sp_json_root(doc), p->hash);

    if (!known && before.len == 0)
        return SP_OK; /* the first that this gateway ever had */
    sp_buf_init(&seen.by, 256);
    rc = sp_audit_book_approvals(b, p->hash, see, &seen, err);
    if (rc != SP_OK) {
        sp_buf_clear(&seen.by);
        return rc;
    }
    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    if (known && p->second_person && !seen.approved && !is_rollback(sp_json_root(doc)))
        write_unpublished(&w, "policy files, not approved by a second person");
    else if (known)
        write_admin(&w, sp_json_root(doc), sp_buf_bytes(&seen.by));
    else
        write_unpublished(&w, "policy files, not published");
    sp_jw_object(&w, "version");
    sp_jw_text(&w, "before", before);
    sp_jw_text(&w, "after", p->hash);
    sp_jw_end(&w);
    sp_jw_end(&w);
    rc = sp_audit_book_say(b, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    sp_buf_clear(&seen.by);
    return rc;
}

/* ---- stages ---- */

static enum sp_rc read_stage(struct sp_audit_book *b, struct sp_buf *last, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT text FROM policy_stage WHERE id = 1");
    bool row = false;
    enum sp_rc rc = sp_store_next(q, &row, err);

    if (rc == SP_OK && row)
        sp_buf_put(last, sp_store_text(q, 0));
    sp_store_done(q);
    return rc;
}

static enum sp_rc keep_stage(struct sp_audit_book *b, struct sp_bytes text, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "INSERT OR REPLACE INTO policy_stage VALUES (1, ?1)");

    sp_store_bind_text(q, 1, text);
    return sp_store_run(q, err);
}

static enum sp_rc say_stage(struct sp_audit_book *b, struct sp_bytes act, bool ended,
                            struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *root;
    struct sp_err ignored;
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    if (sp_json_parse(act, NULL, &doc, &ignored) != SP_OK)
        return SP_OK; /* the relays refuse it too, and say so */
    root = sp_json_root(doc);
    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    if (ended) {
        sp_jw_cstr(&w, "event", "policy.unstaged");
        sp_jw_object(&w, "actor");
        sp_jw_cstr(&w, "type", "system");
        sp_jw_end(&w);
    } else {
        write_admin(&w, root, SP_LIT(""));
        sp_jw_text(&w, "mode", sp_json_text_of(root, "mode"));
        sp_jw_int(&w, "percent", sp_json_int_of(root, "percent", 0));
    }
    sp_jw_object(&w, "version");
    sp_jw_text(&w, "live", sp_json_text_of(root, "before"));
    sp_jw_text(&w, "draft", sp_json_text_of(root, "after"));
    sp_jw_end(&w);
    sp_jw_end(&w);
    rc = sp_audit_book_say(b, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc;
}

/* What is staged now against what was: one line if it is another, or none any more. */
static enum sp_rc take_stage(struct sp_audit_book *b, const struct sp_audit_policy *p,
                             struct sp_err *err)
{
    struct sp_buf last;
    enum sp_rc rc;

    sp_buf_init(&last, EVENT_MAX);
    rc = read_stage(b, &last, err);
    if (rc == SP_OK && !sp_bytes_eq(sp_buf_bytes(&last), p->staging)) {
        bool ended = p->staging.len == 0;

        rc = sp_audit_book_begin(b, err);
        if (rc == SP_OK)
            rc = sp_audit_book_note(b, keep_stage(b, p->staging, err));
        if (rc == SP_OK)
            rc = say_stage(b, ended ? sp_buf_bytes(&last) : p->staging, ended, err);
        if (rc == SP_OK)
            rc = sp_audit_book_commit(b, err);
    }
    sp_buf_clear(&last);
    return rc;
}

enum sp_rc sp_audit_book_policy(struct sp_audit_book *b, const struct sp_audit_policy *p,
                                struct sp_err *err)
{
    struct sp_buf last;
    enum sp_rc rc;

    sp_buf_init(&last, 256);
    rc = read_last(b, &last, err);
    if (rc == SP_OK && !sp_bytes_eq(sp_buf_bytes(&last), p->hash)) {
        rc = sp_audit_book_begin(b, err);
        if (rc == SP_OK)
            rc = sp_audit_book_note(b, keep(b, p, err));
        if (rc == SP_OK)
            rc = say(b, p, sp_buf_bytes(&last), err);
        if (rc == SP_OK)
            rc = sp_audit_book_commit(b, err);
    }
    sp_buf_clear(&last);
    return rc == SP_OK ? take_stage(b, p, err) : rc;
}
