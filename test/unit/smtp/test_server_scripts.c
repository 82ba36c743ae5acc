/*
 * Runs every script of test/scripts whose machine is the server: whole, byte by byte, and cut at random with a seed that is
 * printed on failure (SP_PEER_SEED repeats it). The driver of these stories takes whatever does not ask for trouble: a
 * recipient "refuse@" is refused by policy (with "nodata" every message at DATA), "later@" deferred, a message with "refuse me" in it refused at the end, the
 * password is "secret".
 */
#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "smtp/server.h"
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "support/peer_script.h"

#include "base/buf.h"
#include "base/mem.h"

struct story {
    struct fake_clock clock;
    struct sp_smtp_server_config config;
    struct sp_smtp_server *server;
    struct sp_buf input;
    struct sp_buf said;
    struct sp_buf events;
    struct sp_buf message;
    bool normalise;
    bool refuse_data;
};

static bool has_word(struct sp_bytes text, const char *word)
{
    return sp_bytes_find_all(text, sp_bytes_cstr(word)) != SIZE_MAX;
}

/* returns: the number behind "name=" in the settings, or the default */
static uint64_t number(struct sp_bytes text, const char *name, uint64_t otherwise)
{
    size_t at = sp_bytes_find_all(text, sp_bytes_cstr(name));
    struct sp_bytes rest, word;
    uint64_t value;

    if (at == SIZE_MAX)
        return otherwise;
    rest = sp_bytes_slice(text, at + strlen(name), text.len);
    sp_bytes_split(&rest, ' ', &word);
    ck_assert(sp_bytes_to_u64(word, &value));
    return value;
}

static void *start(struct sp_bytes settings)
{
    struct story *st = sp_calloc(1, sizeof(*st));

    fake_clock_init(&st->clock, 0);
    st->config = (struct sp_smtp_server_config){
        .hostname = "gw.example",
        .clock = &st->clock.clock,
        .size_limit = number(settings, "size=", 100000),
        .line_limit = (size_t)number(settings, "line=", 2000),
        .max_recipients = (size_t)number(settings, "recipients=", 100),
        .max_errors = (unsigned)number(settings, "errors=", 20),
        .max_idle = (unsigned)number(settings, "idle=", 100),
        .free_idle = (unsigned)number(settings, "free=", 0),
        .least_rate = number(settings, "rate=", 0),
        .tls_active = has_word(settings, "implicit"),
        .tls_offered = has_word(settings, "tls"),
        .tls_required = has_word(settings, "required"),
        .auth = has_word(settings, "all-mechanisms") ? 15
                : has_word(settings, "oauth")        ? SP_SMTP_AUTH_OAUTH
                : has_word(settings, "auth")         ? SP_SMTP_AUTH_PLAIN
                                                     : 0,
        .auth_required = has_word(settings, "submission"),
    };
    st->normalise = has_word(settings, "normalise");
    st->refuse_data = has_word(settings, "nodata");
    st->server = sp_smtp_server_new(&st->config);
    sp_buf_init(&st->input, 1 << 22);
    sp_buf_init(&st->said, 1 << 22);
    sp_buf_init(&st->events, 1 << 22);
    sp_buf_init(&st->message, 1 << 22);
    return st;
}

static void stop(void *m)
{
    struct story *st = m;

    sp_smtp_server_free(st->server);
    sp_buf_clear(&st->input);
    sp_buf_clear(&st->said);
    sp_buf_clear(&st->events);
    sp_buf_clear(&st->message);
    sp_free(st);
}

static void log_text(struct story *st, struct sp_bytes text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '\r') {
            sp_buf_put_cstr(&st->events, "\\r");
        } else if (c == '\n') {
            sp_buf_put_cstr(&st->events, "\\n");
        } else if (c < 32 || c > 126) {
            sp_buf_put_cstr(&st->events, "\\x");
            sp_buf_put_u8(&st->events, (uint8_t)digits[c >> 4]);
            sp_buf_put_u8(&st->events, (uint8_t)digits[c & 15]);
        } else {
            sp_buf_put_u8(&st->events, c);
        }
    }
}

