/*
 * Connections to one place: shared, limited, let go, and a dead host that costs its own queue alone.
 */
#include "delivery/pool_priv.h"
#include "support/check_main.h"
#include "support/smtp_sink.h"
#include "transport/transport_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct sp_loop *loop;
    struct smtp_sink *sink;
    struct sp_tls_context *tls;
    struct sp_pool *pool;
    const struct sp_route *route;
    struct sp_content_writer *writer;
    struct sp_content content;
};

/* of the next world */
static struct sp_lines *w_lines;
static void (*w_on_room)(void *arg);
static void *w_arg;
static const struct sp_sites *w_sites;
static unsigned w_total;
static size_t (*w_places)(void *arg, const struct sp_pool_places *ask);

struct sending { /* one message on its way */
    struct world *w;
    struct sp_source source;
    unsigned calls, results;
    enum sp_rc rc;
    enum sp_smtp_rcpt_state state;
};

static const struct sp_route *route_by(const char *name, uint16_t port)
{
    struct sp_hop hop = {.name = sp_bytes_cstr(name),
                         .base = sp_bytes_cstr(name),
                         .port = port,
                         .is_address = true,
                         .address_count = 1};
    struct sp_route like = {.domain = SP_LIT("a.test"), .hops = &hop, .hop_count = 1};

    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &hop.addresses[0]));
    return sp_route_copy(&like);
}

static const struct sp_route *route_by_two(const char *first, const char *second, uint16_t port)
{
    struct sp_hop hops[2];
    struct sp_route like = {.domain = SP_LIT("a.test"), .hops = hops, .hop_count = 2};

    for (size_t i = 0; i < 2; i++) {
        struct sp_bytes name = sp_bytes_cstr(i == 0 ? first : second);

        hops[i] = (struct sp_hop){
            .name = name, .base = name, .port = port, .is_address = true, .address_count = 1};
        ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &hops[i].addresses[0]));
    }
    return sp_route_copy(&like);
}

static const struct sp_route *make_route(uint16_t port)
{
    return route_by("127.0.0.1", port);
}

static void start(struct world *w, unsigned site_max, int64_t idle_ms)
{
    struct sp_tls_client_config tls = {.system_trust = false};
    struct sp_pool_settings settings = {.hostname = "gw.test",
                                        .connect_ms = 1000,
                                        .idle_ms = idle_ms,
                                        .rest_ms = 60000,
                                        .total_max = w_total == 0 ? 100 : w_total,
                                        .places = w_places,
                                        .site_max = site_max,
                                        .messages_max = 1000};
    struct sp_id id = {{1}};
    struct sp_err err;

    *w = (struct world){.loop = sp_loop_new()};
    w->sink = smtp_sink_new(w->loop);
    w->tls = sp_tls_client_new(&tls, &err);
    ck_assert_ptr_nonnull(w->tls);
    settings.loop = w->loop;
    settings.lines = w_lines;
    settings.on_room = w_on_room;
    settings.arg = w_arg;
    settings.sites = w_sites;
    settings.tls = w->tls;
    w->pool = sp_pool_new(&settings);
    w->route = make_route(smtp_sink_port(w->sink));
    w->writer = sp_content_writer_new(&id, sp_random_system(), NULL);
    ck_assert_int_eq(sp_content_writer_feed(w->writer, SP_LIT("Subject: x\r\n\r\n.hello\r\n")),
                     SP_OK);
    ck_assert_int_eq(sp_content_writer_finish(w->writer), SP_OK);
    sp_content_writer_handle(w->writer, -1, 0, &w->content);
}

static enum sp_pool_rank shown_by(const struct sp_pool_site *s, size_t stalling)
{
    if (stalling > 0 || s->score == 0)
        return SP_POOL_RANK_NEW;
    return s->score < 16 ? SP_POOL_RANK_KNOWN : SP_POOL_RANK_PROVEN;
}

/* Counts a site's links and waiters one by one. */
static void add_site(struct sp_pool_site *s, struct sp_pool_used by_rank[], size_t *leaving)
{
    size_t links = 0, waiting[SP_LANE_COUNT] = {0}, all = 0, stalling = 0;

    SP_LIST_EACH(h, &s->hosts)
    SP_LIST_EACH(i, &SP_CONTAINER(h, struct sp_pool_host, in_site)->links)
    {
        const struct sp_pool_link *l = SP_CONTAINER(i, struct sp_pool_link, in_host);

        links++;
        *leaving += l->leaving;
        stalling += l->stalls;
    }
    SP_LIST_EACH(h, &s->shares)
    for (size_t lane = 0; lane < SP_LANE_COUNT; lane++)
        SP_LIST_EACH(i, &SP_CONTAINER(h, struct sp_pool_share, at)->lanes[lane].waiters)
    waiting[lane]++;
    ck_assert_uint_eq(s->link_count, links);
    ck_assert_uint_eq(s->stalling, stalling);
    ck_assert_int_eq(s->rank, shown_by(s, stalling));
    by_rank[s->rank].links += links;
    for (size_t lane = 0; lane < SP_LANE_COUNT; lane++) {
        ck_assert_uint_eq(s->lane_waiting[lane], waiting[lane]);
        by_rank[s->rank].waiting[lane] += waiting[lane];
        all += waiting[lane];
    }
    ck_assert_uint_eq(s->waiting, all);
}

static void expect_used(const struct sp_pool_used *used, const struct sp_pool_used *counted)
{
    ck_assert_uint_eq(used->links, counted->links);
    for (size_t lane = 0; lane < SP_LANE_COUNT; lane++)
        ck_assert_uint_eq(used->waiting[lane], counted->waiting[lane]);
}

/* What is counted as it changes is what there is, in each rank. */
static void check_counts(const struct world *w)
{
    struct sp_pool_used by_rank[SP_POOL_RANK_COUNT] = {{0}}, sum = {0};
    size_t leaving = 0, at = 0;
    struct sp_bytes key;
    void *value;

    (void)sp_pool_used(w->pool, SP_POOL_RANK_PROVEN); /* who stalls by now is counted so */
    while (sp_map_next(w->pool->sites, &at, &key, &value))
        add_site(value, by_rank, &leaving);
    for (size_t rank = 0; rank < SP_POOL_RANK_COUNT; rank++) {
        struct sp_pool_used used = sp_pool_used(w->pool, (enum sp_pool_rank)rank);

        sum.links += by_rank[rank].links;
        for (size_t lane = 0; lane < SP_LANE_COUNT; lane++)
            sum.waiting[lane] += by_rank[rank].waiting[lane];
        expect_used(&used, &sum);
    }
    ck_assert_uint_eq(sp_pool_stats(w->pool).open, sum.links);
    ck_assert_uint_eq(w->pool->leaving, leaving);
}

static void stop(struct world *w)
{
    check_counts(w);
    sp_pool_free(w->pool);
    sp_route_unref(w->route);
    sp_loop_run_once(w->loop, 0);
    smtp_sink_free(w->sink);
    sp_tls_context_unref(w->tls);
    sp_content_clear(&w->content);
    sp_content_writer_free(w->writer);
    sp_loop_free(w->loop);
}

static void on_result(void *arg, enum sp_rc rc, const struct sp_smtp_result *result)
{
    struct sending *s = arg;

    s->results++;
    s->rc = rc;
    s->state = result->rcpts[0].state;
    sp_source_clear(&s->source);
}

static void on_conn(void *arg, struct sp_conn *c, const struct sp_conn_end *end)
{
    struct sending *s = arg;
    struct sp_smtp_mail_rcpt to = {.address = SP_LIT("b@a.test")};
    struct sp_smtp_mail mail = {.from = SP_LIT("a@b.test"), .rcpts = &to, .count = 1};

    s->calls++;
    if (c == NULL) {
        s->rc = end->rc;
        return;
    }
    ck_assert_int_eq(sp_source_open(&s->source, &s->w->content, SP_LIT("X: y\r\n"), false), SP_OK);
    ck_assert_int_eq(sp_conn_send(c, &mail, &s->source, on_result, s), SP_OK);
}

static sp_handle send_one(struct world *w, struct sending *s)
{
    struct sp_pool_ask ask = {.route = w->route, .lane = SP_LANE_NORMAL};
    struct sp_conn *c;

    *s = (struct sending){.w = w};
    c = sp_pool_find(w->pool, &ask);
    if (c != NULL) {
        on_conn(s, c, NULL);
        return 0;
    }
    return sp_pool_wait(w->pool, &ask, on_conn, s);
}

static void turn(struct world *w, int times)
{
    for (int i = 0; i < times; i++) {
        sp_loop_run_once(w->loop, 2);
        check_counts(w);
    }
}

START_TEST(messages_share_connections_up_to_the_limit)
{
    struct sending many[60];
    struct world w;

    start(&w, 4, 60000);
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++)
        send_one(&w, &many[i]);
    for (int i = 0; i < 500 && smtp_sink_messages(w.sink) < 60; i++)
        turn(&w, 1);
    turn(&w, 5);
    ck_assert_uint_eq(smtp_sink_messages(w.sink), 60);
    ck_assert_uint_le(smtp_sink_sessions(w.sink), 4);
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++) {
        ck_assert_uint_eq(many[i].results, 1);
        ck_assert_int_eq(many[i].state, SP_SMTP_RCPT_ACCEPTED);
    }
    stop(&w);
}
END_TEST

