/*
 * Places for attempts: whoever stalls, of any rank below the best, in any lane and order, leaves those that take mail their part.
 */
#include "delivery/places.h"
#include "support/check_main.h"

#define FLOOD 1000 /* sites, more than there are places */

/* Every attempt waits for a connection that never comes. */
struct relay {
    struct sp_places now;
    size_t waiting[SP_POOL_RANK_COUNT][SP_LANE_COUNT];
};

/* A site of this rank that has so many asks for one more; it counts as under way while it asks. */
static size_t left_for(struct relay *r, enum sp_pool_rank rank, enum sp_lane lane, bool is_first)
{
    struct sp_pool_places ask = {.lane = lane, .rank = rank, .is_first = is_first};
    struct sp_pool_taken sum = {0};

    for (size_t i = 0; i < SP_POOL_RANK_COUNT; i++) {
        sum.urgent += r->waiting[i][SP_LANE_URGENT];
        sum.bulk += r->waiting[i][SP_LANE_BULK];
        sum.all = sum.urgent + sum.bulk;
        for (size_t k = 0; k <= i; k++)
            sum.all += r->waiting[k][SP_LANE_NORMAL];
        ask.used[i] = sum;
    }
    return sp_places_left(&r->now, &ask);
}

/* The queue hands out an attempt of an open lane, and the pool puts it back if it finds no place. returns: whether it stays */
static bool take(struct relay *r, enum sp_pool_rank rank, enum sp_lane lane, bool is_first)
{
    bool stays = true;

    if ((sp_places_lanes(&r->now) & 1U << lane) == 0)
        return false;
    r->now.active++;
    r->now.urgent += lane == SP_LANE_URGENT;
    r->now.bulk += lane == SP_LANE_BULK;
    if (!(is_first && rank == SP_POOL_RANK_PROVEN))
        stays = left_for(r, rank, lane, is_first) > 0;
    if (stays) {
        r->waiting[rank][lane]++;
        return true;
    }
    r->now.active--;
    r->now.urgent -= lane == SP_LANE_URGENT;
    r->now.bulk -= lane == SP_LANE_BULK;
    return false;
}

static size_t flood(struct relay *r, enum sp_pool_rank rank, enum sp_lane lane)
{
    size_t taken = 0;

    for (size_t i = 0; i < FLOOD; i++)
        taken += take(r, rank, lane, true);
    return taken;
}

struct wave {
    enum sp_pool_rank rank;
    enum sp_lane lane;
};
#define NEW_(lane)                                                                                 \
    {                                                                                              \
        SP_POOL_RANK_NEW, SP_LANE_##lane                                                           \
    }
#define KNOWN_(lane)                                                                               \
    {                                                                                              \
        SP_POOL_RANK_KNOWN, SP_LANE_##lane                                                         \
    }

/* An eighth of the 360 places that all lanes share, and of the bulk lane's 100. */
START_TEST(whoever_stalls_leaves_the_proven_their_eighth)
{
    static const struct {
        const char *name;
        struct wave waves[4];
        size_t count;
    } cases[] = {
        {"nobody", {NEW_(NORMAL)}, 0},
        {"strangers", {NEW_(NORMAL)}, 1},
        {"known sites", {KNOWN_(NORMAL)}, 1},
        {"known sites, then strangers", {KNOWN_(NORMAL), NEW_(NORMAL)}, 2},
        {"strangers, then known sites", {NEW_(NORMAL), KNOWN_(NORMAL)}, 2},
        {"codes for strangers", {NEW_(URGENT)}, 1},
        {"codes for known sites, then for strangers", {KNOWN_(URGENT), NEW_(URGENT)}, 2},
        {"mail, then codes", {KNOWN_(NORMAL), NEW_(NORMAL), KNOWN_(URGENT), NEW_(URGENT)}, 4},
        {"codes, then mail", {KNOWN_(URGENT), NEW_(URGENT), KNOWN_(NORMAL), NEW_(NORMAL)}, 4},
        {"mass mail, then mail", {KNOWN_(BULK), NEW_(BULK), KNOWN_(NORMAL), NEW_(NORMAL)}, 4},
        {"mass mail, then codes", {KNOWN_(BULK), NEW_(BULK), NEW_(NORMAL), NEW_(URGENT)}, 4},
    };
    static const size_t least[SP_LANE_COUNT] = {
        [SP_LANE_URGENT] = 45, [SP_LANE_NORMAL] = 45, [SP_LANE_BULK] = 12};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        for (size_t lane = 0; lane < SP_LANE_COUNT; lane++) {
            struct relay r = {0};
            size_t taken;

            for (size_t k = 0; k < cases[i].count; k++)
                (void)flood(&r, cases[i].waves[k].rank, cases[i].waves[k].lane);
            taken = flood(&r, SP_POOL_RANK_PROVEN, (enum sp_lane)lane);
            ck_assert_msg(taken >= least[lane], "%s: %zu places are left in the lane %s",
                          cases[i].name, taken, sp_lane_name((enum sp_lane)lane));
        }
}
END_TEST

START_TEST(strangers_leave_known_sites_theirs)
{
    struct relay r = {0};

    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_NEW, SP_LANE_NORMAL), 270);
    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_KNOWN, SP_LANE_NORMAL), 45);
    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_PROVEN, SP_LANE_NORMAL), 45);
    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_NEW, SP_LANE_URGENT), 30);
    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_KNOWN, SP_LANE_URGENT), 5);
    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_PROVEN, SP_LANE_URGENT), 5);
    ck_assert_uint_eq(r.now.active, SP_PLACES_MAX);
}
END_TEST

/* Proven sites may have all; a first place of others comes out of what comes free next. */
START_TEST(what_the_proven_have_keeps_nobody_from_a_first_place)
{
    struct relay r = {0};

    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_PROVEN, SP_LANE_NORMAL), 360);
    r.now.active--;
    r.waiting[SP_POOL_RANK_PROVEN][SP_LANE_NORMAL]--;
    ck_assert(!take(&r, SP_POOL_RANK_NEW, SP_LANE_NORMAL, false));
    ck_assert(take(&r, SP_POOL_RANK_NEW, SP_LANE_NORMAL, true));
}
END_TEST

START_TEST(codes_take_no_place_from_mail_while_their_own_are_free)
{
    struct relay r = {0};

    for (size_t i = 0; i < 40; i++)
        ck_assert(take(&r, SP_POOL_RANK_NEW, SP_LANE_URGENT, true));
    ck_assert_uint_eq(flood(&r, SP_POOL_RANK_PROVEN, SP_LANE_NORMAL), 360);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, whoever_stalls_leaves_the_proven_their_eighth);
    tcase_add_test(c, strangers_leave_known_sites_theirs);
    tcase_add_test(c, what_the_proven_have_keeps_nobody_from_a_first_place);
    tcase_add_test(c, codes_take_no_place_from_mail_while_their_own_are_free);
}

SP_TEST_MAIN("delivery.places", add)
