/*
 * SCRAM-SHA-256: the user of RFC 7677 with a server nonce of zeros, and everything that is not quite one.
 */
#include "crypt/scram.h"

#include <stdio.h>

#include "support/check_main.h"

/* RFC 7677 3: user "user", password "pencil"; proof and signature were reckoned by Python's hmac for our nonce */
#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
/* StoredKey and ServerKey of that password with salt W22ZaJ0SNY7soEsUEjb6gQ== and 4096 rounds */
#define VERIFIER                                                                                   \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"                                                 \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void fixed(void *ctx, void *out, size_t len)
{
    (void)ctx;
    memset(out, 0, len);
}

static const struct sp_random zeros = {fixed, NULL};

static struct sp_scram_verifier verifier(void)
{
    struct sp_scram_verifier v;

    ck_assert_int_eq(sp_scram_verifier_parse(sp_bytes_cstr(VERIFIER), &v), SP_OK);
    return v;
}

static enum sp_rc first(const char *text)
{
    struct sp_scram *s = NULL;
    struct sp_bytes name;
    enum sp_rc rc = sp_scram_new(sp_bytes_cstr(text), &s, &name);

    sp_scram_free(s);
    return rc;
}

START_TEST(first_messages_are_read_strictly)
{
    static const char *const bad[] = {"",
                                      "n",
                                      "n,",
                                      "n,,",
                                      "n,,n=user",
                                      "n,,r=abc",
                                      "n,,n=,r=abc",
                                      "n,,n=user,r=",
                                      "n,,n=user,r=a c",
                                      "n,,r=abc,n=user",
                                      "n,,n=us=er,r=abc",
                                      "n,,n=us=2cer,r=abc",
                                      "n,,n=user,r=abc,x=1",
                                      "n,,m=ext,n=user,r=abc",
                                      "N,,n=user,r=abc",
                                      "x,,n=user,r=abc",
                                      "nn,,n=user,r=abc",
                                      "n,,n=us\xff"
                                      "er,r=abc"};

    for (size_t i = 0; i < SP_ARRAY_LEN(bad); i++)
        ck_assert_msg(first(bad[i]) == SP_E_MALFORMED, "%s", bad[i]);
    ck_assert_int_eq(first("p=tls-unique,,n=user,r=abc"), SP_E_UNSUPPORTED);
    ck_assert_int_eq(first("n,a=boss,n=user,r=abc"), SP_E_UNSUPPORTED);
    ck_assert_int_eq(first("n,,n=user,r=abc"), SP_OK);
    ck_assert_int_eq(first("y,,n=us=2Cer=3D,r=abc"), SP_OK);
}
END_TEST

START_TEST(names_are_unescaped)
{
    struct sp_scram *s = NULL;
    struct sp_bytes name;

    ck_assert_int_eq(sp_scram_new(SP_LIT("n,,n=a=2Cb=3Dc,r=x"), &s, &name), SP_OK);
    ck_assert(sp_bytes_eq(name, SP_LIT("a,b=c")));
    sp_scram_free(s);
}
END_TEST

START_TEST(verifiers_are_read_strictly)
{
    static const char *const bad[] = {
        "",
        "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$99999999:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="};
    struct sp_scram_verifier v;

    for (size_t i = 0; i < SP_ARRAY_LEN(bad); i++)
        ck_assert_msg(sp_scram_verifier_parse(sp_bytes_cstr(bad[i]), &v) == SP_E_MALFORMED, "%s",
                      bad[i]);
    ck_assert_uint_eq(verifier().count, 4096);
    ck_assert_uint_eq(verifier().salt_len, 16);
}
END_TEST

static enum sp_rc exchange(const char *final)
{
    struct sp_scram_verifier v = verifier();
    struct sp_scram *s = NULL;
    struct sp_bytes name;
    struct sp_buf out;
    enum sp_rc rc;

