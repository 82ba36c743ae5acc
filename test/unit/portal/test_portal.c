/*
 * The portal from deposit to destruction, over its own HTTP, with a fake clock, and other roles played by the test: acts
 * are kept and acknowledged on a later turn, mails are kept.
 */
#include "jobs/deposit.h"
#include "mail/compose.h"
#include "portal/portal.h"
#include "store/store.h"
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "support/web_client.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define HOUR 3600000LL

static const char letter[] =
    "From: Dr A <dr@hospital.example>\r\n"
    "To: pat@example.net\r\n"
    "Subject: Your <results>\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    "--c\r\nContent-Type: text/plain\r\n\r\nAll <well>.\r\n"
    "--c\r\nContent-Type: text/html\r\n\r\n<p onclick=x>All <b>well</b><img src=http://x/>\r\n"
    "--c--\r\n"
    "--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; "
    "filename=\"lab report.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybGQ=\r\n"
    "--b--\r\n";

struct pending {
    void (*done)(void *arg, enum sp_rc rc);
    void *arg;
};

static struct sp_loop *loop;
static struct fake_clock fake;
static struct sp_portal *portal;
static char dir[64];
static struct web_client client;
static struct sp_buf events; /* all acts, a line each */
static struct sp_buf mails;
static int mail_count;
static enum sp_rc act_rc; /* what the ledger answers */
static bool act_silent;   /* it does not answer at all */
static bool act_slow;     /* it keeps its answers until answer_all */
static struct pending *owed[8];
static size_t owed_count;

static void turn(void)
{
    sp_loop_run_once(loop, 1);
}

static void answer(void *arg)
{
    struct pending *p = arg;

    p->done(p->arg, act_rc);
    sp_free(p);
}

static void act(void *ctx, struct sp_bytes event, bool batch,
                void (*done)(void *arg, enum sp_rc rc), void *arg)
{
    struct pending *p;

    (void)ctx;
    (void)batch;
    sp_buf_put(&events, event);
    sp_buf_put_u8(&events, '\n');
    if (done == NULL || act_silent)
        return;
    p = sp_malloc(sizeof(*p));
    *p = (struct pending){done, arg};
    if (act_slow && owed_count < SP_ARRAY_LEN(owed))
        owed[owed_count++] = p;
    else
        sp_loop_post(loop, answer, p);
}

static void answer_all(void)
{
    act_slow = false;
    while (owed_count > 0)
        sp_loop_post(loop, answer, owed[--owed_count]);
}

/* A mail that somebody wants to hear of. */
struct queued {
    void (*done)(void *arg, enum sp_rc rc, const struct sp_id *id);
    void *arg;
};
static enum sp_rc queue_rc;
static unsigned repeated; /* mails that may have been queued before */
static bool is_mute;      /* the relay takes mail and never answers */
static unsigned words;

static void say_queued(void *arg)
{
    struct queued *q = arg;

    struct sp_id id = {{0xd5}};

    q->done(q->arg, queue_rc, &id);
    sp_free(q);
}

static void submit(void *ctx, const struct sp_portal_mail *mail)
{
    (void)ctx;
    words += mail->kind == SP_PORTAL_MAIL_WORD || mail->kind == SP_PORTAL_MAIL_REPORT;
    repeated += mail->again;
    if (mail->done != NULL && !is_mute) {
        struct queued *q = sp_calloc(1, sizeof(*q));

        *q = (struct queued){mail->done, mail->arg};
        sp_loop_post(loop, say_queued, q);
    }
    sp_buf_reset(&mails);
    sp_buf_put(&mails, mail->content);
    ck_assert(sp_bytes_eq(mail->floor, SP_LIT("plain")));
    mail_count++;
}

static struct sp_portal_wish wish; /* what the ledger has on record */
struct asked {
    void (*done)(void *arg, enum sp_rc rc, const struct sp_portal_wish *wish);
    void *arg;
};

static void say_wish(void *arg)
{
    struct asked *a = arg;

    a->done(a->arg, act_rc, &wish);
    sp_free(a);
}

static void find_wish(void *ctx, struct sp_bytes tenant, struct sp_bytes address,
                      void (*done)(void *arg, enum sp_rc rc, const struct sp_portal_wish *wish),
                      void *arg)
{
    struct asked *a = sp_malloc(sizeof(*a));

    (void)ctx;
    ck_assert(sp_bytes_eq(tenant, SP_LIT("hospital")) &&
              sp_bytes_eq(address, SP_LIT("pat@example.net")));
    *a = (struct asked){done, arg};
    sp_loop_post(loop, say_wish, a);
}

static int64_t choice_ms = 365 * 24 * HOUR;

static void open_portal(void)
{
    static const struct sp_secret kek = {{7}};
    struct sp_portal_options o = {.loop = loop,
                                  .clock = &fake.clock,
                                  .random = sp_random_system(),
                                  .dir = dir,
                                  .url = "https://mail.example",
                                  .hostname = "gw.example",
                                  .mail_from = "no-reply@gw.example",
                                  .kek = &kek,
                                  .ops = {act, submit, find_wish, NULL},
                                  .choice_ms = choice_ms,
                                  .code_ms = 15 * 60000,
                                  .session_ms = 30 * 60000,
                                  .max_codes = 5,
                                  .max_tries = 5};
    struct sp_err err = {0};
    enum sp_rc rc = sp_portal_new(&o, &portal, &err);

    ck_assert_msg(rc == SP_OK, "%s", err.text);
}

static void dial(void)
{
    sp_portal_accept(portal, web_client_pair(&client, turn));
}

static void begin(void)
{
    memcpy(dir, "/tmp/sp-portal-XXXXXX", 22);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    loop = sp_loop_new();
    fake_clock_init(&fake, 0);
    sp_buf_init(&events, 1 << 20);
    sp_buf_init(&mails, 1 << 20);
    mail_count = 0;
    act_rc = SP_OK;
    act_silent = false;
    act_slow = false;
    open_portal();
    dial();
}

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    char name[512];

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (unlink(name) != 0)
            remove_all(name);
    }
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

static void close_portal(void)
{
    web_client_end(&client);
    sp_portal_free(portal);
    portal = NULL;
}

static void end(void)
{
    close_portal();
    sp_loop_free(loop);
    sp_buf_clear(&events);
    sp_buf_clear(&mails);
    remove_all(dir);
}

