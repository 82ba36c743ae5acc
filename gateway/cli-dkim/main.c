/*
 * `sallyport dkim keygen|dns|check`: the keys that sign, and what of them is in DNS. Works without the daemon; whoever may read
 * the keys may do this.
 */
#include "gateway/cli-dkim/cli.h"
#include "gateway/cli/options.h"
#include "gateway/cli/refusal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX ((size_t)8 << 20)

static const char usage[] =
    "usage: sallyport dkim keygen [TENANT] [--bits 2048|3072|4096] [--json]\n"
    "       sallyport dkim dns [TENANT] [--json]\n"
    "       sallyport dkim check [TENANT] [--json]\n"
    "\n"
    "keygen  makes the key files that the settings name and that are not there yet (0600)\n"
    "dns     prints the TXT records to publish\n"
    "check   asks DNS for them and compares: one line a selector\n"
    "\n"
    "  -c, --config FILE  settings of the gateway (default /etc/sallyport/sallyport.json)\n"
    "\n"
    "Exit codes: 0 all is well, 1 something is wrong, 2 wrong arguments or nothing to read, 3 DNS "
    "could not be asked.\n";

int cli_say(const struct cli *cli, int code, const char *error, const char *format, ...)
{
    const struct cli_voice voice = {cli->json, "sallyport dkim"};
    va_list args;

    va_start(args, format);
    (void)cli_refuse_list(&voice, code, error, format, args);
    va_end(args);
    return code;
}

static bool join(char *out, const char *folder, const char *name)
{
    int n = name[0] == '/' ? snprintf(out, PATH_MAX, "%s", name)
                           : snprintf(out, PATH_MAX, "%s/%s", folder, name);

    return n > 0 && n < PATH_MAX;
}

static bool read_file(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    while (fd >= 0 && n > 0) {
        uint8_t *to = sp_buf_reserve(out, 16384);

        n = to == NULL ? -1 : read(fd, to, 16384);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0 && n == 0;
}

struct sp_pkey *cli_key_read(const struct cli *cli, const struct cli_key *key)
{
    struct sp_pkey *k = NULL;
    struct sp_err err = {0};
    struct sp_buf pem;

    if (key->path[0] == 0) {
        (void)cli_say(cli, CLI_WRONG, "not-found",
                      "tenant %s: no setting names the key of selector %s", key->tenant->name,
                      key->selector);
        return NULL;
    }
    sp_buf_init(&pem, FILE_MAX);
    if (!read_file(key->path, &pem))
        (void)cli_say(cli, CLI_WRONG, "input", "%s: %s", key->path, strerrordesc_np(errno));
    else if (sp_pkey_parse(sp_buf_bytes(&pem), &k, &err) != SP_OK)
        (void)cli_say(cli, CLI_WRONG, "input", "%s: %s", key->path, err.text);
    sp_buf_wipe(&pem);
    if (k != NULL && sp_pkey_kind(k) != key->kind) {
        (void)cli_say(cli, CLI_WRONG, "refused",
                      "%s: it is not the kind of key that selector %s is for", key->path,
                      key->selector);
        sp_pkey_free(SP_STEAL(k));
    }
    return k;
}

static void add_key(struct cli *cli, const struct sp_tenant *t, const char *selector,
                    enum sp_pkey_kind kind, const char *file)
{
    struct cli_key *k = &cli->keys[cli->key_count];

    if (selector[0] == 0 || cli->key_count == CLI_KEYS_MAX)
        return;
    *k = (struct cli_key){.tenant = t, .selector = selector, .kind = kind};
    if (file[0] != 0 && !join(k->path, cli->folder, file))
        k->path[0] = 0;
    if (snprintf(k->name, sizeof(k->name), "%s._domainkey.%s", selector, t->dkim.domain) <
        (int)sizeof(k->name))
        cli->key_count++;
}

static const char *either(const char *own, const char *gateway)
{
    return own[0] != 0 ? own : gateway;
}

static int load_tenant(struct cli *cli, const char *path)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    const struct sp_config *c = cli->config;
    struct sp_tenant *t = NULL;
    struct sp_err err = {0};
    struct sp_buf text;
    int code = CLI_OK;

    sp_buf_init(&text, FILE_MAX);
    if (!read_file(path, &text))
        code =
            cli_say(cli, CLI_USAGE, "input", "%s can't be read: %s", path, strerrordesc_np(errno));
    else if (sp_tenant_load(sp_buf_bytes(&text), path, problems, &t) != SP_OK) {
        (void)sp_problems_rc(problems, &err);
        code = cli_say(cli, CLI_USAGE, "input", "%s", err.text);
    }
    sp_buf_clear(&text);
    if (t == NULL)
        return code;
    if (cli->tenant_count == CLI_TENANTS_MAX) {
        sp_tenant_free(t);
        return cli_say(cli, CLI_USAGE, "limit", "more than %d tenants", CLI_TENANTS_MAX);
    }
    cli->tenants[cli->tenant_count++] = t;
    if (cli->only != NULL && strcmp(cli->only, t->name) != 0)
        return code;
    add_key(cli, t, t->dkim.selector, SP_PKEY_RSA, either(t->dkim.key, c->sealer.dkim_key));
    add_key(cli, t, t->dkim.ed25519_selector, SP_PKEY_ED25519,
            either(t->dkim.ed25519_key, c->sealer.dkim_ed25519_key));
    return code;
}

