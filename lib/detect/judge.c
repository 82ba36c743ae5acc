/*
 * Whose it is, and whether that person's health, care or payment stands beside it: PHI is the two together. A number that
 * only patients and members have needs little beside it; a bare name needs what bearer.c asks for; a telephone number, an
 * address or a plate needs a person as well. What is said of clinicians and staff, by newsletters, studies, vacancies and of
 * animals, and what belongs to an organisation, counts against it.
 */
#include "detect/weigh_priv.h"

#define KIND_STEP  1024 /* bytes */
#define SMALL_LEN  8192
#define PARTS_MAX  12   /* from each end of a text are judged by themselves */
#define CUTS_MAX   1024 /* of a window; more than a letter has */
#define RUN_MAX    8    /* lines together */
#define KIND_MARKS (M(VET) | M(RESEARCH) | M(NEWS) | M(JOB) | M(TEMPLATE) | M(SHOP))
#define ILLNESS                                                                                    \
    (M(DIAGNOSIS) | M(DRUG) | M(LAB) | M(EVENT) | DETECT_SPECIAL | DETECT_SUBJECT | M(HE) |        \
     M(L_MRN) | M(L_PLAN) | M(L_MBI) | M(L_DOB))

/* ---- the kind of text ---- */

/* What the next terms behind the one at an index say of health, on its line and close to it. */
static uint8_t health_behind(const struct detect_window *w, size_t i)
{
    uint8_t best = 0;

    for (size_t k = i + 1; k < w->hit_count && k <= i + 3; k++) {
        size_t gap = w->hits[k].start > w->hits[i].end ? w->hits[k].start - w->hits[i].end : 0;
        uint64_t marks = w->hits[k].marks;

        if (gap > 40 || memchr(w->text + w->hits[i].end, '\n', gap) != NULL)
            break;
        if ((marks & DETECT_STRONG) != 0)
            return 3;
        if ((marks & DETECT_CARE_ANY & ~M(DEPT)) != 0 && gap < 25)
            best = 2;
    }
    return best;
}

/* "your mammogram", "my insulin": a word of health right behind the pronoun. */
static uint8_t own_health(const struct detect_window *w, enum detect_mark pronoun)
{
    uint8_t best = 0, found;

    for (size_t i = 0; i < w->hit_count; i++) {
        if (pronoun == MARK_MY && (w->hits[i].marks & DETECT_STRONG) != 0 &&
            sp_bytes_starts_nocase(sp_bytes(w->text + w->hits[i].start, 3), SP_LIT("my ")))
            return 3; /* "my period" is one term */
        if ((w->hits[i].marks & (UINT64_C(1) << pronoun)) == 0 ||
            sp_detect_is_work(sp_detect_word_behind(w, w->hits[i].end)))
            continue;
        found = health_behind(w, i);
        best = found > best ? found : best;
    }
    return best;
}

static void set_kind(struct detect_judge *j, const unsigned *seen, uint64_t marks)
{
    bool subject = (marks & (M(L_MRN) | M(L_PLAN) | M(L_SSN) | M(INSURED))) != 0;

    j->animal = seen[MARK_VET] >= 3 || (seen[MARK_VET] >= 2 && !subject);
    j->study = seen[MARK_RESEARCH] >= 2;
    j->news = seen[MARK_NEWS] >= 2;
    j->job = seen[MARK_JOB] >= 2;
    j->example = seen[MARK_TEMPLATE] >= 1;
    j->shop = seen[MARK_SHOP] >= 2 && (marks & ILLNESS) == 0;
}

/* A long text holds many things: what counts against an entity must stand within a few thousand bytes of it. */
static void look_around(struct detect_judge *j, size_t at)
{
    const struct detect_window *w = j->w;
    unsigned seen[MARK_COUNT] = {0};
    size_t from = at / KIND_STEP * KIND_STEP, to = from + 2 * KIND_STEP;
    uint64_t all = 0;

    if (w->len <= DETECT_LETTER_LEN || (j->kind_known && j->kind_at == from))
        return;
    j->kind_known = true;
    j->kind_at = from;
    from = from > KIND_STEP ? from - KIND_STEP : 0;
    for (size_t i = sp_detect_first_hit(w, from); i < w->hit_count && w->hits[i].start < to; i++) {
        uint64_t marks = w->hits[i].marks;

        all |= marks;
        for (marks &= KIND_MARKS; marks != 0; marks &= marks - 1)
            seen[__builtin_ctzll(marks)]++;
    }
    set_kind(j, seen, all);
}

