/*
 * Fork and exec, so that no heap and no key of the supervisor is inherited. Between fork and exec only calls that are
 * safe there. A pipe that exec closes tells the parent whether it came that far.
 */
#include "role/process.h"

#include "base/fault.h"
#include "role/caps.h"
#include "role/role.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define REPORT_FD   4 /* in the child */
#define ENV_MAX     16
#define ENV_LEN_MAX 512

/* What a role may learn of our environment: nothing that changes what it does, but for sanitizers and tests. */
static const char *const env_names[] = {
    "PATH=",        "LANG=",          "LC_ALL=",       "TZ=", "SP_FAULT_BOARD=",
    "SP_CLOCK_AT=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", NULL};

static void build_environment(char **out)
{
    /* LeakSanitizer traces its own process, which the sandbox refuses */
    static char asan[] = "ASAN_OPTIONS=detect_leaks=0";
    size_t count = 0;

    for (char **e = environ; e != NULL && *e != NULL && count < ENV_MAX - 2; e++) {
        for (const char *const *n = env_names; *n != NULL; n++) {
            if (strncmp(*e, *n, strlen(*n)) == 0 && strlen(*e) < ENV_LEN_MAX)
                out[count++] = *e;
            if (count == ENV_MAX - 2)
                break;
        }
    }
    out[count++] = asan;
    out[count] = NULL;
}

/* In the child: reports errno to the parent and ends. */
static void give_up(void)
{
    int errnum = errno;

    (void)!write(REPORT_FD, &errnum, sizeof(errnum));
    _exit(127);
}

static void become(int64_t uid)
{
    gid_t gid = (gid_t)uid;

    if (uid < 0)
        return;
    if (sp_role_caps_bound(0, NULL) != SP_OK || setgroups(1, &gid) != 0 ||
        setresgid(gid, gid, gid) != 0 || setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) != 0)
        give_up();
}

static void reset_signals(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < SIGRTMIN; i++)
        (void)sigaction(i, &plain, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child(const struct sp_role_spawn *spawn, int report, char *const *environment)
{
    char *argv[] = {(char *)spawn->name, NULL};
    /* above everything, so that neither dup2 below hits the other's source */
    int channel = fcntl(spawn->channel, F_DUPFD, 10);
    int high = fcntl(report, F_DUPFD, 10);

    if (channel < 0 || high < 0 || dup2(channel, SP_ROLE_CHANNEL_FD) < 0 ||
        dup2(high, REPORT_FD) < 0 || fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC) != 0)
        _exit(127);
    if (close_range(REPORT_FD + 1, ~0U, 0) != 0)
        give_up();
    reset_signals();
    become(spawn->uid);
    execve(spawn->program, argv, environment);
    give_up();
}

static enum sp_rc await_exec(int report, const struct sp_role_spawn *spawn, pid_t pid,
                             struct sp_err *err)
{
    int errnum = 0;
    ssize_t n;

    do {
        n = read(report, &errnum, sizeof(errnum));
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return SP_OK;
    (void)waitpid(pid, NULL, 0);
    return sp_fail_errno(err, SP_E_ROLE_START, errnum, "%s", spawn->program);
}

enum sp_rc sp_role_spawn(const struct sp_role_spawn *spawn, pid_t *pid, struct sp_err *err)
{
    char *environment[ENV_MAX];
    int report[2];
    enum sp_rc rc;
    pid_t made;

    if (SP_FAULT_ERRNO("role.pipe", EMFILE) || pipe2(report, O_CLOEXEC) != 0)
        return sp_fail_errno(err, SP_E_ROLE_START, errno, "pipe");
    build_environment(environment);
    made = SP_FAULT_ERRNO("role.fork", EAGAIN) ? -1 : fork();
    if (made == 0)
        child(spawn, report[1], environment);
    close(report[1]);
    if (made < 0)
        rc = sp_fail_errno(err, SP_E_ROLE_START, errno, "fork");
    else
        rc = await_exec(report[0], spawn, made, err);
    close(report[0]);
    if (rc == SP_OK)
        *pid = made;
    return rc;
}

void sp_role_notify(const char *state)
{
    (void)sd_notify(0, state);
}
