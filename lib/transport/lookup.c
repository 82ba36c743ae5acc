/*
 * One look-up: MX, then for each host its addresses and, where these are secure, its TLSA set; beside them the MTA-STS
 * record and, if it is new, the policy. Every question under way is an `ask` in a list; when the list is empty, all is
 * known and the route is made. Errors stay where they arose: a failed MX answer is the domain's, a failed address or
 * TLSA answer the host's (RFC 7672 2.1), and none of them ever reads as "there is nothing".
 */
#include "transport/transport_priv.h"

#include "base/arena.h"
#include "config/partners.h"
#include "io/loop.h"
#include "transport/sts_quest.h"

#include <stdio.h>

#define ERROR_MS                                                                                   \
    2000 /* RFC 9520 3.2: at least one second; what lasts is for our resolver to remember for longer */
#define NAME_MAX_   (SP_DNS_NAME_MAX + 32)
#define FIRST_BLOCK 4096
#define MIN_MS      1000
#define ASKS_MAX    6    /* under way at a time while others wait for their turn as well */
#define MORE_MS     1000 /* until it is looked whether they still do */

/* What is gathered of a host. */
struct host {
    struct sp_hop hop;
    const struct sp_dns_answer *a;
    const struct sp_dns_answer *aaaa;
};

struct sp_look_up {
    struct sp_look_up_plan plan;
    struct sp_arena *arena;
    struct sp_list asks;
    size_t under_way;      /* of them */
    struct sp_timer *more; /* looks whether others may be asked now */
    struct sp_timer *done; /* brings the result on a turn of its own */
    struct sp_route route;
    struct host hosts[SP_TRANSPORT_HOPS_MAX];
    size_t host_count;
    bool is_named; /* the hosts are the operator's */
    struct sp_sts_quest *quest;
    sp_look_up_fn fn;
    void *arg;
};

typedef void (*answered_fn)(struct sp_look_up *l, struct host *h, const struct sp_dns_answer *a);

struct ask {
    struct sp_list at;
    struct sp_look_up *l;
    struct host *h;
    sp_handle handle; /* 0: it has not been asked yet */
    answered_fn then;
    enum sp_dns_type type;
    size_t name_len;
    char name[NAME_MAX_];
};

static int64_t mono_ms(const struct sp_look_up *l)
{
    return sp_clock_mono_ms(sp_loop_clock(l->plan.loop));
}

static int64_t steady_ms(const struct sp_look_up *l)
{
    return sp_clock_steady_ms(sp_loop_clock(l->plan.loop));
}

static void finish_if_idle(struct sp_look_up *l)
{
    if (sp_list_is_empty(&l->asks) && l->quest == NULL)
        sp_timer_start(l->done, 0);
}

static void start_asks(struct sp_look_up *l);

static void on_answer(void *arg, const struct sp_dns_answer *a)
{
    struct ask *q = arg;
    struct sp_look_up *l = q->l;

    l->under_way--;
    if (a->good_until_ms < l->route.good_until_ms)
        l->route.good_until_ms = a->good_until_ms;
    q->then(l, q->h, a);
    sp_list_remove(&q->at);
    sp_free(q);
    start_asks(l);
    finish_if_idle(l);
}

/* A domain of sixteen hosts has forty: where nobody answers it would take six patiences one after another, or keep others. */
static void start_asks(struct sp_look_up *l)
{
    SP_LIST_EACH(at, &l->asks)
    {
        struct ask *q = SP_CONTAINER(at, struct ask, at);

        if (q->handle != 0)
            continue;
        if (l->under_way >= ASKS_MAX && !sp_dns_has_room(l->plan.dns)) {
            sp_timer_start(l->more, MORE_MS);
            return;
        }
        l->under_way++;
        q->handle = sp_dns_ask(l->plan.dns, sp_bytes(q->name, q->name_len), q->type, on_answer, q);
    }
}

static void on_more(void *arg)
{
    start_asks(arg);
}

static void ask(struct sp_look_up *l, struct host *h, const char *prefix, struct sp_bytes name,
                enum sp_dns_type type, answered_fn then)
{
    struct ask *q = sp_calloc(1, sizeof(*q));