static void look_at_text(struct detect_judge *j)
{
    const struct detect_window *w = j->w;

    set_kind(j, w->seen, w->marks);
    j->your = own_health(w, MARK_YOUR);
    j->my = own_health(w, MARK_MY);
}

/* ---- numbers ---- */

static bool has_subject(const struct detect_judge *j, const struct detect_entity *e, uint64_t near)
{
    const struct detect_window *w = j->w;
    uint32_t paragraph = sp_detect_sentence_of(w, e)->paragraph;

    if ((near & (DETECT_SUBJECT | M(HE) | M(MY))) != 0)
        return true;
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *p = &w->entities[i];

        if (p->start > e->end + DETECT_NEAR)
            break;
        if (p->type == SP_DETECT_PERSON && p->end + DETECT_NEAR > e->start &&
            (p->role == ROLE_UNKNOWN || p->role == ROLE_PATIENT) &&
            (p->flags & (ENT_WEAK | ENT_SINGLE)) == 0 &&
            sp_detect_sentence_of(w, p)->paragraph == paragraph)
            return true;
    }
    return false;
}

/* What only patients, members and the insured have. */
static uint32_t judge_record(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    uint64_t near = sp_detect_around(w, e, DETECT_RECORD);
    unsigned health;

    if (w->len <= DETECT_LETTER_LEN && !j->news && !j->study)
        near = sp_detect_marks_between(w, 0, w->len);
    health = sp_detect_health_of(near);
    if (health >= 2)
        return health == 3 ? 92 : 82;
    if ((near & M(PAY)) != 0 && e->type != SP_DETECT_US_SSN)
        return 75;
    if (health == 1 && e->type == SP_DETECT_US_SSN) /* employers and banks ask for it too */
        return (near & DETECT_SUBJECT) != 0 || w->seen[MARK_CARE] + w->seen[MARK_PAY] >= 2 ? 66 : 0;
    if (health == 1)
        return 72;
    return (near & M(PATIENT)) != 0 ? 65 : 0;
}

/* "Patient acct 5590-2281": the label says whose it is. */
static bool is_patients(const struct detect_window *w, const struct detect_entity *e)
{
    size_t from = e->start > 24 ? e->start - 24 : 0;

    for (size_t i = from; e->type == SP_DETECT_ACCOUNT && i + 7 < e->start; i++)
        if (sp_bytes_eq_nocase(sp_bytes(w->text + i, 7), SP_LIT("patient")))
            return true;
    return false;
}

/* In the sentence of one who treats: "Dr. Lee's cell is 312-555-0123, she treats lupus". */
static bool is_by_treating(const struct detect_window *w, const struct detect_entity *e)
{
    const struct detect_sentence *s = sp_detect_sentence_of(w, e);

    return sp_detect_is_treated(w, s->start, s->end);
}

/* What anybody has: it must be this person's, and his health beside it. */
static uint32_t judge_contact(const struct detect_judge *j, const struct detect_entity *e)
{
    uint64_t near = sp_detect_around(j->w, e, DETECT_NEAR),
             sentence = sp_detect_sentence_marks(j->w, e);
    unsigned health = sp_detect_health_of(near);
    bool about = (sentence & (DETECT_SUBJECT | M(HE) | M(MY))) != 0;

    if ((e->flags & ENT_ORG) != 0 || j->news || j->study || j->job || j->shop)
        return 0;
    if ((sentence & (M(ORG) | M(STAFF) | M(CREDENTIAL) | M(YOUR))) != 0 && !about)
        return 0;
    if ((sentence & (M(ORG) | M(CREDENTIAL))) != 0 && (sentence & DETECT_SUBJECT) == 0)
        return 0;
    if ((sentence & DETECT_SUBJECT) == 0 && (j->w->marks & (M(PROVIDER) | M(L_NPI))) != 0 &&
        is_by_treating(j->w, e))
        return 0;
    if (health < 2 || (!has_subject(j, e, near) && !is_patients(j->w, e)) ||
        (health < 3 && (near & M(HR)) != 0))
        return 0;
    return health == 3 ? 75 : 66;
}

