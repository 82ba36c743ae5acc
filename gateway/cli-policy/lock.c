/*
 * One change of a policy's files at a time: each reads what is there, adds to it and writes it anew, so that of two at once one would
 * be lost, and the history or the audit would tell of both. The lock is the folder's own, and goes with the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "gateway/cli-policy/cli.h"

#define TRIES    100 /* a change that asks the gateway takes a second or two */
#define PAUSE_NS 100000000

bool cli_lock(struct cli *cli, const char *folder)
{
    const struct timespec pause = {0, PAUSE_NS};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        (void)cli_tell(cli, CLI_WRONG, "input", "%s: can't be read: %s", folder,
                       strerrordesc_np(errno));
        return false;
    }
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK) {
            (void)cli_tell(cli, CLI_WRONG, "input", "%s: can't be locked: %s", folder,
                           strerrordesc_np(errno));
            return false;
        }
        if (i == TRIES) {
            (void)cli_tell(cli, CLI_WRONG, "exists",
                           "somebody else is changing the policy in %s: repeat in a moment",
                           folder);
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true; /* the descriptor stays open */
}
