/*
 * sallyport policy rollback: a version that is kept comes back. What comes back is what publishing governs: the rules, the
 * lists and texts that they name, the layers. What was recorded meanwhile stays as it is: the registry of preferences (who took
 * back "plain" has taken it back), the pinned partners, the members of lists that a directory keeps; and a set that came
 * with the program is no file of this house. So the version that then is live may be a new one, with the rules of the old.
 * Whether it loads is known before the first file is written, and it is told before the first is in its place (put.c).
 */
#include <stdio.h>
#include <string.h>

#include "config/partners.h"
#include "gateway/cli-policy/publish.h"
#include "json/json.h"

/* ---- which version ---- */

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

/* ---- what comes back, and what stays ---- */

struct back {
    struct cli *cli;
    const struct publish *p;
    const struct sp_json *files; /* of the kept version: name to text */
    const struct sp_json
        *shipped; /* the names of those that came with the program; NULL: not told then */
    struct cli_files *restore;       /* by path */
    const char *left[CLI_FILES_MAX]; /* names of files that are otherwise now, and stay so */
    size_t left_count;
};

/* Whether a document of the kept version names this file as its registry of preferences or as a list of partners. */
static bool is_named_as_record(const struct sp_json *doc, struct sp_bytes name)
{
    const struct sp_json *lists = sp_json_find(doc, "lists");

    if (sp_bytes_eq(sp_json_text_of(sp_json_find(doc, "preferences"), "file"), name))
        return true;
    if (lists == NULL || lists->type != SP_JSON_OBJECT)
        return false;
    for (const struct sp_json *l = lists->first; l != NULL; l = l->next)
        if (sp_bytes_eq(sp_json_text_of(l, "kind"), SP_LIT("partners")) &&
            sp_bytes_eq(sp_json_text_of(l, "file"), name))
            return true;
    return false;
}

/* What is kept about people and partners: nobody drafts or publishes it. */
static bool is_record(const struct back *b, struct sp_bytes name)
{
    struct sp_json_options options = {.comments = true};

    if (sp_bytes_eq(name, SP_LIT("partners.json")))
        return true;
    for (const struct sp_json *f = b->files->first; f != NULL; f = f->next) {
        SP_AUTO(sp_json_doc) doc = NULL;
        struct sp_err err;

        if (f->type == SP_JSON_TEXT && sp_bytes_ends_nocase(f->key, SP_LIT(".json")) &&
            sp_json_parse(f->text, &options, &doc, &err) == SP_OK &&
            is_named_as_record(sp_json_root(doc), name))
            return true;
    }
    return false;
}

/* Versions that were kept before this was told apart: what lies in the program's folder and not in the house's. */
static bool is_shipped(const struct back *b, struct sp_bytes name, bool is_here)
{
    if (b->shipped == NULL)
        return !is_here && cli_is_shipped(b->cli, sp_arena_cstr(b->cli->arena, name));
    return sp_json_find(b->shipped, sp_arena_cstr(b->cli->arena, name)) != NULL;
}

static enum sp_rc sort_out(struct back *b)
{
    for (const struct sp_json *f = b->files->first; f != NULL; f = f->next) {
        const char *path = publish_text(b->cli, "%s/%.*s", b->p->folder, SP_FMT(f->key));
        struct sp_bytes now = {NULL, 0};
        bool is_here, stays;

        if (f->type != SP_JSON_TEXT || !is_inside(f->key) || b->left_count == CLI_FILES_MAX ||
            b->restore->count == CLI_FILES_MAX)
            return SP_E_MALFORMED;
        is_here = cli_read(b->cli, path, &now) == SP_OK;
        if (is_here && sp_bytes_eq(now, f->text))
            continue;
        stays = is_record(b, f->key) || is_shipped(b, f->key, is_here) ||
                (is_here && sp_policy_list_is_kept(now) && sp_policy_list_is_kept(f->text));
        if (!stays)
            b->restore->items[b->restore->count++] =
                (struct cli_file){.name = path, .text = f->text};
        else if (is_here)
            b->left[b->left_count++] = sp_arena_cstr(b->cli->arena, f->key);
    }
    return SP_OK;
}

