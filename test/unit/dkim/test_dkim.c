/* What we sign is verified by us and by python3-dkim, and what python3-dkim signs by us. */
#include "dkim/dkim.h"
#include "dkim/sign.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "support/check_main.h"
#include "support/tools.h"

#define MESSAGE                                                                                    \
    "Received: from a by b\r\n"                                                                    \
    "From: Dr <dr@hospital.example>\r\n"                                                           \
    "To: pat@example.net\r\n"                                                                      \
    "Subject: About\r\n\tfolding\r\n"                                                              \
    "Date: Mon, 23 Nov 2026 15:04:05 +0000\r\n"                                                    \
    "Message-ID: <1@hospital.example>\r\n"                                                         \
    "\r\n"                                                                                         \
    "A body.\r\n\r\nIts end.\r\n\r\n\r\n"

static char *dir;
static struct sp_dkim *dkim;
static struct sp_buf keys[2]; /* rsa, ed25519 */
static struct sp_pkey *pkeys[2];
static char record[1024]; /* what the look-up answers */

static void make_record(const char *kind, const char *format)
{
    struct sp_buf text;

    tool_must(dir, "%s > pub", format);
    sp_buf_init(&text, 1000);
    tool_read(dir, "pub", &text);
    snprintf(record, sizeof(record), "v=DKIM1; k=%s; p=%.*s", kind,
             SP_FMT(sp_bytes_trim(sp_buf_bytes(&text))));
    sp_buf_clear(&text);
}

static void use_key(int which)
{
    if (which == 0)
        make_record("rsa", "openssl pkey -in rsa.key -pubout -outform DER | base64 -w0");
    else
        make_record("ed25519",
                    "openssl pkey -in ed.key -pubout -outform DER | tail -c 32 | base64 -w0");
}

static void setup(void)
{
    dir = tool_dir_new();
    tool_must(dir, "openssl genrsa -out rsa.key 2048 && "
                   "openssl genpkey -algorithm ed25519 -out ed.key");
    sp_buf_init(&keys[0], 8192);
    sp_buf_init(&keys[1], 8192);
    tool_read(dir, "rsa.key", &keys[0]);
    tool_read(dir, "ed.key", &keys[1]);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(sp_pkey_parse(sp_buf_bytes(&keys[i]), &pkeys[i], NULL), SP_OK);
    ck_assert_int_eq(sp_dkim_new(&dkim, NULL), SP_OK);
}

static void teardown(void)
{
    sp_buf_clear(&keys[0]);
    sp_buf_clear(&keys[1]);
    sp_pkey_free(pkeys[0]);
    sp_pkey_free(pkeys[1]);
    sp_dkim_free(dkim);
    tool_dir_free(dir);
}

static int64_t now_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

static void feed_cut(struct sp_dkim_run *r, struct sp_bytes data, size_t piece)
{
    while (data.len > 0) {
        size_t n = piece < data.len ? piece : data.len;

        ck_assert_int_eq(sp_dkim_run_feed(r, sp_bytes(data.ptr, n), NULL), SP_OK);
        data = sp_bytes(data.ptr + n, data.len - n);
    }
}

/* which: 1 RSA, 2 Ed25519, 3 both */
static void sign_text(struct sp_bytes message, int which, int64_t at_ms, size_t piece,
                      struct sp_buf *out)
{
    struct sp_dkim_signer signers[2] = {{"hospital.example", "gw1", pkeys[0]},
                                        {"hospital.example", "gw2", pkeys[1]}};
    SP_AUTO(sp_dkim_sign) s = NULL;
    struct sp_bytes rest = message;
    struct sp_err err = {0};

    if (which == 2)
        signers[0] = (struct sp_dkim_signer){"hospital.example", "gw1", pkeys[1]};
    sp_buf_init(out, 1U << 20);
    ck_assert_msg(sp_dkim_sign_new(signers, which == 3 ? 2 : 1, at_ms, &s, &err) == SP_OK, "%s",
                  err.text);
    while (rest.len > 0) {
        size_t n = piece < rest.len ? piece : rest.len;

        ck_assert_int_eq(sp_dkim_sign_feed(s, sp_bytes(rest.ptr, n), &err), SP_OK);
        rest = sp_bytes(rest.ptr + n, rest.len - n);
    }
    ck_assert_msg(sp_dkim_sign_finish(s, out, &err) == SP_OK, "%s", err.text);
    sp_buf_put(out, message);
}

static void sign(int64_t at_ms, size_t piece, struct sp_buf *out)
{
    sign_text(SP_LIT(MESSAGE), 1, at_ms, piece, out);
}