START_TEST(an_idle_connection_says_goodbye)
{
    struct sending one;
    struct world w;

    start(&w, 4, 20);
    send_one(&w, &one);
    for (int i = 0; i < 300 && (one.results == 0 || smtp_sink_open(w.sink) > 0); i++)
        turn(&w, 1);
    ck_assert_uint_eq(one.results, 1);
    ck_assert_uint_eq(smtp_sink_open(w.sink), 0);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, 0);
    stop(&w);
}
END_TEST

START_TEST(a_dead_host_rests_and_all_who_wait_hear_it)
{
    struct sending s[3];
    struct world w;

    start(&w, 4, 1000);
    smtp_sink_shut(w.sink);
    for (size_t i = 0; i < 2; i++)
        send_one(&w, &s[i]);
    turn(&w, 20);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(s[i].calls, 1);
        ck_assert_int_eq(s[i].rc, SP_E_HOP_UNREACHABLE);
    }
    send_one(&w, &s[2]); /* it rests: no connection is tried */
    ck_assert_uint_eq(s[2].calls, 0);
    turn(&w, 3);
    ck_assert_uint_eq(s[2].calls, 1);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, 0);
    stop(&w);
}
END_TEST

static void send_where(struct world *w, struct sending *s, bool has_next)
{
    struct sp_pool_ask ask = {.route = w->route, .lane = SP_LANE_NORMAL, .has_next = has_next};

    *s = (struct sending){.w = w};
    ck_assert_ptr_null(sp_pool_find(w->pool, &ask));
    (void)sp_pool_wait(w->pool, &ask, on_conn, s);
}

/* returns: a port that refuses until somebody listens there */
static int bind_mute(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

START_TEST(who_has_another_host_waits_for_no_probe)
{
    struct sp_pool_ask ask = {.lane = SP_LANE_NORMAL};
    struct sending s[4];
    struct world w;
    uint16_t port;
    int mute = bind_mute(&port);

    start(&w, 4, 1000);
    sp_route_unref(w.route);
    ask.route = w.route = make_route(port);
    send_where(&w, &s[0], true);
    for (int i = 0; i < 500 && s[0].calls == 0; i++)
        turn(&w, 1);
    ck_assert_int_eq(s[0].rc, SP_E_HOP_UNREACHABLE);
    sp_pool_end_rest(w.pool, &ask);
    ck_assert_int_eq(listen(mute, 8), 0); /* it takes connections now, and says nothing */
    send_where(&w, &s[1], true);          /* the probe */
    send_where(&w, &s[2], true);
    send_where(&w, &s[3], false);
    for (int i = 0; i < 500 && s[2].calls == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(s[1].calls, 0);
    ck_assert_uint_eq(s[2].calls, 1);
    ck_assert_int_eq(s[2].rc, SP_E_HOP_UNREACHABLE);
    ck_assert_uint_eq(s[3].calls, 0);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, 1);
    stop(&w);
    (void)close(mute);
}
END_TEST

START_TEST(a_refusal_at_the_door_is_told_with_its_code)
{
    struct sending one;
    struct world w;

    start(&w, 4, 1000);
    smtp_sink_reply(w.sink, "CONNECT", "421 4.3.2 too busy");
    send_one(&w, &one);
    turn(&w, 30);
    ck_assert_uint_eq(one.calls, 1);
    ck_assert_int_ne(one.rc, SP_OK);
    stop(&w);
}
END_TEST

START_TEST(a_connection_lost_behind_the_dot_is_unsure)
{
    struct sending one;
    struct world w;

    start(&w, 4, 1000);
    smtp_sink_reply(w.sink, "DOT", "");
    send_one(&w, &one);
    turn(&w, 40);
    ck_assert_uint_eq(one.results, 1);
    ck_assert_int_eq(one.state, SP_SMTP_RCPT_UNSURE);
    stop(&w);
}
END_TEST

START_TEST(who_cancels_never_hears_and_the_end_leaves_nothing)
{
    struct sending s[2];
    struct world w;

    start(&w, 1, 1000);
    sp_pool_cancel(w.pool, send_one(&w, &s[0]));
    send_one(&w, &s[1]);
    turn(&w, 30);
    ck_assert_uint_eq(s[0].calls, 0);
    ck_assert_uint_eq(s[1].results, 1);
    sp_route_unref(w.route);
    w.route = make_route(1);
    send_one(&w, &s[0]); /* still out at the end */
    stop(&w);
}
END_TEST

static void count_room(void *arg)
{
    (*(unsigned *)arg)++;
}

START_TEST(a_crowds_line_is_shut_until_there_is_room)
{
    struct sp_line_item item = {0};
    struct sending many[80];
    struct sp_pool_ask ask;
    unsigned rooms = 0;
    struct world w;

    w_lines = sp_lines_new();
    w_on_room = count_room;
    w_arg = &rooms;
    start(&w, 1, 1000);
    item.line = sp_lines_ref(w_lines, SP_LIT("t"), SP_LIT("a.test"), SP_LANE_NORMAL);
    sp_lines_put(w_lines, &item, 0, 0);
    ask = (struct sp_pool_ask){.route = w.route, .lane = SP_LANE_NORMAL};
    ask.line = sp_line_handle(item.line);
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1));
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++)
        send_one(&w, &many[i]);
    ck_assert(sp_pool_shuts(w.pool, &ask, 1));
    ck_assert(sp_pool_shuts(w.pool, &ask, 1)); /* again, by one that was on its way */
    ck_assert_ptr_null(sp_lines_next(w_lines, 0));
    for (int i = 0; i < 600 && smtp_sink_messages(w.sink) < 80; i++)
        turn(&w, 1);
    turn(&w, 3);
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1));
    ck_assert_uint_eq(rooms, 1);
    ck_assert_ptr_eq(sp_lines_next(w_lines, 0), &item);
    turn(&w, 3);
    stop(&w);
    sp_lines_unref(w_lines, item.line);
    sp_lines_free(w_lines);
    w_lines = NULL;
    w_on_room = NULL;
}
END_TEST

static void on_site(void *arg, const struct sp_pool_view *v)
{
    *(struct sp_pool_view *)arg = *v;
}

/* Sends by a route of its own, which it has from then on. */
static void send_by(struct world *w, struct sending *s, const struct sp_route *route)
{
    sp_route_unref(w->route);
    w->route = route;
    (void)send_one(w, s);
}

