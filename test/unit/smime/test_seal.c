/* What we seal is opened by tools that nobody here wrote: openssl cms, gpgsm. */
#include "smime/smime.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "support/check_main.h"
#include "support/seal_memory.h"
#include "support/tools.h"

#define INNER                                                                                      \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"           \
    "Gr\xc3\xbc\xc3\x9f Gott, MARKER-BODY.\r\n.\r\nFrom here\r\n"
#define MESSAGE                                                                                    \
    "From: dr@hospital.example\r\nTo: pat@example.net\r\nBcc: blind@example.net\r\n"               \
    "Subject: MARKER-SUBJECT\r\nMessage-ID: <1@hospital.example>\r\nMIME-Version: 1.0\r\n" INNER

static char *dir;

static int64_t now_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

static void read_file(const char *name, struct sp_buf *out)
{
    sp_buf_init(out, 64U << 20);
    tool_read(dir, name, out);
}

static void make_certificate(const char *name, const char *key_options, const char *usage)
{
    tool_must(dir,
              "openssl req -x509 -newkey %s -nodes -keyout %s.key -out %s.pem -days 30 "
              "-subj '/CN=%s' -addext 'subjectAltName=email:%s@example.net' "
              "-addext 'keyUsage=%s' && openssl x509 -in %s.pem -outform DER -out %s.der",
              key_options, name, name, name, name, usage, name, name);
}

static void setup(void)
{
    dir = tool_dir_new();
    make_certificate("tenant", "ec -pkeyopt ec_paramgen_curve:P-256", "digitalSignature");
    make_certificate("tenant-rsa", "rsa:2048", "digitalSignature");
    make_certificate("rsa", "rsa:2048", "keyEncipherment");
    make_certificate("other", "rsa:2048", "keyEncipherment");
    make_certificate("small", "rsa:1024", "keyEncipherment");
    make_certificate("ec", "ec -pkeyopt ec_paramgen_curve:P-256", "keyAgreement");
    make_certificate("p384", "ec -pkeyopt ec_paramgen_curve:P-384", "keyAgreement");
}

static void teardown(void)
{
    tool_dir_free(dir);
}

static struct sp_smime_signer *load_signer(const char *name)
{
    struct sp_smime_signer *signer = NULL;
    struct sp_buf certificate, key;
    struct sp_err err = {0};
    char file[64];

    snprintf(file, sizeof(file), "%s.pem", name);
    read_file(file, &certificate);
    snprintf(file, sizeof(file), "%s.key", name);
    read_file(file, &key);
    ck_assert_msg(
        sp_smime_signer_new(sp_buf_bytes(&certificate), sp_buf_bytes(&key), &signer, &err) == SP_OK,
        "%s", err.text);
    sp_buf_clear(&certificate);
    sp_buf_clear(&key);
    return signer;
}

struct sealing {
    const char *signer; /* NULL: none */
    const char *recipients[3];
    bool gcm, oaep, protect;
    enum sp_smime_cipher cipher;
    int64_t now_ms; /* 0: now */
    struct sp_smime_facts facts;
};

static size_t load_recipients(const struct sealing *s, struct sp_buf *files,
                              struct sp_smime_recipient *recipients)
{
    size_t count = 0;

    while (count < 3 && s->recipients[count] != NULL) {
        char file[64];

        snprintf(file, sizeof(file), "%s.der", s->recipients[count]);
        read_file(file, &files[count]);
        recipients[count] =
            (struct sp_smime_recipient){sp_buf_bytes(&files[count]), s->gcm, s->oaep};
        count++;
    }
    return count;
}

static enum sp_rc seal_source(struct sealing *s, struct sp_seal_source source,
                              struct sp_seal_sink out)
{
    SP_AUTO(sp_smime_signer) signer = s->signer == NULL ? NULL : load_signer(s->signer);
    struct sp_seal_options options = {.protect_subject = s->protect};
    SP_AUTO(sp_seal_entity) entity = NULL;
    struct sp_smime_recipient recipients[3];
    struct sp_buf files[3];
    size_t count = load_recipients(s, files, recipients);
    struct sp_smime_params params = {signer, recipients, count, s->cipher,
                                     s->now_ms == 0 ? now_ms() : s->now_ms};
    struct sp_err err = {0};
    enum sp_rc rc;

    ck_assert_int_eq(sp_seal_entity_new(source, &options, &entity, &err), SP_OK);
    rc = sp_smime_seal(&params, entity, out, &s->facts, &err);
    ck_assert_msg(rc == SP_OK || err.text[0] != 0, "an error without a text");
    for (size_t i = 0; i < count; i++)
        sp_buf_clear(&files[i]);
    return rc;
}

