/*
 * Strangers that wait for a route: who is counted, whose line is shut, and which opens next. What the engine around them says is
 * made up here.
 */
#include "delivery/unrouted_priv.h"

#include "delivery/park_priv.h"
#include "support/check_main.h"

#define MOST      100 /* strangers' look-ups at a time, */
#define URGENT    20  /* and more for the urgent lane */
#define LINES_MAX 200

static struct {
    const struct sp_route *last; /* where every domain led */
    enum sp_pool_rank rank;      /* of the site there */
    bool is_fresh;
    struct sp_pool_taken used; /* by sites of every rank */
    bool shut[LINES_MAX];
    unsigned pokes;
} the;

static struct sp_delivery d;
static struct sp_attempt attempts[LINES_MAX];

/* ---- the engine around: the linker puts these in place of what they are named by ---- */

const struct sp_route *__wrap_sp_transport_last(const struct sp_transport *t,
                                                struct sp_bytes domain);
enum sp_pool_rank __wrap_sp_pool_rank_at(struct sp_pool *p, const struct sp_pool_ask *ask);
void __wrap_sp_pool_count_places(struct sp_pool *p, struct sp_pool_places *ask);
struct sp_lines *__wrap_sp_queue_lines(struct sp_queue *q);
bool __wrap_sp_lines_shut(struct sp_lines *l, sp_handle line, bool is_shut);
void __wrap_sp_delivery_opened(struct sp_delivery *at);
struct sp_pool_ask __wrap_sp_attempt_pool_ask(const struct sp_attempt *a, size_t hop);
bool __wrap_sp_attempt_is_fresh(const struct sp_attempt *a);

const struct sp_route *__wrap_sp_transport_last(const struct sp_transport *t,
                                                struct sp_bytes domain)
{
    (void)t, (void)domain;
    return the.last;
}

enum sp_pool_rank __wrap_sp_pool_rank_at(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p, (void)ask;
    return the.rank;
}

void __wrap_sp_pool_count_places(struct sp_pool *p, struct sp_pool_places *ask)
{
    (void)p;
    for (unsigned at = 0; at < SP_POOL_RANK_COUNT; at++)
        ask->used[at] = the.used;
}

struct sp_lines *__wrap_sp_queue_lines(struct sp_queue *q)
{
    (void)q;
    return NULL;
}

bool __wrap_sp_lines_shut(struct sp_lines *l, sp_handle line, bool is_shut)
{
    bool was = the.shut[line];

    (void)l;
    the.shut[line] = is_shut;
    return was != is_shut;
}

void __wrap_sp_delivery_opened(struct sp_delivery *at)
{
    (void)at;
    the.pokes++;
}

struct sp_pool_ask __wrap_sp_attempt_pool_ask(const struct sp_attempt *a, size_t hop)
{
    (void)a, (void)hop;
    return (struct sp_pool_ask){.hop = 0};
}

bool __wrap_sp_attempt_is_fresh(const struct sp_attempt *a)
{
    (void)a;
    return the.is_fresh;
}

/* ---- */

static void set_up(void)
{
    memset(&the, 0, sizeof(the));
    memset(attempts, 0, sizeof(attempts));
    the.is_fresh = true;
    d = (struct sp_delivery){.parts.loop = sp_loop_new()};
    d.unrouted = sp_unrouted_new(&d);
}

static void tear_down(void)
{
    sp_unrouted_free(d.unrouted);
    sp_loop_free(d.parts.loop);
}

/* A stranger of this line asks for a route. returns: whether its line was shut */
static bool ask(sp_handle line, enum sp_lane lane)
{
    attempts[line] = (struct sp_attempt){.d = &d, .line = line, .lane = lane};
    return sp_attempt_shuts_unrouted(&attempts[line]);
}

static size_t counted(void)
{
    struct sp_pool_places all = {.rank = SP_POOL_RANK_NEW};

    sp_unrouted_add(d.unrouted, &all);
    for (unsigned at = 1; at < SP_POOL_RANK_COUNT; at++)
        ck_assert_uint_eq(all.used[at].all, all.used[0].all);
    return all.used[0].all;
}

