/*
 * The write-ahead log that a dead process left. SQLite goes on from it by what can be read, and after a sync that failed
 * the page cache still gives back frames that never reached the disk: a later sync of the file would not write them, and
 * a power cut would then cost all that was committed behind them. So its bytes are written over by themselves and synced
 * before it is opened. Through SQLite's own VFS, so that a test can stand in for the disk.
 */
#include "base/buf.h"
#include "store/store_priv.h"

#define PATH_BYTES_MAX 4096
#define BLOCK_LEN      65536

/* Reads and writes the same bytes, block by block, then syncs. returns: a result code of SQLite */
static int rewrite(sqlite3_file *f)
{
    sqlite3_int64 size = 0;
    uint8_t *block = sp_malloc(BLOCK_LEN);
    int result = f->pMethods->xFileSize(f, &size);

    for (sqlite3_int64 at = 0; result == SQLITE_OK && at < size; at += BLOCK_LEN) {
        int len = size - at < BLOCK_LEN ? (int)(size - at) : BLOCK_LEN;

        result = f->pMethods->xRead(f, block, len, at);
        if (result == SQLITE_OK)
            result = f->pMethods->xWrite(f, block, len, at);
    }
    if (result == SQLITE_OK && size > 0)
        result = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
    sp_free(block);
    return result;
}

static int renew(sqlite3_vfs *vfs, const char *name)
{
    sqlite3_file *f;
    int there = 0;
    int result = vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &there);

    if (result != SQLITE_OK || there == 0)
        return result;
    f = sp_calloc(1, (size_t)vfs->szOsFile);
    result = vfs->xOpen(vfs, name, f, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
    if (result == SQLITE_OK) {
        result = rewrite(f);
        (void)f->pMethods->xClose(f);
    }
    sp_free(f);
    return result;
}

enum sp_rc sp_store_renew(struct sp_store *store, struct sp_err *err)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    struct sp_buf name;
    int result = SQLITE_OK;

    if (vfs == NULL || strcmp(store->path, ":memory:") == 0)
        return SP_OK;
    sp_buf_init(&name, PATH_BYTES_MAX);
    sp_buf_put_cstr(&name, store->path);
    sp_buf_put_cstr(&name, "-wal");
    sp_buf_put(&name, sp_bytes("\0", 2)); /* SQLite looks for parameters behind a name */
    if (sp_buf_rc(&name) != SP_OK)
        result = SQLITE_TOOBIG;
    else
        result = renew(vfs, (const char *)name.ptr);
    sp_buf_clear(&name);
    return result == SQLITE_OK ? SP_OK : sp_store_fail(store, result, "renew the log", err);
}
