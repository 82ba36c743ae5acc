/*
 * Whose name it is: what stands around a name says whether it is a patient's, a clinician's, the writer's or the reader's,
 * or that of a house, a street or a disease.
 */
#include "detect/detect_priv.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__SSE2__)
/* Which of 16 places hold the first three signs of a key; it reads 18 bytes. */
static unsigned heads_at(const char *at, __m128i first, __m128i second, __m128i third)
{
    __m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), first),
            b = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + 1)), second),
            c = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + 2)), third);

    return (unsigned)_mm_movemask_epi8(_mm_and_si128(a, _mm_and_si128(b, c)));
}

/* As far as whole vectors go. returns: where to go on, SIZE_MAX if the key was found */
static size_t find_wide(const char *list, size_t len, const uint8_t *key, size_t n)
{
    __m128i first = _mm_set1_epi8((char)key[0]), second = _mm_set1_epi8((char)key[1]),
            third = _mm_set1_epi8((char)key[2]);
    size_t i = 0;

    for (; i + 18 <= len; i += 16)
        for (unsigned at = heads_at(list + i, first, second, third); at != 0; at &= at - 1) {
            size_t from = i + (unsigned)__builtin_ctz(at);

            if (from + n <= len && memcmp(list + from + 3, key + 3, n - 3) == 0)
                return SIZE_MAX;
        }
    return i;
}
#else
static size_t find_wide(const char *list, size_t len, const uint8_t *key, size_t n)
{
    (void)list;
    (void)len;
    (void)key;
    (void)n;
    return 0;
}
#endif

bool sp_detect_is_among(struct sp_bytes word, const char *list, size_t len)
{
    uint8_t key[32] = {0};
    size_t n = word.len + 2, i;

    if (word.len == 0 || n > 28 || n > len)
        return false;
    key[0] = ' ';
    for (i = 0; i < word.len; i++)
        key[i + 1] = sp_ascii_lower(word.ptr[i]);
    key[word.len + 1] = ' ';
    i = find_wide(list, len, key, n);
    for (; i != SIZE_MAX && i + n <= len; i++) /* what is left at the end */
        if (memcmp(list + i, key, n) == 0)
            return true;
    return i == SIZE_MAX;
}

struct sp_bytes sp_detect_word_behind(const struct detect_window *w, size_t at)
{
    size_t end;

    if (at < w->limit && w->text[at] == ' ')
        at++;
    if (at >= w->limit)
        return sp_bytes(w->text + at, 0);
    end = sp_detect_bits_unset(w->d->bits.letters, at);
    return sp_bytes(w->text + at, (end < w->limit ? end : w->limit) - at);
}

struct sp_bytes sp_detect_word_before(const struct detect_window *w, size_t at)
{
    size_t end = at, start;

    while (end > 0 && (w->text[end - 1] == ' ' || w->text[end - 1] == '.'))
        end--;
    start = end;
    if (end > 0 && sp_detect_is_letter(w->text[end - 1]))
        start = sp_detect_bits_begin(w->d->bits.letters, end);
    return sp_bytes(w->text + start, end - start);
}

/* "Johns Hopkins Hospital", "Parkinson Disease", "Lincoln Avenue". */
bool sp_detect_is_named_after(const struct detect_window *w, size_t end)
{
    struct sp_bytes next = sp_detect_word_behind(w, end);

    return sp_detect_is_in(next, LIST_NAMED_AFTER);
}

/* "OD -4.25": an eye, no optometrist. */
static bool is_measured(const struct detect_window *w, size_t at)
{
    return at + 2 < w->limit && w->text[at] == ' ' &&
           (sp_ascii_is_digit(w->text[at + 1]) ||
            (strchr("-+", w->text[at + 1]) != NULL && sp_ascii_is_digit(w->text[at + 2])));
}

/* ", MD", " RN", "(PA-C)": marks of a degree right behind the name. */
bool sp_detect_has_degree(const struct detect_window *w, size_t end)
{
    for (size_t i = w->hit_at; i < w->hit_count && w->hits[i].start <= end + 3; i++)
        if (w->hits[i].start >= end && (w->hits[i].marks & M(CREDENTIAL)) != 0)
            return !is_measured(w, w->hits[i].end);
    return false;
}

static bool is_line_start(const struct detect_window *w, size_t at)
{
    while (at > 0 && (w->text[at - 1] == ' ' || w->text[at - 1] == '*' || w->text[at - 1] == '-'))
        at--;
    return at == 0 || w->text[at - 1] == '\n';
}

/* The line before ends a letter, or the name stands behind "Thanks,". */
static bool is_signature(const struct detect_window *w, size_t at)
{
    size_t i = at;

    while (i > 0 && strchr(" \n,.-!*~\t", w->text[i - 1]) != NULL && w->text[i - 1] != 0)
        i--;
    if (i == at || i == 0)
        return false;
    return sp_detect_is_in(sp_detect_word_before(w, i), LIST_LETTER_END) &&
           memchr(w->text + i, '\n', at - i) != NULL;
}

