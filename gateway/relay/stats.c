/*
 * queue.stats: what a relay counts, for `sallyport status` and the page of metrics. Nothing here reads a message: all of it
 * is counted as it happens, so that a look costs the same whatever lies in the queue, but for the destinations, each of
 * which is passed once, over several turns of the loop.
 *
 *     {"command": "queue.stats"}   -> {"messages": N, "pending": N, ..., "refused": [{"reason": R, "count": N}], ...}
 */
#include "gateway/relay/command.h"

#include "policy/ladder.h"

static const int64_t age_limits_s[] = {60, 300, 900, 3600, 14400, 43200, 86400, 172800, 432000};

/* What all shards hold together. */
static void add_stats(struct sp_queue_stats *sum, const struct sp_queue_stats *more)
{
    sum->messages += more->messages;
    sum->recipients_pending += more->recipients_pending;
    sum->recipients_held += more->recipients_held;
    sum->recipients_busy += more->recipients_busy;
    sum->quarantined += more->quarantined;
    sum->disk_len += more->disk_len;
    sum->living_len += more->living_len;
    sum->carried += more->carried;
    sum->carried_len += more->carried_len;
    sum->journal.records += more->journal.records;
    sum->journal.batches += more->journal.batches;
    sum->journal.syncs += more->journal.syncs;
    sum->journal.failures += more->journal.failures;
    sum->journal.sync_us += more->journal.sync_us;
    for (size_t i = 0; i <= SP_JOURNAL_SYNC_STEPS; i++)
        sum->journal.sync_steps[i] += more->journal.sync_steps[i];
    for (size_t rung = 0; rung < SP_QUEUE_RUNGS; rung++) {
        for (size_t state = 0; state < SP_RCPT_STATE_COUNT; state++)
            sum->results[rung][state] += more->results[rung][state];
    }
}

static void put_queue(const struct relay *r, const struct sp_queue_stats *stats, struct sp_jw *w)
{
    enum sp_rc ready = sp_queue_ready(r->queue);
    struct sp_fact_wish none;

    if (ready == SP_OK && relay_wishes_find(r, SP_LIT(""), SP_LIT(""), &none) < 0)
        ready = SP_E_ROLE_GONE; /* as each recipient is answered until the ledger has spoken */
    if (ready == SP_OK && sp_queue_is_ordered(r->queue, SP_QUEUE_ORDER_DRAIN, SP_LIT("")))
        sp_jw_cstr(w, "accepts", "draining");
    else
        sp_jw_cstr(w, "accepts", ready == SP_OK ? "yes" : sp_rc_name(ready));
    sp_jw_int(w, "messages", (int64_t)stats->messages);
    sp_jw_int(w, "pending", (int64_t)stats->recipients_pending);
    sp_jw_int(w, "held", (int64_t)stats->recipients_held);
    sp_jw_int(w, "in_delivery", (int64_t)stats->recipients_busy);
    sp_jw_int(w, "quarantined", (int64_t)stats->quarantined);
    sp_jw_int(w, "bytes", (int64_t)stats->disk_len);
    sp_jw_int(w, "living_bytes", (int64_t)stats->living_len);
    sp_jw_int(w, "carried", (int64_t)stats->carried);
    sp_jw_int(w, "carried_bytes", (int64_t)stats->carried_len);
    sp_jw_int(w, "records", (int64_t)stats->journal.records);
    sp_jw_int(w, "batches", (int64_t)stats->journal.batches);
    sp_jw_int(w, "syncs", (int64_t)stats->journal.syncs);
    sp_jw_int(w, "failures", (int64_t)stats->journal.failures);
}

