/*
 * Views of lent bytes. Everything that looks at foreign text goes through here, so nothing relies on a NUL byte, on the
 * locale, or on a length that was not checked. The hash is SipHash-1-3 (Aumasson and Bernstein), keyed by the caller,
 * so that a peer can't choose names that fall into one bucket.
 */
#include "base/bytes.h"

struct sp_bytes sp_bytes_slice(struct sp_bytes b, size_t from, size_t len)
{
    if (from > b.len)
        from = b.len;
    if (len > b.len - from)
        len = b.len - from;
    return sp_bytes(b.ptr == NULL ? NULL : b.ptr + from, len);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct sp_bytes sp_bytes_trim(struct sp_bytes b)
{
    while (b.len > 0 && is_space(b.ptr[0])) {
        b.ptr++;
        b.len--;
    }
    while (b.len > 0 && is_space(b.ptr[b.len - 1]))
        b.len--;
    return b;
}

bool sp_bytes_eq(struct sp_bytes a, struct sp_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool sp_bytes_eq_nocase(struct sp_bytes a, struct sp_bytes b)
{
    return a.len == b.len && sp_bytes_starts_nocase(a, b);
}

int sp_bytes_cmp(struct sp_bytes a, struct sp_bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool sp_bytes_starts_nocase(struct sp_bytes b, struct sp_bytes prefix)
{
    if (prefix.len > b.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (sp_ascii_lower(b.ptr[i]) != sp_ascii_lower(prefix.ptr[i]))
            return false;
    return true;
}

bool sp_bytes_has_nocase(struct sp_bytes text, struct sp_bytes part)
{
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (sp_bytes_eq_nocase(sp_bytes_slice(text, at, part.len), part))
            return true;
    return false;
}

bool sp_bytes_ends_nocase(struct sp_bytes b, struct sp_bytes suffix)
{
    return suffix.len <= b.len &&
           sp_bytes_starts_nocase(sp_bytes_slice(b, b.len - suffix.len, suffix.len), suffix);
}

size_t sp_bytes_find(struct sp_bytes b, uint8_t byte)
{
    const uint8_t *at = b.len == 0 ? NULL : memchr(b.ptr, byte, b.len);

    return at == NULL ? SIZE_MAX : (size_t)(at - b.ptr);
}

size_t sp_bytes_find_all(struct sp_bytes b, struct sp_bytes needle)
{
    const uint8_t *at;

    if (needle.len == 0)
        return 0;
    at = b.len == 0 ? NULL : memmem(b.ptr, b.len, needle.ptr, needle.len);
    return at == NULL ? SIZE_MAX : (size_t)(at - b.ptr);
}

bool sp_bytes_split(struct sp_bytes *rest, uint8_t separator, struct sp_bytes *part)
{
    size_t at;

    if (rest->ptr == NULL)
        return false;
    at = sp_bytes_find(*rest, separator);
    if (at == SIZE_MAX) {
        *part = *rest;
        *rest = sp_bytes(NULL, 0);
        return true;
    }
    *part = sp_bytes_slice(*rest, 0, at);
    *rest = sp_bytes_slice(*rest, at + 1, SIZE_MAX);
    return true;
}

bool sp_bytes_to_u64(struct sp_bytes b, uint64_t *out)
{
    uint64_t value = 0;

    if (b.len == 0)
        return false;
    for (size_t i = 0; i < b.len; i++) {
        if (!sp_ascii_is_digit(b.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(b.ptr[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool sp_add_size(size_t a, size_t b, size_t *out)
{
    size_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

bool sp_mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;

    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

static uint64_t rotate(uint64_t v, unsigned bits)
{
    return (v << bits) | (v >> (64 - bits));
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v; /* a hash for use within one process: its byte order is of no matter */
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t sp_bytes_hash(struct sp_bytes b, const uint8_t key[16])
{
    uint64_t k0 = load64(key);
    uint64_t k1 = load64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU, k0 ^ 0x6c7967656e657261U,
                     k1 ^ 0x7465646279746573U};
    uint64_t last = (uint64_t)b.len << 56;
    size_t whole = b.len & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m = load64(b.ptr + i);

        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    for (size_t i = whole; i < b.len; i++)
        last |= (uint64_t)b.ptr[i] << (8 * (i - whole));
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
