/*
 * The keys that sign audit checkpoints: Ed25519, named by the start of the public key's digest. A ring holds the public
 * keys that somebody who verifies believes in. thread: any (one at a time)
 */
#ifndef SP_AUDIT_KEY_H
#define SP_AUDIT_KEY_H

#include "base/buf.h"
#include "base/err.h"
#include "crypt/sign.h"
#include "json/json.h"

#define SP_AUDIT_KEY_ID_MAX 48
#define SP_AUDIT_RING_MAX   64

struct sp_audit_public {
    char id[SP_AUDIT_KEY_ID_MAX]; /* "ed25519:8d02...", 32 hexadecimal digits */
    uint8_t key[SP_SIGN_PUBLIC_LEN];
};

struct sp_audit_ring {
    size_t count;
    struct sp_audit_public keys[SP_AUDIT_RING_MAX];
};

/* Makes the named form of raw key bytes. returns: false if they have another length than an Ed25519 key */
SP_MUST_CHECK bool sp_audit_public_from_raw(struct sp_bytes raw, struct sp_audit_public *out);

/* Appends {"id":...,"public":base 64} to a JSON object of events or files. */
void sp_audit_public_set(struct sp_json_doc *doc, const struct sp_json *object, const char *member,
                         const struct sp_audit_public *key);

/* Reads what sp_audit_public_set wrote. returns: false if it is none, or id and key don't belong together */
SP_MUST_CHECK bool sp_audit_public_get(const struct sp_json *value, struct sp_audit_public *out);

/* Appends a public key file: one line "sallyport-audit-key ID BASE64". */
void sp_audit_public_format(const struct sp_audit_public *key, struct sp_buf *out);

/* Adds a key unless it is there already. returns: false if the ring is full */
SP_MUST_CHECK bool sp_audit_ring_add(struct sp_audit_ring *ring, const struct sp_audit_public *key);

/*
 * Adds all keys of a file as sp_audit_public_format writes it, a key a line.
 *
 * returns: SP_E_AUDIT_KEY if there is none in it or a line is no key
 */
SP_MUST_CHECK enum sp_rc sp_audit_ring_parse(struct sp_audit_ring *ring, struct sp_bytes text,
                                             struct sp_err *err);

/* returns: lent, or NULL if it is not in the ring */
const struct sp_audit_public *sp_audit_ring_find(const struct sp_audit_ring *ring,
                                                 struct sp_bytes id);

/*
 * Signs a JSON object: sets `key` and `signature`. What is signed is the purpose, a line end, and the object's canonical
 * form without `signature`.
 *
 * purpose: keeps a signature for one thing from being shown as one for another
 * returns: SP_OK, or why it could not be signed
 */
SP_MUST_CHECK enum sp_rc sp_audit_sign(struct sp_json_doc *doc, const char *purpose,
                                       const struct sp_secret *secret,
                                       const struct sp_audit_public *key);

/*
 * Checks an object that sp_audit_sign has signed.
 *
 * returns: SP_OK; SP_E_AUDIT_KEY if its key is not in the ring; SP_E_AUDIT_ALTERED if the signature does not hold
 */
SP_MUST_CHECK enum sp_rc sp_audit_signature_check(const struct sp_json *object, const char *purpose,
                                                  const struct sp_audit_ring *ring,
                                                  struct sp_err *err);

#endif
