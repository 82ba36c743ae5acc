/* How old the queue is, told from the minutes in which its messages were accepted. */
#include "queue/queue_priv.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#define MINUTE_MS ((int64_t)60000)
#define DAY_MS    (24 * 60 * MINUTE_MS)

static struct fake_clock fake;
static struct fake_random numbers;
static struct sp_queue q;

static void set_up(void)
{
    fake_clock_init(&fake, 0);
    fake_random_init(&numbers, 1);
    q = (struct sp_queue){.o = {.clock = &fake.clock}};
    q.ages = sp_calloc(1, sizeof(*q.ages));
}

static void tear_down(void)
{
    sp_free(q.ages);
}

static struct sp_id accept_now(void)
{
    struct sp_id id = sp_id_new(&fake.clock, &numbers.random);

    sp_queue_ages_note(q.ages, &id, true);
    return id;
}

static size_t older_than(int64_t seconds, int64_t *oldest_s)
{
    size_t count;

    *oldest_s = sp_queue_ages(&q, &seconds, 1, &count);
    return count;
}

START_TEST(messages_grow_old_and_leave)
{
    struct sp_id first = accept_now();
    struct sp_id second;
    int64_t oldest_s;

    ck_assert_uint_eq(older_than(60, &oldest_s), 0);
    fake_clock_advance(&fake, 90 * MINUTE_MS);
    second = accept_now();
    ck_assert_uint_eq(older_than(3600, &oldest_s), 1);
    ck_assert_int_ge(oldest_s, 90 * 60);
    ck_assert_int_lt(oldest_s, 92 * 60);
    sp_queue_ages_note(q.ages, &first, false);
    ck_assert_uint_eq(older_than(3600, &oldest_s), 0);
    sp_queue_ages_note(q.ages, &second, false);
    ck_assert_uint_eq(older_than(0, &oldest_s), 0);
    ck_assert_int_eq(oldest_s, 0);
}
END_TEST

START_TEST(what_is_older_than_the_table_still_counts)
{
    struct sp_id old = accept_now();
    struct sp_id fresh;
    int64_t oldest_s;

    fake_clock_advance(&fake, 7 * DAY_MS); /* the same place in the table */
    fresh = accept_now();
    ck_assert_uint_eq(older_than(86400, &oldest_s), 1);
    ck_assert_int_eq(oldest_s, 7 * 86400);
    sp_queue_ages_note(q.ages, &old, false);
    ck_assert_uint_eq(older_than(86400, &oldest_s), 0);
    sp_queue_ages_note(q.ages, &old, true); /* as a restart would find it, the newer one first */
    ck_assert_uint_eq(older_than(86400, &oldest_s), 1);
    sp_queue_ages_note(q.ages, &fresh, false);
    ck_assert_uint_eq(older_than(86400, &oldest_s), 1);
    sp_queue_ages_note(q.ages, &old, false);
    ck_assert_uint_eq(older_than(0, &oldest_s), 0);
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, messages_grow_old_and_leave);
    tcase_add_test(c, what_is_older_than_the_table_still_counts);
}

SP_TEST_MAIN("queue.ages", add_tests)
