/*
 * Globs and regular expressions: what matches, what is refused, and that no pattern costs more than text times pattern.
 */
#include "policy/pattern.h"

#include "support/check_main.h"

START_TEST(regular_expressions_match_as_written)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool found;
    } cases[] = {
        {"abc", "xxabcxx", true},
        {"abc", "abxc", false},
        {"^abc$", "abc", true},
        {"^abc$", "abcd", false},
        {"^$", "", true},
        {"^$", "a", false},
        {"", "anything", true},
        {"a*", "", true},
        {"^a+b?c$", "aac", true},
        {"^a+b?c$", "abbc", false},
        {"^(ab|cd)+$", "abcdab", true},
        {"^(ab|cd)+$", "abcda", false},
        {"^(?:a|b|)x$", "x", true},
        {"^[a-c]{2,3}$", "abc", true},
        {"^[a-c]{2,3}$", "a", false},
        {"^[a-c]{2,3}$", "abca", false},
        {"^a{3}$", "aaa", true},
        {"^a{3}$", "aa", false},
        {"^a{0,2}b$", "b", true},
        {"^a{0,2}b$", "aaab", false},
        {"^(ab){2,}$", "ababab", true},
        {"^(ab){2,}$", "ab", false},
        {"^(ab){0,}$", "", true},
        {"[^a]", "aaa", false},
        {"[^a]", "aba", true},
        {"[]a]", "]", true},
        {"[a-]", "-", true},
        {"[\\d\\-]+x", "1-2x", true},
        {"\\d{3}-\\d{2}-\\d{4}", "my 123-45-6789 no", true},
        {"\\w+@\\w+\\.example", "to bob@clinic.example", true},
        {"\\x41\\.", "A.", true},
        {"\\x41\\.", "AB", false},
        {"(?i)secure", "[SeCuRe]", true},
        {"secure", "[SeCuRe]", false},
        {"(?i)[a-f]x", "Fx", true},
        {"a.c", "a\nc", false},
        {"a.c", "a\tc", true},
        {"^a|b$", "xb", true},
        {"^a|b$", "xbx", false},
        {"(a|b)*c|(a|ab)*c", "ababc", true},
        {"x{2}{2}", "xxxx", true},
        {"^x{2}{2}$", "xxx", false},
        {"\xc3\xa9", "caf\xc3\xa9", true},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(1024);
        const struct sp_regex *re = NULL;
        const char *wrong = sp_policy_regex_compile(arena, sp_bytes_cstr(cases[i].pattern), &re);

        ck_assert_msg(wrong == NULL, "%s: %s", cases[i].pattern, wrong);
        ck_assert_msg(sp_policy_regex_search(re, sp_bytes_cstr(cases[i].text)) == cases[i].found,
                      "%s on %s", cases[i].pattern, cases[i].text);
    }
}
END_TEST

START_TEST(what_is_not_known_is_refused)
{
    static const char *const patterns[] = {
        "(",    ")",     "a)",        "(a",     "*a",         "+",        "a|*",
        "[a",   "[z-a]", "(?=a)",     "(?!a)",  "(?<n>a)",    "\\1",      "\\b",
        "\\",   "a{",    "a{x}",      "a{3,2}", "a{1,101}",   "a{0}",     "a{0,0}",
        "\\x4", "[\\q]", "a{99}{99}", "{2}",    "[\xc3\xa9]", "a{1,999}",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(patterns); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(1024);
        const struct sp_regex *re = NULL;

        ck_assert_msg(sp_policy_regex_compile(arena, sp_bytes_cstr(patterns[i]), &re) != NULL, "%s",
                      patterns[i]);
        ck_assert_ptr_null(re);
    }
}
END_TEST

START_TEST(evil_patterns_take_linear_time)
{
    static const char *const patterns[] = {"^(a+)+$", "^(a|a)*$", "^(a*)*b$", "(x+x+)+y",
                                           "^(a?){30}a{30}$"};
    char text[SP_PATTERN_TEXT_MAX];

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '!';
    for (size_t i = 0; i < SP_ARRAY_LEN(patterns); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(1024);
        const struct sp_regex *re = NULL;

        ck_assert_ptr_null(sp_policy_regex_compile(arena, sp_bytes_cstr(patterns[i]), &re));
        ck_assert(!sp_policy_regex_search(re, sp_bytes(text, sizeof(text))));
    }
}
END_TEST

START_TEST(globs_match_all_of_the_text)
{
    static const struct {
        const char *glob;
        const char *text;
        bool match;
    } cases[] = {
        {"*.example", "Clinic.EXAMPLE", true},
        {"*.example", "example", false},
        {"*", "", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a*b*c", "aXbYbc", true},
        {"a*b*c", "aXbYb", false},
        {"", "", true},
        {"", "a", false},
        {"**a", "bba", true},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(sp_policy_glob_match(sp_bytes_cstr(cases[i].glob),
                                           sp_bytes_cstr(cases[i].text)) == cases[i].match,
                      "%s on %s", cases[i].glob, cases[i].text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, regular_expressions_match_as_written);
    tcase_add_test(c, what_is_not_known_is_refused);
    tcase_add_test(c, evil_patterns_take_linear_time);
    tcase_add_test(c, globs_match_all_of_the_text);
}

SP_TEST_MAIN("policy.pattern", add)
