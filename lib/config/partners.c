/*
 * The file of pinned partners. Everything in it makes delivery stricter, so a word that is not known is an error: an operator
 * who misspells "keys" must not believe that a key is pinned.
 */
#include "config/partners.h"

#include "base/arena.h"
#include "base/text.h"

#define DOMAIN_LEN_MAX 253

struct sp_partners {
    struct sp_arena *arena;
    struct sp_partner *list;
    size_t count;
};

static const char *const levels[] = {"tls:encrypted", "tls:verified", "tls:authenticated",
                                     "tls:dane"};
static const char *const top[] = {"$schema", "version", "partners", "note"};
static const char *const members[] = {"level", "names", "keys", "ca_keys", "next_hop", "note"};

static bool is_host(struct sp_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!sp_ascii_is_alnum(name.ptr[i]) && strchr(".-_", name.ptr[i]) == NULL)
            return false;
    return name.len > 0 && name.len <= DOMAIN_LEN_MAX;
}

static const char *lower(struct sp_partners *p, struct sp_bytes text)
{
    char *copy = sp_arena_alloc(p->arena, text.len + 1);

    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)sp_ascii_lower(text.ptr[i]);
    copy[text.len] = '\0';
    return copy;
}

static void read_level(const struct sp_json *v, struct sp_partner *out,
                       struct sp_problems *problems)
{
    for (size_t i = 0; v->type == SP_JSON_TEXT && i < SP_ARRAY_LEN(levels); i++)
        if (sp_bytes_eq(v->text, sp_bytes_cstr(levels[i]))) {
            out->level = levels[i];
            return;
        }
    sp_problem(problems, v, SP_E_CONFIG_RANGE,
               "expected tls:encrypted, tls:verified, tls:authenticated or tls:dane");
}

static void read_names(struct sp_partners *p, const struct sp_json *v, struct sp_partner *out,
                       struct sp_problems *problems)
{
    if (v->type != SP_JSON_ARRAY || v->count > SP_PARTNER_NAMES_MAX) {
        sp_problem(problems, v, SP_E_CONFIG_TYPE, "expected an array of at most %d host names",
                   SP_PARTNER_NAMES_MAX);
        return;
    }
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || !is_host(i->text))
            sp_problem(problems, i, SP_E_CONFIG_TYPE, "expected a host name");
        else
            out->names[out->name_count++] = lower(p, i->text);
    }
}

static void read_keys(const struct sp_json *v, bool is_ca, struct sp_partner *out,
                      struct sp_problems *problems)
{
    if (v->type != SP_JSON_ARRAY || v->count + out->key_count > SP_PARTNER_KEYS_MAX) {
        sp_problem(problems, v, SP_E_CONFIG_TYPE, "expected an array of at most %d keys in all",
                   SP_PARTNER_KEYS_MAX);
        return;
    }
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        struct sp_buf raw;

        sp_buf_init(&raw, SP_PARTNER_KEY_LEN);
        if (i->type != SP_JSON_TEXT || !sp_hex_decode(&raw, i->text) ||
            raw.len != SP_PARTNER_KEY_LEN) {
            sp_problem(problems, i, SP_E_CONFIG_TYPE,
                       "expected the SHA-256 of a public key, 64 hexadecimal digits");
        } else {
            memcpy(out->keys[out->key_count].spki_sha256, raw.ptr, raw.len);
            out->keys[out->key_count++].is_ca = is_ca;
        }
        sp_buf_clear(&raw);
    }
}

static void read_member(struct sp_partners *p, const struct sp_json *m, struct sp_partner *out,
                        struct sp_problems *problems)
{
    const char *near;

