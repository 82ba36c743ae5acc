/*
 * A tiny HTTP client on one end of a socket pair, for tests that run the server's loop in the same thread: what is sent
 * is sent, then the loop turns until a whole answer is there or nothing moves any more.
 */
#ifndef SP_TEST_SUPPORT_WEB_CLIENT_H
#define SP_TEST_SUPPORT_WEB_CLIENT_H

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct web_client {
    int fd;
    struct sp_buf in;   /* what came back */
    void (*turn)(void); /* runs the loop once, briefly */
};

static inline int web_client_pair(struct web_client *c, void (*turn)(void))
{
    int fds[2];

    sp_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    c->fd = fds[0];
    c->turn = turn;
    sp_buf_init(&c->in, 64 << 20);
    return fds[1];
}

static inline void web_client_end(struct web_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    sp_buf_clear(&c->in);
    for (int i = 0; i < 5; i++)
        c->turn();
}

/* Reads what is there. returns: false at the end of the connection */
static inline bool web_client_read(struct web_client *c)
{
    uint8_t *room = sp_buf_reserve(&c->in, 65536);
    ssize_t n = read(c->fd, room, 65536);

    if (n > 0)
        sp_buf_commit(&c->in, (size_t)n);
    return n != 0;
}

static inline void web_client_send(struct web_client *c, struct sp_bytes text)
{
    while (text.len > 0) {
        ssize_t n = send(c->fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (n > 0)
            text = sp_bytes_slice(text, (size_t)n, SIZE_MAX);
        else if (n < 0 && errno != EAGAIN)
            return;
        c->turn();
    }
}

/* Turns until the connection ends or nothing comes for some turns. */
static inline void web_client_settle(struct web_client *c)
{
    for (int quiet = 0; quiet < 6; quiet++) {
        size_t before = c->in.len;

        c->turn();
        if (!web_client_read(c))
            return;
        if (c->in.len != before)
            quiet = 0;
    }
}

/* Sends and gathers the answer; what came before is forgotten. */
static inline struct sp_bytes web_client_ask(struct web_client *c, struct sp_bytes text)
{
    sp_buf_reset(&c->in);
    web_client_send(c, text);
    web_client_settle(c);
    return sp_buf_bytes(&c->in);
}

static inline int web_client_status(struct sp_bytes answer)
{
    uint64_t status = 0;

    if (answer.len < 12 || !sp_bytes_to_u64(sp_bytes_slice(answer, 9, 3), &status))
        return 0;
    return (int)status;
}

static inline struct sp_bytes web_client_body(struct sp_bytes answer)
{
    size_t at = sp_bytes_find_all(answer, SP_LIT("\r\n\r\n"));

    return at == SIZE_MAX ? (struct sp_bytes){0} : sp_bytes_slice(answer, at + 4, SIZE_MAX);
}

static inline bool web_client_has(struct sp_bytes answer, const char *what)
{
    return sp_bytes_find_all(answer, sp_bytes_cstr(what)) != SIZE_MAX;
}

#endif
