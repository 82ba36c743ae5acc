/*
 * sallyport check: reads everything that the gateway would read, says all that is wrong at once, and what it would do.
 * Keys and certificates are looked for, not opened: whoever checks need not be able to read them.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/cli-policy/cli.h"
#include "config/directory.h"
#include "config/partners.h"
#include "config/sites.h"
#include "config/tenant.h"
#include "mail/address.h"

#define TENANTS_MAX 256

struct found {
    struct sp_tenant *tenants[TENANTS_MAX];
    size_t count;
    bool some_failed; /* there are tenants that could not be read */
};

struct sp_config *cli_load_config(struct cli *cli, const char *path)
{
    struct sp_config *config = NULL;
    struct sp_bytes text;
    enum sp_rc rc = cli_read(cli, path, &text);

    if (rc != SP_OK)
        sp_problem_file(cli->problems, path, 0, rc, "can't read it: %s", strerrordesc_np(errno));
    else if (sp_config_load(text, path, cli->problems, &config) != SP_OK)
        return NULL;
    return config;
}

/* The lists of providers' networks that a tenant names, beside the tenants' files. */
static void add_networks(struct cli *cli, struct sp_tenant *t, const char *dir)
{
    const char *folder = cli_join(cli, dir, SP_TENANT_NETWORKS_DIR);

    for (size_t i = 0; i < t->proofs.networks_from.count; i++) {
        struct sp_bytes text;
        struct sp_buf name;
        const char *path;

        sp_buf_init(&name, 256);
        sp_buf_printf(&name, "%s.txt", t->proofs.networks_from.items[i]);
        path = cli_join(cli, folder, sp_arena_cstr(cli->arena, sp_buf_bytes(&name)));
        sp_buf_clear(&name);
        if (cli_read(cli, path, &text) != SP_OK)
            sp_problem_file(cli->problems, path, 0, SP_E_NOT_FOUND,
                            "no such file, named by tenant %s: sallyport providers refresh",
                            t->name);
        else if (sp_tenant_add_networks(t, text, path, cli->problems) != SP_OK)
            return;
    }
}

static void look_closer(struct cli *cli, struct sp_tenant *t, const char *path)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    add_networks(cli, t, cli_dirname(cli, path));
    sp_tenant_tell_observed(t, (int64_t)now.tv_sec * 1000, path, cli->problems);
}

static void load_tenant(struct cli *cli, struct found *found, const char *path)
{
    struct sp_bytes text;
    enum sp_rc rc = cli_read(cli, path, &text);

    if (rc != SP_OK)
        sp_problem_file(cli->problems, path, 0, rc, "can't read it: %s", strerrordesc_np(errno));
    else if (found->count == TENANTS_MAX)
        sp_problem_file(cli->problems, path, 0, SP_E_LIMIT, "more than %d tenants", TENANTS_MAX);
    else if (sp_tenant_load(text, path, cli->problems, &found->tenants[found->count]) == SP_OK)
        look_closer(cli, found->tenants[found->count++], path);
    else
        found->some_failed = true;
}

static void load_tenants(struct cli *cli, struct found *found, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    if (d == NULL) {
        sp_problem_file(cli->problems, dir, 0, SP_E_NOT_FOUND,
                        "no such folder: it holds one file a tenant");
        return;
    }
    while ((entry = readdir(d)) != NULL)
        if (sp_bytes_ends_nocase(sp_bytes_cstr(entry->d_name), SP_LIT(".json")) &&
            entry->d_name[0] != '.')
            load_tenant(cli, found, cli_join(cli, dir, entry->d_name));
    closedir(d);
    if (found->count == 0 && sp_problems_errors(cli->problems) == 0)
        sp_problem_file(cli->problems, dir, 0, SP_E_CONFIG_MISSING,
                        "no tenant: nobody could send anything");
}

/* A domain belongs to one tenant. */
static void check_domains(struct cli *cli, const struct found *found, const char *dir)
{
    for (size_t i = 0; i < found->count; i++)
        for (size_t k = 0; k < i; k++)
            for (size_t d = 0; d < found->tenants[i]->domains.count; d++) {
                const char *domain = found->tenants[i]->domains.items[d];

                if (sp_tenant_has_domain(found->tenants[k], sp_bytes_cstr(domain)))
                    sp_problem_file(cli->problems, dir, 0, SP_E_CONFIG_INVALID,
                                    "domain %s belongs to two tenants, %s and %s", domain,
                                    found->tenants[k]->name, found->tenants[i]->name);
            }
}

