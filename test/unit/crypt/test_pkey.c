/* Key pairs: ours and openssl's read each other's; what is no key is refused. */
#include "crypt/pkey.h"

#include "support/check_main.h"
#include "support/tools.h"

static void sign(const struct sp_pkey *k, struct sp_buf *out)
{
    sp_buf_init(out, SP_PKEY_SIGNATURE_MAX);
    ck_assert_int_eq(sp_pkey_sign(k, SP_LIT("what is signed"), out), SP_OK);
}

START_TEST(a_pair_signs_and_verifies)
{
    static const enum sp_pkey_kind kinds[] = {SP_PKEY_RSA, SP_PKEY_ED25519};

    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        SP_AUTO(sp_pkey) key = NULL;
        struct sp_buf out;

        ck_assert_int_eq(sp_pkey_new(kinds[i], 2048, &key), SP_OK);
        ck_assert_int_eq(sp_pkey_kind(key), kinds[i]);
        sign(key, &out);
        ck_assert_int_eq(sp_pkey_verify(key, SP_LIT("what is signed"), sp_buf_bytes(&out)), SP_OK);
        ck_assert_int_eq(sp_pkey_verify(key, SP_LIT("what is Signed"), sp_buf_bytes(&out)),
                         SP_E_CRYPT_AUTH);
        out.ptr[5] ^= 1;
        ck_assert_int_eq(sp_pkey_verify(key, SP_LIT("what is signed"), sp_buf_bytes(&out)),
                         SP_E_CRYPT_AUTH);
        ck_assert_int_eq(sp_pkey_verify(key, SP_LIT("what is signed"), SP_LIT("")),
                         SP_E_CRYPT_AUTH);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(pem_is_written_and_read)
{
    char *dir = tool_dir_new();
    static const enum sp_pkey_kind kinds[] = {SP_PKEY_RSA, SP_PKEY_ED25519, SP_PKEY_P256};

    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        SP_AUTO(sp_pkey) key = NULL;
        SP_AUTO(sp_pkey) again = NULL;
        struct sp_buf pem;

        sp_buf_init(&pem, SP_PKEY_PEM_MAX);
        ck_assert_int_eq(sp_pkey_new(kinds[i], 2048, &key), SP_OK);
        ck_assert_int_eq(sp_pkey_format(key, &pem), SP_OK);
        tool_write(dir, "key", sp_buf_bytes(&pem));
        tool_must(dir, "openssl pkey -in key -noout");
        ck_assert_int_eq(sp_pkey_parse(sp_buf_bytes(&pem), &again, NULL), SP_OK);
        ck_assert_int_eq(sp_pkey_kind(again), kinds[i]);
        sp_buf_clear(&pem);
    }
    tool_dir_free(dir);
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
    static const char *const texts[] = {
        "", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
    char *dir = tool_dir_new();
    struct sp_pkey *key = NULL;
    struct sp_buf pem;

    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++)
        ck_assert_int_eq(sp_pkey_parse(sp_bytes_cstr(texts[i]), &key, NULL), SP_E_KEYS_FORMAT);
    tool_must(dir, "openssl genpkey -algorithm ed448 -out key; openssl genpkey -algorithm ed25519 "
                   "-aes128 -pass pass:x -out locked");
    sp_buf_init(&pem, SP_PKEY_PEM_MAX);
    tool_read(dir, "key", &pem);
    ck_assert_int_eq(sp_pkey_parse(sp_buf_bytes(&pem), &key, NULL), SP_E_UNSUPPORTED);
    sp_buf_reset(&pem);
    tool_read(dir, "locked", &pem);
    ck_assert_int_eq(sp_pkey_parse(sp_buf_bytes(&pem), &key, NULL), SP_E_KEYS_FORMAT);
    sp_buf_clear(&pem);
    tool_dir_free(dir);
}
END_TEST

START_TEST(numbers_that_are_no_key_are_refused)
{
    static const uint8_t zero[1100];
    uint8_t odd[1100];
    struct sp_pkey *key = NULL;

    memset(odd, 0xff, sizeof(odd));
    struct {
        enum sp_pkey_kind kind;
        struct sp_bytes first, second;
    } cases[] = {
        {SP_PKEY_RSA, {NULL, 0}, {NULL, 0}},
        {SP_PKEY_RSA, {odd, 128}, SP_LIT("\1\0\1")},  /* too short */
        {SP_PKEY_RSA, {odd, 1025}, SP_LIT("\1\0\1")}, /* too long */
        {SP_PKEY_RSA, {odd, 256}, SP_LIT("\1")},      /* x to the 1 is x */
        {SP_PKEY_RSA, {odd, 256}, SP_LIT("\1\0")},    /* even */
        {SP_PKEY_RSA, {odd, 256}, {odd, 9}},
        {SP_PKEY_RSA, {zero, 256}, SP_LIT("\1\0\1")},
        {SP_PKEY_P256, {odd, 32}, {odd, 32}}, /* not on the curve */
        {SP_PKEY_P256, {zero, 32}, {zero, 32}},
        {SP_PKEY_P256, {odd, 31}, {odd, 32}},
        {SP_PKEY_ED25519, {odd, 31}, {NULL, 0}},
        {SP_PKEY_ED25519, {odd, 32}, {odd, 1}},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(sp_pkey_public_new(cases[i].kind, cases[i].first, cases[i].second, &key) ==
                          SP_E_KEYS_FORMAT,
                      "case %zu", i);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_pair_signs_and_verifies);
    tcase_add_test(c, pem_is_written_and_read);
    tcase_add_test(c, what_is_no_key_is_refused);
    tcase_add_test(c, numbers_that_are_no_key_are_refused);
}

SP_TEST_MAIN("crypt.pkey", add)
