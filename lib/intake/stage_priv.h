/*
 * What a decision is made from, and what a transaction does beside: copies, asking a draft, taking another message back.
 */
#ifndef SP_INTAKE_STAGE_PRIV_H
#define SP_INTAKE_STAGE_PRIV_H

#include "intake/intake_priv.h"

/* Adds the copies and makes the redirections that the decisions ask for. */
void sp_intake_ways(struct transaction *tx);
/* returns: whether there are any */
bool sp_intake_has_ways(const struct transaction *tx);
/* Appends delivery.redirected for them. */
void sp_intake_audit_ways(struct transaction *tx, struct sp_buf *out);

/* ---- recall.c: taking a held message back ---- */
/* returns: the address that its sender answers to, to take it back */
struct sp_bytes sp_intake_recall_address(struct transaction *tx);
/* Looks whether a recipient is such an address. taken: gets whether it is; then it is no recipient. returns: what to answer */
SP_MUST_CHECK enum sp_rc sp_intake_recall_rcpt(struct transaction *tx, const struct sp_address *to,
                                               bool *taken);
/* returns: whether the message takes another one back; it is answered then, now or later */
bool sp_intake_recall(struct transaction *tx);

/* Whether the draft that is staged says for certain what the live policy says of this recipient. stage.c */
bool sp_intake_stage_agrees(struct transaction *tx, const struct recipient *r);
/* Now that the header is there: who decides, the live policy or the draft. */
void sp_intake_stage_choose(struct transaction *tx);
/* Decides for one recipient, and asks the other policy what it would have said. other: gets its decision as JSON, or stays empty */
void sp_intake_stage_decide(struct transaction *tx, struct recipient *r, struct sp_buf *other);

/*
 * Holds a recipient's copy with another's (d, by whole's hold). Once it is released it goes as its own rules say, and by the
 * hold's ladder only where that asks for more: no hold lowers a floor. Who is refused, or held already, stays that.
 */
void sp_intake_hold_with(struct sp_decision *d, const struct sp_decision *whole);

/* Fills facts. */
void sp_intake_facts_envelope(struct transaction *tx);
void sp_intake_facts_header(struct transaction *tx);
void sp_intake_facts_content(struct transaction *tx);
/* What the recipient has chosen in the portal. returns: 1 if something, 0 if nothing, -1 if nobody knows yet */
int sp_intake_wish(const struct sp_intake *in, struct sp_bytes tenant, struct sp_bytes address,
                   struct sp_facts *f);
void sp_intake_facts_recipient(struct transaction *tx, const struct sp_policy *policy,
                               struct sp_facts *f, const struct recipient *r);

#endif
