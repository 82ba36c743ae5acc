/*
 * sallyport policy test: runs the cases that stand beside a policy. A case gives facts and says what must come out; its
 * "delivery" asks the ladder with what a next hop offers, through the same chooser that delivery uses.
 */
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>

#include "gateway/cli-policy/test.h"

static const char *const top_keys[] = {"$schema", "version", "policy", "given", "cases", "note"};
static const char *const case_keys[] = {"name", "when", "expect", "delivery", "note"};
static const char *const expect_keys[] = {
    "rule",      "floor",     "do",      "stage",  "tags",     "ladder", "lowers", "text",
    "raised_by", "continued", "hold_by", "copies", "redirect", "route",  "lane",   "notice"};

void cli_test_keys(struct cli *cli, const struct sp_json *object, const char *const *names,
                   size_t count)
{
    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        const char *near = sp_problem_nearest(m->key, names, count);
        bool known = false;

        for (size_t i = 0; i < count && !known; i++)
            known = sp_bytes_eq(m->key, sp_bytes_cstr(names[i]));
        if (!known)
            sp_problem(cli->problems, m, SP_E_CONFIG_UNKNOWN, "unknown key%s%s%s",
                       near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                       near == NULL ? "" : "\"?");
    }
}

void cli_test_fail(struct cli_test *t, const char *fmt, ...)
{
    va_list args;

    t->failed = true;
    if (t->said.len > 0)
        sp_buf_put_u8(&t->said, '\n');
    va_start(args, fmt);
    {
        char line[600];

        vsnprintf(line, sizeof(line), fmt, args);
        sp_buf_put_cstr(&t->said, line);
    }
    va_end(args);
}

static void expect_word(struct cli_test *t, const struct sp_json *expect, const char *key,
                        const char *got)
{
    const struct sp_json *v = sp_json_find(expect, key);

    if (v != NULL && !sp_bytes_eq(v->text, sp_bytes_cstr(got == NULL ? "" : got)))
        cli_test_fail(t, "%s: expected \"%.*s\", got \"%s\"", key, SP_FMT(v->text),
                      got == NULL ? "" : got);
}

static bool has_name(const struct sp_names *names, struct sp_bytes name)
{
    for (size_t i = 0; i < names->count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(names->names[i]), name))
            return true;
    return false;
}

static void expect_names(struct cli_test *t, const struct sp_json *expect, const char *key,
                         const struct sp_names *got)
{
    const struct sp_json *v = sp_json_find(expect, key);

    if (v == NULL)
        return;
    for (const struct sp_json *i = v->first; i != NULL; i = i->next)
        if (!has_name(got, i->text))
            cli_test_fail(t, "%s: \"%.*s\" is missing", key, SP_FMT(i->text));
    if (got->count != v->count)
        cli_test_fail(t, "%s: expected %zu, got %zu", key, v->count, got->count);
}

/* "stage": "envelope" promises that the answer is certain at RCPT. */
static void expect_stage(struct cli_test *t, const struct sp_json *expect,
                         const struct sp_policy *policy, const struct cli_facts *facts)
{
    const struct sp_json *v = sp_json_find(expect, "stage");
    struct sp_facts early;
    struct sp_decision d;

    expect_word(t, expect, "stage", sp_stage_name(t->decision.stage));
    if (v == NULL || !sp_bytes_eq(v->text, SP_LIT("envelope")))
        return;
    cli_facts_envelope(facts, &early);
    if (!sp_policy_decide_envelope(policy, &early, &d))
        cli_test_fail(t,
                      "stage: not certain at RCPT: a rule before it asks what the message holds");
    else if (strcmp(d.rule, t->decision.rule) != 0)
        cli_test_fail(t, "stage: at RCPT rule \"%s\" decides", d.rule);
}

/* Whether the recipient is shown one: in the message, or beside it in the portal. */
static bool has_notice(const struct sp_decision *d)
{
    return d->edits.notice.len > 0 || d->page_notice.len > 0;
}

