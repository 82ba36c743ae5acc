/*
 * Property: whatever a text holds, each finding lies inside it, in order, and the verdict does not depend on whether places
 * are asked for. Reaches the readers of tables and markup and the verifiers of all numbers.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "detect/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t code_points(struct sp_bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += (text.ptr[i] & 0xc0) != 0x80;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sp_detect *detect;
    struct sp_bytes text = sp_bytes(data, len);
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_detect_limits limits = {.findings = true};
    struct sp_detect_result plain, placed;

    if (detect == NULL && sp_detect_new(&detect, NULL) != SP_OK)
        return 0;
    sp_detect_text(detect, text, NULL, arena, &plain);
    sp_detect_text(detect, text, &limits, arena, &placed);
    sp_assert(plain.class == placed.class && plain.score == placed.score);
    for (size_t i = 0; i < placed.finding_count; i++) {
        const struct sp_detect_finding *f = &placed.findings[i];

        sp_assert(f->start < f->end && f->score <= 100);
        sp_assert(i == 0 || placed.findings[i - 1].start <= f->start);
        sp_assert(!sp_utf8_is_valid(text) || f->end <= code_points(text));
    }
    return 0;
}
