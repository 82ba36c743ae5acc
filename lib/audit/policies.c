/*
 * The policy versions that took effect, in order, with the canonical text of each: what a decision's hash stands for. When
 * a version takes effect that somebody published, the line says who, why and with how many tests; where files changed
 * without anybody having published them, a line says just that. The files beside the policy are anybody's who can write
 * there: who approved, and what was live before, is what these books know themselves.
 */
#include "audit/policies.h"

#include "audit/book_priv.h"
#include "audit/policies_priv.h"
#include "base/text.h"
#include "json/json.h"

#define EVENT_MAX     65536
#define CANONICAL_MAX ((size_t)64 << 20)

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

static void write_admin(struct sp_jw *w, const struct sp_json *act, struct sp_bytes approver)
{
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

/* Whether an act is told as the command line tells it: of a version, by somebody, for a reason. */
static bool is_told(const struct sp_json *act)
{
    return sp_json_text_of(act, "after").len > 0 && sp_json_text_of(act, "who").len > 0 &&
           sp_json_text_of(act, "reason").len > 0;
}

static bool is_event(const struct sp_json *act, struct sp_bytes event)
{
    return sp_bytes_eq(sp_json_text_of(act, "event"), event);
}

/* Whether this act made the version live. */
static bool is_act_of(const struct sp_json *act, struct sp_bytes hash)
{
    return is_told(act) && sp_bytes_eq(sp_json_text_of(act, "after"), hash) &&
           (is_event(act, SP_LIT("policy.published")) ||
            is_event(act, SP_LIT("policy.rolled-back")));
}

/* ---- the second person ---- */

struct seen {
    struct sp_bytes hash;
    bool approved;
    struct sp_buf by;
};

static void see(void *arg, const struct sp_audit_approval *a)
{
    struct seen *s = arg;

    if (!sp_bytes_eq(a->hash, s->hash))
        return; /* it only begins so */
    s->approved = a->approved_by.len > 0;
    sp_buf_reset(&s->by);
    sp_buf_put(&s->by, a->approved_by);
}

/* Who approved a version, as these books know. out: seen->by is to be cleared, whatever is returned */
static enum sp_rc look_up(struct sp_audit_book *b, struct sp_bytes hash, struct seen *seen,
                          struct sp_err *err)
{
    *seen = (struct seen){.hash = hash};
    sp_buf_init(&seen->by, 256);
    return sp_audit_book_approvals(b, hash, see, seen, err);
}

/* What the act itself says of an approver counts only where none is asked for. */
static struct sp_bytes approver_of(const struct seen *seen, const struct sp_json *act,
                                   bool second_person)
{
    if (second_person || seen->approved)
        return sp_buf_bytes(&seen->by);
    return sp_json_text_of(act, "approver");
}

/* What took effect without anybody having said so, or without the second person that it needs. */
static void write_unpublished(struct sp_jw *w, const char *what)
{
    sp_jw_cstr(w, "event", "config.changed");
    sp_jw_cstr(w, "what", what);
}

/* Whether a version has ever been in effect here. */
static enum sp_rc was_live(struct sp_audit_book *b, struct sp_bytes hash, bool *out,
                           struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT 1 FROM policy WHERE hash = ?1 LIMIT 1");
    enum sp_rc rc;

    sp_store_bind_text(q, 1, hash);
    rc = sp_store_next(q, out, err);
    sp_store_done(q);
    return rc;
}

/* The canonical text of a version, as the books have it; empty if they don't. */
static enum sp_rc read_canonical(struct sp_audit_book *b, struct sp_bytes hash, struct sp_buf *out,
                                 struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT canonical FROM policy WHERE hash = ?1 AND canonical IS NOT NULL LIMIT 1");
    bool row = false;
    enum sp_rc rc;

    sp_store_bind_text(q, 1, hash);
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row)
        sp_buf_put(out, sp_store_blob(q, 0));
    sp_store_done(q);
    return rc;
}