static void run_expect(struct cli *cli, struct cli_test *t, const struct sp_json *c,
                       const struct sp_policy *policy, const struct cli_facts *facts)
{
    const struct sp_json *expect = sp_json_find(c, "expect");
    const struct sp_decision *d = &t->decision;

    if (expect == NULL)
        return;
    cli_test_keys(cli, expect, expect_keys, SP_ARRAY_LEN(expect_keys));
    expect_word(t, expect, "rule", d->rule);
    expect_word(t, expect, "floor", sp_floor_name(d->floor));
    expect_word(t, expect, "do", sp_do_name(d->verb));
    expect_word(t, expect, "ladder", d->ladder == NULL ? NULL : d->ladder->name);
    expect_word(t, expect, "lowers", d->lowers);
    expect_word(t, expect, "text", d->text_name);
    expect_word(t, expect, "hold_by", d->hold.by);
    expect_names(t, expect, "tags", &d->tags);
    expect_names(t, expect, "raised_by", &d->raised_by);
    expect_names(t, expect, "continued", &d->continued);
    expect_names(t, expect, "copies", &d->copies);
    expect_word(t, expect, "redirect", d->redirect);
    expect_word(t, expect, "route", d->route);
    expect_word(t, expect, "lane", d->lane);
    if (sp_json_find(expect, "notice") != NULL &&
        sp_json_bool_of(expect, "notice", false) != has_notice(d))
        cli_test_fail(t, "notice: %s", has_notice(d) ? "there is one" : "there is none");
    expect_stage(t, expect, policy, facts);
}

static void run_delivery(struct cli *cli, struct cli_test *t, const struct sp_json *c)
{
    const struct sp_json *all = sp_json_find(c, "delivery");
    size_t n = 0;

    if (all == NULL)
        return;
    for (const struct sp_json *ask = all->first; ask != NULL; ask = ask->next)
        cli_test_delivery(cli, t, ask, n++);
}

/* Who writes to whom comes first: the policy's own facts hang on it, and a case may say otherwise of those. */
static void set_facts(struct cli *cli, struct cli_facts *f, const struct sp_json *const objects[2],
                      const struct sp_policy *policy)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < 2; i++)
            for (const struct sp_json *m = objects[i] == NULL ? NULL : objects[i]->first; m != NULL;
                 m = m->next)
                if (cli_fact_is_address(m->key) == (pass == 0))
                    cli_fact_set(cli, f, m);
        if (pass == 0)
            sp_policy_fill(policy, &f->facts);
    }
}

static bool is_empty(const struct sp_json *v)
{
    return v == NULL || v->count == 0;
}

static void run_case(struct cli *cli, struct cli_test *t, const struct sp_json *given,
                     const struct sp_json *c, const struct sp_policy *policy)
{
    struct cli_facts *f = sp_arena_alloc(cli->arena, sizeof(*f));
    const struct sp_json *const facts[2] = {given, sp_json_find(c, "when")};

    memset(f, 0, sizeof(*f));
    t->failed = false;
    sp_buf_reset(&t->said);
    cli_test_keys(cli, c, case_keys, SP_ARRAY_LEN(case_keys));
    sp_facts_init(&f->facts);
    set_facts(cli, f, facts, policy);
    sp_policy_decide(policy, cli_facts_end(f), &t->decision);
    run_expect(cli, t, c, policy, f);
    run_delivery(cli, t, c);
    t->cases++;
    t->failures += t->failed;
    if (is_empty(sp_json_find(c, "expect")) && is_empty(sp_json_find(c, "delivery"))) {
        t->idle++;
        sp_problem_warn(cli->problems, c,
                        "this case expects nothing, so that it tests nothing: it only shows which "
                        "rule decides (--json)");
    }
}

static void report_case(const struct cli *cli, const struct cli_test *t, struct sp_bytes name,
                        struct sp_jw *w)
{
    if (cli->json) {
        sp_jw_object(w, NULL);
        sp_jw_text(w, "name", name);
        sp_jw_bool(w, "passed", !t->failed);
        sp_jw_cstr(w, "rule", t->decision.rule);
        sp_jw_text(w, "why", sp_buf_bytes(&t->said));
        sp_jw_end(w);
    } else if (t->failed) {
        struct sp_bytes rest = sp_buf_bytes(&t->said), line;

        printf("FAIL %.*s (rule \"%s\" decided)\n", SP_FMT(name), t->decision.rule);
        while (sp_bytes_split(&rest, '\n', &line))
            printf("     %.*s\n", SP_FMT(line));
    }
}

static bool is_policy(const struct sp_json *root)
{
    return sp_json_find(root, "rules") != NULL || sp_json_find(root, "guards") != NULL ||
           sp_json_find(root, "default") != NULL || sp_json_find(root, "extends") != NULL;
}

static void run_cases(struct cli *cli, const struct sp_json *root, const char *path,
                      struct cli_test *t, struct sp_jw *w)
{
    struct sp_bytes name = sp_json_text_of(root, "policy");
    const struct sp_json *cases = sp_json_find(root, "cases");
    SP_AUTO(sp_policy) policy = NULL;

