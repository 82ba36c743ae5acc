/*
 * contacts' codec: an op, two flags, since when, the oldest day, a count, and for each pair its hash and day.
 */
#include "jobs/contacts.h"

#include "jobs/wire_priv.h"

void sp_jobs_contacts_encode(struct sp_buf *out, const struct sp_jobs_contacts *list)
{
    sp_buf_put_u8(out, (uint8_t)list->op);
    sp_buf_put_u8(out, list->kept ? 1 : 0);
    sp_buf_put_u8(out, list->full ? 1 : 0);
    sp_buf_put_u64(out, (uint64_t)list->since_ms);
    sp_buf_put_u16(out, list->oldest);
    sp_jobs_wire_put_count(out, list->entry_count, SP_JOBS_CONTACTS_MAX);
    for (size_t i = 0; i < list->entry_count; i++) {
        sp_buf_put_u64(out, list->entries[i].hash);
        sp_buf_put_u16(out, list->entries[i].day);
    }
}

enum sp_rc sp_jobs_contacts_decode(struct sp_bytes data, struct sp_arena *arena,
                                   struct sp_jobs_contacts *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_contacts list = {0};
    struct sp_jobs_contact *entries;

    list.op = sp_jobs_wire_enum(&r, SP_JOBS_CONTACTS_OP_COUNT);
    list.kept = sp_jobs_wire_bool(&r);
    list.full = sp_jobs_wire_bool(&r);
    list.since_ms = (int64_t)sp_reader_u64(&r);
    list.oldest = sp_reader_u16(&r);
    list.entry_count = sp_jobs_wire_count(&r, SP_JOBS_CONTACTS_MAX);
    if (list.entry_count > sp_reader_left(&r) / 10)
        return SP_E_MALFORMED;
    entries = sp_arena_alloc(arena, list.entry_count * sizeof(*entries));
    for (size_t i = 0; i < list.entry_count; i++) {
        entries[i].hash = sp_reader_u64(&r);
        entries[i].day = sp_reader_u16(&r);
    }
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    list.entries = entries;
    *out = list;
    return SP_OK;
}
