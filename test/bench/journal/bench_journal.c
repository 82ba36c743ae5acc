/*
 * How many messages a second the queue takes durably: so many sessions at once each seal a body, hand it over with its
 * recipients and evidence, and begin the next when it is on disk. Also what delivering them costs the log.
 *
 *     bench_journal DIR [--sessions 50] [--size 4096] [--seconds 3] [--grow] [--deliver]
 *
 * Prints messages/s, syncs a message, CPU microseconds a message, time to durable p50 and p99; and what a restart took, if
 * DIR holds messages of a run before.
 */
#include "base/arena.h"
#include "io/loop.h"
#include "queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { SESSIONS_MAX = 1024, LATENCIES_MAX = 4 * 1024 * 1024 };

struct session {
    struct bench *bench;
    struct sp_queue_body *body;
    struct sp_accept accept;
    int64_t began_us;
};

struct bench {
    struct sp_loop *loop;
    struct sp_queue *queue;
    struct session sessions[SESSIONS_MAX];
    int session_count;
    size_t size;
    uint8_t *text;
    bool deliver;
    bool over;
    int64_t end_us;
    size_t open;     /* sessions that have not ended */
    size_t outcomes; /* under way */
    uint32_t *latencies;
    size_t count;
    size_t delivered;
};

static struct sp_accept_rung rungs[] = {{1, -1, 0}, {3, -1, 0}};
static struct sp_accept_decision decision = {
    .rule = SP_LIT_INIT("phi"), .rungs = rungs, .rung_count = 2, .expire_at_ms = INT64_MAX};
static struct sp_accept_recipient recipient = {.address = SP_LIT_INIT("pat@example.net")};
static uint8_t evidence[900];
static struct sp_bytes event = {evidence, sizeof(evidence)};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void begin(struct session *s);

static void on_accepted(void *arg, enum sp_rc rc)
{
    struct session *s = arg;
    struct bench *b = s->bench;

    if (rc != SP_OK) {
        (void)fprintf(stderr, "not accepted: %s\n", sp_rc_name(rc));
        b->over = true;
    } else if (b->count < LATENCIES_MAX) {
        b->latencies[b->count++] = (uint32_t)(now_us() - s->began_us);
    }
    begin(s);
}

static void on_finished(void *arg, enum sp_rc rc)
{
    struct session *s = arg;
    struct sp_queue_accept accept = {
        .accept = &s->accept, .body = s->body, .done = on_accepted, .arg = s};

    if (rc != SP_OK)
        abort();
    sp_queue_accept(s->bench->queue, &accept);
}

static void begin(struct session *s)
{
    struct bench *b = s->bench;
    const struct sp_clock *clock = sp_loop_clock(b->loop);

    if (b->over || now_us() >= b->end_us) {
        b->over = true;
        if (--b->open == 0)
            sp_loop_stop(b->loop);
        return;
    }
    s->accept = (struct sp_accept){
        .id = sp_id_new(clock, sp_random_system()),
        .time_ms = sp_clock_wall_ms(clock),
        .tenant = SP_LIT("hospital"),
        .sender = SP_LIT("dr@hospital.example"),
        .message_id = SP_LIT("<a1b2@hospital.example>"),
        .policy = SP_LIT("41f041f041f041f041f041f041f041f041f041f041f041f041f041f041f041f0"),
        .trace = SP_LIT("Received: from client.example by gw.example with ESMTPS id x;\r\n"),
        .decisions = &decision,
        .decision_count = 1,
        .recipients = &recipient,
        .recipient_count = 1,
        .audit = {&event, 1},
    };
    s->began_us = now_us();
    s->body = sp_queue_body_new(b->queue, &s->accept.id);
    if (sp_queue_body_feed(s->body, sp_bytes(b->text, b->size)) != SP_OK)
        abort();
    sp_queue_body_finish(s->body, on_finished, s);
}

static void on_outcome(void *arg, enum sp_rc rc)
{
    struct bench *b = arg;

    b->outcomes--;
    if (rc == SP_OK)
        b->delivered++;
}

