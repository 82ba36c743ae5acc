/* How a backup holds files while the gateway goes on: names stand for the files that bear them when it looks again. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/cli-spool/spool.h"
#include "support/check_main.h"

static char top[64];
static char from[128];
static char to[128];

static void set_up(void)
{
    snprintf(top, sizeof(top), "/tmp/sp-copy-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(from, sizeof(from), "%s/from", top);
    snprintf(to, sizeof(to), "%s/to", top);
    ck_assert_int_eq(mkdir(from, 0700), 0);
}

static void tear_down(void)
{
    spool_remove(top);
    ck_assert_int_ne(access(top, F_OK), 0);
}

/* A new file, whatever bore the name before. */
static void put(const char *folder, const char *name, const char *text)
{
    char path[200], other[200];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(other, sizeof(other), "%s/.new", folder);
    file = fopen(other, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(rename(other, path), 0);
}

static void expect(const char *name, const char *text)
{
    char path[200], got[100] = "";
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", to, name);
    file = fopen(path, "re");
    if (text == NULL) {
        ck_assert_ptr_null(file);
        return;
    }
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(got, sizeof(got), file));
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_str_eq(got, text);
}

static ino_t inode(const char *folder, const char *name)
{
    char path[200];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_ino;
}

/* A segment that failed before anything in it was durable gives its number to the next: then that one counts. */
START_TEST(a_name_that_is_held_follows_its_file)
{
    static const struct spool_walk links = {.links = true};
    char path[200];
    FILE *file;

    put(from, "000000000001.seg", "first");
    put(from, "000000000002.seg", "second");
    ck_assert(spool_walk(&links, from, to, 0));
    ck_assert_uint_eq(inode(to, "000000000001.seg"), inode(from, "000000000001.seg"));
    put(from, "000000000002.seg", "second anew"); /* another file under the same name */
    put(from, "000000000003.seg", "third");
    snprintf(path, sizeof(path), "%s/000000000001.seg", from); /* the same file, grown */
    file = fopen(path, "ae");
    ck_assert(file != NULL && fputs(" grown", file) >= 0 && fclose(file) == 0);
    ck_assert(spool_walk(&links, from, to, 0));
    expect("000000000001.seg", "first grown");
    expect("000000000002.seg", "second anew");
    expect("000000000003.seg", "third");
    ck_assert_uint_eq(inode(to, "000000000002.seg"), inode(from, "000000000002.seg"));
}
END_TEST

/* What was held stays, though the gateway has no more need of it: other files name what is in it. */
START_TEST(what_is_held_outlives_its_name)
{
    static const struct spool_walk links = {.links = true};
    char path[200];

    put(from, "000000000001.seg", "first");
    ck_assert(spool_walk(&links, from, to, 0));
    snprintf(path, sizeof(path), "%s/000000000001.seg", from);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(spool_walk(&links, from, to, 0));
    expect("000000000001.seg", "first");
}
END_TEST

START_TEST(a_copy_stays_unless_it_is_to_be_replaced)
{
    static const struct spool_walk plain = {0}, replaces = {.replaces = true};

    put(from, "a", "old");
    ck_assert(spool_walk(&plain, from, to, 0));
    put(from, "a", "new");
    ck_assert(spool_walk(&plain, from, to, 0));
    expect("a", "old");
    ck_assert(spool_walk(&replaces, from, to, 0));
    expect("a", "new");
    expect("b", NULL);
}
END_TEST

static void hold_four(void)
{
    ck_assert_int_eq(mkdir(to, 0700), 0);
    for (const char *n = "1246"; *n != 0; n++) {
        char name[32];

        snprintf(name, sizeof(name), "00000000000%c.seg", *n);
        put(to, name, "held");
    }
}

/* The third went while they were held: so the first two had gone before, of which there are second names. */
START_TEST(what_ended_before_a_gap_is_let_go)
{
    hold_four();
    put(from, "000000000004.seg", "there"); /* and has lost its next one */
    put(from, "000000000006.seg", "there");
    ck_assert(spool_drop_ended(to, from, from));
    expect("000000000001.seg", NULL);
    expect("000000000002.seg", NULL);
    expect("000000000004.seg", "held");
    expect("000000000006.seg", "held");
}
END_TEST

START_TEST(what_has_lost_its_next_one_stays)
{
    hold_four();
    put(from, "000000000001.seg", "there");
    put(from, "000000000002.seg", "there");
    put(from, "000000000004.seg", "there");
    ck_assert(!spool_drop_ended(to, from, from));
    expect("000000000001.seg", "held");
    expect("000000000004.seg", "held");
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_name_that_is_held_follows_its_file);
    tcase_add_test(c, what_ended_before_a_gap_is_let_go);
    tcase_add_test(c, what_has_lost_its_next_one_stays);
    tcase_add_test(c, what_is_held_outlives_its_name);
    tcase_add_test(c, a_copy_stays_unless_it_is_to_be_replaced);
}

SP_TEST_MAIN("queue.spool_copy", add)
