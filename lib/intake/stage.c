/*
 * Two policies at once: the live one, and a draft that is tried beside it. In shadow the live one decides and the draft is
 * only asked; else the draft decides its share of the messages, and the live one is asked. Which of them a message falls
 * to hangs on a keyed hash of what it is (tenant, sender, Message-ID), so that it never flips, however often it is sent
 * again. At RCPT that is not known yet: an answer is given there only if both agree.
 */
#include "base/text.h"
#include "intake/intake_priv.h"
#include "policy/record.h"

/* Time and preference are each policy's own to fill in. */
static void forget_own(struct sp_facts *f)
{
    f->values[SP_FACT_TIME_HOUR].state = SP_FACT_PENDING;
    f->values[SP_FACT_TIME_WEEKDAY].state = SP_FACT_PENDING;
}

bool sp_intake_stage_agrees(struct transaction *tx, const struct recipient *r)
{
    struct sp_decision decision;
    struct sp_facts facts = tx->facts;

    if (tx->other == NULL)
        return true;
    if (tx->gen->stage.percent == 0 && r->decision.verb == SP_DO_REJECT)
        return true; /* in shadow it does not count */
    forget_own(&facts);
    sp_intake_facts_recipient(tx, tx->other, &facts, r);
    return sp_policy_decide_envelope(tx->other, &facts, &decision) &&
           (decision.verb == SP_DO_REJECT) == (r->decision.verb == SP_DO_REJECT);
}

void sp_intake_stage_choose(struct transaction *tx)
{
    struct sp_field f;
    struct sp_buf said;
    uint8_t mac[SP_SHA256_LEN];
    struct sp_bytes id = sp_bytes(tx->id.b, SP_ID_LEN);

    if (tx->other == NULL)
        return;
    if (sp_header_find(&tx->header, SP_LIT("Message-ID"), 0, &f))
        id = sp_field_message_id(&f);
    sp_buf_init(&said, 2 * SP_HEADER_MAX);
    sp_buf_put_cstr(&said, "stage");
    sp_buf_put_var(&said, sp_bytes_cstr(tx->proof.who->tenant->name));
    sp_buf_put_var(&said, tx->sender);
    sp_buf_put_var(&said, id);
    sp_crypt_hmac(sp_secret_bytes(&tx->in->parts.mark_key), sp_buf_bytes(&said), mac);
    sp_buf_clear(&said);
    if (!sp_policy_stage_takes(tx->gen->stage.percent, mac))
        return;
    tx->policy = tx->gen->stage.draft;
    tx->other = tx->gen->policy;
    forget_own(&tx->facts); /* what the other one filled in at RCPT */
}

/* Asks the policy that does not decide, from the same facts but for what is its own. */
static void ask_other(struct transaction *tx, const struct sp_facts *before, struct recipient *r,
                      struct sp_buf *out)
{
    struct sp_facts facts = *before;
    struct sp_decision decision = {.verb = SP_DO_PROTECT};
    struct sp_buf text;

    forget_own(&facts);
    sp_intake_facts_recipient(tx, tx->other, &facts, r);
    sp_policy_decide(tx->other, &facts, &decision);
    sp_decision_write(&decision, out);
    sp_buf_init(&text, SP_DECISION_TEXT_MAX);
    sp_decision_write(&r->decision, &text);
    if (sp_bytes_eq(sp_buf_bytes(&text), sp_buf_bytes(out)))
        sp_buf_reset(out);
    else
        tx->otherwise++;
    sp_buf_clear(&text);
}

void sp_intake_stage_decide(struct transaction *tx, struct recipient *r, struct sp_buf *other)
{
    struct sp_facts before;

    if (tx->other != NULL)
        before = tx->facts;
    sp_intake_facts_recipient(tx, tx->policy, &tx->facts, r);
    memset(&r->decision, 0, sizeof(r->decision));
    sp_policy_decide(tx->policy, &tx->facts, &r->decision);
    r->decided = true;
    if (tx->other != NULL)
        ask_other(tx, &before, r, other);
}
