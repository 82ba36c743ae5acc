/* The server on real sockets: routes, keep-alive, late answers, streams, limits, deadlines. */
#include "io/loop.h"
#include "support/check_main.h"
#include "support/web_client.h"
#include "web/web.h"

static struct sp_loop *loop;
static struct sp_web_server *server;
static struct web_client client;
static sp_handle late;
static int ended, ended_rc;
static size_t produced;
static bool idle;

static void turn(void)
{
    sp_loop_run_once(loop, 2);
}

static void on_hello(void *arg, struct sp_web_request *req)
{
    (void)arg;
    sp_web_reply_field(req, "X-Path", sp_web_request_head(req)->path);
    sp_web_reply(req, 200, "text/plain", SP_LIT("hello"));
}

static void on_form(void *arg, struct sp_web_request *req)
{
    struct sp_buf b;

    (void)arg;
    sp_buf_init(&b, 100);
    if (sp_web_request_form(req, SP_LIT("a"), &b))
        sp_web_reply(req, 200, "text/plain", sp_buf_bytes(&b));
    else
        sp_web_reply_error(req, 400);
    sp_buf_clear(&b);
}

static void on_late(void *arg, struct sp_web_request *req)
{
    (void)arg;
    late = sp_web_request_handle(req);
}

static enum sp_rc read_source(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    size_t *left = ctx;

    *got = len < *left ? len : *left;
    memset(out, 'x', *got);
    *left -= *got;
    produced += *got;
    return SP_OK;
}

static enum sp_rc fail_source(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    size_t *left = ctx;

    if (*left == 0)
        return SP_E_CONTENT_DAMAGED;
    return read_source(ctx, out, len, got);
}

static void end_source(void *ctx, enum sp_rc rc)
{
    sp_free(ctx);
    ended++;
    ended_rc = (int)rc;
}

static void send_stream(struct sp_web_request *req, size_t len, uint64_t promised, bool fail)
{
    size_t *left = sp_malloc(sizeof(*left));
    struct sp_web_source source = {fail ? fail_source : read_source, end_source, left};

    *left = len;
    sp_web_reply_stream(req, 200, "application/octet-stream", promised, &source);
}

static void on_big(void *arg, struct sp_web_request *req)
{
    (void)arg;
    send_stream(req, 3000000, 3000000, false);
}

static void on_chunks(void *arg, struct sp_web_request *req)
{
    (void)arg;
    send_stream(req, 100000, SP_WEB_LENGTH_UNKNOWN, false);
}

static void on_broken(void *arg, struct sp_web_request *req)
{
    (void)arg;
    send_stream(req, 100000, SP_WEB_LENGTH_UNKNOWN, true);
}

static const struct sp_web_route routes[] = {
    {SP_WEB_GET, "/", 0, on_hello},        {SP_WEB_POST, "/form", 100, on_form},
    {SP_WEB_GET, "/late", 0, on_late},     {SP_WEB_GET, "/big", 0, on_big},
    {SP_WEB_GET, "/chunks", 0, on_chunks}, {SP_WEB_GET, "/broken", 0, on_broken},
};

static void begin_with(struct sp_web_limits limits)
{
    struct sp_web_options o = {.routes = routes,
                               .route_count = SP_ARRAY_LEN(routes),
                               .headers = "X-Always: 1\r\n",
                               .content_policy = "default-src 'none'",
                               .limits = limits};

    loop = sp_loop_new();
    o.loop = loop;
    server = sp_web_server_new(&o);
    sp_web_server_accept(server, web_client_pair(&client, turn), &(struct sp_addr){0});
    late = 0;
    ended = 0;
    produced = 0;
    idle = false;
}

static void begin(void)
{
    begin_with((struct sp_web_limits){0});
}

static void end(void)
{
    web_client_end(&client);
    sp_web_server_free(server);
    sp_loop_free(loop);
}

#define GET(path) SP_LIT("GET " path " HTTP/1.1\r\nHost: a\r\n\r\n")

START_TEST(a_connection_serves_many_requests)
{
    begin();
    for (int i = 0; i < 3; i++) {
        struct sp_bytes a = web_client_ask(&client, GET("/"));

        ck_assert_int_eq(web_client_status(a), 200);
        ck_assert(web_client_has(a, "\r\nX-Always: 1\r\n") &&
                  web_client_has(a, "\r\nX-Path: /\r\n"));
        ck_assert(web_client_has(a, "\r\nContent-Security-Policy: default-src 'none'\r\n"));
        ck_assert(web_client_has(a, " GMT\r\n") && web_client_has(a, "\r\nContent-Length: 5\r\n"));
        ck_assert(sp_bytes_eq(web_client_body(a), SP_LIT("hello")));
    }
    end();
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    struct sp_bytes a;
    size_t count = 0, at;

    begin();
    for (int i = 0; i < 50; i++)
        web_client_send(&client, GET("/"));
    web_client_settle(&client);
    a = sp_buf_bytes(&client.in);
    while ((at = sp_bytes_find_all(a, SP_LIT("HTTP/1.1 200 OK\r\n"))) != SIZE_MAX) {
        count++;
        a = sp_bytes_slice(a, at + 1, SIZE_MAX);
    }
    ck_assert_uint_eq(count, 50);
    end();
}
END_TEST

