/*
 * What domains have proved, across restarts: the best level with its host and evidence, and their MTA-STS policies, read
 * from the audit events themselves, so that all of it can be told again from the journals. A level only ever rises, but
 * for transport.posture-accepted, by which an administrator takes a drop as right or has a domain forgotten; a policy is
 * replaced by one fetched later, and by nothing else. What each host of a domain has shown stands beside it (hosts.c). All domains lie in memory; the database gets what changed.
 */
#include "audit/book_priv.h"
#include "base/clock.h"
#include "base/text.h"
#include "crypt/hash.h"

#define DOMAIN_LEN_MAX 253
#define DOMAINS_MAX    1000000
#define EVIDENCE_MAX   1024
#define TOUCH_MS       ((int64_t)3600 * 1000) /* how stale proved_at may get */
#define FORGOTTEN      "never-seen"
#define BROKEN         "broken"

#define COLUMNS                                                                                    \
    "domain, best, proved_at, accepted_at, host, evidence, now, now_at, sts, sts_id,"              \
    " sts_fetched_at, sts_until"

static struct sp_audit_domain *get(struct sp_audit_book *b, struct sp_bytes name)
{
    struct sp_audit_domain *d = sp_map_find(b->domains, name);

    if (d != NULL || sp_map_count(b->domains) >= DOMAINS_MAX)
        return d;
    d = sp_calloc(1, sizeof(*d));
    d->name = sp_strdup_bytes(name);
    sp_list_init(&d->changed);
    sp_list_init(&d->dirty);
    sp_list_init(&d->hosts);
    sp_map_put(b->domains, name, d);
    return d;
}

/* Puts it into a list in which it may be already. */
static void put(struct sp_list *list, struct sp_list *node)
{
    sp_list_remove(node);
    sp_list_append(list, node);
}

static void set_text(char **at, struct sp_bytes text)
{
    sp_free(*at);
    *at = text.len == 0 ? NULL : sp_strdup_bytes(text);
}

static struct sp_bytes text_of(const char *text)
{
    return text == NULL ? SP_LIT("") : sp_bytes_cstr(text);
}

/* ---- learning ---- */

/* The digests that the line cites, by spaces; none if they are too many. */
static void put_evidence(const struct sp_audit_line *line, struct sp_buf *out)
{
    const struct sp_json *list = sp_json_find(line->root, "evidence");

    sp_buf_init(out, EVIDENCE_MAX);
    for (const struct sp_json *e = list == NULL ? NULL : list->first; e != NULL; e = e->next) {
        if (out->len > 0)
            sp_buf_put_u8(out, ' ');
        sp_buf_put(out, e->text);
    }
    if (sp_buf_rc(out) != SP_OK)
        sp_buf_reset(out);
}

/* What was seen last; written only when it differs, since every delivery tells it. */
static void note_now(struct sp_audit_book *b, struct sp_audit_domain *d, struct sp_bytes now,
                     int64_t time_ms)
{
    if (sp_bytes_eq(text_of(d->now), now))
        return;
    set_text(&d->now, now);
    d->now_at_ms = time_ms;
    put(&b->dirty_domains, &d->dirty);
}

/* What was proved of the domain itself: only what is more than before, and at times that it still holds. */
static void note_level(struct sp_audit_book *b, struct sp_audit_domain *d,
                       const struct sp_audit_seen *seen)
{
    if (seen->level > d->best) {
        d->best = seen->level;
        d->proved_at_ms = seen->time_ms;
        set_text(&d->host, seen->host);
        set_text(&d->evidence, seen->evidence);
        put(&b->changed_domains, &d->changed);
        put(&b->dirty_domains, &d->dirty);
    } else if (seen->level == d->best && seen->level > SP_FLOOR_PLAIN &&
               seen->time_ms - d->proved_at_ms > TOUCH_MS) {
        d->proved_at_ms = seen->time_ms;
        put(&b->dirty_domains, &d->dirty);
    }
}

