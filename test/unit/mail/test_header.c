/*
 * The header splitter and what is read from fields.
 */
#include <stdio.h>
#include <string.h>

#include "mail/header.h"
#include "mail/kind.h"
#include "mail/trace.h"
#include "support/check_main.h"

#include "base/mem.h"

static struct sp_header parse(const char *text)
{
    struct sp_header h;

    ck_assert_int_eq(sp_header_parse(sp_bytes_cstr(text), true, &h), SP_OK);
    return h;
}

static const struct {
    const char *text;
    size_t count, body_at;
    bool blank;
} messages[] = {
    {"A: 1\r\nB: 2\r\n\r\nbody", 2, 14, true},
    {"A: 1\r\n folded\r\n\tmore\r\nB: 2\r\n\r\n", 2, 30, true},
    {"\r\nA: 1\r\n", 0, 2, true},
    {"", 0, 0, false},
    {"A: 1\r\nB: 2\r\n", 2, 12, false},
    {"A: 1\r\nB: 2", 2, 10, false},
    {"A: 1\r\nno field\r\nB: 2\r\n\r\n", 1, 6, false},
    {"From somebody\r\nA: 1\r\n\r\n", 0, 0, false},
    {" leading fold\r\nA: 1\r\n\r\n", 0, 0, false},
    {"A : 1\r\n\r\n", 1, 9, true},
    {": 1\r\n\r\n", 0, 0, false},
    {"A B: 1\r\n\r\n", 0, 0, false},
};

START_TEST(where_the_header_ends)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(messages); i++) {
        struct sp_header h = parse(messages[i].text);

        ck_assert_msg(h.count == messages[i].count, "count of case %zu: %zu", i, h.count);
        ck_assert_msg(h.body_at == messages[i].body_at, "body of case %zu: %zu", i, h.body_at);
        ck_assert_msg(h.has_blank == messages[i].blank, "blank of case %zu", i);
    }
}
END_TEST

START_TEST(fields_are_views_with_their_folds)
{
    struct sp_header h = parse("Subject: one\r\n two\r\nX : y\r\n\r\nX: body\r\n");
    struct sp_field f;
    struct sp_buf b;
    size_t at = 0;

    sp_buf_init(&b, 100);
    ck_assert(sp_header_next(&h, &at, &f));
    ck_assert(sp_bytes_eq(f.name, SP_LIT("Subject")));
    ck_assert(sp_bytes_eq(f.value, SP_LIT(" one\r\n two")));
    ck_assert(sp_bytes_eq(f.raw, SP_LIT("Subject: one\r\n two\r\n")));
    sp_field_unfold(&f, &b);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("one two")));
    ck_assert(sp_header_next(&h, &at, &f));
    ck_assert(sp_bytes_eq(f.name, SP_LIT("X")));
    ck_assert_uint_eq(f.at, 20);
    ck_assert(!sp_header_next(&h, &at, &f));
    ck_assert_uint_eq(sp_header_count(&h, SP_LIT("x")), 1);
    sp_buf_clear(&b);
}
END_TEST

START_TEST(a_header_without_end_is_over_the_limit)
{
    size_t len = SP_HEADER_MAX + 100;
    uint8_t *big = sp_malloc(len);
    struct sp_header h;

    for (size_t i = 0; i < len; i++)
        big[i] = (uint8_t) "X: yyyyyyyyyyyy\r\n"[i % 17];
    ck_assert_int_eq(sp_header_parse(sp_bytes(big, len), true, &h), SP_E_HEADER_LIMIT);
    ck_assert_int_eq(sp_header_parse(sp_bytes(big, 1700), false, &h), SP_E_HEADER_LIMIT);
    ck_assert_int_eq(sp_header_parse(sp_bytes(big, 1700), true, &h), SP_OK);
    for (size_t i = 0; i < len; i++)
        big[i] = (uint8_t) "X:\r\n"[i % 4];
    ck_assert_int_eq(sp_header_parse(sp_bytes(big, 4 * 2001), true, &h), SP_E_HEADER_LIMIT);
    sp_free(big);
}
END_TEST

