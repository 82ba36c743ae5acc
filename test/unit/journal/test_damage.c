/*
 * What one flipped byte, one lost block or one lost file costs: of what all the rest hangs on, nothing, since it is there
 * twice; of a segment without its header no more than its own messages, and these by name; of a file that is gone an alarm
 * that does not end by itself.
 */
#include "rig.h"

#include "base/text.h"

#include <errno.h>
#include <unistd.h>

enum {
    BLOCK = 4096,
    HEADER = 8 + 16 + 60 + SP_JOURNAL_KEK_ID_MAX, /* of a segment */
    FIXED = 8 + SP_JOURNAL_KEK_ID_MAX + 4,        /* of a keyring, before its entries */
    ENTRY_1 = 16 + 60,                            /* of version 1 */
    COPY = 2048,                                  /* where a segment's header stands again */
};

static const uint8_t nothing[BLOCK];

static struct rig rig;
static struct sp_id told[RIG_MAX]; /* of what damage, in the order told */

static void on_entry(void *arg, const struct sp_journal_entry *e)
{
    if (e->damaged)
        told[rig.damaged] = e->message;
    rig_on_entry(arg, e);
}

static void set_up(struct fake_disk *disk)
{
    rig_init(&rig, disk);
    rig.options.on_entry = on_entry;
    rig.options.segment_len = 64 * 1024;
    rig.options.reserve_len = 16 * 1024;
}

static void setup(void)
{
    set_up(fake_disk_new());
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

static void teardown(void)
{
    rig_close(&rig);
    rig_clear(&rig);
    fake_disk_free(rig.disk);
}

/* So many records of half a segment and more: one in each. */
static void fill(unsigned segments)
{
    for (unsigned i = 0; i < segments; i++) {
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 50000);
        sp_journal_commit(rig.journal);
    }
    ck_assert_uint_eq(sp_journal_current(rig.journal), segments);
}

static void assert_seen(size_t but)
{
    for (size_t i = 0; i < rig.count; i++)
        ck_assert_msg(rig.seen[i] == (i == but ? 0 : 1), "record %zu: %d times", i, rig.seen[i]);
}

static void unlink_file(const char *name)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);

    ck_assert_int_eq(io->unlink(io->ctx, name), 0);
}

static void flip(struct fake_disk *disk, const char *name, size_t at)
{
    uint8_t byte;

    fake_disk_peek(disk, name, at, &byte, 1);
    byte ^= 0x10;
    fake_disk_poke(disk, name, at, &byte, 1);
}

/* Opens what would be there after a stop now, with one byte of a file flipped; nothing is missed. */
static void flip_and_open(const char *name, size_t at)
{
    struct rig before = rig;

    set_up(fake_disk_crash(before.disk, fake_disk_now(before.disk), FAKE_CRASH_ALL, 0));
    rig.count = before.count;
    flip(rig.disk, name, at);
    ck_assert_msg(rig_open(&rig) == SP_OK, "byte %zu of %s", at, name);
    ck_assert_msg(rig.damaged + rig.found.damaged == 0, "byte %zu of %s", at, name);
    assert_seen(SIZE_MAX);
    rig_close(&rig);
    fake_disk_free(rig.disk);
    rig = before;
}

START_TEST(a_flipped_byte_of_a_segments_header_costs_nothing)
{
    fill(2);
    for (size_t at = 0; at < HEADER; at++)
        flip_and_open(at % 2 == 0 ? "000000000001.seg" : "000000000002.seg", at);
}
END_TEST

START_TEST(a_flipped_byte_of_the_keyring_costs_nothing)
{
    fill(2);
    for (size_t at = 0; at + 7 < 2 * BLOCK;
         at += at % BLOCK < FIXED ? 1 : 7) { /* entries in steps */
        uint8_t bytes[7];

        fake_disk_peek(rig.disk, "keyring", at, bytes, sizeof(bytes));
        if (memcmp(bytes, nothing, sizeof(bytes)) != 0) /* no more than zeroes behind the last */
            flip_and_open("keyring", at);
    }
}
END_TEST

START_TEST(a_keyring_is_whole_again_when_one_of_two_was_damaged)
{
    fill(1);
    rig_close(&rig);
    flip(rig.disk, "keyring", 20);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    rig_close(&rig);
    flip(rig.disk, "keyring", BLOCK + 20);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    assert_seen(SIZE_MAX);
}
END_TEST

