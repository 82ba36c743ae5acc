/*
 * Mail of our own that the portal and the ledger submit: mailbox codes, notices, replies, reports. It is queued with the
 * floor that it names. The same `once` text again within this process's memory is answered with the first one's id, so
 * that a caller who lost the answer, or died waiting for it, may simply repeat. That memory dies with the relay: what is
 * asked for again then goes into the queue once more, and its record says that it may be a duplicate.
 */
#include "gateway/relay/relay.h"

#include "delivery/outcome.h"
#include "jobs/submit.h"
#include "mail/idn.h"

#define REMEMBERED_MAX 4096

struct once {
    struct sp_id id;
    char *key; /* the map has a copy of its own; ours is for removing it */
    size_t key_len;
};

struct relay_submit {
    struct relay *relay;
    struct sp_map *seen;
    struct sp_map *waiting; /* those under way that have a `once` text: struct under_way */
    struct once ring[REMEMBERED_MAX]; /* the oldest is forgotten first */
    size_t next;
};

struct under_way {
    struct relay_submit *submit;
    struct sp_jobs_job *job;
    char *once;
    size_t once_len;
    struct under_way *also; /* asked for the same meanwhile: gets the same answer */
};

static void reply_id(struct sp_jobs_job *job, const struct sp_id *id)
{
    struct sp_jobs_submit_reply reply = {.id = *id};
    struct sp_buf b;

    sp_buf_init(&b, 256);
    sp_jobs_submit_reply_encode(&b, &reply);
    sp_jobs_job_reply(job, SP_OK, sp_buf_bytes(&b), NULL, 0);
    sp_buf_clear(&b);
}

static void remember(struct relay_submit *s, struct sp_bytes key, const struct sp_id *id)
{
    struct once *o = &s->ring[s->next];

    if (key.len == 0)
        return;
    s->next = (s->next + 1) % REMEMBERED_MAX;
    if (o->key != NULL)
        sp_map_remove(s->seen, sp_bytes(o->key, o->key_len));
    sp_free(o->key);
    o->id = *id;
    o->key = sp_strdup_bytes(key);
    o->key_len = key.len;
    sp_map_put(s->seen, key, o);
}

static void on_queued(void *arg, enum sp_rc rc, const struct sp_id *id)
{
    struct under_way *u = arg, *also;

    if (u->once_len > 0)
        sp_map_remove(u->submit->waiting, sp_bytes(u->once, u->once_len));
    if (rc == SP_OK)
        remember(u->submit, sp_bytes(u->once, u->once_len), id);
    for (; u != NULL; u = also) {
        also = u->also;
        if (rc == SP_OK)
            reply_id(u->job, id);
        else
            sp_jobs_job_reply(u->job, rc, sp_bytes(NULL, 0), NULL, 0);
        sp_free(u->once);
        sp_free(u);
    }
}

/* returns: whether the same is under way already; then its answer is this job's, too */
static bool join(struct relay_submit *s, struct sp_bytes once, struct sp_jobs_job *job)
{
    struct under_way *first = once.len > 0 ? sp_map_find(s->waiting, once) : NULL;
    struct under_way *u;

    if (first == NULL)
        return false;
    u = sp_calloc(1, sizeof(*u));
    u->submit = s;
    u->job = job;
    u->also = first->also;
    first->also = u;
    return true;
}

static uint8_t kind_of(enum sp_jobs_submit_kind kind)
{
    switch (kind) {
    case SP_JOBS_SUBMIT_CODE:
        return SP_ACCEPT_KIND_CODE;
    case SP_JOBS_SUBMIT_REPORT:
        return SP_ACCEPT_KIND_REPORT;
    case SP_JOBS_SUBMIT_REPLY:
        return SP_ACCEPT_KIND_MAIL;
    case SP_JOBS_SUBMIT_WORD:
    case SP_JOBS_SUBMIT_DSN:
        return SP_ACCEPT_KIND_DSN;
    default:
        return SP_ACCEPT_KIND_NOTICE;
    }
}

static void on_submit(void *arg, struct sp_jobs_job *job)
{
    struct relay_submit *s = arg;
    struct sp_jobs_submit_request request;
    struct sp_intake_own own = {.kind = 0};
    const struct once *before;
    struct under_way *u;
    enum sp_rc rc = sp_jobs_submit_request_decode(sp_jobs_job_payload(job), &request);

    if (rc == SP_OK && !sp_floor_parse(request.floor, &own.floor))
        rc = SP_E_MALFORMED;
    if (rc == SP_OK)
        rc = sp_queue_ready(s->relay->queue);
    if (rc != SP_OK) {
        sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
        return;
    }
    before = request.once.len > 0 ? sp_map_find(s->seen, request.once) : NULL;
    if (before != NULL) {
        reply_id(job, &before->id);
        return;
    }
    if (join(s, request.once, job))
        return;
    if (request.kind == SP_JOBS_SUBMIT_WORD)
        own.floor = sp_policy_floor(sp_policy_for(s->relay->policy, request.tenant, request.to));
    if (request.kind == SP_JOBS_SUBMIT_DSN)
        own.floor = sp_outcome_dsn_floor(own.floor);
    own.kind = kind_of(request.kind);
    own.parent = request.cause;
    own.tenant = request.tenant;
    own.from = request.from;
    own.to = request.to;
    own.expire_at_ms = request.expires_at_ms;
    own.content = request.content;
    own.needs = request.requires_tls ? SP_ASKED_REQUIRETLS : 0;
    own.again = request.again;
    if (request.kind == SP_JOBS_SUBMIT_DSN && !sp_text_is_ascii(request.to))
        own.needs |= SP_NEEDS_8BIT; /* RFC 6533: a report to such an address is not ASCII */
    u = sp_calloc(1, sizeof(*u));
    u->submit = s;
    u->job = job;
    u->once = sp_strdup_bytes(request.once);
    u->once_len = request.once.len;
    if (u->once_len > 0)
        sp_map_put(s->waiting, request.once, u);
    sp_intake_submit(s->relay->intake, &own, on_queued, u);
}

struct relay_submit *relay_submit_new(struct relay *r)
{
    struct relay_submit *s = sp_calloc(1, sizeof(*s));

    s->relay = r;
    s->seen = sp_map_new();
    s->waiting = sp_map_new();
    sp_jobs_serve(r->jobs, SP_JOBS_SUBMIT, on_submit, s);
    return s;
}

void relay_submit_free(struct relay_submit *s)
{
    if (s == NULL)
        return;
    sp_jobs_serve(s->relay->jobs, SP_JOBS_SUBMIT, NULL, NULL);
    sp_map_free(s->seen);
    sp_map_free(s->waiting); /* nothing is under way: intake has ended */
    for (size_t i = 0; i < REMEMBERED_MAX; i++)
        sp_free(s->ring[i].key);
    sp_free(s);
}
