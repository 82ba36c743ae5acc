/*
 * What domains have proved and promised: one memory for all shards of this process and for every generation of settings,
 * filled by the ledger page by page at start, then by changes as other relays see them. Until the first list is whole
 * nothing is delivered: a domain whose promises are not known yet would look like one that has none.
 */
#include "gateway/relay/relay.h"

#include "jobs/posture.h"
#include "policy/ladder.h"
#include "transport/posture.h"
#include "transport/sts.h"
#include "transport/transport.h"

#define LIST_MS     60000
#define AGAIN_MS    1000
#define REFRESH_MS  20000 /* between two looks for policies that are getting old */
#define DOMAINS_MAX 1000000
#define STS_MAX     100000

struct relay_posture {
    struct relay *relay;
    struct sp_posture *posture;
    struct sp_sts_cache *sts;
    struct sp_timer *again;
    struct sp_timer *refresh;
    sp_handle call;
    char *last; /* of the pages so far */
    bool known;
};

static struct relay_posture *of(const struct relay *r)
{
    return r->first != NULL ? r->first->posture : r->posture;
}

static bool level_of(struct sp_bytes name, enum sp_level *out)
{
    enum sp_floor floor;

    if (!sp_floor_parse(name, &floor) || floor > SP_FLOOR_TLS_DANE)
        return false;
    *out = (enum sp_level)floor; /* both rise from plain to DANE */
    return true;
}

/* A policy's life counts from when it was fetched, which its end and its max_age tell. */
static void take_sts(struct relay_posture *m, const struct sp_jobs_posture_entry *e)
{
    struct sp_sts_policy policy;

    if (sp_sts_policy_parse(e->sts, &policy) != SP_OK ||
        sp_sts_cache_tell(m->sts, e->domain, e->sts_id, e->sts,
                          e->sts_until_ms - policy.max_age_s * 1000) != SP_OK)
        sp_log_warn(m->relay->log, "relay.posture-odd", SP_DOMAIN("domain", e->domain));
}

static void forget_routes(struct relay *r, struct sp_bytes domain)
{
    for (; r != NULL; r = r->left)
        if (r->delivery != NULL)
            sp_transport_forget(relay_delivery_transport(r), domain);
}

static void take(struct relay_posture *m, const struct sp_jobs_posture_entry *e)
{
    enum sp_level level = SP_LEVEL_PLAIN;

    if (e->best.len > 0 && !level_of(e->best, &level))
        return;
    if (sp_posture_tell(m->posture, e->domain, level, e->accepted_at_ms) && e->sts.len == 0)
        sp_sts_cache_forget(m->sts, e->domain);
    if (e->sts.len > 0)
        take_sts(m, e);
    forget_routes(m->relay, e->domain);
}

/* returns: the last domain of the list, or empty */
static struct sp_bytes take_all(struct relay_posture *m, const struct sp_jobs_posture *list)
{
    for (size_t i = 0; i < list->entry_count; i++)
        take(m, &list->entries[i]);
    return list->entry_count == 0 ? SP_LIT("") : list->entries[list->entry_count - 1].domain;
}

/* ---- the list ---- */

static void ask(void *arg);

static void whole(struct relay_posture *m)
{
    bool first = !m->known;

    sp_free(m->last);
    m->last = NULL;
    m->known = true;
    for (struct relay *r = m->relay; first && r != NULL; r = r->left)
        relay_delivery_poke(r);
}

static void on_list(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay_posture *m = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_posture list;
    struct sp_bytes last;

    m->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_posture_decode(reply->payload, arena, &list);
    if (rc != SP_OK) {
        sp_log_warn(m->relay->log, "relay.posture-unknown", SP_RC("why", rc));
        sp_timer_start(m->again, AGAIN_MS);
        return;
    }
    last = take_all(m, &list);
    if (last.len == 0) {
        whole(m);
        return;
    }
    sp_free(m->last);
    m->last = sp_strdup_bytes(last);
    ask(m);
}

static void ask(void *arg)
{
    struct relay_posture *m = arg;
    struct sp_jobs_posture_entry after = {0};
    struct sp_jobs_posture list = {.op = SP_JOBS_POSTURE_LIST, .entries = &after};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_POSTURE,
                                   .timeout_ms = LIST_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    if (m->last != NULL) {
        after.domain = sp_bytes_cstr(m->last);
        list.entry_count = 1;
    }
    sp_buf_init(&payload, 1024);
    sp_jobs_posture_encode(&payload, &list);
    call.payload = sp_buf_bytes(&payload);
    m->call = sp_jobs_call(m->relay->jobs, &call, on_list, m);
    sp_buf_clear(&payload);
}

/* ---- changes ---- */

static void on_changed(void *arg, struct sp_jobs_job *job)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_posture list;
    enum sp_rc rc = sp_jobs_posture_decode(sp_jobs_job_payload(job), arena, &list);

    if (rc == SP_OK)
        (void)take_all(arg, &list);
    sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
}

/* Policies of domains that nobody mails at the moment are kept fresh too. */
static void on_refresh(void *arg)
{
    struct relay_posture *m = arg;

    sp_timer_start(m->refresh, REFRESH_MS);
    if (m->known && m->relay->delivery != NULL)
        sp_transport_refresh(relay_delivery_transport(m->relay));
}

/* ---- life ---- */

struct relay_posture *relay_posture_new(struct relay *r)
{
    struct relay_posture *m = sp_calloc(1, sizeof(*m));

    m->relay = r;
    m->posture = sp_posture_new(DOMAINS_MAX);
    m->sts = sp_sts_cache_new(STS_MAX);
    m->again = sp_timer_new(r->loop, ask, m);
    m->refresh = sp_timer_new(r->loop, on_refresh, m);
    sp_jobs_serve(r->jobs, SP_JOBS_POSTURE, on_changed, m);
    ask(m);
    sp_timer_start(m->refresh, REFRESH_MS);
    return m;
}

void relay_posture_free(struct relay_posture *m)
{
    if (m == NULL)
        return;
    sp_timer_free(m->again);
    sp_timer_free(m->refresh);
    sp_posture_free(m->posture);
    sp_sts_cache_free(m->sts);
    sp_free(m->last);
    sp_free(m);
}

void relay_posture_again(struct relay_posture *m)
{
    if (m != NULL && m->call == 0 && m->known)
        ask(m);
}

bool relay_posture_is_known(const struct relay *r)
{
    return of(r)->known;
}

struct sp_posture *relay_posture_levels(const struct relay *r)
{
    return of(r)->posture;
}

struct sp_sts_cache *relay_posture_policies(const struct relay *r)
{
    return of(r)->sts;
}
