/*
 * Whose it is, and whether that person's health, care or payment stands beside it: PHI is the two together. A number that
 * only patients and members have needs little beside it; a bare name needs its owner's illness, treatment or bill in the
 * same sentence, or in one that goes on about him; a telephone number, an address or a plate needs a person as well. What
 * is said of clinicians and staff, by newsletters, studies, vacancies and of animals, and what belongs to an organisation,
 * counts against it.
 */
#include "detect/detect_priv.h"

#define NEAR       300  /* bytes on both sides that are context */
#define STAFF_NEAR 40   /* a word of staff further away is of somebody else */
#define RECORD     600  /* the same, for what a form or record holds together */
#define SHORT_LEN  4000 /* a text up to here is about one thing */
#define LIKELY     60
#define KIND_STEP  1024 /* bytes */
#define KIND_MARKS (M(VET) | M(RESEARCH) | M(NEWS) | M(JOB) | M(TEMPLATE))

#define ID_LABELS                                                                                  \
    (M(L_MRN) | M(L_PLAN) | M(L_MBI) | M(L_ACCOUNT) | M(L_OTHER) | M(L_NPI) | M(L_LICENSE))
#define CARE_ANY (M(CARE) | M(DEPT) | M(EVENT) | M(PAY))

struct judge {
    const struct detect_window *w;
    struct detect_run *r;
    bool animal, study, news, job, example;
    bool kind_known; /* of a long text: for what surrounds the place kind_at */
    size_t kind_at;
    uint8_t
        your; /* how strongly "your ..." speaks of the reader's health; "my ..." of the writer's */
    uint8_t my;
};

/* ---- context ---- */

/* What a hit says of health; a label of a number says nothing but that it is one. */
static uint64_t meaning(const struct detect_hit *h)
{
    uint64_t marks = h->marks;

    if ((marks & ID_LABELS) != 0)
        marks &= ~CARE_ANY;
    return marks;
}

/* Index of the first hit that ends behind the place. */
static size_t first_hit(const struct detect_window *w, size_t at)
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

static uint64_t marks_between(const struct detect_window *w, size_t from, size_t to)
{
    uint64_t marks = 0;

    for (size_t i = first_hit(w, from); i < w->hit_count && w->hits[i].start < to; i++)
        marks |= meaning(&w->hits[i]);
    return marks;
}

static uint64_t around(const struct detect_window *w, const struct detect_entity *e, size_t reach)
{
    return marks_between(w, e->start > reach ? e->start - reach : 0, e->end + reach);
}

static const struct detect_sentence *sentence_of(const struct detect_window *w,
                                                 const struct detect_entity *e)
{
    return &w->sentences[e->sentence < w->sentence_count ? e->sentence : w->sentence_count - 1];
}

static uint64_t sentence_marks(const struct detect_window *w, const struct detect_entity *e)
{
    const struct detect_sentence *s = sentence_of(w, e);

    return marks_between(w, s->start, s->end);
}

/* How much a set of marks speaks of somebody's health: 3 an illness, a drug, a test; 2 an event of care; 1 a word of it. */
static unsigned health_of(uint64_t marks)
{
    if ((marks & DETECT_STRONG) != 0)
        return 3;
    if ((marks & M(EVENT)) != 0 ||
        ((marks & M(DEPT)) != 0 && (marks & (M(CARE) | M(VAGUE))) != 0) ||
        ((marks & M(CARE)) != 0 && (marks & (M(VAGUE) | M(PAY))) != 0))
        return 2;
    return (marks & CARE_ANY) != 0 ? 1 : 0;
}

/* ---- the kind of text ---- */

/* "your mammogram", "my insulin": a word of health right behind the pronoun. */
static uint8_t own_health(const struct detect_window *w, enum detect_mark pronoun)
{
    uint8_t best = 0;

    for (size_t i = 0; i + 1 < w->hit_count; i++) {
        if ((w->hits[i].marks & (UINT64_C(1) << pronoun)) == 0)
            continue;
        for (size_t k = i + 1; k < w->hit_count && k <= i + 3; k++) {
            size_t gap = w->hits[k].start - w->hits[i].end;
            uint64_t marks = w->hits[k].marks;

            if (w->hits[k].start < w->hits[i].end || gap > 40 ||
                memchr(w->text + w->hits[i].end, '\n', gap) != NULL)
                break;
            if ((marks & DETECT_STRONG) != 0 && best < 3)
                best = 3;
            else if ((marks & CARE_ANY) != 0 && gap < 25 && best < 2)
                best = 2;
        }
    }
    return best;
}

