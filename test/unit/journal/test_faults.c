/*
 * The log's promises on a disk that fails: failed and short writes, failed syncs, no room, torn tails, damage, and a
 * crash at every moment with what was not synced kept, lost or kept in part.
 */
#include "rig.h"

#include <errno.h>

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    (void)rig_append(&rig, SP_JOURNAL_ASKED, 0);
    sp_journal_commit(rig.journal);
    rig.check_sync = false;
}

static void teardown(void)
{
    rig_close(&rig);
    rig_clear(&rig);
    fake_disk_free(rig.disk);
}

/* Restarts from the disk as a crash at `at` leaves it. */
static void restart(struct rig *r, struct rig *after, size_t at, enum fake_crash how, uint64_t seed)
{
    rig_init(after, fake_disk_crash(r->disk, at, how, seed));
    ck_assert_int_eq(rig_open(after), SP_OK);
}

/* Every record acknowledged before `at` is there, none twice. returns: a text for the message, or NULL */
static const char *judge(const struct rig *r, const struct rig *after, size_t at)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct rig_record *record = &r->records[i];

        if (record->is_done && record->rc == SP_OK && record->done_at <= at && after->seen[i] == 0)
            return "an acknowledged record is lost";
        if (after->seen[i] > 1 && record->append.class == SP_JOURNAL_ASKED)
            return "a record is there twice";
    }
    return after->damaged > 0 ? "damage was told where there is none" : NULL;
}

static void finish(struct rig *after)
{
    rig_close(after);
    rig_clear(after);
    fake_disk_free(after->disk);
}

/* Judges crashes at every position from `from` on. */
static void crash_everywhere(size_t from)
{
    size_t now = fake_disk_now(rig.disk);

    for (size_t at = from; at <= now; at++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct rig after;
            enum fake_crash how = seed == 0   ? FAKE_CRASH_ALL
                                  : seed == 1 ? FAKE_CRASH_NONE
                                              : FAKE_CRASH_SOME;
            const char *verdict;

            restart(&rig, &after, at, how, seed * 1000 + at);
            verdict = judge(&rig, &after, at);
            ck_assert_msg(verdict == NULL, "crash at %zu of %zu, seed %u: %s", at, now,
                          (unsigned)seed, verdict);
            finish(&after);
        }
    }
}

static void append_mixed(int count)
{
    for (int i = 0; i < count; i++)
        (void)rig_append(&rig, i % 3 == 0 ? SP_JOURNAL_HAPPENED : SP_JOURNAL_ASKED,
                         i % 2 == 0 ? 0 : 3000);
    sp_journal_commit(rig.journal);
}

START_TEST(a_crash_at_any_moment_loses_nothing_acknowledged)
{
    for (int i = 0; i < 5; i++)
        append_mixed(4);
    crash_everywhere(0);
}
END_TEST

START_TEST(a_crash_at_any_moment_of_a_rotation_loses_nothing)
{
    size_t from;

    for (int i = 0; i < 3; i++) {
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 80000);
        sp_journal_commit(rig.journal);
    }
    from = fake_disk_now(rig.disk);
    append_mixed(3);
    for (int i = 0; i < 2; i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 80000);
    sp_journal_commit(rig.journal);
    ck_assert_uint_ge(sp_journal_current(rig.journal), 2);
    crash_everywhere(from);
}
END_TEST

START_TEST(a_crash_after_a_failed_sync_loses_nothing_and_brings_nothing_back)
{
    size_t from;
    size_t now;

    append_mixed(4);
    from = fake_disk_now(rig.disk);
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, false);
    append_mixed(6);
    ck_assert_int_eq(rig.records[5].rc, SP_OK);               /* has happened */
    ck_assert_int_eq(rig.records[6].rc, SP_E_JOURNAL_FAILED); /* was asked */
    append_mixed(2);
    ck_assert_int_eq(sp_journal_state(rig.journal), SP_JOURNAL_OPEN);
    crash_everywhere(from);
    now = fake_disk_now(rig.disk);
    for (uint64_t seed = 0; seed < 8; seed++) { /* a refused one stays refused, whatever was kept */
        struct rig after;

        restart(&rig, &after, now, seed == 0 ? FAKE_CRASH_ALL : FAKE_CRASH_SOME, seed);
        ck_assert_uint_eq(after.seen[6], 0);
        ck_assert_uint_eq(after.seen[5], 1);
        finish(&after);
    }
}
END_TEST

