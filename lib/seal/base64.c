/*
 * Base-64 lines for sealed bodies. OpenSSL's BIO_f_base64 ends lines with a bare LF and was the bottleneck of S/MIME
 * (half the rate of the cipher), so this is our own: whole lines of 57 bytes are turned into 76 characters and CRLF
 * without looking at the line's state, and handed on in pieces of 32 KiB.
 */
#include "seal/stream.h"

#define LINE_BYTES (SP_SEAL_LINE_CHARS / 4 * 3)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Encodes whole groups of three bytes; returns the end of the text. */
static uint8_t *encode_groups(uint8_t *out, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i + 3 <= len; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

        out[0] = (uint8_t)alphabet[v >> 18];
        out[1] = (uint8_t)alphabet[v >> 12 & 63];
        out[2] = (uint8_t)alphabet[v >> 6 & 63];
        out[3] = (uint8_t)alphabet[v & 63];
        out += 4;
    }
    return out;
}

/* The last one or two bytes, padded. */
static uint8_t *encode_tail(uint8_t *out, const uint8_t *in, size_t len)
{
    uint32_t v = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0);

    out[0] = (uint8_t)alphabet[v >> 18];
    out[1] = (uint8_t)alphabet[v >> 12 & 63];
    out[2] = len > 1 ? (uint8_t)alphabet[v >> 6 & 63] : '=';
    out[3] = '=';
    return out + 4;
}

static enum sp_rc hand_on(struct sp_seal_base64 *b)
{
    size_t len = b->text_len;

    b->text_len = 0;
    return len == 0 ? SP_OK : sp_seal_write(&b->out, sp_bytes(b->text, len));
}

/* One line of at most LINE_BYTES bytes, with its CRLF. */
static enum sp_rc put_line(struct sp_seal_base64 *b, const uint8_t *in, size_t len)
{
    uint8_t *end;
    size_t whole = len - len % 3;

    if (b->text_len + SP_SEAL_LINE_CHARS + 2 > sizeof(b->text)) {
        enum sp_rc rc = hand_on(b);

        if (rc != SP_OK)
            return rc;
    }
    end = encode_groups(b->text + b->text_len, in, whole);
    if (whole < len)
        end = encode_tail(end, in + whole, len - whole);
    *end++ = '\r';
    *end++ = '\n';
    b->text_len = (size_t)(end - b->text);
    return SP_OK;
}

void sp_seal_base64_init(struct sp_seal_base64 *b, struct sp_seal_sink out)
{
    b->out = out;
    b->rest_len = 0;
    b->text_len = 0;
}

enum sp_rc sp_seal_base64_feed(struct sp_seal_base64 *b, struct sp_bytes data)
{
    enum sp_rc rc = SP_OK;

    if (b->rest_len > 0) {
        size_t take = LINE_BYTES - b->rest_len < data.len ? LINE_BYTES - b->rest_len : data.len;

        memcpy(b->rest + b->rest_len, data.ptr, take);
        b->rest_len += take;
        data = sp_bytes(data.ptr + take, data.len - take);
        if (b->rest_len < LINE_BYTES)
            return SP_OK;
        rc = put_line(b, b->rest, LINE_BYTES);
        b->rest_len = 0;
    }
    while (rc == SP_OK && data.len >= LINE_BYTES) {
        rc = put_line(b, data.ptr, LINE_BYTES);
        data = sp_bytes(data.ptr + LINE_BYTES, data.len - LINE_BYTES);
    }
    if (rc == SP_OK && data.len > 0) {
        memcpy(b->rest, data.ptr, data.len);
        b->rest_len = data.len;
    }
    return rc;
}

enum sp_rc sp_seal_base64_finish(struct sp_seal_base64 *b)
{
    enum sp_rc rc = SP_OK;

    if (b->rest_len > 0)
        rc = put_line(b, b->rest, b->rest_len);
    b->rest_len = 0;
    return rc == SP_OK ? hand_on(b) : rc;
}

enum sp_rc sp_seal_crlf_feed(struct sp_seal_crlf *c, struct sp_bytes data)
{
    size_t from = 0;

    for (size_t i = 0; i < data.len; i++) {
        enum sp_rc rc = SP_OK;

        if (data.ptr[i] == '\n' && !c->after_cr) {
            if (i > from)
                rc = sp_seal_write(&c->out, sp_bytes(data.ptr + from, i - from));
            if (rc == SP_OK)
                rc = sp_seal_write(&c->out, SP_LIT("\r\n"));
            from = i + 1;
        }
        if (rc != SP_OK)
            return rc;
        c->after_cr = data.ptr[i] == '\r';
    }
    return from == data.len ? SP_OK
                            : sp_seal_write(&c->out, sp_bytes(data.ptr + from, data.len - from));
}
