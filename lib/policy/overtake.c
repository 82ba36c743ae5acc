/*
 * A house's own rules stand before those of the set that it extends, so that one of them may decide mail for which the set has a notice
 * that a law asks for (42 CFR 2.32): a guard of the set still raises the floor, and the notice is lost without a word. That is told
 * where both rules may hold for mail that the detector finds special, which is always severe and can be read.
 */
#include "policy/load_priv.h"

static const int64_t severe[] = {SP_PHI_SEVERE};
static const int64_t readable[] = {SP_SEALED_NONE, SP_SEALED_SIGNED};

static bool names_special(const struct sp_cond *c)
{
    for (size_t i = 0; i < c->test_count; i++)
        if (c->tests[i].fact == SP_FACT_PHI_SPECIAL &&
            (c->tests[i].op == SP_TEST_EQUALS || c->tests[i].op == SP_TEST_HAS))
            return true;
    return false;
}

static bool asks_special(const struct sp_cond *c)
{
    return c->is_conjunction && names_special(c);
}

/* What is known of mail for which the condition holds: that, and what all special mail is. */
static void widen(struct sp_arena *arena, const struct sp_cond *c, struct sp_cond *out)
{
    const struct sp_policy_test more[] = {
        {.fact = SP_FACT_PHI_CLASS,
         .op = SP_TEST_EQUALS,
         .numbers = severe,
         .count = 1,
         .source = ""},
        {.fact = SP_FACT_MESSAGE_SEALED,
         .op = SP_TEST_EQUALS,
         .numbers = readable,
         .count = 2,
         .source = ""},
    };

    *out =
        (struct sp_cond){.is_conjunction = true, .test_count = c->test_count + SP_ARRAY_LEN(more)};
    out->tests = sp_arena_alloc(arena, out->test_count * sizeof(*out->tests));
    memcpy(out->tests, c->tests, c->test_count * sizeof(*out->tests));
    memcpy(out->tests + c->test_count, more, sizeof(more));
}

/* A hold of the same file before this one that has a notice for special mail: what it is for can't be asked of this one, in doubt. */
static bool is_parted(const struct sp_policy *p, const struct sp_rule *r)
{
    for (const struct sp_rule *q = p->rules; q != r; q++)
        if (q->layer == r->layer && q->then.has_verb && q->then.verb == SP_DO_HOLD &&
            q->then.notice.len > 0 && names_special(&q->cond))
            return true;
    return false;
}

static bool may_overtake(const struct sp_policy *p, const struct sp_rule *r,
                         const struct sp_rule *later)
{
    if (!r->layer->is_main || r->layer == later->layer || !r->then.has_verb ||
        r->then.notice.len > 0)
        return false;
    return r->then.verb == SP_DO_PROTECT || (r->then.verb == SP_DO_HOLD && !is_parted(p, r));
}

void sp_policy_review_overtaken(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;

    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *later = &p->rules[i];
        struct sp_cond special;

        if (later->then.notice.len == 0 || !asks_special(&later->cond))
            continue;
        widen(p->arena, &later->cond, &special);
        for (const struct sp_rule *r = p->rules; r != later; r++)
            if (may_overtake(p, r, later) &&
                sp_policy_cond_under(&special, &r->cond) != SP_TRI_FALSE)
                sp_problem_warn(l->problems, r->source,
                                "this decides mail that \"%s\" (%s:%u) puts a notice above, and "
                                "leaves the notice out: ask {\"phi.special\": {\"exists\": "
                                "false}} as well, or say a \"notice\" here",
                                later->name, later->layer->file, later->line);
    }
}
