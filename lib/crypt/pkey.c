/*
 * RSA, P-256 and Ed25519 by OpenSSL's EVP. A key is parsed once and kept: an RSA signature from a parsed key takes a third of the
 * time that one from PEM takes. Public keys are built from their numbers by way of OSSL_PARAM, which checks that a point
 * lies on its curve; an RSA key has bounds of ours, since a verifier that takes any length can be kept busy by one key.
 */
#include "crypt/pkey.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define RSA_BITS_MIN     2048
#define RSA_BITS_MAX     8192
#define RSA_EXPONENT_MAX 8 /* bytes */
#define COORDINATE_LEN   32

struct sp_pkey {
    EVP_PKEY *key;
    enum sp_pkey_kind kind;
};

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static bool kind_of(const EVP_PKEY *key, enum sp_pkey_kind *kind)
{
    char group[32] = "";

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        *kind = SP_PKEY_RSA;
        return true;
    case EVP_PKEY_ED25519:
        *kind = SP_PKEY_ED25519;
        return true;
    case EVP_PKEY_EC:
        *kind = SP_PKEY_P256;
        return EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
               strcmp(group, SN_X9_62_prime256v1) == 0;
    default:
        return false;
    }
}

static struct sp_pkey *wrap(EVP_PKEY *key, enum sp_pkey_kind kind)
{
    struct sp_pkey *k = sp_calloc(1, sizeof(*k));

    k->key = key;
    k->kind = kind;
    return k;
}

enum sp_rc sp_pkey_parse(struct sp_bytes pem, struct sp_pkey **out, struct sp_err *err)
{
    enum sp_pkey_kind kind;
    EVP_PKEY *key = NULL;
    BIO *bio = NULL;

    if (pem.len > 0 && pem.len <= SP_PKEY_PEM_MAX)
        bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio != NULL)
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL)
        return sp_fail(err, SP_E_KEYS_FORMAT, "it is no private key in PEM without passphrase");
    if (!kind_of(key, &kind)) {
        EVP_PKEY_free(key);
        return sp_fail(err, SP_E_UNSUPPORTED, "it is neither an RSA, a P-256 nor an Ed25519 key");
    }
    *out = wrap(key, kind);
    return SP_OK;
}

enum sp_rc sp_pkey_new(enum sp_pkey_kind kind, unsigned bits, struct sp_pkey **out)
{
    EVP_PKEY *key = kind == SP_PKEY_RSA    ? EVP_RSA_gen((size_t)bits)
                    : kind == SP_PKEY_P256 ? EVP_EC_gen("P-256")
                                           : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    ERR_clear_error();
    if (key == NULL)
        return SP_E_CRYPT_FAILED;
    *out = wrap(key, kind);
    return SP_OK;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_of(struct sp_bytes modulus, struct sp_bytes exponent)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    BIGNUM *n = NULL, *e = NULL;

    if (modulus.len <= RSA_BITS_MAX / 8 && exponent.len > 0 && exponent.len <= RSA_EXPONENT_MAX) {
        n = BN_bin2bn(modulus.ptr, (int)modulus.len, NULL);
        e = BN_bin2bn(exponent.ptr, (int)exponent.len, NULL);
    }
    if (build != NULL && n != NULL && e != NULL && BN_num_bits(n) >= RSA_BITS_MIN && BN_is_odd(n) &&
        BN_is_odd(e) && BN_num_bits(e) > 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *p256_of(struct sp_bytes x, struct sp_bytes y)
{
    uint8_t point[1 + 2 * COORDINATE_LEN] = {4}; /* uncompressed */
    OSSL_PARAM_BLD *build;
    EVP_PKEY *key = NULL;

    if (x.len != COORDINATE_LEN || y.len != COORDINATE_LEN)
        return NULL;
    memcpy(point + 1, x.ptr, COORDINATE_LEN);
    memcpy(point + 1 + COORDINATE_LEN, y.ptr, COORDINATE_LEN);
    build = OSSL_PARAM_BLD_new();
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
        key = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

enum sp_rc sp_pkey_public_new(enum sp_pkey_kind kind, struct sp_bytes first, struct sp_bytes second,
                              struct sp_pkey **out)
{
    EVP_PKEY *key = NULL;

    if (kind == SP_PKEY_RSA)
        key = rsa_of(first, second);
    else if (kind == SP_PKEY_P256)
        key = p256_of(first, second);
    else if (second.len == 0)
        key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, first.ptr, first.len);
    ERR_clear_error();
    if (key == NULL)
        return SP_E_KEYS_FORMAT;
    *out = wrap(key, kind);
    return SP_OK;
}

void sp_pkey_free(struct sp_pkey *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->key);
    sp_free(k);
}

enum sp_pkey_kind sp_pkey_kind(const struct sp_pkey *k)
{
    return k->kind;
}

unsigned sp_pkey_bits(const struct sp_pkey *k)
{
    return (unsigned)EVP_PKEY_get_bits(k->key);
}

enum sp_rc sp_pkey_format(const struct sp_pkey *k, struct sp_buf *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    enum sp_rc rc = SP_E_CRYPT_FAILED;
    char *text = NULL;

    if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, k->key, NULL, NULL, 0, NULL, NULL) == 1) {
        long len = BIO_get_mem_data(bio, &text);

        sp_buf_put(out, sp_bytes(text, (size_t)len));
        rc = sp_buf_rc(out);
    }
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

