/*
 * The table of sites. A limit that is misspelt would be no limit, so an unknown word is an error here. What a site does not
 * say, the default says; what the default does not say, the settings.
 */
#include "config/sites.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "json/units.h"

#include <arpa/inet.h>

#define RATE_MAX     10000000
#define CONNS_MAX    10000
#define NAME_MAX_LEN 64

struct sp_sites {
    struct sp_arena *arena;
    struct sp_site_limits base;
    struct sp_site_limits *list;
    size_t count;
    struct sp_map *tenants; /* name to sp_site_tenant */
    struct sp_map *sources;
};

struct loader {
    struct sp_sites *s;
    struct sp_problems *problems;
};

/* ---- values ---- */

static void unknown(const struct loader *l, const struct sp_json *v, const char *const *names,
                    size_t count)
{
    const char *near = sp_problem_nearest(v->key, names, count);

    sp_problem(l->problems, v, SP_E_CONFIG_UNKNOWN, "not known here%s%s",
               near == NULL ? "" : "; meant: ", near == NULL ? "" : near);
}

static bool is_object(const struct loader *l, const struct sp_json *v)
{
    if (v->type == SP_JSON_OBJECT)
        return true;
    sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected an object");
    return false;
}

static void read_number(const struct loader *l, const struct sp_json *v, int64_t max, int64_t *out)
{
    if (v->type != SP_JSON_INT)
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected a whole number");
    else if (v->integer < 1 || v->integer > max)
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected 1 to %lld", (long long)max);
    else
        *out = v->integer;
}

static struct sp_bytes lower(const struct loader *l, struct sp_bytes text)
{
    uint8_t *copy = sp_arena_alloc(l->s->arena, text.len + 1);

    for (size_t i = 0; i < text.len; i++)
        copy[i] = sp_ascii_lower(text.ptr[i]);
    return sp_bytes(copy, text.len);
}

static bool is_pattern(struct sp_bytes p)
{
    if (p.len > 2 && p.ptr[0] == '*' && p.ptr[1] == '.')
        p = sp_bytes_slice(p, 2, p.len);
    for (size_t i = 0; i < p.len; i++)
        if (!sp_ascii_is_alnum(p.ptr[i]) && strchr(".-_:[]", p.ptr[i]) == NULL)
            return false;
    return p.len > 0 && p.len <= 255;
}

static void read_patterns(const struct loader *l, const struct sp_json *v, struct sp_bytes *out,
                          size_t *count)
{
    if (v->type != SP_JSON_ARRAY || v->count > SP_SITE_PATTERNS_MAX) {
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected an array of at most %d names",
                   SP_SITE_PATTERNS_MAX);
        return;
    }
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || !is_pattern(i->text))
            sp_problem(l->problems, i, SP_E_CONFIG_TYPE,
                       "expected a name, or *. and the end of one");
        else
            out[(*count)++] = lower(l, i->text);
    }
}

static const struct sp_site_source *read_source(const struct loader *l, const struct sp_json *v)
{
    const struct sp_site_source *source =
        v->type == SP_JSON_TEXT ? sp_map_find(l->s->sources, v->text) : NULL;

    if (source == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected a name that stands in \"sources\"");
    return source;
}

/* ---- throttle ---- */

static const char *const throttle_members[] = {"reply", "status", "text", "do", "for", "note"};
static const char *const answers[] = {"ignore", "slow", "pause"};

static bool is_status(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!sp_ascii_is_digit(text.ptr[i]) && text.ptr[i] != '.' &&
            (text.ptr[i] != '*' || i + 1 != text.len))
            return false;
    return text.len >= 2 && text.ptr[0] == '4' && text.ptr[1] == '.';
}

static void read_answer(const struct loader *l, const struct sp_json *v,
                        struct sp_site_throttle *out)
{
    for (size_t i = 0; v->type == SP_JSON_TEXT && i < SP_ARRAY_LEN(answers); i++)
        if (sp_bytes_eq(v->text, sp_bytes_cstr(answers[i]))) {
            out->answer = (enum sp_site_answer)i;
            return;
        }
    sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected ignore, slow or pause");
}