static size_t count_files(void)
{
    char name[128];
    size_t n = 0;
    struct dirent *e;
    DIR *d;

    snprintf(name, sizeof(name), "%s/packages", dir);
    d = opendir(name);
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static unsigned wants; /* deposits from now on: what their senders hear of the end */
static bool owes;      /* deposits from now on have reminders and a word to the sender */
static struct sp_bytes display = SP_LIT_INIT("Clinic");
static int64_t life_ms = 24 * HOUR;

static const char *beside = ""; /* notice beside the message */

static enum sp_rc deposit_text(struct sp_bytes text, uint8_t message, const char *to,
                               struct sp_portal_receipt *out)
{
    struct sp_id id = {{message}};
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&id, sp_random_system(), NULL);
    struct sp_content content;
    struct sp_portal_deposit d = {.content = &content,
                                  .n = 1,
                                  .tenant = SP_LIT("hospital"),
                                  .sender = SP_LIT("dr@hospital.example"),
                                  .recipient = sp_bytes_cstr(to),
                                  .floor = SP_LIT("plain"),
                                  .notice = sp_bytes_cstr(beside),
                                  .expires_at_ms = fake.wall_ms + life_ms};
    enum sp_rc rc;

    d.report = (struct sp_portal_report){
        .wants = wants, .envid = SP_LIT("e-7"), .orcpt = SP_LIT("rfc822;p@example.org")};
    if (owes) {
        d.remind_at_ms[0] = fake.wall_ms + 3 * HOUR;
        d.remind_at_ms[1] = fake.wall_ms + 6 * HOUR;
        d.unread_at_ms = fake.wall_ms + 12 * HOUR;
        d.name = display;
    }
    ck_assert_int_eq(sp_content_writer_feed(w, text), SP_OK);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_handle(w, -1, 0, &content);
    rc = sp_portal_deposit(portal, &d, out, NULL);
    sp_content_clear(&content);
    return rc;
}

static struct sp_portal_receipt deposit(uint8_t message)
{
    struct sp_portal_receipt r;

    ck_assert_int_eq(deposit_text(sp_bytes_cstr(letter), message, "pat@example.net", &r), SP_OK);
    return r;
}

/* ---- talking to it ---- */

static struct sp_bytes ask_by(struct web_client *by, const char *method, const char *path,
                              const char *cookie, const char *form)
{
    struct sp_buf b;
    struct sp_bytes a;

    sp_buf_init(&b, 65536);
    sp_buf_printf(&b, "%s %s HTTP/1.1\r\nHost: mail.example\r\n", method, path);
    if (cookie != NULL)
        sp_buf_printf(&b, "Cookie: %s\r\n", cookie);
    if (form != NULL)
        sp_buf_printf(&b,
                      "Content-Type: application/x-www-form-urlencoded\r\n"
                      "Content-Length: %zu\r\n\r\n%s",
                      strlen(form), form);
    else
        sp_buf_put_cstr(&b, "\r\n");
    a = web_client_ask(by, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return a;
}

static struct sp_bytes ask(const char *method, const char *path, const char *cookie,
                           const char *form)
{
    return ask_by(&client, method, path, cookie, form);
}

/* Copies the first cookie that an answer sets, as it goes back. */
static void take_cookie(struct sp_bytes answer_text, char *out, size_t max)
{
    size_t at = sp_bytes_find_all(answer_text, SP_LIT("Set-Cookie: "));
    struct sp_bytes rest;
    size_t len;

    ck_assert(at != SIZE_MAX);
    rest = sp_bytes_slice(answer_text, at + 12, SIZE_MAX);
    len = sp_bytes_find(rest, ';');
    ck_assert(len < max);
    memcpy(out, rest.ptr, len);
    out[len] = '\0';
}

static const char *token_of(const struct sp_portal_receipt *r)
{
    const char *mark = strchr(r->link, '#');

    ck_assert_ptr_nonnull(mark);
    return mark + 1;
}

/* Asks for a code; the challenge's cookie goes to cookie. returns: the status */
static int ask_code(const char *token, char *cookie)
{
    char form[128];
    struct sp_bytes a;

    snprintf(form, sizeof(form), "token=%s", token);
    a = ask("POST", "/code", NULL, form);
    if (web_client_status(a) == 200)
        take_cookie(a, cookie, 128);
    return web_client_status(a);
}

/* The code in the last mail. */
static void take_code(char *out)
{
    size_t at = sp_bytes_find_all(sp_buf_bytes(&mails), SP_LIT("Your code is "));

    ck_assert(at != SIZE_MAX);
    memcpy(out, mails.ptr + at + 13, 9);
    out[9] = '\0';
    out[4] = '+'; /* the space, as forms send it */
}

static struct sp_bytes enter_code(const char *cookie, const char *code)
{
    char form[64];

    snprintf(form, sizeof(form), "code=%s", code);
    return ask("POST", "/open", cookie, form);
}

/* The whole way in. session: gets the cookie */
static void open_package(const struct sp_portal_receipt *r, char *session)
{
    char cookie[128], code[16];
    struct sp_bytes a;

    ck_assert_int_eq(ask_code(token_of(r), cookie), 200);
    take_code(code);
    a = enter_code(cookie, code);
    ck_assert_int_eq(web_client_status(a), 303);
    ck_assert(web_client_has(a, r->package));
    take_cookie(a, session, 128);
}

static const char *path_of(const struct sp_portal_receipt *r, const char *tail)
{
    static char path[128];

    snprintf(path, sizeof(path), "/m/%s%s", r->package, tail);
    return path;
}

static size_t count_events(const char *what)
{
    struct sp_bytes rest = sp_buf_bytes(&events);
    size_t n = 0, at;

    while ((at = sp_bytes_find_all(rest, sp_bytes_cstr(what))) != SIZE_MAX) {
        n++;
        rest = sp_bytes_slice(rest, at + 1, SIZE_MAX);
    }
    return n;
}

/* ---- stories ---- */

START_TEST(a_deposit_repeated_is_the_same_package)
{
    struct sp_portal_receipt a, b, c;

    begin();
    a = deposit(1);
    ck_assert(strncmp(a.link, "https://mail.example/p#", 23) == 0 && strlen(token_of(&a)) == 43);
    b = deposit(1);
    ck_assert(strcmp(a.link, b.link) == 0 && strcmp(a.package, b.package) == 0);
    close_portal();
    open_portal();
    dial();
    b = deposit(1);
    ck_assert(strcmp(a.link, b.link) == 0);
    ck_assert_uint_eq(count_files(), 1);
    ck_assert_int_eq(deposit_text(SP_LIT("\r\n"), 1, "other@example.net", &c), SP_OK);
    ck_assert(strcmp(a.link, c.link) != 0 && strcmp(a.package, c.package) != 0);
    ck_assert_int_eq(deposit_text(SP_LIT("\r\n"), 2, "x@y\r\nBcc: z@y", &c), SP_E_MALFORMED);
    end();
}
END_TEST

START_TEST(link_and_code_open_the_message)
{
    struct sp_portal_receipt r;
    char session[128];
    struct sp_bytes a;

    begin();
    r = deposit(1);
    open_package(&r, session);
    ck_assert_uint_eq(count_events("\"event\":\"portal.opened\""), 1);
    ck_assert_uint_eq(count_events("\"opens\":1"), 1);
    ck_assert_uint_eq(count_events("results"), 0);
    a = ask("GET", path_of(&r, ""), session, NULL);
    ck_assert_int_eq(web_client_status(a), 200);
    ck_assert(web_client_has(a, "Your &lt;results&gt;") && web_client_has(a, "All &lt;well&gt;."));
    ck_assert(web_client_has(a, "lab report.pdf") && web_client_has(a, "<iframe sandbox=\"\""));
    ck_assert(web_client_has(a, "Cache-Control: no-store\r\n"));
    ck_assert(web_client_has(a, "Referrer-Policy: no-referrer\r\n"));
    ck_assert(web_client_has(a, "X-Content-Type-Options: nosniff\r\n"));
    ck_assert(web_client_has(a, "frame-ancestors 'none'"));
    a = ask("GET", path_of(&r, "/html"), session, NULL);
    ck_assert(web_client_has(a, "<p>All <b>well</b>") && !web_client_has(a, "http://x"));
    ck_assert(web_client_has(a, "default-src 'none'; style-src 'unsafe-inline'; sandbox;"));
    ck_assert(!web_client_has(a, "frame-ancestors 'none'"));
    end();
}
END_TEST

START_TEST(downloads_are_recorded_and_exact)
{
    struct sp_portal_receipt r;
    char session[128];
    struct sp_bytes a;

    begin();
    r = deposit(1);
    open_package(&r, session);
    a = ask("POST", path_of(&r, "/part/2"), session, "");
    ck_assert_int_eq(web_client_status(a), 200);
    ck_assert(web_client_has(a, "Content-Type: application/octet-stream\r\n"));
    ck_assert(web_client_has(a, "Content-Disposition: attachment; filename=\"lab report.pdf\""));
    ck_assert(sp_bytes_eq(web_client_body(a), SP_LIT("b\r\nhello world\r\n0\r\n\r\n")));
    a = ask("POST", path_of(&r, "/original"), session, "");
    ck_assert(sp_bytes_eq(web_client_body(a), sp_bytes_cstr(letter)));
    ck_assert_uint_eq(count_events("\"event\":\"portal.downloaded\""), 2);
    ck_assert_uint_eq(count_events("lab report"), 0);
    ck_assert_int_eq(web_client_status(ask("POST", path_of(&r, "/part/0"), session, "")), 404);
    ck_assert_int_eq(web_client_status(ask("POST", path_of(&r, "/part/9"), session, "")), 404);
    ck_assert_int_eq(web_client_status(ask("POST", path_of(&r, "/part/x"), session, "")), 404);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, "/original"), session, NULL)), 405);
    end();
}
END_TEST

