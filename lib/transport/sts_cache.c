/*
 * STS policies in memory. What is here binds until its max_age, whoever strips the TXT record or blocks HTTPS
 * meanwhile: nothing but a newer valid policy, mode none included, takes it away. Room is made by dropping policies
 * that bind nothing (expired, none, testing) before those that do. A policy may be 64 KiB of text, though all that is honest is
 * a few lines: of texts too many the longest go first, so that a thousand bloated ones neither fill the memory nor push out others. What
 * goes is the text: the policy binds on by marks of its patterns (RFC 8461 5.1), and nobody has to fetch it again before its time.
 */
#include "transport/sts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypt/hash.h"

#define TEXTS_MAX    ((size_t)32 << 20) /* bytes */
#define TRY_AGAIN_MS (5 * 60 * 1000) /* RFC 8461 3.3: at least five minutes between failed tries */
#define REFRESH_MS                                                                                 \
    (5 * 60 * 1000) /* nor is one fetched anew sooner, though it may bind for a second */
#define DAY_MS         ((int64_t)86400 * 1000)
#define RECORD_MAX     ((int64_t)256 << 10) /* bytes of texts a day on record, of a domain */
#define RECORD_ALL_MAX ((int64_t)64 << 20)  /* the same of all, */
#define RECORD_ALL_LEAST                                                                           \
    4096 /* but of texts that are no longer: nobody keeps an honest policy from its record */
#define WRITE_AGAIN_MS ((int64_t)7 * 86400 * 1000)

struct spent { /* of what there is a day */
    int64_t bytes;
    int64_t at_ms;
};

struct entry {
    struct sp_list by_age;
    struct sp_bytes domain;
    char *text; /* policy.text and all its views lie here; or the marks */
    char *id;
    bool has_policy;
    struct sp_sts_policy policy;
    int64_t written_at_ms; /* its text was put on record whole; 0: not known */
    struct spent spent;
    int64_t withheld_at_ms; /* there was no room for its text; 0: there was */
    int64_t tried_at_ms;
    int64_t unsure_since_ms; /* of the first error at the TXT record, while errors last; 0: none */
    struct sp_bytes tried_id;
    uint8_t tried_id_room[SP_STS_ID_MAX];
};

struct sp_sts_cache {
    struct sp_map *map;
    struct sp_list by_age;
    size_t max;
    size_t text_bytes;
    struct spent spent; /* for long texts */
};

struct sp_sts_cache *sp_sts_cache_new(size_t max)
{
    struct sp_sts_cache *c = sp_calloc(1, sizeof(*c));

    c->map = sp_map_new();
    c->max = max;
    sp_list_init(&c->by_age);
    return c;
}

static void drop(struct sp_sts_cache *c, struct entry *e)
{
    (void)sp_map_remove(c->map, e->domain);
    sp_list_remove(&e->by_age);
    c->text_bytes -= e->policy.text.len;
    sp_free(e->text);
    sp_free(e->id);
    sp_free(e);
}

void sp_sts_cache_free(struct sp_sts_cache *c)
{
    if (c == NULL)
        return;
    SP_LIST_EACH(at, &c->by_age)
    drop(c, SP_CONTAINER(at, struct entry, by_age));
    sp_map_free(c->map);
    sp_free(c);
}

static bool binds(const struct entry *e, int64_t now_ms)
{
    return e->has_policy && e->policy.mode == SP_STS_MODE_ENFORCE &&
           e->policy.expires_at_ms > now_ms;
}

static void make_room(struct sp_sts_cache *c, int64_t now_ms)
{
    if (sp_map_count(c->map) < c->max)
        return;
    SP_LIST_EACH(at, &c->by_age)
    {
        struct entry *e = SP_CONTAINER(at, struct entry, by_age);

        if (!binds(e, now_ms)) {
            drop(c, e);
            return;
        }
    }
    if (!sp_list_is_empty(&c->by_age))
        drop(c, SP_CONTAINER(c->by_age.next, struct entry, by_age));
}

/* Its text goes, the policy stays. */
static void cut(struct sp_sts_cache *c, struct entry *e)
{
    uint8_t *marks = sp_calloc(1, e->policy.mx_count * SP_STS_MARK_LEN + 1);

    for (size_t i = 0; i < e->policy.mx_count; i++) {
        uint8_t *mark = marks + i * SP_STS_MARK_LEN;

        sp_sts_mx_mark(e->policy.mx[i], mark);
        e->policy.mx[i] = sp_bytes(mark, SP_STS_MARK_LEN);
    }
    c->text_bytes -= e->policy.text.len;
    e->policy.text = sp_bytes(NULL, 0);
    e->policy.is_short = true;
    sp_free(e->text);
    e->text = (char *)marks;
}

