/*
 * The typed members of policy documents. Every helper says its own problem, with what would be right, and lets loading
 * go on: an author sees all that is wrong at once.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "json/units.h"
#include "policy/load_priv.h"

bool sp_policy_loader_is_name(struct sp_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        if (c != '-' && !sp_ascii_is_digit(c) && !(c >= 'a' && c <= 'z'))
            return false;
    }
    return name.len > 0 && name.len <= 64;
}

bool sp_policy_loader_is_domain(struct sp_bytes text)
{
    bool is_literal = text.len > 0 && text.ptr[0] == '[';

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c <= ' ' || c == 0x7f || c == '@' || c == '*' || c == '?' || c == '/' ||
            (c == ':' && !is_literal) || (c == '.' && i > 0 && text.ptr[i - 1] == '.'))
            return false;
    }
    return text.len > 0 && text.ptr[0] != '.' && text.ptr[text.len - 1] != '.';
}

void sp_policy_loader_keys(const struct sp_loader *l, const struct sp_json *object,
                           const char *const *names)
{
    size_t count = 0;

    while (names[count] != NULL)
        count++;
    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        const char *near;
        bool known = false;

        for (size_t i = 0; i < count && !known; i++)
            known = sp_bytes_eq(m->key, sp_bytes_cstr(names[i]));
        if (known && sp_bytes_eq(m->key, SP_LIT("note")))
            (void)sp_policy_loader_type(l, m, SP_JSON_TEXT);
        if (known)
            continue;
        near = sp_problem_nearest(m->key, names, count);
        sp_problem(l->problems, m, SP_E_CONFIG_UNKNOWN, "unknown key%s%s%s",
                   near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                   near == NULL ? "" : "\"?");
    }
}

void sp_policy_loader_idle(const struct sp_loader *l, const struct sp_json *at, enum sp_rc rc,
                           const char *fmt, ...)
{
    char text[600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (l->is_past)
        sp_problem_warn(l->problems, at, "%s", text);
    else
        sp_problem(l->problems, at, rc, "%s", text);
}

int64_t sp_policy_loader_day(const struct sp_loader *l, int64_t day_ms)
{
    return l->language >= 3 ? sp_zone_day(&l->policy->zone, day_ms) : day_ms;
}

bool sp_policy_loader_type(const struct sp_loader *l, const struct sp_json *v,
                           enum sp_json_type type)
{
    if (v->type == type)
        return true;
    sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected %s, found %s", sp_json_type_name(type),
               sp_json_type_name(v->type));
    return false;
}

bool sp_policy_loader_text(const struct sp_loader *l, const struct sp_json *v, const char **out)
{
    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return false;
    *out = sp_arena_cstr(l->policy->arena, v->text);
    return true;
}

bool sp_policy_loader_bool(const struct sp_loader *l, const struct sp_json *v, bool *out)
{
    if (!sp_policy_loader_type(l, v, SP_JSON_BOOL))
        return false;
    *out = v->integer != 0;
    return true;
}

bool sp_policy_loader_duration(const struct sp_loader *l, const struct sp_json *v, int64_t *out)
{
    if (v->type == SP_JSON_TEXT && sp_units_parse_duration(v->text, out))
        return true;
    sp_problem(l->problems, v, SP_E_CONFIG_TYPE,
               "expected a duration like \"15m\", \"4h\" or \"30d\"");
    return false;
}

bool sp_policy_loader_span(const struct sp_loader *l, const struct sp_json *v, int64_t *out)
{
    int64_t span = 0;

    if (!sp_policy_loader_duration(l, v, &span))
        return false;
    if (span == 0)
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE, "expected a duration above 0");
    if (span == 0 && !l->is_past)
        return false;
    *out = span;
    return true;
}

bool sp_policy_loader_floor(const struct sp_loader *l, const struct sp_json *v, enum sp_floor *out)
{
    const char *names[SP_FLOOR_COUNT + 1] = {NULL};
    int i;

    for (i = 0; i < SP_FLOOR_COUNT; i++)
        names[i] = sp_floor_name((enum sp_floor)i);
    i = sp_policy_loader_word(l, v, names, "floor");
    if (i < 0)
        return false;
    *out = (enum sp_floor)i;
    return true;
}

bool sp_policy_loader_date(const struct sp_loader *l, const struct sp_json *v, int64_t *out)
{
    char text[40];

    if (v->type == SP_JSON_TEXT && v->text.len == 10) {
        snprintf(text, sizeof(text), "%.*sT00:00:00Z", SP_FMT(v->text));
        if (sp_time_parse_rfc3339(sp_bytes_cstr(text), out)) {
            *out = sp_policy_loader_day(l, *out);
            return true;
        }
    } else if (v->type == SP_JSON_TEXT && sp_time_parse_rfc3339(v->text, out)) {
        return true;
    }
    sp_problem(l->problems, v, SP_E_CONFIG_TYPE,
               "expected a date like \"2026-12-31\", or a time like \"2026-12-31T18:00:00Z\"");
    return false;
}

int sp_policy_loader_word(const struct sp_loader *l, const struct sp_json *v,
                          const char *const *names, const char *what)
{
    struct sp_buf all;
    const char *near;
    size_t count = 0;

    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return -1;
    for (; names[count] != NULL; count++)
        if (sp_bytes_eq(v->text, sp_bytes_cstr(names[count])))
            return (int)count;
    sp_buf_init(&all, 1024);
    for (size_t i = 0; i < count; i++)
        sp_buf_printf(&all, "%s%s", i == 0 ? "" : " ", names[i]);
    near = sp_problem_nearest(v->text, names, count);
    sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "unknown %s; %s%s%sknown are: %.*s", what,
               near == NULL ? "" : "did you mean \"", near == NULL ? "" : near,
               near == NULL ? "" : "\"? ", SP_FMT(sp_buf_bytes(&all)));
    sp_buf_clear(&all);
    return -1;
}

const struct sp_json *sp_policy_loader_find(const struct sp_loader *l, const char *section,
                                            struct sp_bytes name)
{
    for (size_t i = l->policy->layer_count; i-- > 0;) {
        const struct sp_json *all = sp_json_find(l->policy->layers[i].root, section);
        const struct sp_json *found = sp_json_find_bytes(all, name);

        if (found != NULL)
            return found;
    }
    return NULL;
}

/* returns: how near the layer lies that a value stands in; as outermost if it is in none */
static size_t rank_of(const struct sp_policy *p, const struct sp_json *v)
{
    size_t i = p->layer_count;

    while (i > 0 && p->layers[i - 1].doc != v->doc)
        i--;
    return i;
}

