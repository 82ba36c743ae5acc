/*
 * A keyed word that stands for one recipient of one message, to be handed to strangers and known again when it comes back: the
 * local part of a return path (VERP). Letters and digits only, of any case, at most 64 octets (RFC 5321 4.5.3.1.1). thread: any
 */
#ifndef SP_CRYPT_TOKEN_H
#define SP_CRYPT_TOKEN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "crypt/secret.h"

struct sp_crypt_token {
    struct sp_id id; /* of the message */
    uint16_t n;      /* the recipient's number in it */
    uint16_t day;    /* when it was made: days since 1970 */
};

/* Appends the word. context: what it holds for besides, as the domain; any case of letters is the same */
void sp_crypt_token_make(const struct sp_secret *key, const struct sp_crypt_token *t,
                         struct sp_bytes context, struct sp_buf *out);

/* returns: SP_OK; SP_E_MALFORMED if it is no such word; SP_E_CRYPT_AUTH if this key did not make it for this context */
SP_MUST_CHECK enum sp_rc sp_crypt_token_read(const struct sp_secret *key, struct sp_bytes text,
                                             struct sp_bytes context, struct sp_crypt_token *out);

#endif
