/*
 * What is told of a policy: rules and conditions within a policy that is good otherwise, and the lines that loading says.
 */
#ifndef SP_TEST_POLICY_TOLD_H
#define SP_TEST_POLICY_TOLD_H

#include "policy/policy.h"
#include "support/check_main.h"
#include "support/policy_files.h"

#define BASE                                                                                       \
    "\"version\": 1, \"settings\": {\"dkim_selector\": \"gw\"}, \"texts\": {\"no\": \"No.\"},\n"   \
    "\"ladders\": {\"usual\": {\"rungs\": [\"tls:encrypted\", \"portal\"], \"floor\": "            \
    "\"tls:encrypted\"}, \"best\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"}},\n"           \
    "\"default\": {\"protect\": \"usual\"}"
#define WITH(more)     "{" BASE ", " more "}"
#define RULE(more)     WITH("\"rules\": [{\"rule\": \"r\", " more "}]")
#define GUARD(more)    WITH("\"guards\": [{\"rule\": \"g\", " more "}]")
#define WHEN(cond)     RULE("\"when\": {" cond "}, \"then\": {\"protect\": \"best\"}")
#define SETTINGS(more) "{\"version\": 1, \"extends\": \"base\", \"settings\": {" more "}}"

/* said: gets all that was told; to be freed. returns: NULL if it was refused */
static inline struct sp_policy *load(const struct file *files, char **said)
{
    struct sp_policy_reader reader = {read_file, (void *)files, next_file};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy *p = NULL;
    struct sp_buf out;

    sp_buf_init(&out, 100000);
    (void)!sp_policy_load(&reader, "policies/policy.json", problems, &p);
    for (size_t i = 0; i < sp_problems_count(problems); i++) {
        sp_problem_format(sp_problems_at(problems, i), &out);
        sp_buf_put_u8(&out, '\n');
    }
    *said = sp_buf_take_cstr(&out);
    return p;
}

struct told {
    const char *text, *expected;
};

static inline void ck_told(const struct told *t, bool refused)
{
    const struct file files[] = {{"policies/policy.json", t->text},
                                 {"policies/base.json", WITH("\"note\": \"x\"")},
                                 {"policies/l.txt", "a.example until=2026-01-01\na.example\n"},
                                 {NULL, NULL}};
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_ptr_nonnull(said);
    ck_assert_msg((p == NULL) == refused, "%s:\n%s", t->text, said);
    ck_assert_msg(strstr(said, t->expected) != NULL, "%s:\n%s", t->text, said);
    sp_free(said);
}

#endif
