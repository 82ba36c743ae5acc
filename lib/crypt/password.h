/*
 * Passwords and mailbox codes, hashed by Argon2id (RFC 9106) in the usual text form `$argon2id$v=19$m=…`. A hash costs
 * tens of milliseconds and megabytes by design. thread: worker
 */
#ifndef SP_CRYPT_PASSWORD_H
#define SP_CRYPT_PASSWORD_H

#include "base/clock.h"
#include "base/err.h"

#define SP_PASSWORD_HASH_MAX 128 /* with its NUL */
#define SP_PASSWORD_MAX      1024

/* How dear a hash is. */
struct sp_password_cost {
    uint32_t memory_kib;
    uint32_t passes;
};

/* returns: 19 MiB and 2 passes, the least that OWASP advises for Argon2id */
struct sp_password_cost sp_password_cost_default(void);

/* out: SP_PASSWORD_HASH_MAX bytes, NUL-terminated. returns: SP_E_LIMIT if longer than SP_PASSWORD_MAX */
SP_MUST_CHECK enum sp_rc sp_password_hash(struct sp_bytes password, struct sp_password_cost cost,
                                          const struct sp_random *random, char *out);

/*
 * returns: SP_OK, SP_E_DENIED if it is another password, SP_E_MALFORMED if the hash is none or asks for more than
 *          256 MiB or 16 passes
 */
SP_MUST_CHECK enum sp_rc sp_password_verify(struct sp_bytes password, struct sp_bytes hash);

#endif
