/*
 * One attempt: asks what outcome wants to know, in the order in which it wants it, and does what outcome says. The rule
 * that keeps the floor: a message is sent only in the callback that brought the connection (hops.c), after that very
 * connection's proof has been judged in the same turn. Nothing that was known of an earlier connection to the same host
 * counts.
 */
#include "delivery/delivery_priv.h"
#include "delivery/over_priv.h"
#include "delivery/park_priv.h"
#include "delivery/report_priv.h"
#include "delivery/sessions_priv.h"
#include "delivery/unrouted_priv.h"

#include <unistd.h>

#define FIRST_BLOCK 2048
#define STALES_MAX  3

struct sp_bytes sp_attempt_address(const struct sp_attempt *a, size_t i)
{
    return a->p->m->accept.recipients[a->ns[i]].address;
}

bool sp_attempt_is_foreign(const struct sp_attempt *a)
{
    return (a->p->m->accept.needs & SP_SENDER_FOREIGN) != 0;
}

bool sp_attempt_is_mail(const struct sp_attempt *a)
{
    return a->p->m->accept.kind == SP_ACCEPT_KIND_MAIL;
}

/* ---- parcels ---- */

void sp_parcel_unref(struct sp_parcel *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    if (p->has_body)
        sp_content_clear(&p->body);
    sp_queue_message_free(p->m);
    sp_free(p);
}

enum sp_rc sp_parcel_body(struct sp_delivery *d, struct sp_parcel *p)
{
    enum sp_rc rc;

    if (p->has_body)
        return SP_OK;
    if (sp_queue_body_at_hand(d->parts.queue, &p->m->accept.id, &p->body)) {
        p->has_body = true;
        return SP_OK;
    }
    rc = sp_queue_body(d->parts.queue, &p->m->accept.id, &p->body);
    p->has_body = rc == SP_OK;
    return rc;
}

/* ---- life ---- */

static struct sp_attempt *new_attempt(struct sp_delivery *d, struct sp_parcel *p)
{
    struct sp_attempt *a = sp_calloc(1, sizeof(*a));

    a->d = d;
    a->p = p;
    a->lane = p->lane;
    a->line = p->line;
    a->is_over = p->is_over;
    d->over += a->is_over;
    p->refs++;
    a->arena = sp_arena_new(FIRST_BLOCK);
    a->started_ms = sp_clock_mono_ms(sp_loop_clock(d->parts.loop));
    a->seen_hop = a->only_hop = SIZE_MAX;
    a->seal_fd = -1;
    sp_content_init(&a->sealed);
    sp_list_init(&a->sessions);
    sp_list_append(&d->attempts, &a->at);
    d->places.active++;
    d->places.urgent += a->lane == SP_LANE_URGENT;
    d->places.bulk += a->lane == SP_LANE_BULK;
    return a;
}

static void clear_source(struct sp_attempt *a)
{
    if (a->has_source)
        sp_source_clear(&a->source);
    a->has_source = false;
}

void sp_attempt_free(struct sp_attempt *a)
{
    struct sp_delivery *d = a->d;

    if (a->wait_route != 0)
        sp_transport_cancel(d->parts.transport, a->wait_route);
    sp_attempt_routed(a);
    if (a->wait_conn != 0)
        sp_pool_cancel(d->pool, a->wait_conn);
    if (a->wait_job != 0)
        sp_jobs_cancel(d->parts.jobs, a->wait_job);
    sp_attempt_cancel_commit(a);
    clear_source(a);
    sp_attempt_clear_seal(a);
    if (a->seal_fd >= 0)
        (void)close(a->seal_fd);
    sp_content_clear(&a->sealed);
    for (size_t i = 0; i < a->event_count; i++)
        sp_buf_clear(&a->events[i]);
    sp_attempt_leave_sessions(a);
    sp_route_unref(a->route);
    sp_parcel_unref(a->p);
    sp_list_remove(&a->at);
    d->over -= a->is_over;
    d->places.active--;
    d->places.urgent -= a->lane == SP_LANE_URGENT;
    d->places.bulk -= a->lane == SP_LANE_BULK;
    sp_arena_free(a->arena);
    sp_free(a);
    sp_delivery_ended(d);
}