static void set_kind(struct judge *j, const unsigned *seen, uint64_t marks)
{
    bool subject = (marks & (M(L_MRN) | M(L_PLAN) | M(L_SSN) | M(INSURED))) != 0;

    j->animal = seen[MARK_VET] >= 3 || (seen[MARK_VET] >= 2 && !subject);
    j->study = seen[MARK_RESEARCH] >= 2;
    j->news = seen[MARK_NEWS] >= 2;
    j->job = seen[MARK_JOB] >= 2;
    j->example = seen[MARK_TEMPLATE] >= 1;
}

/* A long text holds many things: what counts against an entity must stand within a few thousand bytes of it. */
static void look_around(struct judge *j, size_t at)
{
    const struct detect_window *w = j->w;
    unsigned seen[MARK_COUNT] = {0};
    size_t from = at / KIND_STEP * KIND_STEP, to = from + 2 * KIND_STEP;
    uint64_t all = 0;

    if (w->len <= SHORT_LEN || (j->kind_known && j->kind_at == from))
        return;
    j->kind_known = true;
    j->kind_at = from;
    from = from > KIND_STEP ? from - KIND_STEP : 0;
    for (size_t i = first_hit(w, from); i < w->hit_count && w->hits[i].start < to; i++) {
        uint64_t marks = w->hits[i].marks;

        all |= marks;
        for (marks &= KIND_MARKS; marks != 0; marks &= marks - 1)
            seen[__builtin_ctzll(marks)]++;
    }
    set_kind(j, seen, all);
}

static void look_at_text(struct judge *j)
{
    const struct detect_window *w = j->w;

    set_kind(j, w->seen, w->marks);
    j->your = own_health(w, MARK_YOUR);
    j->my = own_health(w, MARK_MY);
}

/* ---- people ---- */

static uint32_t judge_patient(const struct judge *j, const struct detect_entity *e)
{
    unsigned near = health_of(around(j->w, e, RECORD)), all = health_of(j->w->marks);
    uint64_t before = marks_between(j->w, e->start > 40 ? e->start - 40 : 0, e->start);

    if (near == 3)
        return 92;
    if (near == 2 || all == 3)
        return 85;
    if (near == 1)
        return 75;
    return (before & M(PATIENT)) != 0 && (e->flags & ENT_INITIALS) == 0 ? 65 : 0;
}

/* Marks of the words that follow a name within so many bytes, in its sentence. */
static uint64_t behind(const struct judge *j, const struct detect_entity *e, size_t reach)
{
    const struct detect_sentence *s = sentence_of(j->w, e);
    size_t end = e->end + reach < s->end ? e->end + reach : s->end;

    return marks_between(j->w, e->end, end);
}

/* "for Maria": the words before the name. */
static bool is_for(const struct detect_window *w, const struct detect_entity *e)
{
    static const char *const words[] = {
        "for ",       "on ",         "about ",    "from ",       "with ",    "gave ",
        "see ",       "re: ",        "re ",       "regarding ",  "treated ", "treating ",
        "saw ",       "seeing ",     "told ",     "remind ",     "admit ",   "admitted ",
        "discharge ", "discharged ", "transfer ", "transferred "};

    for (size_t i = 0; i < SP_ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);

        if (e->start >= n &&
            sp_bytes_eq_nocase(sp_bytes(w->text + e->start - n, n), sp_bytes_cstr(words[i])))
            return true;
    }
    return false;
}

/* "Keith will replace ...", "Anna sent ...": somebody does his work. */
static bool is_actor(const struct detect_window *w, const struct detect_entity *e)
{
    static const char verbs[] =
        " will replaced sent said says shared organized organised attached confirmed leads led "
        "manages "
        "reviewed wrote emailed ordered signed teaches runs installed fixed joins hosts ";
    static const char needs[] = " need have undergo require start be get see not ";
    struct sp_bytes verb = sp_detect_word_behind(w, e->end);

    if (!sp_detect_is_listed(verb, verbs))
        return false;
    return !sp_detect_is_listed(sp_detect_word_behind(w, (size_t)(verb.ptr - w->text) + verb.len),
                                needs);
}

/* The sentence behind, if it goes on about him. */
static uint64_t told_next(const struct judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    uint64_t marks = 0;

    for (size_t i = e->sentence + 1U; i < w->sentence_count && i <= e->sentence + 2U; i++) {
        uint64_t m = marks_between(w, w->sentences[i].start, w->sentences[i].end);

        if (w->sentences[i].start > e->end + NEAR)
            break;
        if ((m & (M(HE) | DETECT_SUBJECT)) != 0 && (m & M(STAFF)) == 0)
            marks |= m;
    }
    return marks;
}