START_TEST(get_and_head_change_nothing)
{
    static const char *const paths[] = {"/",          "/p",         "/code",      "/open",
                                        "/style.css", "/script.js", "/robots.txt"};
    struct sp_portal_receipt r;
    char session[128];

    begin();
    r = deposit(1);
    for (int round = 0; round < 10; round++)
        for (size_t i = 0; i < SP_ARRAY_LEN(paths); i++)
            ask(round % 2 == 0 ? "GET" : "HEAD", paths[i], NULL, NULL);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, ""), NULL, NULL)), 403);
    ck_assert(mail_count == 0 && events.len == 0);
    open_package(&r, session);
    sp_buf_reset(&events);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, ""), session, NULL)), 200);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, "/html"), session, NULL)), 200);
    ck_assert_uint_eq(events.len, 0);
    end();
}
END_TEST

START_TEST(reading_again_is_recorded_first)
{
    static const char *const tails[] = {"", "/html"};
    struct sp_portal_receipt r;
    char session[128], opens[16];
    int n = 1;

    begin();
    r = deposit(1);
    open_package(&r, session);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < SP_ARRAY_LEN(tails); i++) {
            struct sp_bytes a = ask("GET", path_of(&r, tails[i]), session, NULL);

            ck_assert_int_eq(web_client_status(a), 200);
            ck_assert(web_client_has(a, "well"));
            n += round > 0;
            ck_assert_uint_eq(count_events("\"event\":\"portal.opened\""), (size_t)n);
            snprintf(opens, sizeof(opens), "\"opens\":%d", n);
            ck_assert_uint_eq(count_events(opens), 1);
        }
    }
    act_rc = SP_E_ROLE_GONE;
    for (size_t i = 0; i < SP_ARRAY_LEN(tails); i++) {
        struct sp_bytes a = ask("GET", path_of(&r, tails[i]), session, NULL);

        ck_assert(web_client_status(a) == 503 && !web_client_has(a, "well"));
    }
    act_rc = SP_OK;
    open_package(&r, session); /* a new session shows each once more by its own opening */
    sp_buf_reset(&events);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, ""), session, NULL)), 200);
    ck_assert_uint_eq(events.len, 0);
    end();
}
END_TEST

START_TEST(who_is_turned_away_is_recorded_and_does_not_flood)
{
    struct sp_portal_receipt r;
    char cookie[128];
    int turned_away = 0;

    begin();
    r = deposit(1);
    ck_assert_int_eq(ask_code(token_of(&r), cookie), 200);
    for (int i = 0; i < 150; i++)
        turned_away += web_client_status(enter_code(cookie, "12345678")) == 429;
    ck_assert_int_eq(turned_away, 30);
    ck_assert_uint_eq(count_events("\"why\":\"portal.throttled\""), 5);
    ck_assert_uint_eq(count_events("\"why\":\"portal.code\""), 120);
    end();
}
END_TEST

/* What a link scanner does: reads, submits every form many times, types nonsense. */
START_TEST(a_scanner_neither_opens_nor_burns)
{
    struct sp_portal_receipt r;
    char cookie[128], session[128];

    begin();
    r = deposit(1);
    for (int i = 0; i < 10; i++) {
        ask("GET", "/p", NULL, NULL);
        ck_assert_int_eq(ask_code(token_of(&r), cookie), 200);
        for (int k = 0; k < 10; k++) {
            int status = web_client_status(enter_code(cookie, k % 2 == 0 ? "" : "12345678"));

            ck_assert(status == 403 || status == 429);
        }
    }
    ck_assert_int_le(mail_count, 5);
    ck_assert_uint_eq(count_events("portal.opened"), 0);
    ck_assert_uint_ge(count_events("\"agent_class\":\"scanner\""), 1);
    fake_clock_advance(&fake, HOUR);
    open_package(&r, session);
    end();
}
END_TEST

START_TEST(a_code_is_good_for_five_tries_one_use_and_a_while)
{
    struct sp_portal_receipt r;
    char cookie[128], code[16];

    begin();
    r = deposit(1);
    ck_assert_int_eq(ask_code(token_of(&r), cookie), 200);
    take_code(code);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(web_client_status(enter_code(cookie, "00000000")), 403);
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 403);
    ask_code(token_of(&r), cookie);
    take_code(code);
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 303);
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 403);
    ask_code(token_of(&r), cookie);
    take_code(code);
    fake_clock_advance(&fake, 15 * 60000);
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 403);
    end();
}
END_TEST

