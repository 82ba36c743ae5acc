/*
 * The ledger first commits the lines to its database and then appends them here, so after a crash the file may be short
 * or torn, and the missing bytes are known to the last: they are compared, cut and written again, the same as before. A
 * line once written is never taken back, since somebody may have read or witnessed it. Bytes that no ledger wrote are
 * moved aside and reported, not thrown away. All goes through the journal's I/O table, so that the same test takes the power from both.
 */
#include "audit/trail.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fault.h"

#define NAME_LEN_MAX 256
#define ASIDE_MAX    100
#define COPY_LEN     65536

struct sp_audit_trail {
    const struct sp_journal_io *io;
    int fd;
    char *name;
    uint64_t len;
    bool renamed; /* it has its final name, and there is no new one yet */
};

/* returns: 0 or -errno */
static int write_all(const struct sp_audit_trail *t, int fd, struct sp_bytes data, uint64_t offset)
{
    while (data.len > 0) {
        struct iovec iov = {(void *)data.ptr, data.len};
        ssize_t n = t->io->pwritev(t->io->ctx, fd, &iov, 1, (int64_t)offset);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -EIO : (int)n;
        data = sp_bytes_slice(data, (size_t)n, SIZE_MAX);
        offset += (uint64_t)n;
    }
    return 0;
}

enum sp_rc sp_audit_trail_read(const struct sp_audit_trail *t, uint64_t offset, void *out,
                               size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t n = t->io->pread(t->io->ctx, t->fd, at, len, (int64_t)offset);

        if (n == -EINTR)
            continue;
        if (n < 0)
            return SP_E_IO;
        if (n == 0)
            return SP_E_AUDIT_INCOMPLETE;
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return SP_OK;
}

static enum sp_rc make_name(const struct sp_audit_trail *t, const char *suffix, struct sp_buf *out)
{
    sp_buf_put_cstr(out, t->name);
    sp_buf_put_cstr(out, suffix);
    sp_buf_put_u8(out, 0);
    return sp_buf_rc(out);
}

/* Opens a file to write, making it if it is not there. returns: a descriptor or -errno */
static int open_file(const struct sp_journal_io *io, const char *name)
{
    int fd = io->open(io->ctx, name, SP_IO_OPEN_WRITE);

    return fd == -ENOENT ? io->open(io->ctx, name, SP_IO_OPEN_CREATE) : fd;
}

static uint64_t size_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Moves what lies behind `from` to FILE.foreign, behind what lies there already. */
static enum sp_rc move_aside(struct sp_audit_trail *t, uint64_t from, uint64_t size)
{
    uint8_t *block = sp_malloc(COPY_LEN);
    enum sp_rc rc = SP_E_IO;
    struct sp_buf name;
    uint64_t to = 0;
    int fd = -1;

    sp_buf_init(&name, NAME_LEN_MAX);
    if (make_name(t, ".foreign", &name) == SP_OK)
        fd = open_file(t->io, (const char *)name.ptr);
    if (fd >= 0) {
        to = size_of(fd);
        rc = SP_OK;
    }
    while (rc == SP_OK && from < size) {
        size_t len = size - from < COPY_LEN ? (size_t)(size - from) : COPY_LEN;

        rc = sp_audit_trail_read(t, from, block, len);
        if (rc == SP_OK && write_all(t, fd, sp_bytes(block, len), to) != 0)
            rc = SP_E_IO;
        from += len;
        to += len;
    }
    if (rc == SP_OK &&
        (t->io->sync(t->io->ctx, fd) != 0 || t->io->sync_folder(t->io->ctx, ".") != 0))
        rc = SP_E_IO;
    if (fd >= 0)
        t->io->close(t->io->ctx, fd);
    sp_buf_clear(&name);
    sp_free(block);
    return rc;
}

/* How many bytes of tail lie in the file, which has size bytes and should have them from base on. */
static enum sp_rc matching(const struct sp_audit_trail *t, uint64_t base, uint64_t size,
                           struct sp_bytes tail, size_t *out)
{
    uint8_t block[4096];
    size_t at = 0;

