/*
 * Fault points: counted under their role, struck once, at the passage that was asked for.
 */
#include "base/fault.h"
#include "base/buf.h"
#include "base/mem.h"
#include "support/check_main.h"
#include "support/fault_board.h"

#include <string.h>

START_TEST(the_nth_passage_fails_and_no_other)
{
    if (!fault_board_arm("here", 3))
        return;
    for (int i = 1; i <= 6; i++) {
        ck_assert_int_eq(SP_FAULT("here"), i == 3);
        ck_assert(!SP_FAULT("there"));
    }
    ck_assert(fault_board_struck());
    ck_assert_uint_eq(fault_board_passed("here"), 6);
    ck_assert_uint_eq(fault_board_passed("there"), 6);
    ck_assert_uint_eq(fault_board_passed("nowhere"), 0);
    fault_board_end();
    ck_assert(!SP_FAULT("here"));
}
END_TEST

START_TEST(a_star_stands_for_any_point_of_the_role)
{
    if (!fault_board_arm("*", 2))
        return;
    ck_assert(!SP_FAULT("one") && SP_FAULT("two") && !SP_FAULT("two"));
    fault_board_end();
}
END_TEST

START_TEST(a_failed_call_leaves_its_errno)
{
    if (!fault_board_arm("here", 1))
        return;
    errno = 0;
    ck_assert(SP_FAULT_ERRNO("here", EMFILE) && errno == EMFILE);
    ck_assert(!SP_FAULT_ERRNO("here", EIO) && errno == EMFILE);
    fault_board_end();
}
END_TEST

START_TEST(large_memory_may_be_refused_and_the_buffer_says_so)
{
    struct sp_buf b;

    sp_buf_init(&b, 1 << 20);
    sp_buf_put(&b, SP_LIT("kept"));
    if (!fault_board_arm("memory.large", 1))
        return;
    ck_assert_ptr_null(sp_buf_reserve_try(&b, 1 << 16));
    ck_assert_int_eq(sp_buf_rc(&b), SP_E_LIMIT);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("kept")));
    fault_board_end();
    sp_buf_clear(&b);
}
END_TEST

START_TEST(large_room_that_there_is_holds_what_was_there)
{
    struct sp_buf b;
    uint8_t *room;

    sp_buf_init(&b, 1 << 20);
    sp_buf_put(&b, SP_LIT("kept"));
    room = sp_buf_reserve_try(&b, 1 << 16);
    ck_assert_ptr_nonnull(room);
    memset(room, 'x', 1 << 16);
    sp_buf_commit(&b, 1 << 16);
    ck_assert_uint_eq(b.len, 4 + (1 << 16));
    ck_assert(memcmp(b.ptr, "keptx", 5) == 0);
    ck_assert_ptr_null(sp_buf_reserve_try(&b, 1 << 20)); /* past the maximum */
    sp_buf_clear(&b);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_nth_passage_fails_and_no_other);
    tcase_add_test(c, a_star_stands_for_any_point_of_the_role);
    tcase_add_test(c, a_failed_call_leaves_its_errno);
    tcase_add_test(c, large_memory_may_be_refused_and_the_buffer_says_so);
    tcase_add_test(c, large_room_that_there_is_holds_what_was_there);
}

SP_TEST_MAIN("fault", add)
