/*
 * S/MIME (RFC 8551) by OpenSSL's CMS: sign with the tenant's certificate, then encrypt to the recipients', in one pass and
 * with bounded memory. The default cipher is AES-256-CBC with RSA PKCS#1 v1.5, and then only with a signature inside;
 * AES-256-GCM (AuthEnvelopedData, RFC 5083) where every recipient's certificate shows that it is read, or
 * nothing is signed. A rule of a policy may ask for either.
 * thread: worker (all of it blocks)
 */
#ifndef SP_SMIME_SMIME_H
#define SP_SMIME_SMIME_H

#include "base/mem.h"
#include "seal/entity.h"

struct sp_smime_signer;

/*
 * The tenant's signing certificate and key.
 *
 * certificate: PEM, the signer's first, then the chain that is to travel along
 * key:         PEM without a pass phrase
 * owner:       the caller, until sp_smime_signer_free
 * returns:     SP_OK; SP_E_KEYS_FORMAT if one is not readable; SP_E_KEYS_UNUSABLE if they do not belong together
 */
SP_MUST_CHECK enum sp_rc sp_smime_signer_new(struct sp_bytes certificate, struct sp_bytes key,
                                             struct sp_smime_signer **out, struct sp_err *err);

/* NULL is allowed. */
void sp_smime_signer_free(struct sp_smime_signer *s);
SP_AUTO_DEFINE(sp_smime_signer)

enum sp_smime_cipher {
    SP_SMIME_AUTO, /* GCM if every recipient is known to read it or nothing is signed, else CBC */
    SP_SMIME_CBC,  /* EnvelopedData, AES-256-CBC; refused without a signer */
    SP_SMIME_GCM,  /* AuthEnvelopedData, AES-256-GCM */
};

struct sp_smime_recipient {
    struct sp_bytes certificate; /* DER */
    bool gcm;  /* known to read AuthEnvelopedData; so is every holder of an EC key */
    bool oaep; /* RSAES-OAEP with SHA-256 in PKCS#1 v1.5's place */
};

struct sp_smime_params {
    const struct sp_smime_signer *signer; /* NULL: encrypt only */
    const struct sp_smime_recipient *recipients;
    size_t recipient_count;
    enum sp_smime_cipher cipher;
    int64_t
        now_ms; /* wall clock: the signing time, and what an expired certificate is measured by */
};

/* What was done, for the audit. */
struct sp_smime_facts {
    const char *cipher; /* "aes-256-cbc" or "aes-256-gcm" */
    const char
        *transport;     /* of the first recipient: "rsa-pkcs1", "rsa-oaep-sha256", "ecdh-sha256" */
    const char *digest; /* of the signature, "sha-256"; NULL if not signed */
};

#define SP_SMIME_RECIPIENTS_MAX 64

/*
 * Writes the whole sealed message: the entity's outer fields, MIME-Version, Content-*, and the base-64 body, all in CRLF.
 *
 * returns: SP_OK; SP_E_KEYS_EXPIRED, SP_E_KEYS_UNUSABLE, SP_E_KEYS_FORMAT for a recipient's or the signer's certificate,
 *          all before a byte is written; SP_E_SMIME_FAILED; or what source and sink said
 */
SP_MUST_CHECK enum sp_rc sp_smime_seal(const struct sp_smime_params *params,
                                       struct sp_seal_entity *entity, struct sp_seal_sink out,
                                       struct sp_smime_facts *facts, struct sp_err *err);

#endif
