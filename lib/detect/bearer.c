/*
 * Whether a name's owner and his health stand together. A patient's or member's name, by its label or column, needs little;
 * a clinician's says nothing; a reader's or writer's counts if the text speaks of his own health. Any other needs an illness,
 * a drug, a test or an event of care in its sentence or in one that goes on about him, and nothing there that makes him
 * somebody at work, in the news or in a study.
 */
#include "detect/judge_priv.h"

#define STAFF_NEAR 40 /* a word of staff further away is of somebody else */

/* The same without what lies in the name itself: "Tyrone Banks" is no bank. */
static uint64_t beside(const struct detect_window *w, const struct detect_entity *e)
{
    const struct detect_sentence *s = sp_detect_sentence_of(w, e);

    return sp_detect_marks_between(w, s->start, e->start) |
           sp_detect_marks_between(w, e->end, s->end);
}

/* What lies within DETECT_NEAR on both sides, without the name itself. */
static uint64_t near_beside(const struct detect_window *w, const struct detect_entity *e)
{
    return sp_detect_marks_between(w, e->start > DETECT_NEAR ? e->start - DETECT_NEAR : 0,
                                   e->start) |
           sp_detect_marks_between(w, e->end, e->end + DETECT_NEAR);
}

static uint32_t judge_patient(const struct detect_judge *j, const struct detect_entity *e)
{
    unsigned near = sp_detect_health_of(sp_detect_around(j->w, e, DETECT_RECORD)),
             all = sp_detect_health_of(j->w->marks);
    uint64_t before = sp_detect_marks_between(j->w, e->start > 40 ? e->start - 40 : 0, e->start);

    if (near == 3)
        return 92;
    if (near == 2 || all == 3)
        return 85;
    if (near == 1)
        return 75;
    return (before & M(PATIENT)) != 0 && (e->flags & ENT_INITIALS) == 0 ? 65 : 0;
}

/* Marks of the words that follow a name within so many bytes, in its sentence. */
static uint64_t behind(const struct detect_judge *j, const struct detect_entity *e, size_t reach)
{
    const struct detect_sentence *s = sp_detect_sentence_of(j->w, e);
    size_t end = e->end + reach < s->end ? e->end + reach : s->end;

    return sp_detect_marks_between(j->w, e->end, end);
}

/* "for Maria": the words before the name. */
static bool is_for(const struct detect_window *w, const struct detect_entity *e)
{
    static const char *const words[] = {
        "for ",       "on ",         "about ",    "from ",       "with ",    "gave ",
        "see ",       "re: ",        "re ",       "regarding ",  "treated ", "treating ",
        "saw ",       "seeing ",     "told ",     "remind ",     "admit ",   "admitted ",
        "discharge ", "discharged ", "transfer ", "transferred "};

    if (e->start == 0 || w->text[e->start - 1] != ' ')
        return false;
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
    struct sp_bytes verb = sp_detect_word_behind(w, e->end);

    if (!sp_detect_is_in(verb, LIST_ACTS))
        return false;
    return !sp_detect_is_in(sp_detect_word_behind(w, (size_t)(verb.ptr - w->text) + verb.len),
                            LIST_NEEDS);
}

/* The sentence behind, if it goes on about him. */
static uint64_t told_next(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    uint64_t marks = 0;

    for (size_t i = e->sentence + 1U; i < w->sentence_count && i <= e->sentence + 2U; i++) {
        uint64_t m = sp_detect_marks_between(w, w->sentences[i].start, w->sentences[i].end);

        if (w->sentences[i].start > e->end + DETECT_NEAR)
            break;
        if ((m & (M(HE) | DETECT_SUBJECT)) != 0 && (m & M(STAFF)) == 0)
            marks |= m;
    }
    return marks;
}

/* "Tom is", "Maria needs": somebody is said to be or do something. */
static bool is_subject(const struct detect_window *w, const struct detect_entity *e)
{
    size_t from = e->end + 1 + (e->end < w->len && w->text[e->end] == ','), end = from;

    while (end < w->len && (sp_ascii_is_alpha(w->text[end]) || w->text[end] == '\''))
        end++;
    return from < w->len && w->text[from - 1] == ' ' &&
           sp_detect_is_in(sp_bytes(w->text + from, end - from), LIST_SUBJECT);
}

