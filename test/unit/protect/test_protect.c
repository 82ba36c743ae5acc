/*
 * The choice of a rung: its rules one by one, and then every combination of ladder, floor, status and time, asking that
 * nothing below the floor is ever taken.
 */
#include "protect/protect.h"

#include "base/mem.h"
#include "support/check_main.h"

#define HOUR ((int64_t)3600000)

static struct sp_ladder ladder_of(const enum sp_rung *rungs, size_t count, enum sp_floor floor)
{
    struct sp_ladder l = {.name = "test", .count = count, .floor = floor};

    for (size_t i = 0; i < count; i++)
        l.rungs[i] =
            (struct sp_ladder_rung){rungs[i], SP_STAY_UNTIL_EXPIRE, SP_STAY_DROPPED_DEFAULT};
    return l;
}

static struct sp_protect_answer ask(const struct sp_ladder *l, enum sp_floor floor,
                                    const enum sp_rung_status *status, int64_t since)
{
    struct sp_protect_question q = {
        .ladder = l, .floor = floor, .since_accept_ms = since, .expire_ms = 48 * HOUR};
    struct sp_protect_answer a;

    for (size_t i = 0; i < l->count; i++)
        q.status[i] = status[i];
    sp_protect_choose(&q, &a);
    return a;
}

static const enum sp_rung careful[] = {SP_RUNG_SMIME, SP_RUNG_TLS_DANE, SP_RUNG_TLS_AUTHENTICATED,
                                       SP_RUNG_PORTAL};
#define U SP_STATUS_UNAVAILABLE
#define X SP_STATUS_UNREACHABLE
#define B SP_STATUS_BROKEN
#define D SP_STATUS_DROPPED
#define P SP_STATUS_POSSIBLE

START_TEST(the_best_possible_rung_is_taken)
{
    static const struct {
        const char *name;
        enum sp_rung_status status[4];
        int64_t since;
        enum sp_protect_verb verb;
        size_t index;
        bool late, alert;
    } cases[] = {
        {"a key is there", {P, P, P, P}, 0, SP_PROTECT_TAKE, 0, false, false},
        {"no key, DANE", {U, P, U, P}, 0, SP_PROTECT_TAKE, 1, false, false},
        {"nothing but the portal", {U, U, U, P}, 0, SP_PROTECT_TAKE, 3, false, false},
        {"host down", {U, X, X, P}, 20 * HOUR, SP_PROTECT_WAIT, 1, false, false},
        {"host down until expiry", {U, X, X, X}, 48 * HOUR, SP_PROTECT_END, 4, false, false},
        {"promise broken", {U, B, B, P}, 20 * HOUR, SP_PROTECT_WAIT, 1, true, false},
        {"promise ended, one hour", {U, D, U, P}, HOUR, SP_PROTECT_WAIT, 1, false, true},
        {"promise ended, five hours", {U, D, U, P}, 5 * HOUR, SP_PROTECT_TAKE, 3, false, true},
        {"dropped, but the next is possible later",
         {U, D, P, P},
         5 * HOUR,
         SP_PROTECT_TAKE,
         2,
         false,
         true},
        {"nothing at all", {U, U, U, U}, 0, SP_PROTECT_END, 4, false, false},
    };
    struct sp_ladder l = ladder_of(careful, 4, SP_FLOOR_TLS_AUTHENTICATED);

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_protect_answer a =
            ask(&l, SP_FLOOR_TLS_AUTHENTICATED, cases[i].status, cases[i].since);

        ck_assert_msg(a.verb == cases[i].verb && a.index == cases[i].index &&
                          a.late == cases[i].late && a.alert == cases[i].alert,
                      "%s: verb %d, rung %zu", cases[i].name, (int)a.verb, a.index);
    }
}
END_TEST

START_TEST(rungs_below_the_floor_do_not_exist)
{
    static const enum sp_rung rungs[] = {SP_RUNG_TLS_AUTHENTICATED, SP_RUNG_TLS_ENCRYPTED,
                                         SP_RUNG_PLAIN};
    static const enum sp_rung_status status[] = {U, X, P};
    struct sp_ladder l = ladder_of(rungs, 3, SP_FLOOR_PLAIN);

    /* not waited for either: what can't be taken needs no patience */
    ck_assert_int_eq(ask(&l, SP_FLOOR_TLS_AUTHENTICATED, status, 0).verb, SP_PROTECT_END);
    ck_assert_int_eq(ask(&l, SP_FLOOR_TLS_ENCRYPTED, status, 0).verb, SP_PROTECT_WAIT);
    ck_assert_int_eq(ask(&l, SP_FLOOR_TLS_ENCRYPTED, status, 49 * HOUR).verb, SP_PROTECT_END);
    ck_assert_uint_eq(ask(&l, SP_FLOOR_PLAIN, status, 49 * HOUR).index, 2);
}
END_TEST

