/*
 * Words written a letter at a time, "P a t i e n t :  R o w e", become words again: filters that look for words are evaded so, and
 * headings and faxes are spaced so. One blank parts two letters, more of them part two words. Runs of digits alone stay as they are:
 * those who read numbers know their blanks.
 */
#include "detect/detect_priv.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LEAST         6   /* characters of a run */
#define LEAST_LETTERS 3   /* among them */
#define LONG_NUMBER   9   /* digits: no letter is part of it */
#define OPEN          512 /* bytes: what begins so near a window's end the next one joins */
#define OPEN_LEAST    16  /* fewer hold no run that would have been found */

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

/* Characters that stand alone, one or two blanks or tabs between them. */
struct run {
    size_t from, end; /* end: behind the last one */
    size_t count, letters;
};

static struct run run_at(const uint8_t *t, size_t at, size_t len)
{
    struct run r = {.from = at, .end = at};

    while (at < len && !parts(t[at])) {
        size_t next = at + char_len(t[at]);

        if (next > len || (next < len && !parts(t[next])))
            break;
        r.letters += sp_detect_is_letter(t[at]);
        r.count++;
        r.end = next;
        for (at = next; at < len && at < next + 2 && is_gap(t[at]); at++)
            ;
    }
    return r;
}

/* Where the run of a blank that was found begins: the character before it belongs to it, if it stands alone. */
static size_t run_begin(const uint8_t *t, size_t blank, size_t least)
{
    size_t from = blank;

    while (from > least && (t[from - 1] & 0xc0) == 0x80)
        from--;
    from -= from > least && !parts(t[from - 1]);
    return from == blank || (from > 0 && !parts(t[from - 1])) ? blank + 1 : from;
}

/* Where the last word of a run begins that may go on in the next window. returns: the run's end if that is far off */
static size_t last_word(const uint8_t *t, const struct run *r, size_t len)
{
    for (size_t at = r->end; at > r->from + 1 && at + OPEN > len; at--)
        if (is_gap(t[at - 1]) && is_gap(t[at - 2]))
            return at;
    return r->end;
}

struct line {
    uint8_t *text;
    uint32_t *places;
    size_t len;  /* of what has been written */
    size_t read; /* where the rest begins */
};

static void keep(struct line *out, size_t n)
{
    if (out->len < out->read) {
        memmove(out->text + out->len, out->text + out->read, n);
        if (out->places != NULL)
            memmove(out->places + out->len, out->places + out->read, n * sizeof(*out->places));
    }
    out->len += n;
    out->read += n;
}

/* A blank where blanks have been left out. */
static void put_blank(struct line *out)
{
    out->text[out->len] = ' ';
    if (out->places != NULL)
        out->places[out->len] = out->places[out->read - 1];
    out->len++;
}

static bool is_in_number(uint8_t c)
{
    return sp_ascii_is_digit(c) || is_gap(c) || (c != 0 && strchr("-./()", c) != NULL);
}

/* How many digits a number has that begins here, over the signs and gaps in it. */
static size_t digits_at(const uint8_t *t, size_t at, size_t end)
{
    size_t n = 0;

    for (; at < end && is_in_number(t[at]); at++)
        n += sp_ascii_is_digit(t[at]);
    return n;
}

/* The run up to `end` without the blanks between its characters; of a wider gap one is left, and one beside a long number. */
static void join(struct line *out, size_t end)
{
    size_t digits = 0; /* of the number that was read last; 0 behind a letter */

    while (out->read < end) {
        uint8_t c = out->text[out->read];
        size_t gap;

        if (sp_ascii_is_digit(c) && digits == 0) {
            digits = digits_at(out->text, out->read, end);
            if (digits >= LONG_NUMBER && out->len > 0 && out->len < out->read &&
                sp_detect_is_letter(out->text[out->len - 1]))
                put_blank(out);
        } else if (!is_in_number(c)) {
            if (digits >= LONG_NUMBER && sp_detect_is_letter(c) &&
                sp_ascii_is_digit(out->text[out->len - 1]))
                put_blank(out);
            digits = 0;
        }
        keep(out, char_len(c));
        for (gap = out->read; out->read < end && is_gap(out->text[out->read]); out->read++)
            ;
        if (out->read - gap > 1 || (out->read - gap == 1 && out->text[gap] == '\t'))
            put_blank(out);
    }
}

/* The run up to `end` as it stands; of two blanks one is left. */
static void narrow(struct line *out, size_t end)
{
    while (out->read < end) {
        size_t at = out->read;

        while (at < end && (out->text[at] != ' ' || out->text[at + 1] != ' '))
            at++;
        keep(out, at - out->read);
        if (at < end) {
            keep(out, 1);
            out->read++;
        }
    }
}

size_t sp_detect_unspell(uint8_t *text, uint32_t *places, size_t *joined, size_t len, bool last)
{
    struct line out = {text, places, *joined, *joined};
    size_t at = *joined, hold = len, open = last || len < OPEN ? len : len - OPEN;

    while ((at = next_suspect(text, at, len)) < len) {
        struct run r = run_at(text, run_begin(text, at, out.read), len);
        bool spelled = r.count >= LEAST && r.letters >= LEAST_LETTERS;

        if (r.from >= open) {
            hold = r.from;
            break;
        }
        keep(&out, r.from - out.read);
        if (spelled)
            join(&out, !last && r.end + 2 >= len ? last_word(text, &r, len) : r.end);
        else
            narrow(&out, r.end);
        if (out.read + 1 < len)
            narrow(&out, out.read + 1); /* the gap behind */
        at = out.read > at ? out.read : at + 1;
    }
    if (hold == len && !last)
        hold = len - out.read > OPEN_LEAST ? len - OPEN_LEAST : out.read;
    keep(&out, hold - out.read);
    *joined = out.len;
    keep(&out, len - hold);
    return out.len;
}