/* Words that tell of an organisation's work, of writing for the public or of somebody who treats. */
#define OTHERS                                                                                     \
    (M(STAFF) | M(PROVIDER) | M(RESEARCH) | M(ORG) | M(HR) | M(NEWS) | M(JOB) | M(CREDENTIAL) |    \
     M(TEMPLATE) | M(PLURAL) | M(DEID) | M(VET))

/* A short text that speaks of an illness and of nobody's work: whose name stands in it is the one that has it. */
static bool is_about_one(const struct detect_judge *j, const struct detect_entity *e)
{
    return j->w->len <= DETECT_LETTER_LEN && !j->example &&
           (j->w->marks & (M(NEWS) | M(JOB))) == 0 && (beside(j->w, e) & OTHERS) == 0 &&
           (near_beside(j->w, e) & (M(STAFF) | M(RESEARCH) | M(HR) | M(PLURAL) | M(VET))) == 0 &&
           sp_detect_health_of(sp_detect_around(j->w, e, DETECT_NEAR)) == 3 && !is_actor(j->w, e);
}

/* "disclosed", "vomited": what nobody does at work. */
static bool is_sick(const struct detect_window *w, const struct detect_entity *e)
{
    size_t end = e->end;

    if (end + 6 < w->limit && w->text[end] == ',' && memcmp(w->text + end + 1, " who ", 5) == 0)
        return sp_detect_is_in(sp_detect_word_behind(w, end + 5), LIST_SUFFERS);
    return sp_detect_is_in(sp_detect_word_behind(w, end), LIST_SICK);
}

/* "John's presentation": somebody's work. */
static bool is_work_of(const struct detect_window *w, const struct detect_entity *e)
{
    return (e->flags & ENT_OF) != 0 && sp_detect_is_work(sp_detect_word_behind(w, e->end + 2));
}

/* "401 Baptiste (CHF)" */
static bool has_note(const struct detect_judge *j, const struct detect_entity *e)
{
    return e->end + 2 < j->w->limit && memcmp(j->w->text + e->end, " (", 2) == 0 &&
           sp_detect_health_of(behind(j, e, 4)) == 3;
}

/* One given name whose sentence says hardly a word of health: the next one may go on about him. */
static uint32_t judge_faint(const struct detect_judge *j, const struct detect_entity *e,
                            uint64_t sentence)
{
    uint64_t told = sentence | told_next(j, e);
    bool subject = is_subject(j->w, e);

    if (is_for(j->w, e) && (j->w->marks & M(HE)) != 0 && is_about_one(j, e))
        return 61;
    if ((e->flags & ENT_WEAK) != 0)
        return 0;
    if ((sp_detect_health_of(sentence) == 1 || subject || is_for(j->w, e)) &&
        sp_detect_health_of(told) >= 2 && (told & M(HE)) != 0)
        return 62;
    return subject && (sentence & M(CARE)) != 0 && (sentence & M(HE)) != 0 ? 61 : 0;
}

static bool is_one_of(const char *signs, uint8_t c)
{
    return c != 0 && strchr(signs, c) != NULL;
}

/* At the head of a line, behind a colon or a dash, or before one: where lists and notes put a name. */
static bool is_set_apart(const struct detect_window *w, const struct detect_entity *e)
{
    size_t at = e->start;

    while (at > 0 && w->text[at - 1] == ' ')
        at--;
    return at == 0 || is_one_of("\n:-*>|;\t(", w->text[at - 1]) ||
           (e->end < w->len && is_one_of(":(|\t", w->text[e->end])) ||
           (e->end + 1 < w->len && w->text[e->end] == ' ' && is_one_of("-(:", w->text[e->end + 1]));
}

/* "Ebanks - meth psychosis": what follows is said of him. */
static bool is_headed(const struct detect_window *w, const struct detect_entity *e)
{
    size_t at = e->end;

    at += at < w->len && w->text[at] == ' ';
    return at + 1 < w->len && is_one_of("-:(", w->text[at]) && w->text[at + 1] == ' ';
}

