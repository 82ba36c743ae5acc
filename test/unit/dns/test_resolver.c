/*
 * The resolver against a server that misbehaves in every way that matters: what it is told, what it never believes,
 * and how it gives up.
 */
#include "dns/resolver.h"
#include "io/addr.h"
#include "support/check_main.h"
#include "support/dns_server.h"
#include "support/fault_board.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define ASKED_MAX 64
#define CROWD     600 /* three times as many as strangers have under way */

enum mood {
    GOOD,
    SILENT_FIRST, /* the first datagram is lost */
    SILENT,
    SILENT_ABOUT_X, /* no answer for names that begin with x */
    CUT,
    WRONG_ID_FIRST,
    OTHER_CASE,
    SERVFAIL,
    BOGUS, /* SERVFAIL, but there with CD */
    NONE,
    NXDOMAIN,
    ALIAS,
    GARBAGE,
};

struct world {
    struct sp_loop *loop;
    struct dns_server *server;
    struct sp_dns_resolver *r;
    enum mood mood;
    unsigned answers;
    unsigned good;
    enum sp_rc rc;
    bool secure;
    bool aliased;
    size_t count;
    char first[300]; /* the first record, as text */
    char owner[300];
    bool inside; /* ask has not returned yet */
    unsigned tcp_queries;
    unsigned never; /* queries for names that begin with "never" */
    int64_t good_for_ms;
    unsigned noted; /* datagrams; of the first ASKED_MAX: */
    uint16_t ids[ASKED_MAX], ports[ASKED_MAX];
    char names[ASKED_MAX][32]; /* as they were written */
};

static void put_mx(struct sp_buf *out, const char *owner, uint32_t ttl)
{
    struct sp_buf rdata;

    sp_buf_init(&rdata, 300);
    sp_buf_put_u8(&rdata, 0);
    sp_buf_put_u8(&rdata, 10);
    dns_name(&rdata, "Mx1.Example.test");
    dns_reply_rr(out, owner, SP_DNS_MX, ttl, sp_buf_bytes(&rdata), false);
    sp_buf_clear(&rdata);
}

static void put_soa(struct sp_buf *out)
{
    struct sp_buf rdata;

    sp_buf_init(&rdata, 300);
    dns_name(&rdata, "ns.test");
    dns_name(&rdata, "hostmaster.test");
    for (int i = 0; i < 4; i++)
        sp_buf_put(&rdata, SP_LIT("\0\0\0\1"));
    sp_buf_put(&rdata, SP_LIT("\0\0\0\2")); /* minimum: 2 s */
    dns_reply_rr(out, "test", 6, 600, sp_buf_bytes(&rdata), true);
    sp_buf_clear(&rdata);
}

static void put_alias(struct sp_buf *out)
{
    struct sp_buf rdata;

    sp_buf_init(&rdata, 300);
    dns_name(&rdata, "other.test");
    dns_reply_rr(out, NULL, SP_DNS_CNAME, 60, sp_buf_bytes(&rdata), false);
    put_mx(out, "unrelated.test", 60);
    put_mx(out, "other.test", 60);
    sp_buf_clear(&rdata);
}

static void change_case(struct sp_buf *out)
{
    for (size_t i = 13; i < out->len && out->ptr[i] != 0; i++)
        if (sp_ascii_is_alpha(out->ptr[i]))
            out->ptr[i] ^= 0x20;
}

static void note_query(struct world *w, struct sp_bytes query)
{
    if (w->noted >= ASKED_MAX)
        return;
    w->ids[w->noted] = (uint16_t)(query.ptr[0] << 8 | query.ptr[1]);
    w->ports[w->noted] = dns_server_asker(w->server);
    (void)snprintf(w->names[w->noted], sizeof(w->names[0]), "%.*s", query.ptr[12],
                   (const char *)query.ptr + 13);
    w->noted++;
}