static uint32_t judge_room(const struct detect_judge *j, const struct detect_entity *e)
{
    uint64_t sentence = sp_detect_sentence_marks(j->w, e);

    return (sentence & (M(PATIENT) | M(HE))) != 0 && sp_detect_health_of(sentence) >= 2 &&
                   !j->news && !j->study
               ? 64
               : 0;
}

static uint32_t judge_other(const struct detect_judge *j, const struct detect_entity *e)
{
    uint64_t near = sp_detect_around(j->w, e, DETECT_NEAR);
    unsigned health = sp_detect_health_of(near);

    if ((e->flags & ENT_ROOM) != 0)
        return judge_room(j, e);
    if (health < 3 && (near & M(HR)) != 0)
        return 0;
    if (health >= 2)
        return health == 3 ? 76 : 68;
    return health == 1 && has_subject(j, e, near) ? 64 : 0;
}

static uint32_t judge_entity(const struct detect_judge *j, const struct detect_entity *e)
{
    if ((e->flags & ENT_OWN) != 0 && e->type != SP_DETECT_PERSON)
        return judge_record(j, e);
    switch (e->type) {
    case SP_DETECT_PERSON:
        return sp_detect_judge_person(j, e);
    case SP_DETECT_US_SSN:
    case SP_DETECT_MRN:
    case SP_DETECT_HEALTH_PLAN_ID:
    case SP_DETECT_MBI:
    case SP_DETECT_DOB:
        return judge_record(j, e);
    case SP_DETECT_OTHER:
        return judge_other(j, e);
    case SP_DETECT_ADDRESS:
    case SP_DETECT_PHONE:
    case SP_DETECT_FAX:
    case SP_DETECT_EMAIL:
    case SP_DETECT_ACCOUNT:
    case SP_DETECT_CREDIT_CARD:
    case SP_DETECT_DRIVER_LICENSE:
    case SP_DETECT_LICENSE_PLATE:
    case SP_DETECT_VIN:
    case SP_DETECT_DEVICE_ID:
    case SP_DETECT_UDI:
    case SP_DETECT_URL:
    case SP_DETECT_IP:
    case SP_DETECT_BIOMETRIC:
    case SP_DETECT_PHOTO:
        return judge_contact(j, e);
    default:
        return 0;
    }
}

/* Identifiers that wait for health context in another part of the message. */
static bool is_personal(const struct detect_entity *e)
{
    if (e->type == SP_DETECT_PERSON)
        return e->role == ROLE_PATIENT && (e->flags & ENT_INITIALS) == 0;
    return e->type == SP_DETECT_US_SSN || e->type == SP_DETECT_MRN ||
           e->type == SP_DETECT_HEALTH_PLAN_ID || e->type == SP_DETECT_MBI ||
           e->type == SP_DETECT_DOB;
}

static bool is_identifier(const struct detect_entity *e)
{
    return (e->type < SP_DETECT_ICD10 || e->type > SP_DETECT_LAB) && e->type != SP_DETECT_DATE &&
           e->type != SP_DETECT_URL && e->type != SP_DETECT_ZIP && e->type != SP_DETECT_PHONE &&
           e->type != SP_DETECT_FAX && e->type != SP_DETECT_EMAIL && e->type != SP_DETECT_IP &&
           (e->type != SP_DETECT_PERSON || e->role == ROLE_PATIENT);
}

static void raise(uint32_t *to, uint32_t score)
{
    if (score > *to)
        *to = score;
}

