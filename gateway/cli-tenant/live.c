/*
 * What the running gateway has seen of the tenant: the last mail that proved it, the last that claimed it and failed, and a
 * probe: a message that the administrator sends through the provider, to an address that only this command knows. The
 * gateway looks at every proof of it, relays nothing, and tells here and in its reply which signal was missing.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdio.h>
#include <time.h>

#define TOKEN_LEN 12
#define STEP_MS   500

struct sight {
    int64_t at_ms; /* 0: never */
    struct sp_bytes why, time, ip, token;
    const struct sp_json *required, *failed;
};

/* The latest of what the relays say. */
static struct sight latest(const struct sp_json *result, const char *kind)
{
    const struct sp_json *relays = sp_json_find(result, "relays");
    struct sight out = {0};

    for (const struct sp_json *r = relays == NULL ? NULL : relays->first; r != NULL; r = r->next) {
        const struct sp_json *s = sp_json_find(sp_json_find(r, "says"), kind);
        int64_t at = sp_json_int_of(s, "time_ms", 0);

        if (at > out.at_ms)
            out = (struct sight){.at_ms = at,
                                 .why = sp_json_text_of(s, "why"),
                                 .time = sp_json_text_of(s, "time"),
                                 .ip = sp_json_text_of(s, "ip"),
                                 .token = sp_json_text_of(s, "token"),
                                 .required = sp_json_find(s, "required"),
                                 .failed = sp_json_find(s, "failed")};
    }
    return out;
}

static void join(const struct sp_json *list, struct sp_buf *out)
{
    for (const struct sp_json *e = list == NULL ? NULL : list->first; e != NULL; e = e->next) {
        if (out->len > 0)
            sp_buf_put_cstr(out, ", ");
        sp_buf_put(out, e->text);
    }
    if (out->len == 0)
        sp_buf_put_cstr(out, "nothing");
    sp_buf_put_u8(out, 0);
}

static const char *names(struct cli *cli, const struct sp_json *list)
{
    struct sp_buf b;
    const char *out;

    sp_buf_init(&b, 4096);
    join(list, &b);
    out = sp_arena_cstr(cli->arena, sp_bytes_cstr((const char *)b.ptr));
    sp_buf_clear(&b);
    return out;
}

static int ask(const struct cli *cli, struct control_answer *answer)
{
    struct control c = {.config = cli->config, .mute = true};
    struct control_member member = {"tenant", cli->name};

    return control_ask_about(&c, "tenant.seen", &member, 1, answer);
}

static void tell(struct findings *f, const struct sp_json *result)
{
    struct sight accepted = latest(result, "accepted"), refused = latest(result, "refused");

    if (accepted.at_ms != 0)
        find(f, FINDING_OK, "live.accepted", "mail was taken at %.*s, proved by %s",
             SP_FMT(accepted.time), names(f->cli, accepted.required));
    else
        find(f, FINDING_WRONG, "live.accepted", "no mail has been taken since the gateway started");
    if (refused.at_ms > accepted.at_ms)
        find(f, FINDING_WRONG, "live.refused",
             "at %.*s mail from %.*s in its name was refused: %.*s; not proved: %s",
             SP_FMT(refused.time), SP_FMT(refused.ip), SP_FMT(refused.why),
             names(f->cli, refused.failed));
}

/* ---- the probe ---- */

static void make_token(char out[2 * TOKEN_LEN + 1])
{
    uint8_t bytes[TOKEN_LEN];
    struct sp_buf b;

    sp_random_fill(sp_random_system(), bytes, sizeof(bytes));
    sp_buf_init(&b, sizeof(bytes) * 2);
    sp_hex_encode(&b, sp_bytes(bytes, sizeof(bytes)));
    memcpy(out, b.ptr, b.len);
    out[b.len] = 0;
    sp_buf_clear(&b);
}

static void tell_probe(struct findings *f, const struct sight *s)
{
    if (s->why.len == 0)
        find(f, FINDING_OK, "live.probe", "the probe came from %.*s with every proof: %s",
             SP_FMT(s->ip), names(f->cli, s->required));
    else
        find(f, FINDING_WRONG, "live.probe",
             "the probe came from %.*s and was refused: %.*s; not proved: %s", SP_FMT(s->ip),
             SP_FMT(s->why), names(f->cli, s->failed));
}

/* Looks once. returns: whether it is over */
static bool look(struct findings *f, const char *token, int64_t since_ms)
{
    struct control_answer answer;
    bool over = true;

    if (ask(f->cli, &answer) == CONTROL_OK) {
        struct sight probe = latest(answer.result, "probed");
        struct sight refused = latest(answer.result, "refused");

        if (probe.at_ms != 0 && sp_bytes_eq(probe.token, sp_bytes_cstr(token)))
            tell_probe(f, &probe);
        else if (refused.at_ms >= since_ms) /* at MAIL, before it could say that it is one */
            tell_probe(f, &refused);
        else
            over = false;
    } else {
        find(f, FINDING_WRONG, "live.probe", "the gateway has gone while the probe was awaited");
    }
    control_answer_clear(&answer);
    return over;
}

static void await_probe(struct findings *f)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    struct cli *cli = f->cli;
    int64_t since = sp_clock_wall_ms(sp_loop_clock(cli->loop));
    char token[2 * TOKEN_LEN + 1];

    make_token(token);
    if (cli->json)
        (void)cli_tell(cli, CLI_OK, "probe", "sallyport-probe-%s@%s", token,
                       cli->settings->hostname);
    else
        (void)fprintf(stderr,
                      "Write a mail from one of the tenant's mailboxes, through the provider, to\n"
                      "    sallyport-probe-%s@%s\nNothing of it is passed on. Waiting...\n",
                      token, cli->settings->hostname);
    for (int64_t waited = 0; waited < cli->wait_ms; waited += STEP_MS) {
        (void)nanosleep(&step, NULL);
        if (look(f, token, since))
            return;
    }
    find(f, FINDING_WRONG, "live.probe", "no probe came: does the provider's rule lead here?");
}

void check_live(struct findings *f, const struct sp_tenant *t)
{
    struct control_answer answer;
    bool answers;

    (void)t;
    answers = ask(f->cli, &answer) == CONTROL_OK;
    if (!answers)
        find(f, FINDING_WRONG, "live", "no gateway answers on its control socket");
    else if (f->cli->wait_ms == 0)
        tell(f, answer.result);
    control_answer_clear(&answer);
    if (answers && f->cli->wait_ms > 0)
        await_probe(f);
}
