/*
 * The memory of addresses that are not tried: letters of any case, times, a limit.
 */
#include "delivery/suppress.h"
#include "support/check_main.h"

START_TEST(addresses_are_left_alone_for_their_time)
{
    SP_AUTO(sp_suppress) s = sp_suppress_new(2);

    ck_assert(!sp_suppress_has(NULL, SP_LIT("a@b.test"), 0));
    ck_assert(!sp_suppress_has(s, SP_LIT("a@b.test"), 0));
    sp_suppress_set(s, SP_LIT("A@b.test"), 100, 10);
    sp_suppress_set(s, SP_LIT("c@d.test"), 0, 10);
    sp_suppress_set(s, SP_LIT("more@d.test"), 0, 10); /* over the limit: not taken */
    ck_assert(sp_suppress_has(s, SP_LIT("a@B.TEST"), 99));
    ck_assert(!sp_suppress_has(s, SP_LIT("a@b.test"), 100));
    ck_assert(sp_suppress_has(s, SP_LIT("c@d.test"), INT64_MAX));
    ck_assert(!sp_suppress_has(s, SP_LIT("more@d.test"), 0));
    sp_suppress_set(s, SP_LIT("a@b.test"), 200, 10); /* the same one: longer */
    ck_assert(sp_suppress_has(s, SP_LIT("a@b.test"), 150));
    sp_suppress_remove(s, SP_LIT("C@D.test"));
    sp_suppress_remove(s, SP_LIT("never@d.test"));
    ck_assert(!sp_suppress_has(s, SP_LIT("c@d.test"), 0));
    sp_suppress_set(s, SP_LIT("more@d.test"), 0, 10);
    ck_assert(sp_suppress_has(s, SP_LIT("more@d.test"), 0));
}
END_TEST

START_TEST(what_is_no_address_does_no_harm)
{
    static const uint8_t huge[2000] = {0};
    SP_AUTO(sp_suppress) s = sp_suppress_new(9);

    sp_suppress_set(s, sp_bytes(huge, sizeof(huge)), 0, 10);
    sp_suppress_set(s, SP_LIT("a@b.test"), 0, 10);
    ck_assert(!sp_suppress_has(s, sp_bytes(huge, sizeof(huge)), 0));
    sp_suppress_remove(s, sp_bytes(huge, sizeof(huge)));
    ck_assert(sp_suppress_has(s, SP_LIT("a@b.test"), 0));
}
END_TEST

START_TEST(whose_time_is_over_makes_room)
{
    SP_AUTO(sp_suppress) s = sp_suppress_new(2);

    sp_suppress_set(s, SP_LIT("a@b.test"), 100, 10);
    sp_suppress_set(s, SP_LIT("c@d.test"), 200, 10);
    sp_suppress_set(s, SP_LIT("e@f.test"), 300, 99);
    ck_assert(!sp_suppress_has(s, SP_LIT("e@f.test"), 99));
    sp_suppress_set(s, SP_LIT("e@f.test"), 300, 100);
    ck_assert(sp_suppress_has(s, SP_LIT("e@f.test"), 100));
    ck_assert(sp_suppress_has(s, SP_LIT("c@d.test"), 100));
    sp_suppress_set(s, SP_LIT("c@d.test"), 150, 110); /* shorter than when it was looked at */
    sp_suppress_set(s, SP_LIT("g@h.test"), 0, 150);
    ck_assert(sp_suppress_has(s, SP_LIT("g@h.test"), 150));
    sp_suppress_set(s, SP_LIT("i@j.test"), 0, 300);
    sp_suppress_set(s, SP_LIT("k@l.test"), 0, INT64_MAX); /* none of these ends */
    ck_assert(sp_suppress_has(s, SP_LIT("i@j.test"), 300));
    ck_assert(!sp_suppress_has(s, SP_LIT("k@l.test"), 300));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, whose_time_is_over_makes_room);
    tcase_add_test(c, addresses_are_left_alone_for_their_time);
    tcase_add_test(c, what_is_no_address_does_no_harm);
}

SP_TEST_MAIN("delivery.suppress", add)