static void answer(void *arg, struct sp_bytes query, bool tcp, unsigned nth, struct sp_buf *out)
{
    struct world *w = arg;
    int rcode = 0;

    w->tcp_queries += tcp;
    w->never += strncmp(dns_query_name(query), "never", 5) == 0;
    if (!tcp)
        note_query(w, query);
    if (w->mood == SILENT_ABOUT_X && dns_query_name(query)[0] == 'x')
        return;
    if (w->mood == SILENT || (w->mood == SILENT_FIRST && nth == 1))
        return;
    if (w->mood == SERVFAIL || (w->mood == BOGUS && !dns_query_is_unchecked(query)))
        rcode = 2;
    if (w->mood == NXDOMAIN)
        rcode = 3;
    dns_reply(out, query, rcode, DNS_AD | (w->mood == CUT && !tcp ? DNS_TC : 0));
    if (w->mood == NONE || w->mood == NXDOMAIN)
        put_soa(out);
    else if (w->mood == ALIAS)
        put_alias(out);
    else if (rcode == 0 && !(w->mood == CUT && !tcp))
        put_mx(out, NULL, 60);
    if (w->mood == OTHER_CASE)
        change_case(out);
    if (w->mood == WRONG_ID_FIRST && nth == 1)
        out->ptr[0] ^= 0xFF;
    if (w->mood == GARBAGE)
        out->len -= 9;
}

static void on_answer(void *arg, const struct sp_dns_answer *a)
{
    struct world *w = arg;

    ck_assert(!w->inside);
    w->answers++;
    w->good += a->rc == SP_OK;
    w->rc = a->rc;
    w->secure = a->secure;
    w->aliased = a->aliased;
    w->count = a->count;
    w->good_for_ms = a->good_until_ms - sp_clock_mono_ms(sp_loop_clock(w->loop));
    (void)snprintf(w->owner, sizeof(w->owner), "%.*s", SP_FMT(a->owner));
    if (a->count > 0)
        (void)snprintf(w->first, sizeof(w->first), "%u %.*s", a->records[0].preference,
                       SP_FMT(a->records[0].name));
}

static void start(struct world *w, enum mood mood, bool trusted)
{
    struct sp_dns_settings settings = {
        .server_count = 1, .trusted = trusted, .first_try_ms = 50, .deadline_ms = 1500};

    *w = (struct world){.mood = mood, .loop = sp_loop_new()};
    w->server = dns_server_new(w->loop, answer, w);
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    settings.servers[0].port = dns_server_port(w->server);
    w->r = sp_dns_resolver_new(w->loop, NULL, &settings);
}

static sp_handle ask_mx(struct world *w, const char *name)
{
    sp_handle h;

    w->inside = true;
    h = sp_dns_ask(sp_dns_resolver_ops(w->r), sp_bytes_cstr(name), SP_DNS_MX, on_answer, w);
    w->inside = false;
    return h;
}

static void run(struct world *w, unsigned answers)
{
    const struct sp_clock *clock = sp_loop_clock(w->loop);
    int64_t limit_ms = sp_clock_mono_ms(clock) + 30000;

    while (w->answers < answers && sp_clock_mono_ms(clock) < limit_ms)
        sp_loop_run_once(w->loop, 10);
    ck_assert_uint_eq(w->answers, answers);
}

static void stop(struct world *w)
{
    sp_dns_resolver_free(w->r);
    dns_server_free(w->server);
    sp_loop_free(w->loop);
}

START_TEST(each_mood_of_a_server_has_its_result)
{
    static const struct {
        const char *name;
        enum mood mood;
        bool trusted;
        enum sp_rc rc;
        bool secure;
        size_t count;
    } cases[] = {
        {"good", GOOD, true, SP_OK, true, 1},
        {"good, but not trusted", GOOD, false, SP_OK, false, 1},
        {"one datagram lost", SILENT_FIRST, true, SP_OK, true, 1},
        {"silent", SILENT, true, SP_E_DNS_TIMEOUT, false, 0},
        {"cut, then whole over TCP", CUT, true, SP_OK, true, 1},
        {"a forged id before", WRONG_ID_FIRST, true, SP_OK, true, 1},
        {"letters changed", OTHER_CASE, true, SP_OK, true, 1},
        {"servfail", SERVFAIL, true, SP_E_DNS_SERVFAIL, false, 0},
        {"bogus", BOGUS, true, SP_E_DNS_BOGUS, false, 0},
        {"bogus, but we don't trust it", BOGUS, false, SP_E_DNS_SERVFAIL, false, 0},
        {"no such data", NONE, true, SP_E_DNS_NONE, true, 0},
        {"no such name", NXDOMAIN, true, SP_E_DNS_NXDOMAIN, true, 0},
        {"alias", ALIAS, true, SP_OK, true, 1},
        {"garbage", GARBAGE, true, SP_E_DNS_MALFORMED, false, 0},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct world w;

        start(&w, cases[i].mood, cases[i].trusted);
        ask_mx(&w, "Example.test");
        run(&w, 1);
        ck_assert_msg(w.rc == cases[i].rc, "%s: %s", cases[i].name, sp_rc_name(w.rc));
        ck_assert_msg(w.secure == cases[i].secure, "%s: secure", cases[i].name);
        ck_assert_msg(w.count == cases[i].count, "%s: count %zu", cases[i].name, w.count);
        if (w.count > 0)
            ck_assert_str_eq(w.first, "10 mx1.example.test");
        stop(&w);
    }
}
END_TEST