/* The other hosts that were asked; what proved it of them is in the attempts that ended there. */
static bool learn_asked(struct sp_audit_domain *d, const struct sp_json *hop,
                        const struct sp_audit_seen *last)
{
    const struct sp_json *list = sp_json_find(hop, "asked");
    bool has_changed = false;

    for (const struct sp_json *h = list == NULL ? NULL : list->first; h != NULL; h = h->next) {
        struct sp_audit_seen seen = {.host = sp_json_text_of(h, "mx"),
                                     .now = sp_json_text_of(h, "shown"),
                                     .time_ms = last->time_ms};

        if (!sp_floor_parse(seen.now, &seen.level) && !sp_bytes_eq(seen.now, SP_LIT(BROKEN)))
            continue; /* it was not to be had: that says nothing of what it shows */
        if (!sp_bytes_eq(seen.host, last->host) && sp_audit_hosts_learn(d, &seen))
            has_changed = true;
    }
    return has_changed;
}

static void learn_attempt(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    const struct sp_json *hop = sp_json_find(line->root, "hop");
    struct sp_bytes name = sp_json_text_of(hop, "domain");
    struct sp_audit_seen seen = {.host = sp_json_text_of(hop, "mx"),
                                 .now = sp_json_text_of(sp_json_find(line->root, "posture"), "now"),
                                 .time_ms = line->time_ms};
    struct sp_audit_domain *d;
    struct sp_buf evidence;
    bool has_changed;

    if (name.len == 0 || name.len > DOMAIN_LEN_MAX || seen.now.len == 0)
        return;
    if (!sp_floor_parse(seen.now, &seen.level))
        seen.level = SP_FLOOR_PLAIN; /* broken */
    d = seen.level > SP_FLOOR_PLAIN ? get(b, name) : sp_map_find(b->domains, name);
    if (d == NULL)
        return;
    put_evidence(line, &evidence);
    seen.evidence = sp_buf_bytes(&evidence);
    note_now(b, d, seen.now, line->time_ms);
    note_level(b, d, &seen);
    has_changed = learn_asked(d, hop, &seen);
    if (sp_audit_hosts_learn(d, &seen) || has_changed)
        put(&b->dirty_domains, &d->dirty);
    sp_buf_clear(&evidence);
}

static void learn_accepted(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    struct sp_bytes name = sp_json_text_of(line->root, "domain");
    struct sp_bytes now = sp_json_text_of(sp_json_find(line->root, "posture"), "now");
    bool forgotten = sp_bytes_eq(now, SP_LIT(FORGOTTEN));
    enum sp_floor floor = SP_FLOOR_PLAIN;
    struct sp_audit_domain *d;

    if (name.len == 0 || name.len > DOMAIN_LEN_MAX || (!forgotten && !sp_floor_parse(now, &floor)))
        return;
    d = get(b, name);
    if (d == NULL)
        return;
    d->best = floor;
    d->proved_at_ms = forgotten ? 0 : line->time_ms;
    d->accepted_at_ms = line->time_ms;
    set_text(&d->host, SP_LIT(""));
    set_text(&d->evidence, SP_LIT(""));
    if (forgotten) {
        sp_audit_hosts_clear(d);
        set_text(&d->now, SP_LIT(""));
        set_text(&d->sts, SP_LIT(""));
        set_text(&d->sts_id, SP_LIT(""));
        d->now_at_ms = d->sts_fetched_at_ms = d->sts_until_ms = 0;
    }
    put(&b->changed_domains, &d->changed);
    put(&b->dirty_domains, &d->dirty);
}