/* Opening it mends what was damaged of the two headers, so that later the other one may be. */
START_TEST(a_segments_header_is_whole_again_when_one_of_two_was_damaged)
{
    uint8_t before[BLOCK];
    uint8_t after[BLOCK];

    fill(2);
    rig_close(&rig);
    fake_disk_peek(rig.disk, "000000000001.seg", 0, before, sizeof(before));
    for (int round = 0; round < 4; round++) {
        flip(rig.disk, "000000000001.seg", (round % 2 == 0 ? 0U : COPY) + 50);
        rig.options.read_only = true; /* who only looks changes nothing */
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_uint_eq(rig.found.copies, 1);
        rig_close(&rig);
        fake_disk_peek(rig.disk, "000000000001.seg", 0, after, sizeof(after));
        ck_assert(memcmp(before, after, sizeof(after)) != 0);
        rig.options.read_only = false;
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        assert_seen(SIZE_MAX);
        rig_close(&rig);
        fake_disk_peek(rig.disk, "000000000001.seg", 0, after, sizeof(after));
        ck_assert(memcmp(before, after, sizeof(after)) == 0);
    }
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.found.copies, 0);
}
END_TEST

/* A disk that takes no writes there costs nothing more. */
START_TEST(a_header_that_can_not_be_mended_is_read_from_its_copy)
{
    fill(2);
    rig_close(&rig);
    flip(rig.disk, "000000000001.seg", 50);
    fake_disk_fail(rig.disk, FAKE_SYNC, 1, EIO, false);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    assert_seen(SIZE_MAX);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    assert_seen(SIZE_MAX);
}
END_TEST

/* One of a version that wrote its header once gets the second. */
START_TEST(a_header_that_stands_there_once_is_no_damage)
{
    uint8_t before[BLOCK];
    uint8_t after[BLOCK];

    fill(2);
    rig_close(&rig);
    fake_disk_peek(rig.disk, "000000000001.seg", 0, before, sizeof(before));
    fake_disk_poke(rig.disk, "000000000001.seg", COPY, nothing, COPY);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.found.copies, 0);
    fake_disk_peek(rig.disk, "000000000001.seg", 0, after, sizeof(after));
    ck_assert(memcmp(before, after, sizeof(after)) == 0);
}
END_TEST

/* Version 1 had no numbers and stood there once. */
static void make_keyring_of_version_1(void)
{
    uint8_t now[BLOCK];
    uint8_t old[BLOCK];
    size_t len = FIXED;
    uint32_t crc;

    fake_disk_peek(rig.disk, "keyring", 0, now, sizeof(now));
    memcpy(old, now, FIXED);
    for (size_t i = 0; i < now[FIXED - 4]; i++, len += ENTRY_1)
        memcpy(old + len, now + FIXED + i * (ENTRY_1 + 8), ENTRY_1);
    old[3] = '1';
    crc = sp_crc32c(0, sp_bytes(old + 8, len - 8));
    for (int i = 0; i < 4; i++)
        old[4 + i] = (uint8_t)(crc >> (8 * i));
    fake_disk_cut(rig.disk, "keyring", 0);
    fake_disk_poke(rig.disk, "keyring", 0, old, len);
}

START_TEST(a_keyring_of_version_1_is_read)
{
    fill(2);
    rig_close(&rig);
    make_keyring_of_version_1();
    for (int round = 0; round < 2; round++) { /* and written anew as it is now */
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_uint_eq(rig.damaged, 0);
        assert_seen(SIZE_MAX);
        rig_close(&rig);
    }
    ck_assert_int_eq(fake_disk_len(rig.disk, "keyring"), 2 * BLOCK);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}
END_TEST

START_TEST(a_segment_without_its_header_names_its_messages)
{
    static const char *const names[] = {"000000000001.seg", "000000000002.seg", "000000000003.seg"};

    fill(3);
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        struct rig before = rig;

        set_up(fake_disk_crash(before.disk, fake_disk_now(before.disk), FAKE_CRASH_ALL, 0));
        rig.count = before.count;
        memcpy(rig.records, before.records, sizeof(rig.records));
        fake_disk_poke(rig.disk, names[i], 0, nothing, sizeof(nothing));
        for (int round = 0; round < 3; round++) { /* it stays as it is until it may go */
            ck_assert_int_eq(rig_open(&rig), SP_OK);
            ck_assert_uint_eq(rig.damaged, 1);
            ck_assert(sp_id_eq(&told[0], &rig.records[i].append.message));
            assert_seen(i);
            ck_assert_uint_gt(sp_journal_current(rig.journal), 3);
            rig_close(&rig);
        }
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        sp_journal_passed(rig.journal, 1000);
        sp_journal_forget(rig.journal, 1000);
        ck_assert_int_lt(fake_disk_len(rig.disk, names[i]), 0);
        rig_close(&rig);
        fake_disk_free(rig.disk);
        rig = before;
    }
}
END_TEST

