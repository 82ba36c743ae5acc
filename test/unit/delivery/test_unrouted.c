/*
 * Strangers that wait for a route: who is counted, whose line is shut, and which opens next. What the engine around them says is
 * made up here.
 */
#include "delivery/unrouted_priv.h"

#include "delivery/park_priv.h"
#include "support/check_main.h"

#include <stdio.h>

#define MOST      100 /* strangers' look-ups at a time, */
#define URGENT    20  /* and more for the urgent lane */
#define SLOW      500 /* that go on without a place */
#define SITE_MOST 24  /* look-ups of one site that takes mail, when no other has any */
#define LINES_MAX 600

static struct {
    const struct sp_route *last; /* where every domain led */
    enum sp_pool_rank rank;      /* of the site there */
    const void *site;            /* which it is */
    bool asks;                   /* look-ups that go on have not ended */
    bool is_fresh;
    struct sp_pool_taken used; /* by sites of every rank */
    bool shut[LINES_MAX];
    unsigned pokes;
} the;

static struct sp_delivery d;
static struct sp_attempt attempts[LINES_MAX];
static char ways[LINES_MAX][16]; /* of each line's domain */

/* ---- the engine around: the linker puts these in place of what they are named by ---- */

const struct sp_route *__wrap_sp_transport_last(const struct sp_transport *t,
                                                struct sp_bytes domain);
enum sp_pool_rank __wrap_sp_pool_rank_at(struct sp_pool *p, const struct sp_pool_ask *ask);
void __wrap_sp_pool_count_places(struct sp_pool *p, struct sp_pool_places *ask);
size_t __wrap_sp_pool_stalling(struct sp_pool *p, enum sp_lane lane);
struct sp_lines *__wrap_sp_queue_lines(struct sp_queue *q);
bool __wrap_sp_lines_shut(struct sp_lines *l, sp_handle line, bool is_shut);
void __wrap_sp_delivery_opened(struct sp_delivery *at);
struct sp_pool_ask __wrap_sp_attempt_pool_ask(const struct sp_attempt *a, size_t hop);
bool __wrap_sp_attempt_is_fresh(const struct sp_attempt *a);
bool __wrap_sp_transport_is_asking(const struct sp_transport *t, struct sp_bytes domain);
const void *__wrap_sp_pool_site_of(struct sp_pool *p, const struct sp_pool_ask *ask);
void __wrap_sp_attempt_put_first(struct sp_attempt *a);

bool __wrap_sp_transport_is_asking(const struct sp_transport *t, struct sp_bytes domain)
{
    (void)t, (void)domain;
    return the.asks;
}

const void *__wrap_sp_pool_site_of(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p, (void)ask;
    return the.site;
}

void __wrap_sp_attempt_put_first(struct sp_attempt *a)
{
    sp_list_remove(&a->at);
    sp_attempt_routed(a);
}

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

size_t __wrap_sp_pool_stalling(struct sp_pool *p, enum sp_lane lane)
{
    (void)p, (void)lane;
    return 0;
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
    sp_list_init(&d.attempts);
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
    struct sp_attempt *a = &attempts[line];
    bool shuts;

    if (a->d != NULL)
        sp_list_remove(&a->at);
    (void)snprintf(ways[line], sizeof(ways[line]), "d%u.test", (unsigned)line);
    *a = (struct sp_attempt){.d = &d, .line = line, .lane = lane, .way = sp_bytes_cstr(ways[line])};
    sp_list_init(&a->at);
    shuts = sp_attempt_shuts_unrouted(a);
    if (!shuts)
        sp_list_append(&d.attempts, &a->at);
    return shuts;
}

/* Whose last route led to a site that takes mail. */
static void lead_to(const void *site, enum sp_pool_rank rank)
{
    static const struct sp_hop hop = {.rc = SP_OK};
    static const struct sp_route route = {.hops = &hop, .hop_count = 1};

    the.last = &route;
    the.site = site;
    the.rank = rank;
}

