/*
 * Rules in the order of asking: every layer's guards, outermost first, then rules, innermost first, then the nearest
 * default. A rule's name is its identity in audit, so it is checked to be one of a kind; a file that extends a set may
 * have a rule of the same name, which then takes the set's place, as with lists and ladders. A layer of a tenant may not:
 * what binds it must not be replaced from within.
 */
#include "policy/load_priv.h"

static const char *const rule_keys[] = {"rule", "when", "then",  "continue", "whole_message",
                                        "note", "from", "until", "certain",  NULL};
static const char *const not_a_guards[] = {"redirect", "copy",   "route",  "lane",
                                           "footer",   "notice", "header", "subject",
                                           "expire",   "portal", "smime",  "lowers"};

#define INSTEAD_MAX 200 /* bytes of a condition, and of members, that a problem shows */
#define GUARD_TOLD  "a guard sends nothing elsewhere, edits nothing and lowers nothing: "

static struct sp_rule *new_rule(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_policy_layer *layer, const char *section)
{
    struct sp_rule *r = &l->policy->rules[l->policy->rule_count++];

    r->layer = layer;
    r->source = v;
    r->line = v->line;
    r->section = section;
    r->from_ms = INT64_MIN;
    r->until_ms = INT64_MAX;
    r->name = "";
    return r;
}

static void load_name(struct sp_loader *l, const struct sp_json *v, struct sp_rule *r)
{
    const struct sp_json *name = sp_json_find(v, "rule");

    if (name == NULL) {
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "\"rule\" is missing: the rule's name");
        return;
    }
    if (!sp_policy_loader_text(l, name, &r->name))
        return;
    if (!sp_policy_loader_is_name(name->text) || sp_bytes_eq(name->text, SP_LIT("default")) ||
        sp_bytes_eq(name->text, SP_LIT("scope")))
        sp_problem(l->problems, name, SP_E_POLICY_INVALID,
                   "a rule's name is made of a to z, 0 to 9 and hyphens, and is not default or "
                   "scope");
    for (size_t i = 0; &l->policy->rules[i] != r; i++)
        if (strcmp(l->policy->rules[i].name, r->name) == 0)
            sp_problem(l->problems, name, SP_E_POLICY_INVALID,
                       "this name is taken by the rule in %s:%u: names stand in audit records",
                       l->policy->rules[i].layer->file, l->policy->rules[i].line);
}

/* What a guard says that is a rule's. out: gets it as members of an object; it may be NULL. returns: how much */
static size_t foreign_members(const struct sp_json *v, struct sp_buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(not_a_guards); i++) {
        const struct sp_json *m = sp_json_find(sp_json_find(v, "then"), not_a_guards[i]);

        if (m == NULL)
            continue;
        if (out != NULL) {
            sp_buf_printf(out, "%s\"%s\": ", n == 0 ? "" : ", ", not_a_guards[i]);
            (void)!sp_json_canonical(m, out);
        }
        n++;
    }
    return n;
}

/* The rule that does it, as it can be written: what is long is left to its author. */
static void tell_rule(struct sp_loader *l, const struct sp_json *v, const struct sp_rule *r,
                      struct sp_bytes members)
{
    const struct sp_json *when = sp_json_find(v, "when");
    struct sp_buf cond;

    sp_buf_init(&cond, INSTEAD_MAX);
    if (when != NULL)
        sp_buf_put_cstr(&cond, "\"when\": ");
    if (when != NULL && (sp_json_canonical(when, &cond) != SP_OK || sp_buf_rc(&cond) != SP_OK)) {
        sp_buf_reset(&cond);
        sp_buf_put_cstr(&cond, "\"when\": (as here)");
    }
    if (when != NULL)
        sp_buf_put_cstr(&cond, ", ");
    sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                          GUARD_TOLD
                          "write it as the first of \"rules\": {\"rule\": \"%.32s-more\", "
                          "\"continue\": true, %.*s\"then\": {%.*s}}",
                          r->name, SP_FMT(sp_buf_bytes(&cond)), SP_FMT(members));
    sp_buf_clear(&cond);
}