/* Layers that came since would make rules that never were. returns: the first one's path, or NULL */
static const char *came_since(const struct back *b, const struct cli_files *read)
{
    size_t skip = strlen(b->p->folder) + 1;

    for (size_t i = 0; i < read->count; i++)
        if (strncmp(read->items[i].name + skip, "layers/", 7) == 0 &&
            sp_json_find(b->files, read->items[i].name + skip) == NULL)
            return read->items[i].name + skip;
    return NULL;
}

/* Files are told before they are in place. */
static enum sp_rc write_back(const struct back *b, const struct publish_act *act)
{
    size_t count = b->restore->count;
    struct publish_file *files = sp_arena_alloc(b->cli->arena, (count + 1) * sizeof(*files));

    for (size_t i = 0; i < count; i++) /* the main file was read first */
        files[i] =
            (struct publish_file){b->restore->items[i].name, b->restore->items[i].text, 0640};
    return publish_put(b->cli, b->p, files, count, act);
}

/* ---- the command ---- */

static int nothing_changed(struct cli *cli, const char *why)
{
    (void)cli_print_problems(cli, CLI_WRONG);
    return cli_tell(cli, CLI_WRONG, "refused", "%s; nothing was changed", why);
}

static void tell_left(const struct back *b)
{
    if (b->cli->json)
        return;
    for (size_t i = 0; i < b->left_count; i++)
        printf("%s stays as it is now\n", b->left[i]);
}

/* The version that was asked for is read: what is live is kept, the files are written, and the act is told. */
static int carry_back(struct cli *cli, struct back *b, struct publish_act *act)
{
    struct cli_files *old = cli_files_new(cli);
    struct cli_files *new = cli_files_new(cli);
    SP_AUTO(sp_policy) live = cli_load_policy_files(cli, b->p->live, old);
    SP_AUTO(sp_policy) back = NULL;
    enum sp_rc rc = SP_OK;

    cli_drop_problems(cli); /* what is broken is not kept, and need not be */
    act->before = live == NULL ? "" : sp_policy_hash(live);
    cli->instead = b->restore;
    back = cli_load_policy_files(cli, b->p->live, new);
    cli->instead = NULL;
    if (back == NULL)
        return nothing_changed(cli, "that version does not load with what lies here now");
    if (came_since(b, new) != NULL)
        return nothing_changed(
            cli, publish_text(cli, "%s came since: take it away first", came_since(b, new)));
    act->after = sp_policy_hash(back);
    act->rules = sp_policy_rules_hash(back);
    tell_left(b);
    if (strcmp(act->before, act->after) == 0)
        return publish_end(cli, b->p, SP_OK, "nothing", act);
    if (live != NULL)
        rc = publish_keep(cli, b->p, act->before, old);
    if (rc == SP_OK)
        rc = publish_keep(cli, b->p, act->after, new);
    if (rc == SP_OK)
        rc = write_back(b, act);
    return publish_end(cli, b->p, rc, "taken back", act);
}

int cli_policy_rollback(struct cli *cli)
{
    struct publish p = {0};
    struct back *b = sp_arena_alloc(cli->arena, sizeof(*b));
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text = {NULL, 0};
    struct publish_act act = {.event = "policy.rolled-back", .file = PUBLISHED_FILE};
    struct sp_err err;

    if (!publish_options(cli, &p, PUBLISH_WORD | PUBLISH_REASON | PUBLISH_APPROVER))
        return CLI_USAGE;
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    if (!cli_lock(cli, p.live))
        return CLI_WRONG;
    act.restored = publish_find_version(cli, &p);
    if (act.restored == NULL ||
        cli_read(cli, publish_history_path(cli, &p, publish_text(cli, "%s.json", act.restored)),
                 &text) != SP_OK ||
        sp_json_parse(text, NULL, &doc, &err) != SP_OK)
        return cli_tell(cli, CLI_WRONG, "not-found",
                        "no such version: sallyport policy history tells which are kept");
    *b = (struct back){.cli = cli,
                       .p = &p,
                       .files = sp_json_find(sp_json_root(doc), "files"),
                       .shipped = sp_json_find(sp_json_root(doc), "shipped"),
                       .restore = cli_files_new(cli)};
    act.left = b->left;
    if (b->files == NULL || sort_out(b) != SP_OK)
        return nothing_changed(cli, "what was kept of that version can't be read");
    act.left_count = b->left_count;
    return carry_back(cli, b, &act);
}
