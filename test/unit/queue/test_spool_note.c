/* What a command run by root leaves in a folder that a role writes to: no file of anybody else's gets there with it. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/cli-spool/spool.h"
#include "support/check_main.h"

#define SECRET "the secret of somebody else"

static char top[64];
static char ledger[128];
static char secret[128];
static char note[200];
static char fresh[200];
static struct spool *s;
static int failures;

/* Of the command's main.c: counted here. */
int spool_fail(const struct spool *spool, int code, const char *format, ...)
{
    (void)spool;
    (void)format;
    failures++;
    return code;
}

static void put(const char *path, const char *text, size_t times)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    while (times-- > 0)
        ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
    (void)snprintf(top, sizeof(top), "/tmp/sp-note-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    (void)snprintf(ledger, sizeof(ledger), "%s/ledger", top);
    (void)snprintf(secret, sizeof(secret), "%s/secret", top);
    (void)snprintf(note, sizeof(note), "%s/" SPOOL_NOTE, ledger);
    (void)snprintf(fresh, sizeof(fresh), "%s/" SPOOL_NOTE ".new", ledger);
    ck_assert_int_eq(mkdir(ledger, 0700), 0);
    put(secret, SECRET, 1);
    s = sp_calloc(1, sizeof(*s));
    s->config_path = "/nonexistent";
    s->loop = sp_loop_new();
    (void)snprintf(s->state, sizeof(s->state), "%s", top);
    failures = 0;
}

static void tear_down(void)
{
    sp_loop_free(s->loop);
    sp_free(s);
    spool_remove(top);
}

static void read_all(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    sp_buf_init(out, (size_t)1 << 20);
    ck_assert_int_ge(fd, 0);
    ck_assert(spool_read_whole(fd, out));
    ck_assert_int_eq(close(fd), 0);
}

static size_t lines(void)
{
    struct sp_buf text;
    size_t n = 0;

    read_all(note, &text);
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    ck_assert_uint_eq(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT(SECRET)), SIZE_MAX);
    sp_buf_clear(&text);
    return n;
}

static void expect_secret(void)
{
    struct sp_buf text;

    read_all(secret, &text);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&text), SP_LIT(SECRET)));
    sp_buf_clear(&text);
}

START_TEST(each_time_another_line)
{
    struct stat st;

    spool_note_master(s, "master-key-replaced");
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 0);
    ck_assert_uint_eq(lines(), 2);
    ck_assert_int_eq(lstat(note, &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    ck_assert_int_ne(access(fresh, F_OK), 0);
}
END_TEST

START_TEST(no_link_is_followed_to_read)
{
    struct stat st;

    ck_assert_int_eq(symlink(secret, note), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    ck_assert_int_eq(lstat(note, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(unlink(note), 0);

    ck_assert_int_eq(link(secret, note), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 2);
    ck_assert_int_eq(lstat(note, &st), 0);
    ck_assert_uint_eq(st.st_nlink, 2);
    expect_secret();
    ck_assert_int_ne(access(fresh, F_OK), 0);
}
END_TEST

START_TEST(a_pipe_holds_nothing_up)
{
    ck_assert_int_eq(mkfifo(note, 0600), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    ck_assert_int_eq(unlink(note), 0);
    ck_assert_int_eq(mkfifo(fresh, 0600), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    ck_assert_uint_eq(lines(), 1);
}
END_TEST

START_TEST(no_link_is_followed_to_write)
{
    ck_assert_int_eq(symlink(secret, fresh), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_uint_eq(lines(), 1);
    ck_assert_int_eq(link(secret, fresh), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_uint_eq(lines(), 2);
    ck_assert_int_eq(failures, 0);
    expect_secret();
}
END_TEST

START_TEST(the_folder_itself_is_no_link)
{
    char other[128];

    (void)snprintf(other, sizeof(other), "%s/other", top);
    ck_assert_int_eq(rename(ledger, other), 0);
    ck_assert_int_eq(symlink(other, ledger), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    ck_assert_int_ne(access(note, F_OK), 0);
}
END_TEST

/* What was left before is not lost for one line more. */
START_TEST(a_note_that_is_too_long_stays)
{
    struct stat st;

    put(note, "master-key-replaced 0 1\n", 20000);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    ck_assert_int_eq(stat(note, &st), 0);
    ck_assert_int_eq(st.st_size, 20000 * (off_t)strlen("master-key-replaced 0 1\n"));
}
END_TEST

/* The file of another owner shows only to root: as root the folder is made somebody else's. */
START_TEST(root_copies_no_second_name_of_its_own_files)
{
    char to[200];
    struct stat is;
    int fd;

    if (geteuid() != 0)
        return;
    (void)snprintf(to, sizeof(to), "%s/copy", top);
    ck_assert_int_eq(chown(ledger, 65534, 65534), 0);
    ck_assert_int_eq(link(secret, note), 0);
    ck_assert(!spool_copy_file(note, to, UINT64_MAX));
    ck_assert_int_ne(access(to, F_OK), 0);
    ck_assert_int_eq(unlink(note), 0);
    put(note, "one line\n", 1); /* its owner is not the folder's */
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    ck_assert_int_eq(unlink(note), 0);
    spool_note_master(s, "master-key-replaced");
    ck_assert_int_eq(failures, 1);
    fd = open(note, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &is), 0);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_uint_eq(is.st_uid, 65534);
}
END_TEST

START_TEST(a_copy_takes_files_alone)
{
    char to[200];

    (void)snprintf(to, sizeof(to), "%s/copy", top);
    ck_assert_int_eq(mkfifo(note, 0600), 0);
    ck_assert(!spool_copy_file(note, to, UINT64_MAX)); /* nor waits for a writer */
    ck_assert(spool_copy_file(secret, fresh, UINT64_MAX));
    ck_assert_int_eq(unlink(note), 0);
    ck_assert_int_eq(symlink(secret, note), 0);
    ck_assert(!spool_copy_file(note, to, UINT64_MAX));
    ck_assert(spool_copy_file(fresh, note, UINT64_MAX)); /* instead of the link */
    expect_secret();
    ck_assert_int_eq(unlink(note), 0);
    ck_assert_int_eq(link(secret, note), 0);
    put(fresh, "other", 1);
    ck_assert(
        spool_copy_file(fresh, note, UINT64_MAX)); /* not into the file that has another name */
    expect_secret();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, each_time_another_line);
    tcase_add_test(c, no_link_is_followed_to_read);
    tcase_add_test(c, a_pipe_holds_nothing_up);
    tcase_add_test(c, no_link_is_followed_to_write);
    tcase_add_test(c, the_folder_itself_is_no_link);
    tcase_add_test(c, a_note_that_is_too_long_stays);
    tcase_add_test(c, a_copy_takes_files_alone);
    tcase_add_test(c, root_copies_no_second_name_of_its_own_files);
}

SP_TEST_MAIN("queue.spool_note", add)
