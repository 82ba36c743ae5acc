/* The sealer as a process, in its sandbox: S/MIME, PGP and DKIM by jobs, what it refuses, and that no agent stays. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/text.h"
#include "jobs/seal.h"
#include "process/child.h"
#include "support/check_main.h"
#include "support/tools.h"

#define INNER                                                                                      \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"           \
    "Gr\xc3\xbc\xc3\x9f Gott, MARKER-BODY.\r\n"
#define MESSAGE                                                                                    \
    "From: dr@hospital.example\r\nTo: pat@example.net\r\nBcc: blind@example.net\r\n"               \
    "Subject: [secure] MARKER-SUBJECT\r\nMessage-ID: <1@hospital.example>\r\nMIME-Version: "       \
    "1.0\r\nX-Gone: yes\r\n" INNER
#define GPG "gpg --homedir home --batch --no-tty --pinentry-mode loopback --passphrase '' "

static char *dir;
static struct child sealer;

static void bundle(const char *name, const char *file)
{
    struct sp_buf data;

    sp_buf_init(&data, 1U << 20);
    tool_read(dir, file, &data);
    ck_assert_int_eq(sp_role_bundle_add(sealer.bundle, name, sp_buf_bytes(&data)), SP_OK);
    sp_buf_clear(&data);
}

static void setup(void)
{
    char own[100];

    dir = tool_dir_new();
    tool_must(dir,
              "mkdir sealer; mkdir -m 700 home; "
              "for n in tenant pat; do openssl req -x509 -newkey rsa:2048 -nodes -keyout $n.key "
              "-out $n.pem -days 30 -subj /CN=$n -addext subjectAltName=email:$n@example.net; "
              "openssl x509 -in $n.pem -outform DER -out $n.der; " GPG
              "--quick-gen-key $n@example.net future-default default never || exit 1; done; "
              "openssl genrsa -out dkim.key 2048 && "
              "openssl pkey -in dkim.key -pubout -outform DER | base64 -w0 > dkim.pub && " GPG
              "--export pat@example.net > pat.pgp && " GPG
              "--export-secret-keys tenant@example.net > tenant.pgp");
    tool_write(dir, "sallyport.json",
               SP_LIT("{\"node\":\"n\",\"hostname\":\"gw.example\",\"state_dir\":\"/tmp\","
                      "\"policy\":\"policies/policy.json\",\"tenants\":\"tenants\","
                      "\"listen\":[{\"address\":\"127.0.0.1:0\"}],"
                      "\"tls\":{\"certificate\":\"c\",\"key\":\"k\"},"
                      "\"sealer\":{\"smime_certificate\":\"c\",\"smime_key\":\"k\","
                      "\"pgp_key\":\"p\",\"dkim_key\":\"d\"}}"));
    tool_write(dir, "plain.json",
               SP_LIT("{\"tenant\":\"plain\",\"domains\":[\"plain.example\"],\"proofs\":{"
                      "\"networks\":[\"127.0.0.0/8\"]}}"));
    tool_write(dir, "signed.json",
               SP_LIT("{\"tenant\":\"signed\",\"domains\":[\"hospital.example\"],\"proofs\":{"
                      "\"networks\":[\"127.0.0.0/8\"]},"
                      "\"dkim\":{\"domain\":\"hospital.example\",\"selector\":\"gw1\"}}"));
    tool_write(dir, "broken.json",
               SP_LIT("{\"tenant\":\"broken\",\"domains\":[\"broken.example\"],\"proofs\":{"
                      "\"networks\":[\"127.0.0.0/8\"]},"
                      "\"smime\":{\"certificate\":\"x\",\"key\":\"y\"},\"pgp\":{\"key\":\"z\"}}"));
    child_init(&sealer, SP_ROLE_SEALER);
    child_peer(&sealer, SP_ROLE_RELAY);
    bundle("sallyport.json", "sallyport.json");
    bundle("tenants/plain.json", "plain.json");
    bundle("tenants/signed.json", "signed.json");
    bundle("tenants/broken.json", "broken.json");
    bundle("secret/sealer.smime_certificate", "tenant.pem");
    bundle("secret/sealer.smime_key", "tenant.key");
    bundle("secret/sealer.pgp_key", "tenant.pgp");
    bundle("secret/sealer.dkim_key", "dkim.key");
    snprintf(own, sizeof(own), "%s/sealer", dir);
    child_start(&sealer, own);
}

static void teardown(void)
{
    child_end(&sealer);
    tool_must(dir, "gpgconf --homedir home --kill gpg-agent; ! pgrep -f \"$PWD/sealer\"");
    tool_dir_free(dir);
}

struct sealing {
    enum sp_jobs_seal_method method;
    const char *tenant, *key, *subject;
    bool strip, stranger;
    struct sp_buf facts;
    int64_t body_len; /* of a big message; 0: MESSAGE */
};