    q->l = l;
    q->h = h;
    q->then = then;
    q->type = type;
    q->name_len = (size_t)snprintf(q->name, sizeof(q->name), "%s%.*s", prefix, SP_FMT(name));
    sp_list_append(&l->asks, &q->at);
    start_asks(l);
}

/* ---- TLSA ---- */

/* RFC 7672 3.1: which records can be used at all. */
static bool tlsa_is_usable(const struct sp_dns_record *r)
{
    static const size_t digest_len[] = {0, 32, 64};

    if (r->usage != 2 && r->usage != 3)
        return false;
    if (r->selector > 1 || r->matching_type > 2)
        return false;
    return r->matching_type == 0 ? r->data.len > 0 : r->data.len == digest_len[r->matching_type];
}

static void take_tlsa(struct sp_look_up *l, struct sp_hop *hop, const struct sp_dns_answer *a)
{
    for (size_t i = 0; i < a->count && hop->tlsa_count < SP_TRANSPORT_TLSA_MAX; i++) {
        const struct sp_dns_record *r = &a->records[i];

        if (!tlsa_is_usable(r))
            continue;
        hop->tlsa_set[hop->tlsa_count++] = (struct sp_tlsa){
            .usage = r->usage,
            .selector = r->selector,
            .matching_type = r->matching_type,
            .data = sp_arena_copy(l->arena, r->data),
        };
    }
    hop->tlsa = hop->tlsa_count > 0 ? SP_TLSA_USABLE : SP_TLSA_UNUSABLE;
    hop->tlsa_why = hop->tlsa_count > 0 ? SP_OK : SP_E_DANE_UNUSABLE;
}

/* A partner's keys as records: of a host 3 1 1, of an authority 2 1 1 (RFC 6698 2.1). returns: whether there are any */
static bool take_keys(struct sp_look_up *l, struct sp_hop *hop)
{
    const struct sp_partner *p = l->plan.partner;

    if (p == NULL || p->key_count == 0)
        return false;
    for (size_t i = 0; i < p->key_count; i++)
        hop->tlsa_set[hop->tlsa_count++] = (struct sp_tlsa){
            .usage = p->keys[i].is_ca ? 2 : 3,
            .selector = 1,
            .matching_type = 1,
            .data = sp_bytes(p->keys[i].spki_sha256, SP_PARTNER_KEY_LEN),
        };
    hop->tlsa = SP_TLSA_USABLE;
    hop->tlsa_why = SP_OK;
    hop->tlsa_pinned = true;
    return true;
}

static void ask_tlsa(struct sp_look_up *l, struct host *h, struct sp_bytes base);

static void on_tlsa(struct sp_look_up *l, struct host *h, const struct sp_dns_answer *a)
{
    struct sp_hop *hop = &h->hop;

    hop->tlsa_secure = a->secure;
    if (sp_dns_rc_is_error(a->rc)) {
        hop->tlsa = SP_TLSA_ERROR;
        hop->rc = hop->tlsa_why = a->rc;
    } else if (!a->secure) {
        hop->tlsa_why = SP_E_DANE_UNSIGNED;
    } else if (a->rc == SP_OK) {
        take_tlsa(l, hop, a);
    } else if (!sp_bytes_eq(hop->base, hop->name)) {
        ask_tlsa(l, h, hop->name); /* RFC 7672 2.2.2: then the name before the aliases */
    } else {
        hop->tlsa_why = SP_E_DANE_NONE;
    }
}

static void ask_tlsa(struct sp_look_up *l, struct host *h, struct sp_bytes base)
{
    char prefix[32];

    (void)snprintf(prefix, sizeof(prefix), "_%u._tcp.", h->hop.port);
    h->hop.base = base;
    ask(l, h, prefix, base, SP_DNS_TLSA, on_tlsa);
}

/* The alias itself may be signed though its target is not (RFC 7672 2.2.2). */
static void on_alias(struct sp_look_up *l, struct host *h, const struct sp_dns_answer *a)
{
    if (sp_dns_rc_is_error(a->rc)) {
        h->hop.tlsa = SP_TLSA_ERROR;
        h->hop.rc = h->hop.tlsa_why = a->rc;
    } else if (a->secure && a->rc == SP_OK) {
        ask_tlsa(l, h, h->hop.name);
    }
}

/* ---- addresses ---- */

