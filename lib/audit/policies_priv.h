/* What the files about the policy's versions share. */
#ifndef SP_AUDIT_POLICIES_PRIV_H
#define SP_AUDIT_POLICIES_PRIV_H

#include "base/text.h"

/*
 * Writes the files of the lists whose members changed, at most 32, into an array that is open.
 *
 * before, after: canonical texts of two versions
 * returns:       whether that is all that changed; else what was written means nothing
 */
bool sp_audit_policy_lists(struct sp_bytes before, struct sp_bytes after, struct sp_jw *w);

/*
 * Whether a version is one that was live, taken back: with its rules, lists and texts, beside what has been recorded since.
 *
 * before:   canonical text of what was live until now
 * restored: of the version that was live at any time before
 * after:    of what is live now
 */
bool sp_audit_policy_is_taken_back(struct sp_bytes before, struct sp_bytes restored,
                                   struct sp_bytes after);

#endif