static void read_throttle_member(const struct loader *l, const struct sp_json *m,
                                 struct sp_site_throttle *out)
{
    if (sp_bytes_eq(m->key, SP_LIT("reply"))) {
        if (m->type != SP_JSON_INT || m->integer < 400 || m->integer > 499)
            sp_problem(l->problems, m, SP_E_CONFIG_RANGE, "expected a reply code, 400 to 499");
        else
            out->code = (int)m->integer;
    } else if (sp_bytes_eq(m->key, SP_LIT("status"))) {
        if (m->type != SP_JSON_TEXT || !is_status(m->text))
            sp_problem(l->problems, m, SP_E_CONFIG_RANGE,
                       "expected a status code like 4.7.28 or 4.7.*");
        else
            out->status = lower(l, m->text);
    } else if (sp_bytes_eq(m->key, SP_LIT("text")) && m->type == SP_JSON_TEXT) {
        out->text = lower(l, m->text);
    } else if (sp_bytes_eq(m->key, SP_LIT("do"))) {
        read_answer(l, m, out);
    } else if (sp_bytes_eq(m->key, SP_LIT("for"))) {
        if (m->type != SP_JSON_TEXT || !sp_units_parse_duration(m->text, &out->for_ms) ||
            out->for_ms < 100 || out->for_ms > (int64_t)24 * 3600 * 1000)
            sp_problem(l->problems, m, SP_E_CONFIG_RANGE, "expected a duration, 100ms to 1d");
    } else if (!sp_bytes_eq(m->key, SP_LIT("note"))) {
        unknown(l, m, throttle_members, SP_ARRAY_LEN(throttle_members));
    }
}

static void read_throttles(const struct loader *l, const struct sp_json *v,
                           struct sp_site_limits *out)
{
    if (v->type != SP_JSON_ARRAY || v->count > SP_SITE_THROTTLES_MAX) {
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected an array of at most %d objects",
                   SP_SITE_THROTTLES_MAX);
        return;
    }
    out->throttle_count = 0;
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        struct sp_site_throttle *t = &out->throttles[out->throttle_count];

        if (!is_object(l, i))
            continue;
        *t = (struct sp_site_throttle){.answer = SP_SITE_SLOW};
        for (const struct sp_json *m = i->first; m != NULL; m = m->next)
            read_throttle_member(l, m, t);
        if (t->code == 0 && t->status.len == 0 && t->text.len == 0)
            sp_problem(l->problems, i, SP_E_CONFIG_MISSING, "expected reply, status or text");
        if ((t->answer == SP_SITE_PAUSE) != (t->for_ms > 0))
            sp_problem(l->problems, i, SP_E_CONFIG_MISSING,
                       "\"for\" goes with \"do\": \"pause\", and only with it");
        out->throttle_count++;
    }
}

/* ---- sites ---- */

static const char *const site_members[] = {"mx",
                                           "domains",
                                           "connections",
                                           "messages_per_connection",
                                           "messages_per_minute",
                                           "source",
                                           "recipients",
                                           "throttle",
                                           "note",
                                           "tenant_messages_per_minute"};

static void read_site_member(const struct loader *l, const struct sp_json *m,
                             struct sp_site_limits *out)
{
    static const struct {
        struct sp_bytes name;
        size_t at;
        int64_t max;
    } numbers[] = {
        {SP_LIT_INIT("connections"), offsetof(struct sp_site_limits, connections), CONNS_MAX},
        {SP_LIT_INIT("messages_per_connection"),
         offsetof(struct sp_site_limits, messages_per_connection), RATE_MAX},
        {SP_LIT_INIT("messages_per_minute"), offsetof(struct sp_site_limits, messages_per_minute),
         RATE_MAX},
        {SP_LIT_INIT("tenant_messages_per_minute"),
         offsetof(struct sp_site_limits, tenant_messages_per_minute), RATE_MAX},
        {SP_LIT_INIT("recipients"), offsetof(struct sp_site_limits, recipients),
         SP_SITE_RECIPIENTS_MAX},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(numbers); i++)
        if (sp_bytes_eq(m->key, numbers[i].name)) {
            read_number(l, m, numbers[i].max, (int64_t *)(void *)((char *)out + numbers[i].at));
            return;
        }
    if (sp_bytes_eq(m->key, SP_LIT("mx")) && out != &l->s->base)
        read_patterns(l, m, out->mx, &out->mx_count);
    else if (sp_bytes_eq(m->key, SP_LIT("domains")) && out != &l->s->base)
        read_patterns(l, m, out->domains, &out->domain_count);
    else if (sp_bytes_eq(m->key, SP_LIT("source")))
        out->source = read_source(l, m);
    else if (sp_bytes_eq(m->key, SP_LIT("throttle")))
        read_throttles(l, m, out);
    else if (!sp_bytes_eq(m->key, SP_LIT("note")))
        unknown(l, m, site_members, SP_ARRAY_LEN(site_members));
}

static void read_site(const struct loader *l, const struct sp_json *v, struct sp_site_limits *out)
{
    if (!is_object(l, v))
        return;
    for (const struct sp_json *m = v->first; m != NULL; m = m->next)
        read_site_member(l, m, out);
}

