/*
 * Settings: merged key by key, the nearer layer over the outer one, unless an outer layer has fixed the key. A fixed key
 * that a nearer layer sets is an error and not a silence, since its author believes that it holds.
 */
#include "mail/compose.h"
#include "policy/load_priv.h"

#define DAY_MS ((int64_t)86400000)

static const char *const setting_names[] = {"timezone",      "floor",       "expire", "portal",
                                            "dkim_selector", "tls_reports", NULL};
static const char *const portal_names[] = {"expires",      "login",       "reply",
                                           "forward",      "remind",      "unread_after",
                                           "notify_floor", "notify_from", NULL};
static const char *const login_names[] = {"code", "password", "passkey", "totp", NULL};

static void load_login(struct sp_loader *l, const struct sp_json *v, unsigned *out)
{
    if (!sp_policy_loader_type(l, v, SP_JSON_ARRAY))
        return;
    *out = 0;
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        int word = sp_policy_loader_word(l, i, login_names, "way to log in");

        if (word >= 0)
            *out |= 1U << word;
        if (word > 0)
            sp_problem_warn(l->problems, i,
                            "\"%s\" is not served: the portal lets recipients in by a code that "
                            "goes to their mailbox",
                            login_names[word]);
    }
    if (v->first == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected at least one way to log in");
}

static void load_remind(struct sp_loader *l, const struct sp_json *v, struct sp_portal_options *out)
{
    size_t n = 0;

    if (!sp_policy_loader_type(l, v, SP_JSON_ARRAY))
        return;
    memset(out->remind_ms, 0, sizeof(out->remind_ms));
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        if (n == SP_ARRAY_LEN(out->remind_ms)) {
            sp_problem(l->problems, i, SP_E_CONFIG_RANGE, "at most %zu reminders",
                       SP_ARRAY_LEN(out->remind_ms));
            return;
        }
        if (sp_policy_loader_span(l, i, &out->remind_ms[n]))
            n++;
    }
}

/* What a recipient may do in the portal besides reading: false is kept already, true is a promise. */
static void load_not_yet(struct sp_loader *l, const struct sp_json *object, const char *key,
                         bool *out)
{
    const struct sp_json *v = sp_json_find(object, key);

    if (v != NULL && sp_policy_loader_bool(l, v, out) && *out)
        sp_problem_warn(l->problems, v,
                        "\"%s\" is not carried out yet: the portal only shows messages", key);
}

static void load_from(struct sp_loader *l, const struct sp_json *v, const char **out)
{
    if (sp_policy_loader_text(l, v, out) && !sp_compose_is_display(v->text))
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE,
                   "a name in a mail's From is one line of at most %d bytes",
                   SP_COMPOSE_DISPLAY_MAX);
}

void sp_policy_load_portal(struct sp_loader *l, const struct sp_json *object,
                           struct sp_portal_options *out)
{
    const struct sp_json *v;