/* Each opening tells it, the number is not given again, and when all before the newest may go there is an end of it. */
static void assert_missed(size_t which)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%012zu.seg", which + 1);
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_uint_eq(rig.damaged, 1);
        ck_assert(sp_id_is_zero(&told[0]));
        assert_seen(which);
        ck_assert_uint_gt(sp_journal_current(rig.journal), 3);
        rig_close(&rig);
    }
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 1000);
    ck_assert_int_lt(fake_disk_len(rig.disk, name), 0);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.damaged, 0);
    rig_close(&rig);
}

/* Fills three segments and goes on with a copy of them, closed well. */
static void each_of_three(void (*spoil)(const char *name))
{
    static const char *const names[] = {"000000000001.seg", "000000000002.seg", "000000000003.seg"};

    fill(3);
    rig_close(&rig); /* all keyrings know all numbers */
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    rig_close(&rig);
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        struct rig before = rig;

        set_up(fake_disk_crash(before.disk, fake_disk_now(before.disk), FAKE_CRASH_ALL, 0));
        rig.count = before.count;
        spoil(names[i]);
        assert_missed(i);
        fake_disk_free(rig.disk);
        rig = before;
    }
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}

START_TEST(a_segment_whose_file_is_gone_is_missed)
{
    each_of_three(unlink_file);
}
END_TEST

static void empty_file(const char *name)
{
    fake_disk_cut(rig.disk, name, 0);
}

static void empty_beside_version_1(const char *name)
{
    empty_file(name);
    make_keyring_of_version_1();
}

START_TEST(a_segment_that_was_emptied_is_missed_beside_a_keyring_of_version_1)
{
    each_of_three(empty_beside_version_1);
}
END_TEST

START_TEST(a_segment_that_was_emptied_is_missed)
{
    each_of_three(empty_file);
}
END_TEST

static void cut_to_header(const char *name)
{
    fake_disk_cut(rig.disk, name, BLOCK);
}

START_TEST(a_segment_cut_to_its_header_is_missed)
{
    each_of_three(cut_to_header);
}
END_TEST

START_TEST(the_newest_segment_is_missed_and_its_number_is_not_given_again)
{
    uint64_t last;
    char name[32];

    fill(3);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK); /* makes a keyring that names the three */
    last = sp_journal_current(rig.journal);
    rig_close(&rig);
    for (uint64_t number = 3; number <= last; number++) {
        (void)snprintf(name, sizeof(name), "%012llu.seg", (unsigned long long)number);
        unlink_file(name);
    }
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_ge(rig.damaged, 1);
    ck_assert_uint_gt(sp_journal_current(rig.journal), 3);
    assert_seen(2);
}
END_TEST

/* Opens it; it is refused, in words that name this file, and nothing of it has changed. */
static void assert_refused(const char *name)
{
    struct sp_err err = {0};
    int64_t len = fake_disk_len(rig.disk, name);

    for (int i = 0; i < 2; i++) {
        rig.options.read_only = i == 0;
        rig.options.io = fake_disk_io(rig.disk);
        rig.damaged = 0;
        ck_assert_int_eq(sp_journal_open(&rig.options, &rig.journal, &rig.found, &err),
                         SP_E_JOURNAL_DAMAGED);
        ck_assert_msg(strstr(err.text, name) != NULL, "%s", err.text);
        ck_assert_uint_lt(rig.damaged, 3);
        ck_assert_int_eq(fake_disk_len(rig.disk, name), len);
    }
}

static void rename_file(const char *from, const char *to)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);

    ck_assert_int_eq(io->rename(io->ctx, from, to), 0);
}

/* Somebody has put a segment back and mistook its number: it is not taken for one that holds nothing, and removed. */
START_TEST(a_segment_under_another_number_is_refused_and_stays)
{
    fill(3);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    rig_close(&rig);
    rename_file("000000000002.seg", "000000000017.seg");
    assert_refused("000000000017.seg");
    rename_file("000000000003.seg", "000000000002.seg");
    rename_file("000000000017.seg", "000000000003.seg"); /* two that changed places */
    assert_refused("000000000002.seg");
    rename_file("000000000002.seg", "000000000017.seg");
    rename_file("000000000003.seg", "000000000002.seg");
    rename_file("000000000017.seg", "000000000003.seg");
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.damaged, 0);
    assert_seen(SIZE_MAX);
}
END_TEST

