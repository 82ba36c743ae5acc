/*
 * Tables into lists: the shapes that exports have, and each mistake told with its line and column.
 */
#include "roster/csv.h"
#include "support/check_main.h"

#include <stdio.h>
#include <string.h>

#define BOM "\xef\xbb\xbf"

/* Lists as "name: a b; name: c", by name and member; or the first problem. */
static void describe(const char *text, size_t len, const struct sp_roster_wanted *wanted,
                     struct sp_buf *out)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_roster_groups) g = NULL;

    if (sp_roster_csv_read(sp_bytes(text, len), "t.csv", wanted, problems, &g) != SP_OK) {
        ck_assert_ptr_null(g);
        sp_problem_format(sp_problems_at(problems, 0), out);
    } else {
        for (size_t i = 0; i < g->count; i++) {
            struct sp_bytes line, rest;
            struct sp_buf file;

            sp_buf_printf(out, "%s%s:", i == 0 ? "" : "; ", g->items[i].name);
            sp_buf_init(&file, SP_ROSTER_FILE_MAX);
            ck_assert_int_eq(sp_roster_format(g->items[i].roster, "x", &file), SP_OK);
            rest = sp_buf_bytes(&file);
            (void)sp_bytes_split(&rest, '\n', &line);
            while (sp_bytes_split(&rest, '\n', &line))
                if (line.len > 0)
                    sp_buf_printf(out, " %.*s", SP_FMT(line));
            sp_buf_clear(&file);
        }
    }
    sp_buf_put_u8(out, 0);
}

