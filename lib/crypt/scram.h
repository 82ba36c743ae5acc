/*
 * The server's side of SCRAM-SHA-256 (RFC 5802, 7677), without channel binding. It knows of a user no password but what
 * RFC 5803 stores: salt, count, StoredKey, ServerKey. Messages in, messages out; nothing is looked up. thread: any
 */
#ifndef SP_CRYPT_SCRAM_H
#define SP_CRYPT_SCRAM_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "crypt/hash.h"

#define SP_SCRAM_NAME_MAX    255
#define SP_SCRAM_MESSAGE_MAX 1024
#define SP_SCRAM_SALT_MAX    64

/* What is stored of a user. */
struct sp_scram_verifier {
    uint8_t salt[SP_SCRAM_SALT_MAX];
    size_t salt_len;
    uint32_t count;
    uint8_t stored_key[SP_SHA256_LEN];
    uint8_t server_key[SP_SHA256_LEN];
};

/* Reads "SCRAM-SHA-256$COUNT:SALT$STOREDKEY:SERVERKEY" (RFC 5803 3, in base 64). returns: SP_OK or SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_scram_verifier_parse(struct sp_bytes text,
                                                 struct sp_scram_verifier *out);

/*
 * One that no proof satisfies, for users that do not exist: the same name gets the same salt from the same secret, so that
 * asking twice does not tell.
 */
void sp_scram_verifier_nobody(struct sp_bytes secret, struct sp_bytes name,
                              struct sp_scram_verifier *out);

struct sp_scram;

/*
 * Takes the client's first message.
 *
 * name:    of the user, unescaped, lent as long as the exchange
 * out:     the exchange; owner: the caller, to sp_scram_free
 * returns: SP_OK; SP_E_MALFORMED; SP_E_UNSUPPORTED if the client insists on a channel binding or acts for somebody else
 */
SP_MUST_CHECK enum sp_rc sp_scram_new(struct sp_bytes first, struct sp_scram **out,
                                      struct sp_bytes *name);
/* NULL is allowed. */
void sp_scram_free(struct sp_scram *s);
SP_AUTO_DEFINE(sp_scram)

/* Appends the server's first message. returns: SP_OK or SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_scram_challenge(struct sp_scram *s,
                                            const struct sp_scram_verifier *verifier,
                                            const struct sp_random *random, struct sp_buf *out);

/*
 * Takes the client's final message.
 *
 * out:     the server's final message is appended
 * returns: SP_OK, SP_E_MALFORMED, SP_E_DENIED
 */
SP_MUST_CHECK enum sp_rc sp_scram_finish(struct sp_scram *s, struct sp_bytes final,
                                         struct sp_buf *out);

#endif