/* How many illnesses, drugs, tests his sentence names; two stand for more. */
static unsigned strong_count(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    const struct detect_sentence *s = sp_detect_sentence_of(w, e);
    unsigned strong = 0;

    for (size_t i = sp_detect_first_hit(w, s->start);
         i < w->hit_count && w->hits[i].start < s->end && strong < 2; i++)
        strong += (w->hits[i].marks & DETECT_STRONG) != 0;
    return strong;
}

/* "Mulcahy out of OR, EBL 200, PCA running": a family name alone in a note that is nothing but medicine. */
static bool is_noted(const struct detect_judge *j, const struct detect_entity *e, uint64_t sentence)
{
    const struct detect_window *w = j->w;

    return (sentence & (OTHERS & ~M(PROVIDER))) == 0 && is_set_apart(w, e) && !j->news &&
           !j->study && strong_count(j, e) >= (is_headed(w, e) ? 1 : 2);
}

/* "Kowalski infusion", "Maria chemo": whose it is that is done or taken. */
static bool is_before_care(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    size_t i = sp_detect_first_hit(w, e->end);

    return e->end < w->len && w->text[e->end] == ' ' && i < w->hit_count &&
           w->hits[i].start == e->end + 1 &&
           (w->hits[i].marks & (M(DRUG) | M(PROCEDURE) | M(LAB))) != 0 &&
           (is_about_one(j, e) || (told_next(j, e) & M(HE)) != 0);
}

/* One given name says little: what follows must be about its owner. */
static uint32_t judge_single(const struct detect_judge *j, const struct detect_entity *e,
                             uint64_t sentence)
{
    uint64_t next = behind(j, e, 40), soon = behind(j, e, 15);
    unsigned health = sp_detect_health_of(sentence);

    if (has_note(j, e))
        return 66;
    if ((sentence & M(VET)) != 0 && (sentence & M(PATIENT)) == 0)
        return 0;
    if ((e->flags & ENT_OF) != 0 &&
        sp_detect_health_of(next & ~M(DEPT)) >= ((e->flags & ENT_WEAK) != 0 ? 2U : 1U))
        return 70;
    if (health < 2)
        return judge_faint(j, e, sentence);
    if ((soon & (M(EVENT) | M(VAGUE))) != 0)
        return 68;
    if (is_noted(j, e, sentence) || is_before_care(j, e))
        return 63;
    if ((e->flags & ENT_WEAK) != 0 || health < 3)
        return 0;
    if ((sentence & (M(HE) | M(RELATIVE) | M(VAGUE))) != 0 || is_subject(j->w, e))
        return 66;
    if (is_for(j->w, e))
        return 62;
    return is_about_one(j, e) ? 61 : 0;
}

/* A name whose own sentence says nothing of health. */
static uint32_t judge_beyond(const struct detect_judge *j, const struct detect_entity *e,
                             uint64_t sentence)
{
    unsigned near = sp_detect_health_of(sp_detect_around(j->w, e, DETECT_NEAR));
    bool titled = (e->flags & ENT_LABELLED) != 0;

    if (titled && near == 3)
        return 72;
    if (titled && near > 0)
        return 62;
    if ((e->flags & ENT_LISTED) != 0 && (sentence & (M(STAFF) | M(PROVIDER) | M(RESEARCH))) == 0 &&
        near >= 2)
        return near == 3 ? 68 : 63;
    if (is_about_one(j, e))
        return 63;
    return (e->flags & ENT_LISTED) == 0 && (beside(j->w, e) & M(PATIENT)) != 0 &&
                   (beside(j->w, e) & OTHERS) == 0 && (j->w->marks & DETECT_CARE_ANY) != 0
               ? 61
               : 0;
}

/* Whether a name by itself is the first or last word of the other: "Clementine ... Clementine Hobbs". */
static bool is_part_of(const struct detect_window *w, const struct detect_entity *part,
                       const struct detect_entity *e)
{
    size_t n = part->end - part->start;
    struct sp_bytes word = sp_bytes(w->text + part->start, n);

    return n > 2 && n < e->end - e->start &&
           (sp_bytes_eq_nocase(word, sp_bytes(w->text + e->start, n)) ||
            sp_bytes_eq_nocase(word, sp_bytes(w->text + e->end - n, n)));
}

