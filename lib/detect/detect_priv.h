/*
 * Inside detection. Text goes in by pieces; text.c makes it plain (what looks like a digit is one, what can't be seen is
 * gone) and cuts windows. In a window scan.c finds the terms of the dictionary, word by word; walk.c goes through it once,
 * cutting sentences and table columns and handing what looks like a value, a name or an address to the recognisers
 * (number.c, code.c, date.c, person.c, contact.c, place.c), which check in C what a shape alone can't tell. What they find
 * are entities. judge.c asks whose they are and whether that person's health, care or payment stands beside them; tally.c
 * counts and concludes. The message is walked by message.c and sealed.c.
 */
#ifndef SP_DETECT_DETECT_PRIV_H
#define SP_DETECT_DETECT_PRIV_H

#include "base/buf.h"
#include "detect/bits_priv.h"
#include "detect/detect.h"
#include "detect/dictionary.h"
#include "detect/value_priv.h"

#include <hs/hs.h>

#define DETECT_WINDOW  (64 * 1024) /* plain text looked at at once */
#define DETECT_OVERLAP 2048        /* of it belongs to the next window as well */
#define DETECT_SLACK   16          /* bytes that may be read behind a window's text */
#define DETECT_COLUMNS 56          /* of a table that are told apart */

/* Marks in groups. */
#define DETECT_STRONG  (M(DIAGNOSIS) | M(DRUG) | M(PROCEDURE) | M(LAB) | DETECT_SPECIAL)
#define DETECT_LABELS  (((UINT64_C(1) << MARK_PATIENT) - 1) & ~((UINT64_C(1) << MARK_L_SSN) - 1))
#define DETECT_SUBJECT (M(PATIENT) | M(INSURED) | M(RELATIVE))

/* A letter, or a byte of a character beyond ASCII; the second: or a digit. They are asked for each byte of a text. */
static inline bool sp_detect_is_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || c >= 0x80;
}

static inline bool sp_detect_is_word(uint8_t c)
{
    return sp_detect_is_letter(c) || (uint8_t)(c - '0') < 10;
}

/* A term of the dictionary in the window; none lies inside another. */
struct detect_hit {
    uint32_t start, end;
    uint64_t marks;
};

enum detect_role {
    ROLE_UNKNOWN,
    ROLE_PATIENT,   /* label, title or column says so */
    ROLE_PROVIDER,  /* clinician or staff */
    ROLE_ADDRESSEE, /* "Dear ..." */
    ROLE_SENDER,    /* signature */
    ROLE_NOBODY,    /* a place, an organisation, a disease's name */
};

#define ENT_LABELLED 1U  /* a label or column says what it is */
#define ENT_SINGLE   2U  /* one given name and no more */
#define ENT_OF       4U  /* "...'s" */
#define ENT_WEAK     8U  /* may not be a name at all */
#define ENT_INITIALS 16U /* "J.S." */
#define ENT_ROOM     32U
#define ENT_CHECKED  64U  /* its check digits are right */
#define ENT_ORG      128U /* an organisation's or provider's own */
#define ENT_LISTED   256U /* "Smith, John": as lists and records write it */
#define ENT_OWN      512U /* the organisation says that it is a patient's */

struct detect_entity {
    uint32_t start, end;
    uint32_t sentence;
    uint8_t type;
    uint8_t score;
    uint8_t role;
    uint16_t flags;
};

struct detect_sentence {
    uint32_t start, end;
    uint32_t paragraph;
    uint64_t marks;
};

/* A table: columns named by the marks of its heading. */
struct detect_table {
    uint8_t separator; /* 0: no table here */
    uint8_t columns;
    bool segment; /* of one line, of a machine's record; '~' may end it */
    uint64_t marks[DETECT_COLUMNS];
    uint64_t all;
};

struct sp_detect_own;

struct detect_window {
    const uint8_t *text;
    size_t len;
    size_t begin;    /* nothing before it counts: judge.c */
    size_t from, to; /* what begins in here is this window's to count */
    struct detect_hit *hits;
    size_t hit_count;
    struct detect_entity *entities;
    size_t entity_count;
    struct detect_sentence *sentences;
    size_t sentence_count;
    uint64_t marks;            /* of all of it */
    uint32_t seen[MARK_COUNT]; /* how often */
    /* of the walk */
    size_t hit_at;     /* first hit that does not start before the place looked at */
    size_t line_start; /* of the line looked at */
    size_t limit;      /* no value goes past it: the end of the text, or of a table's field */
    struct detect_table table;
    unsigned column;
    bool row; /* this line is a row of the table */
    struct sp_detect *d;
    const struct sp_detect_own *own; /* NULL if there is nothing of the organisation's own */
    size_t own_count;                /* of d->own, in this window */
    size_t block_count;              /* of d->blocks: near.c */
};

