/*
 * The server: recvfrom and sendto on a watch, one stream for each TCP connection.
 */
#include "support/dns_server.h"

#include "base/map.h"
#include "io/stream.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define HEADER_LEN 12
#define TRIES_MAX  100

struct conn {
    struct sp_list at;
    struct dns_server *s;
    struct sp_stream *stream;
};

struct dns_server {
    struct sp_loop *loop;
    dns_server_fn fn;
    void *arg;
    int udp;
    int tcp;
    uint16_t port;
    struct sp_watch *watch;
    struct sp_listener *listener;
    struct sp_list conns;
    unsigned queries;
    uint16_t asker;
};

static void on_udp(void *arg, int events)
{
    struct dns_server *s = arg;
    uint8_t packet[4096];
    struct sp_addr from = {.len = sizeof(from.u)};
    struct sp_buf out;
    ssize_t n;

    (void)events;
    n = recvfrom(s->udp, packet, sizeof(packet), 0, &from.u.sa, &from.len);
    if (n < HEADER_LEN)
        return;
    s->asker = sp_addr_port(&from);
    sp_buf_init(&out, 65535);
    s->fn(s->arg, sp_bytes(packet, (size_t)n), false, ++s->queries, &out);
    if (out.len > 0)
        (void)sendto(s->udp, out.ptr, out.len, 0, &from.u.sa, from.len);
    sp_buf_clear(&out);
}

static void on_input(void *arg)
{
    struct conn *c = arg;
    struct sp_bytes in = sp_stream_input(c->stream);
    struct sp_buf out;
    uint8_t len[2];
    size_t want;

    if (in.len < 2)
        return;
    want = (size_t)in.ptr[0] << 8 | in.ptr[1];
    if (in.len < want + 2)
        return;
    sp_buf_init(&out, 65535);
    c->s->fn(c->s->arg, sp_bytes_slice(in, 2, want), true, ++c->s->queries, &out);
    sp_stream_consume(c->stream, want + 2);
    len[0] = (uint8_t)(out.len >> 8);
    len[1] = (uint8_t)out.len;
    sp_stream_write(c->stream, sp_bytes(len, 2));
    sp_stream_write(c->stream, sp_buf_bytes(&out));
    sp_buf_clear(&out);
}

static void on_closed(void *arg, enum sp_rc why)
{
    struct conn *c = arg;

    (void)why;
    sp_list_remove(&c->at);
    sp_stream_free(c->stream);
    sp_free(c);
}

static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    struct dns_server *s = arg;
    struct conn *c = sp_calloc(1, sizeof(*c));

    (void)peer;
    c->s = s;
    sp_list_append(&s->conns, &c->at);
    c->stream = sp_stream_new(s->loop, fd, &events, c);
}

/* One port for both: what is free for TCP may be somebody's for UDP. returns: false if so */
static bool bind_both(struct dns_server *s)
{
    struct sp_addr at;
    socklen_t len = sizeof(at.u);
    struct sp_err err;

    sp_assert(sp_addr_parse(SP_LIT("127.0.0.1:1"), &at));
    at.u.in4.sin_port = 0;
    s->tcp = sp_listen(&at, 0, 16, &err);
    sp_assert(s->tcp >= 0 && getsockname(s->tcp, &at.u.sa, &len) == 0);
    s->port = sp_addr_port(&at);
    s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sp_assert(s->udp >= 0);
    if (bind(s->udp, &at.u.sa, len) == 0)
        return true;
    sp_assert(errno == EADDRINUSE);
    (void)close(s->udp);
    (void)close(s->tcp);
    return false;
}

struct dns_server *dns_server_new(struct sp_loop *loop, dns_server_fn fn, void *arg)
{
    struct dns_server *s = sp_calloc(1, sizeof(*s));
    unsigned tries = 0;

    s->loop = loop;
    s->fn = fn;
    s->arg = arg;
    sp_list_init(&s->conns);
    while (!bind_both(s))
        sp_assert(++tries < TRIES_MAX);
    s->watch = sp_watch_new(loop, s->udp, on_udp, s);
    sp_watch_set(s->watch, SP_READ);
    s->listener = sp_listener_new(loop, s->tcp, on_accept, s);
    return s;
}

void dns_server_free(struct dns_server *s)
{
    SP_LIST_EACH(at, &s->conns)
    on_closed(SP_CONTAINER(at, struct conn, at), SP_OK);
    sp_watch_free(s->watch);
    sp_listener_free(s->listener);
    (void)close(s->udp);
    (void)close(s->tcp);
    sp_free(s);
}

uint16_t dns_server_port(const struct dns_server *s)
{
    return s->port;
}

uint16_t dns_server_asker(const struct dns_server *s)
{
    return s->asker;
}

unsigned dns_server_queries(const struct dns_server *s)
{
    return s->queries;
}

static size_t question_end(struct sp_bytes query)
{
    size_t at = HEADER_LEN;

    while (query.ptr[at] != 0)
        at += (size_t)query.ptr[at] + 1;
    return at + 5;
}

static void put_be(struct sp_buf *out, uint32_t v, int octets)
{
    for (int i = octets - 1; i >= 0; i--)
        sp_buf_put_u8(out, (uint8_t)(v >> (8 * i)));
}

void dns_reply(struct sp_buf *out, struct sp_bytes query, int rcode, int flags)
{
    sp_buf_put(out, sp_bytes(query.ptr, 2));
    sp_buf_put_u8(out, (uint8_t)(0x81 | ((flags & DNS_TC) != 0 ? 2 : 0)));
    sp_buf_put_u8(out, (uint8_t)(0x80 | ((flags & DNS_AD) != 0 ? 0x20 : 0) | rcode));
    put_be(out, 1, 2);
    put_be(out, 0, 2);
    put_be(out, 0, 2);
    put_be(out, 0, 2);
    sp_buf_put(out, sp_bytes(query.ptr + HEADER_LEN, question_end(query) - HEADER_LEN));
}

void dns_name(struct sp_buf *out, const char *name)
{
    struct sp_bytes rest = sp_bytes_cstr(name);
    struct sp_bytes label;

    while (rest.len > 0 && sp_bytes_split(&rest, '.', &label)) {
        sp_buf_put_u8(out, (uint8_t)label.len);
        sp_buf_put(out, label);
    }
    sp_buf_put_u8(out, 0);
}

void dns_reply_rr(struct sp_buf *out, const char *owner, uint16_t type, uint32_t ttl,
                  struct sp_bytes rdata, bool authority)
{
    if (owner == NULL)
        put_be(out, 0xC00C, 2);
    else
        dns_name(out, owner);
    put_be(out, type, 2);
    put_be(out, 1, 2);
    put_be(out, ttl, 4);
    put_be(out, (uint32_t)rdata.len, 2);
    sp_buf_put(out, rdata);
    out->ptr[authority ? 9 : 7]++;
}

uint16_t dns_query_type(struct sp_bytes query)
{
    size_t at = question_end(query) - 4;

    return (uint16_t)(query.ptr[at] << 8 | query.ptr[at + 1]);
}

bool dns_query_is_unchecked(struct sp_bytes query)
{
    return (query.ptr[3] & 0x10) != 0;
}

const char *dns_query_name(struct sp_bytes query)
{
    static char text[256];
    size_t to = 0;

    for (size_t at = HEADER_LEN; query.ptr[at] != 0;) {
        size_t len = query.ptr[at++];

        if (to > 0)
            text[to++] = '.';
        for (; len > 0; len--)
            text[to++] = (char)sp_ascii_lower(query.ptr[at++]);
    }
    text[to] = '\0';
    return text;
}