/* Opens the portal's own database beside it and changes something there. */
static void tamper(const char *sql)
{
    static const struct sp_store_migration none[] = {{"none", ""}, {"none", ""}, {"none", ""},
                                                     {"none", ""}, {"none", ""}, {"none", ""},
                                                     {"none", ""}, {"none", ""}};
    const struct sp_store_options options = {.migrations = none,
                                             .migration_count = SP_ARRAY_LEN(none)};
    SP_AUTO(sp_store) store = NULL;
    char name[128];

    snprintf(name, sizeof(name), "%s/portal.db", dir);
    ck_assert_int_eq(sp_store_open(name, &options, &store, NULL), SP_OK);
    ck_assert_int_eq(sp_store_exec(store, sql, NULL), SP_OK);
}

START_TEST(a_code_entered_twice_at_once_opens_once)
{
    struct sp_portal_receipt r;
    struct web_client other;
    char cookie[128], code[16], form[64];
    int first, second;

    begin();
    sp_portal_accept(portal, web_client_pair(&other, turn));
    r = deposit(1);
    ck_assert_int_eq(ask_code(token_of(&r), cookie), 200);
    take_code(code);
    snprintf(form, sizeof(form), "code=%s", code);
    act_slow = true;
    ck_assert_uint_eq(enter_code(cookie, code).len, 0);
    ck_assert_uint_eq(ask_by(&other, "POST", "/open", cookie, form).len, 0);
    ck_assert_uint_eq(owed_count, 2);
    answer_all();
    web_client_settle(&client);
    web_client_settle(&other);
    first = web_client_status(sp_buf_bytes(&client.in));
    second = web_client_status(sp_buf_bytes(&other.in));
    ck_assert_msg(first + second == 303 + 403, "%d and %d", first, second);
    web_client_end(&other);
    end();
}
END_TEST

START_TEST(a_code_that_cannot_be_ended_opens_nothing)
{
    struct sp_portal_receipt r;
    char cookie[128], code[16];
    struct sp_bytes a;

    begin();
    r = deposit(1);
    ck_assert_int_eq(ask_code(token_of(&r), cookie), 200);
    take_code(code);
    tamper("CREATE TRIGGER stuck BEFORE DELETE ON challenges"
           " BEGIN SELECT RAISE(ABORT, 'test'); END");
    for (int i = 0; i < 2; i++) {
        a = enter_code(cookie, code);
        ck_assert_int_eq(web_client_status(a), 503);
        ck_assert(!web_client_has(a, "Set-Cookie"));
    }
    tamper("DROP TRIGGER stuck");
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 303);
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 403);
    end();
}
END_TEST

START_TEST(a_code_is_of_no_use_in_another_browser)
{
    struct sp_portal_receipt r;
    char mine[128], other[128], code[16], later[16];

    begin();
    r = deposit(1);
    ask_code(token_of(&r), mine);
    take_code(code);
    ask_code(token_of(&r), other);
    take_code(later);
    ck_assert_int_eq(web_client_status(enter_code(other, code)), 403);
    ck_assert_int_eq(web_client_status(enter_code(NULL, code)), 403);
    ck_assert_int_eq(web_client_status(enter_code("__Host-challenge=x", code)), 403);
    ck_assert_int_eq(web_client_status(enter_code(mine, code)), 303);
    end();
}
END_TEST

START_TEST(limits_outlive_a_restart)
{
    struct sp_portal_receipt r;
    char cookie[128], session[128];

    begin();
    r = deposit(1);
    for (int i = 0; i < 3; i++)
        ask_code(token_of(&r), cookie);
    close_portal();
    open_portal();
    dial();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ask_code(token_of(&r), cookie), 200); /* says nothing of it */
    ck_assert_int_eq(mail_count, 5);
    fake_clock_advance(&fake, HOUR);
    open_package(&r, session);
    end();
}
END_TEST

START_TEST(an_unknown_token_looks_like_a_known_one)
{
    static const char unknown[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    struct sp_portal_receipt r;
    char cookie[128];
    size_t len;

    begin();
    r = deposit(1);
    ck_assert_int_eq(ask_code(token_of(&r), cookie), 200);
    len = client.in.len;
    ck_assert_int_eq(ask_code(unknown, cookie), 200);
    ck_assert_uint_eq(client.in.len, len);
    ck_assert_int_eq(mail_count, 1);
    ck_assert_int_eq(web_client_status(enter_code(cookie, "12345678")), 403);
    ck_assert_int_eq(ask_code("nonsense", cookie), 400);
    ck_assert_int_eq(web_client_status(ask("POST", "/code", NULL, "")), 400);
    end();
}
END_TEST

START_TEST(a_whole_link_may_be_pasted)
{
    struct sp_portal_receipt r;
    char form[256];

    begin();
    r = deposit(1);
    snprintf(form, sizeof(form), "token=+https%%3A%%2F%%2Fmail.example%%2Fp%%23%s%%0D%%0A",
             token_of(&r));
    ck_assert_int_eq(web_client_status(ask("POST", "/code", NULL, form)), 200);
    ck_assert_int_eq(mail_count, 1);
    end();
}
END_TEST

START_TEST(no_record_no_access)
{
    struct sp_portal_receipt r;
    char cookie[128], code[16], session[128];

    begin();
    r = deposit(1);
    ask_code(token_of(&r), cookie);
    take_code(code);
    act_rc = SP_E_ROLE_GONE;
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 503);
    act_rc = SP_OK;
    ck_assert_int_eq(web_client_status(enter_code(cookie, code)), 303);
    take_cookie(sp_buf_bytes(&client.in), session, sizeof(session));
    act_rc = SP_E_ROLE_GONE;
    ck_assert_int_eq(web_client_status(ask("POST", path_of(&r, "/original"), session, "")), 503);
    act_silent = true;
    ck_assert_uint_eq(ask("POST", path_of(&r, "/original"), session, "").len, 0);
    end(); /* with an answer still owed */
}
END_TEST

START_TEST(a_session_is_for_one_package_and_a_while)
{
    struct sp_portal_receipt a, b;
    char session[128];

    begin();
    a = deposit(1);
    b = deposit(2);
    open_package(&a, session);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&b, ""), session, NULL)), 403);
    ck_assert_int_eq(web_client_status(ask("POST", path_of(&b, "/original"), session, "")), 403);
    ck_assert_int_eq(web_client_status(ask("GET", "/m/pkg-none", session, NULL)), 403);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&a, ""), session, NULL)), 200);
    fake_clock_advance(&fake, 30 * 60000);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&a, ""), session, NULL)), 403);
    open_package(&a, session);
    ck_assert_int_eq(web_client_status(ask("POST", path_of(&a, "/leave"), session, "")), 200);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&a, ""), session, NULL)), 403);
    end();
}
END_TEST

