/*
 * A decision has room for so many edits of the header and so many copies; what does not fit would be left out, be it a field that
 * must not leave. So a policy of which more may come together is refused. Of rules that exclude each other (each of another
 * department) one at most can speak: they are put into groups within which all exclude all others, and a group counts
 * as its largest. In doubt both of two rules may speak that an unknown fact parts (phi.score from 50 on, and below), so these
 * exclude nothing. What several give is there once: a field that is taken out, a copy for the archive. That is never too few, and may
 * be too many. Names are numbered once for all rules, so that what is done for each rule that decides is a walk over numbers: with a
 * table of names for each, a thousand rules before a thousand others took half a minute.
 */
#include "base/map.h"
#include "mail/address.h"
#include "policy/load_priv.h"

enum what { EDITS, COPIES, WHATS };

#define UNNAMED 0 /* a field that is added: it stands there as often as it is added */

/* What a rule gives, as numbers of names. Rules that give the same have the same numbers */
struct gifts {
    uint32_t *names;
    size_t count;
};

struct giver { /* a rule that continues and gives something */
    const struct sp_rule *rule;
    size_t group;
    enum { UNASKED, APART, TOGETHER } beside; /* the rule that is looked at */
};

struct givers {
    struct giver *list;
    size_t count;
    size_t groups;
    size_t *by_group;           /* room for a number each, while they are gone through */
    struct gifts *gifts[WHATS]; /* of each rule of the policy */
    size_t names[WHATS];        /* how many there are, UNNAMED among them */
    uint32_t *marks;            /* room for one a name: see note */
    const struct sp_rule *rules;
};

static bool are_apart(const struct sp_rule *a, const struct sp_rule *b)
{
    return sp_policy_cond_excludes(&a->cond, &b->cond) ||
           sp_policy_cond_excludes(&b->cond, &a->cond);
}

static void add(struct givers *g, const struct sp_rule *r)
{
    size_t group = 0;

    memset(g->by_group, 0, g->groups * sizeof(*g->by_group));
    for (size_t i = 0; i < g->count; i++)
        if (g->by_group[g->list[i].group] == 0 && !are_apart(g->list[i].rule, r))
            g->by_group[g->list[i].group] = 1; /* one of it may speak together with r */
    while (group < g->groups && g->by_group[group] != 0)
        group++;
    if (group == g->groups)
        g->groups++;
    g->list[g->count++] = (struct giver){.rule = r, .group = group};
}

static size_t count_of(const struct sp_rule *r, enum what what)
{
    return what == EDITS ? r->then.header_count : r->then.copy_count;
}

/* What the same of another rule is known by. returns: empty for a field that is added */
static struct sp_bytes name_of(const struct sp_rule *r, enum what what, size_t i,
                               uint8_t room[SP_ADDRESS_MAX])
{
    struct sp_bytes name =
        sp_bytes_cstr(what == EDITS ? r->then.headers[i].name : r->then.copies[i]);

    if (what == COPIES)
        return name;
    if (r->then.headers[i].value != NULL || name.len > SP_ADDRESS_MAX)
        return sp_bytes(NULL, 0);
    for (size_t k = 0; k < name.len; k++)
        room[k] = sp_ascii_lower(name.ptr[k]);
    return sp_bytes(room, name.len);
}

/* The names of one kind, and how many there are */
struct numbering {
    enum what what;
    struct sp_map *by; /* a name to a place in counted */
    char *counted;     /* a place for each name: which one it is is the number */
    size_t names;
};

static void number_gifts(struct numbering *n, const struct sp_rule *r, struct gifts *of)
{
    uint8_t room[SP_ADDRESS_MAX];

    for (of->count = 0; of->count < count_of(r, n->what); of->count++) {
        struct sp_bytes name = name_of(r, n->what, of->count, room);
        char *at = name.len == 0 ? &n->counted[UNNAMED] : sp_map_find(n->by, name);

        if (at == NULL) {
            at = &n->counted[n->names++];
            (void)sp_map_put(n->by, name, at);
        }
        of->names[of->count] = (uint32_t)(at - n->counted);
    }
}

static void number_names(struct givers *g, const struct sp_policy *p, enum what what,
                         struct sp_arena *arena)
{
    struct numbering n = {.what = what, .names = 1};
    size_t most = 1;

    for (size_t i = 0; i < p->rule_count; i++)
        most += count_of(&p->rules[i], what);
    n.by = sp_map_new();
    n.counted = sp_arena_alloc(arena, most);
    g->gifts[what] = sp_arena_alloc(arena, p->rule_count * sizeof(struct gifts));
    for (size_t i = 0; i < p->rule_count; i++) {
        g->gifts[what][i].names =
            sp_arena_alloc(arena, count_of(&p->rules[i], what) * sizeof(uint32_t));
        number_gifts(&n, &p->rules[i], &g->gifts[what][i]);
    }
    g->names[what] = n.names;
    sp_map_free(n.by);
}

