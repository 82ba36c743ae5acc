/*
 * Mail of our own: no value can add a field, and what is built parses again.
 */
#include "mail/compose.h"
#include "mail/dsn.h"
#include "mail/envelope.h"
#include "mail/trace.h"
#include <stdio.h>

#include "support/check_main.h"

static const struct sp_bytes evil[] = {
    SP_LIT_INIT("a\r\nBcc: x@y.example"),
    SP_LIT_INIT("a\nBcc: x@y.example"),
    SP_LIT_INIT("a\rb"),
    SP_LIT_INIT("a\0b"),
};

START_TEST(no_value_can_add_a_field)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(evil); i++) {
        for (unsigned how = 0; how < 4; how++) {
            struct sp_compose c;
            struct sp_buf out;

            sp_buf_init(&out, 1000);
            sp_compose_init(&c, &out);
            if (how == 0)
                sp_compose_field(&c, "X", evil[i]);
            else if (how == 1)
                sp_compose_text_field(&c, "X", evil[i]);
            else if (how == 2)
                sp_compose_address(&c, "X", evil[i], SP_LIT("a@b.example"));
            else
                sp_compose_address(&c, "X", SP_LIT("a"), evil[i]);
            ck_assert_int_ne(sp_compose_end(&c), SP_OK);
            ck_assert_uint_eq(out.len, 0);
            sp_buf_clear(&out);
        }
    }
}
END_TEST

/* Composes one text field and reads it back through the splitter. */
static void round_trip(const char *text)
{
    struct sp_compose c;
    struct sp_buf out, back;
    struct sp_header h;
    struct sp_field f;

    sp_buf_init(&out, 10000);
    sp_buf_init(&back, 10000);
    sp_compose_init(&c, &out);
    sp_compose_text_field(&c, "Subject", sp_bytes_cstr(text));
    ck_assert_int_eq(sp_compose_end(&c), SP_OK);
    ck_assert_int_eq(sp_header_parse(sp_buf_bytes(&out), true, &h), SP_OK);
    ck_assert_uint_eq(h.count, 1);
    ck_assert(sp_header_find(&h, SP_LIT("Subject"), 0, &f));
    sp_field_text(&f, &back);
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&back), sp_bytes_cstr(text)), "%s", text);
    sp_buf_clear(&out);
    sp_buf_clear(&back);
}

