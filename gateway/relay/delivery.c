/*
 * The outbound half: resolver, transport, TLS client context and delivery, made together from one generation of settings.
 * A reload starts a new half on the same queue and lets the old one end what it has under way: the queue knows which
 * recipients are busy, so nothing is tried twice.
 */
#include "gateway/relay/relay.h"
#include "gateway/relay/smarthost.h"

#include "crypt/hash.h"
#include "config/partners.h"
#include "delivery/outcome.h"
#include "delivery/sessions.h"
#include "config/sites.h"
#include "config/tenant.h"
#include "dns/resolver.h"
#include "transport/posture.h"
#include "transport/transport.h"

#define PARTNERS     "policies/partners.json"
#define SITES        "policies/sites.json"
#define PATIENCE_MS  600000 /* for the old half after a reload */
#define SESSIONS_MAX 1000

struct half {
    struct relay_delivery *owner;
    struct sp_list link; /* among the old ones */
    char *hostname;
    char *resolver_text;
    struct sp_dns_resolver *resolver;
    struct sp_partners *partners; /* or NULL */
    struct relay_selves *selves;
    struct sp_retry_class *retries;
    size_t retry_count;
    struct sp_sites *sites;
    struct sp_delivery_bounces *bounces;
    size_t bounce_count;
    struct sp_secret return_key;
    char **signers; /* names of tenants */
    size_t signer_count;
    struct sp_transport *transport;
    struct sp_tls_context *tls;
    uint8_t trust[SP_SHA256_LEN]; /* digest of what tls trusts */
    struct sp_delivery *delivery;
};

struct relay_delivery {
    struct half *now;
    struct sp_list old;
    struct sp_loop *loop;
    struct sp_sessions *sessions; /* of all of them */
};

static void half_free(void *ptr)
{
    struct half *h = ptr;

    if (h == NULL)
        return;
    sp_list_remove(&h->link);
    sp_delivery_free(h->delivery);
    /* lines that it had shut are open again */
    if (h->owner->now != NULL && h->owner->now != h)
        sp_delivery_poke(h->owner->now->delivery);
    sp_transport_free(h->transport);
    sp_dns_resolver_free(h->resolver);
    sp_partners_free(h->partners);
    relay_selves_free(h->selves);
    sp_sites_free(h->sites);
    sp_tls_context_unref(h->tls);
    for (size_t i = 0; i < h->retry_count; i++)
        sp_free((void *)h->retries[i].match);
    sp_free(h->retries);
    for (size_t i = 0; i < h->signer_count; i++)
        sp_free(h->signers[i]);
    sp_free(h->signers);
    for (size_t i = 0; i < h->bounce_count; i++) {
        sp_free((char *)h->bounces[i].tenant);
        sp_free((char *)h->bounces[i].domain);
    }
    sp_free(h->bounces);
    sp_secret_clear(&h->return_key);
    sp_free(h->hostname);
    sp_free(h->resolver_text);
    sp_free(h);
}

enum sp_rc relay_resolver_new(struct relay *r, const struct sp_config *config,
                              struct sp_dns_resolver **out, char **first, struct sp_err *err)
{
    const struct sp_config_texts *servers = &config->resolver.servers;
    struct sp_dns_settings settings = {.trusted = config->resolver.trusted,
                                       .deadline_ms = config->resolver.timeout_ms};

    for (size_t i = 0; i < servers->count && settings.server_count < SP_DNS_SERVERS_MAX; i++) {
        struct sp_dns_server *s = &settings.servers[settings.server_count];
        struct sp_addr at;
        char ip[SP_ADDR_TEXT_MAX];

        if (!sp_addr_parse(sp_bytes_cstr(servers->items[i]), &at))
            return sp_fail(err, SP_E_CONFIG_INVALID, "resolver.servers: %s", servers->items[i]);
        sp_addr_format_ip(&at, ip);
        if (!sp_dns_ip_parse(sp_bytes_cstr(ip), &s->ip))
            return sp_fail(err, SP_E_CONFIG_INVALID, "resolver.servers: %s", servers->items[i]);
        s->port = sp_addr_port(&at);
        settings.server_count++;
        if (first != NULL && *first == NULL)
            *first = sp_strdup(ip);
    }
    *out = sp_dns_resolver_new(r->loop, r->log, &settings);
    return SP_OK;
}

