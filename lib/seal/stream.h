/*
 * Bytes in by range, bytes out in order: what sealing reads from and writes to. The sealer reads sealed content and writes
 * sealed content; tests read and write memory. Both block, so they belong in a process of their own. thread: worker
 */
#ifndef SP_SEAL_STREAM_H
#define SP_SEAL_STREAM_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* A message that can be read at any place. */
struct sp_seal_source {
    /* Fills buf with exactly len bytes from offset on; the range lies within the message. */
    enum sp_rc (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
    uint64_t len;
    void *ctx;
};

/* Where the result goes, in order. A failure is kept by the caller and ends the sealing. */
struct sp_seal_sink {
    enum sp_rc (*write)(void *ctx, struct sp_bytes data);
    void *ctx;
};

/* returns: what the sink's write said */
static inline enum sp_rc sp_seal_write(const struct sp_seal_sink *sink, struct sp_bytes data)
{
    return sink->write(sink->ctx, data);
}

/* Base 64 lines of this many characters (RFC 2045 6.8). */
#define SP_SEAL_LINE_CHARS 76

/* A filter that turns bytes into base-64 lines ended by CRLF. */
struct sp_seal_base64 {
    struct sp_seal_sink out;
    uint8_t rest[SP_SEAL_LINE_CHARS / 4 * 3]; /* bytes of a line not full yet */
    size_t rest_len;
    size_t text_len;
    uint8_t text[32768]; /* lines not handed on yet */
};

/* Begins; out: where the lines go. */
void sp_seal_base64_init(struct sp_seal_base64 *b, struct sp_seal_sink out);

/* returns: SP_OK, or what the sink said */
SP_MUST_CHECK enum sp_rc sp_seal_base64_feed(struct sp_seal_base64 *b, struct sp_bytes data);

/* Writes the last, short line with its padding and hands all on. returns: SP_OK, or what the sink said */
SP_MUST_CHECK enum sp_rc sp_seal_base64_finish(struct sp_seal_base64 *b);

/* A filter that turns bare LF into CRLF (what gpg writes); CRLF stays, wherever the pieces are cut. */
struct sp_seal_crlf {
    struct sp_seal_sink out;
    bool after_cr;
};

/* returns: SP_OK, or what the sink said */
SP_MUST_CHECK enum sp_rc sp_seal_crlf_feed(struct sp_seal_crlf *c, struct sp_bytes data);

#endif
