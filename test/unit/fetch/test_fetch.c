/*
 * Fetches that come to nothing, in every way, each told exactly once. What comes well is shown end to end.
 */
#include "fetch/fetch.h"
#include "io/stream.h"
#include "support/check_main.h"

#include <unistd.h>

struct world {
    struct sp_loop *loop;
    struct sp_fetch *f;
    struct sp_listener *listener;
    int fd;
    uint16_t port;
    bool talks; /* nonsense, instead of silence */
    int peers[4];
    size_t peer_count;
    unsigned calls;
    enum sp_rc rc;
};

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    struct world *w = arg;

    (void)peer;
    if (w->talks)
        ck_assert_int_eq(write(fd, "220 not TLS\r\n", 13), 13);
    ck_assert_uint_lt(w->peer_count, 4);
    w->peers[w->peer_count++] = fd;
}

static void start(struct world *w, bool talks)
{
    struct sp_addr at;
    socklen_t len = sizeof(at.u);
    struct sp_err err;

    *w = (struct world){.loop = sp_loop_new(), .talks = talks};
    ck_assert(sp_addr_parse(SP_LIT("127.0.0.1:1"), &at));
    at.u.in4.sin_port = 0;
    w->fd = sp_listen(&at, 0, 4, &err);
    ck_assert_int_ge(w->fd, 0);
    ck_assert_int_eq(getsockname(w->fd, &at.u.sa, &len), 0);
    w->port = sp_addr_port(&at);
    w->listener = sp_listener_new(w->loop, w->fd, on_accept, w);
    ck_assert_int_eq(sp_fetch_new(w->loop, NULL, SP_LIT(""), &w->f), SP_OK);
}

static void stop(struct world *w)
{
    sp_fetch_free(w->f);
    sp_listener_free(w->listener);
    (void)close(w->fd);
    for (size_t i = 0; i < w->peer_count; i++)
        (void)close(w->peers[i]);
    sp_loop_free(w->loop);
}

static void on_reply(void *arg, const struct sp_fetch_reply *reply)
{
    struct world *w = arg;

    w->calls++;
    w->rc = reply->rc;
    ck_assert_int_eq(reply->status, 0);
}

static sp_handle get(struct world *w, uint16_t port, size_t addresses)
{
    struct sp_fetch_request r = {.host = "mta-sts.a.test",
                                 .port = port,
                                 .path = "/x",
                                 .addresses = {"127.0.0.1"},
                                 .address_count = addresses,
                                 .body_max = 1000,
                                 .timeout_ms = 300};

    return sp_fetch_start(w->f, &r, on_reply, w);
}

static void run(struct world *w)
{
    for (int i = 0; i < 300 && w->calls == 0; i++)
        sp_loop_run_once(w->loop, 10);
    for (int i = 0; i < 5; i++)
        sp_loop_run_once(w->loop, 1);
}

START_TEST(failures_have_their_codes)
{
    static const struct {
        const char *name;
        bool talks;
        bool nobody;
        size_t addresses;
        enum sp_rc rc;
    } cases[] = {
        {"no address", false, false, 0, SP_E_FETCH_FAILED},
        {"nobody listens", false, true, 1, SP_E_FETCH_FAILED},
        {"silence", false, false, 1, SP_E_TIMEOUT},
        {"no TLS", true, false, 1, SP_E_TLS_UNTRUSTED},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct world w;

        start(&w, cases[i].talks);
        get(&w, cases[i].nobody ? 1 : w.port, cases[i].addresses);
        ck_assert_uint_eq(w.calls, 0);
        run(&w);
        ck_assert_msg(w.calls == 1, "%s: %u calls", cases[i].name, w.calls);
        ck_assert_msg(w.rc == cases[i].rc, "%s: %s", cases[i].name, sp_rc_name(w.rc));
        stop(&w);
    }
}
END_TEST

START_TEST(a_cancelled_fetch_is_silent)
{
    struct world w;
    sp_handle h;

    start(&w, false);
    h = get(&w, w.port, 1);
    for (int i = 0; i < 3; i++)
        sp_loop_run_once(w.loop, 5);
    sp_fetch_cancel(w.f, h);
    sp_fetch_cancel(w.f, h);
    for (int i = 0; i < 60; i++)
        sp_loop_run_once(w.loop, 10);
    ck_assert_uint_eq(w.calls, 0);
    get(&w, w.port, 1); /* still out at the end */
    sp_loop_run_once(w.loop, 5);
    stop(&w);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, failures_have_their_codes);
    tcase_add_test(c, a_cancelled_fetch_is_silent);
}

SP_TEST_MAIN("fetch", add)
