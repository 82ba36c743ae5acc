/*
 * One generation of configuration: what sessions and transactions need of settings, policy and tenants, copied out and
 * never changed. A reload makes a new one; who began under the old keeps it until the end.
 */
#include "crypt/hash.h"
#include "intake/intake_priv.h"

#include "base/text.h"

/* Data lines longer than this can't be told from an attack on whoever reads them. */
#define LINE_LIMIT (1024 * 1024)

static void hex_digest(struct sp_bytes data, char *out, size_t bytes)
{
    uint8_t digest[SP_SHA256_LEN];
    struct sp_buf hex;

    sp_crypt_sha256(data, digest);
    sp_buf_init(&hex, 2 * SP_SHA256_LEN);
    sp_hex_encode(&hex, sp_bytes(digest, bytes));
    memcpy(out, hex.ptr, 2 * bytes);
    out[2 * bytes] = 0;
    sp_buf_clear(&hex);
}

/* Offered is what some user can log in by. */
static unsigned mechanisms(const struct sp_intake_settings *s)
{
    unsigned out = 0;

    for (size_t i = 0; i < s->tenant_count; i++) {
        const struct sp_tenant *t = s->tenants[i].tenant;

        for (size_t k = 0; k < t->proofs.user_count; k++) {
            if (t->proofs.users[k].hash[0] != 0)
                out |= SP_SMTP_AUTH_PLAIN | SP_SMTP_AUTH_LOGIN;
            if (t->proofs.users[k].scram[0] != 0)
                out |= SP_SMTP_AUTH_SCRAM;
            if (t->proofs.users[k].certificate[0] != 0)
                out |= SP_SMTP_AUTH_EXTERNAL;
            if (t->proofs.users[k].oauth[0] != 0 && s->config->oauth.issuer_count > 0)
                out |= SP_SMTP_AUTH_OAUTH;
        }
    }
    return out;
}

/* Each relay's part of a limit that is the gateway's; the parts are rounded up. */
static size_t divided(size_t limit, size_t relays)
{
    relays = relays == 0 ? 1 : relays;
    return (limit + relays - 1) / relays;
}

static void set_proxies(struct networks *n, const struct sp_config_texts *texts)
{
    n->items = sp_calloc(texts->count + 1, sizeof(*n->items));
    for (size_t i = 0; i < texts->count; i++) {
        if (sp_network_parse(sp_bytes_cstr(texts->items[i]), &n->items[n->count]))
            n->count++;
    }
}

static void set_server(struct generation *g, size_t i, const struct sp_config *c, bool tls,
                       const struct sp_clock *clock)
{
    enum sp_listen_tls mode = c->listen[i].tls;

    g->listen_tls[i] = mode;
    g->plain_ok[i] = c->listen[i].plain_ok;
    g->bounces[i] = c->listen[i].bounces;
    set_proxies(&g->proxies[i], &c->listen[i].proxies);
    g->servers[i] = (struct sp_smtp_server_config){
        .hostname = g->hostname,
        .clock = clock,
        .size_limit = (uint64_t)c->intake.size_limit,
        .line_limit = LINE_LIMIT,
        .max_recipients = (size_t)c->intake.max_recipients,
        .max_errors = (unsigned)c->intake.max_errors,
        .max_idle = 500,
        .free_idle = 100,
        .idle_ms = c->intake.idle_ms,
        .least_rate = (uint64_t)c->intake.least_rate,
        .tls_active = mode == SP_LISTEN_IMPLICIT,
        .tls_offered = mode == SP_LISTEN_STARTTLS && tls,
        .tls_required = mode == SP_LISTEN_STARTTLS && !c->listen[i].plain_ok,
        .auth = tls && c->listen[i].auth != SP_LISTEN_AUTH_OFF ? g->auth : 0,
        .auth_required = c->listen[i].auth == SP_LISTEN_AUTH_REQUIRED,
    };
    if (c->listen[i].bounces) { /* anybody's, as it comes */
        g->servers[i].tls_required = g->servers[i].auth_required = false;
        g->servers[i].auth = 0;
    }
}

static void set_tls(struct generation *g, const struct sp_intake_settings *s)
{
    if (s->tls == NULL)
        return;
    g->tls = sp_calloc(g->listen_count, sizeof(struct sp_tls_context *));
    for (size_t i = 0; i < g->listen_count; i++)
        g->tls[i] = sp_tls_context_ref(s->tls[i]);
}

/* The settings' table has checked that it is a digest. */
static void set_secret(struct who *w)
{
    struct sp_buf b;

    sp_buf_init(&b, sizeof(w->secret));
    if (sp_hex_decode(&b, sp_bytes_cstr(w->tenant->proofs.secret_header.sha256)) &&
        b.len == sizeof(w->secret))
        memcpy(w->secret, b.ptr, b.len);
    sp_buf_clear(&b);
}

static void set_secret_name(struct generation *g, const char *name)
{
    uint8_t text[SECRET_NAME_MAX];
    struct sp_bytes key = sp_intake_secret_key(sp_bytes_cstr(name), text);

    if (key.len > 0)
        (void)sp_map_put(g->secrets, key, g);
}

