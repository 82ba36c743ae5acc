/*
 * What would go wrong when a server shows a certificate is found here instead, by who can still keep the one before: files
 * that are half renewed, another's key, a chain in disorder, what OpenSSL calls too weak at the level that tls sets. Whether
 * the times hold now is for the caller: at a start an old certificate is better than none, as a successor it is not.
 */
#include "crypt/pair.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#define BITS_LEAST 112
#define CHAIN_MAX  16

struct reading {
    EVP_PKEY *key;
    X509 *chain[CHAIN_MAX];
    size_t count;
};

/* A key that is protected by a password is an error, not a prompt. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static enum sp_rc fail(struct sp_err *err, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    enum sp_rc rc = sp_fail(err, SP_E_TLS_CONFIG, "%s%s%s", what, reason == NULL ? "" : ": ",
                            reason == NULL ? "" : reason);

    ERR_clear_error();
    return rc;
}

static enum sp_rc read_chain(struct reading *r, BIO *bio, struct sp_err *err)
{
    X509 *next;

    ERR_clear_error(); /* of what the key's reader has tried */
    while ((next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        if (r->count == CHAIN_MAX) {
            X509_free(next);
            return sp_fail(err, SP_E_TLS_CONFIG, "more than %d certificates in one file",
                           CHAIN_MAX);
        }
        r->chain[r->count++] = next;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return fail(err, "certificate file can't be read");
    ERR_clear_error(); /* the end of the file is an error to the PEM reader */
    return r->count > 0 ? SP_OK : sp_fail(err, SP_E_TLS_CONFIG, "no certificate in its file");
}

static enum sp_rc check_strength(X509 *certificate, size_t at, struct sp_err *err)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    bool is_root = (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
    int bits = 0;

    if (key == NULL || EVP_PKEY_get_security_bits(key) < BITS_LEAST)
        return sp_fail(err, SP_E_TLS_CONFIG, "the key of certificate %zu is too weak", at + 1);
    if (!is_root &&
        (X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) != 1 || bits < BITS_LEAST))
        return sp_fail(err, SP_E_TLS_CONFIG, "the signature of certificate %zu is too weak",
                       at + 1);
    return SP_OK;
}

static enum sp_rc check(const struct reading *r, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    if (X509_check_private_key(r->chain[0], r->key) != 1)
        return fail(err, "the private key does not belong to the certificate");
    for (size_t i = 0; i < r->count && rc == SP_OK; i++) {
        rc = check_strength(r->chain[i], i, err);
        if (rc == SP_OK && i > 0 && X509_check_issued(r->chain[i], r->chain[i - 1]) != X509_V_OK)
            rc = sp_fail(err, SP_E_TLS_CONFIG,
                         "certificate %zu of the file is not signed by number %zu", i, i + 1);
    }
    ERR_clear_error();
    return rc;
}

static int64_t ms_of(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static void describe(X509 *leaf, struct sp_pair *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SP_PAIR_DIGEST_LEN / 2];

    sp_assert(X509_digest(leaf, EVP_sha256(), digest, NULL) == 1);
    for (size_t i = 0; i < sizeof(digest); i++) {
        out->sha256[2 * i] = digits[digest[i] >> 4];
        out->sha256[2 * i + 1] = digits[digest[i] & 15];
    }
    out->sha256[SP_PAIR_DIGEST_LEN] = '\0';
    out->not_before_ms = ms_of(X509_get0_notBefore(leaf));
    out->not_after_ms = ms_of(X509_get0_notAfter(leaf));
}

enum sp_rc sp_pair_check(struct sp_bytes certificate_pem, struct sp_bytes key_pem,
                         struct sp_pair *out, struct sp_err *err)
{
    BIO *certificate = BIO_new_mem_buf(certificate_pem.ptr, (int)certificate_pem.len);
    BIO *key = BIO_new_mem_buf(key_pem.ptr, (int)key_pem.len);
    struct reading r = {.key = PEM_read_bio_PrivateKey(key, NULL, no_password, NULL)};
    enum sp_rc rc;

    if (r.key == NULL)
        rc = fail(err, "no private key in its file");
    else
        rc = read_chain(&r, certificate, err);
    if (rc == SP_OK)
        rc = check(&r, err);
    if (rc == SP_OK)
        describe(r.chain[0], out);
    for (size_t i = 0; i < r.count; i++)
        X509_free(r.chain[i]);
    EVP_PKEY_free(r.key);
    BIO_free(certificate);
    BIO_free(key);
    return rc;
}