/* The first, the second, ... until there is no such passage: one answer each, and a failure of ours is never an absence. */
START_TEST(a_call_that_fails_here_is_no_answer_of_the_server)
{
    static const char *const points[] = {"dns.socket", "dns.send",  "dns.receive", "io.socket",
                                         "io.connect", "io.accept", "io.read",     "io.write"};
    unsigned struck = 0;

    for (size_t i = 0; i < 2 * SP_ARRAY_LEN(points); i++) {
        const char *point = points[i / 2];
        enum mood mood = i % 2 == 0 ? GOOD : CUT;

        for (uint64_t n = 1;; n++) {
            bool more;
            struct world w;

            start(&w, mood, true);
            if (!fault_board_arm(point, n)) {
                stop(&w);
                return;
            }
            ask_mx(&w, "example.test");
            run(&w, 1);
            more = fault_board_struck();
            struck += more;
            ck_assert_msg(w.rc == SP_OK || w.rc == SP_E_DNS_TIMEOUT, "%s %u: %s", point,
                          (unsigned)n, sp_rc_name(w.rc));
            ck_assert_msg(more || w.rc == SP_OK, "%s %u: nothing failed", point, (unsigned)n);
            stop(&w);
            if (!more)
                break;
        }
    }
    fault_board_end();
    ck_assert_uint_ge(struck, 10);
}
END_TEST

START_TEST(an_alias_says_where_it_led)
{
    struct world w;

    start(&w, ALIAS, true);
    ask_mx(&w, "example.test");
    run(&w, 1);
    ck_assert(w.aliased);
    ck_assert_str_eq(w.owner, "other.test");
    stop(&w);
}
END_TEST

START_TEST(a_cut_answer_and_changed_letters_go_to_tcp)
{
    static const enum mood moods[] = {CUT, OTHER_CASE};

    for (size_t i = 0; i < SP_ARRAY_LEN(moods); i++) {
        struct world w;

        start(&w, moods[i], true);
        ask_mx(&w, "example.test");
        run(&w, 1);
        ck_assert_uint_eq(w.tcp_queries, 1);
        stop(&w);
    }
}
END_TEST

START_TEST(equal_questions_share_one_datagram_and_then_the_cache)
{
    struct world w;
    struct sp_dns_stats stats;

    start(&w, GOOD, true);
    for (int i = 0; i < 5; i++)
        ask_mx(&w, i % 2 == 0 ? "example.test" : "EXAMPLE.test");
    run(&w, 5);
    ask_mx(&w, "example.test");
    run(&w, 6);
    stats = sp_dns_resolver_stats(w.r);
    ck_assert_uint_eq(stats.datagrams, 1);
    ck_assert_uint_eq(stats.merged, 4);
    ck_assert_uint_eq(stats.cached, 1);
    sp_dns_resolver_flush(w.r);
    ask_mx(&w, "example.test");
    run(&w, 7);
    ck_assert_uint_eq(sp_dns_resolver_stats(w.r).datagrams, 2);
    stop(&w);
}
END_TEST

START_TEST(absence_is_remembered_for_as_long_as_the_soa_says)
{
    struct world w;

    start(&w, NXDOMAIN, true);
    ask_mx(&w, "example.test");
    run(&w, 1);
    ask_mx(&w, "example.test");
    run(&w, 2);
    ck_assert_uint_eq(dns_server_queries(w.server), 1);
    ck_assert(w.secure);
    /* the SOA's minimum of 2 s, though its own TTL is longer (RFC 2308 5) */
    ck_assert_int_gt(w.good_for_ms, 0);
    ck_assert_int_le(w.good_for_ms, 2000);
    stop(&w);
}
END_TEST

