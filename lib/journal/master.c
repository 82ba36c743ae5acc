/*
 * In order: the next key under a name of its own; the root file, opened by both; the next key takes the key's name; the
 * root file, opened by it alone. Files are written beside and renamed, so each is whole, and the folder is synced after
 * every rename, since the order is what a start relies on. The old key's bytes are overwritten through a descriptor that was
 * opened before its name went: worth something on disks that write in place, and no more.
 */
#include "journal/master.h"

#include "crypt/root.h"
#include "journal/segment_priv.h"

#include <errno.h>
#include <stdio.h>

enum { NAME_LEN = 256 };

/* A file that is not there is empty. */
static enum sp_rc read_all(const struct sp_journal_io *io, const char *name, struct sp_buf *out,
                           struct sp_err *err)
{
    int fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
    uint8_t *to = sp_buf_reserve(out, SP_ROOT_FILE_MAX);
    ssize_t n;

    if (fd == -ENOENT)
        return SP_OK;
    n = fd < 0 ? fd : sp_read_fully(io, fd, to, SP_ROOT_FILE_MAX, 0);
    if (fd >= 0)
        io->close(io->ctx, fd);
    if (n < 0)
        return sp_fail_errno(err, SP_E_IO, (int)-n, "%s", name);
    sp_buf_commit(out, (size_t)n);
    return SP_OK;
}

static int write_beside(const struct sp_journal_io *io, const char *name, struct sp_bytes data)
{
    struct iovec piece = {.iov_base = (void *)data.ptr, .iov_len = data.len};
    int fd;
    int rc;

    (void)io->unlink(io->ctx, name); /* of a try before */
    fd = io->open(io->ctx, name, SP_IO_OPEN_CREATE_PRIVATE);
    if (fd < 0)
        return fd;
    rc = sp_write_fully(io, fd, &piece, 1, 0);
    if (rc == 0)
        rc = io->sync(io->ctx, fd);
    io->close(io->ctx, fd);
    return rc;
}

/* The file is whole and durable, or as it was. */
static enum sp_rc replace(const struct sp_journal_io *io, const char *name, struct sp_bytes data,
                          struct sp_err *err)
{
    char beside[NAME_LEN];
    int rc;

    (void)snprintf(beside, sizeof(beside), "%s.tmp", name);
    rc = write_beside(io, beside, data);
    if (rc == 0)
        rc = io->rename(io->ctx, beside, name);
    if (rc == 0)
        rc = io->sync_folder(io->ctx, ".");
    return rc == 0 ? SP_OK : sp_fail_errno(err, SP_E_IO, -rc, "%s", name);
}

enum sp_rc sp_journal_master_admit(const struct sp_journal_io *io, const char *name,
                                   const struct sp_secret *present, const struct sp_secret *next,
                                   const struct sp_random *random, struct sp_err *err)
{
    struct sp_secret masters[2] = {*present};
    struct sp_secret root;
    struct sp_buf file;
    char path[NAME_LEN];
    enum sp_rc rc;

    (void)snprintf(path, sizeof(path), "%s" SP_ROOT_FILE, name);
    sp_buf_init(&file, SP_ROOT_FILE_MAX * 2);
    rc = read_all(io, path, &file, err);
    if (rc == SP_OK &&
        sp_crypt_root_open(sp_secret_bytes(present), sp_buf_bytes(&file), &root) != SP_OK)
        rc = sp_fail(err, SP_E_CRYPT_KEY, "%s does not open under the master key", path);
    if (rc == SP_OK) {
        if (next != NULL)
            masters[1] = *next;
        sp_buf_reset(&file);
        sp_crypt_root_seal(&root, masters, next == NULL ? 1 : 2, random, &file);
        rc = replace(io, path, sp_buf_bytes(&file), err);
        sp_secret_clear(&root);
    }
    sp_wipe(masters, sizeof(masters));
    sp_buf_clear(&file);
    return rc;
}

static enum sp_rc read_key(const struct sp_journal_io *io, const char *name, struct sp_secret *out,
                           struct sp_err *err)
{
    struct sp_buf file;
    enum sp_rc rc;

    sp_buf_init(&file, SP_ROOT_FILE_MAX * 2);
    rc = read_all(io, name, &file, err);
    if (rc == SP_OK && sp_secret_parse(sp_buf_bytes(&file), out) != SP_OK)
        rc = sp_fail(err, SP_E_CRYPT_KEY, "%s is no file of %d random bytes", name, SP_SECRET_LEN);
    sp_buf_wipe(&file);
    return rc;
}

/* The key of a change that was cut off, or a new one, durable under its own name. */
static enum sp_rc make_next(const struct sp_journal_io *io, const char *name,
                            const struct sp_random *random, struct sp_secret *next,
                            struct sp_err *err)
{
    if (read_key(io, name, next, err) == SP_OK)
        return SP_OK;
    *err = (struct sp_err){0};
    sp_secret_init(next, random);
    return replace(io, name, sp_secret_bytes(next), err);
}

static enum sp_rc overwrite(const struct sp_journal_io *io, int fd, struct sp_err *err)
{
    uint8_t nothing[SP_SECRET_LEN] = {0};
    struct iovec piece = {.iov_base = nothing, .iov_len = sizeof(nothing)};
    int rc = sp_write_fully(io, fd, &piece, 1, 0);

    if (rc == 0)
        rc = io->sync(io->ctx, fd);
    return rc == 0 ? SP_OK : sp_fail_errno(err, SP_E_IO, -rc, "the old key");
}

/* The next key becomes the key. */
static enum sp_rc exchange(const struct sp_journal_io *io, const char *name, const char *fresh,
                           struct sp_err *err)
{
    int old = io->open(io->ctx, name, SP_IO_OPEN_WRITE);
    enum sp_rc rc = SP_OK;
    int e = old;

    if (old >= 0)
        e = io->rename(io->ctx, fresh, name);
    if (e == 0)
        e = io->sync_folder(io->ctx, ".");
    if (e < 0)
        rc = sp_fail_errno(err, SP_E_IO, -e, "%s", name);
    else
        rc = overwrite(io, old, err);
    if (old >= 0)
        io->close(io->ctx, old);
    return rc;
}

enum sp_rc sp_journal_master_rotate(const struct sp_journal_io *io, const char *name,
                                    const struct sp_random *random, struct sp_err *err)
{
    struct sp_secret present, next;
    char fresh[NAME_LEN];
    enum sp_rc rc;

    if (snprintf(fresh, sizeof(fresh), "%s.next", name) > NAME_LEN - 16)
        return sp_fail(err, SP_E_LIMIT, "%s: too long a name", name);
    rc = read_key(io, name, &present, err);
    if (rc != SP_OK)
        return rc;
    rc = make_next(io, fresh, random, &next, err);
    if (rc == SP_OK)
        rc = sp_journal_master_admit(io, name, &present, &next, random, err);
    if (rc == SP_OK)
        rc = exchange(io, name, fresh, err);
    if (rc == SP_OK)
        rc = sp_journal_master_admit(io, name, &next, NULL, random, err);
    sp_secret_clear(&present);
    sp_secret_clear(&next);
    return rc;
}
