/*
 * The agent that holds the signing keys. gpg would start one by itself and leave it behind when this process ends: an
 * agent with a tenant's key that nobody owns. So gpg may not (no-autostart), and we start it: as a child with
 * --supervised, which does not fork away but serves a socket that it is handed, and with a death signal, so that it ends
 * with us even if we are killed.
 */
#include "pgp/pgp_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGENT       "/usr/bin/gpg-agent"
#define SOCKET      "S.gpg-agent"
#define LISTEN_FD   3 /* what --supervised expects, sd_listen_fds(3) */
#define END_TRIES   200
#define END_WAIT_NS 10000000

static int listen_at(const char *home)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd =
        SP_FAULT_ERRNO("pgp.socket", EMFILE) ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if ((size_t)snprintf(at.sun_path, sizeof(at.sun_path), "%s/" SOCKET, home) >=
            sizeof(at.sun_path) ||
        (unlink(at.sun_path) != 0 && errno != ENOENT) ||
        bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 16) != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Between fork and exec: only calls that are safe there, arguments made before. */
static void become_agent(int listener, pid_t parent, char *const argv[], char *const env[])
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || null < 0)
        _exit(127);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0)
        _exit(127);
    if (listener == LISTEN_FD) {
        if (fcntl(listener, F_SETFD, 0) != 0)
            _exit(127);
    } else if (dup2(listener, LISTEN_FD) < 0) {
        _exit(127);
    }
    execve(AGENT, argv, env);
    _exit(127);
}

static bool is_alive(struct sp_pgp *p)
{
    if (p->agent != 0 && waitpid(p->agent, NULL, WNOHANG) != 0)
        p->agent = 0;
    return p->agent != 0;
}

enum sp_rc sp_pgp_agent_start(struct sp_pgp *p, struct sp_err *err)
{
    char *argv[] = {"gpg-agent", "--homedir", p->home, "--supervised", "--quiet", NULL};
    /* LISTEN_PID is not looked at by gpg-agent 2.2; a name is wanted only for several sockets */
    char *env[] = {"PATH=/usr/bin:/bin", "LISTEN_FDS=1", "LC_ALL=C", NULL};
    pid_t parent = getpid();
    int listener;
    pid_t pid;

    if (is_alive(p))
        return SP_OK;
    listener = listen_at(p->home);
    if (listener < 0)
        return sp_fail_errno(err, SP_E_PGP_FAILED, errno, "no socket for gpg-agent");
    pid = SP_FAULT_ERRNO("pgp.fork", EAGAIN) ? -1 : fork();
    if (pid == 0)
        become_agent(listener, parent, argv, env);
    close(listener);
    if (pid < 0)
        return sp_fail_errno(err, SP_E_PGP_FAILED, errno, "can't start gpg-agent");
    p->agent = pid;
    return SP_OK;
}

void sp_pgp_agent_end(struct sp_pgp *p)
{
    struct timespec pause = {0, END_WAIT_NS};

    if (!is_alive(p))
        return;
    kill(p->agent, SIGTERM);
    for (int i = 0; i < END_TRIES && is_alive(p); i++)
        nanosleep(&pause, NULL);
    if (!is_alive(p))
        return;
    kill(p->agent, SIGKILL);
    waitpid(p->agent, NULL, 0);
    p->agent = 0;
}
