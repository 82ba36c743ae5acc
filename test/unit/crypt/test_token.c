/* A word for strangers that is known again: round trip, every bit counts, any case, another domain is another word. */
#include "crypt/token.h"
#include "support/check_main.h"

static struct sp_secret key = {.b = {1, 2, 3}};
static const struct sp_crypt_token token = {.id = {{7, 200, 255, 0, 9}}, .n = 9999, .day = 20779};

START_TEST(it_comes_back_as_it_went)
{
    struct sp_crypt_token got;
    struct sp_buf text;

    sp_buf_init(&text, 64);
    sp_crypt_token_make(&key, &token, SP_LIT("b.gw.example"), &text);
    ck_assert_uint_eq(text.len, 50);
    ck_assert_int_eq(sp_crypt_token_read(&key, sp_buf_bytes(&text), SP_LIT("B.gw.Example"), &got),
                     SP_OK);
    ck_assert(sp_id_eq(&got.id, &token.id) && got.n == token.n && got.day == token.day);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 'a' && text.ptr[i] <= 'z')
            text.ptr[i] = (uint8_t)(text.ptr[i] - 32);
    ck_assert_int_eq(sp_crypt_token_read(&key, sp_buf_bytes(&text), SP_LIT("b.gw.example"), &got),
                     SP_OK);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(nobody_else_can_make_one)
{
    struct sp_secret other = {.b = {1, 2, 4}};
    struct sp_crypt_token got;
    struct sp_buf text;

    sp_buf_init(&text, 64);
    sp_crypt_token_make(&key, &token, SP_LIT("b.gw.example"), &text);
    ck_assert_int_eq(sp_crypt_token_read(&other, sp_buf_bytes(&text), SP_LIT("b.gw.example"), &got),
                     SP_E_CRYPT_AUTH);
    ck_assert_int_eq(sp_crypt_token_read(&key, sp_buf_bytes(&text), SP_LIT("c.gw.example"), &got),
                     SP_E_CRYPT_AUTH);
    for (size_t i = 2; i < text.len; i++) {
        uint8_t was = text.ptr[i];

        text.ptr[i] = was == 'a' ? 'b' : 'a';
        ck_assert_int_eq(
            sp_crypt_token_read(&key, sp_buf_bytes(&text), SP_LIT("b.gw.example"), &got),
            SP_E_CRYPT_AUTH);
        text.ptr[i] = i % 2 == 0 ? '1' : 0xff;
        ck_assert_int_eq(
            sp_crypt_token_read(&key, sp_buf_bytes(&text), SP_LIT("b.gw.example"), &got),
            SP_E_MALFORMED);
        text.ptr[i] = was;
    }
    for (size_t len = 0; len < text.len; len++)
        ck_assert_int_eq(
            sp_crypt_token_read(&key, sp_bytes(text.ptr, len), SP_LIT("b.gw.example"), &got),
            SP_E_MALFORMED);
    sp_buf_clear(&text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, it_comes_back_as_it_went);
    tcase_add_test(c, nobody_else_can_make_one);
}

SP_TEST_MAIN("crypt.token", add)
