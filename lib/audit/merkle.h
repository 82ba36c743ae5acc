/*
 * The Merkle tree over the lines of an audit file (RFC 9162 2.1): its root from the leaves in order with 64 hashes of
 * memory, inclusion proofs in one pass, and their check. thread: any (one at a time)
 */
#ifndef SP_AUDIT_MERKLE_H
#define SP_AUDIT_MERKLE_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypt/hash.h"

#define SP_MERKLE_DEPTH_MAX 64

struct sp_digest {
    uint8_t b[SP_SHA256_LEN];
};

/* returns: whether both are the same */
bool sp_digest_eq(const struct sp_digest *a, const struct sp_digest *b);

/* The right edge of the tree so far: node[k] is the root of a full subtree of 2^k leaves if bit k of size is set. */
struct sp_merkle {
    uint64_t size;
    struct sp_digest node[SP_MERKLE_DEPTH_MAX];
};

/* Starts an empty tree. */
void sp_merkle_init(struct sp_merkle *m);

/* returns: the leaf hash of a line */
struct sp_digest sp_merkle_leaf(struct sp_bytes line);

/* Adds the next leaf. cost: O(1) amortised */
void sp_merkle_add(struct sp_merkle *m, const struct sp_digest *leaf);

/* returns: the root of the tree so far */
struct sp_digest sp_merkle_root(const struct sp_merkle *m);

struct sp_merkle_path {
    size_t count;
    struct sp_digest node[SP_MERKLE_DEPTH_MAX]; /* from the leaf's sibling upwards */
};

/* Collects the inclusion proof of one leaf while all leaves pass by in order. */
struct sp_merkle_prover;

/*
 * index:   of the leaf, from 0; less than size
 * owner:   the caller, until sp_merkle_prover_free
 * returns: a prover that waits for leaf 0
 */
struct sp_merkle_prover *sp_merkle_prover_new(uint64_t index, uint64_t size);
void sp_merkle_prover_free(struct sp_merkle_prover *p);
SP_AUTO_DEFINE(sp_merkle_prover)
/*
 * Goes on behind the leaves of a tree, of which only the right edge is known; before any leaf was added.
 *
 * returns: false if the leaf to be proved is one of those: there is no proof then
 */
SP_MUST_CHECK bool sp_merkle_prover_seed(struct sp_merkle_prover *p, const struct sp_merkle *edge);
/* Takes the next leaf; those past size are ignored. */
void sp_merkle_prover_add(struct sp_merkle_prover *p, const struct sp_digest *leaf);
/* returns: SP_OK once all leaves have passed, else SP_E_AUDIT_INCOMPLETE */
SP_MUST_CHECK enum sp_rc sp_merkle_prover_path(const struct sp_merkle_prover *p,
                                               struct sp_merkle_path *out);

/*
 * Follows a proof from the leaf to the root.
 *
 * returns: whether it has the right length for index and size; then the root that it leads to is in out
 * rules:   RFC 9162 2.1.3.2
 */
SP_MUST_CHECK bool sp_merkle_path_root(const struct sp_merkle_path *path,
                                       const struct sp_digest *leaf, uint64_t index, uint64_t size,
                                       struct sp_digest *out);

#endif