    while (at < tail.len && base + at < size) {
        size_t len = tail.len - at < sizeof(block) ? tail.len - at : sizeof(block);
        size_t same = 0;
        enum sp_rc rc;

        if (base + at + len > size)
            len = (size_t)(size - base - at);
        rc = sp_audit_trail_read(t, base + at, block, len);
        if (rc != SP_OK)
            return rc;
        while (same < len && block[same] == tail.ptr[at + same])
            same++;
        at += same;
        if (same < len)
            break;
    }
    *out = at;
    return SP_OK;
}

static enum sp_rc mend_end(struct sp_audit_trail *t, uint64_t len, struct sp_bytes tail,
                           struct sp_audit_mend *mend)
{
    uint64_t base = len - tail.len;
    uint64_t size = size_of(t->fd);
    size_t same = 0;
    enum sp_rc rc = SP_OK;

    if (size > len) {
        mend->foreign = size - len;
        rc = move_aside(t, len, size);
        size = len;
    }
    if (rc == SP_OK && size < base)
        mend->missing = base - size;
    if (rc == SP_OK && mend->missing == 0)
        rc = matching(t, base, size, tail, &same);
    if (rc != SP_OK)
        return rc;
    t->len = mend->missing > 0 ? size : base + same;
    mend->cut = size - t->len;
    if (mend->cut + mend->foreign > 0 && t->io->truncate(t->io->ctx, t->fd, (int64_t)t->len) != 0)
        return SP_E_IO;
    tail = sp_bytes_slice(tail, same, SIZE_MAX);
    return tail.len == 0 ? SP_OK : sp_audit_trail_append(t, tail, NULL);
}

enum sp_rc sp_audit_trail_open(const struct sp_audit_trail_file *file, struct sp_audit_trail **out,
                               struct sp_audit_mend *mend, struct sp_err *err)
{
    SP_AUTO(sp_audit_trail) t = sp_calloc(1, sizeof(*t));
    enum sp_rc rc;

    sp_assert(file->tail.len <= file->len);
    *mend = (struct sp_audit_mend){0};
    t->io = file->io;
    t->name = sp_strdup(file->name);
    t->fd = open_file(t->io, t->name);
    if (t->fd < 0)
        return sp_fail_errno(err, SP_E_IO, -t->fd, "%s: can't open", t->name);
    rc = mend_end(t, file->len, file->tail, mend);
    if (rc == SP_OK && t->io->sync_folder(t->io->ctx, ".") != 0) /* the name: others rely on it */
        rc = SP_E_IO;
    if (rc != SP_OK)
        return sp_fail(err, rc, "%s: can't be brought in order", t->name);
    *out = SP_STEAL(t);
    return SP_OK;
}

void sp_audit_trail_free(struct sp_audit_trail *t)
{
    if (t == NULL)
        return;
    if (t->fd >= 0)
        t->io->close(t->io->ctx, t->fd);
    sp_free(t->name);
    sp_free(t);
}

uint64_t sp_audit_trail_len(const struct sp_audit_trail *t)
{
    return t->len;
}

enum sp_rc sp_audit_trail_append(struct sp_audit_trail *t, struct sp_bytes lines,
                                 struct sp_err *err)
{
    int failed = SP_FAULT("audit.append") ? -EIO : write_all(t, t->fd, lines, t->len);

    if (failed == 0)
        failed = SP_FAULT("audit.sync") ? -EIO : t->io->sync(t->io->ctx, t->fd);
    if (failed != 0) { /* if the cut fails too, the same bytes come again to the same place */
        (void)t->io->truncate(t->io->ctx, t->fd, (int64_t)t->len);
        return sp_fail_errno(err, SP_E_IO, -failed, "%s: can't append", t->name);
    }
    t->len += lines.len;
    return SP_OK;
}

/* returns: 1 if there is a file of that name, 0 if not, or -errno */
static int is_there(const struct sp_journal_io *io, const char *name)
{
    int fd = io->open(io->ctx, name, SP_IO_OPEN_READ);

    if (fd == -EACCES || fd == -ELOOP) /* somebody else's file, or a link */
        return 1;
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    io->close(io->ctx, fd);
    return 1;
}