START_TEST(other_sites_may_not_post)
{
    struct sp_portal_receipt r;
    struct sp_bytes a;

    begin();
    r = deposit(1);
    (void)r;
    a = web_client_ask(&client, SP_LIT("POST /code HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                                       "Sec-Fetch-Site: cross-site\r\n\r\n"));
    ck_assert_int_eq(web_client_status(a), 403);
    end();
}
END_TEST

/* returns: whether any file of the database holds these bytes */
static bool disk_has(struct sp_bytes what)
{
    static const char *const files[] = {"portal.db", "portal.db-wal"};
    bool has = false;

    for (size_t i = 0; i < SP_ARRAY_LEN(files); i++) {
        char name[128];
        struct sp_buf b;
        int fd;
        ssize_t n;

        snprintf(name, sizeof(name), "%s/%s", dir, files[i]);
        sp_buf_init(&b, 16 << 20);
        fd = open(name, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && (n = read(fd, sp_buf_reserve(&b, 65536), 65536)) > 0)
            sp_buf_commit(&b, (size_t)n);
        if (fd >= 0)
            close(fd);
        has = has || sp_bytes_find_all(sp_buf_bytes(&b), what) != SIZE_MAX;
        sp_buf_clear(&b);
    }
    return has;
}

/* Reads a package's wrapped key out of the database. */
static void take_key(const char *package, struct sp_buf *out)
{
    static const struct sp_store_migration none[] = {{"none", ""}, {"none", ""}, {"none", ""},
                                                     {"none", ""}, {"none", ""}, {"none", ""},
                                                     {"none", ""}, {"none", ""}};
    const struct sp_store_options options = {.migrations = none,
                                             .migration_count = SP_ARRAY_LEN(none)};
    SP_AUTO(sp_store) store = NULL;
    struct sp_store_query *q;
    char name[128];
    bool row = false;

    snprintf(name, sizeof(name), "%s/portal.db", dir);
    sp_buf_init(out, 1000);
    ck_assert_int_eq(sp_store_open(name, &options, &store, NULL), SP_OK);
    q = sp_store_query(store, "SELECT key FROM packages WHERE id = ?1");
    sp_store_bind_text(q, 1, sp_bytes_cstr(package));
    ck_assert(sp_store_next(q, &row, NULL) == SP_OK && row);
    sp_buf_put(out, sp_store_blob(q, 0));
    ck_assert_uint_gt(out->len, 32);
    sp_store_done(q);
}

/* Lets time pass, and the portal do what is due. */
static void pass(int64_t ms)
{
    fake_clock_advance(&fake, ms);
    sp_portal_sweep(portal);
    for (int i = 0; i < 100; i++)
        turn();
}

START_TEST(who_has_not_opened_is_reminded_and_then_the_sender_hears)
{
    struct sp_portal_receipt opened, waits;
    char session[128];

    begin();
    owes = true;
    opened = deposit(1);
    waits = deposit(2);
    owes = false;
    words = 0;
    queue_rc = SP_OK;
    pass(2 * HOUR);
    ck_assert_int_eq(mail_count, 0);
    open_package(&opened, session);
    sp_buf_reset(&events);
    mail_count = 0;
    pass(HOUR + 1000);
    ck_assert_int_eq(mail_count, 1); /* who has opened is left alone */
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&mails), SP_LIT("still waits for you")) != SIZE_MAX);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&mails), SP_LIT("Clinic")) != SIZE_MAX);
    ck_assert_uint_eq(count_events("\"event\":\"portal.reminded\""), 1);
    ck_assert_uint_eq(count_events(waits.package), 1);
    queue_rc = SP_E_ROLE_GONE; /* what was not queued is tried again */
    pass(3 * HOUR);
    ck_assert_int_eq(mail_count, 2);
    ck_assert_uint_eq(count_events("portal.reminded"), 1);
    queue_rc = SP_OK;
    pass(2 * 60000);
    ck_assert_int_eq(mail_count, 3);
    ck_assert_uint_eq(count_events("portal.reminded"), 2);
    close_portal();
    open_portal();
    dial();
    pass(6 * HOUR);
    ck_assert_int_eq(mail_count, 4);
    ck_assert_uint_eq(words, 1);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&mails), SP_LIT("pat@example.net")) != SIZE_MAX);
    ck_assert_uint_eq(count_events("\"who\":\"sender\""), 1);
    pass(20 * HOUR);
    ck_assert_int_eq(mail_count, 4);
    end();
}
END_TEST

static bool mailed(const char *text)
{
    return sp_bytes_find_all(sp_buf_bytes(&mails), sp_bytes_cstr(text)) != SIZE_MAX;
}

START_TEST(who_asked_hears_of_the_first_opening)
{
    struct sp_portal_receipt asked, other;
    char session[128], again[128];

    begin();
    wants = SP_JOBS_DEPOSIT_TELL_OPENED | SP_JOBS_DEPOSIT_TELL_UNOPENED;
    asked = deposit(1);
    wants = SP_JOBS_DEPOSIT_TELL_UNOPENED;
    other = deposit(2);
    wants = 0;
    words = 0;
    queue_rc = SP_OK;
    open_package(&asked, session);
    pass(1000);
    ck_assert_uint_eq(words, 1);
    ck_assert(mailed("Action: delivered") && mailed("Original-Envelope-Id: e-7") &&
              mailed("Original-Recipient: rfc822; p@example.org") &&
              mailed("Final-Recipient: rfc822; pat@example.net"));
    ck_assert(mailed("From: Dr A <dr@hospital.example>") && !mailed("results") && !mailed("well"));
    ck_assert_uint_eq(count_events("\"event\":\"dsn.sent\""), 1);
    ck_assert_uint_eq(count_events("\"action\":\"delivered\""), 1);
    open_package(&asked, again); /* again: told already */
    open_package(&other, session);
    pass(25 * HOUR); /* and both expire: who has opened is told of no failure */
    ck_assert_uint_eq(words, 1);
    ck_assert_uint_eq(count_events("dsn.sent"), 1);
    end();
}
END_TEST

START_TEST(who_asked_hears_that_nobody_opened_it)
{
    begin();
    wants = SP_JOBS_DEPOSIT_TELL_UNOPENED;
    (void)deposit(1);
    wants = SP_JOBS_DEPOSIT_TELL_OPENED; /* NOTIFY=SUCCESS alone */
    (void)deposit(2);
    wants = SP_JOBS_DEPOSIT_TELL_UNOPENED;
    owes = true; /* the word to the sender is another thing */
    (void)deposit(3);
    ck_assert_int_eq(sp_portal_unreached(portal, sp_bytes_cstr(deposit(4).package)), SP_OK);
    owes = false;
    wants = 0;
    words = 0;
    queue_rc = SP_OK;
    pass(23 * HOUR);
    ck_assert_uint_eq(words, 2); /* words of 3 and 4, long before */
    pass(2 * HOUR);
    ck_assert_uint_eq(words, 4);
    ck_assert(mailed("Action: failed") && mailed("Status: 5.4.7"));
    ck_assert(mailed("From: Dr A <dr@hospital.example>") && !mailed("results"));
    ck_assert_uint_eq(count_events("dsn.sent"), 2);
    ck_assert_uint_eq(count_events("\"why\":\"portal.expired-unread\""), 2);
    pass(2 * HOUR);
    ck_assert_uint_eq(words, 4);
    end();
}
END_TEST

