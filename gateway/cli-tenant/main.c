/*
 * sallyport tenant check, providers and directory: what of a tenant's setting up has been done at the provider, in DNS and
 * here, the lists of providers' networks, and the lists of an organisation's people. The only command of the configuration
 * that asks the network.
 */
#include "gateway/cli-tenant/cli.h"
#include "gateway/cli/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/directory.h"
#include "json/units.h"

static const char usage[] =
    "usage: sallyport tenant check NAME [--wait DURATION] [--door HOST:PORT] [--json]\n"
    "       sallyport providers refresh [DOMAIN] [--force] [--json]\n"
    "       sallyport providers list [DOMAIN] [--json]\n"
    "       sallyport directory import FILE.csv [--list NAME]... [--check] [--force] [--json]\n"
    "       sallyport directory refresh [NAME] [--check] [--force] [--json]\n"
    "       sallyport directory list [NAME] [--json]\n"
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

/* Says what is wrong, and how the command is written. returns: CLI_USAGE */
static int wrong(const struct cli *cli, const char *word, const char *why)
{
    (void)cli_tell(cli, CLI_USAGE, "usage", "%s%s%s", word, word[0] == 0 ? "" : ": ", why);
    if (!cli->json)
        (void)fputs(usage, stderr);
    return CLI_USAGE;
}

/* returns: CLI_OK, CLI_USAGE after saying which value can't be */
static int judge(struct cli *cli, const char *wait)
{
    if (wait != NULL &&
        (!sp_units_parse_duration(sp_bytes_cstr(wait), &cli->wait_ms) || cli->wait_ms <= 0))
        return wrong(cli, "--wait", "expected a duration, as 10m");
    for (size_t i = 0; i < cli->lists.count; i++)
        if (!sp_directory_is_list_name(sp_bytes_cstr(cli->lists.items[i])))
            return wrong(cli, cli->lists.items[i], "no name that a list may have");
    return CLI_OK;
}

/* What a command takes. */
#define TAKES_DOOR  1U
#define TAKES_LIST  2U
#define TAKES_CHECK 4U
#define TAKES_FORCE 8U

static int take(struct cli *cli, unsigned takes, struct cli_args args)
{
    const char *wait = NULL;
    const struct {
        struct cli_option option;
        unsigned need;
    } all[] = {{{"-c", .value = &cli->config}, 0},
               {{"--config", .value = &cli->config}, 0},
               {{"--json", .is_on = &cli->json}, 0},
               {{"--wait", .value = &wait}, TAKES_DOOR},
               {{"--door", .value = &cli->door}, TAKES_DOOR},
               {{"--list", .values = &cli->lists}, TAKES_LIST},
               {{"--check", .is_on = &cli->check}, TAKES_CHECK},
               {{"--force", .is_on = &cli->force}, TAKES_FORCE}};
    struct cli_option own[SP_ARRAY_LEN(all)];
    size_t count = 0;
    const char *word;

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if ((takes & all[i].need) == all[i].need)
            own[count++] = all[i].option;
    while ((word = cli_next_word(&args, own, count)) != NULL) {
        if (cli->name != NULL)
            return wrong(cli, word, "one word too many");
        cli->name = word;
    }
    return args.wrong != NULL ? wrong(cli, args.wrong, args.why) : judge(cli, wait);
}

static const struct command {
    const char *first, *second, *key;
    bool names; /* whether a name must follow */
    unsigned takes;
    int (*run)(struct cli *cli);
} commands[] = {
    {"tenant", "check", "tenant", true, TAKES_DOOR, cli_check},
    {"providers", "refresh", "tenant", false, TAKES_FORCE, cli_providers_refresh},
    {"providers", "list", "tenant", false, 0, cli_providers_list},
    {"directory", "import", "table", true, TAKES_LIST | TAKES_CHECK | TAKES_FORCE,
     cli_directory_import},
    {"directory", "refresh", "directory", false, TAKES_CHECK | TAKES_FORCE, cli_directory_refresh},
    {"directory", "list", "directory", false, 0, cli_directory_list},
};

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

static int run(int argc, char **argv, struct cli *cli)
{
    const struct command *c = NULL;

    for (size_t i = 0; argc > 2 && i < SP_ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].first) == 0 && strcmp(argv[2], commands[i].second) == 0)
            c = &commands[i];
    cli->json = cli_wants_json(argc, argv); /* of what is wrong, too */
    if (c == NULL)
        return wrong(cli, argc > 2 ? argv[2] : "", "there is no such command");
    cli->key = c->key;
    if (take(cli, c->takes, (struct cli_args){.argc = argc - 3, .argv = argv + 3}) != CLI_OK)
        return CLI_USAGE;
    if (c->names && cli->name == NULL)
        return wrong(cli, "", "which one?");
    return c->run(cli);
}

/* What could not be written was not told. */
static int flush(const struct cli *cli, int code)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0
               ? code
               : cli_tell(cli, CLI_USAGE, "output", "standard output: %s", strerrordesc_np(errno));
}

int main(int argc, char **argv)
{
    const char *lists[CLI_LISTS_MAX];
    struct cli cli = {.config = "/etc/sallyport/sallyport.json",
                      .lists = {lists, CLI_LISTS_MAX, 0}};
    int code;

    if (asks_help(argc, argv)) {
        (void)fputs(usage, stdout);
        return flush(&cli, CLI_OK);
    }
    cli.arena = sp_arena_new(8192);
    cli.problems = sp_problems_new();
    code = flush(&cli, run(argc, argv, &cli));
    cli_close(&cli);
    sp_problems_free(cli.problems);
    sp_arena_free(cli.arena);
    return code;
}