/* Codes found by their shape are context as words are. */
static void add_codes(struct detect_window *w)
{
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *e = &w->entities[i];

        if (e->type >= SP_DETECT_ICD10 && e->type <= SP_DETECT_LAB)
            for (size_t k = sp_detect_first_hit(w, e->start > 80 ? e->start - 80 : 0);
                 k < w->hit_count && w->hits[k].start < e->start; k++)
                if ((w->hits[k].marks & (M(L_ICD) | M(L_CPT) | M(L_NDC) | M(L_LOINC))) != 0)
                    w->hits[k].marks |= M(DIAGNOSIS); /* its label stands for it */
        if (e->type >= SP_DETECT_ICD10 && e->type <= SP_DETECT_LAB)
            w->marks |= M(DIAGNOSIS);
    }
}

/* Of somebody's, not of the public's or a beast's. */
static bool speaks_of_health(const struct detect_judge *j)
{
    return !j->news && !j->study && !j->animal && sp_detect_health_of(j->w->marks) >= 2;
}

static int by_start(const void *a, const void *b)
{
    const struct detect_entity *x = a, *y = b;

    return x->start != y->start ? (x->start > y->start) - (x->start < y->start)
                                : (x->end > y->end) - (x->end < y->end);
}

/* The end of the paragraph that ends with the sentence before the i-th. returns: 0 if it goes on there */
static size_t paragraph_end(const struct detect_window *w, size_t i)
{
    if (i < w->sentence_count && w->sentences[i].paragraph == w->sentences[i - 1].paragraph)
        return 0;
    return i < w->sentence_count ? w->sentences[i].start : w->len;
}

/* How many sentences there are up to the end of the last paragraph before which hardly a capital stands. */
static size_t written_small(const struct detect_window *w)
{
    size_t capitals = 0, at = 0, count = 0;

    for (size_t i = 1; i <= w->sentence_count; i++) {
        size_t end = paragraph_end(w, i);

        if (end > SMALL_LEN)
            break;
        for (; at < end; at++)
            capitals += w->text[at] >= 'A' && w->text[at] <= 'Z';
        if (end > 0 && capitals * 25 < end)
            count = i;
    }
    return count;
}

/* People who write no capitals: their sentences about health are read for names again. */
static void find_lower(struct detect_window *w)
{
    size_t found = 0, small = written_small(w);
    bool letter = w->len <= DETECT_LETTER_LEN && sp_detect_health_of(w->marks) == 3;

    if (small == 0)
        return;
    for (size_t i = 0; i < small && found < 200; i++)
        if (letter || sp_detect_health_of(w->sentences[i].marks) > 0)
            found += sp_detect_lower(w, (uint32_t)i);
    if (small == w->sentence_count)
        sp_detect_lower_signature(w);
    if (w->entity_count > 1) /* what was found late stands at the end */
        qsort(w->entities, w->entity_count, sizeof(*w->entities), by_start);
}

/* ---- the whole, and its parts ---- */

static void note_doubt(struct detect_judge *j, const struct detect_entity *e)
{
    if (j->doubt_count < DETECT_DOUBTS_MAX)
        j->doubts[j->doubt_count] = (uint32_t)(sp_detect_sentence_of(j->w, e) - j->w->sentences);
    j->doubt_count++;
}

/* The best score of an entity. person: raised to that of an identifier of a person */
static uint32_t judge_entities(struct detect_judge *j, uint32_t *person)
{
    const struct detect_window *w = j->w;
    uint32_t best = 0;

    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *e = &w->entities[i];
        uint32_t score;

        look_around(j, e->start);
        if (is_identifier(e))
            raise(&j->r->any_score, e->score);
        if (j->animal)
            continue;
        if (is_personal(e) && !j->example)
            raise(person, e->score);
        score = judge_entity(j, e);
        if (score >= DETECT_LIKELY)
            note_doubt(j, e);
        raise(&best, score);
    }
    return best;
}

