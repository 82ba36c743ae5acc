/*
 * One change of a folder's files at a time, by whichever command: who makes one holds a lock from reading to writing. thread: any
 */
#ifndef SP_CONFIG_LOCK_H
#define SP_CONFIG_LOCK_H

#include "base/err.h"

#define SP_CONFIG_HISTORY                                                                          \
    ".history" /* beside the policy: versions, what was done, the lock; beside lists: theirs */

/*
 * Tries to hold the lock of that name in .history of a folder.
 *
 * like:    a file or folder whose owner may hold it as well; one that is not there is none
 * fd:      closing it, or the end of the process, gives the lock back. owner: the caller
 * returns: SP_OK; SP_E_EXISTS if somebody else holds it; or SP_E_IO, with errno
 */
SP_MUST_CHECK enum sp_rc sp_config_lock(const char *folder, const char *name, const char *like,
                                        int *fd);

#endif
