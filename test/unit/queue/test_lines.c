/*
 * Who is next: lanes, tenants, destinations; and what it costs to find out, counted in steps, not in time.
 */
#include "queue/lines.h"
#include "support/check_main.h"

#include <stdio.h>

#define NOW 1000000

struct world {
    struct sp_lines *lines;
    struct sp_line_item *items;
    size_t count;
};

static void start(struct world *w, size_t max)
{
    *w = (struct world){.lines = sp_lines_new()};
    w->items = sp_calloc(max, sizeof(*w->items));
}

static void stop(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        sp_lines_remove(w->lines, &w->items[i]);
        sp_lines_unref(w->lines, w->items[i].line);
    }
    sp_lines_free(w->lines);
    sp_free(w->items);
}

static struct sp_line_item *add_at(struct world *w, const char *tenant, const char *to,
                                   enum sp_lane lane, int64_t at_ms)
{
    struct sp_line_item *i = &w->items[w->count++];

    i->line = sp_lines_ref(w->lines, sp_bytes_cstr(tenant), sp_bytes_cstr(to), lane);
    sp_lines_put(w->lines, i, at_ms, NOW);
    return i;
}

static struct sp_line_item *add(struct world *w, const char *tenant, const char *to)
{
    return add_at(w, tenant, to, SP_LANE_NORMAL, NOW);
}

static struct sp_line_item *next(struct world *w)
{
    return sp_lines_next(w->lines, NOW);
}

/* returns: how many come before it */
static size_t before(struct world *w, const struct sp_line_item *wanted)
{
    for (size_t n = 0;; n++) {
        const struct sp_line_item *i = next(w);

        ck_assert_ptr_nonnull(i);
        if (i == wanted)
            return n;
    }
}

START_TEST(a_line_keeps_its_order_and_time)
{
    struct world w;
    struct sp_line_item *later, *first, *second;

    start(&w, 8);
    later = add_at(&w, "t", "a", SP_LANE_NORMAL, NOW + 50);
    ck_assert_int_eq(sp_lines_due_at(w.lines), NOW + 50);
    first = add(&w, "t", "a");
    second = add(&w, "t", "a");
    ck_assert_int_eq(sp_lines_due_at(w.lines), 0);
    ck_assert_ptr_eq(next(&w), first);
    sp_lines_put_first(w.lines, first);
    ck_assert_ptr_eq(next(&w), first);
    ck_assert_ptr_eq(next(&w), second);
    ck_assert_ptr_null(next(&w));
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 50), later);
    ck_assert_int_eq(sp_lines_due_at(w.lines), INT64_MAX);
    stop(&w);
}
END_TEST

START_TEST(a_code_overtakes_a_newsletter)
{
    struct world w;
    struct sp_line_item *code, *letter;

    start(&w, 20002);
    for (int i = 0; i < 10000; i++)
        (void)add_at(&w, "t", "a", SP_LANE_BULK, NOW);
    for (int i = 0; i < 10000; i++)
        (void)add(&w, "t", "a");
    for (int i = 0; i < 100; i++)
        (void)next(&w);
    code = add_at(&w, "t", "a", SP_LANE_URGENT, NOW);
    ck_assert_uint_eq(before(&w, code), 0);
    letter = add_at(&w, "t", "b", SP_LANE_BULK, NOW);
    ck_assert_uint_le(before(&w, letter), 2 * (16 + 4)); /* and bulk is not starved */
    sp_lines_serve(w.lines, 1U << SP_LANE_URGENT);
    ck_assert_ptr_null(next(&w));
    ck_assert_int_eq(sp_lines_due_at(w.lines), INT64_MAX);
    stop(&w);
}
END_TEST

START_TEST(a_tenant_with_much_does_not_delay_one_with_little)
{
    struct world w;
    struct sp_line_item *one;
    size_t of_big = 0;

    start(&w, 100200);
    for (int i = 0; i < 100000; i++) {
        char to[32];

        (void)snprintf(to, sizeof(to), "d%d", i % 1000);
        (void)add(&w, "big", to);
    }
    for (int i = 0; i < 50; i++)
        (void)next(&w);
    one = add(&w, "small", "d1");
    ck_assert_uint_le(before(&w, one), 8);
    for (int i = 0; i < 100; i++)
        add(&w, "small", "d2")->cost = 1;
    for (int i = 0; i < 200; i++) {
        const struct sp_line_item *i_next = next(&w);

        of_big += i_next < &w.items[100000];
    }
    ck_assert_uint_ge(of_big, 90);
    ck_assert_uint_le(of_big, 110);
    stop(&w);
}
END_TEST