static void put_intake(const struct relay *r, struct sp_jw *w)
{
    struct sp_intake_stats stats = sp_intake_stats(r->intake);

    sp_jw_int(w, "sessions", (int64_t)stats.sessions);
    sp_jw_int(w, "sessions_now", (int64_t)stats.active);
    sp_jw_int(w, "slowed", (int64_t)stats.slowed);
    sp_jw_int(w, "slowings", (int64_t)stats.slowings);
    sp_jw_int(w, "memory", (int64_t)stats.memory);
    sp_jw_int(w, "memory_refused", (int64_t)stats.memory_refused);
    sp_jw_int(w, "turned_away", (int64_t)stats.turned_away);
    sp_jw_int(w, "timed_out", (int64_t)stats.timed_out);
    sp_jw_int(w, "handshakes_failed", (int64_t)stats.handshakes_failed);
    sp_jw_int(w, "handshakes_timed_out", (int64_t)stats.handshakes_timed_out);
    sp_jw_int(w, "accepted", (int64_t)stats.accepted);
    sp_jw_int(w, "scans", (int64_t)stats.scans);
    sp_jw_int(w, "scans_failed", (int64_t)stats.scans_failed);
    sp_jw_array(w, "refused");
    for (int rc = 0; rc < SP_RC_COUNT; rc++) {
        if (stats.refused_why[rc] == 0)
            continue;
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "reason", sp_rc_name((enum sp_rc)rc));
        sp_jw_int(w, "count", (int64_t)stats.refused_why[rc]);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_results(const struct sp_queue_stats *stats, struct sp_jw *w)
{
    sp_jw_array(w, "results");
    for (size_t i = 0; i < (size_t)SP_QUEUE_RUNGS * SP_RCPT_STATE_COUNT; i++) {
        size_t rung = i / SP_RCPT_STATE_COUNT;
        uint8_t state = (uint8_t)(i % SP_RCPT_STATE_COUNT);

        if (stats->results[rung][state] == 0)
            continue;
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "rung", rung < SP_RUNG_COUNT ? sp_rung_name((enum sp_rung)rung) : "none");
        sp_jw_cstr(w, "result", sp_rcpt_state_name(state));
        sp_jw_int(w, "count", (int64_t)stats->results[rung][state]);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

/* Cumulative, as Prometheus wants it; upper ends in microseconds. */
static void put_syncs(const struct sp_journal_stats *stats, struct sp_jw *w)
{
    uint64_t count = 0;

    sp_jw_int(w, "sync_us", (int64_t)stats->sync_us);
    sp_jw_array(w, "sync_steps");
    for (size_t i = 0; i < SP_JOURNAL_SYNC_STEPS; i++) {
        count += stats->sync_steps[i];
        sp_jw_object(w, NULL);
        sp_jw_int(w, "us", sp_journal_sync_step_us(i));
        sp_jw_int(w, "count", (int64_t)count);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_ages(const struct relay *r, struct sp_jw *w)
{
    size_t sum[SP_ARRAY_LEN(age_limits_s)] = {0};
    int64_t oldest_s = 0;

    for (const struct relay *x = r; x != NULL; x = x->left) {
        size_t counts[SP_ARRAY_LEN(age_limits_s)];
        int64_t age_s = sp_queue_ages(x->queue, age_limits_s, SP_ARRAY_LEN(age_limits_s), counts);

        oldest_s = age_s > oldest_s ? age_s : oldest_s;
        for (size_t i = 0; i < SP_ARRAY_LEN(sum); i++)
            sum[i] += counts[i];
    }
    sp_jw_int(w, "oldest_s", oldest_s);
    sp_jw_array(w, "ages");
    for (size_t i = 0; i < SP_ARRAY_LEN(sum); i++) {
        sp_jw_object(w, NULL);
        sp_jw_int(w, "older_than_s", age_limits_s[i]);
        sp_jw_int(w, "count", (int64_t)sum[i]);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_helpers(const struct relay *r, struct sp_jw *w)
{
    static const enum sp_role_kind roles[] = {SP_ROLE_SCANNER, SP_ROLE_SEALER,  SP_ROLE_KEEPER,
                                              SP_ROLE_PORTAL,  SP_ROLE_FETCHER, SP_ROLE_LEDGER};

    sp_jw_array(w, "helpers");
    for (size_t i = 0; i < SP_ARRAY_LEN(roles); i++) {
        struct sp_jobs_view v = sp_jobs_look(r->jobs, roles[i]);

        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "role", sp_ipc_role_name(roles[i]));
        sp_jw_int(w, "up", (int64_t)v.up);
        sp_jw_int(w, "busy", (int64_t)v.busy);
        sp_jw_int(w, "queued", (int64_t)(v.asked - v.busy + v.waiting));
        sp_jw_int(w, "came", (int64_t)v.came);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

/* ---- the destinations that most wait for ---- */

struct site {
    char *name;
    int64_t count;
};

struct stats {
    struct relay_task task;
    struct relay *shard; /* whose lines are gone through */
    struct sp_map_walk walk;
    struct sp_map *counts; /* by name: struct site */
    struct site **list;
    size_t count;
    size_t cap;
};

static void on_line(void *arg, const struct sp_line_view *v)
{
    struct stats *s = arg;
    struct site *site = sp_map_find(s->counts, v->destination);

    if (v->ready + v->waits == 0)
        return;
    if (site == NULL) {
        if (s->count == s->cap) {
            s->cap = s->cap == 0 ? 256 : s->cap * 2;
            s->list = sp_realloc(s->list, s->cap * sizeof(struct site *));
        }
        site = sp_calloc(1, sizeof(*site));
        site->name = sp_strdup_bytes(v->destination); /* the line may go before the answer */
        s->list[s->count++] = site;
        (void)sp_map_put(s->counts, v->destination, site);
    }
    site->count += (int64_t)(v->ready + v->waits);
}

static bool is_before(const struct site *x, const struct site *y)
{
    return x->count != y->count ? x->count > y->count : strcmp(x->name, y->name) < 0;
}

/* Puts the first of them in order, those behind stay as they are: few are told of many. returns: how many */
static size_t sort_first(struct stats *s, size_t max)
{
    size_t sorted = 0;

    for (size_t i = 0; i < s->count && max > 0; i++) {
        struct site *site = s->list[i];
        size_t at = sorted;

        if (sorted == max && !is_before(site, s->list[max - 1]))
            continue;
        if (sorted < max)
            sorted++;
        else
            at--;
        s->list[i] = s->list[sorted - 1];
        for (; at > 0 && is_before(site, s->list[at - 1]); at--)
            s->list[at] = s->list[at - 1];
        s->list[at] = site;
    }
    return sorted;
}

static void put_sites(struct stats *s, struct sp_jw *w)
{
    size_t told = sort_first(s, (size_t)s->task.relay->config->admin.sites);

    sp_jw_int(w, "sites_count", (int64_t)s->count);
    sp_jw_array(w, "sites");
    for (size_t i = 0; i < told; i++) {
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "site", s->list[i]->name);
        sp_jw_int(w, "count", s->list[i]->count);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void reply(struct stats *s)
{
    struct relay *r = s->task.relay;
    struct sp_queue_stats stats = sp_queue_stats(r->queue);
    struct sp_buf json;
    struct sp_jw w;

    for (const struct relay *x = r->left; x != NULL; x = x->left) {
        struct sp_queue_stats more = sp_queue_stats(x->queue);

        add_stats(&stats, &more);
    }
    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    put_queue(r, &stats, &w);
    put_intake(r, &w);
    put_results(&stats, &w);
    put_syncs(&stats.journal, &w);
    put_ages(r, &w);
    put_helpers(r, &w);
    put_sites(s, &w);
    relay_delivery_put_pool(r, &w);
    sp_jw_end(&w);
    relay_reply_json(s->task.q.job, SP_OK, &json);
    sp_buf_clear(&json);
}

static bool step(struct relay_task *task)
{
    struct stats *s = (struct stats *)task;

    if (sp_lines_each_some(sp_queue_lines(s->shard->queue), &s->walk, on_line, s))
        return true;
    if (s->shard->left != NULL) {
        s->shard = s->shard->left;
        s->walk = (struct sp_map_walk){0};
        return true;
    }
    reply(s);
    return false;
}

static void clear(struct relay_task *task)
{
    struct stats *s = (struct stats *)task;

    for (size_t i = 0; i < s->count; i++) {
        sp_free(s->list[i]->name);
        sp_free(s->list[i]);
    }
    sp_map_free(s->counts);
    sp_free(s->list);
}

void relay_stats(struct relay *r, const struct relay_question *q)
{
    struct stats *s = sp_calloc(1, sizeof(*s));

    s->task.step = step;
    s->task.clear = clear;
    s->shard = r;
    s->counts = sp_map_new();
    relay_task_start(&s->task, r, q);
}
