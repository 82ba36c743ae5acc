/*
 * One look at a domain's MTA-STS: its TXT record, and the policy if the record's id is new or the policy in memory is
 * getting old. A policy that was fetched is durable with the ledger before anything is decided by it, so that a crash
 * between the two can't lose a promise that somebody was held to. The TXT record only says that there is something to
 * fetch: when it is gone, or can't be asked, a policy in memory is refreshed over HTTPS all the same, and binds to its end.
 * Mail waits for no refresh: a policy that is getting old is used at once, and one whose id has changed after a moment in
 * which the new one mostly comes; the transport fetches it then, with nobody waiting.
 */
#include "transport/sts_quest.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "io/loop.h"
#include "jobs/act.h"
#include "jobs/fetch.h"
#include "jobs/jobs.h"
#include "log/log.h"

#include <stdio.h>

#define FETCH_MS   60000 /* RFC 8461 3.3 */
#define MOMENT_MS  10000 /* for the policy of a new id, while an old one is valid */
#define KEEP_MS    20000
#define NAME_MAX_  (SP_DNS_NAME_MAX + 32)
#define EVENT_MAX  (SP_JOBS_ACT_MAX - 1024)
#define QUESTS_MAX 3

struct sp_sts_quest {
    struct sp_sts_quest_plan plan;
    struct sp_arena *arena;
    struct sp_timer *done; /* brings the result on a turn of its own */
    struct sp_timer *moment;
    sp_handle questions[QUESTS_MAX];
    unsigned open; /* questions under way */
    struct sp_bytes id;
    struct sp_bytes addresses[SP_JOBS_FETCH_ADDRESSES_MAX];
    size_t address_count;
    struct sp_bytes text;
    int64_t fetched_at_ms;
    sp_handle call;
    enum {
        WHOLE,
        RENEWED,  /* the ledger was told that it is the one that it has */
        WITHHELD, /* there is no room on record for its text */
    } how;
    struct sp_sts_found found;
    sp_sts_quest_fn fn;
    void *arg;
};

static int64_t steady_ms(const struct sp_sts_quest *q)
{
    return sp_clock_steady_ms(sp_loop_clock(q->plan.loop));
}

static void drop_questions(struct sp_sts_quest *q)
{
    for (size_t i = 0; i < QUESTS_MAX; i++)
        sp_dns_cancel(q->plan.dns, q->questions[i]);
    if (q->call != 0)
        sp_jobs_cancel(q->plan.jobs, q->call);
    q->call = 0;
}

static void finish(struct sp_sts_quest *q, enum sp_rc why)
{
    sp_timer_cancel(q->moment);
    q->found.why = why;
    sp_timer_start(q->done, 0);
}

static void ask(struct sp_sts_quest *q, const char *prefix, enum sp_dns_type type, sp_dns_fn fn)
{
    char name[NAME_MAX_];
    int len = snprintf(name, sizeof(name), "%s%.*s", prefix, SP_FMT(q->plan.domain));

    q->questions[type == SP_DNS_TXT ? 0
                 : type == SP_DNS_A ? 1
                                    : 2] =
        sp_dns_ask(q->plan.dns, sp_bytes(name, (size_t)len), type, fn, q);
}

static void note_life(struct sp_sts_quest *q, const struct sp_dns_answer *a)
{
    if (a->good_until_ms < q->found.good_until_ms)
        q->found.good_until_ms = a->good_until_ms;
}

/* ---- keeping ---- */

static void take(struct sp_sts_quest *q)
{
    enum sp_rc rc =
        q->how == WITHHELD
            ? sp_sts_cache_put_unwritten(q->plan.cache, q->plan.domain, q->id, q->text,
                                         q->fetched_at_ms)
            : sp_sts_cache_put(q->plan.cache, q->plan.domain, q->id, q->text, q->fetched_at_ms);

    q->found.fetched = rc == SP_OK;
    finish(q, rc);
}

static void keep(struct sp_sts_quest *q, const struct sp_sts_policy *p);

