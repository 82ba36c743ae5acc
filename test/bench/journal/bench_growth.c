/*
 * A queue that has grown: fills a shard with small messages over many domains, as a gateway whose next hops are all down
 * would, and then opens it anew and measures that: time, memory a message, a decision
 * about disk space, lists with filters.
 *
 *     bench_growth DIR [--count 1000000] [--domains 50000] [--size 1024] [--dead N] [--master FILE] [--fill | --open]
 *
 * --master: keys as a gateway with that master key has them, so that it can take the folder up. --fill and --open: that
 * half alone. Prints one JSON object a line.
 */
#include "base/arena.h"
#include "crypt/hash.h"
#include "io/loop.h"
#include "queue/list.h"
#include "queue/queue.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TEN(text) text text text text text text text text text text

enum { TOGETHER = 256, TEXT_MAX = 128 };

struct message {
    struct sp_id id;
    struct sp_queue_body *body;
};

struct bench {
    struct message group[TOGETHER];
    struct sp_queue_options options;
    struct sp_queue *queue;
    struct sp_journal_keys keys;
    size_t count;
    size_t domains;
    size_t dead; /* so many of them for one domain */
    size_t size;
    bool fill;
    bool open;
    size_t failed;
};

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bytes of memory in use, files mapped by others left out. */
static size_t resident(void)
{
    unsigned long size = 0, pages = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%lu %lu %lu", &size, &pages, &shared) != 3)
        pages = shared = 0;
    if (file != NULL)
        (void)fclose(file);
    return (size_t)(pages - shared) * 4096;
}

static void on_body(void *arg, enum sp_rc rc)
{
    (void)arg;
    if (rc != SP_OK)
        exit(EXIT_FAILURE);
}

static void on_accepted(void *arg, enum sp_rc rc)
{
    ((struct bench *)arg)->failed += rc != SP_OK;
}

/* Stands for what an ordinary record holds beside its body. */
static struct sp_bytes filler(size_t len)
{
    static uint8_t text[2048];

    memset(text, 'e', sizeof(text));
    return sp_bytes(text, len);
}

static void begin(struct bench *b, struct message *m)
{
    m->id = sp_id_new(b->options.clock, sp_random_system());
    m->body = sp_queue_body_new(b->queue, &m->id);
    if (sp_queue_body_feed(m->body, SP_LIT("From: a@tenant.test\r\nSubject: x\r\n\r\n")) != SP_OK ||
        sp_queue_body_feed(m->body, filler(b->size)) != SP_OK)
        exit(EXIT_FAILURE);
    sp_queue_body_finish(m->body, on_body, NULL);
}

static void put(struct bench *b, struct message *m, size_t i)
{
    static struct sp_accept_rung rungs[] = {{1, -1, 0}, {0, -1, 0}};
    struct sp_accept_decision decision = {
        .rule = i % 10 == 0 ? SP_LIT("phi-to-strangers") : SP_LIT("default"),
        .rungs = rungs,
        .rung_count = 2,
    };
    char from[TEXT_MAX];
    char to[TEXT_MAX];
    struct sp_accept_recipient recipient;
    char id[SP_ID_TEXT_LEN + 1];
    char text[TEXT_MAX + 1200];
    struct sp_bytes event;
    struct sp_accept a = {.time_ms = sp_clock_wall_ms(b->options.clock)};
    struct sp_queue_accept accept = {.accept = &a, .done = on_accepted, .arg = b};

    a.id = m->id;
    sp_id_format(&m->id, id);
    (void)snprintf(text, sizeof(text),
                   "{\"event\":\"message.accepted\",\"evidence\":\"%s\",\"message\":\"%s\"}",
                   TEN(TEN("0123456789")), id);
    event = sp_bytes_cstr(text);
    (void)snprintf(from, sizeof(from), "person%zu@tenant.test", i % 5000);
    if (i < b->dead)
        (void)snprintf(to, sizeof(to), "someone%zu@dead.example", i);
    else
        (void)snprintf(to, sizeof(to), "u%zu.0@d%zu.example", i, i % b->domains);
    recipient = (struct sp_accept_recipient){.address = sp_bytes_cstr(to)};
    a.tenant = SP_LIT("test");
    a.sender = sp_bytes_cstr(from);
    a.message_id = SP_LIT("<0123456789.abcdefgh@tenant.test>");
    a.policy = filler(64);
    a.trace = SP_LIT("Received: from client.tenant.test by gateway.tenant.test\r\n");
    a.facts = filler(300);
    decision.expire_at_ms = a.time_ms + (int64_t)2 * 86400 * 1000;
    a.decisions = &decision;
    a.decision_count = 1;
    a.recipients = &recipient;
    a.recipient_count = 1;
    a.audit = (struct sp_audit_list){&event, 1};
    accept.body = SP_STEAL(m->body);
    sp_queue_accept(b->queue, &accept);
}

