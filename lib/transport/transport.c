/*
 * Routes by domain: settings first (a route of its own, then next_hop for all), else MX. What is known is kept as long
 * as the DNS allows, so that a stream of mail to one place costs one look-up; look-ups that are equal share one run.
 * With next_hop every domain has the same route, which is kept once.
 */
#include "transport/transport.h"

#include "base/arena.h"
#include "config/config.h"
#include "config/partners.h"
#include "io/loop.h"
#include "transport/posture.h"
#include "transport/sts_quest.h"
#include "transport/transport_priv.h"

#define CACHE_MS   300000
#define UNHEARD_MS 30000 /* a route is kept for those who went away meanwhile to come back */
#define ROUTES_MAX 10000 /* that lead somewhere */
#define ERRORS_MAX                                                                                 \
    3000 /* and that don't: those who gave their place back come for what was found */
#define DOMAINS_MAX 100000
#define STS_MAX     20000
#define EVERYTHING  "*" /* key of next_hop's route: no domain */

struct pinned {
    struct sp_bytes name;
};

struct entry { /* of the cache */
    struct sp_list by_age;
    struct sp_bytes domain;
    const struct sp_route *route;
    int64_t good_until_ms;
    size_t unheard; /* so many went away and have not come back yet: it is good for them longer */
    int64_t unheard_until_ms;
};

struct run { /* a look-up under way, with all who wait for it */
    struct sp_transport *t;
    struct sp_look_up *look_up;
    struct sp_bytes domain;
    enum sp_dns_party party; /* the best of those who wait, or did */
    size_t left;             /* so many went away, and come back when it has ended */
    struct sp_list waiters;
};

struct waiter {
    struct sp_list at;
    struct sp_transport *t;
    struct run *run;
    sp_handle handle;
    sp_transport_fn fn;
    void *arg;
};

struct partner_ref {
    const struct sp_partner *partner;
};

struct sp_transport {
    struct sp_loop *loop;
    struct sp_log *log;
    const struct sp_dns_ops *dns;
    struct sp_jobs *jobs;
    struct sp_arena *arena; /* settings */
    struct sp_bytes own_name;
    uint16_t port;
    int64_t cache_ms;
    struct sp_targets next_hop; /* count 0: none */
    struct sp_map *targets;     /* domain to struct sp_targets */
    struct sp_map *pins;        /* domain to struct pinned */
    struct sp_map *partners;    /* domain to struct partner_ref */
    struct sp_map *routes;      /* domain to struct entry */
    struct sp_list
        by_age[2];       /* [true]: those that lead somewhere; neither makes room for the other */
    size_t kept[2];      /* of them */
    struct sp_map *runs; /* domain to struct run */
    struct sp_slots *waiters;
    struct sp_sts_cache *sts;
    struct sp_posture *posture;
    struct sp_sts_cache *own_sts; /* or NULL */
    struct sp_posture *own_posture;
    struct sp_sts_quest *refresh; /* under way */
};

static int64_t now_ms(const struct sp_transport *t)
{
    return sp_clock_mono_ms(sp_loop_clock(t->loop));
}

/* ---- settings ---- */

static enum sp_rc add_target(struct sp_transport *t, const struct sp_config_route *r,
                             struct sp_err *err)
{
    struct sp_targets *targets = sp_arena_alloc(t->arena, sizeof(*targets));
    struct sp_bytes to = sp_arena_copy(t->arena, sp_bytes_cstr(r->to));

    if (!sp_target_parse(to, t->port, &targets->items[0]))
        return sp_fail(err, SP_E_CONFIG_INVALID, "delivery.routes: %s: not HOST:PORT", r->to);
    targets->count = 1;
    (void)sp_map_put(t->targets, sp_bytes_cstr(r->domain), targets);
    return SP_OK;
}

/* returns: the hosts of a smarthost's route, as far as they are known */
static struct sp_targets *targets_of(struct sp_transport *t, const char *route)
{
    struct sp_targets *targets;

