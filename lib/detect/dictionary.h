/*
 * The compiled dictionary: what detect-compile makes of data/ while the tree is built, and how it is looked up. Terms are
 * found by their first word: a filter of bits says of most words of a text that no term begins so. All of it lies in the
 * program's read-only data. thread: any
 */
#ifndef SP_DETECT_DICTIONARY_H
#define SP_DETECT_DICTIONARY_H

#include "base/bytes.h"

#include <endian.h>
#include <string.h>

enum detect_mark {
#define SP_MARK(id, name) MARK_##id,
#include "detect/marks.def"
#undef SP_MARK
    MARK_COUNT
};
#define M(id) (UINT64_C(1) << MARK_##id)

/* What the law treats as special. */
#define DETECT_SPECIAL (M(PART2) | M(PSYCHOTHERAPY) | M(HIV) | M(GENETIC))

enum detect_list {
#define SP_LIST(id, words) LIST_##id,
#include "detect/lists.def"
#undef SP_LIST
    LIST_COUNT
};

#define DETECT_TERM_CASE   1 /* matches in this case only */
#define DETECT_TERM_SUFFIX 2 /* the end of a longer word */
#define DETECT_TERM_RARE   4 /* of one that is no everyday word of English */
#define DETECT_TERM_NAME   8 /* a name as well: it counts only where it is not somebody's */

struct detect_term {
    uint64_t marks;
    uint32_t text; /* where its bytes begin; small letters unless its case matters */
    uint8_t len;   /* bytes */
    uint8_t lead;  /* of them before its first word */
    uint8_t flags;
    uint8_t last; /* of its bytes, in small letters: tells most that don't stand at a place */
};

/* The terms that are looked up under one hash: of their only word, of the first and what follows it, or of an ending. */
struct detect_head {
    uint32_t tag; /* of the hash; 0 is empty */
    uint16_t first, count;
};
#define DETECT_HEAD_BITS    14
#define DETECT_FILTER_BITS  16
#define DETECT_HEAD_LEN_MAX 40 /* bytes of a first word */
#define DETECT_FILTER_TERM  1U
#define DETECT_FILTER_PAIR  2U
#define DETECT_BEHIND_LEN                                                                          \
    3 /* bytes behind a first word that are hashed; of terms with fewer the first */
#define DETECT_ENDING_LEN 3 /* bytes of an ending that are hashed: none is shorter */

/* A word of the lists: an open table; 0 in lists is empty. */
struct detect_listed {
    uint64_t lists; /* a bit for each that has it */
    uint32_t tag;
    uint16_t text; /* where its bytes begin */
    uint8_t len;
};
#define DETECT_LISTED_BITS 11
#define DETECT_LISTED_LEN  26 /* bytes of the longest */

/* Names and words: an open table of tags with flags in their lowest bits; 0 is empty. */
#define DETECT_GIVEN     1U
#define DETECT_SURNAME   2U
#define DETECT_WORD      4U  /* an English word that people use */
#define DETECT_FREQUENT  8U  /* among the first two thousand given names */
#define DETECT_FAMILIAR  16U /* among the first ten thousand family names */
#define DETECT_RARE      32U /* an English word that few people use */
#define DETECT_NAME_BITS 19
#define DETECT_TAG_SHIFT 6

/* Made by the build (dictionary_data.c). */
extern const struct detect_term sp_detect_terms[];
extern const uint32_t sp_detect_term_count;
extern const uint8_t sp_detect_term_texts[];
extern const struct detect_head sp_detect_heads[1U << DETECT_HEAD_BITS];
extern const uint64_t sp_detect_filter[(1U << DETECT_FILTER_BITS) / 32]; /* two bits a hash */
extern const uint32_t sp_detect_names[1U << DETECT_NAME_BITS];           /* in a file of its own */
extern const uint8_t sp_detect_listed_texts[];
extern const struct detect_listed sp_detect_listed[1U << DETECT_LISTED_BITS];
extern const char sp_detect_build_version[]; /* made by compile/version.cmake */

