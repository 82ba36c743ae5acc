/*
 * A tenant on trial: its rules are asked, recorded with all their facts, and not enforced. Every recipient then gets one and the
 * same thing: TLS, the best that its domain offers, and never less than encrypted, unless the rule that would have decided allows
 * less by its name. Where a domain offers no TLS at all, what the policy says itself follows, so that nothing goes out below
 * what it would have. Refusals, holds, edits, copies and routes are left undone. Who may send is no matter of rules and stays
 * as it is.
 */
#include "intake/intake_priv.h"

static const enum sp_rung by_tls[] = {SP_RUNG_TLS_DANE, SP_RUNG_TLS_AUTHENTICATED,
                                      SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_ENCRYPTED};

bool sp_intake_observes(const struct transaction *tx)
{
    return tx->proof.who != NULL && sp_tenant_observes(tx->proof.who->tenant, tx->time_ms);
}

static bool has_rung(const struct sp_ladder *l, enum sp_rung rung)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->rungs[i].rung == rung)
            return true;
    }
    return false;
}

/* TLS first, then what the policy's own ladder has besides. */
static const struct sp_ladder *make_ladder(struct transaction *tx, const struct sp_decision *would)
{
    struct sp_ladder *l = sp_arena_alloc(tx->arena, sizeof(*l));

    *l = (struct sp_ladder){
        .name = "observe", .floor = SP_FLOOR_TLS_ENCRYPTED, .at_end = SP_AT_END_RETURN};
    for (size_t i = 0; i < SP_ARRAY_LEN(by_tls); i++)
        l->rungs[l->count++] =
            (struct sp_ladder_rung){.rung = by_tls[i], .stay_unreachable_ms = SP_STAY_UNTIL_EXPIRE};
    for (size_t i = 0; would->ladder != NULL && i < would->ladder->count; i++) {
        const struct sp_ladder_rung *r = &would->ladder->rungs[i];

        if (!has_rung(l, r->rung) && l->count < SP_LADDER_RUNGS_MAX)
            l->rungs[l->count++] = *r;
    }
    return l;
}

/* Recipients with the same ladder keep one, so that they stay one group. */
static const struct sp_ladder *ladder_for(struct transaction *tx, size_t n,
                                          const struct sp_decision *would)
{
    for (size_t i = 0; i < n; i++) {
        if (tx->recipients[i].would->ladder == would->ladder)
            return tx->recipients[i].decision.ladder;
    }
    return make_ladder(tx, would);
}

/* Nothing of what a rule asks for besides is done. */
static void forget_rules(struct sp_decision *d)
{
    d->whole_message = false;
    d->text = sp_bytes(NULL, 0);
    d->text_name = "";
    d->hold = (struct sp_hold){.by = ""};
    d->raised_by.count = d->continued.count = d->tags.count = d->copies.count = 0;
    d->edits = (struct sp_edits){.header_count = 0};
    d->lane = d->route = d->redirect = d->smime_cipher = "";
    d->has_expire = false;
    d->expire_ms = 0;
    d->notify = 0;
}

static void pass_on(struct transaction *tx, size_t n)
{
    struct recipient *r = &tx->recipients[n];
    struct sp_decision *would = sp_arena_alloc(tx->arena, sizeof(*would));

    *would = r->decision;
    r->would = would;
    forget_rules(&r->decision);
    r->decision.verb = SP_DO_PROTECT;
    r->decision.rule = "observe";
    r->decision.ladder = ladder_for(tx, n, would);
    if (would->verb != SP_DO_PROTECT || would->floor > SP_FLOOR_TLS_ENCRYPTED) {
        r->decision.floor = SP_FLOOR_TLS_ENCRYPTED;
        r->decision.lowers = NULL;
    } /* else a rule allows it, by its name */
}

void sp_intake_observe(struct transaction *tx)
{
    for (size_t i = 0; i < tx->recipient_count; i++)
        pass_on(tx, i);
}

/* ---- on record ---- */

static bool would_same(const struct recipient *a, const struct recipient *b)
{
    return a->would->verb == b->would->verb && a->would->rule == b->would->rule &&
           a->would->ladder == b->would->ladder && a->would->floor == b->would->floor;
}

static bool is_first(const struct transaction *tx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (would_same(&tx->recipients[i], &tx->recipients[n]))
            return false;
    }
    return true;
}

static void put_would(struct sp_jw *w, const struct transaction *tx, size_t first)
{
    const struct sp_decision *d = tx->recipients[first].would;

    sp_jw_object(w, NULL);
    sp_jw_array(w, "n");
    for (size_t i = first; i < tx->recipient_count; i++) {
        if (would_same(&tx->recipients[first], &tx->recipients[i]))
            sp_jw_int(w, NULL, (int64_t)i);
    }
    sp_jw_end(w);
    sp_jw_cstr(w, "do", sp_do_name(d->verb));
    sp_jw_cstr(w, "rule", d->rule);
    sp_jw_array(w, "ladder");
    for (size_t i = 0; d->ladder != NULL && i < d->ladder->count; i++)
        sp_jw_cstr(w, NULL, sp_rung_name(d->ladder->rungs[i].rung));
    sp_jw_end(w);
    sp_jw_cstr(w, "floor", sp_floor_name(d->floor));
    sp_jw_end(w);
}

void sp_intake_audit_observed(struct sp_jw *w, const struct transaction *tx)
{
    if (tx->recipient_count == 0 || tx->recipients[0].would == NULL)
        return;
    sp_jw_object(w, "observed");
    sp_jw_cstr(w, "until", tx->proof.who->tenant->observe.until);
    sp_jw_array(w, "decisions");
    for (size_t i = 0; i < tx->recipient_count; i++) {
        if (is_first(tx, i))
            put_would(w, tx, i);
    }
    sp_jw_end(w);
    sp_jw_end(w);
}
