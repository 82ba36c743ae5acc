/*
 * Signed statements about a whole audit file: the checkpoint, which is a line of it, and the head, which lies beside it
 * and always speaks of the newest line. Both name the tree's size, its root and the last line's digest. Without them a
 * chain of hashes can be cut at its end, or be written anew from its beginning. thread: any
 */
#ifndef SP_AUDIT_CHECKPOINT_H
#define SP_AUDIT_CHECKPOINT_H

#include "audit/key.h"
#include "audit/line.h"

/* What is known of the lines so far: the chain's end and the tree. */
struct sp_audit_state {
    uint64_t first_seq;    /* of the first line of the tree */
    uint64_t last_seq;     /* 0: there is no line yet */
    struct sp_digest head; /* digest of the last line; zero if there is none */
    struct sp_merkle tree;
};

/* Starts with no lines, the next being number 1. */
void sp_audit_state_init(struct sp_audit_state *state);

/* Takes the next line, whose seq must be last_seq + 1. */
void sp_audit_state_add(struct sp_audit_state *state, struct sp_bytes line);

struct sp_audit_signer {
    const char *node;
    struct sp_secret secret;
    struct sp_audit_public key;
};

/* How far the wall clock may be trusted. */
struct sp_audit_clock {
    bool synced;
    int64_t offset_ms;
};

/*
 * Makes the line of a checkpoint over all lines so far.
 *
 * out:     the line is appended; the caller then adds it to the state like any other
 * returns: SP_OK, or why it could not be signed
 */
SP_MUST_CHECK enum sp_rc sp_audit_checkpoint_make(const struct sp_audit_state *state,
                                                  const struct sp_audit_signer *signer,
                                                  const struct sp_audit_clock *clock,
                                                  int64_t time_ms, struct sp_buf *out,
                                                  struct sp_err *err);

/*
 * Checks a checkpoint's line against the state just before it.
 *
 * returns: SP_OK; SP_E_AUDIT_ALTERED if size, root, head or signature don't fit; SP_E_AUDIT_KEY if all but the key is
 *          known and right
 */
SP_MUST_CHECK enum sp_rc sp_audit_checkpoint_check(const struct sp_audit_line *line,
                                                   const struct sp_audit_state *before,
                                                   const struct sp_audit_ring *ring,
                                                   struct sp_err *err);

/* What a checkpoint or a head says. */
struct sp_audit_statement {
    uint64_t tree_size;
    uint64_t first_seq;
    struct sp_digest root;
    struct sp_digest head;
};

/* Reads the statement of a checkpoint or a head. returns: false if it has none */
SP_MUST_CHECK bool sp_audit_statement_get(const struct sp_json *object,
                                          struct sp_audit_statement *out);

/* Checks a checkpoint's signature alone. returns: as sp_audit_signature_check */
SP_MUST_CHECK enum sp_rc sp_audit_checkpoint_signature(const struct sp_json *object,
                                                       const struct sp_audit_ring *ring,
                                                       struct sp_err *err);

/* Makes the head file's text: one canonical object and a line end. returns: SP_OK, or why it could not be signed */
SP_MUST_CHECK enum sp_rc sp_audit_head_make(const struct sp_audit_state *state,
                                            const struct sp_audit_signer *signer, int64_t time_ms,
                                            struct sp_buf *out);

/*
 * Reads a head file and checks its signature.
 *
 * returns: SP_OK; SP_E_AUDIT_ALTERED if it is none or the signature does not hold; SP_E_AUDIT_KEY if its key is unknown
 *          (out is set then, too)
 */
SP_MUST_CHECK enum sp_rc sp_audit_head_parse(struct sp_bytes text, const struct sp_audit_ring *ring,
                                             struct sp_audit_statement *out, struct sp_err *err);

#endif
