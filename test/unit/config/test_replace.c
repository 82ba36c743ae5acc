/*
 * Files that a command writes: who may read the one before may read the next, and nobody else.
 */
#include "config/replace.h"
#include "support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char folder[64], path[96];
};

static void begin(struct place *p)
{
    snprintf(p->folder, sizeof(p->folder), "/tmp/sp-replace-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(p->folder));
    snprintf(p->path, sizeof(p->path), "%s/list.txt", p->folder);
}

static void end(const struct place *p)
{
    char beside[128];

    snprintf(beside, sizeof(beside), "%s.new~", p->path);
    ck_assert_int_ne(access(beside, F_OK), 0);
    (void)unlink(p->path);
    ck_assert_int_eq(rmdir(p->folder), 0);
}

static void expect(const struct place *p, const char *text, mode_t mode)
{
    FILE *f = fopen(p->path, "rbe");
    char now[64] = "";
    struct stat st;

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fstat(fileno(f), &st), 0);
    (void)fread(now, 1, sizeof(now) - 1, f);
    (void)fclose(f);
    ck_assert_str_eq(now, text);
    ck_assert_uint_eq(st.st_mode & 07777, mode);
}

START_TEST(a_new_file_is_as_open_as_asked)
{
    struct place p;
    mode_t mask = umask(022);

    begin(&p);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("a\n"), 0640), SP_OK);
    expect(&p, "a\n", 0640);
    (void)unlink(p.path);
    (void)umask(077);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("b\n"), 0644), SP_OK);
    expect(&p, "b\n", 0600);
    (void)umask(mask);
    end(&p);
}
END_TEST

START_TEST(one_that_is_there_stays_as_open_as_it_was)
{
    static const mode_t modes[] = {0600, 0640, 0660, 0644};
    struct place p;

    begin(&p);
    for (size_t i = 0; i < SP_ARRAY_LEN(modes); i++) {
        ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("before\n"), 0644), SP_OK);
        ck_assert_int_eq(chmod(p.path, modes[i]), 0);
        ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("after\n"), 0644), SP_OK);
        expect(&p, "after\n", modes[i]);
    }
    end(&p);
}
END_TEST

START_TEST(a_link_stays_one)
{
    struct place p;
    char target[128];

    begin(&p);
    snprintf(target, sizeof(target), "%s/target", p.folder);
    ck_assert_int_eq(symlink(target, p.path), 0);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("a\n"), 0644), SP_E_DENIED);
    ck_assert(sp_config_is_link(p.path));
    ck_assert_int_ne(access(target, F_OK), 0);
    end(&p);
}
END_TEST

START_TEST(its_owner_keeps_it)
{
    struct place p;
    struct stat st;

    if (geteuid() != 0) /* whose it could be but ours takes root to try */
        return;
    begin(&p);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("before\n"), 0640), SP_OK);
    ck_assert_int_eq(chown(p.path, 65534, 65533), 0);
    ck_assert_int_eq(chmod(p.path, 0440), 0);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("after\n"), 0644), SP_OK);
    expect(&p, "after\n", 0440);
    ck_assert_int_eq(stat(p.path, &st), 0);
    ck_assert_uint_eq(st.st_uid, 65534);
    ck_assert_uint_eq(st.st_gid, 65533);
    ck_assert_int_eq(chown(p.path, 0, 65533), 0);
    ck_assert_int_eq(chown(p.folder, 65534, 65534), 0);
    ck_assert_int_eq(setegid(65534), 0); /* who may not give it away leaves it */
    ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("other\n"), 0644), SP_E_DENIED);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(setegid(0), 0);
    expect(&p, "after\n", 0440);
    end(&p);
}
END_TEST

START_TEST(what_was_never_ended_opens_nothing)
{
    struct place p;
    char beside[128];
    FILE *f;

    begin(&p);
    snprintf(beside, sizeof(beside), "%s.new~", p.path);
    f = fopen(beside, "wbe");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fchmod(fileno(f), 0666), 0);
    (void)fclose(f);
    ck_assert_int_eq(sp_config_replace(p.path, SP_LIT("a\n"), 0640), SP_OK);
    expect(&p, "a\n", 0640);
    ck_assert_int_eq(sp_config_replace("/tmp/sp-replace-absent/x", SP_LIT("a"), 0640), SP_E_IO);
    end(&p);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_new_file_is_as_open_as_asked);
    tcase_add_test(c, one_that_is_there_stays_as_open_as_it_was);
    tcase_add_test(c, a_link_stays_one);
    tcase_add_test(c, its_owner_keeps_it);
    tcase_add_test(c, what_was_never_ended_opens_nothing);
}

SP_TEST_MAIN("config.replace", add)
