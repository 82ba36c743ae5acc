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
        "manages mapped founded discovered invented coined spoke speaks writes plays played "
        "reviewed wrote emailed ordered signed teaches runs installed fixed joins hosts ";
    static const char needs[] = " need have undergo require start be get see not ";
    struct sp_bytes verb = sp_detect_word_behind(w, e->end);

    if (!sp_detect_is_listed(verb, verbs))
        return false;
    return !sp_detect_is_listed(sp_detect_word_behind(w, (size_t)(verb.ptr - w->text) + verb.len),
                                needs);
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
    static const char verbs[] =
        " is was has had needs need got went took takes refused refuses wants can't "
        "broke died started stopped spiked vomited developed feels felt in came still "
        "didn't did hasn't isn't tested underwent finished declined gets tolerated fell "
        "ran requested missed cannot skipped forgot discussed told reports reported "
        "denies denied complains disclosed describes described admits swallowed passed "
        "collapsed fainted threw weighs weighed presents presented lost had ";
    size_t from = e->end + 1, end = from;

    while (end < w->len && (sp_ascii_is_alpha(w->text[end]) || w->text[end] == '\''))
        end++;
    return e->end < w->len && w->text[e->end] == ' ' &&
           sp_detect_is_listed(sp_bytes(w->text + from, end - from), verbs);
}

/* Words that tell of an organisation's work, of writing for the public or of somebody who treats. */
#define OTHERS                                                                                     \
    (M(STAFF) | M(PROVIDER) | M(RESEARCH) | M(ORG) | M(HR) | M(NEWS) | M(JOB) | M(CREDENTIAL) |    \
     M(TEMPLATE) | M(PLURAL) | M(DEID) | M(VET))

/* A short text that speaks of an illness and of nobody's work: whose name stands in it is the one that has it. */
static bool is_about_one(const struct detect_judge *j, const struct detect_entity *e)
{
    return j->w->len <= DETECT_LETTER_LEN && !j->example &&
           (j->w->marks & (M(NEWS) | M(JOB))) == 0 &&
           (sp_detect_sentence_marks(j->w, e) & OTHERS) == 0 &&
           (sp_detect_around(j->w, e, DETECT_NEAR) &
            (M(STAFF) | M(RESEARCH) | M(HR) | M(PLURAL) | M(VET))) == 0 &&
           sp_detect_health_of(sp_detect_around(j->w, e, DETECT_NEAR)) == 3 && !is_actor(j->w, e);
}

/* "disclosed", "vomited": what nobody does at work. */
static bool is_sick(const struct detect_window *w, const struct detect_entity *e)
{
    static const char verbs[] = " denies denied complains complained disclosed vomited fainted "
                                "collapsed tolerated underwent swallowed tested refused ";

    size_t end = e->end;

    if (end + 6 < w->limit && w->text[end] == ',' && memcmp(w->text + end + 1, " who ", 5) == 0)
        return true;
    return sp_detect_is_listed(sp_detect_word_behind(w, end), verbs);
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

    if ((e->flags & ENT_WEAK) != 0)
        return 0;
    if ((sp_detect_health_of(sentence) == 1 || subject || is_for(j->w, e)) &&
        sp_detect_health_of(told) >= 2 && (told & M(HE)) != 0)
        return 62;
    return subject && (sentence & M(CARE)) != 0 && (sentence & M(HE)) != 0 ? 61 : 0;
}

/* One given name says little: what follows must be about its owner. */
static uint32_t judge_single(const struct detect_judge *j, const struct detect_entity *e,
                             uint64_t sentence)
{
    uint64_t next = behind(j, e, 40), soon = behind(j, e, 15);
    unsigned health = sp_detect_health_of(sentence);

    if (has_note(j, e))
        return 66;
    if ((e->flags & ENT_OF) != 0 &&
        sp_detect_health_of(next & ~M(DEPT)) >= ((e->flags & ENT_WEAK) != 0 ? 2U : 1U))
        return 70;
    if (health < 2)
        return judge_faint(j, e, sentence);
    if ((soon & (M(EVENT) | M(VAGUE))) != 0 && health >= 2)
        return 68;
    if ((e->flags & ENT_WEAK) != 0)
        return 0;
    if (health == 3 && ((sentence & (M(HE) | M(RELATIVE) | M(VAGUE))) != 0 || is_subject(j->w, e)))
        return 66;
    if (health == 3 && is_for(j->w, e))
        return 62;
    return health == 3 && is_about_one(j, e) ? 61 : 0;
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
        near == 3)
        return 68;
    if (is_about_one(j, e))
        return 63;
    return (e->flags & ENT_LISTED) == 0 && (beside(j->w, e) & M(PATIENT)) != 0 &&
                   (beside(j->w, e) & OTHERS) == 0 && (j->w->marks & DETECT_CARE_ANY) != 0
               ? 61
               : 0;
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
    return judge_beyond(j, e, sentence);
}

/* A reader or writer: only if the text speaks of his own health. */
static uint32_t judge_party(const struct detect_judge *j, const struct detect_entity *e)
{
    unsigned own = e->role == ROLE_ADDRESSEE ? j->your : j->my;

    if (j->news || (j->w->marks & M(JOB)) != 0)
        return 0;
    return own == 3 ? 80 : own == 2 ? 66 : 0;
}

/* "my name is ...", "this is ...", or the last words of a letter. */
static bool is_writer(const struct detect_judge *j, const struct detect_entity *e)
{
    static const char words[] = " is am its it's i'm m im name ";
    const struct detect_window *w = j->w;

    if (j->my == 0 || (e->flags & ENT_WEAK) != 0)
        return false;
    return (w->len - e->end < 60 && e->end + 60 > w->len && w->len > 100) ||
           sp_detect_is_listed(sp_detect_word_before(w, e->start), words);
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
        ((sentence & (M(EVENT) | M(HE))) != 0 || is_for(j->w, e)))
        return 64;
    return score;
}

static uint32_t less(uint32_t score, uint32_t by)
{
    return score > by ? score - by : 0;
}

/* What speaks against it: somebody at work, in the news, in a study. */
static uint32_t weigh(const struct detect_judge *j, const struct detect_entity *e,
                      uint64_t sentence, uint32_t score)
{
    bool about = (sentence & DETECT_SUBJECT) != 0;

    if ((sentence & sp_detect_around(j->w, e, STAFF_NEAR) & M(STAFF)) != 0 && !about &&
        !is_sick(j->w, e) && !(is_for(j->w, e) && sp_detect_health_of(sentence) == 3))
        score = less(score, 30);
    if ((beside(j->w, e) & (M(NEWS) | M(HR) | M(JOB))) != 0 &&
        (sentence & (DETECT_SUBJECT | M(HE) | M(EVENT))) == 0)
        score = less(score, 25);
    if ((sentence & M(PLURAL)) != 0 && !about)
        score = less(score, 15);
    if (j->news || j->study || j->job)
        score = less(score, 30);
    return score;
}

uint32_t sp_detect_judge_person(const struct detect_judge *j, const struct detect_entity *e)
{
    uint64_t sentence = sp_detect_sentence_marks(j->w, e);

    if (e->role == ROLE_PROVIDER || e->role == ROLE_NOBODY || is_work_of(j->w, e))
        return 0;
    if (e->role == ROLE_PATIENT)
        return judge_patient(j, e);
    if (e->role == ROLE_ADDRESSEE || e->role == ROLE_SENDER)
        return judge_party(j, e);
    if (is_writer(j, e))
        return judge_writer(j, e);
    return weigh(j, e, sentence, judge_unknown(j, e, sentence));
}
