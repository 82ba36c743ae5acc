/*
 * The reader opens the chunk that holds the wanted offset and keeps it until another is wanted, so that reading in order
 * opens each chunk once and a seek costs one. The chunk's memory holds the sealed bytes and is opened in place; only as
 * much is allocated as the largest chunk of this body needs. Where the plaintext is at hand, it is that which is shown.
 */
#include "content/chunk_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <unistd.h>

#define NO_CHUNK UINT64_MAX

struct sp_content_reader {
    const struct sp_content *content;
    struct sp_aead *aead;
    uint8_t *mem; /* one sealed chunk, opened in place */
    size_t mem_len;
    uint64_t number; /* of the chunk in mem */
    size_t len;      /* of its plaintext */
};

struct sp_content_reader *sp_content_reader_new(const struct sp_content *content)
{
    struct sp_content_reader *r = sp_calloc(1, sizeof(*r));

    r->content = content;
    if (content->plain != NULL)
        return r;
    r->aead = sp_aead_new(&content->key);
    r->mem_len = (content->len < SP_CONTENT_CHUNK ? (size_t)content->len : SP_CONTENT_CHUNK) +
                 SP_AEAD_TAG_LEN;
    r->mem = sp_malloc(r->mem_len);
    r->number = NO_CHUNK;
    return r;
}

void sp_content_reader_free(struct sp_content_reader *r)
{
    if (r == NULL)
        return;
    if (r->mem != NULL)
        sp_wipe(r->mem, r->mem_len);
    sp_free(r->mem);
    sp_aead_free(r->aead);
    sp_free(r);
}

static enum sp_rc read_file(const struct sp_content *c, uint64_t offset, uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t n = SP_FAULT_ERRNO("content.read", EIO)
                        ? -1
                        : pread(c->fd, out, len, (off_t)(c->offset + offset));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return SP_E_IO;
        if (n == 0)
            return SP_E_CONTENT_TRUNCATED;
        out += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return SP_OK;
}

static enum sp_rc read_sealed(struct sp_content_reader *r, uint64_t offset, size_t len)
{
    const struct sp_content *c = r->content;

    if (c->fd >= 0)
        return read_file(c, offset, r->mem, len);
    if (offset > c->memory.len || len > c->memory.len - offset)
        return SP_E_CONTENT_TRUNCATED;
    memcpy(r->mem, c->memory.ptr + offset, len);
    return SP_OK;
}

static enum sp_rc load_chunk(struct sp_content_reader *r, uint64_t number)
{
    const struct sp_content *c = r->content;
    uint64_t from = number * SP_CONTENT_CHUNK;
    size_t len = c->len - from < SP_CONTENT_CHUNK ? (size_t)(c->len - from) : SP_CONTENT_CHUNK;
    bool last = from + len == c->len;
    uint8_t aad[SP_CHUNK_AAD_LEN];
    enum sp_rc rc;

    if (number == r->number)
        return SP_OK;
    r->number = NO_CHUNK;
    rc = read_sealed(r, number * SP_CONTENT_SEALED_CHUNK, len + SP_AEAD_TAG_LEN);
    if (rc != SP_OK)
        return rc;
    sp_chunk_aad(&c->id, number, last, aad);
    if (sp_aead_open(r->aead, sp_aead_nonce_of(number), sp_bytes(aad, sizeof(aad)),
                     sp_bytes(r->mem, len + SP_AEAD_TAG_LEN), r->mem) != SP_OK)
        return SP_E_CONTENT_DAMAGED;
    r->number = number;
    r->len = len;
    return SP_OK;
}

enum sp_rc sp_content_view(struct sp_content_reader *r, uint64_t offset, struct sp_bytes *out)
{
    enum sp_rc rc;

    if (offset > r->content->len || (offset == r->content->len && offset > 0)) {
        *out = sp_bytes(NULL, 0);
        return SP_OK;
    }
    if (r->content->plain != NULL) {
        const struct sp_content_plain *p = r->content->plain;

        *out = sp_bytes_slice(sp_bytes(p->data, p->len), (size_t)offset, p->len);
        return SP_OK;
    }
    rc = load_chunk(r, offset / SP_CONTENT_CHUNK);
    if (rc != SP_OK)
        return rc;
    *out = sp_bytes_slice(sp_bytes(r->mem, r->len), offset % SP_CONTENT_CHUNK, r->len);
    return SP_OK;
}

enum sp_rc sp_content_read(struct sp_content_reader *r, uint64_t offset, void *out, size_t len,
                           size_t *got)
{
    uint8_t *to = out;
    size_t done = 0;

    do {
        struct sp_bytes view;
        enum sp_rc rc = sp_content_view(r, offset + done, &view);

        if (rc != SP_OK)
            return rc;
        if (view.len == 0)
            break;
        if (view.len > len - done)
            view.len = len - done;
        memcpy(to + done, view.ptr, view.len);
        done += view.len;
    } while (done < len);
    *got = done;
    return SP_OK;
}
