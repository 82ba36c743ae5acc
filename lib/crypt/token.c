/*
 * "b-" and 48 characters of base 32 (RFC 4648 6, in lower case): id, number, day, and 80 bits of an HMAC over them and the
 * context. Mail systems change the case of local parts, so nothing hangs on it. 80 bits can't be guessed by mail: a try is a
 * command. The day is signed too, so that whoever reads it may refuse what is old.
 */
#include "crypt/token.h"

#include "base/text.h"
#include "crypt/hash.h"

enum { MAC_LEN = 10, PLAIN_LEN = SP_ID_LEN + 4, WORD_LEN = PLAIN_LEN + MAC_LEN, TEXT_LEN = 48 };

#define PREFIX "b-"

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

static void sign(const struct sp_secret *key, const uint8_t plain[PLAIN_LEN],
                 struct sp_bytes context, uint8_t mac[SP_SHA256_LEN])
{
    struct sp_buf said;

    sp_buf_init(&said, 4096);
    sp_buf_put(&said, sp_bytes(plain, PLAIN_LEN));
    for (size_t i = 0; i < context.len; i++)
        sp_buf_put_u8(&said, sp_ascii_lower(context.ptr[i]));
    sp_crypt_hmac(sp_secret_bytes(key), sp_buf_bytes(&said), mac);
    sp_buf_clear(&said);
}

/* 5 octets are 8 digits: nothing is left over. */
static void encode(const uint8_t word[WORD_LEN], struct sp_buf *out)
{
    for (size_t i = 0; i < WORD_LEN; i += 5) {
        uint64_t group = 0;

        for (size_t k = 0; k < 5; k++)
            group = group << 8 | word[i + k];
        for (int shift = 35; shift >= 0; shift -= 5)
            sp_buf_put_u8(out, (uint8_t)digits[group >> shift & 31]);
    }
}

static bool decode(struct sp_bytes text, uint8_t word[WORD_LEN])
{
    for (size_t i = 0; i < TEXT_LEN; i += 8) {
        uint64_t group = 0;

        for (size_t k = 0; k < 8; k++) {
            const char *at = memchr(digits, sp_ascii_lower(text.ptr[i + k]), sizeof(digits) - 1);

            if (at == NULL)
                return false;
            group = group << 5 | (uint64_t)(at - digits);
        }
        for (size_t k = 0; k < 5; k++)
            word[i / 8 * 5 + k] = (uint8_t)(group >> (32 - 8 * k));
    }
    return true;
}

void sp_crypt_token_make(const struct sp_secret *key, const struct sp_crypt_token *t,
                         struct sp_bytes context, struct sp_buf *out)
{
    uint8_t word[WORD_LEN], mac[SP_SHA256_LEN];

    memcpy(word, t->id.b, SP_ID_LEN);
    word[SP_ID_LEN] = (uint8_t)(t->n >> 8);
    word[SP_ID_LEN + 1] = (uint8_t)t->n;
    word[SP_ID_LEN + 2] = (uint8_t)(t->day >> 8);
    word[SP_ID_LEN + 3] = (uint8_t)t->day;
    sign(key, word, context, mac);
    memcpy(word + PLAIN_LEN, mac, MAC_LEN);
    sp_buf_put_cstr(out, PREFIX);
    encode(word, out);
}

enum sp_rc sp_crypt_token_read(const struct sp_secret *key, struct sp_bytes text,
                               struct sp_bytes context, struct sp_crypt_token *out)
{
    uint8_t word[WORD_LEN], mac[SP_SHA256_LEN];

    if (text.len != sizeof(PREFIX) - 1 + TEXT_LEN ||
        !sp_bytes_starts_nocase(text, SP_LIT(PREFIX)) ||
        !decode(sp_bytes_slice(text, sizeof(PREFIX) - 1, text.len), word))
        return SP_E_MALFORMED;
    sign(key, word, context, mac);
    if (!sp_crypt_equal(sp_bytes(mac, MAC_LEN), sp_bytes(word + PLAIN_LEN, MAC_LEN)))
        return SP_E_CRYPT_AUTH;
    memcpy(out->id.b, word, SP_ID_LEN);
    out->n = (uint16_t)(word[SP_ID_LEN] << 8 | word[SP_ID_LEN + 1]);
    out->day = (uint16_t)(word[SP_ID_LEN + 2] << 8 | word[SP_ID_LEN + 3]);
    return SP_OK;
}
