/*
 * What a rule does: its verb and all that may stand beside it. Words of the language that this version cannot carry out
 * are errors that say so; a rule that is believed to work and does not would be worse than none.
 */
#include "policy/load_priv.h"

static const char *const then_keys[] = {"protect",  "reject", "hold",    "discard", "raise",
                                        "tags",     "header", "subject", "notice",  "expire",
                                        "portal",   "notify", "lowers",  "footer",  "copy",
                                        "redirect", "route",  "lane",    "smime",   NULL};
static const char *const hold_keys[] = {"for", "by", "within", "otherwise", "protect", NULL};
static const char *const hold_names[] = {"approval", "quarantine", "delay", NULL};
static const char *const otherwise_names[] = {"return", "protect", NULL};
static const char *const notify_names[] = {"portal", "late", "unread", NULL};

bool sp_policy_load_text(struct sp_loader *l, const struct sp_json *v, struct sp_bytes *out)
{
    static const char *const keys[] = {"file", NULL};
    const struct sp_json *text, *file;

    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return false;
    text = sp_policy_loader_find(l, "texts", v->text);
    if (text == NULL) {
        sp_policy_loader_unknown(l, v, "texts", v->text);
        return false;
    }
    sp_policy_loader_use(l, text);
    if (text->type == SP_JSON_TEXT) {
        *out = sp_arena_copy(l->policy->arena, text->text);
        return true;
    }
    if (text->type != SP_JSON_OBJECT) /* what it is was told with its layer */
        return false;
    sp_policy_loader_keys(l, text, keys);
    file = sp_json_find(text, "file");
    if (file == NULL) {
        sp_problem(l->problems, text, SP_E_CONFIG_MISSING, "expected a text, or {\"file\": ...}");
        return false;
    }
    if (!sp_policy_loader_type(l, file, SP_JSON_TEXT) ||
        !sp_policy_loader_read(l, file, file->text, out))
        return false;
    *out = sp_arena_copy(l->policy->arena, sp_bytes_trim(*out));
    return true;
}

/* The text of a reject goes into a reply line. */
static void load_reject(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    if (!sp_policy_load_text(l, v, &out->text))
        return;
    out->text_name = sp_arena_cstr(l->policy->arena, v->text);
    for (size_t i = 0; i < out->text.len; i++) {
        if (out->text.ptr[i] < ' ' || out->text.ptr[i] > '~') {
            sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                       "the text of a reject is one line of ASCII: it stands in an SMTP reply");
            return;
        }
    }
    if (out->text.len > 400)
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE,
                   "the text of a reject has at most 400 letters");
}

static void load_by(struct sp_loader *l, const struct sp_json *v)
{
    const struct sp_json *group = sp_policy_loader_find(l, "groups", v->text);

    if (group == NULL)
        sp_policy_loader_unknown(l, v, "groups", v->text);
    else
        sp_policy_loader_use(l, group);
}

static void load_hold(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    const struct sp_json *kind, *m;
    int word = 0;

    out->hold.by = "";
    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, hold_keys);
    kind = sp_json_find(v, "for");
    if (kind == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING,
                   "\"for\" is missing: approval, quarantine or delay");
    else
        word = sp_policy_loader_word(l, kind, hold_names, "hold");
    if (word > 0)
        out->hold.kind = (enum sp_hold_for)word;
    if ((m = sp_json_find(v, "by")) != NULL && sp_policy_loader_text(l, m, &out->hold.by))
        load_by(l, m);
    out->hold.otherwise_protect = out->hold.kind == SP_HOLD_DELAY; /* it waits for nobody */
    if ((m = sp_json_find(v, "otherwise")) != NULL)
        out->hold.otherwise_protect = sp_policy_loader_word(l, m, otherwise_names, "way on") == 1;
    if ((m = sp_json_find(v, "within")) != NULL)
        sp_policy_loader_span(l, m, &out->hold.within_ms);
    else if (out->hold.kind == SP_HOLD_DELAY || out->hold.otherwise_protect)
        sp_policy_loader_idle(
            l, v, SP_E_CONFIG_MISSING,
            "\"within\" is missing: without it such mail waits until somebody releases it");
    m = sp_json_find(v, "protect");
    if (m == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING,
                   "\"protect\" is missing: the ladder for mail that is released");
    else
        out->ladder = sp_policy_load_ladder(l, m);
}