START_TEST(each_operation_may_fail_once)
{
    static const enum fake_op kinds[] = {FAKE_CREATE, FAKE_WRITE, FAKE_SYNC, FAKE_SYNC_FOLDER,
                                         FAKE_RENAME};

    for (size_t k = 0; k < SP_ARRAY_LEN(kinds); k++) {
        for (size_t n = 1; n <= 12; n++) {
            struct rig after;
            const char *verdict;

            teardown();
            setup();
            fake_disk_fail(rig.disk, kinds[k], n, n % 2 == 0 ? EIO : ENOSPC, false);
            for (int i = 0; i < 6; i++) {
                append_mixed(3);
                (void)rig_append(&rig, SP_JOURNAL_ASKED, 90000); /* rotates */
                sp_journal_commit(rig.journal);
            }
            restart(&rig, &after, fake_disk_now(rig.disk), FAKE_CRASH_NONE, n);
            verdict = judge(&rig, &after, SIZE_MAX);
            ck_assert_msg(verdict == NULL, "operation kind %d, number %zu: %s", (int)kinds[k], n,
                          verdict);
            for (size_t i = 0; i < rig.count; i++) /* one failure never stops what has happened */
                ck_assert(rig.records[i].append.class == SP_JOURNAL_ASKED ||
                          rig.records[i].rc == SP_OK);
            finish(&after);
        }
    }
}
END_TEST

START_TEST(a_disk_that_fails_stops_the_shard_until_it_works)
{
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, true);
    append_mixed(3);
    ck_assert_int_eq(sp_journal_state(rig.journal), SP_JOURNAL_STOPPED);
    for (size_t i = 1; i < rig.count; i++) /* what was asked is refused, what has happened waits */
        ck_assert_int_eq(rig.records[i].is_done, rig.records[i].append.class == SP_JOURNAL_ASKED);
    fake_disk_mend(rig.disk);
    append_mixed(3);
    ck_assert_int_eq(sp_journal_state(rig.journal), SP_JOURNAL_OPEN);
    for (size_t i = 1; i < rig.count; i++)
        ck_assert(rig.records[i].is_done && (rig.records[i].rc == SP_OK || i < 4));
    ck_assert_int_eq(rig.records[1].rc, SP_OK);
    crash_everywhere(fake_disk_now(rig.disk));
}
END_TEST

START_TEST(short_writes_are_gone_on_with)
{
    fake_disk_short_writes(rig.disk, 1000);
    append_mixed(10);
    for (size_t i = 0; i < rig.count; i++)
        ck_assert_int_eq(rig.records[i].rc, SP_OK);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    for (size_t i = 0; i < rig.count; i++)
        ck_assert_uint_eq(rig.seen[i], 1);
}
END_TEST

START_TEST(a_full_disk_drains_and_opens_again)
{
    fake_disk_set_room(rig.disk, 40000);
    for (int i = 0; i < 8; i++) {
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 20000);
        sp_journal_commit(rig.journal);
    }
    ck_assert_int_eq(sp_journal_state(rig.journal), SP_JOURNAL_DRAINING);
    ck_assert_int_eq(rig.records[rig.count - 1].rc, SP_E_JOURNAL_FULL);
    (void)rig_append(&rig, SP_JOURNAL_HAPPENED, 0);
    sp_journal_commit(rig.journal);
    ck_assert_int_eq(rig.records[rig.count - 1].rc, SP_OK);
    fake_disk_mend(rig.disk);
    for (int i = 0; i < 2; i++)
        append_mixed(3);
    ck_assert_int_eq(sp_journal_state(rig.journal), SP_JOURNAL_OPEN);
    ck_assert_int_eq(rig.records[rig.count - 1].rc, SP_OK);
    crash_everywhere(fake_disk_now(rig.disk));
}
END_TEST

START_TEST(a_start_on_a_full_disk_drains_too)
{
    for (int i = 0; i < 3; i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 20000);
    sp_journal_commit(rig.journal);
    fake_disk_set_room(rig.disk, 0);
    while (sp_journal_state(rig.journal) != SP_JOURNAL_DRAINING) {
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 20000);
        sp_journal_commit(rig.journal);
    }
    for (int start = 0; start < 2;
         start++) { /* a reserve is small here: each start takes its batches */
        (void)rig_append(&rig, SP_JOURNAL_HAPPENED, 0);
        sp_journal_commit(rig.journal);
        ck_assert_int_eq(rig.records[rig.count - 1].rc, SP_OK);
        sp_journal_close(rig.journal);
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_uint_eq(rig.damaged, 0);
        ck_assert_int_ne(sp_journal_state(rig.journal), SP_JOURNAL_STOPPED);
        for (size_t k = 0; k < rig.count; k++)
            ck_assert_uint_eq(rig.seen[k], rig.records[k].rc == SP_OK);
    }
    (void)rig_append(&rig, SP_JOURNAL_HAPPENED, 0);
    sp_journal_commit(rig.journal);
    ck_assert_int_eq(rig.records[rig.count - 1].rc, SP_OK);
    crash_everywhere(fake_disk_now(rig.disk));
    fake_disk_mend(rig.disk);
    for (int i = 0; i < 2; i++)
        append_mixed(3);
    ck_assert_int_eq(sp_journal_state(rig.journal), SP_JOURNAL_OPEN);
    ck_assert_int_eq(rig.records[rig.count - 1].rc, SP_OK);
}
END_TEST

