/*
 * posture's codec.
 */
#include "jobs/posture.h"

#include "jobs/wire_priv.h"

void sp_jobs_posture_encode(struct sp_buf *out, const struct sp_jobs_posture *posture)
{
    sp_buf_put_u8(out, (uint8_t)posture->op);
    sp_jobs_wire_put_count(out, posture->entry_count, SP_JOBS_POSTURE_MAX);
    for (size_t i = 0; i < posture->entry_count; i++) {
        const struct sp_jobs_posture_entry *e = &posture->entries[i];

        sp_jobs_wire_put_text(out, e->domain, SP_JOBS_POSTURE_TEXT_MAX);
        sp_jobs_wire_put_text(out, e->best, SP_JOBS_POSTURE_TEXT_MAX);
        sp_buf_put_u64(out, (uint64_t)e->proved_at_ms);
        sp_buf_put_u64(out, (uint64_t)e->accepted_at_ms);
        sp_jobs_wire_put_text(out, e->sts, SP_JOBS_POSTURE_STS_MAX);
        sp_jobs_wire_put_text(out, e->sts_id, SP_JOBS_POSTURE_TEXT_MAX);
        sp_buf_put_u64(out, (uint64_t)e->sts_until_ms);
    }
}

enum sp_rc sp_jobs_posture_decode(struct sp_bytes data, struct sp_arena *arena,
                                  struct sp_jobs_posture *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_posture posture = {0};
    struct sp_jobs_posture_entry *list;

    posture.op = sp_jobs_wire_enum(&r, SP_JOBS_POSTURE_OP_COUNT);
    posture.entry_count = sp_jobs_wire_count(&r, SP_JOBS_POSTURE_MAX);
    list = sp_arena_alloc(arena, posture.entry_count * sizeof(*list));
    for (size_t i = 0; i < posture.entry_count; i++) {
        list[i].domain = sp_reader_var(&r, SP_JOBS_POSTURE_TEXT_MAX);
        list[i].best = sp_reader_var(&r, SP_JOBS_POSTURE_TEXT_MAX);
        list[i].proved_at_ms = (int64_t)sp_reader_u64(&r);
        list[i].accepted_at_ms = (int64_t)sp_reader_u64(&r);
        list[i].sts = sp_reader_var(&r, SP_JOBS_POSTURE_STS_MAX);
        list[i].sts_id = sp_reader_var(&r, SP_JOBS_POSTURE_TEXT_MAX);
        list[i].sts_until_ms = (int64_t)sp_reader_u64(&r);
    }
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    posture.entries = list;
    *out = posture;
    return SP_OK;
}
