/* Sources of messages: memory, and sealed content read by range. */
#include "mime/mime.h"

#include "content/content.h"

static enum sp_rc read_memory(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
    const struct sp_bytes *mem = ctx;

    if (offset > mem->len || len > mem->len - offset)
        return SP_E_CONTENT_TRUNCATED;
    memcpy(out, mem->ptr + offset, len);
    return SP_OK;
}

static enum sp_rc read_content(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
    size_t got = 0;
    enum sp_rc rc = sp_content_read(ctx, offset, out, len, &got);

    if (rc != SP_OK)
        return rc;
    return got == len ? SP_OK : SP_E_CONTENT_TRUNCATED;
}

struct sp_mime_source sp_mime_source_bytes(struct sp_bytes *mem)
{
    return (struct sp_mime_source){.read = read_memory, .ctx = mem, .len = mem->len};
}

struct sp_mime_source sp_mime_source_content(struct sp_content_reader *reader, uint64_t len)
{
    return (struct sp_mime_source){.read = read_content, .ctx = reader, .len = len};
}
