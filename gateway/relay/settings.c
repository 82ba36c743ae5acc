/*
 * From the bundle to what intake runs on: settings, policy, tenants, TLS. All is read and checked before anything
 * changes, so that a reload with a fault leaves the old generation as it is.
 */
#include "gateway/relay/relay.h"

#include "config/tenant.h"
#include "json/problem.h"
#include "token/token.h"

#include <stdio.h>

#define TENANTS_MAX 10000

struct loaded {
    struct sp_config *config;
    struct sp_policy *policy;
    struct sp_policy_stage stage;
    struct sp_tls_context *
        *tls; /* of each listener; NULL: no certificate is set, TLS is not offered */
    size_t listen_count;
    struct sp_dns_resolver *resolver; /* of intake: keys of DKIM proofs */
    struct sp_token_keys *issuer_keys[SP_CONFIG_ISSUERS_MAX];
    struct sp_intake_tenant *tenants;
    size_t tenant_count;
};

static enum sp_rc read_policy_file(void *ctx, const char *name, struct sp_bytes *out)
{
    *out = sp_role_file(ctx, name);
    return out->ptr == NULL ? SP_E_NOT_FOUND : SP_OK;
}

static bool next_policy_file(void *ctx, const char *dir, size_t *at, struct sp_bytes *name)
{
    struct sp_bytes data;

    return sp_role_file_next(ctx, dir, at, name, &data);
}

static enum sp_rc load_config(struct relay *r, struct loaded *l, struct sp_problems *problems)
{
    return sp_config_load(sp_role_file(r->role, "sallyport.json"), "sallyport.json", problems,
                          &l->config);
}

static enum sp_rc check_routes(const struct loaded *l, const struct sp_policy *policy,
                               struct sp_problems *problems)
{
    const char *route;
    size_t at = 0;

    while ((route = sp_policy_route_next(policy, &at)) != NULL)
        if (!sp_config_has_route(l->config, sp_bytes_cstr(route)))
            return sp_problem_file(problems, l->config->policy, 0, SP_E_POLICY_INVALID,
                                   "a rule names the route \"%s\", which is not in "
                                   "delivery.routes or delivery.smarthosts",
                                   route);
    return SP_OK;
}

static enum sp_rc load_policy(struct relay *r, struct loaded *l, struct sp_problems *problems)
{
    struct sp_policy_reader reader = {read_policy_file, r->role, next_policy_file};

    enum sp_rc rc = sp_policy_load(&reader, l->config->policy, problems, &l->policy);

    return rc == SP_OK ? check_routes(l, l->policy, problems) : rc;
}

/* A draft that can't be tried is left out, loudly: the live policy decides as before. */
static void load_stage(struct relay *r, struct loaded *l)
{
    struct sp_policy_reader reader = {read_policy_file, r->role, next_policy_file};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    enum sp_rc rc = sp_policy_stage_load(&reader, l->config->policy, problems, &l->stage);

    if (rc == SP_OK && l->stage.draft != NULL)
        rc = check_routes(l, l->stage.draft, problems);
    if (rc == SP_OK)
        return;
    sp_log_warn(r->log, "relay.stage-refused", SP_RC("why", rc));
    sp_policy_unref(l->stage.draft);
    l->stage = (struct sp_policy_stage){.draft = NULL};
}

/* The providers' lists that a tenant names: one that is not there lets nobody in, so the generation is refused. */
static enum sp_rc add_networks(struct relay *r, struct sp_tenant *t, struct sp_problems *problems)
{
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < t->proofs.networks_from.count && rc == SP_OK; i++) {
        struct sp_buf file;

        sp_buf_init(&file, 512);
        sp_buf_printf(&file, "tenants/" SP_TENANT_NETWORKS_DIR "/%s.txt",
                      t->proofs.networks_from.items[i]);
        sp_buf_put_u8(&file, 0);
        rc = sp_tenant_add_networks(t, sp_role_file(r->role, (const char *)file.ptr),
                                    (const char *)file.ptr, problems);
        sp_buf_clear(&file);
    }
    return rc;
}

