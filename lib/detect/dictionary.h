/*
 * The compiled dictionary: what detect-compile makes of data/ while the tree is built, and how it is looked up. Terms and
 * patterns lie in a serialised Hyperscan database inside the program's read-only data; what they mean, and the names of
 * people, in tables beside it. thread: any
 */
#ifndef SP_DETECT_DICTIONARY_H
#define SP_DETECT_DICTIONARY_H

#include "base/bytes.h"

enum detect_mark {
#define SP_MARK(id, name) MARK_##id,
#include "detect/marks.def"
#undef SP_MARK
    MARK_COUNT
};
#define M(id) (UINT64_C(1) << MARK_##id)

#define DETECT_TERM_CASE   1 /* matches in this case only */
#define DETECT_TERM_SUFFIX 2 /* the end of a longer word */

struct detect_term {
    uint64_t marks;
    uint8_t len; /* bytes */
    uint8_t flags;
};

/* Short words: they would end a pattern at every tenth byte, so they are looked up by whole words instead. */
#define DETECT_SHORT_LEN  4 /* letters at most */
#define DETECT_SHORT_BITS 11

struct detect_short {
    uint32_t key;   /* its letters in small ones, the first lowest; 0 is empty */
    uint32_t term;  /* index */
    uint32_t exact; /* its letters as they must be written; 0 if that does not matter */
};

/* Names and words: an open table of tags with flags in their lowest bits; 0 is empty. */
#define DETECT_GIVEN     1U
#define DETECT_SURNAME   2U
#define DETECT_WORD      4U  /* an English word that people use */
#define DETECT_FREQUENT  8U  /* among the first two thousand given names */
#define DETECT_FAMILIAR  16U /* among the first ten thousand family names */
#define DETECT_NAME_BITS 17
#define DETECT_TAG_SHIFT 5

/* Made by the build (dictionary_data.c). */
extern const struct detect_term sp_detect_terms[];
extern const uint32_t sp_detect_term_count;
extern const struct detect_short sp_detect_shorts[1U << DETECT_SHORT_BITS];
extern const uint32_t sp_detect_names[1U << DETECT_NAME_BITS];
extern const uint8_t sp_detect_database[];
extern const uint8_t sp_detect_database_end[];
extern const char sp_detect_dictionary_version[];

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

/* returns: the first slot to look at for a short word's key; go on until an empty one */
static inline uint32_t sp_detect_short_slot(uint32_t key)
{
    return (key * 2654435761U) >> (32 - DETECT_SHORT_BITS);
}

/* returns: what the word can be (DETECT_GIVEN and so on); 0 if it stands in no list */
unsigned sp_detect_word_flags(struct sp_bytes word);

#endif