/* The file lies beside the policies; without it there are no partners. */
static enum sp_rc load_partners(struct relay *r, struct half *h, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_bytes text = sp_role_file(r->role, PARTNERS);

    if (text.len == 0 || sp_partners_load(text, PARTNERS, problems, &h->partners) == SP_OK)
        return SP_OK;
    return sp_problems_rc(problems, err);
}

/* An address that is not there may come: it is told, and passed over meanwhile. */
static void check_source(const struct relay *r, const struct sp_site_source *pool)
{
    char *name = sp_strdup_bytes(pool->name);

    for (size_t i = 0; i < pool->count; i++) {
        char ip[SP_ADDR_TEXT_MAX];
        struct sp_addr from;

        if (!sp_addr_from_ip(pool->addresses[i], 0, &from) || sp_addr_can_leave_from(&from))
            continue;
        sp_addr_format_ip(&from, ip);
        sp_log_warn(r->log, "site.source-unusable", SP_TEXT("source", name),
                    SP_TEXT("address", ip));
    }
    sp_free(name);
}

static void check_sources(const struct relay *r, const struct sp_sites *sites)
{
    const struct sp_site_source *pool;
    size_t at = 0;

    while ((pool = sp_sites_next_source(sites, &at)) != NULL)
        check_source(r, pool);
}

/* Without the file nothing is limited but by the settings, and the usual words of throttling are understood. */
static enum sp_rc load_sites(struct relay *r, struct half *h, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_bytes text = sp_role_file(r->role, SITES);

    if (sp_sites_load(text, SITES, problems, &h->sites) == SP_OK) {
        check_sources(r, h->sites);
        return SP_OK;
    }
    return sp_problems_rc(problems, err);
}

static enum sp_rc make_transport(struct relay *r, struct half *h, struct sp_err *err)
{
    struct sp_transport_settings settings = {.hostname = h->hostname,
                                             .port = (uint16_t)r->config->delivery.port,
                                             .next_hop = r->config->delivery.next_hop,
                                             .routes = r->config->delivery.routes,
                                             .route_count = r->config->delivery.route_count,
                                             .pins = r->config->delivery.pins,
                                             .pin_count = r->config->delivery.pin_count,
                                             .smarthosts = r->config->delivery.smarthosts,
                                             .smarthost_count = r->config->delivery.smarthost_count,
                                             .selves = relay_selves_list(h->selves),
                                             .partners = h->partners};
    struct sp_transport_parts parts = {.loop = r->loop,
                                       .log = r->log,
                                       .dns = sp_dns_resolver_ops(h->resolver),
                                       .jobs = r->jobs,
                                       .sts = relay_posture_policies(r),
                                       .posture = relay_posture_levels(r)};

    return sp_transport_new(&parts, &settings, &h->transport, err);
}

static void digest_trust(struct sp_bytes extra, uint8_t out[SP_SHA256_LEN])
{
    struct sp_buf text;

    sp_buf_init(&text, extra.len + 8);
    sp_buf_put_u64(&text, sp_tls_system_trust_stamp());
    sp_buf_put(&text, extra);
    sp_crypt_sha256(sp_buf_bytes(&text), out);
    sp_buf_clear(&text);
}

/* Reading the system's anchors takes long enough to hold up sessions: the half before us lends its own if they are the same. */
static enum sp_rc make_tls(struct relay *r, struct half *h, struct sp_err *err)
{
    struct sp_tls_client_config config = {
        .system_trust = true,
        .extra_ca_pem = sp_role_file(r->role, "secret/delivery.ca"),
    };
    const struct half *before = r->delivery->now;

    digest_trust(config.extra_ca_pem, h->trust);
    if (before != NULL && memcmp(before->trust, h->trust, sizeof(h->trust)) == 0) {
        h->tls = sp_tls_context_ref(before->tls);
        return SP_OK;
    }
    h->tls = sp_tls_client_new(&config, err);
    return h->tls == NULL ? SP_E_TLS_CONFIG : SP_OK;
}

/* Copies: the configuration may go before a half that drains. */
static void copy_retries(const struct relay *r, struct half *h)
{
    h->retry_count = r->config->delivery.retry_count;
    h->retries = sp_calloc(h->retry_count + 1, sizeof(*h->retries));
    for (size_t i = 0; i < h->retry_count; i++) {
        const struct sp_config_retry *from = &r->config->delivery.retries[i];

        h->retries[i] = (struct sp_retry_class){.match = sp_strdup(from->match),
                                                .first_ms = from->first_ms,
                                                .max_ms = from->max_ms,
                                                .expire_ms = from->expire_ms};
    }
}

