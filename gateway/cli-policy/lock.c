/*
 * One change of a policy's files at a time: each reads what is there, adds to it and writes it anew, so that of two at once one would
 * be lost, and the history or the audit would tell of both. The lock goes with the process.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "config/lock.h"
#include "gateway/cli-policy/cli.h"

#define TRIES    100 /* a change that asks the gateway takes a second or two */
#define PAUSE_NS 100000000

bool cli_lock(struct cli *cli, const char *live)
{
    const struct timespec pause = {0, PAUSE_NS};
    const char *folder = cli_dirname(cli, live);
    int fd; /* stays open */
    enum sp_rc rc = sp_config_lock(folder, "lock", live, &fd);

    for (int i = 0; rc == SP_E_EXISTS && i < TRIES; i++) {
        (void)nanosleep(&pause, NULL);
        rc = sp_config_lock(folder, "lock", live, &fd);
    }
    if (rc == SP_E_EXISTS)
        (void)cli_tell(cli, CLI_WRONG, "exists",
                       "somebody else is changing the policy in %s: repeat in a moment", folder);
    else if (rc != SP_OK)
        (void)cli_tell(cli, CLI_WRONG, "input",
                       "%s/" SP_CONFIG_HISTORY "/lock: can't be locked: %s", folder,
                       strerrordesc_np(errno));
    return rc == SP_OK;
}
