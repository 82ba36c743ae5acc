/*
 * sallyport check, policy check, policy test, explain, tenant: all that works on files alone, without a daemon. Only this file
 * knows the commands' names; each command lies in a file of its own and returns its exit code.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "gateway/cli-policy/cli.h"
#include "gateway/cli/refusal.h"

#define EXPLAIN                                                                                    \
    "[-c sallyport.json | --policy FILE] --from ADDRESS --to ADDRESS... [--message FILE]\n"        \
    "        [--header 'NAME: VALUE']... [--fact NAME=VALUE]... [--subject TEXT] [--tenant "       \
    "NAME]\n"                                                                                      \
    "        [--phi-class CLASS] [--phi-special WORD] [--phi-score N] [--scan RESULT]\n"           \
    "        [--sealed KIND] [--kind KIND] [--size BYTES] [--preference WORD] [--live] [--json]"

static const struct command {
    const char *first;
    const char *second; /* NULL: a command of one word */
    int (*run)(struct cli *cli);
    const char *usage;
} commands[] = {
    {"check", NULL, cli_check, "check [-c sallyport.json] [--json]"},
    {"policy", "check", cli_policy_check, "policy check FILE... [--json]"},
    {"policy", "test", cli_policy_test, "policy test FILE.test.json... [--json]"},
    {"policy", "describe", cli_policy_describe, "policy describe FILE [--json]"},
    {"policy", "list", cli_policy_list,
     "policy list FILE --lowers|--plain|--rules|--lists [--json]"},
    {"policy", "diff", cli_policy_diff, "policy diff FILE FILE [--json]"},
    {"policy", "format", cli_policy_format, "policy format FILE... [--check | --stdout] [--json]"},
    {"policy", "publish", cli_policy_publish,
     "policy publish DRAFT --reason TEXT [--stage shadow|N%|full] [--approved-by NAME]\n"
     "        [-c sallyport.json] [--dry-run] [--json]"},
    {"policy", "status", cli_policy_status, "policy status [-c sallyport.json] [--json]"},
    {"policy", "promote", cli_policy_promote,
     "policy promote --reason TEXT [--stage N%|full] [--approved-by NAME] [-c sallyport.json] "
     "[--json]"},
    {"policy", "abort", cli_policy_abort,
     "policy abort --reason TEXT [-c sallyport.json] [--json]"},
    {"policy", "history", cli_policy_history, "policy history [-c sallyport.json] [--json]"},
    {"policy", "keep", cli_policy_keep, "policy keep [-c sallyport.json] [--json]"},
    {"policy", "rollback", cli_policy_rollback,
     "policy rollback VERSION --reason TEXT [--approved-by NAME] [-c sallyport.json] [--json]"},
    {"policy", "replay", cli_policy_replay,
     "policy replay --message ID | --days N [--draft FILE] [-c sallyport.json] [--json]"},
    {"policy", "report", cli_policy_report,
     "policy report [--days N] [-c sallyport.json] [--json]"},
    {"policy", "explain", cli_explain, "policy explain " EXPLAIN},
    {"policy", "approve", NULL,
     "policy approve VERSION --reason TEXT [--json]"}, /* of cli-control */
    {"policy", "proposals", NULL, "policy proposals [--json]"},
    {"preference", "set", cli_preference_set,
     "preference set ADDRESS plain|tls|sealed|portal|no-mail --by WHO-AND-HOW [--given DATE]\n"
     "        [--until DATE] [--warning TEXT] [-c sallyport.json] [--offline] [--json]"},
    {"preference", "remove", cli_preference_remove,
     "preference remove ADDRESS --reason TEXT [--own] [-c sallyport.json] [--offline] [--json]"},
    {"preference", "list", cli_preference_list,
     "preference list [ADDRESS] [-c sallyport.json] [--offline] [--json]"},
    {"preference", "show", cli_preference_show,
     "preference show ADDRESS [-c sallyport.json] [--offline] [--json]"},
    {"explain", NULL, cli_explain, "explain " EXPLAIN},
    {"settings", NULL, cli_settings, "settings [--json]"},
    {"tenant", "add", cli_tenant_add,
     "tenant add NAME --m365 DOMAIN [--tenant-id GUID] [--onmicrosoft NAME] | --google DOMAIN\n"
     "        [-c sallyport.json] [--json]"},
    {"tenant", "check", NULL, "tenant check NAME [--wait DURATION] [--door HOST:PORT] [--json]"},
    {"tenant", "list", cli_tenant_list, "tenant list [-c sallyport.json] [--json]"},
    {"tenant", "show", cli_tenant_show, "tenant show NAME [-c sallyport.json] [--json]"},
};

