/*
 * A binary heap whose nodes know their place, so that a message's next due time can be moved or taken out in O(log n).
 */
#include "base/map.h"

void sp_heap_node_init(struct sp_heap_node *n)
{
    *n = (struct sp_heap_node){.index = SIZE_MAX};
}

void sp_heap_clear(struct sp_heap *h)
{
    for (size_t i = 0; i < h->count; i++)
        h->nodes[i]->index = SIZE_MAX;
    sp_free(h->nodes);
    *h = (struct sp_heap){0};
}

static void place(struct sp_heap *h, size_t at, struct sp_heap_node *n)
{
    h->nodes[at] = n;
    n->index = at;
}

static void sift_up(struct sp_heap *h, struct sp_heap_node *n)
{
    size_t at = n->index;

    while (at > 0 && h->nodes[(at - 1) / 2]->key > n->key) {
        place(h, at, h->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(h, at, n);
}

static void sift_down(struct sp_heap *h, struct sp_heap_node *n)
{
    size_t at = n->index;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (h->nodes[child]->key >= n->key)
            break;
        place(h, at, h->nodes[child]);
        at = child;
    }
    place(h, at, n);
}

void sp_heap_put(struct sp_heap *h, struct sp_heap_node *n, int64_t key)
{
    n->key = key;
    if (n->index == SIZE_MAX) {
        if (h->count == h->cap) {
            h->cap = h->cap == 0 ? 16 : h->cap * 2;
            h->nodes = sp_realloc(h->nodes, h->cap * sizeof(struct sp_heap_node *));
        }
        place(h, h->count++, n);
    }
    sift_up(h, n);
    sift_down(h, n);
}

void sp_heap_remove(struct sp_heap *h, struct sp_heap_node *n)
{
    struct sp_heap_node *last;

    if (n->index == SIZE_MAX)
        return;
    last = h->nodes[--h->count];
    if (last != n) {
        place(h, n->index, last);
        sift_up(h, last);
        sift_down(h, last);
    }
    n->index = SIZE_MAX;
}

struct sp_heap_node *sp_heap_first(const struct sp_heap *h)
{
    return h->count == 0 ? NULL : h->nodes[0];
}