static void load_discard(struct sp_loader *l, const struct sp_json *v, struct sp_rule *rule)
{
    static const int64_t machine_kinds = 1 << 1 | 1 << 2 | 1 << 3; /* auto-reply dsn mdn */
    bool ok = false;

    if (sp_policy_loader_type(l, v, SP_JSON_TEXT))
        rule->then.text = sp_arena_copy(l->policy->arena, v->text);
    for (size_t i = 0; i < rule->cond.test_count; i++) {
        const struct sp_policy_test *t = &rule->cond.tests[i];
        bool here = t->fact == SP_FACT_MESSAGE_KIND && t->op == SP_TEST_EQUALS;

        for (size_t k = 0; here && k < t->count; k++)
            here = (machine_kinds >> t->numbers[k] & 1) != 0;
        ok = ok || here;
    }
    for (size_t i = 0; i < rule->cond.step_count; i++)
        ok = ok && rule->cond.steps[i].op != SP_COND_ANY && rule->cond.steps[i].op != SP_COND_NOT;
    if (!ok)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "discard is for machines' mail only: ask for \"message.kind\": [\"auto-reply\", "
                   "\"dsn\", \"mdn\"], outside of any and not");
}

static void load_verb(struct sp_loader *l, const struct sp_json *then, struct sp_rule *rule)
{
    static const char *const verbs[] = {"protect", "reject", "hold", "discard"};
    struct sp_outcome *out = &rule->then;
    size_t found = 0;

    for (int i = 0; i < 4; i++) {
        const struct sp_json *v = sp_json_find(then, verbs[i]);

        if (v == NULL)
            continue;
        found++;
        out->has_verb = true;
        out->verb = (enum sp_do)i;
        if (i == SP_DO_PROTECT)
            out->ladder = sp_policy_load_ladder(l, v);
        else if (i == SP_DO_REJECT)
            load_reject(l, v, out);
        else if (i == SP_DO_HOLD)
            load_hold(l, v, out);
        else
            load_discard(l, v, rule);
    }
    if (found > 1 || (found == 0 && !rule->is_continue))
        sp_problem(l->problems, then, SP_E_POLICY_INVALID,
                   "expected exactly one of protect, reject, hold, discard%s",
                   found == 0 ? ", or \"continue\": true beside \"then\"" : "");
    if (found > 0 && rule->is_continue)
        sp_problem(l->problems, then, SP_E_POLICY_INVALID,
                   "a rule that continues decides nothing: take %s or \"continue\" out",
                   sp_do_name(out->verb));
}

static void load_tags(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    if (!sp_policy_loader_type(l, v, SP_JSON_ARRAY))
        return;
    if (v->count > SP_DECISION_NAMES_MAX)
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE, "at most %d tags", SP_DECISION_NAMES_MAX);
    out->tags = sp_arena_alloc(l->policy->arena, (v->count + 1) * sizeof(char *));
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || !sp_policy_loader_is_name(i->text))
            sp_problem(l->problems, i, SP_E_POLICY_INVALID,
                       "a tag is made of a to z, 0 to 9 and hyphens");
        else
            sp_policy_loader_text(l, i, &out->tags[out->tag_count++]);
    }
}

static bool is_field_name(struct sp_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
            return false;
    return name.len > 0 && name.len <= 76;
}

