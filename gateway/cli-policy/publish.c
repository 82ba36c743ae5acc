/*
 * sallyport policy publish, history and rollback. A draft lies beside the live policy. To be published it must load, its
 * tests must pass, and somebody must say why; then the whole version (every file that it was made of) is kept under its
 * hash in .history/, the draft takes the live file's place, and published.json says who did it, so that the ledger can
 * record policy.published when the gateway takes the new version up. A version that is kept can be taken back as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/cli-policy/cli.h"
#include "json/json.h"

#define TEXT_MAX_LEN ((size_t)128 << 20)
#define VERSIONS_MAX 10000

struct publish {
    const char *config;
    const char *word; /* the draft, or the version to take back */
    const char *reason;
    const char *approver;
    bool dry_run;
    const char *folder; /* of the live policy */
    const char *live;   /* its path */
    const char *who;
    size_t passed; /* tests */
};

static const char *text_of(struct cli *cli, const char *fmt, ...) SP_PRINTF(2, 3);

static const char *text_of(struct cli *cli, const char *fmt, ...)
{
    char text[8192];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return sp_arena_cstr(cli->arena, sp_bytes_cstr(text));
}

static const char *who_acts(struct cli *cli)
{
    const char *sudo = getenv("SUDO_USER"); /* NOLINT(concurrency-mt-unsafe): one thread */

    if (sudo != NULL && sudo[0] != 0 && strlen(sudo) < 64)
        return text_of(cli, "uid %u (%s)", (unsigned)getuid(), sudo);
    return text_of(cli, "uid %u", (unsigned)getuid());
}

static bool read_options(struct cli *cli, struct publish *p, bool needs_word)
{
    p->config = "/etc/sallyport/sallyport.json";
    for (int i = 0; i < cli->argc; i++) {
        const char *o = cli->argv[i];
        const char **value = strcmp(o, "-c") == 0 || strcmp(o, "--config") == 0 ? &p->config
                             : strcmp(o, "--reason") == 0                       ? &p->reason
                             : strcmp(o, "--approved-by") == 0                  ? &p->approver
                                                                                : NULL;

        if (strcmp(o, "--dry-run") == 0)
            p->dry_run = true;
        else if (value != NULL && i + 1 < cli->argc)
            *value = cli->argv[++i];
        else if (o[0] != '-' && p->word == NULL && needs_word)
            p->word = o;
        else
            return false;
    }
    p->who = who_acts(cli);
    return !needs_word || (p->word != NULL && p->reason != NULL && strlen(p->reason) >= 5);
}

/* Where the live policy lies. returns: false, with problems, if the settings can't be read */
static bool find_live(struct cli *cli, struct publish *p)
{
    SP_AUTO(sp_config) config = cli_load_config(cli, p->config);

    if (config == NULL) {
        cli_print_problems(cli);
        return false;
    }
    p->live = cli_join(cli, cli_dirname(cli, p->config), config->policy);
    p->folder = cli_dirname(cli, p->live);
    return true;
}

static const char *history_path(struct cli *cli, const struct publish *p, const char *name)
{
    return text_of(cli, "%s/.history/%s", p->folder, name);
}

/* ---- versions ---- */