enum sp_rc sp_audit_book_policy_text(struct sp_audit_book *b, struct sp_bytes hash,
                                     struct sp_buf *out, struct sp_err *err)
{
    size_t before = out->len;
    enum sp_rc rc = read_canonical(b, hash, out, err);

    return rc == SP_OK && out->len == before ? SP_E_NOT_FOUND : rc;
}

/* Files that nobody published: members of lists that change by themselves are told as what they are. */
static enum sp_rc write_files(struct sp_audit_book *b, const struct sp_audit_policy *p,
                              struct sp_bytes before, struct sp_jw *w, struct sp_err *err)
{
    struct sp_buf old, files;
    struct sp_jw list;
    bool only_lists;
    enum sp_rc rc;

    sp_buf_init(&old, CANONICAL_MAX);
    sp_buf_init(&files, EVENT_MAX / 2);
    rc = read_canonical(b, before, &old, err);
    sp_jw_init(&list, &files);
    sp_jw_array(&list, NULL);
    only_lists = rc == SP_OK && sp_audit_policy_lists(sp_buf_bytes(&old), p->canonical, &list) &&
                 sp_buf_rc(&files) == SP_OK;
    sp_jw_end(&list);
    write_unpublished(
        w, only_lists ? "members of lists that are marked as kept from a directory or a table"
                      : "policy files, not published");
    if (only_lists)
        sp_jw_raw(w, "files", sp_buf_bytes(&files));
    sp_buf_clear(&old);
    sp_buf_clear(&files);
    return rc;
}

/*
 * Whether an act takes back what was live: that very version, or its rules beside what is recorded now. What the act says it
 * restored counts only as far as these books had it live.
 */
static enum sp_rc takes_back(struct sp_audit_book *b, const struct sp_audit_policy *p,
                             const struct sp_json *act, struct sp_bytes before, bool *out,
                             struct sp_err *err)
{
    struct sp_bytes restored = sp_json_text_of(act, "restored");
    struct sp_buf old, then;
    enum sp_rc rc;

    *out = false;
    if (!is_event(act, SP_LIT("policy.rolled-back")) || restored.len == 0)
        return SP_OK;
    sp_buf_init(&old, CANONICAL_MAX);
    sp_buf_init(&then, CANONICAL_MAX);
    rc = read_canonical(b, before, &old, err);
    if (rc == SP_OK)
        rc = read_canonical(b, restored, &then, err);
    *out = rc == SP_OK &&
           sp_audit_policy_is_taken_back(sp_buf_bytes(&old), sp_buf_bytes(&then), p->canonical);
    sp_buf_clear(&old);
    sp_buf_clear(&then);
    return rc;
}

/* What was in effect until now, and whether the new version was so at any time before. */
struct past {
    struct sp_bytes before;
    bool was_live;
};