/* A domain that has another text each time would fill the audit: beyond so much a day it has the digest of what there is alone. */
static void keep_new(struct sp_sts_quest *q, const struct sp_sts_policy *p)
{
    q->how = sp_sts_cache_spend(q->plan.cache, q->plan.domain, q->text.len, q->fetched_at_ms)
                 ? WHOLE
                 : WITHHELD;
    if (q->how == WITHHELD)
        sp_log_warn(q->plan.log, "sts.text-withheld", SP_DOMAIN("domain", q->plan.domain),
                    SP_INT("length", q->text.len));
    keep(q, p);
}

/*
 * Without the ledger the policy binds all the same: it is recorded again beside the first attempt that cites it. A ledger that says that it
 * has not the policy that is only renewed gets it whole; one that says nothing, or can't write, would get much more to write of it.
 */
static void on_kept(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_sts_quest *q = arg;
    struct sp_sts_policy policy;

    (void)reply;
    q->call = 0;
    if (rc == SP_E_NOT_FOUND && q->how == RENEWED &&
        sp_sts_policy_parse(q->text, &policy) == SP_OK) {
        keep_new(q, &policy);
        return;
    }
    if (rc != SP_OK)
        sp_log_warn(q->plan.log, "sts.not-kept", SP_DOMAIN("domain", q->plan.domain),
                    SP_RC("why", rc));
    take(q);
}

void sp_sts_put_evidence(struct sp_jw *w, struct sp_bytes domain, struct sp_bytes id,
                         const struct sp_sts_policy *p, int64_t fetched_at_ms)
{
    char time[SP_TIME_TEXT_MAX];

    sp_jw_object(w, "sts");
    sp_jw_text(w, "domain", domain);
    sp_jw_text(w, "id", id);
    sp_jw_cstr(w, "mode", sp_sts_mode_name(p->mode));
    sp_jw_int(w, "max_age", p->max_age_s);
    sp_time_format_rfc3339(fetched_at_ms, time);
    sp_jw_cstr(w, "fetched", time);
    sp_time_format_rfc3339(fetched_at_ms + p->max_age_s * 1000, time);
    sp_jw_cstr(w, "until", time);
    sp_jw_end(w);
}

static void write_event(const struct sp_sts_quest *q, const struct sp_sts_policy *p,
                        struct sp_buf *out)
{
    uint8_t sum[SP_SHA256_LEN];
    struct sp_buf digest;
    struct sp_jw w;

    sp_crypt_sha256(q->text, sum);
    sp_buf_init(&digest, 80);
    sp_buf_put_cstr(&digest, "sts:");
    sp_hex_encode(&digest, sp_bytes(sum, sizeof(sum)));
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", q->how == RENEWED ? "evidence.renewed" : "evidence.recorded");
    sp_jw_text(&w, "digest", sp_buf_bytes(&digest));
    sp_jw_cstr(&w, "kind", "sts");
    if (q->how == WHOLE)
        sp_jw_text(&w, "object", q->text);
    if (q->how == WITHHELD) {
        sp_jw_object(&w, "withheld");
        sp_jw_int(&w, "length", (int64_t)q->text.len);
        sp_jw_cstr(&w, "why", "limit");
        sp_jw_end(&w);
    }
    sp_sts_put_evidence(&w, q->plan.domain, q->id, p, q->fetched_at_ms);
    sp_jw_end(&w);
    sp_buf_clear(&digest);
}

static void keep(struct sp_sts_quest *q, const struct sp_sts_policy *p)
{
    struct sp_jobs_act_request act = {0};
    struct sp_buf event;
    struct sp_buf payload;

    sp_buf_init(&event, EVENT_MAX);
    sp_buf_init(&payload, SP_JOBS_ACT_MAX + 64);
    write_event(q, p, &event);
    act.event = sp_buf_bytes(&event);
    sp_jobs_act_request_encode(&payload, &act);
    if (sp_buf_rc(&event) == SP_OK && sp_buf_rc(&payload) == SP_OK) {
        struct sp_jobs_request call = {
            .role = SP_ROLE_LEDGER,
            .index = SP_JOBS_ANY,
            .type = SP_JOBS_ACT,
            .payload = sp_buf_bytes(&payload),
            .timeout_ms = KEEP_MS,
            .wait_for_peer = true,
        };

        q->call = sp_jobs_call(q->plan.jobs, &call, on_kept, q);
    } else {
        take(q);
    }
    sp_buf_clear(&payload);
    sp_buf_clear(&event);
}

