/*
 * SCRAM: no message of a client's proves anything without the password, and all ends cleanly. The input is the first message, a
 * line end, and the final one; a verifier is read from the whole.
 */
#include "crypt/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fixed(void *ctx, void *out, size_t len)
{
    (void)ctx;
    memset(out, 0x5a, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct sp_random random = {fixed, NULL};
    struct sp_bytes rest = sp_bytes(data, len), first = {NULL, 0}, name;
    struct sp_scram_verifier verifier, read;
    struct sp_scram *s = NULL;
    struct sp_buf out;

    if (sp_scram_verifier_parse(rest, &read) == SP_OK)
        sp_assert(read.salt_len > 0 && read.salt_len <= SP_SCRAM_SALT_MAX);
    sp_bytes_split(&rest, '\n', &first);
    if (sp_scram_new(first, &s, &name) != SP_OK)
        return 0;
    sp_assert(name.len > 0 && name.len <= SP_SCRAM_NAME_MAX);
    sp_scram_verifier_nobody(SP_LIT("secret"), name, &verifier);
    sp_buf_init(&out, 1 << 16);
    if (sp_scram_challenge(s, &verifier, &random, &out) == SP_OK) {
        sp_buf_reset(&out);
        sp_assert(sp_scram_finish(s, rest, &out) != SP_OK && out.len == 0);
    }
    sp_buf_clear(&out);
    sp_scram_free(s);
    return 0;
}
