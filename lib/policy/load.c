/*
 * A policy file and all that it extends and names, into one compiled structure. All is read first (layers, outermost
 * first), then settings, lists, ladders, rules, then the review of the whole. Everything that was read goes into one
 * canonical document, whose SHA-256 is the policy's version: what could change a decision is in it, and nothing else is,
 * so a new comment is no new version.
 */
#include <stdatomic.h>

#include "base/text.h"
#include "config/directory.h"
#include "crypt/hash.h"
#include "mail/idn.h"
#include "policy/load_priv.h"

#define BOM         "\xef\xbb\xbf" /* editors write it before the first line, whose entry it would hide */
#define EXTENDS_MAX SP_POLICY_EXTENDS_MAX

static const char *const top_keys[] = {"$schema",     "version", "scope", "extends", "settings",
                                       "fixed",       "labels",  "lists", "groups",  "texts",
                                       "ladders",     "guards",  "rules", "default", "note",
                                       "preferences", "special", NULL};

/* Names stay below the policy's folder, whatever a file says. */
static bool is_safe(struct sp_bytes name)
{
    struct sp_bytes rest = name, part;

    if (name.len == 0 || name.len > 200 || name.ptr[0] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < ' ' || name.ptr[i] == 0x7f || name.ptr[i] == '\\')
            return false;
    while (sp_bytes_split(&rest, '/', &part))
        if (part.len == 0 || sp_bytes_eq(part, SP_LIT("..")) || sp_bytes_eq(part, SP_LIT(".")))
            return false;
    return true;
}

const char *sp_policy_loader_join(struct sp_loader *l, const char *dir, struct sp_bytes name,
                                  const char *end)
{
    struct sp_buf b;
    const char *path;

    sp_buf_init(&b, 1024);
    sp_buf_printf(&b, "%s%.*s%s", dir, SP_FMT(name), end);
    path = sp_arena_cstr(l->policy->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return path;
}

bool sp_policy_loader_read(struct sp_loader *l, const struct sp_json *at, struct sp_bytes name,
                           struct sp_bytes *out)
{
    enum sp_rc rc;

    if (!is_safe(name)) {
        sp_problem(l->problems, at, SP_E_POLICY_INVALID,
                   "expected a file below the policy's folder, like lists/partners.txt");
        return false;
    }
    rc = l->reader->read(l->reader->ctx, sp_policy_loader_join(l, l->dir, name, ""), out);
    if (rc != SP_OK) {
        sp_problem(l->problems, at, rc, "can't read \"%.*s\": %s", SP_FMT(name), sp_rc_name(rc));
        return false;
    }
    if (!sp_utf8_is_valid(*out)) {
        sp_problem(l->problems, at, SP_E_POLICY_INVALID, "\"%.*s\" is not UTF-8", SP_FMT(name));
        return false;
    }
    sp_json_set_text(l->version, sp_json_root(l->version),
                     sp_policy_loader_join(l, "file:", name, ""), *out);
    if (!l->is_past && sp_bytes_starts_nocase(*out, SP_LIT(BOM)))
        *out = sp_bytes_slice(*out, sizeof(BOM) - 1, SIZE_MAX);
    return true;
}

/* A layer of what no sender is would bind nobody. */
static void check_scope_name(struct sp_loader *l, const struct sp_json *v, struct sp_bytes name,
                             bool is_user)
{
    size_t at = name.len;

    while (at > 0 && name.ptr[at - 1] != '@')
        at--;
    if (is_user ? at < 2 : at > 0)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              is_user ? "\"user\" is an address, like dr@hospital.example"
                                      : "\"domain\" is a domain, like hospital.example");
    else if (!sp_policy_loader_is_domain(sp_bytes_slice(name, at, SIZE_MAX)))
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              "nobody sends from such a domain: it reads like hospital.example");
}

