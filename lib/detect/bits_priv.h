/*
 * What each byte of a window is, a bit a byte, so that what says nothing is stepped over 64 bytes at once: where words and
 * letters are, and where the walk has to look. thread: any
 */
#ifndef SP_DETECT_BITS_PRIV_H
#define SP_DETECT_BITS_PRIV_H

#include "base/bytes.h"

struct detect_bits {
    uint64_t *words;   /* letters, digits, bytes of characters beyond ASCII */
    uint64_t *letters; /* the same without digits */
    uint64_t *
        calls; /* what walk.c visits: all but small letters and blanks, but for words that begin like few others */
    size_t cap;
};

/* Fills all for a text. owner: d, which must be cleared */
void sp_detect_bits_fill(struct detect_bits *d, struct sp_bytes text);
void sp_detect_bits_clear(struct detect_bits *d);

/* returns: the first place from at on whose bit is set, or len, which is the text's */
static inline size_t sp_detect_bits_set(const uint64_t *bits, size_t at, size_t len)
{
    size_t i = at / 64;
    uint64_t v = bits[i] & ~UINT64_C(0) << at % 64;

    while (v == 0) {
        if (++i * 64 >= len)
            return len;
        v = bits[i];
    }
    return i * 64 + (unsigned)__builtin_ctzll(v);
}

/* returns: the first place from at on whose bit is not set: behind the text none is */
static inline size_t sp_detect_bits_unset(const uint64_t *bits, size_t at)
{
    size_t i = at / 64;
    uint64_t v = ~bits[i] & ~UINT64_C(0) << at % 64;

    while (v == 0)
        v = ~bits[++i];
    return i * 64 + (unsigned)__builtin_ctzll(v);
}

/* returns: the place behind the last one before at whose bit differs from that of the one before at; at must be above 0 */
static inline size_t sp_detect_bits_begin(const uint64_t *bits, size_t at)
{
    size_t i = (at - 1) / 64;
    uint64_t flip = (bits[i] >> (at - 1) % 64 & 1) != 0 ? ~UINT64_C(0) : 0;
    uint64_t v = (bits[i] ^ flip) & ~UINT64_C(0) >> (63 - (at - 1) % 64);

    while (v == 0) {
        if (i == 0)
            return 0;
        v = bits[--i] ^ flip;
    }
    return i * 64 + 64 - (unsigned)__builtin_clzll(v);
}

/* ---- sweep.c ---- */
/* returns: how many bytes are letters, digits and signs that always stay as they are, and single blanks among them */
size_t sp_detect_sweep_plain(struct sp_bytes text, bool markup);

/*
 * The same with all signs that stay as they are where they stand: a '=' that ends no line, a '>' that begins none.
 *
 * cells: raised by the bars in it, and the commas and semicolons with something plain right behind
 */
size_t sp_detect_sweep_run(struct sp_bytes text, bool markup, unsigned *cells);

struct detect_signs {
    unsigned tabs, bars, semicolons, commas, blanks, digits;
};

/* returns: how many of them the line has */
struct detect_signs sp_detect_sweep_signs(struct sp_bytes line);

#endif