START_TEST(large_mail_counts_for_more)
{
    struct world w;
    size_t large = 0;

    start(&w, 2000);
    for (int i = 0; i < 1000; i++) {
        add(&w, "large", "a")->cost = 8;
        add(&w, "small", "a")->cost = 1;
    }
    for (int i = 0; i < 900; i++)
        large += next(&w)->cost == 8;
    ck_assert_uint_ge(large, 90);
    ck_assert_uint_le(large, 110);
    stop(&w);
}
END_TEST

START_TEST(a_shut_line_is_passed_and_opens_again)
{
    struct world w;
    struct sp_line_item *shut, *other;
    sp_handle line;

    start(&w, 8);
    shut = add(&w, "t", "a");
    other = add(&w, "t", "b");
    line = sp_line_handle(shut->line);
    ck_assert(sp_lines_shut(w.lines, line, true));
    ck_assert(!sp_lines_shut(w.lines, line, true));
    ck_assert_ptr_eq(next(&w), other);
    ck_assert_ptr_null(next(&w));
    ck_assert_int_eq(sp_lines_due_at(w.lines), INT64_MAX);
    ck_assert(sp_lines_shut(w.lines, line, false));
    ck_assert_ptr_eq(next(&w), shut);
    sp_lines_remove(w.lines, shut);
    sp_lines_unref(w.lines, shut->line);
    ck_assert(!sp_lines_shut(w.lines, line, true)); /* the line has gone */
    shut->line = sp_lines_ref(w.lines, SP_LIT("t"), SP_LIT("a"), SP_LANE_NORMAL);
    sp_lines_put(w.lines, shut, NOW, NOW);
    (void)sp_lines_shut(w.lines, sp_line_handle(shut->line), true);
    sp_lines_slow(w.lines, sp_line_handle(shut->line), true);
    sp_lines_open_all(w.lines);
    ck_assert_ptr_eq(next(&w), shut);
    stop(&w);
}
END_TEST

/* Steps that a thousand hand-outs cost beside a dead line with so many in it. */
static uint64_t steps_beside(size_t dead, bool is_shut, size_t *of_dead)
{
    struct world w;
    uint64_t steps;

    *of_dead = 0;
    start(&w, dead + 2000);
    for (size_t i = 0; i < dead; i++)
        (void)add(&w, "t", "dead.example");
    for (size_t i = 0; i < 2000; i++) {
        char to[32];

        (void)snprintf(to, sizeof(to), "live%u.example", (unsigned)i % 50);
        (void)add(&w, i % 2 == 0 ? "t" : "u", to);
    }
    if (is_shut)
        (void)sp_lines_shut(w.lines, sp_line_handle(w.items[0].line), true);
    else
        sp_lines_slow(w.lines, sp_line_handle(w.items[0].line), true);
    steps = sp_lines_steps(w.lines);
    for (int i = 0; i < 1000; i++)
        *of_dead += next(&w) < &w.items[dead];
    steps = sp_lines_steps(w.lines) - steps;
    stop(&w);
    return steps;
}

START_TEST(a_dead_domain_with_half_a_million_costs_nobody_else)
{
    size_t of_dead;
    uint64_t few = steps_beside(10, true, &of_dead);

    ck_assert_uint_eq(of_dead, 0);
    ck_assert_uint_eq(steps_beside(500000, true, &of_dead), few);
    ck_assert_uint_eq(of_dead, 0);
    ck_assert_uint_le(few, 1000 * 6);
    (void)steps_beside(500000, false, &of_dead);
    ck_assert_uint_ge(of_dead, 1); /* slow: tried still, after the others */
    ck_assert_uint_le(of_dead, 1000 / 16);
}
END_TEST

