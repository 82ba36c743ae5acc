/* The dictionary that the build compiled: looking names and words up. */
#include "detect/detect_priv.h"

#define TAG_MASK (~((1U << DETECT_TAG_SHIFT) - 1))
#define SLOTS    (1U << DETECT_NAME_BITS)

unsigned sp_detect_word_flags(struct sp_bytes word)
{
    uint64_t h = sp_detect_word_hash(word);
    uint32_t tag = (uint32_t)(h >> (32 + DETECT_TAG_SHIFT)) << DETECT_TAG_SHIFT;
    size_t at = h & (SLOTS - 1);

    if (tag == 0)
        tag = 1U << DETECT_TAG_SHIFT;
    while (sp_detect_names[at] != 0) {
        if ((sp_detect_names[at] & TAG_MASK) == tag)
            return sp_detect_names[at] & ~TAG_MASK;
        at = (at + 1) & (SLOTS - 1);
    }
    return 0;
}

static bool is_text(struct sp_bytes word, const struct detect_listed *l)
{
    const uint8_t *text = sp_detect_listed_texts + l->text;

    if (word.len != l->len)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (sp_ascii_lower(word.ptr[i]) != text[i])
            return false;
    return true;
}

bool sp_detect_is_in(struct sp_bytes word, enum detect_list list)
{
    uint64_t hash;
    uint32_t at, tag;

    if (word.len == 0 || word.len > DETECT_LISTED_LEN)
        return false;
    hash = sp_detect_head_hash(word.ptr, word.len);
    tag = sp_detect_head_tag(hash);
    for (at = sp_detect_listed_slot(hash); sp_detect_listed[at].lists != 0;
         at = (at + 1) & ((1U << DETECT_LISTED_BITS) - 1))
        if (sp_detect_listed[at].tag == tag && is_text(word, &sp_detect_listed[at]))
            return (sp_detect_listed[at].lists >> list & 1) != 0;
    return false;
}