void sp_attempt_put_first(struct sp_attempt *a)
{
    sp_queue_put_first(a->d->parts.queue, &a->p->m->accept.id, a->ns, a->n_count);
    sp_attempt_free(a);
}

/* returns: ms that are left of its own time, 1 at least */
static int64_t time_left(const struct sp_attempt *a)
{
    int64_t now_ms = sp_clock_steady_ms(sp_loop_clock(a->d->parts.loop));
    int64_t left_ms = a->p->m->accepted_at_ms + a->s.expire_ms - now_ms;

    return left_ms < 1 ? 1 : left_ms;
}

struct sp_pool_ask sp_attempt_pool_ask(const struct sp_attempt *a, size_t hop)
{
    return (struct sp_pool_ask){.route = a->route,
                                .ends_ms = time_left(a),
                                .hop = hop,
                                .plain = a->plain,
                                .tenant = a->p->m->accept.tenant,
                                .lane = a->lane,
                                .line = a->line};
}

/* Those who are too many for one transaction stand in line again. A copy is one recipient's, so it is all there is. */
static void limit_recipients(struct sp_attempt *a)
{
    struct sp_pool_ask ask = sp_attempt_pool_ask(a, a->hop);
    size_t most = sp_pool_recipients(a->d->pool, &ask);

    if (a->n_count <= most)
        return;
    sp_queue_put_first(a->d->parts.queue, &a->p->m->accept.id, a->ns + most, a->n_count - most);
    a->n_count = most;
    sp_delivery_opened(a->d);
}

/*
 * REQUIRETLS is passed on or the mail goes back; a bounce, which could not go back, is asked for under it where the host
 * offers it, and goes without it elsewhere, down to its floor (RFC 8689 5).
 */
static void stand(struct sp_attempt *a)
{
    const struct sp_accept *accept = &a->p->m->accept;
    int64_t now_ms = sp_clock_steady_ms(sp_loop_clock(a->d->parts.loop));
    bool asked = (accept->needs & SP_ASKED_REQUIRETLS) != 0;

    a->s = (struct sp_standing){
        .ladder = &a->ladder,
        .floor = (enum sp_floor)a->decision->floor,
        .is_sealed = a->options->is_sealed,
        .has_portal = sp_attempt_is_mail(a) && a->d->settings.has_portal && !asked,
        .requires_tls = asked && accept->sender.len > 0,
        .sealed_only = (accept->needs & SP_NEEDS_LONG) != 0 && !a->d->settings.long_lines,
        .portal_only = (accept->needs & SP_NEEDS_LONG_WORD) != 0 && !a->d->settings.long_lines,
        .since_accept_ms = now_ms - a->p->m->accepted_at_ms,
        .expire_ms = a->decision->expire_at_ms - accept->time_ms,
    };
    if (a->s.since_accept_ms < 0) /* the clock was set back while we did not run */
        a->s.since_accept_ms = 0;
    sp_outcome_begin(&a->s);
}

static struct sp_bytes domain_of(struct sp_attempt *a)
{
    struct sp_bytes address = sp_attempt_address(a, 0);
    struct sp_buf lower;
    struct sp_bytes domain;
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    sp_buf_init(&lower, 512);
    for (; at < address.len; at++)
        sp_buf_put_u8(&lower, sp_ascii_lower(address.ptr[at]));
    domain = sp_arena_copy(a->arena, sp_buf_bytes(&lower));
    sp_buf_clear(&lower);
    return domain;
}