static void deliver_due(void *arg)
{
    struct bench *b = arg;
    struct sp_queue_due due;

    while (b->outcomes < 100 && sp_queue_next_due(b->queue, INT64_MAX - 1, &due)) {
        struct sp_result result = {.n = due.ns[0], .state = SP_RCPT_DELIVERED, .smtp = 250};
        struct sp_outcome outcome = {.id = due.id,
                                     .attempt = 1,
                                     .results = &result,
                                     .result_count = 1,
                                     .audit = {&event, 1}};
        struct sp_queue_message *m;
        struct sp_content body;

        if (sp_queue_load(b->queue, &due.id, &m) != SP_OK ||
            sp_queue_body(b->queue, &due.id, &body) != SP_OK)
            abort();
        sp_content_clear(&body);
        sp_queue_message_free(m);
        b->outcomes++;
        sp_queue_outcome(b->queue, &outcome, NULL, on_outcome, b);
    }
}

static void on_due(void *arg)
{
    struct bench *b = arg;

    if (b->deliver)
        sp_loop_post(b->loop, deliver_due, b);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void report(struct bench *b, double seconds, double cpu, struct sp_queue_stats before)
{
    struct sp_queue_stats s = sp_queue_stats(b->queue);
    double n = b->count > 0 ? (double)b->count : 1;

    qsort(b->latencies, b->count, sizeof(*b->latencies), compare);
    printf("%d sessions, %zu bytes: %.0f messages/s, %.0f delivered/s, %.3f syncs a message, "
           "%.1f records a batch, %.1f us CPU a message, durable in p50 %.2f ms, p99 %.2f ms\n",
           b->session_count, b->size, n / seconds, (double)b->delivered / seconds,
           (double)(s.journal.syncs - before.journal.syncs) / n,
           (double)s.journal.records / (double)(s.journal.batches + 1), cpu / n,
           b->latencies[b->count / 2] / 1e3, b->latencies[b->count * 99 / 100] / 1e3);
}

static int run(struct bench *b, const struct sp_queue_options *options, double seconds)
{
    struct sp_err err = {0};
    struct sp_queue_stats before;
    double cpu;
    int64_t began = now_us();

    if (sp_queue_open(options, &b->queue, &err) != SP_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    before = sp_queue_stats(b->queue);
    if (before.messages > 0)
        printf("restart with %zu messages: %.2f s\n", before.messages,
               (double)(now_us() - began) / 1e6);
    sp_queue_ledger_passed(b->queue, UINT64_MAX);
    cpu = cpu_us();
    began = now_us();
    b->end_us = began + (int64_t)(seconds * 1e6);
    b->open = (size_t)b->session_count;
    for (int i = 0; i < b->session_count; i++) {
        b->sessions[i].bench = b;
        begin(&b->sessions[i]);
    }
    sp_loop_run(b->loop);
    report(b, (double)(now_us() - began) / 1e6, cpu_us() - cpu, before);
    sp_queue_close(b->queue);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench *b = sp_calloc(1, sizeof(*b));
    struct sp_journal_keys keys = {.kek_id = "kek-bench"};
    struct sp_queue_options options = {.keys = &keys, .prewrite = true, .on_due = on_due, .arg = b};
    double seconds = 3;
    int rc;

    if (argc < 2)
        return 2;
    b->session_count = 50;
    b->size = 4096;
    for (int i = 2; i < argc; i++) {
        bool has_value = i + 1 < argc;

        if (strcmp(argv[i], "--grow") == 0)
            options.prewrite = false;
        else if (strcmp(argv[i], "--deliver") == 0)
            b->deliver = true;
        else if (has_value && strcmp(argv[i], "--sessions") == 0)
            b->session_count = (int)strtol(argv[++i], NULL, 10);
        else if (has_value && strcmp(argv[i], "--size") == 0)
            b->size = (size_t)strtoul(argv[++i], NULL, 10);
        else if (has_value && strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[++i], NULL);
        else
            return 2;
    }
    if (b->session_count < 1 || b->session_count > SESSIONS_MAX)
        return 2;
    (void)mkdir(argv[1], 0700);
    b->text = sp_malloc(b->size + 1);
    memset(b->text, 'x', b->size + 1);
    memset(evidence, 'e', sizeof(evidence));
    b->latencies = sp_calloc(LATENCIES_MAX, sizeof(*b->latencies));
    memset(keys.content.b, 1,
           SP_SECRET_LEN); /* the same each time, so that a second run restarts from the first's */
    memset(keys.record.b, 2, SP_SECRET_LEN);
    b->loop = sp_loop_new();
    options.dir = argv[1];
    options.loop = b->loop;
    options.clock = sp_loop_clock(b->loop);
    options.random = sp_random_system();
    rc = run(b, &options, seconds);
    sp_loop_free(b->loop);
    sp_free(b->latencies);
    sp_free(b->text);
    sp_free(b);
    return rc;
}
