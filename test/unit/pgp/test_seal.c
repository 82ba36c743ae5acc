/* What we seal is opened by gpg in a home of the recipient's. */
#include "pgp/pgp.h"

#include <stdio.h>
#include <sys/resource.h>

#include "support/check_main.h"
#include "support/seal_memory.h"
#include "support/tools.h"

#define INNER                                                                                      \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"           \
    "Gr\xc3\xbc\xc3\x9f Gott, MARKER-BODY.\r\n.\r\nFrom here\r\n"
#define MESSAGE                                                                                    \
    "From: dr@hospital.example\r\nTo: pat@example.net\r\nBcc: blind@example.net\r\n"               \
    "Subject: MARKER-SUBJECT\r\nMessage-ID: <1@hospital.example>\r\nMIME-Version: 1.0\r\n" INNER

#define GPG "gpg --homedir home --batch --no-tty --pinentry-mode loopback --passphrase '' "

static char *dir;
static char home[64];
static struct sp_pgp *pgp;
static char signer[SP_PGP_FINGERPRINT_MAX];

static void read_file(const char *name, struct sp_buf *out)
{
    sp_buf_init(out, 64U << 20);
    tool_read(dir, name, out);
}

static void setup(void)
{
    struct sp_err err = {0};
    struct sp_buf secret;

    dir = tool_dir_new();
    tool_must(dir, "mkdir -m 700 home sealer && touch sealer/old && " GPG
                   "--quick-gen-key tenant@hospital.example future-default default never && " GPG
                   "--quick-gen-key pat@example.net future-default default never && " GPG
                   "--quick-gen-key rsa@example.net default default never && " GPG
                   "--faked-system-time 20200101T000000 "
                   "--quick-gen-key old@example.net future-default default 30d && " GPG
                   "--quick-gen-key signonly@example.net rsa2048 sign never && "
                   "for n in pat rsa old signonly; do " GPG
                   "--export $n@example.net > $n.pgp; done && " GPG
                   "--export --armor tenant@hospital.example > tenant.asc && " GPG
                   "--export-secret-keys --armor tenant@hospital.example > secret.asc");
    snprintf(home, sizeof(home), "%s/sealer", dir);
    ck_assert_msg(sp_pgp_new(home, &pgp, &err) == SP_OK, "%s", err.text);
    read_file("secret.asc", &secret);
    ck_assert_msg(sp_pgp_signer_add(pgp, sp_buf_bytes(&secret), signer, &err) == SP_OK, "%s",
                  err.text);
    sp_buf_clear(&secret);
}

static void teardown(void)
{
    sp_pgp_free(pgp);
    tool_must(dir, "gpgconf --homedir home --kill gpg-agent; ls -A sealer | wc -l | grep -x 0");
    tool_dir_free(dir);
}

struct sealing {
    const char *keys[3];
    bool sign, hide, protect;
};

static enum sp_rc seal_source(const struct sealing *s, struct sp_seal_source source,
                              struct sp_seal_sink out)
{
    struct sp_seal_options options = {.protect_subject = s->protect};
    SP_AUTO(sp_seal_entity) entity = NULL;
    struct sp_bytes keys[3];
    struct sp_buf files[3];
    struct sp_err err = {0};
    size_t count = 0;
    enum sp_rc rc;

    for (; count < 3 && s->keys[count] != NULL; count++) {
        char name[64];

        snprintf(name, sizeof(name), "%s.pgp", s->keys[count]);
        read_file(name, &files[count]);
        keys[count] = sp_buf_bytes(&files[count]);
    }
    ck_assert_int_eq(sp_seal_entity_new(source, &options, &entity, &err), SP_OK);
    rc = sp_pgp_seal(pgp, &(struct sp_pgp_params){s->sign ? signer : NULL, keys, count, s->hide},
                     entity, out, &err);
    ck_assert_msg(rc == SP_OK || err.text[0] != 0, "an error without a text");
    for (size_t i = 0; i < count; i++)
        sp_buf_clear(&files[i]);
    return rc;
}

static void seal(const struct sealing *s, struct sp_buf *out)
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

