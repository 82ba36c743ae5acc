/*
 * AES-256-GCM over one OpenSSL context that lives as long as its owner: fetching the cipher and making a context cost
 * more than sealing 4 KiB, so the first happens once a process and the second once an owner, and a new key or nonce only re-initialises. The context may change
 * between sealing and opening with the same key schedule. An OpenSSL failure other than a wrong tag means that the
 * library or the machine is broken, and ends the process.
 */
#include "crypt/aead.h"

#include <limits.h>
#include <openssl/evp.h>
#include <threads.h>

struct sp_aead {
    EVP_CIPHER_CTX *ctx;
};

static EVP_CIPHER *fetched;

static void fetch(void)
{
    fetched = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    sp_assert(fetched != NULL);
}

/* The cipher is looked up by its name once a process. */
static EVP_CIPHER *cipher(void)
{
    static once_flag once = ONCE_FLAG_INIT;

    call_once(&once, fetch);
    return fetched;
}

struct sp_aead *sp_aead_new(const struct sp_secret *key)
{
    struct sp_aead *a = sp_calloc(1, sizeof(*a));

    a->ctx = EVP_CIPHER_CTX_new();
    sp_assert(a->ctx != NULL);
    sp_assert(EVP_EncryptInit_ex2(a->ctx, cipher(), key == NULL ? NULL : key->b, NULL, NULL) == 1);
    return a;
}

void sp_aead_free(struct sp_aead *a)
{
    if (a == NULL)
        return;
    EVP_CIPHER_CTX_free(a->ctx); /* wipes the key schedule */
    sp_free(a);
}

void sp_aead_set_key(struct sp_aead *a, const struct sp_secret *key)
{
    sp_assert(EVP_EncryptInit_ex2(a->ctx, NULL, key->b, NULL, NULL) == 1);
}

struct sp_aead_nonce sp_aead_nonce_of(uint64_t counter)
{
    struct sp_aead_nonce n = {{0}};

    for (size_t i = SP_AEAD_NONCE_LEN; i > 4; i--) {
        n.b[i - 1] = (uint8_t)(counter & 0xff);
        counter >>= 8;
    }
    return n;
}

void sp_aead_seal(struct sp_aead *a, struct sp_aead_nonce nonce, struct sp_bytes aad,
                  struct sp_bytes plain, uint8_t *out)
{
    int n = 0;
    uint8_t none = 0;

    sp_assert(plain.len < INT_MAX && aad.len < INT_MAX);
    sp_assert(EVP_EncryptInit_ex2(a->ctx, NULL, NULL, nonce.b, NULL) == 1);
    if (aad.len > 0)
        sp_assert(EVP_EncryptUpdate(a->ctx, NULL, &n, aad.ptr, (int)aad.len) == 1);
    if (plain.len > 0) {
        sp_assert(EVP_EncryptUpdate(a->ctx, out, &n, plain.ptr, (int)plain.len) == 1);
        sp_assert((size_t)n == plain.len);
    }
    sp_assert(EVP_EncryptFinal_ex(a->ctx, &none, &n) == 1 && n == 0);
    sp_assert(
        EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, SP_AEAD_TAG_LEN, out + plain.len) == 1);
}

enum sp_rc sp_aead_open(struct sp_aead *a, struct sp_aead_nonce nonce, struct sp_bytes aad,
                        struct sp_bytes sealed, uint8_t *out)
{
    int n = 0;
    size_t len;
    uint8_t none = 0;
    uint8_t tag[SP_AEAD_TAG_LEN];

    if (sealed.len < SP_AEAD_TAG_LEN || sealed.len >= INT_MAX || aad.len >= INT_MAX)
        return SP_E_CRYPT_AUTH;
    len = sealed.len - SP_AEAD_TAG_LEN;
    memcpy(tag, sealed.ptr + len, sizeof(tag));
    sp_assert(EVP_DecryptInit_ex2(a->ctx, NULL, NULL, nonce.b, NULL) == 1);
    if (aad.len > 0)
        sp_assert(EVP_DecryptUpdate(a->ctx, NULL, &n, aad.ptr, (int)aad.len) == 1);
    if (len > 0)
        sp_assert(EVP_DecryptUpdate(a->ctx, out, &n, sealed.ptr, (int)len) == 1);
    sp_assert(EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, SP_AEAD_TAG_LEN, tag) == 1);
    if (EVP_DecryptFinal_ex(a->ctx, &none, &n) != 1) {
        sp_wipe(out, len);
        return SP_E_CRYPT_AUTH;
    }
    return SP_OK;
}