static int load_tenants(struct cli *cli)
{
    char folder[PATH_MAX], path[PATH_MAX];
    struct dirent **names = NULL;
    int code = CLI_OK;
    int count = join(folder, cli->folder, cli->config->tenants)
                    ? scandir(folder, &names, NULL, alphasort)
                    : -1;

    if (count < 0)
        return cli_say(cli, CLI_USAGE, "input", "the folder of tenants can't be read: %s",
                       strerrordesc_np(errno));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;

        if (code == CLI_OK && name[0] != '.' && join(path, folder, name) &&
            sp_bytes_ends_nocase(sp_bytes_cstr(name), SP_LIT(".json")))
            code = load_tenant(cli, path);
        free(names[i]);
    }
    free(names);
    return code;
}

static bool has_tenant(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->tenant_count; i++)
        if (strcmp(cli->tenants[i]->name, name) == 0)
            return true;
    return false;
}

int cli_load(struct cli *cli)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    char real[PATH_MAX];
    struct sp_err err = {0};
    struct sp_buf text;
    int code = CLI_OK;

    cli->keys = sp_calloc(CLI_KEYS_MAX, sizeof(*cli->keys));
    sp_buf_init(&text, FILE_MAX);
    if (realpath(cli->config_path, real) == NULL || !read_file(real, &text)) {
        code = cli_say(cli, CLI_USAGE, "input", "%s can't be read: %s", cli->config_path,
                       strerrordesc_np(errno));
    } else if (sp_config_load(sp_buf_bytes(&text), cli->config_path, problems, &cli->config) !=
               SP_OK) {
        (void)sp_problems_rc(problems, &err);
        code = cli_say(cli, CLI_USAGE, "input", "%s", err.text);
    }
    sp_buf_clear(&text);
    if (code != CLI_OK)
        return code;
    snprintf(cli->folder, sizeof(cli->folder), "%s", dirname(real));
    code = load_tenants(cli);
    if (code == CLI_OK && cli->only != NULL && !has_tenant(cli, cli->only))
        code = cli_say(cli, CLI_USAGE, "not-found", "no tenant is called %s", cli->only);
    if (code == CLI_OK && cli->key_count == 0)
        code = cli_say(cli, CLI_WRONG, "not-found",
                       "no tenant has a DKIM selector: give its dkim.domain and dkim.selector, and "
                       "the gateway's sealer.dkim_key");
    return code;
}

void cli_clear(struct cli *cli)
{
    for (size_t i = 0; i < cli->tenant_count; i++)
        sp_tenant_free(cli->tenants[i]);
    sp_free(cli->keys);
    sp_config_free(cli->config);
}

static bool take_bits(struct cli *cli, const char *text)
{
    uint64_t bits = 0;

    if (!sp_bytes_to_u64(sp_bytes_cstr(text), &bits) ||
        (bits != 2048 && bits != 3072 && bits != 4096))
        return false;
    cli->bits = (unsigned)bits;
    return true;
}

/* What is wrong with the arguments, and how they are written. returns: CLI_USAGE */
static int wrong(const struct cli *cli, const char *word, const char *why)
{
    (void)cli_say(cli, CLI_USAGE, "usage", "%s%s%s", word, word[0] == 0 ? "" : ": ", why);
    if (!cli->json)
        (void)fputs(usage, stderr);
    return CLI_USAGE;
}

/* returns: CLI_OK, CLI_USAGE after saying what is wrong */
static int take_arguments(struct cli *cli, struct cli_args args, bool makes)
{
    const char *bits = NULL;
    const struct cli_option options[] = {{"--config", .value = &cli->config_path},
                                         {"-c", .value = &cli->config_path},
                                         {"--json", .is_on = &cli->json},
                                         {"--bits", .value = &bits}};
    const char *word;

    while ((word = cli_next_word(&args, options, makes ? 4 : 3)) != NULL) {
        if (cli->only != NULL)
            return wrong(cli, word, "one word too many");
        cli->only = word;
    }
    if (args.wrong != NULL)
        return wrong(cli, args.wrong, args.why);
    if (bits != NULL && !take_bits(cli, bits))
        return wrong(cli, "--bits", "expected 2048, 3072 or 4096");
    return CLI_OK;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

static int run(struct cli *cli, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct cli *cli);
    } commands[] = {{"keygen", cli_keygen}, {"dns", cli_dns}, {"check", cli_check}};
    int (*act)(struct cli *) = NULL;
    int code;

    for (size_t i = 0; argc >= 3 && i < SP_ARRAY_LEN(commands); i++)
        if (strcmp(argv[2], commands[i].name) == 0)
            act = commands[i].run;
    cli->json = cli_wants_json(argc, argv); /* of what is wrong, too */
    if (act == NULL)
        return wrong(cli, argc >= 3 ? argv[2] : "", "keygen, dns or check?");
    code = take_arguments(cli, (struct cli_args){.argc = argc - 3, .argv = argv + 3},
                          act == cli_keygen);
    if (code == CLI_OK)
        code = cli_load(cli);
    return code == CLI_OK ? act(cli) : code;
}

int main(int argc, char **argv)
{
    struct cli cli = {.config_path = "/etc/sallyport/sallyport.json", .bits = 2048};
    int code;

    if (wants_help(argc, argv)) {
        (void)fputs(usage, stdout);
        return cli_flush(&(struct cli_voice){.name = "sallyport dkim"}, CLI_OK, CLI_USAGE);
    }
    code = run(&cli, argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        code = cli_say(&cli, CLI_USAGE, "output", "standard output: %s", strerrordesc_np(errno));
    cli_clear(&cli);
    return code;
}
