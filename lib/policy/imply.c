/*
 * What follows from a test: that another one holds, or that it can't. Told from what is written alone, for all facts at once;
 * where nothing can be told the answer is unknown. An entry of a list that ends proves nothing of the time after it, and one
 * that has ended is still not excluded: dates are read against the conclusion.
 */
#include "policy/policy_priv.h"

#define AT_ANY_TIME (INT64_MAX - 1) /* only entries without an end hold then */
#define EVER        0               /* dates are not looked at */

static bool is_number(const struct sp_policy_test *t)
{
    enum sp_fact_kind kind = sp_fact_rows[t->fact].kind;

    return kind == SP_KIND_OF_NUMBER || kind == SP_KIND_OF_TRUTH || kind == SP_KIND_OF_CLOSED ||
           kind == SP_KIND_OF_NAMED_NUMBER;
}

static bool is_about_the_same(const struct sp_policy_test *a, const struct sp_policy_test *b)
{
    return a->fact == b->fact && sp_bytes_eq_nocase(a->name, b->name);
}

static bool meets(const struct sp_policy_test *t, int64_t n)
{
    if (t->op == SP_TEST_AT_LEAST)
        return n >= t->numbers[0];
    if (t->op == SP_TEST_BELOW)
        return n < t->numbers[0];
    for (size_t i = 0; i < t->count; i++)
        if (t->numbers[i] == n)
            return true;
    return false;
}

/* How many of the numbers that `from` lists meet `to`. */
static size_t count_meeting(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    size_t n = 0;

    for (size_t i = 0; i < from->count; i++)
        n += meets(to, from->numbers[i]);
    return n;
}

/* The same of texts. */
static size_t count_texts(const struct sp_policy_test *from, const struct sp_policy_test *to,
                          int64_t now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < from->count; i++)
        n += sp_policy_test_holds_for(to, from->texts[i], now_ms);
    return n;
}

static enum sp_tri exists(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    bool wanted = to->op == SP_TEST_EXISTS ? to->numbers[0] != 0 : true;

    if (sp_fact_rows[from->fact].kind == SP_KIND_OF_NAMED_NUMBER) /* what is not counted is 0 */
        return SP_TRI_UNKNOWN;
    if (from->op == SP_TEST_EXISTS && to->op == SP_TEST_EXISTS)
        return (from->numbers[0] != 0) == wanted ? SP_TRI_TRUE : SP_TRI_FALSE;
    if (from->op == SP_TEST_EXISTS)
        return from->numbers[0] == 0 ? SP_TRI_FALSE : SP_TRI_UNKNOWN;
    return wanted ? SP_TRI_TRUE : SP_TRI_FALSE;
}

/* Two bounds: one on the same side may be the tighter one, one on the other side may leave nothing between. */
static enum sp_tri bound_under(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    bool is_least = from->op == SP_TEST_AT_LEAST;
    bool is_beyond =
        is_least ? from->numbers[0] >= to->numbers[0] : from->numbers[0] <= to->numbers[0];

    if (!is_beyond)
        return SP_TRI_UNKNOWN;
    return from->op == to->op ? SP_TRI_TRUE : SP_TRI_FALSE;
}

static enum sp_tri number_under(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    size_t n;

    if (from->op == SP_TEST_EQUALS) {
        n = count_meeting(from, to);
        if (n == from->count)
            return SP_TRI_TRUE;
        return n == 0 ? SP_TRI_FALSE : SP_TRI_UNKNOWN;
    }
    if (to->op == SP_TEST_EQUALS)
        return count_meeting(to, from) == 0 ? SP_TRI_FALSE : SP_TRI_UNKNOWN;
    return bound_under(from, to);
}

/* A fact of one text can be compared by example; of several only by the words themselves. */
static enum sp_tri text_under(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    bool one = sp_fact_rows[from->fact].kind == SP_KIND_OF_TEXT;

    if (from->fact == SP_FACT_LABEL || from->fact == SP_FACT_SENDER_GROUP)
        return SP_TRI_UNKNOWN;
    if (from->op == SP_TEST_HAS || from->op == SP_TEST_EQUALS) {
        if (count_texts(from, to, AT_ANY_TIME) == from->count)
            return SP_TRI_TRUE;
        return one && count_texts(from, to, EVER) == 0 && to->op != SP_TEST_RESEMBLES
                   ? SP_TRI_FALSE
                   : SP_TRI_UNKNOWN;
    }
    return one && to->op == SP_TEST_EQUALS && from->op != SP_TEST_RESEMBLES &&
                   count_texts(to, from, EVER) == 0
               ? SP_TRI_FALSE
               : SP_TRI_UNKNOWN;
}

/* What `to` comes to where `from` holds. */
static enum sp_tri under(const struct sp_policy_test *from, const struct sp_policy_test *to)
{
    if (!is_about_the_same(from, to))
        return SP_TRI_UNKNOWN;
    if (strcmp(from->source, to->source) == 0)
        return SP_TRI_TRUE;
    if (from->op == SP_TEST_EXISTS || to->op == SP_TEST_EXISTS)
        return exists(from, to);
    return is_number(from) ? number_under(from, to) : text_under(from, to);
}