static bool takes_bounces(const struct sp_config *c)
{
    for (size_t i = 0; i < c->listen_count; i++)
        if (c->listen[i].bounces)
            return true;
    return false;
}

/* What comes back must find a door of its own, and people's addresses must not lie behind it. */
static void check_bounces(struct cli *cli, const struct sp_config *c, const struct found *found,
                          const char *dir)
{
    for (size_t i = 0; i < found->count; i++) {
        const char *domain = found->tenants[i]->bounces.domain;

        if (domain[0] == 0)
            continue;
        for (size_t k = 0; k < found->count; k++)
            if (sp_tenant_has_domain(found->tenants[k], sp_bytes_cstr(domain)))
                sp_problem_file(cli->problems, dir, 0, SP_E_CONFIG_INVALID,
                                "bounces.domain of tenant %s: %s has addresses of tenant %s",
                                found->tenants[i]->name, domain, found->tenants[k]->name);
        if (!takes_bounces(c))
            sp_problem_file(cli->problems, dir, 0, SP_E_CONFIG_MISSING,
                            "tenant %s has a bounces.domain, but no listener has \"bounces\": true",
                            found->tenants[i]->name);
    }
}

static void check_file(struct cli *cli, const char *dir, const char *setting, const char *name)
{
    const char *path = cli_join(cli, dir, name);

    if (strncmp(name, SP_CONFIG_CREDENTIAL, strlen(SP_CONFIG_CREDENTIAL)) == 0)
        return; /* the service's alone */
    if (name[0] != 0 && access(path, F_OK) != 0)
        sp_problem_file(cli->problems, path, 0, SP_E_NOT_FOUND, "no such file, named by %s",
                        setting);
}

/* The hosts behind the names of routes in rules are the gateway's to say. */
static void check_routes(struct cli *cli, const struct sp_config *c, const struct sp_policy *p)
{
    const char *route;
    size_t at = 0;

    while (p != NULL && (route = sp_policy_route_next(p, &at)) != NULL)
        if (!sp_config_has_route(c, sp_bytes_cstr(route)))
            sp_problem_file(cli->problems, c->policy, 0, SP_E_POLICY_INVALID,
                            "a rule names the route \"%s\", which is not in delivery.routes or "
                            "delivery.smarthosts",
                            route);
}

/* A hold for a group that nobody may speak for waits for an administrator. */
static void check_holds(struct cli *cli, const struct sp_config *c, const struct sp_policy *p)
{
    const struct sp_config_texts *approvers = &c->holds.approvers;
    const char *group, *told = "";
    size_t at = 0;

    while (p != NULL && (group = sp_policy_hold_group_next(p, &at)) != NULL) {
        size_t len = strlen(group);
        bool found = strcmp(told, group) == 0;

        for (size_t i = 0; i < approvers->count; i++)
            found = found || (strncmp(approvers->items[i], group, len) == 0 &&
                              approvers->items[i][len] == ':');
        if (found)
            continue;
        told = group;
        sp_problem_file_warn(cli->problems, c->policy,
                             "a rule holds mail for the group \"%s\", for which holds.approvers "
                             "names nobody: an administrator must release it",
                             group);
    }
}

/* A slip in a group's name would leave everybody untold. */
static void check_told(struct cli *cli, const struct sp_config *c, const struct sp_policy *p)
{
    for (size_t i = 0; p != NULL && i < c->holds.notify.count; i++) {
        struct sp_bytes text = sp_bytes_cstr(c->holds.notify.items[i]);
        struct sp_bytes group = sp_bytes_slice(text, 0, sp_bytes_find(text, ':'));
        const char *held;
        bool found = false;
        size_t at = 0;

        while (!found && (held = sp_policy_hold_group_next(p, &at)) != NULL)
            found = sp_bytes_eq(sp_bytes_cstr(held), group);
        if (!found)
            sp_problem_file_warn(
                cli->problems, c->policy,
                "holds.notify names the group \"%.*s\", for which no rule holds mail",
                SP_FMT(group));
    }
}

static const struct sp_tenant *find_tenant(const struct found *found, struct sp_bytes name)
{
    for (size_t i = 0; i < found->count; i++)
        if (sp_bytes_eq_nocase(sp_bytes_cstr(found->tenants[i]->name), name))
            return found->tenants[i];
    return NULL;
}