START_TEST(who_asked_hears_that_a_notice_came_back_later)
{
    struct sp_portal_receipt back, opened;
    char session[128];

    begin();
    wants = SP_JOBS_DEPOSIT_TELL_OPENED | SP_JOBS_DEPOSIT_TELL_UNOPENED;
    back = deposit(1);
    opened = deposit(2);
    wants = 0;
    words = 0;
    queue_rc = SP_OK;
    ck_assert_int_eq(sp_portal_bounced(portal, sp_bytes_cstr(back.package), SP_LIT("4.2.2")),
                     SP_E_MALFORMED);
    for (int i = 0; i < 2; i++) /* the report is repeated by who heard no answer */
        ck_assert_int_eq(sp_portal_bounced(portal, sp_bytes_cstr(back.package), SP_LIT("5.1.1")),
                         SP_OK);
    pass(1000);
    ck_assert_uint_eq(words, 1);
    ck_assert(mailed("Action: failed") && mailed("Status: 5.1.1") && mailed("hop.bounced-later"));
    ck_assert_uint_eq(count_events("\"why\":\"hop.bounced-later\""), 1);
    open_package(&opened, session);
    pass(1000);
    ck_assert_uint_eq(words, 2);
    ck_assert_int_eq(sp_portal_bounced(portal, sp_bytes_cstr(opened.package), SP_LIT("5.1.1")),
                     SP_OK);
    open_package(&back, session); /* by another way, after all */
    pass(30 * HOUR);
    ck_assert_uint_eq(words, 2);
    ck_assert_uint_eq(count_events("dsn.sent"), 2);
    end();
}
END_TEST

/* Once a relay has said that it has the report, no stop of the portal and no failing ledger sends it again. */
START_TEST(a_report_is_sent_once_whatever_stops)
{
    struct sp_portal_receipt r;
    char session[128];

    begin();
    wants = SP_JOBS_DEPOSIT_TELL_OPENED;
    r = deposit(1);
    wants = 0;
    words = 0;
    repeated = 0;
    queue_rc = SP_E_ROLE_GONE;
    open_package(&r, session);
    act_rc = SP_E_ROLE_GONE; /* the ledger is away */
    pass(1000);
    ck_assert_uint_eq(words, 1); /* tried, not taken */
    ck_assert_uint_eq(repeated, 0);
    queue_rc = SP_OK;
    pass(61000);
    ck_assert_uint_eq(words, 2);
    ck_assert_uint_eq(repeated, 1); /* for all that is known here it may have been */
    pass(5 * 60000);
    ck_assert_uint_eq(words, 2);
    close_portal();
    open_portal();
    dial();
    sp_buf_reset(&events);
    act_rc = SP_OK;
    pass(61000);
    ck_assert_uint_eq(words, 2);
    ck_assert_uint_eq(count_events("\"event\":\"dsn.sent\""), 1);
    close_portal();
    open_portal();
    dial();
    pass(30 * HOUR);
    ck_assert_uint_eq(words, 2);
    ck_assert_uint_eq(count_events("dsn.sent"), 1);
    end();
}
END_TEST

/* Nobody knows whether a relay has what it was asked for when the portal stopped: it says so when it asks again. */
START_TEST(what_was_asked_before_a_stop_is_asked_again_as_such)
{
    struct sp_portal_receipt r;
    char session[128];

    begin();
    wants = SP_JOBS_DEPOSIT_TELL_OPENED;
    r = deposit(1);
    wants = 0;
    words = 0;
    repeated = 0;
    is_mute = true;
    open_package(&r, session);
    pass(1000);
    ck_assert_uint_eq(words, 1);
    ck_assert_uint_eq(repeated, 0);
    close_portal();
    is_mute = false;
    open_portal();
    dial();
    pass(1000);
    ck_assert_uint_eq(words, 2);
    ck_assert_uint_eq(repeated, 1);
    ck_assert_uint_eq(count_events("\"event\":\"dsn.sent\""), 1);
    end();
}
END_TEST

START_TEST(a_reminder_that_fails_keeps_no_other)
{
    uint8_t longer[SP_COMPOSE_DISPLAY_MAX + 1];

    begin();
    owes = true;
    memset(longer, 'n', sizeof(longer));
    display = sp_bytes(longer, sizeof(longer)); /* no reminder can be made with it */
    (void)deposit(1);
    display = SP_LIT("Clinic");
    (void)deposit(2);
    (void)deposit(3);
    owes = false;
    mail_count = 0;
    queue_rc = SP_E_ROLE_GONE; /* until it is there again: each is tried, none waits for another */
    pass(3 * HOUR + 1000);
    ck_assert_int_eq(mail_count, 2);
    ck_assert_uint_eq(count_events("portal.reminded"), 0);
    queue_rc = SP_OK;
    pass(2 * 60000);
    ck_assert_int_eq(mail_count, 4);
    ck_assert_uint_eq(count_events("portal.reminded"), 2);
    queue_rc = SP_E_MALFORMED; /* for good */
    pass(3 * HOUR);
    ck_assert_int_eq(mail_count, 6);
    queue_rc = SP_OK;
    pass(2 * 60000);
    ck_assert_int_eq(mail_count, 6);
    pass(6 * HOUR); /* the words to the senders are theirs still */
    ck_assert_int_eq(mail_count, 9);
    end();
}
END_TEST

START_TEST(what_has_expired_is_destroyed_and_said_so)
{
    static const char notice[] = "What 42 CFR Part 2 says of this record";
    struct sp_portal_receipt read, unread;
    struct sp_buf key;
    char session[128], cookie[128];

    begin();
    beside = notice;
    read = deposit(1);
    unread = deposit(2);
    beside = "";
    ck_assert(disk_has(sp_bytes_cstr(notice)));
    take_key(unread.package, &key);
    ck_assert(disk_has(sp_buf_bytes(&key)));
    open_package(&read, session);
    fake_clock_advance(&fake, 23 * HOUR + 50 * 60000);
    open_package(&read, session);
    fake_clock_advance(&fake, 10 * 60000);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&read, ""), session, NULL)), 410);
    ck_assert_int_eq(ask_code(token_of(&read), cookie), 410);
    sp_buf_reset(&events);
    sp_portal_sweep(portal);
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert_uint_eq(count_events("\"event\":\"portal.expired-unread\""), 1);
    ck_assert_uint_eq(count_events("\"event\":\"content.destroyed\""), 2);
    ck_assert_uint_eq(count_events(unread.package), 2);
    ck_assert_uint_eq(count_events("\"copies_left\":[]"), 2);
    ck_assert_uint_eq(count_files(), 0);
    sp_portal_sweep(portal); /* once is enough */
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert_uint_eq(count_events("content.destroyed"), 2);
    ck_assert_int_eq(ask_code(token_of(&unread), cookie), 410);
    ck_assert(disk_has(sp_bytes_cstr(unread.package))); /* the row is kept, its key is not: */
    ck_assert(!disk_has(sp_buf_bytes(&key)));
    ck_assert(!disk_has(sp_bytes_cstr(notice))); /* nor what it said of the message */
    sp_buf_clear(&key);
    {
        struct sp_portal_receipt again;

        ck_assert_int_eq(deposit_text(sp_bytes_cstr(letter), 2, "pat@example.net", &again),
                         SP_E_PORTAL_EXPIRED);
    }
    end();
}
END_TEST

