/*
 * sallyport policy history and rollback: what was published, and a version that is kept taken back as it was.
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

#include "gateway/cli-policy/publish.h"
#include "json/json.h"

/* ---- history ---- */

/* What an act of the log was, in a word or two. */
static const char *word_of(struct cli *cli, const struct sp_json *act)
{
    struct sp_bytes event = sp_json_text_of(act, "event");

    if (sp_bytes_eq(event, SP_LIT("policy.published")))
        return "published";
    if (sp_bytes_eq(event, SP_LIT("policy.unstaged")))
        return "stage ended";
    if (!sp_bytes_eq(event, SP_LIT("policy.staged")))
        return "taken back";
    if (sp_bytes_eq(sp_json_text_of(act, "mode"), SP_LIT("shadow")))
        return "in shadow";
    return publish_text(cli, "for %d%%", (int)sp_json_int_of(act, "percent", 0));
}

int cli_policy_history(struct cli *cli)
{
    struct publish p = {0};
    struct sp_bytes log = {NULL, 0}, line;

    if (!publish_options(cli, &p, false, false))
        return cli_usage("policy history [-c sallyport.json] [--json]");
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    if (cli_read(cli, publish_history_path(cli, &p, "log.jsonl"), &log) != SP_OK && !cli->json)
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

            printf("%.19s  %.16s  %-12s  by %.*s%s%.*s, %lld tests: %.*s\n",
                   (const char *)sp_json_text_of(r, "time").ptr,
                   (const char *)sp_json_text_of(r, "after").ptr, word_of(cli, r),
                   SP_FMT(sp_json_text_of(r, "who")), approver.len > 0 ? ", approved by " : "",
                   SP_FMT(approver), (long long)sp_json_int_of(r, "tests", 0),
                   SP_FMT(sp_json_text_of(r, "reason")));
        }
    }
    return CLI_OK;
}

/* ---- rollback ---- */

static bool is_about_stage(const struct sp_json *act)
{
    struct sp_bytes event = sp_json_text_of(act, "event");

    return sp_bytes_eq(event, SP_LIT("policy.staged")) ||
           sp_bytes_eq(event, SP_LIT("policy.unstaged"));
}

/* The one version in the log whose hash begins so. returns: its whole hash, or NULL */
static const char *publish_find_version(struct cli *cli, const struct publish *p)
{
    struct sp_bytes log = {NULL, 0}, line, wanted = sp_bytes_cstr(p->word);
    const char *found = NULL;

    if (wanted.len < 6 || cli_read(cli, publish_history_path(cli, p, "log.jsonl"), &log) != SP_OK)
        return NULL;
    while (sp_bytes_split(&log, '\n', &line)) {
        static const char *const keys[] = {"before", "after"};
        SP_AUTO(sp_json_doc) doc = NULL;
        struct sp_err err;

        if (line.len == 0 || sp_json_parse(line, NULL, &doc, &err) != SP_OK ||
            is_about_stage(sp_json_root(doc))) /* what never was live can't be taken back */
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
        const char *path = publish_text(cli, "%s/%.*s", p->folder, SP_FMT(f->key));
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
    struct publish_act act;
    struct sp_err err;
    enum sp_rc rc;

    if (!publish_options(cli, &p, true, true))
        return cli_usage("policy rollback VERSION --reason TEXT [--approved-by NAME] "
                         "[-c sallyport.json]");
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    hash = publish_find_version(cli, &p);
    if (hash == NULL ||
        cli_read(cli, publish_history_path(cli, &p, publish_text(cli, "%s.json", hash)), &text) !=
            SP_OK ||
        sp_json_parse(text, NULL, &doc, &err) != SP_OK) {
        fprintf(stderr, "error: no such version: sallyport policy history tells which are kept\n");
        return CLI_WRONG;
    }
    live = cli_load_policy_files(cli, p.live, old);
    if (live != NULL) {
        before = sp_policy_hash(live);
        rc = publish_keep(cli, &p, before, old);
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
    act = (struct publish_act){"policy.rolled-back", PUBLISHED_FILE, before, hash};
    if (rc == SP_OK)
        rc = publish_tell(cli, &p, &act);
    return publish_end(cli, &p, rc, "taken back", &act);
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

    if (cli_read(cli, publish_history_path(cli, &p, publish_text(cli, "%s.json", hash)), &text) !=
            SP_OK ||
        sp_json_parse(text, NULL, &doc, &err) != SP_OK)
        return NULL;
    kept.files = sp_json_find(sp_json_root(doc), "files");
    if (kept.files == NULL ||
        sp_policy_load(&reader, cli_basename(live), cli->problems, &policy) != SP_OK)
        return NULL;
    return policy;
}