static void make_delivery(struct relay *r, struct half *h)
{
    struct sp_delivery_parts parts = {.loop = r->loop,
                                      .log = r->log,
                                      .queue = r->queue,
                                      .transport = h->transport,
                                      .tls = h->tls,
                                      .jobs = r->jobs,
                                      .suppress = relay_suppress_list(r),
                                      .sessions = r->delivery->sessions};
    struct sp_delivery_settings settings = {
        .hostname = h->hostname,
        .resolver = h->resolver_text == NULL ? "" : h->resolver_text,
        .retry_first_ms = r->config->delivery.retry_first_ms,
        .retry_max_ms = r->config->delivery.retry_max_ms,
        .retries = h->retries,
        .retry_count = h->retry_count,
        .connect_ms = r->config->delivery.connect_ms,
        .command_ms = r->config->delivery.command_ms,
        .dsn_delay_ms = r->config->delivery.dsn_delay_ms,
        .own_expire_ms = r->config->delivery.expire_ms,
        .suppress_ms = r->config->delivery.suppress_ms,
        .idle_ms = r->config->delivery.reuse_ms > 0
                       ? r->config->delivery.reuse_ms
                       : 1, /* 0 is a default there, and here: not kept */
        .job_ms = r->config->roles.job_ms,
        .long_lines = r->config->delivery.long_lines,
        .has_portal = r->config->portal.listen[0] != 0,
        .work_dir = sp_role_dir(r->role),
        .portal_name = h->hostname,
        .site_max = (unsigned)r->config->delivery.max_connections,
        .relays = sp_role_count(r->role),
        .sites = h->sites,
        .signers = h->signers,
        .signer_count = h->signer_count,
        .bounces = h->bounces,
        .bounce_count = h->bounce_count,
        .return_key = &h->return_key,
    };

    h->delivery = sp_delivery_new(&parts, &settings);
}

static void add_bounces(struct half *h, const struct sp_tenant *t)
{
    h->bounces = sp_realloc(h->bounces, (h->bounce_count + 1) * sizeof(*h->bounces));
    h->bounces[h->bounce_count++] = (struct sp_delivery_bounces){
        .tenant = sp_strdup(t->name), .domain = sp_strdup(t->bounces.domain)};
}

/* Of the tenants: who has a DKIM selector (what we make in their names goes by the sealer), and who return paths of ours. */
static enum sp_rc load_tenants(struct relay *r, struct half *h, struct sp_err *err)
{
    struct sp_bytes name, data;
    size_t at = 0;

    while (sp_role_file_next(r->role, "tenants/", &at, &name, &data)) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        SP_AUTO(sp_tenant) tenant = NULL;

        if (!sp_bytes_ends_nocase(name, SP_LIT(".json")))
            continue;
        if (sp_tenant_load(data, "tenants", problems, &tenant) != SP_OK)
            return sp_problems_rc(problems, err);
        if (tenant->bounces.domain[0] != 0)
            add_bounces(h, tenant);
        if (!sp_tenant_signs(tenant))
            continue;
        h->signers = sp_realloc(h->signers, (h->signer_count + 1) * sizeof(*h->signers));
        h->signers[h->signer_count++] = sp_strdup(tenant->name);
    }
    return SP_OK;
}

static enum sp_rc half_new(struct relay *r, struct half **out, struct sp_err *err)
{
    struct half *h = sp_calloc(1, sizeof(*h));
    enum sp_rc rc;

    sp_list_init(&h->link);
    h->owner = r->delivery;
    h->hostname = sp_strdup(r->config->hostname);
    rc = relay_resolver_new(r, r->config, &h->resolver, &h->resolver_text, err);
    if (rc == SP_OK)
        rc = load_partners(r, h, err);
    if (rc == SP_OK)
        rc = relay_selves_new(r, r->delivery->now == NULL ? NULL : r->delivery->now->selves,
                              &h->selves, err);
    if (rc == SP_OK)
        rc = load_sites(r, h, err);
    if (rc == SP_OK)
        rc = load_tenants(r, h, err);
    if (rc == SP_OK)
        rc = make_transport(r, h, err);
    if (rc == SP_OK)
        rc = make_tls(r, h, err);
    if (rc != SP_OK) {
        half_free(h);
        return rc;
    }
    copy_retries(r, h);
    relay_keys_return(r, &h->return_key);
    make_delivery(r, h);
    *out = h;
    return SP_OK;
}

