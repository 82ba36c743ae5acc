/* Orders to a shard: what is frozen is not handed out, across restarts, crashes at any place and failing disks. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>

static struct rig rig;

static void set_up(void)
{
    rig_init(&rig, fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void tear_down(void)
{
    rig_free(&rig);
}

static bool is_any_due(void)
{
    struct sp_queue_due due;

    sp_queue_commit(rig.queue); /* what is carried on after a start is busy so long */
    if (!sp_queue_next_due(rig.queue, sp_clock_steady_ms(&rig.clock.clock), &due))
        return false;
    sp_queue_put_first(rig.queue, &due.id, due.ns, due.n_count);
    return true;
}

static enum sp_rc order(enum sp_queue_order what, const char *name, bool on)
{
    static const struct sp_queue_given given = {
        .time_ms = 1700000000123,
        .actor = SP_LIT("{\"id\":\"uid:7\"}"),
        .reason = SP_LIT("a stolen\n\tmailbox"),
    };

    return sp_queue_order(rig.queue, what, sp_bytes_cstr(name), on, &given);
}

START_TEST(what_is_frozen_waits_and_goes_when_it_is_thawed)
{
    static const struct {
        enum sp_queue_order what;
        const char *name;
        const char *again; /* the same, written otherwise */
        bool hits;
    } cases[] = {
        {SP_QUEUE_ORDER_SITE, "Clinic0.Example", "clinic0.example", true},
        {SP_QUEUE_ORDER_SITE, "clinic1.example", "clinic1.example", false},
        {SP_QUEUE_ORDER_TENANT, "hospital", "hospital", true},
        {SP_QUEUE_ORDER_TENANT, "Hospital", "Hospital", false},
        {SP_QUEUE_ORDER_DRAIN, "", "", false},
    };

    (void)rig_put(&rig, 100);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        size_t told;

        ck_assert_int_eq(order(cases[i].what, cases[i].name, true), SP_OK);
        ck_assert_int_eq(order(cases[i].what, cases[i].again, true), SP_OK);
        for (int round = 0; round < 2; round++) {
            ck_assert_msg(is_any_due() != cases[i].hits, "case %zu", i);
            ck_assert(sp_queue_is_ordered(rig.queue, cases[i].what, sp_bytes_cstr(cases[i].again)));
            rig_reopen(&rig);
        }
        told = rig.due_told;
        ck_assert_int_eq(order(cases[i].what, cases[i].again, false), SP_OK);
        ck_assert_msg(is_any_due(), "case %zu", i);
        ck_assert_msg(!cases[i].hits || rig.due_told > told, "case %zu: delivery hears of it", i);
        rig_reopen(&rig);
        ck_assert(is_any_due());
    }
}
END_TEST

START_TEST(mail_that_comes_to_a_frozen_site_later_waits_too)
{
    ck_assert_int_eq(order(SP_QUEUE_ORDER_SITE, "clinic0.example", true), SP_OK);
    (void)rig_put(&rig, 100);
    ck_assert(!is_any_due());
    ck_assert_int_eq(sp_queue_due_at(rig.queue), INT64_MAX);
}
END_TEST

START_TEST(a_crash_leaves_the_one_or_the_other)
{
    size_t from;
    size_t to;

    (void)rig_put(&rig, 100);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "other", true), SP_OK);
    from = fake_disk_now(rig.disk);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "hospital", true), SP_OK);
    to = fake_disk_now(rig.disk);
    for (size_t at = from; at <= to; at++) {
        for (uint64_t how = 0; how < 9; how++) {
            struct rig after;

            rig_init(&after,
                     fake_disk_crash(rig.disk, at, (enum fake_crash)(how % 3), at * 100 + how));
            ck_assert_msg(rig_open(&after) == SP_OK, "crash at %zu of %zu, %u", at, to,
                          (unsigned)how);
            ck_assert(sp_queue_is_ordered(after.queue, SP_QUEUE_ORDER_TENANT, SP_LIT("other")));
            if (at == to)
                ck_assert(
                    sp_queue_is_ordered(after.queue, SP_QUEUE_ORDER_TENANT, SP_LIT("hospital")));
            rig_free(&after);
        }
    }
}
END_TEST

START_TEST(what_can_not_be_kept_is_not_done)
{
    static const enum fake_op kinds[] = {FAKE_CREATE, FAKE_WRITE, FAKE_SYNC, FAKE_RENAME,
                                         FAKE_SYNC_FOLDER};

    (void)rig_put(&rig, 100);
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        fake_disk_fail(rig.disk, kinds[i], 1, EIO, false);
        ck_assert_msg(order(SP_QUEUE_ORDER_TENANT, "hospital", true) == SP_E_IO, "%zu", i);
        ck_assert(is_any_due());
        ck_assert(!sp_queue_is_ordered(rig.queue, SP_QUEUE_ORDER_TENANT, SP_LIT("hospital")));
        fake_disk_mend(rig.disk);
    }
    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "hospital", true), SP_OK);
    ck_assert(!is_any_due());
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, false);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "hospital", false), SP_E_IO);
    ck_assert(!is_any_due());
}
END_TEST

