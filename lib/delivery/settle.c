/*
 * What an attempt came to, as one record: each recipient's new state, the audit events, and the mail that it causes. A
 * recipient that is given up and its DSN stand in the same record, so that a crash loses neither or both.
 */
#include "delivery/delivery_priv.h"
#include "delivery/park_priv.h"
#include "delivery/report_priv.h"

#define CHILD_MAX SP_QUEUE_BODY_INLINE_MAX /* it lies in the record of what came of the attempt */

static int64_t now_ms(const struct sp_attempt *a)
{
    return sp_clock_wall_ms(sp_loop_clock(a->d->parts.loop));
}

static int64_t steady_ms(const struct sp_attempt *a)
{
    return sp_clock_steady_ms(sp_loop_clock(a->d->parts.loop));
}

static uint8_t rung_number(const struct sp_attempt *a, size_t index)
{
    return index < a->ladder.count ? (uint8_t)a->ladder.rungs[index].rung : 255;
}

static struct sp_result *add_result(struct sp_attempt *a, uint16_t n, uint8_t state, size_t index,
                                    enum sp_rc why)
{
    struct sp_result *r = &a->results[a->result_count++];

    *r = (struct sp_result){
        .n = n, .state = state, .rung = rung_number(a, index), .why = (uint16_t)why};
    return r;
}

/* ---- the record ---- */

struct sp_commit {
    struct sp_delivery *d;
    struct sp_attempt *a; /* while the child's body is finished */
    struct sp_child child;
    struct sp_queue_body *body;
};

struct record { /* on its way to the disk */
    struct sp_delivery *d;
    uint8_t fresh[SP_FRESH_MAX][SP_SHA256_LEN];
    size_t fresh_count;
    char *unreached; /* package of a notice that has come back; NULL: none */
};

static void on_durable(void *arg, enum sp_rc rc)
{
    struct record *r = arg;
    struct sp_delivery *d = r->d;

    d->committing--;
    if (rc == SP_OK)
        sp_report_evidence_durable(d, r->fresh, r->fresh_count);
    if (rc == SP_OK && r->unreached != NULL)
        sp_delivery_unreached(d, sp_bytes_cstr(r->unreached));
    sp_free(r->unreached);
    sp_free(r);
    if (rc != SP_OK && rc != SP_E_LIMIT) /* the queue has told that its audit did not fit */
        sp_log_error(d->parts.log, "delivery.not-recorded", SP_RC("why", rc));
    sp_delivery_ended(d);
}

static void write_record(struct sp_attempt *a, const struct sp_child *child,
                         struct sp_queue_body *body)
{
    struct sp_bytes events[SP_AUDIT_EVENTS_MAX];
    struct record *r = sp_calloc(1, sizeof(*r));
    struct sp_outcome o = {
        .id = a->p->m->accept.id,
        .time_ms = now_ms(a),
        .attempt = a->number,
        .results = a->results,
        .result_count = a->result_count,
        .audit = {.events = events, .count = a->event_count},
        .child = child == NULL ? NULL : &child->accept,
    };

    for (size_t i = 0; i < a->event_count; i++)
        events[i] = sp_buf_bytes(&a->events[i]);
    r->d = a->d;
    r->fresh_count = a->fresh_count;
    memcpy(r->fresh, a->fresh, sizeof(r->fresh));
    if (a->options->notice_of.package.len > 0 && a->result_count > 0 &&
        a->results[0].state == SP_RCPT_RETURNED)
        r->unreached = sp_strdup_bytes(a->options->notice_of.package);
    a->d->committing++;
    sp_queue_outcome(a->d->parts.queue, &o, body, on_durable, r);
    sp_attempt_free(a);
}

/*
 * The child's body could not be kept: only those whom it tells of go back to the queue, without its events. What else
 * the attempt came to is recorded: who has the message must not get it again. Frees a.
 */
static void commit_without_child(struct sp_attempt *a)
{
    uint16_t back[SP_QUEUE_DUE_MAX];
    size_t back_count = sp_outcome_part_told(a->results, &a->result_count, back);

    sp_queue_put_back(a->d->parts.queue, &a->p->m->accept.id, back, back_count,
                      steady_ms(a) + a->d->settings.retry_first_ms);
    while (a->event_count > a->child_events)
        sp_buf_clear(&a->events[--a->event_count]);
    if (a->result_count > 0)
        write_record(a, NULL, NULL);
    else
        sp_attempt_free(a);
}

