/*
 * keys.db: a row a key, a row an address of it. A key is looked for by address, so that the index is there; all else is
 * for the list that an administrator sees.
 */
#include "keys/keys.h"

#include "store/store.h"

struct sp_keys {
    struct sp_store *store;
};

static const struct sp_store_migration migrations[] = {
    {"keys and their addresses",
     "CREATE TABLE key (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, algorithm TEXT NOT NULL,"
     " not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, abilities INTEGER NOT NULL,"
     " trust INTEGER NOT NULL, imported INTEGER NOT NULL, bytes BLOB NOT NULL) WITHOUT ROWID;"
     "CREATE TABLE address (address TEXT NOT NULL, key TEXT NOT NULL REFERENCES key (id)"
     " ON DELETE CASCADE, n INTEGER NOT NULL, PRIMARY KEY (address, key)) WITHOUT ROWID;"
     "CREATE INDEX address_by_key ON address (key);"},
};

#define COLUMNS "id, kind, algorithm, not_before, not_after, abilities, trust, bytes"

enum sp_rc sp_keys_open(const char *path, struct sp_keys **out, struct sp_err *err)
{
    struct sp_store_options options = {.migrations = migrations,
                                       .migration_count = SP_ARRAY_LEN(migrations)};
    SP_AUTO(sp_keys) keys = sp_calloc(1, sizeof(*keys));
    enum sp_rc rc = sp_store_open(path, &options, &keys->store, err);

    if (rc == SP_OK)
        *out = SP_STEAL(keys);
    return rc;
}

void sp_keys_free(struct sp_keys *k)
{
    if (k == NULL)
        return;
    sp_store_free(k->store);
    sp_free(k);
}

static enum sp_rc delete_rows(struct sp_keys *k, struct sp_bytes id, bool *existed,
                              struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(k->store, "DELETE FROM address WHERE key = ?1");
    enum sp_rc rc;

    sp_store_bind_text(q, 1, id);
    rc = sp_store_run(q, err);
    if (rc != SP_OK)
        return rc;
    q = sp_store_query(k->store, "DELETE FROM key WHERE id = ?1");
    sp_store_bind_text(q, 1, id);
    rc = sp_store_run(q, err);
    *existed = rc == SP_OK && sp_store_changes(k->store) > 0;
    return rc;
}

static enum sp_rc insert_rows(struct sp_keys *k, const struct sp_keys_key *key, int64_t now_ms,
                              struct sp_err *err)
{
    struct sp_bytes id = sp_bytes_cstr(key->id);
    struct sp_store_query *q = sp_store_query(
        k->store, "INSERT INTO key (" COLUMNS ", imported) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)");
    enum sp_rc rc;

    sp_store_bind_text(q, 1, id);
    sp_store_bind_int(q, 2, key->kind);
    sp_store_bind_text(q, 3, sp_bytes_cstr(key->algorithm));
    sp_store_bind_int(q, 4, key->not_before_ms);
    sp_store_bind_int(q, 5, key->not_after_ms);
    sp_store_bind_int(q, 6, key->abilities);
    sp_store_bind_int(q, 7, key->trust);
    sp_store_bind_blob(q, 8, key->bytes);
    sp_store_bind_int(q, 9, now_ms);
    rc = sp_store_run(q, err);
    for (size_t i = 0; rc == SP_OK && i < key->address_count; i++) {
        q = sp_store_query(k->store, "INSERT INTO address (address, key, n) VALUES (?1, ?2, ?3)");
        sp_store_bind_text(q, 1, sp_bytes_cstr(key->addresses[i]));
        sp_store_bind_text(q, 2, id);
        sp_store_bind_int(q, 3, (int64_t)i);
        rc = sp_store_run(q, err);
    }
    return rc;
}

enum sp_rc sp_keys_put(struct sp_keys *k, const struct sp_keys_key *key, int64_t now_ms,
                       struct sp_err *err)
{
    bool existed;
    enum sp_rc rc = sp_store_begin(k->store, err);

    if (rc == SP_OK)
        rc = delete_rows(k, sp_bytes_cstr(key->id), &existed, err);
    if (rc == SP_OK)
        rc = insert_rows(k, key, now_ms, err);
    if (rc == SP_OK)
        return sp_store_commit(k->store, err);
    sp_store_rollback(k->store);
    return rc;
}

enum sp_rc sp_keys_remove(struct sp_keys *k, struct sp_bytes id, struct sp_err *err)
{
    bool existed = false;
    enum sp_rc rc = sp_store_begin(k->store, err);

