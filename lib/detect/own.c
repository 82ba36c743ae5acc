/*
 * Reads what an organisation adds to the detector, and compiles it with Hyperscan: patterns and terms in a database of their
 * own. A word that is not known is an error, since whoever misspells "near" must not believe that a pattern is narrow.
 */
#include "detect/own_priv.h"

#include "base/arena.h"

#include <stdio.h>

#define PATTERN_LEN_MAX  256
#define TERM_LEN_MAX     100
#define SCORE_DEFAULT    85
#define SPECIAL_NAME_MAX 32 /* as policies take them */

struct loading {
    struct sp_detect_own *own;
    struct sp_problems *problems;
    /* of what is compiled */
    char *texts[SP_DETECT_OWN_PATTERNS_MAX + SP_DETECT_OWN_TERMS_MAX];
    const struct sp_json *places[SP_DETECT_OWN_PATTERNS_MAX + SP_DETECT_OWN_TERMS_MAX];
    unsigned flags[SP_DETECT_OWN_PATTERNS_MAX + SP_DETECT_OWN_TERMS_MAX];
    size_t count;
};

enum sp_detect_type sp_detect_type_of(struct sp_bytes name)
{
    enum sp_detect_type t = 0;

    while (t < SP_DETECT_TYPES && !sp_bytes_eq(name, sp_bytes_cstr(sp_detect_type_name(t))))
        t++;
    return t;
}

static void unknown(struct loading *l, const struct sp_json *m, const char *const *names,
                    size_t count)
{
    const char *near = sp_problem_nearest(m->key, names, count);

    sp_problem(l->problems, m, SP_E_CONFIG_UNKNOWN, "not known here%s%s",
               near == NULL ? "" : "; meant: ", near == NULL ? "" : near);
}

/* ---- patterns ---- */

static void read_type(struct loading *l, const struct sp_json *m, struct own_pattern *out)
{
    out->type = m->type == SP_JSON_TEXT ? sp_detect_type_of(m->text) : SP_DETECT_TYPES;
    if (out->type == SP_DETECT_TYPES)
        sp_problem(l->problems, m, SP_E_CONFIG_RANGE,
                   "expected a type of findings, such as MRN, HEALTH_PLAN_ID or OTHER");
}

static void read_check(struct loading *l, const struct sp_json *m, struct own_pattern *out)
{
    static const char *const names[] = {"none", "luhn", "mod11"};

    for (size_t i = 0; m->type == SP_JSON_TEXT && i < SP_ARRAY_LEN(names); i++)
        if (sp_bytes_eq(m->text, sp_bytes_cstr(names[i]))) {
            out->check = (enum own_check)i;
            return;
        }
    sp_problem(l->problems, m, SP_E_CONFIG_RANGE, "expected none, luhn or mod11");
}

static void read_score(struct loading *l, const struct sp_json *m, struct own_pattern *out)
{
    if (m->type != SP_JSON_INT || m->integer < 1 || m->integer > 100)
        sp_problem(l->problems, m, SP_E_CONFIG_RANGE, "expected a number from 1 to 100");
    else
        out->score = (uint32_t)m->integer;
}

static struct sp_bytes small(struct loading *l, struct sp_bytes text)
{
    uint8_t *copy = sp_arena_alloc(l->own->arena, text.len + 1);

    for (size_t i = 0; i < text.len; i++)
        copy[i] = sp_ascii_lower(text.ptr[i]);
    return sp_bytes(copy, text.len);
}

static void read_near(struct loading *l, const struct sp_json *m, struct own_pattern *out)
{
    if (m->type != SP_JSON_ARRAY || m->count == 0 || m->count > OWN_NEAR_MAX) {
        sp_problem(l->problems, m, SP_E_CONFIG_TYPE, "expected an array of 1 to %d words",
                   OWN_NEAR_MAX);
        return;
    }
    for (const struct sp_json *i = m->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || i->text.len == 0 || i->text.len > OWN_NEAR_REACH)
            sp_problem(l->problems, i, SP_E_CONFIG_TYPE, "expected a word");
        else
            out->near[out->near_count++] = small(l, i->text);
    }
}

static void add(struct loading *l, const struct sp_json *at, const char *text, unsigned flags)
{
    l->places[l->count] = at;
    l->flags[l->count] = flags;
    l->texts[l->count++] = sp_strdup(text);
}

static void read_expression(struct loading *l, const struct sp_json *m)
{
    char text[PATTERN_LEN_MAX + 1];

    if (m->type != SP_JSON_TEXT || m->text.len == 0 || m->text.len > PATTERN_LEN_MAX ||
        memchr(m->text.ptr, 0, m->text.len) != NULL) {
        sp_problem(l->problems, m, SP_E_CONFIG_TYPE,
                   "expected a regular expression of at most %d bytes", PATTERN_LEN_MAX);
        return;
    }
    memcpy(text, m->text.ptr, m->text.len);
    text[m->text.len] = '\0';
    add(l, m, text, HS_FLAG_CASELESS | HS_FLAG_SOM_LEFTMOST);
}

