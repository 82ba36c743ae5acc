/*
 * Intake with a real queue on a folder of its own, a policy of a few rules, and a scanner that says what the test wants:
 * what the client hears, and what then lies in the queue.
 */
#include "queue/list.h"
#include "intake/intake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "intake/intake_priv.h"
#include "jobs/scan.h"
#include "json/problem.h"
#include "support/check_main.h"

#define HEAR_MS   10000
#define MANY_HOLD ((size_t)1200 * 1024)       /* for 400 recipients, until they are on disk */
#define MUCH      ((size_t)300 * 1024 * 1024) /* more than a source may hold */

static const char config_text[] =
    "{\"node\": \"gw1\", \"hostname\": \"gw.example\", \"state_dir\": \"/nowhere\","
    " \"master_key\": \"keys/master.key\","
    " \"listen\": [{\"address\": \"127.0.0.1:0\", \"tls\": \"none\", \"plain_ok\": true},"
    "              {\"address\": \"127.0.0.1:0\", \"tls\": \"none\"}],"
    " \"intake\": {\"size_limit\": 300000, \"scan\": \"1s\", \"max_recipients\": 3000}}";

static const char tenant_text[] = "{\"tenant\": \"hospital\", \"domains\": [\"hospital.example\"],"
                                  " \"proofs\": {\"networks\": [\"127.0.0.0/8\"],"
                                  "  \"client_certificates\": [\"client.hospital.example\"]},"
                                  " \"limits\": {\"bytes\": \"100MiB\"}}";

static const char policy_text[] =
    "{\"version\": 1, \"scope\": {\"tenant\": \"hospital\"},"
    " \"settings\": {\"floor\": \"tls:encrypted\", \"expire\": \"2d\"},"
    " \"texts\": {\"typo\": \"Address looks mistyped.\", \"no\": \"Not to them.\"},"
    " \"ladders\": {\"tls\": {\"rungs\": [\"tls:dane\", \"tls:encrypted\"], \"floor\": "
    "\"tls:encrypted\"},"
    "              \"sealed\": {\"rungs\": [\"smime\", \"portal\"], \"floor\": \"sealed\"}},"
    " \"rules\": ["
    "  {\"rule\": \"typo\", \"when\": {\"recipient.domain\": \"gmial.example\"}, \"then\": "
    "{\"reject\": \"typo\"}},"
    "  {\"rule\": \"partner\", \"when\": {\"recipient.domain\": \"partner.example\"}, \"then\": "
    "{\"protect\": \"tls\"}},"
    "  {\"rule\": \"tagged\", \"when\": {\"subject.tag\": \"no\", \"recipient.domain\": "
    "\"c.example\"},"
    "   \"then\": {\"reject\": \"no\"}},"
    "  {\"rule\": \"unscanned\", \"when\": {\"scan\": [\"partial\", \"failed\"]}, \"then\": "
    "{\"protect\": \"sealed\"}},"
    "  {\"rule\": \"phi\", \"when\": {\"phi.class\": {\"at_least\": \"phi\"}}, \"then\": "
    "{\"protect\": \"sealed\"}}],"
    " \"default\": {\"protect\": \"tls\"}}";

struct rig {
    char dir[256];
    struct sp_loop *loop;
    struct sp_queue *queue;
    struct sp_jobs *jobs;
    struct sp_jobs *scanner; /* the other end */
    struct sp_intake *intake;
    uint16_t ports[2];
    int listeners[2];
    int fd;
    struct sp_buf heard;
    enum sp_jobs_phi_class finding;
    unsigned scans;
    bool scanner_is_mute;
    bool scanner_thinks;
    struct sp_jobs_job *thought_of; /* it will answer, later */
    struct sp_journal_io io;
};

/* Who writes to the disk goes through here. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*write_out)(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset);

static ssize_t write_through(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return write_out(ctx, fd, iov, count, offset);
}

/* ctx: the policy's text */
static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    if (strcmp(name, "policies/policy.json") != 0)
        return SP_E_NOT_FOUND;
    *out = sp_bytes_cstr(ctx);
    return SP_OK;
}

static void tell_finding(struct rig *r, struct sp_jobs_job *job)
{
    struct sp_jobs_scan_reply reply = {
        .state = SP_JOBS_SCAN_COMPLETE, .phi_class = r->finding, .version = SP_LIT("test")};
    struct sp_buf b;

    sp_buf_init(&b, 65536);
    sp_jobs_scan_reply_encode(&b, &reply);
    sp_jobs_job_reply(job, SP_OK, sp_buf_bytes(&b), NULL, 0);
    sp_buf_clear(&b);
}

static void on_scan(void *arg, struct sp_jobs_job *job)
{
    struct rig *r = arg;
    struct sp_jobs_scan_request request;

    r->scans++;
    ck_assert_int_eq(sp_jobs_scan_request_decode(sp_jobs_job_payload(job), &request), SP_OK);
    sp_content_clear(&request.content);
    if (r->scanner_is_mute) {
        sp_jobs_job_reply(job, SP_E_SCAN_FAILED, sp_bytes(NULL, 0), NULL, 0);
        return;
    }
    if (r->scanner_thinks)
        r->thought_of = job;
    else
        tell_finding(r, job);
}

static void start_scanner(struct rig *r)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    r->scanner = sp_jobs_new(r->loop, NULL);
    sp_jobs_serve_singly(r->scanner, SP_JOBS_SCAN, on_scan, r);
    sp_jobs_add_peer(r->scanner, SP_ROLE_RELAY, 0, pair[1]);
    sp_jobs_add_peer(r->jobs, SP_ROLE_SCANNER, 0, pair[0]);
}

static void open_queue(struct rig *r)
{
    static const struct sp_journal_keys keys = {
        .content = {{1}}, .record = {{2}}, .kek_id = "kek-test"};
    struct sp_queue_options options = {.dir = r->dir,
                                       .io = &r->io,
                                       .keys = &keys,
                                       .loop = r->loop,
                                       .clock = sp_loop_clock(r->loop),
                                       .random = sp_random_system(),
                                       .segment_len = 4 << 20,
                                       .reserve_len = 1 << 20};
    struct sp_err err = {.text = ""};

    ck_assert_msg(sp_journal_io_posix(r->dir, &r->io, &err) == SP_OK, "%s", err.text);
    write_out = r->io.pwritev;
    r->io.pwritev = write_through;
    ck_assert_msg(sp_queue_open(&options, &r->queue, &err) == SP_OK, "%s", err.text);
}

