/*
 * What clinicians say of themselves: their own numbers, and what they treat. An illness that somebody treats is nobody's; so a text that
 * names clinicians alone, or their NPI or DEA number, and no illness but behind such a verb is none of a patient's, whatever its
 * words weigh.
 */
#include "detect/judge_priv.h"

#define OF_PATIENTS                                                                                \
    (M(PATIENT) | M(INSURED) | M(RELATIVE) | M(L_MRN) | M(L_PLAN) | M(L_MBI) | M(L_SSN) |          \
     M(L_DOB) | M(L_ADMISSION) | M(L_DISCHARGE) | M(YOUR))

/* The word that begins at a place or behind what is no letter there; empty if none does before the end. */
static struct sp_bytes next_word(const struct detect_window *w, size_t at, size_t end)
{
    size_t from;

    while (at < end && !sp_detect_is_letter(w->text[at]))
        at++;
    from = at;
    while (at < end && (sp_detect_is_letter(w->text[at]) || w->text[at] == '-'))
        at++;
    return sp_bytes(w->text + from, at - from);
}

static size_t end_of(const struct detect_window *w, struct sp_bytes word)
{
    return (size_t)(word.ptr - w->text) + word.len;
}

/* "treats lupus", but not "treats her lupus with": that is the patient. sees: the word before was "sees" or the like */
static bool is_of_work(const struct detect_window *w, struct sp_bytes verb, size_t end, bool sees)
{
    static const char others[] = " patients people adults children clients women men kids babies ";
    struct sp_bytes next = next_word(w, end_of(w, verb), end);

    if (sees)
        return sp_detect_is_listed(verb, others);
    return sp_detect_is_in(verb, LIST_TREATS) &&
           !sp_detect_is_listed(next,
                                " his her their my your our own the him me us you with for at by ");
}

bool sp_detect_is_treated(const struct detect_window *w, size_t from, size_t to)
{
    static const char seeing[] = " sees see seeing accepts accepting takes taking manages for of ";
    bool sees = false;

    for (size_t at = from; at < to;) {
        struct sp_bytes word = next_word(w, at, to);

        if (word.len == 0 || is_of_work(w, word, w->len, sees))
            return word.len > 0;
        sees = sp_detect_is_listed(word, seeing);
        at = end_of(w, word);
    }
    return false;
}

/* "treats diabetes with insulin": so does who has it. */
static bool is_with_drug(const struct detect_window *w, const struct detect_entity *e)
{
    size_t end = sp_detect_sentence_of(w, e)->end;

    for (size_t i = sp_detect_first_hit(w, e->end); i < w->hit_count && w->hits[i].start < end; i++)
        if ((w->hits[i].marks & M(DRUG)) != 0 &&
            sp_bytes_eq_nocase(sp_detect_word_before(w, w->hits[i].start), SP_LIT("with")))
            return true;
    return false;
}

bool sp_detect_is_treating(const struct detect_window *w, const struct detect_entity *e)
{
    size_t end = e->end + 40 < w->len ? e->end + 40 : w->len;
    struct sp_bytes word;

    if (e->end >= w->len || (w->text[e->end] != ' ' && w->text[e->end] != ','))
        return false;
    word = next_word(w, e->end, end);
    if (sp_detect_is_listed(word, " who she he they also "))
        word = next_word(w, end_of(w, word), end);
    return is_of_work(w, word, w->len, false) && !is_with_drug(w, e);
}

/* Whether each illness, drug and test stands behind such a verb in its sentence, and one does. */
static bool is_all_treated(const struct detect_window *w)
{
    bool any = false;
    size_t i = 0;

    for (size_t s = 0; s < w->sentence_count && i < w->hit_count; s++) {
        bool treated = false;

        for (; i < w->hit_count && w->hits[i].start < w->sentences[s].end; i++) {
            if ((w->hits[i].marks & (DETECT_STRONG | M(EVENT))) == 0)
                continue;
            treated = treated || sp_detect_is_treated(w, w->sentences[s].start, w->hits[i].end);
            if (!treated)
                return false;
        }
        any = any || treated;
    }
    return any;
}

bool sp_detect_is_clinicians(const struct detect_window *w)
{
    bool clinician = false;

    if (w->len > DETECT_LETTER_LEN || (w->marks & OF_PATIENTS) != 0)
        return false;
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *e = &w->entities[i];

        if (e->type == SP_DETECT_NPI || e->type == SP_DETECT_DEA)
            clinician = true;
        if (e->type != SP_DETECT_PERSON || e->role == ROLE_NOBODY)
            continue;
        if (e->role != ROLE_PROVIDER && !sp_detect_is_treating(w, e))
            return false;
        clinician = true;
    }
    return clinician && is_all_treated(w);
}
