/*
 * A knock at the gateway's own door, as a provider would: STARTTLS, the certificate as a provider looks at it (chain to the
 * system's trust, our name, not about to end), and then, without any proof, MAIL in the tenant's name, which must be
 * refused. A step is a line and the replies that may follow; nothing is ever sent on.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdio.h>

#include "io/stream.h"
#include "tls/tls.h"

#define CONNECT_MS 10000
#define REPLY_MS   15000
#define LINE_MAX_  1024
#define SOON_MS    ((int64_t)14 * 24 * 3600 * 1000)

enum step { GREETING, EHLO, STARTTLS, HANDSHAKE, EHLO_AGAIN, MAIL, QUIT, OVER };

struct knock {
    struct findings *f;
    const struct sp_tenant *tenant;
    const char *address;
    struct sp_stream *stream;
    struct sp_timer *patience;
    struct sp_tls_context *tls;
    enum step step;
};

static void end(struct knock *k)
{
    k->step = OVER;
    sp_timer_cancel(k->patience);
    sp_loop_stop(k->f->cli->loop);
}

static void fail(struct knock *k, const char *why)
{
    find(k->f, FINDING_WRONG, "door", "the door at %s: %s", k->address, why);
    end(k);
}

static void on_late(void *arg)
{
    fail(arg, "does not answer in time");
}

/* Sends a line: the verb, what follows it, and its end. */
static void say(struct knock *k, enum step step, const char *verb, const char *value)
{
    struct sp_buf line;

    k->step = step;
    sp_timer_start(k->patience, REPLY_MS);
    sp_buf_init(&line, LINE_MAX_);
    sp_buf_put_cstr(&line, verb);
    sp_buf_put_cstr(&line, value);
    sp_buf_put_cstr(&line, step == MAIL ? ">\r\n" : "\r\n");
    sp_stream_write(k->stream, sp_buf_bytes(&line));
    sp_buf_clear(&line);
}

/* ---- TLS ---- */

static void judge(struct knock *k, const struct sp_tls_proof *p)
{
    const char *hostname = k->f->cli->settings->hostname;
    int64_t left = p->not_after_ms - sp_clock_wall_ms(sp_loop_clock(k->f->cli->loop));

    if (p->chain != SP_OK)
        find(k->f, FINDING_WRONG, "door.certificate",
             "the certificate at %s is %s: a provider that checks it won't come", k->address,
             sp_rc_name(p->chain));
    else if (!p->name_ok)
        find(k->f, FINDING_WRONG, "door.certificate", "the certificate at %s is not for %s",
             k->address, hostname);
    else if (left < SOON_MS)
        find(k->f, FINDING_WRONG, "door.certificate", "the certificate of %s ends in %lld days",
             hostname, (long long)(left / (24 * 3600 * 1000)));
    else
        find(k->f, FINDING_OK, "door.certificate",
             "STARTTLS at %s: %s, a certificate for %s, good for %lld days", k->address, p->version,
             hostname, (long long)(left / (24 * 3600 * 1000)));
}

static void on_tls(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    struct knock *k = arg;

    if (rc != SP_OK) {
        fail(k, "the TLS handshake fails");
        return;
    }
    judge(k, proof);
    say(k, EHLO_AGAIN, "EHLO ", SP_TENANT_KNOCK);
}

static void start_tls(struct knock *k)
{
    struct sp_bytes name = sp_bytes_cstr(k->f->cli->settings->hostname);
    struct sp_tls_params params = {
        .timeout_ms = REPLY_MS, .server_name = name, .names = &name, .name_count = 1};

    k->step = HANDSHAKE;
    sp_timer_cancel(k->patience);
    sp_tls_start(k->stream, k->tls, &params, on_tls, k);
}

/* ---- replies ---- */

/* The code of a whole reply at the beginning of the input; 0: more is to come. */
static int take_reply(struct knock *k)
{
    struct sp_bytes in = sp_stream_input(k->stream), rest = in, line;
    uint64_t code = 0;

    while (sp_bytes_find(rest, '\n') != SIZE_MAX && sp_bytes_split(&rest, '\n', &line)) {
        if (line.len < 4 || line.ptr[3] == '-')
            continue;
        if (!sp_bytes_to_u64(sp_bytes_slice(line, 0, 3), &code))
            code = 1; /* no reply at all */
        sp_stream_consume(k->stream, in.len - rest.len);
        return (int)code;
    }
    return 0;
}