/* A domain or address of a scope in the form that facts have. */
static struct sp_bytes scope_name(struct sp_loader *l, const struct sp_json *scope, const char *key)
{
    const struct sp_json *v = sp_json_find(scope, key);
    struct sp_bytes name = {NULL, 0};
    struct sp_buf ascii;

    if (v == NULL || !sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return name;
    sp_buf_init(&ascii, SP_ADDRESS_MAX);
    if (sp_domain_pattern_to_ascii(v->text, &ascii) != SP_OK)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID, "the domain in it is no name");
    else
        name = sp_arena_copy(l->policy->arena, sp_buf_bytes(&ascii));
    if (name.len > 0)
        check_scope_name(l, v, name, strcmp(key, "user") == 0);
    sp_buf_clear(&ascii);
    return name;
}

static void load_scope(struct sp_loader *l, struct sp_policy_layer *layer)
{
    static const char *const keys[] = {"tenant", "domain", "user", NULL};
    const struct sp_json *v = sp_json_find(layer->root, "scope");

    if (v == NULL || !sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, keys);
    layer->scope.tenant = sp_json_text_of(v, "tenant");
    layer->scope.domain = scope_name(l, v, "domain");
    layer->scope.user = scope_name(l, v, "user");
}

static bool is_hex(uint8_t c)
{
    return sp_ascii_is_digit(c) || (sp_ascii_lower(c) >= 'a' && sp_ascii_lower(c) <= 'f');
}

static bool is_guid(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text.ptr[i] != '-' : !is_hex(text.ptr[i]))
            return false;
    }
    return text.len == 36;
}

/* Mail programs write a label's identifier between "MSIP_Label_" and "_Enabled=true;". */
static void check_label(struct sp_loader *l, const struct sp_json *m)
{
    bool is_word = m->text.len > 0;

    for (size_t i = 0; i < m->text.len; i++)
        is_word =
            is_word && m->text.ptr[i] > ' ' && m->text.ptr[i] != ';' && m->text.ptr[i] != 0x7f;
    if (!is_word)
        sp_policy_loader_idle(l, m, SP_E_POLICY_INVALID,
                              "no mail has such a label: its identifier reads like "
                              "1f0c8a52-0000-4000-8000-000000000001");
    else if (!is_guid(m->text))
        sp_problem_warn(l->problems, m,
                        "a label's identifier has 36 letters and hyphens, like "
                        "1f0c8a52-0000-4000-8000-000000000001: mail programs write no other");
}

/* Texts and labels, whether a rule names them or not. */
static void check_texts(struct sp_loader *l, const struct sp_json *root)
{
    const struct sp_json *texts = sp_json_find(root, "texts");
    const struct sp_json *labels = sp_json_find(root, "labels");

    if (texts != NULL && sp_policy_loader_type(l, texts, SP_JSON_OBJECT))
        for (const struct sp_json *m = texts->first; m != NULL; m = m->next)
            if (m->type != SP_JSON_TEXT && m->type != SP_JSON_OBJECT)
                sp_problem(l->problems, m, SP_E_CONFIG_TYPE, "expected a text, or {\"file\": ...}");
    sp_policy_load_special(l, root);
    if (labels != NULL && sp_policy_loader_type(l, labels, SP_JSON_OBJECT))
        for (const struct sp_json *m = labels->first; m != NULL; m = m->next)
            if (sp_policy_loader_type(l, m, SP_JSON_TEXT))
                check_label(l, m);
}

bool sp_policy_load_layer(struct sp_loader *l, const char *path, struct sp_bytes text,
                          struct sp_policy_layer *layer)
{
    const struct sp_json_options options = {.comments = true, .file = path};
    const struct sp_json *version;
    struct sp_err err;
    enum sp_rc rc = sp_json_parse(text, &options, &layer->doc, &err);

