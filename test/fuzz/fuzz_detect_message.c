/*
 * Property: any message is examined to an end; its findings agree with each other, and what is called sealed shows no
 * identifier in its text.
 */
#include "base/mem.h"
#include "detect/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct sp_detect_result *r)
{
    sp_assert(r->score <= 100 && r->gap_count <= SP_DETECT_LIST_MAX);
    sp_assert(r->class >= SP_DETECT_PHI || r->special == 0);
    sp_assert(!r->partial || r->gap_count > 0);
    for (enum sp_detect_type t = 0; t < SP_DETECT_TYPES; t++) {
        sp_assert(r->types[t].distinct <= r->types[t].count && r->types[t].score <= 100);
        sp_assert((r->types[t].count == 0) == (r->types[t].score == 0));
    }
    for (size_t i = 0; i < r->gap_count; i++)
        sp_assert(r->gaps[i].why[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sp_detect
        *detect; /* one for the whole run: compiling it takes longer than an input */
    struct sp_bytes mem = sp_bytes(data, len);
    struct sp_mime_source source = sp_mime_source_bytes(&mem);
    struct sp_detect_limits limits = {.unpacked_max = 4 << 20};
    struct sp_detect_result result;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    enum sp_rc rc;

    if (detect == NULL && sp_detect_new(&detect, NULL) != SP_OK)
        return 0;
    rc = sp_detect_message(detect, &source, &limits, arena, &result);
    sp_assert(rc == SP_OK);
    check(&result);
    sp_detect_text(detect, mem, NULL, arena, &result);
    check(&result);
    return 0;
}