START_TEST(a_tail_torn_at_any_byte_costs_that_batch_alone)
{
    struct fake_disk *copy;
    int64_t len;
    int64_t last;

    append_mixed(3);
    append_mixed(3);
    len = fake_disk_len(rig.disk, "000000000001.seg");
    last = (int64_t)rig.records[4].append.place.offset / 4096 * 4096;
    for (int64_t cut = last; cut < len; cut++) {
        struct rig after;

        copy = fake_disk_crash(rig.disk, fake_disk_now(rig.disk), FAKE_CRASH_ALL, 0);
        fake_disk_cut(copy, "000000000001.seg", (size_t)cut);
        rig_init(&after, copy);
        ck_assert_int_eq(rig_open(&after), SP_OK);
        for (int i = 0; i < 4; i++)
            ck_assert_uint_eq(after.seen[i], 1);
        ck_assert_uint_eq(after.damaged, 0);
        finish(&after);
    }
}
END_TEST

START_TEST(damage_below_the_durable_end_is_told_and_costs_that_record_alone)
{
    for (int i = 0; i < 4; i++)
        append_mixed(2);
    for (size_t i = 1; i < rig.count - 2; i++) {
        const struct sp_journal_place *at = &rig.records[i].append.place;
        struct fake_disk *copy =
            fake_disk_crash(rig.disk, fake_disk_now(rig.disk), FAKE_CRASH_ALL, 0);
        struct rig after;

        fake_disk_poke(copy, "000000000001.seg", (size_t)at->offset + at->len / 2, "damage", 6);
        rig_init(&after, copy);
        ck_assert_int_eq(rig_open(&after), SP_OK);
        ck_assert_uint_eq(after.damaged, 1);
        for (size_t k = 0; k < rig.count; k++)
            ck_assert_uint_eq(after.seen[k], k == i ? 0 : 1);
        finish(&after);
    }
}
END_TEST

START_TEST(a_damaged_batch_header_is_told_and_the_next_batch_found)
{
    struct fake_disk *copy;
    struct rig after;

    for (int i = 0; i < 4; i++)
        append_mixed(2);
    copy = fake_disk_crash(rig.disk, fake_disk_now(rig.disk), FAKE_CRASH_ALL, 0);
    fake_disk_poke(copy, "000000000001.seg",
                   (size_t)rig.records[1].append.place.offset / 4096 * 4096 + 20, "damage", 6);
    rig_init(&after, copy);
    ck_assert_int_eq(rig_open(&after), SP_OK);
    ck_assert_uint_eq(after.damaged, 1);
    ck_assert_uint_eq(after.seen[0], 1);
    ck_assert_uint_eq(after.seen[1] + after.seen[2], 0);
    for (size_t k = 3; k < rig.count; k++)
        ck_assert_uint_eq(after.seen[k], 1);
    finish(&after);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_crash_at_any_moment_loses_nothing_acknowledged);
    tcase_add_test(c, a_crash_at_any_moment_of_a_rotation_loses_nothing);
    tcase_add_test(c, a_crash_after_a_failed_sync_loses_nothing_and_brings_nothing_back);
    tcase_add_test(c, each_operation_may_fail_once);
    tcase_add_test(c, a_disk_that_fails_stops_the_shard_until_it_works);
    tcase_add_test(c, short_writes_are_gone_on_with);
    tcase_add_test(c, a_full_disk_drains_and_opens_again);
    tcase_add_test(c, a_start_on_a_full_disk_drains_too);
    tcase_add_test(c, a_tail_torn_at_any_byte_costs_that_batch_alone);
    tcase_add_test(c, damage_below_the_durable_end_is_told_and_costs_that_record_alone);
    tcase_add_test(c, a_damaged_batch_header_is_told_and_the_next_batch_found);
}

SP_TEST_MAIN("journal.faults", add)