/* A policy as evidence, with the domain that it is of and when it was fetched. */
static void learn_policy(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    const struct sp_json *sts = sp_json_find(line->root, "sts");
    struct sp_bytes name = sp_json_text_of(sts, "domain");
    struct sp_bytes text = sp_json_text_of(line->root, "object");
    struct sp_audit_domain *d;
    int64_t fetched_ms;
    int64_t until_ms;

    if (name.len == 0 || name.len > DOMAIN_LEN_MAX || text.len == 0 ||
        !sp_time_parse_rfc3339(sp_json_text_of(sts, "fetched"), &fetched_ms) ||
        !sp_time_parse_rfc3339(sp_json_text_of(sts, "until"), &until_ms))
        return;
    d = get(b, name);
    if (d == NULL || (d->sts != NULL && fetched_ms <= d->sts_fetched_at_ms))
        return;
    set_text(&d->sts, text);
    set_text(&d->sts_id, sp_json_text_of(sts, "id"));
    d->sts_fetched_at_ms = fetched_ms;
    d->sts_until_ms = until_ms;
    put(&b->changed_domains, &d->changed);
    put(&b->dirty_domains, &d->dirty);
}

bool sp_audit_book_policy_is(const struct sp_audit_book *b, struct sp_bytes domain,
                             struct sp_bytes digest)
{
    const struct sp_audit_domain *d = sp_map_find(b->domains, domain);
    uint8_t sum[SP_SHA256_LEN];
    struct sp_buf out;
    bool is;

    if (d == NULL || d->sts == NULL)
        return false;
    sp_crypt_sha256(text_of(d->sts), sum);
    sp_buf_init(&out, 80);
    sp_buf_put_cstr(&out, "sts:");
    sp_hex_encode(&out, sp_bytes(sum, sizeof(sum)));
    is = sp_bytes_eq(sp_buf_bytes(&out), digest);
    sp_buf_clear(&out);
    return is;
}

/* The same policy binds for longer. One that is not there was forgotten meanwhile. */
static void learn_renewed(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    const struct sp_json *sts = sp_json_find(line->root, "sts");
    struct sp_bytes name = sp_json_text_of(sts, "domain");
    struct sp_audit_domain *d = sp_map_find(b->domains, name);
    int64_t fetched_ms, until_ms;

    if (!sp_audit_book_policy_is(b, name, sp_json_text_of(line->root, "digest")) ||
        !sp_time_parse_rfc3339(sp_json_text_of(sts, "fetched"), &fetched_ms) ||
        !sp_time_parse_rfc3339(sp_json_text_of(sts, "until"), &until_ms) ||
        fetched_ms <= d->sts_fetched_at_ms)
        return;
    set_text(&d->sts_id, sp_json_text_of(sts, "id"));
    d->sts_fetched_at_ms = fetched_ms;
    d->sts_until_ms = until_ms;
    put(&b->changed_domains, &d->changed);
    put(&b->dirty_domains, &d->dirty);
}

void sp_audit_posture_learn(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    if (strcmp(line->event->name, "delivery.attempted") == 0)
        learn_attempt(b, line);
    else if (strcmp(line->event->name, "transport.posture-accepted") == 0)
        learn_accepted(b, line);
    else if (strcmp(line->event->name, "evidence.recorded") == 0)
        learn_policy(b, line);
    else if (strcmp(line->event->name, "evidence.renewed") == 0)
        learn_renewed(b, line);
}

/* ---- the database ---- */

static bool read_row(const struct sp_store_query *q, struct sp_audit_posture *out)
{
    *out = (struct sp_audit_posture){
        .domain = sp_store_text(q, 0),
        .proved_at_ms = sp_store_int(q, 2),
        .accepted_at_ms = sp_store_int(q, 3),
        .host = sp_store_text(q, 4),
        .evidence = sp_store_text(q, 5),
        .now = sp_store_text(q, 6),
        .now_at_ms = sp_store_int(q, 7),
        .sts = sp_store_text(q, 8),
        .sts_id = sp_store_text(q, 9),
        .sts_fetched_at_ms = sp_store_int(q, 10),
        .sts_until_ms = sp_store_int(q, 11),
    };
    return sp_floor_parse(sp_store_text(q, 1), &out->best);
}