/* returns: whether any tenant that the layer may be for sends as the domain */
static bool has_domain(const struct found *found, const struct sp_tenant *t, struct sp_bytes domain)
{
    bool has = false;

    for (size_t i = 0; i < found->count; i++)
        if (t == NULL || t == found->tenants[i])
            has = has || sp_tenant_has_domain(found->tenants[i], domain);
    return has;
}

/* A slip in a layer's scope would leave its senders without what it says. */
static void check_whose(struct cli *cli, const struct found *found, const struct sp_policy *p)
{
    struct sp_policy_whose w;
    size_t at = 0;

    while (p != NULL && sp_policy_whose_next(p, &at, &w)) {
        const struct sp_tenant *t = find_tenant(found, w.tenant);

        if (w.tenant.len > 0 && t == NULL && found->some_failed)
            continue; /* it may be one of them */
        if (w.tenant.len > 0 && t == NULL)
            sp_problem_file(cli->problems, w.file, 0, SP_E_CONFIG_UNKNOWN,
                            "no tenant is named \"%.*s\": nobody stands in this layer",
                            SP_FMT(w.tenant));
        else if (w.domain.len > 0 && !has_domain(found, t, w.domain))
            sp_problem_file_warn(cli->problems, w.file,
                                 "the domain %.*s is not the tenant's: mail from there stands in "
                                 "this layer only where it may send as others",
                                 SP_FMT(w.domain));
    }
}

struct asking {
    struct cli *cli;
    const struct sp_config *config;
    const struct found *found;
};

/* A rule that waits for mail which the settings don't let in is never taken. */
static void on_asked(void *arg, const struct sp_policy_asked *a)
{
    const struct asking *k = arg;
    bool is_size = a->fact == SP_FACT_MESSAGE_SIZE;
    int64_t most =
        is_size ? (int64_t)k->config->intake.size_limit : (int64_t)k->config->intake.max_recipients;

    if (a->fact == SP_FACT_TENANT) {
        if (!k->found->some_failed && find_tenant(k->found, a->text) == NULL)
            sp_problem_file_warn(k->cli->problems, a->file,
                                 "line %u: rule \"%s\" asks for the tenant \"%.*s\", and none is "
                                 "named so",
                                 a->line, a->rule, SP_FMT(a->text));
    } else if (a->least > most) {
        sp_problem_file_warn(k->cli->problems, a->file,
                             "line %u: rule \"%s\" asks for a %s of %lld, and %s lets %lld in",
                             a->line, a->rule, sp_fact_name(a->fact), (long long)a->least,
                             is_size ? "intake.size_limit" : "intake.max_recipients",
                             (long long)most);
    }
}

static void check_asked(struct cli *cli, const struct sp_config *c, const struct found *found,
                        const struct sp_policy *p)
{
    struct asking k = {cli, c, found};

    if (p != NULL)
        sp_policy_each_asked(p, on_asked, &k);
}

/* What the gateway itself writes goes at the settings' floor: nobody has given it keys, so that `sealed` leaves the portal. */
static void check_own_mail(struct cli *cli, const struct sp_config *c, const struct sp_policy *p)
{
    struct sp_policy_whose w = {.file = c->policy};
    bool is_sealed = p != NULL && sp_policy_floor(p) == SP_FLOOR_SEALED;
    size_t at = 0;

    if (p == NULL || c->portal.listen[0] != 0)
        return;
    while (!is_sealed && sp_policy_whose_next(p, &at, &w)) {
        struct sp_buf sender;

        sp_buf_init(&sender, SP_DOMAIN_MAX + 8);
        if (w.domain.len > 0)
            sp_buf_printf(&sender, "any@%.*s", SP_FMT(w.domain));
        is_sealed =
            sp_policy_floor(sp_policy_for(p, w.tenant, sp_buf_bytes(&sender))) == SP_FLOOR_SEALED;
        sp_buf_clear(&sender);
    }
    if (is_sealed)
        sp_problem_file_warn(cli->problems, w.file,
                             "settings.floor is sealed and there is no portal.listen: reports to "
                             "senders and the notices of holds.notify reach nobody");
}

