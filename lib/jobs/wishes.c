/*
 * wishes' codec: an op, a count, and for each pair of tenant and address what was chosen, when, and until when.
 */
#include "jobs/wishes.h"

#include "jobs/wire_priv.h"

#define ENTRY_LEN_MIN                                                                              \
    26 /* of an entry with empty texts: what can't be there is not made room for */

void sp_jobs_wishes_encode(struct sp_buf *out, const struct sp_jobs_wishes *list)
{
    sp_buf_put_u8(out, (uint8_t)list->op);
    sp_jobs_wire_put_count(out, list->entry_count, SP_JOBS_WISHES_MAX);
    for (size_t i = 0; i < list->entry_count; i++) {
        const struct sp_jobs_wish *e = &list->entries[i];

        sp_jobs_wire_put_text(out, e->tenant, SP_JOBS_WISHES_TEXT_MAX);
        sp_jobs_wire_put_text(out, e->address, SP_JOBS_WISHES_TEXT_MAX);
        sp_buf_put_u8(out, e->preference);
        sp_buf_put_u64(out, (uint64_t)e->given_ms);
        sp_buf_put_u64(out, (uint64_t)e->until_ms);
        sp_buf_put_u8(out, e->removed ? 1 : 0);
    }
}

enum sp_rc sp_jobs_wishes_decode(struct sp_bytes data, struct sp_arena *arena,
                                 struct sp_jobs_wishes *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_wishes list = {0};
    struct sp_jobs_wish *entries;

    list.op = sp_jobs_wire_enum(&r, SP_JOBS_WISHES_OP_COUNT);
    list.entry_count = sp_jobs_wire_count(&r, SP_JOBS_WISHES_MAX);
    if (list.entry_count > sp_reader_left(&r) / ENTRY_LEN_MIN)
        return SP_E_MALFORMED;
    entries = sp_arena_alloc(arena, list.entry_count * sizeof(*entries));
    for (size_t i = 0; i < list.entry_count; i++) {
        entries[i].tenant = sp_reader_var(&r, SP_JOBS_WISHES_TEXT_MAX);
        entries[i].address = sp_reader_var(&r, SP_JOBS_WISHES_TEXT_MAX);
        entries[i].preference = sp_reader_u8(&r);
        entries[i].given_ms = (int64_t)sp_reader_u64(&r);
        entries[i].until_ms = (int64_t)sp_reader_u64(&r);
        entries[i].removed = sp_jobs_wire_bool(&r);
    }
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    list.entries = entries;
    *out = list;
    return SP_OK;
}
