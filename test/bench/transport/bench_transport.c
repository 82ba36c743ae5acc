/*
 * What the next hop costs, in CPU seconds of this process: a decision with everything cached, questions to a resolver and to
 * our own cache, TLS handshakes with and without resumption. CPU time and not the clock's, so that a busy machine tells the
 * same; test/bench/transport/run starts the resolver and makes the certificate.
 *
 *     bench_transport decide N | dns PORT N | tls CERTIFICATE KEY N
 */
#include "base/buf.h"
#include "delivery/probe.h"
#include "dns/resolver.h"
#include "io/loop.h"
#include "support/fake_dns.h"
#include "tls/tls.h"
#include "transport/posture.h"
#include "transport/sts.h"
#include "transport/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define DOMAINS    1000
#define FLIGHT_MAX 200
#define NAME_MAX_  64

static double cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void tell(const char *what, size_t count, double began_s)
{
    double spent_s = cpu_s() - began_s;

    printf("%-44s %8zu in %7.3f CPU s: %10.0f a core and second, %8.2f us each\n", what, count,
           spent_s, (double)count / spent_s, spent_s * 1e6 / (double)count);
}

/* ---- a decision ---- */

#define TLSA "3 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void publish(struct fake_dns *dns, const char *domain)
{
    char host[NAME_MAX_ + 8];
    char mx[NAME_MAX_ + 16];
    char tlsa[NAME_MAX_ + 24];

    (void)snprintf(host, sizeof(host), "mx.%s", domain);
    (void)snprintf(mx, sizeof(mx), "10 %s", host);
    (void)snprintf(tlsa, sizeof(tlsa), "_25._tcp.%s", host);
    fake_dns_add(dns, domain, SP_DNS_MX, true, mx);
    fake_dns_add(dns, host, SP_DNS_A, true, "127.0.0.1");
    fake_dns_add(dns, tlsa, SP_DNS_TLSA, true, TLSA);
}

static void on_route(void *arg, const struct sp_route *route)
{
    (void)route;
    ++*(size_t *)arg;
}

/* Find the route, what the domain has proved, what the handshake is worth, and which rung is to be taken. */
static size_t decide(struct sp_transport *t, struct sp_bytes domain)
{
    static const struct sp_ladder ladder = {.name = "",
                                            .rungs = {{.rung = SP_RUNG_TLS_DANE},
                                                      {.rung = SP_RUNG_TLS_AUTHENTICATED},
                                                      {.rung = SP_RUNG_TLS_VERIFIED},
                                                      {.rung = SP_RUNG_TLS_ENCRYPTED}},
                                            .count = 4,
                                            .floor = SP_FLOOR_TLS_ENCRYPTED};
    static const struct sp_hop_proof proof = {.tls = true, .dane_ok = true};
    struct sp_standing s = {
        .ladder = &ladder, .floor = SP_FLOOR_TLS_ENCRYPTED, .expire_ms = 86400000};
    const struct sp_route *route = sp_transport_find(t, domain);
    struct sp_hop_report r;
    struct sp_next next;

    sp_assert(route != NULL && route->hop_count == 1);
    sp_outcome_begin(&s);
    sp_outcome_hop_report_init(route, 0, sp_transport_posture(t), &r);
    r.verdict = sp_hop_judge(route, &route->hops[0], &proof, SP_OK);
    (void)sp_posture_learn(sp_transport_posture(t), route->domain, r.verdict.level);
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    sp_assert(next.step == SP_STEP_TAKE && next.index == 0);
    return next.index;
}

static int bench_decide(size_t count)
{
    struct sp_loop *loop = sp_loop_new();
    struct fake_dns *dns = fake_dns_new(loop, true);
    const struct sp_transport_parts parts = {.loop = loop, .dns = fake_dns_ops(dns)};
    const struct sp_transport_settings settings = {.port = 25, .next_hop = "", .cache_ms = 3600000};
    struct sp_transport *t;
    char names[DOMAINS][NAME_MAX_];
    size_t known = 0;
    double began_s;

    if (sp_transport_new(&parts, &settings, &t, NULL) != SP_OK)
        return 1;
    for (size_t i = 0; i < DOMAINS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "d%zu.bench.test", i);
        publish(dns, names[i]);
        (void)sp_transport_resolve(t, sp_bytes_cstr(names[i]), SP_DNS_PARTY_OURS, on_route, &known);
    }
    while (known < DOMAINS)
        sp_loop_run_once(loop, 10);
    began_s = cpu_s();
    for (size_t i = 0; i < count; i++)
        (void)decide(t, sp_bytes_cstr(names[i % DOMAINS]));
    tell("decisions, everything cached", count, began_s);
    sp_transport_free(t);
    fake_dns_free(dns);
    sp_loop_free(loop);
    return 0;
}

/* ---- questions ---- */

struct asking {
    struct sp_dns_resolver *resolver;
    size_t to_ask;
    size_t asked;
    size_t answered;
    bool same; /* the same few names over and over: our own cache */
};

static void on_answer(void *arg, const struct sp_dns_answer *a)
{
    sp_assert(a->rc == SP_OK);
    ((struct asking *)arg)->answered++;
}

