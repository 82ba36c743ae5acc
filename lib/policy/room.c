/*
 * A decision has room for so many edits of the header and so many copies; what does not fit would be left out, be it a field that
 * must not leave. So a policy of which more may come together is refused. Of rules that exclude each other (each of another
 * department) one at most can speak: they are put into groups within which all exclude all others, and a group counts
 * as its largest. In doubt both of two rules may speak that an unknown fact parts (phi.score from 50 on, and below), so these
 * exclude nothing. What several give is there once: a field that is taken out, a copy for the archive. That is never too few, and may
 * be too many.
 */
#include "mail/address.h"
#include "policy/load_priv.h"

struct giver { /* a rule that continues and gives something */
    const struct sp_rule *rule;
    size_t group;
};

struct givers {
    struct giver *list;
    size_t count;
    size_t groups;
    size_t *by_group; /* room for a number each, while they are gone through */
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
    g->list[g->count++] = (struct giver){r, group};
}

enum what { EDITS, COPIES };

static size_t count_of(const struct sp_rule *r, enum what what)
{
    return what == EDITS ? r->then.header_count : r->then.copy_count;
}

/* What the same of another rule is known by. Empty: a field that is added stands there as often as it is added */
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

/* What rules of more than one group give. It is there once, whoever gives it. */
struct common {
    enum what what;
    struct sp_map
        *by; /* a name to the mark of its group, or to the last mark if more than one gives it */
    char *marks;
    size_t groups; /* that of the rule which decides is the last */
    size_t count;
};

static void note(struct common *c, const struct sp_rule *r, size_t group)
{
    char *mark = &c->marks[group], *of_many = &c->marks[c->groups];
    uint8_t room[SP_ADDRESS_MAX];

    for (size_t i = 0; i < count_of(r, c->what); i++) {
        struct sp_bytes name = name_of(r, c->what, i, room);
        const char *before = name.len == 0 ? of_many : sp_map_find(c->by, name);

        if (before == of_many || before == mark)
            continue;
        (void)sp_map_put(c->by, name, before == NULL ? mark : of_many);
        c->count += before != NULL;
    }
}

/* c: NULL: all that it gives. returns: how much that is not common */
static size_t own_of(const struct common *c, const struct sp_rule *r, enum what what)
{
    uint8_t room[SP_ADDRESS_MAX];
    size_t n = 0;

    if (c == NULL)
        return count_of(r, what);
    for (size_t i = 0; i < count_of(r, what); i++) {
        struct sp_bytes name = name_of(r, what, i, room);

        n += name.len == 0 || sp_map_find(c->by, name) != &c->marks[c->groups];
    }
    return n;
}

/* returns: the sum of the largest of each group that may speak where r decides, and what r gives itself */
static size_t sum_of(const struct givers *g, const struct sp_rule *r, enum what what,
                     const struct common *c)
{
    size_t sum = own_of(c, r, what);

    memset(g->by_group, 0, g->groups * sizeof(*g->by_group));
    for (size_t i = 0; i < g->count && g->list[i].rule < r; i++) {
        size_t *largest = &g->by_group[g->list[i].group];
        size_t own = own_of(c, g->list[i].rule, what);

        if (own > *largest && !are_apart(g->list[i].rule, r))
            *largest = own;
    }
    for (size_t group = 0; group < g->groups; group++)
        sum += g->by_group[group];
    return sum;
}

/* returns: the most that can come together where r decides; names are compared only where that matters */
static size_t most(const struct givers *g, const struct sp_rule *r, enum what what)
{
    struct common c = {.what = what, .groups = g->groups + 1};
    size_t sum = sum_of(g, r, what, NULL), distinct;

    if (sum <= SP_DECISION_NAMES_MAX)
        return sum;
    c.by = sp_map_new();
    c.marks = sp_calloc(c.groups + 1, 1);
    note(&c, r, g->groups);
    for (size_t i = 0; i < g->count && g->list[i].rule < r; i++)
        if (!are_apart(g->list[i].rule, r))
            note(&c, g->list[i].rule, g->list[i].group);
    distinct = c.count + sum_of(g, r, what, &c);
    sp_map_free(c.by);
    sp_free(c.marks);
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

void sp_policy_review_room(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;
    struct givers g = {.list = sp_arena_alloc(p->arena, (p->rule_count + 1) * sizeof(struct giver)),
                       .by_group = sp_arena_alloc(p->arena, (p->rule_count + 1) * sizeof(size_t))};

    for (size_t i = 0; i < p->rule_count; i++)
        if (p->rules[i].is_continue &&
            count_of(&p->rules[i], EDITS) + count_of(&p->rules[i], COPIES) > 0)
            add(&g, &p->rules[i]);
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].is_continue)
            continue;
        tell(l, &p->rules[i], most(&g, &p->rules[i], EDITS), "edits of the header");
        tell(l, &p->rules[i], most(&g, &p->rules[i], COPIES), "copies");
    }
}