static enum sp_rc load_tenants(struct relay *r, struct loaded *l, struct sp_problems *problems)
{
    struct sp_bytes name, data;
    size_t at = 0;

    l->tenants = sp_calloc(TENANTS_MAX, sizeof(*l->tenants));
    while (sp_role_file_next(r->role, "tenants/", &at, &name, &data)) {
        struct sp_intake_tenant *t = &l->tenants[l->tenant_count];
        char *file;
        enum sp_rc rc;

        if (!sp_bytes_ends_nocase(name, SP_LIT(".json")) || l->tenant_count == TENANTS_MAX)
            continue;
        file = sp_strdup_bytes(name);
        rc = sp_tenant_load(data, file, problems, &t->tenant);
        sp_free(file);
        if (rc != SP_OK)
            return rc;
        t->file = data;
        l->tenant_count++;
        if (sp_tenant_observes(t->tenant, sp_clock_wall_ms(sp_loop_clock(r->loop))))
            sp_log_warn(r->log, "intake.observes", SP_TEXT("tenant", t->tenant->name),
                        SP_TEXT("until", t->tenant->observe.until));
        rc = add_networks(r, t->tenant, problems);
        if (rc != SP_OK)
            return rc;
    }
    return sp_config_check_issuers(l->config, l->tenant_count, "sallyport.json", problems);
}

static struct sp_tls_identity identity_of(struct relay *r, const char *name)
{
    struct sp_tls_identity out;
    struct {
        const char *part;
        struct sp_bytes *file;
    } parts[] = {
        {"certificate", &out.certificate_pem}, {"key", &out.key_pem}, {"staple", &out.staple}};

    for (size_t i = 0; i < SP_ARRAY_LEN(parts); i++) {
        char file[80];

        snprintf(file, sizeof(file), "secret/%s.%s", name, parts[i].part);
        *parts[i].file = sp_role_file(r->role, file);
    }
    return out;
}

static void on_unstapled(void *arg, size_t identity, const char *why)
{
    const struct relay *r = arg;

    sp_log_warn(r->log, "relay.staple-refused", SP_INT("certificate", identity),
                SP_TEXT("why", why));
}

/* What a listener shows of tls.certificates, in the order of its names. returns: how many */
static size_t identities_of(struct relay *r, const struct sp_config *c,
                            const struct sp_config_texts *names, struct sp_tls_identity *out)
{
    size_t count = 0;

    for (size_t k = 0; k == 0 || k < names->count; k++) {
        for (size_t i = 0; i < c->tls.certificate_count; i++) {
            char name[40];

            if (count == SP_CONFIG_CERTIFICATES_MAX ||
                (names->count > 0 && strcmp(names->items[k], c->tls.certificates[i].name) != 0))
                continue;
            snprintf(name, sizeof(name), "tls.certificates.%zu", i);
            out[count++] = identity_of(r, name);
        }
    }
    return count;
}

/* names: of certificates; none takes the first one and all. returns: NULL with err set */
static struct sp_tls_context *new_tls(struct relay *r, const struct loaded *l,
                                      const struct sp_config_texts *names, struct sp_err *err)
{
    struct sp_tls_identity more[SP_CONFIG_CERTIFICATES_MAX];
    struct sp_tls_server_config c = {
        .identity = identity_of(r, "tls"),
        .more = more,
        .more_count = identities_of(r, l->config, names, more),
        .client_ca_pem = sp_role_file(r->role, "secret/tls.client_ca"),
        .ticket_keys = sp_role_file(r->role, "secret/tls.tickets"),
        .unstapled = names->count == 0 ? on_unstapled : NULL, /* all are among the common ones */
        .arg = r,
    };

    if (names->count > 0 &&
        c.more_count > 0) { /* the settings' check has seen that all are there */
        c.identity = more[0];
        c.more = more + 1;
        c.more_count--;
    }
    for (size_t i = 0; i < l->tenant_count; i++)
        c.ask_client_certificate =
            c.ask_client_certificate || sp_tenant_asks_certificate(l->tenants[i].tenant);
    return sp_tls_server_new(&c, err);
}