static void log_path(struct story *st, const char *what, const struct sp_address *a)
{
    sp_buf_put_cstr(&st->events, what);
    sp_buf_put_cstr(&st->events, " <");
    sp_address_format(a, &st->events);
    sp_buf_put_cstr(&st->events, ">");
}

static void log_mail(struct story *st, const struct sp_smtp_server_event *ev)
{
    log_path(st, "mail", &ev->address);
    if (ev->mail.has_size)
        sp_buf_printf(&st->events, " size=%lld", (long long)ev->mail.size);
    if (ev->mail.body == SP_BODY_8BITMIME)
        sp_buf_put_cstr(&st->events, " 8bit");
    if (ev->mail.ret != SP_RET_NONE)
        sp_buf_put_cstr(&st->events, ev->mail.ret == SP_RET_FULL ? " ret=full" : " ret=hdrs");
    if (ev->mail.envid.len > 0)
        sp_buf_printf(&st->events, " envid=%.*s", SP_FMT(ev->mail.envid));
    if (ev->mail.requiretls)
        sp_buf_put_cstr(&st->events, " requiretls");
    if (ev->mail.smtputf8)
        sp_buf_put_cstr(&st->events, " smtputf8");
}

static enum sp_rc on_rcpt(struct story *st, const struct sp_smtp_server_event *ev)
{
    log_path(st, "rcpt", &ev->address);
    if (ev->rcpt.notify != 0)
        sp_buf_printf(&st->events, " notify=%u", ev->rcpt.notify);
    if (ev->rcpt.orcpt.len > 0)
        sp_buf_printf(&st->events, " orcpt=%.*s", SP_FMT(ev->rcpt.orcpt));
    if (sp_bytes_eq(ev->address.local, SP_LIT("refuse")))
        return SP_E_INTAKE_POLICY;
    if (sp_bytes_eq(ev->address.local, SP_LIT("later")))
        return SP_E_INTERNAL;
    return SP_OK;
}

static enum sp_rc on_end(struct story *st, const struct sp_smtp_server_event *ev)
{
    struct sp_bytes message = sp_buf_bytes(&st->message);

    ck_assert_uint_eq(ev->data.size, message.len);
    sp_buf_printf(&st->events, "end %zu %zu %s ", message.len, ev->data.line_max,
                  ev->data.has_8bit ? "8bit" : "7bit");
    log_text(st, message);
    if (sp_bytes_find_all(message, SP_LIT("refuse me")) != SIZE_MAX)
        return SP_E_INTAKE_POLICY;
    return SP_OK;
}

static void answer(struct story *st, enum sp_rc rc)
{
    sp_smtp_server_answer(st->server, rc, sp_bytes(NULL, 0));
}

/* An identity "dr" is believed, SCRAM is "hello", then "proof", and a token is good if it says so. */
static void on_auth(struct story *st, const struct sp_smtp_server_event *ev)
{
    bool ok = sp_bytes_eq(ev->password, SP_LIT("secret"));

    sp_buf_printf(&st->events, "auth %.*s", SP_FMT(ev->user));
    if (ev->mechanism == SP_SMTP_AUTH_EXTERNAL)
        ok = sp_bytes_eq(ev->authzid, SP_LIT("dr"));
    if (ev->mechanism == SP_SMTP_AUTH_SCRAM && ev->is_first) {
        sp_smtp_server_challenge(st->server, ev->text);
        return;
    }
    if (ev->mechanism == SP_SMTP_AUTH_OAUTH)
        ok = ev->is_first && has_word(ev->text, "good");
    if (ev->mechanism == SP_SMTP_AUTH_OAUTH && ev->is_first && !ok) {
        sp_smtp_server_challenge(st->server, SP_LIT("{}"));
        return;
    }
    if (ev->mechanism == SP_SMTP_AUTH_SCRAM)
        ok = sp_bytes_eq(ev->text, SP_LIT("proof"));
    answer(st, ok ? SP_OK : SP_E_SMTP_AUTH_FAILED);
}

