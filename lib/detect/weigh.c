/*
 * Adds up what the features of a piece of text weigh, and what its words say in a row (phrase.c), which counts half as much. The
 * rules and lists find what their writers thought of; the weights were learnt from labelled texts, and know phrasings that no rule
 * names. They speak where the rules are silent though a hint of somebody and one of care stand in a piece of a letter's length.
 * What the rules were sure of they never take back; what they were not sure of only if each stretch round it weighs against it
 * too: else a line about lunch behind a diagnosis would outweigh it. Without a hint of somebody they say nothing. What a piece
 * weighs is computed in time linear in its length, and only so many pieces of a message are weighed.
 */
#include "detect/weigh_priv.h"

#include <stdlib.h>

#define UNIT  DETECT_WEIGHT_UNIT
#define SLOTS (1U << DETECT_WEIGHT_BITS)
/* What a text must weigh to be PHI whatever the rules say. */
#define LIFT        (-3 * UNIT / 4)
#define LIFT_FAR    (UNIT / 2)     /* with care in it, and a capital alone that hints at somebody */
#define LIFT_CARE   (4 * UNIT)     /* with care in it, and no hint at anybody */
#define LIFT_PIECE  (UNIT * 5 / 8) /* a piece or a part of a longer one, of which there are many */
#define LIFT_BARE   (UNIT * 5 / 4) /* such a part without a word of care */
#define BOTH        (DETECT_HINT_SOMEBODY | DETECT_HINT_CARE)
#define SAYS_WHOM   40              /* bytes; a few words of care say nothing of whom */
#define DOUBT       (-5 * UNIT / 4) /* a text from here down is none if rules are not sure of it */
#define DOUBT_PART  (UNIT / 4)      /* and what stands round what they found */
#define DOUBTED     50
#define DOUBTED_MAX 1000 /* weighings of a message for a doubt; then what rules found stands */
#define LIFT_SCORE  62
#define LIFT_MAX    80
#define PIECE       1024 /* bytes: a piece of a long text */
#define PARAGRAPH   100
#define PIECES_MAX  64 /* of a message */

/* Tag of a feature's hash in the upper 24 bits, its weight in the lowest 8: an open table, 0 is empty. */
static const uint32_t weights[SLOTS] = {
#define SP_WEIGHT(slot, value) [slot] = (value),
#define SP_BIAS(value)
#include "detect/data/weights.def"
#undef SP_WEIGHT
#undef SP_BIAS
};
static const int32_t bias =
#define SP_WEIGHT(slot, value)
#define SP_BIAS(value) (value);
#include "detect/data/weights.def"
#undef SP_WEIGHT
#undef SP_BIAS

    /* ---- the sum ---- */

    /* returns: the feature's slot; SLOTS if it weighs nothing */
    static uint32_t slot_of(uint32_t hash)
{
    uint32_t tag = hash & ~0xffU, at = hash & (SLOTS - 1);

    for (; weights[at] != 0; at = (at + 1) & (SLOTS - 1))
        if ((weights[at] & ~0xffU) == tag)
            return at;
    return SLOTS;
}

static int32_t weight_at(uint32_t slot)
{
    return (int8_t)(weights[slot] & 0xff);
}

struct sum {
    uint64_t seen[SLOTS / 64]; /* a feature counts once */
    int32_t total;
};

static void add(void *arg, enum detect_feature feature, uint32_t hash, uint32_t start, uint32_t end)
{
    struct sum *sum = arg;
    uint32_t at = slot_of(hash);

    (void)feature;
    (void)start;
    (void)end;
    if (at == SLOTS || (sum->seen[at / 64] >> (at % 64) & 1) != 0)
        return;
    sum->total += weight_at(at);
    sum->seen[at / 64] |= UINT64_C(1) << (at % 64);
}

int32_t sp_detect_weight_of(struct detect_scale *s, const struct detect_judge *j, size_t from,
                            size_t to)
{
    struct sum sum = {.total = bias};

    sp_detect_features(s, j, from, to, add, &sum);
    return (2 * sum.total + sp_detect_phrases(s, j->w, from, to)) / 3;
}

struct detect_scale *sp_detect_scale_new(void)
{
    struct detect_scale *s = sp_calloc(1, sizeof(*s));

    s->phrases = sp_detect_phrases_new(false);
    return s;
}

void sp_detect_scale_free(struct detect_scale *s)
{
    if (s == NULL)
        return;
    sp_free(s->phrases);
    sp_free(s);
}

/* ---- the words that weighed most, for those who asked ---- */

struct reasons {
    struct sp_detect_finding top[SP_DETECT_REASONS_MAX]; /* places in the window, heaviest first */
    size_t count;
};

