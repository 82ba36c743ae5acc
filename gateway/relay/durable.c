/*
 * The ledger follows this shard's journal: it is told where the durable end is, one call under way at a time and always
 * with the newest end, and answers which segments it needs no more. If it is away, the next call waits for it; nothing
 * is lost, since the journal keeps what was not folded.
 */
#include "gateway/relay/relay.h"

#include "jobs/durable.h"

#define CALL_MS  60000
#define PAUSE_MS 1000 /* before asking again when the ledger failed */

struct relay_durable {
    struct relay *relay;
    struct sp_timer *timer;
    char *shard;
    uint64_t segment, end;
    bool news;
    sp_handle call;
};

static void ask(struct relay_durable *d);

static void on_reply(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay_durable *d = arg;
    struct sp_jobs_durable_reply answer;

    d->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_durable_reply_decode(reply->payload, &answer);
    if (rc == SP_OK) {
        sp_queue_ledger_passed(d->relay->queue, answer.passed);
        ask(d);
        return;
    }
    d->news = true;
    sp_timer_start(d->timer, PAUSE_MS);
}

static void ask(struct relay_durable *d)
{
    struct sp_jobs_durable_request request = {sp_bytes_cstr(d->shard), d->segment, d->end};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_DURABLE,
                                   .timeout_ms = CALL_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    if (!d->news || d->call != 0)
        return;
    d->news = false;
    sp_buf_init(&payload, 1024);
    sp_jobs_durable_request_encode(&payload, &request);
    call.payload = sp_buf_bytes(&payload);
    d->call = sp_jobs_call(d->relay->jobs, &call, on_reply, d);
    sp_buf_clear(&payload);
}

static void on_timer(void *arg)
{
    ask(arg);
}

void relay_durable_again(struct relay_durable *d)
{
    if (d->end == 0)
        return;
    d->news = true;
    sp_timer_start(d->timer, 0);
}

struct relay_durable *relay_durable_new(struct relay *r)
{
    struct relay_durable *d = sp_calloc(1, sizeof(*d));
    const char *slash = strrchr(r->dir, '/');

    d->relay = r;
    d->shard = sp_strdup(slash == NULL ? r->dir : slash + 1);
    d->timer = sp_timer_new(r->loop, on_timer, d);
    return d;
}

void relay_durable_free(struct relay_durable *d)
{
    if (d == NULL)
        return;
    if (d->call != 0)
        sp_jobs_cancel(d->relay->jobs, d->call);
    sp_timer_free(d->timer);
    sp_free(d->shard);
    sp_free(d);
}

void relay_durable_tell(struct relay_durable *d, uint64_t segment, uint64_t end)
{
    d->segment = segment;
    d->end = end;
    d->news = true;
    ask(d);
}