static void on_mail_reply(struct knock *k, int code)
{
    if (code >= 500)
        find(k->f, FINDING_OK, "door.closed", "a stranger who sends as %s is refused (%d)",
             k->tenant->domains.items[0], code);
    else
        find(k->f, FINDING_WRONG, "door.closed",
             "mail as %s is taken from this machine without any proof (%d): is plain_ok set?",
             k->tenant->domains.items[0], code);
    say(k, QUIT, "QUIT", "");
}

static void on_reply(struct knock *k, int code)
{
    if (k->step == GREETING && code == 220)
        say(k, EHLO, "EHLO ", SP_TENANT_KNOCK);
    else if (k->step == EHLO && code == 250)
        say(k, STARTTLS, "STARTTLS", "");
    else if (k->step == STARTTLS && code == 220)
        start_tls(k);
    else if (k->step == EHLO_AGAIN && code == 250)
        say(k, MAIL, "MAIL FROM:<postmaster@", k->tenant->domains.items[0]);
    else if (k->step == MAIL)
        on_mail_reply(k, code);
    else if (k->step == QUIT)
        end(k);
    else
        fail(k, k->step == STARTTLS ? "offers no STARTTLS" : "is not in a state to take mail");
}

static void on_input(void *arg)
{
    struct knock *k = arg;
    int code;

    while (k->step != OVER && k->step != HANDSHAKE && (code = take_reply(k)) != 0)
        on_reply(k, code);
}

static void on_connected(void *arg, enum sp_rc rc)
{
    if (rc != SP_OK)
        fail(arg, "nobody listens there");
}

static void on_closed(void *arg, enum sp_rc why)
{
    struct knock *k = arg;

    (void)why;
    if (k->step == QUIT || k->step == OVER)
        end(k);
    else
        fail(k, "hangs up");
}

/* ---- where ---- */

/* An address that stands for every one of this machine's, as it is reached from here. */
static const char *from_here(struct cli *cli, const char *address)
{
    static const struct {
        const char *any, *here;
    } hosts[] = {{"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}};

    for (size_t i = 0; i < SP_ARRAY_LEN(hosts); i++) {
        struct sp_bytes any = sp_bytes_cstr(hosts[i].any);
        struct sp_buf b;

        if (!sp_bytes_starts_nocase(sp_bytes_cstr(address), any))
            continue;
        sp_buf_init(&b, 64);
        sp_buf_printf(&b, "%s%s", hosts[i].here, address + any.len);
        address = sp_arena_cstr(cli->arena, sp_buf_bytes(&b));
        sp_buf_clear(&b);
        break;
    }
    return address;
}

/* The first listener with STARTTLS that takes mail without AUTH. returns: NULL if there is none */
static const char *find_door(struct cli *cli)
{
    if (cli->door != NULL)
        return cli->door;
    for (size_t i = 0; i < cli->settings->listen_count; i++) {
        const struct sp_config_listen *l = &cli->settings->listen[i];

        if (l->tls == SP_LISTEN_STARTTLS && l->auth != SP_LISTEN_AUTH_REQUIRED)
            return from_here(cli, l->address);
    }
    return NULL;
}

static const struct sp_stream_events events = {
    .on_connected = on_connected, .on_input = on_input, .on_closed = on_closed};

static void run(struct knock *k, const struct sp_addr *to)
{
    struct cli *cli = k->f->cli;

    k->patience = sp_timer_new(cli->loop, on_late, k);
    sp_timer_start(k->patience, CONNECT_MS);
    k->stream = sp_stream_connect(cli->loop, to, NULL, CONNECT_MS, &events, k);
    sp_loop_run(cli->loop);
    sp_stream_free(k->stream);
    sp_timer_free(k->patience);
}

void check_door(struct findings *f, const struct sp_tenant *t)
{
    struct sp_tls_client_config trust = {.system_trust = true};
    struct knock k = {.f = f, .tenant = t, .address = find_door(f->cli)};
    struct sp_err err = {0};
    struct sp_addr to;

    if (k.address == NULL) {
        find(f, FINDING_WRONG, "door", "no listener has \"tls\": \"starttls\": providers need it");
        return;
    }
    if (!sp_addr_parse(sp_bytes_cstr(k.address), &to)) {
        find(f, FINDING_WRONG, "door", "%s is no address to knock at", k.address);
        return;
    }
    k.tls = sp_tls_client_new(&trust, &err);
    if (k.tls == NULL)
        find(f, FINDING_WRONG, "door", "TLS can't be tried: %s", err.text);
    else
        run(&k, &to);
    sp_tls_context_unref(k.tls);
}