static const struct {
    const char *value;
    const char *text;
    const char *tag;
} subjects[] = {
    {"[secure] results", "[secure] results", "secure"},
    {" Re: AW: [Secure]\r\n results", "Re: AW: [Secure] results", "Secure"},
    {"=?utf-8?B?W3NlY3VyZV0=?= x", "[secure] x", "secure"},
    {"=?UTF-8?Q?=5Bsecure=5D_a?=\r\n =?utf-8?q?b?=", "[secure] ab", "secure"},
    {"=?iso-8859-1?Q?gr=FCn?=", "gr\xc3\xbcn", ""},
    {"=?koi8-r?B?W3NlY3VyZV0=?=", "=?koi8-r?B?W3NlY3VyZV0=?=", ""},
    {"=?utf-8?B?broken", "=?utf-8?B?broken", ""},
    {"=?utf-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x", ""},
    {"results [secure]", "results [secure]", ""},
    {"[] x", "[] x", ""},
    {"", "", ""},
};

START_TEST(subjects_are_decoded_and_tagged)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(subjects); i++) {
        struct sp_field f = {.value = sp_bytes_cstr(subjects[i].value)};
        struct sp_buf b;

        sp_buf_init(&b, 1000);
        sp_field_text(&f, &b);
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&b), sp_bytes_cstr(subjects[i].text)),
                      "case %zu: %.*s", i, SP_FMT(sp_buf_bytes(&b)));
        ck_assert_msg(sp_bytes_eq(sp_subject_tag(sp_buf_bytes(&b)), sp_bytes_cstr(subjects[i].tag)),
                      "tag of case %zu", i);
        sp_buf_clear(&b);
    }
}
END_TEST

START_TEST(tokens_parameters_and_ids)
{
    struct sp_field f = {
        .value = SP_LIT(" multipart/report; x=\"a;b\";\r\n report-type=delivery-status")};
    struct sp_field id = {.value = SP_LIT(" (c) <a@b> x")}, none = {.value = SP_LIT("<a b>")};
    struct sp_bytes v;

    ck_assert(sp_bytes_eq(sp_field_token(&f), SP_LIT("multipart/report")));
    ck_assert(sp_field_param(&f, SP_LIT("Report-Type"), &v));
    ck_assert(sp_bytes_eq(v, SP_LIT("delivery-status")));
    ck_assert(sp_field_param(&f, SP_LIT("x"), &v));
    ck_assert(sp_bytes_eq(v, SP_LIT("a;b")));
    ck_assert(!sp_field_param(&f, SP_LIT("b\""), &v));
    ck_assert(sp_bytes_eq(sp_field_message_id(&id), SP_LIT("<a@b>")));
    ck_assert_uint_eq(sp_field_message_id(&none).len, 0);
}
END_TEST

static const struct {
    const char *header;
    enum sp_mail_kind kind;
} kinds[] = {
    {"Subject: x\r\n\r\n", SP_KIND_MAIL},
    {"Auto-Submitted: auto-replied (vacation); x=y\r\n\r\n", SP_KIND_AUTO_REPLY},
    {"Auto-Submitted: no\r\n\r\n", SP_KIND_MAIL},
    {"Content-Type: multipart/report; report-type=delivery-status\r\n\r\n", SP_KIND_DSN},
    {"Content-Type: multipart/report; report-type=\"disposition-notification\"\r\n\r\n",
     SP_KIND_MDN},
    {"Content-Type: text/calendar; method=REQUEST\r\n\r\n", SP_KIND_CALENDAR},
    {"List-Id: <x>\r\n\r\n", SP_KIND_BULK},
    {"Precedence: bulk\r\n\r\n", SP_KIND_BULK},
};