static void on_event(struct story *st, const struct sp_smtp_server_event *ev)
{
    switch (ev->type) {
    case SP_SMTP_SERVER_HELLO:
        sp_buf_put_cstr(&st->events, "hello ");
        log_text(st, ev->text);
        break;
    case SP_SMTP_SERVER_STARTTLS:
        sp_buf_put_cstr(&st->events, "starttls");
        break;
    case SP_SMTP_SERVER_AUTH:
        on_auth(st, ev);
        break;
    case SP_SMTP_SERVER_MAIL:
        log_mail(st, ev);
        answer(st, SP_OK);
        break;
    case SP_SMTP_SERVER_RCPT:
        answer(st, on_rcpt(st, ev));
        break;
    case SP_SMTP_SERVER_DATA:
        sp_buf_put_cstr(&st->events, "data");
        sp_buf_reset(&st->message);
        if (st->normalise)
            sp_smtp_server_normalise(st->server);
        answer(st, st->refuse_data ? SP_E_INTAKE_POLICY : SP_OK);
        break;
    case SP_SMTP_SERVER_CHUNK:
        sp_buf_put(&st->message, ev->text);
        return;
    case SP_SMTP_SERVER_END:
        answer(st, on_end(st, ev));
        break;
    case SP_SMTP_SERVER_IDLE:
        sp_buf_put_cstr(&st->events, "idle");
        answer(st, SP_OK);
        break;
    case SP_SMTP_SERVER_RESET:
        sp_buf_put_cstr(&st->events, "reset");
        break;
    case SP_SMTP_SERVER_REFUSED:
        sp_buf_printf(&st->events, "refused %s", sp_rc_name(ev->rc));
        break;
    case SP_SMTP_SERVER_CLOSE:
        sp_buf_printf(&st->events, "close %s", sp_rc_name(ev->rc));
        break;
    }
    sp_buf_put_u8(&st->events, '\n');
}

static void turn(struct story *st)
{
    struct sp_bytes input = sp_buf_bytes(&st->input), out;
    struct sp_smtp_server_event ev;

    while (sp_smtp_server_next(st->server, &input, &ev)) {
        on_event(st, &ev);
    }
    sp_buf_drop(&st->input, st->input.len - input.len);
    out = sp_smtp_server_output(st->server);
    sp_buf_put(&st->said, out);
    sp_smtp_server_sent(st->server, out.len);
}

static void feed(void *m, struct sp_bytes bytes)
{
    struct story *st = m;

    sp_buf_put(&st->input, bytes);
    turn(st);
}

/* Cuts a whole reply off: "250 first|second|last". */
static bool said(void *m, struct sp_buf *line)
{
    struct story *st = m;
    bool last = false, first = true;

    turn(st);
    while (!last && st->said.len >= 5) {
        struct sp_bytes all = sp_buf_bytes(&st->said);
        size_t end = sp_bytes_find_all(all, SP_LIT("\r\n"));

        ck_assert_uint_ne(end, SIZE_MAX);
        last = all.ptr[3] == ' ';
        if (first)
            sp_buf_printf(line, "%.3s ", (const char *)all.ptr);
        else
            sp_buf_put_u8(line, '|');
        sp_buf_put(line, sp_bytes_slice(all, 4, end - 4));
        sp_buf_drop(&st->said, end + 2);
        first = false;
    }
    return !first;
}

static void act(void *m, struct sp_bytes what)
{
    struct story *st = m;

    if (sp_bytes_eq(what, SP_LIT("handshake")))
        sp_smtp_server_tls_done(st->server);
    else if (sp_bytes_eq(what, SP_LIT("shut")))
        sp_smtp_server_shut(st->server, SP_E_SMTP_SHUTDOWN);
    else
        ck_abort_msg("unknown act");
    turn(st);
}

static void pass(void *m, int64_t ms)
{
    struct story *st = m;

    fake_clock_advance(&st->clock, ms);
    if (sp_smtp_server_check_time(st->server))
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
        if (peer_script_kind(path) != 's')
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

SP_TEST_MAIN("smtp.server-scripts", add)
