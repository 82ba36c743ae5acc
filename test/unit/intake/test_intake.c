/*
 * Intake with a real queue on a folder of its own, a policy of a few rules, and a scanner that says what the test wants:
 * what the client hears, and what then lies in the queue.
 */
#include "intake/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jobs/scan.h"
#include "json/problem.h"
#include "support/check_main.h"

#define HEAR_MS 10000

static const char config_text[] =
    "{\"node\": \"gw1\", \"hostname\": \"gw.example\", \"state_dir\": \"/nowhere\","
    " \"master_key\": \"keys/master.key\","
    " \"listen\": [{\"address\": \"127.0.0.1:0\", \"tls\": \"none\", \"plain_ok\": true},"
    "              {\"address\": \"127.0.0.1:0\", \"tls\": \"none\"}],"
    " \"intake\": {\"size_limit\": 300000, \"scan\": \"1s\"}}";

static const char tenant_text[] = "{\"tenant\": \"hospital\", \"domains\": [\"hospital.example\"],"
                                  " \"proofs\": {\"networks\": [\"127.0.0.0/8\"],"
                                  "  \"client_certificates\": [\"client.hospital.example\"]}}";

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
};

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    (void)ctx;
    if (strcmp(name, "policies/policy.json") != 0)
        return SP_E_NOT_FOUND;
    *out = sp_bytes_cstr(policy_text);
    return SP_OK;
}

static void on_scan(void *arg, struct sp_jobs_job *job)
{
    struct rig *r = arg;
    struct sp_jobs_scan_request request;
    struct sp_jobs_scan_reply reply = {
        .state = SP_JOBS_SCAN_COMPLETE, .phi_class = r->finding, .version = SP_LIT("test")};
    struct sp_buf b;

    r->scans++;
    ck_assert_int_eq(sp_jobs_scan_request_decode(sp_jobs_job_payload(job), &request), SP_OK);
    sp_content_clear(&request.content);
    if (r->scanner_is_mute) {
        sp_jobs_job_reply(job, SP_E_SCAN_FAILED, sp_bytes(NULL, 0), NULL, 0);
        return;
    }
    sp_buf_init(&b, 65536);
    sp_jobs_scan_reply_encode(&b, &reply);
    sp_jobs_job_reply(job, SP_OK, sp_buf_bytes(&b), NULL, 0);
    sp_buf_clear(&b);
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
                                       .keys = &keys,
                                       .loop = r->loop,
                                       .clock = sp_loop_clock(r->loop),
                                       .random = sp_random_system(),
                                       .segment_len = 4 << 20,
                                       .reserve_len = 1 << 20};
    struct sp_err err = {.text = ""};

    ck_assert_msg(sp_queue_open(&options, &r->queue, &err) == SP_OK, "%s", err.text);
}

static void configure(struct rig *r)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy_reader reader = {.read = read_file};
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
    r->listeners[i] = sp_listen(&at, false, 10, &err);
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
    configure(r);
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

static void add(TCase *c)
{
    tcase_add_test(c, a_stranger_is_refused);
    tcase_add_test(c, a_message_lies_in_the_queue_behind_its_250);
    tcase_add_test(c, a_rule_on_the_envelope_answers_at_rcpt);
    tcase_add_test(c, one_refused_of_two_is_returned_by_dsn);
    tcase_add_test(c, all_refused_is_a_550);
    tcase_add_test(c, what_the_scanner_finds_decides);
    tcase_add_test(c, a_scanner_that_fails_twice_is_a_fact);
    tcase_add_test(c, no_scanner_at_all_is_the_same_fact);
    tcase_add_test(c, our_own_mark_is_a_loop);
    tcase_add_test(c, a_header_without_end_is_refused);
    tcase_add_test(c, evidence_that_does_not_fit_refuses_the_message);
    tcase_add_test(c, a_large_message_goes_through);
    tcase_add_test(c, draining_says_421_and_ends);
    tcase_add_test(c, mail_of_our_own_goes_no_lower_than_its_floor);
}

SP_TEST_MAIN("intake", add)
