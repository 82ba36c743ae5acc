/*
 * A key sealed under another: random nonce, AES-256-GCM ciphertext, tag. thread: any
 */
#ifndef SP_CRYPT_WRAP_H
#define SP_CRYPT_WRAP_H

#include "crypt/aead.h"

#define SP_WRAPPED_LEN (SP_AEAD_NONCE_LEN + SP_SECRET_LEN + SP_AEAD_TAG_LEN)

/*
 * Wraps key under the key that `under` holds.
 *
 * context: what the wrapped key belongs to (an id); it must be the same at unwrapping
 * out:     SP_WRAPPED_LEN bytes
 */
void sp_crypt_wrap(struct sp_aead *under, const struct sp_random *random, struct sp_bytes context,
                   const struct sp_secret *key, uint8_t *out);

/* returns: SP_OK, SP_E_CRYPT_AUTH if it is another key or context, SP_E_CRYPT_KEY if the length is wrong */
SP_MUST_CHECK enum sp_rc sp_crypt_unwrap(struct sp_aead *under, struct sp_bytes context,
                                         struct sp_bytes wrapped, struct sp_secret *out);

#endif