/* Keeps all files of a version; the main one is named policy. returns: SP_OK or why not */
static enum sp_rc keep_version(struct cli *cli, const struct publish *p, const char *hash,
                               const struct cli_files *files)
{
    const char *path = history_path(cli, p, text_of(cli, "%s.json", hash));
    SP_AUTO(sp_json_doc) none = sp_json_doc_new();
    SP_AUTO(sp_json_doc) doc = sp_json_doc_new();
    const struct sp_json *root = sp_json_root(doc), *list;
    size_t skip = strlen(p->folder) + 1;
    struct sp_buf text;
    enum sp_rc rc = SP_OK;

    if (access(path, F_OK) == 0)
        return SP_OK;
    if (mkdir(history_path(cli, p, ""), 0755) != 0 && errno != EEXIST)
        rc = SP_E_IO;
    sp_json_set_int(doc, root, "version", 1);
    sp_json_set_text(doc, root, "hash", sp_bytes_cstr(hash));
    sp_json_set_copy(doc, root, "files", sp_json_root(none));
    list = sp_json_find(root, "files");
    for (size_t i = 0; i < files->count; i++) /* the main file was read first */
        sp_json_set_text(doc, list, i == 0 ? cli_basename(p->live) : files->items[i].name + skip,
                         files->items[i].text);
    sp_buf_init(&text, TEXT_MAX_LEN);
    if (rc == SP_OK)
        rc = sp_json_canonical(root, &text);
    if (rc == SP_OK)
        rc = cli_write(cli, path, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return rc;
}

static void write_act(struct sp_jw *w, const struct publish *p, const char *kind,
                      const char *before, const char *after)
{
    char now[SP_TIME_TEXT_MAX];
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    sp_time_format_rfc3339((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, now);
    sp_jw_object(w, NULL);
    sp_jw_int(w, "version", 1);
    sp_jw_cstr(w, "event", kind);
    sp_jw_cstr(w, "time", now);
    sp_jw_cstr(w, "who", p->who);
    if (p->approver != NULL)
        sp_jw_cstr(w, "approver", p->approver);
    sp_jw_cstr(w, "reason", p->reason);
    sp_jw_cstr(w, "before", before);
    sp_jw_cstr(w, "after", after);
    sp_jw_int(w, "tests", (int64_t)p->passed);
    sp_jw_end(w);
}

/* One line more in the log, and the same beside the policy for the ledger to read. */
static enum sp_rc tell(struct cli *cli, const struct publish *p, const char *kind,
                       const char *before, const char *after)
{
    struct sp_bytes old = {NULL, 0};
    const char *log = history_path(cli, p, "log.jsonl");
    struct sp_buf line, all;
    struct sp_jw w;
    enum sp_rc rc = cli_read(cli, log, &old);

    sp_buf_init(&line, 65536);
    sp_buf_init(&all, TEXT_MAX_LEN);
    sp_jw_init(&w, &line);
    write_act(&w, p, kind, before, after);
    sp_buf_put_u8(&line, '\n');
    sp_buf_put(&all, old);
    sp_buf_put(&all, sp_buf_bytes(&line));
    if (rc == SP_OK || rc == SP_E_NOT_FOUND)
        rc = sp_buf_rc(&all) == SP_OK ? cli_write(cli, log, sp_buf_bytes(&all)) : SP_E_LIMIT;
    if (rc == SP_OK)
        rc = cli_write(cli, text_of(cli, "%s/published.json", p->folder), sp_buf_bytes(&line));
    sp_buf_clear(&line);
    sp_buf_clear(&all);
    return rc;
}

static int end(struct cli *cli, const struct publish *p, enum sp_rc rc, const char *what,
               const char *before, const char *after)
{
    if (rc != SP_OK) {
        fprintf(stderr, "error: %s: %s\n", p->folder, sp_rc_name(rc));
        return CLI_WRONG;
    }
    if (cli->json)
        printf("{\"done\":\"%s\",\"before\":\"%s\",\"after\":\"%s\"}\n", what, before, after);
    else
        printf("%s %.16s in the place of %.16s; the gateway takes it up when it reloads (SIGHUP)\n",
               what, after, before);
    return CLI_OK;
}

/* ---- publish ---- */

static bool lies_beside(struct cli *cli, const struct publish *p)
{
    struct stat a, b;

    return stat(cli_dirname(cli, p->word), &a) == 0 && stat(p->folder, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static const char *tests_of(struct cli *cli, const char *draft)
{
    struct sp_bytes name = sp_bytes_cstr(draft);

    if (sp_bytes_ends_nocase(name, SP_LIT(".json")))
        name.len -= 5;
    return text_of(cli, "%.*s.test.json", SP_FMT(name));
}

static bool checks(struct cli *cli, struct publish *p)
{
    const char *tests = tests_of(cli, p->word);

    if (!lies_beside(cli, p)) {
        fprintf(stderr, "error: %s must lie in %s, beside the lists and texts that it names\n",
                p->word, p->folder);
        return false;
    }
    if (p->approver != NULL && strstr(p->who, p->approver) != NULL) {
        fprintf(stderr, "error: the second person can't be the one who publishes (%s)\n", p->who);
        return false;
    }
    if (access(tests, R_OK) != 0) {
        fprintf(stderr, "error: a draft is published with its tests: %s is not there\n", tests);
        return false;
    }
    return cli_run_tests(cli, tests, &p->passed);
}

int cli_policy_publish(struct cli *cli)
{
    struct publish p = {0};
    struct cli_files *old = sp_arena_alloc(cli->arena, sizeof(*old));
    struct cli_files *new = sp_arena_alloc(cli->arena, sizeof(*new));
    SP_AUTO(sp_policy) live = NULL;
    SP_AUTO(sp_policy) draft = NULL;
    const char *before = "";
    enum sp_rc rc;

    if (!read_options(cli, &p, true))
        return cli_usage("policy publish DRAFT --reason TEXT [--approved-by NAME] "
                         "[-c sallyport.json] [--dry-run]");
    if (!find_live(cli, &p))
        return CLI_USAGE;
    draft = cli_load_policy_files(cli, p.word, new);
    if (draft == NULL) {
        cli_print_problems(cli);
        return CLI_WRONG;
    }
    if (!checks(cli, &p))
        return CLI_WRONG;
    live = cli_load_policy_files(cli, p.live, old);
    if (live != NULL)
        before = sp_policy_hash(live);
    if (strcmp(before, sp_policy_hash(draft)) == 0) {
        printf("the draft is what is live already\n");
        return CLI_OK;
    }
    if (live != NULL && !cli->json)
        cli_print_diff(cli, live, draft);
    if (p.dry_run)
        return CLI_OK;
    rc = live == NULL ? SP_OK : keep_version(cli, &p, before, old);
    if (rc == SP_OK)
        rc = keep_version(cli, &p, sp_policy_hash(draft), new);
    if (rc == SP_OK)
        rc = tell(cli, &p, "policy.published", before, sp_policy_hash(draft));
    if (rc == SP_OK)
        rc = cli_write(cli, p.live, new->items[0].text);
    return end(cli, &p, rc, "published", before, sp_policy_hash(draft));
}

/* ---- history ---- */

int cli_policy_history(struct cli *cli)
{
    struct publish p = {0};
    struct sp_bytes log = {NULL, 0}, line;

    if (!read_options(cli, &p, false))
        return cli_usage("policy history [-c sallyport.json] [--json]");
    if (!find_live(cli, &p))
        return CLI_USAGE;
    if (cli_read(cli, history_path(cli, &p, "log.jsonl"), &log) != SP_OK && !cli->json)
        printf("nothing has been published yet\n");
    while (sp_bytes_split(&log, '\n', &line)) {
        SP_AUTO(sp_json_doc) doc = NULL;
        struct sp_err err;

        if (line.len == 0)
            continue;
        if (cli->json) {
            printf("%.*s\n", SP_FMT(line));
        } else if (sp_json_parse(line, NULL, &doc, &err) == SP_OK) {
            const struct sp_json *r = sp_json_root(doc);
            struct sp_bytes approver = sp_json_text_of(r, "approver");

            printf("%.19s  %.16s  %-10s  by %.*s%s%.*s, %lld tests: %.*s\n",
                   (const char *)sp_json_text_of(r, "time").ptr,
                   (const char *)sp_json_text_of(r, "after").ptr,
                   sp_bytes_eq(sp_json_text_of(r, "event"), SP_LIT("policy.published"))
                       ? "published"
                       : "taken back",
                   SP_FMT(sp_json_text_of(r, "who")), approver.len > 0 ? ", approved by " : "",
                   SP_FMT(approver), (long long)sp_json_int_of(r, "tests", 0),
                   SP_FMT(sp_json_text_of(r, "reason")));
        }
    }
    return CLI_OK;
}

/* ---- rollback ---- */

/* The one version in the log whose hash begins so. returns: its whole hash, or NULL */
static const char *find_version(struct cli *cli, const struct publish *p)
{
    struct sp_bytes log = {NULL, 0}, line, wanted = sp_bytes_cstr(p->word);
    const char *found = NULL;

    if (wanted.len < 6 || cli_read(cli, history_path(cli, p, "log.jsonl"), &log) != SP_OK)
        return NULL;
    while (sp_bytes_split(&log, '\n', &line)) {
        static const char *const keys[] = {"before", "after"};
        SP_AUTO(sp_json_doc) doc = NULL;
        struct sp_err err;

        if (line.len == 0 || sp_json_parse(line, NULL, &doc, &err) != SP_OK)
            continue;
        for (size_t i = 0; i < SP_ARRAY_LEN(keys); i++) {
            struct sp_bytes hash = sp_json_text_of(sp_json_root(doc), keys[i]);

            if (!sp_bytes_starts_nocase(hash, wanted))
                continue;
            if (found != NULL && !sp_bytes_eq(hash, sp_bytes_cstr(found)))
                return NULL; /* not the one version */
            found = sp_arena_cstr(cli->arena, hash);
        }
    }
    return found;
}

/* A name in a kept version leads nowhere but into the folder. */
static bool is_inside(struct sp_bytes name)
{
    struct sp_bytes rest = name, part;

    if (name.len == 0 || name.ptr[0] == '/')
        return false;
    while (sp_bytes_split(&rest, '/', &part))
        if (part.len == 0 || sp_bytes_eq(part, SP_LIT("..")) || sp_bytes_eq(part, SP_LIT(".")))
            return false;
    return true;
}

static enum sp_rc write_files(struct cli *cli, const struct publish *p, const struct sp_json *files)
{
    enum sp_rc rc = SP_OK;

    for (const struct sp_json *f = files->first; f != NULL && rc == SP_OK; f = f->next) {
        const char *path = text_of(cli, "%s/%.*s", p->folder, SP_FMT(f->key));
        struct sp_bytes now = {NULL, 0};

        if (f->type != SP_JSON_TEXT || !is_inside(f->key))
            return SP_E_MALFORMED;
        if (cli_read(cli, path, &now) != SP_OK || !sp_bytes_eq(now, f->text)) {
            if (mkdir(cli_dirname(cli, path), 0755) != 0 && errno != EEXIST)
                return SP_E_IO;
            rc = cli_write(cli, path, f->text);
        }
    }
    return rc;
}

int cli_policy_rollback(struct cli *cli)
{
    struct publish p = {0};
    struct cli_files *old = sp_arena_alloc(cli->arena, sizeof(*old));
    SP_AUTO(sp_policy) live = NULL;
    SP_AUTO(sp_policy) back = NULL;
    SP_AUTO(sp_json_doc) doc = NULL;
    const char *hash, *before = "";
    struct sp_bytes text = {NULL, 0};
    struct sp_err err;
    enum sp_rc rc;

    if (!read_options(cli, &p, true))
        return cli_usage("policy rollback VERSION --reason TEXT [--approved-by NAME] "
                         "[-c sallyport.json]");
    if (!find_live(cli, &p))
        return CLI_USAGE;
    hash = find_version(cli, &p);
    if (hash == NULL ||
        cli_read(cli, history_path(cli, &p, text_of(cli, "%s.json", hash)), &text) != SP_OK ||
        sp_json_parse(text, NULL, &doc, &err) != SP_OK) {
        fprintf(stderr, "error: no such version: sallyport policy history tells which are kept\n");
        return CLI_WRONG;
    }
    live = cli_load_policy_files(cli, p.live, old);
    if (live != NULL) {
        before = sp_policy_hash(live);
        rc = keep_version(cli, &p, before, old);
    } else {
        rc = SP_OK; /* what is broken is not kept, and need not be */
        sp_problems_free(cli->problems);
        cli->problems = sp_problems_new();
    }
    if (rc == SP_OK)
        rc = write_files(cli, &p, sp_json_find(sp_json_root(doc), "files"));
    if (rc == SP_OK)
        back = cli_load_policy(cli, p.live);
    if (rc == SP_OK && (back == NULL || strcmp(sp_policy_hash(back), hash) != 0)) {
        cli_print_problems(cli);
        fprintf(stderr, "error: the files are back, but files in layers/ that came since make "
                        "another version of them\n");
        return CLI_WRONG;
    }
    if (rc == SP_OK)
        rc = tell(cli, &p, "policy.rolled-back", before, hash);
    return end(cli, &p, rc, "taken back", before, hash);
}

/* ---- a kept version, without touching what is live ---- */

struct kept {
    const struct sp_json *files;
    const char *folder; /* with a slash */
};

static enum sp_rc read_kept(void *ctx, const char *name, struct sp_bytes *out)
{
    const struct kept *k = ctx;
    size_t skip = strlen(k->folder);
    const struct sp_json *f;

    if (strncmp(name, k->folder, skip) != 0)
        return SP_E_NOT_FOUND;
    f = sp_json_find(k->files, name + skip);
    if (f == NULL || f->type != SP_JSON_TEXT)
        return SP_E_NOT_FOUND;
    *out = f->text;
    return SP_OK;
}

static bool next_kept(void *ctx, const char *dir, size_t *at, struct sp_bytes *name)
{
    const struct kept *k = ctx;
    const struct sp_json *f = k->files->first;
    struct sp_bytes below = sp_bytes_cstr(dir + strlen(k->folder));

    for (size_t i = 0; i < *at && f != NULL; i++)
        f = f->next;
    for (; f != NULL; f = f->next) {
        (*at)++;
        if (!sp_bytes_starts_nocase(f->key, below))
            continue;
        *name = sp_bytes((const uint8_t *)f->key.ptr, f->key.len);
        return true;
    }
    return false;
}

struct sp_policy *cli_load_version(struct cli *cli, const char *live, const char *hash)
{
    struct publish p = {.folder = cli_dirname(cli, live)};
    struct kept kept = {.folder = ""};
    struct sp_policy_reader reader = {read_kept, &kept, next_kept};
    struct sp_policy *policy = NULL;
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text;
    struct sp_err err;

    if (cli_read(cli, history_path(cli, &p, text_of(cli, "%s.json", hash)), &text) != SP_OK ||
        sp_json_parse(text, NULL, &doc, &err) != SP_OK)
        return NULL;
    kept.files = sp_json_find(sp_json_root(doc), "files");
    if (kept.files == NULL ||
        sp_policy_load(&reader, cli_basename(live), cli->problems, &policy) != SP_OK)
        return NULL;
    return policy;
}
