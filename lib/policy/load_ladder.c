/*
 * Ladders: by name from the nearest layer, or written in place. Each rung stands once; a floor is always written, since
 * what a ladder allows at its end is the thing its author must have thought about.
 */
#include "policy/load_priv.h"

static const char *const ladder_keys[] = {"rungs", "floor", "at_end", "note", NULL};
static const char *const rung_keys[] = {"rung", "stay", NULL};
static const char *const stay_keys[] = {"unreachable", "dropped", NULL};
static const char *const end_names[] = {"return", "hold", NULL};

/* Only what a domain may prove and prove no more is dropped: the levels of TLS. */
static void check_stay(struct sp_loader *l, const struct sp_json *stay, enum sp_rung rung)
{
    const struct sp_json *dropped = sp_json_find(stay, "dropped");
    bool is_tls = rung != SP_RUNG_PORTAL && rung != SP_RUNG_PLAIN && !sp_rung_is_crypto(rung);

    if (stay->count == 0)
        sp_policy_loader_idle(l, stay, SP_E_POLICY_INVALID,
                              "this does nothing: say how long, or take it out");
    else if (dropped != NULL && !is_tls)
        sp_policy_loader_idle(l, dropped, SP_E_POLICY_INVALID,
                              "this does nothing: only a rung of TLS is dropped, when a domain "
                              "proved better before");
}

static void load_rung(struct sp_loader *l, const struct sp_json *v, struct sp_ladder *out)
{
    const char *names[SP_RUNG_COUNT + 1] = {NULL};
    const struct sp_json *name = v, *stay = NULL, *t;
    struct sp_ladder_rung rung = {0, SP_STAY_UNTIL_EXPIRE, SP_STAY_DROPPED_DEFAULT};
    int word;

    for (int i = 0; i < SP_RUNG_COUNT; i++)
        names[i] = sp_rung_name((enum sp_rung)i);
    if (v->type == SP_JSON_OBJECT) {
        sp_policy_loader_keys(l, v, rung_keys);
        name = sp_json_find(v, "rung");
        stay = sp_json_find(v, "stay");
        if (name == NULL) {
            sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "\"rung\" is missing");
            return;
        }
    }
    word = sp_policy_loader_word(l, name, names, "rung");
    if (word < 0)
        return;
    rung.rung = (enum sp_rung)word;
    if (stay != NULL && sp_policy_loader_type(l, stay, SP_JSON_OBJECT)) {
        sp_policy_loader_keys(l, stay, stay_keys);
        check_stay(l, stay, rung.rung);
        if ((t = sp_json_find(stay, "unreachable")) != NULL)
            sp_policy_loader_duration(l, t, &rung.stay_unreachable_ms);
        if ((t = sp_json_find(stay, "dropped")) != NULL)
            sp_policy_loader_duration(l, t, &rung.stay_dropped_ms);
    }
    for (size_t i = 0; i < out->count; i++)
        if (out->rungs[i].rung == rung.rung)
            word = -1;
    if (word < 0)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID, "this rung stands in the ladder already");
    else
        out->rungs[out->count++] = rung;
}

/* The best rung stands first: what stands behind one that any host with it meets, too, is hardly ever asked. */
static void check_order(struct sp_loader *l, const struct sp_json *rungs,
                        const struct sp_ladder *ladder)
{
    for (size_t i = 1; i < ladder->count; i++) {
        enum sp_rung rung = ladder->rungs[i].rung, before = ladder->rungs[i - 1].rung;

        if (before == SP_RUNG_PORTAL)
            sp_problem_warn(l->problems, rungs,
                            "rung \"%s\" stands behind \"portal\", which takes all mail: the best "
                            "rung stands first",
                            sp_rung_name(rung));
        else if (rung != SP_RUNG_PORTAL && !sp_rung_is_crypto(rung) && !sp_rung_is_crypto(before) &&
                 sp_rung_floor(before) < sp_rung_floor(rung))
            sp_problem_warn(l->problems, rungs,
                            "rung \"%s\" stands behind \"%s\", which takes whatever it would, but "
                            "where the floor is higher: the best rung stands first",
                            sp_rung_name(rung), sp_rung_name(before));
    }
}

