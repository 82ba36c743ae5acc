/*
 * A segment begins life as a spare: random name, header, keys, zero-filled if there was time. Everything slow about a
 * new segment (allocation, the keyring's three syncs) has then happened before the commit thread needs it; giving it a
 * number is a rename and one sync of the folder. Zero-filling pays because a sync of bytes written over needs no
 * journal commit of the file system; reserving blocks without writing them gains nothing.
 */
#include "journal/segment_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

enum { FILL_LEN = 256 * 1024 };

static enum sp_rc rc_of(int errnum)
{
    return errnum == -ENOSPC || errnum == -EDQUOT ? SP_E_JOURNAL_FULL : SP_E_IO;
}

int sp_write_fully(const struct sp_journal_io *io, int fd, struct iovec *iov, int count,
                   int64_t offset)
{
    while (count > 0) {
        ssize_t n = io->pwritev(io->ctx, fd, iov, count < IOV_MAX ? count : IOV_MAX, offset);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -EIO : (int)n;
        offset += n;
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

ssize_t sp_read_fully(const struct sp_journal_io *io, int fd, void *out, size_t len, int64_t offset)
{
    uint8_t *to = out;
    size_t done = 0;

    while (done < len) {
        ssize_t n = io->pread(io->ctx, fd, to + done, len - done, offset + (int64_t)done);

        if (n == -EINTR)
            continue;
        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Writes header and, if asked, zeroes up to len; syncs: a segment that has a number has a header. */
static int fill(const struct sp_journal_io *io, int fd, uint8_t *header, uint64_t len)
{
    struct iovec iov = {header, SP_BLOCK};
    uint8_t *zeroes;
    int rc = sp_write_fully(io, fd, &iov, 1, 0);

    if (rc == 0 && len > SP_BLOCK) {
        zeroes = sp_calloc(1, FILL_LEN);
        for (uint64_t at = SP_BLOCK; rc == 0 && at < len; at += FILL_LEN) {
            int64_t before = at > FILL_LEN ? (int64_t)(at - FILL_LEN) : 0;

            iov.iov_base = zeroes;
            iov.iov_len = len - at < FILL_LEN ? (size_t)(len - at) : FILL_LEN;
            rc = sp_write_fully(io, fd, &iov, 1, (int64_t)at);
            if (rc == 0) /* the piece before is waited for: commits of others need the disk too */
                rc = io->write_back(io->ctx, fd, before, (int64_t)(at + FILL_LEN) - before);
        }
        sp_free(zeroes);
    }
    return rc == 0 ? io->sync(io->ctx, fd) : rc;
}

/* The header block of a new segment: its record key, wrapped. */
static void make_header(const struct sp_segment_maker *m, const struct sp_segment *s, uint8_t *out)
{
    struct sp_segment_header h = {0};
    struct sp_aead *kek = sp_aead_new(&m->record_kek);

    memcpy(h.salt, s->salt, SP_SALT_LEN);
    memcpy(h.kek_id, m->kek_id, sizeof(h.kek_id));
    sp_crypt_wrap(kek, m->random, sp_bytes(s->salt, SP_SALT_LEN), &s->record_key, h.record_key);
    sp_segment_header_encode(&h, out);
    sp_aead_free(kek);
}

enum sp_rc sp_segment_make(const struct sp_segment_maker *m, uint64_t len, bool prewrite,
                           struct sp_segment **out)
{
    struct sp_segment *s = sp_calloc(1, sizeof(*s));
    uint8_t *header = sp_malloc(SP_BLOCK);
    enum sp_rc rc = SP_OK;
    int err;

    s->len = len;
    s->prewritten = prewrite;
    sp_random_fill(m->random, s->salt, SP_SALT_LEN);
    sp_secret_init(&s->record_key, m->random);
    (void)snprintf(s->spare, sizeof(s->spare), "spare-%02x%02x%02x%02x%02x%02x", s->salt[0],
                   s->salt[1], s->salt[2], s->salt[3], s->salt[4], s->salt[5]);
    make_header(m, s, header);
    s->fd = m->io->open(m->io->ctx, s->spare, SP_IO_OPEN_CREATE);
    err = s->fd < 0 ? s->fd : fill(m->io, s->fd, header, prewrite ? len : 0);
    sp_free(header);
    if (err != 0)
        rc = rc_of(err);
    if (rc == SP_OK) {
        sp_keyring_add(m->keyring, s->salt, &s->content_key);
        rc = sp_keyring_save(m->keyring);
    }
    if (rc != SP_OK) {
        sp_segment_drop(m, s);
        return rc;
    }
    *out = s;
    return SP_OK;
}

enum sp_rc sp_segment_number(const struct sp_segment_maker *m, struct sp_segment *s,
                             uint64_t number)
{
    char name[SP_SEGMENT_NAME_MAX];
    int err;

    sp_segment_name(number, name);
    err = m->io->rename(m->io->ctx, s->spare, name);
    if (err == 0) {
        s->number = number;
        err = m->io->sync_folder(m->io->ctx, ".");
    }
    return err == 0 ? SP_OK : rc_of(err);
}

enum sp_rc sp_segment_open(const struct sp_journal_io *io, const struct sp_secret *record_kek,
                           uint64_t number, struct sp_segment **out)
{
    struct sp_segment_header h;
    struct sp_segment *s;
    struct sp_aead *kek;
    uint8_t *header;
    char name[SP_SEGMENT_NAME_MAX];
    ssize_t n;
    enum sp_rc rc;
    int fd;

    sp_segment_name(number, name);
    fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
    if (fd < 0)
        return fd == -ENOENT ? SP_E_NOT_FOUND : SP_E_IO;
    header = sp_malloc(SP_BLOCK);
    n = sp_read_fully(io, fd, header, SP_BLOCK, 0);
    rc = n < 0 ? SP_E_IO : sp_segment_header_decode(sp_bytes(header, (size_t)n), &h);
    sp_free(header);
    s = sp_calloc(1, sizeof(*s));
    s->fd = fd;
    s->number = number;
    if (rc == SP_OK) {
        memcpy(s->salt, h.salt, SP_SALT_LEN);
        s->half = h.half;
        kek = sp_aead_new(record_kek);
        rc = sp_crypt_unwrap(kek, sp_bytes(h.salt, SP_SALT_LEN),
                             sp_bytes(h.record_key, SP_WRAPPED_LEN), &s->record_key);
        sp_aead_free(kek);
    } else if (rc == SP_E_MALFORMED) {
        rc = SP_E_JOURNAL_DAMAGED;
    }
    if (rc != SP_OK) {
        sp_segment_free(io, s);
        return rc;
    }
    *out = s;
    return SP_OK;
}

enum sp_rc sp_segment_mend(const struct sp_journal_io *io, const struct sp_segment *s)
{
    size_t at = s->half == SP_HALF_FIRST ? 0 : SP_SEGMENT_COPY;
    uint8_t *block = sp_malloc(SP_BLOCK);
    struct sp_segment_header h;
    char name[SP_SEGMENT_NAME_MAX];
    struct iovec iov;
    int err = -EIO;
    int fd;

    sp_segment_name(s->number, name);
    fd = io->open(io->ctx, name, SP_IO_OPEN_WRITE);
    if (fd >= 0 && sp_read_fully(io, fd, block, SP_BLOCK, 0) == SP_BLOCK &&
        sp_segment_header_decode(sp_bytes(block, SP_BLOCK), &h) == SP_OK) {
        sp_segment_header_encode(&h, block);
        iov = (struct iovec){block + at, SP_SEGMENT_COPY};
        err = sp_write_fully(io, fd, &iov, 1, (int64_t)at);
        if (err == 0)
            err = io->sync(io->ctx, fd);
    }
    if (fd >= 0)
        io->close(io->ctx, fd);
    sp_free(block);
    return err == 0 ? SP_OK : SP_E_IO;
}

void sp_segment_free(const struct sp_journal_io *io, struct sp_segment *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        io->close(io->ctx, s->fd);
    sp_secret_clear(&s->record_key);
    sp_secret_clear(&s->content_key);
    sp_free(s);
}

void sp_segment_drop(const struct sp_segment_maker *m, struct sp_segment *s)
{
    if (s == NULL)
        return;
    if (s->number != 0)
        sp_segment_name(s->number, s->spare);
    if (s->fd >= 0)
        (void)m->io->unlink(m->io->ctx, s->spare);
    sp_keyring_remove(m->keyring, s->salt);
    sp_segment_free(m->io, s);
}