    if (strcmp(route, EVERYTHING) == 0)
        return &t->next_hop;
    targets = sp_map_find(t->targets, sp_bytes_cstr(route));
    if (targets == NULL) {
        targets = sp_arena_alloc(t->arena, sizeof(*targets));
        (void)sp_map_put(t->targets, sp_bytes_cstr(route), targets);
    }
    return targets;
}

static enum sp_rc add_smarthost(struct sp_transport *t, const struct sp_config_smarthost *s,
                                const struct sp_hop_self *self, struct sp_err *err)
{
    struct sp_targets *targets = targets_of(t, s->route);
    struct sp_target *to = &targets->items[targets->count];

    if (targets->count == SP_TRANSPORT_HOPS_MAX)
        return sp_fail(err, SP_E_CONFIG_INVALID, "delivery.smarthosts: too many for %s", s->route);
    if (!sp_target_parse(sp_arena_copy(t->arena, sp_bytes_cstr(s->host)), t->port, to))
        return sp_fail(err, SP_E_CONFIG_INVALID, "delivery.smarthosts: %s: not HOST:PORT", s->host);
    to->priority = (uint16_t)s->priority;
    to->weight = (uint16_t)s->weight;
    to->self = self;
    to->pin = s->name[0] == 0 ? to->host : sp_arena_copy(t->arena, sp_bytes_cstr(s->name));
    targets->count++;
    return SP_OK;
}

static void add_pin(struct sp_transport *t, const struct sp_config_route *r)
{
    struct pinned *p = sp_arena_alloc(t->arena, sizeof(*p));

    p->name = sp_arena_copy(t->arena, sp_bytes_cstr(r->to));
    (void)sp_map_put(t->pins, sp_bytes_cstr(r->domain), p);
}

static enum sp_rc add_partner(struct sp_transport *t, const struct sp_partner *p,
                              struct sp_err *err)
{
    struct sp_config_route route = {.domain = p->domain, .to = p->next_hop};

    struct partner_ref *ref = sp_arena_alloc(t->arena, sizeof(*ref));

    ref->partner = p;
    (void)sp_map_put(t->partners, sp_bytes_cstr(p->domain), ref);
    if (p->next_hop[0] == 0)
        return SP_OK;
    return add_target(t, &route, err) == SP_OK
               ? SP_OK
               : sp_fail(err, SP_E_CONFIG_INVALID, "partners: %s: next_hop is not HOST:PORT",
                         p->domain);
}

static enum sp_rc read_settings(struct sp_transport *t, const struct sp_transport_settings *s,
                                struct sp_err *err)
{
    struct sp_bytes next_hop = sp_arena_copy(t->arena, sp_bytes_cstr(s->next_hop));

    if (s->hostname != NULL)
        t->own_name = sp_arena_copy(t->arena, sp_bytes_cstr(s->hostname));
    t->port = s->port;
    t->cache_ms = s->cache_ms == 0 ? CACHE_MS : s->cache_ms;
    t->next_hop.count = next_hop.len > 0 ? 1 : 0;
    if (next_hop.len > 0 && !sp_target_parse(next_hop, t->port, &t->next_hop.items[0]))
        return sp_fail(err, SP_E_CONFIG_INVALID, "delivery.next_hop: %s: not HOST:PORT",
                       s->next_hop);
    for (size_t i = 0; i < s->route_count; i++)
        if (add_target(t, &s->routes[i], err) != SP_OK)
            return SP_E_CONFIG_INVALID;
    for (size_t i = 0; i < s->smarthost_count; i++)
        if (add_smarthost(t, &s->smarthosts[i], s->selves == NULL ? NULL : s->selves[i], err) !=
            SP_OK)
            return SP_E_CONFIG_INVALID;
    for (size_t i = 0; i < s->pin_count; i++)
        add_pin(t, &s->pins[i]);
    for (size_t i = 0; i < sp_partners_count(s->partners); i++)
        if (add_partner(t, sp_partners_at(s->partners, i), err) != SP_OK)
            return SP_E_CONFIG_INVALID;
    return SP_OK;
}