static void make_file(const char *name)
{
    const struct sp_journal_io *io = fake_disk_io(rig.disk);
    int fd = io->open(io->ctx, name, SP_IO_OPEN_CREATE);

    ck_assert_int_ge(fd, 0);
    io->close(io->ctx, fd);
}

/* A file that is no part of the log, by a number that is far away: nobody walks there. */
START_TEST(a_strange_number_is_refused_and_not_walked_to)
{
    static const char *const strangers[] = {"000000100000.seg", "999999999999.seg"};

    fill(3);
    rig_close(&rig);
    for (size_t i = 0; i < SP_ARRAY_LEN(strangers); i++) {
        make_file(strangers[i]);
        assert_refused(strangers[i]);
        unlink_file(strangers[i]);
    }
    make_file("18446744073709551615.seg"); /* no name of ours */
    make_file("000000000000.seg");
    rig.options.read_only = false;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.damaged, 0);
    assert_seen(SIZE_MAX);
}
END_TEST

/* No number is left behind it: what came next could not be found again. */
START_TEST(a_last_number_that_no_log_reaches_is_refused)
{
    fill(1);
    rig_close(&rig);
    make_file("999999999999.seg");
    assert_refused("999999999999.seg");
    unlink_file("000000000001.seg"); /* alone, beside a keyring */
    assert_refused("999999999999.seg");
    unlink_file("keyring"); /* in a folder where nothing has been yet */
    assert_refused("999999999999.seg");
    unlink_file("999999999999.seg");
    rig.options.read_only = false;
    ck_assert_int_eq(rig_open(&rig), SP_OK);
}
END_TEST

/* returns: whether the body's key opens */
static enum sp_rc body_of(size_t i)
{
    struct sp_journal_body_place place;
    enum sp_rc rc = sp_journal_body(rig.journal, &rig.records[i].append.place, 0, &place);

    if (rc == SP_OK) {
        (void)close(place.fd);
        sp_secret_clear(&place.key);
    }
    return rc;
}

/* Somebody puts a keyring of yesterday in its place: what came since can't be opened any more, and does not end by that. */
START_TEST(an_older_keyring_costs_no_more_than_what_came_since)
{
    uint8_t old[2 * BLOCK];

    fill(2);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    fake_disk_peek(rig.disk, "keyring", 0, old, sizeof(old));
    for (unsigned i = 0; i < 6; i++) {
        (void)rig_append(&rig, SP_JOURNAL_ASKED, 50000);
        sp_journal_commit(rig.journal);
    }
    rig_close(&rig);
    fake_disk_poke(rig.disk, "keyring", 0, old, sizeof(old));
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_uint_eq(rig.damaged, 0);
        assert_seen(SIZE_MAX);
        sp_journal_commit(rig.journal);
        for (size_t i = 0; i < rig.count; i++) /* who sends one of the last finds out */
            ck_assert(body_of(i) == SP_OK || (i >= 2 && body_of(i) == SP_E_CRYPT_AUTH));
        ck_assert_int_eq(body_of(7), SP_E_CRYPT_AUTH);
        if (round < 2)
            rig_close(&rig);
    }
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 1000);
    ck_assert_int_lt(fake_disk_len(rig.disk, "000000000008.seg"), 0);
}
END_TEST

/* One that is on its way out may be alone: a backup may have held it, or somebody has put a file of another shard there. */
START_TEST(what_is_missing_behind_one_without_a_key_is_no_loss)
{
    fill(6);
    fake_disk_fail(rig.disk, FAKE_SYNC_FOLDER, 2, EIO, true);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 4); /* the keys go, and one file */
    rig_close(&rig);
    fake_disk_mend(rig.disk);
    ck_assert_int_gt(fake_disk_len(rig.disk, "000000000002.seg"), 0);
    unlink_file("000000000003.seg");
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.damaged, 0);
    ck_assert_uint_eq(sp_journal_first(rig.journal), 4);
}
END_TEST

static void behead(const char *name)
{
    fake_disk_poke(rig.disk, name, 0, nothing, sizeof(nothing));
}

