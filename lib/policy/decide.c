/*
 * First match decides. Guards come first, then rules, then the default, in the order that loading has fixed. What a rule
 * says beside its verb gathers on the way; the floor is worked out at the end, when every raise has spoken: it is the
 * highest of the settings' floor, the raises and the ladder's own. Only a rule that says why may go below the settings'
 * floor, and never below a raise. A hold that is taken in doubt is not the last word on the floor: who releases it may not
 * know of the rule that would have decided.
 */
#include "policy/policy_priv.h"

static void add_name(struct sp_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0)
            return;
    if (names->count < SP_DECISION_NAMES_MAX)
        names->names[names->count++] = name;
}

bool sp_policy_rule_is_on(const struct sp_rule *r, const struct sp_facts *f)
{
    const struct sp_scope *s = &r->layer->scope;
    const struct sp_fact_value *v = f->values;

    if (f->now_ms != 0 && (f->now_ms < r->from_ms || f->now_ms >= r->until_ms))
        return false;
    if (s->tenant.len > 0 && v[SP_FACT_TENANT].state == SP_FACT_KNOWN &&
        !sp_bytes_eq_nocase(s->tenant, v[SP_FACT_TENANT].text))
        return false;
    if (s->domain.len > 0 && !sp_bytes_eq_nocase(s->domain, v[SP_FACT_SENDER_DOMAIN].text))
        return false;
    return s->user.len == 0 || sp_bytes_eq_nocase(s->user, v[SP_FACT_SENDER_ADDRESS].text);
}

bool sp_policy_rule_takes_unknown(const struct sp_policy *p, const struct sp_rule *r)
{
    const struct sp_outcome *then = &r->then;

    if (then->lowers != NULL || r->is_certain)
        return false;
    return !(then->has_verb && then->verb == SP_DO_PROTECT &&
             then->ladder->floor <= p->default_floor);
}

void sp_decision_begin(const struct sp_policy *p, const struct sp_facts *f, struct sp_decision *out)
{
    const struct sp_fact_value *sealed = &f->values[SP_FACT_MESSAGE_SEALED];

    memset(out, 0, sizeof(*out));
    out->rule = "scope";
    out->verb = SP_DO_REJECT;
    out->text = SP_LIT("No policy covers this sender.");
    out->text_name = "";
    out->hold.by = "";
    out->lane = out->route = out->redirect = out->smime_cipher = "";
    out->expire_ms = p->expire_ms;
    out->has_expire = p->has_expire;
    out->portal = p->portal;
    out->language = f->language;
    out->is_closed = sealed->state != SP_FACT_KNOWN || sealed->number != SP_SEALED_NONE;
    out->is_sealed = sealed->state == SP_FACT_KNOWN &&
                     (sealed->number == SP_SEALED_SMIME || sealed->number == SP_SEALED_PGP);
}

/* A field that is taken out is so once, whoever asks for it. */
static void add_edit(struct sp_decision *out, const struct sp_header_edit *edit)
{
    struct sp_edits *e = &out->edits;

    for (size_t i = 0; i < e->header_count && edit->value == NULL && out->language >= 3; i++)
        if (e->headers[i]->value == NULL &&
            sp_bytes_eq_nocase(sp_bytes_cstr(e->headers[i]->name), sp_bytes_cstr(edit->name)))
            return;
    if (e->header_count < SP_DECISION_NAMES_MAX)
        e->headers[e->header_count++] = edit;
}

/* The first rule that names a way has it: those behind it only gather copies. */
static void apply_ways(const struct sp_outcome *then, struct sp_decision *out)
{
    for (size_t i = 0; i < then->copy_count; i++)
        add_name(&out->copies, then->copies[i]);
    if (then->lane != NULL && out->lane[0] == 0)
        out->lane = then->lane;
    if (then->smime_cipher != NULL && out->smime_cipher[0] == 0)
        out->smime_cipher = then->smime_cipher;
    if (then->route != NULL && out->route[0] == 0)
        out->route = then->route;
    if (then->redirect != NULL && out->redirect[0] == 0)
        out->redirect = then->redirect;
}