/* A forger has to guess the id, the port and the case of each letter (RFC 5452 4; draft-vixie-dnsext-dns0x20). */
START_TEST(each_question_has_an_id_a_port_and_letters_of_its_own)
{
    unsigned ids = 0, ports = 0, letters = 0;
    struct world w;

    start(&w, GOOD, true);
    for (unsigned i = 0; i < ASKED_MAX; i++) { /* one at a time: a port may be used again */
        ask_mx(&w, "abcdefghijklmnop.test");
        run(&w, i + 1);
        sp_dns_resolver_flush(w.r);
    }
    ck_assert_uint_eq(w.noted, ASKED_MAX);
    for (unsigned i = 1; i < ASKED_MAX; i++) {
        ids += w.ids[i] != w.ids[i - 1];
        ports += w.ports[i] != w.ports[i - 1];
        letters += strcmp(w.names[i], w.names[i - 1]) != 0;
    }
    /* of 63 neighbours some few may be alike by chance; 16 letters are so once in 65,536 */
    ck_assert_uint_ge(ids, 60);
    ck_assert_uint_ge(ports, 60);
    ck_assert_uint_ge(letters, 60);
    stop(&w);
}
END_TEST

START_TEST(a_cancelled_question_never_calls_back)
{
    struct world w;
    sp_handle h;

    start(&w, GOOD, true);
    h = ask_mx(&w, "example.test");
    ask_mx(&w, "example.test");
    sp_dns_cancel(sp_dns_resolver_ops(w.r), h);
    sp_dns_cancel(sp_dns_resolver_ops(w.r), h);
    run(&w, 1);
    h = ask_mx(&w, "example.test"); /* from the cache */
    sp_dns_cancel(sp_dns_resolver_ops(w.r), h);
    for (int i = 0; i < 5; i++)
        sp_loop_run_once(w.loop, 5);
    ck_assert_uint_eq(w.answers, 1);
    stop(&w);
}
END_TEST

START_TEST(many_names_at_once_all_get_their_answer)
{
    struct sp_dns_settings settings = {
        .server_count = 1, .trusted = true, .first_try_ms = 200, .deadline_ms = 25000};
    struct world w;
    char name[64];

    start(&w, GOOD, true);
    sp_dns_resolver_free(w.r); /* one with time enough for a busy machine */
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    settings.servers[0].port = dns_server_port(w.server);
    w.r = sp_dns_resolver_new(w.loop, NULL, &settings);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "n%d.example.test", i);
        ask_mx(&w, name);
    }
    run(&w, 1000);
    ck_assert_int_eq(w.rc, SP_OK);
    stop(&w);
}
END_TEST

/* A server of its own, that answers all who asked while this process stands still. */
static void answer_each(struct world *w, int fd, int count)
{
    struct sockaddr_storage from;
    uint8_t packet[4096];
    struct sp_buf out;

    for (int i = 0; i < count; i++) {
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len);

        ck_assert_int_gt(n, 12);
        sp_buf_init(&out, 65535);
        answer(w, sp_bytes(packet, (size_t)n), true, 1, &out);
        ck_assert_int_eq(sendto(fd, out.ptr, out.len, 0, (struct sockaddr *)&from, len),
                         (ssize_t)out.len);
        sp_buf_clear(&out);
    }
}

START_TEST(answers_that_came_while_the_process_stood_still_count)
{
    enum { COUNT = 100, PATIENCE_MS = 2000 };
    struct sp_dns_settings settings = {
        .server_count = 1, .first_try_ms = PATIENCE_MS, .deadline_ms = PATIENCE_MS};
    struct timeval patience = {.tv_sec = 20};
    struct sp_addr at;
    struct world w;
    char name[64];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    start(&w, GOOD, true);
    sp_dns_resolver_free(w.r);
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    ck_assert(sp_addr_from_raw(sp_bytes(settings.servers[0].ip.b, 4), 0, &at));
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    ck_assert_int_eq(bind(fd, &at.u.sa, at.len), 0);
    ck_assert_int_eq(getsockname(fd, &at.u.sa, &at.len), 0);
    settings.servers[0].port = sp_addr_port(&at);
    w.r = sp_dns_resolver_new(w.loop, NULL, &settings);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "n%d.example.test", i);
        ask_mx(&w, name);
    }
    sp_loop_run_once(w.loop, 0);
    answer_each(&w, fd, COUNT);
    (void)poll(NULL, 0, PATIENCE_MS + 100); /* the stand: longer than anybody is patient */
    run(&w, COUNT);
    ck_assert_uint_eq(w.good, COUNT);
    (void)close(fd);
    stop(&w);
}
END_TEST