START_TEST(stays_count_from_acceptance)
{
    static const enum sp_rung_status status[] = {U, X, D, P};
    struct sp_ladder l = ladder_of(careful, 4, SP_FLOOR_TLS_AUTHENTICATED);
    struct sp_protect_answer a;

    l.rungs[1].stay_unreachable_ms = HOUR;
    l.rungs[2].stay_dropped_ms = 2 * HOUR;
    a = ask(&l, SP_FLOOR_TLS_AUTHENTICATED, status, 0);
    ck_assert(a.verb == SP_PROTECT_WAIT && a.index == 1 && a.wait_until_ms == HOUR);
    a = ask(&l, SP_FLOOR_TLS_AUTHENTICATED, status, HOUR);
    ck_assert(a.verb == SP_PROTECT_WAIT && a.index == 2 && a.wait_until_ms == 2 * HOUR);
    a = ask(&l, SP_FLOOR_TLS_AUTHENTICATED, status, 2 * HOUR);
    ck_assert(a.verb == SP_PROTECT_TAKE && a.index == 3);
}
END_TEST

START_TEST(ciphertext_is_sealed_on_any_tls_rung)
{
    static const enum sp_rung rungs[] = {SP_RUNG_TLS_ENCRYPTED, SP_RUNG_PLAIN};
    struct sp_ladder l = ladder_of(rungs, 2, SP_FLOOR_SEALED);
    struct sp_protect_question q = {.ladder = &l,
                                    .floor = SP_FLOOR_SEALED,
                                    .is_sealed = true,
                                    .status = {P, P},
                                    .expire_ms = HOUR};
    struct sp_protect_answer a;

    sp_protect_choose(&q, &a);
    ck_assert(a.verb == SP_PROTECT_TAKE && a.index == 0);
    q.status[0] = U;
    sp_protect_choose(&q, &a);
    ck_assert_int_eq(a.verb, SP_PROTECT_END); /* never plain */
}
END_TEST

/* What a rung is worth, written down once more, apart from the code that is tested. */
static int worth(enum sp_rung rung)
{
    static const int table[SP_RUNG_COUNT] = {
        [SP_RUNG_PLAIN] = 0,        [SP_RUNG_TLS_ENCRYPTED] = 1,
        [SP_RUNG_TLS_VERIFIED] = 2, [SP_RUNG_TLS_AUTHENTICATED] = 3,
        [SP_RUNG_TLS_DANE] = 4,     [SP_RUNG_SMIME] = 5,
        [SP_RUNG_PGP] = 5,          [SP_RUNG_PORTAL] = 5,
    };

    return table[rung];
}

struct tally {
    size_t asked;
    size_t taken;
    size_t wrong; /* counted and judged once: a check a step would take minutes */
};

static bool is_met(const struct sp_protect_question *q, size_t i)
{
    int w = worth(q->ladder->rungs[i].rung);

    return w >= (int)q->floor || (q->is_sealed && w >= 1);
}

static void check_one(const struct sp_protect_question *q, struct tally *t)
{
    struct sp_protect_answer a;

    sp_protect_choose(q, &a);
    t->asked++;
    if (a.verb == SP_PROTECT_TAKE) {
        t->taken++;
        t->wrong += q->status[a.index] != SP_STATUS_POSSIBLE || !is_met(q, a.index);
    }
    if (a.verb == SP_PROTECT_WAIT)
        t->wrong += a.index >= q->ladder->count || q->status[a.index] == SP_STATUS_UNAVAILABLE ||
                    !is_met(q, a.index) || a.wait_until_ms <= q->since_accept_ms ||
                    a.wait_until_ms > q->expire_ms;
    for (size_t i = 0; i < a.index && i < q->ladder->count; i++) /* nothing better passed over */
        t->wrong += q->status[i] == SP_STATUS_POSSIBLE && is_met(q, i);
}

START_TEST(no_combination_goes_below_the_floor)
{
    static const int64_t times[] = {0, 3 * HOUR, 5 * HOUR, 48 * HOUR, 100 * HOUR};
    struct tally t = {0};

    /* all ladders of three different rungs in any order, all floors, all statuses, sealed or not */
    for (unsigned n = 0; n < 8 * 8 * 8 * 6 * 125 * 2; n++) {
        unsigned v = n;
        enum sp_rung rungs[3];
        struct sp_ladder l;
        struct sp_protect_question q = {.expire_ms = 48 * HOUR};

        for (size_t i = 0; i < 3; i++, v /= 8)
            rungs[i] = (enum sp_rung)(v % 8);
        if (rungs[0] == rungs[1] || rungs[1] == rungs[2] || rungs[0] == rungs[2])
            continue;
        l = ladder_of(rungs, 3, SP_FLOOR_PLAIN);
        q.ladder = &l;
        q.floor = (enum sp_floor)(v % 6);
        v /= 6;
        for (size_t i = 0; i < 3; i++, v /= 5)
            q.status[i] = (enum sp_rung_status)(v % 5);
        q.is_sealed = v % 2 == 1;
        for (size_t i = 0; i < SP_ARRAY_LEN(times); i++) {
            q.since_accept_ms = times[i];
            check_one(&q, &t);
        }
    }
    ck_assert_uint_eq(t.wrong, 0);
    ck_assert_uint_eq(t.asked, (size_t)8 * 7 * 6 * 6 * 125 * 2 * 5);
    ck_assert_uint_gt(t.taken, t.asked / 10);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_best_possible_rung_is_taken);
    tcase_add_test(c, rungs_below_the_floor_do_not_exist);
    tcase_add_test(c, stays_count_from_acceptance);
    tcase_add_test(c, ciphertext_is_sealed_on_any_tls_rung);
    tcase_add_test(c, no_combination_goes_below_the_floor);
}

SP_TEST_MAIN("protect", add)
