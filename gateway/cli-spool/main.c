/*
 * `sallyport queue check|backup|restore`: work on the files themselves, with the master key, so they need no gateway
 * and disturb none that runs. Whoever may read the master key may do this, nobody else.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"
#include "gateway/cli/options.h"
#include "gateway/cli/refusal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTINGS_MAX ((size_t)16 << 20)

static const struct command {
    const char *name;
    int (*run)(struct spool *s);
    bool has_target;
    const char *usage;
    const char *options; /* beside those that all take */
} commands[] = {
    {"check", spool_check, false, "queue check [--state DIR] [--json]", "--state"},
    {"repair", spool_repair, false, "queue repair [--yes --reason TEXT] [--json]",
     "--yes --reason"},
    {"backup", spool_backup, true, "queue backup DIR [--json]", ""},
    {"restore", spool_restore, true, "queue restore DIR [--json]", ""},
    {"rotate", spool_rotate, false, "keys rotate [--master [--next FILE]] [--json]",
     "--master --next"},
};

static const char help[] =
    "\n"
    "check    reads every record and every waiting message with its whole body; the gateway may "
    "run\n"
    "repair   gateway stopped: names what can't be read; with --yes gives that up, on record\n"
    "backup   copies spool, audit, databases and packages into the new folder DIR and checks the "
    "copy;\n"
    "         the gateway may run. The settings and the master key are not in it\n"
    "restore  puts a backup into a state folder that holds no mail; the gateway must not run\n"
    "\n"
    "rotate   a new generation of the content key: keyrings are rewritten while mail goes on, then "
    "the\n"
    "         old one is destroyed, and what was deleted before can't be read by anybody any more\n"
    "         --master: another master key instead; nothing else is rewritten and the gateway goes "
    "on.\n"
    "         One that comes from elsewhere (a credential): --next FILE first, which lets that key "
    "open\n"
    "         everything, too; after the restart with it, --master alone, and the old one opens "
    "nothing\n"
    "\n"
    "  --config FILE  settings of the gateway (default /etc/sallyport/sallyport.json)\n"
    "  --state DIR    look into this folder instead: a backup, say\n"
    "  --json         one JSON object instead of words\n"
    "\n"
    "Exit codes: 0 all whole or done, 1 damage found, 64 wrong arguments, 66 nothing to read, 74 "
    "failed,\n75 not over yet: repeat it.\n";

/* A name for programs, which does not change from version to version. */
static const char *name_of(int code)
{
    switch (code) {
    case SPOOL_OK:
        return "remark";
    case SPOOL_DAMAGED:
        return "damaged";
    case SPOOL_USAGE:
        return "usage";
    case SPOOL_NO_INPUT:
        return "input";
    case SPOOL_AGAIN:
        return "unknown";
    default:
        return "failed";
    }
}

int spool_fail(const struct spool *s, int code, const char *format, ...)
{
    const struct cli_voice voice = {s->json, "sallyport"};
    va_list args;

    va_start(args, format);
    (void)cli_refuse_list(&voice, code, name_of(code), format, args);
    va_end(args);
    return code;
}

bool spool_read_file(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && spool_read_whole(fd, out);

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static int load_settings(struct spool *s)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    char real[PATH_MAX];
    struct sp_err err = {0};
    struct sp_buf text;
    const char *folder;
    int code = SPOOL_OK;

    sp_buf_init(&text, SETTINGS_MAX);
    if (realpath(s->config_path, real) == NULL || !spool_read_file(real, &text)) {
        code = spool_fail(s, SPOOL_NO_INPUT, "%s can't be read: %s", s->config_path,
                          strerrordesc_np(errno));
        goto out;
    }
    if (sp_config_load(sp_buf_bytes(&text), real, problems, &s->config) != SP_OK) {
        (void)sp_problems_rc(problems, &err);
        code = spool_fail(s, SPOOL_NO_INPUT, "%s", err.text);
        goto out;
    }
    folder = dirname(real);
    if (!spool_path(s->state, folder, s->config->state_dir) ||
        sp_config_place(s->config->master_key, folder, s->master, SPOOL_PATH_MAX) != SP_OK ||
        sp_config_place_beside(s->config->master_key, folder, s->beside, SPOOL_PATH_MAX) != SP_OK ||
        !spool_load_keys(s))
        code = spool_fail(
            s, SPOOL_NO_INPUT,
            "the master key can't be read, or does not open what is "
            "kept beside it%s",
            strncmp(s->config->master_key, SP_CONFIG_CREDENTIAL, strlen(SP_CONFIG_CREDENTIAL)) == 0
                ? " (CREDENTIALS_DIRECTORY says where the service's lie)"
                : "");
out:
    sp_buf_clear(&text);
    return code;
}

