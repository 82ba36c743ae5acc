/* What goes inside, what stays outside. */
#include "seal/entity.h"

#include "support/check_main.h"
#include "support/seal_memory.h"

#define HEADER                                                                                     \
    "Received: from a by b; Mon, 23 Nov 2026 15:04:05 +0000\r\n"                                   \
    "DKIM-Signature: v=1; d=hospital.example;\r\n\tb=abc\r\n"                                      \
    "From: Dr <dr@hospital.example>\r\n"                                                           \
    "To: pat@example.net\r\n"                                                                      \
    "Cc: lab@example.net\r\n"                                                                      \
    "bcc: blind@example.net,\r\n other-blind@example.net\r\n"                                      \
    "Subject: MARKER about\r\n\tMARKER\r\n"                                                        \
    "Thread-Topic: MARKER about MARKER\r\n"                                                        \
    "X-MS-Exchange-Organization-SCL: -1\r\n"                                                       \
    "X-Secret: sesame\r\n"                                                                         \
    "Date: Mon, 23 Nov 2026 15:04:05 +0000\r\n"                                                    \
    "Message-ID: <a1b2@hospital.example>\r\n"                                                      \
    "MIME-Version: 1.0\r\n"                                                                        \
    "Content-Type: text/plain;\r\n charset=utf-8;\r\n"                                             \
    "content-transfer-encoding: 8bit\r\n"
#define BODY "A line.\r\n.\r\n\r\nThe last, without its end"
#define INNER                                                                                      \
    "Content-Type: text/plain;\r\n charset=utf-8;\r\n"                                             \
    "content-transfer-encoding: 8bit\r\n"                                                          \
    "\r\n" BODY

static struct sp_seal_entity *open_entity(struct sp_bytes *message,
                                          const struct sp_seal_options *options)
{
    struct sp_seal_entity *e = NULL;
    struct sp_err err;

    ck_assert_int_eq(sp_seal_entity_new(memory_source(message), options, &e, &err), SP_OK);
    return e;
}

static void read_inner(struct sp_seal_entity *e, size_t piece, struct sp_buf *out)
{
    uint8_t data[4096];
    size_t got = 1;

    sp_seal_entity_rewind(e);
    while (got > 0) {
        ck_assert_int_eq(sp_seal_entity_read(e, data, piece, &got), SP_OK);
        sp_buf_put(out, sp_bytes(data, got));
    }
    ck_assert_uint_eq(out->len, sp_seal_entity_len(e));
}

static bool holds(struct sp_bytes b, const char *needle)
{
    return sp_bytes_find_all(b, sp_bytes_cstr(needle)) != SIZE_MAX;
}

START_TEST(inner_entity_is_content_fields_and_body_byte_for_byte)
{
    struct sp_seal_options options = {0};
    struct sp_bytes message = SP_LIT(HEADER "\r\n" BODY);
    SP_AUTO(sp_seal_entity) e = open_entity(&message, &options);

    for (size_t piece = 1; piece < 200; piece += 13) {
        struct sp_buf inner;

        sp_buf_init(&inner, 1U << 16);
        read_inner(e, piece, &inner);
        ck_assert(sp_bytes_eq(sp_buf_bytes(&inner), SP_LIT(INNER)));
        sp_buf_clear(&inner);
    }
}
END_TEST

START_TEST(bcc_and_broken_signatures_stay_nowhere)
{
    struct sp_seal_options options = {.strip = {SP_LIT("X-Secret")}, .strip_count = 1};
    struct sp_bytes message = SP_LIT(HEADER "\r\n" BODY);

    for (int protect = 0; protect < 2; protect++) {
        static const char *const gone[] = {"blind",  "DKIM-Signature", "Organization",
                                           "sesame", "v=1; d",         "MIME-Version"};
        SP_AUTO(sp_seal_entity) e = NULL;
        struct sp_buf inner;

        options.protect_subject = protect == 1;
        e = open_entity(&message, &options);
        sp_buf_init(&inner, 1U << 16);
        read_inner(e, 4096, &inner);
        for (size_t i = 0; i < SP_ARRAY_LEN(gone); i++) {
            ck_assert_msg(!holds(sp_seal_entity_outer(e), gone[i]), "%s outside", gone[i]);
            ck_assert_msg(!holds(sp_buf_bytes(&inner), gone[i]), "%s inside", gone[i]);
        }
        sp_buf_clear(&inner);
    }
}
END_TEST

