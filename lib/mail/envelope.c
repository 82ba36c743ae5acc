/*
 * xtext (RFC 3461 4): how ENVID and ORCPT carry any text in a command line. Values are kept encoded and said again as
 * they came; they are decoded only to be shown in a DSN, where control bytes would be an injection.
 */
#include "mail/envelope.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool sp_xtext_is_valid(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c < 33 || c > 126 || c == '=')
            return false;
        if (c != '+')
            continue;
        if (i + 2 >= text.len || hex_digit(text.ptr[i + 1]) < 0 || hex_digit(text.ptr[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

void sp_xtext_encode(struct sp_bytes text, struct sp_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c >= 33 && c <= 126 && c != '+' && c != '=') {
            sp_buf_put_u8(out, c);
            continue;
        }
        sp_buf_put_u8(out, '+');
        sp_buf_put_u8(out, (uint8_t)digits[c >> 4]);
        sp_buf_put_u8(out, (uint8_t)digits[c & 15]);
    }
}

bool sp_xtext_decode(struct sp_bytes text, struct sp_buf *out)
{
    if (!sp_xtext_is_valid(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '+') {
            c = (uint8_t)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
            i += 2;
        }
        if (c < 32 || c == 127)
            return false;
        sp_buf_put_u8(out, c);
    }
    return true;
}
