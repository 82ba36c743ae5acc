/*
 * sallyport policy publish. A draft lies beside the live policy. To be published it must load, its tests must pass, and
 * somebody must say why; where the settings ask for a second person, another user must have approved it over the control
 * socket (approve.c). Then the whole version is kept, and the draft takes the live file's place, or stands beside it in
 * a stage (stage.c).
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
    return publish_text(cli, "%.*s.test.json", SP_FMT(name));
}

/* Tests that were copied with the draft still name the policy that they were copied from, and would pass whatever the draft says. */
static bool speaks_of(struct cli *cli, const char *tests, const char *draft)
{
    const struct sp_json_options options = {.comments = true, .file = tests};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text, name;
    struct sp_err err;
    struct stat a, b;

    if (cli_read(cli, tests, &text) != SP_OK || sp_json_parse(text, &options, &doc, &err) != SP_OK)
        return true; /* running them tells what is wrong */
    name = sp_json_text_of(sp_json_root(doc), "policy");
    if (name.len == 0 ||
        (stat(cli_join(cli, cli_dirname(cli, tests), sp_arena_cstr(cli->arena, name)), &a) == 0 &&
         stat(draft, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino))
        return true;
    (void)cli_tell(cli, CLI_WRONG, "refused",
                   "%s tests %.*s and not the draft: it must say \"policy\": \"%s\"", tests,
                   SP_FMT(name), cli_basename(draft));
    return false;
}

/* returns: CLI_OK, CLI_WRONG after saying why it can't be published */
static int checks(struct cli *cli, struct publish *p)
{
    const char *tests = tests_of(cli, p->word);

    if (!lies_beside(cli, p))
        return cli_tell(cli, CLI_WRONG, "refused",
                        "%s must lie in %s, beside the lists and texts that it names", p->word,
                        p->folder);
    if (p->approver != NULL && p->second_person)
        return cli_tell(cli, CLI_WRONG, "refused",
                        "publishing.second_person: who approves says so himself, by sallyport "
                        "policy approve");
    if (p->approver != NULL && strstr(p->who, p->approver) != NULL)
        return cli_tell(cli, CLI_WRONG, "refused",
                        "the second person can't be the one who publishes (%s)", p->who);
    if (access(tests, R_OK) != 0)
        return cli_tell(cli, CLI_WRONG, "refused",
                        "a draft is published with its tests: %s is not there", tests);
    return speaks_of(cli, tests, p->word) && cli_run_tests(cli, tests, &p->passed) ? CLI_OK
                                                                                   : CLI_WRONG;
}

/* Puts the draft where its stage says. */
static int carry_out(struct cli *cli, struct publish *p, struct sp_bytes draft,
                     struct publish_act *act)
{
    enum sp_rc rc;

    if (p->percent < 100) {
        act->event = "policy.staged";
        return publish_end(cli, p, publish_stage(cli, p, draft, act), "staged", act);
    }
    act->event = "policy.published";
    act->file = PUBLISHED_FILE;
    rc = publish_make_live(cli, p, draft, act);
    return publish_end(cli, p, rc, "published", act);
}

/* The draft is loaded and tested: what is live is kept, then it goes where it shall. */
static int publish_draft(struct cli *cli, struct publish *p, const struct sp_policy *draft,
                         const struct cli_files *new)
{
    struct cli_files *old = sp_arena_alloc(cli->arena, sizeof(*old));
    SP_AUTO(sp_policy) live = NULL;
    struct publish_act act = {
        .before = "", .after = sp_policy_hash(draft), .rules = sp_policy_rules_hash(draft)};
    enum sp_rc rc = SP_OK;
    int code = CLI_OK;

    memset(old, 0, sizeof(*old));
    live = cli_load_policy_files(cli, p->live, old);
    if (live != NULL)
        act.before = sp_policy_hash(live);
    if (strcmp(act.before, act.after) == 0) {
        if (cli->json)
            printf("{\"done\":\"nothing\",\"before\":\"%s\",\"after\":\"%s\"}\n", act.before,
                   act.after);
        else
            printf("the draft is what is live already\n");
        return CLI_OK;
    }
    if (live != NULL && (!cli->json || p->dry_run)) /* else the act is the one object */
        cli_print_diff(cli, live, draft);
    if (p->dry_run)
        return CLI_OK;
    if (live != NULL)
        rc = publish_keep(cli, p, act.before, old);
    if (rc == SP_OK)
        rc = publish_keep(cli, p, act.after, new);
    if (rc != SP_OK)
        return publish_end(cli, p, rc, "kept", &act);
    if (p->second_person && !p->shadow && !publish_is_approved(cli, p, act.after, &code))
        return code;
    return carry_out(cli, p, new->items[0].text, &act);
}

int cli_policy_publish(struct cli *cli)
{
    struct publish p = {0};
    struct cli_files *new = sp_arena_alloc(cli->arena, sizeof(*new));
    SP_AUTO(sp_policy) draft = NULL;

    memset(new, 0, sizeof(*new));
    if (!publish_options(cli, &p,
                         PUBLISH_WORD | PUBLISH_REASON | PUBLISH_STAGE | PUBLISH_APPROVER |
                             PUBLISH_DRY_RUN))
        return CLI_USAGE;
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    if (!p.dry_run && !cli_lock(cli, p.live))
        return CLI_WRONG;
    draft = cli_load_policy_files(cli, p.word, new);
    (void)cli_print_problems(cli,
                             CLI_WRONG); /* what is worth a look is told of one that is good, too */
    if (draft == NULL)
        return CLI_WRONG;
    cli_drop_problems(cli);
    return checks(cli, &p) == CLI_OK ? publish_draft(cli, &p, draft, new) : CLI_WRONG;
}
