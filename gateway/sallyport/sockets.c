/*
 * Listening sockets are the supervisor's: bound once, before anything else runs, and handed to each new process of their
 * role, so that a restart refuses no connection. Each relay has one of its own on every address (SO_REUSEPORT), and the
 * kernel shares connections out.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/fault.h"
#include "io/stream.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG   1024
#define OTHERS_MS 10000 /* what the roles of a supervisor that was killed may take to end */
#define AGAIN_MS  50

static void keep(struct supervisor *s, const struct listening *wanted, int fd)
{
    struct listening *l;

    s->listening = sp_realloc(s->listening, (s->listening_count + 1) * sizeof(*s->listening));
    l = &s->listening[s->listening_count++];
    *l = *wanted;
    l->fd = fd;
}

static bool name_it(struct listening *l, const char *name, const char *address)
{
    int n = snprintf(l->name, sizeof(l->name), "%s", name);
    int a = snprintf(l->address, sizeof(l->address), "%s", address);

    return n > 0 && (size_t)n < sizeof(l->name) && a > 0 && (size_t)a < sizeof(l->address);
}

static void tell(struct supervisor *s, const char *name, const struct sp_addr *at)
{
    char text[SP_ADDR_TEXT_MAX];

    sp_addr_format(at, text);
    sp_log_info(s->log, "supervisor.listening", SP_TEXT("name", name), SP_TEXT("address", text));
}

/*
 * Sockets of one user's processes may share an address, and the kernel would give a part of the mail to whoever else listens
 * there: another gateway, or another listener of this one. So it is bound alone once. Roles of a supervisor that was killed
 * may need a moment to leave it.
 */
static int take_alone(const struct sp_addr *at, unsigned flags, struct sp_err *err)
{
    struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
    int fd = sp_listen(at, flags, BACKLOG, err);

    for (int ms = 0; fd < 0 && errno == EADDRINUSE && ms < OTHERS_MS; ms += AGAIN_MS) {
        nanosleep(&pause, NULL);
        fd = sp_listen(at, flags, BACKLOG, err);
    }
    return fd;
}

static int take_address(const struct sp_addr *at, bool first, bool shared, unsigned flags,
                        struct sp_err *err)
{
    int fd;

    if (first) {
        fd = take_alone(at, flags, err);
        if (fd < 0 || !shared)
            return fd;
        close(fd);
    }
    return sp_listen(at, flags | (shared ? SP_LISTEN_SHARED : 0), BACKLOG, err);
}

/* Beside a listener for IPv4 with the same port, one for all of IPv6 can't have both; who reads the settings is told. */
static unsigned flags_for(const struct supervisor *s, const struct sp_addr *at)
{
    const struct sp_config *c = s->now->config;
    struct sp_addr other;

    if (at->u.sa.sa_family != AF_INET6 || sp_addr_port(at) == 0)
        return 0;
    for (size_t i = 0; i < c->listen_count; i++)
        if (sp_addr_parse(sp_bytes_cstr(c->listen[i].address), &other) &&
            other.u.sa.sa_family == AF_INET && other.u.in4.sin_port == at->u.in6.sin6_port)
            return SP_LISTEN_V6_ONLY;
    return 0;
}

/* Opens one address for `count` processes of a role. Port 0 becomes the first one's for all. */
static enum sp_rc open_tcp(struct supervisor *s, const char *name, const char *address,
                           enum sp_role_kind kind, unsigned count, struct sp_err *err)
{
    struct sp_addr at;
    unsigned flags;

    if (!sp_addr_parse(sp_bytes_cstr(address), &at))
        return sp_fail(err, SP_E_CONFIG_INVALID, "%s: \"%s\" is no IP address with a port", name,
                       address);
    flags = flags_for(s, &at);
    for (unsigned i = 0; i < count; i++) {
        struct listening wanted = {.kind = kind, .index = i};
        int fd;

        if (!name_it(&wanted, name, address))
            return sp_fail(err, SP_E_LIMIT, "%s: too long", address);
        fd = handover_socket(s, &wanted);
        if (fd < 0)
            fd = take_address(&at, i == 0, count > 1, flags, err);
        if (fd < 0)
            return err->rc;
        keep(s, &wanted, fd);
        if (i == 0) {
            at.len = sizeof(at.u);
            if (getsockname(fd, &at.u.sa, &at.len) != 0)
                return sp_fail_errno(err, SP_E_IO, errno, "%s", address);
            tell(s, name, &at);
        }
    }
    return SP_OK;
}

void sockets_admin_mode(const struct supervisor *s)
{
    bool others =
        s->now->config->publishing.approvers.count > 0 || s->now->config->holds.approvers.count > 0;

    if (s->admin_socket[0] != '\0' && chmod(s->admin_socket, others ? 0666 : 0600) != 0)
        sp_log_warn(s->log, "supervisor.socket-mode", SP_INT("errno", errno));
}

static enum sp_rc open_admin(struct supervisor *s, struct sp_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct listening wanted = {.kind = SP_ROLE_ADMIN};
    int fd;

    if (path_join(s->now->state_dir, s->now->config->admin.socket, s->admin_socket) != SP_OK ||
        strlen(s->admin_socket) >= sizeof(at.sun_path))
        return sp_fail(err, SP_E_CONFIG_INVALID, "%s is too long for a socket's path (%zu bytes)",
                       s->admin_socket, sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, s->admin_socket, strlen(s->admin_socket) + 1);
    (void)name_it(&wanted, "admin", s->admin_socket);
    fd = handover_socket(s, &wanted);
    if (fd >= 0) {
        keep(s, &wanted, fd);
        return SP_OK;
    }
    fd = SP_FAULT_ERRNO("supervisor.socket", EMFILE)
             ? -1
             : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(s->admin_socket); /* of a run before; the lock says that nobody else is here */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        chmod(s->admin_socket, 0600) != 0 || listen(fd, BACKLOG) != 0) {
        sp_fail_errno(err, SP_E_IO, errno, "%s", s->admin_socket);
        if (fd >= 0)
            close(fd);
        return SP_E_IO;
    }
    keep(s, &wanted, fd);
    return SP_OK;
}

enum sp_rc sockets_open(struct supervisor *s, unsigned relays, struct sp_err *err)
{
    const struct sp_config *c = s->now->config;
    enum sp_rc rc = SP_OK;

    if (c->listen_count > LISTEN_MAX)
        return sp_fail(err, SP_E_CONFIG_RANGE, "more than %d listeners", LISTEN_MAX);
    for (size_t i = 0; rc == SP_OK && i < c->listen_count; i++) {
        char name[32];

        snprintf(name, sizeof(name), "listen/%zu", i);
        rc = open_tcp(s, name, c->listen[i].address, SP_ROLE_RELAY, relays, err);
    }
    if (rc == SP_OK && c->portal.listen[0] != '\0')
        rc = open_tcp(s, "portal", c->portal.listen, SP_ROLE_PORTAL, 1, err);
    if (rc == SP_OK && c->admin.listen[0] != '\0')
        rc = open_tcp(s, "metrics", c->admin.listen, SP_ROLE_ADMIN, 1, err);
    if (rc == SP_OK)
        rc = open_admin(s, err);
    if (rc == SP_OK)
        sockets_admin_mode(s);
    return rc == SP_OK ? handover_check_left(s, err) : rc;
}

void sockets_close(struct supervisor *s)
{
    for (size_t i = 0; i < s->listening_count; i++)
        close(s->listening[i].fd);
    sp_free(s->listening);
    s->listening = NULL;
    s->listening_count = 0;
    if (s->admin_socket[0] != '\0')
        (void)unlink(s->admin_socket);
}