    sp_buf_init(&out, 4096);
    ck_assert_int_eq(sp_scram_new(SP_LIT("n,,n=user,r=" CLIENT_NONCE), &s, &name), SP_OK);
    ck_assert_int_eq(sp_scram_challenge(s, &v, &zeros, &out), SP_OK);
    ck_assert(sp_bytes_eq(
        sp_buf_bytes(&out),
        SP_LIT("r=" CLIENT_NONCE "AAAAAAAAAAAAAAAAAAAAAAAA,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
    sp_buf_reset(&out);
    rc = sp_scram_finish(s, sp_bytes_cstr(final), &out);
    ck_assert(rc == SP_OK || out.len == 0);
    if (rc == SP_OK)
        ck_assert(sp_bytes_eq(sp_buf_bytes(&out),
                              SP_LIT("v=QqRPQK3uxpODfs84WEd7H7b1NyEZnAnZ5gzTU6DCceg=")));
    sp_scram_free(s);
    sp_buf_clear(&out);
    return rc;
}

START_TEST(final_messages_are_read_strictly)
{
    static const char *const proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    char text[400];

#define OURS CLIENT_NONCE "AAAAAAAAAAAAAAAAAAAAAAAA"
    snprintf(text, sizeof(text),
             "c=biws,r=%s,p=mntKIUEeVuwvGnQqxdBzzYsjAdKe5WlTo6ayg08QksM=", OURS);
    ck_assert_int_eq(exchange(text), SP_OK);
    snprintf(text, sizeof(text), "c=biws,r=%s,%s", OURS, proof);
    ck_assert_int_eq(exchange(text), SP_E_DENIED); /* a proof over another nonce */
    snprintf(text, sizeof(text), "c=biws,r=%s,%s", CLIENT_NONCE, proof);
    ck_assert_int_eq(exchange(text), SP_E_DENIED);
    snprintf(text, sizeof(text), "c=eSws,r=%s,%s", OURS, proof);
    ck_assert_int_eq(exchange(text), SP_E_DENIED);
    snprintf(text, sizeof(text), "c=biws,r=%s", OURS);
    ck_assert_int_eq(exchange(text), SP_E_MALFORMED);
    snprintf(text, sizeof(text), "r=%s,c=biws,%s", OURS, proof);
    ck_assert_int_eq(exchange(text), SP_E_MALFORMED);
    snprintf(text, sizeof(text), "c=biws,r=%s,x=1,%s", OURS, proof);
    ck_assert_int_eq(exchange(text), SP_E_MALFORMED);
    snprintf(text, sizeof(text), "c=biws,r=%s,p=AAAA", OURS);
    ck_assert_int_eq(exchange(text), SP_E_MALFORMED);
    snprintf(text, sizeof(text), "c=biws,r=%s,%s,y=1", OURS, proof);
    ck_assert_int_eq(exchange(text), SP_E_MALFORMED);
    ck_assert_int_eq(exchange(""), SP_E_MALFORMED);
}
END_TEST

START_TEST(nobody_has_a_steady_salt_and_no_proof)
{
    struct sp_scram_verifier one, again, other;

    sp_scram_verifier_nobody(SP_LIT("secret"), SP_LIT("a"), &one);
    sp_scram_verifier_nobody(SP_LIT("secret"), SP_LIT("a"), &again);
    sp_scram_verifier_nobody(SP_LIT("secret"), SP_LIT("b"), &other);
    ck_assert_mem_eq(&one, &again, sizeof(one));
    ck_assert_mem_ne(one.salt, other.salt, 16);
    ck_assert_uint_eq(one.count, verifier().count);
    ck_assert_uint_eq(one.salt_len, verifier().salt_len);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, first_messages_are_read_strictly);
    tcase_add_test(c, names_are_unescaped);
    tcase_add_test(c, verifiers_are_read_strictly);
    tcase_add_test(c, final_messages_are_read_strictly);
    tcase_add_test(c, nobody_has_a_steady_salt_and_no_proof);
}

SP_TEST_MAIN("crypt.scram", add)
