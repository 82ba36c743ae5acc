/*
 * Argon2id by libargon2, in its text form, so that cost and salt travel with the hash and can be raised later without
 * a table. A hash that asks for absurd cost (a damaged or planted row) is refused before it can eat memory.
 */
#include "crypt/password.h"

#include <argon2.h>

enum { SALT_LEN = 16, TAG_LEN = 32, MEMORY_MAX_KIB = 256 * 1024, PASSES_MAX = 16 };

struct sp_password_cost sp_password_cost_default(void)
{
    return (struct sp_password_cost){.memory_kib = 19456, .passes = 2};
}

enum sp_rc sp_password_hash(struct sp_bytes password, struct sp_password_cost cost,
                            const struct sp_random *random, char *out)
{
    uint8_t salt[SALT_LEN];

    if (password.len > SP_PASSWORD_MAX || cost.memory_kib > MEMORY_MAX_KIB ||
        cost.passes > PASSES_MAX)
        return SP_E_LIMIT;
    sp_random_fill(random, salt, sizeof(salt));
    if (argon2id_hash_encoded(cost.passes, cost.memory_kib, 1, password.ptr, password.len, salt,
                              sizeof(salt), TAG_LEN, out, SP_PASSWORD_HASH_MAX) != ARGON2_OK)
        return SP_E_CRYPT_FAILED;
    return SP_OK;
}

/* The number behind `name` (as in "m="), or UINT64_MAX. */
static uint64_t cost_of(struct sp_bytes hash, struct sp_bytes name)
{
    uint64_t value = 0;
    size_t at = sp_bytes_find_all(hash, name);
    size_t digits = 0;
    struct sp_bytes rest;

    if (at == SIZE_MAX)
        return UINT64_MAX;
    rest = sp_bytes_slice(hash, at + name.len, hash.len);
    while (digits < rest.len && sp_ascii_is_digit(rest.ptr[digits]))
        digits++;
    if (!sp_bytes_to_u64(sp_bytes_slice(rest, 0, digits), &value))
        return UINT64_MAX;
    return value;
}

enum sp_rc sp_password_verify(struct sp_bytes password, struct sp_bytes hash)
{
    char text[SP_PASSWORD_HASH_MAX];
    int result;

    if (hash.len >= sizeof(text) || memchr(hash.ptr, 0, hash.len) != NULL)
        return SP_E_MALFORMED;
    if (cost_of(hash, SP_LIT("$m=")) > MEMORY_MAX_KIB || cost_of(hash, SP_LIT(",t=")) > PASSES_MAX)
        return SP_E_MALFORMED;
    if (password.len > SP_PASSWORD_MAX)
        return SP_E_DENIED;
    memcpy(text, hash.ptr, hash.len);
    text[hash.len] = '\0';
    result = argon2id_verify(text, password.ptr, password.len);
    if (result == ARGON2_OK)
        return SP_OK;
    return result == ARGON2_VERIFY_MISMATCH ? SP_E_DENIED : SP_E_MALFORMED;
}
