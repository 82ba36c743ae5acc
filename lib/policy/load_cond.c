/*
 * Conditions to postfix programs. The walk goes through the tree by its parent links and writes each step when it leaves
 * a value, so that depth costs no stack of ours. Every member of a condition that is not all, any or not is a test, made
 * in load_test.c.
 */
#include "policy/load_priv.h"

struct build {
    struct sp_loader *l;
    const struct sp_json *root;
    struct sp_cond *out;
    size_t room;
    size_t depth; /* of the stack at this step */
};

static bool key_is(const struct sp_json *v, const char *key)
{
    return v->key.ptr != NULL && sp_bytes_eq(v->key, sp_bytes_cstr(key));
}

/* "all", "any" with an array, "not" with an object: only as members of a condition. */
static bool is_group(const struct build *b, const struct sp_json *v)
{
    if (v == b->root || v->key.ptr == NULL)
        return true;
    return key_is(v, "all") || key_is(v, "any") || key_is(v, "not");
}

static bool right_type(const struct build *b, const struct sp_json *v)
{
    bool is_list = v != b->root && (key_is(v, "all") || key_is(v, "any"));

    if (!sp_policy_loader_type(b->l, v, is_list ? SP_JSON_ARRAY : SP_JSON_OBJECT))
        return false;
    if (v->count > 0)
        return true;
    sp_problem(b->l->problems, v, SP_E_POLICY_INVALID, "this condition is empty%s",
               v == b->root ? ": leave \"when\" out to match always" : "");
    return false;
}

static void put(struct build *b, enum sp_cond_op op, size_t arg)
{
    sp_assert(b->out->step_count < b->room);
    b->out->steps[b->out->step_count++] = (struct sp_cond_step){op, arg};
    b->depth += op == SP_COND_TEST;
    b->depth -= op == SP_COND_ALL || op == SP_COND_ANY ? arg - 1 : 0;
    if (b->depth > b->out->depth)
        b->out->depth = b->depth;
}

static void leave(struct build *b, const struct sp_json *v)
{
    struct sp_cond *c = b->out;

    if (!is_group(b, v)) {
        struct sp_policy_test *t = &c->tests[c->test_count];

        sp_policy_load_test(b->l, v, t);
        if (sp_fact_rows[t->fact].stage > c->stage)
            c->stage = sp_fact_rows[t->fact].stage;
        put(b, SP_COND_TEST, c->test_count++);
        return;
    }
    put(b, v != b->root && key_is(v, "any") ? SP_COND_ANY : SP_COND_ALL, v->count);
    if (v != b->root && key_is(v, "not"))
        put(b, SP_COND_NOT, 0);
}

/* returns: how many values a condition has, itself included */
static size_t count_values(const struct sp_json *root)
{
    const struct sp_json *v = root;
    size_t n = 1;

    for (;;) {
        if (v->first != NULL) {
            v = v->first;
        } else {
            while (v != root && v->next == NULL)
                v = v->parent;
            if (v == root)
                return n;
            v = v->next;
        }
        n++;
    }
}

void sp_policy_load_cond(struct sp_loader *l, const struct sp_json *when, struct sp_cond *out)
{
    struct build b = {.l = l, .root = when, .out = out, .room = 2 * count_values(when)};
    const struct sp_json *v = when;
    bool down = true;

    out->steps = sp_arena_alloc(l->policy->arena, b.room * sizeof(*out->steps));
    out->tests = sp_arena_alloc(l->policy->arena, b.room * sizeof(*out->tests));
    for (;;) {
        if (down && is_group(&b, v)) {
            if (!right_type(&b, v))
                return;
            v = v->first;
            continue;
        }
        leave(&b, v);
        if (v == when)
            break;
        down = v->next != NULL;
        v = down ? v->next : v->parent;
    }
    out->is_conjunction = true;
    for (size_t i = 0; i < out->step_count; i++)
        if (out->steps[i].op != SP_COND_TEST && out->steps[i].op != SP_COND_ALL)
            out->is_conjunction = false;
    if (out->depth > SP_COND_DEPTH_MAX)
        sp_problem(l->problems, when, SP_E_CONFIG_RANGE,
                   "this condition has too many parts: put values into one array or a list");
}