/* One group: all bodies, one turn of the disk, all records, one sync. */
static void put_group(struct bench *b, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        begin(b, &b->group[i]);
    sp_queue_commit(b->queue);
    for (size_t i = 0; i < count; i++)
        put(b, &b->group[i], from + i);
    sp_queue_commit(b->queue);
}

static void open_queue(struct bench *b)
{
    struct sp_err err = {0};

    if (sp_queue_open(&b->options, &b->queue, &err) == SP_OK)
        return;
    (void)fprintf(stderr, "bench_growth: %s\n", err.text);
    exit(EXIT_FAILURE);
}

static void fill(struct bench *b)
{
    double from = now_s();

    open_queue(b);
    for (size_t i = 0; i < b->count; i += TOGETHER)
        put_group(b, i, b->count - i < TOGETHER ? b->count - i : TOGETHER);
    if (b->failed > 0)
        exit(EXIT_FAILURE);
    (void)printf("{\"filled\":%zu,\"seconds\":%.2f,\"disk_bytes\":%llu}\n", b->count,
                 now_s() - from, (unsigned long long)sp_queue_stats(b->queue).disk_len);
    sp_queue_close(b->queue);
    (void)malloc_trim(0);
}

static void visit(void *arg, const struct sp_queue_message *m)
{
    (void)m;
    (*(size_t *)arg)++;
}

/* Pages through as the command does, until 500 are found. */
static void list(struct bench *b, const char *name, struct sp_queue_query query)
{
    double from = now_s();
    double cpu = cpu_s();
    size_t found = 0;
    bool more = true;
    struct sp_id last;

    query.visit = visit;
    query.arg = &found;
    while (more && found < 500) {
        query.limit = 500 - found;
        more = sp_queue_list(b->queue, &query, &last);
        query.after = last;
    }
    (void)printf("{\"list\":\"%s\",\"found\":%zu,\"seconds\":%.3f,\"cpu_seconds\":%.3f}\n", name,
                 found, now_s() - from, cpu_s() - cpu);
}

static void on_seen(void *arg, const struct sp_queue_seen *v)
{
    (void)v;
    (*(size_t *)arg)++;
}

/* What deciding about the oldest segment costs, and what a walk over all that wait would. */
static void reclaim(struct bench *b)
{
    double from = now_s();
    double walk;
    size_t seen = 0;

    sp_queue_each(b->queue, on_seen, &seen);
    walk = now_s() - from;
    from = now_s();
    for (int i = 0; i < 1000; i++)
        sp_queue_ledger_passed(b->queue, 1);
    (void)printf("{\"reclaim_us\":%.2f,\"walk_us\":%.0f,\"seen\":%zu}\n", (now_s() - from) * 1000,
                 walk * 1e6, seen);
}

