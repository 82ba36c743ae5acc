/*
 * Copies and redirections. Whoever gets a message by a rule's word rather than the sender's is decided for like any other
 * recipient, by the same facts but for its own address, and then held to what was decided for the one it stands for: its
 * floor, and no less. A redirection asks for no further one, and a copy for no further copy, so there can be no circle.
 */
#include "base/text.h"
#include "intake/intake_priv.h"

static bool same_address(struct sp_bytes a, struct sp_bytes b)
{
    return sp_bytes_eq_nocase(a, b);
}

/* What r gets for a copy that `from` was decided for. */
static void decide_as(struct transaction *tx, struct recipient *r, const struct sp_decision *from)
{
    struct sp_decision own;

    sp_intake_facts_recipient(tx, tx->policy, &tx->facts, r);
    sp_policy_decide(tx->policy, &tx->facts, &own);
    if (own.verb == SP_DO_REJECT || own.verb == SP_DO_DISCARD)
        own = *from;
    if (from->verb == SP_DO_HOLD)
        sp_intake_hold_with(&own, from);
    if (own.floor < from->floor) {
        own.floor = from->floor;
        own.lowers = NULL;
    }
    own.redirect = "";
    own.copies.count = 0;
    r->decision = own;
    r->decided = true;
}

static void redirect(struct transaction *tx, struct recipient *r)
{
    struct sp_decision from = r->decision;
    struct sp_buf orcpt;

    if (r->orcpt.len == 0) { /* RFC 3461 5.2.1: who was meant stays known */
        sp_buf_init(&orcpt, SP_ORCPT_MAX);
        if (sp_orcpt_of(r->address, &orcpt) == SP_OK)
            r->orcpt = sp_arena_copy(tx->arena, sp_buf_bytes(&orcpt));
        sp_buf_clear(&orcpt);
    }
    r->was = r->address;
    r->address = sp_arena_copy(tx->arena, sp_bytes_cstr(from.redirect));
    r->way_rule = from.rule;
    decide_as(tx, r, &from);
}

static bool has_recipient(const struct transaction *tx, struct sp_bytes address)
{
    for (size_t i = 0; i < tx->recipient_count; i++)
        if (same_address(tx->recipients[i].address, address))
            return true;
    return false;
}

static void add_copies(struct transaction *tx, size_t of)
{
    const struct sp_decision from = tx->recipients[of].decision;

    for (size_t i = 0; i < from.copies.count; i++) {
        struct sp_bytes address = sp_bytes_cstr(from.copies.names[i]);
        struct recipient *r;

        if (has_recipient(tx, address))
            continue;
        r = sp_intake_tx_add(tx);
        *r = (struct recipient){.address = sp_arena_copy(tx->arena, address),
                                .notify = SP_NOTIFY_NEVER, /* the sender knows nothing of it */
                                .is_copy = true,
                                .way_rule = from.rule};
        decide_as(tx, r, &from);
    }
}

void sp_intake_ways(struct transaction *tx)
{
    size_t count = tx->recipient_count;

    for (size_t i = 0; i < count; i++) {
        struct recipient *r = &tx->recipients[i];

        if (r->decision.verb == SP_DO_REJECT || r->decision.verb == SP_DO_DISCARD)
            continue;
        add_copies(tx, i);
        r = &tx->recipients[i]; /* the array may have moved */
        if (r->decision.redirect[0] != 0 &&
            !same_address(r->address, sp_bytes_cstr(r->decision.redirect)))
            redirect(tx, r);
    }
}

bool sp_intake_has_ways(const struct transaction *tx)
{
    for (size_t i = 0; i < tx->recipient_count; i++)
        if (tx->recipients[i].is_copy || tx->recipients[i].was.len > 0)
            return true;
    return false;
}

void sp_intake_audit_ways(struct transaction *tx, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "delivery.redirected");
    sp_jw_text(&w, "tenant", tx->accept.tenant);
    sp_jw_id(&w, "message", tx->id.b);
    sp_jw_text(&w, "policy", tx->accept.policy);
    sp_jw_array(&w, "n");
    for (size_t i = 0; i < tx->recipient_count; i++)
        if (tx->recipients[i].is_copy || tx->recipients[i].was.len > 0)
            sp_jw_int(&w, NULL, (int64_t)i);
    sp_jw_end(&w);
    sp_jw_array(&w, "ways");
    for (size_t i = 0; i < tx->recipient_count; i++) {
        const struct recipient *r = &tx->recipients[i];

        if (!r->is_copy && r->was.len == 0)
            continue;
        sp_jw_object(&w, NULL);
        sp_jw_int(&w, "n", (int64_t)i);
        sp_jw_cstr(&w, "way", r->is_copy ? "copy" : "redirect");
        sp_jw_cstr(&w, "rule", r->way_rule);
        if (r->was.len > 0)
            sp_jw_text(&w, "was", r->was);
        sp_jw_text(&w, "to", r->address);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
}