static void take_addresses(struct sp_hop *hop, const struct sp_dns_answer *a)
{
    for (size_t i = 0; i < a->count && hop->address_count < SP_TRANSPORT_ADDRESSES_MAX; i++)
        hop->addresses[hop->address_count++] = a->records[i].ip;
}

/* Both answers are there. IPv4 first: the order in which the families race (docs/decisions/0196). */
static void weigh_addresses(struct sp_look_up *l, struct host *h)
{
    struct sp_hop *hop = &h->hop;
    const struct sp_dns_answer *best = h->a->rc == SP_OK ? h->a : h->aaaa;

    take_addresses(hop, h->a);
    take_addresses(hop, h->aaaa);
    if (hop->address_count == 0) {
        hop->rc = sp_dns_rc_is_error(h->a->rc) ? h->a->rc : h->aaaa->rc;
        return;
    }
    hop->address_secure =
        (h->a->rc != SP_OK || h->a->secure) && (h->aaaa->rc != SP_OK || h->aaaa->secure);
    if (take_keys(l, hop))
        return;
    if (!l->plan.dns->is_trusted(l->plan.dns->ctx)) {
        hop->tlsa_why = SP_E_DANE_UNTRUSTED;
        return;
    }
    hop->tlsa_why = SP_E_DANE_UNSIGNED;
    if (hop->address_secure)
        ask_tlsa(l, h, best->aliased ? sp_arena_copy(l->arena, best->owner) : hop->name);
    else if (best->aliased)
        ask(l, h, "", hop->name, SP_DNS_CNAME, on_alias);
}

static void on_a(struct sp_look_up *l, struct host *h, const struct sp_dns_answer *a)
{
    h->a = sp_dns_answer_ref(a);
    if (h->aaaa != NULL)
        weigh_addresses(l, h);
}

static void on_aaaa(struct sp_look_up *l, struct host *h, const struct sp_dns_answer *a)
{
    h->aaaa = sp_dns_answer_ref(a);
    if (h->a != NULL)
        weigh_addresses(l, h);
}

static struct host *add_host(struct sp_look_up *l, struct sp_bytes name, uint16_t preference)
{
    struct host *h = &l->hosts[l->host_count++];

    h->hop.name = h->hop.base = sp_arena_copy(l->arena, name);
    h->hop.port = l->plan.port;
    h->hop.preference = preference;
    h->hop.tlsa_why = SP_E_DANE_NONE;
    return h;
}

static void ask_addresses(struct sp_look_up *l, struct host *h)
{
    ask(l, h, "", h->hop.name, SP_DNS_A, on_a);
    ask(l, h, "", h->hop.name, SP_DNS_AAAA, on_aaaa);
}

/* ---- MX ---- */

struct ranked {
    uint32_t rank; /* preference, then a random number: equal ones share the load (RFC 5321 5.1) */
    const struct sp_dns_record *record;
};

/* Sorts by preference, equal ones at random. returns: how many there are; the root, which is no host, is left out */
static size_t rank_mx(const struct sp_dns_answer *a, struct ranked *ranked)
{
    size_t count = 0;

    for (size_t i = 0; i < a->count; i++) {
        struct ranked r = {.record = &a->records[i]};
        size_t at = count;

        if (r.record->name.len == 0)
            continue;
        r.rank = (uint32_t)r.record->preference << 16 |
                 (uint32_t)sp_random_below(sp_random_system(), 1U << 16);
        for (; at > 0 && ranked[at - 1].rank > r.rank; at--)
            ranked[at] = ranked[at - 1];
        ranked[at] = r;
        count++;
    }
    return count;
}

/* We among the hosts: those that are not better than we are must not be tried (RFC 5321 5.1). returns: who is left */
static size_t cut_at_ourselves(const struct sp_look_up *l, const struct ranked *ranked,
                               size_t count)
{
    for (size_t i = 0; l->plan.own_name.len > 0 && i < count; i++) {
        if (!sp_bytes_eq_nocase(ranked[i].record->name, l->plan.own_name))
            continue;
        while (i > 0 && ranked[i - 1].record->preference == ranked[i].record->preference)
            i--;
        return i;
    }
    return count;
}

static void ask_host(struct sp_look_up *l, const struct sp_dns_record *mx)
{
    struct host *h = add_host(l, mx->name, mx->preference);
    struct sp_dns_ip ip;

    if (sp_dns_ip_parse(mx->name, &ip)) /* an address where a name must stand (RFC 5321 5.1) */
        h->hop.rc = SP_E_HOP_LITERAL;
    else
        ask_addresses(l, h);
}

