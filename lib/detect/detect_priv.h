/*
 * Inside detection: text goes in by pieces (text.c normalises it and cuts windows), Hyperscan reports where terms and
 * number-like things end (scan.c), values are verified in C (value.c, find.c), findings are counted (tally.c), the
 * message is walked (message.c, sealed.c).
 */
#ifndef SP_DETECT_DETECT_PRIV_H
#define SP_DETECT_DETECT_PRIV_H

#include "base/buf.h"
#include "base/map.h"
#include "detect/detect.h"

#include <hs/hs.h>

#define DETECT_WINDOW  (64 * 1024) /* normalised text looked at at once */
#define DETECT_OVERLAP 1024        /* of it belongs to the next window as well */
#define DETECT_CONTEXT 300         /* bytes on both sides in which a label counts */

/* What a dictionary term or pattern means. */
enum detect_mark {
    MARK_SSN_LABEL,
    MARK_MRN_LABEL,
    MARK_MRN_WEAK_LABEL, /* "chart", "patient id" */
    MARK_MEDICARE_LABEL,
    MARK_NPI_LABEL,
    MARK_PHONE_LABEL,
    MARK_DOB_LABEL,
    MARK_ICD_LABEL,
    MARK_PATIENT,
    MARK_HEALTH,      /* says "medicine" by itself: a diagnosis, a drug, a test */
    MARK_HEALTH_WEAK, /* "appointment", "results": two different ones are needed */
    MARK_PAYMENT,
    MARK_PART2,
    MARK_PSYCHOTHERAPY,
    MARK_HIV,
    MARK_GENETIC,
    MARK_TERMS, /* those above are terms, those below patterns */
    MARK_SSN = MARK_TERMS,
    MARK_NINE_DIGITS,
    MARK_MBI,
    MARK_NPI,
    MARK_PHONE,
    MARK_ICD10,
    MARK_COUNT
};

struct detect_term {
    const char *text;
    enum detect_mark mark;
};
extern const struct detect_term sp_detect_terms[];
extern const size_t sp_detect_term_count;

struct detect_hit {
    uint32_t end;  /* offset in the window, behind its last byte */
    uint16_t term; /* index of the term; UINT16_MAX for a pattern */
    uint16_t mark;
};

struct detect_window {
    const uint8_t *text;
    size_t len;
    size_t from, to;         /* what begins in here is this window's to count */
    struct detect_hit *hits; /* by rising end */
    size_t hit_count;
};

/* One scan of one message. */
struct detect_run {
    struct sp_detect *d;
    const struct sp_detect_limits *limits;
    struct sp_arena *arena;
    struct sp_detect_result *out;
    struct sp_buf norm; /* normalised text not yet examined, or kept as overlap */
    bool norm_first;    /* nothing of this text has been examined yet */
    uint8_t pending[4]; /* the beginning of a character */
    size_t pending_len;
    struct sp_map *values; /* distinct values: type and keyed hash */
    uint8_t hash_key[16];
    uint64_t unpacked;
    uint32_t part; /* index now examined, from 1 */
    bool stopped;  /* deadline passed, or a limit: look no further */
    unsigned special_seen;
    uint32_t weak_terms; /* different weak health terms seen */
    uint32_t health;     /* strong ones */
    uint32_t payment;
    uint32_t person_score; /* highest of identifiers of a person */
    uint32_t other_score;  /* highest of other identifiers */
    size_t column_lines;   /* that may still be looked at below headings, in this window */
    uint8_t *term_seen;    /* a byte a term */
};

struct sp_detect {
    hs_database_t *db;
    hs_scratch_t *scratch;
    struct detect_hit *hits;
    size_t hit_cap;
};

/* ---- scan.c ---- */
/* Fills w->hits. returns: false if there are too many, or the scan failed */
bool sp_detect_scan(struct sp_detect *d, struct detect_window *w);

/* ---- text.c ---- */
void sp_detect_text_begin(struct detect_run *r);
void sp_detect_text_feed(struct detect_run *r, struct sp_bytes utf8);
void sp_detect_text_end(struct detect_run *r);

/* ---- value.c: is it one? ---- */
/* Three times digits, or nine in a row. returns: 0 no, else how much a formatted one scores by itself */
uint32_t sp_detect_ssn_score(const uint8_t digits[9]);
bool sp_detect_npi_is_valid(const uint8_t digits[10]);
/* text begins with 11 characters (dashes taken out). */
bool sp_detect_mbi_is_valid(const uint8_t text[11]);
/* A date at the beginning of text ("1/2/1980", "1980-01-02", "Jan 2, 1980", "2 January 1980"). returns: its length, or 0 */
size_t sp_detect_date_len(struct sp_bytes text, uint32_t *packed);
/* A record number at the beginning of text: 4 to 15 letters, digits and hyphens, three digits at least. returns: its length, or 0 */
size_t sp_detect_record_len(struct sp_bytes text);

/* ---- find.c ---- */
/* Examines one window's hits. */
void sp_detect_find(struct detect_run *r, const struct detect_window *w);

/* ---- tally.c ---- */
void sp_detect_count(struct detect_run *r, enum sp_detect_type type, uint32_t score,
                     struct sp_bytes value);
void sp_detect_count_term(struct detect_run *r, uint16_t term);
void sp_detect_gap_add(struct detect_run *r, const char *why, bool partial);
/* Class, score, special categories from what was counted. */
void sp_detect_conclude(struct detect_run *r);

/* ---- sealed.c ---- */
/* Whether the whole message is ciphertext or signed. */
enum sp_detect_sealed sp_detect_sealed_of(struct sp_mime *m);

#endif
