/*
 * Posture memory across restarts: the best that a domain has proved, read from the audit events themselves, so that it
 * can be told again from the journals. It only ever rises, but for transport.posture-accepted, by which an administrator
 * takes a drop as right. All domains lie in memory (some 100 bytes each); the database gets what changed.
 */
#include "audit/book_priv.h"

#define DOMAIN_LEN_MAX 253
#define DOMAINS_MAX    1000000
#define TOUCH_MS       ((int64_t)3600 * 1000) /* how stale proved_at may get */

static struct sp_audit_domain *get(struct sp_audit_book *b, struct sp_bytes name)
{
    struct sp_audit_domain *d = sp_map_find(b->domains, name);

    if (d != NULL || sp_map_count(b->domains) >= DOMAINS_MAX)
        return d;
    d = sp_calloc(1, sizeof(*d));
    d->name = sp_strdup_bytes(name);
    sp_list_init(&d->changed);
    sp_list_init(&d->dirty);
    sp_map_put(b->domains, name, d);
    return d;
}

/* Puts it into a list in which it may be already. */
static void put(struct sp_list *list, struct sp_list *node)
{
    sp_list_remove(node);
    sp_list_append(list, node);
}

void sp_audit_posture_learn(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    bool accepted = strcmp(line->event->name, "transport.posture-accepted") == 0;
    struct sp_bytes name = accepted ? sp_json_text_of(line->root, "domain")
                                    : sp_json_text_of(sp_json_find(line->root, "hop"), "domain");
    struct sp_bytes now = sp_json_text_of(sp_json_find(line->root, "posture"), "now");
    struct sp_audit_domain *d;
    enum sp_floor floor;

    if (!accepted && strcmp(line->event->name, "delivery.attempted") != 0)
        return;
    if (name.len == 0 || name.len > DOMAIN_LEN_MAX || !sp_floor_parse(now, &floor))
        return;
    if (floor == SP_FLOOR_PLAIN && !accepted)
        return;
    d = get(b, name);
    if (d == NULL)
        return;
    if (accepted || floor > d->best) {
        d->best = floor;
        d->proved_at_ms = line->time_ms;
        if (accepted)
            d->accepted_at_ms = line->time_ms;
        put(&b->changed_domains, &d->changed);
        put(&b->dirty_domains, &d->dirty);
    } else if (floor == d->best && line->time_ms - d->proved_at_ms > TOUCH_MS) {
        d->proved_at_ms = line->time_ms;
        put(&b->dirty_domains, &d->dirty);
    }
}

enum sp_rc sp_audit_posture_load(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT domain, best, proved_at, accepted_at FROM posture");
    enum sp_rc rc;
    bool row;

    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_domain *d = get(b, sp_store_text(q, 0));

        if (d == NULL || !sp_floor_parse(sp_store_text(q, 1), &d->best))
            continue;
        d->proved_at_ms = sp_store_int(q, 2);
        d->accepted_at_ms = sp_store_int(q, 3);
    }
    return rc;
}

enum sp_rc sp_audit_posture_store(struct sp_audit_book *b, struct sp_err *err)
{
    while (!sp_list_is_empty(&b->dirty_domains)) {
        struct sp_audit_domain *d =
            SP_CONTAINER(b->dirty_domains.next, struct sp_audit_domain, dirty);
        struct sp_store_query *q =
            sp_store_query(b->store, "INSERT OR REPLACE INTO posture VALUES (?1, ?2, ?3, ?4)");
        enum sp_rc rc;

        sp_store_bind_text(q, 1, sp_bytes_cstr(d->name));
        sp_store_bind_text(q, 2, sp_bytes_cstr(sp_floor_name(d->best)));
        sp_store_bind_int(q, 3, d->proved_at_ms);
        sp_store_bind_int(q, 4, d->accepted_at_ms);
        rc = sp_store_run(q, err);
        if (rc != SP_OK)
            return rc;
        sp_list_remove(&d->dirty);
    }
    return SP_OK;
}

void sp_audit_posture_free(struct sp_audit_book *b)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    while (sp_map_next(b->domains, &at, &key, &value)) {
        struct sp_audit_domain *d = value;

        sp_map_remove(b->domains, key);
        sp_free(d->name);
        sp_free(d);
    }
}

static struct sp_audit_posture show(const struct sp_audit_domain *d)
{
    return (struct sp_audit_posture){.domain = sp_bytes_cstr(d->name),
                                     .best = d->best,
                                     .proved_at_ms = d->proved_at_ms,
                                     .accepted_at_ms = d->accepted_at_ms};
}

bool sp_audit_book_posture_next(const struct sp_audit_book *b, size_t *at,
                                struct sp_audit_posture *out)
{
    struct sp_bytes key;
    void *value;

    if (!sp_map_next(b->domains, at, &key, &value))
        return false;
    *out = show(value);
    return true;
}

bool sp_audit_book_posture_changed(struct sp_audit_book *b, struct sp_audit_posture *out)
{
    struct sp_audit_domain *d;

    if (sp_list_is_empty(&b->changed_domains))
        return false;
    d = SP_CONTAINER(b->changed_domains.next, struct sp_audit_domain, changed);
    sp_list_remove(&d->changed);
    *out = show(d);
    return true;
}