static void reopen(struct bench *b)
{
    size_t before = resident();
    double from = now_s();
    double cpu = cpu_s();
    struct sp_queue_due due;
    struct sp_queue_stats stats;
    double took;

    open_queue(b);
    took = now_s() - from;
    cpu = cpu_s() - cpu;
    stats = sp_queue_stats(b->queue);
    (void)printf(
        "{\"opened\":%zu,\"seconds\":%.2f,\"cpu_s\":%.2f,\"footers\":%llu,\"segments\":%llu,"
        "\"bytes_a_message\":%zu}\n",
        stats.messages, took, cpu, (unsigned long long)stats.footers,
        (unsigned long long)(stats.current_segment - stats.first_segment + 1),
        stats.messages == 0 ? 0 : (resident() - before) / stats.messages);
    reclaim(b);
    from = now_s();
    for (size_t i = 0; i < 10000; i++)
        if (!sp_queue_next_due(b->queue, INT64_MAX - 1, &due))
            break;
    (void)printf("{\"next_due_us\":%.2f}\n", (now_s() - from) * 100);
    list(b, "all", (struct sp_queue_query){.state = -1});
    list(b, "recipient, one",
         (struct sp_queue_query){.state = -1, .recipient = SP_LIT("u77777.0@")});
    list(b, "recipient, none",
         (struct sp_queue_query){.state = -1, .recipient = SP_LIT("nobody@")});
    list(b, "sender, 200", (struct sp_queue_query){.state = -1, .sender = SP_LIT("person77@")});
    list(b, "state, none", (struct sp_queue_query){.state = SP_RCPT_HELD});
    list(b, "rule, many", (struct sp_queue_query){.state = -1, .rule = SP_LIT("phi-to-strangers")});
    list(b, "rule, none", (struct sp_queue_query){.state = -1, .rule = SP_LIT("no-such")});
    sp_queue_close(b->queue);
}

static void load_master(struct bench *b, const char *path)
{
    uint8_t master[SP_SECRET_LEN];
    FILE *file = fopen(path, "rb");

    if (file == NULL || fread(master, 1, sizeof(master), file) != sizeof(master)) {
        (void)fprintf(stderr, "bench_growth: %s: no key\n", path);
        exit(EXIT_FAILURE);
    }
    (void)fclose(file);
    sp_crypt_hkdf(sp_bytes(master, sizeof(master)), SP_LIT("sallyport content kek 1"),
                  &b->keys.content);
    sp_crypt_hkdf(sp_bytes(master, sizeof(master)), SP_LIT("sallyport record kek 1"),
                  &b->keys.record);
}

int main(int argc, char **argv)
{
    struct bench b = {.count = 1000000, .domains = 50000, .size = 1024, .fill = true, .open = true};

    if (argc < 2) {
        (void)fprintf(stderr,
                      "usage: bench_growth DIR [--count N] [--domains N] [--size BYTES] [--dead N] "
                      "[--master FILE] [--fill | --open]\n");
        return 64;
    }
    memset(b.keys.content.b, 1, SP_SECRET_LEN);
    memset(b.keys.record.b, 2, SP_SECRET_LEN);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--fill") == 0)
            b.open = false;
        else if (strcmp(argv[i], "--open") == 0)
            b.fill = false;
        else if (i + 1 == argc)
            return 64;
        else if (strcmp(argv[i], "--master") == 0)
            load_master(&b, argv[++i]);
        else if (strcmp(argv[i], "--count") == 0)
            b.count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--domains") == 0)
            b.domains = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--dead") == 0)
            b.dead = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--size") == 0)
            b.size = strtoull(argv[++i], NULL, 10);
        else
            return 64;
    }
    (void)mkdir(argv[1], 0700);
    memcpy(b.keys.kek_id, "kek-1", 6);
    b.options = (struct sp_queue_options){
        .dir = argv[1],
        .keys = &b.keys,
        .log = NULL,
        .clock = sp_loop_clock(sp_loop_new()),
        .random = sp_random_system(),
        .messages_max = SIZE_MAX,
        .body_memory = (size_t)64 << 20,
    };
    if (b.fill)
        fill(&b);
    if (b.open)
        reopen(&b);
    return EXIT_SUCCESS;
}
