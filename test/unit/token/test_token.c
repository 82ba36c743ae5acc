/* Tokens made by PyJWT (test/lab/tokens.py): the good are taken, the others are not, and nothing is taken for another. */
#include "token/token.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "support/check_main.h"
#include "support/tools.h"

static char *dir;

static void setup(void)
{
    dir = tool_dir_new();
    tool_must(dir, "/usr/bin/python3 " SP_SOURCE_DIR "/test/lab/tokens.py .");
}

static void teardown(void)
{
    tool_dir_free(dir);
}

static struct sp_token_keys *read_keys(void)
{
    struct sp_token_keys *keys = NULL;
    struct sp_err err = {0};
    struct sp_buf text;

    sp_buf_init(&text, 65536);
    tool_read(dir, "keys.json", &text);
    ck_assert_msg(sp_token_keys_parse(sp_buf_bytes(&text), &keys, &err) == SP_OK, "%s", err.text);
    sp_buf_clear(&text);
    return keys;
}

static void check(const char *name, const struct sp_token_keys *keys)
{
    struct sp_token_rules rules = {.keys = keys,
                                   .issuer = SP_LIT("https://login.example/"),
                                   .audience = SP_LIT("smtp.gateway.example"),
                                   .claim = SP_LIT("sub"),
                                   .now_ms = (int64_t)time(NULL) * 1000,
                                   .leeway_ms = 60000};
    enum sp_rc wanted = name[0] == 'o' ? SP_OK : name[0] == 'n' ? SP_E_DENIED : SP_E_MALFORMED;
    struct sp_buf text, user;
    struct sp_err err = {0};
    enum sp_rc rc;

    sp_buf_init(&text, 65536);
    sp_buf_init(&user, SP_TOKEN_CLAIM_MAX);
    tool_read(dir, name, &text);
    rc = sp_token_verify(sp_buf_bytes(&text), &rules, &user, &err);
    ck_assert_msg(rc == wanted, "%s: %s (%s)", name, sp_rc_name(rc), err.text);
    ck_assert_msg(rc != SP_OK || sp_bytes_eq(sp_buf_bytes(&user), SP_LIT("app-1")), "%s", name);
    ck_assert_msg(rc == SP_OK || (user.len == 0 && err.text[0] != 0), "%s", name);
    sp_buf_clear(&text);
    sp_buf_clear(&user);
}

START_TEST(each_token_is_what_it_is)
{
    SP_AUTO(sp_token_keys) keys = read_keys();
    DIR *d = opendir(dir);
    const struct dirent *entry;
    size_t count = 0;

    ck_assert_ptr_nonnull(d);
    while ((entry = readdir(d)) != NULL) {
        if (!sp_bytes_ends_nocase(sp_bytes_cstr(entry->d_name), SP_LIT(".token")))
            continue;
        check(entry->d_name, keys);
        count++;
    }
    closedir(d);
    ck_assert_uint_gt(count, 35);
}
END_TEST

START_TEST(sets_that_are_none_are_refused)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{\"keys\": {}}",
        "{\"keys\": []}",
        "{\"keys\": [1]}",
        "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}",
        "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-384\", \"x\": \"AA\", \"y\": \"AA\"}]}",
        "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AA\", \"y\": \"AA\"}]}",
        "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\"}]}",
        "{\"keys\": [{\"kty\": \"RSA\", \"e\": \"AQAB\"}]}",
        "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AA=\"}]}",
        "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"d\": \"AA\", \"x\": "
        "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++) {
        struct sp_token_keys *keys = NULL;
        struct sp_err err = {0};

        ck_assert_msg(sp_token_keys_parse(sp_bytes_cstr(texts[i]), &keys, &err) == SP_E_KEYS_FORMAT,
                      "case %zu", i);
        ck_assert_msg(err.text[0] != 0, "case %zu", i);
        ck_assert_ptr_null(keys);
    }
}
END_TEST

START_TEST(bearer_responses)
{
    static const struct {
        const char *text;
        const char *token; /* NULL: it is none */
        const char *authzid;
    } cases[] = {
        {"n,,\001auth=Bearer abc\001\001", "abc", ""},
        {"y,,\001auth=bearer abc\001\001", "abc", ""},
        {"n,a=me@x,\001host=gw\001port=587\001auth=Bearer a.b.c\001\001", "a.b.c", "me@x"},
        {"", NULL, NULL},
        {"\001", NULL, NULL},
        {"n,,", NULL, NULL},
        {"n,,\001\001", NULL, NULL},
        {"n,,\001auth=Bearer abc\001", NULL, NULL},
        {"n,,\001auth=Bearer \001\001", NULL, NULL},
        {"n,,\001auth=Basic abc\001\001", NULL, NULL},
        {"n,,\001auth=Bearer abc\001auth=Bearer abd\001\001", NULL, NULL},
        {"n,,\001auth\001\001", NULL, NULL},
        {"n,,\001=x\001auth=Bearer abc\001\001", NULL, NULL},
        {"n,me,\001auth=Bearer abc\001\001", NULL, NULL},
        {"n,a=,\001auth=Bearer abc\001\001", NULL, NULL},
        {"p=tls-exporter,,\001auth=Bearer abc\001\001", NULL, NULL},
        {"auth=Bearer abc", NULL, NULL},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_bytes token, authzid;
        enum sp_rc rc = sp_token_bearer_parse(sp_bytes_cstr(cases[i].text), &token, &authzid);

        ck_assert_msg((rc == SP_OK) == (cases[i].token != NULL), "case %zu", i);
        if (rc != SP_OK)
            continue;
        ck_assert_msg(sp_bytes_eq(token, sp_bytes_cstr(cases[i].token)), "case %zu", i);
        ck_assert_msg(sp_bytes_eq(authzid, sp_bytes_cstr(cases[i].authzid)), "case %zu", i);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, each_token_is_what_it_is);
    tcase_add_test(c, sets_that_are_none_are_refused);
    tcase_add_test(c, bearer_responses);
}

SP_TEST_MAIN("token.token", add)
