/* Forms, cookies, HTML text, file names. */
#include "support/check_main.h"
#include "web/form.h"

static const struct {
    const char *body;
    const char *value; /* NULL: refused */
} forms[] = {
    {"a=1&code=12+34%205", "12 34 5"},
    {"code=", ""},
    {"code", ""},
    {"xcode=1", NULL},
    {"code=1&code=1", NULL},
    {"code=%4", NULL},
    {"code=%zz", NULL},
    {"code=%0d%0a%00", "\r\n"},
    {"code=0123456789012345678901234567890123456789", NULL},
};

START_TEST(a_form_field_has_one_meaning_or_none)
{
    struct sp_buf out;
    bool ok;

    sp_buf_init(&out, 32);
    ok = sp_web_form_field(sp_bytes_cstr(forms[_i].body), SP_LIT("code"), &out);
    ck_assert_msg(ok == (forms[_i].value != NULL), "%s", forms[_i].body);
    if (ok)
        ck_assert(sp_bytes_eq(sp_bytes_slice(sp_buf_bytes(&out), 0, strlen(forms[_i].value)),
                              sp_bytes_cstr(forms[_i].value)));
    sp_buf_clear(&out);
}
END_TEST

START_TEST(a_cookie_has_one_meaning_or_none)
{
    struct sp_bytes name = SP_LIT("__Host-s");

    ck_assert(sp_bytes_eq(sp_web_cookie(SP_LIT("a=b; __Host-s=xy; c=d"), name), SP_LIT("xy")));
    ck_assert(sp_web_cookie(SP_LIT("__Host-s=x; __Host-s=y"), name).len == 0);
    ck_assert(sp_web_cookie(SP_LIT("X__Host-s=x"), name).len == 0);
    ck_assert(sp_web_cookie((struct sp_bytes){0}, name).len == 0);
}
END_TEST

START_TEST(no_text_becomes_markup)
{
    struct sp_buf out;

    sp_buf_init(&out, 1024);
    sp_web_html_escape(&out, SP_LIT("<a href=\"x\" b='y'>&\r\n\x01\xc3\xa9\xff"));
    ck_assert(
        sp_bytes_eq(sp_buf_bytes(&out), SP_LIT("&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\n"
                                               "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd")));
    sp_buf_clear(&out);
}
END_TEST

static const struct {
    const char *name;
    const char *want;
} names[] = {
    {"scan.pdf", "attachment; filename=\"scan.pdf\"; filename*=UTF-8''scan.pdf"},
    {"../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"},
    {"C:\\a\\b.txt", "attachment; filename=\"b.txt\"; filename*=UTF-8''b.txt"},
    {"", "attachment; filename=\"file.bin\"; filename*=UTF-8''file.bin"},
    {".bashrc", "attachment; filename=\"bashrc\"; filename*=UTF-8''bashrc"},
    {"a\"; x=\"\r\nSet-Cookie: a", "attachment; filename=\"a x=Set-Cookie a\"; "
                                   "filename*=UTF-8''a%20x%3DSet-Cookie%20a"},
    {"gpj.\xe2\x80\xae"
     "exe",
     "attachment; filename=\"gpj.exe\"; filename*=UTF-8''gpj.exe"},
    {"\xc3\xa9t\xc3\xa9.pdf", "attachment; filename=\"__t__.pdf\"; "
                              "filename*=UTF-8''%C3%A9t%C3%A9.pdf"},
};

START_TEST(a_file_name_is_only_a_name)
{
    struct sp_buf out;

    sp_buf_init(&out, 1024);
    sp_web_disposition(&out, sp_bytes_cstr(names[_i].name), "file.bin");
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes_cstr(names[_i].want)), "%s: %.*s",
                  names[_i].name, SP_FMT(out));
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, a_form_field_has_one_meaning_or_none, 0, SP_ARRAY_LEN(forms));
    tcase_add_test(c, a_cookie_has_one_meaning_or_none);
    tcase_add_test(c, no_text_becomes_markup);
    tcase_add_loop_test(c, a_file_name_is_only_a_name, 0, SP_ARRAY_LEN(names));
}

SP_TEST_MAIN("web.form", add)