static bool word_is(struct sp_bytes word, const char *text)
{
    return sp_bytes_eq_nocase(word, sp_bytes_cstr(text));
}

/* The word before a colon and blanks. */
static struct sp_bytes word_before_sign(const struct detect_window *w, size_t at)
{
    while (at > 0 && (w->text[at - 1] == ' ' || w->text[at - 1] == ':'))
        at--;
    return sp_detect_word_before(w, at);
}

static bool is_greeted(const struct detect_window *w, size_t at)
{
    size_t i = at;

    while (i > 0 && (w->text[i - 1] == ' ' || w->text[i - 1] == ':' || w->text[i - 1] == ','))
        i--;
    return i < at && sp_detect_is_in(sp_detect_word_before(w, i), LIST_GREETING) &&
           w->line_start + 24 >= at - (at - i);
}

/* "message from Ann" */
static bool is_message_of(const struct detect_window *w, size_t at)
{
    struct sp_bytes from = sp_detect_word_before(w, at);

    return word_is(from, "from") &&
           sp_detect_is_in(sp_detect_word_before(w, (size_t)(from.ptr - w->text)), LIST_MESSAGE);
}

/* "... is ready, Marvin." */
static bool is_set_off(const struct detect_window *w, size_t start, size_t end)
{
    return start > 2 && w->text[start - 2] == ',' && w->text[start - 1] == ' ' &&
           (end >= w->limit || strchr(".!?:;\n", w->text[end]) != NULL);
}

/* '..." says Ann Lee', "explained Dr. Ito": whose words were quoted. */
static bool is_quoted(const struct detect_window *w, size_t at)
{
    struct sp_bytes verb = sp_detect_word_before(w, at);
    size_t from = (size_t)(verb.ptr - w->text);

    return from >= 2 && sp_detect_is_in(verb, LIST_QUOTED) && w->text[from - 1] == ' ' &&
           strchr("\",", w->text[from - 2]) != NULL && w->text[from - 2] != 0;
}

/* "signed by", "refused by": what a patient does, or a clinician. */
static bool is_done_by(const struct detect_window *w, size_t at, bool of)
{
    struct sp_bytes word = sp_detect_word_before(w, at), verb;

    if (!sp_detect_is_in(word, LIST_BY))
        return false;
    if (of && word_is(word, "from"))
        return false; /* "from Ann Lee's biopsy" */
    verb = sp_detect_word_before(w, (size_t)(word.ptr - w->text));
    return !word_is(word, "by") || !sp_detect_is_in(verb, LIST_DONE_BY_PATIENT);
}

/* "a doctor named", "RN Sosa" */
static bool is_called(const struct detect_window *w, size_t at)
{
    struct sp_bytes word = sp_detect_word_before(w, at);

    if ((word_is(word, "for") || word_is(word, "after")) &&
        word_is(sp_detect_word_before(w, (size_t)(word.ptr - w->text)), "named"))
        return true;
    if (word_is(word, "named") || word_is(word, "called"))
        word = sp_detect_word_before(w, (size_t)(word.ptr - w->text));
    else if (at < 2 || w->text[at - 1] != ' ' || w->text[at - 2] == '.')
        return false;
    return sp_detect_is_in(word, LIST_CALLED);
}

static bool is_addressed(const struct detect_window *w, size_t start, size_t end, bool single)
{
    if (is_greeted(w, start) || (is_line_start(w, start) && end < w->limit && w->text[end] == ',' &&
                                 end + 1 < w->limit && w->text[end + 1] == '\n'))
        return true;
    if (!single)
        return false;
    return is_set_off(w, start, end) ||
           (is_line_start(w, start) && start < 40 && end < w->limit &&
            (w->text[end] == ',' || w->text[end] == '-')); /* "Maria, can you ..." */
}

enum detect_role sp_detect_role(const struct detect_window *w, size_t start, size_t end,
                                bool single, uint64_t label)
{
    if (sp_detect_has_degree(w, end) ||
        (end + 4 <= w->limit && memcmp(w->text + end, ", PT", 4) == 0))
        return ROLE_PROVIDER;
    if ((label & (M(PATIENT) | M(INSURED) | M(RELATIVE))) != 0 && (label & M(PROVIDER)) == 0)
        return ROLE_PATIENT;
    if (is_signature(w, start) ||
        (start - w->line_start < 10 && word_is(word_before_sign(w, start), "from")))
        return ROLE_SENDER;
    if ((label & M(PROVIDER)) != 0)
        return ROLE_PROVIDER;
    if (is_addressed(w, start, end, single))
        return ROLE_ADDRESSEE;
    if (is_message_of(w, start))
        return ROLE_SENDER;
    return is_done_by(w, start, end + 1 < w->limit && w->text[end] == '\'') ||
                   is_called(w, start) || is_quoted(w, start)
               ? ROLE_PROVIDER
               : ROLE_UNKNOWN;
}
