/*
 * TLS reports on their way: each is planned once when its day has ended, tried with growing pauses for a day, and sent once,
 * whichever process forgets what.
 */
#include <stdio.h>
#include <unistd.h>

#include "audit/reports.h"
#include "chain.h"
#include "support/check_main.h"

#define WALL_MS  1795359845118 /* 2026-11-22T15:04:05Z */
#define HOUR_MS  ((int64_t)3600 * 1000)
#define NEXT_DAY (WALL_MS + 24 * HOUR_MS)
#define RETRY_MS 60000

static char folder[64];
static char file_path[128];
static char base_path[128];
static struct fake_clock fake;
static struct sp_audit_signer signer;
static struct sp_audit_book *book;

static void open_book(void)
{
    struct sp_audit_book_options options = {.database = base_path,
                                            .file = file_path,
                                            .signer = &signer,
                                            .clock = &fake.clock,
                                            .organization = "Clinic"};
    struct sp_err err = {0};

    ck_assert_msg(sp_audit_book_open(&options, &book, &err) == SP_OK, "%s", err.text);
}

static void say(const char *event)
{
    ck_assert_int_eq(sp_audit_book_say(book, sp_bytes_cstr(event), NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/sp-reports-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file_path, sizeof(file_path), "%s/audit.jsonl", folder);
    snprintf(base_path, sizeof(base_path), "%s/state.db", folder);
    fake_clock_init(&fake, WALL_MS);
    chain_signer(&signer, 1);
    open_book();
    say("{\"event\":\"delivery.attempted\",\"tenant\":\"t\",\"message\":"
        "\"01JAB3DE5FGHJKMNPQRSTVWXYZ\","
        "\"n\":[0],\"hop\":{\"domain\":\"a.test\"},\"sessions\":[{\"mx\":\"mx.a.test\",\"policy\":"
        "\"tlsa\",\"result\":\"success\",\"records\":[\"_25._tcp.mx.a.test. IN TLSA 3 1 1 "
        "00\"]}]}");
}

static void tear_down(void)
{
    char command[96];

    sp_audit_book_free(book);
    book = NULL;
    static const char *const names[] = {"audit.jsonl", "audit.jsonl.head", "audit.jsonl.pub",
                                        "state.db",    "state.db-wal",     "state.db-shm"};
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        snprintf(command, sizeof(command), "%s/%s", folder, names[i]);
        unlink(command);
    }
    rmdir(folder);
}

/* A crash: what was not committed is gone. */
static void crash(void)
{
    sp_audit_book_free(book);
    open_book();
}

static bool next(struct sp_audit_report_task *t, int64_t *at_ms)
{
    bool found;

    ck_assert_int_eq(sp_audit_reports_next(book, t, at_ms, &found, NULL), SP_OK);
    return found;
}