    if (!sp_policy_loader_type(l, object, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, object, portal_names);
    if ((v = sp_json_find(object, "expires")) != NULL)
        sp_policy_loader_span(l, v, &out->expires_ms);
    if ((v = sp_json_find(object, "login")) != NULL)
        load_login(l, v, &out->login);
    load_not_yet(l, object, "reply", &out->reply);
    load_not_yet(l, object, "forward", &out->forward);
    if ((v = sp_json_find(object, "remind")) != NULL)
        load_remind(l, v, out);
    if ((v = sp_json_find(object, "unread_after")) != NULL)
        sp_policy_loader_span(l, v, &out->unread_after_ms);
    if ((v = sp_json_find(object, "notify_floor")) != NULL)
        sp_policy_loader_floor(l, v, &out->notify_floor);
    if ((v = sp_json_find(object, "notify_from")) != NULL)
        load_from(l, v, &out->notify_from);
}

static void load_timezone(struct sp_loader *l, const struct sp_json *v)
{
    const char *near;

    if (!sp_policy_loader_text(l, v, &l->policy->timezone) ||
        sp_zone_find(v->text, &l->policy->zone))
        return;
    near = sp_zone_nearest(v->text);
    sp_problem(l->problems, v, SP_E_CONFIG_RANGE,
               "expected a time zone of the IANA list, like \"America/Chicago\"%s%s%s",
               near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
               near == NULL ? "" : "\"?");
}

static void load_layer(struct sp_loader *l, const struct sp_json *object)
{
    struct sp_policy *p = l->policy;
    const struct sp_json *v;

    if (!sp_policy_loader_type(l, object, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, object, setting_names);
    if ((v = sp_json_find(object, "timezone")) != NULL)
        load_timezone(l, v);
    if ((v = sp_json_find(object, "floor")) != NULL)
        sp_policy_loader_floor(l, v, &p->floor);
    if ((v = sp_json_find(object, "expire")) != NULL)
        p->has_expire = sp_policy_loader_span(l, v, &p->expire_ms);
    if ((v = sp_json_find(object, "portal")) != NULL)
        sp_policy_load_portal(l, v, &p->portal);
    if ((v = sp_json_find(object, "dkim_selector")) != NULL)
        sp_policy_loader_text(l, v, &p->dkim_selector);
    if ((v = sp_json_find(object, "tls_reports")) != NULL)
        sp_policy_loader_floor(l, v, &p->report_floor);
}

/* A name that is none would fix nothing, and its author believes that it does. */
static bool is_setting(struct sp_loader *l, const struct sp_json *key)
{
    const char *names[SP_ARRAY_LEN(setting_names) + SP_ARRAY_LEN(portal_names)];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; setting_names[i] != NULL; i++)
        names[n++] = setting_names[i];
    for (size_t i = 0; portal_names[i] != NULL; i++)
        names[n++] = sp_policy_loader_join(l, "portal.", sp_bytes_cstr(portal_names[i]), "");
    for (size_t i = 0; i < n; i++)
        if (sp_bytes_eq(key->text, sp_bytes_cstr(names[i])))
            return true;
    near = sp_problem_nearest(key->text, names, n);
    sp_policy_loader_idle(l, key, SP_E_CONFIG_UNKNOWN, "no such setting%s%s%s",
                          near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                          near == NULL ? "" : "\"?");
    return false;
}

/* The keys that layer i fixes must not be set by those within it. */
static void check_fixed(struct sp_loader *l, size_t i)
{
    const struct sp_policy *p = l->policy;
    const struct sp_json *fixed = sp_json_find(p->layers[i].root, "fixed");

    if (fixed == NULL || !sp_policy_loader_type(l, fixed, SP_JSON_ARRAY))
        return;
    for (const struct sp_json *key = fixed->first; key != NULL; key = key->next) {
        const char *path;

        if (!sp_policy_loader_text(l, key, &path) || !is_setting(l, key))
            continue;
        for (size_t k = i + 1; k < p->layer_count; k++) {
            const struct sp_json *set =
                sp_json_find_path(sp_json_find(p->layers[k].root, "settings"), path);

            if (set != NULL)
                sp_problem(l->problems, set, SP_E_POLICY_INVALID,
                           "\"%s\" is fixed by %s: take this line out", path, p->layers[i].file);
        }
    }
}

/* What is brought to mind after the package has gone is never sent, unless a rule keeps it for longer. */
static void check_remind(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    const struct sp_json *remind = NULL;

    for (size_t i = p->layer_count; i-- > 0 && remind == NULL;)
        remind = sp_json_find_path(p->layers[i].root, "settings.portal.remind");
    for (size_t i = 0; remind != NULL && i < SP_ARRAY_LEN(p->portal.remind_ms); i++)
        if (p->portal.remind_ms[i] >= p->portal.expires_ms)
            sp_problem_warn(l->problems, remind,
                            "a reminder comes before the package goes, by \"expires\"");
}

void sp_policy_load_settings(struct sp_loader *l)
{
    struct sp_policy *p = l->policy;

    p->floor = SP_FLOOR_TLS_ENCRYPTED;
    p->expire_ms = 2 * DAY_MS;
    p->timezone = "UTC";
    if (!sp_zone_find(SP_LIT("UTC"), &p->zone))
        p->zone = (struct sp_zone){.rule = "UTC0"};
    p->dkim_selector = "";
    p->report_floor = SP_FLOOR_PLAIN;
    p->portal = (struct sp_portal_options){.expires_ms = 30 * DAY_MS,
                                           .login = SP_LOGIN_CODE,
                                           .unread_after_ms = 7 * DAY_MS,
                                           .notify_floor = SP_FLOOR_TLS_ENCRYPTED,
                                           .notify_from = ""};
    for (size_t i = 0; i < p->layer_count; i++) {
        const struct sp_json *v = sp_json_find(p->layers[i].root, "settings");

        if (v != NULL)
            load_layer(l, v);
        check_fixed(l, i);
    }
    check_remind(l);
}