static void read_sites(const struct loader *l, const struct sp_json *v)
{
    if (!is_object(l, v))
        return;
    if (v->count > SP_SITES_MAX) {
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected at most %d sites", SP_SITES_MAX);
        return;
    }
    l->s->list = sp_arena_alloc(l->s->arena, (v->count + 1) * sizeof(*l->s->list));
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        struct sp_site_limits *out = &l->s->list[l->s->count++];

        *out = l->s->base;
        out->throttle_count = 0;
        out->name = sp_arena_copy(l->s->arena, i->key);
        if (i->key.len > NAME_MAX_LEN)
            sp_problem(l->problems, i, SP_E_CONFIG_RANGE, "expected a name of at most %d letters",
                       NAME_MAX_LEN);
        read_site(l, i, out);
        if (i->type == SP_JSON_OBJECT && out->mx_count + out->domain_count == 0)
            sp_problem(l->problems, i, SP_E_CONFIG_MISSING,
                       "expected mx or domains: what belongs to this site");
    }
}

/* ---- sources and tenants ---- */

static bool is_address(struct sp_bytes text)
{
    struct in6_addr six;
    struct in_addr four;
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, &four) == 1 || inet_pton(AF_INET6, copy, &six) == 1;
}

static void read_pool(const struct loader *l, const struct sp_json *v)
{
    struct sp_site_source *out = sp_arena_alloc(l->s->arena, sizeof(*out));

    *out = (struct sp_site_source){.name = sp_arena_copy(l->s->arena, v->key)};
    if (v->type != SP_JSON_ARRAY || v->count == 0 || v->count > SP_SITE_SOURCES_MAX) {
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected an array of 1 to %d addresses",
                   SP_SITE_SOURCES_MAX);
        return;
    }
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || !is_address(i->text))
            sp_problem(l->problems, i, SP_E_CONFIG_TYPE, "expected an IPv4 or IPv6 address");
        else
            out->addresses[out->count++] = sp_arena_copy(l->s->arena, i->text);
    }
    (void)sp_map_put(l->s->sources, out->name, out);
}

static void read_tenant(const struct loader *l, const struct sp_json *v)
{
    static const char *const members[] = {"source", "messages_per_minute", "note"};
    struct sp_site_tenant *out = sp_arena_alloc(l->s->arena, sizeof(*out));

    *out = (struct sp_site_tenant){.name = sp_arena_copy(l->s->arena, v->key)};
    if (!is_object(l, v))
        return;
    for (const struct sp_json *m = v->first; m != NULL; m = m->next) {
        if (sp_bytes_eq(m->key, SP_LIT("source")))
            out->source = read_source(l, m);
        else if (sp_bytes_eq(m->key, SP_LIT("messages_per_minute")))
            read_number(l, m, RATE_MAX, &out->messages_per_minute);
        else if (!sp_bytes_eq(m->key, SP_LIT("note")))
            unknown(l, m, members, SP_ARRAY_LEN(members));
    }
    (void)sp_map_put(l->s->tenants, out->name, out);
}

static void read_each(const struct loader *l, const struct sp_json *v,
                      void (*read)(const struct loader *, const struct sp_json *))
{
    if (v == NULL || !is_object(l, v))
        return;
    for (const struct sp_json *i = v->first; i != NULL; i = i->next)
        read(l, i);
}

/* In the order in which one part names another, not that of the file. */
static void read_root(const struct loader *l, const struct sp_json *root)
{
    static const char *const members[] = {"version", "sources", "default",
                                          "tenants", "sites",   "$schema"};
    const struct sp_json *v;

    if (!is_object(l, root))
        return;
    if (sp_json_int_of(root, "version", 0) != 1)
        sp_problem(l->problems, root, SP_E_CONFIG_MISSING, "expected \"version\": 1");
    for (const struct sp_json *m = root->first; m != NULL; m = m->next) {
        bool known = false;

        for (size_t i = 0; i < SP_ARRAY_LEN(members); i++)
            known = known || sp_bytes_eq(m->key, sp_bytes_cstr(members[i]));
        if (!known)
            unknown(l, m, members, SP_ARRAY_LEN(members));
    }
    read_each(l, sp_json_find(root, "sources"), read_pool);
    if ((v = sp_json_find(root, "default")) != NULL)
        read_site(l, v, &l->s->base);
    read_each(l, sp_json_find(root, "tenants"), read_tenant);
    if ((v = sp_json_find(root, "sites")) != NULL)
        read_sites(l, v);
}

