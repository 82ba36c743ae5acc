/*
 * A board of fault points (base/fault.h) for the test's own process: the n-th passage of a point fails.
 */
#ifndef SP_TEST_SUPPORT_FAULT_BOARD_H
#define SP_TEST_SUPPORT_FAULT_BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the n-th passage of this point fails, once. returns: false in builds without fault points */
bool fault_board_arm(const char *point, uint64_t n);
/* returns: whether it has, since the last fault_board_arm */
bool fault_board_struck(void);
/* returns: how often a point was passed since the first fault_board_arm */
uint64_t fault_board_passed(const char *point);
/* No point fails any more, nothing is left. */
void fault_board_end(void);

#endif
