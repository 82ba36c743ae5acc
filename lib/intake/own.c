/*
 * Mail of our own: the DSN for recipients that policy refused, and what portal and ledger submit. Each has a floor and
 * the rungs that meet it, best first; it is queued like any other mail and goes no lower.
 */
#include "intake/intake_priv.h"

#include "mail/idn.h"

void sp_intake_own_decision(struct sp_arena *arena, enum sp_floor floor, int64_t expire_at_ms,
                            struct sp_accept_decision *out)
{
    static const enum sp_rung rungs[] = {SP_RUNG_TLS_DANE, SP_RUNG_TLS_AUTHENTICATED,
                                         SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_ENCRYPTED,
                                         SP_RUNG_PLAIN};

    *out = (struct sp_accept_decision){.does = SP_ACCEPT_DO_PROTECT,
                                       .floor = (uint8_t)floor,
                                       .at_end = SP_AT_END_RETURN,
                                       .rule = SP_LIT("own-mail"),
                                       .expire_at_ms = expire_at_ms};
    out->rungs = sp_arena_alloc(arena, (SP_ARRAY_LEN(rungs) + 1) * sizeof(*out->rungs));
    for (size_t i = 0; i < SP_ARRAY_LEN(rungs); i++) {
        if (sp_rung_meets(rungs[i], floor, false))
            out->rungs[out->rung_count++] = (struct sp_accept_rung){
                (uint8_t)rungs[i], SP_STAY_UNTIL_EXPIRE, SP_STAY_DROPPED_DEFAULT};
    }
    if (out->rung_count == 0) /* a floor of `sealed`: only the portal can carry it */
        out->rungs[out->rung_count++] = (struct sp_accept_rung){
            (uint8_t)SP_RUNG_PORTAL, SP_STAY_UNTIL_EXPIRE, SP_STAY_DROPPED_DEFAULT};
}

/* returns: whether the sender asked not to hear of failures (RFC 3461 4.1), can't, or is nobody of the tenant's */
static bool is_silent(const struct transaction *tx, const struct recipient *r)
{
    return tx->sender.len == 0 || sp_intake_sender_is_foreign(tx) ||
           (r->notify != 0 && !(r->notify & SP_NOTIFY_FAILURE));
}

/* returns: whether a rule holds the message and says that the sender hears `late`, who did not say otherwise */
static bool hears_of_hold(const struct transaction *tx, const struct recipient *r)
{
    return r->decision.verb == SP_DO_HOLD && (r->decision.notify & SP_NOTIFY_LATE) != 0 &&
           tx->sender.len > 0 && !sp_intake_sender_is_foreign(tx) &&
           (r->notify == 0 || (r->notify & SP_NOTIFY_DELAY) != 0);
}

static size_t collect_refused(struct transaction *tx, struct sp_dsn_recipient *out)
{
    size_t count = 0;

    for (size_t i = 0; i < tx->recipient_count; i++) {
        const struct recipient *r = &tx->recipients[i];

        if (hears_of_hold(tx, r)) {
            out[count++] = (struct sp_dsn_recipient){
                .address = r->address,
                .orcpt = r->orcpt,
                .action = SP_DSN_DELAYED,
                .status = {4, 7, 1},
                .why = r->decision.hold.kind == SP_HOLD_DELAY
                           ? SP_LIT("It waits here for a while, so that it can be taken back.")
                           : SP_LIT("It is held until a person has looked at it."),
                .retry_until_ms =
                    r->decision.hold.within_ms > 0 ? tx->time_ms + r->decision.hold.within_ms : 0};
            continue;
        }
        if (r->decision.verb != SP_DO_REJECT || is_silent(tx, r))
            continue;
        out[count++] = (struct sp_dsn_recipient){.address = r->address,
                                                 .orcpt = r->orcpt,
                                                 .action = SP_DSN_FAILED,
                                                 .status = {5, 7, 1},
                                                 .why = r->decision.text};
    }
    return count;
}

/* The address that our reports come from: the tenant's postmaster. */
static struct sp_bytes reporter(struct transaction *tx)
{
    const struct sp_tenant *t = tx->proof.who->tenant;
    struct sp_buf b;
    struct sp_bytes out;

