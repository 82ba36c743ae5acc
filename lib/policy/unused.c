/*
 * Names that no rule says, told of the files of the author's own: the main file and those in layers/. A set that is extended may offer
 * more than anybody takes. An entry counts as used wherever a rule of any layer finds it, so that it is asked when all have been compiled.
 */
#include "policy/load_priv.h"

/* An entry is known by where it lies. at: lent with the result */
static struct sp_bytes key_of(const struct sp_json *entry, uintptr_t *at)
{
    *at = (uintptr_t)entry;
    return sp_bytes((const uint8_t *)at, sizeof(*at));
}

void sp_policy_loader_use(const struct sp_loader *l, const struct sp_json *entry)
{
    const struct sp_loader *root = l->root == NULL ? l : l->root;
    uintptr_t at;

    (void)sp_map_put(root->used, key_of(entry, &at), (void *)entry);
}

void sp_policy_loader_use_all(const struct sp_loader *l, const char *section)
{
    for (size_t i = 0; i < l->policy->layer_count; i++) {
        const struct sp_json *all = sp_json_find(l->policy->layers[i].root, section);

        for (const struct sp_json *m = all == NULL ? NULL : all->first; m != NULL; m = m->next)
            sp_policy_loader_use(l, m);
    }
}

/* What an author could do with the name. */
static const struct {
    const char *section, *told,
        *behind; /* the name stands between the two; NULL: it is not said again */
} sections[] = {
    {"lists", "no rule uses this list", NULL},
    {"ladders", "no rule uses this ladder", NULL},
    {"texts", "no rule uses this text", NULL},
    {"groups", "no rule names this group: ask {\"sender.group\": \"",
     "\"}, let it release a hold (\"by\"), or take it out"},
    {"labels", "no rule asks for this label: ask {\"label\": \"", "\"}, or take it out"},
    {"special", "no rule asks for this class: ask {\"phi.special\": {\"has\": \"",
     "\"}}, or take it out"},
};

static void review_layer(struct sp_loader *l, const struct sp_json *root)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(sections); i++) {
        const struct sp_json *all = sp_json_find(root, sections[i].section);

        for (const struct sp_json *m = all == NULL ? NULL : all->first; m != NULL; m = m->next) {
            uintptr_t at;

            if (sp_map_find(l->used, key_of(m, &at)) != NULL)
                continue;
            if (sections[i].behind == NULL)
                sp_problem_warn(l->problems, m, "%s", sections[i].told);
            else
                sp_problem_warn(l->problems, m, "%s%.*s%s", sections[i].told, SP_FMT(m->key),
                                sections[i].behind);
        }
    }
}

/* returns: whether a rule of any layer asks what recipients want */
static bool asks_preference(const struct sp_policy *p)
{
    for (size_t i = 0; i < p->rule_count; i++)
        for (size_t k = 0; k < p->rules[i].cond.test_count; k++)
            if (p->rules[i].cond.tests[k].fact == SP_FACT_RECIPIENT_PREFERENCE)
                return true;
    return false;
}

static void review_preferences(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    const struct sp_json *v = sp_json_find(p->layers[p->layer_count - 1].root, "preferences");
    bool is_asked = asks_preference(p);

    for (size_t i = 0; i < p->scoped_count; i++)
        is_asked = is_asked || asks_preference(p->views[i]);
    if (v != NULL && !is_asked)
        sp_problem_warn(l->problems, v,
                        "no rule asks what recipients want: ask recipient.preference, or take it "
                        "out");
}

void sp_policy_review_unused(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;

    review_layer(l, p->layers[p->layer_count - 1].root);
    for (size_t i = 0; i < p->scoped_count; i++)
        review_layer(l, p->scoped[i].root);
    review_preferences(l);
}
