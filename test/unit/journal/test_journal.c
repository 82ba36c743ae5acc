/*
 * The log's promises on a disk that works: what was acknowledged is there again, after its sync and never before; one
 * sync a batch; segments come and go with their keys.
 */
#include "rig.h"

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    rig.check_sync = true;
}

static void teardown(void)
{
    rig_close(&rig);
    rig_clear(&rig);
    fake_disk_free(rig.disk);
}

static void reopen(void)
{
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

/* The same disk, as it is after a stop in the middle: all of it is read and summed. */
static void open_after_crash(void)
{
    struct fake_disk *after = fake_disk_crash(rig.disk, fake_disk_now(rig.disk), FAKE_CRASH_ALL, 0);

    teardown();
    rig_init(&rig, after);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

START_TEST(what_was_acknowledged_is_there_again)
{
    for (int i = 0; i < 20; i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, i % 2 == 0 ? 0 : 4096);
    ck_assert(!rig.records[0].is_done);
    sp_journal_commit(rig.journal);
    for (int i = 0; i < 20; i++)
        ck_assert(rig.records[i].is_done && rig.records[i].rc == SP_OK);
    reopen();
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(rig.seen[i], 1);
    ck_assert_uint_eq(rig.found.records, 20);
    ck_assert_uint_eq(rig.found.damaged + rig.found.dropped, 0);
    ck_assert(rig.found.clean);
}
END_TEST

START_TEST(a_batch_costs_one_sync)
{
    size_t from;

    (void)rig_append(&rig, SP_JOURNAL_ASKED, 100); /* the reserve and the like are made now */
    sp_journal_commit(rig.journal);
    from = fake_disk_now(rig.disk);
    for (int i = 0; i < 50; i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 1000);
    sp_journal_commit(rig.journal);
    ck_assert_uint_eq(fake_disk_count(rig.disk, FAKE_SYNC, from), 1);
    ck_assert_uint_eq(fake_disk_count(rig.disk, FAKE_WRITE, from), 1);
}
END_TEST

START_TEST(an_unclean_stop_is_told)
{
    (void)rig_append(&rig, SP_JOURNAL_ASKED, 0);
    sp_journal_commit(rig.journal);
    open_after_crash();
    ck_assert(!rig.found.clean);
    ck_assert_uint_eq(rig.seen[0], 1);
}
END_TEST

static void assert_body(const struct rig_record *record, size_t len)
{
    struct sp_journal_body_place place;
    struct sp_content c;
    uint8_t *out = sp_malloc(len + 1);
    size_t got = 0;
    bool right = true;
    SP_AUTO(sp_content_reader) reader = NULL;

    ck_assert_int_eq(sp_journal_body(rig.journal, &record->append.place, 0, &place), SP_OK);
    sp_content_init(&c);
    c.id = record->append.message;
    c.len = len;
    c.key = place.key;
    c.fd = place.fd;
    c.offset = place.offset;
    reader = sp_content_reader_new(&c);
    ck_assert_int_eq(sp_content_read(reader, 0, out, len + 1, &got), SP_OK);
    ck_assert_uint_eq(got, len);
    for (size_t i = 0; i < len; i++) /* one check for all: each costs a write */
        right = right && out[i] == 'a' + (int)((size_t)(record - rig.records) % 26);
    ck_assert(right);
    sp_content_clear(&c);
    sp_free(out);
}

static void assert_meta(const struct rig_record *record)
{
    struct sp_journal_entry e;
    struct sp_buf meta;

    sp_buf_init(&meta, SP_RECORD_META_MAX + 16);
    ck_assert_int_eq(sp_journal_read(rig.journal, &record->append.place, &meta, &e), SP_OK);
    ck_assert(sp_bytes_eq(e.meta, sp_bytes_cstr(record->meta)));
    ck_assert(sp_id_eq(&e.message, &record->append.message));
    sp_buf_clear(&meta);
}

START_TEST(records_and_bodies_read_back_before_and_after_a_restart)
{
    static const size_t lens[] = {1, 4096, 65536, 200000, 70000, 12};

    for (size_t i = 0; i < SP_ARRAY_LEN(lens); i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, lens[i]);
    sp_journal_commit(rig.journal);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SP_ARRAY_LEN(lens); i++) {
            assert_meta(&rig.records[i]);
            assert_body(&rig.records[i], lens[i]);
        }
        reopen();
    }
    rig.records[0].append.place.sequence++;
    {
        struct sp_journal_body_place place;
        struct sp_journal_place at = rig.records[0].append.place;

        at.segment = 999;
        ck_assert_int_eq(sp_journal_body(rig.journal, &at, 0, &place), SP_E_NOT_FOUND);
        at = rig.records[0].append.place;
        at.offset++;
        ck_assert_int_eq(sp_journal_body(rig.journal, &at, 0, &place), SP_E_JOURNAL_DAMAGED);
    }
}
END_TEST

