/*
 * The root secret: what all other keys of a gateway are derived from. At first it is the master key itself. Once the master
 * key has been changed, the root lies in a file beside it, wrapped under the new one; so a change of the master key rewrites
 * 100 bytes and nothing else. While a change is under way the file holds it twice, under both. thread: any
 */
#ifndef SP_CRYPT_ROOT_H
#define SP_CRYPT_ROOT_H

#include "base/buf.h"
#include "crypt/secret.h"

#define SP_ROOT_FILE     ".root" /* is appended to the master key's path */
#define SP_ROOT_FILE_MAX 1024

/*
 * file:    what lies in the file; empty if there is none
 * returns: SP_E_CRYPT_KEY if master is no key, or the file is none of ours or does not open under it
 */
SP_MUST_CHECK enum sp_rc sp_crypt_root_open(struct sp_bytes master, struct sp_bytes file,
                                            struct sp_secret *out);

/* Appends the file that opens under each of these master keys and no other. */
void sp_crypt_root_seal(const struct sp_secret *root, const struct sp_secret *masters, size_t count,
                        const struct sp_random *random, struct sp_buf *out);

#endif
