/*
 * The ledger's reader: every record once and in order, beside the writer, across restarts of either; never one that is
 * not durable; the record key alone.
 */
#include "journal/reader.h"

#include "rig.h"

#include <errno.h>

static struct rig rig;
static struct sp_journal_reader *reader;
static uint64_t durable_segment;
static uint64_t durable_end;
static unsigned next; /* number of the record that must come next */

static void reader_open(struct sp_journal_cursor from)
{
    sp_journal_reader_free(reader);
    reader = sp_journal_reader_new(rig.options.io, &rig.keys.record, &from);
}

static void on_durable(void *arg, uint64_t segment, uint64_t end)
{
    (void)arg;
    durable_segment = segment;
    durable_end = end;
}

static void setup(void)
{
    rig_init(&rig, fake_disk_new());
    rig.options.on_durable = on_durable;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    reader_open((struct sp_journal_cursor){0, 0});
    next = 0;
}

static void teardown(void)
{
    sp_journal_reader_free(reader);
    reader = NULL;
    rig_close(&rig);
    rig_clear(&rig);
    fake_disk_free(rig.disk);
}

/* Reads all there is; each must be the next. */
static void read_on(void)
{
    struct sp_journal_entry e;
    enum sp_rc rc;

    while ((rc = sp_journal_reader_next(reader, &e)) == SP_OK) {
        char want[32];

        (void)snprintf(want, sizeof(want), "record %u", next++);
        ck_assert(sp_bytes_eq(e.meta, sp_bytes_cstr(want)));
        ck_assert(rig.records[next - 1].is_done);
    }
    ck_assert_int_eq(rc, SP_E_NOT_FOUND);
}

static void put(int count, size_t body_len)
{
    for (int i = 0; i < count; i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, body_len);
    sp_journal_commit(rig.journal);
}

START_TEST(a_batch_is_read_when_the_next_one_or_the_relay_vouches_for_it)
{
    put(3, 0);
    read_on();
    ck_assert_uint_eq(next, 0);
    put(2, 0);
    read_on();
    ck_assert_uint_eq(next, 3);
    sp_journal_reader_tell(reader, durable_segment, durable_end); /* as the relay does */
    read_on();
    ck_assert_uint_eq(next, 5);
}
END_TEST

/* The largest batch so far is not paid for until the process ends. */
START_TEST(memory_is_given_back_and_reading_goes_on)
{
    struct sp_journal_entry e;
    size_t small;

    put(2, 0);
    put(1, 0);
    read_on();
    sp_journal_reader_trim(reader);
    ck_assert_uint_eq(sp_journal_reader_bytes(reader), 0);
    put(1, 0);
    read_on();
    small = sp_journal_reader_bytes(reader);
    put(8, 4000);
    put(1, 0);
    read_on();
    ck_assert_uint_gt(sp_journal_reader_bytes(reader), small + 16000);
    sp_journal_reader_trim(reader);
    ck_assert_uint_eq(sp_journal_reader_bytes(reader), 0);
    put(3, 0);
    put(1, 0);
    ck_assert_int_eq(sp_journal_reader_next(reader, &e), SP_OK);
    next++;
    sp_journal_reader_trim(reader); /* amid a batch */
    read_on();
    ck_assert_uint_eq(next, 16);
}
END_TEST

START_TEST(a_clean_close_and_a_restart_vouch_for_the_rest)
{
    put(3, 0);
    rig_close(&rig);
    read_on();
    ck_assert_uint_eq(next, 3);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    put(2, 0);
    put(1, 0);
    read_on();
    ck_assert_uint_eq(next, 5);
}
END_TEST

START_TEST(segments_are_followed)
{
    for (int i = 0; i < 30; i++) {
        put(1, 40000);
        read_on();
    }
    ck_assert_uint_gt(sp_journal_current(rig.journal), 3);
    put(1, 0);
    read_on();
    ck_assert_uint_eq(next, 30);
}
END_TEST

/* Reads all there is; a call that fails is made again. returns: how often it failed */
static unsigned read_on_and_again(void)
{
    struct sp_journal_entry e;
    unsigned failed = 0;
    enum sp_rc rc;

    while ((rc = sp_journal_reader_next(reader, &e)) != SP_E_NOT_FOUND) {
        char want[32];

        if (rc == SP_E_IO && ++failed < 10)
            continue;
        ck_assert_msg(rc == SP_OK, "record %u: %s", next, sp_rc_name(rc));
        (void)snprintf(want, sizeof(want), "record %u", next++);
        ck_assert(sp_bytes_eq(e.meta, sp_bytes_cstr(want)));
    }
    return failed;
}

