/*
 * Groups are walked breadth first with a queue, each entry once, so that a circle ends and the depth is the least one. A
 * group deeper than allowed is an error and not left out: whoever is in it would lose protection without a word. Active
 * Directory gives a large group's members in parts ("member;range=0-1499"); the next part is asked for as its answer says.
 */
#include "roster/walk.h"

#include "base/arena.h"
#include "base/map.h"

#include <inttypes.h>
#include <stdio.h>

#define ATTRIBUTES_MAX 40
#define RANGE_LEN_MAX  80

struct item {
    const char *dn;
    int64_t depth; /* groups above it */
    struct item *next;
};

struct walk {
    const struct sp_roster_source *source;
    const struct sp_directory *d;
    struct sp_roster *out;
    struct sp_roster_tally *tally;
    struct sp_err *err;
    struct sp_arena *arena;
    struct sp_map *seen; /* DNs in lower case */
    struct item *first, **last;
    size_t entries, names_len;
    const struct item *batch[SP_ROSTER_BATCH_MAX];
    bool found[SP_ROSTER_BATCH_MAX];
    char range[RANGE_LEN_MAX]; /* what to ask next of the group at hand; "" if it is whole */
    bool has_range;            /* its answer has an attribute in parts */
    uint64_t range_at;
};

/* ---- attributes ---- */

/* returns: whether an attribute, without its options, is one of these */
static bool is_one_of(struct sp_bytes attribute, const struct sp_config_texts *texts)
{
    struct sp_bytes name = sp_bytes_slice(attribute, 0, sp_bytes_find(attribute, ';'));

    for (size_t i = 0; i < texts->count; i++)
        if (sp_bytes_eq_nocase(name, sp_bytes_cstr(texts->items[i])))
            return true;
    return false;
}

static void add_all(const char **out, size_t *n, const struct sp_config_texts *texts)
{
    for (size_t i = 0; i < texts->count && *n < ATTRIBUTES_MAX - 1; i++)
        out[(*n)++] = texts->items[i];
    out[*n] = NULL;
}

/*
 * "smtp:a@b.example" is an address of Exchange's; other kinds stand beside it ("X500:/o=...").
 *
 * returns: whether mail can come from it
 */
static bool add_address(struct walk *w, struct sp_bytes value)
{
    size_t colon = sp_bytes_find(value, ':');
    enum sp_rc rc;

    if (sp_bytes_starts_nocase(value, SP_LIT("smtp:")))
        value = sp_bytes_slice(value, 5, value.len);
    else if (colon != SIZE_MAX && colon < sp_bytes_find(value, '@'))
        return false;
    rc = sp_roster_add(w->out, value);
    w->tally->odd += rc != SP_OK && rc != SP_E_EXISTS;
    return rc == SP_OK || rc == SP_E_EXISTS;
}

static enum sp_rc add_person(struct walk *w, const struct sp_roster_entry *e)
{
    size_t good = 0;

    for (size_t i = 0; i < e->count; i++)
        if (is_one_of(e->values[i].attribute, &w->d->addresses))
            good += add_address(w, e->values[i].value);
    w->tally->people++;
    w->tally->without += good == 0;
    return sp_roster_count(w->out) <= SP_ROSTER_ENTRIES_MAX
               ? SP_OK
               : sp_fail(w->err, SP_E_LIMIT, "more than %zu addresses", SP_ROSTER_ENTRIES_MAX);
}

/* ---- groups ---- */

static enum sp_rc push(struct walk *w, struct sp_bytes dn, int64_t depth)
{
    struct item *item;
    uint8_t *key;

    if (dn.len == 0 || dn.len > 4096 || sp_bytes_find(dn, 0) != SIZE_MAX)
        return sp_fail(w->err, SP_E_MALFORMED, "a member's name can't be read");
    key = sp_arena_alloc(w->arena, dn.len);
    for (size_t i = 0; i < dn.len; i++)
        key[i] = sp_ascii_lower(dn.ptr[i]);
    if (sp_map_put(w->seen, sp_bytes(key, dn.len), w) != NULL)
        return SP_OK;
    w->names_len += dn.len;
    if (w->entries++ == SP_ROSTER_ENTRIES_MAX || w->names_len > SP_ROSTER_NAMES_MAX)
        return sp_fail(w->err, SP_E_LIMIT, "more than %zu entries", SP_ROSTER_ENTRIES_MAX);
    item = sp_arena_alloc(w->arena, sizeof(*item));
    *item = (struct item){.dn = sp_arena_cstr(w->arena, dn), .depth = depth};
    *w->last = item;
    w->last = &item->next;
    return SP_OK;
}