START_TEST(sites_that_are_slow_leave_connections_for_another)
{
    struct sending slow[24], one;
    struct world w;

    w_total = 12;
    start(&w, 20, 1000);
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    for (size_t i = 0; i < SP_ARRAY_LEN(slow); i++) {
        send_by(&w, &slow[i], route_by(i % 2 == 0 ? "a.test" : "b.test", smtp_sink_port(w.sink)));
        turn(&w, 10); /* the next comes when the host has answered */
    }
    ck_assert_uint_ge(smtp_sink_open(w.sink), 6); /* they have much */
    ck_assert_uint_le(smtp_sink_open(w.sink), 10);
    smtp_sink_reply(w.sink, "DOT", NULL);
    send_by(&w, &one, route_by("c.test", smtp_sink_port(w.sink)));
    for (int i = 0; i < 300 && one.results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(one.results, 1);
    ck_assert_int_eq(one.state, SP_SMTP_RCPT_ACCEPTED);
    stop(&w);
    for (size_t i = 0; i < SP_ARRAY_LEN(slow); i++)
        sp_source_clear(&slow[i].source); /* no end of theirs was told */
    w_total = 0;
}
END_TEST

/* One host of it was asked before, and has an idle connection; now the other one is. */
START_TEST(who_has_too_much_ends_an_idle_connection_of_its_own)
{
    const struct sp_route *both, *other;
    struct sp_pool_ask ask;
    struct sending s[3];
    struct world w;

    w_total = 3;
    start(&w, 20, 60000);
    both = route_by_two("a.test", "b.test", smtp_sink_port(w.sink));
    other = route_by("c.test", smtp_sink_port(w.sink));
    ask = (struct sp_pool_ask){.route = other};
    send_by(&w, &s[0], sp_route_ref(other));
    for (int i = 0; i < 300 && s[0].results == 0; i++)
        turn(&w, 1);
    turn(&w, 3);
    send_by(&w, &s[1], sp_route_ref(both));
    for (int i = 0; i < 300 && s[1].results == 0; i++)
        turn(&w, 1);
    turn(&w, 3);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, 2); /* both idle, the other site's for longer */
    s[2] = (struct sending){.w = &w};
    (void)sp_pool_wait(w.pool, &(struct sp_pool_ask){.route = both, .hop = 1}, on_conn, &s[2]);
    for (int i = 0; i < 300 && s[2].results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(s[2].results, 1);
    ck_assert_ptr_nonnull(sp_pool_find(w.pool, &ask));
    stop(&w);
    sp_route_unref(both);
    sp_route_unref(other);
    w_total = 0;
}
END_TEST

/* Each has one connection, and never ends with it; one has taken mail before. */
START_TEST(any_number_of_sites_that_stall_leaves_connections_to_one_that_takes_mail)
{
    enum { TOTAL = 8, SITES = 12 };
    const struct sp_route *good;
    struct sending slow[SITES], s[4];
    char name[32];
    struct world w;

    w_total = TOTAL;
    start(&w, 20, 60000);
    good = route_by("good.test", smtp_sink_port(w.sink));
    send_by(&w, &s[0], sp_route_ref(good));
    for (int i = 0; i < 300 && s[0].results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(s[0].results, 1);
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    for (size_t i = 0; i < SITES; i++) {
        (void)snprintf(name, sizeof(name), "slow%zu.test", i);
        send_by(&w, &slow[i], route_by(name, smtp_sink_port(w.sink)));
        turn(&w, 10);
    }
    smtp_sink_reply(w.sink, "DOT", NULL);
    for (size_t i = 1; i < SP_ARRAY_LEN(s); i++) {
        send_by(&w, &s[i], sp_route_ref(good));
        for (int k = 0; k < 300 && s[i].results == 0; k++)
            turn(&w, 1);
        ck_assert_uint_eq(s[i].results, 1);
        ck_assert_int_eq(s[i].state, SP_SMTP_RCPT_ACCEPTED);
    }
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, TOTAL - TOTAL / 4 + 1);
    stop(&w);
    sp_route_unref(good);
    for (size_t i = 0; i < SITES; i++)
        sp_source_clear(&slow[i].source); /* no end of theirs was told */
    w_total = 0;
}
END_TEST

/* Six of eight connections are with sites that have taken mail, and more of it waits there. */
START_TEST(sites_that_take_mail_leave_connections_to_one_that_was_never_written_to)
{
    enum { TOTAL = 8, SITES = TOTAL - 2 };
    const struct sp_route *routes[SITES];
    struct sending busy[2 * SITES], one;
    char name[32];
    struct world w;

    w_total = TOTAL;
    start(&w, 20, 60000);
    for (size_t i = 0; i < 2 * SITES; i++) {
        (void)snprintf(name, sizeof(name), "good%zu.test", i % SITES);
        if (i < SITES)
            routes[i] = route_by(name, smtp_sink_port(w.sink));
        if (i == SITES)
            smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
        send_by(&w, &busy[i], sp_route_ref(routes[i % SITES]));
        for (int k = 0; k < 300 && i < SITES && busy[i].results == 0; k++)
            turn(&w, 1);
        turn(&w, 5);
    }
    smtp_sink_reply(w.sink, "DOT", NULL);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, SITES);
    send_by(&w, &one, route_by("new.test", smtp_sink_port(w.sink)));
    for (int i = 0; i < 300 && one.results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(one.results, 1);
    stop(&w);
    for (size_t i = 0; i < SITES; i++) {
        sp_source_clear(&busy[SITES + i].source); /* no end of theirs was told */
        sp_route_unref(routes[i]);
    }
    w_total = 0;
}
END_TEST

/* Of its two hosts one takes mail; the other is connected to, and says nothing. */
START_TEST(a_connection_that_does_not_open_is_no_proof)
{
    struct sp_pool_ask ask;
    struct sp_pool_host *h;
    struct sp_pool_link *l;
    struct sending s[2];
    struct world w;

    start(&w, 20, 60000);
    send_by(&w, &s[0], route_by_two("a.test", "b.test", smtp_sink_port(w.sink)));
    for (int i = 0; i < 300 && s[0].results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(s[0].results, 1);
    smtp_sink_reply(w.sink, "CONNECT", "220-wait"); /* and never the end of it */
    ask = (struct sp_pool_ask){.route = w.route, .hop = 1};
    s[1] = (struct sending){.w = &w};
    (void)sp_pool_wait(w.pool, &ask, on_conn, &s[1]);
    h = sp_pool_get_host(w.pool, &ask);
    for (int i = 0; i < 300 && h->opening == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(h->opening, 1);
    ck_assert_int_eq(sp_pool_rank_of(h->site), SP_POOL_RANK_KNOWN);
    l = SP_CONTAINER(h->links.next, struct sp_pool_link, in_host);
    ck_assert_int_ne(l->busy_ms, 0);
    l->busy_ms -= 31000;
    ck_assert_int_eq(sp_pool_rank_of(h->site), SP_POOL_RANK_NEW);
    stop(&w);
}
END_TEST

/* The first to wait is for a host that wants no more connections for a minute; the site's other host would take one. */
START_TEST(a_host_that_wants_no_more_keeps_nobody_from_the_other)
{
    struct sp_pool_ask first, second;
    struct sending s[2];
    struct world w;

    start(&w, 20, 60000);
    sp_route_unref(w.route);
    w.route = route_by_two("a.test", "b.test", smtp_sink_port(w.sink));
    first = (struct sp_pool_ask){.route = w.route, .lane = SP_LANE_NORMAL};
    second = (struct sp_pool_ask){.route = w.route, .hop = 1, .lane = SP_LANE_NORMAL};
    sp_pool_get_host(w.pool, &first)->more_after_ms =
        sp_clock_mono_ms(sp_loop_clock(w.loop)) + 60000;
    for (size_t i = 0; i < 2; i++) {
        s[i] = (struct sending){.w = &w};
        (void)sp_pool_wait(w.pool, i == 0 ? &first : &second, on_conn, &s[i]);
    }
    for (int i = 0; i < 300 && s[1].results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(s[1].results, 1);
    ck_assert_uint_eq(s[0].calls, 0);
    ck_assert_uint_eq(sp_pool_stats(w.pool).opened, 1);
    sp_pool_get_host(w.pool, &first)->more_after_ms = 0;
    sp_pool_serve(sp_pool_get_host(w.pool, &first)->site);
    for (int i = 0; i < 300 && s[0].results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(s[0].results, 1);
    stop(&w);
}
END_TEST

static void send_and_wait(struct world *w, const struct sp_route *route)
{
    struct sending one;

    send_by(w, &one, sp_route_ref(route));
    for (int i = 0; i < 300 && one.results == 0; i++)
        turn(w, 1);
    ck_assert_uint_eq(one.results, 1);
    ck_assert_int_eq(one.state, SP_SMTP_RCPT_ACCEPTED);
    turn(w, 2);
}

/* Its next message is there when one has been taken, always. */
static void send_without_end(struct world *w, struct sending *s, size_t count,
                             const struct sp_route *route)
{
    for (size_t i = 0; i < count; i++)
        if (s[i].w == NULL || s[i].results > 0)
            send_by(w, &s[i], sp_route_ref(route));
}

/* Three times as many sites as there are connections take mail one by one, and each asks again at once. */
START_TEST(a_stranger_gets_one_connection_of_four_for_those_who_waited_before)
{
    enum { TOTAL = 4, SITES = 12 };
    const struct sp_route *routes[SITES];
    struct sending s[SITES] = {{0}}, one = {0};
    size_t ahead = 0, given = 0, passed = 0;
    char name[32];
    struct world w;

    w_total = TOTAL;
    start(&w, 20, 60000);
    for (size_t i = 0; i < SITES; i++) {
        (void)snprintf(name, sizeof(name), "good%zu.test", i);
        routes[i] = route_by(name, smtp_sink_port(w.sink));
        send_and_wait(&w, routes[i]);
    }
    for (int k = 0; k < 3000 && one.results == 0; k++) {
        for (size_t i = 0; i < SITES; i++)
            send_without_end(&w, &s[i], 1, routes[i]);
        if (one.w == NULL && w.pool->without_any >= SITES / 2) {
            ahead = w.pool->without_any;
            given = w.pool->given;
            send_by(&w, &one, route_by("new.test", smtp_sink_port(w.sink)));
        }
        turn(&w, 1);
        if (one.w != NULL && w.pool->used[SP_POOL_RANK_NEW].links == 0)
            passed = w.pool->given - given;
    }
    ck_assert_uint_eq(one.results, 1);
    ck_assert_uint_ge(ahead, SITES / 2);
    ck_assert_uint_le(passed, 4 * (ahead + 1));
    stop(&w);
    for (size_t i = 0; i < SITES; i++) {
        if (s[i].results == 0)
            sp_source_clear(&s[i].source); /* no end of it was told */
        sp_route_unref(routes[i]);
    }
    w_total = 0;
}
END_TEST

/* It takes one message, and counts as if it had taken 16. */
static const struct sp_route *prove(struct world *w, const char *what, size_t i)
{
    const struct sp_route *route;
    char name[32];

    (void)snprintf(name, sizeof(name), "%s%zu.test", what, i);
    route = route_by(name, smtp_sink_port(w->sink));
    send_and_wait(w, route);
    for (size_t k = 1; k < 16; k++)
        sp_pool_score(sp_pool_get_host(w->pool, &(struct sp_pool_ask){.route = route})->site);
    return route;
}

/* More strangers than there are connections, beside three times as many sites that take mail one by one and ask again at once. */
START_TEST(many_strangers_each_get_one_of_four_in_the_order_in_which_they_came)
{
    enum { TOTAL = 4, SITES = 12, STRANGERS = 3 * TOTAL };
    const struct sp_route *routes[SITES];
    struct sending s[SITES] = {{0}}, one[STRANGERS] = {{0}};
    size_t ahead = 0, given = 0, served = 0;
    char name[32];
    struct world w;

    w_total = TOTAL;
    start(&w, 20, 60000);
    for (size_t i = 0; i < SITES; i++)
        routes[i] = prove(&w, "good", i);
    for (int k = 0; k < 3000 && (served < STRANGERS || one[STRANGERS - 1].results == 0); k++) {
        for (size_t i = 0; i < SITES; i++)
            send_without_end(&w, &s[i], 1, routes[i]);
        if (one[0].w == NULL && w.pool->without_any >= SITES / 2) {
            ahead = w.pool->without_any;
            given = w.pool->given;
            for (size_t i = 0; i < STRANGERS; i++) {
                (void)snprintf(name, sizeof(name), "new%zu.test", i);
                send_by(&w, &one[i], route_by(name, smtp_sink_port(w.sink)));
            }
        }
        turn(&w, 1);
        for (; served < STRANGERS && one[served].calls > 0; served++) /* and what the turn gave */
            ck_assert_uint_le(w.pool->given - given, 4 * (ahead + served + 1) + TOTAL);
    }
    ck_assert_uint_eq(served, STRANGERS);
    stop(&w);
    for (size_t i = 0; i < SITES; i++) {
        if (s[i].results == 0)
            sp_source_clear(&s[i].source); /* no end of it was told */
        sp_route_unref(routes[i]);
    }
    w_total = 0;
}
END_TEST

static size_t with_a_message(const struct world *w)
{
    size_t count = 0;

    SP_LIST_EACH(at, &w->pool->busy)
    count += SP_CONTAINER(at, struct sp_pool_link, in_busy)->opened;
    return count;
}

/* Half a minute goes by for all who are busy. */
static void stall_all(struct world *w)
{
    ck_assert(sp_timer_is_running(w->pool->stall));
    SP_LIST_EACH(at, &w->pool->busy)
    SP_CONTAINER(at, struct sp_pool_link, in_busy)->busy_ms -= 31000;
    sp_pool_on_stall(w->pool);
}

/* Proven sites have all connections, and stall with all of them. Others of each rank wait for a first one. */
START_TEST(half_a_minute_after_all_have_stalled_half_of_all_is_there_for_others)
{
    enum { TOTAL = 16, GOOD = 2, NEW = TOTAL };
    const struct sp_route *routes[TOTAL], *good[GOOD];
    struct sending slow[TOTAL], ok[GOOD], one[NEW];
    char name[32];
    struct world w;

    w_total = TOTAL;
    start(&w, 20, 60000);
    for (size_t i = 0; i < GOOD + TOTAL; i++)
        *(i < GOOD ? &good[i] : &routes[i - GOOD]) = prove(&w, "proven", i);
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    for (size_t i = 0; i < TOTAL; i++)
        send_by(&w, &slow[i], sp_route_ref(routes[i]));
    for (int i = 0; i < 3000 && with_a_message(&w) < TOTAL; i++)
        turn(&w, 1);
    ck_assert_uint_eq(with_a_message(&w), TOTAL);
    ck_assert_uint_eq(sp_pool_used(w.pool, SP_POOL_RANK_KNOWN).links, 0);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, TOTAL);
    for (size_t i = 0; i < NEW; i++) {
        (void)snprintf(name, sizeof(name), "new%zu.test", i);
        send_by(&w, &one[i], route_by(name, smtp_sink_port(w.sink)));
    }
    for (size_t i = 0; i < GOOD; i++)
        send_by(&w, &ok[i], sp_route_ref(good[i]));
    turn(&w, 20);
    ck_assert_uint_eq(sp_pool_stats(w.pool).open, TOTAL); /* all wait */
    stall_all(&w);
    ck_assert_uint_eq(w.pool->stalling, TOTAL);
    ck_assert_uint_eq(sp_pool_stalling(w.pool, SP_LANE_NORMAL), TOTAL);
    ck_assert_uint_eq(sp_pool_open_now(w.pool), sp_pool_stats(w.pool).open - TOTAL / 2);
    for (size_t i = 0; i < GOOD; i++)
        ck_assert_uint_eq(
            sp_pool_get_host(w.pool, &(struct sp_pool_ask){.route = good[i]})->link_count, 1);
    ck_assert_uint_ge(w.pool->used[SP_POOL_RANK_NEW].links, TOTAL + TOTAL / 4); /* strangers, too */
    turn(&w, 40);
    for (int i = 0; i < 20; i++) { /* who comes in their place stalls as well, and so on */
        stall_all(&w);
        turn(&w, 5);
    }
    ck_assert_uint_lt(sp_pool_stats(w.pool).open, 2 * TOTAL);
    stop(&w);
    for (size_t i = 0; i < TOTAL; i++) {
        sp_source_clear(&slow[i].source); /* no end of theirs was told */
        sp_route_unref(routes[i]);
    }
    for (size_t i = 0; i < GOOD; i++) {
        sp_source_clear(&ok[i].source);
        sp_route_unref(good[i]);
    }
    for (size_t i = 0; i < NEW; i++)
        sp_source_clear(&one[i].source);
    w_total = 0;
}
END_TEST

/* A site that keeps a message waiting loses half of what it has shown each half minute, not once. */
START_TEST(what_was_shown_goes_with_the_time_that_is_held)
{
    static const unsigned left[] = {32, 16, 8, 4, 2, 1, 0};
    struct sp_pool_site *s;
    struct sending one;
    struct world w;

    start(&w, 1, 60000);
    send_and_wait(&w, w.route);
    s = sp_pool_get_host(w.pool, &(struct sp_pool_ask){.route = w.route})->site;
    for (size_t i = 1; i < 80; i++)
        sp_pool_score(s);
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    (void)send_one(&w, &one);
    for (int i = 0; i < 300 && with_a_message(&w) == 0; i++)
        turn(&w, 1);
    for (size_t i = 0; i < SP_ARRAY_LEN(left); i++) {
        stall_all(&w);
        ck_assert_uint_eq(s->score, left[i]);
        ck_assert_int_eq(sp_pool_rank_of(s), SP_POOL_RANK_NEW);
        ck_assert_uint_eq(s->stalling, 1);
        check_counts(&w);
    }
    stop(&w);
    sp_source_clear(&one.source); /* no end of it was told */
}
END_TEST

static void make_older(struct world *w, const struct sp_route *route)
{
    struct sp_pool_host *h = sp_pool_get_host(w->pool, &(struct sp_pool_ask){.route = route});

    SP_LIST_EACH(at, &h->links)
    SP_CONTAINER(at, struct sp_pool_link, in_host)->opened_ms -= 10000;
}

/* Its connection is never idle, and never worn. */
START_TEST(a_site_with_mail_without_end_gives_its_connection_back_after_a_while)
{
    enum { WAIT = 3 };
    const struct sp_route *good, *other;
    struct sending s[WAIT] = {{0}}, one;
    size_t given;
    struct world w;

    w_total = 1;
    start(&w, 20, 60000);
    good = route_by("good.test", smtp_sink_port(w.sink));
    other = route_by("new.test", smtp_sink_port(w.sink));
    for (int k = 0; k < 300 && w.pool->used[SP_POOL_RANK_KNOWN].links == 0; k++) {
        send_without_end(&w, s, WAIT, good);
        turn(&w, 1);
    }
    given = w.pool->given;
    send_by(&w, &one, sp_route_ref(other));
    for (int k = 0; k < 1000 && one.results == 0; k++) {
        send_without_end(&w, s, WAIT, good);
        make_older(&w, good);
        turn(&w, 1);
    }
    ck_assert_uint_eq(one.results, 1);
    ck_assert_uint_le(w.pool->given - given, 4); /* nobody waited before it */
    given = w.pool->given;
    for (int k = 0; k < 300 && w.pool->given == given; k++) {
        send_without_end(&w, s, WAIT, good);
        turn(&w, 1);
    }
    ck_assert_uint_gt(w.pool->given, given); /* the first has one again */
    stop(&w);
    for (size_t i = 0; i < WAIT; i++)
        if (s[i].results == 0)
            sp_source_clear(&s[i].source); /* no end of it was told */
    sp_route_unref(good);
    sp_route_unref(other);
    w_total = 0;
}
END_TEST

static struct sp_pool_link *only_link(struct world *w, const struct sp_route *route)
{
    struct sp_pool_host *h = sp_pool_get_host(w->pool, &(struct sp_pool_ask){.route = route});

    ck_assert_uint_eq(h->link_count, 1);
    return SP_CONTAINER(h->links.next, struct sp_pool_link, in_host);
}

START_TEST(a_rank_is_earned_by_messages_and_halved_by_each_that_waits)
{
    const struct sp_route *route;
    struct sp_pool_link *l;
    struct sp_pool_site *s;
    struct sending one;
    struct world w;

    start(&w, 1, 60000);
    route = route_by("good.test", smtp_sink_port(w.sink));
    for (size_t i = 0; i < 16; i++) {
        send_and_wait(&w, route);
        s = only_link(&w, route)->host->site;
        ck_assert_int_eq(sp_pool_rank_of(s), i < 15 ? SP_POOL_RANK_KNOWN : SP_POOL_RANK_PROVEN);
    }
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    send_by(&w, &one, sp_route_ref(route));
    turn(&w, 10);
    l = only_link(&w, route);
    ck_assert_int_eq(sp_pool_rank_of(s), SP_POOL_RANK_PROVEN);
    ck_assert_uint_eq(sp_pool_used(w.pool, SP_POOL_RANK_KNOWN).links, 0);
    l->busy_ms -= 31000;
    ck_assert_int_eq(sp_pool_rank_of(s), SP_POOL_RANK_NEW);
    ck_assert_uint_eq(sp_pool_used(w.pool, SP_POOL_RANK_NEW).links, 1);
    sp_pool_answers(l);
    ck_assert_int_eq(sp_pool_rank_of(s), SP_POOL_RANK_KNOWN); /* 8 are left of its 16 */
    ck_assert_uint_eq(sp_pool_used(w.pool, SP_POOL_RANK_NEW).links, 0);
    ck_assert_uint_eq(sp_pool_used(w.pool, SP_POOL_RANK_KNOWN).links, 1);
    stop(&w);
    sp_source_clear(&one.source); /* no end of it was told */
    sp_route_unref(route);
}
END_TEST

START_TEST(what_a_site_has_shown_is_forgotten_behind_hosts_that_showed_nothing)
{
    const size_t many = 20100; /* more than are kept */
    const struct sp_route *good;
    struct sp_pool_ask ask = {.lane = SP_LANE_NORMAL};
    struct world w;
    char name[32];

    start(&w, 1, 20);
    good = ask.route = route_by("good.test", smtp_sink_port(w.sink));
    send_and_wait(&w, good);
    for (int i = 0; i < 300 && sp_pool_stats(w.pool).open > 0; i++)
        turn(&w, 1);
    ck_assert_int_eq(sp_pool_rank_at(w.pool, &ask), SP_POOL_RANK_KNOWN);
    for (size_t i = 0; i < many; i++) {
        const struct sp_route *route;

        (void)snprintf(name, sizeof(name), "h%zu.test", i);
        ask.route = route = route_by(name, smtp_sink_port(w.sink));
        (void)sp_pool_get_host(w.pool, &ask);
        sp_route_unref(route);
    }
    ck_assert_uint_le(sp_map_count(w.pool->hosts), 20000);
    ask.route = good;
    ck_assert_int_eq(sp_pool_rank_at(w.pool, &ask), SP_POOL_RANK_KNOWN);
    stop(&w);
    sp_route_unref(good);
}
END_TEST

START_TEST(how_a_host_is_that_nobody_reached_is_known_among_many_that_take_mail)
{
    const size_t proven = 20100, others = 1000;
    struct sp_pool_ask ask = {.lane = SP_LANE_NORMAL};
    const struct sp_route *first = NULL;
    struct world w;
    char name[32];

    start(&w, 1, 20);
    for (size_t i = 0; i < proven + others; i++) {
        struct sp_pool_host *h;
        const struct sp_route *route;

        (void)snprintf(name, sizeof(name), "h%zu.test", i);
        ask.route = route = route_by(name, 25);
        h = sp_pool_get_host(w.pool, &ask);
        if (i < proven)
            sp_pool_score(h->site); /* a message was taken */
        sp_pool_host_unused(h);
        if (i == proven)
            first = sp_route_ref(route);
        sp_route_unref(route);
    }
    ck_assert_uint_le(sp_map_count(w.pool->hosts), 20000);
    ask.route = first;
    ck_assert_ptr_nonnull(sp_pool_find_host(w.pool, &ask));
    sp_route_unref(first);
    stop(&w);
}
END_TEST

#define SEEN 4000

static void note_id(void *arg, const struct sp_pool_view *v)
{
    unsigned *seen = arg;

    ck_assert_uint_ge(v->id, 1);
    if (v->id <= SEEN) /* those that came later may be seen, or not */
        seen[v->id - 1]++;
}

/* Between two steps sites come. Each has a number of its own. */
START_TEST(all_sites_are_seen_once_in_steps)
{
    static unsigned seen[SEEN];
    struct sp_pool_ask ask = {.lane = SP_LANE_NORMAL};
    struct sp_map_walk walk = {0};
    unsigned made = 0, steps = 0;
    struct world w;
    char name[32];
    bool more;

    memset(seen, 0, sizeof(seen));
    start(&w, 1, 20);
    do {
        for (unsigned count = made == 0 ? SEEN : 500; count > 0; count--) {
            const struct sp_route *route;

            (void)snprintf(name, sizeof(name), "h%u.test", made++);
            ask.route = route = route_by(name, 25);
            (void)sp_pool_get_host(w.pool, &ask);
            ck_assert_uint_eq(sp_pool_site_id(w.pool, &ask), made);
            sp_route_unref(route);
        }
        more = sp_pool_each_some(w.pool, &walk, note_id, seen);
        steps++;
    } while (more);
    ck_assert_uint_ge(steps, 4);
    for (unsigned i = 0; i < SEEN; i++)
        ck_assert_uint_eq(seen[i], 1);
    ask.route = w.route;
    ck_assert_uint_eq(sp_pool_site_id(w.pool, &ask), 0);
    stop(&w);
}
END_TEST

static sp_handle send_in(struct world *w, struct sending *s, enum sp_lane lane)
{
    struct sp_pool_ask ask = {.route = w->route, .lane = lane};

    *s = (struct sending){.w = w};
    return sp_pool_wait(w->pool, &ask, on_conn, s);
}

static size_t note_places(void *arg, const struct sp_pool_places *ask)
{
    *(struct sp_pool_places *)arg = *ask;
    return 100;
}

/* Seven places are a site's of this rank: two who wait in each lane, and a connection, which may be of any. */
static void expect_places(const struct sp_pool_places *asked, enum sp_pool_rank rank)
{
    for (unsigned at = 0; at < SP_POOL_RANK_COUNT; at++) {
        const struct sp_pool_taken *used = &asked->used[at];

        ck_assert_uint_eq(used->all, at < rank ? 0 : 7);
        ck_assert_uint_eq(used->urgent, at < rank ? 0 : 2);
        ck_assert_uint_eq(used->bulk, at < rank ? 0 : 3);
    }
}

/* Two wait in each lane for the only connection of a site that has taken so many messages, and is now waited for. */
static void wait_by_rank(unsigned taken, enum sp_pool_rank rank)
{
    struct sending first, s[2 * SP_LANE_COUNT];
    struct sp_pool_places asked = {0};
    const struct sp_route *other;
    struct sp_pool_ask ask;
    struct world w;

    w_lines = sp_lines_new();
    w_places = note_places;
    w_arg = &asked;
    start(&w, 1, 60000);
    other = route_by("other.test", smtp_sink_port(w.sink));
    for (unsigned i = 0; i < taken; i++)
        send_and_wait(&w, w.route);
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    (void)send_one(&w, &first);
    turn(&w, 10);
    for (size_t i = 0; i < SP_ARRAY_LEN(s); i++)
        (void)send_in(&w, &s[i], (enum sp_lane)(i % SP_LANE_COUNT));
    ask = (struct sp_pool_ask){.route = other, .lane = SP_LANE_NORMAL, .line = 1};
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1));
    expect_places(&asked, rank);
    only_link(&w, w.route)->busy_ms -= 31000;
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1));
    expect_places(&asked, SP_POOL_RANK_NEW);
    stop(&w);
    sp_source_clear(&first.source); /* no end of it was told */
    sp_route_unref(other);
    sp_lines_free(w_lines);
    w_lines = NULL;
    w_places = NULL;
    w_arg = NULL;
}

