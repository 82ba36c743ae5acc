/*
 * Hexadecimal, base 64, UTF-8, edit distance: the small encodings that everyone needs and that no dependency of ours
 * offers without pulling OpenSSL into every program.
 */
#include "base/text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void sp_hex_encode(struct sp_buf *out, struct sp_bytes in)
{
    uint8_t *to;

    if (in.len > SIZE_MAX / 2 || (to = sp_buf_reserve(out, in.len * 2)) == NULL) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < in.len; i++) {
        to[2 * i] = (uint8_t)hex_digits[in.ptr[i] >> 4];
        to[2 * i + 1] = (uint8_t)hex_digits[in.ptr[i] & 15];
    }
    sp_buf_commit(out, in.len * 2);
}

static int hex_value(uint8_t c)
{
    c = sp_ascii_lower(c);
    if (sp_ascii_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sp_hex_decode(struct sp_buf *out, struct sp_bytes in)
{
    if (in.len % 2 != 0)
        return false;
    for (size_t i = 0; i < in.len; i += 2) {
        int high = hex_value(in.ptr[i]);
        int low = hex_value(in.ptr[i + 1]);

        if (high < 0 || low < 0)
            return false;
        sp_buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return sp_buf_rc(out) == SP_OK;
}

static void encode64(struct sp_buf *out, struct sp_bytes in, const char *digits, bool pad)
{
    size_t i = 0;
    uint8_t *to = in.len > SIZE_MAX / 2 ? NULL : sp_buf_reserve(out, (in.len + 2) / 3 * 4);
    uint8_t *begin = to;

    if (to == NULL) {
        out->failed = true;
        return;
    }
    for (; i + 3 <= in.len; i += 3) {
        uint32_t v = (uint32_t)in.ptr[i] << 16 | (uint32_t)in.ptr[i + 1] << 8 | in.ptr[i + 2];

        *to++ = (uint8_t)digits[v >> 18];
        *to++ = (uint8_t)digits[v >> 12 & 63];
        *to++ = (uint8_t)digits[v >> 6 & 63];
        *to++ = (uint8_t)digits[v & 63];
    }
    if (i < in.len) {
        bool two = i + 1 < in.len;
        uint32_t v = (uint32_t)in.ptr[i] << 16 | (two ? (uint32_t)in.ptr[i + 1] << 8 : 0);

        *to++ = (uint8_t)digits[v >> 18];
        *to++ = (uint8_t)digits[v >> 12 & 63];
        if (two)
            *to++ = (uint8_t)digits[v >> 6 & 63];
        for (int k = two ? 1 : 2; pad && k > 0; k--)
            *to++ = '=';
    }
    sp_buf_commit(out, (size_t)(to - begin));
}

void sp_base64_encode(struct sp_buf *out, struct sp_bytes in)
{
    encode64(out, in, base64_digits, true);
}

void sp_base64url_encode(struct sp_buf *out, struct sp_bytes in)
{
    encode64(out, in, base64url_digits, false);
}

static int value64(uint8_t c, const char *digits)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (sp_ascii_is_digit(c))
        return c - '0' + 52;
    if (c == (uint8_t)digits[62])
        return 62;
    return c == (uint8_t)digits[63] ? 63 : -1;
}

static bool decode64(struct sp_buf *out, struct sp_bytes in, const char *digits)
{
    uint32_t v = 0;
    unsigned bits = 0;

    if (in.len % 4 == 1)
        return false;
    for (size_t i = 0; i < in.len; i++) {
        int d = value64(in.ptr[i], digits);

        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            sp_buf_put_u8(out, (uint8_t)(v >> bits));
            v &= (1U << bits) - 1;
        }
    }
    return v == 0 &&
           sp_buf_rc(out) == SP_OK; /* left-over bits are zero in the one right spelling */
}

bool sp_base64_decode(struct sp_buf *out, struct sp_bytes in)
{
    if (in.len % 4 != 0)
        return false;
    for (int k = 0; k < 2 && in.len > 0 && in.ptr[in.len - 1] == '='; k++)
        in.len--;
    return decode64(out, in, base64_digits);
}

bool sp_base64url_decode(struct sp_buf *out, struct sp_bytes in)
{
    return decode64(out, in, base64url_digits);
}

size_t sp_utf8_step(struct sp_bytes b)
{
    static const struct {
        uint8_t first, last, second_least, second_most;
        size_t len;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    if (b.ptr[0] < 0x80)
        return 1;
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        if (b.ptr[0] < rows[i].first || b.ptr[0] > rows[i].last)
            continue;
        if (rows[i].len > b.len)
            return 0;
        if (rows[i].len > 1 && (b.ptr[1] < rows[i].second_least || b.ptr[1] > rows[i].second_most))
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((b.ptr[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].len;
    }
    return 0;
}

bool sp_utf8_is_valid(struct sp_bytes b)
{
    size_t at = 0;

    while (at < b.len) {
        size_t step = b.ptr[at] < 0x80 ? 1 : sp_utf8_step(sp_bytes(b.ptr + at, b.len - at));

        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

bool sp_utf8_may_grow(struct sp_bytes b)
{
    uint8_t first = b.ptr[0];
    size_t want = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

    if (first < 0xc2 || first > 0xf4 || b.len >= want)
        return false;
    for (size_t i = 1; i < b.len; i++)
        if ((b.ptr[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t sp_utf8_encode(uint32_t point, uint8_t out[4])
{
    size_t len = 0;

    if (point < 0x80) {
        out[len++] = (uint8_t)point;
        return len;
    }
    if (point < 0x800) {
        out[len++] = (uint8_t)(0xc0 | point >> 6);
    } else if (point < 0x10000) {
        out[len++] = (uint8_t)(0xe0 | point >> 12);
        out[len++] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    } else {
        out[len++] = (uint8_t)(0xf0 | (point >> 18 & 7));
        out[len++] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        out[len++] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    }
    out[len++] = (uint8_t)(0x80 | (point & 0x3f));
    return len;
}

uint32_t sp_windows1252_point(uint8_t c)
{
    static const uint16_t from_0x80[32] = {
        0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
    };

    return c >= 0x80 && c < 0xa0 ? from_0x80[c - 0x80] : c;
}

#define DISTANCE_MAX 64

unsigned sp_text_distance(struct sp_bytes a, struct sp_bytes b, unsigned limit)
{
    unsigned rows[3][DISTANCE_MAX + 1]; /* the last three rows of the table, in turn */

    if (a.len > DISTANCE_MAX || b.len > DISTANCE_MAX)
        return sp_bytes_eq(a, b) ? 0 : limit + 1;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *up = rows[(i + 2) % 3];
        const unsigned *up2 = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned best = up[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);

            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a.len % 3][b.len] > limit ? limit + 1 : rows[a.len % 3][b.len];
}