    if (rc != SP_OK) {
        sp_problem_file(l->problems, "", 0, rc, "%s", err.text);
        return false;
    }
    layer->file = path;
    layer->root = sp_json_root(layer->doc);
    if (!sp_policy_loader_type(l, layer->root, SP_JSON_OBJECT))
        return false;
    sp_policy_loader_keys(l, layer->root, top_keys);
    version = sp_json_find(layer->root, "version");
    if (version == NULL || version->type != SP_JSON_INT || version->integer != 1)
        sp_problem(l->problems, version == NULL ? layer->root : version, SP_E_POLICY_INVALID,
                   "expected \"version\": 1");
    load_scope(l, layer);
    check_texts(l, layer->root);
    return true;
}

/* The next layer of the chain, behind the ones that are there. */
static struct sp_policy_layer *add_layer(struct sp_loader *l, const char *path,
                                         struct sp_bytes text)
{
    struct sp_policy_layer *layer = &l->policy->layers[l->policy->layer_count];
    bool good = sp_policy_load_layer(l, path, text, layer);

    if (layer->doc != NULL && layer->root != NULL)
        l->policy->layer_count++;
    return good ? layer : NULL;
}

/* The text of an extended set: beside the file that names it, or among the shipped ones. */
static const char *read_set(struct sp_loader *l, const struct sp_json *name, struct sp_bytes *text)
{
    static const char *const shipped[] = {"hipaa-default", "strict", "small-clinic",
                                          "partner-network", "opt-in"};
    const char *path = sp_policy_loader_join(l, l->dir, name->text, ".json"), *near;
    enum sp_rc rc = l->reader->read(l->reader->ctx, path, text);

    if (rc == SP_E_NOT_FOUND) {
        path = sp_policy_loader_join(l, "policies/", name->text, ".json");
        rc = l->reader->read(l->reader->ctx, path, text);
    }
    if (rc == SP_OK)
        return path;
    if (rc != SP_E_NOT_FOUND) {
        sp_problem(l->problems, name, rc, "can't read the set \"%.*s\" (%s): %s",
                   SP_FMT(name->text), path, sp_rc_name(rc));
        return NULL;
    }
    near = sp_problem_nearest(name->text, shipped, SP_ARRAY_LEN(shipped));
    sp_problem(l->problems, name, rc,
               "there is no set \"%.*s\", neither beside the policy nor with the program%s%s%s",
               SP_FMT(name->text), near == NULL ? "" : "; did you mean \"",
               near == NULL ? "" : near, near == NULL ? "" : "\"?");
    return NULL;
}

/* Follows "extends" outwards, then turns the order round: outermost first. */
static bool load_layers(struct sp_loader *l, const char *path, struct sp_bytes text)
{
    struct sp_policy *p = l->policy;
    const struct sp_policy_layer *layer = add_layer(l, path, text);
    const struct sp_json *extends;

    while (layer != NULL && (extends = sp_json_find(layer->root, "extends")) != NULL) {
        if (!sp_policy_loader_type(l, extends, SP_JSON_TEXT))
            return false;
        if (!sp_policy_loader_is_name(extends->text) || p->layer_count == EXTENDS_MAX) {
            sp_problem(l->problems, extends, SP_E_POLICY_INVALID,
                       p->layer_count == EXTENDS_MAX
                           ? "sets extend each other too often, or in a circle"
                           : "expected the name of a set, like hipaa-default");
            return false;
        }
        path = read_set(l, extends, &text);
        layer = path == NULL ? NULL : add_layer(l, path, text);
    }
    for (size_t i = 0; i < p->layer_count / 2; i++) {
        struct sp_policy_layer *other = &p->layers[p->layer_count - 1 - i];
        struct sp_policy_layer swap = p->layers[i];

        p->layers[i] = *other;
        *other = swap;
    }
    p->layers[p->layer_count == 0 ? 0 : p->layer_count - 1].is_main = true;
    return layer != NULL;
}

