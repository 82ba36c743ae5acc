/*
 * A proof about one message: a file that holds the message's records, an inclusion proof for each (RFC 9162 2.1.3), the
 * signed checkpoint that they lead to, and the public key. It verifies offline, needs no other line of the audit file,
 * and so shows nothing of other messages. thread: any (one at a time)
 */
#ifndef SP_AUDIT_PROOF_H
#define SP_AUDIT_PROOF_H

#include "audit/verify.h"

#define SP_AUDIT_PROOF_MAX         ((size_t)8 << 20) /* bytes of the file */
#define SP_AUDIT_PROOF_RECORDS_MAX 20000

/* What is to be proved, and by what. */
struct sp_audit_proof_ask {
    struct sp_id message;
    const uint64_t *seqs; /* of its records, rising; all at most the checkpoint's tree_size */
    size_t seq_count;
    uint64_t checkpoint_seq;
    struct sp_audit_public key; /* that has signed it */
};

/* Gathers a proof while the lines of the audit file pass by, from the first on. */
struct sp_audit_prover;

/* owner: the caller, until sp_audit_prover_free. ask: copied */
struct sp_audit_prover *sp_audit_prover_new(const struct sp_audit_proof_ask *ask);
void sp_audit_prover_free(struct sp_audit_prover *p);
SP_AUTO_DEFINE(sp_audit_prover)

/*
 * Goes on behind the lines of the state, which are not looked at; before any line was added.
 *
 * returns: false if one of the records is among those lines
 */
SP_MUST_CHECK bool sp_audit_prover_seed(struct sp_audit_prover *p,
                                        const struct sp_audit_state *state);

/*
 * Makes a proof from an audit file and the older ones beside it, of which it reads those that it needs. A file may be
 * rotated meanwhile.
 *
 * out:     the proof is appended
 * returns: SP_OK; SP_E_AUDIT_INCOMPLETE if a record lies in a file that is not here; SP_E_IO, SP_E_NOT_FOUND
 */
SP_MUST_CHECK enum sp_rc sp_audit_prove_files(const struct sp_audit_proof_ask *ask,
                                              const char *path, struct sp_buf *out,
                                              struct sp_err *err);

/* Takes the next line of the file, without its line end. returns: false when no more lines are needed */
bool sp_audit_prover_add(struct sp_audit_prover *p, struct sp_bytes line);

/*
 * Appends the proof: one JSON object and a line end.
 *
 * returns: SP_OK; SP_E_AUDIT_INCOMPLETE if lines were missing; SP_E_LIMIT if it is larger than SP_AUDIT_PROOF_MAX
 */
SP_MUST_CHECK enum sp_rc sp_audit_prover_finish(const struct sp_audit_prover *p, struct sp_buf *out,
                                                struct sp_err *err);

/* returns: whether a text looks like a proof and not like an audit file */
bool sp_audit_proof_is(struct sp_bytes text);

struct sp_audit_proof_report {
    struct sp_audit_report report; /* verdict, why, key; records counts those proved */
    struct sp_id message;
    uint64_t tree_size;
    bool settled; /* message.settled is among the records */
};

/*
 * Checks a proof.
 *
 * trusted: public keys to believe in; NULL or an empty ring: the one in the file
 */
void sp_audit_proof_check(struct sp_bytes text, const struct sp_audit_ring *trusted,
                          struct sp_audit_proof_report *out);

#endif
