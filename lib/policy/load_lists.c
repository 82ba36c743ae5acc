/*
 * Lists of domains and addresses, inline or one a line in a file, into hash maps keyed by lower case. An entry for a
 * domain and all below it is written ".example.org". Entries may end ("until="): an entry past its day is as good as
 * gone, without anybody touching the file.
 */
#include <stdio.h>

#include "base/clock.h"
#include "config/directory.h"
#include "config/partners.h"
#include "mail/idn.h"
#include "policy/load_priv.h"

#define ENTRY_MAX 320

static const char *const list_keys[] = {"kind", "file", "entries", "note", NULL};
static const char *const kind_names[] = {"domains", "addresses", "partners", NULL};

static bool lower(struct sp_bytes text, uint8_t out[ENTRY_MAX])
{
    if (text.len == 0 || text.len > ENTRY_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        out[i] = sp_ascii_lower(text.ptr[i]);
    return true;
}

static bool holds(const struct sp_policy_list *list, struct sp_bytes key, int64_t now_ms)
{
    const struct sp_list_entry *e = sp_map_find(list->entries, key);

    return e != NULL && (now_ms == 0 || now_ms < e->until_ms);
}

bool sp_policy_list_has(const struct sp_policy_list *list, struct sp_bytes text, int64_t now_ms)
{
    uint8_t folded[ENTRY_MAX];
    struct sp_bytes key;
    size_t at;

    if (!lower(text, folded))
        return false;
    key = sp_bytes(folded, text.len);
    if (holds(list, key, now_ms))
        return true;
    for (at = key.len; at > 0 && folded[at - 1] != '@';)
        at--;
    if (list->kind == SP_LIST_ADDRESSES)
        return false;
    if (at > 0) { /* an address against a list of domains */
        key = sp_bytes_slice(key, at, SIZE_MAX);
        if (holds(list, key, now_ms))
            return true;
    }
    for (at = 0; at < key.len; at++)
        if (key.ptr[at] == '.' && at > 0 && holds(list, sp_bytes_slice(key, at, SIZE_MAX), now_ms))
            return true;
    return false;
}

static bool looks_right(const struct sp_loader *l, const struct sp_policy_list *list,
                        struct sp_bytes text)
{
    bool has_at = sp_bytes_find(text, '@') != SIZE_MAX;
    bool is_below = text.len > 0 && text.ptr[0] == '.';
    bool is_half = text.len > 0 && (text.ptr[0] == '@' || text.ptr[text.len - 1] == '@');

    if (is_half && !l->is_past)
        return false;
    if (list->kind != SP_LIST_ADDRESSES && !l->is_past &&
        !sp_policy_loader_is_domain(sp_bytes_slice(text, is_below ? 1 : 0, SIZE_MAX)))
        return false;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0 && text.len <= ENTRY_MAX && has_at == (list->kind == SP_LIST_ADDRESSES);
}

static const char *wanted(const struct sp_policy_list *list)
{
    return list->kind == SP_LIST_ADDRESSES
               ? "an address like nurse@example.org"
               : "a domain like example.org, or .example.org for all below it";
}

/*
 * Domains in U-labels are kept by their A-labels, which is what facts hold.
 *
 * other_end: gets true if the entry is there already and ends at another time; it may be NULL
 * returns:   false if it is no name
 */
static bool put(struct sp_loader *l, struct sp_policy_list *list, struct sp_bytes text,
                int64_t until_ms, bool *other_end)
{
    struct sp_list_entry *e = sp_arena_alloc(l->policy->arena, sizeof(*e));
    const struct sp_list_entry *before = NULL;
    uint8_t folded[ENTRY_MAX];
    struct sp_buf ascii;
    bool ok;

    sp_buf_init(&ascii, ENTRY_MAX);
    ok = sp_domain_pattern_to_ascii(text, &ascii) == SP_OK;
    e->until_ms = until_ms;
    if (ok && lower(sp_buf_bytes(&ascii), folded))
        before = sp_map_put(list->entries, sp_bytes(folded, ascii.len), e);
    if (other_end != NULL)
        *other_end = before != NULL && before->until_ms != until_ms;
    sp_buf_clear(&ascii);
    return ok;
}

/* "until=2026-12-31". returns: false if it is no such word */
static bool read_until(const struct sp_loader *l, struct sp_bytes word, int64_t *out)
{
    char text[40];

    if (!sp_bytes_starts_nocase(word, SP_LIT("until=")) || word.len != 16)
        return false;
    snprintf(text, sizeof(text), "%.*sT00:00:00Z", SP_FMT(sp_bytes_slice(word, 6, 10)));
    if (!sp_time_parse_rfc3339(sp_bytes_cstr(text), out))
        return false;
    *out = sp_policy_loader_day(l, *out);
    return true;
}

bool sp_policy_list_is_kept(struct sp_bytes text)
{
    return sp_bytes_starts_nocase(text, SP_LIT(SP_DIRECTORY_MARK));
}

/* A note begins a line or stands behind a space: an address may have a "#" in it (RFC 5321 4.1.2). */
static struct sp_bytes without_note(struct sp_bytes line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '#' && (i == 0 || line.ptr[i - 1] == ' ' || line.ptr[i - 1] == '\t'))
            return sp_bytes_slice(line, 0, i);
    return line;
}