/* returns: whether a file in layers/ that lies within these layers has an entry of that name */
static bool is_replaced_within(const struct sp_loader *l, const char *section, struct sp_bytes name)
{
    const struct sp_policy *root = l->policy->root;
    struct sp_bytes tenant = l->policy->layers[l->policy->layer_count - 1].scope.tenant;

    for (size_t i = 0; i < root->scoped_count; i++) {
        const struct sp_policy_layer *s = &root->scoped[i];

        if ((l->root == NULL || sp_bytes_eq_nocase(s->scope.tenant, tenant)) &&
            rank_of(l->policy, s->root) == 0 &&
            sp_json_find_bytes(sp_json_find(s->root, section), name) != NULL)
            return true;
    }
    return false;
}

bool sp_policy_loader_knows(const struct sp_loader *l, const struct sp_json *at,
                            const char *section, const struct sp_json *entry)
{
    return entry != NULL && rank_of(l->policy, entry) <= rank_of(l->policy, at) &&
           !is_replaced_within(l, section, entry->key);
}

bool sp_policy_loader_is_replaced(const struct sp_loader *l, const char *section,
                                  const struct sp_json *entry)
{
    const struct sp_json *nearest = sp_policy_loader_find(l, section, entry->key);

    if (nearest == entry)
        return false;
    sp_problem_warn(l->problems, nearest, "replaces the one in %s:%u", sp_json_file(entry->doc),
                    entry->line);
    return true;
}

void sp_policy_loader_unknown(const struct sp_loader *l, const struct sp_json *at,
                              const char *section, struct sp_bytes name)
{
    const char *names[256];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < l->policy->layer_count; i++) {
        const struct sp_json *all = sp_json_find(l->policy->layers[i].root, section);

        if (all == NULL)
            continue;
        for (const struct sp_json *m = all->first; m != NULL && n < SP_ARRAY_LEN(names);
             m = m->next)
            names[n++] = sp_arena_cstr(l->policy->arena, m->key);
    }
    near = sp_problem_nearest(name, names, n);
    sp_problem(l->problems, at, SP_E_CONFIG_UNKNOWN, "\"%.*s\" is not in \"%s\" of any layer%s%s%s",
               SP_FMT(name), section, near == NULL ? "" : "; did you mean \"",
               near == NULL ? "" : near, near == NULL ? "" : "\"?");
}