static void read_pattern(struct loading *l, const struct sp_json *v)
{
    static const char *const members[] = {"name",  "type",  "pattern", "near",
                                          "check", "score", "note"};
    struct own_pattern *out = &l->own->patterns[l->own->pattern_count];
    size_t before = l->count;

    *out = (struct own_pattern){.type = SP_DETECT_OTHER, .score = SCORE_DEFAULT};
    if (v->type != SP_JSON_OBJECT) {
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected an object");
        return;
    }
    for (const struct sp_json *m = v->first; m != NULL; m = m->next) {
        if (sp_bytes_eq(m->key, SP_LIT("type")))
            read_type(l, m, out);
        else if (sp_bytes_eq(m->key, SP_LIT("pattern")))
            read_expression(l, m);
        else if (sp_bytes_eq(m->key, SP_LIT("near")))
            read_near(l, m, out);
        else if (sp_bytes_eq(m->key, SP_LIT("check")))
            read_check(l, m, out);
        else if (sp_bytes_eq(m->key, SP_LIT("score")))
            read_score(l, m, out);
        else if (!sp_bytes_eq(m->key, SP_LIT("name")) && !sp_bytes_eq(m->key, SP_LIT("note")))
            unknown(l, m, members, SP_ARRAY_LEN(members));
    }
    if (sp_json_find(v, "pattern") == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "\"pattern\" is missing");
    l->own->pattern_count += l->count > before;
}

static void read_patterns(struct loading *l, const struct sp_json *list)
{
    if (list->type != SP_JSON_ARRAY || list->count > SP_DETECT_OWN_PATTERNS_MAX) {
        sp_problem(l->problems, list, SP_E_CONFIG_TYPE, "expected an array of at most %d patterns",
                   SP_DETECT_OWN_PATTERNS_MAX);
        return;
    }
    for (const struct sp_json *v = list->first; v != NULL; v = v->next)
        read_pattern(l, v);
}

/* ---- terms ---- */

static void read_term(struct loading *l, const struct sp_json *v, uint64_t marks, unsigned special)
{
    struct sp_detect_own *own = l->own;
    char text[4 * TERM_LEN_MAX + 1];

    if (v->type != SP_JSON_TEXT || v->text.len < 2 || v->text.len > TERM_LEN_MAX) {
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected a term of 2 to %d bytes",
                   TERM_LEN_MAX);
        return;
    }
    if (own->term_count == SP_DETECT_OWN_TERMS_MAX) {
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected at most %d terms in all",
                   SP_DETECT_OWN_TERMS_MAX);
        return;
    }
    for (size_t i = 0; i < v->text.len; i++)
        snprintf(text + 4 * i, 5, "\\x%02x", (unsigned)v->text.ptr[i]);
    add(l, v, text, HS_FLAG_CASELESS);
    own->terms[own->term_count++] = (struct own_term){marks, v->text.len, special};
}

static void read_list(struct loading *l, const struct sp_json *list, uint64_t marks,
                      unsigned special)
{
    if (list->type != SP_JSON_ARRAY) {
        sp_problem(l->problems, list, SP_E_CONFIG_TYPE, "expected an array of terms");
        return;
    }
    for (const struct sp_json *v = list->first; v != NULL; v = v->next)
        read_term(l, v, marks, special);
}

static bool is_special_name(struct sp_bytes name)
{
    for (size_t i = 0; i < SP_DETECT_SPECIALS; i++)
        if (sp_bytes_eq(name, sp_bytes_cstr(sp_detect_special_name(i))))
            return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != '-' && !sp_ascii_is_digit(name.ptr[i]) &&
            !(name.ptr[i] >= 'a' && name.ptr[i] <= 'z'))
            return false;
    return name.len > 0 && name.len <= SPECIAL_NAME_MAX;
}

/* Classes of the organisation's own, as special as the law's: words of health that make what they stand in one. */
static void read_specials(struct loading *l, const struct sp_json *object)
{
    struct sp_detect_own *own = l->own;

    if (object->type != SP_JSON_OBJECT || object->count > SP_DETECT_OWN_SPECIALS_MAX) {
        sp_problem(l->problems, object, SP_E_CONFIG_TYPE,
                   "expected an object of at most %d classes with their terms",
                   SP_DETECT_OWN_SPECIALS_MAX);
        return;
    }
    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        if (!is_special_name(m->key)) {
            sp_problem(l->problems, m, SP_E_CONFIG_RANGE,
                       "a class of your own is named by a to z, 0 to 9 and hyphens, at most %d, "
                       "and is none of the detector's",
                       SPECIAL_NAME_MAX);
            continue;
        }
        read_list(l, m, M(DIAGNOSIS), 1U << (SP_DETECT_SPECIALS + own->special_count));
        own->specials[own->special_count++] = sp_arena_cstr(own->arena, m->key);
    }
}