/* returns: a hash of the word in lower case, for the table of names */
static inline uint64_t sp_detect_word_hash(struct sp_bytes word)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.ptr[i];

        c = (uint8_t)(c | ((c >= 'A' && c <= 'Z') ? 0x20 : 0));
        h = (h ^ c) * UINT64_C(0x100000001b3);
    }
    return h ^ h >> 29;
}

static inline uint64_t sp_detect_load8(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return le64toh(v);
}

static inline uint64_t sp_detect_mix(uint64_t h)
{
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

/* returns: a hash of a word (not empty) whatever its case; eight bytes from its beginning on must be readable */
static inline uint64_t sp_detect_head_hash(const uint8_t *word, size_t len)
{
    const uint64_t small = UINT64_C(0x2020202020202020);
    uint64_t mask = ~UINT64_C(0) >> (64 - 8 * (len < 8 ? len : 8));
    uint64_t first = (sp_detect_load8(word) | small) & mask,
             last = (sp_detect_load8(len > 8 ? word + len - 8 : word) | small) & mask;

    return sp_detect_mix(first + (last ^ len) * UINT64_C(0xd6e8feb86659fd93));
}

/* returns: the hash of a first word and the sign behind it, '_' as a blank */
static inline uint64_t sp_detect_short_hash(uint64_t head, uint8_t sign)
{
    return sp_detect_mix(head ^ (uint64_t)(sign == '_' ? ' ' : sign | 0x20) << 8);
}

/* returns: the hash of a first word and the bytes behind it whatever their case, '_' as a blank; four must be readable */
static inline uint64_t sp_detect_long_hash(uint64_t head, const uint8_t *behind)
{
    const uint32_t ones = 0x01010101;
    uint32_t v, bars;

    memcpy(&v, behind, sizeof(v));
    v = (le32toh(v) | 0x20 * ones) & 0xffffff; /* '_' is 0x7f now */
    bars = (((v & 0x7f * ones) + ones) & ~v) >> 7 & ones;
    return sp_detect_mix(head ^ (v - bars * (0x7f - ' ')) ^ UINT64_C(1) << 40);
}

/* returns: the hash of an ending's last three letters; four bytes must be readable */
static inline uint64_t sp_detect_ending_hash(const uint8_t *last)
{
    uint32_t v;

    memcpy(&v, last, sizeof(v));
    return sp_detect_mix(UINT64_C(0xe7d) << 32 | (le32toh(v) & 0x1f1f1f));
}

/* returns: which of the two may be there under a hash: a term or an ending; terms that go on behind their first word */
static inline unsigned sp_detect_may_be(uint64_t hash)
{
    size_t at = hash >> (64 - DETECT_FILTER_BITS);

    return (unsigned)(sp_detect_filter[at / 32] >> at % 32 * 2) & 3U;
}

static inline uint32_t sp_detect_head_tag(uint64_t hash)
{
    return (uint32_t)hash == 0 ? 1 : (uint32_t)hash;
}

/* returns: the first slot to look at for a hash; go on until an empty one */
static inline uint32_t sp_detect_head_slot(uint64_t hash)
{
    return (uint32_t)(hash >> 20) & ((1U << DETECT_HEAD_BITS) - 1);
}

/* returns: the first slot to look at for a word of lists; go on until an empty one */
static inline uint32_t sp_detect_listed_slot(uint64_t hash)
{
    return (uint32_t)(hash >> 40) & ((1U << DETECT_LISTED_BITS) - 1);
}

/* returns: whether a list has the word; eight bytes from its beginning on must be readable, as they are in a window */
bool sp_detect_is_in(struct sp_bytes word, enum detect_list list);

/* returns: what the word can be (DETECT_GIVEN and so on); 0 if it stands in no list */
unsigned sp_detect_word_flags(struct sp_bytes word);

#endif
