/*
 * A detached SignedData over bytes that pass by: OpenSSL's digest BIOs over a null sink. The signer is loaded once; a
 * signature is made for each message. SHA-256 with RSA PKCS#1 v1.5 or ECDSA, the algorithms that every receiver checks
 * (RFC 8551 2.2). The signing time comes from the caller's clock.
 */
#include "smime/smime_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define PEM_MAX (1024 * 1024)

struct sp_smime_signature {
    CMS_ContentInfo *cms;
    BIO *chain;
};

enum sp_rc sp_smime_fail(struct sp_err *err, enum sp_rc rc, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    ERR_clear_error();
    return sp_fail(err, rc, "%s%s%s", what, reason == NULL ? "" : ": ",
                   reason == NULL ? "" : reason);
}

enum sp_rc sp_smime_check_time(const X509 *certificate, int64_t now_ms, struct sp_err *err)
{
    time_t now = (time_t)(now_ms / 1000);

    if (X509_cmp_time(X509_get0_notAfter(certificate), &now) <= 0)
        return sp_fail(err, SP_E_KEYS_EXPIRED, "the certificate has expired");
    if (X509_cmp_time(X509_get0_notBefore(certificate), &now) > 0)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the certificate is not valid yet");
    return SP_OK;
}

static enum sp_rc read_certificates(struct sp_smime_signer *s, struct sp_bytes pem,
                                    struct sp_err *err)
{
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *next;

    s->chain = sk_X509_new_null();
    s->certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
    while (s->certificate != NULL && (next = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL)
        sk_X509_push(s->chain, next);
    BIO_free(in);
    if (s->certificate == NULL)
        return sp_smime_fail(err, SP_E_KEYS_FORMAT, "the signing certificate can't be read");
    ERR_clear_error(); /* the end of the file is an error to PEM_read_bio_X509 */
    return SP_OK;
}

/* Never asks for a pass phrase on a terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1;
}

static enum sp_rc read_key(struct sp_smime_signer *s, struct sp_bytes pem, struct sp_err *err)
{
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    int type;

    s->key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
    BIO_free(in);
    if (s->key == NULL)
        return sp_smime_fail(err, SP_E_KEYS_FORMAT, "the signing key can't be read");
    type = EVP_PKEY_get_base_id(s->key);
    if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the signing key is neither RSA nor ECDSA");
    if (X509_check_private_key(s->certificate, s->key) != 1)
        return sp_smime_fail(err, SP_E_KEYS_UNUSABLE,
                             "the signing key does not belong to the certificate");
    return SP_OK;
}

enum sp_rc sp_smime_signer_new(struct sp_bytes certificate, struct sp_bytes key,
                               struct sp_smime_signer **out, struct sp_err *err)
{
    SP_AUTO(sp_smime_signer) s = sp_calloc(1, sizeof(*s));
    enum sp_rc rc;

    if (certificate.len > PEM_MAX || key.len > PEM_MAX)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the signing certificate or key is too large");
    rc = read_certificates(s, certificate, err);
    if (rc == SP_OK)
        rc = read_key(s, key, err);
    if (rc == SP_OK && (X509_get_key_usage(s->certificate) &
                        (X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_NON_REPUDIATION)) == 0)
        rc = sp_fail(err, SP_E_KEYS_UNUSABLE, "the certificate's key usage forbids signing");
    if (rc == SP_OK)
        *out = SP_STEAL(s);
    return rc;
}

void sp_smime_signer_free(struct sp_smime_signer *s)
{
    if (s == NULL)
        return;
    X509_free(s->certificate);
    EVP_PKEY_free(s->key);
    sk_X509_pop_free(s->chain, X509_free);
    sp_free(s);
}

/* OpenSSL takes its own clock for the signing time unless the attribute is there already. */
static bool add_signing_time(CMS_SignerInfo *info, int64_t now_ms)
{
    ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)(now_ms / 1000));
    bool done = t != NULL && CMS_signed_add1_attr_by_NID(info, NID_pkcs9_signingTime,
                                                         ASN1_STRING_type(t), t, -1) == 1;

    ASN1_TIME_free(t);
    return done;
}

enum sp_rc sp_smime_signature_new(const struct sp_smime_signer *signer, int64_t now_ms,
                                  struct sp_smime_signature **out, struct sp_err *err)
{
    SP_AUTO(sp_smime_signature) s = sp_calloc(1, sizeof(*s));
    unsigned flags = CMS_DETACHED | CMS_BINARY | CMS_STREAM | CMS_PARTIAL;
    CMS_SignerInfo *info;

    s->cms = CMS_sign(NULL, NULL, signer->chain, NULL, flags);
    if (s->cms == NULL)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't begin a signature");
    info = CMS_add1_signer(s->cms, signer->certificate, signer->key, EVP_sha256(), flags);
    if (info == NULL || !add_signing_time(info, now_ms))
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't add the signer");
    s->chain = CMS_dataInit(s->cms, BIO_new(BIO_s_null()));
    if (s->chain == NULL)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't start the digest");
    *out = SP_STEAL(s);
    return SP_OK;
}

void sp_smime_signature_free(struct sp_smime_signature *s)
{
    if (s == NULL)
        return;
    BIO_free_all(s->chain);
    CMS_ContentInfo_free(s->cms);
    sp_free(s);
}

enum sp_rc sp_smime_signature_feed(struct sp_smime_signature *s, struct sp_bytes data,
                                   struct sp_err *err)
{
    size_t written;

    if (data.len == 0)
        return SP_OK;
    if (BIO_write_ex(s->chain, data.ptr, data.len, &written) != 1 || written != data.len)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't digest the entity");
    return SP_OK;
}

enum sp_rc sp_smime_signature_finish(struct sp_smime_signature *s, struct sp_buf *der,
                                     struct sp_err *err)
{
    unsigned char *bytes = NULL;
    int len;

    if (BIO_flush(s->chain) != 1 || CMS_dataFinal(s->cms, s->chain) != 1)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't sign");
    len = i2d_CMS_ContentInfo(s->cms, &bytes);
    if (len <= 0)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't encode the signature");
    sp_buf_put(der, sp_bytes(bytes, (size_t)len));
    OPENSSL_free(bytes);
    return sp_buf_rc(der) == SP_OK ? SP_OK
                                   : sp_fail(err, SP_E_SMIME_FAILED, "the signature is too large");
}