/* cost: O(domains), and only while texts are too long */
static void shorten(struct sp_sts_cache *c, const struct entry *keep)
{
    while (c->text_bytes > TEXTS_MAX) {
        struct entry *longest = NULL;

        SP_LIST_EACH(at, &c->by_age)
        {
            struct entry *e = SP_CONTAINER(at, struct entry, by_age);

            if (e != keep && e->policy.text.len > (longest == NULL ? 0 : longest->policy.text.len))
                longest = e;
        }
        if (longest == NULL)
            return;
        cut(c, longest);
    }
}

static struct entry *get(struct sp_sts_cache *c, struct sp_bytes domain, int64_t now_ms)
{
    struct entry *e = sp_map_find(c->map, domain);
    uint8_t *name;

    if (e != NULL)
        return e;
    make_room(c, now_ms);
    e = sp_calloc(1, sizeof(*e) + domain.len);
    name = (uint8_t *)(e + 1);
    memcpy(name, domain.ptr, domain.len);
    e->domain = sp_bytes(name, domain.len);
    sp_list_append(&c->by_age, &e->by_age);
    (void)sp_map_put(c->map, e->domain, e);
    return e;
}

static bool has_text(const struct entry *e, const uint8_t *sum)
{
    return e->has_policy && memcmp(e->policy.sum, sum, SP_STS_SUM_LEN) == 0;
}

static bool is_written(const struct entry *e, int64_t now_ms)
{
    return e->written_at_ms != 0 && now_ms - e->written_at_ms < WRITE_AGAIN_MS;
}

/* written_at_ms: when its text is on record whole, if it is not known to be so; 0: nobody knows */
static enum sp_rc put(struct sp_sts_cache *c, struct sp_bytes domain, struct sp_bytes id,
                      struct sp_bytes text, int64_t fetched_at_ms, int64_t written_at_ms)
{
    uint8_t sum[SP_SHA256_LEN];
    struct sp_sts_policy p;
    struct entry *e;
    int64_t age_ms;

    if (sp_sts_policy_parse(text, &p) != SP_OK)
        return SP_E_STS_INVALID;
    e = get(c, domain, fetched_at_ms);
    sp_crypt_sha256(text, sum);
    if (!has_text(e, sum) || !is_written(e, fetched_at_ms))
        e->written_at_ms = written_at_ms;
    c->text_bytes -= e->policy.text.len;
    sp_free(e->text);
    sp_free(e->id);
    e->text = sp_strdup_bytes(text);
    e->id = sp_strdup_bytes(id);
    sp_assert(sp_sts_policy_parse(sp_bytes(e->text, text.len), &e->policy) == SP_OK);
    age_ms = e->policy.max_age_s * 1000;
    memcpy(e->policy.sum, sum, SP_STS_SUM_LEN);
    e->policy.id = sp_bytes(e->id, id.len);
    e->policy.fetched_at_ms = fetched_at_ms;
    e->policy.expires_at_ms = fetched_at_ms + age_ms;
    e->policy.refresh_at_ms =
        fetched_at_ms + age_ms / 4 +
        (int64_t)sp_random_below(sp_random_system(), (uint64_t)age_ms / 2 + 1);
    if (e->policy.refresh_at_ms < fetched_at_ms + REFRESH_MS)
        e->policy.refresh_at_ms = fetched_at_ms + REFRESH_MS;
    e->has_policy = true;
    e->tried_at_ms = 0;
    c->text_bytes += text.len;
    shorten(c, e);
    return SP_OK;
}

enum sp_rc sp_sts_cache_put(struct sp_sts_cache *c, struct sp_bytes domain, struct sp_bytes id,
                            struct sp_bytes text, int64_t fetched_at_ms)
{
    return put(c, domain, id, text, fetched_at_ms, fetched_at_ms);
}

/* returns: whether there is room, with what has come back since, in steps of a thousandth and less */
static bool has_room(struct spent *s, size_t len, int64_t day_bytes, int64_t now_ms)
{
    int64_t passed_ms = now_ms - s->at_ms;
    int64_t back = passed_ms < DAY_MS ? passed_ms * (day_bytes >> 10) / DAY_MS * 1024 : s->bytes;

    if (s->bytes == 0 || back > 0) {
        s->bytes = back < s->bytes ? s->bytes - back : 0;
        s->at_ms = now_ms;
    }
    return s->bytes + (int64_t)len <= day_bytes;
}

bool sp_sts_cache_spend(struct sp_sts_cache *c, struct sp_bytes domain, size_t len, int64_t now_ms)
{
    struct entry *e = get(c, domain, now_ms);
    bool is_long = len > RECORD_ALL_LEAST;

    if (!has_room(&e->spent, len, RECORD_MAX, now_ms) ||
        (is_long && !has_room(&c->spent, len, RECORD_ALL_MAX, now_ms))) {
        e->withheld_at_ms = now_ms;
        return false;
    }
    e->withheld_at_ms = 0;
    e->spent.bytes += (int64_t)len;
    c->spent.bytes += is_long ? (int64_t)len : 0;
    return true;
}

