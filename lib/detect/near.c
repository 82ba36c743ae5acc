/*
 * What stands near a value: the marks of the dictionary's terms in its sentence and around it, and how much of health a set
 * of marks tells.
 */
#include "detect/judge_priv.h"

#define SHIFT 3
#define STEP                                                                                       \
    (1U                                                                                            \
     << SHIFT) /* so many hits are known together, and so many of those: a sentence may be a whole window */
#define LEVELS 3
#define ID_LABELS                                                                                  \
    (M(L_MRN) | M(L_PLAN) | M(L_MBI) | M(L_ACCOUNT) | M(L_OTHER) | M(L_NPI) | M(L_LICENSE))

/* What a hit says of health; a label of a number says nothing but that it is one. */
static uint64_t meaning(const struct detect_hit *h)
{
    uint64_t marks = h->marks;

    if ((marks & ID_LABELS) != 0)
        marks &= ~DETECT_CARE_ANY;
    return marks;
}

/* Index of the first hit that ends behind the place. */
size_t sp_detect_first_hit(const struct detect_window *w, size_t at)
{
    size_t low = 0, high = w->hit_count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (w->hits[mid].end <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void sp_detect_marks_gather(struct detect_window *w)
{
    struct sp_detect *d = w->d;
    size_t count = w->hit_count / STEP, need = count * 2;
    uint64_t *level;

    w->block_count = count;
    if (count == 0)
        return;
    if (need > d->block_cap) {
        d->blocks = sp_realloc(d->blocks, need * sizeof(*d->blocks));
        d->block_cap = need;
    }
    for (size_t b = 0; b < count; b++) {
        d->blocks[b] = 0;
        for (size_t i = b * STEP; i < (b + 1) * STEP; i++)
            d->blocks[b] |= meaning(&w->hits[i]);
    }
    level = d->blocks;
    for (unsigned n = 1; n < LEVELS; n++) { /* each from the one below, and behind it */
        for (size_t b = 0; b < count / STEP; b++) {
            level[count + b] = 0;
            for (size_t i = b * STEP; i < (b + 1) * STEP; i++)
                level[count + b] |= level[i];
        }
        level += count;
        count /= STEP;
    }
}

/* The most hits that begin with one, are known together and begin before the place. returns: how many; 1: none are */
static size_t known_together(const struct detect_window *w, size_t i, size_t to, uint64_t *marks)
{
    const uint64_t *level = w->d->blocks;
    size_t known = 1, count = w->block_count;

    for (unsigned bits = SHIFT; bits <= LEVELS * SHIFT; bits += SHIFT) {
        size_t n = (size_t)1 << bits;

        if ((i & (n - 1)) != 0 || i >> bits >= count || w->hits[i + n - 1].start >= to)
            break;
        *marks = level[i >> bits];
        known = n;
        level += count;
        count /= STEP;
    }
    return known;
}

uint64_t sp_detect_marks_between(const struct detect_window *w, size_t from, size_t to)
{
    uint64_t marks = 0;
    size_t i = sp_detect_first_hit(w, from);

    while (i < w->hit_count && w->hits[i].start < to) {
        uint64_t more = 0;
        size_t known = known_together(w, i, to, &more);

        marks |= known > 1 ? more : meaning(&w->hits[i]);
        i += known;
    }
    return marks;
}

uint64_t sp_detect_around(const struct detect_window *w, const struct detect_entity *e,
                          size_t reach)
{
    return sp_detect_marks_between(w, e->start > reach ? e->start - reach : 0, e->end + reach);
}

const struct detect_sentence *sp_detect_sentence_of(const struct detect_window *w,
                                                    const struct detect_entity *e)
{
    return &w->sentences[e->sentence < w->sentence_count ? e->sentence : w->sentence_count - 1];
}

uint64_t sp_detect_sentence_marks(const struct detect_window *w, const struct detect_entity *e)
{
    const struct detect_sentence *s = sp_detect_sentence_of(w, e);

    return sp_detect_marks_between(w, s->start, s->end);
}

/* How much a set of marks speaks of somebody's health: 3 an illness, a drug, a test; 2 an event of care; 1 a word of it. */
unsigned sp_detect_health_of(uint64_t marks)
{
    if ((marks & DETECT_STRONG) != 0)
        return 3;
    if ((marks & M(EVENT)) != 0 ||
        ((marks & M(DEPT)) != 0 && (marks & (M(CARE) | M(VAGUE))) != 0) ||
        ((marks & M(CARE)) != 0 && (marks & (M(VAGUE) | M(PAY))) != 0))
        return 2;
    return (marks & DETECT_CARE_ANY) != 0 ? 1 : 0;
}

bool sp_detect_is_work(struct sp_bytes word)
{
    return sp_detect_is_in(word, LIST_WORK);
}
