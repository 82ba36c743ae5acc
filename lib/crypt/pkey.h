/*
 * Key pairs of others' making, or for others to read: RSA, ECDSA on P-256 and Ed25519, as PEM or as the numbers that DNS
 * records and key sets (RFC 7517) hold. What only we read is signed by crypt/sign.h. thread: any
 */
#ifndef SP_CRYPT_PKEY_H
#define SP_CRYPT_PKEY_H

#include "base/buf.h"
#include "base/mem.h"

#define SP_PKEY_PEM_MAX       16384
#define SP_PKEY_SIGNATURE_MAX 1024 /* RSA of 8192 bits */

enum sp_pkey_kind {
    SP_PKEY_RSA,     /* PKCS #1 v1.5 with SHA-256 */
    SP_PKEY_P256,    /* ECDSA with SHA-256; signatures are r and s, 32 bytes each (RFC 7518 3.4) */
    SP_PKEY_ED25519, /* RFC 8032 */
};

/* Immutable. */
struct sp_pkey;

/*
 * Reads a private key. A passphrase is never asked for.
 *
 * owner:   the caller
 * returns: SP_OK, SP_E_KEYS_FORMAT if it is no PEM of one private key, SP_E_UNSUPPORTED for another kind of key
 */
SP_MUST_CHECK enum sp_rc sp_pkey_parse(struct sp_bytes pem, struct sp_pkey **out,
                                       struct sp_err *err);

/* Makes a pair by the system's random numbers. bits: RSA only. owner: the caller. returns: SP_OK or SP_E_CRYPT_FAILED */
SP_MUST_CHECK enum sp_rc sp_pkey_new(enum sp_pkey_kind kind, unsigned bits, struct sp_pkey **out);

/*
 * A public key of its numbers, big-endian: RSA modulus and exponent; x and y of a point; an Ed25519 key and nothing.
 *
 * owner:   the caller
 * returns: SP_OK, SP_E_KEYS_FORMAT if they are no key, or RSA of fewer than 2048 or more than 8192 bits
 */
SP_MUST_CHECK enum sp_rc sp_pkey_public_new(enum sp_pkey_kind kind, struct sp_bytes first,
                                            struct sp_bytes second, struct sp_pkey **out);

/* NULL is allowed. A private key's memory is wiped. */
void sp_pkey_free(struct sp_pkey *k);
SP_AUTO_DEFINE(sp_pkey)

/* returns: what it is, and its length in bits */
enum sp_pkey_kind sp_pkey_kind(const struct sp_pkey *k);
unsigned sp_pkey_bits(const struct sp_pkey *k);

/* Appends the private key, PKCS #8 in PEM. returns: SP_OK, SP_E_CRYPT_FAILED */
SP_MUST_CHECK enum sp_rc sp_pkey_format(const struct sp_pkey *k, struct sp_buf *out);

/*
 * Appends the public key as DKIM records hold it: RSA as SubjectPublicKeyInfo (RFC 6376 3.6.1), Ed25519 as its 32 bytes (RFC 8463
 * 4). returns: SP_OK, SP_E_UNSUPPORTED, SP_E_CRYPT_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_pkey_public(const struct sp_pkey *k, struct sp_buf *out);

/* Appends the signature of data. returns: SP_OK, SP_E_UNSUPPORTED (P-256: nobody asks), SP_E_CRYPT_FAILED */
SP_MUST_CHECK enum sp_rc sp_pkey_sign(const struct sp_pkey *k, struct sp_bytes data,
                                      struct sp_buf *out);

/* returns: SP_OK, SP_E_CRYPT_AUTH if the signature does not hold */
SP_MUST_CHECK enum sp_rc sp_pkey_verify(const struct sp_pkey *k, struct sp_bytes data,
                                        struct sp_bytes signature);

#endif
