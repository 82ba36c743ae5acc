/*
 * How records meet TCP: those of one turn of the loop leave together.
 */
#include "pki.h"
#include "support/check_main.h"
#include "tls/tls.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

struct end {
    struct sp_stream *stream;
    int dones;
    size_t got;
};

static void on_input(void *arg)
{
    struct end *e = arg;

    e->got += sp_stream_input(e->stream).len;
    sp_stream_consume(e->stream, sp_stream_input(e->stream).len);
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)arg;
    (void)why;
}

static void done(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    (void)proof;
    ck_assert_int_eq(rc, SP_OK);
    ((struct end *)arg)->dones++;
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    fds[1] = accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[1], 0);
    ck_assert_int_eq(close(listener), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
}

static uint32_t segments_sent(const struct sp_stream *stream)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    ck_assert_int_eq(getsockopt(sp_stream_fd(stream), IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_data_segs_out;
}

/* A client and a server on loopback that have shaken hands. */
static void meet(struct sp_loop *loop, struct end ends[2], struct sp_tls_context *contexts[2])
{
    static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};
    struct sp_tls_params params = {.timeout_ms = 10000};
    int fds[2];

    tcp_pair(fds);
    for (int i = 0; i < 2; i++) {
        ends[i].stream = sp_stream_new(loop, fds[i], &events, &ends[i]);
        sp_tls_start(ends[i].stream, contexts[i], i == 0 ? &params : NULL, done, &ends[i]);
    }
    for (int i = 0; i < 3000 && ends[0].dones + ends[1].dones < 2; i++)
        sp_loop_run_once(loop, 1);
    ck_assert_int_eq(ends[0].dones + ends[1].dones, 2);
}

START_TEST(records_of_one_turn_leave_together)
{
    static const uint8_t body[50000]; /* four records */
    struct pki_cert cert;
    struct sp_tls_context *contexts[2];
    struct end ends[2] = {{0}};
    struct sp_loop *loop = sp_loop_new();
    uint32_t before;

    pki_make(&cert, &(struct pki_wish){.name = "mx.example"});
    contexts[0] = sp_tls_client_new(&(struct sp_tls_client_config){0}, NULL);
    contexts[1] = sp_tls_server_new(
        &(struct sp_tls_server_config){.identity.certificate_pem =
                                           sp_bytes_cstr(cert.certificate_pem),
                                       .identity.key_pem = sp_bytes_cstr(cert.key_pem)},
        NULL);
    meet(loop, ends, contexts);
    before = segments_sent(ends[0].stream);
    sp_stream_write(ends[0].stream, sp_bytes(body, sizeof(body)));
    for (int i = 0; i < 3000 && ends[1].got < sizeof(body); i++)
        sp_loop_run_once(loop, 1);
    ck_assert_uint_eq(ends[1].got, sizeof(body));
    ck_assert_uint_lt(segments_sent(ends[0].stream) - before, 4);
    for (int i = 0; i < 2; i++) {
        sp_stream_free(ends[i].stream);
        sp_tls_context_unref(contexts[i]);
    }
    sp_loop_free(loop);
    pki_clear(&cert);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, records_of_one_turn_leave_together);
}

SP_TEST_MAIN("tls.socket", add)