static enum sp_rc answer(void *ctx, const char *name, char *out, size_t len)
{
    const enum sp_rc *rc = ctx;

    ck_assert_str_eq(name, "gw1._domainkey.hospital.example");
    if (*rc == SP_OK)
        snprintf(out, len, "%s", record);
    return *rc;
}

static size_t verify(struct sp_bytes message, enum sp_rc dns, size_t piece,
                     struct sp_dkim_result *results)
{
    SP_AUTO(sp_dkim_run) r = NULL;
    size_t count = 99;

    ck_assert_int_eq(sp_dkim_verify_new(dkim, answer, &dns, &r, NULL), SP_OK);
    feed_cut(r, message, piece);
    ck_assert_int_eq(sp_dkim_verify_finish(r, results, &count, NULL), SP_OK);
    return count;
}

START_TEST(what_is_signed_verifies_however_it_is_cut)
{
    for (int which = 1; which <= 2; which++) {
        use_key(which - 1);
        for (size_t piece = 1; piece < 400; piece += 37) {
            struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
            struct sp_buf out;

            sign_text(SP_LIT(MESSAGE), which, now_ms(), piece, &out);
            ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 400 - piece, results), 1);
            ck_assert_msg(results[0].valid, "key %d, pieces of %zu", which, piece);
            ck_assert(results[0].whole);
            ck_assert_int_eq(results[0].why, SP_OK);
            ck_assert_str_eq(results[0].domain, "hospital.example");
            sp_buf_clear(&out);
        }
    }
}
END_TEST

/* Whatever white space and emptiness there is: the library and python3-dkim read the same as we. But a body whose last line
 * has no end, which SMTP can't carry, the library does not end as RFC 6376 3.4.4 says. */
START_TEST(others_verify_what_we_sign)
{
    static const char *const messages[] = {
        MESSAGE,
        "From: a@hospital.example\r\n\r\n",
        "From: a@hospital.example\r\n\r\nno line end",
        "From: a@hospital.example\r\n\r\n \t \r\n\r\n",
        "from:\ta@hospital.example \t\r\nSUBJECT:\t \r\n\r\n  a \t b \r\n\r\n\t\r\nend\t\r\n",
        "From: a@hospital.example\r\nTo: b@x.example,\r\n  c@x.example\r\nTo: d@x.example\r\n"
        "Cc:\r\n\te@x.example\r\nReferences: <1@x>\r\n <2@x>\r\nSubject: =?utf-8?q?=C3=A9?= \r\n"
        "\r\n.\r\n..\r\n\xc3\xa9 8 bit\r\n\r\n\r\n",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(messages); i++) {
        for (int which = 1; which <= 2; which++) {
            struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
            struct sp_buf out;
            char name[32];

            use_key(which - 1);
            sign_text(sp_bytes_cstr(messages[i]), which, now_ms(), 100, &out);
            ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 1000, results), 1);
            ck_assert_msg(results[0].valid || out.ptr[out.len - 1] != '\n',
                          "the library, case %zu, key %d", i, which);
            snprintf(name, sizeof(name), "s%zu-%d.eml", i, which);
            tool_write(dir, name, sp_buf_bytes(&out));
            snprintf(name, sizeof(name), "record%d", which);
            tool_write(dir, name, sp_bytes_cstr(record));
            sp_buf_clear(&out);
        }
    }
    tool_must(dir, "/usr/bin/python3 -c \"import dkim, glob; files = glob.glob('s*.eml'); "
                   "read = lambda f: open(f, 'rb').read(); "
                   "print(len(files), [f for f in files if not dkim.verify(read(f), "
                   "dnsfunc=lambda *a, **k: read('record' + f[3]))])\" | tee /dev/stderr | grep -x "
                   "'12 \\[\\]'");
}
END_TEST