START_TEST(who_waits_rises_and_falls_with_the_site)
{
    wait_by_rank(0, SP_POOL_RANK_NEW);
    wait_by_rank(1, SP_POOL_RANK_KNOWN);
    wait_by_rank(16, SP_POOL_RANK_PROVEN);
}
END_TEST

/* More than there are connections take one message each, and stall with the next all at once; one has taken more before. */
START_TEST(sites_that_take_one_and_stall_together_leave_connections_to_one_that_took_more)
{
    enum { TOTAL = 16, SITES = 20 };
    const struct sp_route *routes[SITES], *good;
    struct sending slow[SITES];
    char name[32];
    struct world w;

    w_total = TOTAL;
    start(&w, 20, 60000);
    good = route_by("good.test", smtp_sink_port(w.sink));
    for (size_t i = 0; i < 16; i++)
        send_and_wait(&w, good);
    for (size_t i = 0; i < SITES; i++) {
        (void)snprintf(name, sizeof(name), "slow%zu.test", i);
        routes[i] = route_by(name, smtp_sink_port(w.sink));
        send_and_wait(&w, routes[i]);
    }
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    for (size_t i = SITES; i-- > 0;) {          /* those first who have a connection still */
        send_by(&w, &slow[i], sp_route_ref(routes[i]));
        turn(&w, 10);
    }
    smtp_sink_reply(w.sink, "DOT", NULL);
    ck_assert_uint_eq(sp_pool_used(w.pool, SP_POOL_RANK_KNOWN).links, TOTAL - TOTAL / 8);
    for (size_t i = 0; i < 3; i++)
        send_and_wait(&w, good);
    stop(&w);
    for (size_t i = 0; i < SITES; i++) {
        sp_source_clear(&slow[i].source); /* no end of theirs was told */
        sp_route_unref(routes[i]);
    }
    sp_route_unref(good);
    w_total = 0;
}
END_TEST

