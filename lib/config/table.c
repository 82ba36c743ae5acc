/*
 * Reads a tree by a table. First every setting of the table is looked up and its value, or its default, stored; then the
 * tree is walked for what the table does not know, so that a misspelt name is told with the nearest right one. Defaults
 * go through the same conversion as written values: a wrong default is a bug that any test finds.
 */
#include "config/table.h"

#include "config/config.h"
#include "json/units.h"

struct reading {
    const struct sp_setting_table *table;
    struct sp_arena *arena;
    struct sp_problems *problems;
};

static const char *keep(const struct reading *r, struct sp_bytes text)
{
    return sp_arena_cstr(r->arena, text);
}

static void say_choices(const struct reading *r, const struct sp_json *at,
                        const struct sp_setting *s)
{
    struct sp_buf list;
    const char *near = NULL;
    size_t n = 0;

    sp_buf_init(&list, 400);
    for (; s->choices[n] != NULL; n++)
        sp_buf_printf(&list, "%s\"%s\"", n == 0 ? "" : ", ", s->choices[n]);
    near = sp_problem_nearest(at->text, s->choices, n);
    sp_problem(r->problems, at, SP_E_CONFIG_RANGE, "expected one of %.*s%s%s%s",
               SP_FMT(sp_buf_bytes(&list)), near == NULL ? "" : "; did you mean \"",
               near == NULL ? "" : near, near == NULL ? "" : "\"?");
    sp_buf_clear(&list);
}

