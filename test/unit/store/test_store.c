/* The store: migrations once and in order, transactions whole or not at all, types, constraints, deletion. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "support/check_main.h"

static const struct sp_store_migration steps[] = {
    {"first", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, data BLOB)"},
    {"second", "ALTER TABLE t ADD COLUMN extra TEXT; CREATE INDEX t_extra ON t(extra)"},
    {"broken", "CREATE TABLE u (a); INSERT INTO nowhere VALUES (1)"},
};

static char folder[64];
static char path[128];

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/sp-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/t.db", folder);
}

static void drop_folder(void)
{
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm", "t.db.v1", "t.db.v2"};
    char name[160];

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        snprintf(name, sizeof(name), "%s/%s", folder, names[i]);
        unlink(name);
    }
    rmdir(folder);
}

static struct sp_store *open_at(size_t version)
{
    struct sp_store_options options = {
        .migrations = steps, .migration_count = version, .secure_delete = true};
    struct sp_store *store = NULL;
    struct sp_err err = {0};

    ck_assert_msg(sp_store_open(path, &options, &store, &err) == SP_OK, "%s", err.text);
    return store;
}

static void insert(struct sp_store *store, const char *name, enum sp_rc expected)
{
    struct sp_store_query *q = sp_store_query(store, "INSERT INTO t(name, data) VALUES (?1, ?2)");
    struct sp_err err = {0};

    sp_store_bind_text(q, 1, sp_bytes_cstr(name));
    sp_store_bind_blob(q, 2, SP_LIT("\0\1\2"));
    ck_assert_int_eq(sp_store_run(q, &err), expected);
}

static int64_t count(struct sp_store *store)
{
    struct sp_store_query *q = sp_store_query(store, "SELECT count(*) FROM t");
    bool row;
    int64_t n;

    ck_assert_int_eq(sp_store_next(q, &row, NULL), SP_OK);
    ck_assert(row);
    n = sp_store_int(q, 0);
    sp_store_done(q);
    return n;
}

START_TEST(a_new_file_is_private_and_at_the_newest_schema)
{
    struct sp_store *store = open_at(2);
    struct stat st;

    ck_assert_uint_eq(sp_store_version(store), 2);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    sp_store_free(store);
}
END_TEST

START_TEST(an_older_file_is_copied_and_migrated_with_its_rows)
{
    struct sp_store *store = open_at(1);
    char copy[160];

    insert(store, "a", SP_OK);
    sp_store_free(store);
    store = open_at(2);
    ck_assert_int_eq(count(store), 1);
    sp_store_free(store);
    snprintf(copy, sizeof(copy), "%s.v1", path);
    ck_assert_int_eq(access(copy, R_OK), 0);
}
END_TEST

START_TEST(a_newer_file_is_refused)
{
    struct sp_store_options older = {.migrations = steps, .migration_count = 1};
    struct sp_store *store = open_at(2);
    struct sp_err err = {0};

    sp_store_free(store);
    ck_assert_int_eq(sp_store_open(path, &older, &store, &err), SP_E_STORE_FAILED);
    ck_assert_ptr_nonnull(strstr(err.text, "newer"));
}
END_TEST

START_TEST(a_step_that_fails_leaves_the_older_schema_whole)
{
    struct sp_store_options broken = {.migrations = steps, .migration_count = 3};
    struct sp_store *store = open_at(2);
    struct sp_err err = {0};

    sp_store_free(store);
    store = NULL;
    ck_assert_int_eq(sp_store_open(path, &broken, &store, &err), SP_E_STORE_FAILED);
    store = open_at(2);
    ck_assert_uint_eq(sp_store_version(store), 2);
    ck_assert_int_eq(sp_store_exec(store, "CREATE TABLE u (a)", &err), SP_OK);
    sp_store_free(store);
}
END_TEST

/* returns: the log's length after so many commits */
static off_t log_after(unsigned log_pages, int commits)
{
    struct sp_store_options options = {
        .migrations = steps, .migration_count = 2, .log_pages = log_pages};
    struct sp_store *store = NULL;
    char log[160], name[16];
    struct stat st;

    ck_assert_int_eq(sp_store_open(path, &options, &store, NULL), SP_OK);
    for (int i = 0; i < commits; i++) {
        snprintf(name, sizeof(name), "%u-%d", log_pages, i);
        insert(store, name, SP_OK);
    }
    snprintf(log, sizeof(log), "%s-wal", path);
    ck_assert_int_eq(stat(log, &st), 0);
    sp_store_free(store);
    return st.st_size;
}

