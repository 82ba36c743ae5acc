/* Audit files one after the other: the chain goes on, each holds alone, old ones may go, and no crash loses a line. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/book.h"
#include "audit/old.h"
#include "audit/proof.h"
#include "audit/series.h"
#include "chain.h"
#include "support/check_main.h"
#include "support/fault_board.h"

#define WALL_MS 1795359845118
#define HOUR    3600000LL
#define DAY     (24 * HOUR)

static char folder[64];
static char file_path[128];
static char base_path[128];
static struct fake_clock fake;
static struct sp_audit_signer signer;
static struct sp_audit_book *book;
static struct sp_audit_book_options options;

static enum sp_rc try_open(void)
{
    struct sp_err err = {0};

    return sp_audit_book_open(&options, &book, &err);
}

static void reopen(void)
{
    sp_audit_book_free(book);
    book = NULL;
    ck_assert_int_eq(try_open(), SP_OK);
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/sp-rotate-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file_path, sizeof(file_path), "%s/audit.jsonl", folder);
    snprintf(base_path, sizeof(base_path), "%s/state.db", folder);
    fake_clock_init(&fake, WALL_MS);
    chain_signer(&signer, 1);
    options = (struct sp_audit_book_options){.database = base_path,
                                             .file = file_path,
                                             .signer = &signer,
                                             .clock = &fake.clock,
                                             .checkpoint_records = 1000000};
    ck_assert_int_eq(try_open(), SP_OK);
}

static void tear_down(void)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    char path[400];

    sp_audit_book_free(book);
    book = NULL;
    while ((e = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

static struct sp_id message = {{9}};

static void say(const char *event)
{
    char id[SP_ID_TEXT_LEN + 1], text[256];

    sp_id_format(&message, id);
    snprintf(text, sizeof(text), "{\"event\":\"%s\",\"message\":\"%s\"}", event, id);
    ck_assert_int_eq(sp_audit_book_say(book, sp_bytes_cstr(text), NULL), SP_OK);
}

/* Some lines, a checkpoint, and what follows from it. */
static void batch(int lines)
{
    for (int i = 0; i < lines; i++)
        say("message.expired");
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_checkpoint(book, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_rotate(book, NULL), SP_OK);
}

static struct sp_audit_series *list(void)
{
    struct sp_audit_series *s;

    ck_assert_int_eq(sp_audit_series_list(file_path, &s, NULL), SP_OK);
    return s;
}

static size_t files(void)
{
    SP_AUTO(sp_audit_series) s = list();

    return sp_audit_series_count(s);
}

static void feed(struct sp_audit_verifier *v, const char *path)
{
    SP_AUTO(sp_audit_source) source = NULL;
    uint8_t block[1000];
    int n;

    ck_assert_int_eq(sp_audit_source_open(path, &source, NULL), SP_OK);
    while ((n = sp_audit_source_read(source, block, sizeof(block))) > 0)
        sp_audit_verifier_feed(v, sp_bytes(block, (size_t)n));
    ck_assert_int_eq(n, 0);
}

static struct sp_buf read_head(void)
{
    SP_AUTO(sp_audit_source) source = NULL;
    struct sp_buf head;
    char path[160];
    int n;

    snprintf(path, sizeof(path), "%s.head", file_path);
    sp_buf_init(&head, 65536);
    ck_assert_int_eq(sp_audit_source_open(path, &source, NULL), SP_OK);
    n = sp_audit_source_read(source, sp_buf_reserve(&head, 8192), 8192);
    sp_buf_commit(&head, (size_t)n);
    return head;
}

#define NOT_LEFT SIZE_MAX

/* Verifies the files from the i-th on, without one of them. */
static struct sp_audit_report verify(size_t from, size_t without)
{
    SP_AUTO(sp_audit_series) s = list();
    struct sp_audit_ring ring = {0};
    struct sp_buf head = read_head();
    struct sp_audit_report report;

    ck_assert(sp_audit_ring_add(&ring, &signer.key));
    {
        SP_AUTO(sp_audit_verifier) v = sp_audit_verifier_new(&ring, sp_buf_bytes(&head));

        for (size_t i = from; i < sp_audit_series_count(s); i++)
            if (i != without)
                feed(v, sp_audit_series_path(s, i));
        report = *sp_audit_verifier_finish(v);
    }
    sp_buf_clear(&head);
    return report;
}

