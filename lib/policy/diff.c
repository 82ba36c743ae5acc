/*
 * Two policies, item by item. Items are the same if scope, kind and name are; what differs in what they do shows in their
 * sentences, so that a changed comment or a moved line is no change. Of lists it is told who came and who went, and of
 * rules that both have, whether they are asked in another order.
 */
#include "policy/describe.h"

#include "base/map.h"
#include "policy/policy_priv.h"

#define SHOWN_MAX 10

struct comparing {
    struct sp_arena *arena;
    struct sp_policy_changes *out;
    size_t room;
};

const char *sp_policy_change_name(enum sp_change_kind kind)
{
    static const char *const names[] = {"added", "removed", "changed", "moved"};

    return names[kind];
}

static void add(struct comparing *c, enum sp_change_kind kind, const struct sp_policy_item *before,
                const struct sp_policy_item *after, const char *detail)
{
    sp_assert(c->out->count < c->room);
    c->out->changes[c->out->count++] = (struct sp_policy_change){kind, before, after, detail};
}

static bool same_item(const struct sp_policy_item *a, const struct sp_policy_item *b)
{
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->scope, b->scope) == 0;
}

static const struct sp_policy_item *find(const struct sp_policy_items *in,
                                         const struct sp_policy_item *wanted)
{
    for (size_t i = 0; i < in->count; i++)
        if (same_item(&in->items[i], wanted))
            return &in->items[i];
    return NULL;
}

/* Values of a list's entries: dates and what was said. */
static bool same_entry(const struct sp_policy_item *item, const void *a, const void *b)
{
    const struct sp_list_entry *x = a, *y = b;
    const struct sp_preference_entry *p = a, *q = b;

    if (strcmp(item->kind, "preferences") == 0)
        return p->value == q->value && p->given_ms == q->given_ms && p->until_ms == q->until_ms;
    return x->until_ms == y->until_ms;
}

/* Names that a has and b has not, or not so. returns: how many */
static size_t put_missing(const struct sp_policy_item *a, const struct sp_policy_item *b,
                          const char *sign, struct sp_buf *out)
{
    struct sp_bytes key;
    size_t at = 0, n = 0;
    void *value;

    while (sp_map_next(a->entries, &at, &key, &value)) {
        const void *other = sp_map_find(b->entries, key);

        if (other != NULL && same_entry(a, value, other))
            continue;
        if (n++ < SHOWN_MAX)
            sp_buf_printf(out, "%s%s%.*s", out->len == 0 ? "" : ", ", sign, SP_FMT(key));
    }
    if (n > SHOWN_MAX)
        sp_buf_printf(out, ", %s%zu more", sign, n - SHOWN_MAX);
    return n;
}

/* returns: what came and went, in the arena; NULL if nothing did */
static const char *compare_entries(struct comparing *c, const struct sp_policy_item *a,
                                   const struct sp_policy_item *b)
{
    const char *text = NULL;
    struct sp_buf out;
    size_t n;

    if (a->entries == NULL || b->entries == NULL)
        return NULL;
    sp_buf_init(&out, 65536);
    n = put_missing(b, a, "+", &out);
    n += put_missing(a, b, "-", &out);
    if (n > 0)
        text = sp_arena_cstr(c->arena, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    return text;
}

static bool is_asked(const struct sp_policy_item *item)
{
    return strcmp(item->kind, "rule") == 0 || strcmp(item->kind, "guard") == 0;
}

/* The asked items of `in` that `other` has too, in order. */
static size_t collect_common(const struct sp_policy_items *in, const struct sp_policy_items *other,
                             const struct sp_policy_item **out)
{
    size_t n = 0;

    for (size_t i = 0; i < in->count; i++)
        if (is_asked(&in->items[i]) && find(other, &in->items[i]) != NULL)
            out[n++] = &in->items[i];
    return n;
}

/* Each rule that stands behind one which it stood before: told at the first place where the orders part. */
static void compare_order(struct comparing *c, const struct sp_policy_items *a,
                          const struct sp_policy_items *b)
{
    const struct sp_policy_item **x =
        sp_arena_alloc(c->arena, (a->count + 1) * sizeof(struct sp_policy_item *));
    const struct sp_policy_item **y =
        sp_arena_alloc(c->arena, (b->count + 1) * sizeof(struct sp_policy_item *));
    size_t n = collect_common(a, b, x), k = 0;

    if (collect_common(b, a, y) != n)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t from = i;

        if (same_item(x[i], y[i]))
            continue;
        while (from < n && !same_item(x[from], y[i]))
            from++;
        if (from == n)
            return;
        add(c, SP_CHANGE_MOVED, x[from], y[i], i == 0 ? NULL : y[i - 1]->name);
        for (k = from; k > i; k--)
            x[k] = x[k - 1];
        x[i] = y[i];
    }
}

void sp_policy_diff(const struct sp_policy_items *a, const struct sp_policy_items *b,
                    struct sp_arena *arena, struct sp_policy_changes *out)
{
    struct comparing c = {arena, out, 2 * (a->count + b->count) + 1};

    *out = (struct sp_policy_changes){0};
    out->changes = sp_arena_alloc(arena, c.room * sizeof(*out->changes));
    for (size_t i = 0; i < b->count; i++) {
        const struct sp_policy_item *after = &b->items[i], *before = find(a, after);
        const char *detail = before == NULL ? NULL : compare_entries(&c, before, after);

        if (before == NULL)
            add(&c, SP_CHANGE_ADDED, NULL, after, NULL);
        else if (detail != NULL || strcmp(before->text, after->text) != 0)
            add(&c, SP_CHANGE_CHANGED, before, after, detail);
    }
    for (size_t i = 0; i < a->count; i++)
        if (find(b, &a->items[i]) == NULL)
            add(&c, SP_CHANGE_REMOVED, &a->items[i], NULL, NULL);
    compare_order(&c, a, b);
}
