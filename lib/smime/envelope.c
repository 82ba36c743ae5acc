/*
 * An envelope that plaintext is fed into: BIO_new_CMS over a BIO of ours that makes base-64 lines. OpenSSL's own
 * SMIME_write_CMS writes bare LF and spends half its time in its base 64, so only the CMS is its work here.
 *
 * A recipient with an RSA key gets key transport, PKCS#1 v1.5 unless it is known to read OAEP. An EC key gets ECDH; OpenSSL
 * would derive with SHA-1, so SHA-256 is asked for. CBC has no integrity of its own (the EFAIL gadgets), so it is only used
 * round a signature; without a signer the cipher is GCM, whatever the recipient is known to read. A failure of the sink is kept in the envelope, since a BIO can only
 * say "no".
 */
#include "smime/smime_priv.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define MIN_RSA_BITS 2048

struct sp_smime_envelope {
    CMS_ContentInfo *cms;
    BIO_METHOD *method;
    BIO *out;   /* ours */
    BIO *chain; /* what is written to; ends in out */
    struct sp_seal_base64 lines;
    enum sp_rc rc;                               /* what the sink said */
    X509 *certificates[SP_SMIME_RECIPIENTS_MAX]; /* read once: it costs as much as the encryption */
    size_t count;
    bool gcm;
    const char *transport;
};

static int sink_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct sp_smime_envelope *e = BIO_get_data(bio);

    if (e->rc == SP_OK)
        e->rc = sp_seal_base64_feed(&e->lines, sp_bytes(data, len));
    *written = e->rc == SP_OK ? len : 0;
    return e->rc == SP_OK;
}

static long sink_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio, (void)number, (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static enum sp_rc make_sink(struct sp_smime_envelope *e, struct sp_seal_sink out)
{
    sp_seal_base64_init(&e->lines, out);
    e->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sallyport sink");
    if (e->method == NULL)
        return SP_E_SMIME_FAILED;
    BIO_meth_set_write_ex(e->method, sink_write);
    BIO_meth_set_ctrl(e->method, sink_ctrl);
    e->out = BIO_new(e->method);
    if (e->out == NULL)
        return SP_E_SMIME_FAILED;
    BIO_set_data(e->out, e);
    BIO_set_init(e->out, 1);
    return SP_OK;
}

static enum sp_rc read_certificates(struct sp_smime_envelope *e,
                                    const struct sp_smime_params *params, struct sp_err *err)
{
    for (size_t i = 0; i < params->recipient_count; i++) {
        struct sp_bytes der = params->recipients[i].certificate;
        const unsigned char *at = der.ptr;
        X509 *certificate = der.len > INT32_MAX ? NULL : d2i_X509(NULL, &at, (long)der.len);
        enum sp_rc rc;

        if (certificate == NULL)
            return sp_smime_fail(err, SP_E_KEYS_FORMAT, "a recipient's certificate can't be read");
        e->certificates[e->count++] = certificate;
        rc = sp_smime_check_time(certificate, params->now_ms, err);
        if (rc != SP_OK)
            return rc;
    }
    return SP_OK;
}

static bool is_ec(const X509 *certificate)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);

    return key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
}

static bool all_read_gcm(const struct sp_smime_envelope *e, const struct sp_smime_params *params)
{
    for (size_t i = 0; i < e->count; i++)
        if (!params->recipients[i].gcm && !is_ec(e->certificates[i]))
            return false;
    return true;
}

static enum sp_rc choose_cipher(struct sp_smime_envelope *e, const struct sp_smime_params *params,
                                struct sp_err *err)
{
    e->gcm = params->cipher == SP_SMIME_GCM;
    if (params->cipher == SP_SMIME_AUTO)
        e->gcm = params->signer == NULL || all_read_gcm(e, params);
    if (!e->gcm && params->signer == NULL)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "AES-256-CBC needs a signature inside");
    return SP_OK;
}

