/*
 * Recipients' keys: what a certificate or an OpenPGP key says about itself, whether it may be used, and the store of
 * them (keys.db, the keeper's). Only public keys get here: a file with a secret key is refused. thread: worker
 */
#ifndef SP_KEYS_KEYS_H
#define SP_KEYS_KEYS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum sp_keys_kind {
    SP_KEYS_SMIME,
    SP_KEYS_PGP,
};

/* returns: "smime" or "pgp", static */
const char *sp_keys_kind_name(enum sp_keys_kind kind);

/* What a certificate's holder is known to read: bits of abilities. */
#define SP_KEYS_GCM  1U /* AuthEnvelopedData with AES-256-GCM */
#define SP_KEYS_OAEP 2U /* RSAES-OAEP */
#define SP_KEYS_ECDH 4U /* the key itself is one for key agreement */

enum sp_keys_trust {
    SP_KEYS_UNTRUSTED, /* kept for the list, never used */
    SP_KEYS_CHAINED,   /* chains to a trust anchor of the configuration */
    SP_KEYS_PINNED,    /* an administrator vouched for it by name */
};

/* returns: "untrusted", "chained" or "pinned", static */
const char *sp_keys_trust_name(enum sp_keys_trust trust);

#define SP_KEYS_ADDRESSES_MAX 16
#define SP_KEYS_ADDRESS_MAX   256 /* with its NUL */
#define SP_KEYS_ID_MAX        80 /* "smime:" and 64 hexadecimal digits, or "pgp:" and the fingerprint */
#define SP_KEYS_BYTES_MAX     (64U * 1024U) /* one key; more is refused */
#define SP_KEYS_IMPORT_MAX    (1024U * 1024U)

struct sp_keys_key {
    enum sp_keys_kind kind;
    char id[SP_KEYS_ID_MAX];
    char algorithm[32]; /* "rsa-3072", "ec-prime256v1", "cv25519" */
    char addresses[SP_KEYS_ADDRESSES_MAX][SP_KEYS_ADDRESS_MAX]; /* normalised: lower case */
    size_t address_count;
    int64_t not_before_ms;
    int64_t not_after_ms; /* 0: never expires */
    unsigned abilities;
    enum sp_keys_trust trust;
    struct sp_bytes bytes; /* DER, or binary OpenPGP; in the arena that was handed in */
};

/*
 * Reads one certificate (DER, or PEM with the certificates of its chain behind it) and checks whether mail may be
 * encrypted to it: key usage, key size, an address in the subjectAltName. Its time is not judged here.
 *
 * anchors: PEM of trust anchors, may be empty; the key's trust is CHAINED if it chains to one at now_ms, else UNTRUSTED
 * arena:   holds out->bytes
 * returns: SP_OK; SP_E_KEYS_FORMAT if it can't be read; SP_E_KEYS_UNUSABLE with the reason in err; SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_keys_certificate_parse(struct sp_bytes file, struct sp_bytes anchors,
                                                   int64_t now_ms, struct sp_arena *arena,
                                                   struct sp_keys_key *out, struct sp_err *err);

/*
 * Reads one OpenPGP public key by gpg, in a throw-away home under scratch_dir: only what its self-signatures prove remains.
 * Trust is UNTRUSTED.
 *
 * scratch_dir: a folder of ours with a short path
 * returns:     SP_OK; SP_E_KEYS_FORMAT (also for a secret key, or more than one key); SP_E_KEYS_UNUSABLE if revoked or
 *              without an encryption subkey or address; SP_E_LIMIT; SP_E_PGP_FAILED if gpg does not run
 */
SP_MUST_CHECK enum sp_rc sp_keys_pgp_parse(struct sp_bytes file, const char *scratch_dir,
                                           struct sp_arena *arena, struct sp_keys_key *out,
                                           struct sp_err *err);

/*
 * Looks at OpenPGP data before gpg does: dearmors, walks the packets, and refuses all but one public key.
 *
 * binary:  the packets without armor are appended
 * returns: SP_OK, SP_E_KEYS_FORMAT, SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_keys_pgp_check(struct sp_bytes file, struct sp_buf *binary,
                                           struct sp_err *err);

/* returns: whether the file looks like OpenPGP rather than a certificate */
bool sp_keys_pgp_is(struct sp_bytes file);

/* Lower case, so that a key is found however its owner writes himself. out: SP_KEYS_ADDRESS_MAX bytes.
 * returns: false if it is no address */
SP_MUST_CHECK bool sp_keys_address_normalise(struct sp_bytes address, char *out);

struct sp_keys;

/*
 * Opens the store, makes its tables or brings them up to date.
 *
 * path:    keys.db; ":memory:" for tests
 * owner:   the caller, until sp_keys_free
 * returns: SP_OK, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_keys_open(const char *path, struct sp_keys **out, struct sp_err *err);
/* NULL is allowed. */
void sp_keys_free(struct sp_keys *k);
SP_AUTO_DEFINE(sp_keys)

/*
 * Puts a key in, or replaces its row (trust, addresses) if it is there.
 *
 * now_ms:  the time of import, wall clock
 * returns: SP_OK once committed; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_keys_put(struct sp_keys *k, const struct sp_keys_key *key,
                                     int64_t now_ms, struct sp_err *err);

/* returns: SP_OK once committed, SP_E_NOT_FOUND, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_keys_remove(struct sp_keys *k, struct sp_bytes id, struct sp_err *err);

/* One key by its id. returns: SP_OK, SP_E_NOT_FOUND, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_keys_get(struct sp_keys *k, struct sp_bytes id, struct sp_arena *arena,
                                     struct sp_keys_key *out, struct sp_err *err);

/* Which keys: those of an address, soonest expiry last; or, without one, all behind an id in the ids' order. */
struct sp_keys_query {
    struct sp_bytes address; /* normalised; empty: all keys */
    struct sp_bytes after;   /* id; empty: from the start */
    unsigned limit;
};

/*
 * Walks the keys that a query asks for.
 *
 * each:    called for each key; the key is lent for the call
 * returns: SP_OK, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_keys_each(struct sp_keys *k, const struct sp_keys_query *query,
                                      void (*each)(void *ctx, const struct sp_keys_key *key),
                                      void *ctx, struct sp_err *err);

/*
 * Whether a stored key may be used now.
 *
 * returns: SP_OK, SP_E_KEYS_EXPIRED, SP_E_KEYS_UNUSABLE (not valid yet, or not trusted)
 */
enum sp_rc sp_keys_judge(const struct sp_keys_key *key, int64_t now_ms, struct sp_err *why);

#endif