/* "Tom is", "Maria needs": somebody is said to be or do something. */
static bool is_subject(const struct detect_window *w, const struct detect_entity *e)
{
    static const char verbs[] =
        " is was has had needs need got went took takes refused refuses wants can't "
        "broke died started stopped spiked vomited developed feels felt in came still "
        "didn't did hasn't isn't tested underwent finished declined gets tolerated fell "
        "ran requested missed cannot skipped forgot discussed told reports reported "
        "denies denied complains disclosed describes described admits ";
    size_t from = e->end + 1, end = from;

    while (end < w->len && (sp_ascii_is_alpha(w->text[end]) || w->text[end] == '\''))
        end++;
    return e->end < w->len && w->text[e->end] == ' ' &&
           sp_detect_is_listed(sp_bytes(w->text + from, end - from), verbs);
}

/* One given name says little: what follows must be about its owner. */
static uint32_t judge_single(const struct judge *j, const struct detect_entity *e,
                             uint64_t sentence)
{
    uint64_t next = behind(j, e, 40), soon = behind(j, e, 15);
    unsigned health = health_of(sentence);

    if ((e->flags & ENT_OF) != 0 &&
        health_of(next & ~M(DEPT)) >= ((e->flags & ENT_WEAK) != 0 ? 2U : 1U))
        return 70;
    if (health < 2)
        return (e->flags & ENT_WEAK) == 0 && (health == 1 || is_subject(j->w, e)) &&
                       health_of(sentence | told_next(j, e)) == 3 &&
                       ((sentence | told_next(j, e)) & M(HE)) != 0
                   ? 62
               : (e->flags & ENT_WEAK) == 0 && (sentence & M(CARE)) != 0 &&
                       (sentence & M(HE)) != 0 && is_subject(j->w, e)
                   ? 61
                   : 0;
    if ((soon & (M(EVENT) | M(VAGUE))) != 0 && health >= 2)
        return 68;
    if ((e->flags & ENT_WEAK) != 0)
        return 0;
    if (health == 3 && ((sentence & (M(HE) | M(RELATIVE) | M(VAGUE))) != 0 || is_subject(j->w, e)))
        return 66;
    return health == 3 && is_for(j->w, e) ? 62 : 0;
}

static uint32_t judge_named(const struct judge *j, const struct detect_entity *e, uint64_t sentence)
{
    unsigned health = health_of(sentence);
    bool titled = (e->flags & ENT_LABELLED) != 0;
    bool of = (e->flags & ENT_OF) != 0 && health_of(behind(j, e, 25)) > 0;

    if (health == 3)
        return is_actor(j->w, e) ? 57 : 82;
    if (health == 2)
        return (sentence & M(EVENT)) != 0 || titled || of ? 75 : 66;
    if (health == 1 && (titled || of || is_for(j->w, e) || (sentence & (M(VAGUE) | M(HE))) != 0))
        return 65;
    if (health == 1 && (sentence & M(CARE)) != 0 && (sentence & (M(ORG) | M(HR) | M(NEWS))) == 0)
        return 61;
    if (health_of(told_next(j, e)) >= 2)
        return 70;
    if (titled && health_of(around(j->w, e, NEAR)) == 3)
        return 72;
    if (titled && health_of(around(j->w, e, NEAR)) > 0)
        return 62;
    if ((e->flags & ENT_LISTED) != 0 && (sentence & (M(STAFF) | M(PROVIDER) | M(RESEARCH))) == 0 &&
        health_of(around(j->w, e, NEAR)) == 3)
        return 68;
    return 0;
}

/* A reader or writer: only if the text speaks of his own health. */
static uint32_t judge_party(const struct judge *j, const struct detect_entity *e)
{
    unsigned own = e->role == ROLE_ADDRESSEE ? j->your : j->my;

    if (j->news || (j->w->marks & M(JOB)) != 0)
        return 0;
    return own == 3 ? 80 : own == 2 ? 66 : 0;
}

/* "my name is ...", "this is ...", or the last words of a letter. */
static bool is_writer(const struct judge *j, const struct detect_entity *e)
{
    static const char words[] = " is am its it's i'm m im name ";
    const struct detect_window *w = j->w;

    if (j->my == 0 || (e->flags & ENT_WEAK) != 0)
        return false;
    return (w->len - e->end < 60 && e->end + 60 > w->len && w->len > 100) ||
           sp_detect_is_listed(sp_detect_word_before(w, e->start), words);
}

static uint32_t judge_writer(const struct judge *j, const struct detect_entity *e)
{
    struct detect_entity sender = *e;

    sender.role = ROLE_SENDER;
    return judge_party(j, &sender);
}

