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
    struct sp_bytes staging;   /* staging.json there, or empty */
    bool second_person;        /* only what another person has approved counts as published */
};

/*
 * Takes the version that is in effect now. If it is another than before, it is kept, and a line tells of it:
 * policy.published or policy.rolled-back with who and why, or config.changed where nobody said so, or nobody approved it.
 * Only a version that was in effect here before can be rolled back to without an approval. The same for what is staged:
 * policy.staged, policy.unstaged, or config.changed; a draft in shadow needs no approval. Commits.
 *
 * returns: SP_OK, SP_E_STORE_FAILED, SP_E_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_policy(struct sp_audit_book *b,
                                              const struct sp_audit_policy *p, struct sp_err *err);

/* A version that waits for a second person, or has found one. */
struct sp_audit_approval {
    struct sp_bytes hash;
    struct sp_bytes proposed_by; /* "uid:1000" */
    struct sp_bytes approved_by; /* empty: nobody yet */
    struct sp_bytes reason;
    int64_t proposed_at_ms;
    int64_t approved_at_ms;
};

/* Who acts on a version. All texts are borrowed for the call. */
struct sp_audit_vote {
    struct sp_bytes hash;  /* whole, or its first 8 digits or more to approve */
    struct sp_bytes actor; /* JSON object, of the admin role */
    struct sp_bytes reason;
};

/*
 * Appends the canonical text of a version that took effect once: what was hashed.
 *
 * returns: SP_OK, SP_E_NOT_FOUND if these books never had it, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_policy_text(struct sp_audit_book *b, struct sp_bytes hash,
                                                   struct sp_buf *out, struct sp_err *err);

/*
 * Proposes a version: policy.proposed. One that waits already, or is approved, stays as it is. Commits.
 *
 * returns: SP_OK, SP_E_USAGE, SP_E_MALFORMED, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_propose(struct sp_audit_book *b,
                                               const struct sp_audit_vote *vote,
                                               struct sp_err *err);
/*
 * Approves a version that waits: policy.approved. Commits.
 *
 * returns: SP_OK, SP_E_NOT_FOUND, SP_E_DENIED if the one who proposed it speaks, SP_E_USAGE, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_approve(struct sp_audit_book *b,
                                               const struct sp_audit_vote *vote,
                                               struct sp_err *err);
/*
 * Walks the proposals, the newest first; hash: only this one, or empty for all.
 *
 * fn:      its argument is lent for the call
 * returns: SP_OK, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_approvals(struct sp_audit_book *b, struct sp_bytes hash,
                                                 void (*fn)(void *arg,
                                                            const struct sp_audit_approval *a),
                                                 void *arg, struct sp_err *err);

#endif