/* What is said of him where only a part of his name stands. */
static bool is_told_elsewhere(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;

    if (w->len > DETECT_LETTER_LEN)
        return false;
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *p = &w->entities[i];

        if (p->type == SP_DETECT_PERSON && p->role != ROLE_PROVIDER && p->role != ROLE_NOBODY &&
            is_part_of(w, p, e) &&
            sp_detect_health_of(sp_detect_sentence_marks(j->w, p) | told_next(j, p)) >= 2)
            return true;
    }
    return false;
}

static uint32_t judge_named(const struct detect_judge *j, const struct detect_entity *e,
                            uint64_t sentence)
{
    unsigned health = sp_detect_health_of(sentence);
    bool titled = (e->flags & ENT_LABELLED) != 0;
    bool of = (e->flags & ENT_OF) != 0 && sp_detect_health_of(behind(j, e, 25)) > 0;

    if (health == 3)
        return is_actor(j->w, e) ? 57 : 82;
    if (health == 2)
        return (sentence & M(EVENT)) != 0 || titled || of ? 75 : 66;
    if (health == 1 && (titled || of || is_for(j->w, e) || (sentence & (M(VAGUE) | M(HE))) != 0))
        return 65;
    if (health == 1 && (sentence & M(CARE)) != 0 && (sentence & (M(ORG) | M(HR) | M(NEWS))) == 0)
        return 61;
    if (sp_detect_health_of(told_next(j, e)) >= 2)
        return 70;
    return is_told_elsewhere(j, e) ? 66 : judge_beyond(j, e, sentence);
}

/* A reader or writer: only if the text speaks of his own health. */
static uint32_t judge_party(const struct detect_judge *j, const struct detect_entity *e)
{
    unsigned own = e->role == ROLE_ADDRESSEE ? j->your : j->my;

    if (j->news || (j->w->marks & M(JOB)) != 0)
        return 0;
    if (own < 2 && e->role == ROLE_SENDER && e->end < j->w->len && j->w->text[e->end] == ':' &&
        is_about_one(j, e))
        return 62; /* "message from Ann Lee: the rash is spreading" */
    return own == 3 ? 80 : own == 2 ? 66 : 0;
}

/* "my name is ...", "this is ...", or the last words of a letter. */
static bool is_writer(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;

    if (j->my == 0 || (e->flags & ENT_WEAK) != 0)
        return false;
    return (w->len - e->end < 60 && e->end + 60 > w->len && w->len > 100) ||
           sp_detect_is_in(sp_detect_word_before(w, e->start), LIST_NAMING);
}

static uint32_t judge_writer(const struct detect_judge *j, const struct detect_entity *e)
{
    struct detect_entity sender = *e;

    sender.role = ROLE_SENDER;
    return judge_party(j, &sender);
}

/* A name with nothing that says whose it is: what its sentence says of health decides. */
static uint32_t judge_unknown(const struct detect_judge *j, const struct detect_entity *e,
                              uint64_t sentence)
{
    uint32_t score;

    if ((e->flags & (ENT_SINGLE | ENT_WEAK)) == 0)
        return judge_named(j, e, sentence);
    score = judge_single(j, e, sentence);
    if ((e->flags & ENT_SINGLE) == 0 && score == 0 && e->score >= 50 &&
        sp_detect_health_of(sentence) == 3 && is_about_one(j, e))
        return 61;
    if ((e->flags & ENT_SINGLE) == 0 && score == 0 && sp_detect_health_of(sentence) >= 2 &&
        ((sentence & (M(EVENT) | M(HE))) != 0 || is_for(j->w, e) || is_subject(j->w, e)))
        return 64;
    if ((e->flags & ENT_SINGLE) == 0 && score == 0 && is_for(j->w, e) && is_about_one(j, e))
        return 61;
    return score;
}

static uint32_t less(uint32_t score, uint32_t by)
{
    return score > by ? score - by : 0;
}

