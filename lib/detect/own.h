/*
 * What an organisation adds to the detector: patterns of its own numbers, terms of its own, names that are nobody's, and exact
 * data: keyed HMACs of its patients' names and numbers, so that those are found without being stored.
 *
 *     {"version": 1,
 *      "patterns": [{"name": "chart", "type": "MRN", "pattern": "CH-[0-9]{6}", "near": ["chart"], "check": "luhn", "score": 90}],
 *      "terms": {"health": ["Bluebird clinic"], "patient": ["camper"], "ignore": ["Mercy Whitfield"]}}
 *
 * pattern is what Hyperscan takes of Perl's regular expressions, whatever the case, byte by byte; a match counts as whole words, with one of
 * the words of near (if there are any) at most 60 bytes before it. check: "none", "luhn", "mod11" (weights 2, 3, ... from
 * the digit before the last one; 10 is written X). thread: any (one at a time)
 */
#ifndef SP_DETECT_OWN_H
#define SP_DETECT_OWN_H

#include "detect/detect.h"
#include "json/problem.h"

#define SP_DETECT_OWN_PATTERNS_MAX 64
#define SP_DETECT_OWN_TERMS_MAX    1000
#define SP_DETECT_OWN_SPECIALS_MAX 16 /* special classes of its own */

/*
 * The name of the i-th special category of a result (bit i of its `special`): the detector's own first.
 *
 * own:     of the scan; NULL for none
 * returns: the name, lent; NULL if there are no more
 */
const char *sp_detect_own_special(const struct sp_detect_own *own, size_t i);

struct sp_detect_own;
struct sp_detect_exact;

/*
 * Reads the file and compiles it (milliseconds to a second).
 *
 * d:        where it will be used: gets the scratch space that it needs
 * exact:    found beside it, or NULL; becomes the new one's in any case
 * problems: gets all that is wrong at once
 * out:      owner: the caller, to sp_detect_own_free
 * returns:  SP_OK, or the first problem's code
 */
SP_MUST_CHECK enum sp_rc sp_detect_own_load(struct sp_detect *d, struct sp_bytes text,
                                            const char *file, struct sp_detect_exact *exact,
                                            struct sp_problems *problems,
                                            struct sp_detect_own **out);
/* NULL is allowed. */
void sp_detect_own_free(struct sp_detect_own *own);
SP_AUTO_DEFINE(sp_detect_own)

/* ---- exact data: an index of keyed HMACs ---- */

#define SP_DETECT_EXACT_KEY_LEN 32
#define SP_DETECT_EXACT_MAX     5000000 /* values */

/*
 * Opens an index that sp_detect_index_finish made.
 *
 * index:   lent: must stay as long as the result
 * key:     the one that it was made with, SP_DETECT_EXACT_KEY_LEN bytes; copied
 * returns: SP_OK; SP_E_MALFORMED (no index, or damaged), SP_E_CRYPT_KEY (another key)
 */
SP_MUST_CHECK enum sp_rc sp_detect_exact_open(struct sp_bytes index, struct sp_bytes key,
                                              struct sp_detect_exact **out, struct sp_err *err);
/* Wipes the key. NULL is allowed. */
void sp_detect_exact_free(struct sp_detect_exact *x);
SP_AUTO_DEFINE(sp_detect_exact)
/* returns: how many values it holds */
size_t sp_detect_exact_count(const struct sp_detect_exact *x);

struct sp_detect_index;

/* owner: the caller. key: copied, SP_DETECT_EXACT_KEY_LEN bytes. returns: an empty index being made */
struct sp_detect_index *sp_detect_index_new(struct sp_bytes key);
void sp_detect_index_free(struct sp_detect_index *x);
SP_AUTO_DEFINE(sp_detect_index)
/* Adds a person by given and family name. returns: false if they say too little to be told from other words */
bool sp_detect_index_add_name(struct sp_detect_index *x, struct sp_bytes given,
                              struct sp_bytes family);
/* Adds a number of a person's. returns: false if it has fewer than five letters and digits, or no digit */
bool sp_detect_index_add_value(struct sp_detect_index *x, enum sp_detect_type type,
                               struct sp_bytes value);
/* Appends the index, each value once. returns: SP_OK, or SP_E_LIMIT (more than SP_DETECT_EXACT_MAX, or more than out holds) */
SP_MUST_CHECK enum sp_rc sp_detect_index_finish(struct sp_detect_index *x, struct sp_buf *out);

#define SP_DETECT_VERSION_LEN 40
/*
 * Writes the version of the detector with what an organisation adds to it: whatever could change a verdict.
 *
 * text:  the file of patterns; index: of exact data. Both empty: nothing is added
 */
void sp_detect_own_version(struct sp_bytes text, struct sp_bytes index,
                           char out[SP_DETECT_VERSION_LEN]);

/* returns: the type of that name ("MRN"), or SP_DETECT_TYPES */
enum sp_detect_type sp_detect_type_of(struct sp_bytes name);

#endif
