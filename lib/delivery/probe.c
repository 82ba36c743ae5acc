/*
 * The look-up is a delivery's own, made anew; then all hosts are connected to at once, each goes as far as a message would
 * go, and leaves before MAIL. What they showed is judged by the same function as a delivery's connections, so that the probe
 * can't see a domain in another light than the mail will.
 */
#include "delivery/probe.h"

#include "base/arena.h"
#include "delivery/conn.h"
#include "io/loop.h"
#include "transport/posture.h"
#include "transport/transport.h"

struct link {
    struct sp_probe *p;
    size_t at;
    struct sp_conn *conn; /* while it is open */
    bool over;            /* its host is known */
};

struct sp_probe {
    struct sp_probe_plan plan;
    struct sp_arena *arena;
    struct sp_timer *done;
    sp_handle look_up;
    const struct sp_route *route;
    struct sp_probe_host hosts[SP_TRANSPORT_HOPS_MAX];
    struct link links[SP_TRANSPORT_HOPS_MAX];
    size_t open; /* hosts that are not known yet */
    sp_probe_fn fn;
    void *arg;
};

static void know(struct link *l)
{
    if (l->over)
        return;
    l->over = true;
    if (--l->p->open == 0)
        sp_timer_start(l->p->done, 0);
}

static void judge(struct sp_probe *p, size_t at, enum sp_rc tls_rc)
{
    struct sp_probe_host *h = &p->hosts[at];

    h->verdict = sp_hop_judge(p->route, &p->route->hops[at], &h->proof, tls_rc);
}

static void on_ready(void *arg, struct sp_conn *c)
{
    struct link *l = arg;
    struct sp_probe *p = l->p;
    struct sp_probe_host *h = &p->hosts[l->at];

    if (l->over)
        return;
    h->rc = SP_OK;
    h->ip = sp_arena_copy(p->arena, sp_bytes_cstr(sp_conn_ip(c)));
    h->extensions = sp_conn_extensions(c);
    h->proof = *sp_conn_proof(c);
    h->tls_json = sp_arena_copy(p->arena, sp_conn_tls_json(c));
    h->tlsa = sp_arena_copy(p->arena, sp_conn_tlsa(c));
    judge(p, l->at, SP_E_TLS_ABSENT);
    sp_conn_quit(c);
    know(l);
}

static void on_busy(void *arg, struct sp_conn *c)
{
    (void)arg;
    (void)c; /* nothing is ever sent */
}

static void on_end(void *arg, struct sp_conn *c, const struct sp_conn_end *end)
{
    struct link *l = arg;
    struct sp_probe_host *h = &l->p->hosts[l->at];

    if (!l->over) {
        h->rc = end->rc == SP_OK ? SP_E_HOP_LOST : end->rc;
        h->reply_code = end->reply_code;
        if (h->rc == SP_E_TLS_HANDSHAKE)
            h->ip = sp_arena_copy(l->p->arena, sp_bytes_cstr(sp_conn_ip(c)));
        judge(l->p, l->at, h->rc);
    }
    l->conn = NULL;
    sp_conn_free(c);
    know(l);
}

static const struct sp_conn_events events = {
    .on_ready = on_ready,
    .on_busy = on_busy,
    .on_end = on_end,
};

static void ask_host(struct sp_probe *p, size_t at)
{
    const struct sp_hop *hop = &p->route->hops[at];
    struct sp_conn_plan plan = {
        .loop = p->plan.loop,
        .hostname = p->plan.hostname,
        .tls = p->plan.tls,
        .route = p->route,
        .hop = at,
        .connect_ms = p->plan.connect_ms,
    };

    p->links[at] = (struct link){.p = p, .at = at, .over = hop->rc != SP_OK};
    p->hosts[at].rc = hop->rc;
    if (hop->rc != SP_OK)
        return;
    p->hosts[at].rc = SP_E_TIMEOUT; /* until it is known */
    p->hosts[at].asked = true;
    p->open++;
    p->links[at].conn = sp_conn_new(&plan, &events, &p->links[at]);
}

static void on_route(void *arg, const struct sp_route *route)
{
    struct sp_probe *p = arg;

    p->look_up = 0;
    p->route = sp_route_ref(route);
    for (size_t i = 0; i < route->hop_count; i++)
        ask_host(p, i);
    sp_timer_start(p->done, p->open == 0 ? 0 : p->plan.limit_ms);
}