/* Where a line that ends with a sentence ends, or a paragraph, before the i-th sentence. returns: 0 if neither does */
static size_t line_end(const struct detect_window *w, size_t i)
{
    size_t at = i < w->sentence_count ? w->sentences[i].start : w->len;
    uint8_t last = at > 1 && w->text[at - 1] == '\n' ? w->text[at - 2] : 0;

    return last == '.' || last == '!' || last == '?' ? at : paragraph_end(w, i);
}

/* Leaves of a window what begins between two places. */
static void cut(struct detect_window *w, size_t from, size_t to)
{
    w->len = w->limit = to;
    while (w->sentence_count > 0 && w->sentences[w->sentence_count - 1].start >= to)
        w->sentence_count--;
    while (w->hit_count > 0 && w->hits[w->hit_count - 1].start >= to)
        w->hit_count--;
    while (w->entity_count > 0 && w->entities[w->entity_count - 1].start >= to)
        w->entity_count--;
    for (; w->hit_count > 0 && w->hits->start < from; w->hit_count--)
        w->hits++;
    for (; w->entity_count > 0 && w->entities->start < from; w->entity_count--)
        w->entities++;
    w->begin = from;
    w->marks = 0;
    memset(w->seen, 0, sizeof(w->seen));
    for (size_t k = 0; k < w->hit_count; k++) {
        uint64_t marks = w->hits[k].marks;

        w->marks |= marks;
        for (; marks != 0; marks &= marks - 1)
            w->seen[__builtin_ctzll(marks)]++;
    }
    sp_detect_marks_gather(w);
}

/* What words weigh makes no PHI of a text that is clinicians' alone; it may still take back what rules doubted. */
static uint32_t weigh_text(struct detect_judge *j, uint32_t score)
{
    uint32_t weighed = sp_detect_weigh(j, score);

    return weighed > score && sp_detect_is_clinicians(j->w) ? score : weighed;
}

/* Judges what stands between two places as if nothing else did. */
static uint32_t judge_alone(struct detect_run *r, const struct detect_window *all, size_t from,
                            size_t to, bool line)
{
    struct detect_window w = *all;
    struct detect_judge j = {.w = &w, .r = r, .part = true, .line = line};
    uint32_t person = 0;

    cut(&w, from, to);
    look_at_text(&j);
    r->health = r->health || speaks_of_health(&j);
    return weigh_text(&j, judge_entities(&j, &person));
}

/* Places at which a text may be cut: ends of paragraphs and of lines of whole sentences. */
struct cuts {
    size_t at[CUTS_MAX];
    bool paragraph[CUTS_MAX];
    uint8_t told[CUTS_MAX]; /* between it and the next one is 1 a term or a value, 2 both */
    size_t count;
    uint8_t wanted; /* of the above, at this turn */
    size_t tried;   /* stretches between two of them */
};

static void find_cuts(const struct detect_window *w, struct cuts *c)
{
    size_t hit = 0, entity = 0;

    c->count = 0;
    for (size_t i = 1; i < w->sentence_count && c->count < CUTS_MAX; i++) {
        size_t end = line_end(w, i);

        if (end == 0)
            continue;
        c->at[c->count] = end;
        c->told[c->count] = 0;
        c->paragraph[c->count++] = paragraph_end(w, i) != 0;
    }
    for (size_t i = 0; i + 1 < c->count; i++) {
        size_t hits, entities;

        for (; hit < w->hit_count && w->hits[hit].start < c->at[i]; hit++)
            ;
        for (; entity < w->entity_count && w->entities[entity].start < c->at[i]; entity++)
            ;
        hits = hit;
        entities = entity;
        for (; hit < w->hit_count && w->hits[hit].start < c->at[i + 1]; hit++)
            ;
        for (; entity < w->entity_count && w->entities[entity].start < c->at[i + 1]; entity++)
            ;
        c->told[i] = (uint8_t)((hit > hits) + (entity > entities));
    }
}

