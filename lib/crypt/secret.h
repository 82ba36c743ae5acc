/*
 * A 256-bit key. It is wiped when cleared, never logged, and leaves the process only wrapped (crypt/wrap.h) or inside a
 * job frame. thread: any
 */
#ifndef SP_CRYPT_SECRET_H
#define SP_CRYPT_SECRET_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"

#define SP_SECRET_LEN 32

struct sp_secret {
    uint8_t b[SP_SECRET_LEN];
};

/* Fills it with random bytes. */
void sp_secret_init(struct sp_secret *s, const struct sp_random *random);

/* Copies raw key bytes. returns: SP_E_CRYPT_KEY if they are not SP_SECRET_LEN long */
SP_MUST_CHECK enum sp_rc sp_secret_parse(struct sp_bytes raw, struct sp_secret *out);

/* Wipes it. */
void sp_secret_clear(struct sp_secret *s);

/* returns: a view of its bytes, for the functions of crypt */
struct sp_bytes sp_secret_bytes(const struct sp_secret *s);

/* returns: whether it was cleared or never set (all zero) */
bool sp_secret_is_zero(const struct sp_secret *s);

#endif