/* Distinct values, as keyed hashes; 0 is empty. */
struct detect_values {
    uint64_t *slots;
    size_t cap, count;
};

/* One scan of one message. */
struct detect_run {
    struct sp_detect *d;
    const struct sp_detect_limits *limits;
    struct sp_arena *arena;
    struct sp_detect_result *out;
    struct sp_buf norm; /* plain text not yet examined, or kept as overlap */
    uint32_t *places;   /* of norm's bytes, in code points of the decoded text; or NULL */
    uint32_t place;     /* of the next character */
    size_t joined;      /* of norm: how much spelled.c has seen */
    bool norm_first;    /* nothing of this text has been examined yet */
    bool markup;        /* tags are taken out while it is made plain */
    uint8_t pending[4]; /* the beginning of a character */
    size_t pending_len;
    size_t raised_len; /* of norm, behind a raised digit */
    size_t line_len;   /* of the line being written, in plain text */
    unsigned breaks;   /* line ends waiting to be written */
    unsigned blanks;   /* spaces waiting */
    unsigned cells;    /* what parts columns, in this line */
    bool equals;       /* a '=' waits for what follows it */
    uint8_t crs; /* carriage returns that end at cr_place, each the end of a line; at most 3 */
    uint32_t cr_place;
    bool in_tag, in_name; /* a tag, a character reference, is being read */
    struct sp_buf tag;    /* it */
    struct detect_table table;
    struct sp_buf prefix; /* names and Subject of a message: read together with its first text */
    struct detect_values values;
    uint8_t hash_key[16];
    uint64_t unpacked;
    uint32_t part;   /* index now examined, from 1 */
    unsigned nested; /* messages that came as files and are open now */
    bool pictures;   /* a page of a PDF in this part is a picture and nothing else */
    bool stopped;    /* deadline passed, or a limit: look no further */
    bool late;       /* the deadline: what was read is not even examined */
    uint64_t marks;  /* of all texts */
    unsigned special_seen;
    uint32_t phi_score;    /* the best link between a person and his health */
    uint32_t person_score; /* the best identifier of a person that waits for health elsewhere */
    uint32_t any_score;    /* the best identifier of any kind */
    bool health;           /* strong health or payment context somewhere */
    size_t finding_cap, weighed, doubted; /* pieces; weighings for a doubt: weigh.c */
};

struct sp_detect {
    hs_scratch_t *scratch; /* of the organisation's own patterns */
    struct detect_bits bits;
    struct detect_hit *hits;
    size_t hit_cap;
    struct detect_entity *entities;
    size_t entity_cap;
    struct detect_sentence *sentences;
    size_t sentence_cap;
    struct detect_match *own;
    size_t own_cap;
    uint64_t *blocks;
    size_t block_cap;
    struct detect_scale *scale; /* made when first needed: weigh.c */
};

/* ---- scan.c ---- */
/* Fills w->hits, by rising start. returns: false if there are too many, or the scan failed */
bool sp_detect_scan(struct sp_detect *d, struct detect_window *w);

/* ---- eponym.c ---- */
/* returns: whether a word that is an illness and a name is somebody's here, or a field's: "Tom Foley", "PID-5" */
bool sp_detect_is_name_here(const struct detect_window *w, size_t start, size_t end);

/* ---- ours.c ---- */
/* Fills d->own. returns: false if there are too many matches, or the scan failed */
bool sp_detect_own_match(struct detect_window *w);
/* returns: what match i says as a term; 0: it is a pattern's, or of a term to ignore */
uint64_t sp_detect_own_marks(const struct detect_window *w, size_t i);
/* returns: the bit of the i-th match's special class; 0 if it makes nothing special */
unsigned sp_detect_own_specials(const struct detect_window *w, size_t i);
/* Adds to the entities what patterns and exact data find; takes out what is to be ignored. */
void sp_detect_own_find(struct detect_window *w);

/* ---- text.c ---- */
void sp_detect_text_begin(struct detect_run *r);
void sp_detect_text_feed(struct detect_run *r, struct sp_bytes text);
void sp_detect_text_end(struct detect_run *r);

/* ---- spelled.c ---- */
/*
 * Joins words written a letter at a time ("P a t i e n t"), in place; of two blanks in a row one is left.
 * text: DETECT_SLACK bytes may be read behind it; places: of its bytes, moved with them; or NULL
 * joined: how much of it has been through here; becomes what has now: of a window that is not the last all but the end, less than
 * half an overlap, where a run may begin that goes on
 * returns: the new length
 */
