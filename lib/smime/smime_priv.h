/*
 * The two halves of S/MIME: a detached signature over bytes that pass, and an envelope that bytes are fed into. Both are
 * push machines, so that sign and encrypt is one pass over the entity.
 */
#ifndef SP_SMIME_SMIME_PRIV_H
#define SP_SMIME_SMIME_PRIV_H

#include <openssl/cms.h>

#include "smime/smime.h"

struct sp_smime_signer {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

/* Fills err with the detail and what OpenSSL last complained about, and empties its queue. returns: rc */
enum sp_rc sp_smime_fail(struct sp_err *err, enum sp_rc rc, const char *what);

/* returns: SP_OK if the certificate is valid at now_ms, SP_E_KEYS_EXPIRED or SP_E_KEYS_UNUSABLE (not yet) */
enum sp_rc sp_smime_check_time(const X509 *certificate, int64_t now_ms, struct sp_err *err);

/* ---- signature ---- */
struct sp_smime_signature;

/* owner: the caller */
enum sp_rc sp_smime_signature_new(const struct sp_smime_signer *signer, int64_t now_ms,
                                  struct sp_smime_signature **out, struct sp_err *err);
void sp_smime_signature_free(struct sp_smime_signature *s);
SP_AUTO_DEFINE(sp_smime_signature)
enum sp_rc sp_smime_signature_feed(struct sp_smime_signature *s, struct sp_bytes data,
                                   struct sp_err *err);
/* Appends the SignedData as DER. */
enum sp_rc sp_smime_signature_finish(struct sp_smime_signature *s, struct sp_buf *der,
                                     struct sp_err *err);

/* ---- envelope ---- */
struct sp_smime_envelope;

/*
 * Begins an envelope to the recipients of params.
 *
 * out:   gets base-64 lines
 * owner: the caller
 * after: sp_smime_envelope_facts says which cipher it is
 */
enum sp_rc sp_smime_envelope_new(const struct sp_smime_params *params, struct sp_seal_sink out,
                                 struct sp_smime_envelope **envelope, struct sp_err *err);
void sp_smime_envelope_free(struct sp_smime_envelope *e);
SP_AUTO_DEFINE(sp_smime_envelope)
/* Fills in cipher and transport. */
void sp_smime_envelope_facts(const struct sp_smime_envelope *e, struct sp_smime_facts *facts);
/* returns: whether the cipher is AES-256-GCM */
bool sp_smime_envelope_is_gcm(const struct sp_smime_envelope *e);
/* Lets the machine write: before it, nothing reaches out. */
enum sp_rc sp_smime_envelope_start(struct sp_smime_envelope *e, struct sp_err *err);
enum sp_rc sp_smime_envelope_feed(struct sp_smime_envelope *e, struct sp_bytes data,
                                  struct sp_err *err);
enum sp_rc sp_smime_envelope_finish(struct sp_smime_envelope *e, struct sp_err *err);

#endif