static void take_mx(struct sp_look_up *l, const struct sp_dns_answer *a)
{
    struct ranked ranked[SP_DNS_RECORDS_MAX];
    size_t count = rank_mx(a, ranked);
    size_t left = cut_at_ourselves(l, ranked, count);

    for (size_t i = 0; i < left && i < SP_TRANSPORT_HOPS_MAX; i++)
        ask_host(l, ranked[i].record);
    if (count == 0) /* RFC 7505 */
        l->route.rc = SP_E_DNS_NULL_MX;
    else if (left == 0)
        l->route.rc = SP_E_HOP_LOOP;
}

static void on_mx(struct sp_look_up *l, struct host *h, const struct sp_dns_answer *a)
{
    (void)h;
    l->route.mx_secure = a->secure;
    l->route.mx_rc = a->rc;
    if (a->rc == SP_OK) {
        take_mx(l, a);
    } else if (a->rc == SP_E_DNS_NONE) {
        l->route.via = SP_VIA_IMPLICIT;
        ask_addresses(l, add_host(l, l->plan.domain, 0));
    } else {
        l->route.rc = a->rc;
    }
}

/* ---- MTA-STS ---- */

static void on_sts(void *arg, const struct sp_sts_found *found)
{
    struct sp_look_up *l = arg;

    l->route.sts_why = found->why;
    l->route.sts_txt = found->txt;
    l->route.sts_doubt = found->doubt;
    if (found->good_until_ms < l->route.good_until_ms)
        l->route.good_until_ms = found->good_until_ms;
    sp_sts_quest_free(l->quest);
    l->quest = NULL;
    finish_if_idle(l);
}

static void ask_sts(struct sp_look_up *l)
{
    struct sp_sts_quest_plan plan = {
        .loop = l->plan.loop,
        .log = l->plan.log,
        .dns = l->plan.dns,
        .jobs = l->plan.jobs,
        .cache = l->plan.sts,
        .domain = l->plan.domain,
    };

    l->quest = sp_sts_quest_new(&plan, on_sts, l);
}

/* ---- the end ---- */

static void take_policy(struct sp_look_up *l)
{
    const struct sp_sts_policy *p = sp_sts_cache_find(l->plan.sts, l->plan.domain, steady_ms(l));

    if (l->is_named || p == NULL)
        return;
    l->route.sts = *p;
    if (p->mode == SP_STS_MODE_ENFORCE)
        l->route.sts_why = SP_OK;
    else
        l->route.sts_why = p->mode == SP_STS_MODE_TESTING ? SP_E_STS_TESTING : SP_E_STS_NONE;
    for (size_t i = 0; i < l->host_count; i++)
        l->hosts[i].hop.sts_match = sp_sts_mx_matches(p, l->hosts[i].hop.name);
}

/* No host can be tried: that is the domain's own state. An error anywhere means later, not never. */
static void weigh_hosts(struct sp_look_up *l)
{
    enum sp_rc why = SP_OK;

    if (l->route.rc != SP_OK)
        return;
    for (size_t i = 0; i < l->host_count; i++) {
        enum sp_rc rc = l->hosts[i].hop.rc;

        if (rc == SP_OK)
            return;
        if (why == SP_OK || sp_dns_rc_is_error(rc))
            why = rc;
    }
    l->route.rc = why == SP_OK ? SP_E_DNS_NONE : why;
}

static void on_done(void *arg)
{
    struct sp_look_up *l = arg;
    struct sp_hop hops[SP_TRANSPORT_HOPS_MAX];
    int64_t now_ms = mono_ms(l);

    take_policy(l);
    weigh_hosts(l);
    for (size_t i = 0; i < l->host_count; i++)
        hops[i] = l->hosts[i].hop;
    l->route.hops = hops;
    l->route.hop_count = l->host_count;
    l->route.as_of_ms = sp_clock_wall_ms(sp_loop_clock(l->plan.loop));
    if (l->route.rc != SP_OK && sp_rc_info(l->route.rc)->class == SP_CLASS_TEMP)
        l->route.good_until_ms = now_ms + ERROR_MS;
    if (l->route.good_until_ms < now_ms + MIN_MS)
        l->route.good_until_ms = now_ms + MIN_MS;
    l->fn(l->arg, sp_route_copy(&l->route));
}

