/*
 * The facts that decisions came from. They hold what the audit's lines must not (subject, header fields), so they lie in
 * the database sealed under a key of their own, by random nonces, bound to their message; whoever takes them out again is
 * put on record. They are kept for FACTS_DAYS and no longer.
 */
#include "audit/facts.h"

#include "audit/book_priv.h"
#include "base/clock.h"
#include "crypt/aead.h"

#define FACTS_DAYS     90
#define FORGET_AT_ONCE 1000 /* behind each checkpoint, of which there are more than facts */
#define DAY_MS         ((int64_t)86400000)
#define DATA_MAX       ((size_t)1 << 20)

enum sp_rc sp_audit_facts_store(struct sp_audit_book *b, const struct sp_accept *accept,
                                struct sp_err *err)
{
    struct sp_bytes aad = sp_bytes(accept->id.b, SP_ID_LEN);
    struct sp_aead_nonce nonce = {{0}};
    struct sp_store_query *q;
    struct sp_buf data;
    uint8_t *sealed;
    size_t len = accept->facts.len + SP_AEAD_TAG_LEN;
    enum sp_rc rc;

    if (b->facts == NULL || accept->facts.len == 0)
        return SP_OK;
    sp_random_fill(sp_random_system(), nonce.b, sizeof(nonce.b));
    sealed = sp_malloc_try(len);
    if (sealed == NULL)
        return sp_fail(err, SP_E_IO, "no room for the facts of a message");
    sp_aead_seal(b->facts, nonce, aad, accept->facts, sealed);
    sp_buf_init(&data, DATA_MAX);
    sp_buf_put(&data, sp_bytes(nonce.b, sizeof(nonce.b)));
    sp_buf_put(&data, sp_bytes(sealed, len));
    sp_free(sealed);
    q = sp_store_query(b->store, "INSERT OR REPLACE INTO facts VALUES (?1, ?2, ?3)");
    sp_store_bind_blob(q, 1, aad);
    sp_store_bind_int(q, 2, accept->time_ms);
    sp_store_bind_blob(q, 3, sp_buf_bytes(&data));
    rc = sp_store_run(q, err);
    sp_buf_clear(&data);
    return rc;
}

enum sp_rc sp_audit_facts_forget(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "DELETE FROM facts WHERE id IN"
                                 " (SELECT id FROM facts WHERE at < ?1 ORDER BY at LIMIT ?2)");

    sp_store_bind_int(q, 1, sp_audit_book_sure_ms(b) - FACTS_DAYS * DAY_MS);
    sp_store_bind_int(q, 2, FORGET_AT_ONCE);
    return sp_store_run(q, err);
}

static enum sp_rc open_row(struct sp_audit_book *b, const struct sp_store_query *q,
                           struct sp_audit_fact *out, struct sp_buf *plain)
{
    struct sp_bytes id = sp_store_blob(q, 0), data = sp_store_blob(q, 2);
    struct sp_aead_nonce nonce;
    enum sp_rc rc;

    if (id.len != SP_ID_LEN || data.len < SP_AEAD_NONCE_LEN + SP_AEAD_TAG_LEN)
        return SP_E_MALFORMED;
    memcpy(out->id.b, id.ptr, SP_ID_LEN);
    out->time_ms = sp_store_int(q, 1);
    memcpy(nonce.b, data.ptr, sizeof(nonce.b));
    sp_buf_reset(plain);
    sp_buf_put(plain, sp_bytes_slice(data, SP_AEAD_NONCE_LEN, SIZE_MAX));
    if (sp_buf_rc(plain) != SP_OK)
        return SP_E_LIMIT;
    rc = sp_aead_open(b->facts, nonce, id, sp_buf_bytes(plain), plain->ptr);
    out->facts = sp_bytes(plain->ptr, plain->len - SP_AEAD_TAG_LEN);
    return rc;
}

enum sp_rc sp_audit_book_facts(struct sp_audit_book *b, const struct sp_audit_facts_ask *ask,
                               struct sp_err *err)
{
    struct sp_store_query *q =
        ask->message != NULL
            ? sp_store_query(b->store, "SELECT id, at, data FROM facts WHERE id = ?1")
            : sp_store_query(b->store, "SELECT id, at, data FROM facts WHERE at >= ?1 ORDER BY at");
    struct sp_buf plain;
    enum sp_rc rc;
    bool row = false;

    sp_buf_init(&plain, DATA_MAX);
    if (ask->message != NULL)
        sp_store_bind_blob(q, 1, sp_bytes(ask->message->b, SP_ID_LEN));
    else
        sp_store_bind_int(q, 1, ask->since_ms);
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_fact fact;

        if (b->facts != NULL && open_row(b, q, &fact, &plain) == SP_OK)
            ask->fn(ask->arg, &fact);
    }
    sp_store_done(q);
    sp_buf_wipe(&plain);
    return rc;
}
