/*
 * sallyport policy status, promote and abort: the stages between a draft and the live policy. A draft in a stage lies in
 * staged.json beside the live file, as it was when it was tested; staging.json says how far it has come. The gateway
 * asks only that very version (lib/policy/stage.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/replace.h"
#include "gateway/cli-policy/publish.h"
#include "policy/stage.h"

static const char *beside(struct cli *cli, const struct publish *p, const char *name)
{
    return publish_text(cli, "%s/%s", p->folder, name);
}

enum sp_rc publish_stage(struct cli *cli, const struct publish *p, struct sp_bytes draft,
                         const struct publish_act *act)
{
    struct publish_act staged = *act;
    enum sp_rc rc = cli_write(beside(cli, p, SP_POLICY_STAGE_MAIN), draft);

    staged.file = SP_POLICY_STAGE_FILE;
    return rc == SP_OK ? publish_tell(cli, p, &staged) : rc;
}

/* What is staged. returns: its act (to free), or NULL */
static struct sp_json_doc *read_stage(struct cli *cli, const struct publish *p)
{
    struct sp_json_doc *doc = NULL;
    struct sp_bytes text;
    struct sp_err err;

    if (cli_read(cli, beside(cli, p, SP_POLICY_STAGE_FILE), &text) == SP_OK)
        (void)!sp_json_parse(text, NULL, &doc, &err);
    return doc;
}

/* The draft, if it still is what was staged. returns: to unref, or NULL with a word to the user */
static struct sp_policy *load_staged(struct cli *cli, const struct publish *p,
                                     const struct sp_json *act, struct cli_files *files)
{
    struct sp_policy *draft =
        cli_load_policy_files(cli, beside(cli, p, SP_POLICY_STAGE_MAIN), files);

    if (draft != NULL && sp_policy_stage_is_of(act, draft))
        return draft;
    (void)cli_print_problems(cli, CLI_WRONG);
    (void)cli_tell(
        cli, CLI_WRONG, "refused",
        "the files have changed since this draft was staged: the gateway does not ask it "
        "any more; publish it anew");
    sp_policy_unref(draft);
    return NULL;
}

static enum sp_rc end_stage(struct cli *cli, const struct publish *p)
{
    static const char *const names[] = {SP_POLICY_STAGE_FILE, SP_POLICY_STAGE_MAIN};

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++)
        if (unlink(beside(cli, p, names[i])) != 0 && errno != ENOENT)
            return SP_E_IO;
    sp_config_sync_beside(beside(cli, p, names[0])); /* a draft that has ended must not be back */
    return SP_OK;
}

/* ---- promote ---- */

static int make_live(struct cli *cli, const struct publish *p, const struct cli_files *draft,
                     struct publish_act *act)
{
    enum sp_rc rc;

    act->event = "policy.published";
    act->file = PUBLISHED_FILE;
    rc = publish_make_live(cli, p, draft->items[0].text, act);
    if (rc == SP_OK)
        rc = end_stage(cli, p);
    return publish_end(cli, p, rc, "published", act);
}

static int promote(struct cli *cli, struct publish *p, const struct sp_json *staged)
{
    struct cli_files *new = sp_arena_alloc(cli->arena, sizeof(*new));
    struct cli_files *old = sp_arena_alloc(cli->arena, sizeof(*old));
    SP_AUTO(sp_policy) draft = NULL;
    SP_AUTO(sp_policy) live = NULL;
    struct publish_act act = {.event = "policy.staged", .before = ""};
    int code;

    memset(new, 0, sizeof(*new));
    memset(old, 0, sizeof(*old));
    draft = load_staged(cli, p, staged, new);
    if (draft == NULL)
        return CLI_WRONG;
    p->passed = (size_t)sp_json_int_of(staged, "tests", 0);
    act.after = sp_policy_hash(draft);
    act.rules = sp_policy_rules_hash(draft);
    live = cli_load_policy_files(cli, p->live, old);
    if (live != NULL) {
        act.before = sp_policy_hash(live);
        if (publish_keep(cli, p, act.before, old) != SP_OK)
            return publish_end(cli, p, SP_E_IO, "kept", &act);
    }
    if (p->second_person && !p->shadow && !publish_is_approved(cli, p, act.after, &code))
        return code;
    if (p->percent == 100)
        return make_live(cli, p, new, &act);
    return publish_end(cli, p, publish_stage(cli, p, new->items[0].text, &act), "staged", &act);
}

int cli_policy_promote(struct cli *cli)
{
    struct publish p = {0};
    SP_AUTO(sp_json_doc) doc = NULL;

    if (!publish_options(cli, &p, PUBLISH_REASON | PUBLISH_STAGE | PUBLISH_APPROVER))
        return CLI_USAGE;
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    if (!cli_lock(cli, p.live))
        return CLI_WRONG;
    doc = read_stage(cli, &p);
    if (doc == NULL)
        return cli_tell(cli, CLI_WRONG, "not-found",
                        "nothing is staged: sallyport policy publish DRAFT --stage shadow");
    return promote(cli, &p, sp_json_root(doc));
}

