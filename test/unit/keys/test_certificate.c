/* Certificates as openssl makes them: what is taken, what is refused, and why. */
#include "keys/keys.h"

#include <stdio.h>
#include <time.h>

#include "support/check_main.h"
#include "support/tools.h"

static char *dir;

#define RSA "-newkey rsa:2048"
#define EC  "-newkey ec -pkeyopt ec_paramgen_curve:P-256"

static void setup(void)
{
    dir = tool_dir_new();
}

static void teardown(void)
{
    tool_dir_free(dir);
}

static int64_t now_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

static void make(const char *key, const char *subject, const char *extensions)
{
    tool_must(dir,
              "openssl req -x509 %s -nodes -keyout k.key -out k.pem -days 30 -subj '%s' %s && "
              "openssl x509 -in k.pem -outform DER -out k.der",
              key, subject, extensions);
}

static void read_file(const char *name, struct sp_buf *out)
{
    sp_buf_init(out, 1U << 20);
    tool_read(dir, name, out);
}

START_TEST(a_certificate_is_described)
{
    static const char *const names[] = {"k.pem", "k.der"};

    make(RSA, "/CN=Pat",
         "-addext 'subjectAltName=email:Pat@Example.NET,email:p@example.net,DNS:x.example' "
         "-addext 'keyUsage=keyEncipherment' -addext 'extendedKeyUsage=emailProtection'");
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_keys_key key;
        struct sp_buf file;
        struct sp_err err = {0};

        read_file(names[i], &file);
        ck_assert_msg(sp_keys_certificate_parse(sp_buf_bytes(&file), SP_LIT(""), now_ms(), arena,
                                                &key, &err) == SP_OK,
                      "%s: %s", names[i], err.text);
        ck_assert_int_eq(key.kind, SP_KEYS_SMIME);
        ck_assert_uint_eq(strlen(key.id), strlen("smime:") + 64);
        ck_assert_str_eq(key.algorithm, "rsa-2048");
        ck_assert_uint_eq(key.address_count, 2);
        ck_assert_str_eq(key.addresses[0], "pat@example.net");
        ck_assert_str_eq(key.addresses[1], "p@example.net");
        ck_assert_uint_eq(key.abilities, 0);
        ck_assert_int_eq(key.trust, SP_KEYS_UNTRUSTED);
        ck_assert_int_eq(key.not_after_ms - key.not_before_ms, INT64_C(30) * 86400000);
        sp_buf_clear(&file);
    }
}
END_TEST

#define OTHER        "otherName.1=1.3.6.1.5.5.7.8.9;FORMAT:UTF8,"
#define ANOTHER_KIND "otherName.1=1.3.6.1.4.1.311.20.2.3;FORMAT:UTF8,"
#define MAIL         "\nemail.1=p@b.example"

/* RFC 9598: an otherName for local parts that are not ASCII, its domain in A-labels. */
START_TEST(addresses_that_are_not_ascii)
{
    static const struct {
        const char *names; /* lines of openssl's configuration */
        const char *want[2];
    } cases[] = {
        {OTHER "UTF8:jörg@xn--mller-kva.example", {"jörg@xn--mller-kva.example"}},
        {OTHER "UTF8:Jörg@Müller.example" MAIL, {"p@b.example", "jörg@xn--mller-kva.example"}},
        {"email.1=pat@xn--mller-kva.example", {"pat@xn--mller-kva.example"}},
        /* what may not stand there, and what is another kind of name */
        {OTHER "UTF8:pat@b.example" MAIL, {"p@b.example"}},
        {OTHER "UTF8:ö" MAIL, {"p@b.example"}},
        {OTHER "UTF8:jörg@b.example x" MAIL, {"p@b.example"}},
        {OTHER "IA5:pat@c.example" MAIL, {"p@b.example"}},
        {ANOTHER_KIND "UTF8:jörg@c.example" MAIL, {"p@b.example"}},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_keys_key key;
        struct sp_err err = {0};
        struct sp_buf file;
        size_t count = cases[i].want[1] == NULL ? 1 : 2;

        tool_must(dir,
                  "printf '%%s\n' '[req]' distinguished_name=dn x509_extensions=v3 '[dn]' '[v3]' "
                  "subjectAltName=@alt '[alt]' '%s' > k.cnf && "
                  "openssl req -x509 " EC " -nodes -utf8 -config k.cnf -keyout k.key -out k.pem "
                  "-days 30 -subj /CN=x",
                  cases[i].names);
        read_file("k.pem", &file);
        ck_assert_msg(sp_keys_certificate_parse(sp_buf_bytes(&file), SP_LIT(""), now_ms(), arena,
                                                &key, &err) == SP_OK,
                      "%s: %s", cases[i].names, err.text);
        ck_assert_msg(key.address_count == count, "%s: %zu", cases[i].names, key.address_count);
        for (size_t k = 0; k < count; k++)
            ck_assert_msg(strcmp(key.addresses[0], cases[i].want[k]) == 0 ||
                              strcmp(key.addresses[count - 1], cases[i].want[k]) == 0,
                          "%s: %s", cases[i].names, key.addresses[k]);
        sp_buf_clear(&file);
    }
}
END_TEST

