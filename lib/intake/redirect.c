/*
 * A recipient of a message in the queue is to be another address: the policy of now decides for it anew, from the facts that
 * were recorded at acceptance, but for the recipient's own. As with a rule's redirection (ways.c) whoever stands in for
 * another is held to what was decided for that one: its floor, and no less. What was not looked at then, since no rule
 * asked, counts as most sensitive if one asks now.
 */
#include "intake/intake_priv.h"

#include "mail/idn.h"
#include "policy/facts_read.h"

/* The facts of then, with time and recipient of now. */
static enum sp_rc set_facts(struct sp_intake *in, struct sp_bytes tenant, struct sp_bytes to,
                            struct sp_facts *f)
{
    const struct sp_policy *policy = in->now->policy;
    struct sp_address a;
    int is_new = -1;

    f->language = SP_POLICY_LANGUAGE; /* the rules are of now, and were checked as such */
    f->now_ms = sp_clock_wall_ms(in->parts.clock);
    sp_facts_set_absent(f, SP_FACT_TIME_HOUR);
    sp_facts_set_absent(f, SP_FACT_TIME_WEEKDAY);
    if (sp_policy_asks_content(policy) && f->values[SP_FACT_SCAN].state != SP_FACT_KNOWN) {
        sp_facts_set_unknown(f, SP_FACT_MESSAGE_SEALED);
        sp_facts_set_unknown(f, SP_FACT_ATTACHMENT_TYPE);
        sp_facts_set_unknown(f, SP_FACT_ATTACHMENT_NAME);
        sp_facts_set_unknown(f, SP_FACT_ATTACHMENT_OPAQUE);
        sp_facts_set_scan(f, SP_SCAN_CRASHED);
    }
    sp_facts_set_recipient(f, to);
    if (in->parts.is_new != NULL)
        is_new = in->parts.is_new(in->parts.arg, tenant, to);
    if (is_new < 0)
        sp_facts_set_unknown(f, SP_FACT_RECIPIENT_FIRST_CONTACT);
    else
        sp_facts_set_number(f, SP_FACT_RECIPIENT_FIRST_CONTACT, is_new);
    if (sp_intake_wish(in, tenant, to, f) < 0)
        return SP_E_ROLE_GONE;
    if (in->parts.remembered != NULL && sp_address_parse(to, &a) == SP_OK)
        sp_facts_set_number(f, SP_FACT_DOMAIN_REMEMBERED,
                            in->parts.remembered(in->parts.arg, a.domain));
    else
        sp_facts_set_unknown(f, SP_FACT_DOMAIN_REMEMBERED);
    sp_policy_fill(policy, f);
    return SP_OK;
}

static bool has_way(const struct sp_decision *d)
{
    for (size_t i = 0; d->ladder != NULL && i < d->ladder->count; i++)
        if (sp_rung_meets(d->ladder->rungs[i].rung, d->floor, d->is_sealed))
            return true;
    return false;
}

enum sp_rc sp_intake_redecide(struct sp_intake *in, const struct sp_intake_redirect *r,
                              struct sp_arena *arena, struct sp_accept_decision *out,
                              struct sp_err *err)
{
    const struct sp_accept_decision *was =
        &r->accept->decisions[r->accept->recipients[r->n].decision];
    struct sp_decision d;
    struct sp_facts facts;
    struct sp_address a;

    if (sp_address_parse(r->to, &a) != SP_OK || !sp_text_is_ascii(a.domain))
        return sp_fail(err, SP_E_USAGE, "to: no address that mail can go to");
    if (r->accept->facts.len == 0 || sp_facts_read(r->accept->facts, arena, &facts) != SP_OK)
        return sp_fail(err, SP_E_NOT_FOUND, "the facts of its decision are not kept");
    if (set_facts(in, r->accept->tenant, r->to, &facts) != SP_OK)
        return sp_fail(err, SP_E_ROLE_GONE, "what recipients have chosen is not known yet");
    sp_policy_decide(in->now->policy, &facts, &d);
    if (d.verb == SP_DO_REJECT || d.verb == SP_DO_DISCARD)
        return sp_fail(err, SP_E_INTAKE_POLICY, "rule %s does not let it go there", d.rule);
    if (d.floor < (enum sp_floor)was->floor) {
        d.floor = (enum sp_floor)was->floor;
        d.lowers = NULL;
    }
    if (!has_way(&d))
        return sp_fail(err, SP_E_DELIVERY_FLOOR, "rule %s has no way that meets %s", d.rule,
                       sp_floor_name(d.floor));
    return sp_intake_decision_of(arena, &d, facts.now_ms, in->now->expire_ms, out);
}

struct sp_bytes sp_intake_policy_hash(const struct sp_intake *in)
{
    return sp_bytes_cstr(sp_policy_hash(in->now->policy));
}