static void plan(int64_t now_ms)
{
    ck_assert_int_eq(sp_audit_reports_plan(book, now_ms, HOUR_MS, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
}

/* Brings the task to where one URI is to be sent to. */
static struct sp_audit_report_task found_one(void)
{
    static const struct sp_bytes uri = SP_LIT_INIT("mailto:tls@a.test");
    struct sp_audit_report_task t;
    int64_t at_ms;

    plan(NEXT_DAY);
    ck_assert(next(&t, &at_ms));
    ck_assert_int_eq(
        sp_audit_reports_found(book, &t, &uri, 1, SP_LIT("postmaster@clinic.test"), NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
    ck_assert(next(&t, &at_ms));
    ck_assert_str_eq(t.uri, "mailto:tls@a.test");
    ck_assert_uint_eq(strlen(t.key), SP_AUDIT_REPORT_KEY_LEN);
    return t;
}

START_TEST(a_day_is_planned_once_and_after_its_end)
{
    struct sp_audit_report_task t;
    int64_t first_ms;
    int64_t again_ms;

    plan(WALL_MS + HOUR_MS);
    ck_assert(!next(&t, &first_ms));
    plan(NEXT_DAY);
    ck_assert(next(&t, &first_ms));
    ck_assert_str_eq(t.day, "2026-11-22");
    ck_assert_str_eq(t.domain, "a.test");
    ck_assert_str_eq(t.uri, "");
    ck_assert(first_ms >= NEXT_DAY && first_ms < NEXT_DAY + HOUR_MS);
    crash();
    plan(NEXT_DAY + HOUR_MS);
    ck_assert(next(&t, &again_ms));
    ck_assert_int_eq(first_ms, again_ms);
}
END_TEST

START_TEST(a_try_is_written_before_it_is_made_and_given_up_after_a_day)
{
    struct sp_audit_report_task t = found_one();
    int64_t now_ms = NEXT_DAY;
    int64_t at_ms = 0;
    int64_t pause_ms = 0;
    int tries = 0;

    while (sp_audit_reports_try(book, &t, now_ms, RETRY_MS, NULL) == SP_OK) {
        ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
        crash();
        ck_assert(next(&t, &at_ms));
        ck_assert_msg(at_ms - now_ms >= pause_ms && at_ms > now_ms, "try %d", tries);
        pause_ms = at_ms - now_ms;
        now_ms = at_ms;
        ck_assert_int_eq(t.tries, ++tries);
    }
    ck_assert_int_gt(tries, 8);
    ck_assert(now_ms - NEXT_DAY >= 24 * HOUR_MS);
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
    ck_assert(!next(&t, &at_ms));
}
END_TEST

START_TEST(what_was_sent_is_never_due_again)
{
    struct sp_audit_report_task t = found_one();
    int64_t at_ms;

    ck_assert_int_eq(sp_audit_reports_sent(book, &t, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
    crash();
    plan(NEXT_DAY + HOUR_MS);
    ck_assert(!next(&t, &at_ms));
}
END_TEST

START_TEST(a_lost_answer_is_learned_from_the_queue)
{
    struct sp_audit_report_task t = found_one();
    char event[512];
    int64_t at_ms;

    snprintf(event, sizeof(event),
             "{\"event\":\"message.accepted\",\"tenant\":\"t\",\"message\":"
             "\"01JAB3DE5FGHJKMNPQRSTVWXYZ\",\"origin\":{\"message_id\":\"<%s@clinic.test>\"},"
             "\"content\":{\"kind\":\"report\"}}",
             t.key);
    say(event);
    crash();
    ck_assert(!next(&t, &at_ms));
}
END_TEST

START_TEST(a_domain_that_wants_none_is_left_alone)
{
    struct sp_audit_report_task t;
    int64_t at_ms;

    plan(NEXT_DAY);
    ck_assert(next(&t, &at_ms));
    ck_assert_int_eq(sp_audit_reports_found(book, &t, NULL, 0, SP_LIT(""), NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
    plan(NEXT_DAY + HOUR_MS);
    ck_assert(!next(&t, &at_ms));
}
END_TEST

START_TEST(the_content_is_gzip)
{
    struct sp_audit_report_task t = found_one();
    struct sp_buf id;
    struct sp_buf out;

    sp_buf_init(&id, 512);
    sp_buf_init(&out, 65536);
    ck_assert_int_eq(sp_audit_reports_content(book, &t, &id, &out, NULL), SP_OK);
    sp_buf_put_u8(&id, 0);
    ck_assert_ptr_nonnull(strstr((const char *)id.ptr, "2026-11-22.a.test@"));
    ck_assert(out.len > 20 && out.ptr[0] == 0x1f && out.ptr[1] == 0x8b);
    sp_buf_clear(&out);
    sp_buf_clear(&id);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_day_is_planned_once_and_after_its_end);
    tcase_add_test(c, a_try_is_written_before_it_is_made_and_given_up_after_a_day);
    tcase_add_test(c, what_was_sent_is_never_due_again);
    tcase_add_test(c, a_lost_answer_is_learned_from_the_queue);
    tcase_add_test(c, a_domain_that_wants_none_is_left_alone);
    tcase_add_test(c, the_content_is_gzip);
}

SP_TEST_MAIN("audit.reports", add)