START_TEST(both_keys_sign_one_message)
{
    struct sp_buf out;

    use_key(0);
    tool_write(dir, "record1", sp_bytes_cstr(record));
    use_key(1);
    tool_write(dir, "record2", sp_bytes_cstr(record));
    sign_text(SP_LIT(MESSAGE), 3, now_ms(), 7, &out);
    tool_write(dir, "signed.eml", sp_buf_bytes(&out));
    for (int i = 0; i < 2; i++)
        tool_must(
            dir,
            "/usr/bin/python3 -c \"import dkim; d = dkim.DKIM(open('signed.eml', 'rb').read()); "
            "f = lambda n, **k: open('record1' if n.startswith(b'gw1.') else 'record2', "
            "'rb').read(); "
            "print(d.verify(idx=%d, dnsfunc=f))\" | grep -x True",
            i);
    ck_assert_uint_ne(sp_bytes_find_all(sp_buf_bytes(&out), SP_LIT("a=rsa-sha256;")), SIZE_MAX);
    ck_assert_uint_ne(sp_bytes_find_all(sp_buf_bytes(&out), SP_LIT("a=ed25519-sha256;")), SIZE_MAX);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(we_verify_what_others_sign)
{
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
    struct sp_buf out;

    tool_write(dir, "plain.eml", SP_LIT(MESSAGE));
    use_key(1);
    tool_must(dir,
              "openssl pkey -in ed.key -outform DER | tail -c 32 | base64 -w0 > ed.raw && "
              "/usr/bin/python3 -c \"import dkim; m = open('plain.eml', 'rb').read(); "
              "s = dkim.sign(m, b'gw1', b'hospital.example', open('ed.raw', 'rb').read(), "
              "signature_algorithm=b'ed25519-sha256'); open('signed.eml', 'wb').write(s + m)\"");
    sp_buf_init(&out, 1U << 20);
    tool_read(dir, "signed.eml", &out);
    ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 50, results), 1);
    ck_assert(results[0].valid);
    ck_assert(results[0].whole);
    sp_buf_clear(&out);
    use_key(0);
    tool_write(dir, "plain.eml", SP_LIT(MESSAGE));
    tool_must(dir, "/usr/bin/python3 -c \"import dkim; m = open('plain.eml', 'rb').read(); "
                   "s = dkim.sign(m, b'gw1', b'hospital.example', open('rsa.key', 'rb').read(), "
                   "length=True); open('signed.eml', 'wb').write(s + m)\"");
    sp_buf_init(&out, 1U << 20);
    tool_read(dir, "signed.eml", &out);
    ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 50, results), 1);
    ck_assert(results[0].valid);
    ck_assert(!results[0].whole); /* it was told to use l= */
    sp_buf_clear(&out);
}
END_TEST

/* RFC 6376 3.4: each canonical form of header and body, with each algorithm. */
START_TEST(every_canonical_form_of_others_is_verified)
{
    tool_write(dir, "plain.eml", SP_LIT(MESSAGE));
    tool_must(
        dir,
        "openssl pkey -in ed.key -outform DER | tail -c 32 | base64 -w0 > ed.raw; "
        "/usr/bin/python3 -c \"import dkim, itertools; m = open('plain.eml', 'rb').read(); "
        "forms = [b'simple', b'relaxed']; algorithms = [('rsa.key', b'rsa'), ('ed.raw', "
        "b'ed25519')]; "
        "[open('signed%%d.eml' %% i, 'wb').write(dkim.sign(m, b'gw1', b'hospital.example', "
        "open(a[0], 'rb').read(), canonicalize=(h, b), signature_algorithm=a[1] + b'-sha256') + m) "
        "for i, (h, b, a) in enumerate(itertools.product(forms, forms, algorithms))]\"");
    for (int i = 0; i < 8; i++) {
        struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
        struct sp_buf out;
        char name[32];

        use_key(i & 1);
        sp_buf_init(&out, 1U << 20);
        snprintf(name, sizeof(name), "signed%d.eml", i);
        tool_read(dir, name, &out);
        ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 50, results), 1);
        ck_assert_msg(results[0].valid && results[0].whole, "case %d", i);
        out.ptr[out.len - 12] ^= 1; /* in "Its end." */
        ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 50, results), 1);
        ck_assert_msg(!results[0].valid, "case %d", i);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(the_field_is_whole_and_oversigned)
{
    struct sp_bytes field;
    struct sp_buf out;

    sign(INT64_C(1795446245000), 1000, &out);
    field = sp_bytes_slice(sp_buf_bytes(&out), 0, out.len - strlen(MESSAGE));
    ck_assert(sp_bytes_starts_nocase(field, SP_LIT("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/"
                                                   "relaxed;")));
    ck_assert(sp_bytes_ends_nocase(field, SP_LIT("\r\n")));
    ck_assert_uint_ne(sp_bytes_find_all(field, SP_LIT("t=1795446245; x=1796051045")), SIZE_MAX);
    ck_assert_uint_eq(sp_bytes_find_all(field, SP_LIT("l=")), SIZE_MAX);
    for (size_t i = 0; i < field.len; i++)
        if (field.ptr[i] == '\n' && i + 1 < field.len)
            ck_assert(field.ptr[i - 1] == '\r' &&
                      (field.ptr[i + 1] == '\t' || field.ptr[i + 1] == ' '));
    sp_buf_clear(&out);
}
END_TEST

