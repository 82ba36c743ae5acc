/*
 * SHA-256 and what is built on it, from OpenSSL's EVP interface. A running hash keeps its context over many messages,
 * since making one costs as much as hashing a kilobyte.
 */
#include "crypt/hash.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <threads.h>

static EVP_MD *fetched;

static void fetch(void)
{
    fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
    sp_assert(fetched != NULL);
}

/* Looking an algorithm up by its name takes longer than hashing a short text, so it is done once a process. */
static EVP_MD *algorithm(void)
{
    static once_flag once = ONCE_FLAG_INIT;

    call_once(&once, fetch);
    return fetched;
}

struct sp_sha256 {
    EVP_MD_CTX *ctx;
};

struct sp_sha256 *sp_sha256_new(void)
{
    struct sp_sha256 *h = sp_calloc(1, sizeof(*h));

    h->ctx = EVP_MD_CTX_new();
    sp_assert(h->ctx != NULL && EVP_DigestInit_ex2(h->ctx, algorithm(), NULL) == 1);
    return h;
}

void sp_sha256_free(struct sp_sha256 *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    sp_free(h);
}

void sp_sha256_feed(struct sp_sha256 *h, struct sp_bytes data)
{
    sp_assert(EVP_DigestUpdate(h->ctx, data.ptr, data.len) == 1);
}

void sp_sha256_finish(struct sp_sha256 *h, uint8_t out[SP_SHA256_LEN])
{
    sp_assert(EVP_DigestFinal_ex(h->ctx, out, NULL) == 1);
    sp_assert(EVP_DigestInit_ex2(h->ctx, NULL, NULL) == 1);
}

void sp_crypt_sha256(struct sp_bytes data, uint8_t out[SP_SHA256_LEN])
{
    sp_assert(EVP_Digest(data.ptr, data.len, out, NULL, algorithm(), NULL) == 1);
}

void sp_crypt_sha256_both(struct sp_bytes first, struct sp_bytes second, uint8_t out[SP_SHA256_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    sp_assert(ctx != NULL && EVP_DigestInit_ex2(ctx, algorithm(), NULL) == 1);
    sp_assert(EVP_DigestUpdate(ctx, first.ptr, first.len) == 1);
    sp_assert(EVP_DigestUpdate(ctx, second.ptr, second.len) == 1);
    sp_assert(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}

static EVP_MAC_CTX *keyless;

/* Looked up once a process, too: both names together take longer than the MAC of a short text. */
static void prepare_hmac(void)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
        OSSL_PARAM_END,
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    keyless = EVP_MAC_CTX_new(mac);
    sp_assert(keyless != NULL && EVP_MAC_CTX_set_params(keyless, params) == 1);
    EVP_MAC_free(mac);
}

void sp_crypt_hmac(struct sp_bytes key, struct sp_bytes data, uint8_t out[SP_SHA256_LEN])
{
    static once_flag once = ONCE_FLAG_INIT;
    EVP_MAC_CTX *ctx;
    size_t len = 0;

    call_once(&once, prepare_hmac);
    ctx = EVP_MAC_CTX_dup(keyless);
    /* OpenSSL takes a NULL key for "the key of before", so an empty one gets an address. */
    sp_assert(ctx != NULL &&
              EVP_MAC_init(ctx, key.len > 0 ? key.ptr : (const uint8_t *)"", key.len, NULL) == 1);
    sp_assert(EVP_MAC_update(ctx, data.ptr, data.len) == 1);
    sp_assert(EVP_MAC_final(ctx, out, &len, SP_SHA256_LEN) == 1 && len == SP_SHA256_LEN);
    EVP_MAC_CTX_free(ctx);
}

void sp_crypt_hkdf(struct sp_bytes secret, struct sp_bytes info, struct sp_secret *out)
{
    char digest[] = "SHA256";
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, sizeof(digest) - 1),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret.ptr, secret.len),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)info.ptr, info.len),
        OSSL_PARAM_END,
    };

    sp_assert(ctx != NULL);
    sp_assert(EVP_KDF_derive(ctx, out->b, sizeof(out->b), params) == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

bool sp_crypt_equal(struct sp_bytes a, struct sp_bytes b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}