static enum sp_rc say(struct sp_audit_book *b, const struct sp_audit_policy *p,
                      const struct past *past, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *act;
    struct sp_err ignored;
    struct seen seen;
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;
    bool free_to; /* of the second person: an older version is taken back */
    bool known = p->published.len > 0 &&
                 sp_json_parse(p->published, NULL, &doc, &ignored) == SP_OK &&
                 is_act_of(sp_json_root(doc), p->hash);

    if (!known && past->before.len == 0)
        return SP_OK; /* the first that this gateway ever had */
    rc = look_up(b, p->hash, &seen, err);
    if (rc != SP_OK) {
        sp_buf_clear(&seen.by);
        return rc;
    }
    act = known ? sp_json_root(doc) : NULL;
    free_to = known && past->was_live && is_event(act, SP_LIT("policy.rolled-back"));
    if (known && !free_to)
        rc = takes_back(b, p, act, past->before, &free_to, err);
    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    if (known && p->second_person && !seen.approved && !free_to)
        write_unpublished(&w, "policy files, not approved by a second person");
    else if (known)
        write_admin(&w, act, approver_of(&seen, act, p->second_person));
    else
        rc = write_files(b, p, past->before, &w, err);
    sp_jw_object(&w, "version");
    sp_jw_text(&w, "before", past->before);
    sp_jw_text(&w, "after", p->hash);
    if (free_to && !past->was_live) /* the rules of a version beside what was recorded since */
        sp_jw_text(&w, "restored", sp_json_text_of(act, "restored"));
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (rc == SP_OK)
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

static void write_ended(struct sp_jw *w)
{
    sp_jw_cstr(w, "event", "policy.unstaged");
    sp_jw_object(w, "actor");
    sp_jw_cstr(w, "type", "system");
    sp_jw_end(w);
}

/* A draft that only runs in shadow decides nothing, and needs nobody's approval. */
static void write_begun(struct sp_jw *w, const struct sp_json *act, const struct seen *seen,
                        bool second_person)
{
    bool shadow = sp_bytes_eq(sp_json_text_of(act, "mode"), SP_LIT("shadow"));

    if (!is_told(act) || !is_event(act, SP_LIT("policy.staged")))
        write_unpublished(w, "policy stage, not published");
    else if (second_person && !seen->approved && !shadow)
        write_unpublished(w, "policy stage, not approved by a second person");
    else
        write_admin(w, act, approver_of(seen, act, second_person));
    sp_jw_text(w, "mode", sp_json_text_of(act, "mode"));
    sp_jw_int(w, "percent", shadow ? 0 : sp_json_int_of(act, "percent", 0));
}

/* act: what staging.json says, or, where that is gone, has said last */
static enum sp_rc say_stage(struct sp_audit_book *b, const struct sp_audit_policy *p,
                            struct sp_bytes act, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *root;
    struct sp_err ignored;
    struct seen seen;
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    if (sp_json_parse(act, NULL, &doc, &ignored) != SP_OK)
        return SP_OK; /* the relays refuse it too, and say so */
    root = sp_json_root(doc);
    rc = look_up(b, sp_json_text_of(root, "after"), &seen, err);
    if (rc != SP_OK) {
        sp_buf_clear(&seen.by);
        return rc;
    }
    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    if (p->staging.len == 0)
        write_ended(&w);
    else
        write_begun(&w, root, &seen, p->second_person);
    sp_jw_object(&w, "version");
    sp_jw_text(&w, "live", sp_json_text_of(root, "before"));
    sp_jw_text(&w, "draft", sp_json_text_of(root, "after"));
    sp_jw_end(&w);
    sp_jw_end(&w);
    rc = sp_audit_book_say(b, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    sp_buf_clear(&seen.by);
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
        rc = sp_audit_book_begin(b, err);
        if (rc == SP_OK)
            rc = sp_audit_book_note(b, keep_stage(b, p->staging, err));
        if (rc == SP_OK)
            rc = say_stage(b, p, p->staging.len == 0 ? sp_buf_bytes(&last) : p->staging, err);
        if (rc == SP_OK)
            rc = sp_audit_book_commit(b, err);
    }
    sp_buf_clear(&last);
    return rc;
}

enum sp_rc sp_audit_book_policy(struct sp_audit_book *b, const struct sp_audit_policy *p,
                                struct sp_err *err)
{
    struct past past = {.was_live = false};
    struct sp_buf last;
    enum sp_rc rc;

    sp_buf_init(&last, 256);
    rc = read_last(b, &last, err);
    if (rc == SP_OK && !sp_bytes_eq(sp_buf_bytes(&last), p->hash)) {
        rc = sp_audit_book_begin(b, err);
        past.before = sp_buf_bytes(&last);
        if (rc == SP_OK)
            rc = sp_audit_book_note(b, was_live(b, p->hash, &past.was_live, err));
        if (rc == SP_OK)
            rc = sp_audit_book_note(b, keep(b, p, err));
        if (rc == SP_OK)
            rc = say(b, p, &past, err);
        if (rc == SP_OK)
            rc = sp_audit_book_commit(b, err);
    }
    sp_buf_clear(&last);
    return rc == SP_OK ? take_stage(b, p, err) : rc;
}
