/*
 * A-labels as people see them (RFC 3492). libidn2 decodes them too, but gives memory of its own for each name and refuses what
 * IDNA 2008 does not allow; here a name that nobody could register shall still be compared with those that it looks like, on
 * the way of each message. What RFC 3492 6.2 calls an overflow ends the decoding: the label then stands as it was written.
 */
#include "mail/domain.h"
#include "mail/idn.h"

#define BASE         36
#define T_MIN        1
#define T_MAX        26
#define SKEW         38
#define DAMP         700
#define INITIAL_N    128
#define INITIAL_BIAS 72
#define POINT_MAX    0x10FFFF
#define LABEL_MAX    63

static unsigned digit_of(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a');
    return c >= '0' && c <= '9' ? (unsigned)(c - '0' + 26) : BASE;
}

/* RFC 3492 6.1 */
static uint32_t adapt(uint32_t delta, uint32_t count, bool first)
{
    uint32_t k = 0;

    delta = first ? delta / DAMP : delta / 2;
    delta += delta / count;
    while (delta > (BASE - T_MIN) * T_MAX / 2) {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* One variable-length integer. at: moved behind it. returns: false if there is none, or it is too large */
static bool read_delta(struct sp_bytes text, size_t *at, uint32_t bias, uint32_t *delta)
{
    uint32_t weight = 1;

    *delta = 0;
    for (uint32_t k = BASE; *at < text.len; k += BASE) {
        unsigned digit = digit_of(text.ptr[(*at)++]);
        uint32_t t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;

        if (digit == BASE || digit > (UINT32_MAX - *delta) / weight)
            return false;
        *delta += digit * weight;
        if (digit < t)
            return true;
        if (weight > UINT32_MAX / (BASE - t))
            return false;
        weight *= BASE - t;
    }
    return false;
}

/* text: what follows "xn--", in lower case, at most LABEL_MAX bytes. returns: how many code points; 0: it can't be decoded */
static size_t decode(struct sp_bytes text, uint32_t out[LABEL_MAX])
{
    uint32_t n = INITIAL_N, i = 0, bias = INITIAL_BIAS, delta; /* named as in RFC 3492 6.2 */
    size_t count = 0, at = 0;

    for (size_t k = text.len; k > 0 && count == 0; k--)
        if (text.ptr[k - 1] == '-')
            count = k - 1;
    for (; at < count; at++)
        out[at] = text.ptr[at];
    at = count > 0 ? count + 1 : 0;
    while (at < text.len) {
        if (count == LABEL_MAX || !read_delta(text, &at, bias, &delta) || delta > UINT32_MAX - i)
            return 0;
        count++;
        bias = adapt(delta, (uint32_t)count, i == 0);
        i += delta;
        if (i / count > POINT_MAX - n)
            return 0;
        n += i / (uint32_t)count;
        i %= (uint32_t)count;
        memmove(out + i + 1, out + i, (count - 1 - i) * sizeof(*out));
        out[i++] = n;
    }
    return count;
}

static size_t read_label(struct sp_bytes label, uint32_t *out)
{
    uint32_t points[LABEL_MAX];
    uint8_t lower[LABEL_MAX];
    size_t count = 0;

    if (label.len > 4 && label.len <= LABEL_MAX && sp_bytes_starts_nocase(label, SP_LIT("xn--"))) {
        for (size_t i = 4; i < label.len; i++)
            lower[i - 4] = sp_ascii_lower(label.ptr[i]);
        count = decode(sp_bytes(lower, label.len - 4), points);
    }
    if (count > 0) {
        memcpy(out, points, count * sizeof(*out));
        return count;
    }
    for (size_t i = 0; i < label.len; i++)
        out[i] = sp_ascii_lower(label.ptr[i]);
    return label.len;
}

size_t sp_domain_read(struct sp_bytes name, uint32_t *out)
{
    size_t count = 0;

    if (name.len > SP_DOMAIN_MAX)
        return 0;
    while (name.len > 0) {
        size_t dot = sp_bytes_find(name, '.');

        count += read_label(sp_bytes_slice(name, 0, dot), out + count);
        if (dot == SIZE_MAX)
            break;
        out[count++] = '.';
        name = sp_bytes_slice(name, dot + 1, SIZE_MAX);
    }
    return count;
}