static void read_terms(struct loading *l, const struct sp_json *object)
{
    static const struct {
        const char *name;
        uint64_t marks;
    } kinds[] = {{"health", M(DIAGNOSIS)}, {"patient", M(PATIENT)}, {"ignore", 0}};
    static const char *const members[] = {"health", "patient", "ignore", "special"};

    if (object->type != SP_JSON_OBJECT) {
        sp_problem(l->problems, object, SP_E_CONFIG_TYPE,
                   "expected an object with health, patient, ignore, special");
        return;
    }
    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        size_t k = 0;

        while (k < SP_ARRAY_LEN(kinds) && !sp_bytes_eq(m->key, sp_bytes_cstr(kinds[k].name)))
            k++;
        if (sp_bytes_eq(m->key, SP_LIT("special")))
            read_specials(l, m);
        else if (k == SP_ARRAY_LEN(kinds))
            unknown(l, m, members, SP_ARRAY_LEN(members));
        else
            read_list(l, m, kinds[k].marks, 0);
    }
}

/* ---- compiling ---- */

static enum sp_rc compile(struct loading *l, struct sp_detect *d)
{
    unsigned ids[SP_DETECT_OWN_PATTERNS_MAX + SP_DETECT_OWN_TERMS_MAX];
    hs_compile_error_t *problem = NULL;
    enum sp_rc rc = SP_OK;

    for (unsigned i = 0; i < l->count; i++)
        ids[i] = i;
    if (l->count == 0)
        return SP_OK;
    if (hs_compile_multi((const char *const *)l->texts, l->flags, ids, (unsigned)l->count,
                         HS_MODE_BLOCK, NULL, &l->own->db, &problem) != HS_SUCCESS) {
        const struct sp_json *at = problem->expression >= 0 ? l->places[problem->expression] : NULL;

        rc = at != NULL
                 ? sp_problem(l->problems, at, SP_E_CONFIG_INVALID, "%s", problem->message)
                 : sp_problem(l->problems, l->places[0], SP_E_CONFIG_INVALID,
                              "these patterns can't be compiled together: %s", problem->message);
        hs_free_compile_error(problem);
    } else if (hs_alloc_scratch(l->own->db, &d->scratch) != HS_SUCCESS) {
        rc = sp_problem(l->problems, l->places[0], SP_E_SCAN_FAILED,
                        "no scratch space for the patterns");
    }
    return rc;
}

static void read_all(struct loading *l, const struct sp_json *root)
{
    static const char *const members[] = {"version", "patterns", "terms", "note"};

    if (root->type != SP_JSON_OBJECT || sp_json_int_of(root, "version", 0) != 1) {
        sp_problem(l->problems, root, SP_E_CONFIG_TYPE, "expected an object with \"version\": 1");
        return;
    }
    for (const struct sp_json *m = root->first; m != NULL; m = m->next)
        if (sp_bytes_eq(m->key, SP_LIT("patterns")))
            read_patterns(l, m);
    for (const struct sp_json *m = root->first; m != NULL; m = m->next) {
        if (sp_bytes_eq(m->key, SP_LIT("terms")))
            read_terms(l, m);
        else if (!sp_bytes_eq(m->key, SP_LIT("version")) &&
                 !sp_bytes_eq(m->key, SP_LIT("patterns")) && !sp_bytes_eq(m->key, SP_LIT("note")))
            unknown(l, m, members, SP_ARRAY_LEN(members));
    }
}

enum sp_rc sp_detect_own_load(struct sp_detect *d, struct sp_bytes text, const char *file,
                              struct sp_detect_exact *exact, struct sp_problems *problems,
                              struct sp_detect_own **out)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    SP_AUTO(sp_detect_own) own = sp_calloc(1, sizeof(*own));
    SP_AUTO(sp_json_doc) doc = NULL;
    struct loading *l = sp_calloc(1, sizeof(*l));
    struct sp_err err = {0};
    size_t before = sp_problems_errors(problems);
    enum sp_rc rc;

    own->arena = sp_arena_new(4096);
    own->exact = exact;
    own->terms = sp_arena_alloc(own->arena, SP_DETECT_OWN_TERMS_MAX * sizeof(*own->terms));
    *l = (struct loading){.own = own, .problems = problems};
    rc = sp_json_parse(text, &options, &doc, &err);
    if (rc != SP_OK)
        sp_problem_file(problems, file, 0, SP_E_JSON_SYNTAX, "%s", err.text);
    else
        read_all(l, sp_json_root(doc));
    if (sp_problems_errors(problems) == before)
        rc = compile(l, d);
    for (size_t i = 0; i < l->count; i++)
        sp_free(l->texts[i]);
    sp_free(l);
    if (sp_problems_errors(problems) > before)
        return rc == SP_OK ? SP_E_CONFIG_INVALID : rc;
    *out = SP_STEAL(own);
    return SP_OK;
}

const char *sp_detect_own_special(const struct sp_detect_own *own, size_t i)
{
    if (i < SP_DETECT_SPECIALS)
        return sp_detect_special_name(i);
    i -= SP_DETECT_SPECIALS;
    return own != NULL && i < own->special_count ? own->specials[i] : NULL;
}

void sp_detect_own_free(struct sp_detect_own *own)
{
    if (own == NULL)
        return;
    hs_free_database(own->db);
    sp_detect_exact_free(own->exact);
    sp_arena_free(own->arena);
    sp_free(own);
}
