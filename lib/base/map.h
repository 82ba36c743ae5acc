/*
 * Containers: a hash map from bytes to a pointer, a heap ordered by a 64-bit key, a list through its members, and slots whose
 * handles carry a generation, so that a stale handle finds nothing. thread: any (one at a time)
 */
#ifndef SP_BASE_MAP_H
#define SP_BASE_MAP_H

#include "base/bytes.h"
#include "base/mem.h"

/* ---- map: keys are copied, values are lent ---- */
struct sp_map;

/* owner: the caller. returns: an empty map with a random hash key */
struct sp_map *sp_map_new(void);
/* Frees the map and its keys, not the values. NULL is allowed. */
void sp_map_free(struct sp_map *m);
SP_AUTO_DEFINE(sp_map)
/* returns: the value, or NULL. cost: O(1) */
void *sp_map_find(const struct sp_map *m, struct sp_bytes key);
/* Sets or replaces; value is not NULL. returns: the value that was there before, or NULL. cost: O(1) amortised */
void *sp_map_put(struct sp_map *m, struct sp_bytes key, void *value);
/* returns: the value that was removed, or NULL */
void *sp_map_remove(struct sp_map *m, struct sp_bytes key);
size_t sp_map_count(const struct sp_map *m);
/*
 * Walks in no order. at: 0 to begin, else what the last call left; the map must not change but by removing the entry
 * just returned.
 * returns: false at the end
 */
bool sp_map_next(const struct sp_map *m, size_t *at, struct sp_bytes *key, void **value);

/* A walk in several steps, between which the map may change. All zero to begin. */
struct sp_map_walk {
    size_t places; /* that it had at the beginning */
    size_t next;
};
/*
 * Walks on, in no order: what is in the map from the beginning to the end of the walk is visited once, what comes or goes
 * meanwhile once or not at all.
 *
 * places:  how many of the map's places this step takes; a place has one value or none mostly
 * visit:   must not change the map
 * returns: whether there is more
 */
bool sp_map_walk(const struct sp_map *m, struct sp_map_walk *w, size_t places,
                 void (*visit)(void *arg, void *value), void *arg);

/* ---- heap: the least key first; the node lies in the caller's struct ---- */
struct sp_heap_node {
    int64_t key;
    size_t index; /* the heap's own; SIZE_MAX when not in a heap */
};
struct sp_heap {
    struct sp_heap_node **nodes;
    size_t count;
    size_t cap;
};
/* Marks a node as in no heap. */
void sp_heap_node_init(struct sp_heap_node *n);
void sp_heap_clear(struct sp_heap *h);
/* cost: O(log n) each */
void sp_heap_put(struct sp_heap *h, struct sp_heap_node *n,
                 int64_t key); /* inserts, or moves one already in */
void sp_heap_remove(struct sp_heap *h, struct sp_heap_node *n); /* no-op if not in */
/* returns: the node with the least key, or NULL */
struct sp_heap_node *sp_heap_first(const struct sp_heap *h);

/* ---- list: circular, through a member ---- */
struct sp_list {
    struct sp_list *prev, *next;
};
static inline void sp_list_init(struct sp_list *l)
{
    l->prev = l->next = l;
}
static inline bool sp_list_is_empty(const struct sp_list *l)
{
    return l->next == l;
}
/* Puts n at the end of list l. */
static inline void sp_list_append(struct sp_list *l, struct sp_list *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}
/* Takes n out of its list; taking it out twice is harmless. */
static inline void sp_list_remove(struct sp_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    sp_list_init(n);
}
#define SP_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define SP_LIST_EACH(pos, list)                                                                    \
    for (struct sp_list * (pos) = (list)->next, *sp_next_##pos = (pos)->next; (pos) != (list);     \
         (pos) = sp_next_##pos, sp_next_##pos = (pos)->next)

/* ---- slots: handles that survive what they name ---- */
struct sp_slots;
typedef uint64_t sp_handle; /* slot and generation; 0 is never handed out */

/* owner: the caller */
struct sp_slots *sp_slots_new(void);
void sp_slots_free(struct sp_slots *s);
/* returns: a handle for value (not NULL) */
sp_handle sp_slots_add(struct sp_slots *s, void *value);
/* returns: the value, or NULL if the handle is stale */
void *sp_slots_find(const struct sp_slots *s, sp_handle h);
/* Makes the handle stale; a stale one is ignored. returns: the value that it had, or NULL */
void *sp_slots_remove(struct sp_slots *s, sp_handle h);
size_t sp_slots_count(const struct sp_slots *s);

#endif