enum sp_rc sp_sts_cache_put_unwritten(struct sp_sts_cache *c, struct sp_bytes domain,
                                      struct sp_bytes id, struct sp_bytes text,
                                      int64_t fetched_at_ms)
{
    enum sp_rc rc = put(c, domain, id, text, fetched_at_ms, 0);

    if (rc == SP_OK)
        cut(c, sp_map_find(c->map, domain));
    return rc;
}

enum sp_rc sp_sts_cache_tell(struct sp_sts_cache *c, struct sp_bytes domain, struct sp_bytes id,
                             struct sp_bytes text, int64_t fetched_at_ms)
{
    const struct entry *e = sp_map_find(c->map, domain);

    if (e != NULL && e->has_policy && e->policy.fetched_at_ms >= fetched_at_ms)
        return SP_OK;
    return put(c, domain, id, text, fetched_at_ms, 0);
}

void sp_sts_cache_forget(struct sp_sts_cache *c, struct sp_bytes domain)
{
    struct entry *e = sp_map_find(c->map, domain);

    if (e != NULL)
        drop(c, e);
}

void sp_sts_cache_hurry(struct sp_sts_cache *c, struct sp_bytes domain)
{
    struct entry *e = sp_map_find(c->map, domain);

    if (e == NULL || !e->has_policy)
        return;
    e->policy.refresh_at_ms = 0;
    e->tried_at_ms = 0;
}

bool sp_sts_cache_doubt(struct sp_sts_cache *c, struct sp_bytes domain, enum sp_rc rc,
                        int64_t now_ms)
{
    struct entry *e = rc == SP_OK ? sp_map_find(c->map, domain) : get(c, domain, now_ms);

    if (rc == SP_OK) {
        if (e != NULL)
            e->unsure_since_ms = 0;
        return false;
    }
    if (e->unsure_since_ms == 0)
        e->unsure_since_ms = now_ms;
    return now_ms - e->unsure_since_ms < SP_STS_DOUBT_MS;
}

static bool is_withheld(const struct entry *e, int64_t now_ms)
{
    return e->withheld_at_ms != 0 && now_ms - e->withheld_at_ms < TRY_AGAIN_MS;
}

struct sp_bytes sp_sts_cache_find_old(struct sp_sts_cache *c, int64_t now_ms)
{
    SP_LIST_EACH(at, &c->by_age)
    {
        struct entry *e = SP_CONTAINER(at, struct entry, by_age);
        bool tried = e->tried_at_ms != 0 && now_ms - e->tried_at_ms < TRY_AGAIN_MS;

        if (e->has_policy && e->policy.expires_at_ms > now_ms &&
            e->policy.refresh_at_ms <= now_ms && !tried && !is_withheld(e, now_ms))
            return e->domain;
    }
    return (struct sp_bytes){0};
}

const struct sp_sts_policy *sp_sts_cache_find(struct sp_sts_cache *c, struct sp_bytes domain,
                                              int64_t now_ms)
{
    struct entry *e = sp_map_find(c->map, domain);

    if (e == NULL || !e->has_policy || e->policy.expires_at_ms <= now_ms)
        return NULL;
    return &e->policy;
}

bool sp_sts_cache_has_written(const struct sp_sts_cache *c, struct sp_bytes domain,
                              const uint8_t *sum, int64_t now_ms)
{
    const struct entry *e = sp_map_find(c->map, domain);

    return e != NULL && has_text(e, sum) && is_written(e, now_ms);
}

bool sp_sts_cache_should_fetch(struct sp_sts_cache *c, struct sp_bytes domain, struct sp_bytes id,
                               int64_t now_ms)
{
    const struct sp_sts_policy *p = sp_sts_cache_find(c, domain, now_ms);
    struct entry *e;

    if (id.len > SP_STS_ID_MAX)
        return false;
    if (p != NULL && sp_bytes_eq(p->id, id) && now_ms < p->refresh_at_ms)
        return false;
    e = get(c, domain, now_ms);
    if (is_withheld(e, now_ms))
        return false;
    if (e->tried_at_ms != 0 && now_ms - e->tried_at_ms < TRY_AGAIN_MS &&
        sp_bytes_eq(e->tried_id, id))
        return false;
    memcpy(e->tried_id_room, id.ptr, id.len);
    e->tried_id = sp_bytes(e->tried_id_room, id.len);
    e->tried_at_ms = now_ms;
    return true;
}