START_TEST(text_fields_come_back)
{
    round_trip("plain");
    round_trip("a long line of many words that has to be folded somewhere before it ends, which it "
               "does not do for quite a while yet");
    round_trip("gr\xc3\xbcn und bl\xc3\xa4ulich, so lang, dass es mehrere kodierte W\xc3\xb6rter "
               "braucht \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
    round_trip("=?utf-8?B?bm90?=");
}
END_TEST

START_TEST(quoted_printable_has_short_lines_and_no_lone_dot)
{
    struct sp_compose c;
    struct sp_buf out;
    struct sp_bytes rest, line;

    sp_buf_init(&out, 10000);
    sp_compose_init(&c, &out);
    sp_compose_quoted(&c,
                      SP_LIT(".\ntrailing \n\xc3\xbc=\r\n"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    ck_assert_int_eq(sp_compose_end(&c), SP_OK);
    rest = sp_buf_bytes(&out);
    while (sp_bytes_split(&rest, '\n', &line)) {
        ck_assert_uint_le(line.len, 77);
        if (line.len > 0)
            ck_assert_int_ne(line.ptr[0], '.');
    }
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&out), SP_LIT("trailing=20\r\n")) != SIZE_MAX);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&out), SP_LIT("=C3=BC=3D\r\n")) != SIZE_MAX);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_dsn_holds_codes_and_nothing_of_the_message)
{
    struct sp_dsn_recipient r = {.address = SP_LIT("b@c.example"),
                                 .orcpt = SP_LIT("rfc822;b+2Bx@c.example"),
                                 .action = SP_DSN_FAILED,
                                 .status = {5, 1, 1},
                                 .remote_mta = SP_LIT("mx.c.example"),
                                 .reply_code = 550};
    struct sp_dsn dsn = {.host = SP_LIT("gw.example"),
                         .from = SP_LIT("postmaster@hospital.example"),
                         .to = SP_LIT("dr@hospital.example"),
                         .envid = SP_LIT("Q+2B1"),
                         .now_ms = 1795348800000,
                         .arrived_ms = 1795348800000,
                         .recipients = &r,
                         .count = 1};
    struct sp_buf kept, out;
    struct sp_header h;

    sp_buf_init(&kept, 8192);
    sp_buf_init(&out, 100000);
    ck_assert_int_eq(
        sp_header_parse(SP_LIT("From: a@b\r\nSubject: secret\r\nTo: x@y\r\n\r\nbody"), true, &h),
        SP_OK);
    sp_dsn_keep_header(&h, &kept);
    dsn.original_header = sp_buf_bytes(&kept);
    ck_assert_int_eq(sp_dsn_build(&dsn, &out), SP_OK);
#define HAS(text) (sp_bytes_find_all(sp_buf_bytes(&out), SP_LIT(text)) != SIZE_MAX)
    ck_assert(HAS("Final-Recipient: rfc822; b@c.example\r\n"));
    ck_assert(HAS("Original-Recipient: rfc822; b+x@c.example\r\n"));
    ck_assert(HAS("Original-Envelope-Id: Q+1\r\n"));
    ck_assert(HAS("Action: failed\r\n"));
    ck_assert(HAS("Status: 5.1.1\r\n"));
    ck_assert(HAS("Diagnostic-Code: smtp; 550 5.1.1\r\n"));
    ck_assert(HAS("Remote-MTA: dns; mx.c.example\r\n"));
    ck_assert(HAS("\r\nFrom: a@b\r\nTo: x@y\r\n"));
    ck_assert(!HAS("secret"));
    ck_assert(!HAS("body"));
    r.orcpt = SP_LIT(
        "rfc822;m+C3+BCller@c.example"); /* neither may be (RFC 3461 4.2, 4.4): the report is made without */
    dsn.envid = SP_LIT("e+E2+82+AC");
    sp_buf_reset(&out);
    ck_assert_int_eq(sp_dsn_build(&dsn, &out), SP_OK);
    ck_assert(HAS("Final-Recipient: rfc822; b@c.example\r\n"));
    ck_assert(!HAS("Original-Recipient"));
    ck_assert(!HAS("Original-Envelope-Id"));
    dsn.to = SP_LIT("dr@hospital.example\r\nBcc: x@y");
    ck_assert_int_ne(sp_dsn_build(&dsn, &out), SP_OK);
    sp_buf_clear(&kept);
    sp_buf_clear(&out);
}
END_TEST

static size_t count_of(struct sp_bytes all, struct sp_bytes what)
{
    size_t count = 0;
    size_t at;

    while ((at = sp_bytes_find_all(all, what)) != SIZE_MAX) {
        count++;
        all = sp_bytes_slice(all, at + what.len, all.len);
    }
    return count;
}

