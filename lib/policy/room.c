/*
 * A decision has room for so many edits of the header and so many copies; what does not fit would be left out, be it a field that
 * must not leave. So a policy of which more may come together is refused. Of rules that exclude each other (each of another
 * department) one at most can speak: they are put into groups within which all exclude all others, and a group counts
 * as its largest. In doubt both of two rules may speak that an unknown fact parts (phi.score from 50 on, and below), so these
 * exclude nothing. That is never too few, and may be too many.
 */
#include "policy/load_priv.h"

struct giver { /* a rule that continues and gives something */
    const struct sp_rule *rule;
    size_t group;
};

struct givers {
    struct giver *list;
    size_t count;
    size_t groups;
    size_t *by_group; /* room for a number each, while they are gone through */
};

static bool are_apart(const struct sp_rule *a, const struct sp_rule *b)
{
    return sp_policy_cond_excludes(&a->cond, &b->cond) ||
           sp_policy_cond_excludes(&b->cond, &a->cond);
}

static void add(struct givers *g, const struct sp_rule *r)
{
    size_t group = 0;

    memset(g->by_group, 0, g->groups * sizeof(*g->by_group));
    for (size_t i = 0; i < g->count; i++)
        if (g->by_group[g->list[i].group] == 0 && !are_apart(g->list[i].rule, r))
            g->by_group[g->list[i].group] = 1; /* one of it may speak together with r */
    while (group < g->groups && g->by_group[group] != 0)
        group++;
    if (group == g->groups)
        g->groups++;
    g->list[g->count++] = (struct giver){r, group};
}

static size_t headers_of(const struct sp_rule *r)
{
    return r->then.header_count;
}

static size_t copies_of(const struct sp_rule *r)
{
    return r->then.copy_count;
}

/* returns: the most that can come together where r decides */
static size_t most(const struct givers *g, const struct sp_rule *r,
                   size_t (*of)(const struct sp_rule *r))
{
    size_t sum = of(r);

    memset(g->by_group, 0, g->groups * sizeof(*g->by_group));
    for (size_t i = 0; i < g->count && g->list[i].rule < r; i++) {
        size_t *largest = &g->by_group[g->list[i].group];

        if (of(g->list[i].rule) > *largest && !are_apart(g->list[i].rule, r))
            *largest = of(g->list[i].rule);
    }
    for (size_t group = 0; group < g->groups; group++)
        sum += g->by_group[group];
    return sum;
}

static void tell(struct sp_loader *l, const struct sp_rule *r, size_t n, const char *what)
{
    if (n > SP_DECISION_NAMES_MAX)
        sp_policy_loader_idle(
            l, r->source, SP_E_CONFIG_RANGE,
            "%zu %s may come together here, with those of rules before it: at most %d", n, what,
            SP_DECISION_NAMES_MAX);
}

void sp_policy_review_room(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    struct givers g = {.list = sp_arena_alloc(p->arena, (p->rule_count + 1) * sizeof(struct giver)),
                       .by_group = sp_arena_alloc(p->arena, (p->rule_count + 1) * sizeof(size_t))};

    for (size_t i = 0; i < p->rule_count; i++)
        if (p->rules[i].is_continue && headers_of(&p->rules[i]) + copies_of(&p->rules[i]) > 0)
            add(&g, &p->rules[i]);
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].is_continue)
            continue;
        tell(l, &p->rules[i], most(&g, &p->rules[i], headers_of), "edits of the header");
        tell(l, &p->rules[i], most(&g, &p->rules[i], copies_of), "copies");
    }
}
