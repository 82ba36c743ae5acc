/* OpenPGP keys as gpg makes them, and files that are something else. */
#include "keys/keys.h"

#include "support/check_main.h"
#include "support/tools.h"

static char *dir;

#define GPG "gpg --homedir home --batch --no-tty --pinentry-mode loopback --passphrase '' "

static void setup(void)
{
    dir = tool_dir_new();
    tool_must(
        dir,
        "mkdir -m 700 home && " GPG
        "--quick-gen-key 'Pat <Pat@Example.net>' future-default default 30d && " GPG
        "--quick-gen-key other@example.net rsa2048 sign never && " GPG
        "--quick-gen-key 'Rsa <rsa@example.net>' default default never && " GPG
        "--quick-gen-key 'Nobody' future-default default never && " GPG
        "--export --armor pat@example.net > pat.asc && " GPG
        "--export pat@example.net > pat.pgp && " GPG
        "--export other@example.net > signonly.pgp && " GPG
        "--export rsa@example.net > rsa.pgp && " GPG "--export --armor Nobody > nobody.asc && " GPG
        "--export > all.pgp && cat pat.asc nobody.asc > two.asc && " GPG
        "--export-secret-keys pat@example.net > secret.pgp && " GPG
        "--export-secret-keys --armor pat@example.net > secret.asc && "
        "sed 's/^://' home/openpgp-revocs.d/$(gpg --homedir home --list-keys "
        "--with-colons rsa@example.net | awk -F: '/^fpr/ {print $10; exit}').rev > rev && " GPG
        "--import rev && " GPG "--export rsa@example.net > revoked.pgp; "
        "gpgconf --homedir home --kill gpg-agent");
}

static void teardown(void)
{
    tool_dir_free(dir);
}

static enum sp_rc parse(const char *name, struct sp_arena *arena, struct sp_keys_key *key,
                        struct sp_err *err)
{
    struct sp_buf file;
    enum sp_rc rc;

    sp_buf_init(&file, 1U << 20);
    tool_read(dir, name, &file);
    rc = sp_keys_pgp_parse(sp_buf_bytes(&file), dir, arena, key, err);
    sp_buf_clear(&file);
    return rc;
}

START_TEST(a_key_is_described_and_exported)
{
    static const char *const names[] = {"pat.asc", "pat.pgp"};

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_keys_key key;
        struct sp_err err = {0};

        ck_assert_msg(parse(names[i], arena, &key, &err) == SP_OK, "%s", err.text);
        ck_assert_int_eq(key.kind, SP_KEYS_PGP);
        ck_assert_uint_eq(strlen(key.id), strlen("pgp:") + 40);
        ck_assert_str_eq(key.algorithm, "cv25519");
        ck_assert_uint_eq(key.address_count, 1);
        ck_assert_str_eq(key.addresses[0], "pat@example.net");
        ck_assert_int_eq(key.trust, SP_KEYS_UNTRUSTED);
        ck_assert_int_gt(key.not_after_ms, key.not_before_ms);
        tool_write(dir, "out.pgp", key.bytes);
        tool_must(dir, "gpg --homedir home --show-keys out.pgp | grep -i pat@example.net");
    }
}
END_TEST

START_TEST(refusals_and_their_kind)
{
    static const struct {
        const char *name;
        enum sp_rc want;
    } cases[] = {
        {"rsa.pgp", SP_OK},
        {"revoked.pgp", SP_E_KEYS_UNUSABLE},
        {"signonly.pgp", SP_E_KEYS_UNUSABLE},
        {"nobody.asc", SP_E_KEYS_UNUSABLE},
        {"all.pgp", SP_E_KEYS_FORMAT},
        {"two.asc", SP_E_KEYS_FORMAT},
        {"secret.pgp", SP_E_KEYS_FORMAT},
        {"secret.asc", SP_E_KEYS_FORMAT},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_keys_key key;
        struct sp_err err = {0};

        ck_assert_msg(parse(cases[i].name, arena, &key, &err) == cases[i].want, "%s: %s",
                      cases[i].name, err.text);
    }
    tool_must(dir, "! ls -d gpg.*"); /* no home is left behind */
}
END_TEST

START_TEST(a_user_id_without_its_signature_is_dropped)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_keys_key key;
    struct sp_buf file;
    size_t at;

    sp_buf_init(&file, 1U << 20);
    tool_read(dir, "pat.pgp", &file);
    at = sp_bytes_find_all(sp_buf_bytes(&file), SP_LIT("Pat@Example"));
    ck_assert_uint_ne(at, SIZE_MAX);
    file.ptr[at] = 'M'; /* Mat@Example.net was never signed */
    ck_assert_int_ne(sp_keys_pgp_parse(sp_buf_bytes(&file), dir, arena, &key, NULL), SP_OK);
    sp_buf_clear(&file);
}
END_TEST

START_TEST(what_is_no_key_never_reaches_gpg)
{
    static const struct {
        struct sp_bytes file;
        enum sp_rc want;
    } cases[] = {
        {SP_LIT_INIT(""), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("hello"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("\x99\x00\x00"), SP_OK}, /* an empty key: gpg's to refuse */
        {SP_LIT_INIT("\x99\x00\x05"
                     "a"),
         SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("\x9b"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("\xc6\xe0"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("\xb4\x00"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("\xc6\x00\xcb\x00"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("\xc6\xff\xff\xff\xff\xff"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQAA\n"), SP_E_KEYS_FORMAT},
        {SP_LIT_INIT("-----BEGIN PGP PUBLIC KEY BLOCK-----\nA: b\n\nmQAA\n=abcd\n-----END"), SP_OK},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_buf binary;

        sp_buf_init(&binary, SP_KEYS_IMPORT_MAX);
        ck_assert_msg(sp_keys_pgp_check(cases[i].file, &binary, NULL) == cases[i].want, "case %zu",
                      i);
        sp_buf_clear(&binary);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, a_key_is_described_and_exported);
    tcase_add_test(c, refusals_and_their_kind);
    tcase_add_test(c, a_user_id_without_its_signature_is_dropped);
    tcase_add_test(c, what_is_no_key_never_reaches_gpg);
}

SP_TEST_MAIN("keys.pgp", add)
