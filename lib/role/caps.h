/*
 * Root's privileges (capabilities(7)), given up as far as a process does not need them. thread: before any other exists
 */
#ifndef SP_ROLE_CAPS_H
#define SP_ROLE_CAPS_H

#include "base/err.h"

/*
 * Gives up all capabilities but these, for good, and for all that this process executes. Without root there is nothing
 * to give up.
 *
 * keep:    mask of 1 << CAP_...
 * returns: SP_OK or SP_E_ROLE_SANDBOX
 */
SP_MUST_CHECK enum sp_rc sp_role_caps_keep(uint64_t keep, struct sp_err *err);

/*
 * The same for what programs executed later could get, alone; by the child of a fork too.
 *
 * returns: as above
 */
SP_MUST_CHECK enum sp_rc sp_role_caps_bound(uint64_t keep, struct sp_err *err);

/* No core file and no reading by others of this process's memory, whoever its user is. returns: as above */
SP_MUST_CHECK enum sp_rc sp_role_memory_close(struct sp_err *err);

/*
 * Keeps what this process has in memory, and will have, out of swap, if it may lock as much as it likes: by a limit
 * (a supervisor that root started sees to that) or a capability, which it must then keep. Pages are locked when they are first used, so that it costs no memory.
 *
 * returns: whether it is locked
 */
bool sp_role_memory_lock(void);

/* Lets this process and its children lock memory without a limit, if it is root's. */
void sp_role_memory_lock_allow(void);

#endif