/* Steps of taking a thousand out of so many, over as many destinations as one in twenty, half of them not due yet. */
static uint64_t steps_among(size_t count)
{
    struct world w;
    uint64_t steps;

    start(&w, count);
    for (size_t i = 0; i < count; i++) {
        char to[32];

        (void)snprintf(to, sizeof(to), "d%u.example", (unsigned)(i % (count / 20)));
        (void)add_at(&w, i % 3 == 0 ? "t" : "u", to, (enum sp_lane)(i % 3),
                     i % 2 == 0 ? NOW : NOW + 1 + (int64_t)i);
    }
    steps = sp_lines_steps(w.lines);
    for (int i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(next(&w));
    steps = sp_lines_steps(w.lines) - steps;
    stop(&w);
    return steps;
}

START_TEST(the_next_costs_the_same_among_any_number)
{
    uint64_t few = steps_among(4000);
    uint64_t many = steps_among(400000);

    ck_assert_uint_le(many, few + few / 10);
    ck_assert_uint_le(many, 1000 * 6);
}
END_TEST

/* Puts it beside its line, to be looked at then. */
static void park(struct world *w, struct sp_line_item *i, int64_t at_ms)
{
    i->may_wake = true;
    sp_lines_put(w->lines, i, at_ms, NOW);
}

START_TEST(what_is_parked_sends_one_to_try_and_follows_it)
{
    struct world w;
    struct sp_line_item *first, *second, *third, *other;
    sp_handle line;

    start(&w, 8);
    first = add(&w, "t", "dead");
    second = add(&w, "t", "dead");
    third = add(&w, "t", "dead");
    other = add(&w, "u", "dead"); /* another tenant's line is another's */
    line = sp_line_handle(first->line);
    sp_lines_rest(w.lines, line, NOW + 100);
    park(&w, first, NOW + 5000);
    park(&w, second, NOW + 6000);
    park(&w, third, NOW + 7000);
    ck_assert_uint_eq(sp_line_look(first->line).parked, 3);
    ck_assert_uint_eq(sp_line_look(first->line).waits, 3);
    ck_assert_ptr_eq(next(&w), other);
    ck_assert_ptr_null(next(&w));
    ck_assert_int_eq(sp_lines_due_at(w.lines), NOW + 100);
    ck_assert_ptr_null(sp_lines_next(w.lines, NOW + 99));
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 100), first); /* it tries, and alone */
    ck_assert(first->is_woken);
    ck_assert_ptr_null(sp_lines_next(w.lines, NOW + 100));
    sp_lines_rest(w.lines, line, NOW + 300);
    ck_assert_int_eq(sp_lines_due_at(w.lines), NOW + 300);
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 300), second);
    (void)sp_lines_wake(w.lines, line);
    ck_assert_int_eq(sp_lines_due_at(w.lines), 0);
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 300), third);
    ck_assert_ptr_null(sp_lines_next(w.lines, NOW + 300));
    ck_assert_int_eq(sp_lines_due_at(w.lines), INT64_MAX);
    stop(&w);
}
END_TEST

START_TEST(a_try_that_nothing_is_heard_of_is_followed_by_another)
{
    struct world w;
    struct sp_line_item *first, *second;
    int64_t again;

    start(&w, 8);
    first = add(&w, "t", "dead");
    second = add(&w, "t", "dead");
    sp_lines_rest(w.lines, sp_line_handle(first->line), NOW + 100);
    park(&w, first, NOW + 500000);
    park(&w, second, NOW + 600000);
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 100), first);
    sp_lines_remove(w.lines, first); /* somebody deleted it */
    again = sp_lines_due_at(w.lines);
    ck_assert_int_gt(again, NOW + 100);
    ck_assert_int_lt(again, NOW + 100000);
    ck_assert_ptr_eq(sp_lines_next(w.lines, again), second);
    stop(&w);
}
END_TEST

