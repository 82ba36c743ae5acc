/*
 * Ed25519 by OpenSSL, on raw keys: what is stored and handed about is 32 bytes, never an OpenSSL object.
 */
#include "crypt/sign.h"

#include <openssl/evp.h>

enum sp_rc sp_sign_public(const struct sp_secret *secret, uint8_t out[SP_SIGN_PUBLIC_LEN])
{
    size_t len = SP_SIGN_PUBLIC_LEN;
    enum sp_rc rc = SP_E_CRYPT_FAILED;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret->b, SP_SECRET_LEN);

    if (key != NULL && EVP_PKEY_get_raw_public_key(key, out, &len) == 1 &&
        len == SP_SIGN_PUBLIC_LEN)
        rc = SP_OK;
    EVP_PKEY_free(key);
    return rc;
}

enum sp_rc sp_sign_make(const struct sp_secret *secret, struct sp_bytes data,
                        uint8_t out[SP_SIGN_SIGNATURE_LEN])
{
    size_t len = SP_SIGN_SIGNATURE_LEN;
    enum sp_rc rc = SP_E_CRYPT_FAILED;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret->b, SP_SECRET_LEN);

    if (key != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(ctx, out, &len, data.ptr, data.len) == 1 && len == SP_SIGN_SIGNATURE_LEN)
        rc = SP_OK;
    EVP_PKEY_free(key);
    EVP_MD_CTX_free(ctx);
    return rc;
}

enum sp_rc sp_sign_verify(struct sp_bytes public_key, struct sp_bytes data,
                          struct sp_bytes signature)
{
    enum sp_rc rc = SP_E_CRYPT_AUTH;
    EVP_MD_CTX *ctx;
    EVP_PKEY *key;

    if (public_key.len != SP_SIGN_PUBLIC_LEN || signature.len != SP_SIGN_SIGNATURE_LEN)
        return SP_E_CRYPT_KEY;
    ctx = EVP_MD_CTX_new();
    key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key.ptr, public_key.len);
    if (key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(ctx, signature.ptr, signature.len, data.ptr, data.len) == 1)
        rc = SP_OK;
    EVP_PKEY_free(key);
    EVP_MD_CTX_free(ctx);
    return rc;
}
