/*
 * Conditions over facts, three-valued. Conditions are postfix programs, so that evaluating needs a small stack and no
 * recursion; where the trace or the envelope asks, every test is looked at, which tells what turned the result. A fact that is
 * unknown or pending makes its test unknown; an absent one fails every test but "does not exist". Of a fact that is known in part a
 * test is true or false only where nothing that is still to be found could turn it.
 */
#include "policy/policy_priv.h"

static bool any_text(const struct sp_policy_test *t, struct sp_bytes text)
{
    for (size_t i = 0; i < t->count; i++)
        if (sp_bytes_eq_nocase(t->texts[i], text))
            return true;
    return false;
}

static enum sp_tri of_bool(bool b)
{
    return b ? SP_TRI_TRUE : SP_TRI_FALSE;
}

static enum sp_tri test_text(const struct sp_policy_test *t, struct sp_bytes text, int64_t now_ms)
{
    bool long_text = text.len > SP_PATTERN_TEXT_MAX;

    switch (t->op) {
    case SP_TEST_EQUALS:
    case SP_TEST_HAS:
        return of_bool(any_text(t, text));
    case SP_TEST_IN:
        for (size_t i = 0; i < t->count; i++)
            if (sp_policy_list_has(t->lists[i], text, now_ms))
                return SP_TRI_TRUE;
        return SP_TRI_FALSE;
    case SP_TEST_RESEMBLES:
        for (size_t i = 0; i < t->count; i++)
            if (sp_policy_list_resembles(t->lists[i], text, now_ms))
                return SP_TRI_TRUE;
        return SP_TRI_FALSE;
    case SP_TEST_LIKE:
        return long_text ? SP_TRI_UNKNOWN : of_bool(sp_policy_glob_match(t->texts[0], text));
    case SP_TEST_REGEX:
        return long_text ? SP_TRI_UNKNOWN : of_bool(sp_policy_regex_search(t->regex, text));
    default:
        return SP_TRI_FALSE;
    }
}

static enum sp_tri test_number(const struct sp_policy_test *t, int64_t n)
{
    if (t->op == SP_TEST_AT_LEAST)
        return of_bool(n >= t->numbers[0]);
    if (t->op == SP_TEST_BELOW)
        return of_bool(n < t->numbers[0]);
    for (size_t i = 0; i < t->count; i++)
        if (t->numbers[i] == n)
            return SP_TRI_TRUE;
    return SP_TRI_FALSE;
}

bool sp_policy_test_holds_for(const struct sp_policy_test *t, struct sp_bytes text, int64_t now_ms)
{
    return test_text(t, text, now_ms) == SP_TRI_TRUE;
}

/* A set: any member will do. An empty one does not exist. */
static enum sp_tri test_set(const struct sp_policy_test *t, const struct sp_fact_value *v,
                            int64_t now_ms)
{
    enum sp_tri best = SP_TRI_FALSE;

    if (t->op == SP_TEST_EXISTS)
        return of_bool((v->count > 0) == (t->numbers[0] != 0));
    for (size_t i = 0; i < v->count; i++) {
        enum sp_tri one = test_text(t, v->texts[i], now_ms);

        best = one > best ? one : best;
    }
    return best;
}

/* header.NAME: any field of that name will do. */
static enum sp_tri test_headers(const struct sp_policy_test *t, const struct sp_facts *f)
{
    enum sp_tri best = SP_TRI_FALSE;
    bool any = false;

    for (size_t i = 0; i < f->header_count; i++) {
        enum sp_tri one;

        if (!sp_bytes_eq_nocase(f->headers[i].name, t->name))
            continue;
        any = true;
        one = test_text(t, f->headers[i].value, f->now_ms);
        best = one > best ? one : best;
    }
    return t->op == SP_TEST_EXISTS ? of_bool(any == (t->numbers[0] != 0)) : best;
}

static int64_t count_of(const struct sp_policy_test *t, const struct sp_facts *f)
{
    for (size_t i = 0; i < f->type_count; i++)
        if (sp_bytes_eq_nocase(f->types[i].name, t->name))
            return t->fact == SP_FACT_PHI_COUNT ? f->types[i].count : f->types[i].distinct;
    return 0;
}

/* sender.group: given as a fact, or by looking the sender up in the groups' lists. */
static enum sp_tri test_group(const struct sp_policy_test *t, const struct sp_facts *f,
                              enum sp_fact_state *state)
{
    const struct sp_fact_value *given = &f->values[SP_FACT_SENDER_GROUP];
    const struct sp_fact_value *sender = &f->values[SP_FACT_SENDER_ADDRESS];

    if (given->state == SP_FACT_KNOWN) {
        *state = SP_FACT_KNOWN;
        return of_bool(t->op == SP_TEST_EXISTS ? (given->count > 0) == (t->numbers[0] != 0)
                                               : test_set(t, given, 0) == SP_TRI_TRUE);
    }
    *state = sender->state;
    if (sender->state != SP_FACT_KNOWN)
        return SP_TRI_FALSE;
    for (size_t i = 0; i < t->count; i++)
        if (sp_policy_list_has(t->lists[i], sender->text, f->now_ms))
            return SP_TRI_TRUE;
    return SP_TRI_FALSE;
}

