/*
 * Items in the order in which things are asked: settings, then guards, rules and the default, then what they name. The
 * policy of a scope tells only what its own layers say, since the rest stands under everybody's.
 */
#include "policy/describe.h"

#include "policy/words_priv.h"

struct making {
    const struct sp_policy *p;
    const char *scope;
    struct sp_arena *arena;
    struct sp_policy_items *out;
    size_t room;
    struct sp_buf text;
};

static struct sp_policy_item *add(struct making *m, const char *kind, const char *name)
{
    struct sp_policy_item *item;

    if (m->out->count == m->room) {
        size_t room = m->room == 0 ? 64 : m->room * 2;
        struct sp_policy_item *more = sp_arena_alloc(m->arena, room * sizeof(*more));

        if (m->room > 0)
            memcpy(more, m->out->items, m->room * sizeof(*more));
        m->out->items = more;
        m->room = room;
    }
    item = &m->out->items[m->out->count++];
    *item = (struct sp_policy_item){
        .scope = m->scope, .kind = kind, .name = name, .file = "", .text = ""};
    sp_buf_reset(&m->text);
    return item;
}

static void end(struct making *m, struct sp_policy_item *item)
{
    item->text = sp_arena_cstr(m->arena, sp_buf_bytes(&m->text));
}

/* The nearest layer that sets it; for a scope only its own. returns: false if it is not to be told */
static bool find_setting(const struct making *m, struct sp_policy_item *item, const char *path)
{
    const struct sp_policy *p = m->p;
    size_t least = m->scope[0] == 0 ? 0 : p->layer_count - 1;

    for (size_t i = p->layer_count; i-- > least;) {
        const struct sp_json *v =
            sp_json_find_path(sp_json_find(p->layers[i].root, "settings"), path);

        if (v == NULL)
            continue;
        item->file = p->layers[i].file;
        item->line = v->line;
        return true;
    }
    return m->scope[0] == 0;
}

static void add_setting(struct making *m, const char *path, const char *text)
{
    struct sp_policy_item *item = add(m, "setting", path);

    if (find_setting(m, item, path)) {
        sp_buf_put_cstr(&m->text, text);
        end(m, item);
    } else {
        m->out->count--;
    }
}