enum sp_rc sp_pkey_public(const struct sp_pkey *k, struct sp_buf *out)
{
    uint8_t raw[COORDINATE_LEN];
    size_t len = sizeof(raw);
    uint8_t *der = NULL;
    int der_len;

    if (k->kind == SP_PKEY_P256)
        return SP_E_UNSUPPORTED;
    if (k->kind == SP_PKEY_ED25519) {
        if (EVP_PKEY_get_raw_public_key(k->key, raw, &len) != 1)
            return SP_E_CRYPT_FAILED;
        sp_buf_put(out, sp_bytes(raw, len));
        return sp_buf_rc(out);
    }
    der_len = i2d_PUBKEY(k->key, &der);
    if (der_len <= 0)
        return SP_E_CRYPT_FAILED;
    sp_buf_put(out, sp_bytes(der, (size_t)der_len));
    OPENSSL_free(der);
    return sp_buf_rc(out);
}

/* Ed25519 hashes for itself; the others sign a SHA-256. */
static const EVP_MD *hash_of(const struct sp_pkey *k)
{
    return k->kind == SP_PKEY_ED25519 ? NULL : EVP_sha256();
}

enum sp_rc sp_pkey_sign(const struct sp_pkey *k, struct sp_bytes data, struct sp_buf *out)
{
    uint8_t signature[SP_PKEY_SIGNATURE_MAX];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx;
    bool ok;

    if (k->kind == SP_PKEY_P256 || EVP_PKEY_get_size(k->key) > SP_PKEY_SIGNATURE_MAX)
        return SP_E_UNSUPPORTED;
    ctx = EVP_MD_CTX_new();
    ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, hash_of(k), NULL, k->key) == 1 &&
         EVP_DigestSign(ctx, signature, &len, data.ptr, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!ok)
        return SP_E_CRYPT_FAILED;
    sp_buf_put(out, sp_bytes(signature, len));
    return sp_buf_rc(out);
}

/* r and s to the DER that OpenSSL reads. owner: the caller, to OPENSSL_free. returns: its length, 0 if it is no signature */
static size_t der_of(struct sp_bytes raw, uint8_t **out)
{
    ECDSA_SIG *sig;
    BIGNUM *r, *s;
    int len = 0;

    if (raw.len != (size_t)2 * COORDINATE_LEN)
        return 0;
    sig = ECDSA_SIG_new();
    r = BN_bin2bn(raw.ptr, COORDINATE_LEN, NULL);
    s = BN_bin2bn(raw.ptr + COORDINATE_LEN, COORDINATE_LEN, NULL);
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1)
        len = i2d_ECDSA_SIG(sig, out);
    else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

enum sp_rc sp_pkey_verify(const struct sp_pkey *k, struct sp_bytes data, struct sp_bytes signature)
{
    EVP_MD_CTX *ctx;
    uint8_t *der = NULL;
    bool ok;

    if (k->kind == SP_PKEY_P256) {
        size_t len = der_of(signature, &der);

        signature = sp_bytes(der, len);
    }
    ctx = EVP_MD_CTX_new();
    ok = signature.len > 0 && ctx != NULL &&
         EVP_DigestVerifyInit(ctx, NULL, hash_of(k), NULL, k->key) == 1 &&
         EVP_DigestVerify(ctx, signature.ptr, signature.len, data.ptr, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ERR_clear_error();
    return ok ? SP_OK : SP_E_CRYPT_AUTH;
}