static void on_body(void *arg, enum sp_rc rc)
{
    struct sp_commit *c = arg;
    struct sp_attempt *a = c->a;

    a->commit = NULL;
    if (rc != SP_OK) {
        sp_log_error(c->d->parts.log, "delivery.child-failed", SP_RC("why", rc));
        sp_queue_body_free(c->body);
        commit_without_child(a);
    } else {
        write_record(a, &c->child, c->body);
    }
    sp_free(c);
}

void sp_attempt_cancel_commit(struct sp_attempt *a)
{
    if (a->commit == NULL)
        return;
    sp_queue_body_free(a->commit->body);
    sp_free(a->commit);
    a->commit = NULL;
}

void sp_attempt_commit(struct sp_attempt *a, const struct sp_child *child)
{
    struct sp_commit *c;
    enum sp_rc rc;

    if (child == NULL) {
        write_record(a, NULL, NULL);
        return;
    }
    c = sp_calloc(1, sizeof(*c));
    c->d = a->d;
    c->a = a;
    c->child = *child;
    sp_report_child(a, &c->child);
    a->commit = c;
    c->body = sp_queue_body_new(a->d->parts.queue, &child->accept.id);
    sp_queue_body_stay(c->body);
    rc = sp_queue_body_feed(c->body, child->content);
    if (rc == SP_OK) {
        sp_queue_body_finish(c->body, on_body, c);
        return;
    }
    on_body(c, rc);
}

/* ---- deferred ---- */

static void find_class(const struct sp_attempt *a, enum sp_rc why,
                       const struct sp_smtp_reply *reply, struct sp_retry_class *out)
{
    const struct sp_delivery_settings *s = &a->d->settings;
    struct sp_retry_cause cause = {.why = why};

    if (reply != NULL) {
        cause.code = reply->code;
        cause.status = reply->status;
    }
    sp_outcome_retry_class(s->retries, s->retry_count, &cause, s->retry_first_ms, out);
}

static int64_t retry_at(struct sp_attempt *a, const struct sp_next *next,
                        const struct sp_retry_class *class)
{
    const struct sp_delivery_settings *s = &a->d->settings;
    int64_t wait_until_ms = next->wait_until_ms;
    struct sp_retry r;

    if (a->noise == 0)
        sp_random_fill(sp_random_system(), &a->noise, sizeof(a->noise));
    r = (struct sp_retry){
        .now_ms = steady_ms(a),
        .first_ms = class->first_ms > 0 ? class->first_ms : s->retry_first_ms,
        .max_ms = class->max_ms > 0 ? class->max_ms : s->retry_max_ms,
        .attempts = a->number,
        .noise = a->noise,
    };
    if (r.max_ms < r.first_ms)
        r.max_ms = r.first_ms;
    if (wait_until_ms > a->s.expire_ms) /* which the class may have shortened */
        wait_until_ms = a->s.expire_ms;
    r.stay_end_ms = a->p->m->accepted_at_ms + wait_until_ms;
    return sp_outcome_retry_at(&r);
}

static void log_attempt(const struct sp_attempt *a, const char *outcome, enum sp_rc why)
{
    /* What went well is told by the audit; a line a message here would be a write a message. */
    enum sp_log_level level = why == SP_OK ? SP_LOG_DEBUG : SP_LOG_INFO;

    sp_log_at(a->d->parts.log, level, "delivery.attempted", SP_ID("message", &a->p->m->accept.id),
              SP_DOMAIN("domain", a->domain), SP_TEXT("outcome", outcome), SP_RC("why", why),
              SP_INT("recipients", a->n_count), SP_INT("attempt", a->number));
}

/* Defers recipients; the caller commits. */
static void defer(struct sp_attempt *a, const struct sp_next *next, const uint16_t *ns,
                  size_t n_count, const struct sp_smtp_reply *reply)
{
    struct sp_retry_class class;
    struct sp_report report = {
        .outcome = "deferred",
        .ns = ns,
        .n_count = n_count,
        .why = next->why,
        /* the facts beside it are of who was seen last */
        .reply = reply == &a->put_off && a->put_off_hop != a->seen_hop ? NULL : reply,
        .taken = a->ladder.count,
        .waits = next->index,
    };

    find_class(a, next->why, reply, &class);
    report.next_at_ms = retry_at(a, next, &class);
    for (size_t i = 0; i < n_count; i++) {
        struct sp_result *r = add_result(a, ns[i], SP_RCPT_DEFERRED, next->index, next->why);

        struct sp_bounce_rcpt late = {
            .n = ns[i], .why = next->why, .until_ms = a->p->m->accept.time_ms + a->s.expire_ms};

        if (report.reply != NULL)
            late.reply = *report.reply;
        r->next_at_ms = report.next_at_ms;
        r->smtp = (uint16_t)late.reply.code;
        r->told = sp_attempt_hears_late(a, &late, next->late);
    }
    sp_report_attempt(a, &report);
    log_attempt(a, "deferred", next->why);
    a->d->stats.deferred += n_count;
}

