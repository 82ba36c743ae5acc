/*
 * JSON trees: what is taken and refused, where values stood, paths, and the canonical form.
 */
#include "json/json.h"

#include "json/problem.h"
#include "json/units.h"
#include "support/check_main.h"

static const struct sp_json_options with_comments = {.comments = true, .file = "f.json"};

static struct sp_json_doc *parse(const char *text)
{
    struct sp_json_doc *doc = NULL;
    struct sp_err err = {0};
    enum sp_rc rc = sp_json_parse(sp_bytes_cstr(text), &with_comments, &doc, &err);

    ck_assert_msg(rc == SP_OK, "%s: %s", text, err.text);
    return doc;
}

static void ck_canonical(const struct sp_json *v, const char *expected)
{
    struct sp_buf out;

    sp_buf_init(&out, 65536);
    ck_assert_int_eq(sp_json_canonical(v, &out), SP_OK);
    sp_buf_put_u8(&out, 0);
    ck_assert_str_eq((const char *)out.ptr, expected);
    sp_buf_clear(&out);
}

START_TEST(every_value_knows_its_line_and_path)
{
    SP_AUTO(sp_json_doc)
    doc = parse("{ // first\n  \"a\": {\"b,:]\": [1, 2.5,\n /* x\n y */ \"t\"]},\n"
                "  \"c\": null }");
    const struct sp_json *list = sp_json_find_path(sp_json_root(doc), "a.b,:]");
    const struct sp_json *text = list->first->next->next;
    struct sp_buf path;

    ck_assert_uint_eq(list->count, 3);
    ck_assert_uint_eq(text->line, 4);
    ck_assert_uint_eq(text->column, 7);
    ck_assert_int_eq(list->first->integer, 1);
    ck_assert(list->first->next->real == 2.5);
    ck_assert_uint_eq(sp_json_find(sp_json_root(doc), "c")->line, 5);
    sp_buf_init(&path, 100);
    sp_json_path(text, &path);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&path), SP_LIT("a.b,:][2]")));
    sp_buf_clear(&path);
}
END_TEST

START_TEST(bad_text_is_refused_with_its_place)
{
    static const struct {
        const char *text;
        const char *expected; /* begins with */
    } cases[] = {
        {"{\"a\": 1, \"a\": 2}", "f.json:1:"},
        {"{\"a\": 1,\n}", "f.json:2:"},
        {"", "f.json:"},
        {"{\"a\": 01}", "f.json:1:"},
        {"[1] []", "f.json:1:"},
        {"{\"a\":\n 9007199254740993}", "f.json:2:2: integer beyond 2^53"},
        {"{\"a\": 1e999}", "f.json:1:"},
        {"[123456789012345680000.0]", "f.json:1:2: number beyond 2^53"},
        {"\"\\u0000\"", "f.json:1:"},
        {"\"\\ud800\"", "f.json:1:"},
        {"\"\xff\"", "f.json:1:"},
        {"/* open", "f.json:1:1: this comment has no end"},
        {"\n  [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]", "f.json:2:35: nested too deeply"},
        {"[\"a", "f.json:1:"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_json_doc *doc = NULL;
        struct sp_err err = {0};

        ck_assert_msg(sp_json_parse(sp_bytes_cstr(cases[i].text), &with_comments, &doc, &err) ==
                          SP_E_JSON_SYNTAX,
                      "%s", cases[i].text);
        ck_assert_msg(strncmp(err.text, cases[i].expected, strlen(cases[i].expected)) == 0,
                      "%s: %s", cases[i].text, err.text);
        ck_assert_ptr_null(doc);
    }
}
END_TEST

START_TEST(comments_only_where_allowed)
{
    struct sp_json_doc *doc = NULL;

    ck_assert_int_eq(sp_json_parse(SP_LIT("[1] // x"), NULL, &doc, NULL), SP_E_JSON_SYNTAX);
    doc = parse("[\"http://x\", \"/* no */\"]");
    ck_assert_uint_eq(sp_json_root(doc)->first->text.len, 8);
    sp_json_doc_free(doc);
}
END_TEST

START_TEST(canonical_form_is_rfc_8785)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"{\"b\": [ ], \"a\": { }, \"A\": true}", "{\"A\":true,\"a\":{},\"b\":[]}"},
        /* RFC 8785 3.2.3: sorted by UTF-16 units, so U+1F600 comes before U+FB33 */
        {"{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,"
         "\"\\u00f6\":7}",
         "{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,\"\xf0\x9f\x98\x80\":"
         "5,"
         "\"\xef\xac\xb3\":3}"},
        /* RFC 8785 appendix A */
        {"[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]",
         "[333333333.3333333,1e+30,4.5,0.002,1e-27]"},
        {"\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
         "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""},
        {"[-0.0, -0, 1e21, 1e15, 1e-6, 1e-7, 5e-324, -1.5]",
         "[0,0,1e+21,1000000000000000,0.000001,1e-7,5e-324,-1.5]"},
        {"[\"\\b\\t\\n\\u000b\\f\\r\\u001f\\u007f\"]", "[\"\\b\\t\\n\\u000b\\f\\r\\u001f\x7f\"]"},
        {"null", "null"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_json_doc) doc = parse(cases[i].text);

        ck_canonical(sp_json_root(doc), cases[i].expected);
    }
}
END_TEST

