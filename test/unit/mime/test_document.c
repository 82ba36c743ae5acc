/* RTF and PDF as text: what a reader would see, and what hides. */
#include "mime/document.h"
#include "support/check_main.h"

static const struct {
    const char *rtf;
    const char *text;
    enum sp_rc rc;
} documents[] = {
    {"{\\rtf1 Hello\\par world}", "Hello\nworld", SP_OK},
    {"{\\rtf1{\\fonttbl{\\f0 Arial;}}\\f0 Hello}", "Hello", SP_OK},
    {"{\\rtf1 M\\'fcller}", "M\xc3\xbcller", SP_OK},
    {"{\\rtf1 M\\u252?ller}", "M\xc3\xbcller", SP_OK},
    {"{\\rtf1\\uc2 M\\u252??ller}", "M\xc3\xbcller", SP_OK},
    {"{\\rtf1 a\\cell b\\row}", "a\tb\n", SP_OK},
    {"{\\rtf1 {\\v hidden} shown}", "hidden shown", SP_OK},
    {"{\\rtf1 \\{x\\}\\\\}", "{x}\\", SP_OK},
    {"{\\rtf1{\\pict\\bin3 }}}} text}", " text", SP_OK},
    {"{\\rtf1 cut", "cut", SP_E_MALFORMED},
    {"{\\rtf1 \\'", "", SP_E_MALFORMED},
};

/* Hands out a document in pieces of one byte. */
static enum sp_rc read_byte(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    struct sp_bytes *rest = ctx;

    *got = len > 0 && rest->len > 0 ? 1 : 0;
    if (*got > 0)
        *out = rest->ptr[0];
    *rest = sp_bytes_slice(*rest, 1, SIZE_MAX);
    return SP_OK;
}

static enum sp_rc rtf_text(struct sp_bytes rtf, bool in_bytes, struct sp_buf *text)
{
    struct sp_mime_input in = sp_mime_input_bytes(&rtf);
    const struct sp_mime_output out = sp_mime_output_buf(text);

    if (in_bytes)
        in.read = read_byte;
    return sp_mime_rtf_text(&in, &out);
}

START_TEST(rtf_is_read_as_text)
{
    struct sp_bytes rtf = sp_bytes_cstr(documents[_i / 2].rtf);
    struct sp_buf out;

    sp_buf_init(&out, 1000);
    ck_assert_int_eq(rtf_text(rtf, _i % 2 == 1, &out), documents[_i / 2].rc);
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes_cstr(documents[_i / 2].text)),
                  "%s: %.*s", documents[_i / 2].rtf, (int)out.len, (const char *)out.ptr);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(rtf_that_does_not_fit_is_told)
{
    struct sp_buf out;

    sp_buf_init(&out, 4);
    ck_assert_int_eq(rtf_text(SP_LIT("{\\rtf1 much too long}"), false, &out), SP_E_LIMIT);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(pdf_is_read_as_text)
{
    /* no cross-reference table: poppler rebuilds it */
    struct sp_bytes pdf =
        SP_LIT("%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
               "2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n"
               "3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 700]/Contents 4 0 R"
               "/Resources<</Font<</F1 5 0 R>>>>>>\nendobj\n"
               "4 0 obj\n<</Length 44>>\nstream\nBT /F1 12 Tf 72 600 Td (MRN: 4482910) Tj ET    "
               "\nendstream\nendobj\n"
               "5 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>\nendobj\n"
               "trailer\n<</Root 1 0 R>>\n%%EOF\n");
    struct sp_mime_pdf_found found;
    struct sp_buf text;
    const struct sp_mime_output out = sp_mime_output_buf(&text);

    sp_buf_init(&text, 1000);
    ck_assert_int_eq(sp_mime_pdf_text(pdf, 10, &out, &found), SP_OK);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("MRN: 4482910")) != SIZE_MAX);
    ck_assert(!found.encrypted && !found.cut && !found.pictures);
    sp_buf_reset(&text);
    ck_assert_int_eq(sp_mime_pdf_text(SP_LIT("%PDF-1.4\nnothing"), 10, &out, &found),
                     SP_E_MALFORMED);
    sp_buf_clear(&text);
    sp_buf_init(&text, 5);
    ck_assert_int_eq(sp_mime_pdf_text(pdf, 10, &out, &found), SP_E_LIMIT);
    sp_buf_clear(&text);
}
END_TEST

/* Columns that stand apart on the page are apart in the text; words of a line, however kerned, are not. */
START_TEST(columns_of_a_pdf_stay_apart)
{
    struct sp_bytes pdf =
        SP_LIT("%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
               "2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n"
               "3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
               "/Resources<</Font<</F1 5 0 R>>>>>>\nendobj\n"
               "4 0 obj\n<</Length 131>>\nstream\n"
               "BT /F1 12 Tf 72 700 Td (Name) Tj 150 0 Td (MRN) Tj ET\n"
               "BT /F1 12 Tf 72 680 Td [(Zoe Br)20(andt)] TJ 150 0 Td [(44)-10(82910)] TJ ET\n"
               "endstream\nendobj\n"
               "5 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>\nendobj\n"
               "trailer\n<</Size 6/Root 1 0 R>>\n%%EOF\n");
    struct sp_mime_pdf_found found;
    struct sp_buf text;
    const struct sp_mime_output out = sp_mime_output_buf(&text);

    sp_buf_init(&text, 1000);
    ck_assert_int_eq(sp_mime_pdf_text(pdf, 10, &out, &found), SP_OK);
    ck_assert_msg(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("Name\tMRN")) != SIZE_MAX &&
                      sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("Zoe Brandt\t4482910")) !=
                          SIZE_MAX,
                  "%.*s", (int)text.len, (const char *)text.ptr);
    sp_buf_clear(&text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, columns_of_a_pdf_stay_apart);
    tcase_add_loop_test(c, rtf_is_read_as_text, 0, 2 * SP_ARRAY_LEN(documents));
    tcase_add_test(c, rtf_that_does_not_fit_is_told);
    tcase_add_test(c, pdf_is_read_as_text);
}

SP_TEST_MAIN("mime.document", add)
