/*
 * Enhanced status codes, RFC 3463: class 2, 4 or 5, subject and detail of one to three digits each.
 */
#include "mail/status.h"

/* Reads one to three digits at *at. */
static bool take_number(struct sp_bytes text, size_t *at, uint16_t *out)
{
    unsigned value = 0;
    size_t start = *at;

    while (*at < text.len && sp_ascii_is_digit(text.ptr[*at])) {
        if (*at - start == 3)
            return false;
        value = value * 10 + (unsigned)(text.ptr[*at] - '0');
        (*at)++;
    }
    *out = (uint16_t)value;
    return *at > start;
}

bool sp_status_parse(struct sp_bytes text, struct sp_status *out, struct sp_bytes *rest)
{
    struct sp_status st;
    size_t at = 0;

    if (!take_number(text, &at, &st.class) || (st.class != 2 && st.class != 4 && st.class != 5))
        return false;
    if (at == text.len || text.ptr[at++] != '.' || !take_number(text, &at, &st.subject))
        return false;
    if (at == text.len || text.ptr[at++] != '.' || !take_number(text, &at, &st.detail))
        return false;
    if (at < text.len && text.ptr[at++] != ' ')
        return false;
    *out = st;
    *rest = sp_bytes_slice(text, at, text.len);
    return true;
}

void sp_status_format(struct sp_status status, struct sp_buf *out)
{
    sp_buf_put_dec(out, status.class);
    sp_buf_put_u8(out, '.');
    sp_buf_put_dec(out, status.subject);
    sp_buf_put_u8(out, '.');
    sp_buf_put_dec(out, status.detail);
}

struct sp_status sp_status_of_reply(int code)
{
    struct sp_status st = {0, 0, 0};
    int class = code / 100;

    if (class == 2 || class == 4 || class == 5)
        st.class = (uint16_t) class;
    else if (class == 3)
        st.class = 2;
    return st;
}
