/*
 * Waiting for relays. One that hangs would keep back what all others have answered for as long as a role may take. So those whose
 * answer is out are asked, again and again, whether they are alive, which a relay's loop answers at once; who does not answer
 * that either is given up. One that works, and waits for its disk or for much else that was asked of it, has the whole time. One
 * that is not there at the moment is starting anew: it is waited for.
 */
#include "admin/admin_priv.h"
#include "jobs/command.h"

static void on_ping(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_admin_call *call = arg;
    struct sp_admin_question *q = call->question;

    (void)reply;
    call->ping = 0;
    if (rc != SP_E_JOB_DEADLINE && rc != SP_E_IPC_FULL)
        return;
    sp_jobs_cancel(sp_admin_jobs(q->admin), call->job);
    sp_admin_answered(call, rc);
}

static void send_ping(struct sp_admin_call *call)
{
    struct sp_admin_question *q = call->question;
    struct sp_jobs_command_request request = {.json = SP_LIT("{\"command\":\"relay.alive\"}")};
    int64_t patience_ms = sp_admin_patience_ms(q->admin);
    struct sp_jobs_request job = {.role = q->route->role,
                                  .index = q->answers[call->slot].index,
                                  .type = SP_JOBS_COMMAND,
                                  .timeout_ms = patience_ms - patience_ms / 4};
    struct sp_buf payload;

    sp_buf_init(&payload, 4096);
    sp_jobs_command_request_encode(&payload, &request);
    job.payload = sp_buf_bytes(&payload);
    call->ping = sp_jobs_call(sp_admin_jobs(q->admin), &job, on_ping, call);
    sp_buf_clear(&payload);
}

static void on_look(void *arg)
{
    struct sp_admin_question *q = arg;

    for (size_t i = 0; i < q->count; i++) {
        if (q->calls[i].job != 0 && q->calls[i].ping == 0)
            send_ping(&q->calls[i]);
    }
    sp_timer_start(q->look, sp_admin_patience_ms(q->admin) / 4);
}

void sp_admin_wait_start(struct sp_admin_question *q)
{
    if (q->route->role != SP_ROLE_RELAY || q->route->merge == SP_ADMIN_ONE)
        return;
    q->look = sp_timer_new(sp_admin_loop(q->admin), on_look, q);
    sp_timer_start(q->look, sp_admin_patience_ms(q->admin) / 4);
}

void sp_admin_wait_end(struct sp_admin_question *q)
{
    struct sp_jobs *jobs = sp_admin_jobs(q->admin);

    for (size_t i = 0; i < q->count; i++) {
        sp_jobs_cancel(jobs, q->calls[i].job);
        sp_jobs_cancel(jobs, q->calls[i].ping);
        q->calls[i].job = q->calls[i].ping = 0;
    }
    if (q->look != NULL)
        sp_timer_free(SP_STEAL(q->look));
}