START_TEST(what_is_parked_comes_at_its_own_time_whatever_its_line_does)
{
    struct world w;
    struct sp_line_item *early, *late, *next_one;

    start(&w, 8);
    late = add(&w, "t", "dead");
    early = add(&w, "t", "dead");
    sp_lines_rest(w.lines, sp_line_handle(late->line), NOW + 9000);
    park(&w, late, NOW + 5000);
    park(&w, early, NOW + 4000);
    ck_assert_int_eq(sp_lines_due_at(w.lines), NOW + 4000);
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 4000), early);
    ck_assert_ptr_null(sp_lines_next(w.lines, NOW + 4999));
    next_one = add(&w, "t", "dead"); /* what comes new is looked at once */
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 4999), next_one);
    ck_assert_ptr_eq(sp_lines_next(w.lines, NOW + 5000), late);
    park(&w, late, NOW + 8000);
    late->may_wake = false; /* an order by hand: it is due */
    sp_lines_put(w.lines, late, NOW, NOW);
    ck_assert_ptr_eq(next(&w), late);
    ck_assert(!late->is_woken);
    stop(&w);
}
END_TEST

START_TEST(what_is_parked_comes_at_its_own_time_in_a_line_that_is_never_empty)
{
    struct world w;
    struct sp_line_item *old, *one = NULL;

    start(&w, 32);
    old = add(&w, "t", "back");
    sp_lines_rest(w.lines, sp_line_handle(old->line), NOW + 100);
    park(&w, old, NOW + 10);
    (void)sp_lines_wake(w.lines,
                        sp_line_handle(old->line)); /* its host answers, and has much to do */
    (void)add(&w, "t", "back");
    for (int64_t now = NOW; now < NOW + 20; now++) {
        (void)add(&w, "t", "back");
        ck_assert_ptr_nonnull(one = sp_lines_next(w.lines, now));
        if (one == old)
            break;
    }
    ck_assert_ptr_eq(one, old);
    park(&w, old, NOW + 90);
    ck_assert(sp_lines_shut(w.lines, sp_line_handle(old->line), true));
    ck_assert_int_eq(sp_lines_due_at(w.lines), NOW + 90);
    ck_assert_ptr_null(sp_lines_next(w.lines, NOW + 90));
    ck_assert_uint_eq(sp_line_look(old->line).parked, 0); /* it stands in line */
    ck_assert_int_eq(sp_lines_due_at(w.lines), INT64_MAX);
    stop(&w);
}
END_TEST

/* Its host answers again, and as much new mail comes as leaves: each gets its turns. */
START_TEST(what_is_parked_and_what_is_new_take_turns_in_an_awake_line)
{
    enum { PARKED = 20 };
    struct world w;
    struct sp_line_item *items[PARKED];
    size_t came = 0, was_new = 0;

    start(&w, 256);
    for (size_t i = 0; i < PARKED; i++)
        items[i] = add(&w, "t", "back");
    sp_lines_rest(w.lines, sp_line_handle(items[0]->line), NOW + 100);
    for (size_t i = 0; i < PARKED; i++)
        park(&w, items[i], NOW + 100000 + (int64_t)i);
    for (size_t i = 0; i < PARKED; i++)
        (void)add(&w, "t", "back");
    (void)sp_lines_wake(w.lines, sp_line_handle(items[0]->line));
    for (size_t i = 0; i < (size_t)2 * PARKED; i++) {
        struct sp_line_item *one = next(&w);

        ck_assert_ptr_nonnull(one);
        (void)add(&w, "t", "back");
        if (one->is_woken)
            ck_assert_ptr_eq(one, items[came++]); /* the oldest first */
        else
            was_new++;
    }
    ck_assert_uint_eq(came, PARKED);
    ck_assert_uint_eq(was_new, PARKED);
    stop(&w);
}
END_TEST

/* What was handed out and not tried is the next of those that stand, and no turn of the parked is lost by it. */
START_TEST(what_is_handed_back_in_an_awake_line_keeps_its_place)
{
    struct world w;
    struct sp_line_item *old, *older, *one, *two;

    start(&w, 8);
    older = add(&w, "t", "back");
    old = add(&w, "t", "back");
    sp_lines_rest(w.lines, sp_line_handle(old->line), NOW + 100);
    park(&w, older, NOW + 1000);
    park(&w, old, NOW + 1001);
    one = add(&w, "t", "back");
    two = add(&w, "t", "back");
    (void)sp_lines_wake(w.lines, sp_line_handle(old->line));
    ck_assert_ptr_eq(next(&w), older);
    sp_lines_put_first(w.lines, older);
    ck_assert_ptr_eq(next(&w), older);
    ck_assert_ptr_eq(next(&w), old);
    ck_assert_ptr_eq(next(&w), one);
    ck_assert_ptr_eq(next(&w), two);
    ck_assert_ptr_null(next(&w));
    stop(&w);
}
END_TEST

