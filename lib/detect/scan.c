/*
 * The terms of the dictionary in a window, found word by word: of most words a filter of bits says that no term begins with
 * them. A term of several words is looked up by its first one and what stands right behind it, so that "the" and "her"
 * do not try all of theirs; an ending ("-itis") by the last letters of a long word. What is found so is compared in full.
 * A plural or possessive end is allowed. Hits come out by rising start, and none inside a longer one. A multi-pattern
 * automaton (Hyperscan) for the same terms took longer than all else: it looks at each byte for thousands of them.
 */
#include "detect/own_priv.h"
#include "detect/weigh_priv.h"

#include <stdlib.h>

#define BATCH     80           /* words: twice as many as 64 bytes hold, and more */
#define ENDED_LEN 7            /* bytes of a word whose ending counts */
#define HITS_MAX  (128 * 1024) /* in one window: two a byte at most make sense */

enum sp_rc sp_detect_new(struct sp_detect **out, struct sp_err *err)
{
    if (hs_valid_platform() != HS_SUCCESS) /* for the organisation's own patterns */
        return sp_fail(err, SP_E_SCAN_FAILED, "this processor lacks SSSE3");
    *out = sp_calloc(1, sizeof(**out));
    return SP_OK;
}

void sp_detect_free(struct sp_detect *d)
{
    if (d == NULL)
        return;
    hs_free_scratch(d->scratch);
    sp_detect_bits_clear(&d->bits);
    sp_free(d->hits);
    sp_free(d->entities);
    sp_free(d->sentences);
    sp_free(d->own);
    sp_free(d->blocks);
    sp_detect_scale_free(d->scale);
    sp_free(d);
}

struct scan {
    struct sp_detect *d;
    const struct detect_window *w;
    size_t count;
    bool full;
};

struct word {
    uint64_t hash;
    uint32_t start, end;
};

