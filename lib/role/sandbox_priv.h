/*
 * role's own: the two filters that a sandbox is made of.
 */
#ifndef SP_ROLE_SANDBOX_PRIV_H
#define SP_ROLE_SANDBOX_PRIV_H

#include "role/sandbox.h"

struct sp_role_profile {
    bool exec;              /* may fork and run other programs (gpg), and end them */
    bool connects;          /* may connect and bind */
    bool listens;           /* may listen, and make pairs of sockets */
    bool read_only;         /* opens no file for writing, makes none */
    unsigned memory_mib;    /* address space it may have, 0: no limit */
    const int *families;    /* socket families it may ask for, -1 behind the last */
    const char *const *run; /* programs that it may run, NULL behind the last */
};

/* returns: SP_OK, SP_E_UNSUPPORTED if the kernel has no Landlock, SP_E_ROLE_SANDBOX */
SP_MUST_CHECK enum sp_rc sp_role_landlock_enter(const struct sp_role_profile *profile,
                                                const struct sp_role_start *start, int *abi,
                                                struct sp_err *err);

/* returns: SP_OK or SP_E_ROLE_SANDBOX */
SP_MUST_CHECK enum sp_rc sp_role_seccomp_enter(const struct sp_role_profile *profile,
                                               struct sp_err *err);

#endif
