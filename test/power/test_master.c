/*
 * A change of the master key and the power: it goes at every operation of two changes, with everything, nothing and seeded
 * parts of what was not synced kept; and every operation fails once, or from then on. Whatever is found, the key file and
 * the root file give the root secret that all keys are derived from, and a change begun anew ends well. Leaving a sync out
 * is noticed.
 */
#include "power/disk.h"

#include "base/mem.h"
#include "crypt/root.h"
#include "journal/master.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 6, NAMES = 8, EVERY = 0x7fffffff };

static const uint8_t first_key[SP_SECRET_LEN] = {7, 7, 7};

/* Syncs that the order of what follows makes safe, too. */
static const char *const not_needed[] = {
    "keys folder sync after rename to master.key.next", /* the next one comes before it is used */
    "ledger sync of file", /* the old key, which has no name any more */
};

static size_t cuts;

struct rig {
    struct power_disk *disk;
    struct power_view view;
    struct fake_random random;
    size_t ready;      /* moment when the first key was there */
    size_t site_count; /* syncs until then, which are not the change's */
};

static void rig_open(struct rig *r, struct power_disk *disk)
{
    *r = (struct rig){.disk = disk};
    power_view_init(&r->view, disk, "keys");
    fake_random_init(&r->random, 5);
}

static void rig_init(struct rig *r, const char *skip)
{
    struct iovec piece = {.iov_base = (void *)first_key, .iov_len = sizeof(first_key)};
    struct sp_journal_io *io;
    int fd;

    rig_open(r, power_disk_new());
    power_disk_folder(r->disk, "keys");
    io = &r->view.io;
    fd = io->open(io->ctx, "master.key", SP_IO_OPEN_CREATE_PRIVATE);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(io->pwritev(io->ctx, fd, &piece, 1, 0), sizeof(first_key));
    ck_assert_int_eq(io->sync(io->ctx, fd), 0);
    io->close(io->ctx, fd);
    ck_assert_int_eq(io->sync_folder(io->ctx, "."), 0);
    r->ready = power_disk_now(r->disk);
    while (power_disk_site(r->disk, r->site_count) != NULL)
        r->site_count++;
    power_disk_skip(r->disk, skip);
}

static enum sp_rc rotate(struct rig *r)
{
    struct sp_err err = {0};

    return sp_journal_master_rotate(&r->view.io, "master.key", &r->random.random, &err);
}

/* What a start finds. returns: what is wrong, or NULL */
static const char *judge(struct power_disk *d)
{
    size_t key_len = 0;
    size_t root_len = 0;
    uint8_t *key = power_disk_read(d, "keys/master.key", &key_len);
    uint8_t *root = power_disk_read(d, "keys/master.key.root", &root_len);
    struct sp_secret found;
    const char *wrong = NULL;

    if (key == NULL)
        wrong = "there is no key";
    else if (sp_crypt_root_open(sp_bytes(key, key_len), sp_bytes(root, root_len), &found) != SP_OK)
        wrong = "the key does not open the root";
    else if (memcmp(found.b, first_key, sizeof(first_key)) != 0)
        wrong = "the root is another one";
    sp_free(key);
    sp_free(root);
    return wrong;
}

/* The same, and a change begun anew ends. */
static const char *judge_and_go_on(struct power_disk *d)
{
    const char *wrong = judge(d);
    struct rig r;

    cuts++;
    if (wrong != NULL)
        return wrong;
    rig_open(&r, d);
    r.random.state += 99;
    return rotate(&r) != SP_OK ? "a change begun anew fails" : judge(d);
}

/* returns: what a power cut at some moment of two changes leaves wrong, or NULL */
static const char *two_changes(const char *skip, size_t *at)
{
    const char *wrong = NULL;
    struct power_walk *walk;
    struct rig r;

    rig_init(&r, skip);
    ck_assert_int_eq(rotate(&r), SP_OK);
    ck_assert_int_eq(rotate(&r), SP_OK);
    walk = power_walk_new(r.disk);
    for (*at = r.ready; *at <= power_disk_now(r.disk) && wrong == NULL; (*at)++) {
        power_walk_to(walk, *at);
        for (uint64_t seed = 0; seed < SEEDS + 2 && wrong == NULL; seed++) {
            enum power_crash how = seed == 0 ? POWER_ALL : seed == 1 ? POWER_NONE : POWER_SOME;
            struct power_disk *found = power_walk_crash(walk, how, *at * 100 + seed);

            wrong = judge_and_go_on(found);
            power_disk_free(found);
        }
    }
    power_walk_free(walk);
    power_disk_free(r.disk);
    return wrong;
}

