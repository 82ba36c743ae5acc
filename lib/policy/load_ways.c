/*
 * Where a copy goes, and what is added to it. Addresses are written out, since a rule that sends mail elsewhere should say
 * where; a route is a name, since hosts belong to the gateway's settings and not to a policy. A guard may do none of it.
 */
#include "mail/idn.h"
#include "policy/load_priv.h"

static const char *const smime_keys[] = {"cipher", NULL};
static const char *const cipher_names[] = {"aes-256-gcm", "aes-256-cbc", NULL};
static const char *const lane_names[] = {"urgent", "bulk", NULL};

static bool load_address(struct sp_loader *l, const struct sp_json *v, const char **out)
{
    struct sp_buf text;
    bool ok;

    sp_buf_init(&text, SP_ADDRESS_MAX);
    ok = v->type == SP_JSON_TEXT && sp_address_normalise(v->text, &text) == SP_OK;
    if (ok)
        *out = sp_arena_cstr(l->policy->arena, sp_buf_bytes(&text));
    else
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "expected an address like archive@example.org");
    sp_buf_clear(&text);
    return ok;
}

/* returns: whether the address behind the last copy is one of them */
static bool is_there(const struct sp_outcome *out)
{
    for (size_t i = 0; i < out->copy_count; i++)
        if (strcmp(out->copies[i], out->copies[out->copy_count]) == 0)
            return true;
    return false;
}

/* One address, or an array of them. */
static void load_copies(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    out->copies = sp_arena_alloc(l->policy->arena, (v->count + 1) * sizeof(char *));
    if (v->type != SP_JSON_ARRAY) {
        out->copy_count = load_address(l, v, &out->copies[0]);
        return;
    }
    for (const struct sp_json *i = v->first; i != NULL; i = i->next)
        if (load_address(l, i, &out->copies[out->copy_count]) && !is_there(out))
            out->copy_count++;
    if (out->copy_count > SP_DECISION_NAMES_MAX)
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE, "at most %d copies", SP_DECISION_NAMES_MAX);
}

static void load_added(struct sp_loader *l, const struct sp_json *v, struct sp_bytes *text,
                       const char **name)
{
    if (!sp_policy_load_text(l, v, text))
        return;
    *name = sp_arena_cstr(l->policy->arena, v->text);
    if (text->len == 0 || text->len > SP_POLICY_ADDED_MAX)
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE,
                   "a text that is put into messages has 1 to %d bytes", SP_POLICY_ADDED_MAX);
}

/* {"cipher": "aes-256-gcm"} */
static void load_smime(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    const struct sp_json *cipher = sp_json_find(v, "cipher");
    int word;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, smime_keys);
    if (cipher == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "\"cipher\" is missing");
    else if ((word = sp_policy_loader_word(l, cipher, cipher_names, "cipher")) >= 0)
        out->smime_cipher = cipher_names[word];
}

void sp_policy_load_ways(struct sp_loader *l, const struct sp_json *then, struct sp_outcome *out)
{
    const struct sp_json *v;
    int lane;

    if ((v = sp_json_find(then, "notice")) != NULL)
        load_added(l, v, &out->notice, &out->notice_name);
    if ((v = sp_json_find(then, "footer")) != NULL)
        load_added(l, v, &out->footer, &out->footer_name);
    if ((v = sp_json_find(then, "copy")) != NULL)
        load_copies(l, v, out);
    if ((v = sp_json_find(then, "redirect")) != NULL)
        load_address(l, v, &out->redirect);
    if ((v = sp_json_find(then, "route")) != NULL && sp_policy_loader_text(l, v, &out->route) &&
        !sp_policy_loader_is_name(v->text))
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "expected a name that stands in delivery.routes of sallyport.json");
    if ((v = sp_json_find(then, "smime")) != NULL)
        load_smime(l, v, out);
    if ((v = sp_json_find(then, "lane")) != NULL &&
        (lane = sp_policy_loader_word(l, v, lane_names, "lane")) >= 0)
        out->lane = lane_names[lane];
}

/* Rules of the root first, then those of each scope. */
static const char *route_of(const struct sp_rule *r)
{
    return r->then.route;
}

static const char *hold_group_of(const struct sp_rule *r)
{
    bool is_hold = r->then.has_verb && r->then.verb == SP_DO_HOLD;

    return is_hold && r->then.hold.by[0] != 0 ? r->then.hold.by : NULL;
}

/* Walks the rules of all scopes. of: what is asked for; NULL: the rule has none */
static const char *next_name(const struct sp_policy *p, const char *(*of)(const struct sp_rule *r),
                             size_t *at)
{
    size_t skip = *at;

    for (size_t i = 0; i <= p->scoped_count; i++) {
        const struct sp_policy *view = i == 0 ? p : p->views[i - 1];

        for (size_t k = 0; k < view->rule_count; k++) {
            if (of(&view->rules[k]) == NULL || skip-- > 0)
                continue;
            (*at)++;
            return of(&view->rules[k]);
        }
    }
    return NULL;
}

const char *sp_policy_route_next(const struct sp_policy *p, size_t *at)
{
    return next_name(p, route_of, at);
}

const char *sp_policy_hold_group_next(const struct sp_policy *p, size_t *at)
{
    return next_name(p, hold_group_of, at);
}