static double cpu_s(void)
{
    struct timespec t;

    ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Puts count signatures that can be read, each with a length of its own, of a domain whose key there is. */
static void put_crowd(struct sp_buf *out, size_t count, const char *names, size_t repeat)
{
    for (size_t i = 0; i < count; i++) {
        sp_buf_put_cstr(out, "DKIM-Signature: v=1; a=rsa-sha256; d=hospital.example; s=gw1; l=");
        sp_buf_put_dec(out, (int64_t)i + 1);
        sp_buf_put_cstr(out, ";\r\n\tbh=AAAA; b=AAAA; h=from");
        for (size_t k = 0; k < repeat; k++)
            sp_buf_put_cstr(out, names);
        sp_buf_put_cstr(out, "\r\n");
    }
}

/* Signatures in a crowd cost no more than the few that are looked at (RFC 6376 6.1), and the first of all still counts. */
START_TEST(of_a_crowd_of_signatures_few_are_looked_at)
{
    static const struct {
        bool first; /* the good one stands above the crowd, else below */
        size_t count, repeat;
        bool valid;
    } rows[] = {{true, 7, 0, true},   {true, 1900, 0, true},  {false, 7, 0, true},
                {false, 8, 0, false}, {true, 3, 10000, true}, {false, 9, 1000, true}};
    struct sp_buf good, all;

    use_key(0);
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
        size_t head, count;
        bool valid = false;
        double before;

        sign(now_ms(), 1000, &good);
        head = sp_bytes_find_all(sp_buf_bytes(&good), SP_LIT("Received:"));
        sp_buf_init(&all, 1U << 20);
        if (rows[i].first)
            sp_buf_put(&all, sp_bytes_slice(sp_buf_bytes(&good), 0, head));
        put_crowd(&all, rows[i].count, ":subject", rows[i].repeat);
        sp_buf_put(&all, sp_bytes_slice(sp_buf_bytes(&good), rows[i].first ? head : 0, SIZE_MAX));
        before = cpu_s();
        count = verify(sp_buf_bytes(&all), SP_OK, 4000, results);
        ck_assert_msg(cpu_s() - before < 0.5, "row %zu took %f s", i, cpu_s() - before);
        ck_assert_msg(count <= SP_DKIM_RESULTS_MAX, "row %zu: %zu", i, count);
        for (size_t k = 0; k < count; k++)
            valid = valid || (results[k].valid && results[k].whole);
        ck_assert_msg(valid == rows[i].valid, "row %zu", i);
        sp_buf_clear(&all);
        sp_buf_clear(&good);
    }
}
END_TEST

/* A body of 32 MiB is hashed as it comes by: what is held for it does not grow. */
START_TEST(a_large_body_costs_no_memory)
{
    static char piece[65536];
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
    SP_AUTO(sp_dkim_run) r = NULL;
    enum sp_rc dns = SP_OK;
    struct sp_buf good;
    size_t before = 0, count = 0;

    memset(piece, 'x', sizeof(piece));
    for (size_t i = 0; i + 78 <= sizeof(piece); i += 78) {
        piece[i + 76] = '\r';
        piece[i + 77] = '\n';
    }
    use_key(0);
    sign(now_ms(), 1000, &good);
    ck_assert_int_eq(sp_dkim_verify_new(dkim, answer, &dns, &r, NULL), SP_OK);
    feed_cut(r, sp_buf_bytes(&good), 1000);
    for (size_t i = 0; i < 512; i++) {
        ck_assert_int_eq(sp_dkim_run_feed(r, sp_bytes(piece, 65520), NULL), SP_OK);
        if (i == 8)
            before = mallinfo2().uordblks;
    }
    ck_assert_msg(mallinfo2().uordblks <= before + 65536, "%zu, then %zu", before,
                  mallinfo2().uordblks);
    ck_assert_int_eq(sp_dkim_verify_finish(r, results, &count, NULL), SP_OK);
    ck_assert(count == 1 && !results[0].valid); /* the body is another */
    sp_buf_clear(&good);
}
END_TEST