enum sp_rc sp_transport_new(const struct sp_transport_parts *parts,
                            const struct sp_transport_settings *settings, struct sp_transport **out,
                            struct sp_err *err)
{
    SP_AUTO(sp_transport) t = sp_calloc(1, sizeof(*t));
    enum sp_rc rc;

    t->loop = parts->loop;
    t->log = parts->log;
    t->dns = parts->dns;
    t->jobs = parts->jobs;
    t->arena = sp_arena_new(1024);
    t->targets = sp_map_new();
    t->pins = sp_map_new();
    t->partners = sp_map_new();
    t->routes = sp_map_new();
    t->runs = sp_map_new();
    t->waiters = sp_slots_new();
    t->own_sts = parts->sts == NULL ? sp_sts_cache_new(STS_MAX) : NULL;
    t->own_posture = parts->posture == NULL ? sp_posture_new(DOMAINS_MAX) : NULL;
    t->sts = parts->sts == NULL ? t->own_sts : parts->sts;
    t->posture = parts->posture == NULL ? t->own_posture : parts->posture;
    for (size_t i = 0; i < SP_ARRAY_LEN(t->by_age); i++)
        sp_list_init(&t->by_age[i]);
    rc = read_settings(t, settings, err);
    if (rc == SP_OK)
        *out = SP_STEAL(t);
    return rc;
}

/* ---- the cache ---- */

static void drop_entry(struct sp_transport *t, struct entry *e)
{
    t->kept[e->route->rc == SP_OK]--;
    (void)sp_map_remove(t->routes, e->domain);
    sp_list_remove(&e->by_age);
    sp_route_unref(e->route);
    sp_free(e);
}

static void keep(struct sp_transport *t, struct sp_bytes domain, const struct sp_route *route,
                 size_t left)
{
    struct entry *old = sp_map_find(t->routes, domain);
    bool leads = route->rc == SP_OK;
    struct entry *e;
    uint8_t *name;

    if (old != NULL)
        drop_entry(t, old);
    if (t->kept[leads] == (leads ? ROUTES_MAX : ERRORS_MAX))
        drop_entry(t, SP_CONTAINER(t->by_age[leads].next, struct entry, by_age));
    t->kept[leads]++;
    e = sp_calloc(1, sizeof(*e) + domain.len);
    name = (uint8_t *)(e + 1);
    memcpy(name, domain.ptr, domain.len);
    e->domain = sp_bytes(name, domain.len);
    e->route = sp_route_ref(route);
    e->good_until_ms = route->good_until_ms;
    e->unheard = left;
    e->unheard_until_ms = now_ms(t) + UNHEARD_MS;
    sp_list_append(&t->by_age[leads], &e->by_age);
    (void)sp_map_put(t->routes, e->domain, e);
}

/* returns: the key that the domain's route is kept under */
static struct sp_bytes key_of(const struct sp_transport *t, struct sp_bytes domain)
{
    bool shared = t->next_hop.count > 0 && sp_map_find(t->targets, domain) == NULL &&
                  sp_map_find(t->partners, domain) == NULL;

    return shared ? SP_LIT(EVERYTHING) : domain;
}

const struct sp_route *sp_transport_look(const struct sp_transport *t, struct sp_bytes domain)
{
    const struct entry *e = sp_map_find(t->routes, key_of(t, domain));

    return e != NULL && e->good_until_ms > now_ms(t) ? e->route : NULL;
}

/*
 * Who gave the place back may come when an error's two seconds are over, or when a short TTL is: if that were longer for all, a
 * resolver that was silent once would put off half a minute of mail; if for nobody, a look-up that takes long would be made
 * again and again, and its message never hear of it.
 */