START_TEST(members_can_be_set_and_copied)
{
    SP_AUTO(sp_json_doc) doc = parse("{\"event\": \"x\", \"n\": [0, {\"k\": [[], 1]}], \"z\": 1}");
    SP_AUTO(sp_json_doc) built = sp_json_doc_new();
    const struct sp_json *root = sp_json_root(doc);

    sp_json_set_int(doc, root, "seq", 7);
    sp_json_set_text(doc, root, "event", sp_bytes("a\xff\0z", 4));
    sp_json_set_bool(doc, root, "ok", true);
    sp_json_remove(doc, root, "z");
    sp_json_remove(doc, root, "absent");
    ck_canonical(root, "{\"event\":\"a\xef\xbf\xbd\xef\xbf\xbdz\",\"n\":[0,{\"k\":[[],1]}],"
                       "\"ok\":true,\"seq\":7}");
    sp_json_set_copy(built, sp_json_root(built), "copy", root);
    sp_json_set_copy(built, sp_json_root(built), "list", sp_json_find(root, "n"));
    sp_json_set_copy(built, sp_json_root(built), "one", sp_json_find(root, "seq"));
    ck_canonical(sp_json_root(built),
                 "{\"copy\":{\"event\":\"a\xef\xbf\xbd\xef\xbf\xbdz\",\"n\":[0,{\"k\":[[],1]}],"
                 "\"ok\":true,\"seq\":7},\"list\":[0,{\"k\":[[],1]}],\"one\":7}");
    ck_assert_int_eq(sp_json_int_of(root, "seq", 0), 7);
    ck_assert_int_eq(sp_json_int_of(root, "event", -1), -1);
    ck_assert(sp_json_bool_of(root, "ok", false));
}
END_TEST

START_TEST(problems_say_file_line_path_and_name_the_nearest)
{
    static const char *const names[] = {"hostname", "node", "state_dir"};
    SP_AUTO(sp_json_doc) doc = parse("{\n\"a\": {\"b\": 1}}");
    SP_AUTO(sp_problems) p = sp_problems_new();
    struct sp_err err = {0};

    sp_problem_warn(p, sp_json_root(doc), "mild");
    ck_assert_int_eq(sp_problems_rc(p, &err), SP_OK);
    sp_problem(p, sp_json_find_path(sp_json_root(doc), "a.b"), SP_E_CONFIG_TYPE, "expected text");
    sp_problem_file(p, "list.txt", 3, SP_E_CONFIG_INVALID, "no domain");
    ck_assert_uint_eq(sp_problems_count(p), 3);
    ck_assert_uint_eq(sp_problems_errors(p), 2);
    ck_assert_int_eq(sp_problems_rc(p, &err), SP_E_CONFIG_TYPE);
    ck_assert_str_eq(err.text, "f.json:2: a.b: expected text");
    ck_assert_str_eq(sp_problem_nearest(SP_LIT("hostnmae"), names, 3), "hostname");
    ck_assert_ptr_null(sp_problem_nearest(SP_LIT("colour"), names, 3));
}
END_TEST

