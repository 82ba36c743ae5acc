/*
 * Rules that can never decide: an earlier one takes all that they would, or their own conditions exclude each other. Only what
 * is certain is told. The later rule must be tests joined by and: each of them is then known to hold, and the earlier rule's
 * condition, of whatever form, is worked out from that. A rule whose earlier one skips unknown facts may still be taken
 * then, so only pairs that treat unknown alike count.
 */
#include "policy/load_priv.h"

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
           sp_policy_cond_under(&b->cond, &a->cond) == SP_TRI_TRUE;
}

static void review_contradiction(struct sp_loader *l, const struct sp_rule *r)
{
    const struct sp_policy_test *other, *one = sp_policy_cond_contradiction(&r->cond, &other);

    if (one != NULL)
        sp_problem_warn(l->problems, r->source, "never decides: %s and %s can't hold at once",
                        one->source, other->source);
    else if (sp_policy_cond_is_never(&r->cond))
        sp_problem_warn(l->problems, r->source,
                        "never decides: what \"any\" or \"not\" asks here can't be where the rest "
                        "holds");
}

void sp_policy_review_shadowed(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;

    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *b = &p->rules[i];

        if (!b->layer->is_main) /* a nearer layer means to stand before an outer one */
            continue;
        review_contradiction(l, b);
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