static void add_header(struct sp_loader *l, const struct sp_json *at, struct sp_bytes name,
                       const struct sp_json *value, struct sp_outcome *out)
{
    struct sp_header_edit *e = &out->headers[out->header_count];

    if (!is_field_name(name)) {
        sp_problem(l->problems, at, SP_E_POLICY_INVALID, "expected the name of a header field");
        return;
    }
    e->name = sp_arena_cstr(l->policy->arena, name);
    e->value = NULL;
    if (value != NULL && !sp_policy_loader_text(l, value, &e->value))
        return;
    for (const char *c = e->value; c != NULL && *c != 0; c++) {
        if (*c < ' ' || *c > '~') {
            sp_problem(l->problems, value, SP_E_POLICY_INVALID, "expected one line of ASCII");
            return;
        }
    }
    out->header_count++;
}

static void load_header(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    static const char *const keys[] = {"add", "strip", NULL};
    const struct sp_json *add, *strip;
    size_t room = 1;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, keys);
    add = sp_json_find(v, "add");
    strip = sp_json_find(v, "strip");
    room += add == NULL ? 0 : add->count;
    room += strip == NULL ? 0 : strip->count;
    out->headers = sp_arena_alloc(l->policy->arena, room * sizeof(*out->headers));
    if (add != NULL && sp_policy_loader_type(l, add, SP_JSON_OBJECT))
        for (const struct sp_json *m = add->first; m != NULL; m = m->next)
            add_header(l, m, m->key, m, out);
    if (strip != NULL && sp_policy_loader_type(l, strip, SP_JSON_ARRAY))
        for (const struct sp_json *m = strip->first; m != NULL; m = m->next)
            add_header(l, m, m->text, NULL, out);
}

static void load_subject(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    static const char *const keys[] = {"strip_tag", "protect", NULL};
    const struct sp_json *m;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, keys);
    if ((m = sp_json_find(v, "strip_tag")) != NULL)
        sp_policy_loader_bool(l, m, &out->strip_subject_tag);
    if ((m = sp_json_find(v, "protect")) != NULL)
        sp_policy_loader_text(l, m, &out->protect_subject);
}

static void load_notify(struct sp_loader *l, const struct sp_json *v, struct sp_outcome *out)
{
    static const char *const keys[] = {"sender", NULL};
    const struct sp_json *sender;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, keys);
    sender = sp_json_find(v, "sender");
    if (sender == NULL || !sp_policy_loader_type(l, sender, SP_JSON_ARRAY))
        return;
    for (const struct sp_json *i = sender->first; i != NULL; i = i->next) {
        int word = sp_policy_loader_word(l, i, notify_names, "notice to the sender");

        if (word >= 0)
            out->notify |= 1U << word;
    }
}

static void load_beside(struct sp_loader *l, const struct sp_json *then, struct sp_outcome *out)
{
    const struct sp_json *v;

    if ((v = sp_json_find(then, "raise")) != NULL)
        out->has_raise = sp_policy_loader_floor(l, v, &out->raise);
    if ((v = sp_json_find(then, "tags")) != NULL)
        load_tags(l, v, out);
    if ((v = sp_json_find(then, "header")) != NULL)
        load_header(l, v, out);
    if ((v = sp_json_find(then, "subject")) != NULL)
        load_subject(l, v, out);
    if ((v = sp_json_find(then, "expire")) != NULL)
        out->has_expire = sp_policy_loader_span(l, v, &out->expire_ms);
    if ((v = sp_json_find(then, "portal")) != NULL) {
        out->has_portal = true;
        out->portal = l->policy->portal;
        sp_policy_load_portal(l, v, &out->portal);
    }
    if ((v = sp_json_find(then, "notify")) != NULL)
        load_notify(l, v, out);
    if ((v = sp_json_find(then, "lowers")) != NULL && sp_policy_loader_text(l, v, &out->lowers) &&
        v->text.len < 10)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "say why the floor may be lowered: an auditor reads this");
    sp_policy_load_ways(l, then, out);
}

void sp_policy_load_outcome(struct sp_loader *l, const struct sp_json *then, struct sp_rule *rule)
{
    rule->then.text_name = "";
    rule->then.hold.by = "";
    if (!sp_policy_loader_type(l, then, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, then, then_keys);
    load_verb(l, then, rule);
    load_beside(l, then, &rule->then);
}