static int make_output(void)
{
    char path[100];
    int fd;

    snprintf(path, sizeof(path), "%s/out", dir);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void write_content(const struct sealing *s, struct sp_content *out)
{
    struct sp_id id = sp_id_new(sp_loop_clock(sealer.loop), sp_random_system());
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&id, sp_random_system(), NULL);
    struct sp_content memory;

    if (s->body_len == 0) {
        ck_assert_int_eq(sp_content_writer_feed(w, SP_LIT(MESSAGE)), SP_OK);
    } else {
        ck_assert_int_eq(
            sp_content_writer_feed(w, SP_LIT("From: dr@hospital.example\r\nSubject: x\r\n\r\n")),
            SP_OK);
        for (int64_t at = 0; at < s->body_len; at += 16)
            ck_assert_int_eq(sp_content_writer_feed(w, SP_LIT("0123456789abcd\r\n")), SP_OK);
    }
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_handle(w, -1, 0, &memory);
    ck_assert_int_eq(sp_content_export_memfd(&memory, out), SP_OK);
    sp_content_clear(&memory);
}

/* The opened output goes to sealed.eml. */
static void read_output(struct sp_jobs_seal_reply *reply, int fd)
{
    SP_AUTO(sp_content_reader) reader = NULL;
    uint8_t *plain = sp_malloc((size_t)reply->content.len);
    uint8_t sha256[SP_SHA256_LEN];
    size_t got = 0;

    reply->content.fd = fd;
    reader = sp_content_reader_new(&reply->content);
    ck_assert_int_eq(sp_content_read(reader, 0, plain, (size_t)reply->content.len, &got), SP_OK);
    ck_assert_uint_eq(got, reply->content.len);
    sp_crypt_sha256(sp_bytes(plain, got), sha256);
    ck_assert_mem_eq(sha256, reply->sha256, SP_SHA256_LEN);
    tool_write(dir, "sealed.eml", sp_bytes(plain, got));
    sp_free(plain);
    sp_content_reader_free(SP_STEAL(reader));
}

static enum sp_rc seal(struct sealing *s)
{
    struct sp_bytes recipient = SP_LIT("pat@example.net");
    struct sp_bytes other = SP_LIT("other@example.net");
    struct sp_bytes strip = SP_LIT("X-Gone");
    struct sp_jobs_seal_key key = {.recipient = recipient, .id = SP_LIT("smime:1")};
    struct sp_jobs_seal_request request = {.method = s->method,
                                           .sign = true,
                                           .strip_tag = s->strip,
                                           .tenant = sp_bytes_cstr(s->tenant),
                                           .from = SP_LIT("dr@hospital.example"),
                                           .protected_subject = sp_bytes_cstr(s->subject),
                                           .recipients = s->stranger ? &other : &recipient,
                                           .recipient_count = 1,
                                           .keys = &key,
                                           .key_count = 1,
                                           .strip = &strip,
                                           .strip_count = s->strip};
    struct sp_jobs_seal_reply reply;
    struct sp_buf out, raw, bytes;
    int fds[2];
    enum sp_rc rc;

    sp_buf_init(&out, 1U << 20);
    sp_buf_init(&raw, 1U << 20);
    sp_buf_init(&bytes, 1U << 20);
    if (s->key != NULL)
        tool_read(dir, s->key, &bytes);
    key.bytes = sp_buf_bytes(&bytes);
    write_content(s, &request.content);
    fds[0] = request.content.fd;
    fds[1] = make_output();
    sp_jobs_seal_request_encode(&out, &request);
    ck_assert_int_eq(sp_buf_rc(&out), SP_OK);
    rc = child_call(&sealer, SP_ROLE_RELAY, SP_JOBS_SEAL, sp_buf_bytes(&out), fds, &raw);
    if (rc == SP_OK) {
        ck_assert_int_eq(sp_jobs_seal_reply_decode(sp_buf_bytes(&raw), &reply), SP_OK);
        sp_buf_put(&s->facts, reply.facts);
        read_output(&reply, fds[1]); /* and the descriptor goes with the handle */
        sp_content_clear(&reply.content);
    } else {
        close(fds[1]);
    }
    sp_content_clear(&request.content);
    sp_buf_clear(&out);
    sp_buf_clear(&raw);
    sp_buf_clear(&bytes);
    return rc;
}

static void must_seal(struct sealing *s)
{
    sp_buf_init(&s->facts, 1U << 16);
    ck_assert_int_eq(seal(s), SP_OK);
    tool_must(dir, "! grep -a -e MARKER-BODY -e blind@ out");
}

