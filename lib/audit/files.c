/*
 * Who changed a file is not known here, only that it has changed: whoever can write them needs no word of ours. So the digest of
 * each is kept in the database, and compared whenever the ledger starts, which every reload makes it do.
 */
#include "audit/files.h"

#include "audit/book_priv.h"
#include "base/map.h"
#include "base/text.h"

#define EVENT_MAX 4096

struct known {
    struct sp_digest sha256;
    bool seen;
};

static enum sp_rc read_known(struct sp_audit_book *b, struct sp_map *known, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, "SELECT name, sha256 FROM file");
    bool row = true;
    enum sp_rc rc = SP_OK;

    while (rc == SP_OK && row) {
        rc = sp_store_next(q, &row, err);
        if (rc == SP_OK && row) {
            struct known *k = sp_calloc(1, sizeof(*k));
            struct sp_bytes sha256 = sp_store_blob(q, 1);

            if (sha256.len == sizeof(k->sha256.b))
                memcpy(k->sha256.b, sha256.ptr, sha256.len);
            sp_free(sp_map_put(known, sp_store_text(q, 0), k));
        }
    }
    sp_store_done(q);
    return rc;
}

/* sha256 NULL: it is gone */
static enum sp_rc keep(struct sp_audit_book *b, struct sp_bytes name,
                       const struct sp_digest *sha256, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, sha256 == NULL ? "DELETE FROM file WHERE name = ?1"
                                 : "INSERT OR REPLACE INTO file (name, sha256) VALUES (?1, ?2)");

    sp_store_bind_text(q, 1, name);
    if (sha256 != NULL)
        sp_store_bind_blob(q, 2, sp_bytes(sha256->b, sizeof(sha256->b)));
    return sp_store_run(q, err);
}

/* returns: the name between "tenants/" and ".json"; empty if it is no tenant's file */
static struct sp_bytes tenant_of(struct sp_bytes name)
{
    const struct sp_bytes folder = SP_LIT("tenants/"), ending = SP_LIT(".json");
    struct sp_bytes inner = {NULL, 0};

    if (sp_bytes_starts_nocase(name, folder) && sp_bytes_ends_nocase(name, ending))
        inner = sp_bytes_slice(name, folder.len, name.len - folder.len - ending.len);
    return sp_bytes_find(inner, '/') == SIZE_MAX ? inner : sp_bytes(NULL, 0);
}

static void put_digest(struct sp_jw *w, const char *key, const struct sp_digest *d)
{
    struct sp_buf hex;

    if (d == NULL) {
        sp_jw_null(w, key);
        return;
    }
    sp_buf_init(&hex, (size_t)2 * SP_SHA256_LEN);
    sp_digest_format(d, &hex);
    sp_jw_text(w, key, sp_buf_bytes(&hex));
    sp_buf_clear(&hex);
}

struct change {
    struct sp_bytes name;
    const struct sp_digest *before, *after; /* NULL: not there */
};

static enum sp_rc tell(struct sp_audit_book *b, const struct change *c, bool aloud,
                       struct sp_err *err)
{
    struct sp_bytes tenant = tenant_of(c->name);
    enum sp_rc rc = sp_audit_book_begin(b, err);
    struct sp_buf text;
    struct sp_jw w;

    if (rc == SP_OK)
        rc = sp_audit_book_note(b, keep(b, c->name, c->after, err));
    if (rc != SP_OK || !aloud)
        return rc;
    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", tenant.len > 0 ? "tenant.changed" : "config.changed");
    if (tenant.len > 0)
        sp_jw_text(&w, "tenant", tenant);
    else
        sp_jw_cstr(&w, "what", "networks of a provider");
    sp_jw_text(&w, "file", c->name);
    sp_jw_object(&w, "sha256");
    put_digest(&w, "before", c->before);
    put_digest(&w, "after", c->after);
    sp_jw_end(&w);
    sp_jw_end(&w);
    rc = sp_audit_book_say(b, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc;
}

static enum sp_rc compare(struct sp_audit_book *b, struct sp_map *known,
                          const struct sp_audit_file *f, bool aloud, struct sp_err *err)
{
    struct known *k = sp_map_find(known, f->name);
    struct sp_digest now = {0};
    struct change c = {.name = f->name, .before = k == NULL ? NULL : &k->sha256, .after = &now};

    sp_crypt_sha256(f->text, now.b);
    if (k != NULL)
        k->seen = true;
    if (k != NULL && memcmp(k->sha256.b, now.b, sizeof(now.b)) == 0)
        return SP_OK;
    return tell(b, &c, aloud, err);
}

static enum sp_rc tell_gone(struct sp_audit_book *b, struct sp_map *known, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;
    struct sp_bytes name;
    size_t at = 0;
    void *value;

    while (rc == SP_OK && sp_map_next(known, &at, &name, &value)) {
        struct known *k = value;
        struct change c = {.name = name, .before = &k->sha256};

        if (!k->seen)
            rc = tell(b, &c, true, err);
    }
    return rc;
}

enum sp_rc sp_audit_book_files(struct sp_audit_book *b, const struct sp_audit_file *files,
                               size_t count, struct sp_err *err)
{
    struct sp_map *known = sp_map_new();
    enum sp_rc rc = read_known(b, known, err);
    bool aloud = sp_map_count(known) > 0;
    struct sp_bytes name;
    size_t at = 0;
    void *value;

    for (size_t i = 0; rc == SP_OK && i < count; i++)
        rc = compare(b, known, &files[i], aloud, err);
    if (rc == SP_OK)
        rc = tell_gone(b, known, err);
    if (rc == SP_OK)
        rc = sp_audit_book_commit(b, err);
    while (sp_map_next(known, &at, &name, &value))
        sp_free(value);
    sp_map_free(known);
    return rc;
}
