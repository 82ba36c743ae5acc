/*
 * One question to one server: a datagram from a socket of its own (so the kernel picks a random port and shows only
 * what comes from that server), and the same question over TCP where the answer was cut, too large, or came back in
 * other letters than we wrote. What does not fit the query is dropped, and the wait goes on: a forger gains nothing
 * by being first.
 */
#include "base/buf.h"
#include "base/fault.h"
#include "dns/dns_priv.h"
#include "dns/wire.h"
#include "io/addr.h"
#include "io/loop.h"
#include "io/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERROR_MS         2000
#define DATAGRAMS_A_TURN 16

struct sp_dns_exchange {
    struct sp_dns_exchange_plan plan;
    struct sp_addr to;
    struct sp_buf query;
    int fd;
    struct sp_watch *watch;
    struct sp_stream *tcp;
    struct sp_timer *timer;
    const struct sp_dns_answer *result; /* set when it is over; the timer brings it */
    sp_dns_exchange_fn fn;
    void *arg;
};

static int64_t now_ms(const struct sp_dns_exchange *x)
{
    return sp_clock_mono_ms(sp_loop_clock(x->plan.loop));
}

static void close_udp(struct sp_dns_exchange *x)
{
    sp_watch_free(x->watch);
    x->watch = NULL;
    if (x->fd >= 0)
        (void)close(x->fd);
    x->fd = -1;
}

/* Ends it; the call back comes on a turn of its own, so that no caller is still inside us. */
static void finish(struct sp_dns_exchange *x, const struct sp_dns_answer *a)
{
    if (x->result != NULL) {
        sp_dns_answer_unref(a);
        return;
    }
    close_udp(x);
    x->result = a;
    sp_timer_start(x->timer, 0);
}

static void fail(struct sp_dns_exchange *x, enum sp_rc rc)
{
    finish(x, sp_dns_answer_error(rc, now_ms(x) + ERROR_MS));
}

static void read_answer(struct sp_dns_exchange *x, struct sp_bytes packet)
{
    finish(x, sp_dns_wire_read(packet, x->plan.type, x->plan.trusted, now_ms(x)));
}

/* ---- TCP ---- */
static void on_tcp_connected(void *arg, enum sp_rc rc)
{
    struct sp_dns_exchange *x = arg;
    uint8_t len[2] = {(uint8_t)(x->query.len >> 8), (uint8_t)x->query.len};

    if (rc != SP_OK) {
        fail(x, SP_E_DNS_TIMEOUT);
        return;
    }
    sp_stream_write(x->tcp, sp_bytes(len, sizeof(len)));
    sp_stream_write(x->tcp, sp_buf_bytes(&x->query));
}

static void on_tcp_input(void *arg)
{
    struct sp_dns_exchange *x = arg;
    struct sp_bytes in = sp_stream_input(x->tcp);
    struct sp_bytes packet;
    size_t len;

    if (in.len < 2 || x->result != NULL)
        return;
    len = (size_t)in.ptr[0] << 8 | in.ptr[1];
    packet = sp_bytes_slice(in, 2, len);
    if (packet.len < len)
        return;
    /* Over TCP no letter case is asked for: the connection itself is the proof. */
    if (sp_dns_wire_fit(sp_buf_bytes(&x->query), packet) == SP_DNS_FIT_OTHER) {
        x->plan.stats->dropped++;
        fail(x, SP_E_DNS_MALFORMED);
        return;
    }
    read_answer(x, packet);
}

static void on_tcp_closed(void *arg, enum sp_rc why)
{
    (void)why;
    fail(arg, SP_E_DNS_TIMEOUT);
}

static const struct sp_stream_events tcp_events = {
    .on_connected = on_tcp_connected,
    .on_input = on_tcp_input,
    .on_closed = on_tcp_closed,
};

static void ask_by_tcp(struct sp_dns_exchange *x)
{
    close_udp(x);
    if (x->tcp != NULL)
        return;
    x->plan.stats->tcp++;
    sp_timer_start(x->timer, x->plan.timeout_ms);
    x->tcp = sp_stream_connect(x->plan.loop, &x->to, NULL, x->plan.timeout_ms, &tcp_events, x);
}

