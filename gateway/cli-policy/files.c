/*
 * Files for the commands: whole, bounded, and by names relative to a folder. Where a policy extends a shipped set that
 * does not lie beside it, the set that was installed with the program is taken.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "gateway/cli-policy/cli.h"
#include "gateway/cli/refusal.h"

#define FILE_MAX  ((size_t)8 << 20)
#define NAMES_MAX 4096

/* returns: what is read in the place of that file, or NULL */
static const struct cli_file *find_instead(const struct cli *cli, const char *path)
{
    for (size_t i = 0; cli->instead != NULL && i < cli->instead->count; i++)
        if (strcmp(cli->instead->items[i].name, path) == 0)
            return &cli->instead->items[i];
    return NULL;
}

/* returns: bytes read, fewer than max where the file ends; -1 with errno */
static ssize_t read_up_to(int fd, uint8_t *data, size_t max)
{
    size_t len = 0;
    ssize_t n = 1;

    while (len < max && n > 0) {
        n = read(fd, data + len, max - len);
        if (n < 0)
            return -1;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

enum sp_rc cli_read(struct cli *cli, const char *path, struct sp_bytes *out)
{
    const struct cli_file *instead = find_instead(cli, path);
    int fd = instead != NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    enum sp_rc rc = SP_OK;
    struct stat st = {0};
    uint8_t *data;
    ssize_t len;
    int why;

    if (instead != NULL) {
        *out = instead->text;
        return SP_OK;
    }
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? SP_E_NOT_FOUND : SP_E_IO;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = SP_E_IO;
    else if ((size_t)st.st_size > FILE_MAX)
        rc = SP_E_LIMIT;
    why = rc == SP_E_LIMIT ? EFBIG : S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    if (rc == SP_OK) {
        data = sp_arena_alloc(cli->arena, (size_t)st.st_size + 1);
        len = read_up_to(fd, data, (size_t)st.st_size);
        if (len < 0) { /* half a list is another list */
            rc = SP_E_IO;
            why = errno;
        }
        *out = sp_bytes(data, len < 0 ? 0 : (size_t)len);
    }
    close(fd);
    errno = why;
    return rc;
}

const char *cli_dirname(struct cli *cli, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return ".";
    return sp_arena_cstr(cli->arena, sp_bytes(path, slash == path ? 1 : (size_t)(slash - path)));
}

const char *cli_basename(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

const char *cli_join(struct cli *cli, const char *dir, const char *name)
{
    struct sp_buf path;
    const char *joined;

    if (name[0] == '/')
        return name;
    sp_buf_init(&path, 8192);
    if (strcmp(dir, ".") != 0) {
        sp_buf_put_cstr(&path, dir);
        sp_buf_put_u8(&path, '/');
    }
    sp_buf_put_cstr(&path, name);
    joined = sp_arena_cstr(cli->arena, sp_buf_bytes(&path));
    sp_buf_clear(&path);
    return joined;
}

struct folder {
    struct cli *cli;
    const char *shipped; /* NULL for none */
    const char **names;  /* of the folder being walked, sorted; NULL before */
    size_t count;
    struct cli_files *kept; /* gets what is read; NULL: nobody asks */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Files of the folder that do not lie there yet. */
static void add_instead(struct folder *f, const char *dir)
{
    const struct cli_files *instead = f->cli->instead;
    size_t len = strlen(dir);

    for (size_t i = 0; instead != NULL && i < instead->count && f->count < NAMES_MAX; i++) {
        const char *name = instead->items[i].name;

        if (strncmp(name, dir, len) == 0 && strchr(name + len, '/') == NULL &&
            access(name, F_OK) != 0)
            f->names[f->count++] = name;
    }
}

static void read_names(struct folder *f, const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;

    f->names = sp_arena_alloc(f->cli->arena, NAMES_MAX * sizeof(char *));
    f->count = 0;
    while (d != NULL && f->count < NAMES_MAX && (entry = readdir(d)) != NULL) {
        struct sp_buf path;

        if (entry->d_name[0] == '.' || entry->d_name[strlen(entry->d_name) - 1] == '~')
            continue;
        sp_buf_init(&path, 8192);
        sp_buf_printf(&path, "%s%s", dir, entry->d_name);
        f->names[f->count++] = sp_arena_cstr(f->cli->arena, sp_buf_bytes(&path));
        sp_buf_clear(&path);
    }
    if (d != NULL)
        closedir(d);
    add_instead(f, dir);
    qsort(f->names, f->count, sizeof(char *), by_name);
}

static bool next_policy_file(void *ctx, const char *dir, size_t *at, struct sp_bytes *name)
{
    struct folder *f = ctx;

    if (*at == 0)
        read_names(f, dir);
    if (*at >= f->count)
        return false;
    *name = sp_bytes_cstr(f->names[(*at)++]);
    return true;
}

static enum sp_rc read_policy_file(void *ctx, const char *name, struct sp_bytes *out)
{
    struct folder *folder = ctx;
    enum sp_rc rc = cli_read(folder->cli, name, out);
    bool is_shipped = rc == SP_E_NOT_FOUND && folder->shipped != NULL;

    if (is_shipped)
        rc = cli_read(folder->cli, cli_join(folder->cli, folder->shipped, cli_basename(name)), out);
    if (rc == SP_OK && folder->kept != NULL && folder->kept->count < CLI_FILES_MAX)
        folder->kept->items[folder->kept->count++] = (struct cli_file){
            sp_arena_cstr(folder->cli->arena, sp_bytes_cstr(name)), *out, is_shipped};
    return rc;
}

/* The shipped sets: beside libexec in an installed tree, at the top of the source in a build tree. */
static const char *shipped_folder(struct cli *cli)
{
    static const char *const places[] = {"../../share/sallyport/policies", "../../../../policies"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n <= 0)
        return NULL;
    self[n] = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(places); i++) {
        const char *place = cli_join(cli, cli_dirname(cli, self), places[i]);

        if (access(place, R_OK) == 0)
            return place;
    }
    return NULL;
}

bool cli_is_shipped(struct cli *cli, const char *name)
{
    const char *folder = shipped_folder(cli);

    return folder != NULL && access(cli_join(cli, folder, cli_basename(name)), R_OK) == 0;
}

struct cli_files *cli_files_new(struct cli *cli)
{
    struct cli_files *files = sp_arena_alloc(cli->arena, sizeof(*files));

    memset(files, 0, sizeof(*files));
    return files;
}

struct sp_policy *cli_load_policy(struct cli *cli, const char *path)
{
    return cli_load_policy_files(cli, path, NULL);
}

struct sp_policy *cli_load_policy_files(struct cli *cli, const char *path, struct cli_files *files)
{
    struct folder folder = {cli, shipped_folder(cli), NULL, 0, files};
    struct sp_policy_reader reader = {read_policy_file, &folder, next_policy_file};
    struct sp_policy *policy = NULL;

    if (sp_policy_load(&reader, path, cli->problems, &policy) != SP_OK)
        return NULL;
    return policy;
}

/* The warnings right behind the i-th that say the same of other places of its file, as one line. returns: the last of them */
static size_t print_alike(const struct cli *cli, size_t i)
{
    const struct sp_problem *first = sp_problems_at(cli->problems, i);
    const struct cli_voice voice = {cli->json, "warning"};
    size_t last = i;
    struct sp_buf line;

    sp_buf_init(&line, 65536);
    while (first->is_warning && last + 1 < sp_problems_count(cli->problems)) {
        const struct sp_problem *p = sp_problems_at(cli->problems, last + 1);

        if (!p->is_warning || strcmp(p->file, first->file) != 0 ||
            strcmp(p->text, first->text) != 0)
            break;
        if (last == i)
            sp_buf_printf(&line, "%s: the same of %s (line %u)", p->file, p->path, p->line);
        else
            sp_buf_printf(&line, ", %s (%u)", p->path, p->line);
        last++;
    }
    if (last > i)
        (void)cli_refuse(&voice, 0, "warning", "%.*s", SP_FMT(sp_buf_bytes(&line)));
    sp_buf_clear(&line);
    return last;
}

static void print_left(const struct cli *cli, size_t left, const char *what)
{
    if (left > 0)
        (void)cli_tell(cli, 0, "remark", "and %zu more %s%s that %s not shown", left, what,
                       left == 1 ? "" : "s", left == 1 ? "is" : "are");
}

int cli_print_problems(const struct cli *cli, int code)
{
    size_t count = sp_problems_count(cli->problems);

    for (size_t i = 0; i < count; i++) {
        const struct sp_problem *p = sp_problems_at(cli->problems, i);
        const struct cli_voice voice = {cli->json, p->is_warning ? "warning" : "error"};
        struct sp_buf line;

        sp_buf_init(&line, 8192);
        sp_problem_format(p, &line);
        (void)cli_refuse(&voice, p->is_warning ? 0 : code,
                         p->is_warning ? "warning" : sp_rc_name(p->rc), "%.*s",
                         SP_FMT(sp_buf_bytes(&line)));
        sp_buf_clear(&line);
        i = print_alike(cli, i);
    }
    print_left(cli, sp_problems_left(cli->problems, true), "error");
    print_left(cli, sp_problems_left(cli->problems, false), "warning");
    return code;
}

void cli_drop_problems(struct cli *cli)
{
    sp_problems_free(cli->problems);
    cli->problems = sp_problems_new();
}

void cli_json_problems(const struct cli *cli, struct sp_jw *w)
{
    sp_jw_array(w, "problems");
    for (size_t i = 0; i < sp_problems_count(cli->problems); i++) {
        const struct sp_problem *p = sp_problems_at(cli->problems, i);

        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "severity", p->is_warning ? "warning" : "error");
        sp_jw_cstr(w, "code", p->is_warning ? NULL : sp_rc_name(p->rc));
        sp_jw_cstr(w, "file", p->file);
        sp_jw_int(w, "line", p->line);
        sp_jw_int(w, "column", p->column);
        sp_jw_cstr(w, "path", p->path);
        sp_jw_cstr(w, "text", p->text);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

void cli_print(const struct sp_buf *b)
{
    fwrite(b->ptr, 1, b->len, stdout);
    fputc('\n', stdout);
}

bool cli_is_days(const char *text)
{
    uint64_t days;

    return sp_bytes_to_u64(sp_bytes_cstr(text), &days) && days >= 1 && days <= CLI_DAYS_MAX;
}

bool cli_is_line(const char *text)
{
    for (const char *c = text; *c != 0; c++)
        if ((uint8_t)*c < ' ' || *c == 0x7f)
            return false;
    return sp_utf8_is_valid(sp_bytes_cstr(text));
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    const struct cli_voice voice = {cli->json, "sallyport"};
    va_list args;

    va_start(args, fmt);
    (void)cli_refuse_list(&voice, CLI_USAGE, "usage", fmt, args);
    va_end(args);
    if (!cli->json)
        fprintf(stderr, "usage: sallyport %s\n", cli->usage);
    return CLI_USAGE;
}

int cli_tell(const struct cli *cli, int code, const char *error, const char *fmt, ...)
{
    const struct cli_voice voice = {cli->json, code == CLI_OK ? "note" : "error"};
    va_list args;

    va_start(args, fmt);
    (void)cli_refuse_list(&voice, code, error, fmt, args);
    va_end(args);
    return code;
}

#define OPTIONS_MAX 32 /* of a command */

bool cli_arguments(struct cli *cli, const struct cli_option *options, size_t count,
                   const struct cli_wanted *wanted)
{
    struct cli_option all[OPTIONS_MAX];
    const char *word;

    sp_assert(count < OPTIONS_MAX);
    for (size_t i = 0; i < count; i++)
        all[i] = options[i];
    all[count++] = (struct cli_option){"--json", .is_on = &cli->json};
    cli->words = sp_arena_alloc(cli->arena, ((size_t)cli->args.argc + 1) * sizeof(*cli->words));
    while ((word = cli_next_word(&cli->args, all, count)) != NULL)
        cli->words[cli->word_count++] = word;
    if (cli->args.wrong != NULL) {
        if (cli_wants_json(cli->args.argc + 1, cli->args.argv - 1))
            cli->json = true; /* it may stand behind what is wrong */
        (void)cli_usage(cli, "%s: %s", cli->args.wrong, cli->args.why);
    } else if (cli->word_count > wanted->most)
        (void)cli_usage(cli, "%s: one word too many", cli->words[wanted->most]);
    else if (cli->word_count < wanted->least)
        (void)cli_usage(cli, "%s", wanted->what);
    else
        return true;
    return false;
}