/* Up to a space or a tab. returns: false at the end */
static bool next_word(struct sp_bytes *line, struct sp_bytes *word)
{
    size_t n = 0;

    if (line->len == 0)
        return false;
    while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t')
        n++;
    *word = sp_bytes_slice(*line, 0, n);
    *line = sp_bytes_slice(*line, n < line->len ? n + 1 : n, SIZE_MAX);
    return true;
}

/* A line: entry [until=DATE] [# note] */
static void put_line(struct sp_loader *l, struct sp_policy_list *list, struct sp_bytes line,
                     const char *file, uint32_t number)
{
    struct sp_bytes entry, word;
    int64_t until_ms = INT64_MAX;
    bool other_end = false;

    line = sp_bytes_trim(without_note(line));
    if (line.len == 0)
        return;
    if (!next_word(&line, &entry) || !looks_right(l, list, entry)) {
        sp_problem_file(l->problems, file, number, SP_E_POLICY_INVALID, "expected %s",
                        wanted(list));
        return;
    }
    while (next_word(&line, &word))
        if (word.len > 0 && !read_until(l, word, &until_ms))
            sp_problem_file(l->problems, file, number, SP_E_POLICY_INVALID,
                            "behind the entry only until=YYYY-MM-DD and # note are known");
    if (!put(l, list, entry, until_ms, &other_end))
        sp_problem_file(l->problems, file, number, SP_E_POLICY_INVALID, "expected %s",
                        wanted(list));
    if (other_end)
        sp_problem_file_warn(l->problems, file,
                             "line %u: \"%.*s\" stands before with another end; this line counts",
                             number, SP_FMT(entry));
}

/* The file of pinned partners (config/partners.h): its domains are the list. */
static void load_partners(struct sp_loader *l, struct sp_policy_list *list, const char *file,
                          struct sp_bytes text)
{
    SP_AUTO(sp_partners) partners = NULL;

    if (sp_partners_load(text, file, l->problems, &partners) != SP_OK)
        return;
    for (size_t i = 0; i < sp_partners_count(partners); i++)
        (void)put(l, list, sp_bytes_cstr(sp_partners_at(partners, i)->domain), INT64_MAX, NULL);
}

static void load_file(struct sp_loader *l, struct sp_policy_list *list, const struct sp_json *v)
{
    struct sp_bytes text, line;
    uint32_t number = 0;
    const char *file;

    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT) || !sp_policy_loader_read(l, v, v->text, &text))
        return;
    file = sp_policy_loader_join(l, l->dir, v->text, "");
    if (list->kind == SP_LIST_PARTNERS && sp_bytes_ends_nocase(v->text, SP_LIT(".json"))) {
        load_partners(l, list, file, text);
        return;
    }
    while (sp_bytes_split(&text, '\n', &line))
        put_line(l, list, line, file, ++number);
}

static void load_entries(struct sp_loader *l, struct sp_policy_list *list, const struct sp_json *v)
{
    if (!sp_policy_loader_type(l, v, SP_JSON_ARRAY))
        return;
    for (const struct sp_json *i = v->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || !looks_right(l, list, i->text))
            sp_problem(l->problems, i, SP_E_POLICY_INVALID, "expected %s", wanted(list));
        else
            put(l, list, i->text, INT64_MAX, NULL);
    }
}

static struct sp_policy_list *new_list(struct sp_loader *l, const struct sp_json *source)
{
    struct sp_policy_list *list = sp_arena_alloc(l->policy->arena, sizeof(*list));

    memset(list, 0, sizeof(*list));
    list->name = sp_arena_cstr(l->policy->arena, source->key);
    list->source = source;
    list->entries = sp_map_new();
    list->next = l->policy->lists;
    l->policy->lists = list;
    return list;
}