static bool holds(const struct sp_buf *b, const char *needle)
{
    return sp_bytes_find_all(sp_buf_bytes(b), sp_bytes_cstr(needle)) != SIZE_MAX;
}

START_TEST(smime_is_sealed_and_opens)
{
    struct sealing s = {
        .method = SP_JOBS_SEAL_SMIME, .tenant = "plain", .key = "pat.der", .subject = "[...]"};

    must_seal(&s);
    tool_must(dir,
              "openssl cms -decrypt -in sealed.eml -inkey pat.key -recip pat.pem -out s.eml && "
              "openssl cms -verify -in s.eml -CAfile tenant.pem -purpose any -out i.eml && "
              "grep -a MARKER-BODY i.eml && grep -a MARKER-SUBJECT i.eml && "
              "! grep -a MARKER sealed.eml");
    ck_assert(holds(&s.facts, "\"method\":\"smime\",\"cipher\":\"aes-256-cbc\""));
    ck_assert(holds(&s.facts, "\"signed\":true,\"subject_protected\":true,\"keys\":[\"smime:1\"]"));
    sp_buf_clear(&s.facts);
}
END_TEST

START_TEST(pgp_is_sealed_and_opens)
{
    struct sealing s = {
        .method = SP_JOBS_SEAL_PGP, .tenant = "plain", .key = "pat.pgp", .subject = ""};

    must_seal(&s);
    tool_must(dir, GPG "--status-file status --output i.eml --yes --decrypt sealed.eml && "
                       "grep GOODSIG status && grep -a MARKER-BODY i.eml");
    ck_assert(holds(&s.facts, "\"method\":\"pgp\",\"signed\":true"));
    sp_buf_clear(&s.facts);
}
END_TEST

static void assert_dkim(void)
{
    tool_must(dir, "/usr/bin/python3 -c \"import dkim; "
                   "r = b'v=DKIM1; p=' + open('dkim.pub', 'rb').read(); "
                   "print(dkim.verify(open('sealed.eml', 'rb').read(), "
                   "dnsfunc=lambda *a, **k: r))\" | grep -x True");
}

START_TEST(a_tenant_with_a_selector_signs_what_we_make)
{
    static const struct {
        enum sp_jobs_seal_method method;
        const char *key;
        int64_t body_len;
    } cases[] = {
        {SP_JOBS_SEAL_SMIME, "pat.der", 0},
        {SP_JOBS_SEAL_PGP, "pat.pgp", 0},
        {SP_JOBS_SEAL_SIGN, NULL, 0},
        {SP_JOBS_SEAL_SIGN, NULL, 3 << 20},
        {SP_JOBS_SEAL_SMIME, "pat.der", 3 << 20},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sealing s = {.method = cases[i].method,
                            .tenant = "signed",
                            .key = cases[i].key,
                            .subject = "",
                            .body_len = cases[i].body_len};

        must_seal(&s);
        assert_dkim();
        ck_assert(
            holds(&s.facts, "\"dkim\":{\"domain\":\"hospital.example\",\"selector\":\"gw1\"}"));
        sp_buf_clear(&s.facts);
    }
}
END_TEST

START_TEST(edits_are_made_and_nothing_else)
{
    struct sealing s = {
        .method = SP_JOBS_SEAL_SIGN, .tenant = "plain", .key = NULL, .subject = "", .strip = true};

    must_seal(&s);
    tool_must(dir,
              "grep -a '^Subject: MARKER-SUBJECT' sealed.eml && ! grep -a secure sealed.eml && "
              "! grep -a X-Gone sealed.eml && grep -a MARKER-BODY sealed.eml");
    sp_buf_clear(&s.facts);
}
END_TEST

