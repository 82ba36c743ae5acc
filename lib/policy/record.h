/*
 * A decision as JSON, whole: what is kept beside the facts that it came from, so that the same facts and the same policy
 * version can be shown to give the same decision, byte for byte. thread: any
 */
#ifndef SP_POLICY_RECORD_H
#define SP_POLICY_RECORD_H

#include "base/text.h"
#include "policy/decision.h"

#define SP_DECISION_TEXT_MAX 131072

/* Appends the decision as a JSON object; the same decision always gives the same text. */
void sp_decision_write(const struct sp_decision *d, struct sp_buf *out);

#endif
