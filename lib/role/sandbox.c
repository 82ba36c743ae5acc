/*
 * One row a role; what a role may is read off here. The filters refuse rather than kill: a library that tries something
 * and goes on without it (getaddrinfo's netlink socket, glibc's look into /sys) must not take a role with it, and a
 * refusal is what an attacker meets all the same. The scanner may read the machine's public files (charset tables,
 * dictionaries in /usr), since no secret lies there and Landlock shows it nothing else.
 */
#include "role/caps.h"
#include "role/sandbox_priv.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Many times what the largest message needs; a message that wants more costs its process, not the machine. */
#define PARSER_MIB 768

static const int no_families[] = {-1};
static const int internet[] = {AF_INET, AF_INET6, -1};
static const int local[] = {AF_UNIX, -1}; /* gpg speaks with its agent over a socket in its home */

static const char *const gpg[] = {
    "/usr/bin/gpg",
    "/usr/bin/gpg-agent",
    "/usr/bin/gpgconf",
    "/usr/bin/gpg-connect-agent",
    "/usr/lib/gnupg",
    "/lib64/ld-linux-x86-64.so.2", /* an interpreter is executed too */
    "/lib/ld-linux-aarch64.so.1",
    NULL};

static const struct sp_role_profile profiles[SP_ROLE_COUNT] = {
    [SP_ROLE_SUPERVISOR] = {.families = no_families}, /* needs none of it: it never enters */
    [SP_ROLE_RELAY] = {.connects = true, .families = internet},
    [SP_ROLE_SCANNER] = {.read_only = true, .memory_mib = PARSER_MIB, .families = no_families},
    [SP_ROLE_SEALER] = {.exec = true,
                        .connects = true,
                        .listens = true,
                        .memory_mib = PARSER_MIB,
                        .families = local,
                        .run = gpg},
    [SP_ROLE_KEEPER] = {.exec = true,
                        .connects = true,
                        .listens = true,
                        .memory_mib = PARSER_MIB,
                        .families = local,
                        .run = gpg},
    [SP_ROLE_PORTAL] = {.families = no_families}, /* accepts on the socket it was given */
    [SP_ROLE_LEDGER] = {.families = no_families},
    [SP_ROLE_FETCHER] = {.connects = true, .families = internet},
    [SP_ROLE_ADMIN] = {.families = no_families}, /* accepts, too */
};

static enum sp_rc harden(struct sp_err *err)
{
    enum sp_rc rc = sp_role_caps_keep(0, err); /* none are left but where all run as root */

    if (rc == SP_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "no-new-privileges");
    return rc == SP_OK ? sp_role_memory_close(err) : rc;
}

/* Sanitizers reserve far more address space than any limit. */
static enum sp_rc limit_memory(const struct sp_role_profile *profile, struct sp_err *err)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    rlim_t max = (rlim_t)profile->memory_mib << 20;
    const struct rlimit limit = {max, max};

    if (max > 0 && setrlimit(RLIMIT_AS, &limit) != 0)
        return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "memory limit");
#else
    (void)profile, (void)err;
#endif
    return SP_OK;
}

enum sp_rc sp_role_sandbox_enter(const struct sp_role_start *start,
                                 struct sp_role_sandbox_state *state, struct sp_err *err)
{
    const struct sp_role_profile *profile = &profiles[start->kind];
    enum sp_rc rc = harden(err);

    *state = (struct sp_role_sandbox_state){0};
    if (rc == SP_OK)
        rc = limit_memory(profile, err);
    if (rc != SP_OK)
        return rc;
    state->locked = sp_role_memory_lock();
    rc = sp_role_landlock_enter(profile, start, &state->landlock_abi, err);
    if (rc != SP_OK && rc != SP_E_UNSUPPORTED)
        return rc;
    return sp_role_seccomp_enter(profile, err);
}
