/*
 * What stands near a value: the marks of the dictionary's terms in its sentence and around it, and how much of health a set
 * of marks tells.
 */
#include "detect/judge_priv.h"

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

uint64_t sp_detect_marks_between(const struct detect_window *w, size_t from, size_t to)
{
    uint64_t marks = 0;

    for (size_t i = sp_detect_first_hit(w, from); i < w->hit_count && w->hits[i].start < to; i++)
        marks |= meaning(&w->hits[i]);
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
    static const char works[] =
        " presentation talk lecture slides slide report meeting email mail message team office "
        "book class idea question proposal project paper article draft desk laptop schedule "
        "calendar shift birthday party retirement comment comments request suggestion ";

    return sp_detect_is_listed(word, works);
}