static void start_target(struct sp_look_up *l, const struct sp_target *t)
{
    struct host *h = add_host(l, t->host, t->priority);

    h->hop.port = t->port;
    h->hop.is_address = t->is_address;
    h->hop.weight = t->weight;
    h->hop.pin = sp_arena_copy(l->arena, t->pin);
    h->hop.self = t->self;
    if (!t->is_address) {
        ask_addresses(l, h);
        return;
    }
    h->hop.addresses[0] = t->ip;
    h->hop.address_count = 1;
    (void)take_keys(l, &h->hop);
}

/* A host that the operator names is not taken from the DNS: as good as a secure MX (RFC 7672 2.2.3). */
static void start_targets(struct sp_look_up *l, const struct sp_targets *targets)
{
    l->is_named = true;
    l->route.mx_secure = true;
    l->plan.targets = NULL; /* the caller's: good for this call */
    for (size_t i = 0; i < targets->count; i++)
        start_target(l, &targets->items[i]);
    finish_if_idle(l);
}

static void take_partner(struct sp_look_up *l)
{
    static const enum sp_level levels[] = {SP_LEVEL_ENCRYPTED, SP_LEVEL_VERIFIED,
                                           SP_LEVEL_AUTHENTICATED, SP_LEVEL_DANE};
    const struct sp_partner *p = l->plan.partner;
    struct sp_bytes *names = sp_arena_alloc(l->arena, sizeof(*names) * SP_PARTNER_NAMES_MAX);

    for (size_t i = 0; i < p->name_count; i++)
        names[i] = sp_bytes_cstr(p->names[i]);
    l->route.names = names;
    l->route.name_count = p->name_count;
    for (size_t i = 0; i < SP_ARRAY_LEN(levels); i++)
        if (strcmp(p->level, sp_level_name(levels[i])) == 0)
            l->route.must = levels[i];
}

struct sp_look_up *sp_look_up_new(const struct sp_look_up_plan *plan, sp_look_up_fn fn, void *arg)
{
    struct sp_look_up *l = sp_calloc(1, sizeof(*l));

    l->arena = sp_arena_new(FIRST_BLOCK);
    l->plan = *plan;
    l->plan.domain = sp_arena_copy(l->arena, plan->domain);
    l->fn = fn;
    l->arg = arg;
    l->more = sp_timer_new(plan->loop, on_more, l);
    l->done = sp_timer_new(plan->loop, on_done, l);
    sp_list_init(&l->asks);
    l->route = (struct sp_route){
        .domain = l->plan.domain,
        .via = plan->via,
        .pin = sp_arena_copy(l->arena, plan->pin),
        .sts_why = SP_E_STS_NONE,
        .good_until_ms = mono_ms(l) + plan->cache_ms,
    };
    if (plan->partner != NULL)
        take_partner(l);
    if (plan->targets == NULL) {
        ask(l, NULL, "", l->plan.domain, SP_DNS_MX, on_mx);
        ask_sts(l);
        return l;
    }
    start_targets(l, plan->targets);
    return l;
}

void sp_look_up_hurry(struct sp_look_up *l, const struct sp_dns_ops *dns)
{
    l->plan.dns = dns;
    SP_LIST_EACH(at, &l->asks)
    sp_dns_hurry(dns, SP_CONTAINER(at, struct ask, at)->handle);
    if (l->quest != NULL)
        sp_sts_quest_hurry(l->quest, dns);
}

void sp_look_up_free(struct sp_look_up *l)
{
    if (l == NULL)
        return;
    SP_LIST_EACH(at, &l->asks)
    {
        struct ask *q = SP_CONTAINER(at, struct ask, at);

        sp_dns_cancel(l->plan.dns, q->handle);
        sp_list_remove(&q->at);
        sp_free(q);
    }
    sp_sts_quest_free(l->quest);
    for (size_t i = 0; i < l->host_count; i++) {
        sp_dns_answer_unref(l->hosts[i].a);
        sp_dns_answer_unref(l->hosts[i].aaaa);
    }
    sp_timer_free(l->more);
    sp_timer_free(l->done);
    sp_arena_free(l->arena);
    sp_free(l);
}