START_TEST(exports_become_lists)
{
    static const char *const one[] = {"nurses"};
    static const struct {
        const char *text;
        size_t wanted;
        const char *lists;
    } cases[] = {
        {"address,group\na@b.example,nurses\nc@b.example,nurses\n", 0,
         "nurses: a@b.example c@b.example"},
        {"group,address\nNurses,A@B.example\nnurses,a@b.EXAMPLE\n", 0, "nurses: a@b.example"},
        {BOM "Email;Groups\r\na@b.example;\"Nurses|Recovery Clinic\"\r\n", 0,
         "nurses: a@b.example; recovery-clinic: a@b.example"},
        {"name\temail address\tgroup\tgroup\nAnn\ta@b.example\tx\ty\n", 0,
         "x: a@b.example; y: a@b.example"},
        {"#TYPE Selected.PSCustomObject\n\"PrimarySmtpAddress\"\n\"a@b.example\"", 1,
         "nurses: a@b.example"},
        {"Group Name,Member Email\nNurses,a@b.example\nDoctors,c@b.example\n", 1,
         "nurses: a@b.example"},
        {"address,note,group\na@b.example,\"two\nlines, and \"\"quotes\"\"\",g\n,,\n\n"
         "c@b.example,,g;h;;\n",
         0, "g: a@b.example c@b.example; h: c@b.example"},
        {"address,group\na@b.example,\n", 0, ""},
        {"domain,list\nLab.example,partners\n.lab.example,partners\n", 0,
         "partners: .lab.example lab.example"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_roster_wanted wanted = {one, cases[i].wanted};
        struct sp_buf out;

        sp_buf_init(&out, 65536);
        describe(cases[i].text, strlen(cases[i].text), &wanted, &out);
        ck_assert_msg(strcmp((const char *)out.ptr, cases[i].lists) == 0, "case %zu: %s", i,
                      (const char *)out.ptr);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(a_mistake_is_told_with_its_place)
{
    static const char *const names[] = {"nurses", "doctors"};
    static const struct {
        const char *text;
        size_t wanted;
        const char *problem;
    } cases[] = {
        {"", 0, "t.csv: is empty"},
        {"address,group\na@b.example,g\nnobody,g\n", 0,
         "t.csv:3: column 1 (address): no address: \"nobody\""},
        {"group,address\ng,\n", 0, "t.csv:2: column 2 (address): is empty"},
        {"group,address\ng\n", 0, "t.csv:2: column 2 (address): is empty"},
        {"address,group\n\na@b.example,\"x\ny\"\nnobody,g\n", 0,
         "t.csv:5: column 1 (address): no address: \"nobody\""},
        {"address,group\na@b.example,g,h\n", 0, "t.csv:2: has more cells than the first row"},
        {"address,group\na@b.example,A B\nc@b.example,a-b\n", 0,
         "t.csv:3: column 2 (group): another group would be the same list: \"a-b\""},
        {"address,group\na@b.example,***\n", 0, "t.csv:2: column 2 (group): no list can be named"},
        {"name,group\nAnn,g\n", 0, "t.csv:1: the first row must name one column \"address\""},
        {"name,group\rAnn,g\r\nBob,h\n", 0, "t.csv:1: the first row must name one column \"add"},
        {"address,mail,group\n", 0, "t.csv:1: the first row must name one column \"address\""},
        {"address\na@b.example\n", 0, "t.csv:1: the first row names no column \"group\""},
        {"address\na@b.example\n", 2, "t.csv:1: the first row names no column \"group\""},
        {"address,group\na@b.example,nurses\n", 2,
         "t.csv: no row names a member of the list \"doc"},
        {"address,group\na@b.example,\"g\nc@b.example,g\n", 0,
         "t.csv:2: a quote that begins in this row is never closed"},
        {"address,group\na@b.example,g\"h\n", 0, "t.csv:2: column 2: quotes stand round"},
        {"address,group\na@b.example,g\n\xff@b.example,g\n", 0, "t.csv:3: is not UTF-8"},
        {"\xff\xfe"
         "a",
         0, "t.csv: is UTF-16"},
        {"domain,list\na@b.example,g\n", 0, "t.csv:2: column 1 (domain): no domain"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_roster_wanted wanted = {names, cases[i].wanted};
        struct sp_buf out;

        sp_buf_init(&out, 65536);
        describe(cases[i].text, strlen(cases[i].text), &wanted, &out);
        ck_assert_msg(strncmp((const char *)out.ptr, cases[i].problem, strlen(cases[i].problem)) ==
                          0,
                      "case %zu: %s", i, (const char *)out.ptr);
        sp_buf_clear(&out);
    }
}
END_TEST

START_TEST(many_mistakes_are_told_up_to_a_limit)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    const struct sp_roster_wanted wanted = {NULL, 0};
    struct sp_roster_groups *g = NULL;
    struct sp_buf text;

    sp_buf_init(&text, 1 << 20);
    sp_buf_put_cstr(&text, "address,group\n");
    for (int i = 0; i < 5000; i++)
        sp_buf_printf(&text, "nobody%d,g\n", i);
    ck_assert_int_ne(sp_roster_csv_read(sp_buf_bytes(&text), "t.csv", &wanted, problems, &g),
                     SP_OK);
    ck_assert_ptr_null(g);
    ck_assert_uint_eq(sp_problems_errors(problems), 101);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(rows_that_count_for_nothing_are_counted)
{
    static const char text[] = "address,group\na@b.example,g\na@b.example,g\nc@b.example,\n";
    SP_AUTO(sp_problems) problems = sp_problems_new();
    const struct sp_roster_wanted wanted = {NULL, 0};
    SP_AUTO(sp_roster_groups) g = NULL;

    ck_assert_int_eq(sp_roster_csv_read(sp_bytes_cstr(text), "t.csv", &wanted, problems, &g),
                     SP_OK);
    ck_assert_uint_eq(g->rows, 3);
    ck_assert_uint_eq(g->doubles, 1);
    ck_assert_uint_eq(g->left_out, 1);
}
END_TEST

START_TEST(who_names_no_group_at_all_is_known)
{
    static const char text[] = "address,group,group\na@b.example,g,\nc@b.example, ; |,\n"
                               "d@b.example,,other\nnobody,,\ng@b.example,,g\n";
    static const char *const one[] = {"g"};
    static const char file[] = "# x\na@b.example\nC@b.example until=2027-01-01\nd@b.example\n";
    SP_AUTO(sp_problems) problems = sp_problems_new();
    const struct sp_roster_wanted wanted = {one, 1};
    SP_AUTO(sp_roster_groups) g = NULL;

    ck_assert_int_eq(sp_roster_csv_read(sp_bytes_cstr(text), "t.csv", &wanted, problems, &g),
                     SP_OK);
    ck_assert_uint_eq(g->left_out, 3);
    ck_assert_uint_eq(sp_roster_count(g->ungrouped), 1);
    ck_assert_uint_eq(sp_roster_lost(g->items[0].roster, g->ungrouped, sp_bytes_cstr(file)), 1);
    ck_assert_uint_eq(sp_roster_lost(g->ungrouped, g->ungrouped, sp_bytes_cstr(file)), 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, exports_become_lists);
    tcase_add_test(c, a_mistake_is_told_with_its_place);
    tcase_add_test(c, many_mistakes_are_told_up_to_a_limit);
    tcase_add_test(c, rows_that_count_for_nothing_are_counted);
    tcase_add_test(c, who_names_no_group_at_all_is_known);
}

SP_TEST_MAIN("roster.csv", add)
