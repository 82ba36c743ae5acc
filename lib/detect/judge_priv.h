/*
 * Between the files that judge: near.c tells what stands near a value, bearer.c whose name a name is and what that person's
 * sentence says, judge.c asks both for each kind of value. NEAR and its like are bytes.
 */
#ifndef SP_DETECT_JUDGE_PRIV_H
#define SP_DETECT_JUDGE_PRIV_H

#include "detect/detect_priv.h"

#define DETECT_NEAR       300  /* on both sides: context */
#define DETECT_RECORD     600  /* the same, for what a form or record holds together */
#define DETECT_LETTER_LEN 4000 /* a text up to here is about one thing */
#define DETECT_LIKELY     60   /* of a score: PHI */
#define DETECT_SURE       76   /* from here on no weight takes it back */
#define DETECT_DOUBTS_MAX 8

#define DETECT_CARE_ANY (M(CARE) | M(DEPT) | M(EVENT) | M(PAY))

struct detect_judge {
    const struct detect_window *w;
    struct detect_run *r;
    bool animal, study, news, job, example;
    bool shop;       /* things are bought and sent, and nobody's illness is spoken of */
    bool kind_known; /* of a long text: for what surrounds the place kind_at */
    size_t kind_at;
    bool part;                          /* of a text, judged as if it were all of it */
    bool line;                          /* which ends within a paragraph */
    uint32_t doubts[DETECT_DOUBTS_MAX]; /* sentences with an entity that is likely, not sure */
    size_t doubt_count;                 /* of entities; maybe more than fit */
    uint8_t
        your; /* how strongly "your ..." speaks of the reader's health; "my ..." of the writer's */
    uint8_t my;
};

/* ---- near.c ---- */
/* returns: index of the first hit that ends behind the place; hit_count if none does */
size_t sp_detect_first_hit(const struct detect_window *w, size_t at);
/* returns: what the hits between two places say of health and of whom; labels of numbers say nothing of health */
uint64_t sp_detect_marks_between(const struct detect_window *w, size_t from, size_t to);
/* Makes the function above quick over many hits. Their marks must not change any more. */
void sp_detect_marks_gather(struct detect_window *w);
/* returns: the same of what lies within so many bytes on both sides */
uint64_t sp_detect_around(const struct detect_window *w, const struct detect_entity *e,
                          size_t reach);
/* returns: the sentence it stands in. owner: the window; there must be one */
const struct detect_sentence *sp_detect_sentence_of(const struct detect_window *w,
                                                    const struct detect_entity *e);
uint64_t sp_detect_sentence_marks(const struct detect_window *w, const struct detect_entity *e);
/* How much a set of marks speaks of somebody's health: 3 an illness, a drug, a test; 2 an event of care; 1 a word of it. */
unsigned sp_detect_health_of(uint64_t marks);
/* returns: whether the word is something that people make or do at work: "proposal" */
bool sp_detect_is_work(struct sp_bytes word);

/* ---- clinic.c ---- */
/* returns: whether a clinician's verb stands between two places ("treats", "specializes in"), so that what follows is nobody's */
bool sp_detect_is_treated(const struct detect_window *w, size_t from, size_t to);
/* returns: whether such a verb stands right behind a name: "Ann Lee, who treats lupus" */
bool sp_detect_is_treating(const struct detect_window *w, const struct detect_entity *e);
/* returns: whether all of a short text is of clinicians: their numbers and what they treat */
bool sp_detect_is_clinicians(const struct detect_window *w);

/* ---- bearer.c ---- */
/* returns: how sure it is that this name's owner and his health stand together, 0 to 100 */
uint32_t sp_detect_judge_person(const struct detect_judge *j, const struct detect_entity *e);

#endif
