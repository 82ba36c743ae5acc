/*
 * Another address for a recipient that waits, or another of the routes that are configured. The policy decides anew for a new
 * address (lib/intake/redirect.c); a route changes nothing of what was decided but where the mail goes, so what the new next
 * hop must prove stays as it was.
 *
 *     {"command": "queue.redirect", "message": ID, "n": [0], "to": ADDRESS, "route": NAME, "reason": TEXT}
 *            -> {"message": ID, "done": "redirect", "recipients": [{"n": 0, "address": A, "rule": R, "floor": F, "state": S}]}
 *     {"command": "queue.would-redirect", ...}  -> the same with "would", and nothing is done
 */
#include "gateway/relay/command.h"

#include "delivery/suppress.h"
#include "mail/envelope.h"
#include "mail/idn.h"
#include "policy/options.h"
#include "queue/redirect.h"

#define EVENT_MAX (256 * 1024)

struct redirect {
    struct relay *relay;
    struct sp_jobs_job *job;
    struct sp_buf reply;
};

struct wish { /* what was asked for, checked; in the message's arena */
    const struct relay_question *q;
    struct sp_queue_message *m;
    struct sp_bytes to;    /* empty: as it is */
    struct sp_bytes route; /* empty: as decided */
    struct sp_queue_change *changes;
    size_t count;
};

static void on_done(void *arg, enum sp_rc rc)
{
    struct redirect *d = arg;

    if (rc == SP_E_EXISTS) {
        relay_reply_error(d->job, rc, "the message is in delivery now: repeat in a moment");
    } else if (rc != SP_OK) {
        relay_reply_error(d->job, rc, "it was not recorded, so it was not done");
    } else {
        relay_reply_json(d->job, SP_OK, &d->reply);
        relay_delivery_poke(d->relay);
    }
    sp_buf_clear(&d->reply);
    sp_free(d);
}

/* ---- the wish ---- */

static bool has_recipient(const struct sp_queue_message *m, struct sp_bytes address)
{
    for (size_t i = 0; i < m->accept.recipient_count; i++)
        if (sp_bytes_eq_nocase(m->accept.recipients[i].address, address))
            return true;
    return false;
}

/* Those named, or the only one that waits. returns: what is wrong, or NULL */
static const char *choose(struct wish *w)
{
    struct sp_act act = {.ns = NULL};

    if (!relay_read_ns(w->q, w->m, &act))
        return "n: recipients of this message by their numbers, as `queue show` has them";
    if (act.n_count == 0) {
        act.ns = sp_arena_alloc(w->m->arena, w->m->accept.recipient_count * sizeof(*act.ns));
        for (size_t i = 0; i < w->m->accept.recipient_count; i++)
            if (!sp_rcpt_state_is_final(w->m->rcpts[i].state))
                act.ns[act.n_count++] = (uint16_t)i;
    }
    w->changes = sp_arena_alloc(w->m->arena, (act.n_count + 1) * sizeof(*w->changes));
    for (size_t i = 0; i < act.n_count; i++) {
        for (size_t k = 0; k < w->count; k++)
            if (w->changes[k].n == act.ns[i])
                return "n: one recipient twice";
        if (sp_rcpt_state_is_final(w->m->rcpts[act.ns[i]].state))
            return "n: one of them waits no more";
        w->changes[w->count++] = (struct sp_queue_change){.n = act.ns[i]};
    }
    if (w->count == 0)
        return "nobody of it waits";
    if (w->to.len > 0 && w->count != 1)
        return "n: which one? Others wait, too";
    return NULL;
}

/* Kept in the form that addresses have in the queue. */
static bool read_to(struct wish *w, struct sp_bytes text)
{
    struct sp_buf to;
    bool ok;

    sp_buf_init(&to, SP_ADDRESS_MAX);
    ok = sp_address_normalise(text, &to) == SP_OK;
    if (ok)
        w->to = sp_arena_copy(w->m->arena, sp_buf_bytes(&to));
    sp_buf_clear(&to);
    return ok;
}

static const char *read_wish(const struct relay *r, struct wish *w)
{
    struct sp_bytes to = sp_json_text_of(w->q->ask, "to");

    w->route = sp_json_text_of(w->q->ask, "route");
    if (!relay_is_trial(w->q) && sp_bytes_trim(sp_json_text_of(w->q->ask, "reason")).len == 0)
        return "reason: needed, it is part of the audit record";
    if (to.len == 0 && w->route.len == 0)
        return "to or route: where shall it go?";
    if (to.len > 0 && !read_to(w, to))
        return "to: no address that mail can go to";
    if (w->m->quarantined)
        return "its record is damaged: it can be deleted, nothing else";
    if (w->m->accept.kind != SP_ACCEPT_KIND_MAIL)
        return "mail of our own goes where it was made for";
    if (w->to.len > 0 && has_recipient(w->m, w->to))
        return "to: that address has the message already";
    if (w->to.len > 0 &&
        sp_suppress_has(relay_suppress_list(r), w->to, sp_clock_wall_ms(sp_loop_clock(r->loop))))
        return "to: that address is not tried, as `suppression list` says: the mail would go back "
               "at once";
    if (w->route.len > 0 && !sp_config_has_route(r->config, w->route))
        return "route: neither delivery.routes nor delivery.smarthosts has it";
    return choose(w);
}

