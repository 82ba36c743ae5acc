/*
 * What conditions ask that only the gateway's settings can answer: whether there is such a tenant, and whether mail may be as large, or to
 * as many, as a rule waits for. The policy knows no settings, so it only says what is asked, and where; and whether anybody asks for a
 * class that a tenant has made.
 */
#include "policy/policy_priv.h"

struct walk {
    void (*found)(void *arg, const struct sp_policy_asked *asked);
    void *arg;
};

static void look_at(const struct walk *w, const struct sp_rule *r, const struct sp_policy_test *t)
{
    bool is_number = t->fact == SP_FACT_RECIPIENT_COUNT || t->fact == SP_FACT_MESSAGE_SIZE;
    bool is_tenant = t->fact == SP_FACT_TENANT && t->op == SP_TEST_EQUALS;
    struct sp_policy_asked asked = {
        .file = r->layer->file, .line = r->line, .rule = r->name, .fact = t->fact};

    if (!is_tenant && !(is_number && (t->op == SP_TEST_EQUALS || t->op == SP_TEST_AT_LEAST)))
        return;
    for (size_t i = 0; i < t->count; i++) {
        if (is_tenant)
            asked.text = t->texts[i];
        else
            asked.least = t->numbers[i];
        w->found(w->arg, &asked);
    }
}

void sp_policy_each_asked(const struct sp_policy *p,
                          void (*found)(void *arg, const struct sp_policy_asked *asked), void *arg)
{
    struct walk w = {found, arg};

    for (size_t i = 0; i <= p->scoped_count; i++) {
        const struct sp_policy *view = i == 0 ? p : p->views[i - 1];

        for (size_t k = 0; k < view->rule_count; k++) {
            const struct sp_rule *r = &view->rules[k];

            if (i > 0 && !r->layer->is_scoped) /* it was looked at with the main file */
                continue;
            for (size_t n = 0; n < r->cond.test_count; n++)
                look_at(&w, r, &r->cond.tests[n]);
        }
    }
}

/* A pattern, or whether there is any, may ask for each of them. */
static bool asks_class(const struct sp_policy_test *t, struct sp_bytes name)
{
    if (t->fact != SP_FACT_PHI_SPECIAL)
        return false;
    if (t->op != SP_TEST_EQUALS && t->op != SP_TEST_HAS)
        return true;
    for (size_t i = 0; i < t->count; i++)
        if (sp_bytes_eq_nocase(t->texts[i], name))
            return true;
    return false;
}

bool sp_policy_asks_special(const struct sp_policy *p, struct sp_bytes tenant, struct sp_bytes name)
{
    for (size_t i = 0; i <= p->scoped_count; i++) {
        const struct sp_policy *view = i == 0 ? p : p->views[i - 1];

        if (i > 0 && tenant.len > 0 && !sp_bytes_eq_nocase(p->scoped[i - 1].scope.tenant, tenant))
            continue;
        for (size_t k = 0; k < view->rule_count; k++)
            for (size_t n = 0; n < view->rules[k].cond.test_count; n++)
                if (asks_class(&view->rules[k].cond.tests[n], name))
                    return true;
    }
    return false;
}
