/*
 * The one place that knows how a chunk is bound to its message, nonce and additional data; and kept plaintext. For content alone.
 */
#ifndef SP_CONTENT_CHUNK_PRIV_H
#define SP_CONTENT_CHUNK_PRIV_H

#include "content/content.h"

#define SP_CHUNK_AAD_LEN (SP_ID_LEN + 8 + 1)

struct sp_content_plain {
    unsigned refs;
    size_t len;
    size_t cap;
    struct sp_content_tally *tally; /* where it is counted, or NULL */
    uint8_t *data;
};

/* Makes room for len bytes in all, leaving nothing behind in freed memory. returns: false if there is none */
bool sp_content_plain_reserve(struct sp_content_plain *p, size_t len);

/* Message id, chunk number (big-endian), last flag. */
static inline void sp_chunk_aad(const struct sp_id *id, uint64_t number, bool last,
                                uint8_t out[SP_CHUNK_AAD_LEN])
{
    memcpy(out, id->b, SP_ID_LEN);
    for (int i = 0; i < 8; i++)
        out[SP_ID_LEN + i] = (uint8_t)(number >> (56 - 8 * i));
    out[SP_ID_LEN + 8] = last ? 1 : 0;
}

#endif