/*
 * A rung below the ladder's own floor can never be taken: its author meant something else. TLS under `sealed` is right
 * for mail that arrives as ciphertext, so that is only said.
 */
static void check_rungs(struct sp_loader *l, const struct sp_json *rungs,
                        const struct sp_ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++) {
        const char *rung = sp_rung_name(ladder->rungs[i].rung);
        const char *floor = sp_floor_name(ladder->floor);

        if (!sp_rung_meets(ladder->rungs[i].rung, ladder->floor, true))
            sp_problem(l->problems, rungs, SP_E_POLICY_INVALID,
                       "rung \"%s\" lies below the ladder's floor \"%s\" and could never be taken",
                       rung, floor);
        else if (!sp_rung_meets(ladder->rungs[i].rung, ladder->floor, false))
            sp_problem_warn(l->problems, rungs,
                            "rung \"%s\" lies below the floor \"%s\": only mail that arrives as "
                            "ciphertext can take it",
                            rung, floor);
    }
    if (ladder->count == 0)
        sp_problem(l->problems, rungs, SP_E_CONFIG_RANGE, "expected at least one rung");
}

static const struct sp_ladder *load_object(struct sp_loader *l, const struct sp_json *v,
                                           const char *name)
{
    const struct sp_json *rungs, *floor, *at_end;
    struct sp_ladder *ladder;

    if (!sp_policy_loader_type(l, v, SP_JSON_OBJECT))
        return NULL;
    ladder = sp_arena_alloc(l->policy->arena, sizeof(*ladder));
    ladder->name = name;
    sp_policy_loader_keys(l, v, ladder_keys);
    rungs = sp_json_find(v, "rungs");
    floor = sp_json_find(v, "floor");
    at_end = sp_json_find(v, "at_end");
    if (rungs == NULL || floor == NULL) {
        sp_problem(l->problems, v, SP_E_CONFIG_MISSING, "a ladder needs \"rungs\" and \"floor\"");
        return NULL;
    }
    if (!sp_policy_loader_floor(l, floor, &ladder->floor) ||
        !sp_policy_loader_type(l, rungs, SP_JSON_ARRAY))
        return NULL;
    for (const struct sp_json *i = rungs->first; i != NULL; i = i->next)
        load_rung(l, i, ladder);
    if (at_end != NULL)
        ladder->at_end = sp_policy_loader_word(l, at_end, end_names, "end of a ladder") == 1
                             ? SP_AT_END_HOLD
                             : SP_AT_END_RETURN;
    check_rungs(l, rungs, ladder);
    check_order(l, rungs, ladder);
    return ladder;
}

/* m: the member that defines it */
static void load_named(struct sp_loader *l, const struct sp_json *m)
{
    struct sp_arena *arena = l->policy->arena;
    struct sp_named_ladder *named = sp_arena_alloc(arena, sizeof(*named));

    named->source = m;
    named->ladder = load_object(l, m, sp_arena_cstr(arena, m->key));
    named->next = l->ladders;
    l->ladders = named;
}

void sp_policy_load_ladders(struct sp_loader *l)
{
    const struct sp_policy *p = l->policy;

    for (size_t i = 0; i < p->layer_count; i++) {
        const struct sp_json *all = sp_json_find(p->layers[i].root, "ladders");

        if (all == NULL || !sp_policy_loader_type(l, all, SP_JSON_OBJECT))
            continue;
        for (const struct sp_json *m = all->first; m != NULL; m = m->next) {
            if (!sp_policy_loader_is_name(m->key))
                sp_problem(l->problems, m, SP_E_POLICY_INVALID,
                           "a name is made of a to z, 0 to 9 and hyphens");
            if (!sp_policy_loader_is_replaced(l, "ladders", m))
                load_named(l, m);
        }
    }
}

const struct sp_ladder *sp_policy_load_ladder(struct sp_loader *l, const struct sp_json *v)
{
    if (v->type != SP_JSON_TEXT)
        return load_object(l, v, "");
    for (struct sp_named_ladder *n = l->ladders; n != NULL; n = n->next) {
        if (sp_bytes_eq(n->source->key, v->text)) {
            sp_policy_loader_use(l, n->source);
            return n->ladder;
        }
    }
    sp_policy_loader_unknown(l, v, "ladders", v->text);
    return NULL;
}