static void ask_all(struct sp_loop *loop, struct asking *x)
{
    char name[NAME_MAX_];

    while (x->answered < x->to_ask) {
        while (x->asked < x->to_ask && x->asked - x->answered < FLIGHT_MAX) {
            (void)snprintf(name, sizeof(name), "n%zu.bench.test",
                           x->same ? x->asked % 50 : x->asked);
            (void)sp_dns_ask(sp_dns_resolver_ops(x->resolver), sp_bytes_cstr(name), SP_DNS_A,
                             on_answer, x);
            x->asked++;
        }
        sp_loop_run_once(loop, 1000);
    }
}

static int bench_dns(unsigned port, size_t count)
{
    struct sp_loop *loop = sp_loop_new();
    const struct sp_dns_settings settings = {
        .servers = {{{4, {127, 0, 0, 1}}, (uint16_t)port}}, .server_count = 1, .trusted = true};
    struct asking x = {.resolver = sp_dns_resolver_new(loop, NULL, &settings), .to_ask = count};
    double began_s = cpu_s();

    ask_all(loop, &x);
    tell("questions to the resolver, each another name", count, began_s);
    x = (struct asking){.resolver = x.resolver, .to_ask = 50, .same = true};
    ask_all(loop, &x);
    x = (struct asking){.resolver = x.resolver, .to_ask = count, .same = true};
    began_s = cpu_s();
    ask_all(loop, &x);
    tell("questions to our own cache", count, began_s);
    sp_dns_resolver_free(x.resolver);
    sp_loop_free(loop);
    return 0;
}

/* ---- handshakes ---- */

struct end {
    struct sp_stream *stream;
    bool done;
    bool resumed;
};

static void on_input(void *arg)
{
    struct end *e = arg;

    sp_stream_consume(e->stream, sp_stream_input(e->stream).len);
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)arg;
    (void)why;
}

static void on_done(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    struct end *e = arg;

    sp_assert(rc == SP_OK);
    e->done = true;
    e->resumed = proof->resumed;
}

static bool shake(struct sp_loop *loop, struct sp_tls_context *server,
                  struct sp_tls_context *client, bool resume)
{
    static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};
    static const struct sp_bytes names[] = {SP_LIT_INIT("mx.bench.test")};
    const struct sp_tls_params params = {.timeout_ms = 60000,
                                         .server_name = names[0],
                                         .names = names,
                                         .name_count = 1,
                                         .resume = resume};
    struct end a = {0};
    struct end b = {0};
    bool resumed;
    int fds[2];

    sp_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    a.stream = sp_stream_new(loop, fds[0], &events, &a);
    b.stream = sp_stream_new(loop, fds[1], &events, &b);
    sp_tls_start(a.stream, server, NULL, on_done, &a);
    sp_tls_start(b.stream, client, &params, on_done, &b);
    while (!a.done || !b.done)
        sp_loop_run_once(loop, 100);
    (void)sp_stream_write(a.stream, SP_LIT("220 ready\r\n")); /* the ticket comes before it */
    for (int i = 0; i < 4; i++)
        sp_loop_run_once(loop, 0);
    resumed = b.resumed;
    sp_stream_free(a.stream);
    sp_stream_free(b.stream);
    sp_loop_run_once(loop, 0);
    return resumed;
}

static bool read_file(const char *path, struct sp_buf *out)
{
    FILE *f = fopen(path, "re");
    char block[4096];
    size_t n;

    if (f == NULL)
        return false;
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        sp_buf_put(out, sp_bytes(block, n));
    (void)fclose(f);
    return sp_buf_rc(out) == SP_OK;
}

static int bench_tls(const char *certificate, const char *key, size_t count)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_tls_context *server = NULL;
    struct sp_tls_context *client = NULL;
    struct sp_err err = {0};
    struct sp_buf pem;
    struct sp_buf secret;
    size_t resumed = 0;
    double began_s;

    sp_buf_init(&pem, 65536);
    sp_buf_init(&secret, 65536);
    if (read_file(certificate, &pem) && read_file(key, &secret)) {
        server = sp_tls_server_new(
            &(struct sp_tls_server_config){.identity.certificate_pem = sp_buf_bytes(&pem),
                                           .identity.key_pem = sp_buf_bytes(&secret)},
            &err);
        client = sp_tls_client_new(
            &(struct sp_tls_client_config){.extra_ca_pem = sp_buf_bytes(&pem)}, &err);
    }
    if (server == NULL || client == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    began_s = cpu_s();
    for (size_t i = 0; i < count; i++)
        (void)shake(loop, server, client, false);
    tell("TLS 1.3 handshakes, both sides, full", count, began_s);
    (void)shake(loop, server, client, true);
    began_s = cpu_s();
    for (size_t i = 0; i < count; i++)
        resumed += shake(loop, server, client, true);
    tell("TLS 1.3 handshakes, both sides, resumed", count, began_s);
    if (resumed < count / 2)
        (void)fprintf(stderr, "only %zu of %zu were resumed\n", resumed, count);
    sp_tls_context_unref(server);
    sp_tls_context_unref(client);
    sp_buf_wipe(&secret);
    sp_buf_clear(&secret);
    sp_buf_clear(&pem);
    sp_loop_free(loop);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "decide") == 0)
        return bench_decide(strtoul(argv[2], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "dns") == 0)
        return bench_dns((unsigned)strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    if (argc == 5 && strcmp(argv[1], "tls") == 0)
        return bench_tls(argv[2], argv[3], strtoul(argv[4], NULL, 10));
    (void)fprintf(stderr, "usage: bench_transport decide N | dns PORT N | tls CERTIFICATE KEY N\n");
    return 64;
}
