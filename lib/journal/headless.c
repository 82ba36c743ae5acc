/*
 * What is left of a segment when its first block, or the whole file, can't be read: the clear headers of its records name
 * the messages, which are then quarantined one by one; of a file that is gone nobody knows more than that it should be
 * there. Numbers follow each other without a gap and go oldest first, so one that is missing between two is lost; at either
 * end the keyring tells a file that is lost from one that has ended: keys go first.
 */
#include "journal/recover_priv.h"

#include <errno.h>

enum { WINDOW = 64 * 1024 };

/* The first batch header that is wanted. returns: SP_E_NOT_FOUND, SP_E_IO */
static enum sp_rc find_batch(const struct sp_journal_io *io, const struct sp_segment *s,
                             bool (*wants)(const struct sp_segment *s,
                                           const struct sp_batch_header *h),
                             struct sp_batch_header *h)
{
    uint8_t *window = sp_malloc(WINDOW);
    uint64_t at = SP_BLOCK;
    bool found = false;
    ssize_t n;

    do {
        n = sp_read_fully(io, s->fd, window, WINDOW, (int64_t)at);
        for (ssize_t off = 0; off < n && !found; off += SP_BLOCK)
            found = sp_batch_header_decode(sp_bytes(window + off, (size_t)(n - off)), h) == SP_OK &&
                    wants(s, h);
        at += WINDOW;
    } while (n == WINDOW && !found);
    sp_free(window);
    if (n < 0)
        return SP_E_IO;
    return found ? SP_OK : SP_E_NOT_FOUND;
}

static bool has_number(const struct sp_segment *s, const struct sp_batch_header *h)
{
    return h->segment == s->number;
}

static bool has_salt(const struct sp_segment *s, const struct sp_batch_header *h)
{
    return memcmp(h->salt, s->salt, SP_SALT_LEN) == 0 && h->segment != s->number;
}

uint64_t sp_segment_other(const struct sp_journal_io *io, const struct sp_segment *s)
{
    struct sp_batch_header h;

    return !s->is_headless && find_batch(io, s, has_salt, &h) == SP_OK ? h.segment : 0;
}

/* Takes the salt from the first batch header that names this segment. */
static enum sp_rc find_salt(const struct sp_journal_io *io, struct sp_segment *s)
{
    struct sp_batch_header h;
    enum sp_rc rc = find_batch(io, s, has_number, &h);

    if (rc == SP_OK)
        memcpy(s->salt, h.salt, SP_SALT_LEN);
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

bool sp_segment_has_salt(const struct sp_segment *s)
{
    static const uint8_t none[SP_SALT_LEN];

    return memcmp(s->salt, none, SP_SALT_LEN) != 0;
}

enum sp_rc sp_segment_open_headless(const struct sp_journal_io *io, uint64_t number,
                                    struct sp_segment **out)
{
    struct sp_segment *s = sp_calloc(1, sizeof(*s));
    char name[SP_SEGMENT_NAME_MAX];
    enum sp_rc rc;

    sp_segment_name(number, name);
    s->number = number;
    s->is_headless = true;
    s->fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
    if (s->fd < 0)
        rc = s->fd == -ENOENT ? SP_E_NOT_FOUND : SP_E_IO;
    else
        rc = find_salt(io, s);
    if (rc != SP_OK) {
        sp_segment_free(io, s);
        return rc;
    }
    *out = s;
    return SP_OK;
}

/* A number that the keyring names may have come after the folder was listed, where its owner runs. */
static bool is_there(const struct sp_journal_io *io, uint64_t number)
{
    char name[SP_SEGMENT_NAME_MAX];
    int fd;

    sp_segment_name(number, name);
    fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
    if (fd >= 0)
        io->close(io->ctx, fd);
    return fd != -ENOENT;
}

uint64_t sp_segment_lost(const struct sp_segment_maker *m, uint64_t after, uint64_t before,
                         uint64_t at)
{
    uint64_t next = at < after ? after : at;

    if (after != 0 && before != 0)
        return next + 1 < before ? next + 1 : 0;
    while ((next = sp_keyring_next(m->keyring, next)) != 0 && (before == 0 || next < before))
        if (!is_there(m->io, next))
            return next;
    return 0;
}
