/*
 * Addresses that are not tried: one memory for all shards of this process, filled by the ledger at start and by its word of
 * changes. Until the first list is here nothing is delivered, as with postures.
 */
#include "gateway/relay/relay.h"

#include "delivery/outcome.h"
#include "delivery/suppress.h"
#include "jobs/suppress.h"

#define LIST_MS       60000
#define AGAIN_MS      1000
#define ADDRESSES_MAX SP_JOBS_SUPPRESS_MAX

struct relay_suppress {
    struct relay *relay;
    struct sp_suppress *list;
    struct sp_timer *again;
    sp_handle call;
    bool known;
};

static void take_all(struct relay_suppress *m, const struct sp_jobs_suppress *list)
{
    int64_t now_ms = sp_clock_wall_ms(sp_loop_clock(m->relay->loop));

    for (size_t i = 0; i < list->entry_count; i++) {
        const struct sp_jobs_suppress_entry *e = &list->entries[i];

        if (e->removed)
            sp_suppress_remove(m->list, e->address);
        else
            sp_suppress_set(m->list, e->address, e->until_ms, now_ms);
    }
}

static void whole(struct relay_suppress *m)
{
    bool first = !m->known;

    m->known = true;
    for (struct relay *r = m->relay; first && r != NULL; r = r->left)
        relay_delivery_poke(r);
}

static void on_list(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay_suppress *m = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_suppress list;

    m->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_suppress_decode(reply->payload, arena, &list);
    if (rc == SP_OK) {
        take_all(m, &list);
        whole(m);
        return;
    }
    sp_log_warn(m->relay->log, "relay.suppression-unknown", SP_RC("why", rc));
    sp_timer_start(m->again, AGAIN_MS);
}

static void ask(void *arg)
{
    struct relay_suppress *m = arg;
    struct sp_jobs_suppress list = {.op = SP_JOBS_SUPPRESS_LIST};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_SUPPRESS,
                                   .timeout_ms = LIST_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    sp_buf_init(&payload, 1024);
    sp_jobs_suppress_encode(&payload, &list);
    call.payload = sp_buf_bytes(&payload);
    m->call = sp_jobs_call(m->relay->jobs, &call, on_list, m);
    sp_buf_clear(&payload);
}

static void on_changed(void *arg, struct sp_jobs_job *job)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_suppress list;
    enum sp_rc rc = sp_jobs_suppress_decode(sp_jobs_job_payload(job), arena, &list);

    if (rc == SP_OK)
        take_all(arg, &list);
    sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
}

struct relay_suppress *relay_suppress_new(struct relay *r)
{
    struct relay_suppress *m = sp_calloc(1, sizeof(*m));

    m->relay = r;
    m->list = sp_suppress_new(ADDRESSES_MAX);
    m->again = sp_timer_new(r->loop, ask, m);
    sp_jobs_serve(r->jobs, SP_JOBS_SUPPRESS, on_changed, m);
    ask(m);
    return m;
}

void relay_suppress_free(struct relay_suppress *m)
{
    if (m == NULL)
        return;
    sp_timer_free(m->again);
    sp_suppress_free(m->list);
    sp_free(m);
}

void relay_suppress_again(struct relay_suppress *m)
{
    if (m != NULL && m->call == 0)
        ask(m);
}

bool relay_suppress_is_known(const struct relay *r)
{
    const struct relay *whose = r->first != NULL ? r->first : r;

    return whose->suppress != NULL && whose->suppress->known;
}

struct sp_suppress *relay_suppress_list(const struct relay *r)
{
    const struct relay *whose = r->first != NULL ? r->first : r;

    return whose->suppress == NULL ? NULL : whose->suppress->list;
}

int64_t relay_suppress_until(void *arg, int code, struct sp_status status)
{
    const struct relay *r = arg;
    const struct sp_smtp_reply reply = {.code = code, .status = status};
    int64_t for_ms = r->config->delivery.suppress_ms;

    if (for_ms == 0 || !sp_outcome_suppresses(&reply))
        return 0;
    return sp_clock_wall_ms(sp_loop_clock(r->loop)) + for_ms;
}

void relay_suppress_add(void *arg, struct sp_bytes address, int64_t until_ms)
{
    const struct relay *r = arg;

    sp_suppress_set(relay_suppress_list(r), address, until_ms,
                    sp_clock_wall_ms(sp_loop_clock(r->loop)));
}
