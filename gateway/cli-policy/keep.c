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
        return cli_usage("policy keep [-c sallyport.json]");
    if (!publish_find_live(cli, &p))
        return CLI_USAGE;
    live = cli_load_policy_files(cli, p.live, files);
    if (live == NULL) {
        cli_print_problems(cli);
        return CLI_USAGE;
    }
    rc = publish_keep(cli, &p, sp_policy_hash(live), files);
    if (rc != SP_OK) {
        fprintf(stderr, "error: %s: %s\n", p.folder, sp_rc_name(rc));
        return CLI_WRONG;
    }
    if (cli->json)
        printf("{\"kept\":\"%s\"}\n", sp_policy_hash(live));
    else
        printf("%s\n", sp_policy_hash(live));
    return CLI_OK;
}