static bool set_oaep(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

/* Adds one recipient; what its key type and abilities ask for is set on the key's context. */
static enum sp_rc add_key(struct sp_smime_envelope *e, X509 *certificate, bool oaep,
                          struct sp_err *err)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    int type = key == NULL ? 0 : EVP_PKEY_get_base_id(key);
    const char *transport = oaep ? "rsa-oaep-sha256" : "rsa-pkcs1";
    CMS_RecipientInfo *info;
    EVP_PKEY_CTX *ctx;
    bool set = true;

    if (type == EVP_PKEY_EC)
        transport = "ecdh-sha256";
    else if (type != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < MIN_RSA_BITS)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the certificate's key is not RSA of %d bits or EC",
                       MIN_RSA_BITS);
    info = CMS_add1_recipient_cert(e->cms, certificate, CMS_KEY_PARAM);
    ctx = info == NULL ? NULL : CMS_RecipientInfo_get0_pkey_ctx(info);
    if (ctx == NULL)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't add a recipient");
    if (type == EVP_PKEY_EC)
        set = EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) == 1;
    else if (oaep)
        set = set_oaep(ctx);
    if (!set)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't set a recipient's key transport");
    if (e->transport == NULL)
        e->transport = transport;
    return SP_OK;
}

static enum sp_rc add_recipients(struct sp_smime_envelope *e, const struct sp_smime_params *params,
                                 struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    e->cms = CMS_encrypt(NULL, NULL, e->gcm ? EVP_aes_256_gcm() : EVP_aes_256_cbc(),
                         CMS_STREAM | CMS_BINARY | CMS_PARTIAL);
    if (e->cms == NULL)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't begin an envelope");
    for (size_t i = 0; rc == SP_OK && i < e->count; i++)
        rc = add_key(e, e->certificates[i], params->recipients[i].oaep, err);
    return rc;
}

enum sp_rc sp_smime_envelope_new(const struct sp_smime_params *params, struct sp_seal_sink out,
                                 struct sp_smime_envelope **envelope, struct sp_err *err)
{
    SP_AUTO(sp_smime_envelope) e = sp_calloc(1, sizeof(*e));
    enum sp_rc rc = make_sink(e, out);

    if (rc != SP_OK)
        return sp_smime_fail(err, rc, "can't make a sink");
    rc = read_certificates(e, params, err);
    if (rc == SP_OK)
        rc = choose_cipher(e, params, err);
    if (rc == SP_OK)
        rc = add_recipients(e, params, err);
    if (rc == SP_OK)
        *envelope = SP_STEAL(e);
    return rc;
}

void sp_smime_envelope_free(struct sp_smime_envelope *e)
{
    BIO *next;

    if (e == NULL)
        return;
    e->rc = e->rc == SP_OK ? SP_E_CANCELLED : e->rc; /* freeing a chain flushes it */
    for (BIO *b = e->chain; b != NULL && b != e->out; b = next) {
        next = BIO_pop(b);
        BIO_free(b);
    }
    BIO_free(e->out);
    BIO_meth_free(e->method);
    CMS_ContentInfo_free(e->cms);
    for (size_t i = 0; i < e->count; i++)
        X509_free(e->certificates[i]);
    sp_wipe(&e->lines, sizeof(e->lines));
    sp_free(e);
}

void sp_smime_envelope_facts(const struct sp_smime_envelope *e, struct sp_smime_facts *facts)
{
    facts->cipher = e->gcm ? "aes-256-gcm" : "aes-256-cbc";
    facts->transport = e->transport;
}

bool sp_smime_envelope_is_gcm(const struct sp_smime_envelope *e)
{
    return e->gcm;
}

enum sp_rc sp_smime_envelope_start(struct sp_smime_envelope *e, struct sp_err *err)
{
    e->chain = BIO_new_CMS(e->out, e->cms);
    if (e->chain == NULL)
        return sp_smime_fail(err, SP_E_SMIME_FAILED, "can't start the cipher");
    return SP_OK;
}

enum sp_rc sp_smime_envelope_feed(struct sp_smime_envelope *e, struct sp_bytes data,
                                  struct sp_err *err)
{
    size_t written;

    if (data.len == 0)
        return SP_OK;
    if (BIO_write_ex(e->chain, data.ptr, data.len, &written) == 1 && written == data.len)
        return SP_OK;
    return sp_smime_fail(err, e->rc != SP_OK ? e->rc : SP_E_SMIME_FAILED, "can't encrypt");
}

enum sp_rc sp_smime_envelope_finish(struct sp_smime_envelope *e, struct sp_err *err)
{
    if (BIO_flush(e->chain) != 1 || e->rc != SP_OK)
        return sp_smime_fail(err, e->rc != SP_OK ? e->rc : SP_E_SMIME_FAILED,
                             "can't end the envelope");
    e->rc = sp_seal_base64_finish(&e->lines);
    return e->rc == SP_OK ? SP_OK : sp_fail(err, e->rc, "can't write the envelope's end");
}