static void add_duration(struct making *m, const char *path, const char *before, int64_t ms,
                         const char *after)
{
    struct sp_buf text;

    sp_buf_init(&text, 1024);
    sp_buf_put_cstr(&text, before);
    sp_policy_words_duration(&text, ms);
    sp_buf_put_cstr(&text, after);
    add_setting(m, path, sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

/* Only what some layer says: the rest goes without saying. */
static bool is_said(const struct making *m, const char *path)
{
    for (size_t i = 0; i < m->p->layer_count; i++)
        if (sp_json_find_path(sp_json_find(m->p->layers[i].root, "settings"), path) != NULL)
            return true;
    return false;
}

static void add_said(struct making *m, const char *path, const char *before, const char *what)
{
    struct sp_buf text;

    if (!is_said(m, path))
        return;
    sp_buf_init(&text, 4096);
    sp_buf_printf(&text, "%s%s.", before, what);
    add_setting(m, path, sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static void add_portal(struct making *m)
{
    static const char *const paths[] = {"portal.remind", "portal.unread_after",
                                        "portal.notify_from"};
    struct sp_buf text;

    sp_buf_init(&text, 4096);
    for (size_t i = 0; i < SP_ARRAY_LEN(paths); i++) {
        sp_buf_reset(&text);
        if (sp_policy_words_portal(&text, &m->p->portal,
                                   sp_bytes_cstr(paths[i] + strlen("portal."))))
            add_said(m, paths[i],
                     "Of a message in the portal: ", sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    }
    sp_buf_clear(&text);
}

/* What no nearer layer may change, by any of the layers. */
static void add_fixed(struct making *m)
{
    struct sp_policy_item *item = add(m, "setting", "fixed");
    size_t count = 0;

    for (size_t i = m->scope[0] == 0 ? 0 : m->p->layer_count - 1; i < m->p->layer_count; i++) {
        const struct sp_json *fixed = sp_json_find(m->p->layers[i].root, "fixed");

        if (fixed == NULL)
            continue;
        item->file = m->p->layers[i].file;
        item->line = fixed->line;
        for (const struct sp_json *v = fixed->first; v != NULL; v = v->next)
            sp_buf_printf(&m->text, "%s%.*s", count++ == 0 ? "No layer within may change " : ", ",
                          SP_FMT(v->text));
    }
    sp_buf_put_u8(&m->text, '.');
    if (count > 0)
        end(m, item);
    else
        m->out->count--;
}

static const char *scope_words(const struct sp_scope *s, struct sp_arena *arena)
{
    struct sp_buf out;
    const char *text;

    sp_buf_init(&out, 2048);
    sp_buf_printf(&out, "tenant %.*s", SP_FMT(s->tenant));
    if (s->domain.len > 0)
        sp_buf_printf(&out, ", domain %.*s", SP_FMT(s->domain));
    if (s->user.len > 0)
        sp_buf_printf(&out, ", user %.*s", SP_FMT(s->user));
    text = sp_arena_cstr(arena, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    return text;
}

/* For whom the rules of the file itself are. */
static void add_scope(struct making *m)
{
    const struct sp_policy_layer *main = &m->p->layers[m->p->layer_count - 1];
    struct sp_policy_item *item;

    if (m->scope[0] != 0 || main->scope.tenant.len == 0)
        return;
    item = add(m, "setting", "scope");
    item->file = main->file;
    item->line = sp_json_find(main->root, "scope")->line;
    sp_buf_printf(&m->text, "What this file adds is for senders of %s.",
                  scope_words(&main->scope, m->arena));
    end(m, item);
}

static void add_settings(struct making *m)
{
    const struct sp_policy *p = m->p;
    struct sp_buf text;

    add_scope(m);
    sp_buf_init(&text, 4096);
    sp_buf_printf(&text, "Nothing leaves with less than %s, unless a rule says why it may.",
                  sp_policy_words_floor(p->floor));
    add_setting(m, "floor", sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    add_duration(m, "expire", "A message that can't be delivered is given up after ", p->expire_ms,
                 p->has_expire ? "." : ", unless delivery.expire says another time.");
    add_duration(m, "portal.expires", "In the portal a message can be read for ",
                 p->portal.expires_ms, ".");
    sp_buf_reset(&text);
    sp_buf_printf(&text,
                  "A notice of a message in the portal, which holds no word of it, needs %s.",
                  sp_policy_words_floor(p->portal.notify_floor));
    add_setting(m, "portal.notify_floor", sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    sp_buf_reset(&text);
    sp_buf_printf(
        &text,
        "A report to a domain about TLS with it, which holds nothing of any message, needs "
        "%s.",
        sp_policy_words_floor(p->report_floor));
    add_setting(m, "tls_reports", sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    sp_buf_reset(&text);
    add_portal(m);
    add_fixed(m);
    if (p->dkim_selector != NULL)
        add_said(m, "dkim_selector", "What is edited is signed by DKIM with the selector ",
                 p->dkim_selector);
    sp_buf_reset(&text);
    sp_buf_printf(&text, "Hours and weekdays are those of %s.", p->timezone);
    add_setting(m, "timezone", sp_arena_cstr(m->arena, sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static bool is_plain(const struct sp_policy *p, const struct sp_rule *r)
{
    const struct sp_ladder *ladder = r->then.ladder;
    enum sp_floor least = r->then.lowers != NULL ? SP_FLOOR_PLAIN : p->floor;

    if (ladder == NULL || least > SP_FLOOR_PLAIN || ladder->floor > SP_FLOOR_PLAIN)
        return false;
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].rung == SP_RUNG_PLAIN)
            return true;
    return false;
}

static void add_rules(struct making *m)
{
    const struct sp_policy *p = m->p;

    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *r = &p->rules[i];
        const char *kind = r->section[0] == 'g'   ? "guard"
                           : r->section[0] == 'r' ? "rule"
                                                  : "default";
        struct sp_policy_item *item;

        if (m->scope[0] != 0 && !r->layer->is_main)
            continue;
        item = add(m, kind, r->name);
        item->file = r->layer->file;
        item->line = r->line;
        item->text = sp_policy_words_rule(r, m->arena);
        item->lowers = r->then.lowers;
        if (is_plain(p, r)) {
            const char *when = sp_policy_words_cond(&r->cond, m->arena);

            item->plain = when == NULL ? "no rule before it decides" : when;
        }
    }
}

static const char *own_copy(struct making *m, struct sp_bytes text)
{
    return sp_arena_cstr(m->arena, text);
}

static bool is_own(const struct making *m, size_t layer)
{
    return m->scope[0] == 0 || layer + 1 == m->p->layer_count;
}

/* Members of a section that no nearer layer replaces, and that are not a scope's outer ones. */
static const struct sp_json *next_member(const struct making *m, const char *section, size_t *layer,
                                         const struct sp_json *at)
{
    const struct sp_policy *p = m->p;

    if (at != NULL)
        at = at->next;
    for (;;) {
        if (at != NULL)
            return at;
        do {
            if (*layer == 0)
                return NULL;
            (*layer)--;
        } while (!is_own(m, *layer));
        at = sp_json_find(p->layers[*layer].root, section);
        at = at == NULL ? NULL : at->first;
    }
}

static bool is_hidden(const struct making *m, const char *section, size_t layer,
                      const struct sp_json *v)
{
    for (size_t i = layer + 1; i < m->p->layer_count; i++)
        if (sp_json_find_bytes(sp_json_find(m->p->layers[i].root, section), v->key) != NULL)
            return true;
    return false;
}

static const struct sp_ladder *find_ladder(const struct sp_policy *p, struct sp_bytes name)
{
    for (size_t i = 0; i < p->rule_count; i++)
        if (p->rules[i].then.ladder != NULL &&
            sp_bytes_eq(sp_bytes_cstr(p->rules[i].then.ladder->name), name))
            return p->rules[i].then.ladder;
    return NULL;
}

static void tell_ladder(struct making *m, const struct sp_json *v)
{
    const struct sp_ladder *ladder = find_ladder(m->p, v->key);

    if (ladder == NULL) {
        sp_buf_put_cstr(&m->text, "No rule uses it.");
        return;
    }
    sp_buf_put_cstr(&m->text, "First ");
    sp_policy_words_ladder(&m->text, ladder);
    sp_buf_put_u8(&m->text, '.');
}

static void tell_list(struct making *m, struct sp_policy_item *item, const struct sp_json *v)
{
    const struct sp_policy_list *list = m->p->lists;

    while (list != NULL && list->source != v)
        list = list->next;
    if (list == NULL)
        return;
    item->entries = list->entries;
    sp_buf_printf(&m->text, "%zu %s%s", sp_map_count(list->entries),
                  list->kind == SP_LIST_ADDRESSES ? "address" : "domain",
                  sp_map_count(list->entries) == 1  ? "."
                  : list->kind == SP_LIST_ADDRESSES ? "es."
                                                    : "s.");
}

static void tell_text(struct making *m, const struct sp_json *v)
{
    const struct sp_json *file = sp_json_find(v, "file");

    if (v->type == SP_JSON_TEXT)
        sp_buf_printf(&m->text, "\"%.*s\"", SP_FMT(v->text));
    else if (file != NULL)
        sp_buf_printf(&m->text, "The text of %.*s.", SP_FMT(file->text));
}

static void tell_group(struct making *m, const struct sp_json *v)
{
    const struct sp_json *list = sp_json_find(v, "list"), *all = sp_json_find(v, "addresses");

    if (list != NULL)
        sp_buf_printf(&m->text, "Who is in the list %.*s.", SP_FMT(list->text));
    for (const struct sp_json *a = all == NULL ? NULL : all->first; a != NULL; a = a->next)
        sp_buf_printf(&m->text, "%.*s%s", SP_FMT(a->text), a->next == NULL ? "." : ", ");
    if (all != NULL && all->first == NULL)
        sp_buf_put_cstr(&m->text, "Nobody.");
}

static void tell_words(struct making *m, const struct sp_json *v)
{
    sp_buf_printf(&m->text, "%.*s.", SP_FMT(v->text));
}

static void tell(struct making *m, struct sp_policy_item *item, const struct sp_json *v)
{
    if (strcmp(item->kind, "text") == 0)
        tell_text(m, v);
    else if (strcmp(item->kind, "ladder") == 0)
        tell_ladder(m, v);
    else if (strcmp(item->kind, "list") == 0)
        tell_list(m, item, v);
    else if (strcmp(item->kind, "group") == 0)
        tell_group(m, v);
    else
        tell_words(m, v);
}

static void add_named(struct making *m, const char *section, const char *kind)
{
    size_t layer = m->p->layer_count;
    const struct sp_json *v = NULL;

    while ((v = next_member(m, section, &layer, v)) != NULL) {
        struct sp_policy_item *item;

        if (is_hidden(m, section, layer, v))
            continue;
        item = add(m, kind, own_copy(m, v->key));
        item->file = m->p->layers[layer].file;
        item->line = v->line;
        tell(m, item, v);
        end(m, item);
    }
}

static void add_preferences(struct making *m)
{
    struct sp_policy_item *item;

    if (m->scope[0] != 0 || m->p->preferences == NULL)
        return;
    item = add(m, "preferences", "preferences");
    item->file = m->p->layers[m->p->layer_count - 1].file;
    item->entries = m->p->preferences;
    sp_buf_printf(&m->text, "%zu people have said how they want to be written to.",
                  sp_map_count(m->p->preferences));
    end(m, item);
}

static void describe(struct making *m)
{
    add_settings(m);
    add_rules(m);
    add_named(m, "ladders", "ladder");
    add_named(m, "lists", "list");
    add_named(m, "groups", "group");
    add_named(m, "labels", "label");
    add_named(m, "special", "special class");
    add_named(m, "texts", "text");
    add_preferences(m);
}

void sp_policy_describe(const struct sp_policy *p, struct sp_arena *arena,
                        struct sp_policy_items *out)
{
    struct making m = {.p = p, .scope = "", .arena = arena, .out = out};

    *out = (struct sp_policy_items){0};
    sp_buf_init(&m.text, 1U << 20);
    describe(&m);
    for (size_t i = 0; i < p->scoped_count; i++) {
        m.p = p->views[i];
        m.scope = scope_words(&p->scoped[i].scope, arena);
        describe(&m);
    }
    sp_buf_clear(&m.text);
}
