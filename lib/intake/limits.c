/*
 * What one source, one tenant may take of the gateway. A source is an IPv4 address or an IPv6 /64: it has so many sessions
 * at a time, so many connections a minute, and so many wrong passwords before none of its are looked at for a while. A tenant has so many sessions that send, and
 * so many messages a minute, as buckets that fill with time; its sessions are deferred, nobody else's. Bytes a second of
 * either are flow.c's. Sources without a session and without a failure that still counts are forgotten; the table has a maximum, and a full one forgets the
 * mildest first, since who has failed most is who must be known.
 */
#include "intake/intake_priv.h"

#define SOURCES_MAX     20000
#define FAILURES_MAX    20               /* wrong passwords that a source may have standing */
#define FAILURE_LIFE_MS ((int64_t)60000) /* one is forgiven after so long */
#define MINUTE_MS       60000
#define BOUNCES_MAX     60 /* of a tenant, a minute */

struct quota {
    size_t sessions; /* with a transaction in its name */
    double messages; /* tokens; starts full */
    int64_t messages_at_ms;
    double bounces; /* tokens; starts full */
    int64_t bounces_at_ms;
    struct share share;
    struct flow flow;
    struct memory memory;
    struct refusals refusals;
};

/* The address without port; of IPv6 the network that a site has for itself. */
static struct sp_bytes key_of(const struct sp_addr *peer)
{
    const struct in6_addr *v6 = &peer->u.in6.sin6_addr;

    if (peer->u.sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_V4MAPPED(v6) ? sp_bytes(v6->s6_addr + 12, 4) : sp_bytes(v6, 8);
    return sp_bytes(&peer->u.in4.sin_addr, sizeof(peer->u.in4.sin_addr));
}

static void forgive(struct source *src, int64_t now)
{
    while (src->failures > 0 && now - src->failure_at_ms >= FAILURE_LIFE_MS) {
        src->failures--;
        src->failure_at_ms += FAILURE_LIFE_MS;
    }
}

/* Forgets what is of no use any more; if nothing is, the source with the fewest failures among those without a session. */
static void make_room(struct sp_intake *in, int64_t now)
{
    struct sp_bytes key, mildest = {NULL, 0};
    unsigned least = 0;
    size_t at = 0;
    void *value;

    while (sp_map_next(in->sources, &at, &key, &value)) {
        struct source *src = value;

        forgive(src, now);
        if (src->sessions > 0)
            continue;
        if (src->failures == 0) {
            sp_map_remove(in->sources, key);
            sp_free(src);
        } else if (mildest.ptr == NULL || src->failures < least) {
            mildest = key;
            least = src->failures;
        }
    }
    if (sp_map_count(in->sources) >= SOURCES_MAX && mildest.ptr != NULL)
        sp_free(sp_map_remove(in->sources, mildest));
}

static void refill(const struct sp_intake *in, struct source *src, int64_t now)
{
    double most = in->now->max_connects;

    src->connects += (double)(now - src->connects_at_ms) * most / MINUTE_MS;
    src->connects_at_ms = now;
    if (src->connects > most)
        src->connects = most;
}

static struct source *source_of(struct sp_intake *in, const struct sp_addr *peer)
{
    struct source *src = sp_map_find(in->sources, key_of(peer));
    int64_t now = sp_clock_mono_ms(in->parts.clock);

    if (src == NULL) {
        if (sp_map_count(in->sources) >= SOURCES_MAX)
            make_room(in, now);
        src = sp_calloc(1, sizeof(*src));
        src->connects = in->now->max_connects;
        src->connects_at_ms = now;
        sp_map_put(in->sources, key_of(peer), src);
    }
    forgive(src, now);
    refill(in, src, now);
    return src;
}

bool sp_intake_source_enter(struct sp_intake *in, const struct sp_addr *peer)
{
    struct source *src = source_of(in, peer);

    bool limited = in->now->max_connects > 0;

    if (src->sessions >= in->now->max_source || (limited && src->connects < 1.0) ||
        !sp_intake_memory_admits(in, src, peer))
        return false;
    if (limited)
        src->connects -= 1.0;
    src->sessions++;
    return true;
}

void sp_intake_source_leave(struct sp_intake *in, const struct sp_addr *peer)
{
    struct source *src = source_of(in, peer);
    int64_t now = sp_clock_mono_ms(in->parts.clock);

    sp_assert(src->sessions > 0);
    src->sessions--;
    if (src->sessions == 0 && src->failures == 0 && src->connects >= in->now->max_connects &&
        sp_intake_refusals_are_none(&src->refusals, now) &&
        sp_intake_flow_is_full(&src->flow, in->now->source_bytes, now))
        sp_free(sp_map_remove(in->sources, key_of(peer)));
}

struct source *sp_intake_source_get(struct sp_intake *in, const struct sp_addr *peer)
{
    return source_of(in, peer);
}

bool sp_intake_source_may_guess(struct sp_intake *in, const struct sp_addr *peer)
{
    return source_of(in, peer)->failures < FAILURES_MAX;
}

void sp_intake_source_failed(struct sp_intake *in, const struct sp_addr *peer)
{
    struct source *src = source_of(in, peer);

    if (src->failures == 0)
        src->failure_at_ms = sp_clock_mono_ms(in->parts.clock);
    if (src->failures < FAILURES_MAX)
        src->failures++;
}

/* ---- tenants ---- */

static struct quota *quota_of(struct sp_intake *in, const struct sp_tenant *t)
{
    struct quota *q = sp_map_find(in->quotas, sp_bytes_cstr(t->name));