static int compare(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a;
    unsigned y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

bool spool_find_shards(struct spool *s, const char *folder)
{
    char path[SPOOL_PATH_MAX];
    const struct dirent *entry;
    DIR *dir;
    uint64_t number;

    s->shard_count = 0;
    if (!spool_path(path, folder, "spool"))
        return false;
    dir = opendir(path);
    if (dir == NULL)
        return false;
    while ((entry = readdir(dir)) != NULL && s->shard_count < SPOOL_SHARDS_MAX) {
        if (sp_bytes_to_u64(sp_bytes_cstr(entry->d_name), &number) && number <= UINT_MAX)
            s->shards[s->shard_count++] = (unsigned)number;
    }
    (void)closedir(dir);
    qsort(s->shards, s->shard_count, sizeof(s->shards[0]), compare);
    return true;
}

int spool_hold(const char *state)
{
    char path[SPOOL_PATH_MAX];
    int fd;

    if (!spool_make_folder(state, NULL) || !spool_path(path, state, "supervisor.lock"))
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

bool spool_is_running(const char *state)
{
    char path[SPOOL_PATH_MAX];
    bool is_running = false;
    int fd;

    if (!spool_path(path, state, "supervisor.lock"))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        is_running = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        (void)close(fd);
    }
    return is_running;
}

enum sp_rc spool_open(struct spool *s, const char *folder, unsigned shard, enum spool_how how,
                      struct sp_queue **out, struct sp_err *err)
{
    char path[SPOOL_PATH_MAX];
    char name[64];
    struct sp_queue_options options = {
        .dir = path,
        .keys = &s->keys,
        .clock = sp_loop_clock(s->loop),
        .random = sp_random_system(),
        .read_only = how != SPOOL_WRITE,
        .by_footers = how == SPOOL_AS_START,
        .on_ended = s->missing == NULL ? NULL : spool_missing_on_ended,
        .arg = s->missing,
    };

    (void)snprintf(name, sizeof(name), "spool/%u", shard);
    if (!spool_path(path, folder, name))
        return sp_fail(err, SP_E_LIMIT, "%s: too long", folder);
    return sp_queue_open(&options, out, err);
}

/* ---- arguments ---- */

/* What is wrong with the arguments, and how the command is written. returns: SPOOL_USAGE */
static int wrong(const struct spool *s, const struct command *c, const char *word, const char *why)
{
    (void)spool_fail(s, SPOOL_USAGE, "%s%s%s", word, word[0] == 0 ? "" : ": ", why);
    if (!s->json)
        (void)fprintf(stderr, "usage: sallyport %s\n", c->usage);
    return SPOOL_USAGE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Whether the command takes an option. */
static bool takes(const struct command *c, const char *option)
{
    struct sp_bytes words = sp_bytes_cstr(c->options);
    struct sp_bytes one;

    while (sp_bytes_split(&words, ' ', &one))
        if (sp_bytes_eq(one, sp_bytes_cstr(option)))
            return true;
    return strcmp(option, "--config") == 0 || strcmp(option, "-c") == 0 ||
           strcmp(option, "--json") == 0;
}

/* returns: SPOOL_OK, or SPOOL_USAGE after saying which is wrong */
static int parse(struct spool *s, const struct command *c, int argc, char **argv)
{
    const struct cli_option all[] = {
        {"--config", .value = &s->config_path},
        {"-c", .value = &s->config_path},
        {"--json", .is_on = &s->json},
        {"--state", .value = &s->folder},
        {"--yes", .is_on = &s->yes},
        {"--reason", .value = &s->reason},
        {"--master", .is_on = &s->is_master},
        {"--next", .value = &s->next},
    };
    struct cli_option own[SP_ARRAY_LEN(all)];
    struct cli_args args = {.argc = argc - 3, .argv = argv + 3};
    const char *word;
    size_t count = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if (takes(c, all[i].name))
            own[count++] = all[i];
    s->json = cli_wants_json(argc, argv); /* of what is wrong, too */
    while ((word = cli_next_word(&args, own, count)) != NULL) {
        if (!c->has_target)
            return wrong(s, c, word, "one word too many");
        if (s->target != NULL)
            return wrong(s, c, word, "one folder is enough");
        s->target = word;
    }
    if (args.wrong != NULL)
        return wrong(s, c, args.wrong, args.why);
    if (c->has_target && s->target == NULL)
        return wrong(s, c, "", "which folder?");
    return SPOOL_OK;
}

static void print_usage(FILE *to)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++)
        (void)fprintf(to, "%s sallyport %s\n", i == 0 ? "usage:" : "      ", commands[i].usage);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run(struct spool *s, const struct command *c)
{
    int code;

    s->loop = sp_loop_new();
    code = load_settings(s);
    if (code == SPOOL_OK)
        code = c->run(s);
    if (code == SPOOL_OK)
        code = cli_flush(&(struct cli_voice){s->json, "sallyport"}, code, SPOOL_FAILED);
    sp_loop_free(s->loop);
    return code;
}

int main(int argc, char **argv)
{
    const struct command *c = argc < 3 ? NULL : find_command(argv[2]);
    struct spool *s;
    int code;

    if (wants_help(argc, argv)) {
        print_usage(stdout);
        (void)fputs(help, stdout);
        return cli_flush(&(struct cli_voice){.name = "sallyport"}, SPOOL_OK, SPOOL_FAILED);
    }
    if (c == NULL) {
        print_usage(stderr);
        return SPOOL_USAGE;
    }
    s = sp_calloc(1, sizeof(*s));
    s->config_path = "/etc/sallyport/sallyport.json";
    code = parse(s, c, argc, argv);
    if (code == SPOOL_OK)
        code = run(s, c);
    sp_config_free(s->config);
    sp_secret_clear(&s->keys.content);
    sp_secret_clear(&s->keys.record);
    sp_secret_clear(&s->keys.old_content);
    sp_free(s);
    return code;
}