static void configure(struct rig *r, const char *policy)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy_reader reader = {.read = read_file, .ctx = (void *)policy};
    struct sp_intake_tenant tenant = {.file = sp_bytes_cstr(tenant_text)};
    struct sp_intake_settings settings = {.tenants = &tenant, .tenant_count = 1, .relays = 1};
    struct sp_config *config = NULL;
    struct sp_err err = {.text = ""};
    enum sp_rc rc = sp_config_load(sp_bytes_cstr(config_text), "sallyport.json", problems, &config);

    if (rc == SP_OK)
        rc = sp_policy_load(&reader, "policies/policy.json", problems, &settings.policy);
    if (rc == SP_OK)
        rc = sp_tenant_load(sp_bytes_cstr(tenant_text), "tenants/hospital.json", problems,
                            &tenant.tenant);
    (void)sp_problems_rc(problems, &err);
    ck_assert_msg(rc == SP_OK, "%s", err.text);
    settings.config = config;
    sp_intake_configure(r->intake, &settings);
    sp_policy_unref(settings.policy);
    sp_config_free(config);
}

static void listen_on(struct rig *r, size_t i)
{
    struct sp_addr at;
    struct sp_err err = {.text = ""};

    ck_assert(sp_addr_parse(SP_LIT("127.0.0.1:0"), &at));
    r->listeners[i] = sp_listen(&at, 0, 10, &err);
    ck_assert_msg(r->listeners[i] >= 0, "%s", err.text);
    at.len = sizeof(at.u);
    ck_assert_int_eq(getsockname(r->listeners[i], &at.u.sa, &at.len), 0);
    r->ports[i] = sp_addr_port(&at);
    sp_intake_listen(r->intake, r->listeners[i], i);
}

static void rig_start(struct rig *r)
{
    struct sp_intake_parts parts;

    *r = (struct rig){.fd = -1};
    snprintf(r->dir, sizeof(r->dir), "%s/intake-XXXXXX", SP_BUILD_DIR);
    ck_assert_ptr_nonnull(mkdtemp(r->dir));
    r->loop = sp_loop_new();
    r->jobs = sp_jobs_new(r->loop, NULL);
    open_queue(r);
    start_scanner(r);
    parts = (struct sp_intake_parts){.loop = r->loop,
                                     .queue = r->queue,
                                     .jobs = r->jobs,
                                     .clock = sp_loop_clock(r->loop),
                                     .random = sp_random_system(),
                                     .kek_id = "kek-test"};
    r->intake = sp_intake_new(&parts);
    configure(r, policy_text);
    listen_on(r, 0);
    listen_on(r, 1);
    sp_buf_init(&r->heard, 1 << 20);
}

static void rig_stop(struct rig *r)
{
    char command[400];

    if (r->fd >= 0)
        close(r->fd);
    sp_intake_free(r->intake);
    sp_queue_close(r->queue);
    sp_journal_io_posix_free(&r->io);
    sp_jobs_free(r->jobs);
    sp_jobs_free(r->scanner);
    sp_loop_free(r->loop);
    close(r->listeners[0]);
    close(r->listeners[1]);
    sp_buf_clear(&r->heard);
    snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a folder of our own making */
}

