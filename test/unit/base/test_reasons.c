/*
 * The numbers of errors.def lie in records on disks: a number that was given to another failure would rename why mail waits
 * there. reasons.txt has each of them as it was first given; the table must agree with it, row by row.
 */
#include "base/err.h"
#include "base/text.h"
#include "support/check_main.h"

#include <stdio.h>

#define LIST SP_SOURCE_DIR "/test/unit/base/reasons.txt"

static char names[SP_RC_COUNT][64];

/* Reads the list. Each number stands there once, and is one of the table. */
static void setup(void)
{
    FILE *file = fopen(LIST, "re");
    char line[128];

    ck_assert_ptr_nonnull(file);
    memset(names, 0, sizeof(names));
    while (fgets(line, sizeof(line), file) != NULL) {
        struct sp_bytes rest = sp_bytes_trim(sp_bytes_cstr(line));
        struct sp_bytes word;
        uint64_t number;

        if (line[0] == '#')
            continue;
        ck_assert_msg(sp_bytes_split(&rest, ' ', &word) && sp_bytes_to_u64(word, &number), "%s",
                      line);
        ck_assert_msg(
            number >= 1 && number < SP_RC_COUNT,
            "%s: a row of errors.def is gone, or has another number; it stays, as records name it",
            line);
        ck_assert_msg(names[number][0] == 0, "%s: this number stands there twice", line);
        (void)snprintf(names[number], sizeof(names[number]), "%.*s", SP_FMT(rest));
    }
    (void)fclose(file);
}

static void teardown(void)
{
}

START_TEST(a_number_means_what_it_always_did)
{
    for (int number = 1; number < SP_RC_COUNT; number++) {
        ck_assert_msg(names[number][0] != 0, "%s is new: add \"%d %s\" to the end of " LIST,
                      sp_rc_name((enum sp_rc)number), number, sp_rc_name((enum sp_rc)number));
        ck_assert_msg(strcmp(names[number], sp_rc_name((enum sp_rc)number)) == 0,
                      "%d was %s once, and is %s now: give the row its number back, and a new one "
                      "the next that is free",
                      number, names[number], sp_rc_name((enum sp_rc)number));
    }
}
END_TEST

START_TEST(no_number_and_no_name_is_given_twice)
{
    static const struct {
        int number;
        const char *name;
    } rows[] = {
#define SP_E(number, code, class, smtp, enhanced, name, peer_text) {number, name},
#include "base/errors.def"
#undef SP_E
    };

    ck_assert_uint_eq(SP_ARRAY_LEN(rows) + 1, SP_RC_COUNT);
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        ck_assert_msg(rows[i].number >= 1 && rows[i].number < SP_RC_COUNT, "%s: %d leaves a gap",
                      rows[i].name, rows[i].number);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(rows[i].number != rows[j].number &&
                              strcmp(rows[i].name, rows[j].name) != 0,
                          "%s and %s: one number or name for two", rows[i].name, rows[j].name);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_number_means_what_it_always_did);
    tcase_add_test(c, no_number_and_no_name_is_given_twice);
}

SP_TEST_MAIN("base.reasons", add)