/* The pinned partners beside the policy: no rule names them, and yet they say what meets tls:authenticated. */
static void add_partners(struct sp_loader *l)
{
    struct sp_json_options options = {.comments = true};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text;
    struct sp_err err; /* what is wrong with the file, its own reader tells */

    if (l->reader->read(l->reader->ctx,
                        sp_policy_loader_join(l, l->dir, SP_LIT("partners"), ".json"),
                        &text) == SP_OK &&
        sp_json_parse(text, &options, &doc, &err) == SP_OK)
        sp_json_set_copy(l->version, sp_json_root(l->version), "partners", sp_json_root(doc));
}

/* The canonical text of what is hashed, and its hash. out: SP_POLICY_HASH_LEN bytes; a NUL stands behind already */
static void hash_of(struct sp_loader *l, const struct sp_json_doc *doc, struct sp_bytes *canonical,
                    char *out)
{
    struct sp_policy *p = l->policy;
    uint8_t digest[SP_SHA256_LEN];
    struct sp_buf text, hex;

    sp_buf_init(&text, SP_JSON_LEN_MAX * 8);
    sp_buf_init(&hex, SP_POLICY_HASH_LEN);
    if (sp_json_canonical(sp_json_root(doc), &text) != SP_OK)
        sp_problem_file(l->problems, p->layers[p->layer_count - 1].file, 0, SP_E_LIMIT,
                        "the policy with its lists and texts is too large");
    if (canonical != NULL)
        *canonical = sp_arena_copy(p->arena, sp_buf_bytes(&text));
    sp_crypt_sha256(sp_buf_bytes(&text), digest);
    sp_hex_encode(&hex, sp_bytes(digest, sizeof(digest)));
    memcpy(out, hex.ptr, hex.len);
    sp_buf_clear(&text);
    sp_buf_clear(&hex);
}

/* The same without the members of lists that are marked as kept. */
static void hash_rules(struct sp_loader *l)
{
    SP_AUTO(sp_json_doc) doc = sp_json_doc_new();

    for (const struct sp_json *m = sp_json_root(l->version)->first; m != NULL; m = m->next) {
        const char *key = sp_arena_cstr(l->policy->arena, m->key);

        if (m->type == SP_JSON_TEXT && sp_policy_list_is_kept(m->text))
            sp_json_set_text(doc, sp_json_root(doc), key, SP_LIT(SP_DIRECTORY_MARK));
        else
            sp_json_set_copy(doc, sp_json_root(doc), key, m);
    }
    hash_of(l, doc, NULL, l->policy->rules_hash);
}

/* "layer0", "layer1", ... outermost first, beside the files. */
static void make_version(struct sp_loader *l)
{
    struct sp_policy *p = l->policy;

    for (size_t i = 0; i < p->layer_count; i++) {
        char key[] = "layer0";

        key[5] = (char)('0' + i);
        sp_json_set_copy(l->version, sp_json_root(l->version), key, p->layers[i].root);
    }
    for (size_t i = 0; i < p->scoped_count; i++)
        sp_json_set_copy(l->version, sp_json_root(l->version),
                         sp_policy_loader_join(
                             l, "scope:", sp_bytes_cstr(p->scoped[i].file + strlen(l->dir)), ""),
                         p->scoped[i].root);
    if (strcmp(p->timezone, "UTC") != 0)
        sp_json_set_text(l->version, sp_json_root(l->version), "timezone-rule",
                         sp_bytes_cstr(p->zone.rule));
    for (size_t i = 0; i < p->scoped_count && l->language >= 3; i++)
        if (strcmp(p->views[i]->timezone, p->timezone) != 0)
            sp_json_set_text(l->version, sp_json_root(l->version),
                             sp_policy_loader_join(
                                 l, "timezone-rule:", sp_bytes_cstr(p->views[i]->timezone), ""),
                             sp_bytes_cstr(p->views[i]->zone.rule));
    hash_of(l, l->version, &p->canonical, p->hash);
    hash_rules(l);
}