START_TEST(head_has_no_body)
{
    struct sp_bytes a;

    begin();
    a = web_client_ask(&client, SP_LIT("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
    ck_assert(web_client_has(a, "Content-Length: 5\r\n") && web_client_body(a).len == 0);
    a = web_client_ask(&client, SP_LIT("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    ck_assert(web_client_has(a, "Content-Length: 3000000\r\n") && web_client_body(a).len == 0);
    ck_assert(ended == 1 && ended_rc == SP_OK && produced == 0);
    end();
}
END_TEST

static const struct {
    const char *request;
    int status;
    bool closes;
} refusals[] = {
    {"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
    {"GET /form HTTP/1.1\r\nHost: a\r\n\r\n", 405, false},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405, true},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 413, true},
    {"POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413, true},
    {"GET / HTTP/1.1\nHost: a\n\n", 400, true},
    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 505, true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, true},
};

START_TEST(what_is_refused_and_what_ends_the_connection)
{
    struct sp_bytes a;

    begin();
    a = web_client_ask(&client, sp_bytes_cstr(refusals[_i].request));
    ck_assert_msg(web_client_status(a) == refusals[_i].status, "%s", refusals[_i].request);
    ck_assert_int_eq(web_client_has(a, "Connection: close\r\n"), refusals[_i].closes);
    ck_assert_msg(web_client_read(&client) != refusals[_i].closes, "%s", refusals[_i].request);
    if (refusals[_i].status == 405 && !refusals[_i].closes)
        ck_assert(web_client_has(a, "\r\nAllow: POST\r\n"));
    end();
}
END_TEST

START_TEST(a_body_comes_in_pieces)
{
    struct sp_bytes head = SP_LIT("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n"
                                  "Content-Type: application/x-www-form-urlencoded\r\n\r\n");

    begin();
    for (size_t i = 0; i < head.len; i++)
        web_client_send(&client, sp_bytes_slice(head, i, 1));
    web_client_send(&client, SP_LIT("a=b"));
    ck_assert_int_eq(web_client_status(web_client_ask(&client, SP_LIT("cdef"))), 200);
    ck_assert(sp_bytes_eq(web_client_body(sp_buf_bytes(&client.in)), SP_LIT("bcdef")));
    web_client_send(&client, SP_LIT("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                                    "Content-Type: application/x-www-form-urlencoded\r\n"
                                    "Expect: 100-continue\r\n\r\n"));
    ck_assert_int_eq(web_client_status(web_client_ask(&client, (struct sp_bytes){0})), 100);
    ck_assert_int_eq(web_client_status(web_client_ask(&client, SP_LIT("a=1"))), 200);
    end();
}
END_TEST

START_TEST(an_answer_may_come_later)
{
    begin();
    ck_assert_uint_eq(web_client_ask(&client, GET("/late")).len, 0);
    ck_assert_ptr_nonnull(sp_web_server_find(server, late));
    sp_web_reply(sp_web_server_find(server, late), 200, "text/plain", SP_LIT("late"));
    ck_assert_ptr_null(sp_web_server_find(server, late));
    web_client_settle(&client);
    ck_assert(sp_bytes_eq(web_client_body(sp_buf_bytes(&client.in)), SP_LIT("late")));
    web_client_ask(&client, GET("/late"));
    close(client.fd);
    client.fd = -1;
    for (int i = 0; i < 5; i++)
        turn();
    ck_assert_ptr_null(sp_web_server_find(server, late));
    end();
}
END_TEST

START_TEST(a_long_answer_streams)
{
    struct sp_bytes a;

    begin();
    web_client_send(&client, GET("/big"));
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_uint_lt(produced, 1500000); /* a slow reader is not run ahead of */
    web_client_settle(&client);
    a = sp_buf_bytes(&client.in);
    ck_assert_uint_eq(web_client_body(a).len, 3000000);
    ck_assert(ended == 1 && ended_rc == SP_OK);
    a = web_client_ask(&client, GET("/chunks"));
    ck_assert(web_client_has(a, "Transfer-Encoding: chunked\r\n"));
    ck_assert(web_client_has(a, "\r\n0\r\n\r\n"));
    ck_assert_int_eq(web_client_status(web_client_ask(&client, GET("/"))), 200);
    end();
}
END_TEST

START_TEST(a_source_that_fails_cuts_the_connection)
{
    struct sp_bytes a;

    begin();
    a = web_client_ask(&client, GET("/broken"));
    ck_assert(!web_client_has(a, "\r\n0\r\n\r\n"));
    ck_assert(!web_client_read(&client));
    ck_assert(ended == 1 && ended_rc == SP_E_CONTENT_DAMAGED);
    end();
}
END_TEST

START_TEST(a_gone_client_ends_its_source)
{
    begin();
    web_client_send(&client, GET("/big"));
    close(client.fd);
    client.fd = -1;
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert(ended == 1 && ended_rc != SP_OK);
    end();
}
END_TEST

/* Turns for about ms of real time. */
static void wait_ms(int64_t ms)
{
    const struct sp_clock *clock = sp_loop_clock(loop);
    int64_t until;

    turn();
    until = sp_clock_mono_ms(clock) + ms;
    while (sp_clock_mono_ms(clock) < until)
        turn();
}

START_TEST(single_bytes_do_not_stretch_a_deadline)
{
    struct sp_bytes text = GET("/");
    size_t sent = 0;

    begin_with((struct sp_web_limits){.head_ms = 60, .idle_ms = 5000});
    while (sent < text.len - 1 && client.in.len == 0) {
        web_client_send(&client, sp_bytes_slice(text, sent++, 1));
        wait_ms(5);
        web_client_read(&client);
    }
    web_client_settle(&client);
    ck_assert_int_eq(web_client_status(sp_buf_bytes(&client.in)), 408);
    end();
}
END_TEST

START_TEST(an_idle_connection_is_closed)
{
    begin_with((struct sp_web_limits){.idle_ms = 20});
    wait_ms(40);
    ck_assert(!web_client_read(&client));
    end();
}
END_TEST

static void set_idle(void *arg)
{
    *(bool *)arg = true;
}

START_TEST(a_client_that_takes_nothing_is_cut_off)
{
    begin_with((struct sp_web_limits){.stall_ms = 20});
    web_client_send(&client, GET("/big"));
    wait_ms(100);
    ck_assert(ended == 1 && ended_rc == SP_E_TIMEOUT);
    web_client_end(&client);
    sp_web_server_accept(server, web_client_pair(&client, turn), &(struct sp_addr){0});
    web_client_ask(&client, SP_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    wait_ms(60); /* it has all, but does not close */
    sp_web_server_drain(server, 5000, set_idle, &idle);
    turn();
    turn();
    ck_assert(idle);
    end();
}
END_TEST

START_TEST(connections_are_counted)
{
    struct web_client more;
    int fd;

    begin_with((struct sp_web_limits){.connections_address = 1});
    fd = web_client_pair(&more, turn);
    sp_web_server_accept(server, fd, &(struct sp_addr){0});
    turn();
    ck_assert(!web_client_read(&more));
    web_client_end(&more);
    web_client_end(&client);
    sp_web_server_accept(server, web_client_pair(&client, turn), &(struct sp_addr){0});
    ck_assert_int_eq(web_client_status(web_client_ask(&client, GET("/"))), 200);
    end();
}
END_TEST

START_TEST(draining_lets_the_last_answer_out)
{
    begin();
    web_client_ask(&client, GET("/late"));
    sp_web_server_drain(server, 5000, set_idle, &idle);
    turn();
    ck_assert(!idle);
    sp_web_reply(sp_web_server_find(server, late), 200, "text/plain", SP_LIT("late"));
    web_client_settle(&client);
    ck_assert(web_client_has(sp_buf_bytes(&client.in), "Connection: close\r\n"));
    close(client.fd);
    client.fd = -1;
    for (int i = 0; i < 5; i++)
        turn();
    ck_assert(idle);
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_connection_serves_many_requests);
    tcase_add_test(c, pipelined_requests_are_answered_in_order);
    tcase_add_test(c, head_has_no_body);
    tcase_add_loop_test(c, what_is_refused_and_what_ends_the_connection, 0, SP_ARRAY_LEN(refusals));
    tcase_add_test(c, a_body_comes_in_pieces);
    tcase_add_test(c, an_answer_may_come_later);
    tcase_add_test(c, a_long_answer_streams);
    tcase_add_test(c, a_source_that_fails_cuts_the_connection);
    tcase_add_test(c, a_gone_client_ends_its_source);
    tcase_add_test(c, single_bytes_do_not_stretch_a_deadline);
    tcase_add_test(c, an_idle_connection_is_closed);
    tcase_add_test(c, a_client_that_takes_nothing_is_cut_off);
    tcase_add_test(c, connections_are_counted);
    tcase_add_test(c, draining_lets_the_last_answer_out);
}

SP_TEST_MAIN("web.server", add)
