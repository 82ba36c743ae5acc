/*
 * Posture memory: domain to the best level proved. A ratchet: learning only raises. The longest unseen go first when
 * it is full; the ledger's copy is the lasting one.
 */
#include "transport/posture.h"

#include "base/map.h"
#include "base/mem.h"

struct entry {
    struct sp_list by_use;
    struct sp_bytes domain;
    enum sp_level level;
    int64_t accepted_at_ms;
};

struct sp_posture {
    struct sp_map *map;
    struct sp_list by_use;
    size_t max;
};

struct sp_posture *sp_posture_new(size_t max)
{
    struct sp_posture *p = sp_calloc(1, sizeof(*p));

    p->map = sp_map_new();
    p->max = max;
    sp_list_init(&p->by_use);
    return p;
}

static void drop(struct sp_posture *p, struct entry *e)
{
    (void)sp_map_remove(p->map, e->domain);
    sp_list_remove(&e->by_use);
    sp_free(e);
}

void sp_posture_free(struct sp_posture *p)
{
    if (p == NULL)
        return;
    SP_LIST_EACH(at, &p->by_use)
    drop(p, SP_CONTAINER(at, struct entry, by_use));
    sp_map_free(p->map);
    sp_free(p);
}

static void touch(struct sp_posture *p, struct entry *e)
{
    sp_list_remove(&e->by_use);
    sp_list_append(&p->by_use, &e->by_use);
}

static struct entry *get(struct sp_posture *p, struct sp_bytes domain)
{
    struct entry *e = sp_map_find(p->map, domain);
    uint8_t *name;

    if (e != NULL)
        return e;
    if (sp_map_count(p->map) >= p->max && !sp_list_is_empty(&p->by_use))
        drop(p, SP_CONTAINER(p->by_use.next, struct entry, by_use));
    e = sp_calloc(1, sizeof(*e) + domain.len);
    name = (uint8_t *)(e + 1);
    memcpy(name, domain.ptr, domain.len);
    e->domain = sp_bytes(name, domain.len);
    sp_list_init(&e->by_use);
    (void)sp_map_put(p->map, e->domain, e);
    return e;
}

bool sp_posture_find(struct sp_posture *p, struct sp_bytes domain, enum sp_level *best)
{
    struct entry *e = sp_map_find(p->map, domain);

    if (e == NULL || e->level == SP_LEVEL_PLAIN)
        return false;
    touch(p, e);
    *best = e->level;
    return true;
}

bool sp_posture_learn(struct sp_posture *p, struct sp_bytes domain, enum sp_level level)
{
    struct entry *e = sp_map_find(p->map, domain);

    if (level == SP_LEVEL_PLAIN || (e != NULL && e->level >= level)) {
        if (e != NULL)
            touch(p, e);
        return false;
    }
    e = get(p, domain);
    e->level = level;
    touch(p, e);
    return true;
}

bool sp_posture_tell(struct sp_posture *p, struct sp_bytes domain, enum sp_level level,
                     int64_t accepted_at_ms)
{
    struct entry *e = sp_map_find(p->map, domain);
    bool accepted = accepted_at_ms > (e == NULL ? 0 : e->accepted_at_ms);

    if (!accepted) {
        (void)sp_posture_learn(p, domain, level);
        return false;
    }
    e = get(p, domain);
    e->level = level;
    e->accepted_at_ms = accepted_at_ms;
    touch(p, e);
    return true;
}