/* What its author meant can be said elsewhere: where, hangs on what the guard does with the mail. */
static void tell_instead(struct sp_loader *l, const struct sp_json *v, const struct sp_rule *r)
{
    struct sp_buf members;

    sp_buf_init(&members, INSTEAD_MAX);
    (void)foreign_members(v, &members);
    if (sp_buf_rc(&members) != SP_OK) {
        sp_buf_reset(&members);
        sp_buf_put_cstr(&members, "(what is no guard's)");
    }
    if (r->then.lowers != NULL)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              GUARD_TOLD
                              "say \"lowers\" in the rule that decides, under \"rules\"");
    else if (r->then.has_verb && r->then.verb == SP_DO_REJECT)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              GUARD_TOLD
                              "mail that is refused goes nowhere, so take this out: %.*s",
                              SP_FMT(sp_buf_bytes(&members)));
    else if (r->then.has_verb)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              GUARD_TOLD
                              "move this hold to the beginning of \"rules\", where it may "
                              "have %.*s",
                              SP_FMT(sp_buf_bytes(&members)));
    else
        tell_rule(l, v, r, sp_buf_bytes(&members));
    sp_buf_clear(&members);
}

/* Guards may tag, raise, hold or reject, and say who hears of it. */
static void check_guard(struct sp_loader *l, const struct sp_json *v, const struct sp_rule *r)
{
    if (r->then.has_verb && r->then.verb != SP_DO_REJECT && r->then.verb != SP_DO_HOLD)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "a guard may tag, raise, hold or reject: put this under \"rules\"");
    if (r->is_certain)
        sp_policy_loader_idle(
            l, v, SP_E_POLICY_INVALID,
            "a guard holds in doubt, too: put a rule that is \"certain\" under \"rules\"");
    if (foreign_members(v, NULL) > 0)
        tell_instead(l, v, r);
}

static void load_rule(struct sp_loader *l, const struct sp_json *v,
                      const struct sp_policy_layer *layer, const char *section)
{
    struct sp_rule *r = new_rule(l, v, layer, section);
    const struct sp_json *m;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, rule_keys);
    load_name(l, v, r);
    if ((m = sp_json_find(v, "continue")) != NULL)
        sp_policy_loader_bool(l, m, &r->is_continue);
    if ((m = sp_json_find(v, "whole_message")) != NULL)
        sp_policy_loader_bool(l, m, &r->whole_message);
    if ((m = sp_json_find(v, "certain")) != NULL)
        sp_policy_loader_bool(l, m, &r->is_certain);
    if ((m = sp_json_find(v, "from")) != NULL)
        sp_policy_loader_date(l, m, &r->from_ms);
    if ((m = sp_json_find(v, "until")) != NULL)
        sp_policy_loader_date(l, m, &r->until_ms);
    if ((m = sp_json_find(v, "when")) != NULL)
        sp_policy_load_cond(l, m, &r->cond);
    if ((m = sp_json_find(v, "then")) != NULL) {
        sp_policy_load_outcome(l, m, r);
        sp_policy_load_check_idle(l, m, r);
    } else {
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "\"then\" is missing");
    }
    if (section[0] == 'g')
        check_guard(l, v, r);
    if (r->whole_message &&
        (!r->then.has_verb || (r->then.verb != SP_DO_REJECT && r->then.verb != SP_DO_HOLD)))
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              "\"whole_message\" goes with reject and hold only");
    if (r->is_continue && r->then.lowers != NULL)
        sp_policy_loader_idle(
            l, v, SP_E_POLICY_INVALID,
            "a rule that continues lowers nothing: say \"lowers\" in the one that decides");
    if (r->from_ms >= r->until_ms)
        sp_problem_warn(l->problems, v, "never asked: it ends before it begins");
}

