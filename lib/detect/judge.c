/*
 * Whose it is, and whether that person's health, care or payment stands beside it: PHI is the two together. A number that
 * only patients and members have needs little beside it; a bare name needs what bearer.c asks for; a telephone number, an
 * address or a plate needs a person as well. What is said of clinicians and staff, by newsletters, studies, vacancies and of
 * animals, and what belongs to an organisation, counts against it.
 */
#include "detect/judge_priv.h"

#define KIND_STEP  1024 /* bytes */
#define KIND_MARKS (M(VET) | M(RESEARCH) | M(NEWS) | M(JOB) | M(TEMPLATE))

/* ---- the kind of text ---- */

/* "your mammogram", "my insulin": a word of health right behind the pronoun. */
static uint8_t own_health(const struct detect_window *w, enum detect_mark pronoun)
{
    uint8_t best = 0;

    for (size_t i = 0; i < w->hit_count; i++) {
        if (pronoun == MARK_MY && (w->hits[i].marks & DETECT_STRONG) != 0 &&
            sp_bytes_starts_nocase(sp_bytes(w->text + w->hits[i].start, 3), SP_LIT("my ")))
            return 3; /* "my period" is one term */
        if ((w->hits[i].marks & (UINT64_C(1) << pronoun)) == 0 ||
            sp_detect_is_work(sp_detect_word_behind(w, w->hits[i].end)))
            continue;
        for (size_t k = i + 1; k < w->hit_count && k <= i + 3; k++) {
            size_t gap = w->hits[k].start - w->hits[i].end;
            uint64_t marks = w->hits[k].marks;

            if (w->hits[k].start < w->hits[i].end || gap > 40 ||
                memchr(w->text + w->hits[i].end, '\n', gap) != NULL)
                break;
            if ((marks & DETECT_STRONG) != 0 && best < 3)
                best = 3;
            else if ((marks & DETECT_CARE_ANY) != 0 && gap < 25 && best < 2)
                best = 2;
        }
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

/* What anybody has: it must be this person's, and his health beside it. */
static uint32_t judge_contact(const struct detect_judge *j, const struct detect_entity *e)
{
    uint64_t near = sp_detect_around(j->w, e, DETECT_NEAR),
             sentence = sp_detect_sentence_marks(j->w, e);
    unsigned health = sp_detect_health_of(near);
    bool about = (sentence & (DETECT_SUBJECT | M(HE) | M(MY))) != 0;

    if ((e->flags & ENT_ORG) != 0 || j->news || j->study || j->job)
        return 0;
    if ((sentence & (M(ORG) | M(STAFF) | M(CREDENTIAL) | M(YOUR))) != 0 && !about)
        return 0;
    if ((sentence & (M(ORG) | M(CREDENTIAL))) != 0 && (sentence & DETECT_SUBJECT) == 0)
        return 0;
    if (health < 2 || !has_subject(j, e, near) || (health < 3 && (near & M(HR)) != 0))
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

/* People who write no capitals: their sentences about health are read for names again. */
static void find_lower(struct detect_window *w)
{
    size_t found = 0;

    for (size_t i = 0; i < w->sentence_count && found < 200; i++)
        if (sp_detect_health_of(w->sentences[i].marks) > 0)
            found += sp_detect_lower(w, (uint32_t)i);
}

static bool is_written_small(const struct detect_window *w)
{
    size_t capitals = 0;

    if (w->len > 8192)
        return false;
    for (size_t i = 0; i < w->len; i++)
        capitals += w->text[i] >= 'A' && w->text[i] <= 'Z';
    return capitals * 25 < w->len;
}

void sp_detect_judge(struct detect_run *r, struct detect_window *w)
{
    struct detect_judge j = {.w = w, .r = r};

    if (w->sentence_count == 0)
        return;
    if (is_written_small(w))
        find_lower(w);
    add_codes(w);
    look_at_text(&j);
    r->marks |= w->marks;
    r->health =
        r->health || (!j.news && !j.study && !j.animal && sp_detect_health_of(w->marks) >= 2);
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *e = &w->entities[i];

        look_around(&j, e->start);
        if (is_identifier(e))
            raise(&r->any_score, e->score);
        if (j.animal)
            continue;
        if (is_personal(e) && !j.example)
            raise(&r->person_score, e->score);
        raise(&r->phi_score, judge_entity(&j, e));
    }
}
