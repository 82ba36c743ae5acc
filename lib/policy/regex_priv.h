/*
 * What parser, compiler and matcher of regular expressions share.
 */
#ifndef SP_POLICY_REGEX_PRIV_H
#define SP_POLICY_REGEX_PRIV_H

#include "policy/pattern.h"

enum sp_regex_op {
    SP_RX_BYTE, /* one byte of a class */
    SP_RX_BEGIN,
    SP_RX_END,
    SP_RX_EMPTY,
    SP_RX_CAT, /* tokens only, from here */
    SP_RX_ALT,
    SP_RX_STAR,
    SP_RX_PLUS,
    SP_RX_QUEST,
    SP_RX_SPLIT, /* instructions only, from here */
    SP_RX_MATCH,
};

/* A set of bytes. */
struct sp_regex_class {
    uint64_t bits[4];
};

struct sp_regex_token {
    enum sp_regex_op op;
    struct sp_regex_class class;
};

/* The pattern in postfix order. */
struct sp_regex_tokens {
    struct sp_regex_token items[SP_REGEX_INSTS_MAX];
    size_t count;
};

/* returns: NULL, or what is wrong, static */
const char *sp_policy_regex_parse(struct sp_bytes pattern, struct sp_regex_tokens *out);

#endif