    if (cases == NULL && is_policy(root)) {
        sp_problem_file(cli->problems, path, 0, SP_E_CONFIG_TYPE,
                        "this is a policy; its tests lie in a file beside it, NAME.test.json");
        return;
    }
    cli_test_keys(cli, root, top_keys, SP_ARRAY_LEN(top_keys));
    if (!cli_test_shape(cli, root))
        return;
    policy = cli_load_policy(
        cli, cli_join(cli, cli_dirname(cli, path), sp_arena_cstr(cli->arena, name)));
    if (policy == NULL)
        return;
    sp_jw_cstr(w, "hash", sp_policy_hash(policy));
    sp_jw_array(w, "cases");
    for (const struct sp_json *c = cases->first; c != NULL; c = c->next) {
        run_case(cli, t, sp_json_find(root, "given"), c, policy);
        report_case(cli, t, sp_json_text_of(c, "name"), w);
    }
    sp_jw_end(w);
}

static void run_file(struct cli *cli, const char *path, struct cli_test *t, struct sp_jw *w)
{
    const struct sp_json_options options = {.comments = true, .file = path};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text;
    struct sp_err err;
    enum sp_rc rc = cli_read(cli, path, &text);

    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "file", path);
    if (rc != SP_OK)
        sp_problem_file(cli->problems, path, 0, rc, "can't read it: %s", strerrordesc_np(errno));
    else if ((rc = sp_json_parse(text, &options, &doc, &err)) != SP_OK)
        sp_problem_file(cli->problems, "", 0, rc, "%s", err.text);
    else
        run_cases(cli, sp_json_root(doc), path, t, w);
    cli_json_problems(cli, w);
    sp_jw_int(w, "passed", (int64_t)(t->cases - t->failures - t->idle));
    sp_jw_int(w, "failed", (int64_t)t->failures);
    sp_jw_end(w);
    if (!cli->json) {
        if (sp_problems_errors(cli->problems) > 0 || t->idle > 0)
            (void)cli_print_problems(cli, CLI_WRONG);
        if (t->cases > 0)
            printf("%s: %zu passed, %zu failed\n", path, t->cases - t->failures - t->idle,
                   t->failures);
        else
            printf("%s: no test was run\n", path);
    }
}

bool cli_run_tests(struct cli *cli, const char *path, size_t *passed)
{
    struct cli_test t = {0};
    struct sp_buf out;
    struct sp_jw w;
    bool good;

    sp_buf_init(&t.said, 65536);
    sp_buf_init(&out, 64 << 20);
    sp_jw_init(&w, &out);
    run_file(cli, path, &t, &w);
    good = t.failures == 0 && t.cases > t.idle && sp_problems_errors(cli->problems) == 0;
    *passed = t.cases - t.failures - t.idle;
    if (t.cases > 0 && t.cases == t.idle)
        (void)cli_tell(cli, CLI_WRONG, "refused", "%s: no case expects anything", path);
    else if (cli->json && !good) { /* the answer is somebody else's: his refusal needs a why */
        (void)cli_print_problems(cli, CLI_WRONG);
        (void)cli_tell(cli, CLI_WRONG, "refused",
                       "%s: %zu passed, %zu failed: sallyport policy test tells more", path,
                       *passed, t.failures);
    }
    sp_buf_clear(&out);
    sp_buf_clear(&t.said);
    return good;
}

int cli_policy_test(struct cli *cli)
{
    struct sp_buf out;
    struct sp_jw w;
    int code = CLI_OK;

    if (!cli_arguments(cli, NULL, 0, &(struct cli_wanted){1, SIZE_MAX, "which files?"}))
        return CLI_USAGE;
    sp_buf_init(&out, 16 << 20);
    sp_jw_init(&w, &out);
    sp_jw_array(&w, NULL);
    for (size_t i = 0; i < cli->word_count; i++) {
        struct cli_test t = {0};

        sp_buf_init(&t.said, 65536);
        run_file(cli, cli->words[i], &t, &w);
        if (t.failures > 0 || t.cases == 0 || sp_problems_errors(cli->problems) > 0)
            code = CLI_WRONG;
        sp_buf_clear(&t.said);
        cli_drop_problems(cli);
    }
    sp_jw_end(&w);
    if (cli->json)
        cli_print(&out);
    sp_buf_clear(&out);
    return code;
}
