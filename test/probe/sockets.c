/*
 * Sockets: of each family, and what one could do with one, or with a descriptor that a role already has. A pair's end
 * that could be connected elsewhere would be as good as a socket.
 */
#include "test/probe/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int try_family(int family, int type)
{
    return probe_descriptor(socket(family, type | SOCK_CLOEXEC, 0));
}

static int inet4(const struct probe_target *t)
{
    (void)t;
    return try_family(AF_INET, SOCK_STREAM);
}

static int inet6(const struct probe_target *t)
{
    (void)t;
    return try_family(AF_INET6, SOCK_DGRAM);
}

static int local(const struct probe_target *t)
{
    (void)t;
    return try_family(AF_UNIX, SOCK_STREAM);
}

/* The first result that is no refusal; every one must be. */
static int other_families(const struct probe_target *t)
{
    int result = EPERM;

    (void)t;
    for (int family = 0; family <= 255 && result == EPERM; family++) {
        if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
            result = try_family(family, SOCK_RAW);
    }
    return result;
}

static int raw(const struct probe_target *t)
{
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

    (void)t;
    return probe_descriptor(fd);
}

static int pair(const struct probe_target *t)
{
    int fds[2];

    (void)t;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) != 0)
        return errno;
    close(fds[0]);
    close(fds[1]);
    return 0;
}

/* By a socket of its own if it gets one, else by the descriptor that each role has. */
static int by_descriptor(int family, int (*call)(int, const struct sockaddr *, socklen_t),
                         const void *at, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), no_socket = errno;
    int result = probe_result(call(fd < 0 ? SP_ROLE_CHANNEL_FD : fd, at, len));

    if (fd >= 0)
        close(fd);
    else if (result != 0 && result != EPERM)
        result = no_socket; /* the call is not refused, but nothing to use it on can be had */
    return result;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static int connect_inet(const struct probe_target *t)
{
    struct sockaddr_in at = loopback(t->port);

    return by_descriptor(AF_INET, connect, &at, sizeof(at));
}

static int bind_inet(const struct probe_target *t)
{
    struct sockaddr_in at = loopback(0);

    (void)t;
    return by_descriptor(AF_INET, bind, &at, sizeof(at));
}

/* Nobody but relay and portal is to take connections, and these have their sockets already. */
static int listen_inet(const struct probe_target *t)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), no_socket = errno;
    int result = probe_result(listen(fd < 0 ? SP_ROLE_CHANNEL_FD : fd, 1));

    (void)t;
    if (fd >= 0)
        close(fd);
    return fd < 0 && result != 0 && result != EPERM ? no_socket : result;
}

/* The command line's socket: who reaches it may command. */
static int connect_admin(const struct probe_target *t)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    snprintf(at.sun_path, sizeof(at.sun_path), "%.80s/admin/admin.sock", t->state);
    return by_descriptor(AF_UNIX, connect, &at, sizeof(at));
}

const struct probe_try probe_sockets[] = {
    {"socket IPv4", inet4},
    {"socket IPv6", inet6},
    {"socket unix", local},
    {"socket of any other family", other_families},
    {"raw socket", raw},
    {"pair of sockets", pair},
    {"connect to a port", connect_inet},
    {"bind a port", bind_inet},
    {"listen", listen_inet},
    {"connect to the control socket", connect_admin},
    {NULL, NULL},
};