START_TEST(a_sum_is_taken_where_the_body_is_sealed_or_where_it_is_written)
{
    static const size_t lens[] = {1, 4096, 65536, 200000, 70000, 12};

    for (size_t i = 0; i < 2 * SP_ARRAY_LEN(lens); i++) {
        rig.sums_when_written = i % 2 == 1;
        (void)rig_append(&rig, SP_JOURNAL_ASKED, lens[i / 2]);
    }
    sp_journal_commit(rig.journal);
    for (size_t i = 0; i < 2 * SP_ARRAY_LEN(lens); i++)
        assert_body(&rig.records[i], lens[i / 2]);
    open_after_crash();
    for (size_t i = 0; i < 2 * SP_ARRAY_LEN(lens); i++)
        ck_assert_uint_eq(rig.seen[i], 1);
    ck_assert_uint_eq(rig.damaged + rig.found.damaged + rig.found.dropped, 0);
}
END_TEST

START_TEST(a_sum_that_is_not_that_of_the_bytes_is_damage)
{
    for (unsigned i = 0; i < 4; i++) {
        rig.spoil = i == 1;
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 4096);
        sp_journal_commit(rig.journal); /* what comes behind says that it was synced */
    }
    open_after_crash();
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(rig.seen[i], i != 1);
    ck_assert_uint_eq(rig.damaged, 1);
    ck_assert_uint_eq(rig.found.damaged, 1);
}
END_TEST

START_TEST(no_plaintext_reaches_the_disk)
{
    uint8_t *all;
    int64_t len;

    (void)rig_append(&rig, SP_JOURNAL_ASKED, 4096);
    sp_journal_commit(rig.journal);
    len = fake_disk_len(rig.disk, "000000000001.seg");
    ck_assert_int_gt(len, 8192);
    all = sp_malloc((size_t)len);
    fake_disk_peek(rig.disk, "000000000001.seg", 0, all, (size_t)len);
    ck_assert_uint_eq(sp_bytes_find_all(sp_bytes(all, (size_t)len), SP_LIT("record 0")), SIZE_MAX);
    ck_assert_uint_eq(sp_bytes_find_all(sp_bytes(all, (size_t)len), SP_LIT("aaaaaaaa")), SIZE_MAX);
    sp_free(all);
}
END_TEST

/* How many keys the file says that it has: behind magic, CRC and generation. */
static uint32_t keys_on_disk(void)
{
    uint8_t count[4];

    fake_disk_peek(rig.disk, "keyring", 8 + SP_JOURNAL_KEK_ID_MAX, count, sizeof(count));
    return (uint32_t)count[0] | (uint32_t)count[1] << 8;
}

START_TEST(segments_follow_each_other_and_go_with_their_keys)
{
    uint32_t keys;

    for (int i = 0; i < 40; i++) {
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 30000);
        sp_journal_commit(rig.journal);
    }
    ck_assert_uint_gt(sp_journal_current(rig.journal), 4);
    reopen();
    for (int i = 0; i < 40; i++)
        ck_assert_uint_eq(rig.seen[i], 1);
    keys = keys_on_disk();
    sp_journal_forget(rig.journal, 4);
    ck_assert_int_ge(fake_disk_len(rig.disk, "000000000001.seg"),
                     0); /* the ledger has not passed */
    sp_journal_passed(rig.journal, 3);
    ck_assert_int_lt(fake_disk_len(rig.disk, "000000000001.seg"), 0);
    ck_assert_int_lt(fake_disk_len(rig.disk, "000000000002.seg"), 0);
    ck_assert_int_ge(fake_disk_len(rig.disk, "000000000003.seg"), 0);
    ck_assert_uint_eq(sp_journal_first(rig.journal), 3);
    ck_assert_uint_eq(keys_on_disk(), keys - 2);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 1000); /* the one that is written stays */
    ck_assert_uint_eq(sp_journal_first(rig.journal), sp_journal_current(rig.journal));
    reopen();
    ck_assert_uint_eq(rig.found.damaged, 0);
    ck_assert_uint_eq(rig.seen[0], 0);
}
END_TEST

START_TEST(a_second_process_is_kept_out)
{
    struct sp_journal *other = NULL;
    struct sp_journal_recovery found;
    struct sp_err err;

    ck_assert_int_eq(sp_journal_open(&rig.options, &other, &found, &err), SP_E_JOURNAL_LOCKED);
}
END_TEST

