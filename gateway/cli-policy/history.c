/*
 * sallyport policy history: what was published; and loading a version that is kept without touching what is live.
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

#include "config/replace.h"
#include "gateway/cli-policy/publish.h"
#include "json/json.h"

#define CANONICAL_MAX ((size_t)64 << 20)

/* ---- history ---- */

/* What an act of the log was, in a word or two. */
static const char *word_of(struct cli *cli, const struct sp_json *act)
{
    struct sp_bytes event = sp_json_text_of(act, "event");

    if (sp_bytes_eq(event, SP_LIT("policy.published")))
        return "published";
    if (sp_bytes_eq(event, SP_LIT("policy.unstaged")))
        return "stage ended";
    if (sp_bytes_eq(event, SP_LIT("policy.failed")))
        return "failed: not changed";
    if (!sp_bytes_eq(event, SP_LIT("policy.staged")))
        return "taken back";
    if (sp_bytes_eq(sp_json_text_of(act, "mode"), SP_LIT("shadow")))
        return "in shadow";
    return publish_text(cli, "for %d%%", (int)sp_json_int_of(act, "percent", 0));
}

/* Of a version taken back beside which something stayed: whose rules it has. */
static const char *whose_rules(struct cli *cli, const struct sp_json *act)
{
    struct sp_bytes restored = sp_json_text_of(act, "restored");

    if (restored.len == 0 || sp_bytes_eq(restored, sp_json_text_of(act, "after")))
        return "";
    return publish_text(cli, " (the rules of %.16s)", (const char *)restored.ptr);
}

int cli_policy_history(struct cli *cli)
{
    struct publish p = {0};
    struct sp_bytes log = {NULL, 0}, line;

    if (!publish_options(cli, &p, 0))
        return CLI_USAGE;
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

            printf("%.19s  %.16s  %-12s%s  by %.*s%s%.*s, %lld tests: %.*s\n",
                   (const char *)sp_json_text_of(r, "time").ptr,
                   (const char *)sp_json_text_of(r, "after").ptr, word_of(cli, r),
                   whose_rules(cli, r), SP_FMT(sp_json_text_of(r, "who")),
                   approver.len > 0 ? ", approved by " : "", SP_FMT(approver),
                   (long long)sp_json_int_of(r, "tests", 0), SP_FMT(sp_json_text_of(r, "reason")));
        }
    }
    return CLI_OK;
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

static struct sp_policy *load_kept(const struct cli_version *v, const struct sp_json *files)
{
    struct kept kept = {.files = files, .folder = ""};
    struct sp_policy_reader reader = {read_kept, &kept, next_kept};
    struct sp_policy *policy = NULL;

    if (files == NULL || sp_policy_load_past(&reader, cli_basename(v->live), v->language,
                                             v->problems, &policy) != SP_OK)
        return NULL;
    return policy;
}

struct sp_policy *cli_load_version(struct cli *cli, const struct cli_version *v)
{
    struct publish p = {.folder = cli_dirname(cli, v->live)};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text;
    struct sp_err err;

    if (cli_read(cli, publish_history_path(cli, &p, publish_text(cli, "%s.json", v->hash)),
                 &text) != SP_OK ||
        sp_json_parse(text, NULL, &doc, &err) != SP_OK)
        return NULL;
    return load_kept(v, sp_json_find(sp_json_root(doc), "files"));
}

/* ---- a version as the books have it: made into files again ---- */

struct remade {
    struct cli *cli;
    const char *live;
    const struct sp_json *version;
    struct sp_json_doc *files;
};

static void put_file(struct remade *r, struct sp_bytes name, struct sp_bytes text)
{
    sp_json_set_text(r->files, sp_json_root(r->files), sp_arena_cstr(r->cli->arena, name), text);
}

static void put_document(struct remade *r, struct sp_bytes name, const struct sp_json *value)
{
    struct sp_buf text;

    sp_buf_init(&text, CANONICAL_MAX);
    if (sp_json_canonical(value, &text) == SP_OK)
        put_file(r, name, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

/* A layer's file has the name by which the next one extends it; the nearest is the policy itself. */
static void put_layer(struct remade *r, const struct sp_json *layer)
{
    const char *next = publish_text(r->cli, "layer%c", layer->key.ptr[5] + 1);
    struct sp_bytes name = sp_json_text_of(sp_json_find(r->version, next), "extends");

    if (sp_json_find(r->version, next) == NULL)
        put_document(r, sp_bytes_cstr(cli_basename(r->live)), layer);
    else
        put_document(r, sp_bytes_cstr(publish_text(r->cli, "%.*s.json", SP_FMT(name))), layer);
}

static void put_member(struct remade *r, const struct sp_json *m)
{
    const struct sp_bytes file = SP_LIT("file:"), scope = SP_LIT("scope:");

    if (sp_bytes_starts_nocase(m->key, file) && m->type == SP_JSON_TEXT)
        put_file(r, sp_bytes_slice(m->key, file.len, m->key.len), m->text);
    else if (sp_bytes_starts_nocase(m->key, scope))
        put_document(r, sp_bytes_slice(m->key, scope.len, m->key.len), m);
    else if (sp_bytes_eq(m->key, SP_LIT("partners")))
        put_document(r, SP_LIT("partners.json"), m);
    else if (sp_bytes_starts_nocase(m->key, SP_LIT("layer")) && m->key.len == 6)
        put_layer(r, m);
}

struct sp_policy *cli_load_canonical(struct cli *cli, const struct cli_version *v,
                                     struct sp_bytes text)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    SP_AUTO(sp_json_doc) files = sp_json_doc_new();
    struct remade r = {.cli = cli, .live = v->live, .files = files};
    struct sp_err err;

    if (sp_json_parse(text, NULL, &doc, &err) != SP_OK)
        return NULL;
    r.version = sp_json_root(doc);
    for (const struct sp_json *m = r.version->first; m != NULL; m = m->next)
        put_member(&r, m);
    return load_kept(v, sp_json_root(files));
}