/* Whether a name of somebody else begins right behind the place: "called to RN Sosa". */
static bool is_of_other(const struct detect_judge *j, const struct detect_entity *e, size_t end)
{
    const struct detect_entity *all = j->w->entities;
    size_t at = (size_t)(e - all);

    for (size_t i = at + 1; i < j->w->entity_count && all[i].start <= end + 1; i++)
        if (all[i].type == SP_DETECT_PERSON && all[i].start == end + 1)
            return true;
    for (size_t i = at; i > 0 && all[i - 1].start > end; i--)
        if (all[i - 1].type == SP_DETECT_PERSON && all[i - 1].start == end + 1)
            return true;
    return false;
}

/* Words of staff beside a name and in its sentence that are not somebody else's. */
static bool is_beside_staff(const struct detect_judge *j, const struct detect_entity *e)
{
    const struct detect_window *w = j->w;
    const struct detect_sentence *s = sp_detect_sentence_of(w, e);
    size_t from = e->start > s->start + STAFF_NEAR ? e->start - STAFF_NEAR : s->start,
           to = e->end + STAFF_NEAR < s->end ? e->end + STAFF_NEAR : s->end;

    for (size_t i = sp_detect_first_hit(w, from); i < w->hit_count && w->hits[i].start < to; i++)
        if ((w->hits[i].marks & M(STAFF)) != 0 && !is_of_other(j, e, w->hits[i].end))
            return true;
    return false;
}

/* "has an ear infection", "is pregnant": what is said of him right away is an illness. */
static bool is_ill(const struct detect_judge *j, const struct detect_entity *e)
{
    static const char verbs[] = " is was has had got gets takes ";
    const struct detect_window *w = j->w;
    bool comma = e->end < w->len && w->text[e->end] == ',';
    struct sp_bytes verb = sp_detect_word_behind(w, e->end + comma);
    size_t end = (size_t)(verb.ptr - w->text) + verb.len;
    size_t i = sp_detect_first_hit(w, end);

    return sp_detect_is_listed(verb, verbs) && i < w->hit_count && w->hits[i].start <= end + 8 &&
           (w->hits[i].marks & (M(DIAGNOSIS) | M(DRUG) | DETECT_SPECIAL)) != 0;
}

/* What speaks against it: somebody at work, in the news, in a study. */
static uint32_t weigh(const struct detect_judge *j, const struct detect_entity *e,
                      uint64_t sentence, uint32_t score)
{
    bool about = (sentence & DETECT_SUBJECT) != 0;

    if ((sentence & M(STAFF)) != 0 && !about && is_beside_staff(j, e) && !is_sick(j->w, e) &&
        !is_ill(j, e) && !((e->flags & ENT_LISTED) != 0 && strong_count(j, e) >= 2) &&
        !(is_for(j->w, e) && sp_detect_health_of(sentence) == 3))
        score = less(score, 30);
    if ((beside(j->w, e) & (M(NEWS) | M(HR) | M(JOB))) != 0 &&
        (sentence & (DETECT_SUBJECT | M(HE) | M(EVENT))) == 0 &&
        ((sentence & (M(NEWS) | M(JOB))) != 0 || (sentence & (M(DIAGNOSIS) | M(DRUG))) == 0 ||
         !is_subject(j->w, e)))
        score = less(score, 25);
    if ((sentence & M(PLURAL)) != 0 && !about)
        score = less(score, 15);
    if (j->news || j->study || j->job || j->shop)
        score = less(score, 30);
    return score;
}

uint32_t sp_detect_judge_person(const struct detect_judge *j, const struct detect_entity *e)
{
    uint64_t sentence = sp_detect_sentence_marks(j->w, e);
    uint32_t score;

    if (e->role == ROLE_PROVIDER || e->role == ROLE_NOBODY || is_work_of(j->w, e))
        return 0;
    if (e->role == ROLE_PATIENT)
        return judge_patient(j, e);
    if (e->role == ROLE_ADDRESSEE || e->role == ROLE_SENDER)
        return judge_party(j, e);
    if (is_writer(j, e))
        return judge_writer(j, e);
    score = weigh(j, e, sentence, judge_unknown(j, e, sentence));
    return score > 0 && sp_detect_is_treating(j->w, e) ? 0 : score;
}
