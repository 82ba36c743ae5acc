/* HTML: nothing active or remote survives cleaning, nothing hidden escapes the text. */
#include "mime/html.h"
#include "support/check_main.h"

static const struct {
    const char *html;
    const char *clean;
} pages[] = {
    {"<p>Hello <b>you</b>", "<p>Hello <b>you</b></p>"},
    {"<p onclick=evil() style=\"color:red;background:url(http://x)\">a</p>",
     "<p style=\"color:red;\">a</p>"},
    {"<script>alert(1)</script><p>x</p>", "<p>x</p>"},
    {"<img src=http://x/ alt='<b>'>y", "&#60;b&#62;y"},
    {"<iframe src=http://x><p>in</p></iframe><p>out</p>", "<p>out</p>"},
    {"<svg><script>x</script></svg><p>y</p>", "<p>y</p>"},
    {"<form action=http://x><p>f<input value=q></p></form>", "<p>f</p>"},
    {"<meta http-equiv=refresh content='0;url=http://x'><p>m</p>", "<p>m</p>"},
    {"<link rel=stylesheet href=http://x><p>l</p>", "<p>l</p>"},
    {"<base href=http://x><p>l</p>", "<p>l</p>"},
    {"<!-- <script> --><p>c</p>", "<p>c</p>"},
    {"<p style='width:expression(x)'>e</p>", "<p style=\"\">e</p>"},
    {"<p style='color:\\75rl(x)'>e</p>", "<p style=\"\">e</p>"},
    {"<p title='a\"><img src=x>'>t</p>", "<p title=\"a&#34;&#62;&#60;img src=x&#62;\">t</p>"},
    {"<table background=http://x><tr><td>1</td><td>2</table>",
     "<table><tr><td>1</td><td>2</td></tr></table>"},
    {"<unknown><p>u</p></unknown>", "<p>u</p>"},
};

START_TEST(a_page_comes_out_clean)
{
    struct sp_buf out;
    enum sp_rc rc;

    sp_buf_init(&out, 4096);
    rc = sp_mime_html_clean(sp_bytes_cstr(pages[_i].html), &out);
    ck_assert_int_eq(rc, SP_OK);
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes_cstr(pages[_i].clean)), "%s gave %.*s",
                  pages[_i].html, SP_FMT(out));
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_link_shows_where_it_wanted_to_lead)
{
    struct sp_buf out;

    sp_buf_init(&out, 4096);
    ck_assert_int_eq(sp_mime_html_clean(SP_LIT("<p><a href='https://x.example/?a=1&b=2'>bank</a> "
                                               "<a href='javascript:x'>js</a></p>"),
                                        &out),
                     SP_OK);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&out),
                          SP_LIT("<p><a>bank</a> <small>[https://x.example/?a=1&#38;b=2]</small> "
                                 "<a>js</a></p>")));
    sp_buf_clear(&out);
}
END_TEST

static enum sp_rc text_of(struct sp_bytes html, struct sp_buf *text)
{
    const struct sp_mime_input in = sp_mime_input_bytes(&html);
    const struct sp_mime_output out = sp_mime_output_buf(text);

    return sp_mime_html_text(&in, &out);
}

static bool text_has(const char *html, const char *what)
{
    struct sp_buf out;
    bool has;

    sp_buf_init(&out, 4096);
    ck_assert_int_eq(text_of(sp_bytes_cstr(html), &out), SP_OK);
    has = sp_bytes_find_all(sp_buf_bytes(&out), sp_bytes_cstr(what)) != SIZE_MAX;
    sp_buf_clear(&out);
    return has;
}

