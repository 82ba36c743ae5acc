/*
 * queue.count: how many recipients wait, by something that the index knows: destination, tenant, reason, state; of all, or of
 * those that such things name. No record is read; those with most come first.
 *
 *     {"command": "queue.count", "by": "site" | "tenant" | "reason" | "state", "limit": N,
 *      "state": S, "tenant": T, "site": DOMAIN, "host": NAME}
 *         -> {"groups": [{"key": T, "count": N}], "total": N, "others": N, "group_count": N, "filtered": true: these were looked at,
 *             "host_unknown": N: asked for a host, others that go nobody knows where now}
 */
#include <stdlib.h>

#include "gateway/relay/command.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     10000
#define SORT_STEP     2000 /* groups */

enum by { BY_SITE, BY_TENANT, BY_REASON, BY_STATE, BY_COUNT };

static const char *const by_names[BY_COUNT] = {"site", "tenant", "reason", "state"};

struct group {
    char *key;
    size_t count;
};

struct count {
    struct relay_task task;
    struct relay *shard; /* that is being gone through */
    struct sp_map_walk walk;
    enum by by;
    size_t limit;
    int state;                 /* only these; -1: any */
    struct sp_bytes tenant;    /* the same; empty: any */
    struct relay_where *where; /* only to these destinations of the shard; NULL: any */
    size_t host_unknown;
    struct sp_map *places; /* key -> struct group */
    struct group **
        groups; /* when all are known: the first limit of them are a heap, the least of it on top */
    size_t group_count;
    size_t sorted; /* of them, that were looked at for it */
    size_t cap;
    size_t total;
};

static struct sp_bytes key_of(const struct sp_queue_seen *v, enum by by)
{
    switch (by) {
    case BY_SITE:
        return v->destination;
    case BY_TENANT:
        return v->tenant;
    case BY_REASON:
        return v->rcpt->why != 0 && v->rcpt->why < SP_RC_COUNT
                   ? sp_bytes_cstr(sp_rc_name((enum sp_rc)v->rcpt->why))
                   : SP_LIT("-");
    default:
        if (v->is_quarantined)
            return SP_LIT("quarantined");
        if (v->is_busy)
            return SP_LIT("in-delivery");
        return v->is_frozen ? SP_LIT("frozen") : sp_bytes_cstr(sp_rcpt_state_name(v->rcpt->state));
    }
}

/* As a list takes them. */
static bool is_meant(const struct count *c, const struct sp_queue_seen *v)
{
    if (c->state < 0 ? sp_rcpt_state_is_final(v->rcpt->state) : v->is_quarantined)
        return false;
    return sp_queue_state_fits(c->state, v->rcpt, v->is_busy, v->is_frozen) &&
           (c->tenant.len == 0 || sp_bytes_eq(c->tenant, v->tenant));
}

static void add(struct count *c, const struct sp_queue_seen *v)
{
    struct sp_bytes key = key_of(v, c->by);
    struct group *g = sp_map_find(c->places, key);

    if (g == NULL) {
        if (c->group_count == c->cap) {
            c->cap = c->cap == 0 ? 64 : c->cap * 2;
            c->groups = sp_realloc(c->groups, c->cap * sizeof(struct group *));
        }
        g = sp_calloc(1, sizeof(*g));
        g->key = sp_strdup_bytes(key); /* what it is lent from may go before the answer */
        c->groups[c->group_count++] = g;
        (void)sp_map_put(c->places, key, g);
    }
    g->count++;
    c->total++;
}

static void on_seen(void *arg, const struct sp_queue_seen *v)
{
    struct count *c = arg;

    if (!is_meant(c, v))
        return;
    if (relay_where_is(c->where, v->destination, v->line))
        add(c, v);
    else
        c->host_unknown += relay_where_is_unknown(c->where, v->destination, v->line);
}

static int more_first(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a;
    const struct group *y = *(const struct group *const *)b;

    return x->count == y->count ? strcmp(x->key, y->key)
                                : (x->count < y->count) - (x->count > y->count);
}

/* ---- those with most, of many ---- */

static void swap(struct group **groups, size_t i, size_t j)
{
    struct group *g = groups[i];

    groups[i] = groups[j];
    groups[j] = g;
}

static void sift_down(struct group **heap, size_t count, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < count && more_first(&heap[child + 1], &heap[child]) > 0)
            child++;
        if (child >= count || more_first(&heap[child], &heap[i]) <= 0)
            return;
        swap(heap, i, child);
        i = child;
    }
}