/* The same text as before is written once a week: each refresh would be a copy. Files of the audit go in time, and what they alone have. */
static bool is_known(const struct sp_sts_quest *q)
{
    uint8_t sum[SP_SHA256_LEN];

    sp_crypt_sha256(q->text, sum);
    return sp_sts_cache_has_written(q->plan.cache, q->plan.domain, sum, q->fetched_at_ms);
}

/* ---- fetching ---- */

static void fetch_failed(struct sp_sts_quest *q, enum sp_rc rc)
{
    if (sp_sts_cache_find(q->plan.cache, q->plan.domain, steady_ms(q)) != NULL)
        sp_log_warn(q->plan.log, "sts.refresh-failed", SP_DOMAIN("domain", q->plan.domain),
                    SP_RC("why", rc));
    else
        sp_log_warn(q->plan.log, "sts.fetch-failed", SP_DOMAIN("domain", q->plan.domain),
                    SP_RC("why", rc));
    finish(q, rc);
}

static void on_fetched(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_sts_quest *q = arg;
    struct sp_jobs_fetch_reply got;
    struct sp_sts_policy policy;

    q->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_fetch_reply_decode(reply->payload, &got);
    if (rc == SP_OK)
        rc = sp_sts_policy_parse(got.body, &policy);
    if (rc != SP_OK) {
        fetch_failed(q, rc);
        return;
    }
    q->text = sp_arena_copy(q->arena, got.body);
    q->fetched_at_ms = steady_ms(q);
    q->how = RENEWED;
    if (is_known(q))
        keep(q, &policy);
    else
        keep_new(q, &policy);
}

static void fetch_policy(struct sp_sts_quest *q)
{
    struct sp_jobs_fetch_request what = {
        .kind = SP_JOBS_FETCH_STS,
        .domain = q->plan.domain,
        .addresses = q->addresses,
        .address_count = q->address_count,
    };
    struct sp_buf payload;

    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_fetch_request_encode(&payload, &what);
    if (sp_buf_rc(&payload) == SP_OK) {
        struct sp_jobs_request call = {
            .role = SP_ROLE_FETCHER,
            .index = SP_JOBS_ANY,
            .type = SP_JOBS_FETCH,
            .payload = sp_buf_bytes(&payload),
            .timeout_ms = FETCH_MS,
        };

        q->call = sp_jobs_call(q->plan.jobs, &call, on_fetched, q);
    } else {
        finish(q, sp_buf_rc(&payload));
    }
    sp_buf_clear(&payload);
}

static void on_address(void *arg, const struct sp_dns_answer *a)
{
    struct sp_sts_quest *q = arg;
    char text[64];

    if (sp_dns_rc_is_error(a->rc))
        q->found.why = a->rc;
    for (size_t i = 0; i < a->count && q->address_count < SP_JOBS_FETCH_ADDRESSES_MAX; i++) {
        sp_dns_ip_format(&a->records[i].ip, text);
        q->addresses[q->address_count++] = sp_arena_copy(q->arena, sp_bytes_cstr(text));
    }
    if (--q->open > 0)
        return;
    if (q->address_count > 0)
        fetch_policy(q);
    else
        fetch_failed(q, q->found.why == SP_OK ? SP_E_FETCH_FAILED : q->found.why);
}

/* ---- the record ---- */

static enum sp_rc read_txt(const struct sp_dns_answer *a, struct sp_bytes *id)
{
    struct sp_bytes texts[SP_DNS_RECORDS_MAX];