    sp_buf_init(&b, 2 * SP_ADDRESS_MAX);
    if (t->postmaster[0] != 0) {
        sp_buf_put_cstr(&b, t->postmaster);
    } else {
        sp_buf_put_cstr(&b, "postmaster@");
        sp_buf_put_cstr(&b, t->domains.count > 0 ? t->domains.items[0] : tx->gen->hostname);
    }
    out = sp_arena_copy(tx->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return out;
}

static void set_child(struct transaction *tx, int64_t expire_at_ms)
{
    struct sp_accept *c = &tx->child;

    *c = (struct sp_accept){.id = c->id,
                            .parent = tx->id,
                            .time_ms = tx->time_ms,
                            .skew_ms = tx->skew_ms,
                            .kind = SP_ACCEPT_KIND_DSN,
                            .needs = sp_text_is_ascii(tx->sender) ? 0 : SP_NEEDS_8BIT,
                            .tenant = tx->accept.tenant,
                            .policy = tx->accept.policy,
                            .decision_count = 1,
                            .recipient_count = 1};
    c->decisions = sp_arena_alloc(tx->arena, sizeof(*c->decisions));
    sp_intake_own_decision(
        tx->arena, sp_policy_floor(sp_policy_for(tx->policy, tx->accept.tenant, tx->sender)),
        expire_at_ms, c->decisions);
    c->recipients = sp_arena_alloc(tx->arena, sizeof(*c->recipients));
    c->recipients[0] =
        (struct sp_accept_recipient){.address = tx->sender, .notify = SP_ACCEPT_NOTIFY_NEVER};
    tx->accept.child = c;
}

static bool any_held(const struct transaction *tx)
{
    for (size_t i = 0; i < tx->recipient_count; i++)
        if (hears_of_hold(tx, &tx->recipients[i]))
            return true;
    return false;
}

enum sp_rc sp_intake_return(struct transaction *tx)
{
    struct sp_dsn dsn = {.host = sp_bytes_cstr(tx->gen->hostname),
                         .to = tx->sender,
                         .envid = tx->mail.envid,
                         .now_ms = tx->time_ms,
                         .arrived_ms = tx->time_ms};
    struct sp_dsn_recipient *refused =
        sp_arena_alloc(tx->arena, tx->recipient_count * sizeof(*refused));
    struct sp_buf kept, text;
    enum sp_rc rc;