/* The DSN can't be made: nobody hears, and nobody counts as told. */
static void unsay(struct sp_attempt *a)
{
    a->told_count = 0;
    for (size_t i = 0; i < a->result_count; i++) {
        a->results[i].told = false;
        if (a->results[i].state == SP_RCPT_RETURNED)
            a->results[i].state = SP_RCPT_FAILED;
    }
}

/* Commits, with a word to the sender if there is one. Frees a. */
static void commit_told(struct sp_attempt *a)
{
    struct sp_child child = {0};
    struct sp_buf content;
    bool tells = false;

    sp_buf_init(&content, CHILD_MAX);
    a->child_events = a->event_count;
    if (a->told_count > 0) {
        tells = sp_bounce_make(a, &content, &child) == SP_OK;
        if (!tells)
            unsay(a);
    } else if (a->result_count > 0 && a->results[0].state == SP_RCPT_DELIVERED &&
               sp_report_tells_portal(a)) {
        tells = sp_report_tell(a, &content, &child) == SP_OK;
    }
    child.content = sp_buf_bytes(&content);
    sp_attempt_commit(a, tells ? &child : NULL);
    sp_buf_clear(&content);
}

/* returns: what a host said when it put the mail off in this attempt, where that is the reason; or NULL */
static const struct sp_smtp_reply *said(const struct sp_attempt *a, enum sp_rc why)
{
    return why == SP_E_HOP_DEFERRED && a->put_off.code != 0 ? &a->put_off : NULL;
}

void sp_attempt_settle_wait(struct sp_attempt *a, const struct sp_next *next)
{
    struct sp_retry_class class;

    find_class(a, next->why, said(a, next->why), &class);
    if (sp_outcome_expires_early(&a->s, &class)) {
        sp_attempt_step(a);
        return;
    }
    if (sp_attempt_park(a, next))
        return;
    defer(a, next, a->ns, a->n_count, said(a, next->why));
    commit_told(a);
}

/* ---- given up ---- */

/* Gives up on recipients; the caller commits. */
static void give_up(struct sp_attempt *a, const struct sp_bounce_rcpt *gone, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool returned = sp_attempt_hears_failed(a, &gone[i]);

        add_result(a, gone[i].n, returned ? SP_RCPT_RETURNED : SP_RCPT_FAILED, a->ladder.count,
                   gone[i].why)
            ->smtp = (uint16_t)gone[i].reply.code;
    }
    a->d->stats.failed += count;
}

static void report_expired(struct sp_attempt *a)
{
    struct sp_jw w;

    if (!sp_report_begin(a, &w, "message.expired", a->ns, a->n_count))
        return;
    sp_report_end(a, &w);
}

static void hold(struct sp_attempt *a, const struct sp_next *next)
{
    struct sp_jw w;

    for (size_t i = 0; i < a->n_count; i++)
        add_result(a, a->ns[i], SP_RCPT_HELD, a->ladder.count, next->why);
    if (sp_report_begin(a, &w, "message.held", a->ns, a->n_count)) {
        sp_jw_object(&w, "actor");
        sp_jw_cstr(&w, "type", "system");
        sp_jw_cstr(&w, "id", "delivery");
        sp_jw_end(&w);
        sp_jw_cstr(&w, "reason", sp_rc_name(next->why));
        sp_report_end(a, &w);
    }
    sp_attempt_commit(a, NULL);
}

void sp_attempt_settle_end(struct sp_attempt *a, const struct sp_next *next)
{
    struct sp_bounce_rcpt gone[SP_QUEUE_DUE_MAX] = {0};
    const struct sp_smtp_reply *reply = a->put_off_hop == a->seen_hop ? said(a, next->why) : NULL;
    struct sp_report report = {
        .outcome = next->step == SP_STEP_HOLD ? "held" : "failed",
        .ns = a->ns,
        .n_count = a->n_count,
        .why = next->why,
        .reply = reply,
        .taken = a->ladder.count,
        .waits = a->ladder.count,
    };

    sp_report_attempt(a, &report);
    log_attempt(a, report.outcome, next->why);
    if (next->expired)
        report_expired(a);
    if (next->step == SP_STEP_HOLD) {
        hold(a, next);
        return;
    }
    for (size_t i = 0; i < a->n_count; i++) {
        gone[i] = (struct sp_bounce_rcpt){.n = a->ns[i],
                                          .why = next->expired ? SP_E_DELIVERY_EXPIRED : next->why};
        if (reply != NULL)
            gone[i].reply = *reply;
    }
    give_up(a, gone, a->n_count);
    commit_told(a);
}

