/*
 * Form fields, cookies, HTML text and file names. Readers take exactly one meaning or none: a field or cookie that
 * comes twice is as good as absent, since which of the two counts is what attackers play with.
 */
#include "web/form.h"

#include "base/text.h"

static int hex_digit(uint8_t c)
{
    if (sp_ascii_is_digit(c))
        return c - '0';
    c = sp_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent-encoding and plus signs (URL Standard 5.1). */
static bool decode(struct sp_bytes in, struct sp_buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        int high, low;

        if (in.ptr[i] == '+') {
            sp_buf_put_u8(out, ' ');
            continue;
        }
        if (in.ptr[i] != '%') {
            sp_buf_put_u8(out, in.ptr[i]);
            continue;
        }
        if (in.len - i < 3)
            return false;
        high = hex_digit(in.ptr[i + 1]);
        low = hex_digit(in.ptr[i + 2]);
        if (high < 0 || low < 0)
            return false;
        sp_buf_put_u8(out, (uint8_t)(high * 16 + low));
        i += 2;
    }
    return sp_buf_rc(out) == SP_OK;
}

bool sp_web_form_field(struct sp_bytes body, struct sp_bytes name, struct sp_buf *out)
{
    struct sp_bytes pair, value = {0};
    size_t count = 0;

    while (sp_bytes_split(&body, '&', &pair)) {
        size_t equals = sp_bytes_find(pair, '=');

        if (!sp_bytes_eq(sp_bytes_slice(pair, 0, equals), name))
            continue;
        value = equals == SIZE_MAX ? sp_bytes(NULL, 0) : sp_bytes_slice(pair, equals + 1, SIZE_MAX);
        count++;
    }
    return count == 1 && decode(value, out);
}

struct sp_bytes sp_web_cookie(struct sp_bytes field, struct sp_bytes name)
{
    struct sp_bytes pair, value = {0};
    size_t count = 0;

    while (sp_bytes_split(&field, ';', &pair)) {
        struct sp_bytes p = sp_bytes_trim(pair);
        size_t equals = sp_bytes_find(p, '=');

        if (equals == SIZE_MAX || !sp_bytes_eq(sp_bytes_slice(p, 0, equals), name))
            continue;
        value = sp_bytes_slice(p, equals + 1, SIZE_MAX);
        count++;
    }
    return count == 1 ? value : (struct sp_bytes){0};
}

/* returns: the length of the UTF-8 character at the beginning of b, 0 if there is none */
static size_t utf8_len(struct sp_bytes b)
{
    for (size_t n = 1; n <= 4 && n <= b.len; n++)
        if (sp_utf8_is_valid(sp_bytes(b.ptr, n)))
            return n;
    return 0;
}

static void escape_ascii(struct sp_buf *out, uint8_t c)
{
    switch (c) {
    case '&':
        sp_buf_put_cstr(out, "&amp;");
        break;
    case '<':
        sp_buf_put_cstr(out, "&lt;");
        break;
    case '>':
        sp_buf_put_cstr(out, "&gt;");
        break;
    case '"':
        sp_buf_put_cstr(out, "&quot;");
        break;
    case '\'':
        sp_buf_put_cstr(out, "&#39;");
        break;
    case '\r':
        break; /* lines end with LF */
    default:
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            sp_buf_put_cstr(out, "\xef\xbf\xbd");
        else
            sp_buf_put_u8(out, c);
    }
}

void sp_web_html_escape(struct sp_buf *out, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len;) {
        struct sp_bytes rest = sp_bytes_slice(text, i, SIZE_MAX);
        size_t n = utf8_len(rest);

        if (n == 1) {
            escape_ascii(out, rest.ptr[0]);
        } else if (n == 0) {
            sp_buf_put_cstr(out, "\xef\xbf\xbd");
            n = 1;
        } else {
            sp_buf_put(out, sp_bytes(rest.ptr, n));
        }
        i += n;
    }
}

/* Characters that turn the direction of text or can't be seen: they make "gpj.exe" out of "exe.jpg". */
static bool is_trick(struct sp_bytes c)
{
    if (c.len != 3 || c.ptr[0] != 0xe2)
        return false;
    return (c.ptr[1] == 0x80 &&
            ((c.ptr[2] >= 0x8b && c.ptr[2] <= 0x8f) || (c.ptr[2] >= 0xa8 && c.ptr[2] <= 0xae))) ||
           (c.ptr[1] == 0x81 && c.ptr[2] >= 0xa0 && c.ptr[2] <= 0xaf);
}

/* A foreign name without directories and what a file system or a header could stumble over, at most 150 bytes. */
static void clean_name(struct sp_bytes name, struct sp_buf *out)
{
    for (size_t i = 0; i < name.len && out->len < 146;) {
        struct sp_bytes rest = sp_bytes_slice(name, i, SIZE_MAX);
        size_t n = utf8_len(rest);
        struct sp_bytes c = sp_bytes(rest.ptr, n == 0 ? 1 : n);

        i += c.len;
        if (n == 1 && (c.ptr[0] == '/' || c.ptr[0] == '\\')) {
            sp_buf_reset(out); /* what came so far was a directory */
            continue;
        }
        if (n == 0 || is_trick(c) ||
            (n == 1 &&
             (c.ptr[0] < 0x20 || c.ptr[0] == 0x7f || strchr("\":*?<>|;%", c.ptr[0]) != NULL)))
            continue;
        if (out->len == 0 && (c.ptr[0] == '.' || c.ptr[0] == ' '))
            continue; /* no hidden file */
        sp_buf_put(out, c);
    }
}

void sp_web_disposition(struct sp_buf *out, struct sp_bytes name, const char *fallback)
{
    static const char hex[] = "0123456789ABCDEF";
    struct sp_buf clean;

    sp_buf_init(&clean, 160);
    clean_name(name, &clean);
    if (clean.len == 0)
        sp_buf_put_cstr(&clean, fallback);
    sp_buf_put_cstr(out, "attachment; filename=\"");
    for (size_t i = 0; i < clean.len; i++)
        sp_buf_put_u8(out, clean.ptr[i] < 0x80 ? clean.ptr[i] : '_');
    sp_buf_put_cstr(out, "\"; filename*=UTF-8''");
    for (size_t i = 0; i < clean.len; i++) {
        uint8_t c = clean.ptr[i];

        if (sp_ascii_is_alnum(c) || c == '.' || c == '-' || c == '_') {
            sp_buf_put_u8(out, c);
        } else {
            sp_buf_put_u8(out, '%');
            sp_buf_put_u8(out, (uint8_t)hex[c >> 4]);
            sp_buf_put_u8(out, (uint8_t)hex[c & 15]);
        }
    }
    sp_buf_clear(&clean);
}