    if (sp_bytes_eq(m->key, SP_LIT("level")))
        read_level(m, out, problems);
    else if (sp_bytes_eq(m->key, SP_LIT("names")))
        read_names(p, m, out, problems);
    else if (sp_bytes_eq(m->key, SP_LIT("keys")) || sp_bytes_eq(m->key, SP_LIT("ca_keys")))
        read_keys(m, m->key.len > 4, out, problems);
    else if (sp_bytes_eq(m->key, SP_LIT("next_hop")) && m->type == SP_JSON_TEXT)
        out->next_hop = lower(p, m->text);
    else if (sp_bytes_eq(m->key, SP_LIT("note"))) {
        if (m->type != SP_JSON_TEXT)
            sp_problem(problems, m, SP_E_CONFIG_TYPE, "expected a text");
    } else {
        near = sp_problem_nearest(m->key, members, SP_ARRAY_LEN(members));
        sp_problem(problems, m, SP_E_CONFIG_UNKNOWN, "not known here%s%s",
                   near == NULL ? "" : "; meant: ", near == NULL ? "" : near);
    }
}

static void read_top(const struct sp_json *root, struct sp_problems *problems)
{
    for (const struct sp_json *m = root->first; m != NULL; m = m->next) {
        const char *near = sp_problem_nearest(m->key, top, SP_ARRAY_LEN(top));
        bool known = false;

        for (size_t i = 0; i < SP_ARRAY_LEN(top); i++)
            known = known || sp_bytes_eq(m->key, sp_bytes_cstr(top[i]));
        if (!known)
            sp_problem(problems, m, SP_E_CONFIG_UNKNOWN, "not known here%s%s",
                       near == NULL ? "" : "; meant: ", near == NULL ? "" : near);
    }
}

static void read_partner(struct sp_partners *p, const struct sp_json *v,
                         struct sp_problems *problems)
{
    struct sp_partner *out = &p->list[p->count];

    if (v->type != SP_JSON_OBJECT || !is_host(v->key)) {
        sp_problem(problems, v, SP_E_CONFIG_TYPE, "expected a domain name and an object");
        return;
    }
    p->count++;
    *out = (struct sp_partner){
        .domain = lower(p, v->key), .level = "tls:authenticated", .next_hop = ""};
    for (const struct sp_json *m = v->first; m != NULL; m = m->next)
        read_member(p, m, out, problems);
    if (out->key_count > 0 && strcmp(out->level, "tls:dane") == 0)
        sp_problem(problems, v, SP_E_CONFIG_RANGE,
                   "a pinned key stands in the place of DNS: tls:dane can't be asked beside it");
    if (out->key_count == 0 && out->name_count > 0 && strcmp(out->level, "tls:encrypted") == 0)
        sp_problem_warn(problems, v, "names are pinned and tls:encrypted needs none of them");
}

enum sp_rc sp_partners_load(struct sp_bytes text, const char *file, struct sp_problems *problems,
                            struct sp_partners **out)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    SP_AUTO(sp_partners) p = sp_calloc(1, sizeof(*p));
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err err = {0};
    const struct sp_json *list;
    size_t before = sp_problems_errors(problems);

    p->arena = sp_arena_new(1024);
    if (sp_json_parse(text, &options, &doc, &err) != SP_OK)
        return sp_problem_file(problems, file, 0, SP_E_JSON_SYNTAX, "%s", err.text);
    list = sp_json_find(sp_json_root(doc), "partners");
    if (list == NULL || list->type != SP_JSON_OBJECT || list->count > SP_PARTNERS_MAX ||
        sp_json_int_of(sp_json_root(doc), "version", 0) != 1)
        return sp_problem(problems, sp_json_root(doc), SP_E_CONFIG_TYPE,
                          "expected \"version\": 1 and an object \"partners\", of at most %d",
                          SP_PARTNERS_MAX);
    read_top(sp_json_root(doc), problems);
    p->list = sp_arena_alloc(p->arena, (list->count + 1) * sizeof(*p->list));
    for (const struct sp_json *v = list->first; v != NULL; v = v->next)
        read_partner(p, v, problems);
    if (sp_problems_errors(problems) > before)
        return SP_E_CONFIG_INVALID;
    *out = SP_STEAL(p);
    return SP_OK;
}

void sp_partners_free(struct sp_partners *p)
{
    if (p == NULL)
        return;
    sp_arena_free(p->arena);
    sp_free(p);
}

size_t sp_partners_count(const struct sp_partners *p)
{
    return p == NULL ? 0 : p->count;
}

const struct sp_partner *sp_partners_at(const struct sp_partners *p, size_t i)
{
    return &p->list[i];
}
