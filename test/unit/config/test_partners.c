/*
 * Pinned partners: what a file may say, and that a word that is not known is an error.
 */
#include "config/partners.h"
#include "support/check_main.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static enum sp_rc load(const char *text, struct sp_partners **out, size_t *errors)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    enum sp_rc rc = sp_partners_load(sp_bytes_cstr(text), "partners.json", problems, out);

    *errors = sp_problems_errors(problems);
    return rc;
}

START_TEST(a_partner_has_level_names_keys_and_a_next_hop)
{
    SP_AUTO(sp_partners) p = NULL;
    const struct sp_partner *one;
    size_t errors;

    ck_assert_int_eq(
        load("{\"version\": 1, // a comment\n \"partners\": {\"Lab.example\": {\"level\": "
             "\"tls:verified\", \"names\": [\"MX.lab.example\"], \"keys\": [\"" KEY
             "\"], \"ca_keys\": [\"" KEY "\"], \"next_hop\": \"mx.lab.example:25\", "
             "\"note\": \"x\"}, \"b.example\": {}}}",
             &p, &errors),
        SP_OK);
    ck_assert_uint_eq(sp_partners_count(p), 2);
    one = sp_partners_at(p, 0);
    ck_assert_str_eq(one->domain, "lab.example");
    ck_assert_str_eq(one->level, "tls:verified");
    ck_assert_str_eq(one->names[0], "mx.lab.example");
    ck_assert_uint_eq(one->key_count, 2);
    ck_assert(!one->keys[0].is_ca && one->keys[1].is_ca);
    ck_assert_uint_eq(one->keys[0].spki_sha256[31], 0x1f);
    ck_assert_str_eq(one->next_hop, "mx.lab.example:25");
    ck_assert_str_eq(sp_partners_at(p, 1)->level, "tls:authenticated");
}
END_TEST

START_TEST(whatever_is_misspelt_is_an_error)
{
    static const char *const bad[] = {
        "{}",
        "rubbish",
        "{\"version\": 2, \"partners\": {}}",
        "{\"version\": 1, \"partners\": {\"a.example\": {\"key\": []}}}",
        "{\"version\": 1, \"partners\": {\"a.example\": {\"level\": \"plain\"}}}",
        "{\"version\": 1, \"partners\": {\"a.example\": {\"keys\": [\"00\"]}}}",
        "{\"version\": 1, \"partners\": {\"a b\": {}}}",
        "{\"version\": 1, \"partners\": {\"a.example\": {\"names\": \"x\"}}}",
        "{\"version\": 1, \"partners\": {\"a.example\": {\"level\": \"tls:dane\", \"keys\": [\"" KEY
        "\"]}}}",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(bad); i++) {
        struct sp_partners *p = NULL;
        size_t errors;

        ck_assert_msg(load(bad[i], &p, &errors) != SP_OK, "case %zu", i);
        ck_assert_uint_gt(errors, 0);
        ck_assert(p == NULL);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_partner_has_level_names_keys_and_a_next_hop);
    tcase_add_test(c, whatever_is_misspelt_is_an_error);
}

SP_TEST_MAIN("config.partners", add)
