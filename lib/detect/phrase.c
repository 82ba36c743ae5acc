/*
 * What the words of a piece say one behind another. The linear model (feature.c) knows words and pairs; whose illness a sentence
 * tells of is often in three or four words, and in words that no text it learnt from held. So a small net reads along: each token
 * is 32 numbers (its word's meaning, its form, and what the recognisers took it for), 48 filters look at one to four tokens in a
 * row, the strongest answer of each filter counts, and two layers make one number of them. scripts/train-phrases learns it
 * (data/phrases.bin). All of it is arithmetic on whole numbers, in single-precision floats as long as these are exact (below
 * 2^24), so that every processor gives the same weight.
 */
#include "detect/weigh_priv.h"

#include <stdlib.h>

#define DIMS    32 /* numbers of a token */
#define FILTERS 48 /* of each width */
#define WIDTHS  4
#define HIDDEN  48
#define KINDS   256
#define LANES   8
#define ROWS    (WIDTHS * (WIDTHS + 1) / 2) /* tokens that the filters of all widths look at */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "phrases.bin is little-endian");

/* data/phrases.bin, as scripts/train-phrases writes it */
struct layout {
    uint32_t words; /* how many it knows */
    uint32_t nothing;
    int64_t divisor;    /* makes units of the last layer's number */
    uint8_t digest[16]; /* of the texts and scripts that it was made from */
    int64_t out_bias, hidden_bias[HIDDEN];
    int32_t filter_bias[WIDTHS][FILTERS];
    int8_t unknown[DIMS]; /* a word that it does not know */
    int8_t forms[DETECT_FORMS][DIMS];
    int8_t kinds[KINDS][DIMS];
    int8_t filters[ROWS][DIMS][FILTERS]; /* width 1, then the two tokens of width 2, and so on */
    int8_t hidden[HIDDEN][WIDTHS * FILTERS];
    int8_t out[HIDDEN];
    uint32_t hashes[]; /* ascending; then DIMS numbers of each */
};

__asm__(".section .rodata\n.balign 64\n.global sp_detect_phrase_net\nsp_detect_phrase_net:\n"
        ".incbin \"" SP_DETECT_PHRASES "\"\n.text\n");

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));
typedef int32_t mask __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

struct detect_phrases {
    lanes filters[ROWS][DIMS][FILTERS / LANES];
    float tokens[DETECT_PIECE + (size_t)2 * (WIDTHS - 1)][DIMS]; /* zeroes on both sides */
    float best[WIDTHS][FILTERS];
    bool wide; /* the processor has instructions for eight numbers at once */
};

static const struct layout *net(void)
{
    return (const struct layout *)(const void *)sp_detect_phrase_net;
}

