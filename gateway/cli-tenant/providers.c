/*
 * sallyport providers refresh: the networks of each provider that a tenant names, read anew from its SPF records. A list that
 * can't be read whole leaves the last good one as it is, and so does one that has lost more than half of what it had or
 * names private networks, unless --force says that it is meant. Each file is written whole, the running gateway then reads
 * its configuration, and its ledger records what has changed.
 */
#include "gateway/cli-tenant/cli.h"

#include "config/replace.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define LIST_MAX    (SP_SPF_NETWORKS_MAX * 64)
#define DOMAINS_MAX 64

struct domains {
    const char *items[DOMAINS_MAX];
    size_t count;
};

static void add_domain(struct domains *d, const char *domain)
{
    for (size_t i = 0; i < d->count; i++) {
        if (sp_bytes_eq_nocase(sp_bytes_cstr(d->items[i]), sp_bytes_cstr(domain)))
            return;
    }
    if (d->count < DOMAINS_MAX)
        d->items[d->count++] = domain;
}

/* Those that the tenants name. */
static void find_domains(struct cli *cli, struct domains *out)
{
    DIR *folder = opendir(cli->tenants_dir);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        struct sp_bytes file = sp_bytes_cstr(entry->d_name);
        struct sp_tenant *t;

        if (!sp_bytes_ends_nocase(file, SP_LIT(".json")) || entry->d_name[0] == '.')
            continue;
        t = cli_tenant_load(cli, sp_arena_cstr(cli->arena, sp_bytes_slice(file, 0, file.len - 5)));
        for (size_t i = 0; t != NULL && i < t->proofs.networks_from.count; i++)
            add_domain(out,
                       sp_arena_cstr(cli->arena, sp_bytes_cstr(t->proofs.networks_from.items[i])));
        sp_tenant_free(t);
    }
    if (folder != NULL)
        closedir(folder);
}

static void on_network(void *arg, struct sp_bytes text)
{
    struct sp_buf *list = arg;

    sp_buf_put(list, text);
    sp_buf_put_u8(list, '\n');
}

/* returns: how many networks the file has that is there; 0: none. */
static size_t count_before(struct cli *cli, const char *path, int64_t *refreshed_ms)
{
    SP_AUTO(sp_problems) ignored = sp_problems_new();
    struct sp_bytes text;

    *refreshed_ms = 0;
    return cli_read(cli, path, &text) == SP_OK
               ? sp_tenant_count_networks(text, refreshed_ms, ignored)
               : 0;
}

static void build(const struct cli *cli, const char *domain, struct sp_bytes networks,
                  struct sp_buf *out)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(sp_clock_wall_ms(sp_loop_clock(cli->loop)), time);
    sp_buf_printf(out,
                  "# networks that mail of a provider comes from, by the SPF records of\n"
                  "# %s\n# refreshed %s\n",
                  domain, time);
    sp_buf_put(out, networks);
}

/* Writes the new list. returns: SP_OK, or why the old one stays */
static enum sp_rc replace(struct cli *cli, const char *domain, struct sp_bytes networks,
                          size_t *count, struct sp_err *err)
{
    char path[CLI_PATH_MAX], folder[CLI_PATH_MAX];
    int64_t refreshed;
    size_t before;
    struct sp_buf text;
    enum sp_rc rc;

    if (!cli_tenant_path(cli, SP_TENANT_NETWORKS_DIR, domain, ".txt", path) ||
        !cli_tenant_path(cli, "", SP_TENANT_NETWORKS_DIR, "", folder))
        return sp_fail(err, SP_E_LIMIT, "the path is too long");
    before = count_before(cli, path, &refreshed);
    *count = sp_tenant_count_networks(networks, &refreshed, cli->problems);
    if (*count == 0)
        return sp_fail(err, SP_E_CONFIG_INVALID, "a network in it is no provider's");
    if (!cli->force && !sp_tenant_networks_are_public(networks, cli->problems))
        return sp_fail(err, SP_E_CONFIG_INVALID,
                       "a network in it is loopback or private: --force takes it");
    if (*count * 2 < before && !cli->force)
        return sp_fail(err, SP_E_LIMIT, "it has lost more than half, %zu of %zu: --force takes it",
                       before - *count, before);
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return sp_fail(err, SP_E_IO, "%s can't be made", folder);
    sp_buf_init(&text, LIST_MAX + 4096);
    build(cli, domain, networks, &text);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        rc = sp_config_replace(path, sp_buf_bytes(&text), 0644);
    sp_buf_clear(&text);
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "%s can't be written", path);
}

static bool refresh(struct findings *f, const char *domain)
{
    struct sp_err err = {0};
    struct sp_buf networks;
    size_t count = 0;
    enum sp_rc rc;

    sp_buf_init(&networks, LIST_MAX);
    rc = sp_spf_networks(&f->cli->spf, sp_bytes_cstr(domain), on_network, &networks, &err);
    if (rc == SP_OK)
        rc = sp_buf_rc(&networks);
    if (rc == SP_OK)
        rc = replace(f->cli, domain, sp_buf_bytes(&networks), &count, &err);
    sp_buf_clear(&networks);
    if (rc == SP_OK)
        find(f, FINDING_OK, domain, "%s: %zu networks", domain, count);
    else
        find(f, FINDING_WRONG, domain, "%s: the last good list stays: %s", domain, err.text);
    return rc == SP_OK;
}

/* returns: whether there is something to do; says so if not */
static bool begin(struct cli *cli, struct domains *domains)
{
    if (!cli_open(cli))
        return false;
    if (cli->name != NULL)
        add_domain(domains, cli->name);
    else
        find_domains(cli, domains);
    if (domains->count == 0)
        (void)cli_tell(cli, CLI_USAGE, "not-found",
                       "no tenant names a provider in proofs.networks_from");
    return domains->count > 0;
}

int cli_providers_refresh(struct cli *cli)
{
    struct domains domains = {.count = 0};
    struct findings f;
    bool changed = false;
    int code;

    if (!begin(cli, &domains))
        return CLI_USAGE;
    findings_begin(&f, cli);
    for (size_t i = 0; i < domains.count; i++)
        changed = refresh(&f, domains.items[i]) || changed;
    code = findings_end(&f);
    (void)cli_print_problems(cli, code);
    if (changed)
        cli_reload(cli);
    return code;
}

int cli_providers_list(struct cli *cli)
{
    struct domains domains = {.count = 0};
    struct findings f;
    int code;

    if (!begin(cli, &domains))
        return CLI_USAGE;
    findings_begin(&f, cli);
    for (size_t i = 0; i < domains.count; i++) {
        char path[CLI_PATH_MAX], time[SP_TIME_TEXT_MAX];
        int64_t refreshed = 0;
        size_t count = 0;

        if (cli_tenant_path(cli, SP_TENANT_NETWORKS_DIR, domains.items[i], ".txt", path))
            count = count_before(cli, path, &refreshed);
        sp_time_format_rfc3339(refreshed, time);
        find(&f, count > 0 ? FINDING_OK : FINDING_WRONG, domains.items[i],
             "%s: %zu networks, read from DNS at %s", domains.items[i], count,
             refreshed == 0 ? "an unknown time" : time);
    }
    code = findings_end(&f);
    (void)cli_print_problems(cli, code);
    return code;
}