/* A share of finding them: sorting fifty thousand at once would take too long for a turn. returns: whether there is more */
static bool sort_on(struct count *c)
{
    size_t kept = c->group_count < c->limit ? c->group_count : c->limit;
    size_t end = c->sorted + SORT_STEP;

    if (c->sorted == 0) {
        for (size_t i = kept / 2; i > 0; i--)
            sift_down(c->groups, kept, i - 1);
        c->sorted = kept;
        return true;
    }
    for (; c->sorted < c->group_count && c->sorted < end; c->sorted++) {
        if (more_first(&c->groups[c->sorted], &c->groups[0]) > 0)
            continue;
        swap(c->groups, 0, c->sorted);
        sift_down(c->groups, kept, 0);
    }
    if (c->sorted < c->group_count)
        return true;
    if (kept > 1)
        qsort(c->groups, kept, sizeof(struct group *), more_first);
    return false;
}

static void reply(const struct count *c)
{
    size_t others = c->total;
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "groups");
    for (size_t i = 0; i < c->group_count && i < c->limit; i++) {
        sp_jw_object(&w, NULL);
        sp_jw_cstr(&w, "key", c->groups[i]->key);
        sp_jw_int(&w, "count", (int64_t)c->groups[i]->count);
        sp_jw_end(&w);
        others -= c->groups[i]->count;
    }
    sp_jw_end(&w);
    sp_jw_int(&w, "total", (int64_t)c->total);
    sp_jw_int(&w, "others", (int64_t)others);
    sp_jw_int(&w, "group_count", (int64_t)c->group_count);
    sp_jw_bool(&w, "filtered", true);
    sp_jw_int(&w, "host_unknown", (int64_t)c->host_unknown);
    sp_jw_end(&w);
    relay_reply_json(c->task.q.job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void begin_shard(struct count *c, struct relay *shard)
{
    c->shard = shard;
    c->walk = (struct sp_map_walk){0};
    relay_where_free(c->where);
    c->where = relay_where_new(shard, c->task.q.ask);
}

static bool step(struct relay_task *task)
{
    struct count *c = (struct count *)task;

    if (sp_queue_each_some(c->shard->queue, &c->walk, on_seen, c))
        return true;
    if (c->shard->left != NULL) {
        begin_shard(c, c->shard->left);
        return true;
    }
    if (c->group_count > 0 && sort_on(c))
        return true;
    reply(c);
    return false;
}

static void clear(struct relay_task *task)
{
    struct count *c = (struct count *)task;

    for (size_t i = 0; i < c->group_count; i++) {
        sp_free(c->groups[i]->key);
        sp_free(c->groups[i]);
    }
    sp_free(c->groups);
    sp_map_free(c->places);
    relay_where_free(c->where);
}

/* Of those that can't be read nobody knows whose they are. */
static void reply_quarantined(const struct relay *r, const struct relay_question *q)
{
    struct group all = {.key = "quarantined"};
    struct group *groups[] = {&all};
    struct count c = {.task = {.q = *q}, .groups = groups, .limit = 1};

    for (const struct relay *x = r; x != NULL; x = x->left)
        all.count += sp_queue_stats(x->queue).quarantined;
    c.group_count = all.count > 0;
    c.total = all.count;
    reply(&c);
}

static void start(struct relay *r, const struct relay_question *q, enum by by, size_t limit)
{
    struct count *c = sp_calloc(1, sizeof(*c));

    c->task.step = step;
    c->task.clear = clear;
    relay_task_start(&c->task, r, q);
    c->by = by;
    c->limit = limit;
    c->state = sp_queue_state_find(sp_json_text_of(c->task.q.ask, "state"));
    c->tenant = sp_json_text_of(c->task.q.ask, "tenant");
    c->places = sp_map_new();
    begin_shard(c, r);
}

void relay_count(struct relay *r, const struct relay_question *q)
{
    struct sp_bytes by_name = sp_json_text_of(q->ask, "by");
    struct sp_bytes state = sp_json_text_of(q->ask, "state");
    int64_t limit = sp_json_int_of(q->ask, "limit", LIMIT_DEFAULT);
    enum by by = BY_COUNT;

    if (sp_bytes_eq(by_name, SP_LIT("domain"))) /* what freeze --site names is a domain mostly */
        by = BY_SITE;
    for (int i = 0; i < BY_COUNT; i++) {
        if (sp_bytes_eq(by_name, sp_bytes_cstr(by_names[i])))
            by = (enum by)i;
    }
    if (by == BY_COUNT || limit < 1 || limit > LIMIT_MAX)
        relay_reply_error(q->job, SP_E_USAGE,
                          "by: site, tenant, reason or state; limit: 1 to 10000");
    else if (sp_bytes_eq(state, SP_LIT("quarantined")))
        reply_quarantined(r, q);
    else if (state.len > 0 && sp_queue_state_find(state) < 0)
        relay_reply_no_state(q);
    else
        start(r, q, by, (size_t)limit);
}