START_TEST(a_damaged_file_opens_nothing)
{
    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "hospital", true), SP_OK);
    sp_queue_close(rig.queue);
    fake_disk_cut(rig.disk, "orders", (size_t)fake_disk_len(rig.disk, "orders") - 1);
    ck_assert_int_eq(rig_open(&rig), SP_E_JOURNAL_DAMAGED);
}
END_TEST

struct seen {
    size_t count;
    int64_t time_ms;
    char actor[64], reason[600];
};

static void on_order(void *arg, enum sp_queue_order what, struct sp_bytes name,
                     const struct sp_queue_given *given)
{
    struct seen *s = arg;

    (void)what;
    (void)name;
    s->count++;
    s->time_ms = given->time_ms;
    (void)snprintf(s->actor, sizeof(s->actor), "%.*s", SP_FMT(given->actor));
    (void)snprintf(s->reason, sizeof(s->reason), "%.*s", SP_FMT(given->reason));
}

static struct seen see(void)
{
    struct seen s = {.count = 0};

    sp_queue_orders_each(rig.queue, on_order, &s);
    return s;
}

START_TEST(who_gave_an_order_is_known_after_a_restart)
{
    ck_assert_int_eq(order(SP_QUEUE_ORDER_SITE, "clinic0.example", true), SP_OK);
    for (int round = 0; round < 2; round++) {
        struct seen s = see();

        ck_assert_uint_eq(s.count, 1);
        ck_assert_int_eq(s.time_ms, 1700000000123);
        ck_assert_str_eq(s.actor, "{\"id\":\"uid:7\"}");
        ck_assert_str_eq(s.reason, "a stolen  mailbox");
        rig_reopen(&rig);
    }
    ck_assert_int_eq(order(SP_QUEUE_ORDER_SITE, "clinic0.example", false), SP_OK);
    ck_assert_int_eq(
        sp_queue_order(rig.queue, SP_QUEUE_ORDER_SITE, SP_LIT("clinic0.example"), true, NULL),
        SP_OK);
    rig_reopen(&rig);
    ck_assert_uint_eq(see().count, 1);
    ck_assert_msg(see().time_ms == 0, "what was said of the one before is not said of this one");
}
END_TEST

START_TEST(an_order_stands_without_the_file_that_tells_who)
{
    for (int len = 0; len < 60; len += 7) {
        ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "hospital", true), SP_OK);
        sp_queue_close(rig.queue);
        fake_disk_cut(rig.disk, "orders-given", (size_t)len);
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_msg(see().count == 1, "cut to %d", len);
        ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "hospital", false), SP_OK);
    }
}
END_TEST

START_TEST(a_long_reason_is_cut_between_characters)
{
    struct sp_queue_given given = {.time_ms = 1};
    char text[SP_QUEUE_GIVEN_MAX + 100];

    memset(text, 'x', sizeof(text));
    memcpy(text + SP_QUEUE_GIVEN_MAX - 1, "\xc3\xa4", 2);
    given.reason = sp_bytes(text, sizeof(text));
    given.actor = given.reason; /* no half of what is to be read by a program */
    ck_assert_int_eq(sp_queue_order(rig.queue, SP_QUEUE_ORDER_DRAIN, SP_LIT(""), true, &given),
                     SP_OK);
    rig_reopen(&rig);
    ck_assert_uint_eq(strlen(see().reason), SP_QUEUE_GIVEN_MAX - 1);
    ck_assert_str_eq(see().actor, "");
    ck_assert_int_eq(see().time_ms, 1);
}
END_TEST

START_TEST(names_that_are_none_are_refused)
{
    char text[400] = {0};

    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "", true), SP_E_LIMIT);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_TENANT, "two words", true), SP_E_LIMIT);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_SITE, "a\nend 0", true), SP_E_LIMIT);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_DRAIN, "x", true), SP_E_LIMIT);
    memset(text, 'a', sizeof(text) - 1);
    ck_assert_int_eq(order(SP_QUEUE_ORDER_SITE, text, true), SP_E_LIMIT);
    ck_assert_int_lt(fake_disk_len(rig.disk, "orders"), 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, what_is_frozen_waits_and_goes_when_it_is_thawed);
    tcase_add_test(c, mail_that_comes_to_a_frozen_site_later_waits_too);
    tcase_add_test(c, a_crash_leaves_the_one_or_the_other);
    tcase_add_test(c, what_can_not_be_kept_is_not_done);
    tcase_add_test(c, a_damaged_file_opens_nothing);
    tcase_add_test(c, who_gave_an_order_is_known_after_a_restart);
    tcase_add_test(c, an_order_stands_without_the_file_that_tells_who);
    tcase_add_test(c, a_long_reason_is_cut_between_characters);
    tcase_add_test(c, names_that_are_none_are_refused);
}

SP_TEST_MAIN("queue.orders", add)