/* ---- sent ---- */

struct put_off {
    uint16_t n;
    enum sp_rc why;
    const struct sp_smtp_reply *reply;
    struct sp_retry_class class;
    bool is_hosts_own; /* another one may take it */
};

struct sorted { /* what became of the recipients of one transaction */
    uint16_t delivered[SP_QUEUE_DUE_MAX];
    size_t delivered_count;
    struct put_off again[SP_QUEUE_DUE_MAX];
    size_t again_count;
    bool unsure; /* of those: some may have it (RFC 1047) */
    const struct sp_smtp_reply *delivered_reply;
    struct sp_bounce_rcpt refused[SP_QUEUE_DUE_MAX];
    bool refused_own[SP_QUEUE_DUE_MAX]; /* the reply was to this recipient alone */
    size_t refused_count;
};

/* returns: as sp_outcome_rcpt. Who was asked without TLS as his handshake failed, and wants it, has not refused the mail: that may be well soon */
static enum sp_fate fate_of(const struct sp_attempt *a, const struct sp_smtp_rcpt_result *r,
                            enum sp_rc *why)
{
    if (!a->plain || !sp_outcome_wants_tls(r))
        return sp_outcome_rcpt(r, why);
    *why = SP_E_TLS_HANDSHAKE;
    return SP_FATE_AGAIN;
}

/* own: as in sp_attempt_settle_sent */
static void sort_out(struct sp_attempt *a, enum sp_rc own, const struct sp_smtp_result *result,
                     struct sorted *s)
{
    for (size_t i = 0; i < a->n_count && i < result->count; i++) {
        const struct sp_smtp_rcpt_result *r = &result->rcpts[i];
        bool is_ours;
        enum sp_rc why;

        switch (fate_of(a, r, &why)) {
        case SP_FATE_DELIVERED:
            s->delivered[s->delivered_count++] = a->ns[i];
            s->delivered_reply = &r->reply;
            break;
        case SP_FATE_AGAIN:
            is_ours = own != SP_OK && r->reply.code == 0;
            why = is_ours ? own : why;
            s->again[s->again_count] =
                (struct put_off){.n = a->ns[i],
                                 .why = why,
                                 .reply = &r->reply,
                                 .is_hosts_own = !is_ours && (why == SP_E_TLS_HANDSHAKE ||
                                                              sp_outcome_is_hosts_own(r))};
            find_class(a, why, &r->reply, &s->again[s->again_count++].class);
            s->unsure = s->unsure || r->state == SP_SMTP_RCPT_UNSURE;
            break;
        case SP_FATE_REFUSED:
            s->refused_own[s->refused_count] = r->is_own;
            s->refused[s->refused_count++] =
                (struct sp_bounce_rcpt){.n = a->ns[i], .why = why, .reply = r->reply};
            break;
        }
    }
}

static void settle_delivered(struct sp_attempt *a, const struct sorted *s)
{
    struct sp_report report = {
        .outcome = "delivered",
        .ns = s->delivered,
        .n_count = s->delivered_count,
        .reply = s->delivered_reply,
        .taken = a->taken,
        .sent = true,
    };

    if (s->delivered_count == 0)
        return;
    for (size_t i = 0; i < s->delivered_count; i++) {
        struct sp_bounce_rcpt passed = {.n = s->delivered[i], .reply = *s->delivered_reply};

        add_result(a, passed.n, SP_RCPT_DELIVERED, a->taken, SP_OK)->smtp =
            (uint16_t)passed.reply.code;
        sp_attempt_hears_passed(a, &passed);
    }
    sp_report_attempt(a, &report);
    a->d->stats.delivered += s->delivered_count;
}

static void report_refused(struct sp_attempt *a, const struct sorted *s)
{
    uint16_t n;
    struct sp_report report = {
        .outcome = "failed", .ns = &n, .n_count = 1, .why = SP_E_HOP_REFUSED, .taken = a->taken};

    for (size_t i = 0; i < s->refused_count; i++) {
        n = s->refused[i].n;
        report.reply = &s->refused[i].reply;
        sp_report_attempt(a, &report);
        if (s->refused_own[i] && sp_outcome_suppresses(report.reply))
            sp_report_suppressed(a, n, report.reply);
    }
}