size_t sp_detect_unspell(uint8_t *text, uint32_t *places, size_t *joined, size_t len, bool last);

/* ---- walk.c ---- */
void sp_detect_walk(struct detect_window *w);
struct detect_entity *sp_detect_entity_add(struct detect_window *w, enum sp_detect_type type,
                                           size_t start, size_t end, uint32_t score);

/* ---- label.c ---- */
/* returns: marks of the label that says what stands at a place: right before it, or at the head of its column; 0: none */
uint64_t sp_detect_label(const struct detect_window *w, size_t at);
/* returns: the same of a label that stands right behind a value: "1881761864 is our NPI" */
uint64_t sp_detect_label_behind(const struct detect_window *w, size_t end);
/* returns: marks of the hits that begin within some bytes before the place, on its line */
uint64_t sp_detect_line_before(const struct detect_window *w, size_t at, size_t reach);
/* Takes the line for the heading of a table if it looks like one. */
void sp_detect_table_heading(struct detect_window *w, size_t start, size_t end);

/* ---- record.c ---- */
/* Reads the line at a place as a segment of HL7 v2 or X12. returns: whether it is one; then t tells its fields */
bool sp_detect_segment(const struct detect_window *w, size_t at, struct detect_table *t);

/* ---- whose.c ---- */
/* returns: the word right behind (before) a place, over one blank (over blanks and stops); empty if none */
struct sp_bytes sp_detect_word_behind(const struct detect_window *w, size_t at);
struct sp_bytes sp_detect_word_before(const struct detect_window *w, size_t at);
/* returns: whether what follows a name makes it a hospital's, a street's or a disease's */
bool sp_detect_is_named_after(const struct detect_window *w, size_t end);
/* returns: whether a degree stands right behind a name ("MD") */
bool sp_detect_has_degree(const struct detect_window *w, size_t end);
/* returns: whose name it is, as far as what stands around it tells. single: one word only */
enum detect_role sp_detect_role(const struct detect_window *w, size_t start, size_t end,
                                bool single, uint64_t label);

/* ---- recognisers: returns: the end of what was found at the place, or 0 ---- */
size_t sp_detect_number(struct detect_window *w, size_t at,
                        uint64_t label); /* number.c: digits in groups */
size_t sp_detect_date(struct detect_window *w, size_t at, uint64_t label); /* date.c */
size_t sp_detect_code(struct detect_window *w, size_t at,
                      uint64_t label); /* code.c: letters and digits */
size_t sp_detect_spread(struct detect_window *w, size_t at,
                        uint64_t label);                     /* spread.c: parted by any signs */
size_t sp_detect_person(struct detect_window *w, size_t at); /* person.c */
size_t sp_detect_person_field(struct detect_window *w, size_t at, size_t end); /* a table's field */
size_t sp_detect_initials(struct detect_window *w, size_t at);
size_t sp_detect_email(struct detect_window *w, size_t at); /* contact.c; at: of the @ */
size_t sp_detect_url(struct detect_window *w, size_t at);
size_t sp_detect_ip(struct detect_window *w, size_t at);
size_t sp_detect_ip6(struct detect_window *w, size_t at);
size_t sp_detect_age(struct detect_window *w, size_t at, size_t end); /* date.c */
size_t sp_detect_street(struct detect_window *w, size_t at);          /* place.c */

/* ---- lower.c ---- */
/* Looks for names in small letters in a sentence (its index). returns: how many it added */
size_t sp_detect_lower(struct detect_window *w, uint32_t sentence);
/* Takes a name in small letters behind a dash or alone on the last line for the writer's. */
void sp_detect_lower_signature(struct detect_window *w);
/* Looks for "mr. ito" at a word in small letters. returns: its end, or 0 */
size_t sp_detect_lower_titled(struct detect_window *w, size_t at, size_t end);

/* ---- judge.c ---- */
void sp_detect_judge(struct detect_run *r, struct detect_window *w);

/* ---- tally.c ---- */
void sp_detect_count(struct detect_run *r, enum sp_detect_type type, uint32_t score,
                     struct sp_bytes value);
void sp_detect_count_window(struct detect_run *r, const struct detect_window *w);
void sp_detect_gap_add(struct detect_run *r, const char *why, bool partial);
/* Class, score, special categories from what was counted. */
void sp_detect_conclude(struct detect_run *r);

/* ---- sealed.c ---- */
/* Whether the whole message is ciphertext or signed. */
enum sp_detect_sealed sp_detect_sealed_of(struct sp_mime *m);

#endif
