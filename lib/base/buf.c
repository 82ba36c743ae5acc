/*
 * A buffer with a ceiling. The sticky failure mark lets encoders be straight lines: they append, and ask once.
 */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define FIRST_CAP 64
#define SMALL_CAP                                                                                  \
    1024 /* up to here a buffer grows fourfold: what outgrows 64 bytes is mostly a text of a kilobyte */

void sp_buf_init(struct sp_buf *b, size_t max)
{
    *b = (struct sp_buf){.max = max};
}

void sp_buf_clear(struct sp_buf *b)
{
    sp_free(b->ptr);
    sp_buf_init(b, b->max);
}

void sp_buf_wipe(struct sp_buf *b)
{
    if (b->ptr != NULL)
        sp_wipe(b->ptr, b->cap);
    sp_buf_clear(b);
}

void sp_buf_reset(struct sp_buf *b)
{
    b->len = 0;
    b->failed = false;
}

enum sp_rc sp_buf_rc(const struct sp_buf *b)
{
    return b->failed ? SP_E_LIMIT : SP_OK;
}

struct sp_bytes sp_buf_bytes(const struct sp_buf *b)
{
    return sp_bytes(b->ptr, b->len);
}

uint8_t *sp_buf_reserve(struct sp_buf *b, size_t len)
{
    size_t need;
    size_t cap;

    if (b->failed || !sp_add_size(b->len, len, &need) || need > b->max) {
        b->failed = true;
        return NULL;
    }
    if (need > b->cap) {
        cap = b->cap == 0 ? FIRST_CAP : b->cap;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap < SMALL_CAP ? cap * 4 : cap * 2;
        if (cap > b->max)
            cap = b->max;
        b->ptr = sp_realloc(b->ptr, cap);
        b->cap = cap;
    }
    if (b->ptr == NULL) { /* nothing asked for yet, but the caller wants a pointer */
        b->ptr = sp_malloc(FIRST_CAP);
        b->cap = FIRST_CAP < b->max ? FIRST_CAP : b->max;
    }
    return b->ptr + b->len;
}

uint8_t *sp_buf_reserve_try(struct sp_buf *b, size_t len)
{
    uint8_t *moved;
    size_t need;

    if (!sp_add_size(b->len, len, &need) || need <= b->cap || need > b->max)
        return sp_buf_reserve(b, len);
    moved = b->failed ? NULL : sp_malloc_try(need);
    if (moved == NULL) {
        b->failed = true;
        return NULL;
    }
    if (b->len > 0)
        memcpy(moved, b->ptr, b->len);
    sp_free(b->ptr);
    b->ptr = moved;
    b->cap = need;
    return b->ptr + b->len;
}

void sp_buf_commit(struct sp_buf *b, size_t len)
{
    sp_assert(len <= b->cap - b->len);
    b->len += len;
}

void sp_buf_put(struct sp_buf *b, struct sp_bytes bytes)
{
    uint8_t *to;

    if (bytes.len == 0)
        return;
    to = sp_buf_reserve(b, bytes.len);
    if (to == NULL)
        return;
    memcpy(to, bytes.ptr, bytes.len);
    b->len += bytes.len;
}

void sp_buf_put_cstr(struct sp_buf *b, const char *s)
{
    sp_buf_put(b, sp_bytes_cstr(s));
}

static void put_le(struct sp_buf *b, uint64_t v, size_t len)
{
    uint8_t raw[8];

    for (size_t i = 0; i < len; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    sp_buf_put(b, sp_bytes(raw, len));
}

void sp_buf_put_u8(struct sp_buf *b, uint8_t v)
{
    uint8_t *to;

    if (b->len < b->cap && !b->failed) { /* by far the most */
        b->ptr[b->len++] = v;
        return;
    }
    to = sp_buf_reserve(b, 1);
    if (to == NULL)
        return;
    *to = v;
    b->len++;
}

void sp_buf_put_u16(struct sp_buf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void sp_buf_put_u32(struct sp_buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void sp_buf_put_u64(struct sp_buf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void sp_buf_put_var(struct sp_buf *b, struct sp_bytes bytes)
{
    if (bytes.len > UINT32_MAX) {
        b->failed = true;
        return;
    }
    sp_buf_put_u32(b, (uint32_t)bytes.len);
    sp_buf_put(b, bytes);
}

void sp_buf_put_dec(struct sp_buf *b, int64_t v)
{
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char text[24];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (v < 0)
        text[--at] = '-';
    sp_buf_put(b, sp_bytes(text + at, sizeof(text) - at));
}

void sp_buf_printf(struct sp_buf *b, const char *fmt, ...)
{
    va_list args;
    va_list again;
    uint8_t *to;
    int len;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    to = len < 0 ? NULL
                 : sp_buf_reserve(b, (size_t)len + 1); /* the NUL needs room, but is not content */
    if (to != NULL) {
        vsnprintf((char *)to, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
    }
    va_end(again);
}

void sp_buf_drop(struct sp_buf *b, size_t len)
{
    sp_assert(len <= b->len);
    b->len -= len;
    if (b->len > 0 && len > 0)
        memmove(b->ptr, b->ptr + len, b->len);
}

char *sp_buf_take_cstr(struct sp_buf *b)
{
    char *s = (char *)sp_realloc(b->ptr, b->len + 1);

    s[b->len] = '\0';
    sp_buf_init(b, b->max);
    return s;
}