    dsn.recipients = refused;
    dsn.count = collect_refused(tx, refused);
    if (dsn.count == 0)
        return SP_OK;
    dsn.from = reporter(tx);
    if (any_held(tx))
        dsn.recall = sp_intake_recall_address(tx);
    dsn.id = tx->child.id = sp_id_new(tx->in->parts.clock, tx->in->parts.random);
    sp_buf_init(&kept, 8192);
    sp_dsn_keep_header(&tx->header, &kept);
    dsn.original_header = sp_buf_bytes(&kept);
    sp_buf_init(&text, SP_QUEUE_BODY_STAY_MAX);
    rc = sp_dsn_build(&dsn, &text);
    if (rc == SP_OK) {
        tx->child_body = sp_queue_body_new(tx->in->parts.queue, &tx->child.id);
        sp_queue_body_stay(tx->child_body);
        rc = sp_queue_body_feed(tx->child_body, sp_buf_bytes(&text));
    }
    if (rc == SP_OK)
        set_child(tx, tx->time_ms + sp_policy_expire_ms(tx->policy, tx->gen->expire_ms));
    sp_buf_clear(&kept);
    sp_buf_clear(&text);
    return rc;
}

/* ---- what others submit ---- */

struct submission {
    struct sp_intake *in;
    struct sp_arena *arena;
    struct sp_accept accept;
    struct sp_queue_body *body;
    bool again;
    void (*done)(void *arg, enum sp_rc rc, const struct sp_id *id);
    void *arg;
};

static void end(struct submission *sub, enum sp_rc rc)
{
    struct sp_intake *in = sub->in;

    sub->done(sub->arg, rc, &sub->accept.id);
    sp_queue_body_free(sub->body);
    sp_arena_free(sub->arena);
    sp_free(sub);
    in->transactions--;
    sp_intake_check_drained(in);
    sp_intake_unref(in);
}

static void on_submitted(void *arg, enum sp_rc rc)
{
    end(arg, rc);
}

static void on_body(void *arg, enum sp_rc rc)
{
    struct submission *sub = arg;
    struct sp_queue_accept accept = {.accept = &sub->accept, .done = on_submitted, .arg = sub};
    uint8_t sha256[32];
    struct sp_buf event;

    if (rc != SP_OK) {
        end(sub, rc);
        return;
    }
    sp_queue_body_sha256(sub->body, sha256);
    sp_buf_init(&event, 65536);
    sp_intake_audit_own(&sub->accept, sha256, sp_queue_body_len(sub->body), sub->again, &event);
    rc = sp_buf_rc(&event);
    if (rc == SP_OK)
        sub->accept.audit.events[0] = sp_arena_copy(sub->arena, sp_buf_bytes(&event));
    sp_buf_clear(&event);
    if (rc != SP_OK) { /* what can't be recorded is not sent */
        end(sub, rc);
        return;
    }
    sub->accept.audit.count = 1;
    accept.body = SP_STEAL(sub->body);
    sp_queue_accept(sub->in->parts.queue, &accept);
}

static void set_submission(struct submission *sub, const struct sp_intake_own *own)
{
    struct sp_intake *in = sub->in;
    struct sp_accept *a = &sub->accept;
    int64_t now = sp_clock_wall_ms(in->parts.clock);
    int64_t expire = own->expire_at_ms > 0
                         ? own->expire_at_ms
                         : now + sp_policy_expire_ms(in->now->policy, in->now->expire_ms);

    a->id = sp_id_new(in->parts.clock, in->parts.random);
    a->parent = own->parent;
    a->time_ms = now;
    a->skew_ms = sp_clock_skew_ms(in->parts.clock);
    a->kind = own->kind;
    a->needs = own->needs;
    sub->again = own->again;
    a->message_id = sp_arena_copy(sub->arena, own->message_id);
    a->tenant = sp_arena_copy(sub->arena, own->tenant);
    a->sender = sp_arena_copy(sub->arena, own->from);
    a->policy = sp_arena_copy(sub->arena, sp_bytes_cstr(sp_policy_hash(in->now->policy)));
    a->decisions = sp_arena_alloc(sub->arena, sizeof(*a->decisions));
    a->decision_count = 1;
    sp_intake_own_decision(sub->arena, own->floor, expire, a->decisions);
    a->recipients = sp_arena_alloc(sub->arena, sizeof(*a->recipients));
    a->recipient_count = 1;
    a->recipients[0].address = sp_arena_copy(sub->arena, own->to);
    a->audit.events = sp_arena_alloc(sub->arena, sizeof(*a->audit.events));
}

/* A fault found at once is told on a later turn all the same. */
static void fail_later(void *arg)
{
    struct submission *sub = arg;

    end(sub, SP_E_MALFORMED);
}

void sp_intake_submit(struct sp_intake *in, const struct sp_intake_own *own,
                      void (*done)(void *arg, enum sp_rc rc, const struct sp_id *id), void *arg)
{
    struct submission *sub = sp_calloc(1, sizeof(*sub));
    struct sp_address a;
    bool ok = sp_address_parse(own->to, &a) == SP_OK &&
              (own->from.len == 0 || sp_address_parse(own->from, &a) == SP_OK);

    sub->in = in;
    sub->done = done;
    sub->arg = arg;
    sub->arena = sp_arena_new(4096);
    sp_intake_ref(in);
    in->transactions++;
    set_submission(sub, own);
    sub->body = sp_queue_body_new(in->parts.queue, &sub->accept.id);
    if (!ok || sp_queue_body_feed(sub->body, own->content) != SP_OK)
        sp_loop_post(in->parts.loop, fail_later, sub);
    else
        sp_queue_body_finish(sub->body, on_body, sub);
}
