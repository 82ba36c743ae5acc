/*
 * Finding messages by the ids that others gave them: the Message-ID field, and Microsoft 365's network message id. The
 * index holds a hash of each, not the text, so that a row is small and of one size; what the hash finds is compared with
 * the message's own record. Several messages may carry one id: a provider splits a message, a client sends it again.
 */
#include "audit/book_priv.h"
#include "crypt/hash.h"

#define ROWS_MAX 1000 /* of one hash that are looked at */

/* Without the angle brackets, which people leave out. */
static struct sp_bytes bare(struct sp_bytes text)
{
    text = sp_bytes_trim(text);
    if (text.len >= 2 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>')
        text = sp_bytes_slice(text, 1, text.len - 2);
    return text;
}

static int64_t hash_of(enum sp_audit_named by, struct sp_bytes text)
{
    uint8_t digest[SP_SHA256_LEN];
    struct sp_buf all;
    uint64_t out = 0;

    text = bare(text);
    sp_buf_init(&all, text.len + 1);
    sp_buf_put_u8(&all, (uint8_t)by);
    sp_buf_put(&all, text);
    sp_crypt_sha256(sp_buf_bytes(&all), digest);
    sp_buf_clear(&all);
    for (size_t i = 0; i < sizeof(out); i++)
        out = out << 8 | digest[i];
    return (int64_t)(out >> 1);
}

static struct sp_bytes origin_of(const struct sp_audit_message *m, enum sp_audit_named by)
{
    return by == SP_AUDIT_BY_MESSAGE_ID ? m->message_id : m->network_message_id;
}

enum sp_rc sp_audit_origin_store(struct sp_audit_book *b, const struct sp_audit_message *m,
                                 struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    for (int by = 0; by < SP_AUDIT_BY_COUNT && rc == SP_OK; by++) {
        struct sp_bytes text = origin_of(m, (enum sp_audit_named)by);
        struct sp_store_query *q;

        if (bare(text).len == 0)
            continue;
        q = sp_store_query(b->store, "INSERT OR IGNORE INTO origin VALUES (?1, ?2)");
        sp_store_bind_int(q, 1, hash_of((enum sp_audit_named)by, text));
        sp_store_bind_blob(q, 2, sp_bytes(m->id.b, SP_ID_LEN));
        rc = sp_store_run(q, err);
    }
    return rc;
}

/* The rows of one hash, in the order of the ids. */
static enum sp_rc candidates(struct sp_audit_book *b, int64_t hash, struct sp_id *ids,
                             size_t *count, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT id FROM origin WHERE hash = ?1 ORDER BY id DESC");
    bool row = true;
    enum sp_rc rc = SP_OK;

    *count = 0;
    sp_store_bind_int(q, 1, hash);
    while (*count < ROWS_MAX && (rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_bytes id = sp_store_blob(q, 0);

        if (id.len == SP_ID_LEN)
            memcpy(ids[(*count)++].b, id.ptr, SP_ID_LEN);
    }
    sp_store_done(q);
    return rc;
}

enum sp_rc sp_audit_book_find(struct sp_audit_book *b, enum sp_audit_named by, struct sp_bytes text,
                              struct sp_audit_found *out, struct sp_err *err)
{
    struct sp_id *ids = sp_calloc(ROWS_MAX, sizeof(*ids));
    size_t count;
    enum sp_rc rc = candidates(b, hash_of(by, text), ids, &count, err);

    out->count = 0;
    for (size_t i = 0; i < count && rc == SP_OK && out->count < SP_AUDIT_FOUND_MAX; i++) {
        const struct sp_audit_message *m = NULL;

        rc = sp_audit_book_message(b, &ids[i], &m, err);
        if (rc == SP_OK && m != NULL && sp_bytes_eq(bare(origin_of(m, by)), bare(text)))
            out->ids[out->count++] = ids[i];
    }
    sp_free(ids);
    return rc;
}

/* ---- books from before there was an index ---- */

static enum sp_rc is_empty(struct sp_audit_book *b, bool *out, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT (SELECT count(*) FROM (SELECT 1 FROM origin LIMIT 1)),"
                                 " (SELECT count(*) FROM (SELECT 1 FROM message LIMIT 1))");
    bool row;
    enum sp_rc rc = sp_store_next(q, &row, err);

    *out = rc == SP_OK && row && sp_store_int(q, 0) == 0 && sp_store_int(q, 1) > 0;
    sp_store_done(q);
    return rc;
}

static enum sp_rc store_all(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, "SELECT data FROM message");
    bool row;
    enum sp_rc rc;

    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        SP_AUTO(sp_audit_message) m = NULL;

        if (sp_audit_message_decode(sp_store_blob(q, 0), &m) != SP_OK)
            continue; /* whoever asks for it by its id is told */
        rc = sp_audit_origin_store(b, m, err);
        if (rc != SP_OK)
            break;
    }
    sp_store_done(q);
    return rc;
}

enum sp_rc sp_audit_origin_load(struct sp_audit_book *b, struct sp_err *err)
{
    bool empty;
    enum sp_rc rc = is_empty(b, &empty, err);

    if (rc != SP_OK || !empty)
        return rc;
    rc = sp_store_begin(b->store, err);
    if (rc == SP_OK)
        rc = store_all(b, err);
    if (rc == SP_OK)
        return sp_store_commit(b->store, err);
    sp_store_rollback(b->store);
    return rc;
}
