/*
 * The one way to read binary data that came from elsewhere: every step is checked, the first failure sticks.
 */
#include "base/reader.h"

struct sp_reader sp_reader(struct sp_bytes data)
{
    return (struct sp_reader){.data = data};
}

struct sp_bytes sp_reader_take(struct sp_reader *r, size_t len)
{
    struct sp_bytes taken;

    if (r->failed || len > r->data.len - r->at) {
        r->failed = true;
        return sp_bytes(NULL, 0);
    }
    taken = sp_bytes(r->data.ptr == NULL ? NULL : r->data.ptr + r->at, len);
    r->at += len;
    return taken;
}

void sp_reader_copy(struct sp_reader *r, void *out, size_t len)
{
    struct sp_bytes taken = sp_reader_take(r, len);

    if (taken.len == len && len > 0)
        memcpy(out, taken.ptr, len);
    else if (len > 0)
        memset(out, 0, len);
}

static uint64_t take_le(struct sp_reader *r, size_t len)
{
    struct sp_bytes raw = sp_reader_take(r, len);
    uint64_t v = 0;

    for (size_t i = 0; i < raw.len; i++)
        v |= (uint64_t)raw.ptr[i] << (8 * i);
    return v;
}

uint8_t sp_reader_u8(struct sp_reader *r)
{
    return (uint8_t)take_le(r, 1);
}

uint16_t sp_reader_u16(struct sp_reader *r)
{
    return (uint16_t)take_le(r, 2);
}

uint32_t sp_reader_u32(struct sp_reader *r)
{
    return (uint32_t)take_le(r, 4);
}

uint64_t sp_reader_u64(struct sp_reader *r)
{
    return take_le(r, 8);
}

struct sp_bytes sp_reader_var(struct sp_reader *r, size_t max)
{
    uint32_t len = sp_reader_u32(r);

    if (len > max)
        r->failed = true;
    return sp_reader_take(r, len);
}

size_t sp_reader_left(const struct sp_reader *r)
{
    return r->failed ? 0 : r->data.len - r->at;
}

void sp_reader_fail(struct sp_reader *r)
{
    r->failed = true;
}

enum sp_rc sp_reader_rc(const struct sp_reader *r)
{
    return r->failed ? SP_E_MALFORMED : SP_OK;
}

enum sp_rc sp_reader_end(const struct sp_reader *r)
{
    return r->failed || r->at != r->data.len ? SP_E_MALFORMED : SP_OK;
}