const struct sp_route *sp_transport_find(struct sp_transport *t, struct sp_bytes domain)
{
    struct entry *e = sp_map_find(t->routes, key_of(t, domain));
    bool is_back;

    if (e == NULL)
        return NULL;
    is_back = e->unheard > 0 && e->unheard_until_ms > now_ms(t);
    e->unheard -= is_back;
    return is_back || e->good_until_ms > now_ms(t) ? e->route : NULL;
}

const struct sp_route *sp_transport_last(const struct sp_transport *t, struct sp_bytes domain)
{
    const struct entry *e = sp_map_find(t->routes, key_of(t, domain));

    return e == NULL ? NULL : e->route;
}

void sp_transport_forget(struct sp_transport *t, struct sp_bytes domain)
{
    struct entry *e = sp_map_find(t->routes, key_of(t, domain));

    if (e != NULL)
        drop_entry(t, e);
}

/* ---- look-ups ---- */

static void drop_waiter(struct waiter *w)
{
    (void)sp_slots_remove(w->t->waiters, w->handle);
    sp_list_remove(&w->at);
    sp_free(w);
}

static void free_run(struct run *r)
{
    SP_LIST_EACH(at, &r->waiters)
    drop_waiter(SP_CONTAINER(at, struct waiter, at));
    sp_look_up_free(r->look_up);
    sp_free(r);
}

static void on_route(void *arg, const struct sp_route *route)
{
    struct run *r = arg;
    struct sp_transport *t = r->t;

    keep(t, r->domain, route, r->left);
    (void)sp_map_remove(t->runs, r->domain);
    while (!sp_list_is_empty(&r->waiters)) {
        struct waiter *w = SP_CONTAINER(r->waiters.next, struct waiter, at);
        sp_transport_fn fn = w->fn;
        void *fn_arg = w->arg;

        drop_waiter(w);
        fn(fn_arg, route);
    }
    free_run(r);
    sp_route_unref(route);
}

/* Says where a domain's mail is to go; target stays NULL for MX. */
static void aim(struct sp_transport *t, struct sp_bytes domain, struct sp_targets *literal,
                struct sp_look_up_plan *plan)
{
    const struct pinned *pin = sp_map_find(t->pins, domain);
    const struct partner_ref *partner = sp_map_find(t->partners, domain);

    plan->partner = partner == NULL ? NULL : partner->partner;
    plan->targets = sp_map_find(t->targets, domain);
    plan->via = SP_VIA_MX;
    if (plan->targets != NULL) {
        plan->via = SP_VIA_ROUTE;
    } else if (t->next_hop.count > 0) {
        plan->via = SP_VIA_NEXT_HOP;
        plan->targets = &t->next_hop;
    } else if (sp_target_parse_literal(domain, t->port, &literal->items[0])) {
        plan->via = SP_VIA_LITERAL;
        literal->count = 1;
        plan->targets = literal;
    }
    if (pin != NULL)
        plan->pin = pin->name;
    else if ((plan->via == SP_VIA_ROUTE || plan->via == SP_VIA_NEXT_HOP) &&
             (plan->partner == NULL || plan->partner->name_count == 0) &&
             plan->targets->items[0].pin.len == 0)
        plan->pin =
            plan->targets->items[0].host; /* the operator named the host: its name is the pin */
}

static struct run *start_run(struct sp_transport *t, struct sp_bytes key, struct sp_bytes domain,
                             enum sp_dns_party party)
{
    struct run *r = sp_calloc(1, sizeof(*r) + key.len);
    uint8_t *name = (uint8_t *)(r + 1);
    struct sp_targets literal = {0};
    struct sp_look_up_plan plan = {
        .loop = t->loop,
        .log = t->log,
        .dns = sp_dns_for(t->dns, party),
        .jobs = t->jobs,
        .sts = t->sts,
        .own_name = t->own_name,
        .port = t->port,
        .cache_ms = t->cache_ms,
    };

