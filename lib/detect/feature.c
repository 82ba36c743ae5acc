/*
 * What the linear model looks at: words, pairs of words, the words round a name, the ends of long words; the same of what the
 * recognisers and the dictionary found, by its kind; and what the whole piece holds of both halves, a person and his health.
 */
#include "detect/weigh_priv.h"

#define NAME_REACH  3  /* tokens on both sides of a name */
#define CLASS_REACH 11 /* between a person and what was found */

struct features {
    struct detect_scale *s;
    const struct detect_judge *j;
    size_t from, to;
    detect_feature_fn fn;
    void *arg;
};

static void tell(const struct features *f, enum detect_feature feature, uint32_t a, uint32_t b,
                 uint32_t start, uint32_t end)
{
    uint64_t h = (a + UINT64_C(0x9e3779b97f4a7c15) * (feature + 1)) * UINT64_C(0xff51afd7ed558ccd);

    h = (h ^ h >> 31 ^ b) * UINT64_C(0xc4ceb9fe1a85ec53);
    h = (h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    f->fn(f->arg, feature, (uint32_t)(h >> 32), start, end);
}

static void tell_all(const struct features *f, enum detect_feature feature, uint32_t a, uint32_t b)
{
    tell(f, feature, a, b, 0, 0);
}

/* ---- words ---- */

/* A long word's last letters: "-itis", "-ectomy". */
static void tell_end(const struct features *f, const struct detect_token *t)
{
    const uint8_t *text = f->j->w->text + t->start;
    size_t len = t->end - t->start;

    if (t->kind != TOKEN_WORD || len <= 6 || !sp_detect_is_letter(text[0]) ||
        memchr(text, '\'', len) != NULL)
        return;
    for (size_t n = 3; n <= 4; n++) {
        uint64_t h = sp_detect_word_hash(sp_bytes(text + len - n, n));

        tell(f, n == 3 ? FEATURE_END3 : FEATURE_END4, (uint32_t)(h ^ h >> 32), 0, t->start, t->end);
    }
}

static void tell_round_name(const struct features *f, size_t at)
{
    const struct detect_token *all = f->s->tokens, *name = &all[at];

    for (size_t n = 1; n <= NAME_REACH; n++) {
        if (at >= n + 1)
            tell(f, FEATURE_BEFORE_NAME, name->hash, all[at - n].hash, all[at - n].start,
                 name->end);
        if (at + n + 1 < f->s->token_count)
            tell(f, FEATURE_BEHIND_NAME, name->hash, all[at + n].hash, name->start,
                 all[at + n].end);
    }
}

static uint32_t log2_of(size_t n)
{
    uint32_t bits = 0;

    for (; n > 1; n >>= 1)
        bits++;
    return bits;
}

static void tell_shape(const struct features *f)
{
    const struct detect_token *t = f->s->tokens;
    uint32_t names = 0, lines = 0;

    for (size_t i = 1; i < f->s->token_count; i++)
        names += t[i].capital && t[i - 1].capital;
    for (size_t i = 0; i < f->s->token_count; i++)
        names += t[i].kind == TOKEN_NAME && t[i].capital &&
                 memchr(f->j->w->text + t[i].start, ' ', t[i].end - t[i].start) != NULL;
    for (size_t i = f->from; i < f->to; i++)
        lines += f->j->w->text[i] == '\n';
    tell_all(f, FEATURE_NAMES, names < 4 ? names : 4, 0);
    tell_all(f, FEATURE_LINES, lines < 5 ? lines : 5, 0);
    tell_all(f, FEATURE_LENGTH, log2_of(f->to - f->from + 1), 0);
    if (f->s->token_count > 2)
        tell_all(f, FEATURE_FIRST, t[1].hash, 0);
}

static void tell_words(const struct features *f)
{
    const struct detect_token *t = f->s->tokens;
    size_t count = f->s->token_count;

    for (size_t i = 1; i < count; i++) {
        tell(f, FEATURE_PAIR, t[i - 1].hash, t[i].hash, t[i - 1].start, t[i].end);
        if (i + 1 == count)
            break;
        tell(f, FEATURE_WORD, t[i].hash, 0, t[i].start, t[i].end);
        tell_end(f, &t[i]);
        if (t[i].kind == TOKEN_NAME)
            tell_round_name(f, i);
    }
}

/* ---- what was found ---- */

static bool is_person(const struct detect_token *t)
{
    return t->kind == TOKEN_CLASS && t->hash >= 64 && t->hash < 128;
}

static void tell_near(const struct features *f, size_t person)
{
    const struct detect_token *t = f->s->tokens;
    size_t low = person > CLASS_REACH ? person - CLASS_REACH : 0, high = person + CLASS_REACH;

    for (size_t i = low; i <= high && i < f->s->token_count; i++) {
        size_t gap = i > person ? i - person : person - i;

        if (i != person && t[i].kind == TOKEN_CLASS)
            tell_all(f, FEATURE_CLASS_NEAR, t[person].hash << 8 | t[i].hash,
                     (i > person) + 2U * (gap < 5));
    }
}

static uint32_t class_hash(const struct detect_token *t)
{
    return t->kind == TOKEN_CLASS ? t->hash ^ 1U << 31 : t->hash;
}

static void tell_classes(const struct features *f)
{
    const struct detect_token *t = f->s->tokens;
    size_t count = f->s->token_count;

    for (size_t i = 1; i < count; i++) {
        if (t[i].kind == TOKEN_CLASS || t[i - 1].kind == TOKEN_CLASS)
            tell_all(f, FEATURE_CLASS_PAIR, class_hash(&t[i - 1]), class_hash(&t[i]));
        if (t[i].kind == TOKEN_CLASS)
            tell_all(f, FEATURE_CLASS, t[i].hash, 0);
        if (is_person(&t[i]))
            tell_near(f, i);
    }
}

/* ---- the two halves ---- */

/* How much marks are of health: 3 an illness, a drug, a test; 2 an event of care; 1 a word of it. */
static uint32_t health_of(uint64_t marks)
{
    if ((marks & DETECT_STRONG) != 0)
        return 3;
    return (marks & M(EVENT)) != 0 ? 2 : (marks & (DETECT_CARE_ANY | M(VAGUE))) != 0 ? 1 : 0;
}

/* The first entity that does not begin before a place. */
static size_t first_entity(const struct detect_window *w, size_t at)
{
    size_t low = 0, high = w->entity_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (w->entities[middle].start < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whom a sentence names, as which pronouns, and what it says of health. */
static void tell_sentence(const struct features *f, const struct detect_sentence *s)
{
    const struct detect_window *w = f->j->w;
    uint64_t marks = 0;
    uint32_t who = 0, spoken;

    for (size_t i = sp_detect_first_hit(w, s->start); i < w->hit_count && w->hits[i].start < s->end;
         i++)
        marks |= w->hits[i].marks;
    for (size_t i = first_entity(w, s->start); i < w->entity_count && w->entities[i].start < s->end;
         i++) {
        const struct detect_entity *e = &w->entities[i];

        if (e->type == SP_DETECT_PERSON)
            who |= 1U << e->role;
        else if (e->type == SP_DETECT_DOB)
            who |= 1U << 8;
    }
    spoken = ((marks & M(HE)) != 0) | ((marks & M(MY)) != 0) << 1 | ((marks & M(YOUR)) != 0) << 2 |
             ((marks & M(RELATIVE)) != 0) << 3;
    tell_all(f, FEATURE_SENTENCE, who, health_of(marks));
    tell_all(f, FEATURE_SENTENCE, who + (1U << 16), health_of(marks) << 8 | spoken);
}

static void tell_sentences(const struct features *f)
{
    const struct detect_window *w = f->j->w;

    for (size_t i = 0; i < w->sentence_count; i++)
        if (w->sentences[i].start >= f->from && w->sentences[i].start < f->to)
            tell_sentence(f, &w->sentences[i]);
}

/* How much it is of somebody: 4 a number that only patients have, 3 a patient's name, 2 a name, 1 what may be one. */
static uint32_t who_of(const struct detect_entity *e)
{
    switch (e->type) {
    case SP_DETECT_US_SSN:
    case SP_DETECT_MRN:
    case SP_DETECT_DOB:
    case SP_DETECT_HEALTH_PLAN_ID:
    case SP_DETECT_MBI:
        return 4;
    case SP_DETECT_PERSON:
        if (e->role == ROLE_PATIENT)
            return 3;
        if (e->role == ROLE_PROVIDER || e->role == ROLE_NOBODY)
            return 0;
        return (e->flags & ENT_WEAK) != 0 ? 1 : 2;
    default:
        return 0;
    }
}

static uint32_t tell_entities(const struct features *f)
{
    const struct detect_window *w = f->j->w;
    uint32_t best = 0;

    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *e = &w->entities[i];
        uint32_t who = who_of(e);

        if (e->start < f->from || e->start >= f->to)
            continue;
        tell_all(f, FEATURE_KIND, e->type, 0);
        if (e->type == SP_DETECT_PERSON) {
            tell_all(f, FEATURE_ROLE, e->role, 0);
            tell_all(f, FEATURE_ROLE, e->role, 1U + (e->flags & (ENT_LABELLED | ENT_WEAK)));
            tell_all(f, FEATURE_FLAGS, e->flags & ~(ENT_ROOM | ENT_ORG), 0);
        }
        best = who > best ? who : best;
    }
    return best;
}

static uint32_t tell_marks(const struct features *f)
{
    const struct detect_window *w = f->j->w;
    uint64_t once = 0, again = 0;

    for (size_t i = sp_detect_first_hit(w, f->from); i < w->hit_count && w->hits[i].start < f->to;
         i++) {
        again |= once & w->hits[i].marks;
        once |= w->hits[i].marks;
    }
    for (uint32_t m = 0; m < MARK_COUNT; m++) {
        if ((once >> m & 1) != 0)
            tell_all(f, FEATURE_MARK, m, 0);
        if ((again >> m & 1) != 0)
            tell_all(f, FEATURE_MARKS, m, 0);
    }
    return health_of(once);
}

static void tell_findings(const struct features *f)
{
    const struct detect_judge *j = f->j;
    uint32_t who = tell_entities(f), health = tell_marks(f);

    tell_all(f, FEATURE_HALVES, who, 0);
    tell_all(f, FEATURE_HALVES, health, 1);
    tell_all(f, FEATURE_HALVES, who, 2 + health);
    tell_all(f, FEATURE_OWN, j->my, 0);
    tell_all(f, FEATURE_OWN, j->your, 1);
    for (uint32_t i = 0; i < 6; i++)
        if ((const bool[]){j->animal, j->study, j->news, j->job, j->example, j->shop}[i])
            tell_all(f, FEATURE_TEXT, i, 0);
}

void sp_detect_features(struct detect_scale *s, const struct detect_judge *j, size_t from,
                        size_t to, detect_feature_fn fn, void *arg)
{
    struct features f = {s, j, from, to, fn, arg};

    s->span_count = 0;
    sp_detect_tokens(s, j->w, from, to);
    tell_words(&f);
    tell_shape(&f);
    sp_detect_spans(s, j->w, from, to);
    sp_detect_tokens(s, j->w, from, to);
    tell_classes(&f);
    tell_sentences(&f);
    tell_findings(&f);
}