START_TEST(a_name_that_cannot_be_is_not_asked)
{
    static const char *const names[] = {"", ".", "a..b", "a b.test", "a\\.b", "exa\"mple"};
    struct world w;

    start(&w, GOOD, true);
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        ask_mx(&w, names[i]);
        run(&w, (unsigned)i + 1);
        ck_assert_msg(w.rc == SP_E_DNS_NXDOMAIN, "%s", names[i]);
    }
    ck_assert_uint_eq(dns_server_queries(w.server), 0);
    stop(&w);
}
END_TEST

START_TEST(a_dead_server_leaves_the_work_to_the_next)
{
    struct sp_dns_settings settings = {.server_count = 2, .trusted = true, .first_try_ms = 50};
    struct world w;

    start(&w, GOOD, true);
    sp_dns_resolver_free(w.r);
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    settings.servers[0].port = 1; /* nobody there */
    settings.servers[1] = settings.servers[0];
    settings.servers[1].port = dns_server_port(w.server);
    w.r = sp_dns_resolver_new(w.loop, NULL, &settings);
    ask_mx(&w, "example.test");
    run(&w, 1);
    ck_assert_int_eq(w.rc, SP_OK);
    for (unsigned i = 0; i < 5; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "n%u.test", i);
        ask_mx(&w, name);
        run(&w, i + 2);
        ck_assert_int_eq(w.rc, SP_OK);
    }
    ck_assert_uint_gt(sp_dns_resolver_stats(w.r).rested, 0); /* nobody asks it any more */
    stop(&w);
}
END_TEST

START_TEST(the_cache_keeps_to_its_bytes)
{
    struct sp_dns_settings settings = {
        .server_count = 1, .trusted = true, .first_try_ms = 200, .cache_bytes = 20000};
    struct world w;
    char name[32];

    start(&w, GOOD, true);
    sp_dns_resolver_free(w.r);
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    settings.servers[0].port = dns_server_port(w.server);
    w.r = sp_dns_resolver_new(w.loop, NULL, &settings);
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        ask_mx(&w, name);
        run(&w, i + 1);
    }
    ask_mx(&w, "n39.test"); /* the newest is here, the oldest gone */
    run(&w, 41);
    ck_assert_uint_eq(sp_dns_resolver_stats(w.r).cached, 1);
    ask_mx(&w, "n0.test");
    run(&w, 42);
    ck_assert_uint_eq(sp_dns_resolver_stats(w.r).cached, 1);
    stop(&w);
}
END_TEST

static void say_nothing(void *arg, struct sp_bytes query, bool tcp, unsigned nth,
                        struct sp_buf *out)
{
    (void)arg;
    (void)query;
    (void)tcp;
    (void)nth;
    (void)out;
}

START_TEST(a_silent_server_costs_its_first_patience_and_then_rests)
{
    struct sp_dns_settings settings = {.server_count = 2, .trusted = true, .first_try_ms = 50};
    struct dns_server *mute;
    struct world w;

    start(&w, GOOD, true);
    mute = dns_server_new(w.loop, say_nothing, NULL);
    sp_dns_resolver_free(w.r);
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    settings.servers[1] = settings.servers[0];
    settings.servers[0].port = dns_server_port(mute);
    settings.servers[1].port = dns_server_port(w.server);
    w.r = sp_dns_resolver_new(w.loop, NULL, &settings);
    for (unsigned i = 0; i < 8; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "n%u.test", i);
        ask_mx(&w, name);
        run(&w, i + 1);
        ck_assert_int_eq(w.rc, SP_OK);
        ck_assert(w.secure);
    }
    ck_assert_uint_ge(dns_server_queries(mute), 3);
    ck_assert_uint_le(dns_server_queries(mute), 5); /* it is left alone, for a second at first */
    ck_assert_uint_ge(dns_server_queries(w.server), 8);
    dns_server_free(mute);
    stop(&w);
}
END_TEST