START_TEST(hidden_text_is_text)
{
    ck_assert(text_has("<p style='display:none'>123-45-6789</p>", "123-45-6789"));
    ck_assert(text_has("<!-- 123-45-6789 -->", "123-45-6789"));
    ck_assert(text_has("<script>x='123-45-6789'</script>", "123-45-6789"));
    ck_assert(text_has("<style>/*123-45-6789*/</style>", "123-45-6789"));
    ck_assert(text_has("<img alt=\"123-45-6789\">", "123-45-6789"));
    ck_assert(text_has("<title>123-45-6789</title>", "123-45-6789"));
    ck_assert(text_has("<p>123-45-<b>6789</b></p>", "123-45-6789"));
    ck_assert(text_has("<td>SSN</td><td>1</td>", "SSN\t1"));
    ck_assert(text_has("<table><tr><td><p class=x>MRN<o:p></o:p></p></td>\r\n <td><p>DOB</p> </td>"
                       "</tr><tr><td><p>1</p></td><td><p>2</p><p>3</p></td></tr></table><p>end</p>",
                       "\tMRN\tDOB\n"));
    ck_assert(text_has("<tr><td><p>1</p></td><td><p>2</p><p>3</p></td></tr></table><p>end</p>",
                       "\t1\t2\n\n3\n"));
    ck_assert(text_has("<w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:t>b"
                       "</w:t></w:p></w:tc></w:tr><w:p><w:t>c</w:t></w:p>",
                       "\ta\tb\nc"));
    ck_assert(text_has("<table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
                       "<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row>",
                       "\ta\tb"));
    ck_assert(text_has("a&nbsp;b &lt;c&gt;", "a\xc2\xa0"
                                             "b <c>"));
    ck_assert(text_has("<p>caf\xc3\xa9</p>", "caf\xc3\xa9"));
}
END_TEST

/* fill: stands so many times between before and after */
static void make_page(struct sp_buf *page, const char *before, const char *fill, size_t times,
                      const char *after)
{
    sp_buf_init(page, 16 << 20);
    sp_buf_put_cstr(page, before);
    for (size_t i = 0; i < times; i++)
        sp_buf_put_cstr(page, fill);
    sp_buf_put_cstr(page, after);
    ck_assert_int_eq(sp_buf_rc(page), SP_OK);
}

START_TEST(a_picture_within_a_page_is_passed_over)
{
    struct sp_buf page, text;

    make_page(&page, "<p>before<img alt=\"it\" src=\"data:image/png;base64,", "iVBORw0K", 1 << 20,
              "\">123-45-6789</p>");
    sp_buf_init(&text, 4096);
    ck_assert_int_eq(text_of(sp_buf_bytes(&page), &text), SP_OK);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("before")) != SIZE_MAX);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("it ")) != SIZE_MAX);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("123-45-6789")) != SIZE_MAX);
    sp_buf_clear(&text);
    sp_buf_clear(&page);
}
END_TEST

START_TEST(nobody_hides_text_behind_such_a_picture)
{
    struct sp_buf page, text;

    make_page(&page, "<p>;base64,", "abcdefgh\r\n", 1000, "123-45-6789</p>");
    sp_buf_init(&text, 1 << 20);
    ck_assert_int_eq(text_of(sp_buf_bytes(&page), &text), SP_OK);
    ck_assert_uint_gt(text.len, 9000);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("123-45-6789")) != SIZE_MAX);
    sp_buf_clear(&text);
    sp_buf_clear(&page);
}
END_TEST

START_TEST(an_element_too_large_is_told)
{
    struct sp_buf page, text;

    make_page(&page, "<p>before<img src=\"", "a b c d ", 1 << 19, "\">");
    sp_buf_init(&text, 4096);
    ck_assert_int_eq(text_of(sp_buf_bytes(&page), &text), SP_E_LIMIT);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("before")) != SIZE_MAX);
    sp_buf_clear(&text);
    sp_buf_clear(&page);
}
END_TEST

START_TEST(deep_nesting_costs_little)
{
    struct sp_buf in, out;

    sp_buf_init(&in, 4 << 20);
    sp_buf_init(&out, 8 << 20);
    for (int i = 0; i < 20000; i++)
        sp_buf_put_cstr(&in, "<div><b>");
    sp_buf_put_cstr(&in, "x");
    ck_assert(sp_mime_html_clean(sp_buf_bytes(&in), &out) != SP_E_LIMIT);
    sp_buf_clear(&in);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(what_does_not_fit_is_told)
{
    struct sp_buf out;

    sp_buf_init(&out, 10);
    ck_assert_int_eq(text_of(SP_LIT("<p>more than ten bytes</p>"), &out), SP_E_LIMIT);
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, a_page_comes_out_clean, 0, SP_ARRAY_LEN(pages));
    tcase_add_test(c, a_link_shows_where_it_wanted_to_lead);
    tcase_add_test(c, hidden_text_is_text);
    tcase_add_test(c, a_picture_within_a_page_is_passed_over);
    tcase_add_test(c, nobody_hides_text_behind_such_a_picture);
    tcase_add_test(c, an_element_too_large_is_told);
    tcase_add_test(c, deep_nesting_costs_little);
    tcase_add_test(c, what_does_not_fit_is_told);
}

SP_TEST_MAIN("mime.html", add)
