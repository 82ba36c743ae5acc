/* A text above and below a message: the message's own content is untouched, and any range reads the same. */
#include "seal/wrap.h"

#include "support/check_main.h"
#include "support/seal_memory.h"

static const char html[] = "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html;\r\n "
                           "charset=utf-8\r\nSubject: x\r\nContent-Transfer-Encoding: "
                           "8bit\r\n\r\n<p>gr\xc3\xbc\xc3\x9f</p>\r\n";

static void read_all(const struct sp_seal_source *s, struct sp_buf *out, size_t step)
{
    uint8_t piece[4096];

    sp_buf_init(out, 1U << 20);
    for (uint64_t at = 0; at < s->len; at += step) {
        size_t len = s->len - at < step ? (size_t)(s->len - at) : step;

        ck_assert_int_eq(s->read(s->ctx, at, piece, len), SP_OK);
        sp_buf_put(out, sp_bytes(piece, len));
    }
    sp_buf_put_u8(out, 0);
}

START_TEST(the_content_moves_inwards_and_the_rest_stays)
{
    struct sp_bytes m = sp_bytes_cstr(html);
    SP_AUTO(sp_seal_wrap) w = NULL;
    struct sp_seal_source s;
    struct sp_buf all;
    const char *text, *first, *own, *last;

    ck_assert_int_eq(sp_seal_wrap_new(memory_source(&m), SP_LIT("Do not pass on.\nThe law."),
                                      SP_LIT("gr\xc3\xbc\xc3\x9f"), &w, NULL),
                     SP_OK);
    s = sp_seal_wrap_source(w);
    read_all(&s, &all, 4096);
    text = (const char *)all.ptr;
    ck_assert_msg(strncmp(text,
                          "From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: "
                          "multipart/mixed;\r\n\tboundary=\"=_",
                          90) == 0,
                  "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--=_"));
    first = strstr(text, "7bit\r\n\r\nDo not pass on.\r\nThe law.\r\n--=_");
    own = strstr(text,
                 "\r\nContent-Type: text/html;\r\n charset=utf-8\r\n"
                 "Content-Transfer-Encoding: 8bit\r\n\r\n<p>gr\xc3\xbc\xc3\x9f</p>\r\n\r\n--=_");
    last = strstr(text, "base64\r\n\r\nZ3LDvMOf\r\n");
    ck_assert_msg(first != NULL && own != NULL && last != NULL, "%s", text);
    ck_assert(first < own && own < last);
    ck_assert_str_eq(text + strlen(text) - 4, "--\r\n");
    sp_buf_clear(&all);
}
END_TEST

START_TEST(any_range_reads_the_same)
{
    struct sp_bytes m = sp_bytes_cstr(html);
    SP_AUTO(sp_seal_wrap) w = NULL;
    struct sp_seal_source s;
    struct sp_buf whole, pieces;

    ck_assert_int_eq(
        sp_seal_wrap_new(memory_source(&m), SP_LIT("above"), SP_LIT("below"), &w, NULL), SP_OK);
    s = sp_seal_wrap_source(w);
    read_all(&s, &whole, 4096);
    for (size_t step = 1; step < 200; step += 7) {
        read_all(&s, &pieces, step);
        ck_assert(sp_bytes_eq(sp_buf_bytes(&whole), sp_buf_bytes(&pieces)));
        sp_buf_clear(&pieces);
    }
    sp_buf_clear(&whole);
}
END_TEST

START_TEST(a_message_without_fields_of_its_own_is_plain_text)
{
    struct sp_bytes m = SP_LIT("From: a@b.example\r\n\r\nhello\r\n");
    SP_AUTO(sp_seal_wrap) w = NULL;
    struct sp_seal_source s;
    struct sp_buf all;

    ck_assert_int_eq(sp_seal_wrap_new(memory_source(&m), SP_LIT(""), SP_LIT("below"), &w, NULL),
                     SP_OK);
    s = sp_seal_wrap_source(w);
    read_all(&s, &all, 4096);
    ck_assert_ptr_nonnull(strstr((const char *)all.ptr, "\r\n\r\nhello\r\n\r\n--=_"));
    ck_assert_ptr_null(strstr((const char *)all.ptr, "8bit"));
    sp_buf_clear(&all);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_content_moves_inwards_and_the_rest_stays);
    tcase_add_test(c, any_range_reads_the_same);
    tcase_add_test(c, a_message_without_fields_of_its_own_is_plain_text);
}

SP_TEST_MAIN("seal.wrap", add)