START_TEST(silence_about_many_names_costs_others_nothing_but_time)
{
    struct world w;
    char name[32];
    unsigned many = 520; /* twice as many as are under way at a time */

    start(&w, SILENT_ABOUT_X, true);
    for (unsigned i = 0; i < many; i++) {
        (void)snprintf(name, sizeof(name), "x%u.test", i);
        ask_mx(&w, name);
    }
    ask_mx(&w, "example.test"); /* behind them all in line */
    run(&w, many + 1);
    ck_assert_uint_eq(w.good, 1);
    stop(&w);
}
END_TEST

/* ---- many names that nobody answers about ---- */

static const unsigned under_way[] = {256, 256, 128, 128, 192}; /* by party */

static sp_handle ask_as(struct world *w, enum sp_dns_party party, const char *name)
{
    return sp_dns_ask(sp_dns_for(sp_dns_resolver_ops(w->r), party), sp_bytes_cstr(name), SP_DNS_MX,
                      on_answer, w);
}

static bool has_room(const struct world *w, enum sp_dns_party party)
{
    return sp_dns_has_room(sp_dns_for(sp_dns_resolver_ops(w->r), party));
}

/* One by one: a socket's buffer has no room for hundreds. */
static void let_it_hear(struct world *w, unsigned queries)
{
    const struct sp_clock *clock = sp_loop_clock(w->loop);
    int64_t limit_ms = sp_clock_mono_ms(clock) + 30000;

    while (dns_server_queries(w->server) < queries && sp_clock_mono_ms(clock) < limit_ms)
        sp_loop_run_once(w->loop, 10);
    ck_assert_uint_ge(dns_server_queries(w->server), queries);
}

/* They come first, and are given up when the test is long over. */
static void start_crowd(struct world *w, enum sp_dns_party party, int64_t first_try_ms)
{
    struct sp_dns_settings settings = {
        .server_count = 1, .trusted = true, .first_try_ms = first_try_ms, .deadline_ms = 600000};
    char name[32];

    start(w, SILENT_ABOUT_X, true);
    sp_dns_resolver_free(w->r);
    ck_assert(sp_dns_ip_parse(SP_LIT("127.0.0.1"), &settings.servers[0].ip));
    settings.servers[0].port = dns_server_port(w->server);
    w->r = sp_dns_resolver_new(w->loop, NULL, &settings);
    for (unsigned i = 0; i < CROWD; i++) {
        (void)snprintf(name, sizeof(name), "x%u.test", i);
        ask_as(w, party, name);
        let_it_hear(w, i + 1 < under_way[party] ? i + 1 : under_way[party]);
    }
}

START_TEST(no_party_waits_for_another)
{
    for (unsigned crowd = 0; crowd < SP_DNS_PARTY_COUNT; crowd++) {
        struct world w;
        unsigned others = 0;
        char name[32];

        start_crowd(&w, (enum sp_dns_party)crowd, 600000);
        ck_assert(!has_room(&w, (enum sp_dns_party)crowd));
        for (unsigned party = 0; party < SP_DNS_PARTY_COUNT; party++) {
            (void)snprintf(name, sizeof(name), "n%u.test", party);
            if (party == crowd)
                continue;
            ck_assert(has_room(&w, (enum sp_dns_party)party));
            ask_as(&w, (enum sp_dns_party)party, name);
            others++;
        }
        run(&w, others);
        ck_assert_uint_eq(w.good, others);
        stop(&w);
    }
}
END_TEST

/* Half of what a party may ask is for those who have few things to ask. */
START_TEST(who_asks_much_leaves_half)
{
    struct world w;
    char name[32];

    start(&w, SILENT_ABOUT_X, true);
    for (unsigned i = 0; i < under_way[SP_DNS_PARTY_STRANGERS] / 2; i++) {
        (void)snprintf(name, sizeof(name), "x%u.test", i);
        ck_assert(has_room(&w, SP_DNS_PARTY_STRANGERS));
        ask_as(&w, SP_DNS_PARTY_STRANGERS, name);
    }
    ck_assert(!has_room(&w, SP_DNS_PARTY_STRANGERS));
    stop(&w);
}
END_TEST

START_TEST(each_of_a_party_is_asked_once_before_any_is_again)
{
    struct world w;

    start_crowd(&w, SP_DNS_PARTY_STRANGERS, 200);
    ask_as(&w, SP_DNS_PARTY_STRANGERS, "example.test");
    run(&w, 1);
    ck_assert_uint_eq(w.good, 1);
    stop(&w);
}
END_TEST

