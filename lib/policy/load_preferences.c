/*
 * What people have said about mail to them: {"version": 1, "preferences": [{"recipient", "preference", "given", "by",
 * "until", "warning"}]}. Plain mail is a patient's right only after a warning (45 CFR 164.522(b)), so that entry must say
 * which warning was given, by whom, when, and until when it holds; an entry that has ended is as good as absent.
 */
#include "mail/idn.h"
#include "policy/load_priv.h"

static const char *const file_keys[] = {"file", "note", NULL};
static const char *const top_keys[] = {"$schema", "version", "preferences", "note", NULL};
static const char *const entry_keys[] = {"recipient", "preference", "given", "by",
                                         "until",     "warning",    "note",  NULL};

static bool need(struct sp_loader *l, const struct sp_json *entry, const char *key)
{
    const struct sp_json *v = sp_json_find(entry, key);

    if (v == NULL) {
        sp_problem(l->problems, entry, SP_E_CONFIG_MISSING, "\"%s\" is missing", key);
        return false;
    }
    if (v->type == SP_JSON_TEXT && v->text.len > 0)
        return true;
    sp_problem(l->problems, v, SP_E_CONFIG_TYPE, "expected a text");
    return false;
}

/* Kept by the form that facts have: the domain in A-labels, all in lower case. */
static void put_entry(struct sp_loader *l, const struct sp_json *entry,
                      const struct sp_preference_entry *e)
{
    struct sp_preference_entry *kept = sp_arena_alloc(l->policy->arena, sizeof(*kept));
    const struct sp_json *recipient = sp_json_find(entry, "recipient");
    struct sp_buf key;

    *kept = *e;
    sp_buf_init(&key, SP_ADDRESS_MAX);
    if (sp_address_normalise(recipient->text, &key) != SP_OK) {
        sp_problem(l->problems, recipient, SP_E_POLICY_INVALID,
                   "expected an address like pat@example.net");
    } else {
        for (size_t i = 0; i < key.len; i++)
            key.ptr[i] = sp_ascii_lower(key.ptr[i]);
        if (sp_map_put(l->policy->preferences, sp_buf_bytes(&key), kept) != NULL)
            sp_problem(l->problems, recipient, SP_E_POLICY_INVALID,
                       "this person stands in the registry already");
    }
    sp_buf_clear(&key);
}

static void load_entry(struct sp_loader *l, const struct sp_json *entry)
{
    struct sp_preference_entry e = {.until_ms = INT64_MAX};
    const struct sp_json *v;
    int word;

    if (!sp_policy_loader_type(l, entry, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, entry, entry_keys);
    if (!need(l, entry, "recipient") || !need(l, entry, "preference") || !need(l, entry, "given") ||
        !need(l, entry, "by"))
        return;
    if (!sp_policy_loader_date(l, sp_json_find(entry, "given"), &e.given_ms))
        return;
    if ((v = sp_json_find(entry, "until")) != NULL)
        sp_policy_loader_date(l, v, &e.until_ms);
    if (e.until_ms <= e.given_ms)
        sp_problem_warn(l->problems, entry, "this never counts: it ends before it begins");
    word = sp_policy_loader_word(l, sp_json_find(entry, "preference"),
                                 sp_fact_rows[SP_FACT_RECIPIENT_PREFERENCE].values, "preference");
    e.value = word + sp_fact_rows[SP_FACT_RECIPIENT_PREFERENCE].first;
    if (word < 0)
        return;
    if (e.value == SP_PREFERENCE_PLAIN && (!need(l, entry, "warning") || v == NULL)) {
        sp_problem(
            l->problems, entry, SP_E_CONFIG_MISSING,
            "\"plain\" needs \"warning\", the text that the person was given, and \"until\"");
        return;
    }
    put_entry(l, entry, &e);
}

/* A set that is extended can't have one: it would be overlooked. */
static void check_sets(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;

    for (size_t i = 0; i + 1 < p->layer_count; i++) {
        const struct sp_json *v = sp_json_find(p->layers[i].root, "preferences");

        if (v != NULL)
            sp_policy_loader_idle(
                l, v, SP_E_POLICY_INVALID,
                "the registry of preferences is one: name it in the main file, not in a "
                "set that it extends");
    }
}

void sp_policy_load_preferences(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    const struct sp_json *v = sp_json_find(p->layers[p->layer_count - 1].root, "preferences");
    const struct sp_json *file = sp_json_find(v, "file"), *all;
    struct sp_json_options options = {.comments = true};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text;
    struct sp_err err;

    check_sets(l);
    if (v == NULL || !sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, file_keys);
    if (file == NULL || !sp_policy_loader_type(l, file, SP_JSON_TEXT)) {
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING,
                   "expected {\"file\": \"preferences.json\"}");
        return;
    }
    if (!sp_policy_loader_read(l, file, file->text, &text) || l->is_past)
        return; /* what it said then is in the facts */
    options.file = sp_policy_loader_join(l, l->dir, file->text, "");
    if (sp_json_parse(text, &options, &doc, &err) != SP_OK) {
        sp_problem_file(l->problems, "", 0, err.rc, "%s", err.text);
        return;
    }
    l->policy->preferences = sp_map_new();
    sp_policy_loader_keys(l, sp_json_root(doc), top_keys);
    all = sp_json_find(sp_json_root(doc), "preferences");
    if (all == NULL || sp_json_int_of(sp_json_root(doc), "version", 0) != 1) {
        sp_problem(l->problems, sp_json_root(doc), SP_E_CONFIG_MISSING,
                   "expected \"version\": 1 and \"preferences\"");
        return;
    }
    if (!sp_policy_loader_type(l, all, SP_JSON_ARRAY))
        return;
    for (const struct sp_json *e = all->first; e != NULL; e = e->next)
        load_entry(l, e);
}