static void assert_opens_to(struct sp_bytes want, bool is_signed)
{
    struct sp_buf inner;

    tool_must(dir,
              "rm -f inner; " GPG "--status-file status --output inner --decrypt sealed.eml; "
              "grep -q DECRYPTION_OKAY status && grep -q GOODMDC status && "
              "{ %s grep -q GOODSIG status; }",
              is_signed ? "" : "!");
    read_file("inner", &inner);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&inner), want));
    sp_buf_clear(&inner);
}

START_TEST(each_recipient_opens_what_was_sent)
{
    static const struct sealing cases[] = {
        {.keys = {"pat"}, .sign = true},
        {.keys = {"pat"}},
        {.keys = {"rsa"}, .sign = true},
        {.keys = {"pat", "rsa"}, .sign = true},
        {.keys = {"pat"}, .sign = true, .hide = true},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_buf out;

        seal(&cases[i], &out);
        assert_opens_to(SP_LIT(INNER), cases[i].sign);
        ck_assert(!holds(sp_buf_bytes(&out), "MARKER-BODY"));
        ck_assert(!holds(sp_buf_bytes(&out), "blind"));
        ck_assert(holds(sp_buf_bytes(&out), "multipart/encrypted"));
        for (size_t at = 0; at < out.len; at++)
            ck_assert(out.ptr[at] != '\n' || (at > 0 && out.ptr[at - 1] == '\r'));
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(hidden_recipients_leave_no_key_id)
{
    static const struct sealing s = {.keys = {"pat"}, .hide = true};
    struct sp_buf out;

    seal(&s, &out);
    tool_must(dir, GPG "--list-packets sealed.eml | grep -q 'keyid 0000000000000000'");
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_protected_subject_is_inside_only)
{
    static const struct sealing s = {.keys = {"pat"}, .sign = true, .protect = true};
    struct sp_buf out, inner;

    seal(&s, &out);
    ck_assert(!holds(sp_buf_bytes(&out), "MARKER"));
    tool_must(dir, "rm -f inner; " GPG "--output inner --decrypt sealed.eml");
    read_file("inner", &inner);
    ck_assert(holds(sp_buf_bytes(&inner), "Subject: MARKER-SUBJECT\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner), "protected-headers=\"v1\""));
    sp_buf_clear(&inner);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(unusable_keys_are_refused)
{
    static const struct {
        struct sealing sealing;
        enum sp_rc want;
    } cases[] = {
        {{.keys = {"old"}}, SP_E_KEYS_UNUSABLE},
        {{.keys = {"signonly"}}, SP_E_KEYS_UNUSABLE},
        {{.keys = {"pat", "old"}}, SP_E_KEYS_UNUSABLE},
        {{.keys = {NULL}}, SP_E_KEYS_NONE},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_bytes message = SP_LIT(MESSAGE);
        struct sp_buf out;
        enum sp_rc rc;

        sp_buf_init(&out, 1U << 20);
        rc = seal_source(&cases[i].sealing, memory_source(&message), memory_sink(&out));
        ck_assert_msg(rc == cases[i].want, "case %zu: %s", i, sp_rc_name(rc));
        ck_assert(!holds(sp_buf_bytes(&out), "BEGIN PGP MESSAGE"));
        sp_buf_clear(&out);
    }
}
END_TEST

static enum sp_rc refuse_later(void *ctx, struct sp_bytes data)
{
    uint64_t *len = ctx;

    *len += data.len;
    return *len > 100000 ? SP_E_JOURNAL_FULL : SP_OK;
}

static enum sp_rc fail_later(void *ctx, uint64_t offset, void *buf, size_t len)
{
    return offset > 400000 ? SP_E_CONTENT_DAMAGED : big_read(ctx, offset, buf, len);
}

START_TEST(a_failing_sink_or_source_ends_it_with_its_reason)
{
    static const struct sealing s = {.keys = {"pat"}, .sign = true};
    struct big_message big = {SP_LIT("From: a@b.example\r\n\r\n"), 1U << 20};
    struct sp_seal_source damaged = {fail_later, 1U << 20, &big};
    uint64_t len = 0;

    ck_assert_int_eq(seal_source(&s, big_source(&big), (struct sp_seal_sink){refuse_later, &len}),
                     SP_E_JOURNAL_FULL);
    len = 0;
    ck_assert_int_eq(seal_source(&s, damaged, (struct sp_seal_sink){count_write, &len}),
                     SP_E_CONTENT_DAMAGED);
}
END_TEST

START_TEST(it_goes_on_after_the_agent_died)
{
    static const struct sealing s = {.keys = {"pat"}, .sign = true};
    struct sp_buf out;

    tool_must(dir, "gpg-connect-agent --homedir sealer --no-autostart KILLAGENT /bye");
    tool_run(dir, "for i in $(seq 100); do gpg-connect-agent --homedir sealer --no-autostart "
                  "'GETINFO pid' /bye | grep -q ^D || break; sleep 0.02; done");
    seal(&s, &out);
    assert_opens_to(SP_LIT(INNER), true);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(only_a_secret_key_makes_a_signer)
{
    static const char *const names[] = {"tenant.asc", "pat.pgp", "status"};
    char fingerprint[SP_PGP_FINGERPRINT_MAX];

    tool_write(dir, "status", SP_LIT("nonsense"));
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        struct sp_buf file;
        enum sp_rc rc;

        read_file(names[i], &file);
        rc = sp_pgp_signer_add(pgp, sp_buf_bytes(&file), fingerprint, NULL);
        ck_assert_msg(rc == SP_E_KEYS_FORMAT || rc == SP_E_PGP_FAILED, "%s: %s", names[i],
                      sp_rc_name(rc));
        sp_buf_clear(&file);
    }
}
END_TEST

START_TEST(a_long_home_is_refused)
{
    char path[100];
    struct sp_pgp *p = NULL;

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    ck_assert_int_eq(sp_pgp_new(path, &p, NULL), SP_E_LIMIT);
}
END_TEST

START_TEST(ten_mebibytes_open_again_in_bounded_memory)
{
    struct big_message big = {SP_LIT("From: a@b.example\r\nContent-Type: text/plain\r\n\r\n"),
                              10U << 20};
    static const struct sealing s = {.keys = {"pat"}, .sign = true};
    size_t header_len = strlen("From: a@b.example\r\n");
    struct rusage before, after;
    uint8_t *want;
    uint64_t len = 0;
    struct sp_buf out;

    getrusage(RUSAGE_SELF, &before);
    ck_assert_int_eq(seal_source(&s, big_source(&big), (struct sp_seal_sink){count_write, &len}),
                     SP_OK);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_uint_gt(len, 13U << 20); /* not compressed */
    ck_assert_msg(after.ru_maxrss - before.ru_maxrss < 4096, "grew by %ld KiB",
                  after.ru_maxrss - before.ru_maxrss);
    want = sp_malloc(big.len);
    sp_buf_init(&out, 32U << 20);
    ck_assert_int_eq(seal_source(&s, big_source(&big), memory_sink(&out)), SP_OK);
    tool_write(dir, "sealed.eml", sp_buf_bytes(&out));
    ck_assert_int_eq(big_read(&big, 0, want, big.len), SP_OK);
    assert_opens_to(sp_bytes(want + header_len, big.len - header_len), true);
    sp_free(want);
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, each_recipient_opens_what_was_sent);
    tcase_add_test(c, hidden_recipients_leave_no_key_id);
    tcase_add_test(c, a_protected_subject_is_inside_only);
    tcase_add_test(c, unusable_keys_are_refused);
    tcase_add_test(c, a_failing_sink_or_source_ends_it_with_its_reason);
    tcase_add_test(c, it_goes_on_after_the_agent_died);
    tcase_add_test(c, only_a_secret_key_makes_a_signer);
    tcase_add_test(c, a_long_home_is_refused);
    tcase_add_test(c, ten_mebibytes_open_again_in_bounded_memory);
}

SP_TEST_MAIN("pgp.seal", add)