START_TEST(a_power_cut_at_any_moment_leaves_a_key_that_opens)
{
    size_t at;
    const char *wrong = two_changes(NULL, &at);

    ck_assert_msg(wrong == NULL, "%s, at %zu", wrong == NULL ? "" : wrong, at);
    ck_assert_uint_ge(cuts, 200);
}
END_TEST

START_TEST(no_sync_can_be_left_out)
{
    char sites[NAMES][POWER_SITE_MAX];
    size_t count = 0;
    struct rig r;

    rig_init(&r, NULL);
    ck_assert_int_eq(rotate(&r), SP_OK);
    for (size_t i = r.site_count; power_disk_site(r.disk, i) != NULL && count < NAMES; i++)
        memcpy(sites[count++], power_disk_site(r.disk, i), POWER_SITE_MAX);
    power_disk_free(r.disk);
    ck_assert_uint_ge(count, 4);
    for (size_t i = 0; i < count; i++) {
        bool excused = false;
        size_t at;

        for (size_t k = 0; k < SP_ARRAY_LEN(not_needed); k++)
            excused = excused || strcmp(sites[i], not_needed[k]) == 0;
        if (!excused)
            ck_assert_msg(two_changes(sites[i], &at) != NULL, "not noticed: %s", sites[i]);
    }
}
END_TEST

static void fail_one(size_t n, size_t count, int errnum)
{
    struct power_disk *found;
    struct power_walk *walk;
    const char *wrong;
    struct rig r;

    rig_init(&r, NULL);
    power_disk_fail(r.disk, &(struct power_fault){.first = power_disk_passed(r.disk) + n,
                                                  .count = count,
                                                  .errnum = errnum,
                                                  .kinds = ~0U});
    (void)rotate(&r);
    wrong = judge(r.disk);
    ck_assert_msg(wrong == NULL, "%s, operation %zu", wrong == NULL ? "" : wrong, n);
    walk = power_walk_new(r.disk);
    power_walk_to(walk, power_disk_now(r.disk));
    found = power_walk_crash(walk, POWER_NONE, n);
    wrong = judge_and_go_on(found);
    ck_assert_msg(wrong == NULL, "%s, operation %zu, and the power", wrong == NULL ? "" : wrong, n);
    power_disk_free(found);
    power_walk_free(walk);
    power_disk_fail(r.disk, &(struct power_fault){0});
    wrong = judge_and_go_on(r.disk);
    ck_assert_msg(wrong == NULL, "%s, operation %zu, mended", wrong == NULL ? "" : wrong, n);
    power_disk_free(r.disk);
}

START_TEST(a_disk_that_fails_leaves_a_key_that_opens)
{
    static const int errors[] = {EIO, ENOSPC, 0};

    for (size_t n = 0; n < 24; n++) {
        for (size_t e = 0; e < SP_ARRAY_LEN(errors); e++) {
            fail_one(n, 1, errors[e]);
            fail_one(n, EVERY, errors[e]);
        }
    }
}
END_TEST

START_TEST(the_old_key_opens_nothing_any_more)
{
    struct sp_secret out;
    struct rig r;
    uint8_t *root;
    size_t len;

    rig_init(&r, NULL);
    ck_assert_int_eq(rotate(&r), SP_OK);
    root = power_disk_read(r.disk, "keys/master.key.root", &len);
    ck_assert_int_eq(
        sp_crypt_root_open(sp_bytes(first_key, sizeof(first_key)), sp_bytes(root, len), &out),
        SP_E_CRYPT_KEY);
    sp_free(root);
    power_disk_free(r.disk);
}
END_TEST

static void add(TCase *c)
{
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_power_cut_at_any_moment_leaves_a_key_that_opens);
    tcase_add_test(c, no_sync_can_be_left_out);
    tcase_add_test(c, a_disk_that_fails_leaves_a_key_that_opens);
    tcase_add_test(c, the_old_key_opens_nothing_any_more);
}

SP_TEST_MAIN("power.master", add)
