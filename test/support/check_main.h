/*
 * What every unit test program needs: one main that runs one suite in this process (so that the sanitizers see all) and
 * returns 1 if a check failed.
 *
 *     SP_TEST_MAIN("base.bytes", tests)   where tests is a static table of {name, function}
 */
#ifndef SP_TEST_SUPPORT_CHECK_MAIN_H
#define SP_TEST_SUPPORT_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

/* Adds START_TEST functions one by one: static void add(TCase *c) { tcase_add_test(c, name); } */
#define SP_TEST_MAIN(title, add)                                                                   \
    int main(void)                                                                                 \
    {                                                                                              \
        Suite *suite = suite_create(title);                                                        \
        TCase *tests = tcase_create("all");                                                        \
        SRunner *runner;                                                                           \
        int failed;                                                                                \
                                                                                                   \
        tcase_set_timeout(tests, 60);                                                              \
        add(tests);                                                                                \
        suite_add_tcase(suite, tests);                                                             \
        runner = srunner_create(suite);                                                            \
        srunner_set_fork_status(runner, CK_NOFORK);                                                \
        srunner_run_all(runner, CK_NORMAL);                                                        \
        failed = srunner_ntests_failed(runner);                                                    \
        srunner_free(runner);                                                                      \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                          \
    }

#endif