static bool is_wide(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

struct detect_phrases *sp_detect_phrases_new(bool plain)
{
    struct detect_phrases *p = sp_calloc(1, sizeof(*p));

    p->wide = !plain && is_wide();
    for (size_t r = 0; r < ROWS; r++)
        for (size_t d = 0; d < DIMS; d++)
            for (size_t i = 0; i < FILTERS; i++)
                p->filters[r][d][i / LANES][i % LANES] = net()->filters[r][d][i];
    return p;
}

/* ---- tokens ---- */

static const int8_t *word_of(uint32_t hash)
{
    const int8_t *numbers = (const int8_t *)(net()->hashes + net()->words);
    size_t low = 0, high = net()->words;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (net()->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < net()->words && net()->hashes[low] == hash ? numbers + low * DIMS : net()->unknown;
}

/* Fills p->tokens. returns: how many */
static size_t read_tokens(struct detect_phrases *p, struct detect_scale *s,
                          const struct detect_window *w, size_t from, size_t to)
{
    size_t span = 0, n = WIDTHS - 1;

    s->span_count = 0;
    sp_detect_tokens(s, w, from, to);
    sp_detect_spans(s, w, from, to);
    memset(p->tokens, 0, sizeof(p->tokens[0]) * n);
    for (size_t i = 1; i + 1 < s->token_count; i++, n++) {
        const struct detect_token *t = &s->tokens[i];
        const int8_t *word = word_of(t->hash), *form = net()->forms[sp_detect_token_form(w, t)];
        const int8_t *kind = net()->kinds[sp_detect_kind_at(s, &span, t) % KINDS];

        for (size_t d = 0; d < DIMS; d++)
            p->tokens[n][d] = (float)(word[d] + form[d] + kind[d]);
    }
    memset(p->tokens[n], 0, sizeof(p->tokens[0]) * (WIDTHS - 1));
    return n - (WIDTHS - 1);
}

/* ---- filters ---- */

static inline __attribute__((always_inline)) void keep_more(lanes *most, const lanes *sum)
{
#pragma GCC unroll 6
    for (size_t i = 0; i < FILTERS / LANES; i++) {
        mask more = sum[i] > most[i];

        most[i] = (lanes)(((mask)sum[i] & more) | ((mask)most[i] & ~more));
    }
}

/* The strongest answer of each filter of one width, none below 0. Two places at a time, as fetching the filters takes longest. */
static inline __attribute__((always_inline)) void
strongest(const lanes (*filters)[DIMS][FILTERS / LANES], const int32_t *bias,
          const float (*tokens)[DIMS], size_t places, size_t width, float *best)
{
    lanes most[FILTERS / LANES] = {0}, start[FILTERS / LANES];

    for (size_t i = 0; i < FILTERS; i++)
        start[i / LANES][i % LANES] = (float)bias[i];
    for (size_t at = 0; at < places; at += 2) {
        const float(*one)[DIMS] = tokens + at, (*two)[DIMS] = at + 1 < places ? one + 1 : one;
        lanes first[FILTERS / LANES], second[FILTERS / LANES];

        memcpy(first, start, sizeof(first));
        memcpy(second, start, sizeof(second));
        for (size_t k = 0; k < width; k++)
            for (size_t d = 0; d < DIMS; d++)
#pragma GCC unroll 6
                for (size_t i = 0; i < FILTERS / LANES; i++) {
                    first[i] += one[k][d] * filters[k][d][i];
                    second[i] += two[k][d] * filters[k][d][i];
                }
        keep_more(most, first);
        keep_more(most, second);
    }
    memcpy(best, most, sizeof(most));
}

static inline __attribute__((always_inline)) void filter_all(struct detect_phrases *p, size_t count)
{
    for (size_t width = 1, row = 0; width <= WIDTHS; row += width, width++)
        strongest((const lanes(*)[DIMS][FILTERS / LANES]) & p->filters[row],
                  net()->filter_bias[width - 1], (const float(*)[DIMS]) & p->tokens[WIDTHS - width],
                  count + width - 1, width, p->best[width - 1]);
}

#ifdef __x86_64__
__attribute__((target("avx2,fma")))
#endif
static void
filter_wide(struct detect_phrases *p, size_t count)
{
    filter_all(p, count);
}

int32_t sp_detect_phrases(struct detect_scale *s, const struct detect_window *w, size_t from,
                          size_t to)
{
    struct detect_phrases *p = s->phrases;
    int64_t out = net()->out_bias;

    if (p->wide)
        filter_wide(p, read_tokens(p, s, w, from, to));
    else
        filter_all(p, read_tokens(p, s, w, from, to));
    for (size_t h = 0; h < HIDDEN; h++) {
        int64_t sum = net()->hidden_bias[h];

        for (size_t i = 0; i < (size_t)WIDTHS * FILTERS; i++)
            sum += net()->hidden[h][i] * (int64_t)p->best[i / FILTERS][i % FILTERS];
        if (sum > 0)
            out += net()->out[h] * sum;
    }
    return (int32_t)(out / net()->divisor);
}
