/*
 * Runs every script of test/scripts whose machine is the client, in the three ways of cutting. The driver sends what
 * "D: send" names ("from=<a> to=<b,c> size=N 8bit ret=hdrs envid=X body=..."; \n in the body is CRLF), answers STARTTLS by "D:
 * handshake", and hands the body on as soon as it is asked for unless the settings say "slow" ("D: body" then).
 */
#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "smtp/client.h"
#include "smtp/stuff.h"
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "support/peer_script.h"

#include "base/buf.h"
#include "base/mem.h"

struct story {
    struct fake_clock clock;
    struct sp_smtp_client_config config;
    struct sp_smtp_client *client;
    struct sp_buf input;
    struct sp_buf said;
    struct sp_buf events;
    struct sp_buf body;
    bool slow;
};

static bool has_word(struct sp_bytes text, const char *word)
{
    return sp_bytes_find_all(text, sp_bytes_cstr(word)) != SIZE_MAX;
}

/* returns: the text behind "name=" up to the next space, empty if there is none */
static struct sp_bytes value_of(struct sp_bytes text, const char *name)
{
    size_t at = sp_bytes_find_all(text, sp_bytes_cstr(name));
    struct sp_bytes rest, word = {NULL, 0};

    if (at == SIZE_MAX)
        return word;
    rest = sp_bytes_slice(text, at + strlen(name), text.len);
    sp_bytes_split(&rest, ' ', &word);
    return word;
}

static void *start(struct sp_bytes settings)
{
    struct story *st = sp_calloc(1, sizeof(*st));

    fake_clock_init(&st->clock, 0);
    st->config = (struct sp_smtp_client_config){
        .hostname = "gw.example",
        .clock = &st->clock.clock,
        .tls = has_word(settings, "required")  ? SP_SMTP_TLS_REQUIRED
               : has_word(settings, "offered") ? SP_SMTP_TLS_OFFERED
                                               : SP_SMTP_TLS_NEVER,
        .tls_active = has_word(settings, "implicit"),
        .command_ms = has_word(settings, "hasty") ? 20000 : 0,
    };
    st->slow = has_word(settings, "slow");
    st->client = sp_smtp_client_new(&st->config);
    sp_buf_init(&st->input, 1 << 22);
    sp_buf_init(&st->said, 1 << 22);
    sp_buf_init(&st->events, 1 << 22);
    sp_buf_init(&st->body, 1 << 22);
    return st;
}

static void stop(void *m)
{
    struct story *st = m;

    sp_smtp_client_free(st->client);
    sp_buf_clear(&st->input);
    sp_buf_clear(&st->said);
    sp_buf_clear(&st->events);
    sp_buf_clear(&st->body);
    sp_free(st);
}

static void take_output(struct story *st)
{
    struct sp_bytes out = sp_smtp_client_output(st->client);

    sp_buf_put(&st->said, out);
    sp_smtp_client_sent(st->client, out.len);
}

static void send_body(struct story *st)
{
    struct sp_smtp_stuff stuff = SP_SMTP_STUFF_INIT;
    struct sp_bytes in = sp_buf_bytes(&st->body), slice;
    bool at_line_start = false;

    take_output(st);
    do {
        if (sp_smtp_stuff_next(&stuff, &in, &slice) != SP_OK) {
            sp_smtp_client_body_abort(st->client);
            return;
        }
        sp_buf_put(&st->said, slice);
    } while (slice.len > 0);
    if (sp_smtp_stuff_end(&stuff, &at_line_start) != SP_OK)
        sp_smtp_client_body_abort(st->client);
    else
        sp_smtp_client_body_end(st->client, at_line_start);
}

static void log_result(struct story *st, const struct sp_smtp_result *result)
{
    static const char *const names[] = {"unsent", "accepted", "deferred", "refused", "unsure"};

    sp_buf_put_cstr(&st->events, "result");
    for (size_t i = 0; i < result->count; i++) {
        const struct sp_smtp_rcpt_result *r = &result->rcpts[i];

        sp_buf_printf(&st->events, " %s:%d:%u.%u.%u", names[r->state], r->reply.code,
                      r->reply.status.class, r->reply.status.subject, r->reply.status.detail);
    }
}

static void on_event(struct story *st, const struct sp_smtp_client_event *ev)
{
    switch (ev->type) {
    case SP_SMTP_CLIENT_STARTTLS:
        sp_buf_put_cstr(&st->events, "starttls");
        break;
    case SP_SMTP_CLIENT_READY:
        sp_buf_printf(&st->events, "ready %u %llu", sp_smtp_client_extensions(st->client),
                      (unsigned long long)sp_smtp_client_size_limit(st->client));
        break;
    case SP_SMTP_CLIENT_DATA:
        sp_buf_put_cstr(&st->events, "data");
        if (!st->slow)
            send_body(st);
        break;
    case SP_SMTP_CLIENT_RESULT:
        log_result(st, &ev->result);
        break;
    case SP_SMTP_CLIENT_FAILED:
        sp_buf_printf(&st->events, "failed %s %d", sp_rc_name(ev->rc), ev->reply.code);
        break;
    case SP_SMTP_CLIENT_CLOSED:
        sp_buf_put_cstr(&st->events, "closed");
        break;
    }
    sp_buf_put_u8(&st->events, '\n');
}