/* One connection, and whoever has been served in the first lane is followed by another; so many go before one behind it waits. */
static unsigned served_before(enum sp_lane lane, enum sp_lane behind, unsigned alone)
{
    struct sending first[4], one = {0};
    unsigned served = 0, all = 0;
    bool waits = false;
    struct world w;

    start(&w, 1, 60000);
    for (size_t i = 0; i < SP_ARRAY_LEN(first); i++)
        (void)send_in(&w, &first[i], lane);
    for (int k = 0; k < 3000 && one.results == 0; k++) {
        if (!waits && all >= alone) {
            (void)send_in(&w, &one, behind);
            waits = true;
        }
        turn(&w, 1);
        for (size_t i = 0; i < SP_ARRAY_LEN(first); i++) {
            if (first[i].results == 0)
                continue;
            all++;
            served += waits;
            (void)send_in(&w, &first[i], lane);
        }
    }
    ck_assert_uint_eq(one.results, 1);
    stop(&w);
    for (size_t i = 0; i < SP_ARRAY_LEN(first); i++)
        if (first[i].results == 0)
            sp_source_clear(&first[i].source); /* no end of theirs was told */
    return served;
}

START_TEST(mail_without_end_in_one_lane_leaves_turns_to_the_next)
{
    ck_assert_uint_ge(served_before(SP_LANE_URGENT, SP_LANE_NORMAL, 0), 50);
    ck_assert_uint_ge(served_before(SP_LANE_NORMAL, SP_LANE_BULK, 0), 10);
    ck_assert_uint_le(served_before(SP_LANE_BULK, SP_LANE_URGENT, 0), 3);
}
END_TEST