START_TEST(kinds_of_mail)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        struct sp_header h = parse(kinds[i].header);

        ck_assert_msg(sp_mail_kind(&h) == kinds[i].kind, "case %zu: %s", i,
                      sp_mail_kind_name(sp_mail_kind(&h)));
    }
}
END_TEST

START_TEST(what_must_not_leave)
{
    struct sp_header h = parse("Bcc: a\r\nbcc : b\r\nX-MS-Exchange-Organization-AuthAs: x\r\n"
                               "X-Secret: y\r\nresent-BCC: d\r\nTo: c\r\n\r\n");
    struct sp_field f;
    size_t at = 0, private = 0;

    while (sp_header_next(&h, &at, &f))
    private += sp_trace_is_private(&f, SP_LIT("x-secret"));
    ck_assert_uint_eq(private, 5);
}
END_TEST

START_TEST(loops_are_seen)
{
    struct sp_header h = parse("X-Sallyport-Hop: abc\r\n\r\n"), other = parse("A: b\r\n\r\n");
    struct sp_buf many;

    ck_assert(sp_trace_is_loop(&h, SP_LIT("abc")));
    ck_assert(!sp_trace_is_loop(&h, SP_LIT("abd")));
    ck_assert(!sp_trace_is_loop(&other, SP_LIT("abc")));
    sp_buf_init(&many, 10000);
    for (unsigned i = 0; i <= SP_TRACE_RECEIVED_MAX; i++)
        sp_buf_put_cstr(&many, "Received: x\r\n");
    ck_assert_int_eq(sp_header_parse(sp_buf_bytes(&many), true, &h), SP_OK);
    ck_assert(sp_trace_is_loop(&h, SP_LIT("abc")));
    sp_buf_clear(&many);
}
END_TEST

/* A word is never cut, and no line comes to be of white space alone. */
START_TEST(folds_stand_at_white_space_that_is_there)
{
    char text[4000], word[1000];
    struct sp_buf out;

    memset(word, 'w', sizeof(word));
    sp_buf_init(&out, 8000);
    (void)snprintf(text, sizeof(text), "R: %.900s %.997s\r\nS: x\r\n", word, word);
    ck_assert(sp_header_fold(sp_bytes_cstr(text), &out));
    ck_assert_uint_eq(out.len, strlen(text) + 2);
    ck_assert_mem_eq(out.ptr + 903, "\r\n w", 4);
    sp_buf_reset(&out);
    (void)snprintf(text, sizeof(text), "R: %.900s %.998s\r\nS: x\r\n", word, word);
    ck_assert(!sp_header_fold(sp_bytes_cstr(text), &out));
    ck_assert(!sp_header_fold(sp_bytes_cstr(text), NULL));
    ck_assert(sp_bytes_ends_nocase(sp_buf_bytes(&out), SP_LIT("w\r\nS: x\r\n")));
    sp_buf_reset(&out);
    (void)snprintf(text, sizeof(text), "R:x%1500s\r\n", "");
    ck_assert(!sp_header_fold(sp_bytes_cstr(text), &out));
    ck_assert_uint_eq(out.len, strlen(text));
    sp_buf_reset(&out);
    (void)snprintf(text, sizeof(text), "R: %.995s\r\n", word);
    ck_assert(sp_header_fold(sp_bytes_cstr(text), &out));
    ck_assert_uint_eq(out.len, strlen(text));
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, folds_stand_at_white_space_that_is_there);
    tcase_add_test(c, where_the_header_ends);
    tcase_add_test(c, fields_are_views_with_their_folds);
    tcase_add_test(c, a_header_without_end_is_over_the_limit);
    tcase_add_test(c, subjects_are_decoded_and_tagged);
    tcase_add_test(c, tokens_parameters_and_ids);
    tcase_add_test(c, kinds_of_mail);
    tcase_add_test(c, what_must_not_leave);
    tcase_add_test(c, loops_are_seen);
}

SP_TEST_MAIN("mail.header", add)
