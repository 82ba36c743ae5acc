/*
 * A certificate file and a key file as a TLS server wants them, looked at before anybody is asked to use them. thread: any
 */
#ifndef SP_CRYPT_PAIR_H
#define SP_CRYPT_PAIR_H

#include "base/bytes.h"
#include "base/err.h"

#define SP_PAIR_DIGEST_LEN 64 /* hexadecimal digits */

struct sp_pair {
    char sha256[SP_PAIR_DIGEST_LEN + 1]; /* of the leaf's DER */
    int64_t not_before_ms;               /* wall clock */
    int64_t not_after_ms;
};

/*
 * Reads both (PEM; the leaf first, then what leads to its authority) and checks that they belong together, that key and
 * signatures have 112 bits of strength (SP 800-52r2 3.2), and that each certificate is signed by the next.
 *
 * returns: SP_OK, or SP_E_TLS_CONFIG and err says what is wrong, without a word of the key
 */
SP_MUST_CHECK enum sp_rc sp_pair_check(struct sp_bytes certificate_pem, struct sp_bytes key_pem,
                                       struct sp_pair *out, struct sp_err *err);

#endif
