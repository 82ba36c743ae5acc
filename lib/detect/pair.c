/*
 * Whether two capitalised words, a first and a last one, are somebody's name: by what the lists of names and of English know of
 * each, by particles and hyphens, and by where they stand where that is not enough. And whose sex and age stand behind.
 */
#include "detect/name_priv.h"

#define AGE_MAX 120

/* Given names that begin sentences and headings as other words. */
bool sp_detect_is_risky(const struct detect_window *w, const struct detect_token *t)
{
    return sp_detect_is_in(sp_bytes(w->text + t->start, t->end - t->start), LIST_RISKY) &&
           !(w->text[t->start] == 'M' && w->text[t->start + 1] == 'a' &&
             w->text[t->start + 2] == 'r');
}

static bool is_frequent_pair(const struct detect_window *w, const struct detect_token *a,
                             const struct detect_token *z)
{
    return (a->flags & DETECT_FREQUENT) != 0 && (z->flags & DETECT_FAMILIAR) != 0 && !a->upper &&
           !sp_detect_is_risky(w, a);
}

/* "J. Ortega" */
static uint32_t score_initial(const struct detect_window *w, const struct detect_token *a,
                              const struct detect_token *z)
{
    if (sp_detect_is_surname(z) && !sp_detect_is_english(z))
        return 60;
    return sp_detect_is_unknown(z) && w->text[a->end] == '.' ? 50 : 0;
}

/* A given name that is a word as well, and a last word: "call Rose Bush about". */
static uint32_t score_given_word(const struct detect_window *w, const struct detect_token *a,
                                 const struct detect_token *z, bool family)
{
    bool frequent = (a->flags & DETECT_FREQUENT) != 0;

    if (!family && sp_bytes_eq_nocase(sp_detect_word_before(w, a->start), SP_LIT("the")))
        return 0; /* "the Rose Field entrance" */
    if (sp_detect_is_surname(z) && !a->upper && !family && sp_detect_is_amid(w, a->start, z->end))
        return 60;
    if (family && !a->upper)
        return frequent ? 75 : 60;
    if (sp_detect_is_surname(z) && is_frequent_pair(w, a, z))
        return 60;
    return sp_detect_is_unknown(z) && frequent && !sp_detect_is_risky(w, a) ? 55 : 0;
}

/* A given name and a last word. returns: 0 if the two say too little */
static uint32_t score_given(const struct detect_window *w, const struct detect_token *a,
                            const struct detect_token *z)
{
    bool family = sp_detect_is_surname(z) && !sp_detect_is_english(z);

    if (sp_detect_is_english(a))
        return score_given_word(w, a, z, family);
    if (sp_detect_is_strange(z))
        return z->upper || (a->flags & DETECT_RARE) != 0 ? 60 : 70;
    if (sp_detect_is_surname(z) || sp_detect_is_unknown(z) ||
        (sp_detect_is_given(z) && !sp_detect_is_english(z)))
        return family ? 85 : 70;
    return 0;
}

/* "Wei-Ting": two capitalised halves. */
static bool is_double(const struct detect_window *w, const struct detect_token *t)
{
    for (size_t i = t->start + 1; i + 1 < t->end; i++)
        if (w->text[i] == '-')
            return true;
    return false;
}

/* "consult: Kim, Soo-Yeon", "- Kim, Soo-Yeon", "(Kim, Soo-Yeon)" */
bool sp_detect_is_behind_sign(const struct detect_window *w, size_t at)
{
    if (at > 0 && (w->text[at - 1] == '(' || w->text[at - 1] == '"'))
        return true;
    return at > 1 && w->text[at - 1] == ' ' && strchr(":-*>|).#", w->text[at - 2]) != NULL &&
           w->text[at - 2] != 0;
}

