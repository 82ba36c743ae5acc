/*
 * Hyperscan's home: all terms of the dictionary in one pass, but for words of up to four letters, which are looked up word by
 * word as the pass goes on: as patterns they would match a fifth of all bytes in vain. Hyperscan reports ends only, in rising order; the start follows from
 * the term. Word borders are checked here, since "\b" in four thousand patterns would double the work of the automaton; a
 * plural or possessive end is allowed. Hits come out by rising start, and none inside a longer one.
 */
#include "detect/own_priv.h"

#include <stdlib.h>

#define HITS_MAX (128 * 1024) /* in one window: two a byte at most make sense */

enum sp_rc sp_detect_new(struct sp_detect **out, struct sp_err *err)
{
    SP_AUTO(sp_detect) d = sp_calloc(1, sizeof(*d));
    enum sp_rc rc = sp_detect_dictionary_load(d, err);

    if (rc == SP_OK)
        *out = SP_STEAL(d);
    return rc;
}

void sp_detect_free(struct sp_detect *d)
{
    if (d == NULL)
        return;
    hs_free_scratch(d->scratch);
    hs_free_database(d->db);
    sp_free(d->hits);
    sp_free(d->entities);
    sp_free(d->sentences);
    sp_free(d->own);
    sp_free(d);
}

struct scan {
    struct sp_detect *d;
    const struct detect_window *w;
    size_t count;
    size_t at; /* short words have been looked up so far */
    bool full;
};

/* The end of the word's plural or possessive. returns: 0 if the word goes on otherwise */
static size_t word_end(const struct detect_window *w, size_t end)
{
    const uint8_t *t = w->text;

    if (end >= w->len || !sp_detect_is_word(t[end - 1]) || !sp_detect_is_word(t[end]))
        return end;
    if (!sp_ascii_is_alpha(t[end - 1]))
        return 0;
    if ((t[end] | 0x20) == 's' && (end + 1 == w->len || !sp_detect_is_word(t[end + 1])))
        return end + 1;
    if (end + 1 < w->len && (t[end] | 0x20) == 'e' && (t[end + 1] | 0x20) == 's' &&
        (end + 2 == w->len || !sp_detect_is_word(t[end + 2])))
        return end + 2;
    return 0;
}

static size_t word_start(const struct detect_window *w, size_t start)
{
    while (start > 0 && sp_detect_is_word(w->text[start - 1]))
        start--;
    return start;
}

/* Words that end like a disease and are none, or are words of the house. */
static bool is_no_medicine(struct sp_bytes word)
{
    static const char words[] =
        " diploma aroma oklahoma tacoma sonoma soma roma idioma paloma stroma academia "
        "bohemia premia empathy sympathy apathy telepathy nostalgia anatomy dichotomy "
        "autonomy atrophy trophy dystrophy wainwright coma visitis bolzano medicare "
        "theorem ";

    return sp_detect_is_listed(word, words);
}

static bool whole_suffix(const struct detect_window *w, size_t *start, size_t end)
{
    size_t from = word_start(w, *start);
    struct sp_bytes word = sp_bytes(w->text + from, end - from);

    if (*start - from < 3 || word.len < 7 || word.len > 40 || is_no_medicine(word))
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (!sp_ascii_is_alpha(word.ptr[i]))
            return false;
    if ((sp_detect_word_flags(word) & (DETECT_GIVEN | DETECT_SURNAME)) != 0)
        return false;
    *start = from;
    return true;
}

static size_t append(struct scan *s, struct detect_hit hit)
{
    struct sp_detect *d = s->d;

    if (s->count == d->hit_cap) {
        d->hit_cap = d->hit_cap == 0 ? 4096 : d->hit_cap * 2;
        d->hits = sp_realloc(d->hits, d->hit_cap * sizeof(*d->hits));
    }
    d->hits[s->count] = hit;
    return s->count++;
}

static void push(struct scan *s, struct detect_hit hit)
{
    struct sp_detect *d = s->d;
    size_t at = append(s, hit);

    while (at > 0 && d->hits[at - 1].start > hit.start) { /* they come by end: nearly sorted */
        d->hits[at] = d->hits[at - 1];
        at--;
    }
    d->hits[at] = hit;
}

static bool take(struct scan *s, size_t start, size_t end, uint64_t marks)
{
    s->full = s->full || s->count == HITS_MAX;
    if (!s->full)
        push(s, (struct detect_hit){(uint32_t)start, (uint32_t)end, marks});
    return !s->full;
}

/* A word, its plural's or possessive's end left out: what it means if it is a term. */
static void look_up(struct scan *s, size_t start, size_t len, size_t end)
{
    const uint8_t *t = s->w->text + start;
    uint32_t key = 0, exact = 0;

    for (size_t i = 0; i < len; i++) {
        if (!sp_ascii_is_alpha(t[i]))
            return;
        exact |= (uint32_t)t[i] << (8 * i);
        key |= (uint32_t)(t[i] | 0x20) << (8 * i);
    }
    for (uint32_t at = sp_detect_short_slot(key); sp_detect_shorts[at].key != 0;
         at = (at + 1) & ((1U << DETECT_SHORT_BITS) - 1)) {
        const struct detect_short *word = &sp_detect_shorts[at];

        if (word->key == key && (word->exact == 0 || word->exact == exact) &&
            !take(s, start, end, sp_detect_terms[word->term].marks))
            return;
    }
}