START_TEST(units_read_and_write)
{
    int64_t v;
    struct sp_buf out;

    ck_assert(sp_units_parse_duration(SP_LIT("90m"), &v) && v == 5400000);
    ck_assert(sp_units_parse_duration(SP_LIT("250ms"), &v) && v == 250);
    ck_assert(sp_units_parse_size(SP_LIT("150MiB"), &v) && v == 150LL << 20);
    ck_assert(sp_units_parse_size(SP_LIT("17"), &v) && v == 17);
    ck_assert(!sp_units_parse_duration(SP_LIT("15"), &v));
    ck_assert(!sp_units_parse_duration(SP_LIT("m"), &v));
    ck_assert(!sp_units_parse_duration(SP_LIT("99999999999999999d"), &v));
    ck_assert(!sp_units_parse_duration(SP_LIT("1 d"), &v));
    ck_assert(!sp_units_parse_size(SP_LIT("5 MiB"), &v));
    sp_buf_init(&out, 100);
    sp_units_format_duration(5400000, &out);
    sp_buf_put_u8(&out, ' ');
    sp_units_format_duration(0, &out);
    sp_buf_put_u8(&out, ' ');
    sp_units_format_size(150LL << 20, &out);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&out), SP_LIT("90m 0ms 150MiB")));
    sp_buf_clear(&out);
}
END_TEST

/* Of fifty layers each tells what is wrong in the file that all lie within. */
START_TEST(the_same_of_a_place_is_told_once)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    SP_AUTO(sp_problems) p = sp_problems_new();
    struct sp_err err;

    ck_assert_int_eq(sp_json_parse(SP_LIT("{\"a\": 1, \"b\": 2}"), NULL, &doc, &err), SP_OK);
    for (int i = 0; i < 50; i++) {
        const struct sp_json *a = sp_json_find(sp_json_root(doc), "a");

        (void)!sp_problem(p, a, SP_E_CONFIG_TYPE, "expected a text");
        sp_problem_warn(p, a, "expected a text");
        sp_problem_warn(p, sp_json_find(sp_json_root(doc), "b"), "expected a text");
        sp_problem_file_warn(p, "x.json", "not there");
    }
    ck_assert_uint_eq(sp_problems_count(p), 4);
    ck_assert_uint_eq(sp_problems_errors(p), 50); /* so that each who counts sees its own */
    ck_assert_uint_eq(sp_problems_left(p, true) + sp_problems_left(p, false), 0);
}
END_TEST

START_TEST(no_error_is_hidden_behind_warnings)
{
    SP_AUTO(sp_problems) p = sp_problems_new();
    struct sp_err err;

    for (int i = 0; i < 250; i++)
        sp_problem_file_warn(p, "x.json", "warning %d", i);
    ck_assert_uint_eq(sp_problems_count(p), 200);
    ck_assert_uint_eq(sp_problems_left(p, false), 50);
    for (int i = 0; i < 210; i++)
        (void)!sp_problem_file(p, "x.json", 1, SP_E_CONFIG_TYPE, "error %d", i);
    ck_assert_uint_eq(sp_problems_count(p), 200);
    ck_assert_str_eq(sp_problems_at(p, 0)->text, "error 0");
    ck_assert_str_eq(sp_problems_at(p, 199)->text, "error 199");
    ck_assert_uint_eq(sp_problems_left(p, true), 10);
    ck_assert_uint_eq(sp_problems_left(p, false), 250);
    ck_assert_int_eq(sp_problems_rc(p, &err), SP_E_CONFIG_TYPE);
    ck_assert(strstr(err.text, "error 0") != NULL);
}
END_TEST