/* ---- abort ---- */

int cli_policy_abort(struct cli *cli)
{
    struct publish p = {0};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct publish_act act = {.event = "policy.unstaged"};
    enum sp_rc rc;

    if (!publish_options(cli, &p, PUBLISH_REASON))
        return CLI_USAGE;
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    if (!cli_lock(cli, p.live))
        return CLI_WRONG;
    doc = read_stage(cli, &p);
    if (doc == NULL)
        return cli_tell(cli, CLI_WRONG, "not-found", "nothing is staged");
    act.before = sp_arena_cstr(cli->arena, sp_json_text_of(sp_json_root(doc), "before"));
    act.after = sp_arena_cstr(cli->arena, sp_json_text_of(sp_json_root(doc), "after"));
    rc = publish_tell(cli, &p, &act);
    if (rc == SP_OK)
        rc = end_stage(cli, &p);
    if (rc == SP_OK && !cli->json) {
        printf("the stage of %.16s has ended; the gateway leaves it when it reloads (SIGHUP)\n",
               act.after);
        return CLI_OK;
    }
    return publish_end(cli, &p, rc, "aborted", &act);
}

/* ---- status ---- */

static void put_act(struct sp_jw *w, const char *key, const struct sp_json *act)
{
    struct sp_buf text;

    sp_buf_init(&text, 65536);
    if (act != NULL && sp_json_canonical(act, &text) == SP_OK)
        sp_jw_raw(w, key, sp_buf_bytes(&text));
    else
        sp_jw_null(w, key);
    sp_buf_clear(&text);
}

static void print_act(const struct sp_json *act)
{
    struct sp_bytes approver = sp_json_text_of(act, "approver");
    struct sp_bytes second = sp_bytes_slice(sp_json_text_of(act, "time"), 0, 19);

    printf(" since %.*sZ by %.*s%s%.*s, %lld tests: %.*s\n", SP_FMT(second),
           SP_FMT(sp_json_text_of(act, "who")), approver.len > 0 ? ", approved by " : "",
           SP_FMT(approver), (long long)sp_json_int_of(act, "tests", 0),
           SP_FMT(sp_json_text_of(act, "reason")));
}

static void print_status(const char *hash, const struct sp_json *published,
                         const struct sp_json *staged, bool asked)
{
    printf("live    %.16s", hash);
    if (published != NULL)
        print_act(published);
    else
        printf("  not published: the files as they lie there\n");
    if (staged == NULL) {
        printf("staged  nothing\n");
        return;
    }
    printf("staged  %.16s  ", (const char *)sp_json_text_of(staged, "after").ptr);
    if (sp_json_int_of(staged, "percent", 0) == 0)
        printf("in shadow");
    else
        printf("for %lld%% of the mail", (long long)sp_json_int_of(staged, "percent", 0));
    print_act(staged);
    if (!asked)
        printf("        not asked: its files have changed since\n");
}

int cli_policy_status(struct cli *cli)
{
    struct publish p = {0};
    struct cli_files *files = sp_arena_alloc(cli->arena, sizeof(*files));
    SP_AUTO(sp_json_doc) staged = NULL;
    SP_AUTO(sp_json_doc) told = NULL;
    SP_AUTO(sp_policy) live = NULL;
    SP_AUTO(sp_policy) draft = NULL;
    const struct sp_json *published = NULL, *stage = NULL;
    struct sp_bytes text;
    struct sp_err err;

    memset(files, 0, sizeof(*files));
    if (!publish_options(cli, &p, 0))
        return CLI_USAGE;
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    live = cli_load_policy(cli, p.live);
    if (live == NULL)
        return cli_print_problems(cli, CLI_WRONG);
    if (cli_read(cli, beside(cli, &p, PUBLISHED_FILE), &text) == SP_OK &&
        sp_json_parse(text, NULL, &told, &err) == SP_OK &&
        sp_policy_stage_is_of(sp_json_root(told), live))
        published = sp_json_root(told);
    staged = read_stage(cli, &p);
    if (staged != NULL) {
        stage = sp_json_root(staged);
        draft = load_staged(cli, &p, stage, files);
    }
    if (cli->json) {
        struct sp_buf out;
        struct sp_jw w;

        sp_buf_init(&out, 262144);
        sp_jw_init(&w, &out);
        sp_jw_object(&w, NULL);
        sp_jw_cstr(&w, "live", sp_policy_hash(live));
        put_act(&w, "published", published);
        put_act(&w, "staged", stage);
        sp_jw_bool(&w, "asked", draft != NULL);
        sp_jw_bool(&w, "second_person", p.second_person);
        sp_jw_end(&w);
        cli_print(&out);
        sp_buf_clear(&out);
    } else {
        print_status(sp_policy_hash(live), published, stage, draft != NULL);
    }
    return stage != NULL && draft == NULL ? CLI_WRONG : CLI_OK;
}