/* All that may wait do: lines 1 to MOST. */
static void fill(void)
{
    for (sp_handle line = 1; line <= MOST; line++)
        ck_assert(!ask(line, SP_LANE_NORMAL));
    ck_assert_uint_eq(counted(), MOST);
}

START_TEST(the_line_that_was_shut_first_opens_first)
{
    fill();
    ck_assert(ask(150, SP_LANE_NORMAL));
    ck_assert(ask(120, SP_LANE_NORMAL));
    ck_assert(ask(150, SP_LANE_NORMAL)); /* another message of it, which was taken before */
    ck_assert_uint_eq(counted(), MOST);
    sp_attempt_routed(&attempts[1]);
    ck_assert_uint_eq(counted(), MOST - 1);
    ck_assert(!the.shut[150] && the.shut[120]);
    ck_assert_uint_eq(the.pokes, 1);
    sp_attempt_routed(&attempts[1]); /* once is enough */
    ck_assert_uint_eq(counted(), MOST - 1);
    ck_assert(the.shut[120]);
    ck_assert(!ask(150, SP_LANE_NORMAL));
    sp_attempt_routed(&attempts[2]);
    ck_assert(!the.shut[120]);
    ck_assert_uint_eq(the.pokes, 2);
}
END_TEST

START_TEST(whose_place_was_not_needed_lets_the_next_in)
{
    fill();
    ck_assert(ask(150, SP_LANE_NORMAL));
    sp_unrouted_next(d.unrouted);
    ck_assert(the.shut[150]); /* there is none */
    d.draining = true;
    sp_attempt_routed(&attempts[1]);
    ck_assert(the.shut[150]); /* nothing begins any more */
    d.draining = false;
    sp_unrouted_next(d.unrouted);
    ck_assert(!the.shut[150]);
}
END_TEST

START_TEST(who_led_to_a_site_that_takes_mail_waits_for_nobody)
{
    struct sp_hop hops[] = {{.rc = SP_E_DNS_TIMEOUT}, {.rc = SP_OK}};
    struct sp_route route = {.hops = hops, .hop_count = 2};

    fill();
    the.last = &route;
    the.rank = SP_POOL_RANK_KNOWN;
    ck_assert(!ask(150, SP_LANE_NORMAL));
    ck_assert_uint_eq(counted(), MOST); /* it is none of them */
    sp_attempt_routed(&attempts[150]);
    ck_assert_uint_eq(counted(), MOST);
    the.rank = SP_POOL_RANK_NEW;
    ck_assert(ask(151, SP_LANE_NORMAL)); /* it stalls now */
    the.rank = SP_POOL_RANK_PROVEN;
    hops[1].rc = SP_E_DNS_TIMEOUT;
    ck_assert(ask(152, SP_LANE_NORMAL)); /* its hosts could not be found */
    hops[1].rc = SP_OK;
    route.rc = SP_E_DNS_TIMEOUT;
    ck_assert(ask(153, SP_LANE_NORMAL));
}
END_TEST

START_TEST(what_has_begun_or_has_no_line_goes_on_and_counts)
{
    fill();
    ck_assert(!ask(0, SP_LANE_NORMAL));
    the.is_fresh = false;
    ck_assert(!ask(150, SP_LANE_NORMAL));
    ck_assert_uint_eq(counted(), MOST + 2);
    the.is_fresh = true;
    sp_attempt_routed(&attempts[0]);
    ck_assert(ask(151, SP_LANE_NORMAL)); /* there is still one too many */
    sp_attempt_routed(&attempts[150]);
    ck_assert(the.shut[151]);
    sp_attempt_routed(&attempts[1]);
    ck_assert(!the.shut[151]);
}
END_TEST

START_TEST(new_sites_that_have_their_part_leave_strangers_none)
{
    the.used.all = SP_PLACES_MAX;
    ck_assert(ask(1, SP_LANE_NORMAL));
    ck_assert_uint_eq(counted(), 0);
    the.used.all = 0;
    sp_unrouted_next(d.unrouted);
    ck_assert(!the.shut[1]);
}
END_TEST