static void join(struct rig *r, size_t listener)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(r->ports[listener]),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};

    if (r->fd >= 0)
        close(r->fd);
    sp_buf_reset(&r->heard);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(r->fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    ck_assert_int_eq(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
}

/* Runs the loop until a whole reply is there; it must begin as wanted. */
static void hear(struct rig *r, const char *wanted)
{
    int64_t give_up = sp_clock_mono_ms(sp_loop_clock(r->loop)) + HEAR_MS;

    for (;;) {
        struct sp_bytes all = sp_buf_bytes(&r->heard);
        size_t end = sp_bytes_find_all(all, SP_LIT("\r\n"));
        uint8_t chunk[4096];
        ssize_t n;

        if (end != SIZE_MAX && all.ptr[3] == '-') {
            sp_buf_drop(&r->heard, end + 2);
            continue;
        }
        if (end != SIZE_MAX) {
            ck_assert_msg(sp_bytes_starts_nocase(all, sp_bytes_cstr(wanted)),
                          "wanted %s, heard %.*s", wanted, (int)end, (const char *)all.ptr);
            sp_buf_drop(&r->heard, end + 2);
            return;
        }
        sp_loop_run_once(r->loop, 20);
        n = recv(r->fd, chunk, sizeof(chunk), 0);
        ck_assert_msg(n != 0, "wanted %s, but the session has ended", wanted);
        if (n > 0)
            sp_buf_put(&r->heard, sp_bytes(chunk, (size_t)n));
        ck_assert_msg(sp_clock_mono_ms(sp_loop_clock(r->loop)) < give_up, "waited for %s", wanted);
    }
}

static void say(struct rig *r, const char *text)
{
    size_t len = strlen(text);

    ck_assert_int_eq(send(r->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void say_hear(struct rig *r, const char *text, const char *wanted)
{
    say(r, text);
    hear(r, wanted);
}

static void begin(struct rig *r)
{
    join(r, 0);
    hear(r, "220 gw.example");
    say_hear(r, "EHLO client.example\r\n", "250");
    say_hear(r, "MAIL FROM:<dr@hospital.example>\r\n", "250 2.1.0");
}

struct found {
    size_t count;
    char text[4096]; /* of the messages: sender>recipient:rule:state; */
    struct sp_id last_mail;
    struct sp_id last_dsn;
    char trace[2048];
};

static void visit(void *arg, const struct sp_queue_message *m)
{
    struct found *f = arg;

    f->count++;
    for (size_t i = 0; i < m->accept.recipient_count; i++) {
        const struct sp_accept_recipient *rcpt = &m->accept.recipients[i];
        size_t at = strlen(f->text);

        snprintf(f->text + at, sizeof(f->text) - at, "%.*s>%.*s:%.*s:%s;", SP_FMT(m->accept.sender),
                 SP_FMT(rcpt->address), SP_FMT(m->accept.decisions[rcpt->decision].rule),
                 sp_rcpt_state_name(m->rcpts[i].state));
    }
    if (m->accept.kind == SP_ACCEPT_KIND_DSN)
        f->last_dsn = m->accept.id;
    if (m->accept.kind == SP_ACCEPT_KIND_MAIL) {
        f->last_mail = m->accept.id;
        snprintf(f->trace, sizeof(f->trace), "%.*s", SP_FMT(m->accept.trace));
    }
}

static struct found look(struct rig *r)
{
    struct found f = {.count = 0};
    struct sp_queue_query query = {.state = -1, .limit = 100, .visit = visit, .arg = &f};
    struct sp_id last;

    (void)sp_queue_list(r->queue, &query, &last);
    return f;
}

static void read_body(struct rig *r, const struct sp_id *id, char *out, size_t max)
{
    struct sp_content content;
    struct sp_content_reader *reader;
    size_t got = 0;

    ck_assert_int_eq(sp_queue_body(r->queue, id, &content), SP_OK);
    reader = sp_content_reader_new(&content);
    ck_assert_int_eq(sp_content_read(reader, 0, out, max - 1, &got), SP_OK);
    out[got] = 0;
    sp_content_reader_free(reader);
    sp_content_clear(&content);
}

START_TEST(a_stranger_is_refused)
{
    struct rig r;

    rig_start(&r);
    join(&r, 1);
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    say_hear(&r, "MAIL FROM:<dr@hospital.example>\r\n", "550 5.7.1");
    say_hear(&r, "MAIL FROM:<>\r\n", "550 5.7.1");
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "503");
    ck_assert_uint_eq(look(&r).count, 0);
    rig_stop(&r);
}
END_TEST

START_TEST(a_message_lies_in_the_queue_behind_its_250)
{
    char body[1000];
    struct found f;
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250 2.1.5");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(
        &r,
        "From: dr@hospital.example\r\nBcc: hidden@x.example\r\n folded\r\nTo: a@partner.example\r\n"
        "resent-bcc: hidden@y.example\r\n"
        "X-MS-Exchange-Organization-AuthAs: Internal\r\n\r\nhello\r\n..dot\r\n.\r\n",
        "250 2.0.0 queued as ");
    f = look(&r);
    ck_assert_str_eq(f.text, "dr@hospital.example>a@partner.example:partner:pending;");
    ck_assert_ptr_nonnull(strstr(f.trace, "Received: from client.example ([127.0.0.1])"));
    read_body(&r, &f.last_mail, body, sizeof(body));
    ck_assert_str_eq(body,
                     "From: dr@hospital.example\r\nTo: a@partner.example\r\n\r\nhello\r\n.dot\r\n");
    ck_assert_uint_eq(r.scans, 0);
    rig_stop(&r);
}
END_TEST

START_TEST(a_rule_on_the_envelope_answers_at_rcpt)
{
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@gmial.example>\r\n", "550 5.7.1 Address looks mistyped.");
    say_hear(&r, "DATA\r\n", "554 5.5.1");
    rig_stop(&r);
}
END_TEST

START_TEST(one_refused_of_two_is_returned_by_dsn)
{
    struct found f;
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@c.example>\r\n", "250");
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: [no] x\r\n\r\nhello\r\n.\r\n", "250 2.0.0");
    f = look(&r);
    ck_assert_uint_eq(f.count, 2);
    ck_assert_ptr_nonnull(strstr(f.text, ">a@partner.example:partner:pending;"));
    ck_assert_ptr_nonnull(strstr(f.text, ">dr@hospital.example:own-mail:pending;"));
    rig_stop(&r);
}
END_TEST

/* The report of so many is longer than a body in a record may otherwise be. */
START_TEST(two_thousand_refused_are_all_in_the_report)
{
    enum { REFUSED = 2000 };
    static char body[2 << 20];
    char line[64];
    struct found f;
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    for (unsigned i = 0; i < REFUSED; i++) {
        snprintf(line, sizeof(line), "RCPT TO:<somebody-%u@c.example>\r\n", i);
        say_hear(&r, line, "250");
    }
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: [no] x\r\n\r\nhello\r\n.\r\n", "250 2.0.0");
    f = look(&r);
    ck_assert_uint_eq(f.count, 2);
    read_body(&r, &f.last_dsn, body, sizeof(body));
    ck_assert_uint_gt(strlen(body), SP_QUEUE_BODY_INLINE_MAX);
    for (unsigned i = 0; i < REFUSED; i++) {
        snprintf(line, sizeof(line), "Final-Recipient: rfc822; somebody-%u@c.example\r\n", i);
        ck_assert_ptr_nonnull(strstr(body, line));
    }
    rig_stop(&r);
}
END_TEST

START_TEST(all_refused_is_a_550)
{
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@c.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: [no] x\r\n\r\nhello\r\n.\r\n", "550 5.7.1 Not to them.");
    ck_assert_uint_eq(look(&r).count, 0);
    say_hear(&r, "NOOP\r\n", "250");
    rig_stop(&r);
}
END_TEST

START_TEST(what_the_scanner_finds_decides)
{
    struct rig r;

    rig_start(&r);
    r.finding = SP_JOBS_PHI_PHI;
    begin(&r);
    say_hear(&r, "RCPT TO:<a@d.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: x\r\n\r\nhello\r\n.\r\n", "250 2.0.0");
    ck_assert_str_eq(look(&r).text, "dr@hospital.example>a@d.example:phi:pending;");
    ck_assert_uint_eq(r.scans, 1);
    rig_stop(&r);
}
END_TEST

START_TEST(a_scanner_that_fails_twice_is_a_fact)
{
    struct rig r;

    rig_start(&r);
    r.scanner_is_mute = true;
    begin(&r);
    say_hear(&r, "RCPT TO:<a@d.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: x\r\n\r\nhello\r\n.\r\n", "250 2.0.0");
    ck_assert_str_eq(look(&r).text, "dr@hospital.example>a@d.example:unscanned:pending;");
    ck_assert_uint_eq(r.scans, 2);
    rig_stop(&r);
}
END_TEST

START_TEST(no_scanner_at_all_is_the_same_fact)
{
    struct rig r;

    rig_start(&r);
    sp_jobs_free(r.scanner);
    r.scanner = NULL;
    begin(&r);
    say_hear(&r, "RCPT TO:<a@d.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: x\r\n\r\nhello\r\n.\r\n", "250 2.0.0");
    ck_assert_str_eq(look(&r).text, "dr@hospital.example>a@d.example:unscanned:pending;");
    rig_stop(&r);
}
END_TEST

START_TEST(our_own_mark_is_a_loop)
{
    struct found f;
    char text[3000];
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "Subject: x\r\n\r\nhello\r\n.\r\n", "250 2.0.0");
    f = look(&r);
    say_hear(&r, "MAIL FROM:<dr@hospital.example>\r\n", "250");
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    snprintf(text, sizeof(text), "%sSubject: x\r\n\r\nhello\r\n.\r\n", f.trace);
    say_hear(&r, text, "554 5.4.6");
    rig_stop(&r);
}
END_TEST

static double cpu_s(void)
{
    struct timespec t;

    ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As many fields as a header may have, in two lots, cost what their bytes do: not their square, not their cube. */
START_TEST(a_crowd_of_fields_is_walked_once)
{
    static const struct {
        const char *one, *other, *wanted;
    } rows[] = {
        {"Bcc: a\r\n", "DKIM-Signature: a\r\n", "250 2.0.0"},
        {"Bcc: a\r\n", "DKIM-Signature: h=x:y:z\r\n", "250 2.0.0"},
        {"Bcc: a\r\n", "DKIM-Signature: h=from:bCC\r\n", "554 5.7.7"},
        {"X-MS-Exchange-Organization-A: b\r\n", "dkim-signature: a\r\n", "250 2.0.0"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct rig r;
        double before;

        rig_start(&r);
        begin(&r);
        say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
        say_hear(&r, "DATA\r\n", "354");
        before = cpu_s();
        for (unsigned k = 0; k < 2000; k++) {
            say(&r, k < 1000 ? rows[i].one : rows[i].other);
            sp_loop_run_once(r.loop, 0);
        }
        say_hear(&r, "\r\nhello\r\n.\r\n", rows[i].wanted);
        ck_assert_msg(cpu_s() - before < 1.0, "row %zu took %f s", i, cpu_s() - before);
        rig_stop(&r);
    }
}
END_TEST

START_TEST(a_header_without_end_is_refused)
{
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    for (unsigned i = 0; i < 2100; i++)
        say(&r, "X: y\r\n");
    say_hear(&r, "\r\n.\r\n", "552 5.3.4");
    say_hear(&r, "NOOP\r\n", "250");
    ck_assert_uint_eq(look(&r).count, 0);
    rig_stop(&r);
}
END_TEST

/* What reads it behind us may go on with the header there, and see fields that we did not. */
START_TEST(a_line_in_the_header_that_is_no_field_is_refused)
{
    static const char *const broken[] = {
        ": x\r\nFrom: ceo@elsewhere.example\r\n\r\nhello\r\n",
        "no field at all\r\nBcc: hidden@x.example\r\n\r\nhello\r\n",
        "Caf\xc3\xa9: x\r\n\r\nhello\r\n",
        ">From dr@hospital.example Mon Nov 23 03:00:00 2026\r\n\r\nhello\r\n",
        "hello without an empty line\r\n",
    };
    struct rig r;

    rig_start(&r);
    begin(&r);
    for (size_t i = 0; i < SP_ARRAY_LEN(broken); i++) {
        say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
        say_hear(&r, "DATA\r\n", "354");
        say(&r, "From: dr@hospital.example\r\n");
        say(&r, broken[i]);
        say_hear(&r, ".\r\n", "554 5.6.0 ");
        ck_assert_uint_eq(look(&r).count, 0);
        say_hear(&r, "MAIL FROM:<dr@hospital.example>\r\n", "250");
    }
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say_hear(&r, "From: dr@hospital.example\r\nSubject : a header alone\r\n\t \r\n.\r\n", "250");
    ck_assert_uint_eq(look(&r).count, 1);
    rig_stop(&r);
}
END_TEST

/* Each of these bytes takes two in JSON, so that the facts pass what a record may hold. */
START_TEST(evidence_that_does_not_fit_refuses_the_message)
{
    char line[920] = "X: ";
    struct rig r;

    memset(line + 3, '\\', 900);
    memcpy(line + 903, "\r\n", 3);
    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@c.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    for (unsigned i = 0; i < 200; i++) {
        say(&r, line);
        sp_loop_run_once(r.loop, 0);
    }
    say_hear(&r, "\r\nhello\r\n.\r\n", "552 5.3.4");
    say_hear(&r, "NOOP\r\n", "250");
    ck_assert_uint_eq(look(&r).count, 0);
    rig_stop(&r);
}
END_TEST

START_TEST(a_large_message_goes_through)
{
    static char line[] = "0123456789012345678901234567890123456789012345678901234567890123456\r\n";
    struct rig r;

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250");
    say_hear(&r, "DATA\r\n", "354");
    say(&r, "Subject: x\r\n\r\n");
    for (unsigned i = 0; i < 1400; i++) {
        say(&r, line);
        sp_loop_run_once(r.loop, 0);
    }
    say_hear(&r, ".\r\n", "250 2.0.0");
    say_hear(&r, "MAIL FROM:<dr@hospital.example> SIZE=300001\r\n", "552 5.3.4");
    rig_stop(&r);
}
END_TEST

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

START_TEST(draining_says_421_and_ends)
{
    bool drained = false;
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    sp_intake_drain(r.intake, 5000, on_drained, &drained);
    hear(&r, "421 4.3.2");
    for (unsigned i = 0; i < 200 && !drained; i++)
        sp_loop_run_once(r.loop, 20);
    ck_assert(drained);
    rig_stop(&r);
}
END_TEST

static void on_submitted(void *arg, enum sp_rc rc, const struct sp_id *id)
{
    (void)id;
    ck_assert_int_eq(rc, SP_OK);
    *(bool *)arg = true;
}

START_TEST(mail_of_our_own_goes_no_lower_than_its_floor)
{
    struct sp_intake_own own = {.kind = SP_ACCEPT_KIND_CODE,
                                .tenant = SP_LIT("hospital"),
                                .from = SP_LIT("no-reply@gw.example"),
                                .to = SP_LIT("pat@d.example"),
                                .floor = SP_FLOOR_TLS_ENCRYPTED,
                                .content = SP_LIT("Subject: code\r\n\r\n123456\r\n")};
    bool done = false;
    struct rig r;

    rig_start(&r);
    sp_intake_submit(r.intake, &own, on_submitted, &done);
    for (unsigned i = 0; i < 200 && !done; i++)
        sp_loop_run_once(r.loop, 20);
    ck_assert(done);
    ck_assert_str_eq(look(&r).text, "no-reply@gw.example>pat@d.example:own-mail:pending;");
    rig_stop(&r);
}
END_TEST

static struct session *only(struct rig *r)
{
    ck_assert_uint_eq(r->intake->stats.active, 1);
    return SP_CONTAINER(r->intake->all.next, struct session, link);
}

static bool has_ended(struct rig *r)
{
    char c;

    for (int64_t until = sp_clock_mono_ms(sp_loop_clock(r->loop)) + HEAR_MS / 5;
         sp_clock_mono_ms(sp_loop_clock(r->loop)) < until;) {
        sp_loop_run_once(r->loop, 20);
        if (recv(r->fd, &c, 1, 0) == 0)
            return true;
    }
    return false;
}

/* Says so much, and reads nothing, that it is not read from. */
static void stuff(struct rig *r)
{
    static const char line[] = "EHLO aaaaaaaaaaaaaaaaaaaa\r\n";
    int small = 4096;
    char many[sizeof(line) * 100] = "";

    for (size_t i = 0; i + sizeof(line) <= sizeof(many); i += sizeof(line) - 1)
        memcpy(many + i, line, sizeof(line));
    ck_assert_int_eq(setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    for (unsigned i = 0; i < 20000; i++) {
        if (i > 10 && only(r)->is_stuffed)
            return;
        (void)send(r->fd, many, strlen(many), MSG_NOSIGNAL | MSG_DONTWAIT);
        sp_loop_run_once(r->loop, 0);
    }
    ck_abort_msg("it took all");
}

START_TEST(who_reads_no_replies_has_its_time_and_no_more)
{
    struct rig r;

    rig_start(&r);
    r.intake->now->servers[0].max_idle = 1U << 30;
    r.intake->now->servers[0].free_idle = 0;
    r.intake->now->servers[0].idle_ms = 1000;
    join(&r, 0);
    stuff(&r);
    for (unsigned i = 0; i < 400 && !only(&r)->closing; i++)
        sp_loop_run_once(r.loop, 20);
    ck_assert(only(&r)->closing && sp_timer_is_running(only(&r)->timer));
    ck_assert_uint_eq(r.intake->stats.timed_out, 1);
    rig_stop(&r);
}
END_TEST

START_TEST(who_waits_for_our_disk_is_not_timed_out)
{
    struct rig r;

    rig_start(&r);
    r.intake->now->servers[0].idle_ms = 50;
    join(&r, 0);
    hear(&r, "220");
    only(&r)->holding = true;
    sp_intake_session_hold(only(&r));
    for (unsigned i = 0; i < 10; i++)
        sp_loop_run_once(r.loop, 20);
    ck_assert_uint_eq(r.intake->stats.timed_out, 0);
    only(&r)->holding = false;
    sp_intake_session_hold(only(&r));
    hear(&r, "421 4.4.2"); /* its own time goes on */
    rig_stop(&r);
}
END_TEST

/* Runs turns in which others have done much before it. */
static void run_beside_others(struct rig *r)
{
    for (unsigned i = 0; i < 50; i++) {
        r->intake->shares.busy_turn = sp_loop_turn(r->loop) + i % 2;
        r->intake->shares.busy = 1000;
        sp_loop_run_once(r->loop, 2);
    }
}

#define ENVELOPE                                                                                   \
    "MAIL FROM:<dr@hospital.example>\r\nRCPT TO:<a1@partner.example>\r\n"                          \
    "RCPT TO:<a2@partner.example>\r\nRCPT TO:<a3@partner.example>\r\n"                             \
    "RCPT TO:<a4@partner.example>\r\nRCPT TO:<a5@partner.example>\r\n"                             \
    "RCPT TO:<a6@partner.example>\r\nRCPT TO:<a7@partner.example>\r\n"                             \
    "RCPT TO:<a8@partner.example>\r\n"

START_TEST(a_quit_in_a_long_turn_is_the_end)
{
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    say(&r, ENVELOPE "QUIT\r\n");
    run_beside_others(&r);
    for (unsigned i = 0; i < 9; i++)
        hear(&r, "250");
    hear(&r, "221");
    ck_assert(has_ended(&r));
    rig_stop(&r);
}
END_TEST

START_TEST(an_empty_chunk_in_a_long_turn_ends_its_message)
{
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    say(&r, ENVELOPE "BDAT 0 LAST\r\n");
    run_beside_others(&r);
    for (unsigned i = 0; i < 9; i++)
        hear(&r, "250");
    hear(&r, "");
    rig_stop(&r);
}
END_TEST

/* ---- memory ---- */

static void run_until(struct rig *r, bool (*is_so)(struct rig *r))
{
    int64_t give_up = sp_clock_mono_ms(sp_loop_clock(r->loop)) + HEAR_MS;

    while (!is_so(r)) {
        ck_assert(sp_clock_mono_ms(sp_loop_clock(r->loop)) < give_up);
        sp_loop_run_once(r->loop, 20);
    }
}

static void run_some_turns(struct rig *r)
{
    for (unsigned i = 0; i < 10; i++)
        sp_loop_run_once(r->loop, 10);
}

static bool is_thought_of(struct rig *r)
{
    return r->thought_of != NULL;
}

static bool is_given_up(struct rig *r)
{
    return only(r)->tx->refuse_rc != SP_OK;
}

static bool is_empty(struct rig *r)
{
    return r->intake->stats.active == 0;
}

static size_t body_files(struct rig *r)
{
    size_t count = 0;

    for (unsigned i = 0; i < 16; i++) {
        char name[300];
        DIR *d;

        snprintf(name, sizeof(name), "%s/body-%x", r->dir, i);
        d = opendir(name);
        ck_assert_ptr_nonnull(d);
        for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
            count += e->d_name[0] != '.';
        closedir(d);
    }
    return count;
}

/* Others of its source hold more than the source may. */
static void crowd(struct rig *r)
{
    only(r)->source->memory.bytes += MUCH;
}

static void uncrowd(struct rig *r)
{
    only(r)->source->memory.bytes -= MUCH;
}

START_TEST(a_body_that_has_ended_stays_where_it_is)
{
    struct rig r;
    struct found f;
    char body[512];

    rig_start(&r);
    begin(&r);
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250 2.1.5");
    say_hear(&r, "DATA\r\n", "354");
    crowd(&r);
    say_hear(&r, "From: dr@hospital.example\r\n\r\nhello\r\n.\r\n", "250 2.0.0 queued as ");
    ck_assert(!only(&r)->memory.waits);
    ck_assert_uint_eq(body_files(&r), 0); /* it is in its record, and that was synced */
    f = look(&r);
    read_body(&r, &f.last_mail, body, sizeof(body));
    ck_assert_ptr_nonnull(strstr(body, "hello"));
    say_hear(&r, "MAIL FROM:<dr@hospital.example>\r\n", "452 4.3.1");
    uncrowd(&r);
    rig_stop(&r);
}
END_TEST

START_TEST(a_message_that_is_scanned_waits_for_no_memory)
{
    struct rig r;

    rig_start(&r);
    r.intake->now->scan_ms = 10LL * HEAR_MS;
    r.scanner_thinks = true;
    begin(&r);
    say_hear(&r, "RCPT TO:<a@c.example>\r\n", "250 2.1.5");
    say_hear(&r, "DATA\r\n", "354");
    say(&r, "From: dr@hospital.example\r\n\r\nhello\r\n.\r\n");
    run_until(&r, is_thought_of);
    crowd(&r);
    sp_intake_memory_weigh(only(&r));
    ck_assert(!only(&r)->memory.waits);
    ck_assert_int_eq(only(&r)->tx->refuse_rc, SP_OK);
    tell_finding(&r, r.thought_of);
    hear(&r, "250 2.0.0 queued as ");
    ck_assert_uint_eq(look(&r).count, 1);
    uncrowd(&r);
    rig_stop(&r);
}
END_TEST

static bool is_counted_bare(struct rig *r)
{
    return only(r)->memory.of_all == 4096; /* SESSION_LEN */
}

/* What it said in one piece and what it was told are gone; half a command is little. */
START_TEST(an_idle_session_counts_as_one)
{
    static char many[3000 * 6 + 1];
    struct rig r;

    for (size_t i = 0; i + 6 < sizeof(many); i += 6)
        memcpy(many + i, "NOOP\r\n", 6);
    rig_start(&r);
    r.intake->now->servers[0].max_idle = 1U << 30;
    r.intake->now->servers[0].free_idle = 0;
    join(&r, 0);
    hear(&r, "220");
    run_until(&r, is_counted_bare);
    say(&r, many);
    for (unsigned i = 0; i < 3000; i++)
        hear(&r, "250");
    run_until(&r, is_counted_bare);
    for (unsigned i = 0; i < 5; i++) {
        say(&r, "N");
        run_some_turns(&r);
    }
    say(&r, "\r\n");
    hear(&r, "500");
    run_until(&r, is_counted_bare);
    rig_stop(&r);
}
END_TEST

START_TEST(many_recipients_hold_little)
{
    struct rig r;
    char line[100];

    rig_start(&r);
    r.scanner_thinks = true;
    r.intake->now->scan_ms = 10LL * HEAR_MS;
    begin(&r);
    for (unsigned i = 0; i < 400; i++) {
        snprintf(line, sizeof(line), "RCPT TO:<somebody%u@c.example>\r\n", i);
        say_hear(&r, line, "250 2.1.5");
    }
    say_hear(&r, "DATA\r\n", "354");
    ck_assert_uint_le(only(&r)->memory.of_all, MANY_HOLD);
    say(&r, "From: dr@hospital.example\r\n\r\nhello\r\n.\r\n");
    run_until(&r, is_thought_of);
    pthread_mutex_lock(&gate);
    tell_finding(&r, r.thought_of);
    run_some_turns(&r);
    sp_intake_memory_weigh(only(&r));
    ck_assert_uint_le(only(&r)->memory.of_all, MANY_HOLD);
    pthread_mutex_unlock(&gate);
    hear(&r, "250 2.0.0 queued as ");
    rig_stop(&r);
}
END_TEST

/* Sends lines until the body is as much as may wait for the disk. */
static void fill(struct rig *r)
{
    static char lines[64 * 1024];
    size_t at = 0;

    for (size_t i = 0; i < sizeof(lines); i++)
        lines[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'a';
    while (!only(r)->holding) {
        ssize_t n = send(r->fd, lines + at, sizeof(lines) - at, MSG_NOSIGNAL);

        at = n > 0 ? (at + (size_t)n) % 64 : at;
        sp_loop_run_once(r->loop, 1);
    }
}

START_TEST(a_message_given_up_while_the_disk_is_slow_is_read_to_its_end)
{
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    r.intake->now->servers[0].size_limit = 64 << 20;
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    say_hear(&r, "MAIL FROM:<dr@hospital.example>\r\n", "250");
    say_hear(&r, "RCPT TO:<a@partner.example>\r\n", "250 2.1.5");
    say_hear(&r, "DATA\r\n", "354");
    say(&r, "From: dr@hospital.example\r\n\r\n");
    pthread_mutex_lock(&gate);
    fill(&r);
    crowd(&r);
    sp_intake_memory_weigh(only(&r));
    ck_assert(only(&r)->memory.waits);
    only(&r)->memory.since_ms -= HEAR_MS; /* its patience has ended */
    run_until(&r, is_given_up);
    pthread_mutex_unlock(&gate);
    uncrowd(&r);
    ck_assert(!only(&r)->holding && !only(&r)->is_held);
    close(r.fd);
    r.fd = -1;
    run_until(&r, is_empty);
    rig_stop(&r);
}
END_TEST

/* ---- bytes a second ---- */

static void run_up_debt(struct rig *r)
{
    struct flow *all = &r->intake->flows.all;

    r->intake->now->bytes = 1024;
    all->begun = true;
    all->at_ms = sp_clock_mono_ms(sp_loop_clock(r->loop));
    all->room = -1e7;
}

START_TEST(who_comes_in_debt_is_not_read_from)
{
    struct rig r;
    char c;

    rig_start(&r);
    run_up_debt(&r);
    join(&r, 0);
    hear(&r, "220");
    say(&r, "EHLO client.example\r\n");
    run_some_turns(&r);
    ck_assert(only(&r)->flow.waits);
    ck_assert_uint_eq(sp_stream_input(only(&r)->stream).len, 0);
    ck_assert_int_eq(recv(r.fd, &c, 1, 0), -1);
    r.intake->flows.all.room = 0;
    sp_intake_flows_look(r.intake);
    hear(&r, "250");
    rig_stop(&r);
}
END_TEST

START_TEST(who_was_there_waits_with_what_it_says_in_debt)
{
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    run_up_debt(&r);
    say(&r, "EHLO client.example\r\n");
    run_some_turns(&r);
    ck_assert(only(&r)->flow.waits);
    ck_assert_uint_eq(sp_stream_input(only(&r)->stream).len, 21);
    r.intake->flows.all.room = 0;
    sp_intake_flows_look(r.intake);
    hear(&r, "250");
    rig_stop(&r);
}
END_TEST

START_TEST(what_begins_and_ends_at_once_is_its_tenants)
{
    static const char all_at_once[] = ENVELOPE "RSET\r\n";
    static const struct sp_tenant t = {.name = "hospital"};
    struct rig r;
    struct flow *f;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    f = sp_intake_tenant_flow(r.intake, &t);
    ck_assert(!f->begun);
    say(&r, all_at_once);
    for (unsigned i = 0; i < 10; i++)
        hear(&r, "250");
    ck_assert(f->begun);
    ck_assert_double_eq(f->room, 2.0 * 100 * 1024 * 1024 - (double)strlen(all_at_once));
    rig_stop(&r);
}
END_TEST

/* ---- refusals that come late ---- */

static struct source *here(struct rig *r)
{
    return sp_intake_source_get(r->intake, &only(r)->peer);
}

static bool is_late(struct rig *r)
{
    return only(r)->late.waits;
}

static struct refusals so_often(struct rig *r, double count)
{
    return (struct refusals){count, sp_clock_mono_ms(sp_loop_clock(r->loop))};
}

/* A stranger that was refused so often, and now asks again. */
static void ask_again(struct rig *r, double refusals)
{
    join(r, 1);
    hear(r, "220");
    say_hear(r, "EHLO client.example\r\n", "250");
    here(r)->refusals = so_often(r, refusals);
    say(r, "MAIL FROM:<dr@hospital.example>\r\nNOOP\r\n");
}

START_TEST(who_is_refused_often_is_answered_late_and_in_order)
{
    struct rig r;

    rig_start(&r);
    ask_again(&r, 30);
    run_until(&r, is_late);
    ck_assert_uint_eq(r.intake->late, 1);
    ck_assert_uint_eq(here(&r)->late, 1);
    ck_assert_int_eq(sp_smtp_server_deadline_ms(only(&r)->server), INT64_MAX); /* our time */
    hear(&r, "550 5.7.1");
    hear(&r, "250 2.0.0");
    ck_assert_uint_eq(r.intake->late + here(&r)->late, 0);
    rig_stop(&r);
}
END_TEST

START_TEST(who_is_let_in_never_waits_for_the_refused)
{
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    here(&r)->refusals = so_often(&r, 520);
    say(&r, "MAIL FROM:<dr@hospital.example>\r\n");
    while (only(&r)->tx == NULL && !is_late(&r))
        sp_loop_run_once(r.loop, 20);
    ck_assert(!is_late(&r));
    hear(&r, "250 2.1.0");
    rig_stop(&r);
}
END_TEST

START_TEST(a_tenant_over_its_limit_is_answered_late_whatever_its_source)
{
    static const struct sp_tenant t = {.name = "hospital"};
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    say_hear(&r, "EHLO client.example\r\n", "250");
    ((struct sp_tenant *)r.intake->now->tenants[0].tenant)->limits.sessions = 1;
    ck_assert(sp_intake_tenant_enter(r.intake, &t)); /* another session */
    *sp_intake_tenant_refusals(r.intake, &t) = so_often(&r, 30);
    say(&r, "MAIL FROM:<dr@hospital.example>\r\n");
    run_until(&r, is_late);
    hear(&r, "450 4.7.1");
    ck_assert(here(&r)->refusals.count <= 0);
    sp_intake_tenant_leave(r.intake, &t);
    rig_stop(&r);
}
END_TEST

START_TEST(half_of_the_sessions_are_for_others)
{
    struct rig r;

    rig_start(&r);
    r.intake->now->max_source = 2;
    ask_again(&r, 520); /* five seconds, if there were room for one more */
    here(&r)->late = 1;
    hear(&r, "550 5.7.1");
    ck_assert_ptr_null(only(&r)->late.timer); /* it never waited */
    here(&r)->late = 0;
    rig_stop(&r);
}
END_TEST

START_TEST(what_waits_is_answered_when_we_drain)
{
    bool drained = false;
    struct rig r;

    rig_start(&r);
    ask_again(&r, 520);
    run_until(&r, is_late);
    sp_intake_drain(r.intake, 60000, on_drained, &drained);
    ck_assert_uint_eq(r.intake->late, 0); /* not when its time has come */
    hear(&r, "550 5.7.1");
    hear(&r, "421 4.3.2");
    rig_stop(&r);
}
END_TEST

START_TEST(who_goes_while_it_waits_leaves_its_place)
{
    struct rig r;

    rig_start(&r);
    ask_again(&r, 520);
    run_until(&r, is_late);
    close(r.fd);
    r.fd = -1;
    run_until(&r, is_empty);
    ck_assert_uint_eq(r.intake->late, 0);
    ck_assert_uint_eq(sp_map_count(r.intake->sources), 1); /* it is remembered */
    rig_stop(&r);
}
END_TEST

START_TEST(many_commands_without_mail_are_looked_at_later)
{
    struct rig r;

    rig_start(&r);
    join(&r, 0);
    hear(&r, "220");
    here(&r)->refusals = so_often(&r, 520);
    for (int i = 0; i < 101; i++)
        say(&r, "NOOP\r\n");
    for (int i = 0; i < 101; i++)
        hear(&r, "250");
    run_until(&r, is_late);
    sp_timer_start(only(&r)->late.timer, 0); /* its time has come */
    say_hear(&r, "NOOP\r\n", "250");
    rig_stop(&r);
}
END_TEST

/* 33 fields may be taken out of mail that comes, of which two are there: none is left out of what an older version took. */
START_TEST(a_redirect_is_decided_by_the_rules_of_now)
{
    struct sp_accept_recipient to = {.address = SP_LIT("a@c.example")};
    struct sp_accept_decision was = {.floor = SP_FLOOR_TLS_ENCRYPTED}, now;
    struct sp_accept accept = {.tenant = SP_LIT("hospital"),
                               .facts = SP_LIT("{\"language\":2,\"tenant\":\"hospital\","
                                               "\"sender.address\":\"dr@hospital.example\"}"),
                               .decisions = &was,
                               .decision_count = 1,
                               .recipients = &to,
                               .recipient_count = 1};
    const struct sp_intake_redirect ask = {&accept, 0, SP_LIT("b@partner.example")};
    struct sp_arena *arena = sp_arena_new(4096);
    struct sp_err err = {.text = ""};
    struct sp_buf text;
    struct rig r;

    sp_buf_init(&text, 100000);
    sp_buf_put_cstr(&text, "{\"version\": 1, \"settings\": {\"floor\": \"tls:encrypted\", "
                           "\"expire\": \"2d\", \"dkim_selector\": \"s\"}, \"rules\": [");
    for (int i = 0; i < 32; i++)
        sp_buf_printf(&text,
                      "{\"rule\": \"c%d\", \"continue\": true, \"then\": {\"header\": "
                      "{\"strip\": [\"x-common\"]}}}, ",
                      i);
    sp_buf_put_cstr(&text, "{\"rule\": \"last\", \"continue\": true, \"then\": {\"header\": "
                           "{\"strip\": [\"x-secret\"]}}}], \"default\": {\"protect\": "
                           "{\"rungs\": [\"tls:encrypted\"], \"floor\": \"tls:encrypted\"}}}");
    sp_buf_put_u8(&text, 0);
    rig_start(&r);
    configure(&r, (const char *)text.ptr);
    ck_assert_msg(sp_intake_redecide(r.intake, &ask, arena, &now, &err) == SP_OK, "%s", err.text);
    ck_assert_msg(sp_bytes_find_all(now.options, SP_LIT("x-secret")) != SIZE_MAX, "%.*s",
                  SP_FMT(now.options));
    rig_stop(&r);
    sp_buf_clear(&text);
    sp_arena_free(arena);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, who_is_refused_often_is_answered_late_and_in_order);
    tcase_add_test(c, who_is_let_in_never_waits_for_the_refused);
    tcase_add_test(c, a_tenant_over_its_limit_is_answered_late_whatever_its_source);
    tcase_add_test(c, half_of_the_sessions_are_for_others);
    tcase_add_test(c, what_waits_is_answered_when_we_drain);
    tcase_add_test(c, who_goes_while_it_waits_leaves_its_place);
    tcase_add_test(c, many_commands_without_mail_are_looked_at_later);
    tcase_add_test(c, a_stranger_is_refused);
    tcase_add_test(c, a_message_lies_in_the_queue_behind_its_250);
    tcase_add_test(c, a_rule_on_the_envelope_answers_at_rcpt);
    tcase_add_test(c, one_refused_of_two_is_returned_by_dsn);
    tcase_add_test(c, two_thousand_refused_are_all_in_the_report);
    tcase_add_test(c, all_refused_is_a_550);
    tcase_add_test(c, what_the_scanner_finds_decides);
    tcase_add_test(c, a_scanner_that_fails_twice_is_a_fact);
    tcase_add_test(c, no_scanner_at_all_is_the_same_fact);
    tcase_add_test(c, our_own_mark_is_a_loop);
    tcase_add_test(c, a_crowd_of_fields_is_walked_once);
    tcase_add_test(c, a_header_without_end_is_refused);
    tcase_add_test(c, a_line_in_the_header_that_is_no_field_is_refused);
    tcase_add_test(c, evidence_that_does_not_fit_refuses_the_message);
    tcase_add_test(c, a_large_message_goes_through);
    tcase_add_test(c, draining_says_421_and_ends);
    tcase_add_test(c, mail_of_our_own_goes_no_lower_than_its_floor);
    tcase_add_test(c, an_idle_session_counts_as_one);
    tcase_add_test(c, many_recipients_hold_little);
    tcase_add_test(c, a_body_that_has_ended_stays_where_it_is);
    tcase_add_test(c, a_message_that_is_scanned_waits_for_no_memory);
    tcase_add_test(c, a_message_given_up_while_the_disk_is_slow_is_read_to_its_end);
    tcase_add_test(c, who_reads_no_replies_has_its_time_and_no_more);
    tcase_add_test(c, who_waits_for_our_disk_is_not_timed_out);
    tcase_add_test(c, a_quit_in_a_long_turn_is_the_end);
    tcase_add_test(c, an_empty_chunk_in_a_long_turn_ends_its_message);
    tcase_add_test(c, who_comes_in_debt_is_not_read_from);
    tcase_add_test(c, who_was_there_waits_with_what_it_says_in_debt);
    tcase_add_test(c, what_begins_and_ends_at_once_is_its_tenants);
    tcase_add_test(c, a_redirect_is_decided_by_the_rules_of_now);
}

SP_TEST_MAIN("intake", add)
