/*
 * suppress's codec: an op, a count, and for each address how long it is left alone.
 */
#include "jobs/suppress.h"

#include "jobs/wire_priv.h"

void sp_jobs_suppress_encode(struct sp_buf *out, const struct sp_jobs_suppress *list)
{
    sp_buf_put_u8(out, (uint8_t)list->op);
    sp_jobs_wire_put_count(out, list->entry_count, SP_JOBS_SUPPRESS_MAX);
    for (size_t i = 0; i < list->entry_count; i++) {
        sp_jobs_wire_put_text(out, list->entries[i].address, SP_JOBS_SUPPRESS_TEXT_MAX);
        sp_buf_put_u64(out, (uint64_t)list->entries[i].until_ms);
        sp_buf_put_u8(out, list->entries[i].removed ? 1 : 0);
    }
}

enum sp_rc sp_jobs_suppress_decode(struct sp_bytes data, struct sp_arena *arena,
                                   struct sp_jobs_suppress *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_suppress list = {0};
    struct sp_jobs_suppress_entry *entries;

    list.op = sp_jobs_wire_enum(&r, SP_JOBS_SUPPRESS_OP_COUNT);
    list.entry_count = sp_jobs_wire_count(&r, SP_JOBS_SUPPRESS_MAX);
    entries = sp_arena_alloc(arena, list.entry_count * sizeof(*entries));
    for (size_t i = 0; i < list.entry_count; i++) {
        entries[i].address = sp_reader_var(&r, SP_JOBS_SUPPRESS_TEXT_MAX);
        entries[i].until_ms = (int64_t)sp_reader_u64(&r);
        entries[i].removed = sp_jobs_wire_enum(&r, 2) != 0;
    }
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    list.entries = entries;
    *out = list;
    return SP_OK;
}
