/*
 * Small things are copied, so that all of a turn leaves in one piece of memory; a body is not. It lies between what was
 * written before and behind it, and all three leave in one call. When its lender goes, what is left of it is copied.
 */
#include "io/output_priv.h"

void sp_output_init(struct sp_output *o)
{
    *o = (struct sp_output){.at = 0};
    sp_buf_init(&o->own, SIZE_MAX / 2);
}

void sp_output_clear(struct sp_output *o)
{
    sp_buf_clear(&o->own);
    o->at = 0;
    o->lent = sp_bytes(NULL, 0);
}

size_t sp_output_len(const struct sp_output *o)
{
    return o->own.len - o->at + o->lent.len;
}

/* Where nothing is left, the memory is used from its start again. */
static void begin(struct sp_output *o)
{
    if (sp_output_len(o) > 0)
        return;
    sp_buf_reset(&o->own);
    o->at = 0;
}

void sp_output_put(struct sp_output *o, struct sp_bytes bytes)
{
    begin(o);
    sp_buf_put(&o->own, bytes);
}

bool sp_output_lend(struct sp_output *o, struct sp_bytes bytes)
{
    if (o->lent.len > 0)
        return false;
    begin(o);
    o->lent = bytes;
    o->lent_at = o->own.len;
    return true;
}

void sp_output_end_lending(struct sp_output *o)
{
    struct iovec iov[SP_OUTPUT_PIECES];
    struct sp_buf all;
    size_t count;

    if (o->lent.len == 0)
        return;
    sp_buf_init(&all, o->own.max);
    count = sp_output_list(o, iov);
    for (size_t i = 0; i < count; i++)
        sp_buf_put(&all, sp_bytes(iov[i].iov_base, iov[i].iov_len));
    sp_output_clear(o);
    o->own = all;
}

size_t sp_output_list(const struct sp_output *o, struct iovec *iov)
{
    size_t end = o->lent.len > 0 ? o->lent_at : o->own.len;
    size_t n = 0;

    if (end > o->at)
        iov[n++] = (struct iovec){o->own.ptr + o->at, end - o->at};
    if (o->lent.len > 0)
        iov[n++] = (struct iovec){(void *)o->lent.ptr, o->lent.len};
    if (o->own.len > end)
        iov[n++] = (struct iovec){o->own.ptr + end, o->own.len - end};
    return n;
}

void sp_output_drop(struct sp_output *o, size_t n)
{
    size_t before = o->lent.len > 0 ? o->lent_at - o->at : n;
    size_t lent = 0;

    if (n > before)
        lent = n - before < o->lent.len ? n - before : o->lent.len;
    o->lent = sp_bytes_slice(o->lent, lent, o->lent.len);
    o->at += n - lent;
}

void sp_output_trim(struct sp_output *o, size_t max)
{
    if (o->at <= max)
        return;
    sp_buf_drop(&o->own, o->at);
    if (o->lent.len > 0)
        o->lent_at -= o->at;
    o->at = 0;
}