enum sp_rc sp_sites_load(struct sp_bytes text, const char *file, struct sp_problems *problems,
                         struct sp_sites **out)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    SP_AUTO(sp_sites) s = sp_calloc(1, sizeof(*s));
    SP_AUTO(sp_json_doc) doc = NULL;
    struct loader l = {.s = s, .problems = problems};
    struct sp_err err = {0};
    size_t before = sp_problems_errors(problems);

    s->arena = sp_arena_new(4096);
    s->tenants = sp_map_new();
    s->sources = sp_map_new();
    s->base =
        (struct sp_site_limits){.name = SP_LIT("default"), .recipients = SP_SITE_RECIPIENTS_MAX};
    if (text.len > 0) {
        if (sp_json_parse(text, &options, &doc, &err) != SP_OK)
            return sp_problem_file(problems, file, 0, SP_E_JSON_SYNTAX, "%s", err.text);
        read_root(&l, sp_json_root(doc));
    }
    if (sp_problems_errors(problems) > before)
        return SP_E_CONFIG_INVALID;
    *out = SP_STEAL(s);
    return SP_OK;
}

void sp_sites_free(struct sp_sites *s)
{
    if (s == NULL)
        return;
    sp_map_free(s->tenants);
    sp_map_free(s->sources);
    sp_arena_free(s->arena);
    sp_free(s);
}

/* ---- asking ---- */

static bool matches(const struct sp_bytes *patterns, size_t count, struct sp_bytes name)
{
    for (size_t i = 0; i < count; i++) {
        struct sp_bytes p = patterns[i];

        if (p.ptr[0] == '*') {
            p = sp_bytes_slice(p, 1, p.len); /* with its dot */
            if (name.len > p.len &&
                sp_bytes_eq_nocase(sp_bytes_slice(name, name.len - p.len, p.len), p))
                return true;
        } else if (sp_bytes_eq_nocase(p, name)) {
            return true;
        }
    }
    return false;
}

const struct sp_site_limits *sp_sites_find(const struct sp_sites *s, struct sp_bytes domain,
                                           struct sp_bytes mx)
{
    for (size_t i = 0; i < s->count; i++)
        if (matches(s->list[i].domains, s->list[i].domain_count, domain) ||
            matches(s->list[i].mx, s->list[i].mx_count, mx))
            return &s->list[i];
    return &s->base;
}

const struct sp_site_limits *sp_sites_default(const struct sp_sites *s)
{
    return &s->base;
}

const struct sp_site_tenant *sp_sites_tenant(const struct sp_sites *s, struct sp_bytes name)
{
    return sp_map_find(s->tenants, name);
}

const struct sp_site_source *sp_sites_next_source(const struct sp_sites *s, size_t *at)
{
    struct sp_bytes key;
    void *value;

    return sp_map_next(s->sources, at, &key, &value) ? value : NULL;
}

size_t sp_sites_count(const struct sp_sites *s)
{
    return s == NULL ? 0 : s->count;
}

static bool contains(struct sp_bytes text, struct sp_bytes part)
{
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (sp_bytes_eq_nocase(sp_bytes_slice(text, at, part.len), part))
            return true;
    return part.len == 0;
}

static bool fits_status(struct sp_bytes pattern, struct sp_bytes status)
{
    if (pattern.len == 0)
        return true;
    if (pattern.ptr[pattern.len - 1] != '*')
        return sp_bytes_eq(pattern, status);
    pattern.len--;
    return status.len >= pattern.len && memcmp(status.ptr, pattern.ptr, pattern.len) == 0;
}

static const struct sp_site_throttle *find_rule(const struct sp_site_limits *limits, int code,
                                                struct sp_bytes status, struct sp_bytes text)
{
    for (size_t i = 0; i < limits->throttle_count; i++) {
        const struct sp_site_throttle *t = &limits->throttles[i];

        if ((t->code == 0 || t->code == code) && fits_status(t->status, status) &&
            contains(text, t->text))
            return t;
    }
    return NULL;
}

enum sp_site_answer sp_sites_weigh(const struct sp_sites *s, const struct sp_site_limits *limits,
                                   int code, struct sp_bytes status, struct sp_bytes text,
                                   const struct sp_site_throttle **rule)
{
    *rule = NULL;
    if (code < 400 || code > 499)
        return SP_SITE_IGNORE;
    *rule = find_rule(limits, code, status, text);
    if (*rule == NULL && limits != &s->base)
        *rule = find_rule(&s->base, code, status, text);
    if (*rule != NULL)
        return (*rule)->answer;
    if (code == 421 || fits_status(SP_LIT("4.7.*"), status) ||
        sp_bytes_eq(status, SP_LIT("4.3.2")) || sp_bytes_eq(status, SP_LIT("4.4.5")))
        return SP_SITE_SLOW;
    return SP_SITE_IGNORE;
}