START_TEST(the_log_goes_into_the_file_at_its_pages)
{
    off_t small = log_after(10, 100), large = log_after(200, 100);

    ck_assert_msg(small < (off_t)30 * 4096, "%lld bytes", (long long)small);
    ck_assert_msg(large >= (off_t)100 * 4096, "%lld bytes", (long long)large);
}
END_TEST

START_TEST(a_rolled_back_transaction_leaves_nothing)
{
    struct sp_store *store = open_at(2);

    ck_assert_int_eq(sp_store_begin(store, NULL), SP_OK);
    insert(store, "a", SP_OK);
    sp_store_rollback(store);
    ck_assert_int_eq(count(store), 0);
    ck_assert_int_eq(sp_store_begin(store, NULL), SP_OK);
    insert(store, "a", SP_OK);
    ck_assert_int_eq(sp_store_commit(store, NULL), SP_OK);
    ck_assert_int_eq(count(store), 1);
    sp_store_free(store);
}
END_TEST

START_TEST(a_second_of_the_same_name_exists_already)
{
    struct sp_store *store = open_at(2);

    insert(store, "a", SP_OK);
    insert(store, "a", SP_E_EXISTS);
    insert(store, "b", SP_OK);
    ck_assert_int_eq(count(store), 2);
    sp_store_free(store);
}
END_TEST

START_TEST(values_come_back_as_they_went_in)
{
    struct sp_store *store = open_at(2);
    struct sp_store_query *q;
    bool row;

    q = sp_store_query(store, "INSERT INTO t(id, name, data, extra) VALUES (?1, ?2, ?3, ?4)");
    sp_store_bind_int(q, 1, INT64_MAX);
    sp_store_bind_text(q, 2, SP_LIT("it's; a -- name"));
    sp_store_bind_blob(q, 3, sp_bytes(NULL, 0));
    sp_store_bind_null(q, 4);
    ck_assert_int_eq(sp_store_run(q, NULL), SP_OK);
    ck_assert(sp_store_last_id(store) == INT64_MAX);
    ck_assert_uint_eq(sp_store_changes(store), 1);
    q = sp_store_query(store, "SELECT id, name, data, extra FROM t");
    ck_assert_int_eq(sp_store_next(q, &row, NULL), SP_OK);
    ck_assert(row);
    ck_assert(sp_store_int(q, 0) == INT64_MAX);
    ck_assert(sp_bytes_eq(sp_store_text(q, 1), SP_LIT("it's; a -- name")));
    ck_assert_uint_eq(sp_store_blob(q, 2).len, 0);
    ck_assert(!sp_store_is_null(q, 2));
    ck_assert(sp_store_is_null(q, 3));
    ck_assert_uint_eq(sp_store_text(q, 3).len, 0);
    ck_assert_int_eq(sp_store_next(q, &row, NULL), SP_OK);
    ck_assert(!row);
    sp_store_free(store);
}
END_TEST

static void add_length(void *arg, struct sp_bytes row)
{
    *(size_t *)arg += row.len;
}