/* "member;range=0-1499": notes what to ask next; the last part ends with "*". */
static enum sp_rc take_range(struct walk *w, struct sp_bytes attribute)
{
    size_t at = sp_bytes_find_all(attribute, SP_LIT(";range="));
    struct sp_bytes rest =
        at == SIZE_MAX ? SP_LIT("") : sp_bytes_slice(attribute, at + 7, attribute.len);
    struct sp_bytes from, to;
    uint64_t first, last;

    if (rest.len == 0)
        return SP_OK;
    if (!sp_bytes_split(&rest, '-', &from) || !sp_bytes_split(&rest, ';', &to) ||
        !sp_bytes_to_u64(from, &first) || first != w->range_at)
        return sp_fail(w->err, SP_E_MALFORMED, "a part of a group's members is not the next one");
    if (w->has_range) /* the rest of one of them would be lost */
        return sp_fail(w->err, SP_E_UNSUPPORTED,
                       "two attributes of a group come in parts: name one in \"members\"");
    w->has_range = true;
    if (sp_bytes_eq(to, SP_LIT("*")))
        return SP_OK;
    if (!sp_bytes_to_u64(to, &last) || last < first || last >= UINT32_MAX)
        return sp_fail(w->err, SP_E_MALFORMED, "a part of a group's members ends nowhere");
    last++;
    if (snprintf(w->range, sizeof(w->range), "%.*s;range=%" PRIu64 "-*",
                 SP_FMT(sp_bytes_slice(attribute, 0, at)), last) >= (int)sizeof(w->range))
        return sp_fail(w->err, SP_E_LIMIT, "an attribute's name is too long");
    return SP_OK;
}

static enum sp_rc add_members(struct walk *w, const struct item *group,
                              const struct sp_roster_entry *e, size_t *count)
{
    enum sp_rc rc = SP_OK;

    *count = 0;
    for (size_t i = 0; i < e->count && rc == SP_OK; i++) {
        if (!is_one_of(e->values[i].attribute, &w->d->members))
            continue;
        if ((*count)++ == 0 && group->depth > w->d->depth)
            return sp_fail(w->err, SP_E_LIMIT, "groups are nested deeper than %lld",
                           (long long)w->d->depth);
        if (i == 0 || !sp_bytes_eq(e->values[i].attribute, e->values[i - 1].attribute))
            rc = take_range(w, e->values[i].attribute);
        if (rc == SP_OK)
            rc = push(w, e->values[i].value, group->depth + 1);
    }
    return rc;
}

static enum sp_rc on_part(void *arg, size_t index, const struct sp_roster_entry *e)
{
    struct walk *w = arg;
    size_t count;
    enum sp_rc rc = add_members(w, w->batch[index], e, &count);

    if (rc == SP_OK && count == 0)
        rc = sp_fail(w->err, SP_E_MALFORMED, "the rest of a group's members was not given");
    return rc;
}

/* The parts of a large group that are still to come. */
static enum sp_rc read_rest(struct walk *w, const struct item *group)
{
    char asked[RANGE_LEN_MAX];
    const char *const attributes[2] = {asked};
    const struct sp_roster_question q = {
        .dns = &group->dn, .count = 1, .attributes = attributes, .fn = on_part, .arg = w};
    enum sp_rc rc = SP_OK;

    w->batch[0] = group;
    while (rc == SP_OK && w->range[0] != 0) {
        const char *at = strchr(w->range, '=');

        memcpy(asked, w->range, sizeof(asked));
        if (!sp_bytes_to_u64(sp_bytes(at + 1, strlen(at) - 3), &w->range_at))
            return sp_fail(w->err, SP_E_INTERNAL, "range");
        w->range[0] = 0;
        w->has_range = false;
        rc = w->source->ask(w->source->ctx, &q, w->err);
    }
    return rc;
}

struct large {
    const struct item *group;
    char range[RANGE_LEN_MAX];
};

struct reading {
    struct walk *w;
    struct large large[SP_ROSTER_BATCH_MAX];
    size_t large_count;
};

static enum sp_rc on_entry(void *arg, size_t index, const struct sp_roster_entry *e)
{
    struct reading *r = arg;
    struct walk *w = r->w;
    size_t members;
    enum sp_rc rc;

