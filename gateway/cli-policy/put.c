/*
 * Files of a policy that one act changes. What commonly fails (room, rights, the owner) fails while they are written beside their places;
 * then the act is told, in the log and beside the policy; then they are put in place, the first of them last, since the rules stand in
 * it. If that fails for one, those before it are made as they were, and that the act failed is told, too.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/replace.h"
#include "gateway/cli-policy/publish.h"

struct place {
    const struct publish_file *file;
    struct sp_config_draft draft;
    struct sp_bytes was;
    bool was_here;
};

int cli_tell_link(const struct cli *cli, const char *path)
{
    return cli_tell(cli, CLI_WRONG, "refused",
                    "%s: can't be written: it is a symbolic link, and what it points at may be "
                    "another's; put the file itself there; nothing was changed",
                    path);
}

static enum sp_rc write_beside(struct cli *cli, struct place *at)
{
    const struct publish_file *f = at->file;
    enum sp_rc rc = cli_read(cli, f->path, &at->was);

    at->was_here = rc == SP_OK;
    if (rc != SP_OK && rc != SP_E_NOT_FOUND)
        return rc;
    if (mkdir(cli_dirname(cli, f->path), 0755) != 0 && errno != EEXIST)
        return SP_E_IO;
    if (sp_config_is_link(f->path))
        (void)cli_tell_link(cli, f->path);
    return sp_config_draft_write(&at->draft, f->path, f->text, f->mode);
}

static void drop(struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sp_config_draft_drop(&places[i].draft);
}

static void make_as_it_was(const struct place *at)
{
    if (at->was_here)
        (void)!sp_config_replace(at->file->path, at->was, at->file->mode);
    else
        (void)unlink(at->file->path);
}

static enum sp_rc put_all(struct place *places, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        enum sp_rc rc = sp_config_draft_put(&places[i - 1].draft);

        if (rc == SP_OK)
            continue;
        drop(places, i - 1);
        for (; i < count; i++)
            make_as_it_was(&places[i]);
        return rc;
    }
    return SP_OK;
}

enum sp_rc publish_put(struct cli *cli, const struct publish *p, const struct publish_file *files,
                       size_t count, const struct publish_act *act)
{
    const struct publish_act failed = {
        .event = "policy.failed", .before = act->before, .after = act->before};
    struct place *places = sp_arena_alloc(cli->arena, count * sizeof(*places));
    enum sp_rc rc = SP_OK;

    memset(places, 0, count * sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        places[i].file = &files[i];
        rc = write_beside(cli, &places[i]);
        if (rc != SP_OK) {
            drop(places, i);
            return rc;
        }
    }
    rc = publish_tell(cli, p, act);
    if (rc == SP_OK)
        rc = put_all(places, count);
    else
        drop(places, count); /* the log may have it, and its own file not */
    if (rc != SP_OK)
        (void)!publish_tell(cli, p, &failed);
    return rc;
}

enum sp_rc publish_make_live(struct cli *cli, const struct publish *p, struct sp_bytes draft,
                             const struct publish_act *act)
{
    return publish_put(cli, p, &(struct publish_file){p->live, draft, 0644}, 1, act);
}