/* What people's editors make of a file, and what they forget. */
START_TEST(what_was_meant_is_said_beside_what_is_wrong)
{
    static const struct {
        struct sp_bytes text;
        const char *told;
    } cases[] = {
        {SP_LIT(""), "x.json:1:1: nothing is in it"},
        {SP_LIT(" \r\n// nothing\n"), "x.json:1:1: nothing is in it"},
        {SP_LIT("\xef\xbb\xbf"), "x.json:1:1: nothing is in it"},
        {SP_LIT("\xff\xfe{\0}\0"), "this is UTF-16: save the file as UTF-8"},
        {SP_LIT("{\"a\": \"M\xfcller\"}"), "this is not UTF-8: save the file as UTF-8"},
        {SP_LIT("{\"a\": 1,}"), "nothing may follow the last comma"},
        {SP_LIT("[1, 2,]"), "nothing may follow the last comma"},
        {SP_LIT("{\"a\": 1 \"b\": 2}"), "is a comma missing before it?"},
        {SP_LIT("[{} {}]"), "is a comma missing before it?"},
        {SP_LIT("{'a': 1}"), "texts stand in double quotes"},
        {SP_LIT("{\"a\": \"b\n}"), "is a quote missing?"},
        {SP_LIT("{\"a\": \"b\\u0000\"}"), "a text can't have \\u0000 in it"},
    };
    const struct sp_json_options options = {.comments = true, .file = "x.json"};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_json_doc *doc = NULL;
        struct sp_err err;

        ck_assert_int_eq(sp_json_parse(cases[i].text, &options, &doc, &err), SP_E_JSON_SYNTAX);
        ck_assert_msg(strstr(err.text, cases[i].told) != NULL, "case %zu: %s", i, err.text);
    }
}
END_TEST

START_TEST(a_mark_of_the_byte_order_is_no_part_of_a_file)
{
    const struct sp_json_options files = {.comments = true, .file = "x.json"};
    struct sp_bytes text = SP_LIT("\xef\xbb\xbf{\r\n \"a\": 1}");
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_json_doc *none = NULL;
    struct sp_err err;

    ck_assert_int_eq(sp_json_parse(text, &files, &doc, &err), SP_OK);
    ck_assert_int_eq(sp_json_int_of(sp_json_root(doc), "a", 0), 1);
    ck_assert_uint_eq(sp_json_find(sp_json_root(doc), "a")->line, 2);
    ck_assert_int_eq(sp_json_parse(text, NULL, &none, &err), SP_E_JSON_SYNTAX); /* a program's */
}
END_TEST

START_TEST(what_a_terminal_would_obey_is_shown)
{
    const struct sp_json_options options = {.file = "x.json"};
    SP_AUTO(sp_json_doc) doc = NULL;
    SP_AUTO(sp_problems) p = sp_problems_new();
    struct sp_buf line;
    struct sp_err err;

    ck_assert_int_eq(sp_json_parse(SP_LIT("{\"a\\u001b[31m\\n\": 1}"), &options, &doc, &err),
                     SP_OK);
    sp_problem_warn(p, sp_json_root(doc)->first, "unknown");
    sp_buf_init(&line, 1000);
    sp_problem_format(sp_problems_at(p, 0), &line);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&line), SP_LIT("x.json:1: a\\x1b[31m\\x0a: unknown")));
    sp_buf_clear(&line);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, every_value_knows_its_line_and_path);
    tcase_add_test(c, bad_text_is_refused_with_its_place);
    tcase_add_test(c, comments_only_where_allowed);
    tcase_add_test(c, canonical_form_is_rfc_8785);
    tcase_add_test(c, members_can_be_set_and_copied);
    tcase_add_test(c, problems_say_file_line_path_and_name_the_nearest);
    tcase_add_test(c, the_same_of_a_place_is_told_once);
    tcase_add_test(c, no_error_is_hidden_behind_warnings);
    tcase_add_test(c, what_was_meant_is_said_beside_what_is_wrong);
    tcase_add_test(c, a_mark_of_the_byte_order_is_no_part_of_a_file);
    tcase_add_test(c, what_a_terminal_would_obey_is_shown);
    tcase_add_test(c, units_read_and_write);
}

SP_TEST_MAIN("json", add)