    if (w->found[index])
        return sp_fail(w->err, SP_E_MALFORMED, "an entry comes twice");
    w->found[index] = true;
    w->has_range = false;
    w->range[0] = 0;
    w->range_at = 0;
    rc = add_members(w, w->batch[index], e, &members);
    if (rc != SP_OK)
        return rc;
    if (members == 0 && w->batch[index]->depth > 0)
        return add_person(w, e);
    w->tally->groups++;
    if (w->range[0] != 0) {
        struct large *large = &r->large[r->large_count++];

        large->group = w->batch[index];
        memcpy(large->range, w->range, sizeof(large->range));
    }
    return SP_OK;
}

static enum sp_rc read_batch(struct walk *w, size_t count)
{
    const char *attributes[ATTRIBUTES_MAX], *dns[SP_ROSTER_BATCH_MAX];
    struct reading r = {.w = w};
    const struct sp_roster_question q = {
        .dns = dns, .count = count, .attributes = attributes, .fn = on_entry, .arg = &r};
    size_t n = 0;
    enum sp_rc rc;

    add_all(attributes, &n, &w->d->members);
    add_all(attributes, &n, &w->d->addresses);
    for (size_t i = 0; i < count; i++) {
        dns[i] = w->batch[i]->dn;
        w->found[i] = false;
    }
    rc = w->source->ask(w->source->ctx, &q, w->err);
    for (size_t i = 0; rc == SP_OK && i < count; i++) {
        if (!w->found[i] && w->batch[i]->depth == 0)
            rc = sp_fail(w->err, SP_E_NOT_FOUND, "there is no such group, or it is not to be seen");
        w->tally->gone += !w->found[i];
    }
    for (size_t i = 0; rc == SP_OK && i < r.large_count; i++) {
        memcpy(w->range, r.large[i].range, sizeof(w->range));
        rc = read_rest(w, r.large[i].group);
    }
    return rc;
}

static enum sp_rc walk_group(struct walk *w, const char *dn)
{
    enum sp_rc rc = push(w, sp_bytes_cstr(dn), 0);

    while (rc == SP_OK && w->first != NULL) {
        size_t count = 0;

        while (w->first != NULL && count < SP_ROSTER_BATCH_MAX) {
            w->batch[count++] = w->first;
            w->first = w->first->next;
        }
        if (w->first == NULL)
            w->last = &w->first;
        rc = read_batch(w, count);
    }
    return rc;
}

/* ---- filters ---- */

static enum sp_rc on_found(void *arg, size_t index, const struct sp_roster_entry *e)
{
    struct walk *w = arg;

    (void)index;
    if (w->entries++ == SP_ROSTER_ENTRIES_MAX)
        return sp_fail(w->err, SP_E_LIMIT, "more than %zu entries", SP_ROSTER_ENTRIES_MAX);
    return add_person(w, e);
}

static enum sp_rc search(struct walk *w, const char *filter)
{
    const char *attributes[ATTRIBUTES_MAX];
    bool is_ignored = w->d->referrals == SP_DIRECTORY_REFERRALS_IGNORE;
    const struct sp_roster_question q = {.dns = &w->d->base,
                                         .count = 1,
                                         .filter = filter,
                                         .attributes = attributes,
                                         .fn = on_found,
                                         .arg = w,
                                         .elsewhere = is_ignored ? &w->tally->elsewhere : NULL};
    size_t n = 0;

    add_all(attributes, &n, &w->d->addresses);
    return w->source->ask(w->source->ctx, &q, w->err);
}

enum sp_rc sp_roster_collect(const struct sp_roster_source *source, const struct sp_directory *d,
                             const struct sp_directory_list *list, struct sp_roster *out,
                             struct sp_roster_tally *tally, struct sp_err *err)
{
    struct walk *w = sp_calloc(1, sizeof(*w));
    enum sp_rc rc;

    *tally = (struct sp_roster_tally){0};
    *w = (struct walk){.source = source, .d = d, .out = out, .tally = tally, .err = err};
    w->last = &w->first;
    w->arena = sp_arena_new(65536);
    w->seen = sp_map_new();
    rc = list->group[0] != 0 ? walk_group(w, list->group) : search(w, list->filter);
    sp_roster_set_missing(out, tally->gone);
    sp_map_free(w->seen);
    sp_arena_free(w->arena);
    sp_free(w);
    return rc;
}
