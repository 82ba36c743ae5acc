/*
 * The cipher, hash and signature wrappers against published vectors, and what each refuses.
 */
#include "base/text.h"
#include "crypt/aead.h"
#include "crypt/hash.h"
#include "crypt/password.h"
#include "crypt/sign.h"
#include "crypt/wrap.h"
#include "support/check_main.h"

#include <stdio.h>

static struct sp_buf unhex(const char *text)
{
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    ck_assert(sp_hex_decode(&b, sp_bytes_cstr(text)));
    return b;
}

static void assert_hex(struct sp_bytes got, const char *want)
{
    struct sp_buf b = unhex(want);

    ck_assert_msg(sp_bytes_eq(got, sp_buf_bytes(&b)), "differs from %s", want);
    sp_buf_clear(&b);
}

static struct sp_secret secret_of(const char *hex)
{
    struct sp_buf b = unhex(hex);
    struct sp_secret s;

    ck_assert_int_eq(sp_secret_parse(sp_buf_bytes(&b), &s), SP_OK);
    sp_buf_clear(&b);
    return s;
}

/* McGrew and Viega, GCM test case 16 (AES-256 with additional data). */
START_TEST(gcm_gives_the_published_ciphertext)
{
    struct sp_secret key =
        secret_of("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    struct sp_buf plain = unhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e"
        "2449a6b525b16aedf5aa0de657ba637b39");
    struct sp_buf aad = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    struct sp_buf iv = unhex("cafebabefacedbaddecaf888");
    struct sp_aead_nonce nonce;
    uint8_t out[60 + SP_AEAD_TAG_LEN];
    SP_AUTO(sp_aead) a = sp_aead_new(&key);

    memcpy(nonce.b, iv.ptr, sizeof(nonce.b));
    sp_aead_seal(a, nonce, sp_buf_bytes(&aad), sp_buf_bytes(&plain), out);
    assert_hex(
        sp_bytes(out, sizeof(out)),
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b"
        "1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    ck_assert_int_eq(sp_aead_open(a, nonce, sp_buf_bytes(&aad), sp_bytes(out, sizeof(out)), out),
                     SP_OK);
    ck_assert(sp_bytes_eq(sp_bytes(out, 60), sp_buf_bytes(&plain)));
    sp_buf_clear(&plain);
    sp_buf_clear(&aad);
    sp_buf_clear(&iv);
}
END_TEST