START_TEST(turns_are_used_up_only_while_another_lane_waits)
{
    ck_assert_uint_ge(served_before(SP_LANE_URGENT, SP_LANE_NORMAL, 62), 50);
    ck_assert_uint_ge(served_before(SP_LANE_NORMAL, SP_LANE_BULK, 15), 10);
}
END_TEST

START_TEST(of_sites_without_a_connection_the_first_to_come_gets_the_first)
{
    static const char *const names[] = {"a.test", "b.test", "c.test", "d.test"};
    struct sending s[4];
    struct world w;

    w_total = 1;
    start(&w, 20, 60000);
    for (size_t i = 0; i < SP_ARRAY_LEN(s); i++)
        send_by(&w, &s[i], route_by(names[i], smtp_sink_port(w.sink)));
    for (int i = 0; i < 1000 && s[3].results == 0; i++) {
        turn(&w, 1);
        for (size_t k = 1; k < SP_ARRAY_LEN(s); k++)
            ck_assert_uint_le(s[k].calls, s[k - 1].results);
    }
    ck_assert_uint_eq(s[3].results, 1);
    stop(&w);
    w_total = 0;
}
END_TEST

static size_t places(void *arg, const struct sp_pool_places *ask)
{
    (void)arg;
    return ask->lane == SP_LANE_BULK ? 14 : 20;
}

START_TEST(sites_that_are_slow_leave_places_for_another)
{
    const struct sp_route *other;
    struct sp_line_item item = {0};
    struct sending slow[14];
    struct sp_pool_ask ask;
    struct world w;

    w_lines = sp_lines_new();
    w_places = places;
    start(&w, 20, 1000);
    item.line = sp_lines_ref(w_lines, SP_LIT("t"), SP_LIT("a.test"), SP_LANE_NORMAL);
    ask = (struct sp_pool_ask){.route = w.route, .line = sp_line_handle(item.line)};
    for (size_t i = 0; i < 7; i++)
        send_one(&w, &slow[i]);
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1)); /* 2 connections on their way, 7 wait */
    ask.lane = SP_LANE_BULK;
    ck_assert(sp_pool_shuts(w.pool, &ask, 1));
    ck_assert(sp_lines_shut(w_lines, ask.line, false));
    ask.lane = SP_LANE_NORMAL;
    for (size_t i = 7; i < 14; i++)
        send_one(&w, &slow[i]);
    other = route_by("c.test", smtp_sink_port(w.sink));
    ask.route = other;
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1));
    ask.route = w.route;
    ck_assert(sp_pool_shuts(w.pool, &ask, 1));
    ask.lane = SP_LANE_URGENT;
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1)); /* it goes before all that, to places of its own */
    stop(&w);
    sp_route_unref(other);
    sp_lines_unref(w_lines, item.line);
    sp_lines_free(w_lines);
    w_lines = NULL;
    w_places = NULL;
}
END_TEST

/* As delivery's: 12 places, of which 3 are for sites that take mail; what those have leaves the others theirs. */
static size_t places_in_parts(void *arg, const struct sp_pool_places *ask)
{
    size_t part = sp_pool_part(ask->rank, 12), left = *(size_t *)arg;
    size_t used = ask->used[ask->rank].all, theirs = used < part ? part - used : 0;

    return left < theirs && !ask->is_first ? left : theirs;
}

START_TEST(places_of_sites_that_take_mail_are_not_those_of_the_others)
{
    const struct sp_route *good, *other;
    struct sending s[10], its_like[9], one;
    struct sp_pool_ask ask;
    size_t left = 12;
    struct world w;

    w_lines = sp_lines_new();
    w_places = places_in_parts;
    w_arg = &left;
    start(&w, 1, 60000);
    good = route_by("good.test", smtp_sink_port(w.sink));
    other = route_by("new.test", smtp_sink_port(w.sink));
    send_by(&w, &one, sp_route_ref(good));
    for (int i = 0; i < 300 && one.results == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(one.results, 1);
    smtp_sink_reply(w.sink, "DOT", "250-wait"); /* and never the end of it */
    for (size_t i = 0; i < SP_ARRAY_LEN(s); i++, left--) {
        (void)send_one(&w, &s[i]);
        turn(&w, 2);
    }
    ask = (struct sp_pool_ask){.route = other, .lane = SP_LANE_NORMAL, .line = 1};
    ck_assert_uint_eq(left, 2);
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1)); /* the other has none yet */
    left = 0; /* and the one that asks: it has its place already */
    ck_assert(!sp_pool_shuts(w.pool, &ask, 1));
    for (size_t i = 0; i < SP_ARRAY_LEN(its_like); i++)
        send_by(&w, &its_like[i], route_by("slow.test", smtp_sink_port(w.sink)));
    ck_assert(sp_pool_shuts(w.pool, &ask, 1));
    stop(&w);
    for (size_t i = 0; i < SP_ARRAY_LEN(its_like); i++)
        sp_source_clear(&its_like[i].source);
    for (size_t i = 0; i < SP_ARRAY_LEN(s); i++)
        sp_source_clear(&s[i].source); /* no end of theirs was told */
    sp_route_unref(good);
    sp_route_unref(other);
    sp_lines_free(w_lines);
    w_lines = NULL;
    w_places = NULL;
    w_arg = NULL;
}
END_TEST

START_TEST(a_host_that_throttles_gets_half_and_less_until_it_recovers)
{
    struct sending first[8], many[60];
    size_t put_off = 0;
    struct sp_pool_view v = {0};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) sites = NULL;
    struct world w;

    ck_assert_int_eq(sp_sites_load(SP_LIT("{\"version\": 1}"), "s", problems, &sites), SP_OK);
    w_sites = sites;
    start(&w, 8, 60000);
    smtp_sink_reply(w.sink, "DOT", "421 4.7.0 slow down");
    for (size_t i = 0; i < 8; i++)
        send_one(&w, &first[i]);
    for (int k = 0; k < 300 && put_off < 8; k++) {
        turn(&w, 1);
        put_off = 0;
        for (size_t i = 0; i < 8; i++)
            put_off += first[i].results;
    }
    ck_assert_uint_eq(put_off, 8);
    sp_pool_each(w.pool, on_site, &v);
    ck_assert_uint_eq(v.state->max, 8);
    ck_assert_uint_lt(v.state->limit, 8);
    ck_assert_uint_ge(v.state->throttled, 1);
    ck_assert_str_eq(v.state->why, "throttled: 421 4.7.0");
    smtp_sink_reply(w.sink, "DOT", NULL);
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++) {
        send_one(&w, &many[i]);
        for (int k = 0; k < 300 && many[i].calls == 0; k++)
            turn(&w, 1);
    }
    for (int i = 0; i < 300 && smtp_sink_messages(w.sink) < 8 + 60; i++)
        turn(&w, 1);
    turn(&w, 3);
    for (size_t i = 0; i < SP_ARRAY_LEN(many); i++)
        ck_assert_int_eq(many[i].state, SP_SMTP_RCPT_ACCEPTED);
    sp_pool_each(w.pool, on_site, &v);
    ck_assert_uint_eq(v.state->limit, 8);
    ck_assert_str_eq(v.state->why, "");
    stop(&w);
    w_sites = NULL;
}
END_TEST

static void send_to(struct world *w, struct sending *s, size_t hop)
{
    struct sp_pool_ask ask = {.route = w->route, .hop = hop, .lane = SP_LANE_NORMAL};

    *s = (struct sending){.w = w};
    ck_assert_ptr_null(sp_pool_find(w->pool, &ask));
    (void)sp_pool_wait(w->pool, &ask, on_conn, s);
    for (int i = 0; i < 500 && s->results == 0; i++)
        turn(w, 1);
    ck_assert_uint_eq(s->results, 1);
}

struct troubled {
    unsigned sites, throttled;
};

static void count_troubled(void *arg, const struct sp_pool_view *v)
{
    struct troubled *t = arg;

    t->sites++;
    t->throttled += v->state->throttled > 0;
}