/* Facts that are known of all mail, or absent. */
static bool is_always_known(enum sp_fact fact)
{
    return fact == SP_FACT_TENANT || fact == SP_FACT_SENDER_ADDRESS ||
           fact == SP_FACT_SENDER_DOMAIN || fact == SP_FACT_RECIPIENT_ADDRESS ||
           fact == SP_FACT_RECIPIENT_DOMAIN || fact == SP_FACT_RECIPIENT_COUNT ||
           fact == SP_FACT_RECIPIENT_PREFERENCE || fact == SP_FACT_TIME_HOUR ||
           fact == SP_FACT_TIME_WEEKDAY || fact == SP_FACT_SUBJECT || fact == SP_FACT_SUBJECT_TAG ||
           fact == SP_FACT_MESSAGE_KIND || fact == SP_FACT_MESSAGE_SIZE ||
           fact == SP_FACT_PHI_CLASS || fact == SP_FACT_SCAN;
}

/* in_doubt: what a test of an unknown fact says is not taken as given */
static enum sp_tri test_under(const struct sp_cond *given, const struct sp_policy_test *t,
                              bool in_doubt)
{
    enum sp_tri found = SP_TRI_UNKNOWN;

    for (size_t i = 0; i < given->test_count && found == SP_TRI_UNKNOWN; i++)
        if (!in_doubt || is_always_known(given->tests[i].fact))
            found = under(&given->tests[i], t);
    return found;
}

static enum sp_tri fold(const enum sp_tri *items, size_t n, bool is_all)
{
    enum sp_tri best = is_all ? SP_TRI_TRUE : SP_TRI_FALSE;

    for (size_t i = 0; i < n; i++)
        if (is_all ? items[i] < best : items[i] > best)
            best = items[i];
    return best;
}

static enum sp_tri cond_under(const struct sp_cond *given, const struct sp_cond *c, bool in_doubt)
{
    enum sp_tri stack[SP_COND_DEPTH_MAX];
    size_t n = 0;

    if (!given->is_conjunction)
        return c->step_count == 0 ? SP_TRI_TRUE : SP_TRI_UNKNOWN;
    for (size_t i = 0; i < c->step_count; i++) {
        const struct sp_cond_step *s = &c->steps[i];

        if (s->op == SP_COND_TEST) {
            stack[n++] = test_under(given, &c->tests[s->arg], in_doubt);
        } else if (s->op == SP_COND_NOT) {
            sp_assert(n > 0);
            stack[n - 1] = SP_TRI_TRUE - stack[n - 1];
        } else {
            n -= s->arg;
            stack[n] = fold(&stack[n], s->arg, s->op == SP_COND_ALL);
            n++;
        }
    }
    return n == 0 ? SP_TRI_TRUE : stack[0];
}

enum sp_tri sp_policy_cond_under(const struct sp_cond *given, const struct sp_cond *c)
{
    return cond_under(given, c, false);
}

bool sp_policy_cond_excludes(const struct sp_cond *given, const struct sp_cond *c)
{
    return cond_under(given, c, true) == SP_TRI_FALSE;
}

const struct sp_policy_test *sp_policy_cond_contradiction(const struct sp_cond *c,
                                                          const struct sp_policy_test **other)
{
    for (size_t i = 0; c->is_conjunction && i < c->test_count; i++) {
        for (size_t k = i + 1; k < c->test_count; k++) {
            if (under(&c->tests[i], &c->tests[k]) != SP_TRI_FALSE)
                continue;
            *other = &c->tests[k];
            return &c->tests[i];
        }
    }
    return NULL;
}

/* The tests of a condition that hold wherever it does. to: gets them; room for all. returns: how many there are */
static size_t list_certain(const struct sp_cond *c, struct sp_policy_test *to)
{
    bool *certain = sp_calloc(c->step_count + 1, sizeof(*certain)); /* of the parts still to come */
    size_t n = 1, found = 0;

    certain[0] = true;
    for (size_t i = c->step_count; i-- > 0;) {
        const struct sp_cond_step *s = &c->steps[i];
        bool is_certain = certain[--n];

        if (s->op == SP_COND_TEST && is_certain)
            to[found++] = c->tests[s->arg];
        if (s->op == SP_COND_TEST)
            continue;
        for (size_t k = 0; k < (s->op == SP_COND_NOT ? 1 : s->arg); k++)
            certain[n++] =
                is_certain && (s->op == SP_COND_ALL || (s->op == SP_COND_ANY && s->arg == 1));
    }
    sp_free(certain);
    return found;
}

bool sp_policy_cond_is_never(const struct sp_cond *c)
{
    struct sp_cond given = {.is_conjunction = true};
    bool is_never;

    if (c->step_count == 0 || c->is_conjunction)
        return false;
    given.tests = sp_calloc(c->test_count, sizeof(*given.tests));
    given.test_count = list_certain(c, given.tests);
    is_never = cond_under(&given, c, false) == SP_TRI_FALSE;
    sp_free(given.tests);
    return is_never;
}