/* Who only looks sees what stands in the log as well, changes nothing, and is told of a damaged file. */
START_TEST(another_process_may_look)
{
    struct sp_store *store = open_at(2);
    struct sp_err err = {0};
    size_t len = 0;
    int fd;

    insert(store, "a", SP_OK);
    insert(store, "b", SP_OK);
    ck_assert_int_eq(sp_store_look(path, "SELECT data FROM t", add_length, &len, &err), SP_OK);
    ck_assert_uint_eq(len, 6);
    ck_assert_int_eq(sp_store_look(path, "DELETE FROM t", add_length, &len, &err),
                     SP_E_STORE_FAILED);
    ck_assert_int_eq(count(store), 2);
    sp_store_free(store);
    len = 0;
    ck_assert_int_eq(sp_store_look(path, "SELECT data FROM t", add_length, &len, &err), SP_OK);
    ck_assert_uint_eq(len, 6);
    ck_assert_int_eq(sp_store_examine(path, &err), SP_OK);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "no database at all", 18, 0), 18);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(sp_store_look(path, "SELECT data FROM t", add_length, &len, &err),
                     SP_E_STORE_FAILED);
    ck_assert_msg(strstr(err.text, path) != NULL, "%s", err.text);
    ck_assert_int_eq(sp_store_examine(path, &err), SP_E_STORE_FAILED);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(sp_store_examine(path, &err), SP_E_STORE_FAILED);
    ck_assert_msg(strstr(err.text, "empty") != NULL, "%s", err.text);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600),
                     0); /* who looks may be root, and a role put it there: nobody waits for it */
    ck_assert_int_eq(sp_store_examine(path, &err), SP_E_STORE_FAILED);
    ck_assert_msg(strstr(err.text, "no file") != NULL, "%s", err.text);
}
END_TEST

START_TEST(wrong_sql_and_wrong_parameters_are_errors_not_crashes)
{
    struct sp_store *store = open_at(2);
    struct sp_store_query *q = sp_store_query(store, "SELECT a FROM nowhere");
    struct sp_err err = {0};
    bool row;

    sp_store_bind_int(q, 1, 1);
    ck_assert_int_eq(sp_store_next(q, &row, &err), SP_E_STORE_FAILED);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
    q = sp_store_query(store, "SELECT id FROM t WHERE id = ?1");
    sp_store_bind_int(q, 2, 1);
    ck_assert_int_eq(sp_store_next(q, &row, &err), SP_E_STORE_FAILED);
    sp_store_free(store);
}
END_TEST

static bool file_holds(const char *name, struct sp_bytes needle)
{
    char *data;
    off_t len;
    bool found = false;
    int fd = open(name, O_RDONLY);

    if (fd < 0)
        return false;
    len = lseek(fd, 0, SEEK_END);
    data = sp_malloc((size_t)len + 1);
    if (pread(fd, data, (size_t)len, 0) == len)
        found = sp_bytes_find_all(sp_bytes(data, (size_t)len), needle) != SIZE_MAX;
    sp_free(data);
    close(fd);
    return found;
}

START_TEST(deleted_rows_leave_no_trace_after_a_checkpoint)
{
    struct sp_store *store = open_at(2);
    char wal[160];

    snprintf(wal, sizeof(wal), "%s-wal", path);
    insert(store, "secret-of-the-row", SP_OK);
    ck_assert(file_holds(wal, SP_LIT("secret-of-the-row")));
    ck_assert_int_eq(sp_store_checkpoint(store, NULL), SP_OK);
    ck_assert(file_holds(path, SP_LIT("secret-of-the-row")));
    ck_assert_int_eq(sp_store_run(sp_store_query(store, "DELETE FROM t"), NULL), SP_OK);
    ck_assert_int_eq(sp_store_checkpoint(store, NULL), SP_OK);
    ck_assert(!file_holds(path, SP_LIT("secret-of-the-row")));
    ck_assert(!file_holds(wal, SP_LIT("secret-of-the-row")));
    sp_store_free(store);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, make_folder, drop_folder);
    tcase_add_test(c, a_new_file_is_private_and_at_the_newest_schema);
    tcase_add_test(c, an_older_file_is_copied_and_migrated_with_its_rows);
    tcase_add_test(c, a_newer_file_is_refused);
    tcase_add_test(c, a_step_that_fails_leaves_the_older_schema_whole);
    tcase_add_test(c, the_log_goes_into_the_file_at_its_pages);
    tcase_add_test(c, a_rolled_back_transaction_leaves_nothing);
    tcase_add_test(c, a_second_of_the_same_name_exists_already);
    tcase_add_test(c, values_come_back_as_they_went_in);
    tcase_add_test(c, another_process_may_look);
    tcase_add_test(c, wrong_sql_and_wrong_parameters_are_errors_not_crashes);
    tcase_add_test(c, deleted_rows_leave_no_trace_after_a_checkpoint);
}

SP_TEST_MAIN("store.store", add)
