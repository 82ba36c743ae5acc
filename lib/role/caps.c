/*
 * Privileges and memory of a process of ours. The system calls are used as they are: libcap would be one more library in
 * each role for two calls. The bounding set goes as well, so that no program that is executed later gets any of it back.
 */
#include "role/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPS_MAX 64

static bool has(unsigned cap)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & (1U << cap)) != 0;
}

enum sp_rc sp_role_caps_bound(uint64_t keep, struct sp_err *err)
{
    if (!has(CAP_SETPCAP)) /* and nothing to gain by them either, without new privileges */
        return SP_OK;
    for (unsigned long cap = 0; cap < CAPS_MAX; cap++) {
        int is_set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

        if (is_set < 0)
            break; /* past the last that this kernel knows */
        if (is_set > 0 && (keep & (1ULL << cap)) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "capability %lu", cap);
    }
    return SP_OK;
}

enum sp_rc sp_role_caps_keep(uint64_t keep, struct sp_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &head, data) != 0)
        return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "capabilities");
    if (sp_role_caps_bound(keep, err) != SP_OK)
        return SP_E_ROLE_SANDBOX;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (size_t i = 0; i < SP_ARRAY_LEN(data); i++) {
        data[i].permitted &= (uint32_t)(keep >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data) != 0)
        return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "capabilities");
    return SP_OK;
}

enum sp_rc sp_role_memory_close(struct sp_err *err)
{
    static const struct rlimit no_core = {0, 0};

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "not dumpable");
    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "core limit");
    return SP_OK;
}

void sp_role_memory_lock_allow(void)
{
    static const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

    (void)setrlimit(RLIMIT_MEMLOCK, &all);
}

bool sp_role_memory_lock(void)
{
    struct rlimit limit;

    /* under a limit, memory that is asked for later would be refused once it is reached */
    return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
           (limit.rlim_cur == RLIM_INFINITY || has(CAP_IPC_LOCK)) &&
           mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}