/* ---- what is to be ---- */

/* Who was meant stays known (RFC 3461 5.2.1). */
static struct sp_bytes orcpt_of(struct wish *w, const struct sp_accept_recipient *r)
{
    struct sp_bytes copy = r->orcpt;
    struct sp_buf text;

    if (copy.len > 0)
        return copy;
    sp_buf_init(&text, SP_ORCPT_MAX);
    if (sp_orcpt_of(r->address, &text) == SP_OK)
        copy = sp_arena_copy(w->m->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

static enum sp_rc put_route(struct wish *w, struct sp_accept_decision *d)
{
    struct sp_options options;
    struct sp_buf text;
    enum sp_rc rc = sp_options_read(d->options, w->m->arena, &options);

    if (rc != SP_OK)
        return rc;
    options.route = w->route;
    sp_buf_init(&text, SP_OPTIONS_MAX);
    rc = sp_options_write(&options, &text);
    if (rc == SP_OK)
        d->options = sp_arena_copy(w->m->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return rc;
}

static enum sp_rc decide(struct relay *r, struct wish *w, struct sp_queue_change *c,
                         struct sp_err *err)
{
    const struct sp_accept *a = &w->m->accept;
    struct sp_intake_redirect ask = {.accept = a, .n = c->n, .to = w->to};
    enum sp_rc rc = SP_OK;

    c->address = a->recipients[c->n].address;
    c->orcpt = a->recipients[c->n].orcpt;
    c->decision = a->decisions[a->recipients[c->n].decision];
    if (w->to.len > 0) {
        c->orcpt = orcpt_of(w, &a->recipients[c->n]);
        c->address = w->to;
        rc = sp_intake_redecide(r->intake, &ask, w->m->arena, &c->decision, err);
    } else if (w->m->rcpts[c->n].state != SP_RCPT_HELD) {
        c->decision.does = SP_ACCEPT_DO_PROTECT; /* it was released once: it is not held again */
    }
    if (rc == SP_OK && w->route.len > 0 && put_route(w, &c->decision) != SP_OK)
        rc = sp_fail(err, SP_E_LIMIT, "what was decided can't be kept");
    return rc;
}

/* ---- what is told ---- */

static bool is_held(const struct wish *w, const struct sp_queue_change *c)
{
    return c->decision.does == SP_ACCEPT_DO_HOLD || w->m->rcpts[c->n].state == SP_RCPT_HELD;
}

static void put_way(struct sp_jw *jw, const struct wish *w, const struct sp_queue_change *c)
{
    sp_jw_object(jw, NULL);
    sp_jw_int(jw, "n", c->n);
    sp_jw_cstr(jw, "way", w->to.len > 0 ? "redirect" : "route");
    if (w->to.len > 0)
        sp_jw_text(jw, "was", w->m->accept.recipients[c->n].address);
    sp_jw_text(jw, "to", c->address);
    if (w->route.len > 0)
        sp_jw_text(jw, "route", w->route);
    sp_jw_cstr(jw, "do", is_held(w, c) ? "hold" : "protect");
    sp_jw_text(jw, "rule", c->decision.rule);
    sp_jw_array(jw, "ladder");
    for (size_t i = 0; i < c->decision.rung_count; i++)
        sp_jw_cstr(jw, NULL, sp_rung_name((enum sp_rung)c->decision.rungs[i].rung));
    sp_jw_end(jw);
    sp_jw_cstr(jw, "floor", sp_floor_name((enum sp_floor)c->decision.floor));
    sp_jw_end(jw);
}

static void put_event(const struct relay *r, const struct wish *w, struct sp_buf *out)
{
    struct sp_jw jw;

    sp_jw_init(&jw, out);
    sp_jw_object(&jw, NULL);
    sp_jw_cstr(&jw, "event", "delivery.redirected");
    sp_jw_text(&jw, "tenant", w->m->accept.tenant);
    sp_jw_id(&jw, "message", w->m->accept.id.b);
    sp_jw_text(&jw, "policy",
               w->to.len > 0 ? sp_intake_policy_hash(r->intake) : w->m->accept.policy);
    sp_jw_array(&jw, "n");
    for (size_t i = 0; i < w->count; i++)
        sp_jw_int(&jw, NULL, w->changes[i].n);
    sp_jw_end(&jw);
    sp_jw_array(&jw, "ways");
    for (size_t i = 0; i < w->count; i++)
        put_way(&jw, w, &w->changes[i]);
    sp_jw_end(&jw);
    sp_jw_cstr(&jw, "act", "queue.redirect");
    sp_jw_raw(&jw, "actor", w->q->actor.len > 0 ? w->q->actor : SP_LIT("{}"));
    sp_jw_text(&jw, "reason", sp_json_text_of(w->q->ask, "reason"));
    sp_jw_end(&jw);
}

static void put_reply(const struct wish *w, struct sp_buf *out)
{
    struct sp_jw jw;

    sp_jw_init(&jw, out);
    sp_jw_object(&jw, NULL);
    sp_jw_id(&jw, "message", w->m->accept.id.b);
    sp_jw_cstr(&jw, relay_is_trial(w->q) ? "would" : "done", "redirect");
    sp_jw_array(&jw, "recipients");
    for (size_t i = 0; i < w->count; i++) {
        const struct sp_accept_decision *d = &w->changes[i].decision;

        sp_jw_object(&jw, NULL);
        sp_jw_int(&jw, "n", w->changes[i].n);
        sp_jw_text(&jw, "address", w->changes[i].address);
        sp_jw_text(&jw, "rule", d->rule);
        sp_jw_cstr(&jw, "floor", sp_floor_name((enum sp_floor)d->floor));
        sp_jw_cstr(&jw, "state", is_held(w, &w->changes[i]) ? "held" : "pending");
        sp_jw_end(&jw);
    }
    sp_jw_end(&jw);
    sp_jw_end(&jw);
}

/* What it would come to; nothing is changed. */
static void try_only(const struct wish *w)
{
    struct sp_buf json;
    bool busy = false;

    for (size_t i = 0; i < w->m->accept.recipient_count; i++)
        busy = busy || w->m->busy[i];
    sp_buf_init(&json, RELAY_REPLY_MAX);
    put_reply(w, &json);
    if (busy)
        relay_reply_error(w->q->job, SP_E_EXISTS,
                          "the message is in delivery now: repeat in a moment");
    else
        relay_reply_json(w->q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void carry_out(struct relay *shard, const struct relay *r, const struct wish *w)
{
    struct redirect *d = sp_calloc(1, sizeof(*d));
    struct sp_queue_redirect what = {.id = w->m->accept.id,
                                     .changes = w->changes,
                                     .n_count = w->count,
                                     .policy = w->to.len > 0 ? sp_intake_policy_hash(r->intake)
                                                             : w->m->accept.policy};
    struct sp_bytes event;
    struct sp_buf text;

    d->relay = shard;
    d->job = w->q->job;
    sp_buf_init(&d->reply, RELAY_REPLY_MAX);
    put_reply(w, &d->reply);
    sp_buf_init(&text, EVENT_MAX);
    put_event(r, w, &text);
    event = sp_buf_bytes(&text);
    if (sp_buf_rc(&text) != SP_OK) {
        relay_reply_error(d->job, SP_E_LIMIT, "reason: too long");
        sp_buf_clear(&d->reply);
        sp_free(d);
    } else {
        what.audit = (struct sp_audit_list){.events = &event, .count = 1};
        sp_queue_redirect(shard->queue, &what, on_done, d);
    }
    sp_buf_clear(&text);
}

void relay_redirect(struct relay *r, const struct relay_question *q)
{
    SP_AUTO(sp_queue_message) m = NULL;
    struct wish w = {.q = q};
    struct sp_err err = {0};
    enum sp_rc rc = SP_OK;
    struct relay *shard;
    const char *wrong;
    struct sp_id id;

    if (!sp_id_parse(sp_json_text_of(q->ask, "message"), &id)) {
        relay_reply_error(q->job, SP_E_USAGE,
                          "message: that is no message's id; trace takes a Message-ID, too");
        return;
    }
    shard = relay_load(r, &id, &m);
    if (shard == NULL) {
        relay_reply_error(q->job, SP_E_NOT_FOUND, "no such message in the queue");
        return;
    }
    w.m = m;
    wrong = read_wish(r, &w);
    if (wrong != NULL) {
        relay_reply_error(q->job, SP_E_USAGE, wrong);
        return;
    }
    for (size_t i = 0; i < w.count && rc == SP_OK; i++)
        rc = decide(r, &w, &w.changes[i], &err);
    if (rc != SP_OK)
        relay_reply_error(q->job, rc, err.text);
    else if (relay_is_trial(q))
        try_only(&w);
    else
        carry_out(shard, r, &w);
}
