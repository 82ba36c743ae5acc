/*
 * The ledger first commits the lines to its database and then appends them here, so after a crash the file may be short
 * or torn, and the missing bytes are known to the last: they are compared, cut and written again, the same as before. A
 * line once written is never taken back, since somebody may have read or witnessed it. Bytes that no ledger wrote are
 * moved aside and reported, not thrown away.
 */
#include "audit/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"

#define PATH_LEN_MAX 4096
#define COPY_LEN     65536

struct sp_audit_trail {
    int fd;
    char *path;
    uint64_t len;
};

static enum sp_rc write_all(int fd, struct sp_bytes data, uint64_t offset)
{
    while (data.len > 0) {
        ssize_t n = pwrite(fd, data.ptr, data.len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return SP_E_IO;
        data = sp_bytes_slice(data, (size_t)n, SIZE_MAX);
        offset += (uint64_t)n;
    }
    return SP_OK;
}

enum sp_rc sp_audit_trail_read(const struct sp_audit_trail *t, uint64_t offset, void *out,
                               size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t n = pread(t->fd, at, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
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
    sp_buf_put_cstr(out, t->path);
    sp_buf_put_cstr(out, suffix);
    sp_buf_put_u8(out, 0);
    return sp_buf_rc(out);
}

/* Moves what lies behind `from` to FILE.foreign, behind what lies there already. */
static enum sp_rc move_aside(struct sp_audit_trail *t, uint64_t from, uint64_t size)
{
    uint8_t *block = sp_malloc(COPY_LEN);
    enum sp_rc rc = SP_E_IO;
    struct sp_buf name;
    int fd = -1;

    sp_buf_init(&name, PATH_LEN_MAX);
    if (make_name(t, ".foreign", &name) == SP_OK)
        fd = open((const char *)name.ptr, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                  0640);
    if (fd >= 0)
        rc = SP_OK;
    while (rc == SP_OK && from < size) {
        size_t len = size - from < COPY_LEN ? (size_t)(size - from) : COPY_LEN;

        rc = sp_audit_trail_read(t, from, block, len);
        if (rc == SP_OK && write(fd, block, len) != (ssize_t)len)
            rc = SP_E_IO;
        from += len;
    }
    if (rc == SP_OK && fsync(fd) != 0)
        rc = SP_E_IO;
    if (fd >= 0)
        close(fd);
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
    struct stat st;
    uint64_t size;
    size_t same = 0;
    enum sp_rc rc = SP_OK;

    if (fstat(t->fd, &st) != 0)
        return SP_E_IO;
    size = (uint64_t)st.st_size;
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
    if (ftruncate(t->fd, (off_t)t->len) != 0)
        return SP_E_IO;
    tail = sp_bytes_slice(tail, same, SIZE_MAX);
    return tail.len == 0 ? SP_OK : sp_audit_trail_append(t, tail, NULL);
}

/* A new name must be on disk before anything relies on it. */
static enum sp_rc sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? sp_strdup(".")
                                 : sp_strdup_bytes(sp_bytes(path, (size_t)(slash - path) + 1));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum sp_rc rc = fd >= 0 && fsync(fd) == 0 ? SP_OK : SP_E_IO;

    if (fd >= 0)
        close(fd);
    sp_free(folder);
    return rc;
}

enum sp_rc sp_audit_trail_open(const char *path, uint64_t len, struct sp_bytes tail,
                               struct sp_audit_trail **out, struct sp_audit_mend *mend,
                               struct sp_err *err)
{
    SP_AUTO(sp_audit_trail) t = sp_calloc(1, sizeof(*t));
    enum sp_rc rc;

    sp_assert(tail.len <= len);
    *mend = (struct sp_audit_mend){0};
    t->path = sp_strdup(path);
    t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (t->fd < 0)
        return sp_fail_errno(err, SP_E_IO, errno, "%s: can't open", path);
    rc = mend_end(t, len, tail, mend);
    if (rc == SP_OK)
        rc = sync_folder(path);
    if (rc != SP_OK)
        return sp_fail_errno(err, rc, errno, "%s: can't be brought in order", path);
    *out = SP_STEAL(t);
    return SP_OK;
}

void sp_audit_trail_free(struct sp_audit_trail *t)
{
    if (t == NULL)
        return;
    if (t->fd >= 0)
        close(t->fd);
    sp_free(t->path);
    sp_free(t);
}

uint64_t sp_audit_trail_len(const struct sp_audit_trail *t)
{
    return t->len;
}

enum sp_rc sp_audit_trail_append(struct sp_audit_trail *t, struct sp_bytes lines,
                                 struct sp_err *err)
{
    enum sp_rc rc = SP_FAULT("audit.append") ? SP_E_IO : write_all(t->fd, lines, t->len);

    if (rc == SP_OK && (SP_FAULT("audit.sync") || fdatasync(t->fd) != 0))
        rc = SP_E_IO;
    if (rc != SP_OK) {
        sp_fail_errno(err, rc, errno, "%s: can't append", t->path);
        if (ftruncate(t->fd, (off_t)t->len) != 0)
            return rc; /* the same bytes come again to the same place */
        return rc;
    }
    t->len += lines.len;
    return SP_OK;
}

enum sp_rc sp_audit_trail_put_beside(const struct sp_audit_trail *t, const char *suffix,
                                     struct sp_bytes text, struct sp_err *err)
{
    struct sp_buf name;
    struct sp_buf temporary;
    enum sp_rc rc = SP_E_IO;
    int fd;

    sp_buf_init(&name, PATH_LEN_MAX);
    sp_buf_init(&temporary, PATH_LEN_MAX);
    if (make_name(t, suffix, &name) == SP_OK && make_name(t, ".new", &temporary) == SP_OK) {
        fd = open((const char *)temporary.ptr,
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd >= 0) {
            rc = write_all(fd, text, 0);
            close(fd);
        }
        if (rc == SP_OK && rename((const char *)temporary.ptr, (const char *)name.ptr) != 0)
            rc = SP_E_IO;
    }
    sp_buf_clear(&temporary);
    sp_buf_clear(&name);
    return rc == SP_OK ? SP_OK : sp_fail_errno(err, rc, errno, "%s%s", t->path, suffix);
}
