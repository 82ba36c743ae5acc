/*
 * The relay whose shard can't be opened: a disk that is read-only or fails, a folder that is not there, a key that does not
 * fit. Ending the process would leave connections in the kernel's queue, where they wait for minutes, so it stays and
 * says 421 to each: senders try their next host at once. Everything else that is asked of it is answered with the same
 * error. The shard is tried again every few seconds; then the relay starts as any other does.
 */
#include "gateway/relay/relay.h"

#include "base/text.h"
#include "jobs/command.h"

#define AGAIN_MS 2000
#define PATIENCE                                                                                   \
    4 /* a try that takes long makes those who come wait: its time is a fifth of all at most */

struct gate {
    struct sp_listener *listener;
    struct relay_door *door;
};

struct relay_door {
    struct relay *relay;
    struct sp_timer *timer;
    struct gate *gates;
    size_t gate_count;
    enum sp_rc why;
    char *detail; /* of the last try */
    void (*on_opened)(struct relay *r);
};

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    struct gate *g = arg;

    (void)peer;
    sp_stream_dismiss(g->door->relay->loop, fd, SP_LIT(RELAY_CLOSED_WORDS));
}

static void listen_all(struct relay_door *d)
{
    const char *name;
    size_t at = 0;
    int fd;

    while (sp_role_listener_next(d->relay->role, &at, &name, &fd))
        d->gate_count++;
    d->gates = sp_calloc(d->gate_count + 1, sizeof(*d->gates));
    at = 0;
    for (size_t i = 0; sp_role_listener_next(d->relay->role, &at, &name, &fd); i++) {
        d->gates[i].door = d;
        d->gates[i].listener = sp_listener_new(d->relay->loop, fd, on_accept, &d->gates[i]);
        sp_listener_when_full(d->gates[i].listener, SP_LIT(RELAY_CLOSED_WORDS), NULL);
    }
}

/* ---- what others ask ---- */

static void refuse(void *arg, struct sp_jobs_job *job)
{
    const struct relay_door *d = arg;

    sp_jobs_job_reply(job, d->why, sp_bytes(NULL, 0), NULL, 0);
}

/* queue.stats says why nothing is taken; to the rest that is the error. */
static void on_command(void *arg, struct sp_jobs_job *job)
{
    const struct relay_door *d = arg;
    struct sp_jobs_command_request request;
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_buf json;
    struct sp_jw w;

    if (sp_jobs_command_request_decode(sp_jobs_job_payload(job), &request) != SP_OK ||
        sp_json_parse(request.json, NULL, &doc, NULL) != SP_OK ||
        !sp_bytes_eq(sp_json_text_of(sp_json_root(doc), "command"), SP_LIT("queue.stats"))) {
        relay_reply_error(job, d->why, d->detail);
        return;
    }
    sp_buf_init(&json, 4096);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "accepts", sp_rc_name(d->why));
    sp_jw_cstr(&w, "detail", d->detail);
    sp_jw_end(&w);
    relay_reply_json(job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void serve(struct relay_door *d)
{
    struct sp_jobs *jobs = d->relay->jobs;

    sp_jobs_serve(jobs, SP_JOBS_COMMAND, on_command, d);
    sp_jobs_serve(jobs, SP_JOBS_SUBMIT, refuse, d);
    sp_jobs_serve(jobs, SP_JOBS_REPORT, refuse, d);
}

/* ---- trying again ---- */

static void note(struct relay_door *d, const struct sp_err *err, int64_t took_ms)
{
    if (d->detail == NULL || d->why != err->rc || strcmp(d->detail, err->text) != 0)
        sp_log_error(d->relay->log, "relay.shard-closed", SP_RC("why", err->rc),
                     SP_TEXT("detail", err->text));
    sp_free(d->detail);
    d->detail = sp_strdup(err->text);
    d->why = err->rc;
    sp_timer_start(d->timer, took_ms * PATIENCE > AGAIN_MS ? took_ms * PATIENCE : AGAIN_MS);
}

static void again(void *arg)
{
    struct relay_door *d = arg;
    struct relay *r = d->relay;
    void (*on_opened)(struct relay *) = d->on_opened;
    const struct sp_clock *clock = sp_loop_clock(r->loop);
    int64_t start_ms = sp_clock_mono_ms(clock);
    struct sp_err err = {0};
    enum sp_rc rc;

    relay_keys_clear(&r->keys); /* a reload may have brought others */
    rc = relay_keys_load(r, &r->keys, &err);
    if (rc == SP_OK)
        rc = relay_queue_open(r, &err);
    if (rc != SP_OK) {
        note(d, &err, sp_clock_mono_ms(clock) - start_ms);
        return;
    }
    sp_log_info(r->log, "relay.shard-opened");
    relay_door_free(d);
    r->door = NULL;
    on_opened(r);
}

struct relay_door *relay_door_new(struct relay *r, const struct sp_err *why,
                                  void (*on_opened)(struct relay *r))
{
    struct relay_door *d = sp_calloc(1, sizeof(*d));

    d->relay = r;
    d->on_opened = on_opened;
    d->timer = sp_timer_new(r->loop, again, d);
    listen_all(d);
    serve(d);
    note(d, why, 0);
    return d;
}

void relay_door_free(struct relay_door *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->gate_count; i++)
        sp_listener_free(d->gates[i].listener);
    sp_jobs_serve(d->relay->jobs, SP_JOBS_COMMAND, NULL, NULL);
    sp_jobs_serve(d->relay->jobs, SP_JOBS_SUBMIT, NULL, NULL);
    sp_jobs_serve(d->relay->jobs, SP_JOBS_REPORT, NULL, NULL);
    sp_timer_free(d->timer);
    sp_free(d->gates);
    sp_free(d->detail);
    sp_free(d);
}
