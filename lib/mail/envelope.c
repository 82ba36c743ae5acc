/*
 * xtext (RFC 3461 4): how ENVID and ORCPT carry any text in a command line. Values are kept encoded and said again as
 * they came; they are decoded only to be shown in a DSN, where control bytes would be an injection, and what is not ASCII,
 * which neither may hold (4.2, 4.4), has no place.
 */
#include "mail/envelope.h"

#include "base/text.h"
#include "mail/idn.h"

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
        if (c < 32 || c > 126)
            return false;
        sp_buf_put_u8(out, c);
    }
    return true;
}

/* ---- addresses of type utf-8 ---- */

#define HEX_MAX 6 /* digits of a code point */

static int hex_value(uint8_t c)
{
    if (sp_ascii_is_digit(c))
        return c - '0';
    c = sp_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends a code point in UTF-8. returns: false for a surrogate or one beyond Unicode */
static bool put_point(uint32_t point, struct sp_buf *out)
{
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return false;
    if (point < 0x80) {
        sp_buf_put_u8(out, (uint8_t)point);
    } else if (point < 0x800) {
        sp_buf_put_u8(out, (uint8_t)(0xc0 | point >> 6));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        sp_buf_put_u8(out, (uint8_t)(0xe0 | point >> 12));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point >> 6 & 0x3f)));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
    } else {
        sp_buf_put_u8(out, (uint8_t)(0xf0 | point >> 18));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point >> 12 & 0x3f)));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point >> 6 & 0x3f)));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
    }
    return true;
}

/* returns: length of "\\x{HEX}" at the start, 0 if it is none; *point is what it stands for */
static size_t embedded(struct sp_bytes text, uint32_t *point)
{
    size_t i = 3;

    if (text.len < 6 || text.ptr[1] != 'x' || text.ptr[2] != '{')
        return 0;
    *point = 0;
    while (i < text.len && i < 3 + HEX_MAX && hex_value(text.ptr[i]) >= 0)
        *point = *point << 4 | (uint32_t)hex_value(text.ptr[i++]);
    return i > 4 && i < text.len && text.ptr[i] == '}' ? i + 1 : 0;
}

bool sp_orcpt_utf8_decode(struct sp_bytes value, struct sp_buf *out)
{
    size_t start = out->len;
    struct sp_bytes text;

    for (size_t i = 0; i < value.len;) {
        uint8_t c = value.ptr[i];
        uint32_t point = 0;
        size_t step = 1;

        if (c == '\\') {
            step = embedded(sp_bytes_slice(value, i, value.len), &point);
            if (step == 0 || !put_point(point, out))
                return false;
        } else if (c <= 32 || c == 127 || c == '+' || c == '=') {
            return false;
        } else {
            sp_buf_put_u8(out, c);
        }
        i += step;
    }
    text = sp_bytes_slice(sp_buf_bytes(out), start, SIZE_MAX);
    for (size_t i = 0; i < text.len;
         i++) /* nothing may come in as hexadecimal that may not come in plain */
        if (text.ptr[i] < 32 || text.ptr[i] == 127)
            return false;
    return text.len > 0 && sp_utf8_is_valid(text) && !out->failed;
}

enum sp_rc sp_orcpt_utf8_encode(struct sp_bytes value, struct sp_buf *out)
{
    struct sp_buf text;
    struct sp_bytes rest;
    enum sp_rc rc;

    sp_buf_init(&text, SP_ORCPT_MAX);
    rc = sp_orcpt_utf8_decode(value, &text) ? SP_OK : SP_E_SMTP_SYNTAX;
    rest = sp_buf_bytes(&text);
    while (rc == SP_OK && rest.len > 0) {
        size_t n = rest.ptr[0] < 0x80 ? 1 : sp_utf8_step(rest);
        uint32_t point = rest.ptr[0];

        if (n > 1) {
            point &= 0x7fU >> n;
            for (size_t i = 1; i < n; i++)
                point = point << 6 | (rest.ptr[i] & 0x3fU);
        }
        if (n == 1 && point > 32 && point != '+' && point != '=' && point != '\\')
            sp_buf_put_u8(out, (uint8_t)point);
        else
            sp_buf_printf(out, "\\x{%02X}", (unsigned)point);
        rest = sp_bytes_slice(rest, n, rest.len);
    }
    sp_buf_clear(&text);
    return rc == SP_OK && sp_buf_rc(out) != SP_OK ? SP_E_SMTP_SYNTAX : rc;
}

void sp_orcpt_utf8_quote(struct sp_bytes address, struct sp_buf *out)
{
    for (size_t i = 0; i < address.len; i++) {
        uint8_t c = address.ptr[i];

        if (c <= 32 || c == 127 || c == '\\' || c == '+' || c == '=')
            sp_buf_printf(out, "\\x{%02X}", c);
        else
            sp_buf_put_u8(out, c);
    }
}

enum sp_rc sp_orcpt_of(struct sp_bytes address, struct sp_buf *out)
{
    struct sp_buf quoted;
    enum sp_rc rc;

    if (sp_text_is_ascii(address)) {
        sp_buf_put_cstr(out, "rfc822;");
        sp_xtext_encode(address, out);
        return sp_buf_rc(out);
    }
    sp_buf_put_cstr(out, "utf-8;");
    sp_buf_init(&quoted, SP_ORCPT_MAX);
    sp_orcpt_utf8_quote(address, &quoted);
    rc = sp_buf_rc(&quoted);
    if (rc == SP_OK)
        rc = sp_orcpt_utf8_encode(sp_buf_bytes(&quoted), out);
    sp_buf_clear(&quoted);
    return rc;
}
