/*
 * Migrations forward, never back. The schema's version is SQLite's user_version, written in the same transaction as the
 * step that reaches it, so a crash in between leaves the older, whole schema. An older file is copied before its first
 * step (VACUUM INTO writes a consistent copy, also with a log beside it); a newer one is refused, since what the extra
 * columns mean is not known here.
 */
#include "base/buf.h"
#include "store/store_priv.h"

#define PATH_BYTES_MAX      4096
#define STATEMENT_BYTES_MAX 64

static enum sp_rc read_version(struct sp_store *store, size_t *out, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(store, "PRAGMA user_version");
    enum sp_rc rc;
    bool row;

    rc = sp_store_next(q, &row, err);
    if (rc != SP_OK)
        return rc;
    *out = row ? (size_t)sp_store_int(q, 0) : 0;
    sp_store_done(q);
    return SP_OK;
}

static enum sp_rc back_up(struct sp_store *store, size_t version, struct sp_err *err)
{
    struct sp_store_query *q;
    struct sp_buf name;
    enum sp_rc rc;

    sp_buf_init(&name, PATH_BYTES_MAX);
    sp_buf_printf(&name, "%s.v%zu", store->path, version);
    sp_buf_put_u8(&name, 0);
    rc = sp_buf_rc(&name);
    if (rc == SP_OK) {
        /* left by a migration that was cut short: the database itself is whole and still old */
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

        if (vfs != NULL)
            (void)vfs->xDelete(vfs, (const char *)name.ptr, 0);
        q = sp_store_query(store, "VACUUM INTO ?1");
        sp_store_bind_text(q, 1, sp_bytes(name.ptr, name.len - 1));
        rc = sp_store_run(q, err);
    }
    sp_buf_clear(&name);
    return rc;
}

static enum sp_rc apply(struct sp_store *store, const struct sp_store_migration *step,
                        size_t version, struct sp_err *err)
{
    struct sp_buf text;
    enum sp_rc rc = sp_store_begin(store, err);

    if (rc != SP_OK)
        return rc;
    sp_buf_init(&text, STATEMENT_BYTES_MAX);
    sp_buf_printf(&text, "PRAGMA user_version = %zu", version);
    sp_buf_put_u8(&text, 0);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        rc = sp_store_exec(store, step->sql, err);
    if (rc == SP_OK)
        rc = sp_store_exec(store, (const char *)text.ptr, err);
    sp_buf_clear(&text);
    if (rc != SP_OK) {
        sp_store_rollback(store);
        return rc;
    }
    return sp_store_commit(store, err);
}

enum sp_rc sp_store_migrate(struct sp_store *store, const struct sp_store_options *options,
                            struct sp_err *err)
{
    enum sp_rc rc = read_version(store, &store->version, err);

    if (rc != SP_OK)
        return rc;
    if (store->version > options->migration_count)
        return sp_fail(err, SP_E_STORE_FAILED, "%s: schema %zu is newer than this program (%zu)",
                       store->path, store->version, options->migration_count);
    if (store->version > 0 && store->version < options->migration_count)
        rc = back_up(store, store->version, err);
    while (rc == SP_OK && store->version < options->migration_count) {
        rc = apply(store, &options->migrations[store->version], store->version + 1, err);
        if (rc == SP_OK)
            store->version++;
    }
    return rc;
}