enum sp_rc relay_delivery_start(struct relay *r, struct sp_err *err)
{
    enum sp_rc rc;

    r->delivery = sp_calloc(1, sizeof(*r->delivery));
    r->delivery->loop = r->loop;
    r->delivery->sessions = sp_sessions_new(SESSIONS_MAX);
    sp_list_init(&r->delivery->old);
    rc = half_new(r, &r->delivery->now, err);
    if (rc != SP_OK)
        return rc;
    relay_delivery_poke(r);
    return SP_OK;
}

static void on_old_ended(void *arg)
{
    struct half *h = arg;

    sp_loop_free_later(h->owner->loop, half_free, h);
}

enum sp_rc relay_delivery_reload(struct relay *r, struct sp_err *err)
{
    struct half *old = r->delivery->now, *fresh;
    enum sp_rc rc = half_new(r, &fresh, err);

    if (rc != SP_OK)
        return rc;
    relay_probe_cancel(r);
    relay_report_cancel(r);
    r->delivery->now = fresh;
    sp_list_append(&r->delivery->old, &old->link);
    sp_delivery_drain(old->delivery, PATIENCE_MS, on_old_ended, old);
    relay_delivery_poke(r);
    return SP_OK;
}

void relay_delivery_poke(struct relay *r)
{
    if (r->delivery != NULL && r->delivery->now != NULL && relay_posture_is_known(r) &&
        relay_suppress_is_known(r))
        sp_delivery_poke(r->delivery->now->delivery);
}

void relay_delivery_ask_now(struct relay *r, const struct sp_id *id, size_t recipients)
{
    if (r->delivery != NULL && r->delivery->now != NULL)
        sp_delivery_ask_now(r->delivery->now->delivery, id, recipients);
}

void relay_delivery_drain(struct relay *r, int64_t patience_ms, void (*fn)(void *arg))
{
    sp_delivery_drain(r->delivery->now->delivery, patience_ms, fn, r);
}

void relay_delivery_free(struct relay *r)
{
    struct relay_delivery *d = r->delivery;

    if (d == NULL)
        return;
    SP_LIST_EACH(pos, &d->old)
    {
        half_free(SP_CONTAINER(pos, struct half, link));
    }
    half_free(d->now);
    sp_sessions_free(d->sessions);
    sp_free(d);
    r->delivery = NULL;
}

void relay_delivery_put_pool(struct relay *r, struct sp_jw *w)
{
    if (r->delivery != NULL && r->delivery->now != NULL)
        sp_delivery_put_pool(r->delivery->now->delivery, (size_t)r->config->admin.sites, w);
}

bool relay_delivery_step_board(struct relay *r, struct sp_delivery_board *b)
{
    return sp_delivery_board_step(b, r->delivery->now->delivery);
}

struct sp_transport *relay_delivery_transport(struct relay *r)
{
    return r->delivery->now->transport;
}

const struct sp_dns_ops *relay_delivery_dns(struct relay *r)
{
    return sp_dns_resolver_ops(r->delivery->now->resolver);
}

struct sp_tls_context *relay_delivery_tls(struct relay *r)
{
    return r->delivery->now->tls;
}

int relay_delivery_remembered(struct relay *r, struct sp_bytes domain)
{
    static const enum sp_floor floors[] = {
        [SP_LEVEL_PLAIN] = SP_FLOOR_PLAIN,
        [SP_LEVEL_ENCRYPTED] = SP_FLOOR_TLS_ENCRYPTED,
        [SP_LEVEL_VERIFIED] = SP_FLOOR_TLS_VERIFIED,
        [SP_LEVEL_AUTHENTICATED] = SP_FLOOR_TLS_AUTHENTICATED,
        [SP_LEVEL_DANE] = SP_FLOOR_TLS_DANE,
    };
    enum sp_level best;

    return sp_posture_find(relay_posture_levels(r), domain, &best) ? (int)floors[best]
                                                                   : SP_REMEMBERED_NEVER_SEEN;
}