static const struct sp_json *find_rule(const struct sp_json *all, struct sp_bytes name)
{
    for (const struct sp_json *v = all == NULL ? NULL : all->first; v != NULL; v = v->next)
        if (name.len > 0 && sp_bytes_eq(sp_json_text_of(v, "rule"), name))
            return v;
    return NULL;
}

/* Whether a file that extends this layer has a rule of the same name in the same section; says so there. */
static bool is_replaced(const struct sp_loader *l, const struct sp_policy_layer *layer,
                        const char *section, const struct sp_json *v)
{
    const struct sp_policy *p = l->policy;
    const struct sp_json *found = NULL;

    for (size_t i = (size_t)(layer - p->layers) + 1; i < p->layer_count && found == NULL; i++)
        if (!p->layers[i].is_scoped)
            found = find_rule(sp_json_find(p->layers[i].root, section), sp_json_text_of(v, "rule"));
    if (found != NULL && l->root == NULL)
        sp_problem_warn(l->problems, found,
                        "replaces the rule \"%.*s\" in %s:%u, which is not asked any more",
                        SP_FMT(sp_json_text_of(v, "rule")), layer->file, v->line);
    return found != NULL;
}

static void load_section(struct sp_loader *l, const struct sp_policy_layer *layer,
                         const char *section)
{
    const struct sp_json *all = sp_json_find(layer->root, section);

    if (all == NULL || !sp_policy_loader_type(l, all, SP_JSON_ARRAY))
        return;
    for (const struct sp_json *v = all->first; v != NULL; v = v->next)
        if (!is_replaced(l, layer, section, v))
            load_rule(l, v, layer, section);
}

static void load_default(struct sp_loader *l)
{
    struct sp_policy *p = l->policy;

    for (size_t i = p->layer_count; i-- > 0;) {
        const struct sp_json *v = sp_json_find(p->layers[i].root, "default");

        if (v == NULL)
            continue;
        if (p->rule_count > 0 && strcmp(p->rules[p->rule_count - 1].name, "default") == 0)
            continue; /* a nearer one is there */
        new_rule(l, v, &p->layers[i], "default")->name = "default";
        sp_policy_load_outcome(l, v, &p->rules[p->rule_count - 1]);
        sp_policy_load_check_idle(l, v, &p->rules[p->rule_count - 1]);
    }
    if (p->rule_count == 0 || strcmp(p->rules[p->rule_count - 1].name, "default") != 0)
        sp_problem(l->problems, p->layers[p->layer_count - 1].root, SP_E_CONFIG_MISSING,
                   "\"default\" is missing: what happens to mail that no rule matches");
}

static size_t count_rules(const struct sp_policy *p)
{
    size_t n = 1;

    for (size_t i = 0; i < p->layer_count; i++) {
        const struct sp_json *guards = sp_json_find(p->layers[i].root, "guards");
        const struct sp_json *rules = sp_json_find(p->layers[i].root, "rules");

        n += guards == NULL ? 0 : guards->count;
        n += rules == NULL ? 0 : rules->count;
    }
    return n;
}

void sp_policy_load_rules(struct sp_loader *l)
{
    struct sp_policy *p = l->policy;

    p->rules = sp_arena_alloc(p->arena, (count_rules(p) + 1) * sizeof(*p->rules));
    for (size_t i = 0; i < p->layer_count; i++)
        load_section(l, &p->layers[i], "guards");
    for (size_t i = p->layer_count; i-- > 0;)
        load_section(l, &p->layers[i], "rules");
    load_default(l);
    p->default_floor = SP_FLOOR_COUNT;
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *r = &p->rules[i];

        if (r->cond.stage > p->last_stage)
            p->last_stage = r->cond.stage;
        if (r->then.notice.len > 0 || r->then.footer.len > 0)
            p->last_stage = SP_STAGE_CONTENT; /* what is signed or sealed takes no text */
        if (strcmp(r->name, "default") == 0 && r->then.has_verb && r->then.verb == SP_DO_PROTECT &&
            r->then.ladder != NULL)
            p->default_floor = r->then.ladder->floor;
    }
}