    if (rc == SP_OK)
        rc = delete_rows(k, id, &existed, err);
    if (rc == SP_OK && !existed)
        rc = sp_fail(err, SP_E_NOT_FOUND, "there is no such key");
    if (rc == SP_OK)
        return sp_store_commit(k->store, err);
    sp_store_rollback(k->store);
    return rc;
}

static void copy_text(char *out, size_t len, struct sp_bytes text)
{
    size_t n = text.len < len - 1 ? text.len : len - 1;

    if (n > 0)
        memcpy(out, text.ptr, n);
    out[n] = 0;
}

static enum sp_rc read_addresses(struct sp_keys *k, struct sp_keys_key *key, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(k->store, "SELECT address FROM address WHERE key = ?1 ORDER BY n");
    bool row = true;
    enum sp_rc rc = SP_OK;

    sp_store_bind_text(q, 1, sp_bytes_cstr(key->id));
    while (rc == SP_OK && row && key->address_count < SP_KEYS_ADDRESSES_MAX) {
        rc = sp_store_next(q, &row, err);
        if (rc == SP_OK && row)
            copy_text(key->addresses[key->address_count++], SP_KEYS_ADDRESS_MAX,
                      sp_store_text(q, 0));
    }
    sp_store_done(q);
    return rc;
}

static void read_row(const struct sp_store_query *q, struct sp_keys_key *key)
{
    memset(key, 0, sizeof(*key));
    copy_text(key->id, sizeof(key->id), sp_store_text(q, 0));
    key->kind = sp_store_int(q, 1) == SP_KEYS_PGP ? SP_KEYS_PGP : SP_KEYS_SMIME;
    copy_text(key->algorithm, sizeof(key->algorithm), sp_store_text(q, 2));
    key->not_before_ms = sp_store_int(q, 3);
    key->not_after_ms = sp_store_int(q, 4);
    key->abilities = (unsigned)sp_store_int(q, 5);
    key->trust = sp_store_int(q, 6) == SP_KEYS_PINNED    ? SP_KEYS_PINNED
                 : sp_store_int(q, 6) == SP_KEYS_CHAINED ? SP_KEYS_CHAINED
                                                         : SP_KEYS_UNTRUSTED;
    key->bytes = sp_store_blob(q, 7);
}

enum sp_rc sp_keys_get(struct sp_keys *k, struct sp_bytes id, struct sp_arena *arena,
                       struct sp_keys_key *out, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(k->store, "SELECT " COLUMNS " FROM key WHERE id = ?1");
    bool row = false;
    enum sp_rc rc;

    sp_store_bind_text(q, 1, id);
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && !row)
        rc = sp_fail(err, SP_E_NOT_FOUND, "there is no such key");
    if (rc != SP_OK)
        return rc;
    read_row(q, out);
    out->bytes = sp_arena_copy(arena, out->bytes);
    sp_store_done(q);
    return read_addresses(k, out, err);
}

static struct sp_store_query *query_each(struct sp_keys *k, const struct sp_keys_query *query)
{
    struct sp_store_query *q;

    if (query->address.len > 0) {
        q = sp_store_query(k->store,
                           "SELECT " COLUMNS " FROM key JOIN address ON address.key = key.id"
                           " WHERE address = ?1"
                           " ORDER BY not_after = 0 DESC, not_after DESC, id LIMIT ?2");
        sp_store_bind_text(q, 1, query->address);
    } else {
        q = sp_store_query(k->store,
                           "SELECT " COLUMNS " FROM key WHERE id > ?1 ORDER BY id LIMIT ?2");
        sp_store_bind_text(q, 1, query->after);
    }
    sp_store_bind_int(q, 2, query->limit);
    return q;
}

enum sp_rc sp_keys_each(struct sp_keys *k, const struct sp_keys_query *query,
                        void (*each)(void *ctx, const struct sp_keys_key *key), void *ctx,
                        struct sp_err *err)
{
    struct sp_store_query *q = query_each(k, query);
    struct sp_keys_key *key = sp_malloc(sizeof(*key));
    bool row = true;
    enum sp_rc rc = SP_OK;

    while (rc == SP_OK && row) {
        rc = sp_store_next(q, &row, err);
        if (rc != SP_OK || !row)
            break;
        read_row(q, key);
        rc = read_addresses(k, key, err);
        if (rc == SP_OK)
            each(ctx, key);
    }
    sp_store_done(q);
    sp_free(key);
    return rc;
}
