/*
 * What no single rule can tell. A rule whose ladder has no rung at or above its floor would send everything back: that
 * is an error. A rung that vanishes only when some guard raises the floor is a warning, since the guard may never meet
 * the rule; the author sees both names. So are dead rules.
 */
#include "policy/load_priv.h"

/* Whether the condition lets only real ciphertext through. */
static bool asks_sealed(const struct sp_rule *r)
{
    bool found = false;

    for (size_t i = 0; i < r->cond.step_count; i++)
        if (r->cond.steps[i].op == SP_COND_ANY || r->cond.steps[i].op == SP_COND_NOT)
            return false;
    for (size_t i = 0; i < r->cond.test_count; i++) {
        const struct sp_policy_test *t = &r->cond.tests[i];
        bool all = t->fact == SP_FACT_MESSAGE_SEALED && t->op == SP_TEST_EQUALS;

        for (size_t k = 0; all && k < t->count; k++)
            all = t->numbers[k] == SP_SEALED_SMIME || t->numbers[k] == SP_SEALED_PGP;
        found = found || all;
    }
    return found;
}

static size_t rungs_left(const struct sp_rule *r, enum sp_floor floor, bool is_sealed)
{
    const struct sp_ladder *ladder = r->then.ladder;
    size_t n = 0;

    for (size_t i = 0; i < ladder->count; i++)
        n += sp_rung_meets(ladder->rungs[i].rung, floor, is_sealed);
    return n;
}

static enum sp_floor floor_of(const struct sp_policy *p, const struct sp_rule *r)
{
    enum sp_floor least = r->then.lowers != NULL ? SP_FLOOR_PLAIN : p->floor;

    return r->then.ladder->floor > least ? r->then.ladder->floor : least;
}

static void review_raises(struct sp_loader *l, const struct sp_rule *r, enum sp_floor floor,
                          bool is_sealed)
{
    bool is_named = r->then.ladder->name[0] != 0;

    for (const struct sp_rule *g = l->policy->rules; g != r; g++) {
        if (!g->then.has_raise || g->then.raise <= floor ||
            sp_policy_cond_under(&r->cond, &g->cond) == SP_TRI_FALSE) /* it never meets the rule */
            continue;
        if (rungs_left(r, g->then.raise, is_sealed) == 0)
            sp_problem_warn(
                l->problems, r->source,
                "where \"%s\" raises the floor to \"%s\", %s%s%s has no rung "
                "left: such mail goes %s",
                g->name, sp_floor_name(g->then.raise), is_named ? "ladder \"" : "its own ladder",
                r->then.ladder->name, is_named ? "\"" : "",
                r->then.ladder->at_end == SP_AT_END_HOLD ? "on hold" : "back to its sender");
    }
}

static void review_ladder(struct sp_loader *l, const struct sp_rule *r)
{
    const struct sp_policy *p = l->policy;
    bool is_sealed = asks_sealed(r);
    enum sp_floor floor = floor_of(p, r);
    size_t left = rungs_left(r, floor, is_sealed);
    bool is_named = r->then.ladder->name[0] != 0;

    if (left == 0)
        sp_problem(l->problems, r->source, SP_E_POLICY_INVALID,
                   "no rung of %s%s%s meets the floor \"%s\"%s",
                   is_named ? "ladder \"" : "its own ladder", r->then.ladder->name,
                   is_named ? "\"" : "", sp_floor_name(floor),
                   r->then.lowers == NULL && p->floor == floor
                       ? " of the settings: add a better rung, or say \"lowers\" and why"
                       : "");
    else if (left < r->then.ladder->count && floor > r->then.ladder->floor)
        sp_problem_warn(l->problems, r->source,
                        "%s%s%s has rungs below the settings' floor \"%s\": they are never "
                        "taken unless the rule says \"lowers\" and why",
                        is_named ? "ladder \"" : "its own ladder", r->then.ladder->name,
                        is_named ? "\"" : "", sp_floor_name(floor));
    review_raises(l, r, floor, is_sealed);
}

/* What lies in the portal travels nowhere, so that no signature is missed. */
static bool only_portal(const struct sp_ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].rung != SP_RUNG_PORTAL)
            return false;
    return true;
}

static void review_edits(struct sp_loader *l, const struct sp_rule *r)
{
    const struct sp_outcome *t = &r->then;

    if (l->policy->dkim_selector[0] != 0 || (t->ladder != NULL && only_portal(t->ladder)))
        return;
    if (t->header_count > 0 || t->strip_subject_tag || t->notice.len > 0 || t->footer.len > 0)
        sp_problem(l->problems, r->source, SP_E_POLICY_INVALID,
                   "this rule edits messages, which breaks their signature: give "
                   "settings.dkim_selector so that they are signed anew");
}

static void review_dead(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    const struct sp_rule *end = NULL;

    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *r = &p->rules[i];
        const struct sp_scope *s = &r->layer->scope;

        if (end != NULL && r->section[0] != 'd')
            sp_problem_warn(l->problems, r->source,
                            "never asked: rule \"%s\" in %s:%u matches everything before it",
                            end->name, end->layer->file, end->line);
        if (end == NULL && r->cond.step_count == 0 && !r->is_continue && r->until_ms == INT64_MAX &&
            r->from_ms == INT64_MIN && s->domain.len == 0 && s->user.len == 0)
            end = r;
    }
}

void sp_policy_review(struct sp_loader *l)
{
    for (size_t i = 0; i < l->policy->rule_count; i++) {
        const struct sp_rule *r = &l->policy->rules[i];

        if (r->then.ladder != NULL)
            review_ladder(l, r);
        review_edits(l, r);
    }
    review_dead(l);
    sp_policy_review_shadowed(l);
    sp_policy_review_overtaken(l);
    sp_policy_review_room(l);
}
