/*
 * Handles: what travels between the parts and processes that read a body. A handle is a value; the descriptor in it has
 * one owner, and copies get a descriptor of their own, so that nobody has to ask who closes.
 */
#include "content/chunk_priv.h"

#include "base/fault.h"
#include "base/memfd.h"

#include <fcntl.h>
#include <unistd.h>

void sp_content_init(struct sp_content *c)
{
    *c = (struct sp_content){.fd = -1};
}

void sp_content_init_plain(struct sp_content *c, const struct sp_id *id,
                           struct sp_content_plain *plain)
{
    sp_content_init(c);
    c->id = *id;
    c->len = plain->len;
    c->plain = plain;
}

void sp_content_clear(struct sp_content *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    sp_content_plain_unref(c->plain);
    sp_secret_clear(&c->key);
    sp_content_init(c);
}

enum sp_rc sp_content_copy(const struct sp_content *c, struct sp_content *out)
{
    int fd = -1;

    if (c->fd >= 0) {
        fd = SP_FAULT("content.dup") ? -1 : fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return SP_E_IO;
    }
    *out = *c;
    out->fd = fd;
    if (c->plain != NULL)
        out->plain = sp_content_plain_ref(c->plain);
    return SP_OK;
}

uint64_t sp_content_sealed_len(uint64_t len)
{
    uint64_t chunks = len == 0 ? 1 : (len - 1) / SP_CONTENT_CHUNK + 1;

    return len + chunks * SP_AEAD_TAG_LEN;
}

/* Copies all sealed bytes of c to fd; a short source is a cut body. */
static enum sp_rc copy_sealed(const struct sp_content *c, int fd)
{
    uint8_t block[16384];
    uint64_t total = sp_content_sealed_len(c->len);
    uint64_t done = 0;

    if (c->fd < 0) {
        if (c->memory.len < total)
            return SP_E_CONTENT_TRUNCATED;
        return sp_content_sink_fd(&fd, sp_bytes(c->memory.ptr, (size_t)total));
    }
    while (done < total) {
        size_t want = total - done < sizeof(block) ? (size_t)(total - done) : sizeof(block);
        ssize_t n = SP_FAULT_ERRNO("content.copy", EIO)
                        ? -1
                        : pread(c->fd, block, want, (off_t)(c->offset + done));

        if (n < 0)
            return SP_E_IO;
        if (n == 0)
            return SP_E_CONTENT_TRUNCATED;
        if (sp_content_sink_fd(&fd, sp_bytes(block, (size_t)n)) != SP_OK)
            return SP_E_IO;
        done += (uint64_t)n;
    }
    return SP_OK;
}

enum sp_rc sp_content_export_memfd(const struct sp_content *c, struct sp_content *out)
{
    int fd = sp_memfd_new("sallyport-body");
    enum sp_rc rc;

    if (fd < 0)
        return SP_E_IO;
    rc = copy_sealed(c, fd);
    if (rc == SP_OK &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        rc = SP_E_IO;
    if (rc != SP_OK) {
        (void)close(fd);
        return rc;
    }
    *out = *c;
    out->fd = fd;
    out->offset = 0;
    out->memory = sp_bytes(NULL, 0);
    out->plain = NULL;
    return SP_OK;
}

void sp_content_encode(const struct sp_content *c, struct sp_buf *out)
{
    sp_buf_put(out, sp_bytes(c->id.b, SP_ID_LEN));
    sp_buf_put_u64(out, c->len);
    sp_buf_put(out, sp_secret_bytes(&c->key));
    sp_buf_put_u64(out, c->offset);
}

void sp_content_decode(struct sp_reader *r, int fd, struct sp_content *out)
{
    sp_content_init(out);
    out->fd = fd;
    sp_reader_copy(r, out->id.b, SP_ID_LEN);
    out->len = sp_reader_u64(r);
    sp_reader_copy(r, out->key.b, SP_SECRET_LEN);
    out->offset = sp_reader_u64(r);
    /* Offsets that no file has would overflow what readers compute from them. */
    if (out->len > INT64_MAX / 4 || out->offset > INT64_MAX / 4)
        sp_reader_fail(r);
}