START_TEST(urgent_mail_has_look_ups_of_its_own)
{
    const sp_handle last = MOST + URGENT;

    fill();
    for (sp_handle line = MOST + 1; line <= last; line++)
        ck_assert(!ask(line, SP_LANE_URGENT));
    ck_assert(ask(150, SP_LANE_NORMAL));
    ck_assert(ask(151, SP_LANE_URGENT));
    sp_attempt_routed(&attempts[last]);
    ck_assert(the.shut[150] && !the.shut[151]); /* what the lane had is the lane's */
    ck_assert(!ask(151, SP_LANE_URGENT));
    sp_attempt_routed(&attempts[1]);
    ck_assert(!the.shut[150]);
}
END_TEST

START_TEST(an_engine_that_ends_shuts_no_line)
{
    fill();
    d.draining = true;
    ck_assert(!ask(150, SP_LANE_NORMAL));
}
END_TEST

START_TEST(each_lane_counts_as_itself)
{
    struct sp_pool_places all = {.rank = SP_POOL_RANK_NEW};

    ck_assert(!ask(1, SP_LANE_URGENT));
    ck_assert(!ask(2, SP_LANE_BULK));
    ck_assert(!ask(3, SP_LANE_NORMAL));
    sp_unrouted_add(d.unrouted, &all);
    ck_assert_uint_eq(all.used[SP_POOL_RANK_NEW].all, 3);
    ck_assert_uint_eq(all.used[SP_POOL_RANK_NEW].urgent, 1);
    ck_assert_uint_eq(all.used[SP_POOL_RANK_NEW].bulk, 1);
    for (int i = 1; i <= 3; i++)
        sp_attempt_routed(&attempts[i]);
    all = (struct sp_pool_places){.rank = SP_POOL_RANK_NEW};
    sp_unrouted_add(d.unrouted, &all);
    ck_assert_uint_eq(all.used[SP_POOL_RANK_NEW].all, 0);
    ck_assert_uint_eq(all.used[SP_POOL_RANK_NEW].urgent, 0);
    ck_assert_uint_eq(all.used[SP_POOL_RANK_NEW].bulk, 0);
}
END_TEST

/* Whoever was let in had nothing any more: nobody says so. */
START_TEST(a_line_that_nobody_lets_in_opens_in_its_time)
{
    const struct sp_clock *clock = sp_loop_clock(d.parts.loop);
    int64_t limit_ms = sp_clock_mono_ms(clock) + 60000;

    fill();
    ck_assert(ask(150, SP_LANE_NORMAL));
    ck_assert(ask(151, SP_LANE_NORMAL));
    while (the.shut[151] && sp_clock_mono_ms(clock) < limit_ms)
        sp_loop_run_once(d.parts.loop, 10);
    ck_assert(!the.shut[150] && !the.shut[151]);
    ck_assert_uint_eq(the.pokes, 2);
}
END_TEST

START_TEST(the_end_opens_all_lines)
{
    fill();
    ck_assert(ask(150, SP_LANE_NORMAL));
    ck_assert(ask(151, SP_LANE_NORMAL));
    sp_unrouted_free(d.unrouted);
    ck_assert(!the.shut[150] && !the.shut[151]);
    d.unrouted = sp_unrouted_new(&d);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, the_line_that_was_shut_first_opens_first);
    tcase_add_test(c, whose_place_was_not_needed_lets_the_next_in);
    tcase_add_test(c, who_led_to_a_site_that_takes_mail_waits_for_nobody);
    tcase_add_test(c, what_has_begun_or_has_no_line_goes_on_and_counts);
    tcase_add_test(c, new_sites_that_have_their_part_leave_strangers_none);
    tcase_add_test(c, urgent_mail_has_look_ups_of_its_own);
    tcase_add_test(c, an_engine_that_ends_shuts_no_line);
    tcase_add_test(c, each_lane_counts_as_itself);
    tcase_add_test(c, a_line_that_nobody_lets_in_opens_in_its_time);
    tcase_add_test(c, the_end_opens_all_lines);
}

SP_TEST_MAIN("delivery.unrouted", add)