START_TEST(other_keys_or_no_keyring_are_refused_and_nothing_is_lost)
{
    struct rig_record *record = rig_append(&rig, SP_JOURNAL_ASKED, 10);

    sp_journal_commit(rig.journal);
    rig_close(&rig);
    rig.keys.record.b[0] ^= 1;
    ck_assert_int_eq(rig_open(&rig), SP_E_JOURNAL_DAMAGED);
    rig.keys.record.b[0] ^= 1;
    rig.keys.content.b[0] ^= 1;
    ck_assert_int_eq(rig_open(&rig), SP_E_JOURNAL_DAMAGED);
    rig.keys.content.b[0] ^= 1;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.seen[0], 1);
    assert_body(record, 10);
    rig_close(&rig);
    ck_assert_int_eq(rig.options.io->unlink(rig.options.io->ctx, "keyring"), 0);
    ck_assert_int_eq(rig_open(&rig), SP_E_JOURNAL_DAMAGED);
    rig.journal = NULL;
}
END_TEST

START_TEST(prewritten_segments_hold_the_same)
{
    rig_close(&rig);
    rig.options.prewrite = true;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    for (int i = 0; i < 20; i++) {
        fake_clock_advance(&rig.clock, 1000);
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 30000);
        sp_journal_commit(rig.journal);
    }
    ck_assert_int_eq(fake_disk_len(rig.disk, "000000000004.seg"), 256 * 1024);
    reopen();
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(rig.seen[i], 1);
    ck_assert_uint_eq(rig.found.damaged, 0);
}
END_TEST

static void commit_several(int commits, int records)
{
    for (int i = 0; i < commits; i++) {
        fake_clock_advance(&rig.clock, 1000);
        for (int n = 0; n < records; n++)
            (void)rig_append(&rig, SP_JOURNAL_ASKED, 30000);
        sp_journal_commit(rig.journal);
    }
}

START_TEST(large_batches_get_segments_without_zeroes)
{
    rig_close(&rig);
    rig.options.prewrite = true;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    commit_several(8, 5); /* each fills more than half a segment */
    ck_assert_uint_ge(sp_journal_current(rig.journal), 8);
    ck_assert_int_ge(fake_disk_len(rig.disk, "000000000008.seg"), 5 * 30000);
    ck_assert_int_lt(fake_disk_len(rig.disk, "000000000008.seg"), 256 * 1024);
    commit_several(40, 1); /* small again: from the one after the next on there are zeroes */
    ck_assert_uint_ge(sp_journal_current(rig.journal), 12);
    ck_assert_int_eq(fake_disk_len(rig.disk, "000000000012.seg"), 256 * 1024);
    reopen();
    for (int i = 0; i < 80; i++)
        ck_assert_uint_eq(rig.seen[i], 1);
    ck_assert_uint_eq(rig.found.damaged, 0);
}
END_TEST

START_TEST(a_batch_is_cut_at_its_length)
{
    size_t from;

    (void)rig_append(&rig, SP_JOURNAL_ASKED, 0);
    sp_journal_commit(rig.journal);
    from = fake_disk_now(rig.disk);
    for (int i = 0; i < 400; i++) /* more than a batch has room for */
        (void)rig_append(&rig, SP_JOURNAL_HAPPENED, 0);
    sp_journal_commit(rig.journal);
    ck_assert_uint_eq(fake_disk_count(rig.disk, FAKE_WRITE, from), 2);
    reopen();
    for (int i = 0; i < 401; i++)
        ck_assert_uint_eq(rig.seen[i], 1);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, what_was_acknowledged_is_there_again);
    tcase_add_test(c, a_batch_costs_one_sync);
    tcase_add_test(c, an_unclean_stop_is_told);
    tcase_add_test(c, records_and_bodies_read_back_before_and_after_a_restart);
    tcase_add_test(c, a_sum_is_taken_where_the_body_is_sealed_or_where_it_is_written);
    tcase_add_test(c, a_sum_that_is_not_that_of_the_bytes_is_damage);
    tcase_add_test(c, no_plaintext_reaches_the_disk);
    tcase_add_test(c, segments_follow_each_other_and_go_with_their_keys);
    tcase_add_test(c, a_second_process_is_kept_out);
    tcase_add_test(c, other_keys_or_no_keyring_are_refused_and_nothing_is_lost);
    tcase_add_test(c, prewritten_segments_hold_the_same);
    tcase_add_test(c, large_batches_get_segments_without_zeroes);
    tcase_add_test(c, a_batch_is_cut_at_its_length);
}

SP_TEST_MAIN("journal", add)