static void rank(void *arg, enum detect_feature feature, uint32_t hash, uint32_t start,
                 uint32_t end)
{
    struct reasons *r = arg;
    uint32_t at = slot_of(hash);
    int32_t weight = at == SLOTS ? 0 : weight_at(at);
    size_t i = r->count;

    (void)feature;
    if (weight <= 0 || start >= end)
        return;
    for (size_t k = 0; k < r->count; k++)
        if (start < r->top[k].end && r->top[k].start < end)
            return; /* of the same words; most come from one to several */
    if (i == SP_DETECT_REASONS_MAX && r->top[--i].score >= (uint32_t)weight)
        return;
    for (; i > 0 && r->top[i - 1].score < (uint32_t)weight; i--)
        r->top[i] = r->top[i - 1];
    r->top[i] = (struct sp_detect_finding){SP_DETECT_OTHER, start, end, (uint32_t)weight};
    r->count += r->count < SP_DETECT_REASONS_MAX;
}

static void tell_reasons(const struct detect_judge *j, size_t from, size_t to)
{
    struct detect_run *run = j->r;
    struct reasons r = {.count = 0};

    if (run->places == NULL)
        return;
    sp_detect_features(j->w->d->scale, j, from, to, rank, &r);
    run->out->reason_count = 0;
    for (size_t i = 0; i < r.count; i++) {
        struct sp_detect_finding *f = &run->out->reasons[run->out->reason_count++];

        *f = r.top[i];
        f->start = run->places[f->start];
        f->end = run->places[r.top[i].end - 1] + 1;
    }
}

/* ---- pieces ---- */

/* Somebody who may be meant, by name or number. */
static bool is_somebody(const struct detect_entity *e)
{
    if (e->role == ROLE_PROVIDER || e->role == ROLE_NOBODY || (e->flags & ENT_ROOM) != 0)
        return false;
    return e->type == SP_DETECT_PERSON || e->type == SP_DETECT_OTHER || e->type == SP_DETECT_DOB ||
           e->type == SP_DETECT_DRIVER_LICENSE || e->type == SP_DETECT_LICENSE_PLATE ||
           e->type == SP_DETECT_BIOMETRIC || e->type == SP_DETECT_PHOTO ||
           (e->type >= SP_DETECT_PHONE && e->type <= SP_DETECT_ACCOUNT);
}

static unsigned hint_of(const struct detect_entity *e)
{
    if (!is_somebody(e))
        return 0;
    return e->type == SP_DETECT_PERSON ? DETECT_HINT_SOMEBODY | DETECT_HINT_PERSON
                                       : DETECT_HINT_SOMEBODY;
}

static bool is_day(struct sp_bytes word)
{
    return sp_detect_is_month(word) ||
           sp_detect_is_listed(word, " monday tuesday wednesday thursday friday saturday sunday "
                                     "mon tue tues wed thu thur thurs fri sat sun ");
}

/* A capitalised word within a sentence: a name of plain words may be one. */
static bool has_capital(const struct detect_window *w, size_t from, size_t to)
{
    for (size_t i = from + 2; i + 1 < to; i++)
        if (w->text[i] >= 'A' && w->text[i] <= 'Z' && w->text[i + 1] >= 'a' &&
            w->text[i + 1] <= 'z' && w->text[i - 1] == ' ' &&
            (sp_detect_is_word(w->text[i - 2]) || w->text[i - 2] == ',') &&
            !is_day(sp_detect_word_behind(w, i - 1)))
            return true;
    return false;
}

unsigned sp_detect_hints(const struct detect_window *w, size_t from, size_t to)
{
    uint64_t marks = 0;
    unsigned hints = 0;

    for (size_t i = sp_detect_first_hit(w, from); i < w->hit_count && w->hits[i].start < to; i++)
        marks |= w->hits[i].marks;
    if ((marks & (DETECT_STRONG | DETECT_CARE_ANY | M(VAGUE))) != 0)
        hints |= DETECT_HINT_CARE;
    if ((marks & DETECT_SUBJECT) != 0)
        hints |= DETECT_HINT_SOMEBODY;
    if ((marks & (M(HE) | M(RELATIVE))) != 0)
        hints |= DETECT_HINT_SOMEBODY | DETECT_HINT_PERSON;
    for (size_t i = 0; i < w->entity_count; i++)
        if (w->entities[i].start >= from && w->entities[i].start < to)
            hints |= hint_of(&w->entities[i]);
    if (hints == DETECT_HINT_CARE && has_capital(w, from, to))
        hints |= DETECT_HINT_PERSON;
    return hints;
}

static uint32_t lifted(const struct detect_judge *j, size_t from, size_t to, int32_t over)
{
    int32_t score = LIFT_SCORE + over / (UNIT / 4);

    tell_reasons(j, from, to);
    return (uint32_t)(score < LIFT_MAX ? score : LIFT_MAX);
}

/* The end of a piece that begins with a sentence: whole sentences, of one paragraph unless that is short. i: becomes the next one */
static size_t piece_end(const struct detect_window *w, size_t *i)
{
    const struct detect_sentence *all = w->sentences;
    size_t from = all[*i].start, to = all[*i].end;

    for (++*i; *i < w->sentence_count && all[*i].end - from <= PIECE; ++*i) {
        if (all[*i].paragraph != all[*i - 1].paragraph && to - from >= PARAGRAPH)
            break;
        to = all[*i].end;
    }
    return to;
}

