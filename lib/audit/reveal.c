/*
 * Pseudonyms in the books: put into lines, and resolved again. Each address that was ever hidden lies once in state.db,
 * sealed under the key of the facts and bound to its pseudonym. So a reply to an old message still finds its sender, and who
 * may can ask whose a pseudonym is; the audit file alone tells neither. None is ever deleted, not even when the last file
 * that holds it is: nothing counts which lines those are. A key that is replaced makes other pseudonyms, and what stands under
 * the old one is still found here.
 */
#include "audit/book_priv.h"
#include "audit/pseudonym.h"

#define ADDRESS_MAX 65536
#define DATA_MAX    (ADDRESS_MAX + SP_AEAD_NONCE_LEN + SP_AEAD_TAG_LEN)

struct keeping {
    struct sp_audit_book *b;
    struct sp_err *err;
    enum sp_rc rc;
};

static bool is_kept(struct keeping *k, const char *pseudonym)
{
    struct sp_store_query *q =
        sp_store_query(k->b->store, "SELECT 1 FROM pseudonym WHERE name = ?1");
    bool row = false;

    sp_store_bind_text(q, 1, sp_bytes_cstr(pseudonym));
    k->rc = sp_store_next(q, &row, k->err);
    sp_store_done(q);
    return row;
}

static void keep(void *arg, struct sp_bytes address, const char *pseudonym)
{
    struct keeping *k = arg;
    struct sp_aead_nonce nonce = {{0}};
    struct sp_store_query *q;
    struct sp_buf data;
    uint8_t *room;

    if (k->rc != SP_OK || k->b->facts == NULL || is_kept(k, pseudonym) || k->rc != SP_OK)
        return;
    sp_random_fill(sp_random_system(), nonce.b, sizeof(nonce.b));
    sp_buf_init(&data, DATA_MAX);
    sp_buf_put(&data, sp_bytes(nonce.b, sizeof(nonce.b)));
    room = sp_buf_reserve(&data, address.len + SP_AEAD_TAG_LEN);
    if (room != NULL) {
        sp_aead_seal(k->b->facts, nonce, sp_bytes_cstr(pseudonym), address, room);
        sp_buf_commit(&data, address.len + SP_AEAD_TAG_LEN);
        q = sp_store_query(k->b->store, "INSERT INTO pseudonym VALUES (?1, ?2)");
        sp_store_bind_text(q, 1, sp_bytes_cstr(pseudonym));
        sp_store_bind_blob(q, 2, sp_buf_bytes(&data));
        k->rc = sp_store_run(q, k->err);
    }
    sp_buf_clear(&data);
}

enum sp_rc sp_audit_pseudonym_line(struct sp_audit_book *b, size_t from,
                                   const struct sp_audit_line *line, struct sp_err *err)
{
    struct keeping k = {.b = b, .err = err};
    struct sp_bytes plain = sp_bytes_slice(sp_buf_bytes(&b->tail), from, SIZE_MAX);
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_buf text;
    enum sp_rc rc;

    if (sp_bytes_find(plain, '@') == SIZE_MAX)
        return SP_OK;
    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    rc = sp_audit_pseudonym_hide(&b->pseudonym_key, line->root, keep, &k, &text);
    if (rc == SP_OK)
        rc = k.rc;
    if (rc == SP_OK)
        rc = sp_json_parse(sp_buf_bytes(&text), NULL, &doc, err);
    if (rc == SP_OK) {
        b->tail.len = from;
        rc = sp_json_canonical(sp_json_root(doc), &b->tail);
    }
    sp_buf_wipe(&text);
    return rc == SP_E_JSON_SYNTAX ? SP_E_MALFORMED : rc;
}

static enum sp_rc open_row(struct sp_audit_book *b, const struct sp_store_query *q,
                           struct sp_bytes pseudonym, struct sp_buf *out)
{
    struct sp_bytes data = sp_store_blob(q, 0);
    struct sp_aead_nonce nonce;
    struct sp_bytes sealed;
    uint8_t *room;
    enum sp_rc rc;

    if (data.len < SP_AEAD_NONCE_LEN + SP_AEAD_TAG_LEN)
        return SP_E_NOT_FOUND;
    memcpy(nonce.b, data.ptr, sizeof(nonce.b));
    sealed = sp_bytes_slice(data, SP_AEAD_NONCE_LEN, SIZE_MAX);
    room = sp_buf_reserve(out, sealed.len);
    if (room == NULL)
        return SP_E_LIMIT;
    rc = sp_aead_open(b->facts, nonce, pseudonym, sealed, room);
    if (rc == SP_OK)
        sp_buf_commit(out, sealed.len - SP_AEAD_TAG_LEN);
    return rc;
}

enum sp_rc sp_audit_book_reveal(struct sp_audit_book *b, struct sp_bytes pseudonym,
                                struct sp_buf *out, struct sp_err *err)
{
    struct sp_store_query *q;
    bool row = false;
    enum sp_rc rc;

    if (b->facts == NULL)
        return SP_E_NOT_FOUND;
    q = sp_store_query(b->store, "SELECT data FROM pseudonym WHERE name = ?1");
    sp_store_bind_text(q, 1, pseudonym);
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK)
        rc = row ? open_row(b, q, pseudonym, out) : SP_E_NOT_FOUND;
    sp_store_done(q);
    return rc;
}
