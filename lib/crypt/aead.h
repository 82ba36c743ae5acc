/*
 * AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and 128-bit tags. A struct sp_aead keeps one key's schedule and one
 * OpenSSL context, so that sealing a chunk costs no allocation. The caller sees to it that a nonce is used once for each
 * key. thread: any (one at a time)
 */
#ifndef SP_CRYPT_AEAD_H
#define SP_CRYPT_AEAD_H

#include "base/mem.h"
#include "crypt/secret.h"

#define SP_AEAD_NONCE_LEN 12
#define SP_AEAD_TAG_LEN   16

struct sp_aead;

struct sp_aead_nonce {
    uint8_t b[SP_AEAD_NONCE_LEN];
};

/* owner: the caller. key: NULL if sp_aead_set_key follows */
struct sp_aead *sp_aead_new(const struct sp_secret *key);
void sp_aead_free(struct sp_aead *a);
SP_AUTO_DEFINE(sp_aead)

/* Takes another key; the context is reused. */
void sp_aead_set_key(struct sp_aead *a, const struct sp_secret *key);

/* returns: the nonce that stands for a counter (big-endian in the last 8 bytes) */
struct sp_aead_nonce sp_aead_nonce_of(uint64_t counter);

/*
 * Seals plain into out: the ciphertext, then the tag.
 *
 * out: plain.len + SP_AEAD_TAG_LEN bytes; may begin where plain does (in place)
 */
void sp_aead_seal(struct sp_aead *a, struct sp_aead_nonce nonce, struct sp_bytes aad,
                  struct sp_bytes plain, uint8_t *out);

/*
 * Opens what sp_aead_seal made.
 *
 * out:     sealed.len - SP_AEAD_TAG_LEN bytes; may begin where sealed does; wiped on failure
 * returns: SP_OK, or SP_E_CRYPT_AUTH if key, nonce, aad or bytes are not those that were sealed
 */
SP_MUST_CHECK enum sp_rc sp_aead_open(struct sp_aead *a, struct sp_aead_nonce nonce,
                                      struct sp_bytes aad, struct sp_bytes sealed, uint8_t *out);

#endif