static void expect_proved(uint64_t first)
{
    struct sp_audit_report r = verify(0, NOT_LEFT);

    ck_assert_msg(r.verdict == SP_AUDIT_PROVED, "record %u: %s", (unsigned)r.records, r.why);
    ck_assert_uint_eq(r.first_seq, first);
    ck_assert_uint_eq(r.last_seq, sp_audit_book_status(book).last_seq);
}

START_TEST(a_full_file_gives_way_and_the_chain_goes_on)
{
    SP_AUTO(sp_audit_series) s = NULL;

    options.rotate_len = 2000;
    reopen();
    batch(1);
    ck_assert_uint_eq(files(), 1); /* not full yet */
    for (int i = 0; i < 5; i++)
        batch(20);
    ck_assert_uint_eq(files(), 6);
    expect_proved(1);
    s = list();
    for (size_t i = 0; i + 1 < sp_audit_series_count(s); i++) { /* each holds alone */
        struct sp_audit_ring ring = {0};
        SP_AUTO(sp_audit_verifier) v = NULL;
        const struct sp_audit_report *r;

        ck_assert(sp_audit_ring_add(&ring, &signer.key));
        v = sp_audit_verifier_new(&ring, sp_bytes(NULL, 0));
        sp_audit_verifier_set_part(v);
        feed(v, sp_audit_series_path(s, i));
        r = sp_audit_verifier_finish(v);
        ck_assert_msg(r->verdict == SP_AUDIT_PROVED, "%s", r->why);
        ck_assert_uint_eq(r->first_seq, sp_audit_series_first(s, i));
        ck_assert(r->begins_later == (i > 0));
    }
    ck_assert_int_eq(verify(1, NOT_LEFT).verdict, SP_AUDIT_IS_INCOMPLETE);
    ck_assert_int_eq(verify(0, 2).verdict, SP_AUDIT_IS_INCOMPLETE);
    ck_assert_int_eq(verify(0, 5).verdict, SP_AUDIT_IS_INCOMPLETE);
    reopen();
    batch(20);
    expect_proved(1);
}
END_TEST

START_TEST(a_day_has_a_file_of_its_own)
{
    options.rotate_every_ms = DAY;
    reopen();
    batch(3);
    fake_clock_advance(&fake, HOUR);
    batch(3);
    ck_assert_uint_eq(files(), 1);
    fake_clock_advance(&fake, DAY);
    ck_assert_int_eq(sp_audit_book_rotate(book, NULL), SP_OK);
    ck_assert_uint_eq(files(), 2); /* its last line is a checkpoint already */
    ck_assert_int_eq(sp_audit_book_rotate(book, NULL), SP_OK);
    batch(3);
    batch(0); /* nothing but checkpoints is no reason */
    ck_assert_uint_eq(files(), 2);
    fake_clock_advance(&fake, DAY);
    batch(1);
    ck_assert_uint_eq(files(), 3);
    expect_proved(1);
}
END_TEST

static void expect_message_proved(uint8_t which, enum sp_rc want)
{
    const struct sp_audit_message *m;
    struct sp_audit_proof_ask ask = {.message = {{9, which}}, .key = signer.key};
    struct sp_audit_proof_report report;
    uint64_t seqs[100];
    struct sp_buf text;
    enum sp_rc rc = SP_OK;

    ck_assert_int_eq(sp_audit_book_message(book, &ask.message, &m, NULL), SP_OK);
    sp_buf_init(&text, SP_AUDIT_PROOF_MAX);
    for (uint32_t i = 0; i < m->place_count; i++) {
        sp_buf_reset(&text);
        if (rc == SP_OK)
            rc = sp_audit_book_line(book, &m->places[i], &text);
        if (rc == SP_OK)
            ck_assert(sp_bytes_find_all(sp_buf_bytes(&text), SP_LIT("\"event\":\"message.")) !=
                      SIZE_MAX);
        seqs[i] = m->places[i].seq;
    }
    ck_assert_int_eq(rc, want);
    ask.seqs = seqs;
    ask.seq_count = m->place_count;
    ask.checkpoint_seq = sp_audit_book_status(book).checkpoint_seq;
    sp_buf_reset(&text);
    ck_assert_int_eq(sp_audit_prove_files(&ask, file_path, &text, NULL), want);
    if (want == SP_OK) {
        sp_audit_proof_check(sp_buf_bytes(&text), NULL, &report);
        ck_assert_msg(report.report.verdict == SP_AUDIT_PROVED, "%u: %s", which, report.report.why);
        ck_assert_uint_eq(report.report.records, m->place_count);
    }
    sp_buf_clear(&text);
}

