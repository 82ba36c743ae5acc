/*
 * As little of a VFS as SQLite needs with a write-ahead log. What matters to a crash is kept as the unix VFS does it: a
 * journal's or log's first sync also syncs the folder in which it was made (SQLite's own UNIXFILE_DIRSYNC), and a write
 * that is cut short or fails is told as such.
 */
#include "power/vfs.h"

#include "base/mem.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REGIONS = 16 };

struct file {
    sqlite3_file base;
    int fd;
    bool sync_folder; /* made, and its name not durable yet */
    char name[POWER_NAME_MAX];
    void *regions[REGIONS];
};

static struct power_disk *disk;
static char folder[POWER_NAME_MAX];

static void name_of(const char *path, char out[POWER_NAME_MAX])
{
    const char *slash = strrchr(path, '/');
    int n = snprintf(out, POWER_NAME_MAX, "%s/%s", folder, slash == NULL ? path : slash + 1);

    sp_assert(n > 0 && n < POWER_NAME_MAX);
}

static int file_close(sqlite3_file *f)
{
    struct file *file = (struct file *)f;

    (void)close(file->fd);
    for (size_t i = 0; i < REGIONS; i++)
        sp_free(file->regions[i]);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *out, int len, sqlite3_int64 offset)
{
    ssize_t n = power_read(disk, ((struct file *)f)->fd, out, (size_t)len, offset);

    if (n < 0)
        return SQLITE_IOERR_READ;
    if (n == len)
        return SQLITE_OK;
    memset((uint8_t *)out + n, 0, (size_t)(len - n));
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 offset)
{
    const uint8_t *from = data;

    while (len > 0) {
        ssize_t n = power_write(disk, ((struct file *)f)->fd, from, (size_t)len, offset);

        if (n <= 0)
            return n == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        from += n;
        offset += n;
        len -= (int)n;
    }
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 len)
{
    return power_truncate(disk, ((struct file *)f)->fd, len) == 0 ? SQLITE_OK
                                                                  : SQLITE_IOERR_TRUNCATE;
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct file *file = (struct file *)f;

    (void)flags;
    if (power_sync(disk, file->fd) != 0)
        return SQLITE_IOERR_FSYNC;
    if (file->sync_folder && power_sync_folder(disk, folder) != 0)
        return SQLITE_IOERR_DIR_FSYNC;
    file->sync_folder = false;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *out)
{
    struct stat st;

    if (fstat(((struct file *)f)->fd, &st) != 0)
        return SQLITE_IOERR_FSTAT;
    *out = st.st_size;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int level)
{
    (void)f;
    (void)level;
    return SQLITE_OK;
}

static int file_reserved(sqlite3_file *f, int *out)
{
    (void)f;
    *out = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *f)
{
    (void)f;
    return 4096;
}

static int file_device(sqlite3_file *f)
{
    (void)f;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* what the unix VFS says by default */
}

static int shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
    struct file *file = (struct file *)f;

    if (region >= REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (file->regions[region] == NULL && extend != 0)
        file->regions[region] = sp_calloc(1, (size_t)size);
    *out = file->regions[region];
    return SQLITE_OK;
}

static int shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    (void)f;
    (void)offset;
    (void)n;
    (void)flags;
    return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *f)
{
    (void)f;
}

static int shm_unmap(sqlite3_file *f, int deletes)
{
    (void)f;
    (void)deletes;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
    struct file *file = (struct file *)f;
    bool logs = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;

    (void)vfs;
    memset(file, 0, sizeof(*file));
    if (disk == NULL || path == NULL)
        return SQLITE_CANTOPEN;
    name_of(path, file->name);
    file->fd = power_open(disk, file->name, SP_IO_OPEN_WRITE);
    if (file->fd == -ENOENT && (flags & SQLITE_OPEN_CREATE) != 0) {
        file->fd = power_open(disk, file->name, SP_IO_OPEN_CREATE_PRIVATE);
        file->sync_folder = logs && file->fd >= 0;
    }
    if (file->fd < 0)
        return file->fd == -ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN;
    if (out_flags != NULL)
        *out_flags = flags;
    file->base.pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int syncs)
{
    char name[POWER_NAME_MAX];
    int rc;

    (void)vfs;
    name_of(path, name);
    rc = power_unlink(disk, name);
    if (rc == -ENOENT)
        return SQLITE_IOERR_DELETE_NOENT;
    if (rc != 0)
        return SQLITE_IOERR_DELETE;
    return syncs != 0 && power_sync_folder(disk, folder) != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    char name[POWER_NAME_MAX];
    int64_t len;

    (void)vfs;
    name_of(path, name);
    len = power_disk_len(disk, name);
    *out = flags == SQLITE_ACCESS_EXISTS ? len > 0 : len >= 0; /* as the unix VFS: empty is none */
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int len, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)len, "%s", path) < len ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    static uint64_t state = 11;

    (void)vfs;
    for (int i = 0; i < len; i++)
        out[i] = (char)power_random(&state);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = 212000000000000;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    (void)len;
    (void)out;
    return 0;
}

static int vfs_time_double(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    *out = 2450000.5;
    return SQLITE_OK;
}

static sqlite3_vfs power_vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(struct file),
    .mxPathname = 512,
    .zName = "power",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_random,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time_double,
    .xGetLastError = vfs_last_error,
    .xCurrentTimeInt64 = vfs_time,
};

void power_vfs_use(struct power_disk *d, const char *in)
{
    disk = d;
    memset(folder, 0, sizeof(folder));
    if (in != NULL)
        memcpy(folder, in, strlen(in));
    sp_assert(sqlite3_vfs_register(&power_vfs, 1) == SQLITE_OK);
}
