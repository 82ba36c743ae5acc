/*
 * Rosters: what may be a member, the file that comes of them, and what a new one changes of an old one. The policy's own
 * loader reads what was written.
 */
#include "roster/roster.h"
#include "support/check_main.h"

START_TEST(members_have_one_form_and_stand_once)
{
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);
    struct sp_buf text;

    ck_assert_int_eq(sp_roster_add(r, SP_LIT("Nurse@Hospital.Example")), SP_OK);
    ck_assert_int_eq(sp_roster_add(r, SP_LIT("nurse@hospital.example")), SP_E_EXISTS);
    ck_assert_int_eq(sp_roster_add(r, SP_LIT("a#b@b\xc3\xbc"
                                             "cher.example")),
                     SP_OK);
    ck_assert_int_eq(sp_roster_add(r, SP_LIT("dr@hospital.example")), SP_OK);
    ck_assert_uint_eq(sp_roster_count(r), 3);
    sp_buf_init(&text, 4096);
    ck_assert_int_eq(sp_roster_format(r, "import", &text), SP_OK);
    sp_buf_put_u8(&text, 0);
    ck_assert_str_eq((const char *)text.ptr,
                     "# kept by sallyport directory: import\na#b@xn--bcher-kva.example\n"
                     "dr@hospital.example\nnurse@hospital.example\n");
    sp_buf_clear(&text);
    sp_roster_free(r);
}
END_TEST

START_TEST(what_the_loader_would_refuse_is_no_member)
{
    static const char *const bad[] = {
        "",       "nobody",   "@b.example", "a@",           "a@b@c.example", "\"a b\"@c.example",
        "#a@b.c", "a@b.c\nd", "a@b..c",     "a b@c.example"};
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);

    for (size_t i = 0; i < SP_ARRAY_LEN(bad); i++)
        ck_assert_msg(sp_roster_add(r, sp_bytes_cstr(bad[i])) != SP_OK, "\"%s\"", bad[i]);
    ck_assert_uint_eq(sp_roster_count(r), 0);
    sp_roster_free(r);
}
END_TEST

START_TEST(domains_may_stand_for_all_below_them)
{
    struct sp_roster *r = sp_roster_new(SP_ROSTER_DOMAINS);

    ck_assert_int_eq(sp_roster_add(r, SP_LIT("Lab.Example")), SP_OK);
    ck_assert_int_eq(sp_roster_add(r, SP_LIT(".lab.example")), SP_OK);
    ck_assert_int_ne(sp_roster_add(r, SP_LIT("a@lab.example")), SP_OK);
    ck_assert_int_ne(sp_roster_add(r, SP_LIT("lab")), SP_OK);
    ck_assert_int_ne(sp_roster_add(r, SP_LIT("[192.0.2.1]")), SP_OK);
    ck_assert_int_ne(sp_roster_add(r, SP_LIT(".")), SP_OK);
    ck_assert_uint_eq(sp_roster_count(r), 2);
    sp_roster_free(r);
}
END_TEST

START_TEST(a_file_that_is_too_long_is_none)
{
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);
    struct sp_buf text;

    ck_assert_int_eq(sp_roster_add(r, SP_LIT("nurse@hospital.example")), SP_OK);
    sp_buf_init(&text, 50);
    ck_assert_int_eq(sp_roster_format(r, "import", &text), SP_E_LIMIT);
    sp_buf_clear(&text);
    sp_roster_free(r);
}
END_TEST

START_TEST(a_change_is_counted)
{
    static const struct {
        const char *file;
        size_t before, added, gone;
        bool is_kept;
    } cases[] = {
        {"", 0, 2, 0, true},
        {"# kept by sallyport directory: import\na@b.example\nc@d.example\n", 2, 0, 0, true},
        {"# kept by sallyport directory: import\r\nA@B.example until=2027-01-01\n\n# note\nx@y.z\n",
         2, 1, 1, true},
        {"# kept by sallyport directory: directory one\na@b.example\n", 1, 1, 0, false},
        {"# ours\na@b.example # note\nrubbish\n", 2, 1, 1, false},
        {"a@b.example\n# kept by sallyport directory: import\n", 1, 1, 0, false},
    };
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);

    ck_assert_int_eq(sp_roster_add(r, SP_LIT("a@b.example")), SP_OK);
    ck_assert_int_eq(sp_roster_add(r, SP_LIT("c@d.example")), SP_OK);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_roster_change c;

        sp_roster_compare(r, sp_bytes_cstr(cases[i].file), "import", &c);
        ck_assert_msg(c.before == cases[i].before && c.added == cases[i].added &&
                          c.gone == cases[i].gone && c.is_kept == cases[i].is_kept,
                      "case %zu: %zu before, %zu added, %zu gone, %d", i, c.before, c.added, c.gone,
                      c.is_kept);
    }
    sp_roster_free(r);
}
END_TEST

START_TEST(members_not_found_are_remembered)
{
    static const char file[] = "# kept by sallyport directory: x\n"
                               "# members not to be found: 3\na@b.example\n";
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);
    struct sp_roster_change c;
    struct sp_buf text;

    ck_assert_int_eq(sp_roster_add(r, SP_LIT("a@b.example")), SP_OK);
    sp_roster_compare(r, sp_bytes_cstr(file), "x", &c);
    ck_assert_uint_eq(c.missing_before, 3);
    ck_assert_uint_eq(c.missing, 0);
    sp_roster_set_missing(r, 3);
    sp_roster_compare(r, sp_bytes_cstr(file), "x", &c);
    ck_assert_uint_eq(c.missing, 3);
    sp_buf_init(&text, 4096);
    ck_assert_int_eq(sp_roster_format(r, "x", &text), SP_OK);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&text), sp_bytes_cstr(file)));
    sp_buf_clear(&text);
    sp_roster_compare(r, SP_LIT("# ours\n# members not to be found: 3\n"), "x", &c);
    ck_assert_uint_eq(c.missing_before, 0); /* somebody else's */
    sp_roster_compare(r, SP_LIT("# kept by sallyport directory: x\n# members not to be found: y\n"),
                      "x", &c);
    ck_assert_uint_eq(c.missing_before, 0);
    sp_roster_free(r);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, members_have_one_form_and_stand_once);
    tcase_add_test(c, what_the_loader_would_refuse_is_no_member);
    tcase_add_test(c, domains_may_stand_for_all_below_them);
    tcase_add_test(c, a_file_that_is_too_long_is_none);
    tcase_add_test(c, a_change_is_counted);
    tcase_add_test(c, members_not_found_are_remembered);
}

SP_TEST_MAIN("roster.roster", add)