static void run_until_shut(sp_handle line, bool is_shut)
{
    const struct sp_clock *clock = sp_loop_clock(d.parts.loop);
    int64_t limit_ms = sp_clock_mono_ms(clock) + 60000;

    while (the.shut[line] != is_shut && sp_clock_mono_ms(clock) < limit_ms)
        sp_loop_run_once(d.parts.loop, 10);
    ck_assert(the.shut[line] == is_shut);
}

/* returns: how many strangers there are; each counts for the better ranks, too */
static size_t counted(void)
{
    struct sp_pool_places all = {.rank = SP_POOL_RANK_NEW};

    sp_unrouted_add(d.unrouted, &all);
    for (unsigned at = 1; at < SP_POOL_RANK_COUNT; at++)
        ck_assert_uint_ge(all.used[at].all, all.used[at - 1].all);
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
    the.site = &the;
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
    the.is_fresh = false; /* so that those let in keep their places */
    while (the.shut[151] && sp_clock_mono_ms(clock) < limit_ms)
        sp_loop_run_once(d.parts.loop, 10);
    ck_assert(!the.shut[150] && !the.shut[151]);
    ck_assert_uint_eq(the.pokes, 2);
}
END_TEST

START_TEST(a_look_up_that_takes_long_goes_on_without_a_place)
{
    the.asks = true;
    ck_assert(!ask(1, SP_LANE_NORMAL));
    ck_assert(!ask(2, SP_LANE_URGENT));
    lead_to(&the, SP_POOL_RANK_PROVEN);
    ck_assert(!ask(3, SP_LANE_NORMAL));
    ck_assert_uint_eq(counted(), 2);
    for (sp_handle line = 1; line <= 3; line++)
        run_until_shut(line, true);
    ck_assert_uint_eq(counted(), 0);
    the.asks = false;
    for (sp_handle line = 1; line <= 3; line++)
        run_until_shut(line, false);
}
END_TEST

START_TEST(only_so_many_look_ups_go_on_without_a_place)
{
    const struct sp_clock *clock = sp_loop_clock(d.parts.loop);
    const size_t count = SLOW + 50;

    the.asks = true;
    the.is_fresh = false; /* so that all have one at first */
    for (sp_handle line = 1; line <= count; line++)
        ck_assert(!ask(line, SP_LANE_NORMAL));
    the.is_fresh = true;
    run_until_shut(SLOW, true);
    ck_assert_uint_eq(counted(), count - SLOW);
    for (int64_t now_ms = sp_clock_mono_ms(clock); sp_clock_mono_ms(clock) < now_ms + 1500;)
        sp_loop_run_once(d.parts.loop, 10); /* a tick more */
    ck_assert_uint_eq(counted(), count - SLOW);
    lead_to(&the, SP_POOL_RANK_KNOWN);
    ck_assert(!ask(count + 1, SP_LANE_NORMAL)); /* others have some of their own */
    run_until_shut(count + 1, true);
}
END_TEST

/* Its next message found no place meanwhile. */
START_TEST(a_look_up_counts_though_its_line_is_shut)
{
    const struct sp_clock *clock = sp_loop_clock(d.parts.loop);
    int64_t limit_ms = sp_clock_mono_ms(clock) + 60000;

    the.asks = true;
    the.is_fresh = false;
    for (sp_handle line = 1; line <= SLOW + 1; line++) {
        ck_assert(!ask(line, SP_LANE_NORMAL));
        the.shut[line] = line <= SLOW;
    }
    the.is_fresh = true;
    while (counted() > 1 && sp_clock_mono_ms(clock) < limit_ms)
        sp_loop_run_once(d.parts.loop, 10);
    for (int64_t now_ms = sp_clock_mono_ms(clock); sp_clock_mono_ms(clock) < now_ms + 1500;)
        sp_loop_run_once(d.parts.loop, 10); /* a tick more */
    ck_assert_uint_eq(counted(), 1);
    ck_assert(!the.shut[SLOW + 1]); /* it keeps its place */
}
END_TEST