/* ---- UDP ---- */
static void on_datagram(struct sp_dns_exchange *x, struct sp_bytes packet)
{
    enum sp_dns_fit fit = sp_dns_wire_fit(sp_buf_bytes(&x->query), packet);

    if (fit == SP_DNS_FIT_OTHER)
        x->plan.stats->dropped++;
    else if (fit == SP_DNS_FIT_CASE || sp_dns_wire_is_cut(packet))
        ask_by_tcp(x);
    else
        read_answer(x, packet);
}

static void on_readable(void *arg, int events)
{
    struct sp_dns_exchange *x = arg;
    uint8_t packet[4096];

    (void)events;
    for (int i = 0; i < DATAGRAMS_A_TURN && x->fd >= 0; i++) {
        ssize_t n = SP_FAULT_ERRNO("dns.receive", EIO)
                        ? -1
                        : recv(x->fd, packet, sizeof(packet), MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) { /* ECONNREFUSED: nobody listens there */
            fail(x, SP_E_DNS_TIMEOUT);
            return;
        }
        if ((size_t)n > sizeof(packet)) /* more than we asked for */
            ask_by_tcp(x);
        else
            on_datagram(x, sp_bytes(packet, (size_t)n));
    }
}

static bool ask_by_udp(struct sp_dns_exchange *x)
{
    x->fd = SP_FAULT("dns.socket")
                ? -1
                : socket(x->to.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (x->fd < 0 || connect(x->fd, &x->to.u.sa, x->to.len) != 0)
        return false;
    if (SP_FAULT("dns.send") ||
        send(x->fd, x->query.ptr, x->query.len, MSG_NOSIGNAL) != (ssize_t)x->query.len)
        return false;
    x->plan.stats->datagrams++;
    x->watch = sp_watch_new(x->plan.loop, x->fd, on_readable, x);
    sp_watch_set(x->watch, SP_READ);
    return true;
}

/* ---- the end ---- */

static void on_timer(void *arg)
{
    struct sp_dns_exchange *x = arg;
    const struct sp_dns_answer *a;

    /* A process that stood still finds its time over and the answer there: a turn of the loop reads few of many sockets. */
    if (x->result == NULL && x->fd >= 0) {
        on_readable(x, SP_READ);
        if (x->result == NULL && x->tcp != NULL)
            return; /* it was cut, and has its time by TCP */
    }
    a = x->result;
    if (a == NULL)
        a = sp_dns_answer_error(SP_E_DNS_TIMEOUT, now_ms(x) + ERROR_MS);
    x->result = NULL;
    x->fn(x->arg, a);
}

struct sp_dns_exchange *sp_dns_exchange_new(const struct sp_dns_exchange_plan *plan,
                                            sp_dns_exchange_fn fn, void *arg)
{
    struct sp_dns_exchange *x = sp_calloc(1, sizeof(*x));
    size_t ip_len = plan->server->ip.family == 4 ? 4 : 16;

    x->plan = *plan;
    x->fn = fn;
    x->arg = arg;
    x->fd = -1;
    x->timer = sp_timer_new(plan->loop, on_timer, x);
    sp_buf_init(&x->query, SP_DNS_QUERY_MAX);
    if (!sp_addr_from_raw(sp_bytes(plan->server->ip.b, ip_len), plan->server->port, &x->to) ||
        sp_dns_wire_query(plan->name, plan->type, plan->unchecked, plan->random, &x->query) !=
            SP_OK) {
        fail(x, SP_E_DNS_MALFORMED);
        return x;
    }
    sp_timer_start(x->timer, plan->timeout_ms);
    if (!ask_by_udp(x))
        fail(x, SP_E_DNS_TIMEOUT);
    return x;
}

void sp_dns_exchange_free(struct sp_dns_exchange *x)
{
    if (x == NULL)
        return;
    close_udp(x);
    sp_stream_free(x->tcp);
    sp_timer_free(x->timer);
    sp_dns_answer_unref(x->result);
    sp_buf_clear(&x->query);
    sp_free(x);
}