START_TEST(what_can_not_be_protected_as_asked_is_refused)
{
    static struct {
        struct sealing sealing;
        enum sp_rc want;
    } cases[] = {
        {{.method = SP_JOBS_SEAL_SMIME,
          .tenant = "plain",
          .key = "pat.der",
          .subject = "",
          .stranger = true},
         SP_E_KEYS_NONE},
        {{.method = SP_JOBS_SEAL_PGP,
          .tenant = "plain",
          .key = "pat.pgp",
          .subject = "",
          .stranger = true},
         SP_E_KEYS_NONE},
        {{.method = SP_JOBS_SEAL_SMIME, .tenant = "broken", .key = "pat.der", .subject = ""},
         SP_E_SMIME_FAILED},
        {{.method = SP_JOBS_SEAL_PGP, .tenant = "broken", .key = "pat.pgp", .subject = ""},
         SP_E_PGP_FAILED},
        {{.method = SP_JOBS_SEAL_SMIME, .tenant = "unknown", .key = "pat.der", .subject = ""},
         SP_E_SMIME_FAILED},
        {{.method = SP_JOBS_SEAL_PGP, .tenant = "unknown", .key = "pat.pgp", .subject = ""},
         SP_E_PGP_FAILED},
        {{.method = SP_JOBS_SEAL_SIGN, .tenant = "unknown", .subject = ""}, SP_E_DKIM_FAILED},
        {{.method = SP_JOBS_SEAL_SMIME, .tenant = "plain", .key = "pat.pgp", .subject = ""},
         SP_E_KEYS_FORMAT},
        {{.method = SP_JOBS_SEAL_PGP, .tenant = "plain", .key = "pat.der", .subject = ""},
         SP_E_KEYS_UNUSABLE},
        {{.method = SP_JOBS_SEAL_SMIME, .tenant = "plain", .key = NULL, .subject = ""},
         SP_E_KEYS_FORMAT},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        enum sp_rc rc = seal(&cases[i].sealing);

        ck_assert_msg(rc == cases[i].want, "case %zu: %s", i, sp_rc_name(rc));
        tool_must(dir, "! grep -a MARKER out");
    }
}
END_TEST

/* A key that is wrong in itself is not tried again, and gpg with everybody else's keys runs on. */
START_TEST(a_tenants_bad_key_leaves_gpg_alone)
{
    struct sealing bad = {
        .method = SP_JOBS_SEAL_PGP, .tenant = "broken", .key = "pat.pgp", .subject = ""};
    struct sealing good = bad;

    good.tenant = "plain";
    must_seal(&good);
    sp_buf_clear(&good.facts);
    tool_must(dir, "pgrep -f \"gpg-agent.*$PWD/sealer\" > before");
    sp_buf_init(&bad.facts, 1U << 16);
    for (time_t end = time(NULL) + 3;
         time(NULL) < end;) /* longer than the pause between two tries */
        ck_assert_int_eq(seal(&bad), SP_E_PGP_FAILED);
    sp_buf_clear(&bad.facts);
    tool_must(dir, "pgrep -f \"gpg-agent.*$PWD/sealer\" > after; cmp before after");
    must_seal(&good);
    sp_buf_clear(&good.facts);
}
END_TEST

#ifdef SP_FAULTS
/* Instead of the sealer there is, one that fails at that point once. */
static void start_with_fault(const char *point)
{
    struct sp_fault_board board = {.left = 1};
    char path[100];

    snprintf(board.wanted, sizeof(board.wanted), "sealer:%s", point);
    snprintf(path, sizeof(path), "/tmp/sp-sealer-board.%d", (int)getpid());
    tool_write("/tmp", strrchr(path, '/') + 1, sp_bytes(&board, sizeof(board)));
    teardown();
    setenv("SP_FAULT_BOARD", path, 1);
    setup();
    unsetenv("SP_FAULT_BOARD");
    unlink(path);
}

static void must_recover(void)
{
    struct sealing s = {
        .method = SP_JOBS_SEAL_PGP, .tenant = "plain", .key = "pat.pgp", .subject = ""};
    time_t limit = time(NULL) + 30;
    enum sp_rc rc;

    do {
        sp_buf_init(&s.facts, 1U << 16);
        rc = seal(&s);
        ck_assert(rc == SP_OK || rc == SP_E_PGP_FAILED);
        if (rc == SP_OK)
            ck_assert(holds(&s.facts, "\"method\":\"pgp\",\"signed\":true"));
        sp_buf_clear(&s.facts);
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    } while (rc != SP_OK && time(NULL) < limit);
    ck_assert_int_eq(rc, SP_OK);
}

START_TEST(gpg_that_could_not_start_is_started_later)
{
    start_with_fault("pgp.open");
    must_recover();
}
END_TEST

START_TEST(a_signing_key_that_gpg_could_not_take_is_given_again)
{
    start_with_fault("pgp.import");
    must_recover();
}
END_TEST

static void add_faults(TCase *c)
{
    tcase_add_test(c, gpg_that_could_not_start_is_started_later);
    tcase_add_test(c, a_signing_key_that_gpg_could_not_take_is_given_again);
}
#else
static void add_faults(TCase *c)
{
    (void)c;
}
#endif

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, smime_is_sealed_and_opens);
    tcase_add_test(c, pgp_is_sealed_and_opens);
    tcase_add_test(c, a_tenant_with_a_selector_signs_what_we_make);
    tcase_add_test(c, edits_are_made_and_nothing_else);
    tcase_add_test(c, what_can_not_be_protected_as_asked_is_refused);
    tcase_add_test(c, a_tenants_bad_key_leaves_gpg_alone);
    add_faults(c);
}

SP_TEST_MAIN("process.sealer", add)
