/*
 * The decision at the end of data: one for each recipient, from the same facts but for the recipient's own. If all are
 * refused, the client hears it; else the message is taken and the refused come back to the sender by DSN.
 */
#include "intake/evidence_priv.h"
#include "intake/intake_priv.h"
#include "policy/record.h"

/* A rule with whole_message speaks for everybody; the first one that does is the one, a refusal before a hold. */
static const struct sp_decision *find_whole(const struct transaction *tx, enum sp_do verb)
{
    for (size_t i = 0; i < tx->recipient_count; i++)
        if (tx->recipients[i].decision.whole_message && tx->recipients[i].decision.verb == verb)
            return &tx->recipients[i].decision;
    return NULL;
}

void sp_intake_hold_with(struct sp_decision *d, const struct sp_decision *whole)
{
    struct sp_decision held = *d;

    if (d->verb != SP_DO_PROTECT)
        return;
    if (whole->floor > d->floor) {
        held.ladder = whole->ladder;
        held.floor = whole->floor;
        held.lowers = NULL;
    }
    held.verb = whole->verb;
    held.hold = whole->hold;
    held.rule = whole->rule;
    held.stage = whole->stage;
    held.notify |= whole->notify;
    *d = held;
}

static void spread_whole(struct transaction *tx)
{
    const struct sp_decision *reject = find_whole(tx, SP_DO_REJECT);
    const struct sp_decision *hold = find_whole(tx, SP_DO_HOLD);

    for (size_t i = 0; i < tx->recipient_count; i++) {
        struct sp_decision *d = &tx->recipients[i].decision;

        if (reject != NULL && d != reject)
            *d = *reject;
        else if (reject == NULL && hold != NULL && d != hold)
            sp_intake_hold_with(d, hold);
    }
}

static void decide_all(struct transaction *tx)
{
    for (size_t i = 0; i < tx->recipient_count; i++) {
        struct recipient *r = &tx->recipients[i];
        struct sp_buf other;

        /* also those who were decided at RCPT: the rule is the same, but now it is known whether the mail is sealed */
        sp_buf_init(&other, SP_DECISION_TEXT_MAX);
        sp_intake_stage_decide(tx, r, &other);
        sp_intake_audit_recipient(tx, r, sp_buf_bytes(&other));
        sp_buf_clear(&other);
    }
}

/* What a policy does not name is the tenant's own: whose name stands in a notice. */
static void name_notices(struct transaction *tx)
{
    const char *name = tx->proof.who->tenant->display_name;

    for (size_t i = 0; i < tx->recipient_count && name[0] != 0; i++) {
        struct sp_portal_options *portal = &tx->recipients[i].decision.portal;

        if (portal->notify_from == NULL || portal->notify_from[0] == 0)
            portal->notify_from = name;
    }
}

void sp_intake_decide(struct transaction *tx)
{
    sp_intake_facts_header(tx);
    sp_intake_facts_content(tx);
    sp_intake_stage_choose(tx);
    decide_all(tx);
    spread_whole(tx);
    name_notices(tx);
    if (sp_intake_observes(tx))
        sp_intake_observe(tx);
    sp_intake_ways(tx);
    for (size_t i = 0; i < tx->recipient_count; i++)
        tx->refused_count += tx->recipients[i].decision.verb == SP_DO_REJECT;
    if (tx->refused_count == tx->recipient_count) {
        const struct sp_decision *d = &tx->recipients[0].decision;

        sp_intake_refused(tx->session, tx, "message.refused", SP_E_INTAKE_POLICY,
                          sp_bytes_cstr(d->rule));
        sp_intake_tx_done(tx, SP_E_INTAKE_POLICY, d->text);
        return;
    }
    if (sp_intake_lines_must_stay(tx)) {
        sp_intake_refused(tx->session, tx, "message.refused", SP_E_INTAKE_LINES, sp_bytes(NULL, 0));
        sp_intake_tx_done(tx, SP_E_INTAKE_LINES, sp_bytes(NULL, 0));
        return;
    }
    sp_intake_record(tx);
}