static void turn(struct story *st)
{
    struct sp_bytes input = sp_buf_bytes(&st->input);
    struct sp_smtp_client_event ev;

    while (sp_smtp_client_next(st->client, &input, &ev))
        on_event(st, &ev);
    sp_buf_drop(&st->input, st->input.len - input.len);
    take_output(st);
}

static void feed(void *m, struct sp_bytes bytes)
{
    struct story *st = m;

    sp_buf_put(&st->input, bytes);
    turn(st);
}

static bool said(void *m, struct sp_buf *line)
{
    struct story *st = m;
    size_t end;

    turn(st);
    end = sp_bytes_find_all(sp_buf_bytes(&st->said), SP_LIT("\r\n"));
    if (end == SIZE_MAX)
        return false;
    sp_buf_put(line, sp_bytes_slice(sp_buf_bytes(&st->said), 0, end));
    sp_buf_drop(&st->said, end + 2);
    return true;
}

static void put_body(struct story *st, struct sp_bytes text)
{
    sp_buf_reset(&st->body);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < text.len && text.ptr[i + 1] == 'n') {
            sp_buf_put_cstr(&st->body, "\r\n");
            i++;
        } else if (text.ptr[i] == '\\' && i + 1 < text.len && text.ptr[i + 1] == 'l') {
            sp_buf_put_cstr(&st->body, "\n");
            i++;
        } else {
            sp_buf_put_u8(&st->body, text.ptr[i]);
        }
    }
}

static void send_mail(struct story *st, struct sp_bytes what)
{
    struct sp_smtp_mail_rcpt rcpts[8];
    struct sp_smtp_mail mail = {.rcpts = rcpts, .from = value_of(what, "from=")};
    struct sp_bytes list = value_of(what, "to="), size = value_of(what, "size="), one;
    size_t body = sp_bytes_find_all(what, SP_LIT("body="));
    enum sp_rc rc;

    while (sp_bytes_split(&list, ',', &one)) {
        rcpts[mail.count] = (struct sp_smtp_mail_rcpt){.address = one};
        if (has_word(what, "notify"))
            rcpts[mail.count].params.notify = SP_NOTIFY_SUCCESS | SP_NOTIFY_FAILURE;
        rcpts[mail.count++].params.orcpt = value_of(what, "orcpt=");
    }
    if (size.len > 0)
        mail.params.has_size = sp_bytes_to_u64(size, &mail.params.size);
    mail.params.body = has_word(what, "8bit") ? SP_BODY_8BITMIME : SP_BODY_7BIT;
    mail.params.ret = has_word(what, "ret=hdrs") ? SP_RET_HDRS : SP_RET_NONE;
    mail.params.envid = value_of(what, "envid=");
    mail.params.smtputf8 = has_word(what, "smtputf8");
    put_body(st, body == SIZE_MAX ? SP_LIT("x\\n") : sp_bytes_slice(what, body + 5, what.len));
    rc = sp_smtp_client_send(st->client, &mail);
    sp_buf_printf(&st->events, "sent %s\n", sp_rc_name(rc));
}

static void act(void *m, struct sp_bytes what)
{
    struct story *st = m;

    if (sp_bytes_starts_nocase(what, SP_LIT("send ")))
        send_mail(st, what);
    else if (sp_bytes_eq(what, SP_LIT("body")))
        send_body(st);
    else if (sp_bytes_eq(what, SP_LIT("handshake")))
        sp_smtp_client_tls_done(st->client);
    else if (sp_bytes_eq(what, SP_LIT("quit")))
        sp_smtp_client_quit(st->client);
    else if (sp_bytes_eq(what, SP_LIT("lost")))
        sp_smtp_client_lost(st->client, SP_OK);
    else
        ck_abort_msg("unknown act");
    turn(st);
}

static void pass(void *m, int64_t ms)
{
    struct story *st = m;

    fake_clock_advance(&st->clock, ms);
    if (sp_smtp_client_check_time(st->client))
        turn(st);
}

static struct sp_bytes events(void *m)
{
    return sp_buf_bytes(&((struct story *)m)->events);
}

static const struct peer_ops ops = {start, stop, feed, said, act, pass, events};

static void run_all(enum peer_cut cut, uint64_t seed)
{
    DIR *dir = opendir(SP_SOURCE_DIR "/test/scripts");
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[1024], failure[1024];
        size_t len = strlen(entry->d_name);

        if (len < 6 || strcmp(entry->d_name + len - 5, ".peer") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/test/scripts/%s", SP_SOURCE_DIR, entry->d_name);
        if (peer_script_kind(path) != 'c')
            continue;
        count++;
        if (!peer_script_run(path, &ops, cut, seed, failure))
            ck_abort_msg("seed %llu: %s", (unsigned long long)seed, failure);
    }
    closedir(dir);
    ck_assert_uint_gt(count, 0);
}

START_TEST(stories_told_whole)
{
    run_all(PEER_WHOLE, 0);
}
END_TEST

START_TEST(stories_told_byte_by_byte)
{
    run_all(PEER_BYTES, 0);
}
END_TEST

START_TEST(stories_cut_at_random)
{
    const char *given = getenv("SP_PEER_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < 20; i++)
        run_all(PEER_RANDOM, seed + i);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, stories_told_whole);
    tcase_add_test(c, stories_told_byte_by_byte);
    tcase_add_test(c, stories_cut_at_random);
}

SP_TEST_MAIN("smtp.client-scripts", add)