static void check_files(struct cli *cli, const struct sp_config *c, const char *dir)
{
    check_file(cli, dir, "master_key", c->master_key);
    check_file(cli, dir, "tls.certificate", c->tls.certificate);
    check_file(cli, dir, "tls.key", c->tls.key);
    check_file(cli, dir, "tls.client_ca", c->tls.client_ca);
    check_file(cli, dir, "delivery.ca", c->delivery.ca);
    check_file(cli, dir, "portal.certificate", c->portal.certificate);
    check_file(cli, dir, "portal.key", c->portal.key);
    check_file(cli, dir, "audit.signing_key", c->audit.signing_key);
    check_file(cli, dir, "audit.address_key", c->audit.address_key);
    check_file(cli, dir, "sealer.smime_certificate", c->sealer.smime_certificate);
    check_file(cli, dir, "sealer.smime_key", c->sealer.smime_key);
    check_file(cli, dir, "sealer.pgp_key", c->sealer.pgp_key);
    check_file(cli, dir, "sealer.dkim_key", c->sealer.dkim_key);
    check_file(cli, dir, "sealer.dkim_ed25519_key", c->sealer.dkim_ed25519_key);
    check_file(cli, dir, "fetcher.sts_ca", c->fetcher.sts_ca);
    for (size_t i = 0; i < c->oauth.issuer_count; i++)
        check_file(cli, dir, "oauth.issuers.keys", c->oauth.issuers[i].keys);
}

/* A tenant with a selector but no key: what is made in its name would wait for ever. */
static void check_dkim(struct cli *cli, const struct sp_config *c, const char *dir,
                       const struct sp_tenant *t)
{
    const struct {
        const char *selector, *setting, *key, *gateway_key;
    } keys[] = {
        {t->dkim.selector, "dkim.key", t->dkim.key, c->sealer.dkim_key},
        {t->dkim.ed25519_selector, "dkim.ed25519_key", t->dkim.ed25519_key,
         c->sealer.dkim_ed25519_key},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(keys); i++) {
        check_file(cli, dir, keys[i].setting, keys[i].key);
        if (keys[i].selector[0] != 0 && keys[i].key[0] == 0 && keys[i].gateway_key[0] == 0)
            sp_problem_file(cli->problems, c->tenants, 0, SP_E_CONFIG_MISSING,
                            "tenant %s has the DKIM selector %s but no key: give its %s, or the "
                            "gateway's sealer.%s",
                            t->name, keys[i].selector, keys[i].setting,
                            i == 0 ? "dkim_key" : "dkim_ed25519_key");
    }
}

/* A policy that says what it edits is signed anew holds for every tenant. */
static void check_edits(struct cli *cli, const struct sp_config *c, const struct found *found,
                        const struct sp_policy *p)
{
    for (size_t i = 0; p != NULL && i < found->count; i++)
        if (sp_policy_dkim_selector(p)[0] != 0 && !sp_tenant_signs(found->tenants[i]))
            sp_problem_file(cli->problems, c->tenants, 0, SP_E_CONFIG_MISSING,
                            "the policy has a dkim_selector, but tenant %s signs nothing: give its "
                            "dkim.domain and dkim.selector",
                            found->tenants[i]->name);
}

static void print_summary(const struct sp_config *c, const struct found *found,
                          const struct sp_policy *policy)
{
    static const char *const tls[] = {"STARTTLS", "TLS", "no TLS"};

    printf("gateway %s (%s)\n", c->node, c->hostname);
    for (size_t i = 0; i < c->listen_count; i++)
        printf("  takes mail at %s with %s\n", c->listen[i].address, tls[c->listen[i].tls]);
    for (size_t i = 0; i < found->count; i++)
        printf("  for tenant %s: %zu domains, proved by %zu networks, %zu certificate names, "
               "%zu users\n",
               found->tenants[i]->name, found->tenants[i]->domains.count,
               found->tenants[i]->proofs.networks.count,
               found->tenants[i]->proofs.client_certificates.count,
               found->tenants[i]->proofs.user_count);
    printf("  sends to %s, port %d, retries after %llds, gives up after %lldh\n",
           c->delivery.next_hop[0] ? c->delivery.next_hop : "MX hosts", (int)c->delivery.port,
           (long long)c->delivery.retry_first_ms / 1000,
           (long long)sp_policy_expire_ms(policy, c->delivery.expire_ms) / 3600000);
    printf("  policy %.16s: floor %s, %s\n", sp_policy_hash(policy),
           sp_floor_name(sp_policy_floor(policy)),
           sp_policy_asks_content(policy) ? "content is scanned" : "content is not looked at");
    printf("  portal: %s\n", c->portal.listen[0] ? c->portal.url : "off");
}

