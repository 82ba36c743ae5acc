/*
 * Between the files that read names: name.c cuts capitalised words into tokens and says what the lists and their shape tell
 * of them; person.c judges what they make together, lower.c what stands in small letters.
 */
#ifndef SP_DETECT_NAME_PRIV_H
#define SP_DETECT_NAME_PRIV_H

#include "detect/detect_priv.h"

#define DETECT_TOKENS_MAX 6

struct detect_token {
    size_t start, end;
    unsigned flags; /* of the lists */
    bool upper;     /* all in capitals */
    bool initial;   /* one letter */
    bool particle;  /* "van", "de la" stand before it */
    uint8_t gap;    /* before it: ' ', ',' or 0 for the first */
};

struct detect_name {
    struct detect_token t[DETECT_TOKENS_MAX];
    size_t count;
};

static inline bool sp_detect_is_english(const struct detect_token *t)
{
    return (t->flags & DETECT_WORD) != 0;
}

static inline bool sp_detect_is_given(const struct detect_token *t)
{
    return (t->flags & DETECT_GIVEN) != 0;
}

static inline bool sp_detect_is_surname(const struct detect_token *t)
{
    return (t->flags & DETECT_SURNAME) != 0;
}

/* No list has it, neither of names nor of words, and it is no heading's. */
static inline bool sp_detect_is_unknown(const struct detect_token *t)
{
    return (t->flags & ~DETECT_RARE) == 0 && !t->upper;
}

/* No list has it, however it is written, and it is long enough to tell. */
static inline bool sp_detect_is_strange(const struct detect_token *t)
{
    return t->flags == 0 && !t->initial && t->end - t->start > 2;
}

/* Only ever a family name. */
static inline bool sp_detect_is_family(const struct detect_token *t)
{
    return !t->upper && sp_detect_is_surname(t) && (t->flags & (DETECT_WORD | DETECT_RARE)) == 0;
}

/* ---- name.c ---- */
/* returns: whether a capital letter begins at the place, of Latin with or without a mark */
bool sp_detect_is_capital(const struct detect_window *w, size_t i);
/* returns: what the lists say of a word; of a double name, of its last part; of none they know, what its ending says */
unsigned sp_detect_name_flags(struct sp_bytes word);
/* Reads the capitalised words from a place on that may be one name. */
void sp_detect_name_read(const struct detect_window *w, size_t at, struct detect_name *n);
/* returns: whether the words stand within a sentence: behind one in small letters that is no article or place's */
bool sp_detect_is_amid(const struct detect_window *w, size_t start, size_t end);

/* ---- pair.c ---- */
/* returns: whether it is a given name that begins sentences and headings as another word */
bool sp_detect_is_risky(const struct detect_window *w, const struct detect_token *t);
/* returns: whether a sign of lists stands before the place: "consult: Kim", "- Kim", "2) Kim" */
bool sp_detect_is_behind_sign(const struct detect_window *w, size_t at);
/* returns: whether a sex, behind an age or a bracket, stands behind a name that ends there: ", 27 M", " (F, 1944)" */
bool sp_detect_has_sex_behind(const struct detect_window *w, size_t end);
/* Judges a first and a last word. flags: ENT_WEAK if only a context can tell. returns: how sure they are a name; 0: none */
uint32_t sp_detect_name_pair(const struct detect_window *w, const struct detect_token *a,
                             const struct detect_token *z, unsigned *flags);

#endif
