/*
 * The client machine against any server: the same replies give the same commands and results however they are cut, and a
 * recipient counts as delivered only behind a 2xx to the last dot. The first byte says how the second run is cut, the
 * second which TLS is asked for.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
    struct sp_smtp_client_config config;
    struct sp_smtp_client *client;
    struct sp_buf said;
    struct sp_buf ends; /* what became of recipients and session */
    unsigned sent;
    unsigned results;
    bool over;
    bool dot;
};

static int64_t fixed_ms(void *ctx)
{
    (void)ctx;
    return 1000;
}

static const struct sp_clock clock_fixed = {fixed_ms, fixed_ms, NULL, NULL};

static void send_mail(struct run *r)
{
    struct sp_smtp_mail_rcpt rcpts[2] = {{.address = SP_LIT("b@c.example")},
                                         {.address = SP_LIT("d@c.example")}};
    struct sp_smtp_mail mail = {.from = SP_LIT("a@b.example"), .rcpts = rcpts, .count = 2};

    if (r->sent >= 3)
        return;
    if (sp_smtp_client_send(r->client, &mail) == SP_OK)
        r->sent++;
    r->dot = false;
}

static void on_result(struct run *r, const struct sp_smtp_result *result)
{
    r->results++;
    sp_assert(result->count == 2 && r->results <= r->sent);
    for (size_t i = 0; i < result->count; i++) {
        const struct sp_smtp_rcpt_result *x = &result->rcpts[i];

        sp_assert(x->state != SP_SMTP_RCPT_UNSENT);
        sp_assert(x->state != SP_SMTP_RCPT_ACCEPTED || (r->dot && x->reply.code / 100 == 2));
        sp_assert(x->state != SP_SMTP_RCPT_UNSURE || r->dot);
        sp_buf_put_u8(&r->ends, (uint8_t)x->state);
    }
}

static void on_event(struct run *r, const struct sp_smtp_client_event *ev)
{
    switch (ev->type) {
    case SP_SMTP_CLIENT_STARTTLS:
        break;
    case SP_SMTP_CLIENT_READY:
        send_mail(r);
        break;
    case SP_SMTP_CLIENT_DATA:
        r->dot = true;
        sp_smtp_client_body_end(r->client, true);
        break;
    case SP_SMTP_CLIENT_RESULT:
        on_result(r, &ev->result);
        break;
    case SP_SMTP_CLIENT_FAILED:
    case SP_SMTP_CLIENT_CLOSED:
        sp_assert(!r->over);
        r->over = true;
        sp_buf_put_u8(&r->ends, (uint8_t)ev->rc);
        break;
    }
}

static void feed(struct run *r, struct sp_bytes all, size_t step)
{
    size_t used = 0, given = 0;
    struct sp_smtp_client_event ev;

    while (given < all.len) {
        struct sp_bytes in;

        given = step == 0 || given + step > all.len ? all.len : given + step;
        in = sp_bytes_slice(all, used, given - used);
        while (sp_smtp_client_next(r->client, &in, &ev))
            on_event(r, &ev);
        used = given - in.len;
        sp_buf_put(&r->said, sp_smtp_client_output(r->client));
        sp_smtp_client_sent(r->client, sp_smtp_client_output(r->client).len);
    }
    sp_smtp_client_lost(r->client, SP_OK);
    while (sp_smtp_client_next(r->client, &all, &ev))
        on_event(r, &ev);
    sp_assert(r->over && r->results == r->sent);
}

static void run(struct run *r, struct sp_bytes all, size_t step, uint8_t tls)
{
    *r = (struct run){.config = {.hostname = "gw.example",
                                 .clock = &clock_fixed,
                                 .tls = (enum sp_smtp_client_tls)(tls % 3)}};
    r->client = sp_smtp_client_new(&r->config);
    sp_buf_init(&r->said, 1 << 20);
    sp_buf_init(&r->ends, 1 << 20);
    feed(r, all, step);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct run whole, cut;

    if (len < 2)
        return 0;
    run(&whole, sp_bytes(data + 2, len - 2), 0, data[1]);
    run(&cut, sp_bytes(data + 2, len - 2), (size_t)(data[0] % 16) + 1, data[1]);
    sp_assert(sp_bytes_eq(sp_buf_bytes(&whole.said), sp_buf_bytes(&cut.said)));
    sp_assert(sp_bytes_eq(sp_buf_bytes(&whole.ends), sp_buf_bytes(&cut.ends)));
    sp_smtp_client_free(whole.client);
    sp_smtp_client_free(cut.client);
    sp_buf_clear(&whole.said);
    sp_buf_clear(&cut.said);
    sp_buf_clear(&whole.ends);
    sp_buf_clear(&cut.ends);
    return 0;
}