START_TEST(what_a_better_party_asks_for_too_waits_with_it)
{
    struct world w;
    sp_handle late;

    start_crowd(&w, SP_DNS_PARTY_STRANGERS, 600000);
    ask_as(&w, SP_DNS_PARTY_STRANGERS, "example.test");
    ask_as(&w, SP_DNS_PARTY_KNOWN, "Example.test");
    run(&w, 2);
    ck_assert_uint_eq(w.good, 2);
    late = ask_as(&w, SP_DNS_PARTY_STRANGERS, "late.test");
    ask_as(&w, SP_DNS_PARTY_STRANGERS, "last.test");
    sp_dns_hurry(sp_dns_for(sp_dns_resolver_ops(w.r), SP_DNS_PARTY_URGENT), late);
    run(&w, 3);
    sp_dns_hurry(sp_dns_for(sp_dns_resolver_ops(w.r), SP_DNS_PARTY_URGENT), late); /* is stale */
    for (int i = 0; i < 5; i++)
        sp_loop_run_once(w.loop, 5);
    ck_assert_uint_eq(w.answers, 3);
    stop(&w);
}
END_TEST

START_TEST(what_nobody_waits_for_any_more_is_not_asked)
{
    sp_handle cancelled[10];
    struct world w;
    char name[32];

    start_crowd(&w, SP_DNS_PARTY_STRANGERS, 200);
    for (unsigned i = 0; i < SP_ARRAY_LEN(cancelled); i++) {
        (void)snprintf(name, sizeof(name), "never%u.test", i);
        cancelled[i] = ask_as(&w, SP_DNS_PARTY_STRANGERS, name);
    }
    ask_as(&w, SP_DNS_PARTY_STRANGERS, "example.test");
    for (unsigned i = 0; i < SP_ARRAY_LEN(cancelled); i++)
        sp_dns_cancel(sp_dns_resolver_ops(w.r), cancelled[i]);
    run(&w, 1);
    ck_assert_uint_eq(w.good, 1);
    ck_assert_uint_eq(w.never, 0);
    stop(&w);
}
END_TEST

START_TEST(the_end_with_questions_under_way_leaves_nothing_behind)
{
    struct world w;

    start(&w, SILENT, true);
    ask_mx(&w, "a.test");
    ask_mx(&w, "b.test");
    sp_loop_run_once(w.loop, 5);
    stop(&w);
    ck_assert_uint_eq(w.answers, 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, each_mood_of_a_server_has_its_result);
    tcase_add_test(c, a_call_that_fails_here_is_no_answer_of_the_server);
    tcase_add_test(c, an_alias_says_where_it_led);
    tcase_add_test(c, a_cut_answer_and_changed_letters_go_to_tcp);
    tcase_add_test(c, equal_questions_share_one_datagram_and_then_the_cache);
    tcase_add_test(c, absence_is_remembered_for_as_long_as_the_soa_says);
    tcase_add_test(c, a_cancelled_question_never_calls_back);
    tcase_add_test(c, many_names_at_once_all_get_their_answer);
    tcase_add_test(c, answers_that_came_while_the_process_stood_still_count);
    tcase_add_test(c, a_name_that_cannot_be_is_not_asked);
    tcase_add_test(c, each_question_has_an_id_a_port_and_letters_of_its_own);
    tcase_add_test(c, a_dead_server_leaves_the_work_to_the_next);
    tcase_add_test(c, the_cache_keeps_to_its_bytes);
    tcase_add_test(c, a_silent_server_costs_its_first_patience_and_then_rests);
    tcase_add_test(c, silence_about_many_names_costs_others_nothing_but_time);
    tcase_add_test(c, no_party_waits_for_another);
    tcase_add_test(c, who_asks_much_leaves_half);
    tcase_add_test(c, each_of_a_party_is_asked_once_before_any_is_again);
    tcase_add_test(c, what_a_better_party_asks_for_too_waits_with_it);
    tcase_add_test(c, what_nobody_waits_for_any_more_is_not_asked);
    tcase_add_test(c, the_end_with_questions_under_way_leaves_nothing_behind);
}

SP_TEST_MAIN("dns.resolver", add)
