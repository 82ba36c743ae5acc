/*
 * Other processes: starting one, ending one, looking into one. The other here is a role of another kind, and the
 * supervisor, which holds every key.
 */
#include "test/probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *no_work(void *arg)
{
    return arg;
}

static int thread(const struct probe_target *t)
{
    pthread_t id;
    int result = pthread_create(&id, NULL, no_work, NULL);

    (void)t;
    if (result == 0)
        (void)pthread_join(id, NULL);
    return result;
}

static int nothing(const struct probe_target *t)
{
    (void)t;
    return 0;
}

static int fork_one(const struct probe_target *t)
{
    return probe_in_child(nothing, t);
}

static int exec_path(const char *path)
{
    char *argv[] = {"probe", "--version", NULL}, *env[] = {NULL};

    execve(path, argv, env);
    return errno;
}

static int exec_true(const struct probe_target *t)
{
    (void)t;
    return exec_path("/bin/true");
}

static int exec_gpg(const struct probe_target *t)
{
    (void)t;
    return exec_path("/usr/bin/gpg");
}

/* Without fork it would replace this process, which the test then misses: a refusal comes back. */
static int run_true(const struct probe_target *t)
{
    int result = probe_in_child(exec_true, t);

    return result == EPERM ? exec_true(t) : result;
}

static int run_gpg(const struct probe_target *t)
{
    int result = probe_in_child(exec_gpg, t);

    return result == EPERM ? exec_gpg(t) : result;
}

static bool copy_of_true(int fd)
{
    char block[65536];
    int from = open("/bin/true", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    while (from >= 0 && (n = read(from, block, sizeof(block))) > 0) {
        if (write(fd, block, (size_t)n) != n)
            break;
    }
    if (from >= 0)
        close(from);
    return from >= 0 && n == 0;
}

static int exec_fd(int fd)
{
    char *argv[] = {"probe", NULL}, *env[] = {NULL};

    syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
    return errno;
}

/* A program in memory: made without, then with the flag that forbids to run it. */
static int exec_memory(const struct probe_target *t)
{
    int fd = memfd_create("probe", 0);

    (void)t;
    if (fd < 0)
        fd = memfd_create("probe", 0x0008U); /* MFD_NOEXEC_SEAL */
    if (fd < 0 || !copy_of_true(fd))
        return errno;
    (void)fchmod(fd, 0700);
    return exec_fd(fd);
}

static int run_memory(const struct probe_target *t)
{
    int result = probe_in_child(exec_memory, t);

    return result == EPERM ? exec_memory(t) : result;
}

static int exec_own(const struct probe_target *t)
{
    char path[2 * PROBE_PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/probe-program", t->own);
    fd = open(path, O_WRONLY | O_CREAT, 0700);
    if (fd < 0 || !copy_of_true(fd))
        return errno;
    close(fd);
    return exec_path(path);
}

/* A program that it has written itself. */
static int run_own(const struct probe_target *t)
{
    int result = t->own[0] == '\0' ? EPERM : probe_in_child(exec_own, t);

    return result == EPERM ? exec_own(t) : result;
}

static int trace(const struct probe_target *t)
{
    return probe_result(ptrace(PTRACE_ATTACH, t->other, NULL, NULL));
}

static int read_memory(const struct probe_target *t)
{
    int here, there = 0;
    struct iovec local = {&here, sizeof(here)}, remote = {&there, sizeof(there)};

    return probe_result(process_vm_readv(t->other, &local, 1, &remote, 1, 0));
}

static int read_proc(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return probe_descriptor(open(path, O_RDONLY | O_CLOEXEC));
}

static int proc_mem(const struct probe_target *t)
{
    int result = read_proc(t->other, "mem");

    return result == EACCES || result == EPERM ? read_proc(t->supervisor, "mem") : result;
}

static int proc_environ(const struct probe_target *t)
{
    int result = read_proc(t->other, "environ");

    return result == EACCES || result == EPERM ? read_proc(t->supervisor, "environ") : result;
}

static int proc_fd(const struct probe_target *t)
{
    int result = read_proc(t->other, "fd/0");

    return result == EACCES || result == EPERM ? read_proc(t->supervisor, "fd/0") : result;
}

static int kill_other(const struct probe_target *t)
{
    return probe_result(kill(t->other, 0));
}

static int kill_supervisor(const struct probe_target *t)
{
    return probe_result(kill(t->supervisor, 0));
}

static int limit_other(const struct probe_target *t)
{
    struct rlimit limit;

    return probe_result(prlimit(t->other, RLIMIT_NOFILE, NULL, &limit));
}

static int descriptor_of_other(const struct probe_target *t)
{
    return probe_descriptor((int)syscall(SYS_pidfd_open, t->other, 0));
}

/* More than any message needs; nothing of it is touched. */
static int much_memory(const struct probe_target *t)
{
    size_t len = (size_t)1 << 30;
    void *at =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)t;
    if (at == MAP_FAILED)
        return errno;
    munmap(at, len);
    return 0;
}

const struct probe_try probe_processes[] = {
    {"take 1 GiB of memory", much_memory},
    {"start a thread", thread},
    {"fork", fork_one},
    {"run /bin/true", run_true},
    {"run gpg", run_gpg},
    {"run a program from memory", run_memory},
    {"run a program it has written", run_own},
    {"trace another role", trace},
    {"process_vm_readv of another role", read_memory},
    {"/proc/PID/mem of another role or the supervisor", proc_mem},
    {"/proc/PID/environ of another role or the supervisor", proc_environ},
    {"/proc/PID/fd of another role or the supervisor", proc_fd},
    {"signal another role", kill_other},
    {"signal the supervisor", kill_supervisor},
    {"read another role's limits", limit_other},
    {"hold another role by a descriptor", descriptor_of_other},
    {NULL, NULL},
};
