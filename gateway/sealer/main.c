/*
 * The sealer: holds the tenants' signing keys, gets recipients' keys with each job, and writes only the file that came
 * with it and gpg's private home. It has no internet socket, and starts nothing but gpg and gpg-agent. Sealing blocks
 * (gpg, large bodies), so it runs on a thread of its own, one message at a time; more sealers are more processes. A message
 * that kills or hangs it costs that message: the watchdog ends what nobody waits for any more, and what was not started
 * goes to another sealer.
 */
#include "gateway/sealer/sealer.h"

#include "base/mem.h"

#include <unistd.h>

#define GRACE_MS 250 /* past the asker's patience, before the watchdog bites */

struct task {
    struct sealer *sealer;
    struct sp_jobs_job *job;
    struct sp_arena *arena;
    struct sp_jobs_seal_request request;
    int fd;
    struct sp_buf reply;
    enum sp_rc rc;
    struct sp_err err;
};

static void task_free(struct task *t)
{
    sp_content_clear(&t->request.content);
    if (t->fd >= 0)
        close(t->fd);
    sp_buf_wipe(&t->reply);
    sp_arena_free(t->arena);
    sp_free(t);
}

static void run_task(void *arg)
{
    struct task *t = arg;

    t->rc = sealer_seal(t->sealer, &t->request, t->fd, &t->reply, &t->err);
}

static void maybe_stopped(struct sealer *s)
{
    if (s->stopping && !s->running)
        sp_role_stopped(s->role);
}

static void task_done(void *arg)
{
    struct task *t = arg;
    struct sealer *s = t->sealer;

    s->running = false;
    sp_watchdog_cancel(s->watchdog);
    if (t->rc != SP_OK)
        sp_log_warn(sp_role_log(s->role), "sealer.failed", SP_ID("message", &t->request.content.id),
                    SP_TEXT("method", sp_jobs_seal_method_name(t->request.method)),
                    SP_RC("why", t->rc), SP_TEXT("detail", t->err.text));
    sp_jobs_job_reply(t->job, t->rc, t->rc == SP_OK ? sp_buf_bytes(&t->reply) : SP_LIT(""), NULL,
                      0);
    task_free(t);
    maybe_stopped(s);
}

/* Jobs come one at a time. */
static void begin(struct task *t)
{
    struct sealer *s = t->sealer;

    s->running = true;
    sp_jobs_job_started(t->job);
    sp_watchdog_start(s->watchdog, sp_jobs_job_deadline_ms(t->job) + GRACE_MS -
                                       sp_clock_mono_ms(sp_loop_clock(sp_role_loop(s->role))));
    sp_worker_submit(s->worker, run_task, task_done, t);
}

void sealer_on_seal(void *arg, struct sp_jobs_job *job)
{
    struct sealer *s = arg;
    struct task *t;
    enum sp_rc rc;

    if (s->stopping) { /* a loaded sealer would never come to its end; who asks asks the next one */
        sp_jobs_job_reply(job, SP_E_ROLE_GONE, SP_LIT(""), NULL, 0);
        return;
    }
    t = sp_calloc(1, sizeof(*t));
    t->sealer = s;
    t->job = job;
    t->arena = sp_arena_new(16384);
    t->fd = -1;
    sp_content_init(&t->request.content);
    sp_buf_init(&t->reply, SP_JOBS_SEAL_FACTS_MAX * 2);
    rc = sp_jobs_seal_request_decode(sp_jobs_job_payload(job), t->arena, &t->request);
    if (rc == SP_OK) {
        t->request.content.fd = sp_jobs_job_take_fd(job, 0);
        t->fd = sp_jobs_job_take_fd(job, 1);
        if (t->request.content.fd < 0 || t->fd < 0)
            rc = SP_E_MALFORMED;
    }
    if (rc != SP_OK) {
        sp_jobs_job_reply(job, rc, SP_LIT(""), NULL, 0);
        task_free(t);
        return;
    }
    begin(t);
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct sealer *s = sp_calloc(1, sizeof(*s));
    enum sp_rc rc;

    *state = s;
    s->role = role;
    rc = sealer_load(s, err);
    if (rc == SP_OK)
        rc = sp_watchdog_new(&s->watchdog, err);
    if (rc != SP_OK)
        return rc;
    s->worker = sp_worker_new(sp_role_loop(role), "seal");
    s->jobs = sp_jobs_new(sp_role_loop(role), sp_role_log(role));
    sp_jobs_on_faulty(s->jobs, sp_role_peer_faulty, role);
    sp_jobs_serve_singly(s->jobs, SP_JOBS_SEAL, sealer_on_seal, s);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    struct sealer *s = state;

    sp_jobs_add_peer(s->jobs, kind, index, fd);
}

static void stop(struct sp_role *role, void *state)
{
    struct sealer *s = state;

    (void)role;
    s->stopping = true;
    maybe_stopped(s);
}

static void free_state(void *state)
{
    struct sealer *s = state;

    s->stopping = true;
    if (s->worker != NULL) {
        sp_worker_free(s->worker);
        sp_loop_run_once(sp_role_loop(s->role),
                         0); /* the last jobs' replies, while there are jobs */
    }
    sp_watchdog_free(s->watchdog);
    sp_jobs_free(s->jobs);
    sealer_unload(s);
    sp_free(s);
}

int main(void)
{
    /* no on_reload: keys lie in gpg's home and its agent, so a sealer with new keys is a new process */
    static const struct sp_role_ops ops = {
        .kind = SP_ROLE_SEALER,
        .start = start,
        .on_peer = on_peer,
        .stop = stop,
        .free = free_state,
    };

    return sp_role_main(&ops);
}
