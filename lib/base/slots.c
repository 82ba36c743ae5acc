/*
 * Handles for things that answers come back to. A handle holds slot and generation: when its thing is gone, a late
 * answer finds nothing, even if the slot has been given to another.
 */
#include "base/map.h"

struct slot {
    void *value;
    uint32_t generation;
    uint32_t next_free; /* number + 1, 0 at the end */
};

struct sp_slots {
    struct slot *slots;
    uint32_t cap;
    uint32_t first_free; /* number + 1 */
    size_t count;
};

struct sp_slots *sp_slots_new(void)
{
    return sp_calloc(1, sizeof(struct sp_slots));
}

void sp_slots_free(struct sp_slots *s)
{
    if (s == NULL)
        return;
    sp_free(s->slots);
    sp_free(s);
}

static void grow(struct sp_slots *s)
{
    uint32_t cap = s->cap == 0 ? 16 : s->cap * 2;

    sp_assert(cap > s->cap);
    s->slots = sp_realloc(s->slots, cap * sizeof(*s->slots));
    for (uint32_t i = cap; i-- > s->cap;) {
        s->slots[i] = (struct slot){.generation = 1, .next_free = s->first_free};
        s->first_free = i + 1;
    }
    s->cap = cap;
}

sp_handle sp_slots_add(struct sp_slots *s, void *value)
{
    struct slot *slot;
    uint32_t number;

    sp_assert(value != NULL);
    if (s->first_free == 0)
        grow(s);
    number = s->first_free - 1;
    slot = &s->slots[number];
    s->first_free = slot->next_free;
    slot->value = value;
    s->count++;
    return (sp_handle)slot->generation << 32 | number;
}

static struct slot *locate(const struct sp_slots *s, sp_handle h)
{
    uint32_t number = (uint32_t)h;

    if (number >= s->cap || s->slots[number].generation != (uint32_t)(h >> 32) ||
        s->slots[number].value == NULL)
        return NULL;
    return &s->slots[number];
}

void *sp_slots_find(const struct sp_slots *s, sp_handle h)
{
    struct slot *slot = locate(s, h);

    return slot == NULL ? NULL : slot->value;
}

void *sp_slots_remove(struct sp_slots *s, sp_handle h)
{
    struct slot *slot = locate(s, h);
    void *value;

    if (slot == NULL)
        return NULL;
    value = slot->value;
    slot->value = NULL;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = s->first_free;
    s->first_free = (uint32_t)(slot - s->slots) + 1;
    s->count--;
    return value;
}

size_t sp_slots_count(const struct sp_slots *s)
{
    return s->count;
}