/* Each file has a message of its own, one message has lines in two. */
START_TEST(lines_are_found_and_proved_over_files)
{
    SP_AUTO(sp_audit_series) s = NULL;

    options.rotate_len = 1;
    reopen();
    for (uint8_t i = 0; i < 7; i++) {
        message = (struct sp_id){{9, i}};
        say("message.accepted");
        if (i == 4) {
            message = (struct sp_id){{9, 2}};
            say("message.expired");
            message = (struct sp_id){{9, i}};
        }
        batch(1 + i);
    }
    s = list();
    ck_assert_uint_eq(sp_audit_series_count(s), 8);
    for (uint8_t i = 0; i < 7; i++)
        expect_message_proved(i, SP_OK);
    ck_assert_int_eq(unlink(sp_audit_series_path(s, 0)), 0); /* taken away */
    ck_assert_int_eq(unlink(sp_audit_series_path(s, 1)), 0);
    for (uint8_t i = 0; i < 7; i++) /* the others need no more of them than their edge */
        expect_message_proved(i, i < 2 ? SP_E_AUDIT_INCOMPLETE : SP_OK);
}
END_TEST

/* Read once, they are there without the files. */
START_TEST(lines_of_ended_files_are_read_beside_and_lent)
{
    const struct sp_audit_message *m;
    struct sp_buf text;

    options.rotate_len = 1;
    reopen();
    for (int i = 0; i < 3; i++)
        batch(2);
    say("message.expired"); /* in the file that is written */
    ck_assert_int_eq(sp_audit_book_commit(book, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_message(book, &message, &m, NULL), SP_OK);
    ck_assert_uint_eq(m->place_count, 7);
    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    {
        SP_AUTO(sp_audit_old) old = sp_audit_old_new(book);
        SP_AUTO(sp_audit_series) s = list();

        sp_audit_old_add(old, book, m);
        ck_assert_uint_eq(sp_audit_old_count(old), 6);
        ck_assert_int_eq(unlink(sp_audit_series_path(s, 1)), 0); /* that one is gone before */
        sp_audit_old_read(old);
        ck_assert_int_eq(unlink(sp_audit_series_path(s, 0)), 0);
        ck_assert_int_eq(unlink(sp_audit_series_path(s, 2)), 0);
        ck_assert_int_ne(sp_audit_book_line(book, &m->places[0], &text), SP_OK);
        sp_audit_book_lend(book, old);
        for (uint32_t i = 0; i < m->place_count; i++) {
            bool is_gone = i == 2 || i == 3;

            sp_buf_reset(&text);
            ck_assert_int_eq(sp_audit_book_line(book, &m->places[i], &text),
                             is_gone ? SP_E_AUDIT_INCOMPLETE : SP_OK);
            ck_assert_uint_eq(text.len, is_gone ? 0 : m->places[i].len);
            ck_assert(is_gone || (text.ptr[0] == '{' && text.ptr[text.len - 1] == '}'));
        }
        sp_audit_book_lend(book, NULL);
    }
    sp_buf_clear(&text);
}
END_TEST

START_TEST(what_is_old_goes_on_record_and_the_rest_holds)
{
    options.rotate_every_ms = DAY;
    options.keep_ms = 10 * DAY;
    reopen();
    for (int i = 0; i < 10; i++) {
        batch(3);
        fake_clock_advance(&fake, DAY);
    }
    ck_assert_uint_eq(files(), 10);
    batch(3);
    ck_assert_uint_eq(files(), 11);
    fake_clock_advance(&fake, DAY + HOUR);
    batch(3); /* says that the first goes */
    ck_assert_uint_eq(files(), 12);
    reopen(); /* said, and not signed: it stays */
    ck_assert_uint_eq(files(), 12);
    expect_proved(1);
    if (fault_board_arm("audit.remove", 1)) {
        batch(1);
        ck_assert(fault_board_struck());
        fault_board_end();
        ck_assert_uint_eq(files(), 12);
    }
    batch(1);
    ck_assert_uint_eq(files(), 11);
    {
        SP_AUTO(sp_audit_series) s = list();

        expect_proved(sp_audit_series_first(s, 0));
    }
    ck_assert_int_eq(verify(1, NOT_LEFT).verdict, SP_AUDIT_IS_INCOMPLETE); /* not on record */
}
END_TEST

/* Dies at each step of a rotation, and at each operation behind the failure of one. */
START_TEST(a_crash_at_any_step_loses_and_doubles_nothing)
{
    static const char *const points[] = {"audit.rotate-rename", "audit.rotate-open",
                                         "audit.rotate-folder", "audit.append",
                                         "audit.sync",          "store.commit"};
    uint64_t lines;

    options.rotate_len = 1;
    reopen();
    batch(3);
    lines = sp_audit_book_status(book).last_seq;
    for (size_t i = 0; i < SP_ARRAY_LEN(points); i++) {
        for (uint64_t n = 1; n <= 4; n++) {
            enum sp_rc rc = SP_OK;

            if (!fault_board_arm(points[i], n))
                return; /* a build without faults */
            for (int k = 0; k < 3 && rc == SP_OK; k++)
                rc = sp_audit_book_say(book, SP_LIT("{\"event\":\"intake.refused\"}"), NULL);
            if (rc == SP_OK)
                rc = sp_audit_book_commit(book, NULL);
            if (rc == SP_OK)
                rc = sp_audit_book_checkpoint(book, NULL);
            if (rc == SP_OK)
                rc = sp_audit_book_rotate(book, NULL);
            fault_board_end();
            if (n % 2 == 0 && rc == SP_OK)
                batch(2); /* it goes on by itself */
            reopen();
            expect_proved(1);
            batch(2);
            expect_proved(1);
            ck_assert_uint_gt(sp_audit_book_status(book).last_seq, lines + 2);
            lines = sp_audit_book_status(book).last_seq;
        }
    }
}
END_TEST

/* The power goes between the rename and the new file, and before the rename. */
START_TEST(a_half_rotated_file_is_completed_at_the_next_start)
{
    struct sp_buf name;

    options.rotate_len = 1;
    reopen();
    batch(3);
    ck_assert_uint_eq(files(), 2);
    sp_buf_init(&name, 256);
    {
        SP_AUTO(sp_audit_series) s = list();

        ck_assert_int_eq(unlink(file_path), 0); /* the new one never reached the disk */
        sp_audit_book_free(book);
        book = NULL;
        ck_assert_int_eq(rename(sp_audit_series_path(s, 0), file_path), 0); /* nor did the name */
    }
    ck_assert_int_eq(try_open(), SP_OK);
    ck_assert_uint_eq(files(), 2);
    batch(3);
    ck_assert_uint_eq(files(), 3);
    sp_buf_clear(&name);
}
END_TEST

START_TEST(a_clock_that_leaps_ends_no_retention)
{
    options.rotate_every_ms = DAY;
    options.keep_ms = 10 * DAY;
    reopen();
    for (int i = 0; i < 3; i++) {
        batch(3);
        fake_clock_advance(&fake, DAY);
    }
    fake.wall_ms += 3650 * DAY;
    for (int i = 0; i < 3; i++)
        batch(3);
    ck_assert_uint_eq(files(), 4);
    expect_proved(1);
    fake.wall_ms -= 3650 * DAY;
    batch(3);
    sp_audit_book_free(book); /* the same at a start */
    book = NULL;
    fake.wall_ms += 3650 * DAY;
    ck_assert_int_eq(try_open(), SP_OK);
    for (int i = 0; i < 3; i++)
        batch(3);
    expect_proved(1);
    fake_clock_advance(&fake, 12 * DAY); /* time that really passes does */
    batch(3);
    batch(3);
    ck_assert_int_eq(verify(0, NOT_LEFT).verdict, SP_AUDIT_PROVED);
    ck_assert_uint_gt(verify(0, NOT_LEFT).first_seq, 1);
}
END_TEST

static void path_of(uint64_t first_seq, const char *suffix, char out[200])
{
    snprintf(out, 200, "%s.%012u%s", file_path, (unsigned)first_seq, suffix);
}

/* As a logrotate does that nobody has told of us. */
START_TEST(a_file_that_was_moved_away_does_not_stop_the_books)
{
    char away[200], home[200];
    uint64_t first;

    options.rotate_len = 1;
    reopen();
    batch(3);
    first = sp_audit_book_status(book).last_seq; /* audit.continued, alone in its file */
    path_of(first, "", home);
    snprintf(away, sizeof(away), "%s.1", file_path);
    ck_assert_int_eq(rename(file_path, away), 0);
    batch(3);
    ck_assert_uint_eq(sp_audit_book_status(book).waiting_len, 0);
    batch(3);
    ck_assert_uint_eq(sp_audit_book_status(book).waiting_len, 0);
    ck_assert_uint_eq(files(), 3); /* one is missing, and the rest goes on */
    ck_assert_int_eq(verify(0, NOT_LEFT).verdict, SP_AUDIT_IS_INCOMPLETE);
    reopen();
    batch(3);
    ck_assert_int_eq(rename(away, home), 0);
    expect_proved(1); /* it is whole, and may come back */
}
END_TEST

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void expect_text(const char *path, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(path, "r");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_gt(fread(got, 1, sizeof(got) - 1, f), 0);
    fclose(f);
    ck_assert_str_eq(got, text);
}

START_TEST(a_final_name_that_is_taken_is_never_written_over)
{
    char taken[200], aside[200];

    options.rotate_len = 1;
    reopen();
    path_of(1, "", taken);
    put_text(taken, "older\n");
    path_of(1, ".foreign", aside);
    put_text(aside, "oldest\n");
    batch(3);
    expect_text(aside, "oldest\n");
    path_of(1, ".foreign-2", aside);
    expect_text(aside, "older\n");
    expect_proved(1);
    sp_audit_book_free(book); /* the same at the start, behind a crash */
    book = NULL;
    ck_assert_int_eq(unlink(file_path), 0);
    ck_assert_int_eq(rename(taken, file_path), 0);
    put_text(taken, "newer\n");
    ck_assert_int_eq(try_open(), SP_OK);
    path_of(1, ".foreign-3", aside);
    expect_text(aside, "newer\n");
    batch(3);
    ck_assert_uint_eq(files(), 3);
}
END_TEST

/* What may be the old file is not taken for the new one, whose lines would be written over it. */
START_TEST(a_first_line_that_can_not_be_read_ends_the_start)
{
    static const char *const points[] = {"journal.open-read", "journal.read"};
    char old[200];
    FILE *f;

    options.rotate_len = 1;
    reopen();
    batch(3);
    path_of(1, "", old);
    sp_audit_book_free(book);
    book = NULL;
    ck_assert_int_eq(unlink(file_path), 0);
    ck_assert_int_eq(rename(old, file_path), 0);
    for (size_t i = 0; i < SP_ARRAY_LEN(points) && fault_board_arm(points[i], 1); i++) {
        ck_assert_int_eq(try_open(), SP_E_IO);
        ck_assert(fault_board_struck());
        fault_board_end();
    }
    f = fopen(file_path, "r+");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fputc('x', f), 'x');
    rewind(f);
    ck_assert_int_eq(try_open(), SP_E_AUDIT_ALTERED);
    ck_assert_int_eq(fputc('{', f), '{');
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(try_open(), SP_OK);
    batch(3);
    ck_assert_uint_eq(files(), 3);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_full_file_gives_way_and_the_chain_goes_on);
    tcase_add_test(c, a_day_has_a_file_of_its_own);
    tcase_add_test(c, lines_are_found_and_proved_over_files);
    tcase_add_test(c, lines_of_ended_files_are_read_beside_and_lent);
    tcase_add_test(c, what_is_old_goes_on_record_and_the_rest_holds);
    tcase_add_test(c, a_crash_at_any_step_loses_and_doubles_nothing);
    tcase_add_test(c, a_half_rotated_file_is_completed_at_the_next_start);
    tcase_add_test(c, a_clock_that_leaps_ends_no_retention);
    tcase_add_test(c, a_file_that_was_moved_away_does_not_stop_the_books);
    tcase_add_test(c, a_final_name_that_is_taken_is_never_written_over);
    tcase_add_test(c, a_first_line_that_can_not_be_read_ends_the_start);
}

SP_TEST_MAIN("audit.rotate", add)
