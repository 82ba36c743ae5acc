/*
 * Keys by value: 32 bytes that are wiped when their holder is done. A struct of fixed size rather than a buffer, so that
 * a key never has another length than the ciphers want, and lies inside what owns it.
 */
#include "crypt/secret.h"

#include "base/mem.h"

void sp_secret_init(struct sp_secret *s, const struct sp_random *random)
{
    sp_random_fill(random, s->b, sizeof(s->b));
}

enum sp_rc sp_secret_parse(struct sp_bytes raw, struct sp_secret *out)
{
    if (raw.len != SP_SECRET_LEN)
        return SP_E_CRYPT_KEY;
    memcpy(out->b, raw.ptr, SP_SECRET_LEN);
    return SP_OK;
}

void sp_secret_clear(struct sp_secret *s)
{
    sp_wipe(s->b, sizeof(s->b));
}

struct sp_bytes sp_secret_bytes(const struct sp_secret *s)
{
    return sp_bytes(s->b, sizeof(s->b));
}

bool sp_secret_is_zero(const struct sp_secret *s)
{
    uint8_t any = 0;

    for (size_t i = 0; i < SP_SECRET_LEN; i++)
        any |= s->b[i];
    return any == 0;
}