START_TEST(refusals_and_their_kind)
{
    static const struct {
        const char *key, *subject, *extensions;
        enum sp_rc want;
        const char *text;
    } cases[] = {
        {"-newkey rsa:1024", "/CN=x", "-addext 'subjectAltName=email:a@b.example'",
         SP_E_KEYS_UNUSABLE, "shorter"},
        {RSA, "/CN=x", "", SP_E_KEYS_UNUSABLE, "no mail address"},
        {RSA, "/CN=x", "-addext 'subjectAltName=email:not an address'", SP_E_KEYS_UNUSABLE,
         "no mail address"},
        {RSA, "/CN=x",
         "-addext 'subjectAltName=email:a@b.example' -addext 'keyUsage=digitalSignature'",
         SP_E_KEYS_UNUSABLE, "forbids key encipherment"},
        {RSA, "/CN=x",
         "-addext 'subjectAltName=email:a@b.example' -addext 'extendedKeyUsage=serverAuth'",
         SP_E_KEYS_UNUSABLE, "does not name mail"},
        {EC, "/CN=x",
         "-addext 'subjectAltName=email:a@b.example' -addext 'keyUsage=digitalSignature'",
         SP_E_KEYS_UNUSABLE, "forbids key agreement"},
        {"-newkey ed25519", "/CN=x", "-addext 'subjectAltName=email:a@b.example'",
         SP_E_KEYS_UNUSABLE, "neither RSA nor EC"},
        {EC, "/CN=x", "-addext 'subjectAltName=email:a@b.example'", SP_OK, ""},
        {RSA, "/CN=x/emailAddress=A@b.example", "", SP_OK, ""},
        {RSA, "/CN=x",
         "-addext 'subjectAltName=email:a@b.example' -addext "
         "'extendedKeyUsage=anyExtendedKeyUsage'",
         SP_OK, ""},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_keys_key key;
        struct sp_err err = {0};
        struct sp_buf file;
        enum sp_rc rc;

        make(cases[i].key, cases[i].subject, cases[i].extensions);
        read_file("k.pem", &file);
        rc =
            sp_keys_certificate_parse(sp_buf_bytes(&file), SP_LIT(""), now_ms(), arena, &key, &err);
        ck_assert_msg(rc == cases[i].want, "case %zu: %s", i, err.text);
        ck_assert_msg(rc == SP_OK || strstr(err.text, cases[i].text) != NULL, "case %zu: %s", i,
                      err.text);
        ck_assert(rc != SP_OK || strcmp(key.addresses[0], "a@b.example") == 0);
        sp_buf_clear(&file);
    }
}
END_TEST

START_TEST(capabilities_and_curve_are_known)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_keys_key key;
    struct sp_buf file;

    make(EC, "/CN=x", "-addext 'subjectAltName=email:a@b.example'");
    read_file("k.pem", &file);
    ck_assert_int_eq(
        sp_keys_certificate_parse(sp_buf_bytes(&file), SP_LIT(""), now_ms(), arena, &key, NULL),
        SP_OK);
    ck_assert_str_eq(key.algorithm, "ec-prime256v1");
    ck_assert_uint_eq(key.abilities, SP_KEYS_GCM | SP_KEYS_ECDH);
    sp_buf_clear(&file);
    /* SMIMECapabilities: aes256-GCM and id-RSAES-OAEP */
    make(RSA, "/CN=x",
         "-addext 'subjectAltName=email:a@b.example' -addext '1.2.840.113549.1.9.15=DER:30:1a:"
         "30:0b:06:09:60:86:48:01:65:03:04:01:2e:30:0b:06:09:2a:86:48:86:f7:0d:01:01:07'");
    read_file("k.pem", &file);
    ck_assert_int_eq(
        sp_keys_certificate_parse(sp_buf_bytes(&file), SP_LIT(""), now_ms(), arena, &key, NULL),
        SP_OK);
    ck_assert_uint_eq(key.abilities, SP_KEYS_GCM | SP_KEYS_OAEP);
    sp_buf_clear(&file);
}
END_TEST