/* returns: whether both wait for the same reason and as long */
static bool is_alike(const struct put_off *a, const struct put_off *b)
{
    return a->why == b->why && a->reply->code == b->reply->code &&
           a->is_hosts_own == b->is_hosts_own && a->class.first_ms == b->class.first_ms &&
           a->class.max_ms == b->class.max_ms && a->class.expire_ms == b->class.expire_ms;
}

/*
 * The host has put off some for one reason. next: out: what is to be done about them. returns: whether they go on now, to
 * another host or another rung; else they wait
 */
static bool puts_off(struct sp_attempt *a, const struct put_off *kind, struct sp_next *next)
{
    a->put_off = *kind->reply;
    a->put_off_hop = a->hop;
    sp_outcome_put_off(&a->s, kind->why);
    if (kind->is_hosts_own && sp_attempt_leaves_host(a, kind->why)) {
        sp_outcome_forget_hops(&a->s);
        return true;
    }
    a->no_more = kind->why;
    sp_attempt_weigh_unasked(a, kind->why, a->taken + 1, &a->s);
    (void)sp_outcome_expires_early(&a->s, &kind->class);
    sp_outcome_next(&a->s, next);
    return next->step != SP_STEP_WAIT;
}

/* What puts_off changes: another kind's time and hosts are its own. */
struct stand {
    struct sp_standing s;
    struct sp_host_asked asked[SP_TRANSPORT_HOPS_MAX];
    enum sp_rc no_more;
};

static void keep(const struct sp_attempt *a, struct stand *to)
{
    to->s = a->s;
    memcpy(to->asked, a->asked, sizeof(to->asked));
    to->no_more = a->no_more;
}

static void restore(struct sp_attempt *a, const struct stand *from)
{
    a->s = from->s;
    memcpy(a->asked, from->asked, sizeof(a->asked));
    a->no_more = from->no_more;
}

/*
 * One kind of them waits, or goes on: in an attempt of its own, or in this one, with its keys and its copy, if that has nothing
 * to write. returns: the attempt that goes on, or NULL
 */
static struct sp_attempt *settle_kind(struct sp_attempt *a, const struct put_off *kind,
                                      const uint16_t *ns, size_t count, bool is_last)
{
    struct sp_attempt *rest = NULL;
    struct stand before;
    struct sp_next next;

    keep(a, &before);
    if (!puts_off(a, kind, &next)) {
        defer(a, &next, ns, count, kind->reply);
    } else if (is_last && a->result_count == 0) {
        memcpy(a->ns, ns, count * sizeof(*ns));
        a->n_count = count;
        a->went_on = true;
        return a;
    } else {
        rest = sp_attempt_split(a, ns, count);
    }
    restore(a, &before);
    return rest;
}

/* Those who were put off, by kinds. rests: out: attempts that go on, maybe a itself. returns: how many those are */
static size_t settle_again(struct sp_attempt *a, struct sorted *s, struct sp_attempt **rests)
{
    size_t rest_count = 0;

    while (s->again_count > 0) {
        struct put_off kind = s->again[0];
        uint16_t ns[SP_QUEUE_DUE_MAX];
        size_t count = 0, left = 0;

        for (size_t i = 0; i < s->again_count; i++) {
            if (is_alike(&s->again[i], &kind))
                ns[count++] = s->again[i].n;
            else
                s->again[left++] = s->again[i];
        }
        s->again_count = left;
        rests[rest_count] = settle_kind(a, &kind, ns, count, left == 0);
        rest_count += rests[rest_count] != NULL;
    }
    return rest_count;
}

void sp_attempt_settle_sent(struct sp_attempt *a, enum sp_rc own,
                            const struct sp_smtp_result *result)
{
    struct sorted s = {0};
    struct sp_attempt *rests[SP_QUEUE_DUE_MAX];
    size_t rest_count;

    sort_out(a, own, result, &s);
    settle_delivered(a, &s);
    if (s.delivered_count > 0)
        log_attempt(a, "delivered", SP_OK);
    report_refused(a, &s);
    a->unsure = a->unsure || s.unsure;
    give_up(a, s.refused, s.refused_count);
    rest_count = settle_again(a, &s, rests);
    if (a->result_count > 0)
        commit_told(a);
    for (size_t i = 0; i < rest_count; i++)
        sp_attempt_step(rests[i]);
}