START_TEST(changed_messages_fail)
{
    static const struct {
        const char *find, *replace; /* of the same length */
    } cases[] = {
        {"A body.", "B body."}, {"Subject: About", "Subject: aBout"}, {"Its end", "Its END"}};
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
    struct sp_buf out, doubled;

    use_key(0);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        size_t at;

        sign(now_ms(), 1000, &out);
        at = sp_bytes_find_all(sp_buf_bytes(&out), sp_bytes_cstr(cases[i].find));
        memcpy(out.ptr + at, cases[i].replace, strlen(cases[i].replace));
        ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_OK, 1000, results), 1);
        ck_assert_msg(!results[0].valid, "case %zu", i);
        ck_assert_int_eq(results[0].why, SP_E_DKIM_FAILED);
        sp_buf_clear(&out);
    }
    /* a second From is what oversigning is for */
    sp_buf_init(&doubled, 1U << 20);
    sign(now_ms(), 1000, &out);
    sp_buf_put_cstr(&doubled, "From: other@hospital.example\r\n");
    sp_buf_put(&doubled, sp_buf_bytes(&out));
    ck_assert_uint_eq(verify(sp_buf_bytes(&doubled), SP_OK, 1000, results), 1);
    ck_assert(!results[0].valid);
    sp_buf_clear(&doubled);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_key_that_is_not_there_and_one_that_can_not_be_had_differ)
{
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
    struct sp_buf out;

    sign(now_ms(), 1000, &out);
    ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_E_DNS_NONE, 1000, results), 1);
    ck_assert(!results[0].valid);
    ck_assert_int_eq(results[0].why, SP_E_DNS_NONE);
    ck_assert_uint_eq(verify(sp_buf_bytes(&out), SP_E_DNS_SERVFAIL, 1000, results), 1);
    ck_assert(!results[0].valid);
    ck_assert_int_eq(results[0].why, SP_E_DNS_TIMEOUT);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(messages_without_signature_or_body_are_no_failure)
{
    static const char *const messages[] = {MESSAGE, "From: a@b.example\r\n",
                                           "From: a@b.example\r\n\r\n", "\r\nbody\r\n"};
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];

    for (size_t i = 0; i < SP_ARRAY_LEN(messages); i++)
        ck_assert_msg(verify(sp_bytes_cstr(messages[i]), SP_OK, 5, results) == 0, "case %zu", i);
}
END_TEST

START_TEST(what_may_not_sign_is_refused)
{
    static const struct {
        enum sp_pkey_kind kind;
        unsigned bits;
    } cases[] = {{SP_PKEY_RSA, 1024}, {SP_PKEY_P256, 0}};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_pkey) key = NULL;
        struct sp_dkim_signer signer = {"hospital.example", "gw1", NULL};
        struct sp_dkim_sign *s = NULL;

        ck_assert_int_eq(sp_pkey_new(cases[i].kind, cases[i].bits, &key), SP_OK);
        signer.key = key;
        ck_assert_int_eq(sp_dkim_sign_new(&signer, 1, now_ms(), &s, NULL), SP_E_UNSUPPORTED);
        ck_assert_ptr_null(s);
    }
}
END_TEST

START_TEST(a_header_that_is_too_long_is_not_signed)
{
    struct sp_dkim_signer signer = {"hospital.example", "gw1", pkeys[1]};
    SP_AUTO(sp_dkim_sign) s = NULL;
    enum sp_rc rc = SP_OK;

    ck_assert_int_eq(sp_dkim_sign_new(&signer, 1, now_ms(), &s, NULL), SP_OK);
    for (int i = 0; rc == SP_OK && i < 30000; i++)
        rc = sp_dkim_sign_feed(s, SP_LIT("To: a@b.example\r\n"), NULL);
    ck_assert_int_eq(rc, SP_E_HEADER_LIMIT);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, what_is_signed_verifies_however_it_is_cut);
    tcase_add_test(c, others_verify_what_we_sign);
    tcase_add_test(c, we_verify_what_others_sign);
    tcase_add_test(c, the_field_is_whole_and_oversigned);
    tcase_add_test(c, of_a_crowd_of_signatures_few_are_looked_at);
    tcase_add_test(c, a_large_body_costs_no_memory);
    tcase_add_test(c, changed_messages_fail);
    tcase_add_test(c, a_key_that_is_not_there_and_one_that_can_not_be_had_differ);
    tcase_add_test(c, messages_without_signature_or_body_are_no_failure);
    tcase_add_test(c, both_keys_sign_one_message);
    tcase_add_test(c, every_canonical_form_of_others_is_verified);
    tcase_add_test(c, what_may_not_sign_is_refused);
    tcase_add_test(c, a_header_that_is_too_long_is_not_signed);
}

SP_TEST_MAIN("dkim.dkim", add)
