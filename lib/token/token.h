/*
 * Signed tokens of an issuer (JWT, RFC 7519, in JWS compact form, RFC 7515) against a set of keys that lies on disk (JWKS, RFC
 * 7517): RS256, ES256 and EdDSA, nothing else and never "none" (RFC 8725). Asks nobody. thread: any
 */
#ifndef SP_TOKEN_TOKEN_H
#define SP_TOKEN_TOKEN_H

#include "base/buf.h"
#include "base/mem.h"

#define SP_TOKEN_MAX       8192 /* bytes of a token */
#define SP_TOKEN_KEYS_MAX  64   /* keys of a set */
#define SP_TOKEN_CLAIM_MAX 255

/* Immutable. */
struct sp_token_keys;

/*
 * Reads a key set. Keys of other kinds or uses are passed over; a set without one that can verify is an error.
 *
 * owner:   the caller
 * returns: SP_OK, SP_E_KEYS_FORMAT with the reason
 */
SP_MUST_CHECK enum sp_rc sp_token_keys_parse(struct sp_bytes text, struct sp_token_keys **out,
                                             struct sp_err *err);
/* NULL is allowed. */
void sp_token_keys_free(struct sp_token_keys *k);
SP_AUTO_DEFINE(sp_token_keys)

/* What a token must say. */
struct sp_token_rules {
    const struct sp_token_keys *keys;
    struct sp_bytes issuer;   /* iss is this */
    struct sp_bytes audience; /* aud is this, or holds it */
    struct sp_bytes claim;    /* the claim that names the user: a text */
    int64_t now_ms;           /* wall clock */
    int64_t leeway_ms;        /* between its clock and ours */
};

/*
 * Verifies a token: its signature first, then issuer, audience, exp (which must be there), nbf and iat.
 *
 * user:    gets the claim's text
 * returns: SP_OK; SP_E_MALFORMED if it is no token; SP_E_DENIED if it is one that proves nothing, err says why in words
 */
SP_MUST_CHECK enum sp_rc sp_token_verify(struct sp_bytes token, const struct sp_token_rules *rules,
                                         struct sp_buf *user, struct sp_err *err);

/*
 * OAUTHBEARER's response (RFC 7628 3.1): takes the token and the identity that is asked for out of it.
 *
 * token, authzid: views of text; authzid is empty if none is asked for
 * returns:        SP_OK or SP_E_MALFORMED: no gs2 header, channel binding asked for, a key twice, no bearer token
 */
SP_MUST_CHECK enum sp_rc sp_token_bearer_parse(struct sp_bytes text, struct sp_bytes *token,
                                               struct sp_bytes *authzid);

#endif