static void seal(struct sealing *s, struct sp_buf *out)
{
    struct sp_bytes message = SP_LIT(MESSAGE);

    sp_buf_init(out, 64U << 20);
    ck_assert_int_eq(seal_source(s, memory_source(&message), memory_sink(out)), SP_OK);
    tool_write(dir, "sealed.eml", sp_buf_bytes(out));
}

static bool holds(struct sp_bytes b, const char *needle)
{
    return sp_bytes_find_all(b, sp_bytes_cstr(needle)) != SIZE_MAX;
}

static void assert_crlf_only(struct sp_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] == '\n' || b.ptr[i] == '\r')
            ck_assert(b.ptr[i] == '\r' ? i + 1 < b.len && b.ptr[i + 1] == '\n'
                                       : i > 0 && b.ptr[i - 1] == '\r');
}

/* The signed part as it stands in signed.eml, between its boundaries. */
static struct sp_bytes signed_part(struct sp_bytes message)
{
    size_t from = sp_bytes_find_all(message, SP_LIT("\r\n\r\n--=_"));
    struct sp_bytes rest = sp_bytes_slice(message, from + 4, SIZE_MAX);
    size_t len;

    ck_assert_uint_ne(from, SIZE_MAX);
    rest = sp_bytes_slice(rest, sp_bytes_find(rest, '\n') + 1, SIZE_MAX);
    len = sp_bytes_find_all(rest, SP_LIT("\r\n--=_"));
    ck_assert_uint_ne(len, SIZE_MAX);
    return sp_bytes_slice(rest, 0, len);
}

/* Decrypts as name; checks the signature and that the entity is the sent one, byte for byte. */
static void assert_opens_to(const char *name, const char *signer, struct sp_bytes want)
{
    struct sp_buf message;

    tool_must(dir,
              "openssl cms -decrypt -in sealed.eml -inkey %s.key -recip %s.pem -out signed.eml",
              name, name);
    tool_must(dir, "openssl cms -verify -in signed.eml -CAfile %s.pem -purpose any -out inner.eml",
              signer);
    read_file("signed.eml", &message);
    ck_assert_msg(sp_bytes_eq(signed_part(sp_buf_bytes(&message)), want), "for %s", name);
    sp_buf_clear(&message);
}

static void assert_opens(const char *name, const char *signer)
{
    assert_opens_to(name, signer, SP_LIT(INNER));
}