void sp_attempt_start(struct sp_delivery *d, struct sp_parcel *p, const uint16_t *ns,
                      size_t n_count)
{
    struct sp_attempt *a = new_attempt(d, p);
    const struct sp_queue_message *m = p->m;

    memcpy(a->ns, ns, n_count * sizeof(*ns));
    a->n_count = n_count;
    a->decision = &m->accept.decisions[m->accept.recipients[ns[0]].decision];
    a->domain = a->way = domain_of(a);
    a->options = sp_arena_alloc(a->arena, sizeof(*a->options));
    for (size_t i = 0; i < n_count; i++)
        if (m->rcpts[ns[i]].attempts + 1U > a->number)
            a->number = m->rcpts[ns[i]].attempts + 1U;
    d->stats.attempts++;
    if (sp_options_read(a->decision->options, a->arena, a->options) != SP_OK ||
        !sp_delivery_ladder(a->decision, &a->ladder)) {
        struct sp_next next = {.step = SP_STEP_HOLD, .why = SP_E_MALFORMED};

        a->s.ladder = &a->ladder;
        a->ladder.count = next.index = 0;
        sp_attempt_settle_end(a, &next);
        return;
    }
    if (a->options->route.len > 0)
        a->way = a->options->route;
    stand(a);
    if (m->rcpts[ns[0]].state == SP_RCPT_HELD && !a->options->hold_protects)
        a->s.never = SP_E_DELIVERY_HELD; /* nobody released it in time */
    else if (sp_delivery_suppresses(d, m->accept.recipients[ns[0]].address))
        a->s.never = SP_E_DELIVERY_SUPPRESSED;
    if (!a->is_over || !sp_attempt_over(a))
        sp_attempt_step(a);
}

struct sp_attempt *sp_attempt_split(const struct sp_attempt *a, const uint16_t *ns, size_t n_count)
{
    struct sp_attempt *b = new_attempt(a->d, a->p);

    memcpy(b->ns, ns, n_count * sizeof(*ns));
    b->n_count = n_count;
    b->decision = a->decision;
    b->number = a->number;
    b->started_ms = a->started_ms;
    b->domain = sp_arena_copy(b->arena, a->domain);
    b->way = sp_arena_copy(b->arena, a->way);
    b->options = sp_arena_alloc(b->arena, sizeof(*b->options));
    if (sp_options_read(b->decision->options, b->arena, b->options) != SP_OK)
        sp_options_init(b->options); /* it was read before: can't be */
    b->ladder = a->ladder;
    b->s = a->s;
    b->s.ladder = &b->ladder;
    b->route = a->route == NULL ? NULL : sp_route_ref(a->route);
    b->has_verdict = a->has_verdict;
    b->verdict = a->verdict;
    b->has_before = a->has_before;
    b->before = a->before;
    b->seen_hop = a->seen_hop;
    memcpy(b->asked, a->asked, sizeof(b->asked));
    b->tls_json = sp_arena_copy(b->arena, a->tls_json);
    b->chain = sp_arena_copy(b->arena, a->chain);
    b->tlsa_matched = sp_arena_copy(b->arena, a->tlsa_matched);
    b->ip = sp_arena_copy(b->arena, a->ip);
    b->alerted = a->alerted;
    b->unsure = a->unsure;
    b->rounds = a->rounds;
    b->no_more = a->no_more;
    b->put_off = a->put_off;
    b->put_off_hop = a->put_off_hop;
    b->went_on = true;
    return b;
}

/* ---- sending ---- */

/*
 * RFC 5321 4.5.3.1.10: so many were taken, the others are to come in another transaction. Old hosts say 552, as RFC 821 had it,
 * and neither need have a status.
 */
static bool is_too_many(const struct sp_smtp_rcpt_result *r)
{
    const struct sp_status *status = &r->reply.status;

    if (!r->is_own || (r->reply.code != 452 && r->reply.code != 552))
        return false;
    return (status->subject == 5 && status->detail == 3) ||
           (status->subject == 0 && status->detail == 0);
}