/* A name with nothing that says whose it is: what its sentence says of health decides. */
static uint32_t judge_unknown(const struct judge *j, const struct detect_entity *e,
                              uint64_t sentence)
{
    uint32_t score;

    if ((e->flags & (ENT_SINGLE | ENT_WEAK)) == 0)
        return judge_named(j, e, sentence);
    score = judge_single(j, e, sentence);
    if ((e->flags & ENT_SINGLE) == 0 && score == 0 && health_of(sentence) >= 2 &&
        ((sentence & (M(EVENT) | M(HE))) != 0 || is_for(j->w, e)))
        return 64;
    return score;
}

static uint32_t judge_person(const struct judge *j, const struct detect_entity *e)
{
    uint64_t sentence = sentence_marks(j->w, e);
    uint32_t score = 0;
    bool about = (sentence & DETECT_SUBJECT) != 0;

    if (e->role == ROLE_PROVIDER || e->role == ROLE_NOBODY)
        return 0;
    if (e->role == ROLE_PATIENT)
        return judge_patient(j, e);
    if (e->role == ROLE_ADDRESSEE || e->role == ROLE_SENDER)
        return judge_party(j, e);
    if (is_writer(j, e))
        return judge_writer(j, e);
    score = judge_unknown(j, e, sentence);
    if ((sentence & around(j->w, e, STAFF_NEAR) & (M(STAFF) | M(CREDENTIAL))) != 0 && !about)
        score = score > 30 ? score - 30 : 0;
    if ((sentence & M(PLURAL)) != 0 && !about)
        score = score > 15 ? score - 15 : 0;
    if (j->news || j->study || j->job)
        score = score > 30 ? score - 30 : 0;
    return score;
}

/* ---- numbers ---- */

static bool has_subject(const struct judge *j, const struct detect_entity *e, uint64_t near)
{
    const struct detect_window *w = j->w;
    uint32_t paragraph = sentence_of(w, e)->paragraph;

    if ((near & (DETECT_SUBJECT | M(HE) | M(MY))) != 0)
        return true;
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *p = &w->entities[i];

        if (p->start > e->end + NEAR)
            break;
        if (p->type == SP_DETECT_PERSON && p->end + NEAR > e->start &&
            (p->role == ROLE_UNKNOWN || p->role == ROLE_PATIENT) &&
            (p->flags & (ENT_WEAK | ENT_SINGLE)) == 0 && sentence_of(w, p)->paragraph == paragraph)
            return true;
    }
    return false;
}

/* What only patients, members and the insured have. */
static uint32_t judge_record(const struct judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    uint64_t near = around(w, e, RECORD);
    unsigned health;

    if (w->len <= SHORT_LEN && !j->news && !j->study)
        near = marks_between(w, 0, w->len);
    health = health_of(near);
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
static uint32_t judge_contact(const struct judge *j, const struct detect_entity *e)
{
    uint64_t near = around(j->w, e, NEAR), sentence = sentence_marks(j->w, e);
    unsigned health = health_of(near);
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

static uint32_t judge_room(const struct judge *j, const struct detect_entity *e)
{
    uint64_t sentence = sentence_marks(j->w, e);

    return (sentence & (M(PATIENT) | M(HE))) != 0 && health_of(sentence) >= 2 && !j->news &&
                   !j->study
               ? 64
               : 0;
}

static uint32_t judge_other(const struct judge *j, const struct detect_entity *e)
{
    uint64_t near = around(j->w, e, NEAR);
    unsigned health = health_of(near);

    if ((e->flags & ENT_ROOM) != 0)
        return judge_room(j, e);
    if (health < 3 && (near & M(HR)) != 0)
        return 0;
    if (health >= 2)
        return health == 3 ? 76 : 68;
    return health == 1 && has_subject(j, e, near) ? 64 : 0;
}

static uint32_t judge_entity(const struct judge *j, const struct detect_entity *e)
{
    switch (e->type) {
    case SP_DETECT_PERSON:
        return judge_person(j, e);
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
            for (size_t k = first_hit(w, e->start > 80 ? e->start - 80 : 0);
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
        if (health_of(w->sentences[i].marks) > 0)
            found += sp_detect_lower(w, (uint32_t)i);
}

static bool is_written_small(const struct detect_window *w)
{
    size_t capitals = 0;

    if (w->len > 8192)
        return false;
    for (size_t i = 0; i < w->len; i++)
        capitals += w->text[i] >= 'A' && w->text[i] <= 'Z';
    return capitals * 60 < w->len;
}

void sp_detect_judge(struct detect_run *r, struct detect_window *w)
{
    struct judge j = {.w = w, .r = r};

    if (w->sentence_count == 0)
        return;
    if (is_written_small(w))
        find_lower(w);
    add_codes(w);
    look_at_text(&j);
    r->marks |= w->marks;
    r->health = r->health || (!j.news && !j.study && !j.animal && health_of(w->marks) >= 2);
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