/* A long text, in pieces. returns: 0 if none is PHI */
static uint32_t weigh_pieces(const struct detect_judge *j)
{
    const struct detect_window *w = j->w;
    size_t i = 0;

    while (i < w->sentence_count && j->r->weighed < PIECES_MAX) {
        size_t from = w->sentences[i].start, to = piece_end(w, &i);
        int32_t weight;

        if (to - from > DETECT_PIECE || (sp_detect_hints(w, from, to) & BOTH) != BOTH)
            continue;
        j->r->weighed++;
        weight = sp_detect_weight_of(w->d->scale, j, from, to);
        if (weight >= LIFT_PIECE)
            return lifted(j, from, to, weight - LIFT_PIECE);
    }
    return 0;
}

static int32_t lift_of(unsigned hints, const struct detect_judge *j)
{
    if ((hints & DETECT_HINT_CARE) != 0 && (hints & BOTH) != BOTH)
        return (hints & DETECT_HINT_PERSON) != 0 ? LIFT_FAR : LIFT_CARE;
    if (j->part)
        return (hints & DETECT_HINT_CARE) != 0 ? LIFT_PIECE : LIFT_BARE;
    return LIFT;
}

static uint32_t weigh_whole(const struct detect_judge *j, uint32_t score)
{
    const struct detect_window *w = j->w;
    unsigned hints = sp_detect_hints(w, w->begin, w->len);
    int32_t weight, lift = lift_of(hints, j);

    if ((hints & (DETECT_HINT_CARE | DETECT_HINT_PERSON)) == 0 ||
        (hints == DETECT_HINT_CARE && w->len - w->begin < SAYS_WHOM))
        return score;
    weight = sp_detect_weight_of(w->d->scale, j, w->begin, w->len);
    return weight < lift ? score : lifted(j, w->begin, w->len, weight - lift);
}

/* ---- what rules were not sure of ---- */

/* Of the end of the paragraph in which a sentence stands: the sentence behind its last. */
static size_t paragraph_behind(const struct detect_window *w, size_t i)
{
    uint32_t paragraph = w->sentences[i].paragraph;

    while (i < w->sentence_count && w->sentences[i].paragraph == paragraph)
        i++;
    return i;
}

size_t sp_detect_round(const struct detect_window *w, size_t i, struct detect_stretch *out)
{
    const struct detect_sentence *all = w->sentences;
    size_t first = i, last = paragraph_behind(w, i) - 1, n = 0;

    while (first > 0 && all[first - 1].paragraph == all[i].paragraph &&
           all[first - 1].start >= w->begin)
        first--;
    out[n++] = (struct detect_stretch){all[i].start, all[i].end};
    if (i > first)
        out[n++] = (struct detect_stretch){all[i - 1].start, all[i].end};
    if (i < last)
        out[n++] = (struct detect_stretch){all[i].start, all[i + 1].end};
    if (i > first + 1)
        out[n++] = (struct detect_stretch){all[first].start, all[i].end};
    if (i + 1 < last)
        out[n++] = (struct detect_stretch){all[i].start, all[last].end};
    if (i > first && i < last)
        out[n++] = (struct detect_stretch){all[first].start, all[last].end};
    return n;
}

static bool weighs_more(const struct detect_judge *j, size_t from, size_t to, int32_t than)
{
    return j->r->doubted++ >= DOUBTED_MAX ||
           sp_detect_weight_of(j->w->d->scale, j, from, to) > than;
}

/* Whether all that stands round what the rules found speaks against it, each stretch by itself: so no neighbour hides it. */
static bool is_doubted(const struct detect_judge *j)
{
    struct detect_stretch round[DETECT_ROUND_MAX];

    if ((j->w->marks & DETECT_SPECIAL) != 0)
        return false; /* the law asks most where the detector must not be wrong */
    if (weighs_more(j, j->w->begin, j->w->len, DOUBT))
        return false;
    for (size_t i = 0; i < j->doubt_count; i++) {
        size_t count = sp_detect_round(j->w, j->doubts[i], round);

        for (size_t k = 0; k < count; k++)
            if (weighs_more(j, round[k].from, round[k].to, DOUBT_PART))
                return false;
    }
    return true;
}

uint32_t sp_detect_weigh(const struct detect_judge *j, uint32_t score)
{
    const struct detect_window *w = j->w;
    struct sp_detect *d = w->d;
    bool small = w->len - w->begin <= DETECT_PIECE;

    if (d->scale != NULL && d->scale->watch != NULL)
        return d->scale->watch(d->scale->watch_arg, j, score);
    if (score >= DETECT_SURE ||
        (score >= DETECT_LIKELY && (!small || j->doubt_count > DETECT_DOUBTS_MAX)))
        return score;
    if (d->scale == NULL)
        d->scale = sp_detect_scale_new();
    if (score >= DETECT_LIKELY)
        return is_doubted(j) ? DOUBTED : score;
    if (small)
        return weigh_whole(j, score);
    if (j->part) /* the whole has been weighed piece by piece */
        return score;
    if (j->r->phi_score < DETECT_LIKELY) {
        uint32_t found = weigh_pieces(j);

        return found > 0 ? found : score;
    }
    return score;
}