/* Looks up the short words that begin before a place. */
static void short_words(struct scan *s, size_t limit)
{
    const struct detect_window *w = s->w;
    size_t end;

    for (; s->at < limit; s->at = end + 1) {
        size_t start = s->at, len;

        end = start;
        while (end < w->len && sp_detect_is_word(w->text[end]))
            end++;
        len = end - start;
        if (len == 0 || len > DETECT_SHORT_LEN + 2)
            continue;
        if (len <= DETECT_SHORT_LEN)
            look_up(s, start, len, end);
        if (len > 1 && len - 1 <= DETECT_SHORT_LEN && (w->text[end - 1] | 0x20) == 's')
            look_up(s, start, len - 1, end);
        if (len > 2 && (w->text[end - 1] | 0x20) == 's' && (w->text[end - 2] | 0x20) == 'e')
            look_up(s, start, len - 2, end);
    }
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *arg)
{
    struct scan *s = arg;
    const struct detect_term *term = &sp_detect_terms[id];
    size_t start = (size_t)to - term->len, end = word_end(s->w, (size_t)to);

    (void)from;
    (void)flags;
    if (end == 0)
        return 0;
    if ((term->flags & DETECT_TERM_SUFFIX) != 0) {
        if (!whole_suffix(s->w, &start, (size_t)to))
            return 0;
    } else if (start > 0 && sp_detect_is_word(s->w->text[start]) &&
               sp_detect_is_word(s->w->text[start - 1])) {
        return 0;
    }
    short_words(s, start);
    return take(s, start, end, term->marks) ? 0 : 1;
}

static int by_start(const void *a, const void *b)
{
    const struct detect_hit *x = a, *y = b;

    return x->start != y->start ? (x->start < y->start ? -1 : 1)
                                : (x->end > y->end) - (x->end < y->end);
}

/* The organisation's own terms stand among the others. returns: whether all are known */
static bool own_terms(struct scan *s, struct detect_window *w)
{
    bool complete = sp_detect_own_match(w);
    size_t before = s->count;

    for (size_t i = 0; i < w->own_count; i++) {
        uint64_t marks = sp_detect_own_marks(w, i);
        struct detect_hit hit = {w->d->own[i].start, w->d->own[i].end, marks};

        if (marks != 0)
            append(s, hit);
    }
    if (s->count > before)
        qsort(s->d->hits, s->count, sizeof(*s->d->hits), by_start);
    return complete;
}

/* Drops what lies inside of a longer one; joins what lies in the same place. */
static size_t weed(struct detect_hit *hits, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct detect_hit *last = kept == 0 ? NULL : &hits[kept - 1];

        if (last != NULL && hits[i].start == last->start && hits[i].end == last->end) {
            last->marks |= hits[i].marks;
            if ((last->marks & M(PLURAL)) != 0) /* "patients": of nobody in particular */
                last->marks &= ~(M(PATIENT) | M(INSURED));
        } else if (last != NULL && hits[i].start == last->start && hits[i].end > last->end)
            *last = hits[i]; /* the longer one of the same start */
        else if (last == NULL || hits[i].end > last->end)
            hits[kept++] = hits[i];
    }
    return kept;
}

/* "cancer center", "MRI scanner", "sepsis committee": a thing of the house, nobody's illness. */
static bool is_thing(const struct detect_window *w, size_t end)
{
    static const char nouns[] =
        " machine machines scanner scanners chairs chair bundle committee guideline "
        "guidelines training program programs awareness research society association "
        "fund foundation equipment suite supplies syringes kits market industry "
        "conference symposium seminar lecture presentation talk poster slides module "
        "course policy policies protocol protocols budget project team staff nurses "
        "department center centers centre specialist specialists prevention education "
        "campaign month week day walk drive registry trials studies statistics rates "
        "rate charity gala coding template templates software system systems vendor "
        "purchasing inventory manager coordinator navigator director technician tech "
        "institute group webinar workshop initiative task metrics dashboard volumes "
        "throughput drugs products device devices unit units pathway survivors alliance "
        "network screening management care control support lab analyzer reagent "
        "reagents swabs stewardship quality safety compliance surveillance outbreak "
        "update advocacy pump pumps battery batteries season clinics fair vendors ";
    size_t from = end + 1, to = from;

    if (end >= w->len || w->text[end] != ' ')
        return false;
    while (to < w->len && sp_ascii_is_alpha(w->text[to]))
        to++;
    return sp_detect_is_listed(sp_bytes(w->text + from, to - from), nouns);
}

static void demote_things(const struct detect_window *w, struct detect_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((hits[i].marks & (DETECT_STRONG & ~M(LAB))) != 0 && is_thing(w, hits[i].end))
            hits[i].marks = (hits[i].marks & ~DETECT_STRONG) | M(DEPT);
}

bool sp_detect_scan(struct sp_detect *d, struct detect_window *w)
{
    struct scan s = {.d = d, .w = w};
    hs_error_t rc =
        hs_scan(d->db, (const char *)w->text, (unsigned)w->len, 0, d->scratch, on_match, &s);
    bool complete;

    short_words(&s, w->len);
    complete = own_terms(&s, w);
    w->hits = d->hits;
    w->hit_count = weed(d->hits, s.count);
    demote_things(w, d->hits, w->hit_count);
    return complete && rc == HS_SUCCESS && !s.full;
}