/* One context for all listeners that name no certificates, one of its own for each that does. */
static enum sp_rc load_tls(struct relay *r, struct loaded *l, struct sp_err *err)
{
    static const struct sp_config_texts all = {NULL, 0};
    struct sp_tls_context *common;

    if (sp_role_file(r->role, "secret/tls.certificate").len == 0)
        return SP_OK;
    common = new_tls(r, l, &all, err);
    l->listen_count = l->config->listen_count;
    l->tls = sp_calloc(l->listen_count, sizeof(struct sp_tls_context *));
    for (size_t i = 0; common != NULL && i < l->listen_count; i++) {
        const struct sp_config_texts *names = &l->config->listen[i].certificates;

        l->tls[i] = names->count > 0 ? new_tls(r, l, names, err) : sp_tls_context_ref(common);
        if (l->tls[i] == NULL) {
            sp_tls_context_unref(common);
            return SP_E_TLS_CONFIG;
        }
    }
    sp_tls_context_unref(common);
    return common == NULL ? SP_E_TLS_CONFIG : SP_OK;
}

/* Intake asks only for keys of DKIM signatures, of tenants that are proved by signals: without one it has no resolver. */
static enum sp_rc load_resolver(struct relay *r, struct loaded *l, struct sp_err *err)
{
    bool wanted = false;

    for (size_t i = 0; i < l->tenant_count; i++)
        wanted = wanted || sp_tenant_is_provable_by_signals(l->tenants[i].tenant);
    return wanted ? relay_resolver_new(r, l->config, &l->resolver, NULL, err) : SP_OK;
}

static void drop(struct loaded *l)
{
    for (size_t i = 0; i < l->tenant_count; i++)
        sp_tenant_free(l->tenants[i].tenant);
    sp_free(l->tenants);
    for (size_t i = 0; l->tls != NULL && i < l->listen_count; i++)
        sp_tls_context_unref(l->tls[i]);
    sp_free(l->tls);
    sp_dns_resolver_free(l->resolver);
    for (size_t i = 0; i < SP_CONFIG_ISSUERS_MAX; i++)
        sp_token_keys_free(l->issuer_keys[i]);
    sp_policy_unref(l->policy);
    sp_policy_unref(l->stage.draft);
    sp_config_free(l->config);
}

