/*
 * What may come together in one decision, counted over large policies that are made here: departments with rules of their own, which
 * exclude each other, and names that several of them give. Whoever decides is told the number of distinct names of all rules of its department
 * before it and its own, so that number is worked out here in the plainest way and compared with each line.
 */
#include "policy/policy.h"

#include <stdio.h>

#include "support/check_main.h"
#include "support/policy_files.h"

#define RULES       300
#define GIVES       24
#define DEPARTMENTS 3
#define NAMES_MAX   8000 /* more than all rules give */
#define FITS        32

struct made {
    unsigned names;   /* of how many names each rule takes its own */
    unsigned decides; /* each so manieth rule decides */
};

static unsigned department_of(unsigned rule)
{
    return rule * 7 / 3 % DEPARTMENTS;
}

/* Distinct within a rule while GIVES is no more than the names */
static unsigned name_of(const struct made *m, unsigned rule, unsigned i)
{
    return (rule * 13 + i) % m->names;
}

static bool is_deciding(const struct made *m, unsigned rule)
{
    return rule % m->decides == m->decides - 1;
}

static void write_names(struct sp_buf *out, const struct made *m, unsigned rule, const char *before,
                        const char *behind)
{
    for (unsigned i = 0; i < GIVES; i++)
        sp_buf_printf(out, "%s\"%s%u%s\"", i == 0 ? "" : ",", before, name_of(m, rule, i), behind);
}

static void write_rule(struct sp_buf *out, const struct made *m, unsigned r)
{
    sp_buf_printf(out, "{\"rule\": \"r%u\", \"when\": {\"sender.domain\": \"d%u.example\"", r,
                  department_of(r));
    if (is_deciding(m, r)) /* else the first of a department would take all */
        sp_buf_printf(out, ", \"recipient.domain\": \"to%u.example\"", r);
    sp_buf_printf(out, "}, %s\"then\": {\"copy\": [",
                  is_deciding(m, r) ? "" : "\"continue\": true, ");
    write_names(out, m, r, "n", "@b.example");
    sp_buf_put_cstr(out, "], \"header\": {\"strip\": [");
    write_names(out, m, r, r % 2 == 0 ? "x-" : "X-", ""); /* the same field */
    sp_buf_printf(out, "]}%s}},\n", is_deciding(m, r) ? ", \"protect\": \"l\"" : "");
}

static void write_policy(struct sp_buf *out, const struct made *m)
{
    sp_buf_put_cstr(out, "{\"version\": 1, \"settings\": {\"dkim_selector\": \"gw\"}, \"ladders\": "
                         "{\"l\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"}}, \"rules\": [");
    for (unsigned r = 0; r < RULES; r++)
        write_rule(out, m, r);
    sp_buf_put_cstr(out, "{\"rule\": \"last\", \"when\": {\"sender.domain\": \"none.example\"}, "
                         "\"then\": {\"protect\": \"l\"}}], \"default\": {\"protect\": \"l\"}}");
    sp_buf_put_u8(out, 0);
}

/* returns: how many distinct names come together where the rule decides */
static unsigned count_distinct(const struct made *m, unsigned rule)
{
    static bool seen[NAMES_MAX];
    unsigned n = 0;

    memset(seen, 0, sizeof(seen));
    for (unsigned r = 0; r <= rule; r++) {
        if (department_of(r) != department_of(rule) || (r != rule && is_deciding(m, r)))
            continue;
        for (unsigned i = 0; i < GIVES; i++) {
            n += !seen[name_of(m, r, i)];
            seen[name_of(m, r, i)] = true;
        }
    }
    return n;
}

static void expect(struct sp_buf *out, unsigned rule, unsigned n, const char *what)
{
    if (n > FITS)
        sp_buf_printf(out,
                      "policies/policy.json:%u: rules[%u]: %u %s may come together here, with "
                      "those of rules before it: at most %d\n",
                      rule + 1, rule, n, what, FITS);
}

/* The default is of all departments, of which one speaks: the largest of each group, which is no plain number. It comes last */
static bool is_of_a_rule(const struct sp_problem *problem)
{
    return strstr(problem->path, "rules[") != NULL;
}

/* wanted: lines; the first is taken from it */
static void ck_line(const struct sp_problem *problem, struct sp_bytes *wanted)
{
    size_t len = sp_bytes_find(*wanted, '\n');
    struct sp_buf said;

    sp_buf_init(&said, 1000);
    sp_problem_format(problem, &said);
    sp_buf_put_u8(&said, 0);
    ck_assert_msg(len != SIZE_MAX, "said for nothing: %s", said.ptr);
    ck_assert_msg(sp_bytes_eq(sp_bytes(said.ptr, said.len - 1), sp_bytes(wanted->ptr, len)),
                  "said: %s\nexpected: %.*s", said.ptr, (int)len, wanted->ptr);
    *wanted = sp_bytes(wanted->ptr + len + 1, wanted->len - len - 1);
    sp_buf_clear(&said);
}

static void ck_made(const struct made *m)
{
    struct sp_bytes wanted;
    struct sp_buf text, expected;
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) p = NULL;

    sp_buf_init(&text, 4U << 20);
    sp_buf_init(&expected, 1U << 20);
    write_policy(&text, m);
    for (unsigned r = m->decides - 1; r < RULES; r += m->decides) {
        unsigned n = count_distinct(m, r);

        expect(&expected, r, n, "edits of the header");
        expect(&expected, r, n, "copies");
    }
    wanted = sp_buf_bytes(&expected);
    {
        const struct file files[] = {{"policies/policy.json", (const char *)text.ptr},
                                     {NULL, NULL}};
        struct sp_policy_reader reader = {read_file, (void *)files, next_file};

        (void)!sp_policy_load(&reader, "policies/policy.json", problems, &p);
    }
    for (size_t i = 0; i < sp_problems_count(problems); i++)
        if (is_of_a_rule(sp_problems_at(problems, i)))
            ck_line(sp_problems_at(problems, i), &wanted);
    ck_assert_msg(wanted.len == 0, "not told: %.*s", (int)sp_bytes_find(wanted, '\n'), wanted.ptr);
    sp_buf_clear(&text);
    sp_buf_clear(&expected);
}

START_TEST(of_large_policies_each_name_that_comes_together_is_counted_once)
{
    static const struct made made[] = {{24, 6}, {30, 6}, {40, 5}, {200, 4}, {7999, 6}};

    for (size_t i = 0; i < SP_ARRAY_LEN(made); i++)
        ck_made(&made[i]);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, of_large_policies_each_name_that_comes_together_is_counted_once);
}

SP_TEST_MAIN("policy.room", add)
