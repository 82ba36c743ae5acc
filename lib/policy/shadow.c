/*
 * Rules that can never decide, because an earlier one takes all that they would. Only what is certain is told: both
 * conditions are plain conjunctions, and each test of the earlier one follows from a test of the later one. A rule whose
 * earlier one skips unknown facts may still be taken then, so only pairs that treat unknown alike count.
 */
#include "policy/load_priv.h"

static bool has_text(const struct sp_policy_test *t, struct sp_bytes text)
{
    for (size_t i = 0; i < t->count; i++)
        if (sp_bytes_eq_nocase(t->texts[i], text))
            return true;
    return false;
}

static bool holds_for(const struct sp_policy_test *t, int64_t n)
{
    if (t->op == SP_TEST_AT_LEAST)
        return n >= t->numbers[0];
    if (t->op == SP_TEST_BELOW)
        return n < t->numbers[0];
    for (size_t i = 0; i < t->count; i++)
        if (t->numbers[i] == n)
            return true;
    return false;
}

static bool is_number(const struct sp_policy_test *t)
{
    enum sp_fact_kind kind = sp_fact_rows[t->fact].kind;

    return kind == SP_KIND_OF_NUMBER || kind == SP_KIND_OF_TRUTH || kind == SP_KIND_OF_CLOSED ||
           kind == SP_KIND_OF_NAMED_NUMBER;
}

static bool follows_number(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    if (from->op == SP_TEST_AT_LEAST)
        return to->op == SP_TEST_AT_LEAST && from->numbers[0] >= to->numbers[0];
    if (from->op == SP_TEST_BELOW)
        return to->op == SP_TEST_BELOW && from->numbers[0] <= to->numbers[0];
    if (from->op != SP_TEST_EQUALS || to->op == SP_TEST_EXISTS)
        return false;
    for (size_t i = 0; i < from->count; i++)
        if (!holds_for(to, from->numbers[i]))
            return false;
    return true;
}

/* Whether every fact that meets `from` meets `to`. */
static bool follows(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    if (from->fact != to->fact || !sp_bytes_eq_nocase(from->name, to->name))
        return false;
    if (strcmp(from->source, to->source) == 0)
        return true;
    if (is_number(from))
        return follows_number(from, to);
    if (from->fact == SP_FACT_LABEL || from->fact == SP_FACT_SENDER_GROUP || from->op != to->op ||
        (to->op != SP_TEST_EQUALS && to->op != SP_TEST_HAS))
        return false;
    for (size_t i = 0; i < from->count; i++)
        if (!has_text(to, from->texts[i]))
            return false;
    return true;
}

static bool implies(const struct sp_cond *later, const struct sp_cond *earlier)
{
    for (size_t i = 0; i < earlier->test_count; i++) {
        bool found = false;

        for (size_t k = 0; k < later->test_count && !found; k++)
            found = follows(&later->tests[k], &earlier->tests[i]);
        if (!found)
            return false;
    }
    return true;
}

static bool same_scope(const struct sp_rule *a, const struct sp_rule *b)
{
    const struct sp_scope *s = &a->layer->scope;

    return a->layer == b->layer || (s->tenant.len == 0 && s->domain.len == 0 && s->user.len == 0);
}

static bool takes_all_of(const struct sp_policy *p, const struct sp_rule *a,
                         const struct sp_rule *b)
{
    return !a->is_continue && a->cond.step_count > 0 && b->cond.step_count > 0 &&
           a->from_ms == INT64_MIN && a->until_ms == INT64_MAX && same_scope(a, b) &&
           sp_policy_rule_takes_unknown(p, a) == sp_policy_rule_takes_unknown(p, b) &&
           a->cond.is_conjunction && b->cond.is_conjunction && implies(&b->cond, &a->cond);
}

void sp_policy_review_shadowed(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;

    for (size_t i = 1; i < p->rule_count; i++) {
        const struct sp_rule *b = &p->rules[i];

        if (!b->layer->is_main) /* a nearer layer means to stand before an outer one */
            continue;
        for (size_t k = 0; k < i; k++) {
            if (!takes_all_of(p, &p->rules[k], b))
                continue;
            sp_problem_warn(l->problems, b->source,
                            "never decides: whatever it matches, rule \"%s\" in %s:%u has taken "
                            "before",
                            p->rules[k].name, p->rules[k].layer->file, p->rules[k].line);
            break;
        }
    }
}