static void on_done(void *arg)
{
    struct sp_probe *p = arg;
    struct sp_probe_result result = {.route = p->route, .hosts = p->hosts};

    for (size_t i = 0; i < p->route->hop_count; i++)
        p->links[i].over = true;
    p->fn(p->arg, &result);
}

struct sp_probe *sp_probe_new(const struct sp_probe_plan *plan, struct sp_bytes domain,
                              sp_probe_fn fn, void *arg)
{
    struct sp_probe *p = sp_calloc(1, sizeof(*p));

    p->plan = *plan;
    p->fn = fn;
    p->arg = arg;
    p->arena = sp_arena_new(4096);
    p->done = sp_timer_new(plan->loop, on_done, p);
    sp_transport_forget(plan->transport, domain);
    p->look_up = sp_transport_resolve(plan->transport, domain, SP_DNS_PARTY_OURS, on_route, p);
    return p;
}

void sp_probe_free(struct sp_probe *p)
{
    if (p == NULL)
        return;
    if (p->look_up != 0)
        sp_transport_cancel(p->plan.transport, p->look_up);
    for (size_t i = 0; i < SP_TRANSPORT_HOPS_MAX; i++)
        sp_conn_free(p->links[i].conn);
    sp_timer_free(p->done);
    sp_route_unref(p->route);
    sp_arena_free(p->arena);
    sp_free(p);
}

/* ---- what it means ---- */

void sp_outcome_hop_report_init(const struct sp_route *route, size_t hop,
                                struct sp_posture *posture, struct sp_hop_report *r)
{
    const struct sp_hop *h = &route->hops[hop];
    bool has_dane = sp_hop_has_dane(route, h);
    bool lacks_promise = route->sts.mode != SP_STS_MODE_ENFORCE && !sp_hop_has_pin(route, h) &&
                         !has_dane && !h->tlsa_pinned;

    *r = (struct sp_hop_report){.hop = hop};
    r->has_before = sp_posture_find(posture, route->domain, &r->before);
    if (!has_dane)
        r->dane_why = h->tlsa_why != SP_OK ? h->tlsa_why
                      : h->tlsa_pinned     ? SP_E_DANE_NONE
                                           : SP_E_DANE_UNSIGNED;
    if (h->tlsa == SP_TLSA_ERROR)
        r->dane_why = SP_OK; /* not known: it may be there */
    if (lacks_promise && route->sts_doubt)
        r->doubt = route->sts_why;
    else if (lacks_promise)
        r->auth_why = route->sts_why == SP_OK ? SP_E_STS_NONE : route->sts_why;
}

/* As an attempt sees it: who answers STARTTLS with another reply than 220 puts off, or refuses; it may have TLS later. */
static enum sp_rc rc_of(const struct sp_probe_host *h)
{
    if (h->rc == SP_OK || h->reply_code < 400)
        return h->rc;
    return h->reply_code >= 500 ? SP_E_HOP_REFUSED : SP_E_HOP_DEFERRED;
}

void sp_probe_tell(const struct sp_probe_result *result, struct sp_posture *posture,
                   struct sp_standing *s)
{
    const struct sp_route *route = result->route;
    bool was_bare = false;

    if (route->rc != SP_OK) {
        sp_outcome_route_failed(s, route->rc);
        return;
    }
    for (size_t i = 0; i < route->hop_count; i++) {
        struct sp_hop_report r;

        sp_outcome_hop_report_init(route, i, posture, &r);
        r.rc = rc_of(&result->hosts[i]);
        r.anew = r.rc == SP_E_TLS_HANDSHAKE;
        r.rc = r.anew ? SP_OK : r.rc;
        r.verdict = result->hosts[i].verdict;
        if (r.rc == SP_OK || !was_bare)
            sp_outcome_hop(s, &r);
        if (r.anew)
            continue; /* it is asked again only if no other one will do */
        if (sp_outcome_hop_will_do(s, i) &&
            (route->via != SP_VIA_MX || !sp_outcome_hop_is_bare(s, i)))
            return; /* in the clear mail goes only when all were asked */
        was_bare = was_bare || sp_outcome_hop_is_bare(s, i);
    }
}
