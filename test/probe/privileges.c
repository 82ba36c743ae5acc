/*
 * Privileges, and parts of the kernel that nobody here needs. Arguments are such that a call that is let through does
 * no harm: it fails otherwise, or changes nothing.
 */
#include "test/probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int be_root(const struct probe_target *t)
{
    (void)t;
    return probe_result(setresuid(0, 0, 0));
}

static int be_other(const struct probe_target *t)
{
    (void)t;
    return probe_result(setresgid(12345, 12345, 12345));
}

static int groups(const struct probe_target *t)
{
    static const gid_t root = 0;

    (void)t;
    return probe_result(setgroups(1, &root));
}

static int capabilities(const struct probe_target *t)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    (void)t;
    data[0].permitted = data[0].effective = 1U << CAP_DAC_OVERRIDE;
    return probe_result(syscall(SYS_capset, &head, data));
}

static int mount_something(const struct probe_target *t)
{
    (void)t;
    return probe_result(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int open_tree_of_root(const struct probe_target *t)
{
    (void)t;
    return probe_descriptor((int)syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
}

static int user_namespace(const struct probe_target *t)
{
    (void)t;
    return probe_result(unshare(CLONE_NEWUSER));
}

static int user_namespace_by_clone(const struct probe_target *t)
{
    long pid =
        syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0);

    (void)t;
    if (pid == 0)
        _exit(0);
    return probe_result(pid);
}

static int enter_namespace(const struct probe_target *t)
{
    (void)t;
    return probe_result(setns(SP_ROLE_CHANNEL_FD, CLONE_NEWNET));
}

static int change_root(const struct probe_target *t)
{
    (void)t;
    return probe_result(chroot("/usr"));
}

static int load_bpf(const struct probe_target *t)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    (void)t;
    return probe_descriptor((int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int perf(const struct probe_target *t)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .exclude_kernel = 1};

    (void)t;
    return probe_descriptor((int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int io_uring(const struct probe_target *t)
{
    uint8_t parameters[256] = {0};

    (void)t;
    return probe_descriptor((int)syscall(SYS_io_uring_setup, 1, parameters));
}

static int keyring(const struct probe_target *t)
{
    (void)t;
    return probe_result(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 0));
}

static int add_key(const struct probe_target *t)
{
    (void)t;
    return probe_result(syscall(SYS_add_key, "user", "probe", "x", 1, -3));
}

static int fault_handler(const struct probe_target *t)
{
    (void)t;
    return probe_descriptor((int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */));
}

static int module(const struct probe_target *t)
{
    (void)t;
    return probe_result(syscall(SYS_init_module, "", 0, ""));
}

static int restart_machine(const struct probe_target *t)
{
    (void)t;
    return probe_result(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
                                LINUX_REBOOT_CMD_CAD_OFF, NULL));
}

static int set_clock(const struct probe_target *t)
{
    static const struct timespec never = {-1, -1}; /* no time: EINVAL if it comes so far */

    (void)t;
    return probe_result(syscall(SYS_clock_settime, CLOCK_REALTIME, &never));
}

static int kernel_log(const struct probe_target *t)
{
    (void)t;
    return probe_result(syscall(SYS_syslog, 10 /* size of the buffer */, NULL, 0));
}

static int shared_memory(const struct probe_target *t)
{
    (void)t;
    return probe_result(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
}

static int core_limit(const struct probe_target *t)
{
    static const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

    (void)t;
    return probe_result(setrlimit(RLIMIT_CORE, &all));
}

static int be_dumped(const struct probe_target *t)
{
    (void)t;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 0;
    return probe_result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int open_by_handle(const struct probe_target *t)
{
    struct {
        struct file_handle head;
        unsigned char bytes[16];
    } handle = {.head = {.handle_bytes = 8, .handle_type = 1}};

    (void)t;
    return probe_descriptor(open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY));
}

const struct probe_try probe_privileges[] = {
    {"become root", be_root},
    {"become another group", be_other},
    {"join groups", groups},
    {"raise capabilities", capabilities},
    {"mount", mount_something},
    {"copy a mount", open_tree_of_root},
    {"unshare a user namespace", user_namespace},
    {"clone into a user namespace", user_namespace_by_clone},
    {"enter a namespace", enter_namespace},
    {"chroot", change_root},
    {"bpf", load_bpf},
    {"perf_event_open", perf},
    {"io_uring", io_uring},
    {"keyctl", keyring},
    {"add_key", add_key},
    {"userfaultfd", fault_handler},
    {"load a module", module},
    {"reboot", restart_machine},
    {"set the clock", set_clock},
    {"read the kernel's log", kernel_log},
    {"System V shared memory", shared_memory},
    {"open a file by its handle", open_by_handle},
    {"allow core files", core_limit},
    {"become dumpable", be_dumped},
    {NULL, NULL},
};