enum reading { OPENING, READING, LISTING, READINGS };
static size_t left[READINGS]; /* the call that fails; 1: the next */

static bool fails(enum reading how)
{
    return left[how] > 0 && --left[how] == 0;
}

static int failing_open(void *ctx, const char *name, enum sp_io_open how)
{
    return fails(OPENING) ? -EMFILE : rig.options.io->open(ctx, name, how);
}

static ssize_t failing_pread(void *ctx, int fd, void *out, size_t len, int64_t offset)
{
    return fails(READING) ? -EIO : rig.options.io->pread(ctx, fd, out, len, offset);
}

static int failing_list(void *ctx, const char *folder, void (*visit)(void *arg, const char *name),
                        void *arg)
{
    return fails(LISTING) ? -EMFILE : rig.options.io->list(ctx, folder, visit, arg);
}

START_TEST(what_can_not_be_read_now_is_neither_passed_over_nor_damaged)
{
    struct sp_journal_io io = *rig.options.io;
    const struct sp_journal_cursor start = {0, 0};
    unsigned failed = 0;

    io.open = failing_open;
    io.pread = failing_pread;
    io.list = failing_list;
    for (int i = 0; i < 12; i++)
        put(1 + i % 3, i % 2 == 0 ? 40000 : 0);
    for (int how = 0; how < READINGS; how++) {
        for (size_t n = 1; left[how] == 0; n++) { /* until there was no n-th */
            sp_journal_reader_free(reader);
            reader = sp_journal_reader_new(&io, &rig.keys.record, &start);
            next = 0;
            left[how] = n;
            failed += read_on_and_again();
            sp_journal_reader_tell(reader, durable_segment, durable_end);
            failed += read_on_and_again();
            ck_assert_msg(next == 24, "%d, number %zu: %u records", how, n, next);
        }
        left[how] = 0;
    }
    ck_assert_uint_gt(failed, 20);
    reader_open(start); /* io ends here */
}
END_TEST

START_TEST(a_cursor_goes_on_where_it_stood)
{
    for (int i = 0; i < 40; i++) {
        put(2, 10000);
        read_on();
        reader_open(sp_journal_reader_cursor(reader));
    }
    rig_close(&rig);
    read_on();
    ck_assert_uint_eq(next, 80);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}
END_TEST

START_TEST(what_a_failed_sync_left_behind_is_never_read)
{
    put(2, 0);
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, false);
    put(3, 0); /* refused */
    ck_assert_int_eq(rig.records[3].rc, SP_E_JOURNAL_FAILED);
    read_on();
    ck_assert_uint_eq(next, 2);
    next = 5;
    put(2, 0);
    put(1, 0);
    read_on();
    ck_assert_uint_eq(next, 7);
}
END_TEST

START_TEST(damage_is_told_once_and_passed)
{
    struct sp_journal_entry e;

    put(1, 0);
    put(1, 0);
    put(1, 0);
    put(1, 0);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)rig.records[1].append.place.offset + 60,
                   "damage", 6);
    ck_assert_int_eq(sp_journal_reader_next(reader, &e), SP_OK);
    ck_assert_int_eq(sp_journal_reader_next(reader, &e), SP_E_JOURNAL_DAMAGED);
    ck_assert(e.damaged);
    next = 2;
    read_on();
    ck_assert_uint_eq(next, 3);
}
END_TEST

START_TEST(what_was_read_and_is_gone_is_told_once)
{
    struct sp_journal_cursor cursor;
    struct sp_journal_entry e;

    put(1, 0);
    put(1, 0);
    put(1, 0);
    sp_journal_reader_tell(reader, durable_segment, durable_end);
    read_on();
    ck_assert_uint_eq(next, 3);
    cursor = sp_journal_reader_cursor(reader);
    rig_close(&rig);
    fake_disk_cut(rig.disk, "000000000001.seg",
                  (size_t)rig.records[2].append.place.offset / 4096 * 4096);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.seen[1], 1);
    ck_assert_uint_eq(rig.seen[2], 0); /* for recovery this is a tail like others */
    reader_open(cursor);
    ck_assert_int_eq(sp_journal_reader_next(reader, &e), SP_E_JOURNAL_DAMAGED);
    ck_assert(e.damaged && e.place.segment == 1);
    ck_assert_int_eq(sp_journal_reader_next(reader, &e), SP_E_NOT_FOUND);
}
END_TEST

