/*
 * Sources and sinks of lib/seal in memory, for tests.
 */
#ifndef SP_TEST_SUPPORT_SEAL_MEMORY_H
#define SP_TEST_SUPPORT_SEAL_MEMORY_H

#include "seal/stream.h"

static inline enum sp_rc memory_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct sp_bytes *b = ctx;

    if (offset > b->len || len > b->len - offset)
        return SP_E_INTERNAL;
    memcpy(buf, b->ptr + offset, len);
    return SP_OK;
}

/* message: lent as long as the source is used */
static inline struct sp_seal_source memory_source(struct sp_bytes *message)
{
    return (struct sp_seal_source){memory_read, message->len, message};
}

static inline enum sp_rc memory_write(void *ctx, struct sp_bytes data)
{
    sp_buf_put(ctx, data);
    return sp_buf_rc(ctx);
}

static inline struct sp_seal_sink memory_sink(struct sp_buf *out)
{
    return (struct sp_seal_sink){memory_write, out};
}

/* A message of any length that lies nowhere: its header, then a body of one line again and again. */
struct big_message {
    struct sp_bytes header; /* with its empty line */
    uint64_t len;
};

#define BIG_LINE "The quick brown fox jumps over the lazy dog, and the dog lets it.\r\n"

static inline enum sp_rc big_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct big_message *m = ctx;
    uint8_t *out = buf;

    for (size_t i = 0; i < len; i++, offset++)
        out[i] = offset < m->header.len
                     ? m->header.ptr[offset]
                     : (uint8_t)BIG_LINE[(offset - m->header.len) % (sizeof(BIG_LINE) - 1)];
    return SP_OK;
}

static inline struct sp_seal_source big_source(struct big_message *m)
{
    return (struct sp_seal_source){big_read, m->len, m};
}

/* Counts bytes and keeps none. ctx: uint64_t */
static inline enum sp_rc count_write(void *ctx, struct sp_bytes data)
{
    *(uint64_t *)ctx += data.len;
    return SP_OK;
}

#endif