static int64_t steady_ms(void *ctx)
{
    static const int64_t born_wall_ms = 1795348800000, born_mono_ms = 1000000; /* fake_clock_init */

    return born_wall_ms + ((struct fake_clock *)ctx)->mono_ms - born_mono_ms;
}

START_TEST(a_clock_that_was_set_ahead_destroys_nothing)
{
    static const int64_t month_ms = 30 * 24 * HOUR;
    struct sp_portal_receipt r, again;
    char session[128];

    begin();
    fake.clock.steady_ms = steady_ms;
    owes = true;
    wants = SP_JOBS_DEPOSIT_TELL_UNOPENED;
    r = deposit(1);
    owes = false;
    wants = 0;
    words = 0;
    sp_buf_reset(&events);
    mail_count = 0;
    fake.wall_ms += month_ms;
    pass(HOUR);
    ck_assert_int_eq(mail_count, 0); /* nobody is told of a time that has not come */
    ck_assert_uint_eq(events.len, 0);
    ck_assert_int_eq(deposit_text(sp_bytes_cstr(letter), 1, "pat@example.net", &again), SP_OK);
    ck_assert_str_eq(again.package, r.package);
    fake.wall_ms -= month_ms;
    pass(1000);
    ck_assert_uint_eq(count_files(), 1);
    open_package(&r, session);
    fake.wall_ms -= HOUR; /* and one that was set back waits with the clock */
    pass(0);
    ck_assert_uint_eq(count_files(), 1);
    end();
}
END_TEST

START_TEST(a_clock_that_stays_ahead_is_believed_a_day_later)
{
    begin();
    fake.clock.steady_ms = steady_ms;
    life_ms = 72 * HOUR;
    deposit(1);
    life_ms = 24 * HOUR;
    fake.wall_ms += 20 * 24 * HOUR;
    pass(HOUR);
    fake.wall_ms += 20 * 24 * HOUR; /* set once more: another day */
    pass(0);
    pass(23 * HOUR + 59 * 60000);
    ck_assert_uint_eq(count_files(), 1);
    pass(60000);
    ck_assert_uint_eq(count_files(), 0);
    ck_assert_uint_eq(count_events("portal.expired-unread"), 1);
    end();
}
END_TEST

START_TEST(a_machine_that_sleeps_each_day_is_believed_too)
{
    begin();
    fake.clock.steady_ms = steady_ms;
    life_ms = 96 * HOUR;
    deposit(1);
    life_ms = 24 * HOUR;
    for (int day = 0; day < 4; day++) { /* 12 hours each of which no clock but the wall's knows */
        fake.wall_ms += 12 * HOUR;
        pass(0);
        pass(12 * HOUR);
        ck_assert_uint_eq(count_files(), 1);
    }
    for (int day = 0; day < 2; day++) { /* two days behind at most, of 12 waking hours each */
        fake.wall_ms += 12 * HOUR;
        pass(0);
        pass(12 * HOUR);
    }
    ck_assert_uint_eq(count_files(), 0);
    end();
}
END_TEST

START_TEST(a_destruction_is_told_until_the_ledger_has_it)
{
    begin();
    deposit(1);
    fake_clock_advance(&fake, 25 * HOUR);
    act_rc = SP_E_ROLE_GONE;
    sp_portal_sweep(portal);
    for (int i = 0; i < 10; i++)
        turn();
    ck_assert_uint_eq(count_events("content.destroyed"), 0);
    act_rc = SP_OK;
    close_portal();
    open_portal();
    dial();
    sp_portal_sweep(portal);
    for (int i = 0; i < 10; i++)
        turn();
    ck_assert_uint_eq(count_events("content.destroyed"), 1);
    end();
}
END_TEST

START_TEST(files_without_a_row_go_at_start)
{
    char name[128];
    int fd;

    begin();
    deposit(1);
    close_portal();
    snprintf(name, sizeof(name), "%s/packages/pkg-LEFTOVER", dir);
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_uint_eq(count_files(), 2);
    open_portal();
    dial();
    ck_assert_uint_eq(count_files(), 1);
    end();
}
END_TEST

START_TEST(what_cannot_be_looked_into_can_be_downloaded)
{
    struct sp_bytes odd = SP_LIT("Content-Type: multipart/mixed\r\n\r\nx\r\n");
    struct sp_portal_receipt r;
    char session[128];
    struct sp_bytes a;

    begin();
    ck_assert_int_eq(deposit_text(odd, 3, "pat@example.net", &r), SP_OK);
    open_package(&r, session);
    a = ask("GET", path_of(&r, ""), session, NULL);
    ck_assert(web_client_status(a) == 200 && web_client_has(a, "structure is unusual"));
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, "/html"), session, NULL)), 404);
    a = ask("POST", path_of(&r, "/original"), session, "");
    ck_assert(sp_bytes_eq(web_client_body(a), odd));
    end();
}
END_TEST

START_TEST(mail_with_a_code_says_nothing_else)
{
    struct sp_portal_receipt r;
    char cookie[128];
    struct sp_bytes m;

    begin();
    r = deposit(1);
    ask_code(token_of(&r), cookie);
    m = sp_buf_bytes(&mails);
    ck_assert(web_client_has(m, "To: <pat@example.net>\r\n"));
    ck_assert(web_client_has(m, "Auto-Submitted: auto-generated\r\n"));
    ck_assert(!web_client_has(m, "hospital") && !web_client_has(m, "results"));
    ck_assert(!web_client_has(m, token_of(&r)) && !web_client_has(m, r.package));
    for (size_t i = 0; i < m.len; i++)
        ck_assert(m.ptr[i] != '\n' || (i > 0 && m.ptr[i - 1] == '\r'));
    end();
}
END_TEST

