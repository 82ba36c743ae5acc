/*
 * A chain of blocks, newest first; an allocation is a step of a pointer. Resetting keeps the oldest block, so that what
 * runs again and again with the same needs stops asking the system for memory.
 */
#include "base/arena.h"

#include <stdalign.h>

#define BLOCK_MAX (64 * 1024)
#define ALIGN     alignof(max_align_t)

struct block {
    struct block *older;
    size_t cap;
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

struct sp_arena {
    struct block *newest;
    size_t next_cap;
    size_t size;
};

static struct block *add_block(struct sp_arena *a, size_t cap)
{
    struct block *b = sp_malloc(sizeof(*b) + cap);

    b->older = a->newest;
    b->cap = cap;
    b->used = 0;
    a->newest = b;
    a->size += sizeof(*b) + cap;
    return b;
}

struct sp_arena *sp_arena_new(size_t block_len)
{
    struct sp_arena *a = sp_calloc(1, sizeof(*a));

    a->next_cap = block_len < 128 ? 128 : block_len;
    add_block(a, a->next_cap);
    return a;
}

static void free_blocks(struct sp_arena *a, struct block *until)
{
    while (a->newest != until) {
        struct block *b = a->newest;

        a->newest = b->older;
        a->size -= sizeof(*b) + b->cap;
        sp_free(b);
    }
}

void sp_arena_free(struct sp_arena *a)
{
    if (a == NULL)
        return;
    free_blocks(a, NULL);
    sp_free(a);
}

void sp_arena_reset(struct sp_arena *a)
{
    struct block *first = a->newest;

    while (first->older != NULL)
        first = first->older;
    free_blocks(a, first);
    first->used = 0;
}

void *sp_arena_alloc(struct sp_arena *a, size_t len)
{
    struct block *b = a->newest;
    size_t need;
    void *p;

    sp_assert(sp_add_size(len, ALIGN - 1, &need));
    need &= ~(size_t)(ALIGN - 1);
    if (need > b->cap - b->used) {
        if (a->next_cap < BLOCK_MAX)
            a->next_cap *= 2;
        b = add_block(a, need > a->next_cap ? need : a->next_cap);
    }
    p = b->data + b->used;
    b->used += need;
    memset(p, 0, need);
    return p;
}

struct sp_bytes sp_arena_copy(struct sp_arena *a, struct sp_bytes b)
{
    uint8_t *p = sp_arena_alloc(a, b.len == 0 ? 1 : b.len);

    if (b.len > 0)
        memcpy(p, b.ptr, b.len);
    return sp_bytes(p, b.len);
}

char *sp_arena_cstr(struct sp_arena *a, struct sp_bytes b)
{
    char *p = sp_arena_alloc(a, b.len + 1);

    if (b.len > 0)
        memcpy(p, b.ptr, b.len);
    return p;
}

size_t sp_arena_size(const struct sp_arena *a)
{
    return a->size;
}
