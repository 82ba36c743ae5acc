/*
 * sallyport tenant check: from the inside out. The tenant's file, the lists that it names, what DNS says, the door, and what
 * the running gateway has seen. Each part goes on whatever the one before found, so that one look shows all that is left.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdio.h>

#define OLD_MS ((int64_t)30 * 24 * 3600 * 1000)
#define DAY_MS ((int64_t)24 * 3600 * 1000)

static void check_list(struct findings *f, const char *domain)
{
    struct cli *cli = f->cli;
    int64_t refreshed, now = sp_clock_wall_ms(sp_loop_clock(cli->loop));
    char path[CLI_PATH_MAX];
    struct sp_bytes text;
    size_t count = 0;

    if (cli_tenant_path(cli, SP_TENANT_NETWORKS_DIR, domain, ".txt", path) &&
        cli_read(cli, path, &text) == SP_OK)
        count = sp_tenant_count_networks(text, &refreshed, cli->problems);
    if (count == 0)
        find(f, FINDING_WRONG, "networks",
             "the networks of %s are not there: sallyport providers refresh", domain);
    else if (now - refreshed > OLD_MS)
        find(
            f, FINDING_WRONG, "networks",
            "the networks of %s were last read from DNS %lld days ago: sallyport providers refresh",
            domain, refreshed == 0 ? -1LL : (long long)((now - refreshed) / DAY_MS));
    else
        find(f, FINDING_OK, "networks", "%zu networks of %s, %lld days old", count, domain,
             (long long)((now - refreshed) / DAY_MS));
}

static void check_proofs(struct findings *f, const struct sp_tenant *t)
{
    if (!sp_tenant_is_provable(t))
        find(f, FINDING_WRONG, "proofs", "nothing can prove this tenant: nobody can send for it");
    else if (!sp_tenant_is_provable_by_signals(t))
        find(f, FINDING_OK, "proofs", "proved by users who log in, and by nothing else");
    else if (!sp_tenant_has_message_signal(t))
        find(f, FINDING_OK, "proofs", "proved by network and client certificate");
    else
        find(f, FINDING_OK, "proofs", "proved by several signals, of which all must hold");
    for (size_t i = 0; i < t->proofs.networks_from.count; i++)
        check_list(f, t->proofs.networks_from.items[i]);
}

/* Loud: as long as it stands nothing is protected by rules. */
static void check_observe(struct findings *f, const struct sp_tenant *t)
{
    int64_t now = sp_clock_wall_ms(sp_loop_clock(f->cli->loop));

    if (sp_tenant_observes(t, now))
        find(f, FINDING_WRONG, "observe",
             "OBSERVED ONLY until %s: no rule is enforced, its mail goes on by TLS as before",
             t->observe.until);
    else if (t->observe.until[0] != 0)
        find(f, FINDING_WRONG, "observe",
             "observe.until (%s) is over or too far off: the rules are enforced; take it out",
             t->observe.until);
    else
        find(f, FINDING_OK, "observe", "the rules are enforced");
}

int cli_check(struct cli *cli)
{
    SP_AUTO(sp_tenant) t = NULL;
    struct findings f;
    int code;

    if (!cli_open(cli))
        return CLI_USAGE;
    t = cli_tenant_load(cli, cli->name);
    if (t == NULL)
        return cli_print_problems(cli, CLI_USAGE);
    findings_begin(&f, cli);
    find(&f, FINDING_OK, "file", "tenants/%s.json is well-formed", cli->name);
    check_observe(&f, t);
    check_proofs(&f, t);
    check_dns(&f, t);
    check_door(&f, t);
    check_live(&f, t);
    code = findings_end(&f);
    return cli_print_problems(cli, code);
}