    if (q == NULL) {
        q = sp_calloc(1, sizeof(*q));
        q->messages = (double)t->limits.messages;
        q->bounces = BOUNCES_MAX;
        q->messages_at_ms = q->bounces_at_ms = sp_clock_mono_ms(in->parts.clock);
        sp_map_put(in->quotas, sp_bytes_cstr(t->name), q);
    }
    return q;
}

struct share *sp_intake_tenant_share(struct sp_intake *in, const struct sp_tenant *t)
{
    return &quota_of(in, t)->share;
}

bool sp_intake_tenant_enter(struct sp_intake *in, const struct sp_tenant *t)
{
    struct quota *q = quota_of(in, t);
    size_t relays = in->now->relays;

    if (t->limits.sessions > 0 && q->sessions >= ((size_t)t->limits.sessions + relays - 1) / relays)
        return false;
    q->sessions++;
    return true;
}

void sp_intake_tenant_leave(struct sp_intake *in, const struct sp_tenant *t)
{
    struct quota *q = quota_of(in, t);

    sp_assert(q->sessions > 0);
    q->sessions--;
}

bool sp_intake_tenant_may_send(struct sp_intake *in, const struct sp_tenant *t)
{
    double most = (double)t->limits.messages / in->now->relays;
    int64_t now = sp_clock_mono_ms(in->parts.clock);
    struct quota *q;

    if (t->limits.messages == 0)
        return true;
    q = quota_of(in, t);
    most = most < 1.0 ? 1.0 : most;
    q->messages += (double)(now - q->messages_at_ms) * most / MINUTE_MS;
    q->messages_at_ms = now;
    if (q->messages > most)
        q->messages = most;
    if (q->messages < 1.0)
        return false;
    q->messages -= 1.0;
    return true;
}

enum sp_rc sp_intake_tenant_begin(struct session *s, const struct sp_tenant *t)
{
    enum sp_rc rc = sp_intake_memory_check(s, t);

    if (rc != SP_OK)
        return rc;
    if (!sp_intake_tenant_enter(s->in, t))
        return SP_E_INTAKE_RATE;
    if (!sp_intake_tenant_may_send(s->in, t)) {
        sp_intake_tenant_leave(s->in, t);
        return SP_E_INTAKE_RATE;
    }
    s->share = sp_intake_tenant_share(s->in, t);
    return SP_OK;
}

bool sp_intake_bounce_has_room(struct sp_intake *in, const struct sp_tenant *t)
{
    double most = (double)BOUNCES_MAX / in->now->relays;
    int64_t now = sp_clock_mono_ms(in->parts.clock);
    struct quota *q = quota_of(in, t);

    most = most < 1.0 ? 1.0 : most;
    q->bounces += (double)(now - q->bounces_at_ms) * most / MINUTE_MS;
    q->bounces_at_ms = now;
    if (q->bounces > most)
        q->bounces = most;
    return q->bounces >= 1.0;
}

bool sp_intake_bounce_take_room(struct sp_intake *in, const struct sp_tenant *t)
{
    if (!sp_intake_bounce_has_room(in, t))
        return false;
    quota_of(in, t)->bounces -= 1.0;
    return true;
}

struct memory *sp_intake_tenant_memory(struct sp_intake *in, const struct sp_tenant *t)
{
    return &quota_of(in, t)->memory;
}

struct flow *sp_intake_tenant_flow(struct sp_intake *in, const struct sp_tenant *t)
{
    return &quota_of(in, t)->flow;
}

struct refusals *sp_intake_tenant_refusals(struct sp_intake *in, const struct sp_tenant *t)
{
    return &quota_of(in, t)->refusals;
}

void sp_intake_limits_free(struct sp_intake *in)
{
    struct sp_map *maps[] = {in->sources, in->quotas};

    for (size_t i = 0; i < SP_ARRAY_LEN(maps); i++) {
        struct sp_bytes key;
        size_t at = 0;
        void *value;

        while (sp_map_next(maps[i], &at, &key, &value))
            sp_free(value);
        sp_map_free(maps[i]);
    }
}
