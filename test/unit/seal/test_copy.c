/* Edits of a header, sealed or not. */
#include "seal/entity.h"

#include "support/check_main.h"
#include "support/seal_memory.h"

static void copy(const char *message, const struct sp_seal_options *options, struct sp_buf *out)
{
    struct sp_bytes m = sp_bytes_cstr(message);

    sp_buf_init(out, 1U << 20);
    ck_assert_int_eq(sp_seal_copy(memory_source(&m), options, memory_sink(out), NULL), SP_OK);
}

START_TEST(edits_change_what_they_name_and_nothing_else)
{
    static const struct sp_seal_field add = {SP_LIT_INIT("X-Note"),
                                             SP_LIT_INIT("gr\xc3\xbc\xc3\x9f")};
    static const struct {
        const char *message;
        bool strip_tag, add, strip;
        const char *want;
    } cases[] = {
        {"From: a@b.example\r\nContent-Type: x/y\r\n\r\nbody\n", false, false, false,
         "From: a@b.example\r\nContent-Type: x/y\r\n\r\nbody\n"},
        {"Bcc: x\r\nFrom: a@b.example\r\n folded\r\n\r\n", false, false, false,
         "From: a@b.example\r\n folded\r\n\r\n"},
        {"Subject: [secure] Hello\r\n\r\nx", true, false, false, "Subject: Hello\r\n\r\nx"},
        {"Subject: Re: [secure] Hello\r\n\r\nx", true, false, false, "Subject: Re: Hello\r\n\r\nx"},
        {"Subject: =?utf-8?B?W3NlY3VyZV0gSGVsbG8=?=\r\n\r\nx", true, false, false,
         "Subject: Hello\r\n\r\nx"},
        {"Subject:  no\r\n tag\r\n\r\nx", true, false, false, "Subject:  no\r\n tag\r\n\r\nx"},
        {"A: b\r\nX-Gone: c\r\n\r\nx", false, true, true,
         "X-Note: =?UTF-8?B?Z3LDvMOf?=\r\nA: b\r\n\r\nx"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_seal_options options = {.strip_tag = cases[i].strip_tag,
                                          .strip = {SP_LIT("x-gone")},
                                          .strip_count = cases[i].strip,
                                          .add = &add,
                                          .add_count = cases[i].add};
        struct sp_buf out;

        copy(cases[i].message, &options, &out);
        ck_assert_msg(sp_bytes_eq_nocase(sp_buf_bytes(&out), sp_bytes_cstr(cases[i].want)),
                      "case %zu: %.*s", i, SP_FMT(sp_buf_bytes(&out)));
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(an_added_field_can_not_bring_another)
{
    static const struct sp_seal_field adds[] = {
        {SP_LIT_INIT("X"), SP_LIT_INIT("a\r\nBcc: b")},
        {SP_LIT_INIT("X: y\r\nZ"), SP_LIT_INIT("a")},
        {SP_LIT_INIT("X Y"), SP_LIT_INIT("a")},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(adds); i++) {
        struct sp_seal_options options = {.add = &adds[i], .add_count = 1};
        struct sp_bytes m = SP_LIT("From: a@b.example\r\n\r\n");
        struct sp_seal_entity *e = NULL;
        struct sp_buf out;

        sp_buf_init(&out, 1000);
        ck_assert_int_ne(sp_seal_copy(memory_source(&m), &options, memory_sink(&out), NULL), SP_OK);
        ck_assert_int_ne(sp_seal_entity_new(memory_source(&m), &options, &e, NULL), SP_OK);
        ck_assert_uint_eq(out.len, 0);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(a_tag_is_gone_inside_and_outside)
{
    struct sp_seal_options options = {.strip_tag = true, .protect_subject = true};
    struct sp_bytes m = SP_LIT("From: a@b.example\r\nSubject: [secure] Hello\r\n\r\n");
    struct sp_seal_entity *e = NULL;
    uint8_t inner[2000];
    size_t got = 0;

    ck_assert_int_eq(sp_seal_entity_new(memory_source(&m), &options, &e, NULL), SP_OK);
    ck_assert_int_eq(sp_seal_entity_read(e, inner, sizeof(inner), &got), SP_OK);
    ck_assert_uint_eq(sp_bytes_find_all(sp_bytes(inner, got), SP_LIT("secure")), SIZE_MAX);
    ck_assert_uint_ne(sp_bytes_find_all(sp_bytes(inner, got), SP_LIT("Subject: Hello\r\n")),
                      SIZE_MAX);
    sp_seal_entity_free(e);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, edits_change_what_they_name_and_nothing_else);
    tcase_add_test(c, an_added_field_can_not_bring_another);
    tcase_add_test(c, a_tag_is_gone_inside_and_outside);
}

SP_TEST_MAIN("seal.copy", add)
