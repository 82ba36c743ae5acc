/*
 * Bits of a window's bytes. With SSE2, which every processor of that family has, 16 bytes are looked at at once; elsewhere
 * one by one, by a table. Both make the same bits, but that the first marks a slash as well, which the walk steps over.
 */
#include "detect/bits_priv.h"

#include "base/mem.h"

#include <string.h>

#define BLOCK 64

struct block {
    uint64_t words, letters, calls,
        begins; /* begins: h, m and w, which begin addresses and titles */
};

#if defined(__SSE2__)
#include <emmintrin.h>

/* Which bytes lie in a range of so many. */
static __m128i in_range(__m128i c, uint8_t first, uint8_t count)
{
    return _mm_cmplt_epi8(_mm_add_epi8(c, _mm_set1_epi8((char)(uint8_t)(0x80 - first))),
                          _mm_set1_epi8((char)(uint8_t)(0x80 + count)));
}

static __m128i is_sign(__m128i c, char sign)
{
    return _mm_cmpeq_epi8(c, _mm_set1_epi8(sign));
}

static __m128i either(__m128i a, __m128i b)
{
    return _mm_or_si128(a, b);
}

static uint64_t mask(__m128i v, size_t at)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(v) << at;
}

static struct block look_at(const uint8_t text[BLOCK])
{
    struct block b = {0, 0, 0, 0};

    for (size_t i = 0; i < BLOCK; i += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(text + i)),
                letter = in_range(_mm_or_si128(c, _mm_set1_epi8(0x20)), 'a', 26),
                digit = in_range(c, '0', 10), signs = in_range(c, '.', 12),
                capital = in_range(c, '?', 28);

        b.letters |= mask(either(c, letter), i);
        b.words |= mask(digit, i);
        b.calls |= mask(either(either(c, either(signs, capital)),
                               either(is_sign(c, '!'), either(is_sign(c, '\n'), is_sign(c, '~')))),
                        i);
        b.begins |= mask(either(is_sign(c, 'h'), either(is_sign(c, 'm'), is_sign(c, 'w'))), i);
    }
    b.words |= b.letters;
    return b;
}
#else
#define WORD  1
#define CALL  2
#define BEGIN 4
#define DIGIT 8

static const uint8_t kinds[256] = {
    ['a' ... 'g'] = WORD,
    ['h'] = WORD | BEGIN,
    ['i' ... 'l'] = WORD,
    ['m'] = WORD | BEGIN,
    ['n' ... 'v'] = WORD,
    ['w'] = WORD | BEGIN,
    ['x' ... 'z'] = WORD,
    ['A' ... 'Z'] = WORD | CALL,
    ['0' ... '9'] = WORD | CALL | DIGIT,
    [0x80 ... 0xff] = WORD | CALL,
    ['.'] = CALL,
    ['!'] = CALL,
    ['?'] = CALL,
    ['@'] = CALL,
    ['~'] = CALL,
    ['\n'] = CALL,
};

static struct block look_at(const uint8_t text[BLOCK])
{
    struct block b = {0, 0, 0, 0};

    for (size_t i = 0; i < BLOCK; i++) {
        uint64_t kind = kinds[text[i]];

        b.words |= (kind & WORD) << i;
        b.letters |= (kind & WORD & ~(kind / DIGIT)) << i;
        b.calls |= (kind / CALL & 1) << i;
        b.begins |= (kind / BEGIN & 1) << i;
    }
    return b;
}
#endif

void sp_detect_bits_fill(struct detect_bits *d, struct sp_bytes text)
{
    size_t count = text.len / BLOCK + 2; /* bits behind the text are not set */
    uint64_t before = 0;                 /* whether a word lasts until the block */

    if (count > d->cap) {
        d->words = sp_realloc(d->words, count * sizeof(*d->words));
        d->letters = sp_realloc(d->letters, count * sizeof(*d->letters));
        d->calls = sp_realloc(d->calls, count * sizeof(*d->calls));
        d->cap = count;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t last[BLOCK] = {0};
        size_t at = i * BLOCK, left = at < text.len ? text.len - at : 0;
        struct block b;

        if (left < BLOCK && left > 0)
            memcpy(last, text.ptr + at, left);
        b = look_at(left < BLOCK ? last : text.ptr + at);
        d->words[i] = b.words;
        d->letters[i] = b.letters;
        d->calls[i] = b.calls | (b.begins & ~(b.words << 1 | before));
        before = b.words >> 63;
    }
}

void sp_detect_bits_clear(struct detect_bits *d)
{
    sp_free(d->words);
    sp_free(d->letters);
    sp_free(d->calls);
    *d = (struct detect_bits){0};
}
