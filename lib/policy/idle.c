/*
 * Words of an outcome that never act: members that are empty, what is said of mail that goes nowhere, and options of a way that the
 * rule's ladder does not have. A hold is another matter: where it is taken in doubt, the ladder may be that of a rule behind it,
 * with the hold's own options.
 */
#include "policy/load_priv.h"

/*
 * What is read of mail that is refused or dropped: its verb, what stands in the audit, and who is told by "whole_message". A floor
 * and a notice are heeded where a hold before it was taken in doubt.
 */
static const char *const of_mail_that_goes[] = {"header", "subject", "footer", "expire",
                                                "portal", "notify",  "copy",   "redirect",
                                                "route",  "lane",    "smime",  NULL};

static bool is_false(const struct sp_json *v)
{
    return v->type == SP_JSON_BOOL && v->integer == 0;
}

/* returns: whether a member gives nothing: an empty array or object, or one of such members */
static bool is_empty(const struct sp_json *v)
{
    if (v->type != SP_JSON_ARRAY && v->type != SP_JSON_OBJECT)
        return false;
    for (const struct sp_json *m = v->first; m != NULL; m = m->next)
        if (v->type == SP_JSON_ARRAY ||
            (!is_false(m) &&
             !((m->type == SP_JSON_ARRAY || m->type == SP_JSON_OBJECT) && m->count == 0)))
            return false;
    return true;
}

/* In a portal's options an empty array and a false take back what the settings say. */
static void check_empty(struct sp_loader *l, const struct sp_json *then)
{
    static const char *const names[] = {"tags", "header", "subject", "notify", "copy"};
    const struct sp_json *raise = sp_json_find(then, "raise");

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        const struct sp_json *m = sp_json_find(then, names[i]);

        if (m != NULL && is_empty(m))
            sp_policy_loader_idle(l, m, SP_E_POLICY_INVALID,
                                  "this does nothing: say what, or take it out");
    }
    if (raise != NULL && raise->type == SP_JSON_TEXT &&
        sp_bytes_eq(raise->text, sp_bytes_cstr(sp_floor_name(SP_FLOOR_PLAIN))))
        sp_policy_loader_idle(l, raise, SP_E_POLICY_INVALID,
                              "this raises nothing: \"plain\" is the lowest floor");
}

static void check_goes_nowhere(struct sp_loader *l, const struct sp_json *then,
                               const struct sp_rule *r)
{
    for (size_t i = 0; of_mail_that_goes[i] != NULL; i++) {
        const struct sp_json *m = sp_json_find(then, of_mail_that_goes[i]);

        if (m != NULL)
            sp_policy_loader_idle(l, m, SP_E_POLICY_INVALID,
                                  "mail that is %s goes nowhere: take this out",
                                  r->then.verb == SP_DO_REJECT ? "refused" : "discarded");
    }
}

static bool has_rung(const struct sp_rule *r, enum sp_rung rung)
{
    for (size_t i = 0; i < r->then.ladder->count; i++)
        if (r->then.ladder->rungs[i].rung == rung)
            return true;
    return false;
}

static void check_notify(struct sp_loader *l, const struct sp_json *then)
{
    const struct sp_json *sender = sp_json_find(sp_json_find(then, "notify"), "sender");

    for (const struct sp_json *m = sender == NULL ? NULL : sender->first; m != NULL; m = m->next)
        if (m->type == SP_JSON_TEXT && !sp_bytes_eq(m->text, SP_LIT("late")))
            sp_policy_loader_idle(l, m, SP_E_POLICY_INVALID,
                                  "nobody hears of it: the ladder has no rung \"portal\"");
}

/* The ladder of a rule that protects is the one that its mail takes. */
static void check_ladder(struct sp_loader *l, const struct sp_json *then, const struct sp_rule *r)
{
    const struct sp_json *m;

    if (!has_rung(r, SP_RUNG_PORTAL)) {
        if ((m = sp_json_find(then, "portal")) != NULL)
            sp_policy_loader_idle(l, m, SP_E_POLICY_INVALID,
                                  "this does nothing: the ladder has no rung \"portal\"");
        check_notify(l, then);
    }
    if ((m = sp_json_find(then, "smime")) != NULL && !has_rung(r, SP_RUNG_SMIME))
        sp_policy_loader_idle(l, m, SP_E_POLICY_INVALID,
                              "this does nothing: the ladder has no rung \"smime\"");
}

/* A nearer layer may have put another ladder in the place of the one that the rule's author knew. */
static bool knows_ladder(const struct sp_loader *l, const struct sp_json *then,
                         const struct sp_rule *r)
{
    const char *name = r->then.ladder->name;

    return name[0] == 0 ||
           sp_policy_loader_knows(l, then, "ladders",
                                  sp_policy_loader_find(l, "ladders", sp_bytes_cstr(name)));
}

/* What is brought to mind after the package has gone is never sent. */
static void check_remind(struct sp_loader *l, const struct sp_json *then, const struct sp_rule *r)
{
    const struct sp_json *portal = sp_json_find(then, "portal");
    const struct sp_json *m = sp_json_find(portal, "remind");
    const struct sp_portal_options *o = &r->then.portal;

    for (size_t i = 0; m != NULL && i < SP_ARRAY_LEN(o->remind_ms); i++)
        if (o->remind_ms[i] >= o->expires_ms && sp_json_find(portal, "expires") == NULL)
            sp_problem_warn(l->problems, m, /* a nearer layer may have set the end */
                            "a reminder comes before the package goes, by \"expires\"");
        else if (o->remind_ms[i] >= o->expires_ms)
            sp_policy_loader_idle(l, m, SP_E_CONFIG_RANGE,
                                  "a reminder comes before the package goes, by \"expires\"");
}

void sp_policy_load_check_idle(struct sp_loader *l, const struct sp_json *then,
                               const struct sp_rule *r)
{
    if (then->type != SP_JSON_OBJECT)
        return;
    if (then->count == 0 && r->is_continue)
        sp_policy_loader_idle(l, then, SP_E_POLICY_INVALID,
                              "this rule does nothing: say what, or take it out");
    check_empty(l, then);
    check_remind(l, then, r);
    if (r->section[0] == 'g' || !r->then.has_verb)
        return; /* a guard is told what it may not say */
    if (r->then.verb == SP_DO_REJECT || r->then.verb == SP_DO_DISCARD)
        check_goes_nowhere(l, then, r);
    if (r->then.verb == SP_DO_PROTECT && r->then.ladder != NULL && knows_ladder(l, then, r))
        check_ladder(l, then, r);
}
