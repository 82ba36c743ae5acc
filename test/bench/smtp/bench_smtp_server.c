/*
 * How fast the server machine alone is, on one core: recorded pipelined sessions fed from memory, and one long body.
 *
 *     bench_smtp_server [SECONDS]        prints sessions and MiB of data for each second of CPU, as JSON
 *
 * No socket, no TLS, no queue: what is left is lines, grammar, replies and the look for the end of data.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "smtp/server.h"

#define BODY_LINES 100000

static int64_t now_ms(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID,
                  &now); /* what others do on this machine does not count */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct sp_clock cpu = {.wall_ms = now_ms, .mono_ms = now_ms};

static const struct sp_smtp_server_config *settings(void)
{
    static const struct sp_smtp_server_config config = {.hostname = "gw.example",
                                                        .clock = &cpu,
                                                        .size_limit = UINT64_C(1) << 40,
                                                        .line_limit = 1 << 20,
                                                        .max_recipients = 1000,
                                                        .max_errors = 20,
                                                        .max_idle = 500,
                                                        .least_rate = 1024};

    return &config;
}

/* Runs one session of these bytes. returns: bytes of messages that came out */
static uint64_t run(struct sp_bytes input)
{
    struct sp_smtp_server *s = sp_smtp_server_new(settings());
    struct sp_smtp_server_event ev;
    uint64_t bytes = 0;

    while (sp_smtp_server_next(s, &input, &ev)) {
        if (ev.type == SP_SMTP_SERVER_CHUNK)
            bytes += ev.text.len;
        if (ev.type == SP_SMTP_SERVER_MAIL || ev.type == SP_SMTP_SERVER_RCPT ||
            ev.type == SP_SMTP_SERVER_DATA || ev.type == SP_SMTP_SERVER_END)
            sp_smtp_server_answer(s, SP_OK, sp_bytes(NULL, 0));
        if (ev.type == SP_SMTP_SERVER_CLOSE)
            break;
    }
    sp_smtp_server_free(s);
    return bytes;
}

/* Repeats for a while. count, bytes: what was done. returns: ms that it took */
static int64_t repeat(struct sp_bytes input, int64_t for_ms, uint64_t *count, uint64_t *bytes)
{
    int64_t start = sp_clock_mono_ms(&cpu), now = start;

    while (now - start < for_ms) {
        *bytes += run(input);
        ++*count;
        now = sp_clock_mono_ms(&cpu);
    }
    return now - start;
}

static void put_head(struct sp_buf *b)
{
    sp_buf_put_cstr(
        b, "EHLO client.example\r\nMAIL FROM:<dr@hospital.example> SIZE=4096 BODY=8BITMIME\r\n"
           "RCPT TO:<a@partner.example> NOTIFY=FAILURE ORCPT=rfc822;a@partner.example\r\n"
           "RCPT TO:<b@partner.example>\r\nDATA\r\n");
}

int main(int argc, char **argv)
{
    int64_t for_ms = (argc > 1 ? strtol(argv[1], NULL, 10) : 5) * 1000;
    uint64_t sessions = 0, small = 0, large = 0, bytes = 0;
    struct sp_buf b;
    int64_t ms, data_ms;

    sp_buf_init(&b, 1 << 26);
    put_head(&b);
    for (int i = 0; i < 52; i++)
        sp_buf_put_cstr(
            &b, "A line of an ordinary message, some seventy-six bytes long with its end...\r\n");
    sp_buf_put_cstr(&b, ".\r\nQUIT\r\n");
    ms = repeat(sp_buf_bytes(&b), for_ms, &sessions, &small);
    sp_buf_reset(&b);
    put_head(&b);
    for (int i = 0; i < BODY_LINES; i++)
        sp_buf_put_cstr(
            &b, "QWERTYUIOPASDFGHJKLZXCVBNM0123456789qwertyuiopasdfghjklzxcvbnm0123456789+/AB\r\n");
    sp_buf_put_cstr(&b, ".\r\nQUIT\r\n");
    data_ms = repeat(sp_buf_bytes(&b), for_ms, &large, &bytes);
    printf("{\"sessions_a_second\": %.0f, \"data_mib_a_second\": %.0f}\n",
           (double)sessions * 1000.0 / (double)ms,
           (double)bytes / 1048576.0 * 1000.0 / (double)data_ms);
    sp_buf_clear(&b);
    return 0;
}