/* What has that name gets another, which no file has yet. returns: 0 or -errno */
static int make_room(const struct sp_journal_io *io, const char *name)
{
    struct sp_buf other;
    int there = 1;
    int failed;

    sp_buf_init(&other, NAME_LEN_MAX);
    for (unsigned i = 1; there == 1 && i <= ASIDE_MAX; i++) {
        sp_buf_reset(&other);
        sp_buf_printf(&other, "%s.foreign", name);
        if (i > 1)
            sp_buf_printf(&other, "-%u", i);
        sp_buf_put_u8(&other, 0);
        there = sp_buf_rc(&other) == SP_OK ? is_there(io, (const char *)other.ptr) : -ENAMETOOLONG;
    }
    failed = there == 1 ? -EEXIST : there;
    if (failed == 0)
        failed = io->rename(io->ctx, name, (const char *)other.ptr);
    if (failed == 0) /* for good before another has its name */
        failed = io->sync_folder(io->ctx, ".");
    sp_buf_clear(&other);
    return failed;
}

int sp_audit_trail_finish(const struct sp_journal_io *io, const char *name, const char *final,
                          struct sp_audit_finish *finish)
{
    int there = SP_FAULT("audit.rotate-rename") ? -EIO : is_there(io, name);
    int failed = 0;

    if (there < 0)
        return there;
    finish->lost = there == 0;
    if (finish->lost) /* what has the final name may be it */
        return 0;
    there = is_there(io, final);
    if (there == 1) {
        failed = make_room(io, final);
        finish->aside = finish->aside || failed == 0;
    }
    if (there < 0 || failed < 0)
        return there < 0 ? there : failed;
    return io->rename(io->ctx, name, final);
}

enum sp_rc sp_audit_trail_rotate(struct sp_audit_trail *t, const char *final,
                                 struct sp_audit_finish *finish, struct sp_err *err)
{
    const struct sp_journal_io *io = t->io;
    int failed = 0;
    int fd = -1;

    if (!t->renamed)
        failed = sp_audit_trail_finish(io, t->name, final, finish);
    t->renamed = t->renamed || failed == 0;
    if (failed ==
        0) /* for good before another has the name: else a power cut may leave that one alone */
        failed = io->sync_folder(io->ctx, ".");
    if (failed == 0) {
        fd = SP_FAULT("audit.rotate-open") ? -EMFILE : open_file(io, t->name);
        failed = fd < 0 ? fd : 0;
    }
    if (failed == 0)
        failed = SP_FAULT("audit.rotate-folder") ? -EIO : io->sync_folder(io->ctx, ".");
    if (failed != 0) {
        if (fd >= 0)
            io->close(io->ctx, fd);
        return sp_fail_errno(err, SP_E_IO, -failed, "%s: can't rotate", t->name);
    }
    io->close(io->ctx, t->fd);
    t->fd = fd;
    t->len = 0;
    t->renamed = false;
    return SP_OK;
}

/* Writes a new file, whole. returns: 0 or -errno */
static int put_file(const struct sp_audit_trail *t, const char *name, struct sp_bytes text)
{
    int fd = open_file(t->io, name);
    int rc;

    if (fd < 0)
        return fd;
    rc = t->io->truncate(t->io->ctx, fd, 0);
    if (rc == 0)
        rc = write_all(t, fd, text, 0);
    if (rc == 0)
        rc = t->io->sync(t->io->ctx, fd);
    t->io->close(t->io->ctx, fd);
    return rc;
}

enum sp_rc sp_audit_trail_put_beside(const struct sp_audit_trail *t, const char *suffix,
                                     struct sp_bytes text, struct sp_err *err)
{
    struct sp_buf name;
    struct sp_buf temporary;
    int failed = -ENAMETOOLONG;

    sp_buf_init(&name, NAME_LEN_MAX);
    sp_buf_init(&temporary, NAME_LEN_MAX);
    if (make_name(t, suffix, &name) == SP_OK && make_name(t, ".new", &temporary) == SP_OK) {
        failed = put_file(t, (const char *)temporary.ptr, text);
        if (failed == 0)
            failed = t->io->rename(t->io->ctx, (const char *)temporary.ptr, (const char *)name.ptr);
    }
    sp_buf_clear(&temporary);
    sp_buf_clear(&name);
    return failed == 0 ? SP_OK : sp_fail_errno(err, SP_E_IO, -failed, "%s%s", t->name, suffix);
}
