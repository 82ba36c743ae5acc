/*
 * Whom a tenant has written to: growth, the bound, days, and that a hash tells of tenant and address under a key.
 */
#include "policy/contacts.h"
#include "support/check_main.h"

static struct sp_secret key_of(uint8_t byte)
{
    struct sp_secret key;

    memset(key.b, byte, sizeof(key.b));
    return key;
}

START_TEST(a_hash_is_of_tenant_address_and_key)
{
    struct sp_secret a = key_of(1), b = key_of(2);
    uint64_t h = sp_policy_contacts_hash(&a, SP_LIT("hospital"), SP_LIT("Pat@Example.net"));

    ck_assert_uint_ne(h, 0);
    ck_assert_uint_eq(h,
                      sp_policy_contacts_hash(&a, SP_LIT("hospital"), SP_LIT("pat@example.NET")));
    ck_assert_uint_ne(h,
                      sp_policy_contacts_hash(&b, SP_LIT("hospital"), SP_LIT("pat@example.net")));
    ck_assert_uint_ne(h, sp_policy_contacts_hash(&a, SP_LIT("clinic"), SP_LIT("pat@example.net")));
    /* where the tenant's name ends is part of it */
    ck_assert_uint_ne(sp_policy_contacts_hash(&a, SP_LIT("ab"), SP_LIT("c@d")),
                      sp_policy_contacts_hash(&a, SP_LIT("a"), SP_LIT("bc@d")));
}
END_TEST

START_TEST(it_grows_to_its_bound_and_no_further)
{
    SP_AUTO(sp_policy_contacts) c = sp_policy_contacts_new(10000);
    uint64_t hash;
    uint16_t day;
    size_t at = 0, seen = 0;

    for (uint64_t i = 1; i <= 10000; i++)
        ck_assert(sp_policy_contacts_put(c, i * 0x9e3779b97f4a7c15U, 100));
    ck_assert(sp_policy_contacts_is_full(c));
    ck_assert(!sp_policy_contacts_put(c, 7, 100));
    ck_assert(!sp_policy_contacts_has(c, 7, 0));
    ck_assert(
        sp_policy_contacts_put(c, 0x9e3779b97f4a7c15U, 101)); /* a later day of one that is there */
    for (uint64_t i = 1; i <= 10000; i++)
        ck_assert(sp_policy_contacts_has(c, i * 0x9e3779b97f4a7c15U, 100));
    while (sp_policy_contacts_next(c, &at, &hash, &day))
        seen++;
    ck_assert_uint_eq(seen, 10000);
    sp_policy_contacts_expire(c, 101);
    ck_assert_uint_eq(sp_policy_contacts_count(c), 1);
    ck_assert(sp_policy_contacts_put(c, 7, 100));
}
END_TEST

/* What a relay and the ledger grow to, and no further, however many strangers mail goes to. */
START_TEST(its_memory_has_a_bound)
{
    SP_AUTO(sp_policy_contacts) c = sp_policy_contacts_new(SP_POLICY_CONTACTS_MAX);
    size_t begin = sp_policy_contacts_bytes(c);

    for (uint64_t i = 1; i <= 2 * (uint64_t)SP_POLICY_CONTACTS_MAX; i++)
        (void)sp_policy_contacts_put(c, i * 0x9e3779b97f4a7c15U, i % 2 == 0 ? 100 : 101);
    ck_assert_uint_eq(sp_policy_contacts_count(c), SP_POLICY_CONTACTS_MAX);
    ck_assert_uint_le(sp_policy_contacts_bytes(c), ((size_t)20 << 20) + 1024);
    sp_policy_contacts_expire(c, 100); /* nobody */
    ck_assert_uint_eq(sp_policy_contacts_count(c), SP_POLICY_CONTACTS_MAX);
    sp_policy_contacts_expire(c, 101);
    ck_assert_uint_eq(sp_policy_contacts_count(c), SP_POLICY_CONTACTS_MAX / 2);
    ck_assert_uint_le(sp_policy_contacts_bytes(c), ((size_t)10 << 20) + 1024);
    ck_assert(sp_policy_contacts_has(c, 0x9e3779b97f4a7c15U, 101));
    sp_policy_contacts_expire(c, 102);
    ck_assert_uint_eq(sp_policy_contacts_count(c), 0);
    ck_assert_uint_eq(sp_policy_contacts_bytes(c), begin);
}
END_TEST

START_TEST(a_day_only_moves_forward)
{
    SP_AUTO(sp_policy_contacts) c = sp_policy_contacts_new(10);

    ck_assert(sp_policy_contacts_put(c, 5, 100));
    ck_assert(!sp_policy_contacts_put(c, 5, 100));
    ck_assert(!sp_policy_contacts_put(c, 5, 99));
    ck_assert(sp_policy_contacts_has(c, 5, 100));
    ck_assert(!sp_policy_contacts_has(c, 5, 101));
    ck_assert(sp_policy_contacts_put(c, 5, 101));
    ck_assert(sp_policy_contacts_has(c, 5, 101));
    ck_assert_uint_eq(sp_policy_contacts_day(-1), 0);
    ck_assert_uint_eq(sp_policy_contacts_day(86400000LL * 20000 + 5), 20000);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_hash_is_of_tenant_address_and_key);
    tcase_add_test(c, it_grows_to_its_bound_and_no_further);
    tcase_add_test(c, its_memory_has_a_bound);
    tcase_add_test(c, a_day_only_moves_forward);
}

SP_TEST_MAIN("policy.contacts", add)
