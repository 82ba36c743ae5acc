/*
 * The order of hosts: preference is kept, equals share by weight, nobody is left out.
 */
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "transport/route.h"

#define ROUNDS 8000

static struct sp_hop hops[] = {{.preference = 20, .weight = 1},
                               {.preference = 10, .weight = 3},
                               {.preference = 10, .weight = 1},
                               {.preference = 30},
                               {.preference = 30},
                               {.preference = 30}};

START_TEST(preference_first_then_weight)
{
    struct sp_route r = {.hops = hops, .hop_count = SP_ARRAY_LEN(hops)};
    size_t first[SP_ARRAY_LEN(hops)] = {0}, fourth[SP_ARRAY_LEN(hops)] = {0};
    struct fake_random random;

    fake_random_init(&random, 7);
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t order[SP_TRANSPORT_HOPS_MAX];
        unsigned seen = 0;

        sp_route_draw(&r, &random.random, order);
        for (size_t k = 0; k < r.hop_count; k++) {
            seen |= 1U << order[k];
            ck_assert(k == 0 || hops[order[k - 1]].preference <= hops[order[k]].preference);
        }
        ck_assert_uint_eq(seen, (1U << SP_ARRAY_LEN(hops)) - 1);
        first[order[0]]++;
        fourth[order[3]]++;
    }
    ck_assert_uint_eq(first[1] + first[2], ROUNDS);
    ck_assert(first[1] > ROUNDS * 70 / 100 && first[1] < ROUNDS * 80 / 100); /* three of four */
    for (size_t i = 3; i < 6; i++) /* without weights: a third each */
        ck_assert(fourth[i] > ROUNDS * 28 / 100 && fourth[i] < ROUNDS * 38 / 100);
}
END_TEST

START_TEST(one_host_and_none_need_no_chance)
{
    struct sp_route r = {.hops = hops, .hop_count = 1};
    struct fake_random random;
    uint8_t order[SP_TRANSPORT_HOPS_MAX] = {9};

    fake_random_init(&random, 1);
    sp_route_draw(&r, &random.random, order);
    ck_assert_uint_eq(order[0], 0);
    r.hop_count = 0;
    sp_route_draw(&r, &random.random, order);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, preference_first_then_weight);
    tcase_add_test(c, one_host_and_none_need_no_chance);
}

SP_TEST_MAIN("transport.draw", add)
