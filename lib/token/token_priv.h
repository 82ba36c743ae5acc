/*
 * A key set as its two files see it.
 */
#ifndef SP_TOKEN_TOKEN_PRIV_H
#define SP_TOKEN_TOKEN_PRIV_H

#include "crypt/pkey.h"
#include "token/token.h"

struct token_key {
    struct sp_pkey *key;
    const char *algorithm; /* the only one that it verifies */
    char *id;              /* kid; "" for none */
};

struct sp_token_keys {
    struct token_key items[SP_TOKEN_KEYS_MAX];
    size_t count;
};

#endif
