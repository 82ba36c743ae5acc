/*
 * A directory's settings: defaults, what contradicts itself, and how old its lists are.
 */
#include "config/directory.h"
#include "support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(defaults_fill_what_is_not_written)
{
    static const char text[] =
        "{\"servers\": [\"ldaps://dc1.h.example\", \"LDAP://dc2.h.example:3268\"], // two\n"
        " \"lists\": [{\"name\": \"a-1\", \"group\": \"cn=A,dc=h\"}]}";
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_directory) d = NULL;

    ck_assert_int_eq(sp_directory_load(sp_bytes_cstr(text), "h.json", problems, &d), SP_OK);
    ck_assert_str_eq(d->addresses.items[1], "proxyAddresses");
    ck_assert_str_eq(d->members.items[0], "member");
    ck_assert_int_eq(d->depth, 8);
    ck_assert_int_eq(d->max_age_ms, (int64_t)3 * 24 * 3600 * 1000);
    ck_assert_str_eq(d->lists[0].filter, "");
}
END_TEST

START_TEST(what_contradicts_itself_is_told)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"{\"servers\": [\"ldap:/x\"], \"lists\": [{\"name\": \"a\", \"group\": \"x\"}]}",
         "expected ldaps://HOST"},
        {"{\"servers\": [\"http://h\"], \"lists\": [{\"name\": \"a\", \"group\": \"x\"}]}",
         "expected ldaps://HOST"},
        {"{\"servers\": [\"ldaps://h/o=x\"], \"lists\": [{\"name\": \"a\", \"group\": \"x\"}]}",
         "expected ldaps://HOST"},
        {"{\"servers\": [], \"lists\": [{\"name\": \"a\", \"group\": \"x\"}]}", "at least 1"},
        {"{\"servers\": [\"ldaps://h\"]}", "\"lists\""},
        {"{\"servers\": [\"ldaps://h\"], \"lists\": [{\"name\": \"A b\", \"group\": \"x\"}]}", ""},
        {"{\"servers\": [\"ldaps://h\"], \"lists\": [{\"name\": \"a\"}]}", "either \"group\""},
        {"{\"servers\": [\"ldaps://h\"], \"base\": \"x\", \"lists\": [{\"name\": \"a\", \"group\": "
         "\"x\", \"filter\": \"(y=*)\"}]}",
         "either \"group\""},
        {"{\"servers\": [\"ldaps://h\"], \"lists\": [{\"name\": \"a\", \"filter\": \"(y=*)\"}]}",
         "needs \"base\""},
        {"{\"servers\": [\"ldaps://h\"], \"lists\": [{\"name\": \"a\", \"group\": \"x\"}, "
         "{\"name\": "
         "\"a\", \"group\": \"y\"}]}",
         "there already"},
        {"{\"servers\": [\"ldaps://h\"], \"bind_dn\": \"cn=x\", \"lists\": [{\"name\": \"a\", "
         "\"group\": \"x\"}]}",
         "both or not at all"},
        {"{\"servers\": [\"ldaps://h\"], \"tls\": false, \"lists\": [{\"name\": \"a\", \"group\": "
         "\"x\"}]}",
         "unknown setting"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        struct sp_directory *d = NULL;

        ck_assert_msg(sp_directory_load(sp_bytes_cstr(cases[i].text), "h.json", problems, &d) !=
                          SP_OK,
                      "case %zu", i);
        ck_assert_ptr_null(d);
        ck_assert_msg(strstr(sp_problems_at(problems, 0)->text, cases[i].problem) != NULL,
                      "case %zu: %s", i, sp_problems_at(problems, 0)->text);
    }
}
END_TEST

static void write_file(const char *folder, const char *name, const char *text, int64_t at_s)
{
    char path[200];
    const struct timespec times[2] = {{.tv_sec = at_s}, {.tv_sec = at_s}};
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(utimensat(0, path, times, 0), 0);
}

static void on_age(void *arg, const struct sp_directory_age *age)
{
    sp_buf_printf(arg, "%s/%s %lld%s\n", age->directory, age->list, (long long)age->age_ms,
                  age->is_stale ? " stale" : "");
}

START_TEST(ages_are_those_of_the_files)
{
    char folder[] = "/tmp/sp-directory-XXXXXX", command[100], path[100];
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_buf out;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"directories", "policies", "policies/lists"};

        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        ck_assert_int_eq(mkdir(path, 0755), 0);
    }
    write_file(
        folder, "directories/h.json",
        "{\"servers\": [\"ldaps://h\"], \"max_age\": \"1h\", \"lists\": [{\"name\": \"new\", "
        "\"group\": \"x\"}, {\"name\": \"old\", \"group\": \"x\"}, {\"name\": \"never\", "
        "\"group\": \"x\"}]}",
        0);
    write_file(folder, "directories/h.json~", "rubbish", 0);
    write_file(folder, "policies/lists/new.txt", "", 1000000);
    write_file(folder, "policies/lists/old.txt", "", 1000000 - 3601);
    sp_buf_init(&out, 1000);
    sp_directory_ages(folder, "policies/policy.json", (int64_t)1000000 * 1000, problems, on_age,
                      &out);
    sp_buf_put_u8(&out, 0);
    ck_assert_str_eq((const char *)out.ptr, "h/new 0\nh/old 3601000 stale\nh/never -1 stale\n");
    ck_assert_uint_eq(sp_problems_count(problems), 0);
    write_file(folder, "directories/bad.json", "{}", 0);
    sp_buf_reset(&out);
    sp_directory_ages(folder, "policies/policy.json", 0, problems, on_age, &out);
    ck_assert_uint_gt(sp_problems_errors(problems), 0);
    ck_assert_uint_gt(out.len, 0); /* the others are told all the same */
    sp_buf_clear(&out);
    snprintf(command, sizeof(command), "%s/nowhere", folder);
    sp_directory_ages(command, "policies/policy.json", 0, problems, on_age, NULL);
    for (size_t i = 0; i < 5; i++) {
        static const char *const names[] = {"directories/h.json", "directories/h.json~",
                                            "directories/bad.json", "policies/lists/new.txt",
                                            "policies/lists/old.txt"};

        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        ck_assert_int_eq(unlink(path), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        static const char *const names[] = {"directories", "policies/lists", "policies", ""};

        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        ck_assert_int_eq(rmdir(path), 0);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, defaults_fill_what_is_not_written);
    tcase_add_test(c, what_contradicts_itself_is_told);
    tcase_add_test(c, ages_are_those_of_the_files);
}

SP_TEST_MAIN("config.directory", add)
