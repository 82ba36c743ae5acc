/*
 * Tokens, key sets and bearer responses: nothing that no key has signed proves anything, and all ends cleanly. The input is a key
 * set, a NUL, and a token or response.
 */
#include "token/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char own[] = "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": "
                          "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void verify(const struct sp_token_keys *keys, struct sp_bytes token, bool may_hold)
{
    struct sp_token_rules rules = {.keys = keys,
                                   .issuer = SP_LIT("i"),
                                   .audience = SP_LIT("a"),
                                   .claim = SP_LIT("sub"),
                                   .now_ms = INT64_C(1795000000000),
                                   .leeway_ms = 60000};
    struct sp_buf user;
    struct sp_err err;
    enum sp_rc rc;

    sp_buf_init(&user, SP_TOKEN_CLAIM_MAX);
    rc = sp_token_verify(token, &rules, &user, &err);
    sp_assert(rc == SP_OK ? may_hold && user.len > 0 : user.len == 0);
    sp_buf_clear(&user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes rest = sp_bytes(data, len), set, token, authzid;
    struct sp_token_keys *keys = NULL;
    struct sp_err err;

    sp_bytes_split(&rest, 0, &set);
    if (sp_token_bearer_parse(rest, &token, &authzid) == SP_OK) {
        sp_assert(token.len > 0 && token.ptr >= rest.ptr &&
                  token.ptr + token.len <= rest.ptr + rest.len);
        rest = token;
    }
    if (sp_token_keys_parse(set, &keys, &err) == SP_OK)
        verify(keys, rest, true);
    sp_token_keys_free(keys);
    keys = NULL;
    sp_assert(sp_token_keys_parse(sp_bytes_cstr(own), &keys, &err) == SP_OK);
    verify(keys, rest, false); /* RFC 8037's key: its secret is known, but not to a fuzzer */
    sp_token_keys_free(keys);
    return 0;
}
