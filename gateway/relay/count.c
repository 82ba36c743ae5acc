/*
 * queue.count: how many recipients wait, by something that the index knows: destination, tenant, reason, state; of all, or of
 * those that such things name. No record is read; those with most come first.
 *
 *     {"command": "queue.count", "by": "site" | "tenant" | "reason" | "state", "limit": N,
 *      "state": S, "tenant": T, "site": DOMAIN, "host": NAME}
 *         -> {"groups": [{"key": T, "count": N}], "total": N, "others": N, "filtered": true: these were looked at,
 *             "host_unknown": N: asked for a host, others that go nobody knows where now}
 */
#include <stdlib.h>

#include "gateway/relay/command.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     10000

enum by { BY_SITE, BY_TENANT, BY_REASON, BY_STATE, BY_COUNT };

static const char *const by_names[BY_COUNT] = {"site", "tenant", "reason", "state"};

struct group {
    struct sp_bytes key; /* lent from a line, or static */
    size_t count;
};

struct count {
    enum by by;
    struct sp_bytes state, tenant; /* only these; empty: any */
    struct sp_map *where;          /* only to these destinations; NULL: any */
    struct sp_bytes site;
    struct relay *shard; /* asked for a host: to know whether one is known; else NULL */
    size_t host_unknown;
    struct sp_map *places; /* key -> struct group */
    struct group **groups;
    size_t group_count;
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
        if (v->is_busy)
            return SP_LIT("in-delivery");
        return v->is_frozen ? SP_LIT("frozen") : sp_bytes_cstr(sp_rcpt_state_name(v->rcpt->state));
    }
}

/* As a list takes them: somebody in delivery is still pending or deferred. */
static bool is_meant(const struct count *c, const struct sp_queue_seen *v)
{
    if (c->state.len > 0 &&
        !sp_bytes_eq(c->state, sp_bytes_cstr(sp_rcpt_state_name(v->rcpt->state))))
        return false;
    return c->tenant.len == 0 || sp_bytes_eq(c->tenant, v->tenant);
}

static bool goes_there(const struct count *c, const struct sp_queue_seen *v)
{
    return c->where == NULL || sp_map_find(c->where, v->destination) != NULL;
}

static bool is_site(const struct count *c, const struct sp_queue_seen *v)
{
    return c->site.len == 0 || sp_bytes_eq_nocase(c->site, v->destination);
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
        g->key = key;
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
    if (goes_there(c, v))
        add(c, v);
    else if (c->shard != NULL && is_site(c, v) && !relay_knows_host(c->shard, v->destination))
        c->host_unknown++;
}

static int more_first(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a;
    const struct group *y = *(const struct group *const *)b;

    return x->count == y->count ? sp_bytes_cmp(x->key, y->key)
                                : (x->count < y->count) - (x->count > y->count);
}

static void reply(const struct relay_question *q, const struct count *c, size_t limit)
{
    size_t others = c->total;
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "groups");
    for (size_t i = 0; i < c->group_count && i < limit; i++) {
        sp_jw_object(&w, NULL);
        sp_jw_text(&w, "key", c->groups[i]->key);
        sp_jw_int(&w, "count", (int64_t)c->groups[i]->count);
        sp_jw_end(&w);
        others -= c->groups[i]->count;
    }
    sp_jw_end(&w);
    sp_jw_int(&w, "total", (int64_t)c->total);
    sp_jw_int(&w, "others", (int64_t)others);
    sp_jw_bool(&w, "filtered", true);
    sp_jw_int(&w, "host_unknown", (int64_t)c->host_unknown);
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

void relay_count(struct relay *r, const struct relay_question *q)
{
    struct sp_bytes by = sp_json_text_of(q->ask, "by");
    int64_t limit = sp_json_int_of(q->ask, "limit", LIMIT_DEFAULT);
    struct count c = {.by = BY_COUNT,
                      .state = sp_json_text_of(q->ask, "state"),
                      .tenant = sp_json_text_of(q->ask, "tenant"),
                      .site = sp_json_text_of(q->ask, "site")};
    bool is_host = sp_json_text_of(q->ask, "host").len > 0;

    if (sp_bytes_eq(by, SP_LIT("domain"))) /* what freeze --site names is a domain mostly */
        c.by = BY_SITE;
    for (int i = 0; i < BY_COUNT; i++) {
        if (sp_bytes_eq(by, sp_bytes_cstr(by_names[i])))
            c.by = (enum by)i;
    }
    if (c.by == BY_COUNT || limit < 1 || limit > LIMIT_MAX) {
        relay_reply_error(q->job, SP_E_USAGE,
                          "by: site, tenant, reason or state; limit: 1 to 10000");
        return;
    }
    if (c.state.len > 0 && relay_find_state(c.state) < 0 &&
        !sp_bytes_eq(c.state,
                     SP_LIT("quarantined"))) { /* those have no recipients that are known */
        relay_reply_no_state(q);
        return;
    }
    c.places = sp_map_new();
    for (struct relay *x = r; x != NULL; x = x->left) {
        c.where = relay_where(x, q->ask);
        c.shard = is_host ? x : NULL;
        sp_queue_each(x->queue, on_seen, &c);
        sp_map_free(c.where);
    }
    if (c.group_count > 1)
        qsort(c.groups, c.group_count, sizeof(struct group *), more_first);
    reply(q, &c, (size_t)limit);
    for (size_t i = 0; i < c.group_count; i++)
        sp_free(c.groups[i]);
    sp_map_free(c.places);
    sp_free(c.groups);
}