START_TEST(a_changed_bit_anywhere_is_refused)
{
    struct sp_secret key;
    uint8_t sealed[5 + SP_AEAD_TAG_LEN];
    uint8_t out[5];
    SP_AUTO(sp_aead) a = NULL;

    sp_secret_init(&key, sp_random_system());
    a = sp_aead_new(&key);
    sp_aead_seal(a, sp_aead_nonce_of(7), SP_LIT("aad"), SP_LIT("hello"), sealed);
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        ck_assert_int_eq(sp_aead_open(a, sp_aead_nonce_of(7), SP_LIT("aad"),
                                      sp_bytes(sealed, sizeof(sealed)), out),
                         SP_E_CRYPT_AUTH);
        sealed[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    ck_assert_int_eq(
        sp_aead_open(a, sp_aead_nonce_of(8), SP_LIT("aad"), sp_bytes(sealed, sizeof(sealed)), out),
        SP_E_CRYPT_AUTH);
    ck_assert_int_eq(
        sp_aead_open(a, sp_aead_nonce_of(7), SP_LIT("aae"), sp_bytes(sealed, sizeof(sealed)), out),
        SP_E_CRYPT_AUTH);
    ck_assert_int_eq(sp_aead_open(a, sp_aead_nonce_of(7), SP_LIT("aad"), sp_bytes(sealed, 15), out),
                     SP_E_CRYPT_AUTH);
    ck_assert_int_eq(
        sp_aead_open(a, sp_aead_nonce_of(7), SP_LIT("aad"), sp_bytes(sealed, sizeof(sealed)), out),
        SP_OK);
}
END_TEST

START_TEST(hashes_give_the_published_digests)
{
    uint8_t d[SP_SHA256_LEN];
    SP_AUTO(sp_sha256) h = sp_sha256_new();

    sp_crypt_sha256(SP_LIT("abc"), d);
    assert_hex(sp_bytes(d, sizeof(d)),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (int round = 0; round < 2; round++) { /* finish makes it fresh */
        sp_sha256_feed(h, SP_LIT("a"));
        sp_sha256_feed(h, SP_LIT("bc"));
        sp_sha256_finish(h, d);
        assert_hex(sp_bytes(d, sizeof(d)),
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    sp_crypt_hmac(SP_LIT("Jefe"), SP_LIT("what do ya want for nothing?"), d); /* RFC 4231 4.3 */
    assert_hex(sp_bytes(d, sizeof(d)),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
END_TEST

/* RFC 5869 A.3: no salt, no info, the first 32 of its 42 bytes. */
START_TEST(hkdf_gives_the_published_key)
{
    struct sp_buf ikm = unhex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    struct sp_secret a;
    struct sp_secret b;

    sp_crypt_hkdf(sp_buf_bytes(&ikm), SP_LIT(""), &a);
    assert_hex(sp_secret_bytes(&a),
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    sp_crypt_hkdf(sp_buf_bytes(&ikm), SP_LIT("other"), &b);
    ck_assert(!sp_crypt_equal(sp_secret_bytes(&a), sp_secret_bytes(&b)));
    sp_buf_clear(&ikm);
}
END_TEST

START_TEST(a_wrapped_key_opens_only_in_its_context)
{
    struct sp_secret kek;
    struct sp_secret key;
    struct sp_secret got;
    uint8_t wrapped[SP_WRAPPED_LEN];
    SP_AUTO(sp_aead) a = NULL;

    sp_secret_init(&kek, sp_random_system());
    sp_secret_init(&key, sp_random_system());
    a = sp_aead_new(&kek);
    sp_crypt_wrap(a, sp_random_system(), SP_LIT("segment 1"), &key, wrapped);
    ck_assert_int_eq(
        sp_crypt_unwrap(a, SP_LIT("segment 1"), sp_bytes(wrapped, sizeof(wrapped)), &got), SP_OK);
    ck_assert(sp_crypt_equal(sp_secret_bytes(&key), sp_secret_bytes(&got)));
    ck_assert_int_eq(
        sp_crypt_unwrap(a, SP_LIT("segment 2"), sp_bytes(wrapped, sizeof(wrapped)), &got),
        SP_E_CRYPT_AUTH);
    ck_assert_int_eq(
        sp_crypt_unwrap(a, SP_LIT("segment 1"), sp_bytes(wrapped, sizeof(wrapped) - 1), &got),
        SP_E_CRYPT_KEY);
    sp_secret_clear(&key);
    ck_assert(sp_secret_is_zero(&key));
}
END_TEST

/* RFC 8032 7.1, test 2. */
START_TEST(ed25519_gives_the_published_signature)
{
    struct sp_secret key =
        secret_of("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    uint8_t pub[SP_SIGN_PUBLIC_LEN];
    uint8_t sig[SP_SIGN_SIGNATURE_LEN];

    ck_assert_int_eq(sp_sign_public(&key, pub), SP_OK);
    assert_hex(sp_bytes(pub, sizeof(pub)),
               "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    ck_assert_int_eq(sp_sign_make(&key, SP_LIT("\x72"), sig), SP_OK);
    assert_hex(
        sp_bytes(sig, sizeof(sig)),
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
        "13d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    ck_assert_int_eq(
        sp_sign_verify(sp_bytes(pub, sizeof(pub)), SP_LIT("\x72"), sp_bytes(sig, sizeof(sig))),
        SP_OK);
    ck_assert_int_eq(
        sp_sign_verify(sp_bytes(pub, sizeof(pub)), SP_LIT("\x73"), sp_bytes(sig, sizeof(sig))),
        SP_E_CRYPT_AUTH);
    ck_assert_int_eq(sp_sign_verify(sp_bytes(pub, 31), SP_LIT("\x72"), sp_bytes(sig, sizeof(sig))),
                     SP_E_CRYPT_KEY);
}
END_TEST

START_TEST(a_password_is_known_again_and_another_is_not)
{
    struct sp_password_cost cheap = {.memory_kib = 64, .passes = 1};
    char hash[SP_PASSWORD_HASH_MAX];

    ck_assert_int_eq(sp_password_hash(SP_LIT("secret"), cheap, sp_random_system(), hash), SP_OK);
    ck_assert_int_eq(strncmp(hash, "$argon2id$", 10), 0);
    ck_assert_int_eq(sp_password_verify(SP_LIT("secret"), sp_bytes_cstr(hash)), SP_OK);
    ck_assert_int_eq(sp_password_verify(SP_LIT("Secret"), sp_bytes_cstr(hash)), SP_E_DENIED);
    ck_assert_int_eq(sp_password_verify(SP_LIT(""), sp_bytes_cstr(hash)), SP_E_DENIED);
    ck_assert_int_eq(sp_password_verify(SP_LIT("secret"), SP_LIT("plain")), SP_E_MALFORMED);
    ck_assert_int_eq(sp_password_verify(SP_LIT("secret"), SP_LIT("")), SP_E_MALFORMED);
}
END_TEST

START_TEST(a_hash_that_asks_for_absurd_cost_is_refused)
{
    ck_assert_int_eq(sp_password_verify(SP_LIT("x"), SP_LIT("$argon2id$v=19$m=4194304,t=1,p=1$"
                                                            "c2FsdHNhbHQ$aGFzaGhhc2g")),
                     SP_E_MALFORMED);
    ck_assert_int_eq(sp_password_verify(SP_LIT("x"), SP_LIT("$argon2id$v=19$m=64,t=4000000,p=1$"
                                                            "c2FsdHNhbHQ$aGFzaGhhc2g")),
                     SP_E_MALFORMED);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, gcm_gives_the_published_ciphertext);
    tcase_add_test(c, a_changed_bit_anywhere_is_refused);
    tcase_add_test(c, hashes_give_the_published_digests);
    tcase_add_test(c, hkdf_gives_the_published_key);
    tcase_add_test(c, a_wrapped_key_opens_only_in_its_context);
    tcase_add_test(c, ed25519_gives_the_published_signature);
    tcase_add_test(c, a_password_is_known_again_and_another_is_not);
    tcase_add_test(c, a_hash_that_asks_for_absurd_cost_is_refused);
}

SP_TEST_MAIN("crypt", add)
