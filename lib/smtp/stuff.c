/*
 * Dot-stuffing without copying: the caller's bytes go out as they are, and where a line begins with a dot, one more is put
 * before it. The same walk checks that only CRLF ends lines, so that whatever made the bytes, no bare CR, LF or NUL
 * reaches a next hop that might read it as an end of data.
 */
#include "smtp/stuff.h"

#include "smtp/clean.h"

/* Many lines at once, if nothing in them needs a closer look. returns: their bytes, or 0 */
static size_t take_clean(struct sp_smtp_stuff *st, struct sp_bytes in)
{
    size_t len = st->cr ? 0 : sp_smtp_clean_len(in, st->in_line ? 0 : '\n');

    if (len > 0)
        st->in_line = in.ptr[len - 1] != '\n';
    return len;
}

/* Walks one line or what there is of it. returns: bytes that are good; *rc: a fault at or before their end */
static size_t take_line(struct sp_smtp_stuff *st, struct sp_bytes in, enum sp_rc *rc)
{
    const uint8_t *lf = memchr(in.ptr, '\n', in.len);
    size_t len = lf == NULL ? in.len : (size_t)(lf - in.ptr) + 1;
    size_t body = lf == NULL ? len : len - 1;
    const uint8_t *cr;

    if (st->cr && in.ptr[0] != '\n') {
        *rc = SP_E_SMTP_BARE_DATA;
        return 0;
    }
    cr = memchr(in.ptr, '\r', body);
    if ((cr != NULL && cr != in.ptr + body - 1) ||
        (lf != NULL && cr == NULL && !(st->cr && body == 0)) || memchr(in.ptr, 0, len) != NULL) {
        *rc = SP_E_SMTP_BARE_DATA;
        return 0;
    }
    st->cr = lf == NULL && cr != NULL;
    st->in_line = lf == NULL;
    return len;
}

enum sp_rc sp_smtp_stuff_next(struct sp_smtp_stuff *st, struct sp_bytes *in, struct sp_bytes *out)
{
    static const uint8_t dot = '.';
    enum sp_rc rc = SP_OK;
    size_t len = 0;

    *out = sp_bytes(NULL, 0);
    if (in->len == 0)
        return SP_OK;
    if (!st->in_line && in->ptr[0] == '.') {
        st->in_line = true; /* the stuffed dot is out; what follows is the line itself */
        *out = sp_bytes(&dot, 1);
        return SP_OK;
    }
    while (len < in->len && rc == SP_OK) {
        size_t clean;

        if (len > 0 && !st->in_line && in->ptr[len] == '.')
            break;
        clean = take_clean(st, sp_bytes_slice(*in, len, in->len));
        len += clean > 0 ? clean : take_line(st, sp_bytes_slice(*in, len, in->len), &rc);
    }
    if (rc != SP_OK)
        return rc;
    *out = sp_bytes_slice(*in, 0, len);
    *in = sp_bytes_slice(*in, len, in->len);
    return SP_OK;
}

enum sp_rc sp_smtp_stuff_end(const struct sp_smtp_stuff *st, bool *at_line_start)
{
    if (st->cr)
        return SP_E_SMTP_BARE_DATA;
    *at_line_start = !st->in_line;
    return SP_OK;
}