/* Words, and which of them are to be looked up as what. */
struct batch {
    struct word words[BATCH];
    unsigned count, term_count, pair_count, ending_count, plural_count;
    uint16_t terms[BATCH], pairs[BATCH], endings[BATCH], plurals[BATCH];
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

/* Words that end like a disease and are none, or are words of the house. */
static bool is_no_medicine(struct sp_bytes word)
{
    return sp_detect_is_in(word, LIST_NO_MEDICINE);
}

/* Whether a whole word with such an ending is a term. */
static bool is_ended(struct sp_bytes word, const struct detect_term *term)
{
    unsigned none = DETECT_GIVEN | DETECT_SURNAME;

    if (word.len < term->len + 3U || word.len < ENDED_LEN || word.len > 40)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (!sp_ascii_is_alpha(word.ptr[i]))
            return false;
    if ((term->flags & DETECT_TERM_RARE) != 0)
        none |= DETECT_WORD;
    return (sp_detect_word_flags(word) & none) == 0 && !is_no_medicine(word);
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

/* Whether a term stands at a place, blanks of it as '_' too: names of files and columns have that. */
static bool stands_at(const struct detect_window *w, const struct detect_term *term, size_t at)
{
    const uint8_t *text = w->text + at, *want = sp_detect_term_texts + term->text;
    bool as_is = (term->flags & DETECT_TERM_CASE) != 0;

    if (w->len - at < term->len || sp_ascii_lower(text[term->len - 1]) != term->last)
        return false;
    for (size_t i = 0; i < term->len; i++)
        if ((as_is ? text[i] : sp_ascii_lower(text[i])) != want[i] &&
            !(want[i] == ' ' && text[i] == '_'))
            return false;
    return true;
}

/* returns: the terms of a hash, NULL if there are none */
static const struct detect_head *find_head(uint64_t hash)
{
    uint32_t at = sp_detect_head_slot(hash), tag = sp_detect_head_tag(hash);

    while (sp_detect_heads[at].tag != tag)
        if (sp_detect_heads[at].tag == 0)
            return NULL;
        else
            at = (at + 1) & ((1U << DETECT_HEAD_BITS) - 1);
    return &sp_detect_heads[at];
}

/* Takes those terms of a hash whose first word begins at the place. */
static void take_terms(struct scan *s, uint64_t hash, size_t at)
{
    const struct detect_head *head = find_head(hash);

    for (unsigned i = 0; head != NULL && i < head->count; i++) {
        const struct detect_term *term = &sp_detect_terms[head->first + i];
        size_t start = at - term->lead, end;

        if (term->lead > at || !stands_at(s->w, term, start))
            continue;
        end = word_end(s->w, start + term->len);
        if (end > 0 && (term->flags & DETECT_TERM_NAME) != 0 &&
            sp_detect_is_name_here(s->w, start, end))
            continue;
        if (end > 0 && !take(s, start, end, term->marks))
            return;
    }
}

/* Takes what the ending of a word makes of it. to: the word's end, or where its plural's begins */
static void take_endings(struct scan *s, size_t start, size_t to)
{
    uint64_t hash = sp_detect_ending_hash(s->w->text + to - DETECT_ENDING_LEN);
    const struct detect_head *head =
        (sp_detect_may_be(hash) & DETECT_FILTER_TERM) != 0 ? find_head(hash) : NULL;

    for (unsigned i = 0; head != NULL && i < head->count; i++) {
        const struct detect_term *term = &sp_detect_terms[head->first + i];
        size_t end = word_end(s->w, to);

        if (end == 0 || to - start < term->len || !stands_at(s->w, term, to - term->len) ||
            !is_ended(sp_bytes(s->w->text + start, to - start), term))
            continue;
        if (!take(s, start, end, term->marks))
            return;
    }
}

static void look_up_hash(struct scan *s, uint64_t hash, size_t start)
{
    if ((sp_detect_may_be(hash) & DETECT_FILTER_TERM) != 0)
        take_terms(s, hash, start);
}

/* The terms that begin with a word and go on behind it. */
static void look_up_behind(struct scan *s, const struct word *w)
{
    const uint8_t *behind = s->w->text + w->end;

    look_up_hash(s, sp_detect_long_hash(w->hash, behind), w->start);
    look_up_hash(s, sp_detect_short_hash(w->hash, *behind), w->start);
}

/* What the word that a plural is of may be. */
static void look_up_one(struct scan *s, size_t start, size_t len)
{
    look_up_hash(s, sp_detect_head_hash(s->w->text + start, len), start);
}

/* A word that ends in "s": what it may be the plural of. */
static void look_up_plural(struct scan *s, size_t start, size_t end)
{
    size_t len = end - start;
    bool longer = len > 2 && (s->w->text[end - 2] | 0x20) == 'e';

    if (len == 1)
        return;
    look_up_one(s, start, len - 1);
    if (longer)
        look_up_one(s, start, len - 2);
    if (len < ENDED_LEN)
        return;
    take_endings(s, start, end - 1);
    if (longer)
        take_endings(s, start, end - 2);
}

/* Notes what is to be looked up for a word. No step depends on what the word is: most are nothing, none can be foreseen. */
static inline void note(struct batch *b, const uint8_t *text, size_t start, size_t end)
{
    size_t len = end - start;
    unsigned at = b->count, may, is_long = len >= ENDED_LEN;
    uint64_t hash, ending;

    if (len > DETECT_HEAD_LEN_MAX + 2)
        return;
    hash = sp_detect_head_hash(text + start, len);
    ending = sp_detect_ending_hash(text + start + is_long * (len - DETECT_ENDING_LEN));
    may = sp_detect_may_be(hash);
    b->words[at] = (struct word){hash, (uint32_t)start, (uint32_t)end};
    b->terms[b->term_count] = b->pairs[b->pair_count] = b->endings[b->ending_count] =
        b->plurals[b->plural_count] = (uint16_t)at;
    b->count = at + 1;
    b->term_count += may & DETECT_FILTER_TERM;
    b->pair_count += may / DETECT_FILTER_PAIR;
    b->ending_count += is_long & sp_detect_may_be(ending) & DETECT_FILTER_TERM;
    b->plural_count += (text[end - 1] | 0x20) == 's';
}

/* Looks up what was noted. */
static void look_up(struct scan *s, struct batch *b)
{
    const struct word *w = b->words;

    for (unsigned i = 0; i < b->term_count; i++)
        take_terms(s, w[b->terms[i]].hash, w[b->terms[i]].start);
    for (unsigned i = 0; i < b->pair_count; i++)
        look_up_behind(s, &w[b->pairs[i]]);
    for (unsigned i = 0; i < b->ending_count; i++)
        take_endings(s, w[b->endings[i]].start, w[b->endings[i]].end);
    for (unsigned i = 0; i < b->plural_count; i++)
        look_up_plural(s, w[b->plurals[i]].start, w[b->plurals[i]].end);
    b->count = b->term_count = b->pair_count = b->ending_count = b->plural_count = 0;
}

/* Where a window's words begin and end among 64 of its bytes. */
struct edges {
    uint64_t starts, ends;
    bool open;    /* a word goes on from the bytes before */
    size_t start; /* of it, or of the last one */
};

static inline void note_words(struct batch *b, const uint8_t *text, size_t at, struct edges *e)
{
    for (; e->ends != 0; e->ends &= e->ends - 1) {
        if (!e->open) {
            e->start = at + (unsigned)__builtin_ctzll(e->starts);
            e->starts &= e->starts - 1;
        }
        e->open = false;
        note(b, text, e->start, at + (unsigned)__builtin_ctzll(e->ends));
    }
    if (e->starts != 0)
        e->start = at + (unsigned)__builtin_ctzll(e->starts);
}

/* Words begin and end where bits change. */
static void find_terms(struct scan *s)
{
    const uint64_t *words = s->d->bits.words;
    struct edges e = {0};
    struct batch b;
    uint64_t before = 0;

    b.count = b.term_count = b.pair_count = b.ending_count = b.plural_count = 0;
    for (size_t i = 0; i <= s->w->len / 64 && !s->full; i++) {
        uint64_t one_on = words[i] << 1 | before;

        e.starts = words[i] & ~one_on;
        e.ends = one_on & ~words[i];
        e.open = before != 0;
        before = words[i] >> 63;
        note_words(&b, s->w->text, i * 64, &e);
        if (b.count >= BATCH / 2)
            look_up(s, &b);
    }
    look_up(s, &b);
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

/* The word behind one blank. */
static struct sp_bytes next_word(const struct detect_window *w, size_t end)
{
    size_t from = end + 1, to = from;

    if (end >= w->len || w->text[end] != ' ')
        return sp_bytes(w->text, 0);
    while (to < w->len && sp_ascii_is_alpha(w->text[to]))
        to++;
    return sp_bytes(w->text + from, to - from);
}

/* "cancer center", "MRI scanner", "sepsis committee": a thing of the house, nobody's illness. */
static bool is_thing(const struct detect_window *w, size_t end)
{
    return sp_detect_is_in(next_word(w, end), LIST_THING);
}

/* "blood pressure cuff", "glucose meter": what measures, not what was measured. */
static bool is_instrument(const struct detect_window *w, size_t end)
{
    return sp_detect_is_in(next_word(w, end), LIST_INSTRUMENT);
}

/* "Tovah's feeding pump": somebody's own is no thing of the house. */
static bool is_owned(const struct detect_window *w, size_t start)
{
    return start > 3 && w->text[start - 1] == ' ' && w->text[start - 2] == 's' &&
           w->text[start - 3] == '\'';
}

static void demote_things(const struct detect_window *w, struct detect_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (((hits[i].marks & (DETECT_STRONG & ~M(LAB))) != 0 && is_thing(w, hits[i].end) &&
             !is_owned(w, hits[i].start)) ||
            ((hits[i].marks & M(LAB)) != 0 && is_instrument(w, hits[i].end)))
            hits[i].marks = (hits[i].marks & ~DETECT_STRONG) | M(DEPT);
}

bool sp_detect_scan(struct sp_detect *d, struct detect_window *w)
{
    struct scan s = {.d = d, .w = w};
    bool complete;

    sp_detect_bits_fill(&d->bits, sp_bytes(w->text, w->len));
    find_terms(&s);
    complete = own_terms(&s, w);
    w->hits = d->hits;
    w->hit_count = weed(d->hits, s.count);
    demote_things(w, d->hits, w->hit_count);
    return complete && !s.full;
}
