/*
 * Opening, transactions and the write-ahead log. WAL with synchronous=FULL makes each commit durable before it returns,
 * at one sync; readers of the same process never wait. Temporary tables stay in memory, so that no plaintext of a row
 * lands in a file that nobody wipes. The file is made by us first, with mode 0600; SQLite gives its log the same mode.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/store_priv.h"

#define BUSY_TIMEOUT_MS 2000

enum sp_rc sp_store_fail(struct sp_store *store, int result, const char *what, struct sp_err *err)
{
    enum sp_rc rc = (result & 0xff) == SQLITE_CONSTRAINT ? SP_E_EXISTS : SP_E_STORE_FAILED;
    const char *detail = store->db == NULL ? sqlite3_errstr(result) : sqlite3_errmsg(store->db);

    return sp_fail(err, rc, "%s: %s: %s (%d)", store->path, what, detail, result);
}

static enum sp_rc make_file(const char *path, struct sp_err *err)
{
    int fd;

    if (strcmp(path, ":memory:") == 0)
        return SP_OK;
    fd = SP_FAULT_ERRNO("store.file", ENOSPC)
             ? -1
             : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return sp_fail_errno(err, SP_E_STORE_FAILED, errno, "%s: can't open", path);
    close(fd);
    return SP_OK;
}

static enum sp_rc configure(struct sp_store *store, const struct sp_store_options *options,
                            struct sp_err *err)
{
    static const char common[] = "PRAGMA journal_mode = WAL;"
                                 "PRAGMA synchronous = FULL;"
                                 "PRAGMA temp_store = MEMORY;"
                                 "PRAGMA foreign_keys = ON;"
                                 "PRAGMA trusted_schema = OFF;"
                                 "PRAGMA cell_size_check = ON;";
    enum sp_rc rc;

    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    rc = sp_store_exec(store, common, err);
    if (rc != SP_OK)
        return rc;
    if (options->log_pages > 0)
        (void)sqlite3_wal_autocheckpoint(store->db, (int)options->log_pages); /* sets a number */
    return sp_store_exec(
        store, options->secure_delete ? "PRAGMA secure_delete = ON" : "PRAGMA secure_delete = OFF",
        err);
}

enum sp_rc sp_store_open(const char *path, const struct sp_store_options *options,
                         struct sp_store **out, struct sp_err *err)
{
    enum sp_rc rc = make_file(path, err);
    int result;

    if (rc != SP_OK)
        return rc;
    SP_AUTO(sp_store) store = sp_calloc(1, sizeof(*store));
    store->path = sp_strdup(path);
    store->queries = sp_map_new();
    if (sqlite3_initialize() != SQLITE_OK)
        return sp_fail(err, SP_E_STORE_FAILED, "%s: SQLite can't be started", path);
    rc = sp_store_renew(store, err);
    if (rc != SP_OK)
        return rc;
    result = SP_FAULT("store.open")
                 ? SQLITE_CANTOPEN
                 : sqlite3_open_v2(path, &store->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                   NULL);
    if (result != SQLITE_OK)
        return sp_store_fail(store, result, "open", err);
    rc = configure(store, options, err);
    if (rc == SP_OK)
        rc = sp_store_migrate(store, options, err);
    if (rc != SP_OK)
        return rc;
    *out = SP_STEAL(store);
    return SP_OK;
}

static void free_query(struct sp_store_query *q)
{
    sqlite3_finalize(q->stmt);
    sp_free(q->why);
    sp_free(q);
}

void sp_store_free(struct sp_store *store)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    if (store == NULL)
        return;
    while (sp_map_next(store->queries, &at, &key, &value))
        free_query(value);
    sp_map_free(store->queries);
    sqlite3_close(store->db);
    sp_free(store->path);
    sp_free(store);
}

size_t sp_store_version(const struct sp_store *store)
{
    return store->version;
}

enum sp_rc sp_store_exec(struct sp_store *store, const char *sql, struct sp_err *err)
{
    int result =
        SP_FAULT("store.exec") ? SQLITE_IOERR : sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? SP_OK : sp_store_fail(store, result, "statement", err);
}

enum sp_rc sp_store_begin(struct sp_store *store, struct sp_err *err)
{
    int result = SP_FAULT("store.begin")
                     ? SQLITE_IOERR
                     : sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    return result == SQLITE_OK ? SP_OK : sp_store_fail(store, result, "begin", err);
}

enum sp_rc sp_store_commit(struct sp_store *store, struct sp_err *err)
{
    int result = SP_FAULT("store.commit") ? SQLITE_IOERR
                                          : sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    enum sp_rc rc;

    if (result == SQLITE_OK)
        return SP_OK;
    rc = sp_store_fail(store, result, "commit", err);
    sp_store_rollback(store);
    /* A sync at closing would say that all is well with bytes that the failed one has lost: sp_store_renew does it. */
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return rc;
}

void sp_store_rollback(struct sp_store *store)
{
    if (sqlite3_get_autocommit(store->db) == 0)
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

enum sp_rc sp_store_checkpoint(struct sp_store *store, struct sp_err *err)
{
    int result =
        SP_FAULT("store.checkpoint")
            ? SQLITE_IOERR
            : sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    return result == SQLITE_OK ? SP_OK : sp_store_fail(store, result, "checkpoint", err);
}

int64_t sp_store_last_id(const struct sp_store *store)
{
    return sqlite3_last_insert_rowid(store->db);
}

size_t sp_store_changes(const struct sp_store *store)
{
    return (size_t)sqlite3_changes(store->db);
}