/* How many words of the command line a command shares with it: none, the first, both (which is all of a command of one). */
static int shared_words(const struct command *c, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], c->first) != 0)
        return 0;
    return c->second == NULL || (argc > 2 && strcmp(argv[2], c->second) == 0) ? 2 : 1;
}

/* The command that was meant; all that begin with its first word; or all there are. */
static void print_usage(FILE *to, int argc, char **argv)
{
    int most = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++)
        if (shared_words(&commands[i], argc, argv) > most)
            most = shared_words(&commands[i], argc, argv);
    fprintf(to, "usage:\n");
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++)
        if (shared_words(&commands[i], argc, argv) == most)
            fprintf(to, "  sallyport %s\n", commands[i].usage);
    if (to == stdout)
        fputs("\nExit codes: 0 good; 1 something is wrong, failed or differs, or there is no such "
              "thing; 2 the\n"
              "command line was not understood; 3 publish waits for a second person, replay has no "
              "version to\n"
              "decide by. More: man 8 sallyport, docs/policy.md.\n",
              to);
}

/* Says which word is none, and which was meant as it seems. returns: CLI_USAGE */
static int tell_unknown(int argc, char **argv)
{
    const struct cli_voice voice = {cli_wants_json(argc, argv), "sallyport"};
    const char *nearest = NULL;
    unsigned best = 3;

    if (argc < 3 || argv[2][0] == '-')
        return cli_refuse(&voice, CLI_USAGE, "usage", "what of %s?", argc < 2 ? "it" : argv[1]);
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++) {
        unsigned distance =
            shared_words(&commands[i], argc, argv) == 1
                ? sp_text_distance(sp_bytes_cstr(commands[i].second), sp_bytes_cstr(argv[2]), 2)
                : 3;

        if (distance < best) {
            best = distance;
            nearest = commands[i].second;
        }
    }
    if (nearest == NULL)
        return cli_refuse(&voice, CLI_USAGE, "usage", "there is no command \"%s %s\"", argv[1],
                          argv[2]);
    return cli_refuse(&voice, CLI_USAGE, "usage",
                      "there is no command \"%s %s\"; did you mean \"%s %s\"?", argv[1], argv[2],
                      argv[1], nearest);
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

static const struct command *find_command(int argc, char **argv)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++) {
        if (commands[i].run != NULL && shared_words(&commands[i], argc, argv) == 2)
            return &commands[i];
    }
    return NULL;
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
    const struct command *c = find_command(argc, argv);
    struct cli cli = {0};
    int words, code;

    if (asks_help(argc, argv)) {
        print_usage(stdout, argc, argv);
        return flush(&cli, CLI_OK);
    }
    if (c == NULL) {
        (void)tell_unknown(argc, argv);
        if (!cli_wants_json(argc, argv))
            print_usage(stderr, argc, argv);
        return CLI_USAGE;
    }
    words = c->second == NULL ? 2 : 3;
    cli.args = (struct cli_args){.argc = argc - words, .argv = argv + words};
    cli.usage = c->usage;
    cli.arena = sp_arena_new(8192);
    cli.problems = sp_problems_new();
    code = c->run(&cli);
    sp_problems_free(cli.problems);
    sp_arena_free(cli.arena);
    return flush(&cli, code);
}