enum sp_rc sp_audit_posture_load(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, "SELECT " COLUMNS " FROM posture");
    struct sp_audit_posture p;
    enum sp_rc rc;
    bool row;

    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_domain *d = read_row(q, &p) ? get(b, p.domain) : NULL;

        if (d == NULL)
            continue;
        d->best = p.best;
        d->proved_at_ms = p.proved_at_ms;
        d->accepted_at_ms = p.accepted_at_ms;
        set_text(&d->host, p.host);
        set_text(&d->evidence, p.evidence);
        set_text(&d->now, p.now);
        d->now_at_ms = p.now_at_ms;
        set_text(&d->sts, p.sts);
        set_text(&d->sts_id, p.sts_id);
        d->sts_fetched_at_ms = p.sts_fetched_at_ms;
        d->sts_until_ms = p.sts_until_ms;
    }
    return rc == SP_OK ? sp_audit_hosts_load(b, err) : rc;
}

static enum sp_rc store_one(struct sp_audit_book *b, const struct sp_audit_domain *d,
                            struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "INSERT OR REPLACE INTO posture (" COLUMNS
                                 ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");

    sp_store_bind_text(q, 1, sp_bytes_cstr(d->name));
    sp_store_bind_text(q, 2, sp_bytes_cstr(sp_floor_name(d->best)));
    sp_store_bind_int(q, 3, d->proved_at_ms);
    sp_store_bind_int(q, 4, d->accepted_at_ms);
    sp_store_bind_text(q, 5, text_of(d->host));
    sp_store_bind_text(q, 6, text_of(d->evidence));
    sp_store_bind_text(q, 7, text_of(d->now));
    sp_store_bind_int(q, 8, d->now_at_ms);
    sp_store_bind_text(q, 9, text_of(d->sts));
    sp_store_bind_text(q, 10, text_of(d->sts_id));
    sp_store_bind_int(q, 11, d->sts_fetched_at_ms);
    sp_store_bind_int(q, 12, d->sts_until_ms);
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_posture_store(struct sp_audit_book *b, struct sp_err *err)
{
    while (!sp_list_is_empty(&b->dirty_domains)) {
        struct sp_audit_domain *d =
            SP_CONTAINER(b->dirty_domains.next, struct sp_audit_domain, dirty);
        enum sp_rc rc = store_one(b, d, err);

        if (rc == SP_OK)
            rc = sp_audit_hosts_store(b, d, err);
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
        sp_audit_hosts_clear(d);
        sp_free(d->host);
        sp_free(d->evidence);
        sp_free(d->now);
        sp_free(d->sts);
        sp_free(d->sts_id);
        sp_free(d->name);
        sp_free(d);
    }
}

/* ---- showing ---- */

static struct sp_audit_posture show(const struct sp_audit_domain *d)
{
    return (struct sp_audit_posture){
        .domain = sp_bytes_cstr(d->name),
        .best = d->best,
        .proved_at_ms = d->proved_at_ms,
        .accepted_at_ms = d->accepted_at_ms,
        .host = text_of(d->host),
        .evidence = text_of(d->evidence),
        .now = text_of(d->now),
        .now_at_ms = d->now_at_ms,
        .sts = text_of(d->sts),
        .sts_id = text_of(d->sts_id),
        .sts_fetched_at_ms = d->sts_fetched_at_ms,
        .sts_until_ms = d->sts_until_ms,
    };
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

bool sp_audit_book_posture_find(const struct sp_audit_book *b, struct sp_bytes domain,
                                struct sp_audit_posture *out)
{
    const struct sp_audit_domain *d = sp_map_find(b->domains, domain);

    if (d == NULL)
        return false;
    *out = show(d);
    return true;
}

enum sp_rc sp_audit_book_postures(struct sp_audit_book *b, struct sp_bytes after,
                                  sp_audit_posture_fn fn, void *arg, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT " COLUMNS " FROM posture WHERE domain > ?1 ORDER BY domain");
    struct sp_audit_posture p;
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, after);
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        if (read_row(q, &p) && !fn(arg, &p))
            break;
    }
    if (rc == SP_OK)
        sp_store_done(q);
    return rc;
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
