/*
 * Starting and ending processes of ours: the supervisor's side. thread: loop
 */
#ifndef SP_ROLE_PROCESS_H
#define SP_ROLE_PROCESS_H

#include "base/err.h"

#include <sys/types.h>

struct sp_role_spawn {
    const char *program; /* path */
    const char *name;    /* its argv[0] */
    int channel;         /* becomes SP_ROLE_CHANNEL_FD; stays the caller's */
    int64_t uid;         /* and gid; < 0: as we are. Needs root */
};

/*
 * Forks and executes. The child has no descriptor but 0, 1, 2 and its channel, no groups but its own, and an
 * environment of a few harmless names.
 *
 * returns: SP_OK and *pid, or SP_E_ROLE_START: the program could not be executed
 */
SP_MUST_CHECK enum sp_rc sp_role_spawn(const struct sp_role_spawn *spawn, pid_t *pid,
                                       struct sp_err *err);

/* Tells the service manager (sd_notify), if there is one: "READY=1" and so on. */
void sp_role_notify(const char *state);

#endif
