/* An organisation's own patterns and terms, compiled: between own.c, which reads them, and ours.c, which looks for them. */
#ifndef SP_DETECT_OWN_PRIV_H
#define SP_DETECT_OWN_PRIV_H

#include "detect/exact_priv.h"

#define OWN_NEAR_MAX   8
#define OWN_NEAR_REACH 60 /* bytes before a match */

/* Of a pattern or term, in a window. */
struct detect_match {
    uint32_t start, end;
    uint32_t id;
};

enum own_check { OWN_CHECK_NONE, OWN_CHECK_LUHN, OWN_CHECK_MOD11 };

struct own_pattern {
    enum sp_detect_type type;
    uint32_t score;
    enum own_check check;
    struct sp_bytes near[OWN_NEAR_MAX];
    size_t near_count;
};

struct own_term {
    uint64_t marks; /* 0: what it covers is nobody's and says nothing */
    size_t len;
    unsigned special; /* bit of a result's special; 0: none */
};

/* Ids of matches: patterns first, then terms. */
struct sp_detect_own {
    struct sp_arena *arena;
    hs_database_t *db; /* NULL if there are neither */
    struct own_pattern patterns[SP_DETECT_OWN_PATTERNS_MAX];
    size_t pattern_count;
    struct own_term *terms;
    size_t term_count;
    const char *specials[SP_DETECT_OWN_SPECIALS_MAX];
    size_t special_count;
    struct sp_detect_exact *exact; /* NULL if there is none */
};

/* returns: whether the digits of a value are right */
bool sp_detect_own_check(enum own_check check, struct sp_bytes value);

#endif