/* Hosts of a domain are one provider's; those that an operator has named need not be. */
START_TEST(a_smarthost_that_throttles_slows_no_other)
{
    static const enum sp_via vias[] = {SP_VIA_MX, SP_VIA_ROUTE, SP_VIA_NEXT_HOP};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) sites = NULL;

    ck_assert_int_eq(sp_sites_load(SP_LIT("{\"version\": 1}"), "s", problems, &sites), SP_OK);
    w_sites = sites;
    for (size_t i = 0; i < SP_ARRAY_LEN(vias); i++) {
        bool alone = vias[i] != SP_VIA_MX;
        struct troubled seen = {0};
        const struct sp_route *two;
        struct sp_route like;
        struct sending s[2];
        struct world w;

        start(&w, 8, 60000);
        two = route_by_two("one.test", "two.test", smtp_sink_port(w.sink));
        like = *two;
        like.via = vias[i];
        sp_route_unref(w.route);
        w.route = sp_route_copy(&like);
        sp_route_unref(two);
        smtp_sink_reply(w.sink, "DOT", "451 4.7.0 slow down");
        send_to(&w, &s[0], 0);
        smtp_sink_reply(w.sink, "DOT", NULL);
        send_to(&w, &s[1], 1);
        ck_assert_int_eq(s[1].state, SP_SMTP_RCPT_ACCEPTED);
        sp_pool_each(w.pool, count_troubled, &seen);
        ck_assert_uint_eq(seen.sites, alone ? 2 : 1);
        ck_assert_uint_eq(seen.throttled, 1);
        stop(&w);
    }
    w_sites = NULL;
}
END_TEST

/* Its line waits for both, and neither sets the other's pace. */
START_TEST(who_waits_for_either_of_two_goes_when_one_has_room)
{
    struct sp_pool_ask asks[2] = {{.hop = 0}, {.hop = 1}};
    struct sending first[40], second[40];
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) sites = NULL;
    struct sp_line_item item = {0};
    const struct sp_route *two;
    struct sp_route like;
    unsigned rooms = 0;
    struct world w;

    ck_assert_int_eq(sp_sites_load(SP_LIT("{\"version\": 1}"), "s", problems, &sites), SP_OK);
    w_sites = sites;
    w_lines = sp_lines_new();
    w_on_room = count_room;
    w_arg = &rooms;
    start(&w, 1, 60000);
    two = route_by_two("one.test", "two.test", smtp_sink_port(w.sink));
    like = *two;
    like.via = SP_VIA_ROUTE;
    sp_route_unref(w.route);
    w.route = sp_route_copy(&like);
    sp_route_unref(two);
    item.line = sp_lines_ref(w_lines, SP_LIT("t"), SP_LIT("a.test"), SP_LANE_NORMAL);
    sp_lines_put(w_lines, &item, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        asks[i].route = w.route;
        asks[i].lane = SP_LANE_NORMAL;
        asks[i].line = sp_line_handle(item.line);
        ck_assert_uint_eq(sp_pool_load(w.pool, &asks[i]), 0);
    }
    smtp_sink_reply(w.sink, "DOT", "250-not all of it"); /* who has a connection keeps it */
    for (size_t i = 0; i < 2; i++) {
        first[i] = second[i] = (struct sending){.w = &w};
        (void)sp_pool_wait(w.pool, &asks[0], on_conn, &first[i]);
    }
    ck_assert_uint_gt(sp_pool_load(w.pool, &asks[0]), 0);
    ck_assert_uint_lt(sp_pool_load(w.pool, &asks[0]), SP_POOL_CROWDED);
    ck_assert_uint_eq(sp_pool_load(w.pool, &asks[1]), 0);
    for (size_t i = 2; i < SP_ARRAY_LEN(first); i++) {
        first[i] = (struct sending){.w = &w};
        (void)sp_pool_wait(w.pool, &asks[0], on_conn, &first[i]);
    }
    for (int i = 0; i < 500 && smtp_sink_messages(w.sink) == 0; i++)
        turn(&w, 1);
    turn(&w, 20);
    ck_assert_uint_eq(sp_pool_load(w.pool, &asks[0]), SP_POOL_CROWDED);
    smtp_sink_reply(w.sink, "DOT", NULL);
    for (size_t i = 0; i < SP_ARRAY_LEN(second); i++) {
        second[i] = (struct sending){.w = &w};
        (void)sp_pool_wait(w.pool, &asks[1], on_conn, &second[i]);
    }
    ck_assert_uint_eq(sp_pool_load(w.pool, &asks[1]), SP_POOL_CROWDED);
    ck_assert(sp_pool_shuts(w.pool, asks, 2)); /* the first never answers */
    ck_assert_ptr_null(sp_lines_next(w_lines, 0));
    for (int i = 0; i < 2000 && rooms == 0; i++)
        turn(&w, 1);
    ck_assert_uint_eq(rooms, 1);
    ck_assert_ptr_eq(sp_lines_next(w_lines, 0), &item);
    ck_assert_uint_eq(first[0].results, 0);
    ck_assert_uint_eq(sp_pool_load(w.pool, &asks[0]), SP_POOL_CROWDED);
    ck_assert_uint_eq(w.pool->shut, 0); /* at the first, too */
    stop(&w);
    for (size_t i = 0; i < SP_ARRAY_LEN(first); i++) {
        if (first[i].calls > first[i].results) /* no end of it was told */
            sp_source_clear(&first[i].source);
        if (second[i].calls > second[i].results)
            sp_source_clear(&second[i].source);
    }
    sp_lines_unref(w_lines, item.line);
    sp_lines_free(w_lines);
    w_lines = NULL;
    w_on_room = NULL;
    w_sites = NULL;
}
END_TEST

START_TEST(a_long_pause_is_told_as_our_own)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) sites = NULL;
    struct sending first, waits, second;
    struct world w;

    ck_assert_int_eq(
        sp_sites_load(SP_LIT("{\"version\": 1, \"default\": {\"throttle\": [{\"reply\": 451,"
                             " \"status\": \"4.7.500\", \"do\": \"pause\", \"for\": \"1h\"}]}}"),
                      "s", problems, &sites),
        SP_OK);
    w_sites = sites;
    start(&w, 1, 60000);
    smtp_sink_reply(w.sink, "DOT", "451 4.7.500 come back in an hour");
    send_one(&w, &first);
    send_one(&w, &waits); /* for the only connection that there may be */
    for (int i = 0; i < 300 && first.results == 0; i++)
        turn(&w, 1);
    ck_assert_int_eq(first.state, SP_SMTP_RCPT_DEFERRED);
    turn(&w, 3);
    ck_assert_uint_eq(waits.calls, 1);
    ck_assert_int_eq(waits.rc, SP_E_HOP_PAUSED);
    send_one(&w, &second);
    turn(&w, 3);
    ck_assert_uint_eq(second.calls, 1);
    ck_assert_int_eq(second.rc, SP_E_HOP_PAUSED);
    stop(&w);
    w_sites = NULL;
}
END_TEST

static sp_handle wait_until_end(struct world *w, struct sending *s, int64_t ends_ms)
{
    struct sp_pool_ask ask = {.route = w->route, .lane = SP_LANE_NORMAL, .ends_ms = ends_ms};

    *s = (struct sending){.w = w};
    return sp_pool_wait(w->pool, &ask, on_conn, s);
}

/* A pause that is not long outlasts a message with little time, whether it comes before or after it. */
START_TEST(a_pause_is_not_waited_for_beyond_ones_own_end)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) sites = NULL;
    struct sending first, brief, lasting, endless, late;
    sp_handle handle;
    struct world w;

    ck_assert_int_eq(
        sp_sites_load(SP_LIT("{\"version\": 1, \"default\": {\"throttle\": [{\"reply\": 451,"
                             " \"status\": \"4.7.500\", \"do\": \"pause\", \"for\": \"50s\"}]}}"),
                      "s", problems, &sites),
        SP_OK);
    w_sites = sites;
    start(&w, 1, 60000);
    smtp_sink_reply(w.sink, "DOT", "451 4.7.500 come back in a minute");
    send_one(&w, &first);
    (void)wait_until_end(&w, &brief, 5000);
    (void)wait_until_end(&w, &lasting, 600000);
    (void)wait_until_end(&w, &endless, 0);
    for (int i = 0; i < 3000 && first.results == 0; i++)
        turn(&w, 1);
    ck_assert_int_eq(first.state, SP_SMTP_RCPT_DEFERRED);
    turn(&w, 3);
    ck_assert_uint_eq(brief.calls, 1);
    ck_assert_int_eq(brief.rc, SP_E_HOP_PAUSED);
    (void)wait_until_end(&w, &late, 1);
    turn(&w, 3);
    ck_assert_uint_eq(late.calls, 1);
    ck_assert_int_eq(late.rc, SP_E_HOP_PAUSED);
    ck_assert_int_eq(sp_pool_rests(w.pool, &(struct sp_pool_ask){.route = w.route, .ends_ms = 1}),
                     0); /* its line goes on */
    ck_assert_uint_eq(lasting.calls + endless.calls, 0);
    sp_pool_get_host(w.pool, &(struct sp_pool_ask){.route = w.route})->site->state.pause_until_ms =
        sp_clock_mono_ms(sp_loop_clock(w.loop)) + 4000;
    handle = wait_until_end(&w, &late, 1); /* few seconds are not too long for anybody */
    ck_assert(sp_list_is_empty(&w.pool->told));
    sp_pool_cancel(w.pool, handle);
    stop(&w);
    w_sites = NULL;
}
END_TEST

