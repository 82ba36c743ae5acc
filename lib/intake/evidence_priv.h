/*
 * Mail of our own, and what a transaction leaves on record: audit events, and the facts that its decisions came from.
 */
#ifndef SP_INTAKE_EVIDENCE_PRIV_H
#define SP_INTAKE_EVIDENCE_PRIV_H

#include "intake/intake_priv.h"

/* ---- mail of our own ---- */

/* Fills a decision for mail of ours: the rungs that meet the floor. arena: owns them */
/* A policy's decision as the record has it; texts are the policy's or copies in arena. returns: SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_intake_decision_of(struct sp_arena *arena, const struct sp_decision *d,
                                               int64_t now_ms, int64_t expire_ms,
                                               struct sp_accept_decision *out);
void sp_intake_own_decision(struct sp_arena *arena, enum sp_floor floor, int64_t expire_at_ms,
                            struct sp_accept_decision *out);
/* Builds the DSN for refused recipients: tx->child and tx->child_body (not finished). returns: SP_OK or why not */
SP_MUST_CHECK enum sp_rc sp_intake_return(struct transaction *tx);

/* ---- lines.c ---- */

/* returns: whether a line of the message is longer than every host must take */
bool sp_intake_has_long_lines(const struct transaction *tx);
/* returns: whether the header has one that can't be folded */
bool sp_intake_has_long_word(const struct transaction *tx);
/* returns: whether it has such lines and no way for them: all who were not refused would get it back */
bool sp_intake_lines_must_stay(const struct transaction *tx);

/* ---- audit ---- */

/* Appends the event message.accepted; refused ones are in it with their decisions. */
void sp_intake_audit_accepted(struct transaction *tx, struct sp_buf *out);
/* What the policy would have done, where it was only observed: member "observed" of the object that is open. */
void sp_intake_audit_observed(struct sp_jw *w, const struct transaction *tx);
/* The same for mail of ours. again: it may have been queued before */
void sp_intake_audit_own(const struct sp_accept *a, const uint8_t sha256[32], uint64_t len,
                         bool again, struct sp_buf *out);
/* Appends a step (message.held, message.returned, ...) of all recipients whose decision is `verb`. */
void sp_intake_audit_step(struct transaction *tx, const char *event, enum sp_do verb,
                          struct sp_buf *out);
/* Adds a recipient's own facts, and the decision that came of them, to what the next one writes. other: what the policy
 * that was only asked says, as JSON; empty if it says the same or there is none */
void sp_intake_audit_recipient(struct transaction *tx, const struct recipient *r,
                               struct sp_bytes other);
/* The facts that the decision can be replayed from, as JSON. */
void sp_intake_audit_facts(struct transaction *tx, struct sp_buf *out);
/* returns: whether it is a refusal for want of proof, or of a right to the sender's name */
bool sp_intake_is_proof_rc(enum sp_rc rc);
/* A refusal before acceptance: told to the ledger within limits. tx: NULL for a session's. rule: empty if none */
void sp_intake_refused(struct session *s, struct transaction *tx, const char *event, enum sp_rc rc,
                       struct sp_bytes rule);

/* ---- what was last seen of a tenant ---- */

enum sighting_kind { SIGHTING_ACCEPTED, SIGHTING_REFUSED, SIGHTING_PROBED, SIGHTING_COUNT };

struct sight {
    enum sp_rc rc;
    const struct proof *proof;
    const struct session *session; /* NULL: gone */
    struct sp_bytes token;
};

void sp_intake_note_seen(struct sp_intake *in, enum sighting_kind kind, const struct sight *what);
/* Notes what became of a probe; nothing if tx is none. */
void sp_intake_note_probe(struct transaction *tx, enum sp_rc rc);
/* returns: the token of a probe's recipient; empty if it is any other */
struct sp_bytes sp_intake_probe_token(const struct generation *g, const struct sp_address *to);
void sp_intake_seen_free(struct sp_intake *in);

/* ---- private fields (private.c) ---- */

#define SECRET_NAME_MAX 128 /* longer names of fields are nobody's secret */
/* Writes a field's name in lower case. out: SECRET_NAME_MAX bytes. returns: it, or empty if it is too long */
struct sp_bytes sp_intake_secret_key(struct sp_bytes name, uint8_t *out);
/* returns: whether any tenant's secret has this name. cost: O(1), however many tenants there are */
bool sp_intake_is_secret(const struct generation *g, struct sp_bytes name);
/* Walks the fields that must not leave. at: 0 to begin. returns: false behind the last */
bool sp_intake_private_next(const struct transaction *tx, size_t *at, struct sp_field *out);
/* returns: the REMOVED_ bit of such a field */
unsigned sp_intake_private_kind(const struct sp_field *f);
/* returns: whether a DKIM signature covers one of them. cost: O(header) */
bool sp_intake_private_is_signed(const struct transaction *tx);

#endif