START_TEST(a_recipient_chooses_how_mail_comes)
{
    struct sp_portal_receipt r;
    char session[128];
    struct sp_bytes a;

    begin();
    wish = (struct sp_portal_wish){SP_PORTAL_CHOICE_NONE, 0};
    r = deposit(1);
    a = ask("GET", path_of(&r, "/choice"), NULL, NULL); /* not without the log-in */
    ck_assert_int_eq(web_client_status(a), 403);
    a = ask("POST", path_of(&r, "/choice"), NULL, "choice=tls");
    ck_assert_int_eq(web_client_status(a), 403);
    open_package(&r, session);
    a = ask("GET", path_of(&r, ""), session, NULL);
    ck_assert(web_client_has(a, "/choice\">Choose"));
    a = ask("GET", path_of(&r, "/choice"), session, NULL);
    ck_assert_int_eq(web_client_status(a), 200);
    ck_assert(web_client_has(a, "pat@example.net") && web_client_has(a, "chosen nothing"));
    ck_assert_uint_eq(count_events("preference.changed"), 0); /* looking changes nothing */
    a = ask("POST", path_of(&r, "/choice"), session, "choice=tls");
    ck_assert_int_eq(web_client_status(a), 303);
    ck_assert_uint_eq(
        count_events("\"event\":\"preference.changed\",\"tenant\":\"hospital\",\"recipient\":"
                     "\"pat@example.net\",\"source\":\"recipient\",\"change\":\"set\",\"entry\":"
                     "{\"preference\":\"tls\",\"given\":"),
        1);
    ck_assert_uint_eq(count_events("\"actor\":{\"type\":\"recipient\",\"id\":\"pat@example.net\","
                                   "\"auth\":\"code\""),
                      2); /* the opening, and this */
    wish = (struct sp_portal_wish){SP_PORTAL_CHOICE_TLS, fake.wall_ms + 24 * HOUR};
    a = ask("GET", path_of(&r, "/choice"), session, NULL);
    ck_assert(web_client_has(a, "value=\"tls\" checked") && web_client_has(a, "It holds until"));
    a = ask("POST", path_of(&r, "/choice"), session, "choice=none");
    ck_assert_int_eq(web_client_status(a), 303);
    ck_assert_uint_eq(count_events("\"change\":\"removed\",\"package\""), 1);
    ck_assert_int_eq(mail_count, 1); /* the code, and no more */
    end();
}
END_TEST

START_TEST(only_what_is_on_record_is_chosen)
{
    static const char *const wrong[] = {"choice=plain", "choice=no-mail", "choice=", "x=tls",
                                        "choice=tls&choice=portal"};
    struct sp_portal_receipt r;
    char session[128];
    int limited = 0;

    begin();
    r = deposit(1);
    open_package(&r, session);
    for (size_t i = 0; i < SP_ARRAY_LEN(wrong); i++) {
        struct sp_bytes a = ask("POST", path_of(&r, "/choice"), session, wrong[i]);

        ck_assert_msg(web_client_status(a) == 400, "%s", wrong[i]);
    }
    ck_assert_uint_eq(count_events("preference.changed"), 0);
    act_rc = SP_E_STORE_FAILED; /* the ledger could not write it down, nor say what it knows */
    ck_assert_int_eq(
        web_client_status(ask("POST", path_of(&r, "/choice"), session, "choice=portal")), 503);
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, "/choice"), session, NULL)), 503);
    act_rc = SP_OK;
    for (int i = 0; i < 25; i++)
        limited +=
            web_client_status(ask("POST", path_of(&r, "/choice"), session, "choice=portal")) == 429;
    ck_assert_int_eq(limited, 25 - 19);
    end();
}
END_TEST

START_TEST(a_house_may_offer_no_choice)
{
    struct sp_portal_receipt r;
    char session[128];

    choice_ms = 0;
    begin();
    r = deposit(1);
    open_package(&r, session);
    ck_assert(!web_client_has(ask("GET", path_of(&r, ""), session, NULL), "/choice"));
    ck_assert_int_eq(web_client_status(ask("GET", path_of(&r, "/choice"), session, NULL)), 404);
    ck_assert_int_eq(
        web_client_status(ask("POST", path_of(&r, "/choice"), session, "choice=portal")), 404);
    ck_assert_uint_eq(count_events("preference.changed"), 0);
    end();
    choice_ms = 365 * 24 * HOUR;
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_deposit_repeated_is_the_same_package);
    tcase_add_test(c, link_and_code_open_the_message);
    tcase_add_test(c, downloads_are_recorded_and_exact);
    tcase_add_test(c, get_and_head_change_nothing);
    tcase_add_test(c, reading_again_is_recorded_first);
    tcase_add_test(c, who_is_turned_away_is_recorded_and_does_not_flood);
    tcase_add_test(c, a_scanner_neither_opens_nor_burns);
    tcase_add_test(c, a_code_is_good_for_five_tries_one_use_and_a_while);
    tcase_add_test(c, a_code_entered_twice_at_once_opens_once);
    tcase_add_test(c, a_code_that_cannot_be_ended_opens_nothing);
    tcase_add_test(c, a_code_is_of_no_use_in_another_browser);
    tcase_add_test(c, limits_outlive_a_restart);
    tcase_add_test(c, an_unknown_token_looks_like_a_known_one);
    tcase_add_test(c, a_whole_link_may_be_pasted);
    tcase_add_test(c, no_record_no_access);
    tcase_add_test(c, a_session_is_for_one_package_and_a_while);
    tcase_add_test(c, other_sites_may_not_post);
    tcase_add_test(c, who_has_not_opened_is_reminded_and_then_the_sender_hears);
    tcase_add_test(c, a_reminder_that_fails_keeps_no_other);
    tcase_add_test(c, who_asked_hears_of_the_first_opening);
    tcase_add_test(c, who_asked_hears_that_nobody_opened_it);
    tcase_add_test(c, who_asked_hears_that_a_notice_came_back_later);
    tcase_add_test(c, a_report_is_sent_once_whatever_stops);
    tcase_add_test(c, what_was_asked_before_a_stop_is_asked_again_as_such);
    tcase_add_test(c, what_has_expired_is_destroyed_and_said_so);
    tcase_add_test(c, a_clock_that_was_set_ahead_destroys_nothing);
    tcase_add_test(c, a_clock_that_stays_ahead_is_believed_a_day_later);
    tcase_add_test(c, a_machine_that_sleeps_each_day_is_believed_too);
    tcase_add_test(c, a_destruction_is_told_until_the_ledger_has_it);
    tcase_add_test(c, files_without_a_row_go_at_start);
    tcase_add_test(c, what_cannot_be_looked_into_can_be_downloaded);
    tcase_add_test(c, mail_with_a_code_says_nothing_else);
    tcase_add_test(c, a_recipient_chooses_how_mail_comes);
    tcase_add_test(c, only_what_is_on_record_is_chosen);
    tcase_add_test(c, a_house_may_offer_no_choice);
}

SP_TEST_MAIN("portal.portal", add)