START_TEST(a_chain_to_an_anchor_gives_trust)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_keys_key key;
    struct sp_buf leaf, chain, root, other;

    tool_must(
        dir, "openssl req -x509 " EC " -nodes -keyout root.key -out root.pem -days 30 -subj /CN=R; "
             "openssl req -x509 " EC " -nodes -keyout o.key -out other.pem -days 30 -subj /CN=O; "
             "openssl req " EC " -nodes -keyout mid.key -out mid.csr -subj /CN=M; "
             "printf 'basicConstraints=critical,CA:TRUE' > ca.ext; "
             "openssl x509 -req -in mid.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 "
             "-extfile ca.ext -out mid.pem; "
             "openssl req " RSA " -nodes -keyout leaf.key -out leaf.csr -subj /CN=L; "
             "printf 'subjectAltName=email:a@b.example' > leaf.ext; "
             "openssl x509 -req -in leaf.csr -CA mid.pem -CAkey mid.key -CAcreateserial -days 30 "
             "-extfile leaf.ext -out leaf.pem; cat leaf.pem mid.pem > chain.pem");
    read_file("leaf.pem", &leaf);
    read_file("chain.pem", &chain);
    read_file("root.pem", &root);
    read_file("other.pem", &other);
    const struct {
        const struct sp_buf *file, *anchors;
        int64_t later_days;
        enum sp_keys_trust want;
    } cases[] = {
        {&chain, &root, 0, SP_KEYS_CHAINED},    {&leaf, &root, 0, SP_KEYS_UNTRUSTED},
        {&chain, &other, 0, SP_KEYS_UNTRUSTED}, {&leaf, &leaf, 0, SP_KEYS_CHAINED},
        {&chain, &root, 60, SP_KEYS_UNTRUSTED},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        ck_assert_int_eq(
            sp_keys_certificate_parse(sp_buf_bytes(cases[i].file), sp_buf_bytes(cases[i].anchors),
                                      now_ms() + cases[i].later_days * 86400000, arena, &key, NULL),
            SP_OK);
        ck_assert_msg(key.trust == cases[i].want, "case %zu", i);
        ck_assert_str_eq(key.addresses[0], "a@b.example");
    }
    sp_buf_clear(&leaf);
    sp_buf_clear(&chain);
    sp_buf_clear(&root);
    sp_buf_clear(&other);
}
END_TEST

START_TEST(a_private_key_is_not_taken)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_keys_key key;
    struct sp_buf file;

    make(RSA, "/CN=x", "-addext 'subjectAltName=email:a@b.example'");
    tool_must(dir, "cat k.pem k.key > both.pem");
    read_file("both.pem", &file);
    ck_assert_int_eq(
        sp_keys_certificate_parse(sp_buf_bytes(&file), SP_LIT(""), now_ms(), arena, &key, NULL),
        SP_E_KEYS_FORMAT);
    sp_buf_clear(&file);
}
END_TEST

START_TEST(what_is_no_certificate_is_refused)
{
    static const char *const cases[] = {"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n",
                                        "0\x82\xff"};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_keys_key key;

        ck_assert_int_eq(sp_keys_certificate_parse(sp_bytes_cstr(cases[i]), SP_LIT(""), now_ms(),
                                                   arena, &key, NULL),
                         SP_E_KEYS_FORMAT);
    }
}
END_TEST

START_TEST(judgement_says_why)
{
    static const struct {
        int64_t not_before, not_after;
        enum sp_keys_trust trust;
        enum sp_rc want;
        const char *why;
    } cases[] = {
        {0, 0, SP_KEYS_PINNED, SP_OK, ""},
        {0, 1000001, SP_KEYS_CHAINED, SP_OK, ""},
        {0, 1000000, SP_KEYS_PINNED, SP_E_KEYS_EXPIRED, "not-after 1970-01-01"},
        {1000001, 0, SP_KEYS_PINNED, SP_E_KEYS_UNUSABLE, "not-before 1970-01-01"},
        {0, 0, SP_KEYS_UNTRUSTED, SP_E_KEYS_UNUSABLE, "untrusted"},
        {0, 1, SP_KEYS_UNTRUSTED, SP_E_KEYS_EXPIRED, "not-after 1970-01-01"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_keys_key key = {.not_before_ms = cases[i].not_before,
                                  .not_after_ms = cases[i].not_after,
                                  .trust = cases[i].trust};
        struct sp_err why = {0};

        ck_assert_msg(sp_keys_judge(&key, 1000000, &why) == cases[i].want, "case %zu", i);
        ck_assert_str_eq(why.text, cases[i].why);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, a_certificate_is_described);
    tcase_add_test(c, addresses_that_are_not_ascii);
    tcase_add_test(c, refusals_and_their_kind);
    tcase_add_test(c, capabilities_and_curve_are_known);
    tcase_add_test(c, a_chain_to_an_anchor_gives_trust);
    tcase_add_test(c, a_private_key_is_not_taken);
    tcase_add_test(c, what_is_no_certificate_is_refused);
    tcase_add_test(c, judgement_says_why);
}

SP_TEST_MAIN("keys.certificate", add)