START_TEST(a_frozen_line_wakes_when_it_has_thawed)
{
    struct world w;
    struct sp_line_item *one;

    start(&w, 8);
    one = add(&w, "t", "dead");
    sp_lines_rest(w.lines, sp_line_handle(one->line), NOW + 100);
    park(&w, one, NOW + 5000);
    sp_lines_freeze_tenant(w.lines, SP_LIT("t"), true, 0);
    (void)sp_lines_wake(w.lines, sp_line_handle(one->line));
    ck_assert_ptr_null(next(&w));
    sp_lines_freeze_tenant(w.lines, SP_LIT("t"), false, NOW);
    ck_assert_ptr_eq(next(&w), one);
    sp_lines_rest(w.lines, sp_line_handle(one->line), NOW + 100);
    park(&w, one, NOW + 5000);
    sp_lines_open_all(w.lines); /* whoever knew of the rest has gone */
    ck_assert_ptr_eq(next(&w), one);
    stop(&w);
}
END_TEST

START_TEST(whose_time_ends_is_found_in_any_line)
{
    struct world w;
    struct sp_line_item *shut, *slow, *frozen, *none;

    start(&w, 8);
    shut = add(&w, "t", "shut");
    slow = add(&w, "t", "slow");
    frozen = add(&w, "f", "frozen");
    none = add(&w, "t", "slow");
    ck_assert_int_eq(sp_lines_ends_at(w.lines), INT64_MAX);
    sp_lines_end_at(w.lines, slow, NOW + 20);
    sp_lines_end_at(w.lines, shut, NOW + 10);
    sp_lines_end_at(w.lines, frozen, NOW + 5);
    (void)sp_lines_shut(w.lines, sp_line_handle(shut->line), true);
    sp_lines_slow(w.lines, sp_line_handle(slow->line), true);
    sp_lines_serve(w.lines, 0);
    sp_lines_freeze_tenant(w.lines, SP_LIT("f"), true, 0);
    ck_assert_int_eq(sp_lines_ends_at(w.lines), NOW + 10);
    ck_assert_ptr_null(sp_lines_ended(w.lines, NOW + 9));
    ck_assert_ptr_eq(sp_lines_ended(w.lines, NOW + 10), shut);
    ck_assert_ptr_eq(sp_lines_ended(w.lines, NOW + 10), shut); /* it stands where it was */
    sp_lines_remove(w.lines, shut);
    ck_assert_ptr_null(sp_lines_ended(w.lines, NOW + 19));
    ck_assert_ptr_eq(sp_lines_ended(w.lines, NOW + 20), slow);
    sp_lines_end_at(w.lines, slow, 0);
    ck_assert_ptr_null(sp_lines_ended(w.lines, INT64_MAX));
    sp_lines_freeze_tenant(w.lines, SP_LIT("f"), false, NOW + 100); /* it has a last try */
    ck_assert_ptr_null(sp_lines_ended(w.lines, NOW + 99));
    ck_assert_ptr_eq(sp_lines_ended(w.lines, NOW + 100), frozen);
    ck_assert_ptr_eq(next(&w), slow);
    ck_assert_ptr_eq(next(&w), none);
    stop(&w);
}
END_TEST

START_TEST(who_becomes_due_behind_a_shut_line_ends_too)
{
    struct world w;
    struct sp_line_item *one;

    start(&w, 8);
    one = add_at(&w, "t", "shut", SP_LANE_NORMAL, NOW + 50);
    sp_lines_end_at(w.lines, one, NOW + 60);
    (void)sp_lines_shut(w.lines, sp_line_handle(one->line), true);
    ck_assert_int_eq(sp_lines_ends_at(w.lines), INT64_MAX); /* it does not stand there yet */
    ck_assert_ptr_null(sp_lines_ended(w.lines, NOW + 50));
    ck_assert_int_eq(sp_lines_ends_at(w.lines), NOW + 60);
    ck_assert_ptr_eq(sp_lines_ended(w.lines, NOW + 60), one);
    stop(&w);
}
END_TEST