/* returns: whether the text is one of the choices */
static bool find_choice(const struct sp_setting *s, struct sp_bytes text, int *index)
{
    for (int i = 0; s->choices[i] != NULL; i++) {
        if (sp_bytes_eq(text, sp_bytes_cstr(s->choices[i]))) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Amounts from text: sizes, durations, and plain numbers of defaults. */
static bool amount(const struct sp_setting *s, struct sp_bytes text, int64_t *out)
{
    uint64_t n;

    if (s->type == SP_SETTING_DURATION)
        return sp_units_parse_duration(text, out);
    if (s->type == SP_SETTING_SIZE)
        return sp_units_parse_size(text, out);
    if (!sp_bytes_to_u64(text, &n) || n > INT64_MAX)
        return false;
    *out = (int64_t)n;
    return true;
}

static void put_default(const struct reading *r, const struct sp_setting *s, char *base)
{
    struct sp_bytes text = sp_bytes_cstr(s->otherwise);
    void *to = base + s->offset;
    bool ok = true;

    switch (s->type) {
    case SP_SETTING_TEXT:
    case SP_SETTING_WORD:
        *(const char **)to = keep(r, text);
        break;
    case SP_SETTING_CHOICE:
        ok = find_choice(s, text, to);
        break;
    case SP_SETTING_BOOL:
        *(bool *)to = sp_bytes_eq(text, SP_LIT("true"));
        break;
    case SP_SETTING_TEXTS: {
        struct sp_config_texts *texts = to;

        texts->items = sp_arena_alloc(r->arena, sizeof(char *));
        texts->count = text.len > 0;
        texts->items[0] = keep(r, text);
        break;
    }
    default:
        ok = amount(s, text, to);
        break;
    }
    sp_assert(ok);
}

static void format_amount(const struct sp_setting *s, int64_t v, struct sp_buf *out)
{
    if (s->type == SP_SETTING_DURATION)
        sp_units_format_duration(v, out);
    else if (s->type == SP_SETTING_SIZE)
        sp_units_format_size(v, out);
    else
        sp_buf_put_dec(out, v);
}

static void read_amount(const struct reading *r, const struct sp_setting *s,
                        const struct sp_json *v, int64_t *to)
{
    static const char *const wanted[] = {
        [SP_SETTING_INT] = "a whole number",
        [SP_SETTING_DURATION] = "a duration like \"15m\", \"4h\" or \"2d\"",
        [SP_SETTING_SIZE] = "a size like \"25MiB\", or bytes as a number",
    };
    int64_t n = 0;
    struct sp_buf range;
    bool ok = v->type == SP_JSON_INT && s->type != SP_SETTING_DURATION;

    if (ok)
        n = v->integer;
    else if (v->type == SP_JSON_TEXT && s->type != SP_SETTING_INT)
        ok = amount(s, v->text, &n);
    if (!ok) {
        sp_problem(r->problems, v, SP_E_CONFIG_TYPE, "expected %s", wanted[s->type]);
        return;
    }
    if (n >= s->min && n <= s->max) {
        *to = n;
        return;
    }
    sp_buf_init(&range, 100);
    format_amount(s, s->min, &range);
    sp_buf_put_cstr(&range, " to ");
    format_amount(s, s->max, &range);
    sp_problem(r->problems, v, SP_E_CONFIG_RANGE, "out of range: expected %.*s",
               SP_FMT(sp_buf_bytes(&range)));
    sp_buf_clear(&range);
}

static const char *read_text(const struct reading *r, const struct sp_setting *s,
                             const struct sp_json *v)
{
    const char *right;

    if (v->type != SP_JSON_TEXT) {
        sp_problem(r->problems, v, SP_E_CONFIG_TYPE, "expected text, found %s",
                   sp_json_type_name(v->type));
        return "";
    }
    right = v->text.len == 0 && s->type == SP_SETTING_TEXT && s->otherwise != NULL &&
                    s->otherwise[0] == 0
                ? NULL
                : sp_config_form_check(s->form, v->text);
    if (right != NULL)
        sp_problem(r->problems, v, SP_E_CONFIG_INVALID, "expected %s", right);
    return keep(r, v->text);
}

static void read_texts(const struct reading *r, const struct sp_setting *s, const struct sp_json *v,
                       struct sp_config_texts *to)
{
    if (v->type != SP_JSON_ARRAY) {
        sp_problem(r->problems, v, SP_E_CONFIG_TYPE, "expected an array of texts, found %s",
                   sp_json_type_name(v->type));
        return;
    }
    if ((int64_t)v->count < s->min)
        sp_problem(r->problems, v, SP_E_CONFIG_RANGE, "expected at least %d", (int)s->min);
    to->items = sp_arena_alloc(r->arena, (v->count + 1) * sizeof(char *));
    for (const struct sp_json *item = v->first; item != NULL; item = item->next)
        to->items[to->count++] = read_text(r, s, item);
}

static void read_value(const struct reading *r, const struct sp_setting *s, const struct sp_json *v,
                       char *base)
{
    void *to = base + s->offset;

    switch (s->type) {
    case SP_SETTING_TEXT:
        *(const char **)to = read_text(r, s, v);
        break;
    case SP_SETTING_WORD:
    case SP_SETTING_CHOICE: {
        int index;

        if (v->type != SP_JSON_TEXT || !find_choice(s, v->text, &index))
            say_choices(r, v, s);
        else if (s->type == SP_SETTING_CHOICE)
            *(int *)to = index;
        else
            *(const char **)to = s->choices[index];
        break;
    }
    case SP_SETTING_BOOL:
        if (v->type != SP_JSON_BOOL)
            sp_problem(r->problems, v, SP_E_CONFIG_TYPE, "expected true or false");
        *(bool *)to = v->integer != 0;
        break;
    case SP_SETTING_TEXTS:
        read_texts(r, s, v, to);
        break;
    default:
        read_amount(r, s, v, to);
        break;
    }
}

static void read_settings(const struct reading *r, const struct sp_setting *settings, size_t count,
                          const struct sp_json *object, char *base)
{
    for (size_t i = 0; i < count; i++) {
        const struct sp_json *v = sp_json_find_path(object, settings[i].path);

        if (settings[i].otherwise != NULL)
            put_default(r, &settings[i], base);
        if (v != NULL) {
            if (settings[i].type == SP_SETTING_TEXTS)
                memset(base + settings[i].offset, 0, sizeof(struct sp_config_texts));
            read_value(r, &settings[i], v, base);
        } else if (settings[i].otherwise == NULL) {
            sp_problem(r->problems, object, SP_E_CONFIG_MISSING, "\"%s\" is missing: %s",
                       settings[i].path, settings[i].sentence);
        }
    }
}

/* returns: whether path is a setting, or an object on the way to one */
static bool is_known(const struct sp_setting *settings, size_t count, struct sp_bytes path,
                     bool *is_group)
{
    *is_group = false;
    for (size_t i = 0; i < count; i++) {
        struct sp_bytes known = sp_bytes_cstr(settings[i].path);

        if (sp_bytes_eq(known, path))
            return true;
        if (known.len > path.len && known.ptr[path.len] == '.' &&
            sp_bytes_eq(sp_bytes_slice(known, 0, path.len), path))
            *is_group = true;
    }
    return *is_group;
}

struct known {
    const struct sp_setting *settings;
    size_t setting_count;
    const struct sp_setting_list *lists;
    size_t list_count;
};

static void say_unknown(const struct reading *r, const struct known *k, const struct sp_json *m,
                        struct sp_bytes path)
{
    const char *names[256];
    size_t n = 0;
    const char *near;

    for (size_t i = 0; i < k->setting_count && n < SP_ARRAY_LEN(names); i++)
        names[n++] = k->settings[i].path;
    for (size_t i = 0; i < k->list_count && n < SP_ARRAY_LEN(names); i++)
        names[n++] = k->lists[i].path;
    near = sp_problem_nearest(path, names, n);
    /* a right name in the wrong group is meant more often than not */
    for (size_t i = 0; near == NULL && i < n; i++) {
        struct sp_bytes known = sp_bytes_cstr(names[i]);

        if (sp_bytes_ends_nocase(known, m->key) && known.len > m->key.len &&
            known.ptr[known.len - m->key.len - 1] == '.')
            near = names[i];
    }
    sp_problem(r->problems, m, SP_E_CONFIG_UNKNOWN, "unknown setting%s%s%s",
               near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
               near == NULL ? "" : "\"?");
}

static bool is_list(const struct known *k, struct sp_bytes path)
{
    for (size_t i = 0; i < k->list_count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(k->lists[i].path), path))
            return true;
    return false;
}

/* The node behind m in document order, or the one behind its children, within top. */
static const struct sp_json *walk_next(const struct sp_json *m, const struct sp_json *top,
                                       bool descend)
{
    if (descend && m->first != NULL)
        return m->first;
    while (m != top && m->next == NULL)
        m = m->parent;
    return m == top ? NULL : m->next;
}

static void relative_path(const struct sp_json *m, const struct sp_json *top, struct sp_buf *out)
{
    struct sp_buf whole, head;

    sp_buf_init(&whole, 8192);
    sp_buf_init(&head, 8192);
    sp_json_path(m, &whole);
    if (top->parent != NULL) {
        sp_json_path(top, &head);
        sp_buf_put_u8(&head, '.');
    }
    sp_buf_put(out, sp_bytes_slice(sp_buf_bytes(&whole), head.len, SIZE_MAX));
    sp_buf_clear(&whole);
    sp_buf_clear(&head);
}

/* Tells every member below object that nothing knows. */
static void find_unknown(const struct reading *r, const struct known *k,
                         const struct sp_json *object)
{
    const struct sp_json *m = object->first;

    while (m != NULL) {
        struct sp_buf path;
        bool is_group = false;

        sp_buf_init(&path, 8192);
        relative_path(m, object, &path);
        if (!is_list(k, sp_buf_bytes(&path)) &&
            !sp_bytes_eq(sp_buf_bytes(&path), SP_LIT("$schema")) &&
            !is_known(k->settings, k->setting_count, sp_buf_bytes(&path), &is_group))
            say_unknown(r, k, m, sp_buf_bytes(&path));
        else if (is_group && m->type != SP_JSON_OBJECT)
            sp_problem(r->problems, m, SP_E_CONFIG_TYPE, "expected an object, found %s",
                       sp_json_type_name(m->type));
        sp_buf_clear(&path);
        m = walk_next(m, object, is_group && m->type == SP_JSON_OBJECT);
    }
}

static void read_item(const struct reading *r, const struct sp_setting_list *l,
                      const struct sp_json *item, char *base)
{
    const struct known k = {l->settings, l->setting_count, NULL, 0};

    if (l->by_key) {
        *(const char **)(base + l->settings[0].offset) = keep(r, item->key);
        read_value(r, &l->settings[1], item, base);
        return;
    }
    if (item->type != SP_JSON_OBJECT) {
        sp_problem(r->problems, item, SP_E_CONFIG_TYPE, "expected an object, found %s",
                   sp_json_type_name(item->type));
        return;
    }
    read_settings(r, l->settings, l->setting_count, item, base);
    find_unknown(r, &k, item);
}

static void read_list(const struct reading *r, const struct sp_setting_list *l,
                      const struct sp_json *root, char *base)
{
    const struct sp_json *v = sp_json_find_path(root, l->path);
    size_t *count = (size_t *)(void *)(base + l->count_offset);
    char *items;

    if (v == NULL || v->count < l->least)
        if (l->least > 0)
            sp_problem(r->problems, v == NULL ? root : v, SP_E_CONFIG_MISSING, "\"%s\": %s",
                       l->path, l->sentence);
    if (v == NULL)
        return;
    if (v->type != (l->by_key ? SP_JSON_OBJECT : SP_JSON_ARRAY)) {
        sp_problem(r->problems, v, SP_E_CONFIG_TYPE, "expected an %s, found %s",
                   l->by_key ? "object" : "array of objects", sp_json_type_name(v->type));
        return;
    }
    items = sp_arena_alloc(r->arena, (v->count + 1) * l->item_size);
    *(void **)(void *)(base + l->items_offset) = items;
    for (const struct sp_json *item = v->first; item != NULL; item = item->next)
        read_item(r, l, item, items + (*count)++ * l->item_size);
}

void sp_config_table_read(const struct sp_setting_table *t, const struct sp_json *root, void *base,
                          struct sp_arena *arena, struct sp_problems *problems)
{
    const struct reading r = {t, arena, problems};
    const struct known k = {t->settings, t->setting_count, t->lists, t->list_count};

    if (root->type != SP_JSON_OBJECT) {
        sp_problem(problems, root, SP_E_CONFIG_TYPE, "expected an object, found %s",
                   sp_json_type_name(root->type));
        return;
    }
    read_settings(&r, t->settings, t->setting_count, root, base);
    for (size_t i = 0; i < t->list_count; i++)
        read_list(&r, &t->lists[i], root, base);
    find_unknown(&r, &k, root);
}
