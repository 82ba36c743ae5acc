/*
 * The supervisor speaks with no role about work, so what it has to say to the audit (a certificate that was renewed, or not)
 * comes with the files of a generation: one event a line. The first relay passes it on; a relay that starts later finds the
 * same lines and leaves them alone, since only a reload brings news.
 */
#include "gateway/relay/relay.h"

#include "jobs/act.h"

#define EVENT_MAX      4096
#define TOLD_WITHIN_MS 60000

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    (void)reply;
    if (rc != SP_OK)
        sp_log_error(arg, "relay.act-untold", SP_RC("why", rc));
}

static void tell(struct relay *r, struct sp_bytes event)
{
    struct sp_jobs_act_request act = {.event = event};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_ACT,
                                   .timeout_ms = TOLD_WITHIN_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    sp_buf_init(&payload, EVENT_MAX);
    sp_jobs_act_request_encode(&payload, &act);
    if (sp_buf_rc(&payload) == SP_OK) {
        call.payload = sp_buf_bytes(&payload);
        (void)sp_jobs_call(r->jobs, &call, on_told, r->log);
    }
    sp_buf_clear(&payload);
}

void relay_acts_record(struct relay *r)
{
    struct sp_bytes left = sp_role_file(r->role, "acts");
    size_t end;

    if (sp_role_index(r->role) != 0)
        return;
    while ((end = sp_bytes_find(left, '\n')) != SIZE_MAX) {
        tell(r, sp_bytes_slice(left, 0, end));
        left = sp_bytes_slice(left, end + 1, left.len);
    }
}