void sp_decision_apply(const struct sp_rule *r, struct sp_decision *out)
{
    const struct sp_outcome *then = &r->then;
    struct sp_edits *e = &out->edits;

    if (then->has_raise) {
        add_name(&out->raised_by, r->name);
        out->floor = then->raise > out->floor ? then->raise : out->floor;
    }
    for (size_t i = 0; i < then->tag_count; i++)
        add_name(&out->tags, then->tags[i]);
    for (size_t i = 0; i < then->header_count; i++)
        add_edit(out, &then->headers[i]);
    e->strip_subject_tag = e->strip_subject_tag || then->strip_subject_tag;
    if (then->protect_subject != NULL)
        e->protect_subject = then->protect_subject;
    if (then->notice.len > 0)
        e->notice = then->notice;
    if (then->footer.len > 0)
        e->footer = then->footer;
    apply_ways(then, out);
    if (then->has_expire) {
        out->expire_ms = then->expire_ms;
        out->has_expire = true;
    }
    if (then->has_portal)
        out->portal = then->portal;
    out->notify |= then->notify;
    out->whole_message = out->whole_message || r->whole_message;
    if (r->is_continue)
        add_name(&out->continued, r->name);
}

/* Beside the message, where the portal shows it, or into it. What is there stays. */
static void put_notice(struct sp_decision *out, struct sp_bytes notice)
{
    struct sp_bytes *at = out->is_closed ? &out->page_notice : &out->edits.notice;

    if (at->len == 0 && (!out->is_closed || out->language >= 2))
        *at = notice;
}

void sp_decision_end(const struct sp_policy *p, const struct sp_rule *by, struct sp_decision *out)
{
    const struct sp_outcome *then = &by->then;
    enum sp_floor least = then->lowers != NULL ? SP_FLOOR_PLAIN : p->floor;

    out->verb = then->verb;
    out->rule = by->name;
    out->stage = by->cond.stage;
    out->ladder = then->ladder;
    out->lowers = then->lowers;
    out->text = then->text;
    out->text_name = then->text_name;
    out->hold = then->hold;
    out->floor = out->floor > least ? out->floor : least;
    if (then->ladder != NULL && then->ladder->floor > out->floor)
        out->floor = then->ladder->floor;
    if (out->lowers != NULL && out->floor >= p->floor)
        out->lowers = NULL; /* it was allowed to go lower and did not */
    if (out->is_closed) {   /* what is signed or sealed takes header edits only */
        put_notice(out, out->edits.notice);
        out->edits.notice = out->edits.footer = sp_bytes(NULL, 0);
    }
}

/* What a rule asks that would decide, or gather, if the hold did not: to be no worse off by the doubt. */
static void heed(const struct sp_rule *r, struct sp_decision *out)
{
    const struct sp_outcome *then = &r->then;

    if (then->has_raise) {
        add_name(&out->raised_by, r->name);
        out->floor = then->raise > out->floor ? then->raise : out->floor;
    }
    put_notice(out, then->notice);
    if (then->ladder == NULL)
        return;
    if (then->ladder->floor > out->ladder->floor)
        out->ladder = then->ladder;
    out->floor = out->ladder->floor > out->floor ? out->ladder->floor : out->floor;
}

bool sp_decision_take(struct sp_decision_walk *w, const struct sp_rule *r, bool in_doubt)
{
    bool is_hold = r->then.has_verb && r->then.verb == SP_DO_HOLD;
    bool is_reject = r->then.has_verb && r->then.verb == SP_DO_REJECT;
    bool goes_on = in_doubt && is_hold && w->language >= 2;

    if (w->held != NULL && !(is_reject && !in_doubt)) {
        heed(r, w->out);
        return !r->is_continue && !goes_on && !is_reject; /* one in doubt may not be it either */
    }
    sp_decision_apply(r, w->out);
    if (r->is_continue)
        return false;
    sp_decision_end(w->p, r, w->out);
    w->held = goes_on ? r : NULL;
    return !goes_on;
}

