/*
 * Names that look like a known one and are not: one letter too many, too few, another, or two swapped (Damerau's distance
 * of one), or letters that are read as others: rn for m, vv for w, 0 for o, 1 for l, and of other scripts what UTS 39 says is
 * taken for a letter (confusables.def), accents not looked at. So it makes no difference whether a name mixes scripts or is
 * all of one. For each known name every form with one letter left out is kept, so that asking costs one look-up a letter
 * however long the list is; what is found so is then measured. Short names are left alone: too many of them lie one letter
 * apart by chance. ICU has all this too, and would put 30 MB of data and a C++ library into each relay.
 */
#include "mail/idn.h"
#include "policy/policy_priv.h"

#define SHORTEST      6
#define LOOKALIKE_MAX 20000
#define SEEN_MAX      (4 * SP_DOMAIN_POINTS_MAX) /* UTF-8 of what is seen */
#define LETTERS_MAX   3

struct look {
    struct sp_bytes name;
    struct look *next;
};

static const struct confusable {
    uint32_t letter;
    uint32_t seen[LETTERS_MAX];
} confusables[] = {
#define SP_CONFUSABLE(letter, ...) {letter, {__VA_ARGS__}},
#include "policy/confusables.def"
#undef SP_CONFUSABLE
};

static const uint32_t *find_confusable(uint32_t letter)
{
    size_t low = 0, high = SP_ARRAY_LEN(confusables);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (confusables[middle].letter < letter)
            low = middle + 1;
        else
            high = middle;
    }
    return low < SP_ARRAY_LEN(confusables) && confusables[low].letter == letter
               ? confusables[low].seen
               : NULL;
}

static size_t put_point(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

static bool is_accent(uint32_t c)
{
    return c >= 0x300 && c <= 0x36F;
}

/* What the letters of other scripts are taken for. returns: the length of out; 0: it is too long */
static size_t see_letters(struct sp_bytes name, uint8_t out[SEEN_MAX])
{
    uint32_t points[SP_DOMAIN_POINTS_MAX];
    size_t count = sp_domain_read(name, points), n = 0;

    for (size_t i = 0; i < count; i++) {
        const uint32_t *seen = points[i] < 0x80 ? NULL : find_confusable(points[i]);

        if (n + 4 * LETTERS_MAX > SEEN_MAX)
            return 0;
        for (size_t k = 0; seen != NULL && k < LETTERS_MAX && seen[k] != 0; k++)
            n += put_point(seen[k], out + n);
        if (seen == NULL && !is_accent(points[i]))
            n += put_point(points[i], out + n);
    }
    return n;
}

/* What the eye reads. returns: its length; 0: none */
static size_t read_as(struct sp_bytes name, uint8_t out[SEEN_MAX])
{
    size_t len = see_letters(name, out), n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = out[i];
        uint8_t next = i + 1 < len ? out[i + 1] : 0;

        if ((c == 'r' && next == 'n') || (c == 'v' && next == 'v')) {
            out[n++] = c == 'r' ? 'm' : 'w';
            i++;
        } else {
            out[n++] = c == '0' ? 'o' : c == '1' ? 'l' : c;
        }
    }
    return n;
}

/* ---- letters: code points in UTF-8 ---- */

static bool is_inside(uint8_t c)
{
    return (c & 0xC0) == 0x80;
}

/* returns: the length of the letter at i */
static size_t letter_len(struct sp_bytes text, size_t i)
{
    size_t end = i + 1;

    while (end < text.len && is_inside(text.ptr[end]))
        end++;
    return end - i;
}

static size_t count_letters(struct sp_bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += !is_inside(text.ptr[i]);
    return n;
}

/* The text without its letter at i. returns: its length */
static size_t leave_out(struct sp_bytes text, size_t i, uint8_t *out)
{
    size_t len = letter_len(text, i);

    memcpy(out, text.ptr, i);
    memcpy(out + i, text.ptr + i + len, text.len - i - len);
    return text.len - len;
}

/* ---- the forms of a list's names ---- */

static void keep(struct sp_arena *arena, struct sp_map *map, struct sp_bytes key,
                 struct sp_bytes name)
{
    struct look *look = sp_arena_alloc(arena, sizeof(*look));

    look->name = name;
    look->next = sp_map_put(map, key, look);
}

static void keep_forms(struct sp_arena *arena, struct sp_map *map, struct sp_bytes entry)
{
    uint8_t name[SEEN_MAX], form[SEEN_MAX];
    struct sp_bytes kept;
    size_t len;

    if (entry.len > 0 && entry.ptr[0] == '.')
        entry = sp_bytes_slice(entry, 1, SIZE_MAX);
    len = entry.len < SHORTEST ? 0 : read_as(entry, name);
    if (len == 0 || count_letters(sp_bytes(name, len)) < SHORTEST - 1)
        return;
    kept = sp_arena_copy(arena, sp_bytes(name, len));
    keep(arena, map, kept, kept);
    for (size_t i = 0; i < len; i += letter_len(kept, i))
        keep(arena, map, sp_bytes(form, leave_out(kept, i, form)), kept);
}

/* ---- asking ---- */

/* returns: whether the two letters of a are those of b, the other way round */
static bool is_swap(struct sp_bytes a, struct sp_bytes b)
{
    size_t first = letter_len(a, 0);

    return a.len == b.len && letter_len(b, 0) == a.len - first &&
           sp_bytes_eq(sp_bytes_slice(a, 0, first), sp_bytes_slice(b, a.len - first, SIZE_MAX)) &&
           sp_bytes_eq(sp_bytes_slice(a, first, SIZE_MAX), sp_bytes_slice(b, 0, a.len - first));
}

/* returns: whether the two are at most one letter, or one swap of neighbours, apart */
static bool is_near(struct sp_bytes a, struct sp_bytes b)
{
    size_t at = 0, end = 0, na, nb;

    while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at])
        at++;
    while (at > 0 && ((at < a.len && is_inside(a.ptr[at])) || (at < b.len && is_inside(b.ptr[at]))))
        at--;
    while (end < a.len - at && end < b.len - at && a.ptr[a.len - 1 - end] == b.ptr[b.len - 1 - end])
        end++;
    while (end > 0 && is_inside(a.ptr[a.len - end]))
        end--;
    a = sp_bytes_slice(a, at, a.len - at - end);
    b = sp_bytes_slice(b, at, b.len - at - end);
    na = count_letters(a);
    nb = count_letters(b);
    return (na <= 1 && nb <= 1) || (na == 2 && nb == 2 && is_swap(a, b));
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
    uint8_t seen[SEEN_MAX], form[SEEN_MAX];
    struct sp_bytes name;
    size_t at = text.len;

    while (at > 0 && text.ptr[at - 1] != '@')
        at--;
    text = sp_bytes_slice(text, at, SIZE_MAX);
    if (text.len < SHORTEST - 1 || sp_policy_list_has(list, text, now_ms))
        return false;
    name = sp_bytes(seen, read_as(text, seen));
    if (name.len == 0)
        return false;
    if (has_near(map, name, name))
        return true;
    for (size_t i = 0; i < name.len; i += letter_len(name, i))
        if (has_near(map, sp_bytes(form, leave_out(name, i, form)), name))
            return true;
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