/* Of six the second is spoilt; the keys of those before `first` go, and one file; then it ends. */
static void stop_between(void (*spoil)(const char *name), uint64_t first)
{
    fill(6);
    rig_close(&rig); /* the keyring knows all numbers */
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    rig_close(&rig);
    spoil("000000000002.seg");
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.damaged, 1);
    fake_disk_fail(rig.disk, FAKE_SYNC_FOLDER, 2, EIO, true);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, first);
    rig_close(&rig);
    fake_disk_mend(rig.disk);
}

static void (*const spoils[])(const char *name) = {empty_file, behead};

/* What was given up with it is not told any more, and nothing behind it is missed. */
START_TEST(a_damaged_segment_whose_key_is_gone_goes_too)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(spoils); i++) {
        for (uint64_t first = 3; first <= 5; first++) {
            teardown();
            set_up(fake_disk_new());
            ck_assert_int_eq(rig_open(&rig), SP_OK);
            stop_between(spoils[i], first);
            ck_assert_int_ge(fake_disk_len(rig.disk, "000000000002.seg"), 0);
            for (int round = 0; round < 3; round++) {
                rig.options.read_only = round == 0;
                ck_assert_int_eq(rig_open(&rig), SP_OK);
                ck_assert_msg(rig.damaged == 0, "spoilt %zu, up to %u, round %d: %zu told", i,
                              (unsigned)first, round, rig.damaged);
                ck_assert_uint_eq(sp_journal_first(rig.journal), first);
                if (round > 0)
                    sp_journal_commit(rig.journal);
                if (round < 2)
                    rig_close(&rig);
            }
            ck_assert_int_lt(fake_disk_len(rig.disk, "000000000002.seg"), 0);
        }
    }
}
END_TEST

/* Before a crash the keyring did not name the last one yet: later ones that it names then are no sign that it has gone. */
START_TEST(an_emptied_segment_that_no_keyring_named_is_missed)
{
    struct rig before;

    fill(3);
    before = rig;
    set_up(fake_disk_crash(before.disk, fake_disk_now(before.disk), FAKE_CRASH_ALL, 0));
    rig.count = before.count;
    empty_file("000000000003.seg");
    for (int round = 0; round < 4; round++) {
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_msg(rig.damaged == 1, "round %d: %zu told", round, rig.damaged);
        ck_assert_uint_gt(sp_journal_current(rig.journal), 3);
        rig_close(&rig);
    }
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 1000);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    ck_assert_uint_eq(rig.damaged, 0);
    rig_close(&rig);
    fake_disk_free(rig.disk);
    rig = before;
}
END_TEST

/* At each moment of such a deletion no more is told than before it, and what is no longer told stays so. */
START_TEST(a_deletion_of_a_damaged_segment_that_is_cut_is_no_other_loss)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(spoils); i++) {
        size_t from;
        size_t now;

        teardown();
        set_up(fake_disk_new());
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        fill(6);
        rig_close(&rig);
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        rig_close(&rig);
        spoils[i]("000000000002.seg");
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        from = fake_disk_now(rig.disk);
        sp_journal_passed(rig.journal, 1000);
        sp_journal_forget(rig.journal, 5);
        now = fake_disk_now(rig.disk);
        for (size_t at = from; at <= now; at++) {
            struct rig before = rig;
            size_t most = 1;

            set_up(fake_disk_crash(before.disk, at, FAKE_CRASH_ALL, 0));
            for (int round = 0; round < 3; round++) {
                ck_assert_int_eq(rig_open(&rig), SP_OK);
                ck_assert_msg(rig.damaged <= most, "spoilt %zu, operation %zu, round %d: %zu told",
                              i, at, round, rig.damaged);
                most = rig.damaged;
                sp_journal_commit(rig.journal);
                rig_close(&rig);
            }
            fake_disk_free(rig.disk);
            rig = before;
        }
    }
}
END_TEST

static const char *late; /* when a looker opens this one, the owner lets go of the first two */

static int open_late(void *ctx, const char *name, enum sp_io_open how)
{
    if (late != NULL && strcmp(name, late) == 0) {
        late = NULL;
        sp_journal_passed(rig.journal, 1000);
        sp_journal_forget(rig.journal, 3);
    }
    return fake_disk_io(rig.disk)->open(ctx, name, how);
}

static void ignore(void *arg, const struct sp_journal_entry *e)
{
    (void)arg;
    (void)e;
}