void sp_policy_decide(const struct sp_policy *p, const struct sp_facts *facts,
                      struct sp_decision *out)
{
    struct sp_decision_walk walk = {.language = facts->language, .out = out};

    walk.p = p = sp_policy_of_facts(p, facts);
    sp_decision_begin(p, facts, out);
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *r = &p->rules[i];
        enum sp_tri t;

        if (!sp_policy_rule_is_on(r, facts))
            continue;
        t = sp_policy_cond_eval(&r->cond, facts, NULL, NULL);
        if (t == SP_TRI_FALSE || (t == SP_TRI_UNKNOWN && !sp_policy_rule_takes_unknown(p, r)))
            continue;
        if (sp_decision_take(&walk, r, t == SP_TRI_UNKNOWN))
            return;
    }
}

/*
 * The rule that has the last word is found. open: one before it that continues may still speak.
 *
 * returns: whether what is made holds, whatever the rest of the message says
 */
static bool end_early(const struct sp_policy *p, const struct sp_rule *r,
                      const struct sp_facts *facts, bool open, struct sp_decision *made)
{
    bool adds_text = made->edits.notice.len > 0 || made->edits.footer.len > 0;

    sp_decision_end(p, r, made);
    if (adds_text && facts->values[SP_FACT_MESSAGE_SEALED].state == SP_FACT_PENDING)
        return false; /* whether it takes one is not known yet */
    return !open || made->verb == SP_DO_REJECT || made->verb == SP_DO_DISCARD;
}

bool sp_policy_decide_envelope(const struct sp_policy *p, const struct sp_facts *facts,
                               struct sp_decision *out)
{
    struct sp_decision made;
    bool open = false; /* a rule that continues may still speak */

    p = sp_policy_of_facts(p, facts);
    sp_decision_begin(p, facts, &made);
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *r = &p->rules[i];
        bool pending = false;
        enum sp_tri t;

        if (!sp_policy_rule_is_on(r, facts))
            continue;
        t = sp_policy_cond_eval(&r->cond, facts, &pending, NULL);
        if (t == SP_TRI_UNKNOWN && pending && !r->is_continue)
            return false;
        if (t == SP_TRI_UNKNOWN && pending) {
            open = true;
            continue;
        }
        if (t == SP_TRI_FALSE || (t == SP_TRI_UNKNOWN && !sp_policy_rule_takes_unknown(p, r)))
            continue;
        if (t == SP_TRI_UNKNOWN && r->then.has_verb && r->then.verb == SP_DO_HOLD)
            return false; /* the rules behind it are heard when all is there */
        sp_decision_apply(r, &made);
        if (r->is_continue)
            continue;
        if (!end_early(p, r, facts, open, &made))
            return false;
        *out = made;
        return true;
    }
    *out = made;
    return true;
}

const char *sp_policy_hash(const struct sp_policy *p)
{
    return p->hash;
}

const char *sp_policy_rules_hash(const struct sp_policy *p)
{
    return p->rules_hash;
}

struct sp_bytes sp_policy_canonical(const struct sp_policy *p)
{
    return p->canonical;
}

bool sp_policy_asks_content(const struct sp_policy *p)
{
    return p->last_stage == SP_STAGE_CONTENT;
}

enum sp_stage sp_policy_last_stage(const struct sp_policy *p)
{
    return p->last_stage;
}

const char *sp_policy_dkim_selector(const struct sp_policy *p)
{
    return p->dkim_selector;
}

const char *sp_policy_timezone(const struct sp_policy *p)
{
    return p->timezone;
}

enum sp_floor sp_policy_floor(const struct sp_policy *p)
{
    return p->floor;
}

enum sp_floor sp_policy_report_floor(const struct sp_policy *p)
{
    return p->report_floor;
}

int64_t sp_policy_expire_ms(const struct sp_policy *p, int64_t otherwise_ms)
{
    return p->has_expire ? p->expire_ms : otherwise_ms;
}

const struct sp_portal_options *sp_policy_portal(const struct sp_policy *p)
{
    return &p->portal;
}
