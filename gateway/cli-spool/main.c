/*
 * `sallyport queue check|backup|restore`: work on the files themselves, with the master key, so they need no gateway
 * and disturb none that runs. Whoever may read the master key may do this, nobody else.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"

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

static const char usage[] =
    "usage: sallyport queue check [--state DIR] [--json]\n"
    "       sallyport queue repair [--yes --reason TEXT] [--json]\n"
    "       sallyport queue backup DIR [--json]\n"
    "       sallyport queue restore DIR [--json]\n"
    "       sallyport keys rotate [--master [--next FILE]] [--json]\n"
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
    "failed.\n";

int spool_fail(int code, const char *format, ...)
{
    va_list args;

    (void)fputs("sallyport queue: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
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
        code = spool_fail(SPOOL_NO_INPUT, "%s can't be read", s->config_path);
        goto out;
    }
    if (sp_config_load(sp_buf_bytes(&text), real, problems, &s->config) != SP_OK) {
        (void)sp_problems_rc(problems, &err);
        code = spool_fail(SPOOL_NO_INPUT, "%s", err.text);
        goto out;
    }
    folder = dirname(real);
    if (!spool_path(s->state, folder, s->config->state_dir) ||
        sp_config_place(s->config->master_key, folder, s->master, SPOOL_PATH_MAX) != SP_OK ||
        sp_config_place_beside(s->config->master_key, folder, s->beside, SPOOL_PATH_MAX) != SP_OK ||
        !spool_load_keys(s))
        code = spool_fail(
            SPOOL_NO_INPUT,
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

enum sp_rc spool_open(struct spool *s, const char *folder, unsigned shard, bool read_only,
                      struct sp_queue **out, struct sp_err *err)
{
    char path[SPOOL_PATH_MAX];
    char name[64];
    struct sp_queue_options options = {
        .dir = path,
        .keys = &s->keys,
        .clock = sp_loop_clock(s->loop),
        .random = sp_random_system(),
        .read_only = read_only,
    };

    (void)snprintf(name, sizeof(name), "spool/%u", shard);
    if (!spool_path(path, folder, name))
        return sp_fail(err, SP_E_LIMIT, "%s: too long", folder);
    return sp_queue_open(&options, out, err);
}

static const struct {
    const char *name;
    int (*run)(struct spool *s);
    bool has_target;
} commands[] = {
    {"check", spool_check, false},    {"rotate", spool_rotate, false},
    {"repair", spool_repair, false},  {"backup", spool_backup, true},
    {"restore", spool_restore, true},
};

static bool take(struct spool *s, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--config", &s->config_path}, {"-c", &s->config_path}, {"--state", &s->folder},
        {"--reason", &s->reason},      {"--next", &s->next},
    };

    if (strcmp(argv[*i], "--json") == 0)
        return s->json = true;
    if (strcmp(argv[*i], "--yes") == 0)
        return s->yes = true;
    if (strcmp(argv[*i], "--master") == 0)
        return s->is_master = true;
    for (size_t k = 0; k < SP_ARRAY_LEN(options); k++) {
        if (strcmp(argv[*i], options[k].name) == 0 && *i + 1 < argc) {
            *options[k].value = argv[++*i];
            return true;
        }
    }
    if (argv[*i][0] == '-' || s->target != NULL)
        return false;
    s->target = argv[*i];
    return true;
}

static int run(struct spool *s, const char *name)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++) {
        int code;

        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (commands[i].has_target != (s->target != NULL))
            break;
        code = load_settings(s);
        return code == SPOOL_OK ? commands[i].run(s) : code;
    }
    (void)fputs(usage, stderr);
    return SPOOL_USAGE;
}

int main(int argc, char **argv)
{
    struct spool *s = sp_calloc(1, sizeof(*s));
    int code = SPOOL_USAGE;
    int i = 3;

    s->config_path = "/etc/sallyport/sallyport.json";
    if (argc >= 3 && strcmp(argv[2], "--help") == 0) {
        (void)fputs(usage, stdout);
        sp_free(s);
        return SPOOL_OK;
    }
    while (i < argc && take(s, argc, argv, &i))
        i++;
    if (argc < 3 || i < argc) {
        (void)fputs(usage, stderr);
    } else {
        s->loop = sp_loop_new();
        code = run(s, argv[2]);
        sp_loop_free(s->loop);
    }
    sp_config_free(s->config);
    sp_secret_clear(&s->keys.content);
    sp_secret_clear(&s->keys.record);
    sp_secret_clear(&s->keys.old_content);
    sp_free(s);
    return code;
}
