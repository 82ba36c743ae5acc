/*
 * seccomp: which system calls a role may make. Allowed but for a list: what nobody here needs and an attacker does
 * (other processes' memory, namespaces, kernel interfaces), exec and socket families by role. An allow list would have to
 * follow every library's every version; what it would add is mostly closed by Landlock, uids and having no descriptors.
 *
 * Refusals are EPERM, but for clone3, whose flags a filter can't see: ENOSYS makes libc take clone, whose can be seen.
 */
#include "base/memfd.h"
#include "role/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define FAMILY_MAX 64 /* no family above; a higher number is refused as one range */

static const int never[] = {
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(kcmp),
    SCMP_SYS(shmget), /* System V and POSIX queues have names that all processes share */
    SCMP_SYS(shmat),
    SCMP_SYS(msgget),
    SCMP_SYS(semget),
    SCMP_SYS(mq_open),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(io_uring_setup), /* its operations pass by every filter */
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(syslog),
    SCMP_SYS(personality),
    SCMP_SYS(vhangup),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
};

/* For who runs no programs: none to start, none to end. */
static const int exec_calls[] = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork),
                                 SCMP_SYS(vfork), SCMP_SYS(tkill)};

/* For who has no sockets but those that it was given: a pair's end could be connected elsewhere. */
static const int connect_calls[] = {SCMP_SYS(connect), SCMP_SYS(bind)};
static const int listen_calls[] = {SCMP_SYS(listen), SCMP_SYS(socketpair)};

/* Those that change names or modes; opening for writing is refused by its flags. */
static const int file_changes[] = {
    SCMP_SYS(creat),     SCMP_SYS(truncate), SCMP_SYS(rename),   SCMP_SYS(renameat),
    SCMP_SYS(renameat2), SCMP_SYS(link),     SCMP_SYS(linkat),   SCMP_SYS(symlink),
    SCMP_SYS(symlinkat), SCMP_SYS(unlink),   SCMP_SYS(unlinkat), SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),   SCMP_SYS(rmdir),    SCMP_SYS(mknod),    SCMP_SYS(mknodat),
    SCMP_SYS(chmod),     SCMP_SYS(fchmodat), SCMP_SYS(chown),    SCMP_SYS(fchownat),
    SCMP_SYS(lchown),    SCMP_SYS(openat2),
};

static const unsigned namespaces[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                      CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

static const unsigned write_flags[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};

static bool refuse_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);

        if (rc != 0 && rc != -EDOM) /* EDOM: this architecture has no such call */
            return false;
    }
    return true;
}

static bool is_allowed(const int *families, int family)
{
    for (; *families >= 0; families++) {
        if (*families == family)
            return true;
    }
    return false;
}

static bool refuse_families(scmp_filter_ctx filter, const int *families)
{
    for (int family = 0; family <= FAMILY_MAX; family++) {
        if (!is_allowed(families, family) &&
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family)) != 0)
            return false;
    }
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                            SCMP_A0(SCMP_CMP_GT, FAMILY_MAX)) == 0;
}

static bool refuse_writing(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(write_flags); i++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, write_flags[i], write_flags[i])) != 0 ||
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(open), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, write_flags[i], write_flags[i])) != 0)
            return false;
    }
    return refuse_all(filter, file_changes, SP_ARRAY_LEN(file_changes));
}

static bool refuse_when(scmp_filter_ctx filter, int call, struct scmp_arg_cmp when)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1, when) == 0;
}

static bool refuse_namespaces(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(namespaces); i++) {
        if (!refuse_when(filter, SCMP_SYS(clone),
                         SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i])))
            return false;
    }
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

/* Other processes' limits, and its own undoing of what harden did. */
static bool refuse_reaching_out(scmp_filter_ctx filter)
{
    return refuse_when(filter, SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_NE, 0)) &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 2,
                            SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE), SCMP_A1(SCMP_CMP_NE, 0)) == 0;
}

/* Threads only; signals to itself only, as abort(3) sends them. */
static bool refuse_processes(scmp_filter_ctx filter)
{
    scmp_datum_t self = (scmp_datum_t)getpid();

    return refuse_all(filter, exec_calls, SP_ARRAY_LEN(exec_calls)) &&
           refuse_when(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) &&
           refuse_when(filter, SCMP_SYS(kill), SCMP_A0(SCMP_CMP_NE, self)) &&
           refuse_when(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_NE, self));
}

/* Landlock says which programs may run, by path; what has no path must be unfit to run. */
static bool refuse_nameless_programs(scmp_filter_ctx filter)
{
    return !sp_memfd_is_noexec() || refuse_when(filter, SCMP_SYS(memfd_create),
                                                SCMP_A1(SCMP_CMP_MASKED_EQ, MFD_NOEXEC_SEAL, 0));
}

enum sp_rc sp_role_seccomp_enter(const struct sp_role_profile *profile, struct sp_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool ok;

    if (filter == NULL)
        return sp_fail(err, SP_E_ROLE_SANDBOX, "seccomp filter");
    ok = refuse_all(filter, never, SP_ARRAY_LEN(never)) && refuse_namespaces(filter) &&
         refuse_families(filter, profile->families) && refuse_reaching_out(filter) &&
         (profile->connects || refuse_all(filter, connect_calls, SP_ARRAY_LEN(connect_calls))) &&
         (profile->listens || refuse_all(filter, listen_calls, SP_ARRAY_LEN(listen_calls))) &&
         (profile->exec ? refuse_nameless_programs(filter) : refuse_processes(filter)) &&
         (!profile->read_only || refuse_writing(filter));
    ok = ok && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok ? SP_OK : sp_fail(err, SP_E_ROLE_SANDBOX, "seccomp filter");
}
