/*
 * All that the journal asks of a disk, in one table, so that tests can record, fail and crash it. Names are relative to
 * the shard's folder. Calls return -errno where they fail, as said. thread: any (one at a time for each descriptor)
 */
#ifndef SP_JOURNAL_IO_H
#define SP_JOURNAL_IO_H

#include "base/bytes.h"
#include "base/err.h"

#include <sys/types.h>
#include <sys/uio.h>

enum sp_io_open {
    SP_IO_OPEN_READ,
    SP_IO_OPEN_WRITE,
    SP_IO_OPEN_CREATE,         /* new, must not exist; the ledger's group may read it */
    SP_IO_OPEN_CREATE_PRIVATE, /* new, must not exist; ours alone */
};

struct sp_journal_io {
    /* returns: a real descriptor (pread works on it), or -errno */
    int (*open)(void *ctx, const char *name, enum sp_io_open how);
    void (*close)(void *ctx, int fd);
    /* returns: bytes written, which may be fewer, or -errno */
    ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset);
    /* returns: bytes read, 0 at the end, or -errno */
    ssize_t (*pread)(void *ctx, int fd, void *out, size_t len, int64_t offset);
    /* fdatasync. returns: 0 or -errno; after a failure nothing about the file's unsynced bytes is known */
    int (*sync)(void *ctx, int fd);
    /* fsync of a folder ("." is the shard's own). returns: 0 or -errno */
    int (*sync_folder)(void *ctx, const char *name);
    /*
     * Begins to write a range to the disk, and waits for what of it was being written already: a writer who names the
     * piece before each time has at most two pieces on their way. Makes nothing durable.
     * returns: 0 or -errno; a failure is as final as one of sync, which may not tell it a second time
     */
    int (*write_back)(void *ctx, int fd, int64_t offset, int64_t len);
    int (*truncate)(void *ctx, int fd, int64_t len);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *name);
    int (*make_folder)(void *ctx, const char *name); /* 0 if it is there already */
    /* returns: 0 or -errno; visit is called with each name but . and .. */
    int (*list)(void *ctx, const char *folder, void (*visit)(void *arg, const char *name),
                void *arg);
    /* Locks the shard's folder for this process until the ctx is freed. returns: 0, -EWOULDBLOCK if another has it */
    int (*lock)(void *ctx);
    void *ctx;
};

/*
 * The real disk: openat and its like, below dir.
 *
 * owner:   the caller, until sp_journal_io_posix_free
 * returns: SP_E_IO if dir can't be opened
 */
SP_MUST_CHECK enum sp_rc sp_journal_io_posix(const char *dir, struct sp_journal_io *out,
                                             struct sp_err *err);
void sp_journal_io_posix_free(struct sp_journal_io *io);
/* Files made from now on belong to this user and group, if we may say so. */
void sp_journal_io_posix_owner(struct sp_journal_io *io, uid_t uid, gid_t gid);

#endif
