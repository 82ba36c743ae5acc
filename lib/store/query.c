/*
 * Statements: compiled once, found again by their text, values bound and columns read by type. Errors stick to the
 * statement, so that callers bind without asking and test once, at the step. A statement that ends is reset at once: an
 * open read transaction would keep the log from being emptied.
 */
#include "store/store_priv.h"

#include "base/fault.h"

static struct sp_store_query *compile(struct sp_store *store, const char *sql)
{
    struct sp_store_query *q = sp_calloc(1, sizeof(*q));

    q->store = store;
    q->failed =
        SP_FAULT("store.prepare")
            ? SQLITE_NOMEM
            : sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (q->failed != SQLITE_OK)
        q->why = sp_strdup(sqlite3_errmsg(store->db));
    sp_map_put(store->queries, sp_bytes_cstr(sql), q);
    return q;
}

static void drop(struct sp_store_query *q, const char *sql)
{
    sp_map_remove(q->store->queries, sp_bytes_cstr(sql));
    sp_free(q->why);
    sp_free(q);
}

struct sp_store_query *sp_store_query(struct sp_store *store, const char *sql)
{
    struct sp_store_query *q = sp_map_find(store->queries, sp_bytes_cstr(sql));

    /* one that did not compile is tried anew: its table may be there by now */
    if (q != NULL && q->stmt == NULL) {
        drop(q, sql);
        q = NULL;
    }
    if (q == NULL)
        return compile(store, sql);
    sqlite3_reset(q->stmt);
    sqlite3_clear_bindings(q->stmt);
    q->failed = SQLITE_OK;
    return q;
}

static void note(struct sp_store_query *q, int result)
{
    if (q->failed == SQLITE_OK)
        q->failed = result;
}

void sp_store_bind_int(struct sp_store_query *q, int at, int64_t value)
{
    if (q->stmt != NULL)
        note(q, sqlite3_bind_int64(q->stmt, at, value));
}

void sp_store_bind_text(struct sp_store_query *q, int at, struct sp_bytes value)
{
    const char *text = value.ptr == NULL ? "" : (const char *)value.ptr;

    if (q->stmt != NULL)
        note(q, sqlite3_bind_text64(q->stmt, at, text, value.len, SQLITE_TRANSIENT, SQLITE_UTF8));
}

void sp_store_bind_blob(struct sp_store_query *q, int at, struct sp_bytes value)
{
    if (q->stmt == NULL)
        return;
    if (value.len == 0)
        note(q, sqlite3_bind_zeroblob(q->stmt, at, 0));
    else
        note(q, sqlite3_bind_blob64(q->stmt, at, value.ptr, value.len, SQLITE_TRANSIENT));
}

void sp_store_bind_null(struct sp_store_query *q, int at)
{
    if (q->stmt != NULL)
        note(q, sqlite3_bind_null(q->stmt, at));
}

enum sp_rc sp_store_next(struct sp_store_query *q, bool *row, struct sp_err *err)
{
    enum sp_rc rc;
    int result;

    *row = false;
    if (q->stmt == NULL)
        return sp_fail(err, SP_E_STORE_FAILED, "%s: %s", q->store->path, q->why);
    if (q->failed == SQLITE_OK && SP_FAULT("store.step"))
        q->failed = SQLITE_IOERR;
    result = q->failed == SQLITE_OK ? sqlite3_step(q->stmt) : q->failed;
    if (result == SQLITE_ROW) {
        *row = true;
        return SP_OK;
    }
    rc = result == SQLITE_DONE ? SP_OK : sp_store_fail(q->store, result, "step", err);
    sqlite3_reset(q->stmt);
    return rc;
}

enum sp_rc sp_store_run(struct sp_store_query *q, struct sp_err *err)
{
    enum sp_rc rc;
    bool row;

    do {
        rc = sp_store_next(q, &row, err);
    } while (rc == SP_OK && row);
    return rc;
}

void sp_store_done(struct sp_store_query *q)
{
    if (q->stmt != NULL)
        sqlite3_reset(q->stmt);
}

int64_t sp_store_int(const struct sp_store_query *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

struct sp_bytes sp_store_text(const struct sp_store_query *q, int column)
{
    const unsigned char *text = sqlite3_column_text(q->stmt, column);

    return sp_bytes(text, text == NULL ? 0 : (size_t)sqlite3_column_bytes(q->stmt, column));
}

struct sp_bytes sp_store_blob(const struct sp_store_query *q, int column)
{
    const void *blob = sqlite3_column_blob(q->stmt, column);

    return sp_bytes(blob, blob == NULL ? 0 : (size_t)sqlite3_column_bytes(q->stmt, column));
}

bool sp_store_is_null(const struct sp_store_query *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}