/* Judges what stands between two cuts, if that is told at its ends as much as is wanted now. */
static uint32_t judge_between(struct detect_run *r, const struct detect_window *w, struct cuts *c,
                              size_t from, size_t to)
{
    uint8_t ends = c->told[from] < c->told[to - 1] ? c->told[from] : c->told[to - 1];

    if (ends != c->wanted || c->at[to] - c->at[from] > DETECT_LETTER_LEN)
        return 0;
    c->tried++;
    return judge_alone(r, w, c->at[from], c->at[to], !c->paragraph[from] || !c->paragraph[to]);
}

static uint32_t judge_paragraphs(struct detect_run *r, const struct detect_window *w,
                                 struct cuts *c)
{
    uint32_t score = 0;
    size_t last = 0;

    for (size_t i = 1; i < c->count && c->tried < PARTS_MAX && score < DETECT_LIKELY; i++) {
        if (!c->paragraph[i])
            continue;
        if (c->paragraph[last])
            raise(&score, judge_between(r, w, c, last, i));
        last = i;
    }
    return score;
}

/* Runs of lines, the longest first. */
static uint32_t judge_lines(struct detect_run *r, const struct detect_window *w, struct cuts *c)
{
    uint32_t score = 0;

    for (size_t n = c->count > RUN_MAX ? RUN_MAX : c->count - (c->count > 0); n > 0; n--)
        for (size_t i = 0; i + n < c->count && c->tried < PARTS_MAX && score < DETECT_LIKELY; i++)
            if (!c->paragraph[i] || !c->paragraph[i + n])
                raise(&score, judge_between(r, w, c, i, i + n));
    return score;
}

/* With neighbours on both sides: each paragraph, then runs of lines; first those in which both halves may be. */
static uint32_t judge_inner(struct detect_run *r, const struct detect_window *w)
{
    struct cuts c;
    uint32_t score = 0;

    find_cuts(w, &c);
    c.tried = 0;
    for (c.wanted = 2; c.wanted > 0 && score < DETECT_LIKELY; c.wanted--)
        raise(&score, judge_paragraphs(r, w, &c));
    c.tried = 0;
    for (c.wanted = 2; c.wanted > 0 && score < DETECT_LIKELY; c.wanted--)
        raise(&score, judge_lines(r, w, &c));
    return score;
}

/*
 * A line about lunch, a notice or a newsletter's footer beside a letter says nothing of who is spoken of in it: a text is
 * judged again up to the end of each of its first paragraphs, or lines of whole sentences, as if nothing followed, and from the
 * start of each of its last as if nothing stood before; then what stands between two of them.
 */
static uint32_t judge_parts(struct detect_run *r, const struct detect_window *w)
{
    uint32_t score = 0, tried = 0;

    for (size_t i = 1; i < w->sentence_count && tried < PARTS_MAX && score < DETECT_LIKELY; i++) {
        size_t end = line_end(w, i);

        if (end > DETECT_LETTER_LEN)
            break;
        if (end == 0)
            continue;
        raise(&score, judge_alone(r, w, 0, end, paragraph_end(w, i) == 0));
        tried++;
    }
    tried = 0;
    for (size_t i = w->sentence_count; i-- > 1 && tried < PARTS_MAX && score < DETECT_LIKELY;) {
        size_t start = paragraph_end(w, i);

        if (w->len - w->sentences[i].start > DETECT_LETTER_LEN)
            break;
        if (start == 0)
            continue;
        raise(&score, judge_alone(r, w, start, w->len, false));
        tried++;
    }
    if (score < DETECT_LIKELY)
        raise(&score, judge_inner(r, w));
    return score;
}

void sp_detect_judge(struct detect_run *r, struct detect_window *w)
{
    struct detect_judge j = {.w = w, .r = r};
    uint32_t score;

    if (w->sentence_count == 0)
        return;
    find_lower(w);
    add_codes(w);
    sp_detect_marks_gather(w);
    look_at_text(&j);
    r->marks |= w->marks;
    r->health = r->health || speaks_of_health(&j);
    score = weigh_text(&j, judge_entities(&j, &r->person_score));
    raise(&r->phi_score, score);
    if (r->phi_score >= DETECT_LIKELY)
        return;
    raise(&r->phi_score, judge_parts(r, w));
    sp_detect_marks_gather(w);
}
