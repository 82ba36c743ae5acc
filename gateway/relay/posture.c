/*
 * What domains have proved, from the ledger: the whole list at start and after a reload, changes as other relays see
 * them. Without the ledger nothing is remembered, and each domain counts as never seen.
 */
#include "gateway/relay/relay.h"

#include "jobs/posture.h"
#include "policy/ladder.h"
#include "transport/posture.h"
#include "transport/sts.h"
#include "transport/transport.h"

#define LIST_MS 60000

static bool level_of(struct sp_bytes name, enum sp_level *out)
{
    enum sp_floor floor;

    if (!sp_floor_parse(name, &floor) || floor > SP_FLOOR_TLS_DANE)
        return false;
    *out = (enum sp_level)floor; /* both rise from plain to DANE */
    return true;
}

/* A policy's life counts from when it was fetched, which its end and its max_age tell. */
static void take_sts(struct relay *r, const struct sp_jobs_posture_entry *e)
{
    struct sp_sts_policy policy;

    if (e->sts.len == 0 || sp_sts_policy_parse(e->sts, &policy) != SP_OK)
        return;
    if (sp_sts_cache_put(sp_transport_sts(relay_delivery_transport(r)), e->domain, e->sts_id,
                         e->sts, e->sts_until_ms - policy.max_age_s * 1000) != SP_OK)
        sp_log_warn(r->log, "relay.posture-odd", SP_DOMAIN("domain", e->domain));
}

static void take_all(struct relay *r, struct sp_bytes payload)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_posture *posture = sp_transport_posture(relay_delivery_transport(r));
    struct sp_jobs_posture list;

    if (sp_jobs_posture_decode(payload, arena, &list) != SP_OK)
        return;
    for (size_t i = 0; i < list.entry_count; i++) {
        const struct sp_jobs_posture_entry *e = &list.entries[i];
        enum sp_level level = SP_LEVEL_PLAIN;

        if (e->best.len == 0 || level_of(e->best, &level))
            sp_posture_accept(posture, e->domain, level, e->proved_at_ms);
        take_sts(r, e);
    }
}

/* Tells each shard's own memory. */
static void take_everywhere(struct relay *r, struct sp_bytes payload)
{
    for (; r != NULL; r = r->left) {
        if (r->delivery != NULL)
            take_all(r, payload);
    }
}

static void on_list(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay *r = arg;

    if (rc == SP_OK)
        take_everywhere(r, reply->payload);
    else
        sp_log_warn(r->log, "relay.posture-unknown", SP_RC("why", rc));
}

static void on_changed(void *arg, struct sp_jobs_job *job)
{
    take_everywhere(arg, sp_jobs_job_payload(job));
    sp_jobs_job_reply(job, SP_OK, sp_bytes(NULL, 0), NULL, 0);
}

void relay_posture_start(struct relay *r)
{
    struct sp_jobs_posture ask = {.op = SP_JOBS_POSTURE_LIST};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_POSTURE,
                                   .timeout_ms = LIST_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    if (r->first != NULL) /* its first relay asks for it */
        return;
    sp_jobs_serve(r->jobs, SP_JOBS_POSTURE, on_changed, r);
    sp_buf_init(&payload, 1024);
    sp_jobs_posture_encode(&payload, &ask);
    call.payload = sp_buf_bytes(&payload);
    (void)sp_jobs_call(r->jobs, &call, on_list, r);
    sp_buf_clear(&payload);
}
