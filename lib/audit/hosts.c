/*
 * What each host of a domain has proved: the best level, when, by what evidence, and what it shows now. For people who look
 * at a domain; what binds is the domain's own best, which no host's passes. A host gets a row when it is seen at a domain of
 * which something is known, and at most HOSTS_MAX have one: who was not seen for longest makes room. The rows of a domain
 * are written together, since they are few and seldom change.
 */
#include "audit/book_priv.h"

#define HOSTS_MAX    32 /* of a domain */
#define HOST_LEN_MAX 255
#define TOUCH_MS     ((int64_t)3600 * 1000) /* how stale proved_at may get */

#define COLUMNS "domain, host, best, proved_at, evidence, now, now_at"

struct host {
    struct sp_list at; /* in the domain's list, who was seen last at its end */
    char *name;
    enum sp_floor best;
    int64_t proved_at_ms; /* 0: never */
    char *evidence;
    char *now;
    int64_t now_at_ms;
};

static struct sp_bytes text_of(const char *text)
{
    return text == NULL ? SP_LIT("") : sp_bytes_cstr(text);
}

static void drop(struct sp_audit_domain *d, struct host *h)
{
    sp_list_remove(&h->at);
    d->host_count--;
    sp_free(h->name);
    sp_free(h->evidence);
    sp_free(h->now);
    sp_free(h);
}

static struct host *add(struct sp_audit_domain *d, struct sp_bytes name)
{
    struct host *h;

    if (d->host_count >= HOSTS_MAX)
        drop(d, SP_CONTAINER(d->hosts.next, struct host, at));
    h = sp_calloc(1, sizeof(*h));
    h->name = sp_strdup_bytes(name);
    sp_list_init(&h->at);
    d->host_count++;
    return h;
}

/* returns: the host, now the last one of the list */
static struct host *get(struct sp_audit_domain *d, struct sp_bytes name)
{
    struct host *h = NULL;

    SP_LIST_EACH(at, &d->hosts)
    {
        struct host *one = SP_CONTAINER(at, struct host, at);

        if (sp_bytes_eq(sp_bytes_cstr(one->name), name))
            h = one;
    }
    if (h == NULL)
        h = add(d, name);
    sp_list_remove(&h->at);
    sp_list_append(&d->hosts, &h->at);
    return h;
}

bool sp_audit_hosts_learn(struct sp_audit_domain *d, const struct sp_audit_seen *seen)
{
    bool has_changed = false;
    struct host *h;

    if (seen->host.len == 0 || seen->host.len > HOST_LEN_MAX)
        return false;
    h = get(d, seen->host);
    if (!sp_bytes_eq(text_of(h->now), seen->now)) {
        sp_free(h->now);
        h->now = sp_strdup_bytes(seen->now);
        h->now_at_ms = seen->time_ms;
        has_changed = true;
    }
    if (seen->level > SP_FLOOR_PLAIN &&
        (seen->level > h->best ||
         (seen->level == h->best && seen->time_ms - h->proved_at_ms > TOUCH_MS))) {
        h->best = seen->level;
        h->proved_at_ms = seen->time_ms;
        sp_free(h->evidence);
        h->evidence = sp_strdup_bytes(seen->evidence);
        has_changed = true;
    }
    d->hosts_changed = d->hosts_changed || has_changed;
    return has_changed;
}

void sp_audit_hosts_clear(struct sp_audit_domain *d)
{
    while (!sp_list_is_empty(&d->hosts))
        drop(d, SP_CONTAINER(d->hosts.next, struct host, at));
    d->hosts_changed = true;
}

/* ---- the database ---- */

enum sp_rc sp_audit_hosts_load(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT " COLUMNS " FROM posture_host ORDER BY domain, proved_at");
    enum sp_rc rc;
    bool row;

    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_domain *d = sp_map_find(b->domains, sp_store_text(q, 0));
        struct host *h;

        if (d == NULL)
            continue;
        h = get(d, sp_store_text(q, 1));
        if (!sp_floor_parse(sp_store_text(q, 2), &h->best))
            h->best = SP_FLOOR_PLAIN;
        h->proved_at_ms = sp_store_int(q, 3);
        h->evidence = sp_strdup_bytes(sp_store_text(q, 4));
        h->now = sp_strdup_bytes(sp_store_text(q, 5));
        h->now_at_ms = sp_store_int(q, 6);
    }
    return rc;
}

static enum sp_rc store_one(struct sp_audit_book *b, const struct sp_audit_domain *d,
                            const struct host *h, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "INSERT OR REPLACE INTO posture_host (" COLUMNS
                                 ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

    sp_store_bind_text(q, 1, sp_bytes_cstr(d->name));
    sp_store_bind_text(q, 2, sp_bytes_cstr(h->name));
    sp_store_bind_text(q, 3, sp_bytes_cstr(sp_floor_name(h->best)));
    sp_store_bind_int(q, 4, h->proved_at_ms);
    sp_store_bind_text(q, 5, text_of(h->evidence));
    sp_store_bind_text(q, 6, text_of(h->now));
    sp_store_bind_int(q, 7, h->now_at_ms);
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_hosts_store(struct sp_audit_book *b, struct sp_audit_domain *d,
                                struct sp_err *err)
{
    struct sp_store_query *q;
    enum sp_rc rc;

    if (!d->hosts_changed)
        return SP_OK;
    q = sp_store_query(b->store, "DELETE FROM posture_host WHERE domain = ?1");
    sp_store_bind_text(q, 1, sp_bytes_cstr(d->name));
    rc = sp_store_run(q, err);
    for (struct sp_list *at = d->hosts.next; at != &d->hosts && rc == SP_OK; at = at->next)
        rc = store_one(b, d, SP_CONTAINER(at, struct host, at), err);
    d->hosts_changed = rc != SP_OK;
    return rc;
}

/* ---- showing ---- */

size_t sp_audit_book_posture_hosts(const struct sp_audit_book *b, struct sp_bytes domain,
                                   sp_audit_posture_fn fn, void *arg)
{
    const struct sp_audit_domain *d = sp_map_find(b->domains, domain);
    size_t count = 0;

    if (d == NULL)
        return 0;
    SP_LIST_EACH(at, &d->hosts)
    {
        const struct host *h = SP_CONTAINER(at, struct host, at);
        struct sp_audit_posture p = {
            .domain = sp_bytes_cstr(d->name),
            .host = sp_bytes_cstr(h->name),
            .best = h->best,
            .proved_at_ms = h->proved_at_ms,
            .evidence = text_of(h->evidence),
            .now = text_of(h->now),
            .now_at_ms = h->now_at_ms,
        };

        count++;
        if (!fn(arg, &p))
            break;
    }
    return count;
}
