/*
 * sallyport policy keep: the version that lies there now, whole and under its hash, in .history/: for who is about to change
 * one of its files otherwise than by publishing, as `sallyport directory` does, so that decisions by it can be replayed.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/cli-policy/publish.h"

int cli_policy_keep(struct cli *cli)
{
    struct cli_files *files = sp_arena_alloc(cli->arena, sizeof(*files));
    SP_AUTO(sp_policy) live = NULL;
    struct publish p = {0};
    enum sp_rc rc;

    memset(files, 0, sizeof(*files));
    if (!publish_options(cli, &p, 0))
        return CLI_USAGE;
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    live = cli_load_policy_files(cli, p.live, files);
    if (live == NULL)
        return cli_print_problems(cli, CLI_USAGE);
    rc = publish_keep(cli, &p, sp_policy_hash(live), files);
    if (rc != SP_OK)
        return cli_tell(cli, CLI_WRONG, sp_rc_name(rc), "%s: %s", p.folder, sp_rc_name(rc));
    if (cli->json)
        printf("{\"kept\":\"%s\"}\n", sp_policy_hash(live));
    else
        printf("%s\n", sp_policy_hash(live));
    return CLI_OK;
}
