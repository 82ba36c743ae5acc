/*
 * Sockets: those that listen, and those that connect. Accepting takes all that waits, up to a bound a turn, so that a burst
 * of clients does not keep those who are in from being served; when descriptors run out it rests a moment instead of spinning.
 */
#include "io/stream.h"

#include "base/fault.h"
#include "io/loop_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define ACCEPT_TURN 4
#define SPARES      2
#define REST_MS     100

struct sp_listener {
    struct sp_loop *loop;
    int fd;
    bool hold;
    bool dead;
    struct sp_watch *watch;
    struct sp_timer *rest;
    int spares[SPARES];    /* one is given up for a moment when there is no other; -1: none */
    struct sp_bytes words; /* for whom there is no descriptor */
    void (*on_full)(void *arg);
    void (*on_accept)(void *arg, int fd, const struct sp_addr *peer);
    void *arg;
};

static int take_connection(const struct sp_listener *l, struct sp_addr *peer)
{
    *peer = (struct sp_addr){.len = sizeof(peer->u)};
    if (SP_FAULT_ERRNO("io.accept", EMFILE))
        return -1;
    return accept4(l->fd, &peer->u.sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void take_spares(struct sp_listener *l)
{
    for (int i = 0; i < SPARES && l->words.len > 0; i++) {
        if (l->spares[i] < 0)
            l->spares[i] = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    }
}

/* Makes room for one descriptor. Another thread may be quicker to take it, hence more than one spare. returns: whether there
 * was one to give up */
static bool give_up_spare(struct sp_listener *l)
{
    for (int i = 0; i < SPARES; i++) {
        if (l->spares[i] >= 0) {
            close(l->spares[i]);
            l->spares[i] = -1;
            return true;
        }
    }
    return false;
}

static bool is_out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Takes one connection with a descriptor kept aside, says why it ends, and ends it. returns: false, and errno, if none was
 * taken: EAGAIN if nobody waits, which accept can't tell without a descriptor */
static bool turn_away(struct sp_listener *l)
{
    struct sp_addr peer;
    int fd = -1, error = EMFILE;

    while (fd < 0 && is_out_of_descriptors(error)) {
        if (!give_up_spare(l)) {
            errno = error;
            return false;
        }
        fd = take_connection(l, &peer);
        error = errno;
    }
    if (fd >= 0) {
        (void)!send(fd, l->words.ptr, l->words.len, MSG_NOSIGNAL);
        close(fd);
    }
    take_spares(l);
    if (fd >= 0 && l->on_full != NULL)
        l->on_full(l->arg);
    errno = error;
    return fd >= 0;
}

static void on_ready(void *arg, int events)
{
    struct sp_listener *l = arg;
    int one = 1;

    (void)events;
    for (int i = 0; i < ACCEPT_TURN && !l->dead && !l->hold; i++) {
        struct sp_addr peer;
        int fd = take_connection(l, &peer);

        if (fd < 0 && is_out_of_descriptors(errno)) {
            if (turn_away(l))
                continue;
            if (errno == EAGAIN)
                return;
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

    take_spares(l);
    sp_watch_set(l->watch, l->hold ? 0 : SP_READ);
}

struct sp_listener *
sp_listener_new(struct sp_loop *loop, int fd,
                void (*on_accept)(void *arg, int fd, const struct sp_addr *peer), void *arg)
{
    struct sp_listener *l = sp_calloc(1, sizeof(*l));

    *l = (struct sp_listener){
        .loop = loop, .fd = fd, .on_accept = on_accept, .arg = arg, .spares = {-1, -1}};
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
    while (give_up_spare(l))
        ;
    sp_watch_free(l->watch);
    sp_timer_free(l->rest);
    sp_loop_free_later(l->loop, sp_free, l);
}

void sp_listener_when_full(struct sp_listener *l, struct sp_bytes words, void (*on_full)(void *arg))
{
    l->words = words;
    l->on_full = on_full;
    take_spares(l);
}

void sp_listener_hold(struct sp_listener *l, bool hold)
{
    l->hold = hold;
    sp_watch_set(l->watch, hold ? 0 : SP_READ);
}

/* ---- who only hears that we have no time ---- */

static void on_dismissed(void *arg, enum sp_rc why)
{
    struct sp_stream **stream = arg;

    (void)why;
    sp_stream_free(*stream);
    sp_free(stream);
}

static void ignore_input(void *arg)
{
    (void)arg;
}

void sp_stream_dismiss(struct sp_loop *loop, int fd, struct sp_bytes words)
{
    static const struct sp_stream_events events = {.on_input = ignore_input,
                                                   .on_closed = on_dismissed};
    struct sp_stream **stream = sp_calloc(1, sizeof(struct sp_stream *));

    *stream = sp_stream_new(loop, fd, &events, stream);
    sp_stream_write(*stream, words);
    sp_stream_close_after_write(*stream);
}

int sp_listen(const struct sp_addr *at, unsigned flags, int backlog, struct sp_err *err)
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
    if ((flags & SP_LISTEN_SHARED) != 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if ((flags & SP_LISTEN_V6_ONLY) != 0)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (SP_FAULT_ERRNO("io.bind", EADDRNOTAVAIL) || bind(fd, &at->u.sa, at->len) != 0 ||
        listen(fd, backlog) != 0) {
        int error = errno;

        (void)sp_fail_errno(err, SP_E_IO, error, "can't listen on %s", text);
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int sp_stream_open(const struct sp_addr *to, const struct sp_addr *source)
{
    int fd = SP_FAULT_ERRNO("io.socket", EMFILE)
                 ? -1
                 : socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if ((source != NULL && bind(fd, &source->u.sa, source->len) != 0) ||
        ((SP_FAULT_ERRNO("io.connect", ENETUNREACH) || connect(fd, &to->u.sa, to->len) != 0) &&
         errno != EINPROGRESS)) {
        close(fd);
        return -1;
    }
    return fd;
}