static void set_tenant(struct who *w, const struct sp_intake_tenant *t)
{
    const struct sp_config_texts *networks = &t->tenant->proofs.networks;

    w->tenant = t->tenant;
    hex_digest(t->file, w->digest, SP_SHA256_LEN);
    set_secret(w);
    w->networks = sp_calloc(networks->count, sizeof(*w->networks));
    for (size_t i = 0; i < networks->count; i++) {
        /* the settings' table has checked the form; what does not parse all the same proves nobody */
        if (sp_network_parse(sp_bytes_cstr(networks->items[i]), &w->networks[w->network_count]))
            w->network_count++;
    }
}

static void set_issuers(struct generation *g, const struct sp_intake_settings *s)
{
    const struct sp_config *c = s->config;

    g->issuers = sp_calloc(c->oauth.issuer_count, sizeof(*g->issuers));
    for (size_t i = 0; s->issuer_keys != NULL && i < c->oauth.issuer_count; i++) {
        const struct sp_config_issuer *from = &c->oauth.issuers[i];

        g->issuers[g->issuer_count++] = (struct issuer){.issuer = sp_strdup(from->issuer),
                                                        .audience = sp_strdup(from->audience),
                                                        .claim = sp_strdup(from->claim),
                                                        .tenant = sp_strdup(from->tenant),
                                                        .leeway_ms = c->oauth.leeway_ms,
                                                        .keys = s->issuer_keys[i]};
    }
}

static void free_issuers(struct generation *g)
{
    for (size_t i = 0; i < g->issuer_count; i++) {
        sp_free(g->issuers[i].issuer);
        sp_free(g->issuers[i].audience);
        sp_free(g->issuers[i].claim);
        sp_free(g->issuers[i].tenant);
        sp_token_keys_free(g->issuers[i].keys);
    }
    sp_free(g->issuers);
}

struct generation *sp_intake_generation_new(const struct sp_intake_settings *s,
                                            const struct sp_clock *clock)
{
    const struct sp_config *c = s->config;
    struct generation *g = sp_calloc(1, sizeof(*g));

    g->refs = 1;
    g->node = sp_strdup(c->node);
    g->hostname = sp_strdup(c->hostname);
    g->listen_count = c->listen_count;
    g->servers = sp_calloc(c->listen_count, sizeof(*g->servers));
    g->listen_tls = sp_calloc(c->listen_count, sizeof(*g->listen_tls));
    g->plain_ok = sp_calloc(c->listen_count, sizeof(*g->plain_ok));
    g->bounces = sp_calloc(c->listen_count, sizeof(*g->bounces));
    g->proxies = sp_calloc(c->listen_count, sizeof(*g->proxies));
    g->auth = mechanisms(s);
    for (size_t i = 0; i < c->listen_count; i++)
        set_server(g, i, c, s->tls != NULL, clock);
    g->handshake_ms = c->intake.handshake_ms;
    g->max_sessions = divided((size_t)c->intake.max_sessions, s->relays);
    g->relays = s->relays == 0 ? 1 : s->relays;
    g->max_connects = (double)c->intake.max_connects / g->relays;
    g->max_source = (size_t)c->intake.max_source / g->relays + 1;
    g->bytes = (double)c->intake.max_bytes / g->relays / 1000.0;
    g->source_bytes = (double)c->intake.max_source_bytes / g->relays / 1000.0;
    g->memory = (double)c->intake.max_memory / g->relays;
    g->source_memory = (double)c->intake.max_source_memory / g->relays;
    g->scan_ms = c->intake.scan_ms;
    g->long_lines = c->delivery.long_lines;
    g->expire_ms = c->delivery.expire_ms;
    g->policy = sp_policy_ref(s->policy);
    if (s->stage != NULL && s->stage->draft != NULL) {
        g->stage = *s->stage;
        (void)sp_policy_ref(g->stage.draft);
    }
    set_tls(g, s);
    g->resolver = s->resolver;
    set_issuers(g, s);
    g->tenants = sp_calloc(s->tenant_count, sizeof(*g->tenants));
    g->tenant_count = s->tenant_count;
    g->secrets = sp_map_new();
    for (size_t i = 0; i < s->tenant_count; i++) {
        set_tenant(&g->tenants[i], &s->tenants[i]);
        set_secret_name(g, g->tenants[i].tenant->proofs.secret_header.name);
    }
    return g;
}

struct generation *sp_intake_generation_ref(struct generation *g)
{
    g->refs++;
    return g;
}

void sp_intake_generation_unref(struct generation *g)
{
    if (g == NULL || --g->refs > 0)
        return;
    for (size_t i = 0; i < g->tenant_count; i++) {
        sp_tenant_free(g->tenants[i].tenant);
        sp_free(g->tenants[i].networks);
    }
    free_issuers(g);
    sp_map_free(g->secrets);
    sp_policy_unref(g->policy);
    sp_policy_unref(g->stage.draft);
    for (size_t i = 0; g->tls != NULL && i < g->listen_count; i++)
        sp_tls_context_unref(g->tls[i]);
    sp_free(g->tls);
    sp_dns_resolver_free(g->resolver);
    sp_free(g->tenants);
    sp_free(g->servers);
    sp_free(g->listen_tls);
    for (size_t i = 0; i < g->listen_count; i++)
        sp_free(g->proxies[i].items);
    sp_free(g->proxies);
    sp_free(g->plain_ok);
    sp_free(g->bounces);
    sp_free(g->node);
    sp_free(g->hostname);
    sp_free(g);
}
