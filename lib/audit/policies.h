/*
 * Which policy versions took effect, who published them, and what each says. thread: as the book
 */
#ifndef SP_AUDIT_POLICIES_H
#define SP_AUDIT_POLICIES_H

#include "audit/book.h"

struct sp_audit_policy {
    struct sp_bytes hash;
    struct sp_bytes canonical; /* what was hashed */
    struct sp_bytes published; /* published.json beside the policy, or empty */
};

/*
 * Takes the version that is in effect now. If it is another than before, it is kept, and a line tells of it:
 * policy.published or policy.rolled-back with who and why, or config.changed where nobody said so. Commits.
 *
 * returns: SP_OK, SP_E_STORE_FAILED, SP_E_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_policy(struct sp_audit_book *b,
                                              const struct sp_audit_policy *p, struct sp_err *err);

#endif