/* The first tenant's, for what is tried in its name. returns: to be freed, or NULL */
static char *postmaster_of(const struct loaded *l)
{
    const struct sp_tenant *t = l->tenant_count == 0 ? NULL : l->tenants[0].tenant;
    struct sp_buf text;
    char *copy;

    if (t == NULL || t->domains.count == 0)
        return NULL;
    if (t->postmaster[0] != 0)
        return sp_strdup(t->postmaster);
    sp_buf_init(&text, 512);
    sp_buf_put_cstr(&text, "postmaster@");
    sp_buf_put_cstr(&text, t->domains.items[0]);
    copy = sp_strdup_bytes(sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

static bool has_dkim_key(const struct sp_config *c, const struct sp_tenant *t)
{
    return (t->dkim.selector[0] != 0 && (t->dkim.key[0] != 0 || c->sealer.dkim_key[0] != 0)) ||
           (t->dkim.ed25519_selector[0] != 0 &&
            (t->dkim.ed25519_key[0] != 0 || c->sealer.dkim_ed25519_key[0] != 0));
}

/* Whose domain TLS reports come from: the tenant of the setting, else the first that can sign. */
static const struct sp_tenant *reporter_of(const struct loaded *l)
{
    const char *wanted = l->config->tls_reports.tenant;

    for (size_t i = 0; i < l->tenant_count; i++) {
        const struct sp_tenant *t = l->tenants[i].tenant;

        if ((wanted[0] == 0 || strcmp(wanted, t->name) == 0) && has_dkim_key(l->config, t))
            return t;
    }
    return NULL;
}

static void note_reporter(struct relay *r, const struct sp_tenant *t)
{
    sp_free(r->report_tenant);
    sp_free(r->report_domain);
    r->report_tenant = t == NULL ? NULL : sp_strdup(t->name);
    r->report_domain = t == NULL ? NULL : sp_strdup(t->dkim.domain);
}

/* Each issuer's keys; one set that can't be read refuses the whole reload. */
static enum sp_rc load_issuers(struct relay *r, struct loaded *l, struct sp_err *err)
{
    const struct sp_config *c = l->config;

    for (size_t i = 0; i < c->oauth.issuer_count; i++) {
        struct sp_err why = {0};
        char name[100];

        snprintf(name, sizeof(name), "secret/oauth.%zu.keys", i);
        if (sp_token_keys_parse(sp_role_file(r->role, name), &l->issuer_keys[i], &why) != SP_OK)
            return sp_fail(err, SP_E_KEYS_FORMAT, "%s: %s", c->oauth.issuers[i].keys, why.text);
    }
    return SP_OK;
}

/* Puts the new in the old's place. */
static void take(struct relay *r, struct loaded *l)
{
    struct sp_dns_resolver *resolver = SP_STEAL(l->resolver);
    struct sp_intake_settings settings = {.config = l->config,
                                          .relays = sp_role_count(r->role),
                                          .policy = l->policy,
                                          .stage = &l->stage,
                                          .tls = l->tls,
                                          .resolver = resolver,
                                          .issuer_keys = l->issuer_keys,
                                          .tenants = l->tenants,
                                          .tenant_count = l->tenant_count};

    sp_free(r->postmaster);
    r->postmaster = postmaster_of(l);
    note_reporter(r, reporter_of(l));
    sp_intake_configure(r->intake, &settings);
    l->tenant_count = 0; /* taken */
    memset(l->issuer_keys, 0, sizeof(l->issuer_keys));
    sp_config_free(r->config);
    sp_policy_unref(r->policy);
    r->config = SP_STEAL(l->config);
    r->policy = SP_STEAL(l->policy);
}

enum sp_rc relay_settings_first(struct relay *r, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    enum sp_rc rc = sp_config_load(sp_role_file(r->role, "sallyport.json"), "sallyport.json",
                                   problems, &r->config);

    return rc == SP_OK ? SP_OK : sp_problems_rc(problems, err);
}

static enum sp_rc load_all(struct relay *r, struct loaded *l, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    enum sp_rc rc = load_config(r, l, problems);

    if (rc == SP_OK)
        rc = load_policy(r, l, problems);
    if (rc == SP_OK)
        rc = load_tenants(r, l, problems);
    if (rc != SP_OK)
        sp_problems_rc(problems, err);
    else
        rc = load_tls(r, l, err);
    if (rc == SP_OK)
        rc = load_resolver(r, l, err);
    if (rc == SP_OK)
        load_stage(r, l);
    return rc == SP_OK ? load_issuers(r, l, err) : rc;
}

enum sp_rc relay_settings_load(struct relay *r, struct sp_err *err)
{
    struct loaded l = {.config = NULL};
    enum sp_rc rc = load_all(r, &l, err);

    if (rc == SP_OK)
        take(r, &l);
    drop(&l);
    return rc;
}

enum sp_rc relay_settings_check(struct relay *r, struct sp_err *err)
{
    struct loaded l = {.config = NULL};
    enum sp_rc rc = load_all(r, &l, err);

    drop(&l);
    return rc;
}
