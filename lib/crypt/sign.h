/*
 * Ed25519 (RFC 8032) with raw keys. thread: any
 */
#ifndef SP_CRYPT_SIGN_H
#define SP_CRYPT_SIGN_H

#include "crypt/secret.h"

#define SP_SIGN_PUBLIC_LEN    32
#define SP_SIGN_SIGNATURE_LEN 64

/* Derives the public key. secret: the 32-byte seed, as sp_secret_init makes one */
SP_MUST_CHECK enum sp_rc sp_sign_public(const struct sp_secret *secret,
                                        uint8_t out[SP_SIGN_PUBLIC_LEN]);

/* returns: SP_OK or SP_E_CRYPT_FAILED */
SP_MUST_CHECK enum sp_rc sp_sign_make(const struct sp_secret *secret, struct sp_bytes data,
                                      uint8_t out[SP_SIGN_SIGNATURE_LEN]);

/* returns: SP_OK, SP_E_CRYPT_KEY if a length is wrong, SP_E_CRYPT_AUTH if the signature does not hold */
SP_MUST_CHECK enum sp_rc sp_sign_verify(struct sp_bytes public_key, struct sp_bytes data,
                                        struct sp_bytes signature);

#endif
