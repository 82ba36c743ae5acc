/*
 * The names of findings that rules may ask for are those that the detector gives.
 */
#include "policy/facts.h"

#include "detect/detect.h"
#include "support/check_main.h"

START_TEST(rules_ask_for_what_the_detector_finds)
{
    const char *const *types = sp_fact_types();
    size_t count = 0;

    for (; types[count] != NULL && count < SP_DETECT_TYPES; count++)
        ck_assert_str_eq(types[count], sp_detect_type_name((enum sp_detect_type)count));
    ck_assert_uint_eq(count, SP_DETECT_TYPES);
    ck_assert_ptr_null(types[count]);
}
END_TEST

START_TEST(rules_know_the_detectors_special_classes)
{
    const char *const *specials = sp_fact_specials();
    size_t count = 0;

    for (; specials[count] != NULL && count < SP_DETECT_SPECIALS; count++)
        ck_assert_str_eq(specials[count], sp_detect_special_name(count));
    ck_assert_uint_eq(count, SP_DETECT_SPECIALS);
    ck_assert_ptr_null(specials[count]);
}
END_TEST

START_TEST(a_slip_is_told_with_what_was_meant)
{
    const char *near;

    ck_assert(sp_fact_is_type(SP_LIT("mrn"), &near));
    ck_assert_ptr_null(near);
    ck_assert(!sp_fact_is_type(SP_LIT("US_SNN"), &near));
    ck_assert_str_eq(near, "US_SSN");
    ck_assert(!sp_fact_is_special(SP_LIT("pyschotherapy"), &near));
    ck_assert_str_eq(near, "psychotherapy");
    ck_assert(!sp_fact_is_special(SP_LIT("vip"), &near));
    ck_assert_ptr_null(near);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, rules_ask_for_what_the_detector_finds);
    tcase_add_test(c, rules_know_the_detectors_special_classes);
    tcase_add_test(c, a_slip_is_told_with_what_was_meant);
}

SP_TEST_MAIN("policy.findings", add)