/* 2,000 with long reasons, three of them of another kind, into ever less room. */
START_TEST(a_dsn_of_thousands_leaves_out_what_programs_do_not_need)
{
    static struct sp_dsn_recipient rs[2000];
    static char names[SP_ARRAY_LEN(rs)][64];
    struct sp_dsn dsn = {.host = SP_LIT("gw.example"),
                         .from = SP_LIT("postmaster@hospital.example"),
                         .to = SP_LIT("dr@hospital.example"),
                         .original_header = SP_LIT("From: a@b.example\r\n"),
                         .recipients = rs,
                         .count = SP_ARRAY_LEN(rs)};
    struct sp_bytes why = SP_LIT("Patients' data goes to them by the portal alone: ask the data "
                                 "protection officer how to send this list.");
    size_t whole;
    struct sp_buf out;

    for (size_t i = 0; i < SP_ARRAY_LEN(rs); i++) {
        snprintf(names[i], sizeof(names[i]), "recipient-%zu@elsewhere.example", i);
        rs[i] = (struct sp_dsn_recipient){.address = sp_bytes_cstr(names[i]),
                                          .action = i % 999 == 0 ? SP_DSN_DELAYED : SP_DSN_FAILED,
                                          .status = {5, 7, 1},
                                          .why = why};
    }
    sp_buf_init(&out, 4 << 20);
    ck_assert_int_eq(sp_dsn_build(&dsn, &out), SP_OK);
    whole = out.len;
    ck_assert(HAS("From: a@b.example"));
    ck_assert_uint_eq(count_of(sp_buf_bytes(&out), SP_LIT("officer")), 2000);
    sp_buf_clear(&out);
    sp_buf_init(&out, whole - 10);
    ck_assert_int_eq(sp_dsn_build(&dsn, &out), SP_OK);
    ck_assert(!HAS("From: a@b.example"));
    ck_assert_uint_eq(count_of(sp_buf_bytes(&out), SP_LIT("officer")), 2000);
    sp_buf_clear(&out);
    sp_buf_init(&out, whole - 100000);
    ck_assert_int_eq(sp_dsn_build(&dsn, &out), SP_OK);
    ck_assert_uint_eq(count_of(sp_buf_bytes(&out), SP_LIT("officer")), 2);
    ck_assert(HAS("\r\n1997 recipients: failed, status 5.7.1\r\n"));
    ck_assert(HAS("\r\n3 recipients: delayed, status 5.7.1\r\n"));
    ck_assert_uint_eq(count_of(sp_buf_bytes(&out), SP_LIT("Final-Recipient: ")), 2000);
    ck_assert(HAS("Final-Recipient: rfc822; recipient-1999@elsewhere.example\r\n"));
    sp_buf_clear(&out);
    for (size_t i = 0; i < SP_ARRAY_LEN(rs); i++) /* more reasons than it tells */
        rs[i].why = rs[i].address;
    sp_buf_init(&out, whole - 300000);
    ck_assert_int_eq(sp_dsn_build(&dsn, &out), SP_OK);
    ck_assert(HAS("\r\nand for other reasons: 1984\r\n"));
    sp_buf_clear(&out);
}
END_TEST

START_TEST(trace_is_two_fields_whatever_the_client_says)
{
    struct sp_trace t = {.host = SP_LIT("gw.example"),
                         .helo = SP_LIT("x) by evil.example (\r\nBcc: y"),
                         .ip = SP_LIT("192.0.2.1"),
                         .with = "ESMTPS",
                         .tls_version = SP_LIT("1.3"),
                         .tls_cipher = SP_LIT("TLS_AES_256_GCM_SHA384"),
                         .mark = SP_LIT("0123"),
                         .now_ms = 1795348800000};
    struct sp_buf out;
    struct sp_header h;

    sp_buf_init(&out, 4000);
    ck_assert_int_eq(sp_trace_build(&t, &out), SP_OK);
    ck_assert_int_eq(sp_header_parse(sp_buf_bytes(&out), true, &h), SP_OK);
    ck_assert_uint_eq(h.count, 2);
    ck_assert_uint_eq(h.bytes.len, out.len);
    sp_buf_clear(&out);
}
END_TEST