static void load_all(struct sp_loader *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t before = sp_problems_errors(l->problems);
    struct sp_bytes text;
    enum sp_rc rc = l->reader->read(l->reader->ctx, path, &text);

    l->dir = slash == NULL
                 ? ""
                 : sp_arena_cstr(l->policy->arena, sp_bytes(path, (size_t)(slash - path) + 1));
    if (rc != SP_OK) {
        sp_problem_file(l->problems, path, 0, rc, "can't read the policy: %s", sp_rc_name(rc));
        return;
    }
    if (!load_layers(l, sp_arena_cstr(l->policy->arena, sp_bytes_cstr(path)), text))
        return;
    sp_policy_load_scoped_read(
        l); /* what a layer puts in the place of a name is no fault of its rule */
    sp_policy_load_compile(l);
    sp_policy_load_preferences(l); /* their days are those of the settings' time zone */
    sp_policy_load_scoped(l);
    if (sp_problems_errors(l->problems) > before)
        return;
    sp_policy_review_unused(l);
    add_partners(l);
    make_version(l);
}

void sp_policy_load_compile(struct sp_loader *l)
{
    size_t before = sp_problems_errors(l->problems);

    sp_policy_load_settings(l);
    sp_policy_load_lists(l);
    sp_policy_load_ladders(l);
    sp_policy_load_rules(l);
    if (sp_problems_errors(l->problems) == before)
        sp_policy_review(l);
}

static enum sp_rc load(struct sp_loader *l, const char *path, struct sp_policy **out)
{
    SP_AUTO(sp_policy) p = sp_calloc(1, sizeof(*p));
    size_t before = sp_problems_errors(l->problems);

    p->arena = sp_arena_new(16384);
    atomic_init(&p->refs, 1);
    p->root = p;
    l->policy = p;
    l->version = sp_json_doc_new();
    l->used = sp_map_new();
    load_all(l, path);
    sp_json_doc_free(l->version);
    sp_map_free(l->used);
    if (sp_problems_errors(l->problems) > before)
        return sp_problems_rc(l->problems, NULL);
    *out = SP_STEAL(p);
    return SP_OK;
}

enum sp_rc sp_policy_load(const struct sp_policy_reader *reader, const char *path,
                          struct sp_problems *problems, struct sp_policy **out)
{
    struct sp_loader l = {.reader = reader, .problems = problems, .language = SP_POLICY_LANGUAGE};

    return load(&l, path, out);
}

enum sp_rc sp_policy_load_past(const struct sp_policy_reader *reader, const char *path,
                               unsigned language, struct sp_problems *problems,
                               struct sp_policy **out)
{
    struct sp_loader l = {
        .reader = reader, .problems = problems, .language = language, .is_past = true};

    return load(&l, path, out);
}

struct sp_policy *sp_policy_ref(struct sp_policy *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

static void free_lists(const struct sp_policy *p)
{
    for (const struct sp_policy_list *list = p == NULL ? NULL : p->lists; list != NULL;
         list = list->next)
        if (list->origin == NULL) {
            sp_map_free(list->entries);
            sp_map_free(list->lookalikes);
        } else if (list->lookalikes != list->origin->lookalikes) {
            sp_map_free(list->lookalikes);
        }
}

void sp_policy_unref(struct sp_policy *p)
{
    if (p == NULL || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    for (size_t i = 0; i < p->scoped_count; i++) {
        free_lists(p->views[i]);
        sp_json_doc_free(p->scoped[i].doc);
    }
    free_lists(p);
    for (size_t i = 0; i < SP_POLICY_LAYERS_MAX; i++)
        sp_json_doc_free(p->layers[i].doc);
    sp_map_free(p->by_scope);
    sp_map_free(p->preferences);
    sp_arena_free(p->arena);
    sp_free(p);
}

void sp_policy_free(struct sp_policy *p)
{
    sp_policy_unref(p);
}
