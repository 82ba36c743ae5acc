/*
 * Key wrapping by AES-256-GCM with a random nonce. AES-KW (RFC 3394) would save the nonce but binds no context, and the
 * context is what keeps a wrapped key from being moved to another message or segment. 2^32 wraps under one key keep the
 * risk of a nonce collision under 2^-32; a segment holds thousands.
 */
#include "crypt/wrap.h"

void sp_crypt_wrap(struct sp_aead *under, const struct sp_random *random, struct sp_bytes context,
                   const struct sp_secret *key, uint8_t *out)
{
    struct sp_aead_nonce nonce = {{0}};

    sp_random_fill(random, nonce.b, sizeof(nonce.b));
    memcpy(out, nonce.b, sizeof(nonce.b));
    sp_aead_seal(under, nonce, context, sp_secret_bytes(key), out + sizeof(nonce.b));
}

enum sp_rc sp_crypt_unwrap(struct sp_aead *under, struct sp_bytes context, struct sp_bytes wrapped,
                           struct sp_secret *out)
{
    struct sp_aead_nonce nonce = {{0}};

    if (wrapped.len != SP_WRAPPED_LEN)
        return SP_E_CRYPT_KEY;
    memcpy(nonce.b, wrapped.ptr, sizeof(nonce.b));
    return sp_aead_open(under, nonce, context,
                        sp_bytes_slice(wrapped, sizeof(nonce.b), wrapped.len), out->b);
}
