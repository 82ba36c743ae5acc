/*
 * The linear model beside the rules: what a short text says is cut into features (token.c, feature.c), each has a weight that
 * scripts/train-detector has learnt from labelled texts (data/weights.def), and weigh.c adds them up. A feature is a hash of
 * what it is and of the tokens it is made of; nothing of a text is kept.
 */
#ifndef SP_DETECT_WEIGH_PRIV_H
#define SP_DETECT_WEIGH_PRIV_H

#include "detect/judge_priv.h"

#define DETECT_PIECE      2048 /* bytes that are weighed together at most */
#define DETECT_PIECE_SPAN 512  /* entities and terms in them that count */

/* ---- token.c ---- */

enum detect_token_kind {
    TOKEN_EDGE,  /* before the first, behind the last */
    TOKEN_WORD,  /* or a sign */
    TOKEN_NAME,  /* a capitalised word that is no everyday one; or several in a row */
    TOKEN_CLASS, /* what the recognisers or the dictionary found, by its kind */
};

struct detect_token {
    uint32_t start, end; /* in the window */
    uint32_t hash;
    uint8_t kind;
    bool capital; /* one capital letter, small ones behind it */
};

/* What stands in for a stretch of text: an entity's or a term's kind. */
struct detect_span {
    uint32_t start, end;
    uint16_t kind;
    uint8_t rank; /* of two that begin in one place the lower one stands */
};

/* Where a window's pieces are weighed; of a fixed size, made once. */
struct detect_scale {
    struct detect_token tokens[DETECT_PIECE + 2];
    size_t token_count;
    struct detect_span spans[DETECT_PIECE_SPAN];
    size_t span_count;
    struct detect_phrases *phrases;
    /* told of each judged window and of the rules' score, gives the score that stands: for training */
    uint32_t (*watch)(void *arg, const struct detect_judge *j, uint32_t score);
    void *watch_arg;
};

/* Fills s->tokens with those between two places, an edge on both sides; spans (sorted) stand as one token each. */
void sp_detect_tokens(struct detect_scale *s, const struct detect_window *w, size_t from,
                      size_t to);
/* returns: 1 if a capital begins it, and 2 if it begins a line or a cell; 0 to 3 */
#define DETECT_FORMS 4
unsigned sp_detect_token_form(const struct detect_window *w, const struct detect_token *t);
/* Fills s->spans with the entities and terms between two places. */
void sp_detect_spans(struct detect_scale *s, const struct detect_window *w, size_t from, size_t to);
/* What a token was taken for. span: 0 before the first token of a text, carried on to the next. returns: 0 if for nothing */
uint16_t sp_detect_kind_at(const struct detect_scale *s, size_t *span,
                           const struct detect_token *t);

/* ---- feature.c ---- */

/* How a feature is made; the value says how much of it counts, in hundredths: what was tuned by hand counts little. */
#define DETECT_FEATURES(X)                                                                         \
    X(WORD, 100)                                                                                   \
    X(PAIR, 50)                                                                                    \
    X(BEFORE_NAME, 50)                                                                             \
    X(BEHIND_NAME, 50)                                                                             \
    X(END3, 50)                                                                                    \
    X(END4, 50)                                                                                    \
    X(CLASS, 20)                                                                                   \
    X(CLASS_PAIR, 20)                                                                              \
    X(CLASS_NEAR, 20)                                                                              \
    X(MARK, 10)                                                                                    \
    X(MARKS, 10)                                                                                   \
    X(KIND, 10)                                                                                    \
    X(ROLE, 10)                                                                                    \
    X(FLAGS, 10)                                                                                   \
    X(HALVES, 10)                                                                                  \
    X(OWN, 10)                                                                                     \
    X(TEXT, 10)                                                                                    \
    X(FIRST, 10)                                                                                   \
    X(NAMES, 100)                                                                                  \
    X(LENGTH, 100)                                                                                 \
    X(LINES, 100)                                                                                  \
    X(SENTENCE, 20)

enum detect_feature {
#define SP_FEATURE(id, value) FEATURE_##id,
    DETECT_FEATURES(SP_FEATURE)
#undef SP_FEATURE
        FEATURE_COUNT
};

/* Told of each feature, of some more than once; start and end: the text it is of, both 0 if of all of it. */
typedef void (*detect_feature_fn)(void *arg, enum detect_feature feature, uint32_t hash,
                                  uint32_t start, uint32_t end);

/* The features of what lies between two places of a judged window. */
void sp_detect_features(struct detect_scale *s, const struct detect_judge *j, size_t from,
                        size_t to, detect_feature_fn fn, void *arg);

/* ---- phrase.c ---- */

/* data/phrases.bin, on a boundary of 64 bytes */
extern const uint8_t sp_detect_phrase_net[];
/* plain: as on a processor without wide instructions, for tests; owner: the caller, until sp_free */
struct detect_phrases *sp_detect_phrases_new(bool plain);
/* returns: what the words between two places of a judged window say in a row, in units as sp_detect_weight_of */
int32_t sp_detect_phrases(struct detect_scale *s, const struct detect_window *w, size_t from,
                          size_t to);

/* ---- weigh.c ---- */

/* owner: the caller, until sp_detect_scale_free (NULL is allowed) */
struct detect_scale *sp_detect_scale_new(void);
void sp_detect_scale_free(struct detect_scale *s);
#define DETECT_WEIGHT_BITS 16
#define DETECT_WEIGHT_UNIT 32 /* of a weight: so many are one of the model's logits */

/* returns: what a piece of a judged window weighs; 0: as likely PHI as not */
int32_t sp_detect_weight_of(struct detect_scale *s, const struct detect_judge *j, size_t from,
                            size_t to);
#define DETECT_HINT_SOMEBODY 1U
#define DETECT_HINT_CARE     2U
#define DETECT_HINT_PERSON   4U /* a name or pronoun; beside care alone any capitalised word */
/* returns: which hints stand between two places */
unsigned sp_detect_hints(const struct detect_window *w, size_t from, size_t to);
struct detect_stretch {
    size_t from, to;
};
#define DETECT_ROUND_MAX 6
/* A sentence, and it with what stands beside it in its paragraph. returns: how many stretches these are */
size_t sp_detect_round(const struct detect_window *w, size_t i, struct detect_stretch *out);
/* returns: the score of a window, given what the rules made of it */
uint32_t sp_detect_weigh(const struct detect_judge *j, uint32_t score);

#endif
