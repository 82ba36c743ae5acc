/*
 * Integers little-endian, texts and lists with a length in front, enums as one byte. Every limit is checked on both
 * sides: the sender is our own code, but a role that was broken into writes what it likes.
 */
#include "jobs/wire_priv.h"

void sp_jobs_wire_put_text(struct sp_buf *out, struct sp_bytes text, size_t max)
{
    if (text.len > max)
        out->failed = true;
    else
        sp_buf_put_var(out, text);
}

void sp_jobs_wire_put_count(struct sp_buf *out, size_t count, size_t max)
{
    if (count > max)
        out->failed = true;
    else
        sp_buf_put_u32(out, (uint32_t)count);
}

void sp_jobs_wire_put_texts(struct sp_buf *out, const struct sp_bytes *list, size_t count,
                            size_t max)
{
    for (size_t i = 0; i < count; i++)
        sp_jobs_wire_put_text(out, list[i], max);
}

size_t sp_jobs_wire_count(struct sp_reader *r, size_t max)
{
    uint32_t count = sp_reader_u32(r);

    /* an entry takes a byte at least: a short frame can't ask for much memory */
    if (count > max || count > sp_reader_left(r)) {
        sp_reader_fail(r);
        return 0;
    }
    return count;
}

unsigned sp_jobs_wire_enum(struct sp_reader *r, unsigned count)
{
    unsigned value = sp_reader_u8(r);

    if (value < count)
        return value;
    sp_reader_fail(r);
    return 0;
}

bool sp_jobs_wire_bool(struct sp_reader *r)
{
    return sp_jobs_wire_enum(r, 2) == 1;
}

const struct sp_bytes *sp_jobs_wire_texts(struct sp_reader *r, struct sp_arena *arena, size_t count,
                                          size_t text_max)
{
    struct sp_bytes *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++)
        list[i] = sp_reader_var(r, text_max);
    return list;
}