    if (sp_dns_rc_is_error(a->rc))
        return a->rc;
    for (size_t i = 0; i < a->count; i++)
        texts[i] = a->records[i].data;
    return a->rc == SP_OK ? sp_sts_txt_parse(texts, a->count, id) : SP_E_STS_NONE;
}

/* The new policy takes its time: the old one binds, and is refreshed in the background. */
static void on_moment(void *arg)
{
    struct sp_sts_quest *q = arg;

    sp_sts_cache_hurry(q->plan.cache, q->plan.domain);
    drop_questions(q);
    finish(q, SP_OK);
}

static void ask_addresses(struct sp_sts_quest *q, bool has_old)
{
    if (has_old && !q->plan.refresh)
        sp_timer_start(q->moment, q->plan.moment_ms == 0 ? MOMENT_MS : q->plan.moment_ms);
    q->open = 2;
    ask(q, "mta-sts.", SP_DNS_A, on_address);
    ask(q, "mta-sts.", SP_DNS_AAAA, on_address);
}

static bool is_fetch_due(struct sp_sts_quest *q, const struct sp_sts_policy *known)
{
    if (known != NULL && !q->plan.refresh && sp_bytes_eq(known->id, q->id))
        return false;
    return sp_sts_cache_should_fetch(q->plan.cache, q->plan.domain, q->id, steady_ms(q));
}

static void on_txt(void *arg, const struct sp_dns_answer *a)
{
    struct sp_sts_quest *q = arg;
    const struct sp_sts_policy *known =
        sp_sts_cache_find(q->plan.cache, q->plan.domain, steady_ms(q));
    struct sp_bytes id = {0};
    enum sp_rc rc = read_txt(a, &id);

    note_life(q, a);
    q->found.txt = rc;
    if (rc == SP_OK)
        q->found.id = q->id = sp_arena_copy(q->arena, id);
    else if (known != NULL)
        q->id = sp_arena_copy(q->arena, known->id);
    if (known == NULL)
        q->found.doubt = sp_sts_cache_doubt(q->plan.cache, q->plan.domain,
                                            sp_dns_rc_is_error(a->rc) ? rc : SP_OK, steady_ms(q));
    if (rc != SP_OK && known == NULL) {
        finish(q, rc);
    } else if (q->plan.jobs == NULL) {
        finish(q, known == NULL ? SP_E_ROLE_GONE : SP_OK);
    } else if (!is_fetch_due(q, known)) {
        finish(q, known == NULL ? SP_E_FETCH_FAILED : SP_OK);
    } else {
        ask_addresses(q, known != NULL);
    }
}

/* ---- life ---- */

static void on_done(void *arg)
{
    struct sp_sts_quest *q = arg;

    q->fn(q->arg, &q->found);
}

struct sp_sts_quest *sp_sts_quest_new(const struct sp_sts_quest_plan *plan, sp_sts_quest_fn fn,
                                      void *arg)
{
    struct sp_sts_quest *q = sp_calloc(1, sizeof(*q));

    q->arena = sp_arena_new(1024);
    q->plan = *plan;
    q->plan.domain = sp_arena_copy(q->arena, plan->domain);
    q->fn = fn;
    q->arg = arg;
    q->found.good_until_ms = INT64_MAX;
    q->done = sp_timer_new(plan->loop, on_done, q);
    q->moment = sp_timer_new(plan->loop, on_moment, q);
    ask(q, "_mta-sts.", SP_DNS_TXT, on_txt);
    return q;
}

void sp_sts_quest_hurry(struct sp_sts_quest *q, const struct sp_dns_ops *dns)
{
    q->plan.dns = dns;
    for (size_t i = 0; i < QUESTS_MAX; i++)
        sp_dns_hurry(dns, q->questions[i]);
}

void sp_sts_quest_free(struct sp_sts_quest *q)
{
    if (q == NULL)
        return;
    drop_questions(q);
    sp_timer_free(q->moment);
    sp_timer_free(q->done);
    sp_arena_free(q->arena);
    sp_free(q);
}
