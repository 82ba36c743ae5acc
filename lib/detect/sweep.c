/*
 * What is asked of many bytes in a row and can be told sixteen at once: how far text needs no change, and how many signs of
 * tables a line has. Without SSE2 one by one; the answers are the same.
 */
#include "detect/bits_priv.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define VISIBLE 1
#define SIGN    2 /* may be changed, or changes how what is around it is read */
#define MARKUP  4 /* is read where text is markup */

static const uint8_t kinds[256] = {
    ['!' ... '%'] = VISIBLE,  ['&'] = VISIBLE | MARKUP,       ['\'' ... '+'] = VISIBLE,
    [','] = VISIBLE | SIGN,   ['-' ... ':'] = VISIBLE,        [';'] = VISIBLE | SIGN,
    ['<'] = VISIBLE | MARKUP, ['=' ... '>'] = VISIBLE | SIGN, ['?' ... '{'] = VISIBLE,
    ['|'] = VISIBLE | SIGN,   ['}' ... '~'] = VISIBLE,
};

static bool is_visible(uint8_t c, bool markup)
{
    return (kinds[c] & (markup ? VISIBLE | MARKUP : VISIBLE)) == VISIBLE;
}

static bool is_plain(uint8_t c, bool markup)
{
    return is_visible(c, markup) && (kinds[c] & SIGN) == 0;
}

size_t sp_detect_sweep_plain(struct sp_bytes text, bool markup)
{
    size_t n = 0;

    while (n < text.len &&
           (is_plain(text.ptr[n], markup) ||
            (n > 0 && text.ptr[n] == ' ' && n + 1 < text.len && is_plain(text.ptr[n + 1], markup))))
        n++;
    return n;
}

#if defined(__SSE2__)
static __m128i load(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static __m128i is_sign(__m128i c, char sign)
{
    return _mm_cmpeq_epi8(c, _mm_set1_epi8(sign));
}

static unsigned mask(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(v);
}

static __m128i visible(__m128i c, bool markup)
{
    __m128i v = _mm_andnot_si128(is_sign(c, 0x7f), _mm_cmpgt_epi8(c, _mm_set1_epi8(' ')));

    if (markup)
        v = _mm_andnot_si128(_mm_or_si128(is_sign(c, '<'), is_sign(c, '&')), v);
    return v;
}

/* As far as whole vectors go. returns: how many bytes belong to the run; ended: whether the next does not */
static size_t wide_run(struct sp_bytes text, bool markup, unsigned *cells, bool *ended)
{
    size_t n = 0;

    for (; n + 17 <= text.len && !*ended; n += 16) {
        __m128i c = load(text.ptr + n);
        uint8_t behind = text.ptr[n + 16];
        unsigned seen = mask(visible(c, markup)), equals = mask(is_sign(c, '=')),
                 bars = mask(is_sign(c, '|')),
                 commas = mask(_mm_or_si128(is_sign(c, ','), is_sign(c, ';'))),
                 plain = seen & ~(equals | bars | commas | mask(is_sign(c, '>'))),
                 plain_next = plain >> 1 | (is_plain(behind, markup) ? 0x8000U : 0),
                 seen_next = seen >> 1 | (is_visible(behind, markup) ? 0x8000U : 0),
                 run =
                     (seen & ~equals) | (equals & plain_next) | (mask(is_sign(c, ' ')) & seen_next),
                 parts = bars | (commas & plain_next), end = (unsigned)__builtin_ctz(~run);

        *ended = end < 16;
        if (*ended) {
            parts &= (1U << end) - 1;
            n -= 16 - end;
        }
        for (; parts != 0; parts &= parts - 1)
            ++*cells;
    }
    return n;
}
#else
static size_t wide_run(struct sp_bytes text, bool markup, unsigned *cells, bool *ended)
{
    (void)text;
    (void)markup;
    (void)cells;
    (void)ended;
    return 0;
}
#endif

size_t sp_detect_sweep_run(struct sp_bytes text, bool markup, unsigned *cells)
{
    bool ended = text.len == 0 || !is_plain(text.ptr[0], markup);
    size_t n = wide_run(text, markup, cells, &ended);

    for (; n < text.len && !ended; n++) {
        uint8_t c = text.ptr[n], next = n + 1 < text.len ? text.ptr[n + 1] : 0;

        ended = c == ' '   ? !is_visible(next, markup)
                : c == '=' ? !is_plain(next, markup)
                           : !is_visible(c, markup);
        n -= ended;
        *cells += !ended && (c == '|' || ((c == ',' || c == ';') && is_plain(next, markup)));
    }
    return n;
}

#if defined(__SSE2__)
static unsigned sum(__m128i counts)
{
    __m128i halves = _mm_sad_epu8(counts, _mm_setzero_si128());

    return (unsigned)_mm_cvtsi128_si32(halves) +
           (unsigned)_mm_cvtsi128_si32(_mm_srli_si128(halves, 8));
}

/* Counts what stands in whole vectors, at most 255 of them. returns: how far */
static size_t count_wide(struct sp_bytes line, struct detect_signs *out)
{
    __m128i tabs = _mm_setzero_si128(), bars = tabs, semicolons = tabs, commas = tabs,
            blanks = tabs, digits = tabs;
    size_t i = 0;

    for (; i + 16 <= line.len && i < (size_t)255 * 16; i += 16) {
        __m128i c = load(line.ptr + i);

        tabs = _mm_sub_epi8(tabs, is_sign(c, '\t'));
        bars = _mm_sub_epi8(bars, is_sign(c, '|'));
        semicolons = _mm_sub_epi8(semicolons, is_sign(c, ';'));
        commas = _mm_sub_epi8(commas, is_sign(c, ','));
        blanks = _mm_sub_epi8(blanks, is_sign(c, ' '));
        digits =
            _mm_sub_epi8(digits, _mm_cmplt_epi8(_mm_add_epi8(c, _mm_set1_epi8((char)(0x80 - '0'))),
                                                _mm_set1_epi8((char)(0x80 + 10))));
    }
    *out = (struct detect_signs){.tabs = sum(tabs),
                                 .bars = sum(bars),
                                 .semicolons = sum(semicolons),
                                 .commas = sum(commas),
                                 .blanks = sum(blanks),
                                 .digits = sum(digits)};
    return i;
}
#else
static size_t count_wide(struct sp_bytes line, struct detect_signs *out)
{
    (void)line;
    *out = (struct detect_signs){0};
    return 0;
}
#endif

struct detect_signs sp_detect_sweep_signs(struct sp_bytes line)
{
    struct detect_signs n;

    for (size_t i = count_wide(line, &n); i < line.len; i++) {
        uint8_t c = line.ptr[i];

        n.tabs += c == '\t';
        n.bars += c == '|';
        n.semicolons += c == ';';
        n.commas += c == ',';
        n.blanks += c == ' ';
        n.digits += sp_ascii_is_digit(c);
    }
    return n;
}
