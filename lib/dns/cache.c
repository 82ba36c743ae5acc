/*
 * Answers by question, bounded in number and in bytes: a map for finding, a list in order of arrival for making room. First in, first out is
 * enough here: lives are short, and a flood of new names pushes out what is oldest, never what binds (STS policies
 * and posture have memories of their own).
 */
#include "dns/answer.h"
#include "dns/dns_priv.h"

struct entry {
    struct sp_list by_age;
    const struct sp_dns_answer *answer;
    struct sp_bytes key; /* behind the struct */
    size_t size;
};

struct sp_dns_cache {
    struct sp_map *map;
    struct sp_list by_age;
    size_t max;
    size_t bytes_max;
    size_t bytes;
};

struct sp_dns_cache *sp_dns_cache_new(size_t max, size_t bytes_max)
{
    struct sp_dns_cache *c = sp_calloc(1, sizeof(*c));

    c->map = sp_map_new();
    c->max = max;
    c->bytes_max = bytes_max;
    sp_list_init(&c->by_age);
    return c;
}

static void drop(struct sp_dns_cache *c, struct entry *e)
{
    (void)sp_map_remove(c->map, e->key);
    sp_list_remove(&e->by_age);
    c->bytes -= e->size;
    sp_dns_answer_unref(e->answer);
    sp_free(e);
}

void sp_dns_cache_flush(struct sp_dns_cache *c)
{
    SP_LIST_EACH(at, &c->by_age)
    drop(c, SP_CONTAINER(at, struct entry, by_age));
}

void sp_dns_cache_free(struct sp_dns_cache *c)
{
    if (c == NULL)
        return;
    sp_dns_cache_flush(c);
    sp_map_free(c->map);
    sp_free(c);
}

const struct sp_dns_answer *sp_dns_cache_find(struct sp_dns_cache *c, struct sp_bytes key,
                                              int64_t now_ms)
{
    struct entry *e = sp_map_find(c->map, key);

    if (e == NULL)
        return NULL;
    if (e->answer->good_until_ms > now_ms)
        return e->answer;
    drop(c, e);
    return NULL;
}

void sp_dns_cache_put(struct sp_dns_cache *c, struct sp_bytes key, const struct sp_dns_answer *a)
{
    struct entry *old = sp_map_find(c->map, key);
    size_t size = sp_dns_answer_size(a) + sizeof(*old) + key.len;
    struct entry *e;
    uint8_t *copy;

    if (old != NULL)
        drop(c, old);
    if (size > c->bytes_max)
        return;
    while ((sp_map_count(c->map) >= c->max || c->bytes + size > c->bytes_max) &&
           !sp_list_is_empty(&c->by_age))
        drop(c, SP_CONTAINER(c->by_age.next, struct entry, by_age));
    e = sp_calloc(1, sizeof(*e) + key.len);
    copy = (uint8_t *)(e + 1);
    memcpy(copy, key.ptr, key.len);
    e->key = sp_bytes(copy, key.len);
    e->answer = sp_dns_answer_ref(a);
    e->size = size;
    c->bytes += size;
    sp_list_append(&c->by_age, &e->by_age);
    (void)sp_map_put(c->map, e->key, e);
}

size_t sp_dns_cache_count(const struct sp_dns_cache *c)
{
    return sp_map_count(c->map);
}

size_t sp_dns_cache_bytes(const struct sp_dns_cache *c)
{
    return c->bytes;
}