/* Those who were too many stand in line again, if others were taken: so it gets on. returns: the result of the others */
static struct sp_smtp_result part_too_many(struct sp_attempt *a,
                                           const struct sp_smtp_result *result)
{
    struct sp_smtp_rcpt_result *kept;
    uint16_t back[SP_QUEUE_DUE_MAX];
    size_t taken = 0, too_many = 0, count = 0;

    for (size_t i = 0; i < result->count; i++) {
        taken += result->rcpts[i].state == SP_SMTP_RCPT_ACCEPTED;
        too_many += is_too_many(&result->rcpts[i]);
    }
    if (taken == 0 || too_many == 0 || result->count != a->n_count)
        return *result;
    kept = sp_arena_alloc(a->arena, result->count * sizeof(*kept));
    too_many = 0;
    for (size_t i = 0; i < result->count; i++) {
        if (is_too_many(&result->rcpts[i])) {
            back[too_many++] = a->ns[i];
            continue;
        }
        a->ns[count] = a->ns[i];
        kept[count++] = result->rcpts[i];
    }
    a->n_count = count;
    sp_queue_put_first(a->d->parts.queue, &a->p->m->accept.id, back, too_many);
    sp_delivery_opened(a->d);
    return (struct sp_smtp_result){.rcpts = kept, .count = count};
}

/*
 * A host that takes so many messages a connection, or has waited long enough, ends it between two; who comes at that moment has not
 * been heard, which says nothing of him nor of the host. returns: whether it is asked anew at once
 */
static bool is_stale(const struct sp_attempt *a, const struct sp_smtp_result *result)
{
    return a->reuses && a->stales < STALES_MAX && result->is_unheard && result->count > 0 &&
           sp_outcome_is_hosts_own(&result->rcpts[0]);
}

static void on_result(void *arg, enum sp_rc rc, const struct sp_smtp_result *result)
{
    struct sp_attempt *a = arg;
    struct sp_smtp_result parted;

    clear_source(a);
    if (sp_attempt_is_damaged(a, rc))
        return;
    if (rc == SP_OK && is_stale(a, result)) {
        a->stales++;
        a->rounds--;
        a->went_on = true;
        sp_outcome_forget_hops(&a->s);
        sp_attempt_step(a);
        return;
    }
    parted = part_too_many(a, result);
    sp_attempt_settle_sent(a, rc, &parted);
}

static enum sp_rc open_source(struct sp_attempt *a)
{
    const struct sp_content *content = &a->sealed;
    enum sp_rc rc = SP_OK;

    a->sends_copy = sp_attempt_needs_copy(a, a->ladder.rungs[a->taken].rung);
    if (!a->sends_copy) {
        rc = sp_parcel_body(a->d, a->p);
        content = &a->p->body;
    }
    if (rc == SP_OK) {
        a->has_source = true;
        rc = sp_source_open(&a->source, content, a->p->m->accept.trace, a->sends_copy);
    }
    return rc;
}

/* returns: whether the host is to pass REQUIRETLS on */
static bool says_requiretls(const struct sp_attempt *a)
{
    return a->s.requires_tls || ((a->p->m->accept.needs & SP_ASKED_REQUIRETLS) != 0 &&
                                 (sp_conn_extensions(a->conn) & SP_SMTP_EXT_REQUIRETLS) != 0 &&
                                 a->verdict.level >= SP_LEVEL_AUTHENTICATED);
}

/* As it came, or not at all (RFC 3461 5.2.1). */
static enum sp_dsn_ret ret_of(const struct sp_accept *accept)
{
    if (accept->ret == SP_ACCEPT_RET_NONE)
        return SP_RET_NONE;
    return accept->ret == SP_ACCEPT_RET_FULL ? SP_RET_FULL : SP_RET_HDRS;
}

static void fill_mail(const struct sp_attempt *a, struct sp_smtp_mail *mail,
                      struct sp_smtp_mail_rcpt *rcpts)
{
    const struct sp_accept *accept = &a->p->m->accept;
    bool is_8bit = (accept->needs & (SP_NEEDS_8BIT | SP_ASKED_8BITMIME)) != 0;

    bool is_sealed = sp_rung_is_crypto(a->ladder.rungs[a->taken].rung);