static void print_json(struct cli *cli, const struct sp_policy *policy)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, 4 << 20);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_bool(&w, "ok", sp_problems_errors(cli->problems) == 0);
    sp_jw_cstr(&w, "policy", policy == NULL ? NULL : sp_policy_hash(policy));
    sp_jw_int(&w, "errors", (int64_t)sp_problems_errors(cli->problems));
    cli_json_problems(cli, &w);
    sp_jw_end(&w);
    cli_print(&out);
    sp_buf_clear(&out);
}

static void check_partners(struct cli *cli, const char *path)
{
    struct sp_partners *partners = NULL;
    struct sp_bytes text;

    if (access(path, F_OK) != 0)
        return;
    if (cli_read(cli, path, &text) != SP_OK)
        sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be read: %s",
                        strerrordesc_np(errno));
    else if (sp_partners_load(text, path, cli->problems, &partners) == SP_OK)
        sp_partners_free(partners);
}

static void check_sites(struct cli *cli, const char *path)
{
    struct sp_sites *sites = NULL;
    struct sp_bytes text;

    if (access(path, F_OK) != 0)
        return;
    if (cli_read(cli, path, &text) != SP_OK)
        sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be read: %s",
                        strerrordesc_np(errno));
    else if (sp_sites_load(text, path, cli->problems, &sites) == SP_OK)
        sp_sites_free(sites);
}

static void on_age(void *arg, const struct sp_directory_age *age)
{
    const struct cli *cli = arg;

    if (age->is_stale)
        sp_problem_file_warn(cli->problems, age->path,
                             "the directory %s has not refreshed it%s: sallyport directory refresh",
                             age->directory, age->age_ms < 0 ? " ever" : " for too long");
}

/* What is wrong with directories' files, and which of their lists are too old. */
static void check_directories(struct cli *cli, const char *dir, const char *policy)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    sp_directory_ages(dir, policy, (int64_t)now.tv_sec * 1000, cli->problems, on_age, cli);
}

static void check_all(struct cli *cli, const char *path)
{
    const char *dir = cli_dirname(cli, path);
    struct found *found = sp_arena_alloc(cli->arena, sizeof(*found));
    SP_AUTO(sp_config) config = cli_load_config(cli, path);
    SP_AUTO(sp_policy) policy = NULL;

    if (config != NULL) {
        load_tenants(cli, found, cli_join(cli, dir, config->tenants));
        check_domains(cli, found, config->tenants);
        check_bounces(cli, config, found, config->tenants);
        sp_config_check_issuers(config, found->count, path, cli->problems);
        check_files(cli, config, dir);
        for (size_t i = 0; i < found->count; i++)
            check_dkim(cli, config, dir, found->tenants[i]);
        check_partners(cli, cli_join(cli, dir, "policies/partners.json"));
        check_sites(cli, cli_join(cli, dir, "policies/sites.json"));
        check_directories(cli, dir, config->policy);
        policy = cli_load_policy(cli, cli_join(cli, dir, config->policy));
        cli_check_detection(cli, (const struct sp_tenant *const *)found->tenants, found->count,
                            cli_join(cli, dir, "detection"), policy);
        check_routes(cli, config, policy);
        check_holds(cli, config, policy);
        check_told(cli, config, policy);
        check_whose(cli, found, policy);
        check_asked(cli, config, found, policy);
        check_own_mail(cli, config, policy);
        check_edits(cli, config, found, policy);
    }
    if (cli->json)
        print_json(cli, policy);
    else
        (void)cli_print_problems(cli, CLI_WRONG);
    if (!cli->json && sp_problems_errors(cli->problems) == 0)
        print_summary(config, found, policy);
    for (size_t i = 0; i < found->count; i++)
        sp_tenant_free(found->tenants[i]);
}

int cli_check(struct cli *cli)
{
    const char *path = NULL;
    const struct cli_option options[] = {{"-c", .value = &path}, {"--config", .value = &path}};

    if (!cli_arguments(cli, options, SP_ARRAY_LEN(options), &(struct cli_wanted){.most = 1}))
        return CLI_USAGE;
    if (path != NULL && cli->word_count == 1)
        return cli_usage(cli, "%s: one word too many", cli->words[0]);
    if (path == NULL)
        path = cli->word_count == 1 ? cli->words[0] : "/etc/sallyport/sallyport.json";
    check_all(cli, path);
    return sp_problems_errors(cli->problems) == 0 ? CLI_OK : CLI_WRONG;
}