START_TEST(outside_keeps_what_the_mailbox_shows)
{
    struct sp_seal_options options = {0};
    struct sp_bytes message = SP_LIT(HEADER "\r\n" BODY);
    SP_AUTO(sp_seal_entity) e = open_entity(&message, &options);
    static const char *const kept[] = {
        "From: Dr <dr@hospital.example>\r\n",
        "To: pat@example.net\r\n",
        "Cc: lab@example.net\r\n",
        "Subject: MARKER about\r\n\tMARKER\r\n",
        "Message-ID: <a1b2@hospital.example>\r\n",
        "Date: Mon, 23 Nov 2026 15:04:05 +0000\r\n",
        "Received: from a by b",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(kept); i++)
        ck_assert_msg(holds(sp_seal_entity_outer(e), kept[i]), "%s", kept[i]);
    ck_assert(!holds(sp_seal_entity_outer(e), "Content-"));
    ck_assert(!holds(sp_seal_entity_outer(e), "content-"));
}
END_TEST

START_TEST(protected_subject_is_inside_only)
{
    struct sp_seal_options options = {.protect_subject = true};
    struct sp_bytes message = SP_LIT(HEADER "\r\n" BODY);
    SP_AUTO(sp_seal_entity) e = open_entity(&message, &options);
    struct sp_buf inner;

    sp_buf_init(&inner, 1U << 16);
    read_inner(e, 100, &inner);
    ck_assert(!holds(sp_seal_entity_outer(e), "MARKER"));
    ck_assert(holds(sp_seal_entity_outer(e), "Subject: [...]\r\n"));
    ck_assert(holds(sp_seal_entity_outer(e), "Message-ID: <a1b2@hospital.example>\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner), "Subject: MARKER about\r\n\tMARKER\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner), "Thread-Topic: MARKER"));
    ck_assert(holds(sp_buf_bytes(&inner), "HP-Outer: Subject: [...]\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner), "HP-Outer: To: pat@example.net\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner),
                    "charset=utf-8;\r\n\tprotected-headers=\"v1\"; hp=\"cipher\"\r\n"));
    ck_assert(sp_bytes_ends_nocase(sp_buf_bytes(&inner), SP_LIT("\r\n\r\n" BODY)));
    sp_buf_clear(&inner);
}
END_TEST

START_TEST(protecting_a_message_without_content_type_makes_one)
{
    struct sp_seal_options options = {.protect_subject = true, .outer_subject = "Secure message"};
    struct sp_bytes message = SP_LIT("From: a@b.example\r\nSubject: MARKER\r\n\r\nx\r\n");
    SP_AUTO(sp_seal_entity) e = open_entity(&message, &options);
    struct sp_buf inner;

    sp_buf_init(&inner, 1U << 16);
    read_inner(e, 100, &inner);
    ck_assert(holds(sp_seal_entity_outer(e), "Subject: Secure message\r\n"));
    ck_assert(holds(sp_buf_bytes(&inner), "Content-Type: text/plain; charset=us-ascii;"));
    sp_buf_clear(&inner);
}
END_TEST

START_TEST(odd_messages_are_taken_as_they_are)
{
    static const struct {
        const char *message;
        const char *outer;
        const char *inner;
    } cases[] = {
        {"", "", "\r\n"},
        {"\r\n", "", "\r\n"},
        {"\r\nbody", "", "\r\nbody"},
        {"From: a@b.example\r\n", "From: a@b.example\r\n", "\r\n"},
        {"From: a@b.example\r\n\r\n", "From: a@b.example\r\n", "\r\n"},
    };
    struct sp_seal_options options = {0};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_bytes message = sp_bytes_cstr(cases[i].message);
        SP_AUTO(sp_seal_entity) e = open_entity(&message, &options);
        struct sp_buf inner;

        sp_buf_init(&inner, 1000);
        read_inner(e, 7, &inner);
        ck_assert_msg(sp_bytes_eq(sp_seal_entity_outer(e), sp_bytes_cstr(cases[i].outer)),
                      "case %zu", i);
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&inner), sp_bytes_cstr(cases[i].inner)), "case %zu",
                      i);
        sp_buf_clear(&inner);
    }
}
END_TEST

