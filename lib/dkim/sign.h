/*
 * DKIM signatures (RFC 6376; RFC 8463 for Ed25519): one message, any number of keys. thread: worker
 */
#ifndef SP_DKIM_SIGN_H
#define SP_DKIM_SIGN_H

#include "base/buf.h"
#include "base/mem.h"
#include "crypt/pkey.h"

#define SP_DKIM_SIGNERS_MAX  4
#define SP_DKIM_KEY_BITS_MIN 2048 /* of RSA, RFC 8301 3.2 */

struct sp_dkim_signer {
    const char *domain;        /* d= */
    const char *selector;      /* s= */
    const struct sp_pkey *key; /* RSA or Ed25519; lent for the run */
};

/* returns: SP_OK, or SP_E_UNSUPPORTED for a key that may not sign: another kind, or RSA that is too short */
SP_MUST_CHECK enum sp_rc sp_dkim_signer_check(const struct sp_pkey *key, struct sp_err *err);

/* One message, fed in pieces cut anywhere: header, empty line, body, in CRLF. */
struct sp_dkim_sign;

/*
 * owner:   the caller, until sp_dkim_sign_free
 * signers: 1 to SP_DKIM_SIGNERS_MAX; copied but for the keys
 * now_ms:  wall clock: the signatures' t=; x= is seven days later
 * returns: SP_OK, SP_E_UNSUPPORTED as above
 */
SP_MUST_CHECK enum sp_rc sp_dkim_sign_new(const struct sp_dkim_signer *signers, size_t count,
                                          int64_t now_ms, struct sp_dkim_sign **out,
                                          struct sp_err *err);
/* NULL is allowed. */
void sp_dkim_sign_free(struct sp_dkim_sign *s);
SP_AUTO_DEFINE(sp_dkim_sign)

/* The message's next bytes. returns: SP_OK, or SP_E_HEADER_LIMIT if its header is no header that can be signed */
SP_MUST_CHECK enum sp_rc sp_dkim_sign_feed(struct sp_dkim_sign *s, struct sp_bytes data,
                                           struct sp_err *err);

/*
 * After the last byte.
 *
 * out:     one DKIM-Signature field a signer, in their order, each folded and ended by CRLF, is appended
 * returns: SP_OK, SP_E_HEADER_LIMIT, SP_E_LIMIT if they don't fit, SP_E_CRYPT_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_dkim_sign_finish(struct sp_dkim_sign *s, struct sp_buf *out,
                                             struct sp_err *err);

#endif
