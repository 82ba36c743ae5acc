/*
 * Listening sockets. Accepting takes all that waits, up to a bound a turn, so that a burst of clients does not keep
 * those who are in from being served; when descriptors run out it rests a moment instead of spinning.
 */
#include "io/stream.h"

#include "base/fault.h"
#include "io/loop_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define ACCEPT_TURN 64
#define REST_MS     100

struct sp_listener {
    struct sp_loop *loop;
    int fd;
    bool hold;
    bool dead;
    struct sp_watch *watch;
    struct sp_timer *rest;
    void (*on_accept)(void *arg, int fd, const struct sp_addr *peer);
    void *arg;
};

static void on_ready(void *arg, int events)
{
    struct sp_listener *l = arg;
    int one = 1;

    (void)events;
    for (int i = 0; i < ACCEPT_TURN && !l->dead && !l->hold; i++) {
        struct sp_addr peer = {.len = sizeof(peer.u)};
        int fd = -1;

        if (SP_FAULT("io.accept"))
            errno = EMFILE;
        else
            fd = accept4(l->fd, &peer.u.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            sp_watch_set(l->watch, 0);
            sp_timer_start(l->rest, REST_MS);
        }
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        l->on_accept(l->arg, fd, &peer);
    }
}

static void on_rested(void *arg)
{
    struct sp_listener *l = arg;

    sp_watch_set(l->watch, l->hold ? 0 : SP_READ);
}

struct sp_listener *
sp_listener_new(struct sp_loop *loop, int fd,
                void (*on_accept)(void *arg, int fd, const struct sp_addr *peer), void *arg)
{
    struct sp_listener *l = sp_calloc(1, sizeof(*l));

    *l = (struct sp_listener){.loop = loop, .fd = fd, .on_accept = on_accept, .arg = arg};
    l->watch = sp_watch_new(loop, fd, on_ready, l);
    l->rest = sp_timer_new(loop, on_rested, l);
    sp_watch_set(l->watch, SP_READ);
    return l;
}

void sp_listener_free(struct sp_listener *l)
{
    if (l == NULL || l->dead)
        return;
    l->dead = true;
    sp_watch_free(l->watch);
    sp_timer_free(l->rest);
    sp_loop_free_later(l->loop, sp_free, l);
}

void sp_listener_hold(struct sp_listener *l, bool hold)
{
    l->hold = hold;
    sp_watch_set(l->watch, hold ? 0 : SP_READ);
}

int sp_listen(const struct sp_addr *at, bool reuse_port, int backlog, struct sp_err *err)
{
    char text[SP_ADDR_TEXT_MAX];
    int one = 1;
    int fd = SP_FAULT_ERRNO("io.listen", EMFILE)
                 ? -1
                 : socket(at->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    sp_addr_format(at, text);
    if (fd < 0) {
        (void)sp_fail_errno(err, SP_E_IO, errno, "no socket for %s", text);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (SP_FAULT_ERRNO("io.bind", EADDRNOTAVAIL) || bind(fd, &at->u.sa, at->len) != 0 ||
        listen(fd, backlog) != 0) {
        (void)sp_fail_errno(err, SP_E_IO, errno, "can't listen on %s", text);
        close(fd);
        return -1;
    }
    return fd;
}