static enum sp_tri test_known(const struct sp_policy_test *t, const struct sp_facts *f)
{
    const struct sp_fact_value *v = &f->values[t->fact];

    switch (sp_fact_rows[t->fact].kind) {
    case SP_KIND_OF_SET:
        return test_set(t, v, f->now_ms);
    case SP_KIND_OF_NAMED_TEXT:
        return test_headers(t, f);
    case SP_KIND_OF_NAMED_NUMBER:
        if (t->op == SP_TEST_EXISTS)
            return of_bool((count_of(t, f) > 0) == (t->numbers[0] != 0));
        return test_number(t, count_of(t, f));
    case SP_KIND_OF_TEXT:
        if (t->op == SP_TEST_EXISTS)
            return of_bool(t->numbers[0] != 0);
        return test_text(t, v->text, f->now_ms);
    default:
        if (t->op == SP_TEST_EXISTS)
            return of_bool(t->numbers[0] != 0);
        return test_number(t, v->number);
    }
}

/* returns: the result if it is the one that more of the fact can't turn, else unknown */
static enum sp_tri only(enum sp_tri result, enum sp_tri final)
{
    return result == final ? result : SP_TRI_UNKNOWN;
}

/* A number that may be higher is none of those below what was found. */
static enum sp_tri least_equals(const struct sp_policy_test *t, int64_t found)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->numbers[i] >= found)
            return SP_TRI_UNKNOWN;
    return SP_TRI_FALSE;
}

/* Of what was found: sets may have more members, numbers may be higher. */
static enum sp_tri test_least(const struct sp_policy_test *t, const struct sp_facts *f)
{
    enum sp_tri found = test_known(t, f);

    switch (t->op) {
    case SP_TEST_BELOW:
        return only(found, SP_TRI_FALSE);
    case SP_TEST_EXISTS:
        return only(found, of_bool(t->numbers[0] != 0));
    case SP_TEST_EQUALS:
        if (t->fact == SP_FACT_PHI_SCORE)
            return least_equals(t, f->values[t->fact].number);
        if (sp_fact_rows[t->fact].kind == SP_KIND_OF_NAMED_NUMBER)
            return least_equals(t, count_of(t, f));
        return only(found, SP_TRI_TRUE);
    default:
        return only(found, SP_TRI_TRUE);
    }
}

static enum sp_tri test(const struct sp_policy_test *t, const struct sp_facts *f, bool *pending)
{
    enum sp_fact_state state = f->values[t->fact].state;
    enum sp_tri group = SP_TRI_FALSE;

    if (t->fact == SP_FACT_SENDER_GROUP)
        group = test_group(t, f, &state);
    if (state == SP_FACT_PENDING && pending != NULL)
        *pending = true;
    if (state == SP_FACT_PENDING || state == SP_FACT_UNKNOWN)
        return SP_TRI_UNKNOWN;
    if (state == SP_FACT_ABSENT)
        return of_bool(t->op == SP_TEST_EXISTS && t->numbers[0] == 0);
    if (state == SP_FACT_LEAST)
        return test_least(t, f);
    return t->fact == SP_FACT_SENDER_GROUP ? group : test_known(t, f);
}

/* A value on the stack and the test that made it what it is. */
struct slot {
    enum sp_tri value;
    const struct sp_policy_test *by;
};

static struct slot fold(const struct slot *items, size_t n, bool is_all)
{
    struct slot best = {is_all ? SP_TRI_TRUE : SP_TRI_FALSE, NULL};

    for (size_t i = 0; i < n; i++)
        if (best.by == NULL || (is_all ? items[i].value < best.value : items[i].value > best.value))
            best = items[i];
    return best;
}

/* Tests joined by and alone: the first that fails ends it. Whoever asks what turned it goes the long way. */
static enum sp_tri all_hold(const struct sp_cond *c, const struct sp_facts *f)
{
    enum sp_tri least = SP_TRI_TRUE;

    for (size_t i = 0; i < c->test_count && least != SP_TRI_FALSE; i++) {
        enum sp_tri one = test(&c->tests[i], f, NULL);

        least = one < least ? one : least;
    }
    return least;
}

enum sp_tri sp_policy_cond_eval(const struct sp_cond *c, const struct sp_facts *f, bool *pending,
                                struct sp_turn *turn)
{
    struct slot stack[SP_COND_DEPTH_MAX];
    size_t n = 0;

    if (turn == NULL && pending == NULL && c->is_conjunction)
        return all_hold(c, f);

    for (size_t i = 0; i < c->step_count; i++) {
        const struct sp_cond_step *s = &c->steps[i];

        if (s->op == SP_COND_TEST) {
            const struct sp_policy_test *t = &c->tests[s->arg];

            stack[n++] = (struct slot){test(t, f, pending), t};
        } else if (s->op == SP_COND_NOT) {
            sp_assert(n > 0);
            stack[n - 1].value = SP_TRI_TRUE - stack[n - 1].value;
        } else {
            n -= s->arg;
            stack[n] = fold(&stack[n], s->arg, s->op == SP_COND_ALL);
            n++;
        }
    }
    if (n == 0)
        return SP_TRI_TRUE; /* no condition */
    if (turn != NULL)
        turn->test = stack[0].by;
    return stack[0].value;
}
