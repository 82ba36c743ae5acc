/*
 * The real disk, below one folder: openat and its like, so that a name can't lead elsewhere. fdatasync stands for
 * "synced"; what ext4 and xfs need beyond it for a new name is the folder's fsync, which the journal asks for itself.
 */
#include "journal/io.h"

#include "base/fault.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk {
    int folder;
    bool owned; /* new files are given to uid and gid */
    uid_t uid;
    gid_t gid;
};

static int disk_open(void *ctx, const char *name, enum sp_io_open how)
{
    const struct disk *d = ctx;
    int flags =
        O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK; /* a pipe in place of a file must not hold us up */
    mode_t mode = how == SP_IO_OPEN_CREATE ? 0640 : 0600;
    int fd;

    if (how == SP_IO_OPEN_READ)
        flags |= O_RDONLY;
    else if (how == SP_IO_OPEN_WRITE)
        flags |= O_RDWR;
    else
        flags |= O_RDWR | O_CREAT | O_EXCL;
    if (how != SP_IO_OPEN_READ && SP_FAULT("journal.open"))
        return -ENOSPC;
    if (how == SP_IO_OPEN_READ && SP_FAULT("journal.open-read"))
        return -EMFILE;
    fd = openat(d->folder, name, flags, mode);
    if (fd < 0)
        return -errno;
    if ((flags & O_CREAT) != 0 && d->owned && fchown(fd, d->uid, d->gid) != 0) {
        (void)close(fd);
        return -EPERM;
    }
    if (how == SP_IO_OPEN_CREATE && fchmod(fd, mode) != 0) { /* whatever the umask */
        (void)close(fd);
        return -EPERM;
    }
    return fd;
}

static void disk_close(void *ctx, int fd)
{
    (void)ctx;
    (void)close(fd);
}

static ssize_t disk_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    ssize_t n;

    (void)ctx;
    if (SP_FAULT("journal.write"))
        return -EIO;
    n = pwritev(fd, iov, count, offset);
    return n < 0 ? -errno : n;
}

static ssize_t disk_pread(void *ctx, int fd, void *out, size_t len, int64_t offset)
{
    ssize_t n;

    (void)ctx;
    if (SP_FAULT("journal.read"))
        return -EIO;
    n = pread(fd, out, len, offset);
    return n < 0 ? -errno : n;
}

static int disk_sync(void *ctx, int fd)
{
    (void)ctx;
    if (SP_FAULT("journal.sync"))
        return -EIO;
    return fdatasync(fd) == 0 ? 0 : -errno;
}

static int disk_sync_folder(void *ctx, const char *name)
{
    const struct disk *d = ctx;
    int fd = SP_FAULT_ERRNO("journal.open-folder", EMFILE)
                 ? -1
                 : openat(d->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (SP_FAULT("journal.sync-folder") || fsync(fd) != 0)
        rc = -EIO;
    (void)close(fd);
    return rc;
}

static int disk_write_back(void *ctx, int fd, int64_t offset, int64_t len)
{
    (void)ctx;
    if (SP_FAULT("journal.write-back"))
        return -EIO;
    return sync_file_range(fd, offset, len, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE) ==
                   0
               ? 0
               : -errno;
}

static int disk_truncate(void *ctx, int fd, int64_t len)
{
    (void)ctx;
    if (SP_FAULT("journal.truncate"))
        return -EIO;
    return ftruncate(fd, len) == 0 ? 0 : -errno;
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    const struct disk *d = ctx;

    if (SP_FAULT("journal.rename"))
        return -EIO;
    return renameat(d->folder, from, d->folder, to) == 0 ? 0 : -errno;
}

static int disk_unlink(void *ctx, const char *name)
{
    const struct disk *d = ctx;

    if (SP_FAULT("journal.unlink"))
        return -EIO;
    return unlinkat(d->folder, name, 0) == 0 ? 0 : -errno;
}

static int disk_make_folder(void *ctx, const char *name)
{
    const struct disk *d = ctx;

    if (SP_FAULT("journal.folder"))
        return -ENOSPC;
    return mkdirat(d->folder, name, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int disk_list(void *ctx, const char *folder, void (*visit)(void *arg, const char *name),
                     void *arg)
{
    const struct disk *d = ctx;
    int fd = SP_FAULT_ERRNO("journal.list", EMFILE)
                 ? -1
                 : openat(d->folder, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (dir == NULL) {
        int rc = -errno;

        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while ((e = readdir(dir)) != NULL) // NOLINT(concurrency-mt-unsafe): this DIR is ours alone
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            visit(arg, e->d_name);
    (void)closedir(dir);
    return 0;
}

static int disk_lock(void *ctx)
{
    const struct disk *d = ctx;

    if (SP_FAULT("journal.lock"))
        return -ENOLCK;
    return flock(d->folder, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

enum sp_rc sp_journal_io_posix(const char *dir, struct sp_journal_io *out, struct sp_err *err)
{
    struct disk *d;
    int fd = SP_FAULT_ERRNO("journal.shard", EMFILE)
                 ? -1
                 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return sp_fail_errno(err, SP_E_IO, errno, "%s", dir);
    d = sp_calloc(1, sizeof(*d));
    d->folder = fd;
    *out = (struct sp_journal_io){
        .open = disk_open,
        .close = disk_close,
        .pwritev = disk_pwritev,
        .pread = disk_pread,
        .sync = disk_sync,
        .sync_folder = disk_sync_folder,
        .write_back = disk_write_back,
        .truncate = disk_truncate,
        .rename = disk_rename,
        .unlink = disk_unlink,
        .make_folder = disk_make_folder,
        .list = disk_list,
        .lock = disk_lock,
        .ctx = d,
    };
    return SP_OK;
}

void sp_journal_io_posix_free(struct sp_journal_io *io)
{
    struct disk *d = io->ctx;

    if (d == NULL)
        return;
    (void)close(d->folder);
    sp_free(d);
    *io = (struct sp_journal_io){0};
}

void sp_journal_io_posix_owner(struct sp_journal_io *io, uid_t uid, gid_t gid)
{
    struct disk *d = io->ctx;

    d->owned = true;
    d->uid = uid;
    d->gid = gid;
}
