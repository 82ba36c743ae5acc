/*
 * Words written a letter at a time, "P a t i e n t :  R o w e", become words again: filters that look for words are evaded so, and
 * headings and faxes are spaced so. One blank parts two letters, more of them part two words. Runs of digits alone stay as they are:
 * those who read numbers know their blanks.
 */
#include "detect/detect_priv.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LEAST         6 /* characters of a run */
#define LEAST_LETTERS 3 /* among them */

/* Blanks there, two and four bytes behind: two signs stand alone in a row. returns: the first such place from `at` on; len if there is none. text: 16 bytes may be read behind len */
static size_t next_suspect(const uint8_t *t, size_t at, size_t len)
{
#if defined(__SSE2__)
    const __m128i blank = _mm_set1_epi8(' ');

    for (; at + 4 < len; at += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(t + at)),
                b = _mm_loadu_si128((const __m128i *)(const void *)(t + at + 2)),
                c = _mm_loadu_si128((const __m128i *)(const void *)(t + at + 4));
        unsigned found = (unsigned)_mm_movemask_epi8(
            _mm_and_si128(_mm_cmpeq_epi8(a, blank),
                          _mm_and_si128(_mm_cmpeq_epi8(b, blank), _mm_cmpeq_epi8(c, blank))));

        if (found != 0) {
            at += (size_t)__builtin_ctz(found);
            return at + 4 < len ? at : len;
        }
    }
    return len;
#else
    while (at + 4 < len && (t[at] != ' ' || t[at + 2] != ' ' || t[at + 4] != ' '))
        at++;
    return at + 4 < len ? at : len;
#endif
}

static size_t char_len(uint8_t c)
{
    return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static bool is_gap(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool parts(uint8_t c)
{
    return is_gap(c) || c == '\n';
}

/* A run of characters that stand alone from `at` on. letters: how many of them. returns: its end, behind the last one */
static size_t run_end(const uint8_t *t, size_t at, size_t len, size_t *letters, size_t *count)
{
    size_t end = at;

    *letters = *count = 0;
    while (at < len && !parts(t[at])) {
        size_t next = at + char_len(t[at]);

        if (next > len || (next < len && !parts(t[next])))
            break;
        *letters += sp_detect_is_letter(t[at]);
        ++*count;
        end = next;
        for (at = next; at < len && at < next + 2 && is_gap(t[at]); at++)
            ;
    }
    return end;
}

struct line {
    uint8_t *text;
    uint32_t *places;
    size_t len; /* of what has been written */
};

static void keep(struct line *out, size_t from, size_t n)
{
    memmove(out->text + out->len, out->text + from, n);
    if (out->places != NULL)
        memmove(out->places + out->len, out->places + from, n * sizeof(*out->places));
    out->len += n;
}

/* The run without the blanks between its letters; of a wider gap one is left. */
static void keep_run(struct line *out, size_t at, size_t end)
{
    while (at < end) {
        size_t n = char_len(out->text[at]), gap = at + n;

        keep(out, at, n);
        for (at = gap; at < end && is_gap(out->text[at]); at++)
            ;
        if (at < end && (at - gap > 1 || out->text[gap] == '\t')) {
            out->text[gap] = ' ';
            keep(out, gap, 1);
        }
    }
}

size_t sp_detect_unspell(uint8_t *text, uint32_t *places, size_t len)
{
    struct line out = {text, places, 0};
    size_t done = 0, at = 0, letters, count;

    while ((at = next_suspect(text, at, len)) < len) {
        size_t from = at, end;

        /* the character before the first blank belongs to the run, if it stands alone */
        while (from > done && (text[from - 1] & 0xc0) == 0x80)
            from--;
        from -= from > done && !parts(text[from - 1]);
        if (from == at || (from > done && !parts(text[from - 1])))
            from = at + 1;
        end = run_end(text, from, len, &letters, &count);
        if (count < LEAST || letters < LEAST_LETTERS) {
            at = end > at ? end : at + 1;
            continue;
        }
        keep(&out, done, from - done);
        keep_run(&out, from, end);
        done = at = end;
    }
    if (done == 0)
        return len;
    keep(&out, done, len - done);
    return out.len;
}
