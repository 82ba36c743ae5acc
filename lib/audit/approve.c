/*
 * Two persons for a policy: one proposes a version, another approves it. Who they are is what the kernel told the admin
 * role of the socket's other end, so that nobody can speak for somebody else; that they are two is decided here, beside
 * the lines that tell of it. A proposal is a row, changed in the transaction of its line.
 */
#include "audit/policies.h"

#include "audit/book_priv.h"
#include "base/text.h"
#include "json/json.h"

#define EVENT_MAX  65536
#define HASH_LEN   64
#define HASH_LEAST 8
#define REASON_MAX 1000

static bool is_hex(struct sp_bytes hash)
{
    for (size_t i = 0; i < hash.len; i++)
        if (!sp_ascii_is_digit(hash.ptr[i]) && (hash.ptr[i] < 'a' || hash.ptr[i] > 'f'))
            return false;
    return hash.len >= HASH_LEAST && hash.len <= HASH_LEN;
}

/* The actor's id ("uid:1000"). returns: empty if it is none */
static struct sp_bytes id_of(struct sp_bytes actor, struct sp_json_doc **doc)
{
    struct sp_err ignored;

    if (sp_json_parse(actor, NULL, doc, &ignored) != SP_OK)
        return SP_LIT("");
    return sp_json_text_of(sp_json_root(*doc), "id");
}

static enum sp_rc say(struct sp_audit_book *b, const char *event, struct sp_bytes hash,
                      const struct sp_audit_vote *vote, struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", event);
    sp_jw_raw(&w, "actor", vote->actor);
    sp_jw_text(&w, "reason", vote->reason);
    sp_jw_text(&w, "policy", hash);
    sp_jw_end(&w);
    rc = sp_audit_book_say(b, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc;
}

enum sp_rc sp_audit_book_approvals(struct sp_audit_book *b, struct sp_bytes hash,
                                   void (*fn)(void *arg, const struct sp_audit_approval *a),
                                   void *arg, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT hash, proposed_by, approved_by, reason, proposed_at,"
                                 " approved_at FROM approval WHERE ?1 = '' OR"
                                 " substr(hash, 1, length(?1)) = ?1 ORDER BY proposed_at DESC");
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, hash);
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_approval a = {.hash = sp_store_text(q, 0),
                                      .proposed_by = sp_store_text(q, 1),
                                      .approved_by = sp_store_text(q, 2),
                                      .reason = sp_store_text(q, 3),
                                      .proposed_at_ms = sp_store_int(q, 4),
                                      .approved_at_ms = sp_store_int(q, 5)};

        fn(arg, &a);
    }
    sp_store_done(q);
    return rc;
}

struct found {
    size_t count;
    char hash[HASH_LEN + 1];
    bool approved;
    struct sp_buf by;
};

static void find(void *arg, const struct sp_audit_approval *a)
{
    struct found *f = arg;

    f->count++;
    f->approved = a->approved_by.len > 0;
    if (a->hash.len == HASH_LEN)
        memcpy(f->hash, a->hash.ptr, HASH_LEN);
    sp_buf_reset(&f->by);
    sp_buf_put(&f->by, a->proposed_by);
}

/* Runs a change and its line in one transaction. */
static enum sp_rc change(struct sp_audit_book *b, struct sp_store_query *q, const char *event,
                         struct sp_bytes hash, const struct sp_audit_vote *vote, struct sp_err *err)
{
    enum sp_rc rc = sp_audit_book_note(b, sp_store_run(q, err));

    if (rc == SP_OK)
        rc = say(b, event, hash, vote, err);
    return rc == SP_OK ? sp_audit_book_commit(b, err) : rc;
}

static bool is_sound(const struct sp_audit_vote *vote)
{
    struct sp_bytes reason = sp_bytes_trim(vote->reason);

    return is_hex(vote->hash) && reason.len > 0 && vote->reason.len <= REASON_MAX;
}

enum sp_rc sp_audit_book_propose(struct sp_audit_book *b, const struct sp_audit_vote *vote,
                                 struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes who = id_of(vote->actor, &doc);
    struct found f = {.count = 0};
    struct sp_store_query *q;
    enum sp_rc rc;

    if (!is_sound(vote) || vote->hash.len != HASH_LEN || who.len == 0)
        return sp_fail(err, SP_E_USAGE, "a whole hash and a reason are needed");
    sp_buf_init(&f.by, 256);
    rc = sp_audit_book_approvals(b, vote->hash, find, &f, err);
    sp_buf_clear(&f.by);
    if (rc != SP_OK || f.count > 0)
        return rc;
    rc = sp_audit_book_begin(b, err);
    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store, "INSERT INTO approval (hash, proposed_by, proposed_at, reason)"
                                 " VALUES (?1, ?2, ?3, ?4)");
    sp_store_bind_text(q, 1, vote->hash);
    sp_store_bind_text(q, 2, who);
    sp_store_bind_int(q, 3, sp_clock_wall_ms(b->clock));
    sp_store_bind_text(q, 4, vote->reason);
    return change(b, q, "policy.proposed", vote->hash, vote, err);
}

enum sp_rc sp_audit_book_approve(struct sp_audit_book *b, const struct sp_audit_vote *vote,
                                 struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes who = id_of(vote->actor, &doc);
    struct found f = {.count = 0};
    struct sp_store_query *q;
    enum sp_rc rc;
    bool same;

    if (!is_sound(vote) || who.len == 0)
        return sp_fail(err, SP_E_USAGE, "at least %d digits of a hash and a reason are needed",
                       HASH_LEAST);
    sp_buf_init(&f.by, 256);
    rc = sp_audit_book_approvals(b, vote->hash, find, &f, err);
    same = sp_bytes_eq(sp_buf_bytes(&f.by), who);
    sp_buf_clear(&f.by);
    if (rc != SP_OK)
        return rc;
    if (f.count != 1)
        return sp_fail(err, SP_E_NOT_FOUND, "no one version that begins so waits for approval");
    if (same)
        return sp_fail(err, SP_E_DENIED, "who proposed a version can't approve it");
    if (f.approved)
        return SP_OK;
    rc = sp_audit_book_begin(b, err);
    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store, "UPDATE approval SET approved_by = ?2, approved_at = ?3"
                                 " WHERE hash = ?1");
    sp_store_bind_text(q, 1, sp_bytes_cstr(f.hash));
    sp_store_bind_text(q, 2, who);
    sp_store_bind_int(q, 3, sp_clock_wall_ms(b->clock));
    return change(b, q, "policy.approved", sp_bytes_cstr(f.hash), vote, err);
}
