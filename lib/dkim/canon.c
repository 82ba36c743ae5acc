/*
 * Relaxed canonical forms. White space and line ends are held back until something follows them, which does all the rules at
 * once: space at the end of a line, empty lines at the end of a body and folds disappear, and what remains is one space or
 * the line ends that were there. A line ends with CRLF alone; a lone CR or LF is an ordinary byte (none is in what we sign).
 */
#include "dkim/canon.h"

void sp_dkim_canon_field(struct sp_bytes name, struct sp_bytes value, struct sp_buf *out)
{
    bool space = false, any = false;

    for (size_t i = 0; i < name.len; i++)
        sp_buf_put_u8(out, sp_ascii_lower(name.ptr[i]));
    sp_buf_put_u8(out, ':');
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];

        if (c == '\r' || c == '\n')
            continue;
        if (c == ' ' || c == '\t') {
            space = any;
            continue;
        }
        if (space)
            sp_buf_put_u8(out, ' ');
        sp_buf_put_u8(out, c);
        space = false;
        any = true;
    }
}

void sp_dkim_canon_body_init(struct sp_dkim_canon_body *b)
{
    *b = (struct sp_dkim_canon_body){.hash = sp_sha256_new()};
}

void sp_dkim_canon_body_clear(struct sp_dkim_canon_body *b)
{
    sp_sha256_free(b->hash);
    b->hash = NULL;
    sp_wipe(b->room, sizeof(b->room));
}

static void emit(struct sp_dkim_canon_body *b, uint8_t c)
{
    if (b->len == sizeof(b->room)) {
        sp_sha256_feed(b->hash, sp_bytes(b->room, b->len));
        b->len = 0;
    }
    b->room[b->len++] = c;
}

static void emit_end(struct sp_dkim_canon_body *b)
{
    emit(b, '\r');
    emit(b, '\n');
}

static void put(struct sp_dkim_canon_body *b, uint8_t c)
{
    for (; b->ends > 0; b->ends--)
        emit_end(b);
    if (b->space)
        emit(b, ' ');
    b->space = false;
    b->any = true;
    emit(b, c);
}

static void take(struct sp_dkim_canon_body *b, uint8_t c)
{
    if (c == '\r')
        b->cr = true;
    else if (c == ' ' || c == '\t')
        b->space = true;
    else
        put(b, c);
}

/* What follows a CR. */
static void take_behind_cr(struct sp_dkim_canon_body *b, uint8_t c)
{
    b->cr = false;
    if (c == '\n') {
        b->space = false;
        b->ends++;
        return;
    }
    put(b, '\r');
    take(b, c);
}

void sp_dkim_canon_body_feed(struct sp_dkim_canon_body *b, struct sp_bytes data)
{
    for (size_t i = 0; i < data.len; i++) {
        if (b->cr)
            take_behind_cr(b, data.ptr[i]);
        else
            take(b, data.ptr[i]);
    }
}

void sp_dkim_canon_body_finish(struct sp_dkim_canon_body *b, uint8_t out[SP_SHA256_LEN])
{
    if (b->cr)
        put(b, '\r');
    if (b->any)
        emit_end(b);
    sp_sha256_feed(b->hash, sp_bytes(b->room, b->len));
    sp_sha256_finish(b->hash, out);
}
