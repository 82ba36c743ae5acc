/*
 * What the two halves of `policy test` share: the state of a run, and saying what failed.
 */
#ifndef SP_CLI_POLICY_TEST_H
#define SP_CLI_POLICY_TEST_H

#include "gateway/cli-policy/cli.h"

struct cli_test {
    struct sp_decision decision; /* of the case at hand */
    bool failed;                 /* the case at hand */
    struct sp_buf said;          /* why, a line each */
    size_t cases;
    size_t failures;
    size_t idle; /* that expect nothing */
};

/* Adds a line of why the case fails. */
void cli_test_fail(struct cli_test *t, const char *fmt, ...) SP_PRINTF(2, 3);

/* Says what is not as a file of tests must be. returns: whether it may be run */
bool cli_test_shape(struct cli *cli, const struct sp_json *root);

/* Says which keys of an object are not known. */
void cli_test_keys(struct cli *cli, const struct sp_json *object, const char *const *names,
                   size_t count);

/* Asks the decision's ladder one question of "delivery", the n-th. */
void cli_test_delivery(struct cli *cli, struct cli_test *t, const struct sp_json *ask, size_t n);

#endif