/* Steps to find a hundred ends among so many who stand in line. */
static uint64_t steps_of_ends(size_t count)
{
    struct world w;
    uint64_t steps;

    start(&w, count);
    for (size_t i = 0; i < count; i++)
        sp_lines_end_at(w.lines, add(&w, "t", "a"), NOW + 1 + (int64_t)(i < 100 ? 0 : i));
    (void)sp_lines_shut(w.lines, sp_line_handle(w.items[0].line), true);
    steps = sp_lines_steps(w.lines);
    for (size_t i = 0; i < 100; i++)
        sp_lines_remove(w.lines, sp_lines_ended(w.lines, NOW + 1));
    ck_assert_ptr_null(sp_lines_ended(w.lines, NOW + 1));
    steps = sp_lines_steps(w.lines) - steps;
    stop(&w);
    return steps;
}

START_TEST(an_end_costs_the_same_among_any_number)
{
    ck_assert_uint_eq(steps_of_ends(200), 100);
    ck_assert_uint_eq(steps_of_ends(200000), 100);
}
END_TEST

/* Steps of a thousand hand-outs beside a dead line with so many parked, which lets one try ten times meanwhile. */
static uint64_t steps_beside_parked(size_t dead)
{
    struct world w;
    uint64_t steps;
    size_t tried = 0;

    start(&w, dead + 2000);
    for (size_t i = 0; i < dead; i++)
        park(&w, add(&w, "t", "dead.example"), NOW + 1000000 + (int64_t)i);
    for (size_t i = 0; i < 2000; i++)
        (void)add(&w, i % 2 == 0 ? "t" : "u", "live.example");
    steps = sp_lines_steps(w.lines);
    for (int i = 0; i < 1000; i++) {
        if (i % 100 == 0)
            sp_lines_rest(w.lines, sp_line_handle(w.items[0].line), NOW + i);
        tried += sp_lines_next(w.lines, NOW + i) < &w.items[dead];
    }
    steps = sp_lines_steps(w.lines) - steps;
    ck_assert_uint_eq(tried, 10);
    stop(&w);
    return steps;
}

START_TEST(half_a_million_parked_cost_a_try_now_and_then)
{
    uint64_t few = steps_beside_parked(20);

    ck_assert_uint_eq(steps_beside_parked(500000), few);
    ck_assert_uint_le(few, 1000 * 6);
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_test(c, a_line_keeps_its_order_and_time);
    tcase_add_test(c, a_code_overtakes_a_newsletter);
    tcase_add_test(c, a_tenant_with_much_does_not_delay_one_with_little);
    tcase_add_test(c, large_mail_counts_for_more);
    tcase_add_test(c, a_shut_line_is_passed_and_opens_again);
    tcase_add_test(c, a_dead_domain_with_half_a_million_costs_nobody_else);
    tcase_add_test(c, the_next_costs_the_same_among_any_number);
    tcase_add_test(c, what_is_parked_sends_one_to_try_and_follows_it);
    tcase_add_test(c, a_try_that_nothing_is_heard_of_is_followed_by_another);
    tcase_add_test(c, what_is_parked_comes_at_its_own_time_whatever_its_line_does);
    tcase_add_test(c, what_is_parked_comes_at_its_own_time_in_a_line_that_is_never_empty);
    tcase_add_test(c, what_is_parked_and_what_is_new_take_turns_in_an_awake_line);
    tcase_add_test(c, what_is_handed_back_in_an_awake_line_keeps_its_place);
    tcase_add_test(c, a_frozen_line_wakes_when_it_has_thawed);
    tcase_add_test(c, whose_time_ends_is_found_in_any_line);
    tcase_add_test(c, who_becomes_due_behind_a_shut_line_ends_too);
    tcase_add_test(c, an_end_costs_the_same_among_any_number);
    tcase_add_test(c, half_a_million_parked_cost_a_try_now_and_then);
}

SP_TEST_MAIN("queue.lines", add_tests)