/* Two words that the lists half know, but that can hardly be anything else. */
static bool is_sure(const struct detect_window *w, const struct detect_token *a,
                    const struct detect_token *z)
{
    if (sp_detect_is_english(z))
        return false;
    if (sp_detect_is_unknown(a) && (z->flags & DETECT_FAMILIAR) != 0)
        return true;
    if (sp_detect_is_strange(a) && sp_detect_is_surname(z) && (z->flags & DETECT_RARE) == 0)
        return true; /* "Hieronymus Blau" */
    if (a->upper && sp_detect_is_surname(a) && !sp_detect_is_english(a) && sp_detect_is_given(z))
        return true; /* "GRUBER MAXIMILIAN" */
    if (z->particle && !a->upper && !sp_detect_is_english(a))
        return true;                                                /* "Anneke van der Meulen" */
    return !a->upper && is_double(w, a) && sp_detect_is_surname(z); /* "Wei-Ting Lo" */
}

/* Two words that may be a name where a context says so. */
static uint32_t score_weak(const struct detect_window *w, const struct detect_token *a,
                           const struct detect_token *z)
{
    bool plain = !sp_detect_is_english(a) && !sp_detect_is_english(z),
         amid = sp_detect_is_amid(w, a->start, z->end);

    if (sp_detect_is_surname(a) && sp_detect_is_surname(z) && plain)
        return 55;
    if (sp_detect_is_surname(a) && !sp_detect_is_english(z) && !sp_detect_is_risky(w, a) &&
        (z->flags & DETECT_FAMILIAR) != 0)
        return 50;
    if (sp_detect_is_english(a) && (a->flags & (DETECT_GIVEN | DETECT_SURNAME)) != 0 &&
        (sp_detect_is_strange(z) || sp_detect_is_family(z)) && !a->upper &&
        (amid || sp_detect_is_behind_sign(w, a->start)))
        return 50; /* "psychologist: Juniper Achebe" */
    if (sp_detect_is_strange(a) && sp_detect_is_strange(z) && !a->upper)
        return amid ? 55 : 50;
    if (a->flags == DETECT_RARE && sp_detect_is_strange(z) && !a->upper &&
        (amid || sp_detect_is_behind_sign(w, a->start)))
        return 50; /* "for Lysander Okpara" */
    return sp_detect_is_strange(a) && sp_detect_is_unknown(z) && z->end - z->start > 2 ? 45 : 0;
}

uint32_t sp_detect_name_pair(const struct detect_window *w, const struct detect_token *a,
                             const struct detect_token *z, unsigned *flags)
{
    uint32_t score;

    *flags = 0;
    if (a->initial)
        return score_initial(w, a, z);
    if (a->upper != z->upper || (sp_detect_is_risky(w, a) && sp_detect_is_given(z) &&
                                 !sp_detect_is_amid(w, a->start, z->end)))
        return 0; /* "See Oscar in ..." */
    score = sp_detect_is_given(a) ? score_given(w, a, z) : 0;
    if (score == 0 && is_sure(w, a, z))
        score = 60;
    if (score > 0)
        return score;
    *flags = ENT_WEAK;
    return score_weak(w, a, z);
}

static bool is_one_of(const char *signs, uint8_t c)
{
    return c != 0 && strchr(signs, c) != NULL;
}

/* "(F, 1944)", ", 27 M", " 62 yo F" behind a name. A letter alone may be an initial: a bracket or an age stands before it. */
bool sp_detect_has_sex_behind(const struct detect_window *w, size_t end)
{
    size_t at = end, digits = 0;
    int age = 0;
    bool bracket = false;

    for (; at < w->limit && at < end + 3 && is_one_of(" ,(", w->text[at]); at++)
        bracket = bracket || w->text[at] == '(';
    for (; at > end && at < w->limit && sp_ascii_is_digit(w->text[at]) && digits < 4; at++) {
        age = age * 10 + w->text[at] - '0';
        digits++;
    }
    if (at == end || digits > 3 || age > AGE_MAX || (digits == 0 && !bracket))
        return false;
    while (digits > 0 && at < w->limit && is_one_of(" -/.yo", w->text[at]))
        at++;
    if (at >= w->limit || (w->text[at] != 'F' && w->text[at] != 'M'))
        return false;
    return at + 1 >= w->limit ||
           (digits > 0 ? !sp_detect_is_word(w->text[at + 1]) : is_one_of("),;/", w->text[at + 1]));
}