START_TEST(a_look_up_for_many_tenants_counts_once)
{
    the.asks = true;
    the.is_fresh = false;
    for (sp_handle line = 1; line <= SLOW + 1; line++) {
        ck_assert(!ask(line, SP_LANE_NORMAL));
        attempts[line].way = SP_LIT("shared.test");
    }
    the.is_fresh = true;
    run_until_shut(SLOW + 1, true);
    ck_assert_uint_eq(counted(), 0);
    the.asks = false;
    for (sp_handle line = 1; line <= SLOW + 1; line++)
        run_until_shut(line, false);
}
END_TEST

START_TEST(no_site_has_more_look_ups_than_it_leaves)
{
    static const int sites[3];
    static const size_t most[] = {SITE_MOST, SITE_MOST / 2, SITE_MOST / 4};
    sp_handle line = 1;

    for (size_t i = 0; i < SP_ARRAY_LEN(sites); i++) {
        lead_to(&sites[i], SP_POOL_RANK_PROVEN);
        for (size_t k = 0; k < most[i]; k++)
            ck_assert(!ask(line++, SP_LANE_NORMAL));
        ck_assert(ask(line++, SP_LANE_NORMAL));
    }
    the.asks = true;
    ck_assert(!ask(line++, SP_LANE_NORMAL)); /* it joins one */
    the.asks = false;
    for (size_t i = 0; i < 20; i++) {
        lead_to((const char *)&the + i, SP_POOL_RANK_PROVEN);
        for (size_t k = 0; k < 4; k++)
            ck_assert(
                !ask(line++, SP_LANE_NORMAL)); /* each has some, however many others there are */
    }
    sp_attempt_routed(&attempts[1]);
    ck_assert(!the.shut[SITE_MOST + 1]);
}
END_TEST

START_TEST(known_sites_leave_places_to_proven_ones)
{
    the.used.all = SP_PLACES_MAX;
    lead_to(&the, SP_POOL_RANK_KNOWN);
    ck_assert(ask(1, SP_LANE_NORMAL));
    lead_to(&the, SP_POOL_RANK_PROVEN);
    ck_assert(!ask(2, SP_LANE_NORMAL));
}
END_TEST

START_TEST(each_asks_the_dns_as_what_it_is)
{
    static const struct {
        enum sp_lane lane;
        enum sp_pool_rank rank;
        enum sp_dns_party party;
    } cases[] = {
        {SP_LANE_NORMAL, SP_POOL_RANK_NEW, SP_DNS_PARTY_STRANGERS},
        {SP_LANE_BULK, SP_POOL_RANK_NEW, SP_DNS_PARTY_STRANGERS},
        {SP_LANE_URGENT, SP_POOL_RANK_NEW, SP_DNS_PARTY_URGENT},
        {SP_LANE_NORMAL, SP_POOL_RANK_KNOWN, SP_DNS_PARTY_KNOWN},
        {SP_LANE_URGENT, SP_POOL_RANK_KNOWN, SP_DNS_PARTY_URGENT},
        {SP_LANE_URGENT, SP_POOL_RANK_PROVEN, SP_DNS_PARTY_PROVEN},
        {SP_LANE_BULK, SP_POOL_RANK_PROVEN, SP_DNS_PARTY_PROVEN},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        lead_to(&the, cases[i].rank);
        ck_assert(!ask(i + 1, cases[i].lane));
        ck_assert_msg(sp_attempt_party(&attempts[i + 1]) == cases[i].party, "case %zu", i);
    }
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
    tcase_add_test(c, a_look_up_that_takes_long_goes_on_without_a_place);
    tcase_add_test(c, only_so_many_look_ups_go_on_without_a_place);
    tcase_add_test(c, a_look_up_counts_though_its_line_is_shut);
    tcase_add_test(c, a_look_up_for_many_tenants_counts_once);
    tcase_add_test(c, no_site_has_more_look_ups_than_it_leaves);
    tcase_add_test(c, known_sites_leave_places_to_proven_ones);
    tcase_add_test(c, each_asks_the_dns_as_what_it_is);
    tcase_add_test(c, the_end_opens_all_lines);
}

SP_TEST_MAIN("delivery.unrouted", add)
