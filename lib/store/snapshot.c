/*
 * Looking at a database that belongs to another process: SQLite's own backup reads it under its locks, page by page, and
 * begins anew when the writer has been quicker, so the copy is of one moment.
 */
#include "store/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

enum { PAGES = 4096, TRIES = 2000, WAIT_MS = 5 };

static enum sp_rc fail(sqlite3 *db, const char *path, struct sp_err *err)
{
    return sp_fail(err, SP_E_STORE_FAILED, "%s: %s", path,
                   db == NULL ? "no memory" : sqlite3_errmsg(db));
}

static int copy_pages(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    int result = SQLITE_OK;

    if (backup == NULL)
        return sqlite3_errcode(to);
    for (int i = 0; i < TRIES; i++) {
        result = sqlite3_backup_step(backup, PAGES);
        if (result == SQLITE_BUSY || result == SQLITE_LOCKED)
            (void)sqlite3_sleep(WAIT_MS);
        else if (result != SQLITE_OK)
            break;
    }
    (void)sqlite3_backup_finish(backup);
    return result == SQLITE_DONE ? SQLITE_OK : SQLITE_BUSY;
}

enum sp_rc sp_store_snapshot(const char *path, const char *to, struct sp_err *err)
{
    sqlite3 *from = NULL;
    sqlite3 *copy = NULL;
    enum sp_rc rc = SP_OK;

    if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        rc = fail(from, path, err);
    else if (sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
                 SQLITE_OK ||
             copy_pages(from, copy) != SQLITE_OK)
        rc = fail(copy, to, err);
    sqlite3_close(copy);
    sqlite3_close(from);
    return rc;
}

enum sp_rc sp_store_peek(const char *path, const char *sql, int64_t *out, struct sp_err *err)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    enum sp_rc rc = SP_OK;
    int result;

    *out = 0;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        rc = fail(db, path, err);
    } else {
        result = sqlite3_step(stmt);
        if (result == SQLITE_ROW)
            *out = sqlite3_column_int64(stmt, 0);
        else if (result != SQLITE_DONE)
            rc = fail(db, path, err);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return rc;
}

enum sp_rc sp_store_look(const char *path, const char *sql,
                         void (*visit)(void *arg, struct sp_bytes row), void *arg,
                         struct sp_err *err)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    enum sp_rc rc = SP_OK;
    int result = SQLITE_ERROR;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
        (void)sqlite3_busy_timeout(db, TRIES * WAIT_MS);
        result = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    }
    if (result == SQLITE_OK)
        while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
            const void *bytes = sqlite3_column_blob(stmt, 0);

            visit(arg, sp_bytes(bytes, (size_t)sqlite3_column_bytes(stmt, 0)));
        }
    if (result != SQLITE_DONE)
        rc = fail(db, path, err);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return rc;
}