START_TEST(a_subject_for_outside_can_not_add_a_field)
{
    struct sp_seal_options options = {.protect_subject = true, .outer_subject = "x\r\nBcc: y@z"};
    struct sp_bytes message = SP_LIT("From: a@b.example\r\n\r\n");
    struct sp_seal_entity *e = NULL;

    ck_assert_int_eq(sp_seal_entity_new(memory_source(&message), &options, &e, NULL),
                     SP_E_HEADER_SYNTAX);
}
END_TEST

START_TEST(boundaries_differ_and_fit)
{
    char a[SP_SEAL_BOUNDARY_LEN];
    char b[SP_SEAL_BOUNDARY_LEN];

    sp_seal_boundary(a);
    sp_seal_boundary(b);
    ck_assert_str_ne(a, b);
    ck_assert_uint_eq(strlen(a), 34);
}
END_TEST

/* Outside nothing is encoded: what is too long for a host is folded where it may be, and says the same. */
START_TEST(outside_has_no_long_line_that_can_be_folded)
{
    struct sp_buf text, unfolded;
    struct sp_bytes message, outer;
    struct sp_seal_options options = {0};
    struct sp_seal_entity *e;
    size_t longest = 0, len = 0;

    sp_buf_init(&text, (size_t)1 << 20);
    sp_buf_init(&unfolded, (size_t)1 << 20);
    sp_buf_put_cstr(&text, "From: a@b.example\r\nReferences:");
    for (int i = 0; i < 400; i++)
        sp_buf_put_cstr(&text,
                        i % 2 == 0 ? " <one@hospital.example>" : "\t\t<two@hospital.example>");
    sp_buf_put_cstr(&text, "\r\nX-Short: as\r\n it is\r\n");
    len = text.len;
    sp_buf_put_cstr(&text, "\r\nbody\r\n");
    message = sp_buf_bytes(&text);
    e = open_entity(&message, &options);
    outer = sp_seal_entity_outer(e);
    for (size_t i = 0, n = 0; i < outer.len; i++) {
        n = outer.ptr[i] == '\n' ? 0 : n + 1;
        longest = n > longest ? n : longest;
    }
    ck_assert_uint_le(longest, 999); /* with its CR */
    for (size_t i = 0; i < outer.len; i++) {
        bool added =
            i + 3 < outer.len && outer.ptr[i] == '\r' &&
            (outer.ptr[i + 2] == '\t' || (outer.ptr[i + 2] == ' ' && outer.ptr[i + 3] == '<'));

        if (added)
            i++;
        else
            sp_buf_put(&unfolded, sp_bytes(outer.ptr + i, 1));
    }
    ck_assert_uint_eq(unfolded.len, len);
    ck_assert_mem_eq(unfolded.ptr, text.ptr, len);
    sp_seal_entity_free(e);
    sp_buf_clear(&unfolded);
    sp_buf_clear(&text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, outside_has_no_long_line_that_can_be_folded);
    tcase_add_test(c, inner_entity_is_content_fields_and_body_byte_for_byte);
    tcase_add_test(c, bcc_and_broken_signatures_stay_nowhere);
    tcase_add_test(c, outside_keeps_what_the_mailbox_shows);
    tcase_add_test(c, protected_subject_is_inside_only);
    tcase_add_test(c, protecting_a_message_without_content_type_makes_one);
    tcase_add_test(c, odd_messages_are_taken_as_they_are);
    tcase_add_test(c, a_subject_for_outside_can_not_add_a_field);
    tcase_add_test(c, boundaries_differ_and_fit);
}

SP_TEST_MAIN("seal.entity", add)