START_TEST(each_recipient_opens_what_was_sent)
{
    static struct sealing cases[] = {
        {.signer = "tenant", .recipients = {"rsa"}},
        {.signer = "tenant-rsa", .recipients = {"rsa"}},
        {.signer = "tenant", .recipients = {"rsa"}, .gcm = true},
        {.signer = "tenant", .recipients = {"rsa"}, .gcm = true, .oaep = true},
        {.signer = "tenant", .recipients = {"rsa"}, .oaep = true},
        {.signer = "tenant", .recipients = {"ec"}},
        {.signer = "tenant", .recipients = {"p384"}},
        {.signer = "tenant", .recipients = {"ec"}, .cipher = SP_SMIME_CBC},
        {.signer = "tenant", .recipients = {"rsa", "ec", "other"}},
        {.signer = "tenant", .recipients = {"rsa", "ec"}, .cipher = SP_SMIME_GCM},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_buf out;

        seal(&cases[i], &out);
        for (size_t r = 0; r < 3 && cases[i].recipients[r] != NULL; r++)
            assert_opens(cases[i].recipients[r], cases[i].signer);
        assert_crlf_only(sp_buf_bytes(&out));
        ck_assert_msg(!holds(sp_buf_bytes(&out), "blind"), "case %zu", i);
        ck_assert_msg(!holds(sp_buf_bytes(&out), "MARKER-BODY"), "case %zu", i);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(the_structure_is_what_was_asked_for)
{
    static const struct {
        struct sealing sealing;
        const char *cipher, *transport, *type, *printed;
    } cases[] = {
        {{.signer = "tenant", .recipients = {"rsa"}},
         "aes-256-cbc",
         "rsa-pkcs1",
         "smime-type=enveloped-data",
         "rsaEncryption"},
        {{.signer = "tenant", .recipients = {"rsa"}, .gcm = true},
         "aes-256-gcm",
         "rsa-pkcs1",
         "smime-type=authEnveloped-data",
         "aes-256-gcm"},
        {{.signer = "tenant", .recipients = {"rsa"}, .oaep = true},
         "aes-256-cbc",
         "rsa-oaep-sha256",
         "smime-type=enveloped-data",
         "rsaesOaep"},
        {{.signer = "tenant", .recipients = {"ec"}},
         "aes-256-gcm",
         "ecdh-sha256",
         "smime-type=authEnveloped-data",
         "dhSinglePass-stdDH-sha256kdf-scheme"},
        {{.signer = NULL, .recipients = {"rsa"}},
         "aes-256-gcm",
         "rsa-pkcs1",
         "smime-type=authEnveloped-data",
         "id-smime-ct-authEnvelopedData"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sealing s = cases[i].sealing;
        struct sp_buf out, printed;

        seal(&s, &out);
        ck_assert_str_eq(s.facts.cipher, cases[i].cipher);
        ck_assert_str_eq(s.facts.transport, cases[i].transport);
        ck_assert(s.signer == NULL ? s.facts.digest == NULL
                                   : strcmp(s.facts.digest, "sha-256") == 0);
        ck_assert_msg(holds(sp_buf_bytes(&out), cases[i].type), "case %zu", i);
        tool_must(dir, "openssl cms -cmsout -print -noout -in sealed.eml > printed");
        read_file("printed", &printed);
        ck_assert_msg(holds(sp_buf_bytes(&printed), cases[i].printed), "case %zu: %s", i,
                      cases[i].printed);
        sp_buf_clear(&printed);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(a_stranger_opens_nothing)
{
    struct sealing s = {.signer = "tenant", .recipients = {"rsa"}};
    struct sp_buf out;

    seal(&s, &out);
    ck_assert_int_ne(tool_run(dir, "openssl cms -decrypt -in sealed.eml -inkey other.key "
                                   "-recip other.pem -out x"),
                     0);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_changed_gcm_message_is_refused)
{
    struct sealing s = {.signer = "tenant", .recipients = {"rsa"}, .gcm = true};
    struct sp_buf out;

    seal(&s, &out);
    /* a byte of the ciphertext, well behind the recipient's part */
    out.ptr[out.len - 300] = out.ptr[out.len - 300] == 'A' ? 'B' : 'A';
    tool_write(dir, "sealed.eml", sp_buf_bytes(&out));
    ck_assert_int_ne(
        tool_run(dir, "openssl cms -decrypt -in sealed.eml -inkey rsa.key -recip rsa.pem -out x"),
        0);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(gpgsm_opens_the_default)
{
    struct sealing s = {.signer = "tenant-rsa", .recipients = {"rsa"}};
    struct sp_buf out, opened;

    seal(&s, &out);
    tool_must(dir,
              "mkdir -m 700 home && export GNUPGHOME=$PWD/home && "
              "openssl pkcs12 -export -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES "
              "-macalg sha1 -inkey rsa.key -in rsa.pem -passout pass:x -out rsa.p12 && "
              "echo x | gpgsm --batch --pinentry-mode loopback --passphrase-fd 0 --import rsa.p12; "
              "sed '1,/^\\r$/d' sealed.eml | base64 -d -i > sealed.der && "
              "gpgsm --batch --pinentry-mode loopback --passphrase-fd 3 --disable-crl-checks "
              "--output signed.eml --decrypt sealed.der 3<<EOF\nx\nEOF\n"
              "code=$?; gpgconf --kill gpg-agent; exit $code");
    read_file("signed.eml", &opened);
    ck_assert(holds(sp_buf_bytes(&opened), INNER));
    sp_buf_clear(&opened);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_protected_subject_is_inside_only)
{
    struct sealing s = {.signer = "tenant", .recipients = {"rsa"}, .protect = true};
    struct sp_buf out, inner;

    seal(&s, &out);
    ck_assert(!holds(sp_buf_bytes(&out), "MARKER"));
    ck_assert(holds(sp_buf_bytes(&out), "Message-ID: <1@hospital.example>\r\n"));
    tool_must(dir, "openssl cms -decrypt -in sealed.eml -inkey rsa.key -recip rsa.pem | "
                   "openssl cms -verify -CAfile tenant.pem -purpose any -out inner.eml");
    read_file("inner.eml", &inner);
    ck_assert(holds(sp_buf_bytes(&inner), "Subject: MARKER-SUBJECT\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner), "hp=\"cipher\""));
    sp_buf_clear(&inner);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(unusable_certificates_write_nothing)
{
    static const int64_t day_ms = 86400000;
    struct {
        struct sealing sealing;
        enum sp_rc want;
    } cases[] = {
        {{.signer = "tenant", .recipients = {"rsa"}, .now_ms = now_ms() + 40 * day_ms},
         SP_E_KEYS_EXPIRED},
        {{.recipients = {"rsa"}, .now_ms = now_ms() + 40 * day_ms}, SP_E_KEYS_EXPIRED},
        {{.recipients = {"rsa"}, .now_ms = now_ms() - 2 * day_ms}, SP_E_KEYS_UNUSABLE},
        {{.recipients = {"small"}}, SP_E_KEYS_UNUSABLE},
        {{.recipients = {"rsa", "small"}}, SP_E_KEYS_UNUSABLE},
        {{.recipients = {NULL}}, SP_E_KEYS_NONE},
        {{.recipients = {"rsa"}, .cipher = SP_SMIME_CBC}, SP_E_KEYS_UNUSABLE},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_bytes message = SP_LIT(MESSAGE);
        struct sp_buf out;

        sp_buf_init(&out, 1U << 20);
        ck_assert_msg(seal_source(&cases[i].sealing, memory_source(&message), memory_sink(&out)) ==
                          cases[i].want,
                      "case %zu", i);
        ck_assert_uint_eq(out.len, 0);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(a_signer_must_fit_its_key)
{
    static const char *const pairs[][2] = {
        {"tenant.pem", "rsa.key"}, {"tenant.pem", "tenant.pem"}, {"rsa.pem", "rsa.key"}};
    static const enum sp_rc want[] = {SP_E_KEYS_UNUSABLE, SP_E_KEYS_FORMAT, SP_E_KEYS_UNUSABLE};

    for (size_t i = 0; i < SP_ARRAY_LEN(pairs); i++) {
        struct sp_smime_signer *signer = NULL;
        struct sp_buf certificate, key;

        read_file(pairs[i][0], &certificate);
        read_file(pairs[i][1], &key);
        ck_assert_int_eq(
            sp_smime_signer_new(sp_buf_bytes(&certificate), sp_buf_bytes(&key), &signer, NULL),
            want[i]);
        sp_buf_clear(&certificate);
        sp_buf_clear(&key);
    }
}
END_TEST

static enum sp_rc fail_later(void *ctx, struct sp_bytes data)
{
    uint64_t *len = ctx;

    *len += data.len;
    return *len > 200000 ? SP_E_JOURNAL_FULL : SP_OK;
}

START_TEST(a_sink_that_fails_ends_it_with_its_reason)
{
    struct big_message big = {SP_LIT("From: a@b.example\r\n\r\n"), 1U << 20};
    struct sealing s = {.signer = "tenant", .recipients = {"rsa"}};
    uint64_t len = 0;

    ck_assert_int_eq(seal_source(&s, big_source(&big), (struct sp_seal_sink){fail_later, &len}),
                     SP_E_JOURNAL_FULL);
}
END_TEST

START_TEST(ten_mebibytes_pass_in_bounded_memory)
{
    struct big_message big = {SP_LIT("From: a@b.example\r\nContent-Type: text/plain\r\n\r\n"),
                              10U << 20};
    struct sealing warm = {.signer = "tenant", .recipients = {"rsa"}};
    struct sealing s = {.signer = "tenant", .recipients = {"rsa"}, .gcm = true};
    struct rusage before, after;
    uint64_t len = 0;
    struct sp_buf out;

    seal(&warm, &out);
    sp_buf_clear(&out);
    getrusage(RUSAGE_SELF, &before);
    ck_assert_int_eq(seal_source(&s, big_source(&big), (struct sp_seal_sink){count_write, &len}),
                     SP_OK);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_uint_gt(len, (10U << 20) / 3 * 4);
    ck_assert_msg(after.ru_maxrss - before.ru_maxrss < 4096, "grew by %ld KiB",
                  after.ru_maxrss - before.ru_maxrss);
}
END_TEST

START_TEST(ten_mebibytes_open_again)
{
    struct big_message big = {SP_LIT("From: a@b.example\r\nContent-Type: text/plain\r\n\r\n"),
                              10U << 20};
    struct sealing s = {.signer = "tenant", .recipients = {"rsa"}};
    struct sp_buf out;
    size_t header_len = strlen("From: a@b.example\r\n");
    uint8_t *want = sp_malloc(big.len);

    sp_buf_init(&out, 32U << 20);
    ck_assert_int_eq(seal_source(&s, big_source(&big), memory_sink(&out)), SP_OK);
    tool_write(dir, "sealed.eml", sp_buf_bytes(&out));
    ck_assert_int_eq(big_read(&big, 0, want, big.len), SP_OK);
    assert_opens_to("rsa", "tenant", sp_bytes(want + header_len, big.len - header_len));
    sp_free(want);
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, each_recipient_opens_what_was_sent);
    tcase_add_test(c, the_structure_is_what_was_asked_for);
    tcase_add_test(c, a_stranger_opens_nothing);
    tcase_add_test(c, a_changed_gcm_message_is_refused);
    tcase_add_test(c, gpgsm_opens_the_default);
    tcase_add_test(c, a_protected_subject_is_inside_only);
    tcase_add_test(c, unusable_certificates_write_nothing);
    tcase_add_test(c, a_signer_must_fit_its_key);
    tcase_add_test(c, a_sink_that_fails_ends_it_with_its_reason);
    tcase_add_test(c, ten_mebibytes_pass_in_bounded_memory);
    tcase_add_test(c, ten_mebibytes_open_again);
}

SP_TEST_MAIN("smime.seal", add)
