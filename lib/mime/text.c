/*
 * Bytes in memory as an input, a buffer as an output: for what is held whole anyway, and for tests. What is large comes from
 * a decoder and goes to the detector's window.
 */
#include "mime/text.h"

#include <string.h>

static enum sp_rc read_bytes(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    struct sp_bytes *rest = ctx;

    *got = rest->len < len ? rest->len : len;
    if (*got > 0)
        memcpy(out, rest->ptr, *got);
    *rest = sp_bytes_slice(*rest, *got, SIZE_MAX);
    return SP_OK;
}

static bool put_buf(void *ctx, struct sp_bytes text)
{
    struct sp_buf *buf = ctx;

    sp_buf_put(buf, text);
    return !buf->failed;
}

struct sp_mime_input sp_mime_input_bytes(struct sp_bytes *rest)
{
    return (struct sp_mime_input){.read = read_bytes, .ctx = rest};
}

struct sp_mime_output sp_mime_output_buf(struct sp_buf *buf)
{
    return (struct sp_mime_output){.put = put_buf, .ctx = buf};
}
