/*
 * Property: whatever stands in an organisation's file or index, it is refused or can be used; a text judged with it has its
 * findings inside and in order. The input is the file, a NUL, the index, a NUL and the text.
 */
#include "base/mem.h"
#include "detect/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t key[SP_DETECT_EXACT_KEY_LEN] = {7, 1, 9};

static struct sp_bytes cut(struct sp_bytes *rest)
{
    size_t at = sp_bytes_find(*rest, 0);
    struct sp_bytes part = sp_bytes_slice(*rest, 0, at);

    *rest = at == SIZE_MAX ? (struct sp_bytes){0} : sp_bytes_slice(*rest, at + 1, SIZE_MAX);
    return part;
}

/* Half of the inputs get an index that is right, so that looking up is reached. */
static struct sp_detect_exact *open_index(struct sp_bytes index, struct sp_buf *made)
{
    struct sp_detect_exact *exact = NULL;
    struct sp_err err = {0};

    if (index.len > 0 && (index.ptr[0] & 1) != 0) {
        SP_AUTO(sp_detect_index) x = sp_detect_index_new(sp_bytes(key, sizeof(key)));

        (void)sp_detect_index_add_value(x, SP_DETECT_MRN, index);
        (void)sp_detect_index_add_name(x, SP_LIT("Sunny"), index);
        if (sp_detect_index_finish(x, made) != SP_OK)
            return NULL;
        index = sp_buf_bytes(made);
    }
    if (sp_detect_exact_open(index, sp_bytes(key, sizeof(key)), &exact, &err) != SP_OK)
        return NULL;
    return exact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sp_detect *detect;
    struct sp_bytes rest = sp_bytes(data, len), file = cut(&rest), index = cut(&rest);
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_detect_own *own = NULL;
    struct sp_detect_limits limits = {.findings = true};
    struct sp_detect_result result;
    struct sp_buf made;

    if (detect == NULL && sp_detect_new(&detect, NULL) != SP_OK)
        return 0;
    sp_buf_init(&made, 4096);
    if (sp_detect_own_load(detect, file, "own.json", open_index(index, &made), problems, &own) ==
        SP_OK) {
        limits.own = own;
        sp_detect_text(detect, rest, &limits, arena, &result);
        for (size_t i = 0; i < result.finding_count; i++) {
            const struct sp_detect_finding *f = &result.findings[i];

            sp_assert(f->start < f->end && f->score <= 100);
            sp_assert(i == 0 || result.findings[i - 1].start <= f->start);
        }
    }
    sp_detect_own_free(own);
    sp_buf_clear(&made);
    return 0;
}
