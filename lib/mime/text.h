/*
 * Where documents come from and where their text goes, both in pieces: none is held whole for it. thread: any (one at a time)
 */
#ifndef SP_MIME_TEXT_H
#define SP_MIME_TEXT_H

#include "base/buf.h"
#include "base/err.h"

struct sp_mime_input {
    /* *got is 0 at the end */
    enum sp_rc (*read)(void *ctx, uint8_t *out, size_t len, size_t *got);
    void *ctx;
};

struct sp_mime_output {
    /* text is UTF-8, lent for the call, cut anywhere. returns: false if no more is wanted */
    bool (*put)(void *ctx, struct sp_bytes text);
    void *ctx;
};

/* returns: an input that takes from the front of rest, which must outlive it */
struct sp_mime_input sp_mime_input_bytes(struct sp_bytes *rest);

/* returns: an output that appends to buf, which must outlive it, and wants no more once that is full */
struct sp_mime_output sp_mime_output_buf(struct sp_buf *buf);

#endif