START_TEST(who_looks_while_segments_end_misses_none)
{
    static const char *const names[] = {"000000000001.seg", "000000000002.seg"};

    fill(4);
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        struct rig before = rig;
        struct sp_journal_options look;
        struct sp_journal_io io;
        struct sp_journal_recovery found = {0};
        struct sp_journal *looker = NULL;
        struct sp_err err;

        set_up(fake_disk_crash(before.disk, fake_disk_now(before.disk), FAKE_CRASH_ALL, 0));
        rig.count = before.count;
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        io = *fake_disk_io(rig.disk);
        io.open = open_late;
        look = rig.options;
        look.io = &io;
        look.read_only = true;
        look.on_entry = ignore;
        late = names[i];
        ck_assert_int_eq(sp_journal_open(&look, &looker, &found, &err), SP_OK);
        ck_assert_ptr_null(late);
        ck_assert_int_lt(fake_disk_len(rig.disk, names[i]), 0);
        ck_assert_uint_eq(found.damaged, 0);
        sp_journal_close(looker);
        rig_close(&rig);
        fake_disk_free(rig.disk);
        rig = before;
    }
}
END_TEST

/* Opens what is there after a crash, twice, as the first opening goes on with what was begun. */
static void crash_and_open(size_t at, enum fake_crash how, uint64_t seed)
{
    struct rig before = rig;

    set_up(fake_disk_crash(before.disk, at, how, seed));
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(rig_open(&rig), SP_OK);
        ck_assert_msg(rig.damaged == 0,
                      "operation %zu, seed %u, round %d: damage where there is none", at,
                      (unsigned)seed, round);
        sp_journal_commit(rig.journal);
        rig_close(&rig);
    }
    fake_disk_free(rig.disk);
    rig = before;
}

START_TEST(a_deletion_that_is_cut_at_any_moment_is_no_loss)
{
    size_t from;
    size_t now;

    fill(6);
    from = fake_disk_now(rig.disk);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 3);
    (void)rig_append(&rig, SP_JOURNAL_ASKED, 50000);
    sp_journal_commit(rig.journal);
    sp_journal_forget(rig.journal, 6);
    rig_close(&rig);
    ck_assert_int_eq(rig_open(&rig), SP_OK);
    sp_journal_passed(rig.journal, 1000);
    sp_journal_forget(rig.journal, 1000); /* all but the newest */
    now = fake_disk_now(rig.disk);
    for (size_t at = from; at <= now; at++)
        for (uint64_t seed = 0; seed < 4; seed++)
            crash_and_open(at,
                           seed == 0   ? FAKE_CRASH_ALL
                           : seed == 1 ? FAKE_CRASH_NONE
                                       : FAKE_CRASH_SOME,
                           seed * 1000 + at);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_older_keyring_costs_no_more_than_what_came_since);
    tcase_add_test(c, a_flipped_byte_of_a_segments_header_costs_nothing);
    tcase_add_test(c, a_flipped_byte_of_the_keyring_costs_nothing);
    tcase_add_test(c, a_keyring_is_whole_again_when_one_of_two_was_damaged);
    tcase_add_test(c, a_keyring_of_version_1_is_read);
    tcase_add_test(c, a_segments_header_is_whole_again_when_one_of_two_was_damaged);
    tcase_add_test(c, a_header_that_can_not_be_mended_is_read_from_its_copy);
    tcase_add_test(c, a_header_that_stands_there_once_is_no_damage);
    tcase_add_test(c, a_segment_under_another_number_is_refused_and_stays);
    tcase_add_test(c, a_strange_number_is_refused_and_not_walked_to);
    tcase_add_test(c, a_last_number_that_no_log_reaches_is_refused);
    tcase_add_test(c, a_segment_without_its_header_names_its_messages);
    tcase_add_test(c, a_segment_whose_file_is_gone_is_missed);
    tcase_add_test(c, a_segment_that_was_emptied_is_missed);
    tcase_add_test(c, a_segment_that_was_emptied_is_missed_beside_a_keyring_of_version_1);
    tcase_add_test(c, an_emptied_segment_that_no_keyring_named_is_missed);
    tcase_add_test(c, a_damaged_segment_whose_key_is_gone_goes_too);
    tcase_add_test(c, a_deletion_of_a_damaged_segment_that_is_cut_is_no_other_loss);
    tcase_add_test(c, a_segment_cut_to_its_header_is_missed);
    tcase_add_test(c, the_newest_segment_is_missed_and_its_number_is_not_given_again);
    tcase_add_test(c, a_deletion_that_is_cut_at_any_moment_is_no_loss);
    tcase_add_test(c, what_is_missing_behind_one_without_a_key_is_no_loss);
    tcase_add_test(c, who_looks_while_segments_end_misses_none);
}

SP_TEST_MAIN("journal.damage", add)