    memcpy(name, key.ptr, key.len);
    r->t = t;
    r->domain = sp_bytes(name, key.len);
    r->party = party;
    sp_list_init(&r->waiters);
    aim(t, domain, &literal, &plan);
    /* what the posture and the audit call the place: with next_hop that host (the first of several), whatever the recipient's domain */
    plan.domain = plan.via == SP_VIA_NEXT_HOP ? t->next_hop.items[0].host : domain;
    (void)sp_map_put(t->runs, r->domain, r);
    r->look_up = sp_look_up_new(&plan, on_route, r);
    return r;
}

sp_handle sp_transport_resolve(struct sp_transport *t, struct sp_bytes domain,
                               enum sp_dns_party party, sp_transport_fn fn, void *arg)
{
    struct sp_bytes key = key_of(t, domain);
    struct run *r = sp_map_find(t->runs, key);
    struct waiter *w = sp_calloc(1, sizeof(*w));

    if (r == NULL)
        r = start_run(t, key, domain, party);
    if (party < r->party) {
        r->party = party;
        sp_look_up_hurry(r->look_up, sp_dns_for(t->dns, party));
    }
    w->t = t;
    w->run = r;
    w->fn = fn;
    w->arg = arg;
    w->handle = sp_slots_add(t->waiters, w);
    sp_list_append(&r->waiters, &w->at);
    return w->handle;
}

void sp_transport_cancel(struct sp_transport *t, sp_handle look_up)
{
    struct waiter *w = sp_slots_find(t->waiters, look_up);

    if (w == NULL)
        return;
    w->run->left++;
    drop_waiter(w);
}

bool sp_transport_is_asking(const struct sp_transport *t, struct sp_bytes domain)
{
    return sp_map_find(t->runs, key_of(t, domain)) != NULL;
}

/* ---- policies that get old ---- */

static void on_refreshed(void *arg, const struct sp_sts_found *found)
{
    struct sp_transport *t = arg;

    (void)found; /* what came of it stands in the memory, and in the log */
    sp_sts_quest_free(t->refresh);
    t->refresh = NULL;
    sp_transport_refresh(t); /* the next one */
}

void sp_transport_refresh(struct sp_transport *t)
{
    struct sp_sts_quest_plan plan = {.loop = t->loop,
                                     .log = t->log,
                                     .dns = t->dns,
                                     .jobs = t->jobs,
                                     .cache = t->sts,
                                     .refresh = true};

    if (t->refresh != NULL || t->jobs == NULL)
        return;
    plan.domain = sp_sts_cache_find_old(t->sts, sp_clock_steady_ms(sp_loop_clock(t->loop)));
    if (plan.domain.len > 0)
        t->refresh = sp_sts_quest_new(&plan, on_refreshed, t);
}

void sp_transport_free(struct sp_transport *t)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (t == NULL)
        return;
    while (sp_map_next(t->runs, &at, &key, &value))
        free_run(value);
    for (size_t i = 0; i < SP_ARRAY_LEN(t->by_age); i++) {
        SP_LIST_EACH(e, &t->by_age[i])
        drop_entry(t, SP_CONTAINER(e, struct entry, by_age));
    }
    sp_map_free(t->targets);
    sp_map_free(t->pins);
    sp_map_free(t->partners);
    sp_map_free(t->routes);
    sp_map_free(t->runs);
    sp_slots_free(t->waiters);
    sp_sts_quest_free(t->refresh);
    sp_sts_cache_free(t->own_sts);
    sp_posture_free(t->own_posture);
    sp_arena_free(t->arena);
    sp_free(t);
}

struct sp_sts_cache *sp_transport_sts(struct sp_transport *t)
{
    return t->sts;
}

struct sp_posture *sp_transport_posture(struct sp_transport *t)
{
    return t->posture;
}