static const struct gifts *gifts_of(const struct givers *g, const struct sp_rule *r, enum what what)
{
    return &g->gifts[what][r - g->rules];
}

/* returns: whether a giver may speak where r decides. It is worked out once for each r, and only if somebody asks */
static bool may_speak(struct giver *of, const struct sp_rule *r)
{
    if (of->beside == UNASKED)
        of->beside = are_apart(of->rule, r) ? APART : TOGETHER;
    return of->beside == TOGETHER;
}

/*
 * Marks names with the group that gives them, from 1, or as those of more than one: these are there once, whoever gives them.
 * returns: how many became names of more than one
 */
static size_t note(struct givers *g, const struct gifts *of, size_t group)
{
    uint32_t mark = (uint32_t)group + 1;
    size_t n = 0;

    for (size_t i = 0; i < of->count; i++) {
        uint32_t *at = &g->marks[of->names[i]];

        if (of->names[i] == UNNAMED || *at == UINT32_MAX || *at == mark)
            continue;
        n += *at != 0;
        *at = *at == 0 ? mark : UINT32_MAX;
    }
    return n;
}

/* is_noted: what more than one gives counts nothing. returns: how much a rule gives */
static size_t own_of(const struct givers *g, const struct gifts *of, bool is_noted)
{
    size_t n = 0;

    if (!is_noted)
        return of->count;
    for (size_t i = 0; i < of->count; i++)
        n += g->marks[of->names[i]] != UINT32_MAX;
    return n;
}

/* returns: the sum of the largest of each group that may speak where r decides, and what r gives itself */
static size_t sum_of(struct givers *g, const struct sp_rule *r, enum what what, bool is_noted)
{
    size_t sum = own_of(g, gifts_of(g, r, what), is_noted);

    memset(g->by_group, 0, g->groups * sizeof(*g->by_group));
    for (size_t i = 0; i < g->count && g->list[i].rule < r; i++) {
        size_t *largest = &g->by_group[g->list[i].group];
        size_t own = own_of(g, gifts_of(g, g->list[i].rule, what), is_noted);

        if (own > *largest && may_speak(&g->list[i], r))
            *largest = own;
    }
    for (size_t group = 0; group < g->groups; group++)
        sum += g->by_group[group];
    return sum;
}

/* returns: the most that can come together where r decides; names are compared only where that matters */
static size_t most(struct givers *g, const struct sp_rule *r, enum what what)
{
    size_t sum = sum_of(g, r, what, false), distinct;

    if (sum <= SP_DECISION_NAMES_MAX)
        return sum;
    memset(g->marks, 0, g->names[what] * sizeof(*g->marks));
    distinct = note(g, gifts_of(g, r, what), g->groups);
    for (size_t i = 0; i < g->count && g->list[i].rule < r; i++)
        if (may_speak(&g->list[i], r))
            distinct += note(g, gifts_of(g, g->list[i].rule, what), g->list[i].group);
    distinct += sum_of(g, r, what, true);
    return distinct < sum ? distinct : sum;
}

static void tell(struct sp_loader *l, const struct sp_rule *r, size_t n, const char *what)
{
    if (n > SP_DECISION_NAMES_MAX)
        sp_policy_loader_idle(
            l, r->source, SP_E_CONFIG_RANGE,
            "%zu %s may come together here, with those of rules before it: at most %d", n, what,
            SP_DECISION_NAMES_MAX);
}

static void review(struct sp_loader *l, struct givers *g, const struct sp_rule *r)
{
    for (size_t i = 0; i < g->count; i++)
        g->list[i].beside = UNASKED;
    tell(l, r, most(g, r, EDITS), "edits of the header");
    tell(l, r, most(g, r, COPIES), "copies");
}

void sp_policy_review_room(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct givers g = {.list = sp_arena_alloc(arena, p->rule_count * sizeof(struct giver)),
                       .by_group = sp_arena_alloc(arena, p->rule_count * sizeof(size_t)),
                       .rules = p->rules};

    for (size_t i = 0; i < p->rule_count; i++)
        if (p->rules[i].is_continue &&
            count_of(&p->rules[i], EDITS) + count_of(&p->rules[i], COPIES) > 0)
            add(&g, &p->rules[i]);
    for (enum what what = EDITS; what < WHATS; what++)
        number_names(&g, p, what, arena);
    g.marks = sp_arena_alloc(arena,
                             (g.names[EDITS] > g.names[COPIES] ? g.names[EDITS] : g.names[COPIES]) *
                                 sizeof(*g.marks));
    for (size_t i = 0; i < p->rule_count; i++)
        if (!p->rules[i].is_continue)
            review(l, &g, &p->rules[i]);
}