static void lose_header(const char *name)
{
    static const uint8_t nothing[4096];

    fake_disk_poke(rig.disk, name, 0, nothing, sizeof(nothing));
}

static void lose_file(const char *name)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);

    ck_assert_int_eq(io->unlink(io->ctx, name), 0);
}

/* Reads what is there but for one segment; damage may be told. returns: how often it was */
static size_t read_but(uint64_t segment)
{
    struct sp_journal_entry e;
    size_t damaged = 0;
    enum sp_rc rc;

    while ((rc = sp_journal_reader_next(reader, &e)) != SP_E_NOT_FOUND) {
        char want[32];

        if (rc == SP_E_JOURNAL_DAMAGED) {
            damaged++;
            continue;
        }
        ck_assert_int_eq(rc, SP_OK);
        while (rig.records[next].append.place.segment == segment)
            next++;
        (void)snprintf(want, sizeof(want), "record %u", next++);
        ck_assert(sp_bytes_eq(e.meta, sp_bytes_cstr(want)));
    }
    return damaged;
}

static void without_the_second(void (*spoil)(const char *name), size_t damaged)
{
    for (int i = 0; i < 30; i++)
        put(1, 40000);
    rig_close(&rig);
    spoil("000000000002.seg");
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    put(1, 0);
    sp_journal_reader_tell(reader, durable_segment, durable_end);
    ck_assert_uint_eq(read_but(2), damaged);
    ck_assert_uint_eq(next, 31);
}

START_TEST(a_segment_without_its_header_holds_up_nobody)
{
    without_the_second(lose_header, 1);
}
END_TEST

START_TEST(a_segment_that_is_lost_holds_up_nobody)
{
    without_the_second(lose_file, 0); /* who has opened the journal tells that */
}
END_TEST

START_TEST(a_damaged_body_does_not_hide_its_record)
{
    static const size_t lens[] = {60000, 0, 300, 20000, 60000, 0};

    for (size_t i = 0; i < SP_ARRAY_LEN(lens); i++)
        (void)rig_append(&rig, SP_JOURNAL_ASKED, lens[i]);
    sp_journal_commit(rig.journal);
    put(1, 0);
    fake_disk_poke(rig.disk, "000000000001.seg", (size_t)rig.records[0].append.place.offset + 40000,
                   "damage", 6);
    read_on();
    ck_assert_uint_eq(next, SP_ARRAY_LEN(lens));
}
END_TEST

START_TEST(segments_gone_are_passed_over)
{
    for (int i = 0; i < 30; i++)
        put(1, 40000);
    sp_journal_passed(rig.journal, 3);
    sp_journal_forget(rig.journal, 3);
    for (next = 0; next < 30 && rig.records[next].append.place.segment < 3; next++)
        ;
    read_on();
    ck_assert_uint_ge(next, 29);
}
END_TEST

START_TEST(another_record_key_opens_nothing)
{
    struct sp_journal_entry e;
    struct sp_secret other = rig.keys.content;
    struct sp_journal_cursor from = {0, 0};

    put(1, 0);
    sp_journal_reader_free(reader);
    reader = sp_journal_reader_new(rig.options.io, &other, &from);
    ck_assert_int_eq(sp_journal_reader_next(reader, &e), SP_E_CRYPT_AUTH);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_batch_is_read_when_the_next_one_or_the_relay_vouches_for_it);
    tcase_add_test(c, memory_is_given_back_and_reading_goes_on);
    tcase_add_test(c, a_clean_close_and_a_restart_vouch_for_the_rest);
    tcase_add_test(c, segments_are_followed);
    tcase_add_test(c, what_can_not_be_read_now_is_neither_passed_over_nor_damaged);
    tcase_add_test(c, a_cursor_goes_on_where_it_stood);
    tcase_add_test(c, what_a_failed_sync_left_behind_is_never_read);
    tcase_add_test(c, damage_is_told_once_and_passed);
    tcase_add_test(c, what_was_read_and_is_gone_is_told_once);
    tcase_add_test(c, a_segment_without_its_header_holds_up_nobody);
    tcase_add_test(c, a_segment_that_is_lost_holds_up_nobody);
    tcase_add_test(c, a_damaged_body_does_not_hide_its_record);
    tcase_add_test(c, segments_gone_are_passed_over);
    tcase_add_test(c, another_record_key_opens_nothing);
}

SP_TEST_MAIN("journal.reader", add)
