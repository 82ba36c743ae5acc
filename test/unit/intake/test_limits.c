/*
 * What a tenant may take of the gateway, minute by minute: its mail and its bounces are counted apart.
 */
#include "intake/intake_priv.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

/* returns: how many bounces are taken at once */
static int take_all(struct sp_intake *in, const struct sp_tenant *t)
{
    int count = 0;

    while (count < 1000 && sp_intake_bounce_take_room(in, t))
        count++;
    ck_assert(!sp_intake_bounce_has_room(in, t));
    return count;
}

START_TEST(bounces_are_counted_apart)
{
    struct fake_clock clock;
    struct generation g = {.relays = 1};
    struct sp_intake in = {.parts = {.clock = &clock.clock},
                           .now = &g,
                           .sources = sp_map_new(),
                           .quotas = sp_map_new()};
    struct sp_tenant some = {.name = "some", .limits = {.messages = 2}};
    struct sp_tenant free_of_limits = {.name = "free"};

    fake_clock_init(&clock, 0);
    ck_assert_int_eq(take_all(&in, &some), 60);
    ck_assert_int_eq(take_all(&in, &free_of_limits), 60);
    for (int i = 0; i < 2; i++)
        ck_assert(sp_intake_tenant_may_send(&in, &some));
    ck_assert(!sp_intake_tenant_may_send(&in, &some));
    ck_assert(sp_intake_tenant_may_send(&in, &free_of_limits));
    fake_clock_advance(&clock, 1000); /* one more a second */
    for (int i = 0; i < 100; i++)
        ck_assert(sp_intake_bounce_has_room(&in, &some)); /* to ask takes none */
    ck_assert_int_eq(take_all(&in, &some), 1);
    fake_clock_advance(&clock, (int64_t)86400000);
    ck_assert_int_eq(take_all(&in, &some), 60);
    g.relays = 4; /* each has its part */
    fake_clock_advance(&clock, 60000);
    ck_assert_int_eq(take_all(&in, &some), 15);
    sp_intake_limits_free(&in);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, bounces_are_counted_apart);
}

SP_TEST_MAIN("intake.limits", add)