/* A list of the root's layers is there already: the entries are the same. returns: whether it was */
static bool take_origin(struct sp_loader *l, const struct sp_json *v)
{
    struct sp_policy_list *list;

    for (struct sp_policy_list *o = l->root == NULL ? NULL : l->root->policy->lists; o != NULL;
         o = o->next) {
        if (o->source != v)
            continue;
        list = sp_arena_alloc(l->policy->arena, sizeof(*list));
        *list = *o;
        list->origin = o;
        list->next = l->policy->lists;
        l->policy->lists = list;
        return true;
    }
    return false;
}

static void load_list(struct sp_loader *l, const struct sp_json *v)
{
    struct sp_policy_list *list;
    const struct sp_json *kind, *file, *entries;
    int word;

    if (take_origin(l, v))
        return;
    list = new_list(l, v);
    if (!sp_policy_loader_is_name(v->key))
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "a name is made of a to z, 0 to 9 and hyphens");
    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, list_keys);
    kind = sp_json_find(v, "kind");
    file = sp_json_find(v, "file");
    entries = sp_json_find(v, "entries");
    word = kind == NULL ? -1 : sp_policy_loader_word(l, kind, kind_names, "kind of list");
    if (kind == NULL)
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING,
                   "\"kind\" is missing: domains, addresses or partners");
    if (word < 0)
        return;
    list->kind = (enum sp_list_kind)word;
    if ((file == NULL) == (entries == NULL))
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "expected either \"file\" or \"entries\"");
    if (file != NULL)
        load_file(l, list, file);
    if (entries != NULL)
        load_entries(l, list, entries);
}

/* Of a version that has decided mail no rule asked for such a group: that was refused. */
static void check_list_of_group(struct sp_loader *l, const struct sp_json *name)
{
    if (sp_policy_loader_find(l, "lists", name->text) != NULL)
        return;
    if (l->is_past)
        sp_problem_warn(l->problems, name, "\"%.*s\" is not in \"lists\" of any layer",
                        SP_FMT(name->text));
    else
        sp_policy_loader_unknown(l, name, "lists", name->text);
}

/* A group of addresses is a list of its own, named after it. */
static void load_group(struct sp_loader *l, const struct sp_json *v)
{
    static const char *const keys[] = {"list", "addresses", "note", NULL};
    const struct sp_json *name, *addresses;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return;
    sp_policy_loader_keys(l, v, keys);
    name = sp_json_find(v, "list");
    addresses = sp_json_find(v, "addresses");
    if ((name == NULL) == (addresses == NULL)) {
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING,
                   "expected either \"list\" or \"addresses\"");
        return;
    }
    if (name != NULL && sp_policy_loader_type(l, name, SP_JSON_TEXT))
        check_list_of_group(l, name);
    if (addresses != NULL && !take_origin(l, v)) {
        struct sp_policy_list *list = new_list(l, v);

        list->kind = SP_LIST_ADDRESSES;
        list->name = "";
        load_entries(l, list, addresses);
    }
}

/* Every entry of a section that no nearer layer replaces. */
static void load_section(struct sp_loader *l, const char *section,
                         void (*load)(struct sp_loader *l, const struct sp_json *v))
{
    for (size_t i = 0; i < l->policy->layer_count; i++) {
        const struct sp_json *all = sp_json_find(l->policy->layers[i].root, section);

        if (all == NULL || !sp_policy_loader_type(l, all, SP_JSON_OBJECT))
            continue;
        for (const struct sp_json *m = all->first; m != NULL; m = m->next)
            if (!sp_policy_loader_is_replaced(l, section, m))
                load(l, m);
    }
}

/* What rules find by name when they are read; what an entry is was told with its layer. */
static void tell_replaced(struct sp_loader *l, const char *section)
{
    for (size_t i = 0; i + 1 < l->policy->layer_count; i++) {
        const struct sp_json *all = sp_json_find(l->policy->layers[i].root, section);

        for (const struct sp_json *m = all == NULL ? NULL : all->first; m != NULL; m = m->next)
            (void)sp_policy_loader_is_replaced(l, section, m);
    }
}

void sp_policy_load_lists(struct sp_loader *l)
{
    load_section(l, "lists", load_list);
    load_section(l, "groups", load_group);
    tell_replaced(l, "texts");
    tell_replaced(l, "labels");
}

struct sp_policy_list *sp_policy_load_list_find(const struct sp_loader *l, struct sp_bytes name)
{
    for (struct sp_policy_list *list = l->policy->lists; list != NULL; list = list->next) {
        if (sp_bytes_eq(sp_bytes_cstr(list->name), name)) {
            sp_policy_loader_use(l, list->source);
            return list;
        }
    }
    return NULL;
}
