/*
 * The key-encryption key of bodies, from the master key and the secret of its generation. A generation ends when its
 * secret is destroyed: the master key alone does not give the key back. thread: any
 */
#ifndef SP_CRYPT_KEK_H
#define SP_CRYPT_KEK_H

#include "crypt/secret.h"

#define SP_KEK_ID_LEN 12 /* "kek-" and 8 hex digits */

/* What is appended to the master key's path for the files of the generations. */
#define SP_KEK_FILE     ".content"
#define SP_KEK_FILE_OLD ".content.old"

/*
 * master:     32 bytes
 * generation: 32 bytes; empty for the first one, which has no secret of its own
 * id:         SP_KEK_ID_LEN + 1 bytes, a text: "kek-1" for the first
 * returns:    SP_E_CRYPT_KEY if a length is wrong
 */
SP_MUST_CHECK enum sp_rc sp_crypt_content_kek(struct sp_bytes master, struct sp_bytes generation,
                                              struct sp_secret *out, char *id);

#endif
