/* The dictionary that the build compiled: loading its database, looking names up. Loading copies half a megabyte. */
#include "detect/detect_priv.h"

#define TAG_MASK (~((1U << DETECT_TAG_SHIFT) - 1))
#define SLOTS    (1U << DETECT_NAME_BITS)

enum sp_rc sp_detect_dictionary_load(struct sp_detect *d, struct sp_err *err)
{
    size_t len = (uintptr_t)sp_detect_database_end - (uintptr_t)sp_detect_database;

    if (hs_valid_platform() != HS_SUCCESS)
        return sp_fail(err, SP_E_SCAN_FAILED, "this processor lacks SSSE3");
    if (hs_deserialize_database((const char *)sp_detect_database, len, &d->db) != HS_SUCCESS)
        return sp_fail(err, SP_E_SCAN_FAILED, "the dictionary is not for this Hyperscan");
    if (hs_alloc_scratch(d->db, &d->scratch) != HS_SUCCESS)
        return sp_fail(err, SP_E_SCAN_FAILED, "no scratch space for the patterns");
    return SP_OK;
}

unsigned sp_detect_word_flags(struct sp_bytes word)
{
    uint64_t h = sp_detect_word_hash(word);
    uint32_t tag = (uint32_t)(h >> 37) << DETECT_TAG_SHIFT;
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