    *mail = (struct sp_smtp_mail){
        .from = sp_attempt_return_path(a), .rcpts = rcpts, .count = a->n_count};
    mail->params.has_size = true;
    mail->params.size = sp_source_total(&a->source);
    mail->params.body =
        is_8bit && !is_sealed && (sp_conn_extensions(a->conn) & SP_SMTP_EXT_8BITMIME) != 0
            ? SP_BODY_8BITMIME
            : SP_BODY_7BIT;
    mail->params.requiretls = says_requiretls(a);
    mail->params.smtputf8 = sp_attempt_is_utf8(a);
    mail->params.envid = accept->envid;
    mail->params.ret = ret_of(accept);
    for (size_t i = 0; i < a->n_count; i++) {
        const struct sp_accept_recipient *r = &accept->recipients[a->ns[i]];

        rcpts[i] = (struct sp_smtp_mail_rcpt){.address = r->address};
        rcpts[i].params.notify = r->notify;
        rcpts[i].params.orcpt = r->orcpt;
    }
}

/* The last door before the wire. */
static void send_mail(struct sp_attempt *a)
{
    struct sp_smtp_mail_rcpt rcpts[SP_QUEUE_DUE_MAX];
    enum sp_rung rung = a->ladder.rungs[a->taken].rung;
    struct sp_conn *c = a->conn;
    struct sp_smtp_mail mail;
    enum sp_rc rc;

    sp_assert(sp_rung_meets(rung, a->s.floor, a->s.is_sealed));
    sp_assert(a->s.rungs[a->taken].hop == a->hop && !a->verdict.broken);
    sp_assert(!sp_attempt_needs_copy(a, rung) || sp_attempt_has_copy(a, rung));
    sp_assert(sp_rung_is_crypto(rung) || (unsigned)a->verdict.level >= (unsigned)rung);
    rc = open_source(a);
    limit_recipients(a);
    if (rc == SP_OK) {
        fill_mail(a, &mail, rcpts);
        a->sent_bytes = sp_source_total(&a->source);
        a->sent_removed = a->source.removed;
        a->passes_notify = (sp_conn_extensions(c) & SP_SMTP_EXT_DSN) != 0;
        a->reuses = sp_conn_messages(c) > 0;
        a->d->stats.reused += a->reuses;
        rc = sp_conn_send(c, &mail, &a->source, on_result, a);
    }
    a->conn = NULL;
    if (rc == SP_OK)
        return;
    clear_source(a);
    sp_attempt_rung_failed(a, rc);
}

static bool is_tls(enum sp_rung rung)
{
    return rung >= SP_RUNG_TLS_ENCRYPTED && rung <= SP_RUNG_TLS_DANE;
}

static void take_rung(struct sp_attempt *a, size_t index)
{
    enum sp_rung rung = a->ladder.rungs[index].rung;

    a->taken = index;
    if (rung == SP_RUNG_PORTAL) {
        sp_attempt_deposit(a);
    } else if (sp_attempt_needs_copy(a, rung) && !sp_attempt_has_copy(a, rung)) {
        a->conn = NULL; /* sealing takes its time: others may use it meanwhile */
        sp_attempt_seal(a, rung);
    } else if (a->conn != NULL && a->s.rungs[index].hop == a->hop) {
        send_mail(a);
    } else {
        const struct sp_host_asked *asked = &a->asked[a->s.rungs[index].hop];

        a->only_hop = a->s.rungs[index].hop;
        a->plain =
            !is_tls(rung) && asked->rc == SP_OK && asked->verdict.tls_why == SP_E_TLS_HANDSHAKE;
        sp_attempt_ask_hops(a);
    }
}

void sp_attempt_step(struct sp_attempt *a)
{
    struct sp_next next;

    sp_outcome_next(&a->s, &next);
    if (next.alert)
        sp_report_dropped(a);
    switch (next.step) {
    case SP_STEP_KEYS:
        sp_attempt_ask_keys(a);
        return;
    case SP_STEP_HOP:
        sp_attempt_ask_hops(a);
        return;
    case SP_STEP_TAKE:
        take_rung(a, next.index);
        return;
    case SP_STEP_WAIT:
        if (!sp_attempt_stands_again(a, &next))
            sp_attempt_settle_wait(a, &next);
        return;
    case SP_STEP_RETURN:
    case SP_STEP_HOLD:
        sp_attempt_settle_end(a, &next);
        return;
    }
}
