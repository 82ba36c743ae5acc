/*
 * Ordinary text is neither dotted nor faulty, so a block of it is asked one question for all of its bytes, in loops that a
 * compiler turns into vector instructions: is there any byte that the walk from line to line must see? Where AVX2 is
 * there, twice as many bytes fit into one instruction. Three memchr for each line took four times as long.
 */
#include "smtp/clean.h"

enum { BLOCK = 256 };

/* One block; at[-1] is readable. returns: whether nothing in it needs a closer look */
static inline __attribute__((always_inline)) bool is_clean(const uint8_t *at)
{
    uint8_t bad = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t c = at[i];
        uint8_t b = at[(ptrdiff_t)i - 1];

        bad |= (uint8_t)((c == '\n') ^ (b == '\r'));
        bad |= (uint8_t)(c == 0);
        bad |= (uint8_t)((c == '.') & (b == '\n'));
    }
    return bad == 0;
}

static inline __attribute__((always_inline)) bool is_low(const uint8_t *at)
{
    uint8_t all = 0;

    for (size_t i = 0; i < BLOCK; i++)
        all |= at[i];
    return all < 0x80;
}

static inline __attribute__((always_inline)) size_t walk_clean(struct sp_bytes b)
{
    size_t at = 1;

    while (at + BLOCK <= b.len && is_clean(b.ptr + at))
        at += BLOCK;
    return at;
}

static inline __attribute__((always_inline)) size_t walk_low(struct sp_bytes b)
{
    size_t at = 0;

    while (at + BLOCK <= b.len && is_low(b.ptr + at))
        at += BLOCK;
    return at;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t walk_clean_avx2(struct sp_bytes b)
{
    return walk_clean(b);
}

__attribute__((target("avx2"))) static size_t walk_low_avx2(struct sp_bytes b)
{
    return walk_low(b);
}

static size_t walk_clean_best(struct sp_bytes b)
{
    return __builtin_cpu_supports("avx2") ? walk_clean_avx2(b) : walk_clean(b);
}

static size_t walk_low_best(struct sp_bytes b)
{
    return __builtin_cpu_supports("avx2") ? walk_low_avx2(b) : walk_low(b);
}
#else
#define walk_clean_best walk_clean
#define walk_low_best   walk_low
#endif

size_t sp_smtp_clean_len(struct sp_bytes text, uint8_t before)
{
    size_t len;

    if (text.len <= BLOCK || text.ptr[0] == 0 || text.ptr[0] == '\n' ||
        (text.ptr[0] == '.' && before == '\n'))
        return 0;
    len = walk_clean_best(text);
    if (len == 1)
        return 0;
    return text.ptr[len - 1] == '\r' ? len - 1 : len;
}

bool sp_smtp_clean_has_high(struct sp_bytes text)
{
    for (size_t at = walk_low_best(text); at < text.len; at++)
        if (text.ptr[at] >= 0x80)
            return true;
    return false;
}
