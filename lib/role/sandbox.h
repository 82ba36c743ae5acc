/*
 * What a role may not do, enforced by the kernel from before its start function on: no new privileges, no core dumps, no
 * other process's memory; no exec but where the table says; only its socket families; only its files (Landlock). A call
 * that is refused fails with EPERM or EACCES; it does not end the process.
 */
#ifndef SP_ROLE_SANDBOX_H
#define SP_ROLE_SANDBOX_H

#include "base/err.h"
#include "ipc/roles.h"
#include "role/control.h"

/* What was closed, for the log: Landlock is missing on kernels before 5.13 and where it is off. */
struct sp_role_sandbox_state {
    int landlock_abi; /* 0: none */
    bool locked;      /* memory is kept out of swap */
};

/*
 * Closes the sandbox for this process, for good. No thread but the caller's may exist yet.
 *
 * start:   the role, its folders and grants
 * returns: SP_OK, or SP_E_ROLE_SANDBOX and err: the role must not run then
 */
SP_MUST_CHECK enum sp_rc sp_role_sandbox_enter(const struct sp_role_start *start,
                                               struct sp_role_sandbox_state *state,
                                               struct sp_err *err);

#endif