static void let_turn_end(struct world *w, sp_handle handle)
{
    struct sp_pool_waiter *waiter = sp_slots_find(w->pool->waiters, handle);

    sp_heap_put(&w->pool->turns, &waiter->in_turns, sp_clock_mono_ms(sp_loop_clock(w->loop)));
    sp_pool_on_turn(w->pool);
}

static sp_handle wait_for_turn(struct world *w, struct sending *s)
{
    struct sp_pool_ask ask = {.route = w->route, .lane = SP_LANE_NORMAL, .turn_ms = 1};

    *s = (struct sending){.w = w};
    return sp_pool_wait(w->pool, &ask, on_conn, s);
}

/* The rate lets one go a minute. */
START_TEST(who_waits_for_his_turn_leaves_when_his_time_is_over)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_sites) sites = NULL;
    struct sending first, other, endless;
    sp_handle handle;
    struct world w;

    ck_assert_int_eq(
        sp_sites_load(SP_LIT("{\"version\": 1, \"default\": {\"messages_per_minute\": 1}}"), "s",
                      problems, &sites),
        SP_OK);
    w_sites = sites;
    start(&w, 2, 60000);
    handle = wait_for_turn(&w, &first);
    let_turn_end(&w, handle); /* nobody knows yet how the host is */
    for (int i = 0; i < 3000 && first.results == 0; i++)
        turn(&w, 1);
    ck_assert_int_eq(first.state, SP_SMTP_RCPT_ACCEPTED);
    handle = wait_for_turn(&w, &other);
    send_one(&w, &endless);
    turn(&w, 3);
    ck_assert_uint_eq(other.calls, 0); /* who comes when it is over may try for some seconds */
    let_turn_end(&w, handle);
    ck_assert_uint_eq(other.calls, 0);
    turn(&w, 3);
    ck_assert_uint_eq(other.calls, 1);
    ck_assert_int_eq(other.rc, SP_E_DELIVERY_TURN);
    ck_assert_uint_eq(endless.calls, 0);
    stop(&w);
    w_sites = NULL;
}
END_TEST

/* What another route to the same host may differ in. */
enum differs {
    NOTHING,
    STS,
    DOMAIN,
    SECURE,
    PORT,
    ADDRESS,
    PIN,
    HOST_PIN,
    SELF,
    TLSA_DATA,
    TLSA_USAGE,
    TLSA_NONE
};

static const struct sp_route *route_that(uint16_t port, uint8_t usage, enum differs what)
{
    static const struct sp_hop_self self = {.helo = "another.test", .certificate = ""};
    struct sp_hop hop = {.name = SP_LIT("mx.test"),
                         .base = SP_LIT("mx.test"),
                         .port = port,
                         .address_count = 1,
                         .tlsa = SP_TLSA_USABLE,
                         .tlsa_set = {{usage, 1, 1, SP_LIT("digest")}},
                         .tlsa_count = 1};
    struct sp_route like = {
        .domain = SP_LIT("a.test"), .mx_secure = true, .hops = &hop, .hop_count = 1};

    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &hop.addresses[0]));
    like.domain = what == DOMAIN ? SP_LIT("b.test") : like.domain;
    like.mx_secure = what != SECURE;
    like.sts.mode = what == STS ? SP_STS_MODE_ENFORCE : SP_STS_MODE_NONE;
    like.pin = what == PIN ? SP_LIT("pinned.test") : like.pin;
    hop.pin = what == HOST_PIN ? SP_LIT("pinned.test") : hop.pin;
    hop.self = what == SELF ? &self : NULL;
    hop.port = what == PORT ? 1 : port;
    hop.addresses[0].b[3] = what == ADDRESS ? 2 : 1;
    hop.tlsa_set[0].data = what == TLSA_DATA ? SP_LIT("another") : SP_LIT("digest");
    hop.tlsa_set[0].usage = what == TLSA_USAGE ? 2 : usage;
    hop.tlsa_count = what != TLSA_NONE;
    hop.tlsa = what == TLSA_NONE ? SP_TLSA_NONE : SP_TLSA_USABLE;
    return sp_route_copy(&like);
}

static bool is_shared(struct world *w, const struct sp_route *route, bool plain)
{
    struct sp_pool_ask ask = {.route = route, .plain = plain};

    return sp_pool_find(w->pool, &ask) != NULL;
}

START_TEST(a_connection_serves_only_what_it_would_have_proved_itself)
{
    static const struct {
        uint8_t usage;
        enum differs what;
        bool shared;
    } cases[] = {
        {3, NOTHING, true},
        {3, STS, true}, /* weighed anew for each route */
        {3, DOMAIN, true},
        {3, SECURE, true},
        {3, PORT, false},
        {3, ADDRESS, false},
        {3, PIN, false},
        {3, HOST_PIN, false},
        {3, SELF, false},
        {3, TLSA_DATA, false},
        {3, TLSA_USAGE, false},
        {3, TLSA_NONE, false},
        {2, NOTHING, true},
        {2, DOMAIN, false}, /* the certificate may be in the domain's name */
        {2, SECURE, false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct sp_route *other;
        struct sending one;
        struct world w;

        start(&w, 4, 60000);
        sp_route_unref(w.route);
        w.route = route_that(smtp_sink_port(w.sink), cases[i].usage, NOTHING);
        other = route_that(smtp_sink_port(w.sink), cases[i].usage, cases[i].what);
        send_one(&w, &one);
        for (int t = 0; t < 300 && one.results == 0; t++)
            turn(&w, 1);
        turn(&w, 3);
        ck_assert_msg(is_shared(&w, w.route, false), "case %zu: not idle", i);
        ck_assert_msg(is_shared(&w, other, false) == cases[i].shared, "case %zu", i);
        ck_assert_msg(!is_shared(&w, w.route, true), "case %zu: plain", i);
        sp_route_unref(other);
        stop(&w);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, messages_share_connections_up_to_the_limit);
    tcase_add_test(c, an_idle_connection_says_goodbye);
    tcase_add_test(c, a_dead_host_rests_and_all_who_wait_hear_it);
    tcase_add_test(c, who_has_another_host_waits_for_no_probe);
    tcase_add_test(c, a_refusal_at_the_door_is_told_with_its_code);
    tcase_add_test(c, a_connection_lost_behind_the_dot_is_unsure);
    tcase_add_test(c, who_cancels_never_hears_and_the_end_leaves_nothing);
    tcase_add_test(c, a_connection_serves_only_what_it_would_have_proved_itself);
    tcase_add_test(c, who_waits_for_his_turn_leaves_when_his_time_is_over);
    tcase_add_test(c, a_crowds_line_is_shut_until_there_is_room);
    tcase_add_test(c, sites_that_are_slow_leave_connections_for_another);
    tcase_add_test(c, who_has_too_much_ends_an_idle_connection_of_its_own);
    tcase_add_test(c, any_number_of_sites_that_stall_leaves_connections_to_one_that_takes_mail);
    tcase_add_test(c, sites_that_take_mail_leave_connections_to_one_that_was_never_written_to);
    tcase_add_test(c, a_connection_that_does_not_open_is_no_proof);
    tcase_add_test(c, a_rank_is_earned_by_messages_and_halved_by_each_that_waits);
    tcase_add_test(c, what_a_site_has_shown_is_forgotten_behind_hosts_that_showed_nothing);
    tcase_add_test(c, how_a_host_is_that_nobody_reached_is_known_among_many_that_take_mail);
    tcase_add_test(c, all_sites_are_seen_once_in_steps);
    tcase_add_test(c, who_waits_rises_and_falls_with_the_site);
    tcase_add_test(c,
                   sites_that_take_one_and_stall_together_leave_connections_to_one_that_took_more);
    tcase_add_test(c, a_stranger_gets_one_connection_of_four_for_those_who_waited_before);
    tcase_add_test(c, many_strangers_each_get_one_of_four_in_the_order_in_which_they_came);
    tcase_add_test(c, half_a_minute_after_all_have_stalled_half_of_all_is_there_for_others);
    tcase_add_test(c, what_was_shown_goes_with_the_time_that_is_held);
    tcase_add_test(c, a_site_with_mail_without_end_gives_its_connection_back_after_a_while);
    tcase_add_test(c, a_host_that_wants_no_more_keeps_nobody_from_the_other);
    tcase_add_test(c, mail_without_end_in_one_lane_leaves_turns_to_the_next);
    tcase_add_test(c, turns_are_used_up_only_while_another_lane_waits);
    tcase_add_test(c, of_sites_without_a_connection_the_first_to_come_gets_the_first);
    tcase_add_test(c, sites_that_are_slow_leave_places_for_another);
    tcase_add_test(c, places_of_sites_that_take_mail_are_not_those_of_the_others);
    tcase_add_test(c, a_host_that_throttles_gets_half_and_less_until_it_recovers);
    tcase_add_test(c, a_smarthost_that_throttles_slows_no_other);
    tcase_add_test(c, who_waits_for_either_of_two_goes_when_one_has_room);
    tcase_add_test(c, a_long_pause_is_told_as_our_own);
    tcase_add_test(c, a_pause_is_not_waited_for_beyond_ones_own_end);
}

SP_TEST_MAIN("delivery.pool", add)
