/*
 * Looking at a database that belongs to another process: SQLite's own backup reads it under its locks, page by page, and
 * begins anew when the writer has been quicker, so the copy is of one moment.
 */
#include "store/store.h"

#include "base/buf.h"
#include "base/text.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGES = 4096, TRIES = 2000, WAIT_MS = 5 };

static enum sp_rc fail(sqlite3 *db, const char *path, struct sp_err *err)
{
    return sp_fail(err, SP_E_STORE_FAILED, "%s: %s", path,
                   db == NULL ? "no memory" : sqlite3_errmsg(db));
}

/*
 * SQLite takes an empty file for a new database. Where root looks into folders that roles write to, a link would lead it elsewhere
 * and a pipe hold it up; a store itself follows none.
 */
static enum sp_rc refuse_other(const char *path, struct sp_err *err)
{
    struct stat is;

    if (lstat(path, &is) == 0 && !S_ISREG(is.st_mode))
        return sp_fail(err, SP_E_STORE_FAILED, "%s: it is no file", path);
    if (stat(path, &is) == 0 && is.st_size == 0)
        return sp_fail(err, SP_E_STORE_FAILED, "%s: it is empty", path);
    return SP_OK;
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
    enum sp_rc rc = refuse_other(path, err);

    if (rc != SP_OK)
        return rc;
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

/*
 * One without a log is open nowhere: it is read as a file that nobody writes to, or SQLite would lay its files beside it, into a
 * backup as well.
 */
static int open_to_look(const char *path, sqlite3 **out)
{
    char name[PATH_MAX];
    struct sp_buf uri;
    int result;

    if ((size_t)snprintf(name, sizeof(name), "%s-wal", path) >= sizeof(name))
        return SQLITE_CANTOPEN;
    if (access(name, F_OK) == 0)
        return sqlite3_open_v2(path, out, SQLITE_OPEN_READONLY, NULL);
    sp_buf_init(&uri, (size_t)3 * PATH_MAX + 32);
    sp_buf_put_cstr(&uri, "file:");
    for (const char *c = path; *c != '\0'; c++)
        if (strchr("%?#", *c) != NULL)
            sp_buf_printf(&uri, "%%%02X", (unsigned)(unsigned char)*c);
        else
            sp_buf_put_u8(&uri, (uint8_t)*c);
    sp_buf_put(&uri, sp_bytes("?immutable=1", sizeof("?immutable=1")));
    result =
        sqlite3_open_v2((const char *)uri.ptr, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    sp_buf_clear(&uri);
    return result;
}

enum sp_rc sp_store_look(const char *path, const char *sql,
                         void (*visit)(void *arg, struct sp_bytes row), void *arg,
                         struct sp_err *err)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    enum sp_rc rc = refuse_other(path, err);
    int result = SQLITE_ERROR;

    if (rc != SP_OK)
        return rc;
    if (open_to_look(path, &db) == SQLITE_OK) {
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

struct verdict {
    const char *path;
    struct sp_err *err;
    bool is_whole;
    bool is_told;
};

static void judge(void *arg, struct sp_bytes row)
{
    struct verdict *v = arg;

    v->is_whole = !v->is_told && sp_bytes_eq(row, SP_LIT("ok"));
    if (!v->is_whole && !v->is_told)
        (void)sp_fail(v->err, SP_E_STORE_FAILED, "%s: %.*s", v->path, SP_FMT(row));
    v->is_told = true;
}

enum sp_rc sp_store_examine(const char *path, struct sp_err *err)
{
    struct verdict v = {.path = path, .err = err};
    enum sp_rc rc = sp_store_look(path, "PRAGMA integrity_check(1)", judge, &v, err);

    return rc == SP_OK && !v.is_whole ? SP_E_STORE_FAILED : rc;
}
