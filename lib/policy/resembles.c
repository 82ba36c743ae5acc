/*
 * Names that look like a known one and are not: one letter too many, too few, another, or two swapped (Damerau's distance
 * of one), or letters that are read as others (rn for m, vv for w, 0 for o, 1 for l). For each known name every form with
 * one letter left out is kept, so that asking costs one look-up a letter however long the list is; what is found so is
 * then measured. Short names are left alone: too many of them lie one letter apart by chance.
 */
#include "policy/policy_priv.h"

#define NAME_MAX_LEN  253
#define SHORTEST      6
#define LOOKALIKE_MAX 20000

struct look {
    struct sp_bytes name;
    struct look *next;
};

/* What the eye reads. returns: its length */
static size_t read_as(struct sp_bytes name, uint8_t out[NAME_MAX_LEN])
{
    size_t n = 0;

    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = sp_ascii_lower(name.ptr[i]);
        uint8_t next = i + 1 < name.len ? sp_ascii_lower(name.ptr[i + 1]) : 0;

        if ((c == 'r' && next == 'n') || (c == 'v' && next == 'v')) {
            out[n++] = c == 'r' ? 'm' : 'w';
            i++;
        } else {
            out[n++] = c == '0' ? 'o' : c == '1' ? 'l' : c;
        }
    }
    return n;
}

static void keep(struct sp_arena *arena, struct sp_map *map, struct sp_bytes key,
                 struct sp_bytes name)
{
    struct look *look = sp_arena_alloc(arena, sizeof(*look));

    look->name = name;
    look->next = sp_map_put(map, key, look);
}

static void keep_forms(struct sp_arena *arena, struct sp_map *map, struct sp_bytes entry)
{
    uint8_t name[NAME_MAX_LEN], form[NAME_MAX_LEN];
    struct sp_bytes kept;
    size_t len;

    if (entry.len > 0 && entry.ptr[0] == '.')
        entry = sp_bytes_slice(entry, 1, SIZE_MAX);
    if (entry.len < SHORTEST || entry.len > NAME_MAX_LEN)
        return;
    len = read_as(entry, name);
    kept = sp_arena_copy(arena, sp_bytes(name, len));
    keep(arena, map, kept, kept);
    for (size_t i = 0; i < len; i++) {
        memcpy(form, name, i);
        memcpy(form + i, name + i + 1, len - i - 1);
        keep(arena, map, sp_bytes(form, len - 1), kept);
    }
}

/* returns: whether the two are at most one letter, or one swap of neighbours, apart */
static bool is_near(struct sp_bytes a, struct sp_bytes b)
{
    size_t at = 0, end = 0;

    if (a.len > b.len) {
        struct sp_bytes swap = a;

        a = b;
        b = swap;
    }
    while (at < a.len && a.ptr[at] == b.ptr[at])
        at++;
    while (end < a.len - at && a.ptr[a.len - 1 - end] == b.ptr[b.len - 1 - end])
        end++;
    if (a.len + 1 == b.len)
        return at + end == a.len;
    if (a.len != b.len)
        return false;
    return a.len - at - end <= 1 ||
           (a.len - at - end == 2 && a.ptr[at] == b.ptr[at + 1] && a.ptr[at + 1] == b.ptr[at]);
}

static bool has_near(const struct sp_map *map, struct sp_bytes key, struct sp_bytes name)
{
    for (const struct look *l = sp_map_find(map, key); l != NULL; l = l->next)
        if (is_near(l->name, name))
            return true;
    return false;
}

bool sp_policy_list_resembles(const struct sp_policy_list *list, struct sp_bytes text,
                              int64_t now_ms)
{
    const struct sp_map *map = list->lookalikes;
    uint8_t name[NAME_MAX_LEN], form[NAME_MAX_LEN];
    size_t at = text.len, len;

    while (at > 0 && text.ptr[at - 1] != '@')
        at--;
    text = sp_bytes_slice(text, at, SIZE_MAX);
    if (text.len < SHORTEST - 1 || text.len > NAME_MAX_LEN ||
        sp_policy_list_has(list, text, now_ms))
        return false;
    len = read_as(text, name);
    if (has_near(map, sp_bytes(name, len), sp_bytes(name, len)))
        return true;
    for (size_t i = 0; i < len; i++) {
        memcpy(form, name, i);
        memcpy(form + i, name + i + 1, len - i - 1);
        if (has_near(map, sp_bytes(form, len - 1), sp_bytes(name, len)))
            return true;
    }
    return false;
}

bool sp_policy_list_make_lookalikes(struct sp_arena *arena, struct sp_policy_list *list)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    if (list->origin != NULL && list->origin->lookalikes != NULL)
        list->lookalikes = list->origin->lookalikes;
    if (list->lookalikes != NULL)
        return true;
    if (sp_map_count(list->entries) > LOOKALIKE_MAX)
        return false;
    list->lookalikes = sp_map_new();
    while (sp_map_next(list->entries, &at, &key, &value))
        keep_forms(arena, list->lookalikes, key);
    return true;
}
