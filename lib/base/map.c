/*
 * A hash map with open addressing and linear probing, after Knuth; removing shifts the followers back, so there are no
 * graves. Keys are copied: whoever puts a domain name here need not keep the packet that it came in.
 */
#include "base/map.h"

#include "base/clock.h"

struct entry {
    uint64_t hash;
    uint8_t *key;
    size_t key_len;
    void *value; /* NULL: the place is free */
};

struct sp_map {
    uint8_t seed[16];
    struct entry *entries;
    size_t cap; /* a power of two */
    size_t count;
};

struct sp_map *sp_map_new(void)
{
    struct sp_map *m = sp_calloc(1, sizeof(*m));

    sp_random_fill(sp_random_system(), m->seed, sizeof(m->seed));
    m->cap = 16;
    m->entries = sp_calloc(m->cap, sizeof(*m->entries));
    return m;
}

void sp_map_free(struct sp_map *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->cap; i++)
        if (m->entries[i].value != NULL)
            sp_free(m->entries[i].key);
    sp_free(m->entries);
    sp_free(m);
}

/* The entry of a key, or the free place where it would go. */
static struct entry *locate(const struct sp_map *m, struct sp_bytes key, uint64_t hash)
{
    size_t mask = m->cap - 1;

    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct entry *e = &m->entries[i];

        if (e->value == NULL || (e->hash == hash && sp_bytes_eq(sp_bytes(e->key, e->key_len), key)))
            return e;
    }
}

static void grow(struct sp_map *m)
{
    struct entry *old = m->entries;
    size_t old_cap = m->cap;

    m->cap *= 2;
    m->entries = sp_calloc(m->cap, sizeof(*m->entries));
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].value != NULL)
            *locate(m, sp_bytes(old[i].key, old[i].key_len), old[i].hash) = old[i];
    sp_free(old);
}

void *sp_map_find(const struct sp_map *m, struct sp_bytes key)
{
    return locate(m, key, sp_bytes_hash(key, m->seed))->value;
}

void *sp_map_put(struct sp_map *m, struct sp_bytes key, void *value)
{
    uint64_t hash = sp_bytes_hash(key, m->seed);
    struct entry *e;
    void *before;

    sp_assert(value != NULL);
    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);
    e = locate(m, key, hash);
    before = e->value;
    if (before == NULL) {
        e->hash = hash;
        e->key = sp_malloc(key.len);
        e->key_len = key.len;
        if (key.len > 0)
            memcpy(e->key, key.ptr, key.len);
        m->count++;
    }
    e->value = value;
    return before;
}

void *sp_map_remove(struct sp_map *m, struct sp_bytes key)
{
    struct entry *e = locate(m, key, sp_bytes_hash(key, m->seed));
    size_t mask = m->cap - 1;
    size_t hole = (size_t)(e - m->entries);
    void *value = e->value;

    if (value == NULL)
        return NULL;
    sp_free(e->key);
    m->count--;
    for (size_t i = (hole + 1) & mask; m->entries[i].value != NULL; i = (i + 1) & mask) {
        size_t home = (size_t)m->entries[i].hash & mask;

        /* may it move into the hole? only if its home does not lie behind the hole */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole] = (struct entry){0};
    return value;
}

size_t sp_map_count(const struct sp_map *m)
{
    return m->count;
}

/* Visits those whose home is this place: they lie in it, or behind it up to the next free one. */
static void visit_home(const struct sp_map *m, size_t home, void (*visit)(void *arg, void *value),
                       void *arg)
{
    size_t mask = m->cap - 1;

    for (size_t i = home; m->entries[i].value != NULL; i = (i + 1) & mask)
        if ((m->entries[i].hash & mask) == home)
            visit(arg, m->entries[i].value);
}

bool sp_map_walk(const struct sp_map *m, struct sp_map_walk *w, size_t places,
                 void (*visit)(void *arg, void *value), void *arg)
{
    /* By homes, which no other entry's coming or going changes; when the map grows, one home becomes several that
     * lie as far apart as the map was long. */
    if (w->places == 0)
        w->places = m->cap;
    for (; places > 0 && w->next < w->places; places--, w->next++)
        for (size_t home = w->next; home < m->cap; home += w->places)
            visit_home(m, home, visit, arg);
    return w->next < w->places;
}

/* The lowest free place; there always is one. */
static size_t first_free(const struct sp_map *m)
{
    size_t i = 0;

    while (m->entries[i].value != NULL)
        i++;
    return i;
}

bool sp_map_next(const struct sp_map *m, size_t *at, struct sp_bytes *key, void **value)
{
    /* Downwards from a free place, which no run of entries crosses: removing the entry just returned then shifts only
     * entries that were seen. The low half of *at counts steps, the high half holds the start. */
    size_t start;

    if (*at == 0)
        *at = first_free(m) << 32;
    start = *at >> 32;
    for (size_t step = (*at & UINT32_MAX) + 1; step < m->cap; step++) {
        const struct entry *e = &m->entries[(start - step) & (m->cap - 1)];

        if (e->value == NULL)
            continue;
        if (key != NULL)
            *key = sp_bytes(e->key, e->key_len);
        if (value != NULL)
            *value = e->value;
        *at = start << 32 | step;
        return true;
    }
    return false;
}
