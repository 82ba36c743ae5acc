/*
 * sallyport tenant check, providers and directory: what of a tenant's setting up has been done at the provider, in DNS and
 * here, the lists of providers' networks, and the lists of an organisation's people. The only command of the configuration
 * that asks the network.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdio.h>
#include <string.h>

#include "config/directory.h"
#include "json/units.h"

static const char usage[] =
    "usage: sallyport tenant check NAME [--wait DURATION] [--door HOST:PORT]\n"
    "       sallyport providers refresh [DOMAIN] [--force]\n"
    "       sallyport providers list\n"
    "       sallyport directory import FILE.csv [--list NAME]... [--check] [--force]\n"
    "       sallyport directory refresh [NAME] [--check] [--force]\n"
    "       sallyport directory list\n"
    "\n"
    "  -c FILE          settings of the gateway (default /etc/sallyport/sallyport.json)\n"
    "  --json           JSON instead of lines\n"
    "  --wait DURATION  also wait so long for a probe message, to an address that is shown\n"
    "  --door HOST:PORT where to knock, instead of the first listener with TLS\n"
    "  --list NAME      of a table's groups only this one; one without groups is its members\n"
    "  --check          say what would be done, and do nothing\n"
    "  --force          take a list that has lost more than half, is empty or another's, or names\n"
    "                   private networks\n"
    "\n"
    "Exit codes: 0 all is well, 1 something is missing, 2 wrong arguments or files.\n";

static const struct {
    const char *first, *second, *key;
    bool names; /* whether a name must follow; else it may */
    int (*run)(struct cli *cli);
} commands[] = {
    {"tenant", "check", "tenant", true, cli_check},
    {"providers", "refresh", "tenant", false, cli_providers_refresh},
    {"providers", "list", "tenant", false, cli_providers_list},
    {"directory", "import", "table", true, cli_directory_import},
    {"directory", "refresh", "directory", false, cli_directory_refresh},
    {"directory", "list", "directory", false, cli_directory_list},
};

static bool take_wait(const char *text, int64_t *out)
{
    return sp_units_parse_duration(sp_bytes_cstr(text), out) && *out > 0;
}

static bool take_list(struct cli *cli, const char *name)
{
    if (cli->list_count == CLI_LISTS_MAX || !sp_directory_is_list_name(sp_bytes_cstr(name)))
        return false;
    cli->lists[cli->list_count++] = name;
    return true;
}

/* An option with a value. returns: whether it is one */
static bool take_value(struct cli *cli, const char *name, const char *value)
{
    if (strcmp(name, "-c") == 0 || strcmp(name, "--config") == 0)
        cli->config = value;
    else if (strcmp(name, "--door") == 0)
        cli->door = value;
    else if (strcmp(name, "--list") == 0)
        return take_list(cli, value);
    else
        return strcmp(name, "--wait") == 0 && take_wait(value, &cli->wait_ms);
    return true;
}

static bool take(struct cli *cli, int argc, char **argv)
{
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            cli->json = true;
        else if (strcmp(argv[i], "--force") == 0)
            cli->force = true;
        else if (strcmp(argv[i], "--check") == 0)
            cli->check = true;
        else if ((argv[i][0] != '-' || argv[i][1] == 0) && cli->name == NULL)
            cli->name = argv[i];
        else if (argv[i][0] != '-' || i + 1 == argc || !take_value(cli, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return true;
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

static int run(int argc, char **argv, struct cli *cli)
{
    for (size_t i = 0; argc > 2 && i < SP_ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].first) != 0 || strcmp(argv[2], commands[i].second) != 0)
            continue;
        if (!take(cli, argc, argv) || (commands[i].names && cli->name == NULL))
            break;
        cli->key = commands[i].key;
        return commands[i].run(cli);
    }
    (void)fputs(usage, stderr);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    struct cli cli = {.config = "/etc/sallyport/sallyport.json"};
    int code;

    if (asks_help(argc, argv)) {
        (void)fputs(usage, stdout);
        return CLI_OK;
    }
    cli.arena = sp_arena_new(8192);
    cli.problems = sp_problems_new();
    code = run(argc, argv, &cli);
    cli_close(&cli);
    sp_problems_free(cli.problems);
    sp_arena_free(cli.arena);
    return fflush(stdout) == 0 ? code : CLI_USAGE;
}