/* RFC 5321 4.1.3: an address of version 6 has a tag. */
START_TEST(trace_names_the_clients_address)
{
    static const struct {
        const char *ip, *shown;
    } rows[] = {{"192.0.2.1", "from c.example ([192.0.2.1]) by "},
                {"2001:db8::1", "from c.example ([IPv6:2001:db8::1]) by "}};

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_trace t = {.host = SP_LIT("gw.example"),
                             .helo = SP_LIT("c.example"),
                             .ip = sp_bytes_cstr(rows[i].ip),
                             .with = "ESMTP",
                             .mark = SP_LIT("0123")};
        struct sp_buf out;

        sp_buf_init(&out, 4000);
        ck_assert_int_eq(sp_trace_build(&t, &out), SP_OK);
        ck_assert_msg(sp_bytes_find_all(sp_buf_bytes(&out), sp_bytes_cstr(rows[i].shown)) !=
                          SIZE_MAX,
                      "%.*s", SP_FMT(sp_buf_bytes(&out)));
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(xtext_goes_and_comes)
{
    struct sp_buf a, b;

    sp_buf_init(&a, 100);
    sp_buf_init(&b, 100);
    sp_xtext_encode(SP_LIT("a+b=c d"), &a);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&a), SP_LIT("a+2Bb+3Dc+20d")));
    ck_assert(sp_xtext_decode(sp_buf_bytes(&a), &b));
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("a+b=c d")));
    ck_assert(!sp_xtext_decode(SP_LIT("a+0Db"), &b));
    ck_assert(!sp_xtext_is_valid(SP_LIT("a=b")));
    ck_assert(!sp_xtext_is_valid(SP_LIT("a+2")));
    ck_assert(!sp_xtext_is_valid(SP_LIT("a+2g")));
    sp_buf_clear(&a);
    sp_buf_clear(&b);
}
END_TEST

START_TEST(who_was_meant_first_is_said_in_the_type_of_the_address)
{
    static const struct {
        struct sp_bytes address;
        struct sp_bytes orcpt;
    } cases[] = {
        {SP_LIT_INIT("a+b@c.example"), SP_LIT_INIT("rfc822;a+2Bb@c.example")},
        {SP_LIT_INIT("\"a b\"@c.example"), SP_LIT_INIT("rfc822;\"a+20b\"@c.example")},
        {SP_LIT_INIT("m\xC3\xBCller@c.example"), SP_LIT_INIT("utf-8;m\\x{FC}ller@c.example")},
        {SP_LIT_INIT("\xCF\x80+=\\@c.example"),
         SP_LIT_INIT("utf-8;\\x{3C0}\\x{2B}\\x{3D}\\x{5C}@c.example")},
    };
    struct sp_buf out;

    sp_buf_init(&out, SP_ORCPT_MAX);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        sp_buf_reset(&out);
        ck_assert_int_eq(sp_orcpt_of(cases[i].address, &out), SP_OK);
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&out), cases[i].orcpt), "%.*s",
                      SP_FMT(sp_buf_bytes(&out)));
    }
    sp_buf_clear(&out);
}
END_TEST

START_TEST(enhanced_codes)
{
    struct sp_status st;
    struct sp_bytes rest;

    ck_assert(sp_status_parse(SP_LIT("5.7.1 no"), &st, &rest));
    ck_assert_uint_eq(st.class, 5);
    ck_assert_uint_eq(st.detail, 1);
    ck_assert(sp_bytes_eq(rest, SP_LIT("no")));
    ck_assert(!sp_status_parse(SP_LIT("3.7.1 no"), &st, &rest));
    ck_assert(!sp_status_parse(SP_LIT("5.7"), &st, &rest));
    ck_assert(!sp_status_parse(SP_LIT("5.7.1234"), &st, &rest));
    ck_assert(!sp_status_parse(SP_LIT("5.7.1x"), &st, &rest));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, no_value_can_add_a_field);
    tcase_add_test(c, text_fields_come_back);
    tcase_add_test(c, quoted_printable_has_short_lines_and_no_lone_dot);
    tcase_add_test(c, a_dsn_holds_codes_and_nothing_of_the_message);
    tcase_add_test(c, a_dsn_of_thousands_leaves_out_what_programs_do_not_need);
    tcase_add_test(c, trace_is_two_fields_whatever_the_client_says);
    tcase_add_test(c, trace_names_the_clients_address);
    tcase_add_test(c, xtext_goes_and_comes);
    tcase_add_test(c, who_was_meant_first_is_said_in_the_type_of_the_address);
    tcase_add_test(c, enhanced_codes);
}

SP_TEST_MAIN("mail.compose", add)
