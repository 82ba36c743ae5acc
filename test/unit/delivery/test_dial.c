/*
 * Racing addresses, with real sockets: a host that is silent (its line is full, so the kernel drops what knocks), one that
 * refuses, one that answers.
 */
#include "base/clock.h"
#include "delivery/dial.h"
#include "support/check_main.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define KNOCKS 64

struct world {
    struct sp_loop *loop;
    struct sp_hop hop;
    int four, six;
    int knocks[KNOCKS];
    size_t knock_count;
    struct sp_stream *stream;
    char ip[SP_ADDR_TEXT_MAX];
    unsigned calls;
    int64_t took_ms;
};

static int64_t now_ms(const struct world *w)
{
    return sp_clock_mono_ms(sp_loop_clock(w->loop));
}

static int listen_four(uint16_t *port, int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* returns: -1 if the port is taken there */
static int listen_six(uint16_t port)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

    at.sin6_addr = in6addr_loopback;
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        (void)close(fd);
        return -1;
    }
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

/* Fills the line of the IPv4 listener until it answers no more. */
static void silence(struct world *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(w->hop.port)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (w->knock_count < KNOCKS) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        w->knocks[w->knock_count++] = fd;
        ck_assert(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
    }
    for (int i = 0; i < 5; i++)
        sp_loop_run_once(w->loop, 5);
}

static void start(struct world *w)
{
    *w = (struct world){.loop = sp_loop_new(), .six = -1};
    while (w->six < 0) { /* a port that is free in both families */
        w->hop.port = 0;
        w->four = listen_four(&w->hop.port, 0);
        w->six = listen_six(w->hop.port);
        if (w->six < 0)
            (void)close(w->four);
    }
    w->hop.address_count = 3;
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &w->hop.addresses[0]));
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.2"), &w->hop.addresses[1]));
    ck_assert(sp_dns_ip_parse(SP_LIT("::1"), &w->hop.addresses[2]));
}

static void stop(struct world *w)
{
    sp_stream_free(w->stream);
    for (size_t i = 0; i < w->knock_count; i++)
        (void)close(w->knocks[i]);
    if (w->four >= 0)
        (void)close(w->four);
    if (w->six >= 0)
        (void)close(w->six);
    sp_loop_free(w->loop);
}

static void on_dialled(void *arg, struct sp_stream *stream, const char *ip)
{
    struct world *w = arg;

    w->calls++;
    w->stream = stream;
    snprintf(w->ip, sizeof(w->ip), "%s", ip);
}

static bool only_four(void *arg, unsigned family, struct sp_addr *out,
                      const struct sp_addr **source)
{
    (void)arg;
    (void)out;
    *source = NULL;
    return family == 4;
}

static void dial(struct world *w, const struct sp_dial_plan *like)
{
    struct sp_dial_plan plan = {.loop = w->loop, .hop = &w->hop, .connect_ms = 1500};
    struct sp_dial *d;
    int64_t from_ms = now_ms(w);

    if (like != NULL)
        plan.choose = like->choose;
    d = sp_dial_new(&plan, on_dialled, w);
    ck_assert_uint_eq(w->calls, 0);
    while (w->calls == 0 && now_ms(w) - from_ms < 10000)
        sp_loop_run_once(w->loop, 5);
    w->took_ms = now_ms(w) - from_ms;
    sp_dial_free(d);
    sp_loop_run_once(w->loop, 1);
    ck_assert_uint_eq(w->calls, 1);
}

START_TEST(who_answers_first_is_taken_and_nobody_else_is_asked)
{
    struct world w;

    start(&w);
    dial(&w, NULL);
    ck_assert_ptr_nonnull(w.stream);
    ck_assert_str_eq(w.ip, "127.0.0.1");
    ck_assert_int_eq(accept(w.six, NULL, NULL), -1);
    stop(&w);
}
END_TEST

START_TEST(a_silent_address_costs_a_quarter_of_a_second)
{
    struct world w;

    start(&w);
    silence(&w);
    dial(&w, NULL);
    ck_assert_ptr_nonnull(w.stream);
    ck_assert_str_eq(w.ip, "::1"); /* before the second of the silent family */
    ck_assert_int_ge(w.took_ms, SP_DIAL_STAGGER_MS - 10);
    ck_assert_int_lt(w.took_ms, 1400); /* not the patience with one address */
    stop(&w);
}
END_TEST

START_TEST(a_refusal_costs_nothing)
{
    struct world w;

    start(&w);
    (void)close(w.four);
    w.four = -1;
    dial(&w, NULL);
    ck_assert_str_eq(w.ip, "::1");
    ck_assert_int_lt(w.took_ms, SP_DIAL_STAGGER_MS);
    stop(&w);
}
END_TEST

START_TEST(when_all_fail_that_is_told_once)
{
    struct sp_dial_plan plan = {.choose = only_four};
    struct world w;

    start(&w);
    (void)close(w.four);
    w.four = -1;
    dial(&w, &plan); /* and the family that we may not use is left alone */
    ck_assert_ptr_null(w.stream);
    ck_assert_int_eq(accept(w.six, NULL, NULL), -1);
    stop(&w);
}
END_TEST

START_TEST(one_that_is_freed_says_nothing)
{
    struct sp_dial_plan plan = {.connect_ms = 1500};
    struct world w;

    start(&w);
    silence(&w);
    plan.loop = w.loop;
    plan.hop = &w.hop;
    sp_dial_free(sp_dial_new(&plan, on_dialled, &w));
    for (int i = 0; i < 20; i++)
        sp_loop_run_once(w.loop, 2);
    ck_assert_uint_eq(w.calls, 0);
    stop(&w);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, who_answers_first_is_taken_and_nobody_else_is_asked);
    tcase_add_test(c, a_silent_address_costs_a_quarter_of_a_second);
    tcase_add_test(c, a_refusal_costs_nothing);
    tcase_add_test(c, when_all_fail_that_is_told_once);
    tcase_add_test(c, one_that_is_freed_says_nothing);
}

SP_TEST_MAIN("delivery.dial", add)
