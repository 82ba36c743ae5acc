/*
 * Options travel through a record unharmed, the ordinary ones as nothing at all.
 */
#include "policy/options.h"
#include "support/check_main.h"

START_TEST(ordinary_options_are_no_text)
{
    struct sp_decision d = {.portal = {.notify_floor = SP_FLOOR_TLS_ENCRYPTED}};
    struct sp_options o;
    struct sp_buf text;

    sp_buf_init(&text, SP_OPTIONS_MAX);
    sp_options_of_decision(&d, &o);
    ck_assert_int_eq(sp_options_write(&o, &text), SP_OK);
    ck_assert_uint_eq(text.len, 0);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(what_is_written_is_read)
{
    static const struct sp_header_edit add = {"X-Class", "phi"};
    static const struct sp_header_edit strip = {"X-Internal", NULL};
    struct sp_arena *arena = sp_arena_new(1024);
    struct sp_decision d = {.verb = SP_DO_HOLD,
                            .hold = {.otherwise_protect = true},
                            .is_sealed = true,
                            .notify = SP_NOTIFY_LATE | SP_NOTIFY_UNREAD,
                            .edits = {.headers = {&add, &strip},
                                      .header_count = 2,
                                      .strip_subject_tag = true,
                                      .protect_subject = "Encrypted \"message\"",
                                      .notice = SP_LIT("42 CFR part 2\r\nprohibits")},
                            .portal = {.expires_ms = 1000,
                                       .login = SP_LOGIN_CODE | SP_LOGIN_PASSKEY,
                                       .reply = true,
                                       .notify_floor = SP_FLOOR_PLAIN,
                                       .notify_from = "Hospital"}};
    struct sp_options o;
    struct sp_options back;
    struct sp_buf text;

    sp_buf_init(&text, SP_OPTIONS_MAX);
    sp_options_of_decision(&d, &o);
    o.notice_of.package = SP_LIT("pkg-1");
    o.notice_of.sender = SP_LIT("a@b.example");
    o.notice_of.n = 3;
    ck_assert_int_eq(sp_options_write(&o, &text), SP_OK);
    ck_assert_int_eq(sp_options_read(sp_buf_bytes(&text), arena, &back), SP_OK);
    ck_assert(back.hold_protects);
    ck_assert(back.is_sealed && back.strip_subject_tag && back.protect_subject);
    ck_assert(sp_bytes_eq(back.subject, o.subject));
    ck_assert(sp_bytes_eq(back.notice, o.notice));
    ck_assert_uint_eq(back.add_count, 1);
    ck_assert(sp_bytes_eq(back.add[0].value, SP_LIT("phi")));
    ck_assert_uint_eq(back.strip_count, 1);
    ck_assert_uint_eq(back.notify, o.notify);
    ck_assert_int_eq(back.portal.expires_ms, 1000);
    ck_assert(sp_bytes_eq(back.portal.login, SP_LIT("code,passkey")));
    ck_assert(back.portal.reply && !back.portal.forward);
    ck_assert_int_eq(back.portal.notify_floor, SP_FLOOR_PLAIN);
    ck_assert(sp_bytes_eq(back.portal.notify_from, SP_LIT("Hospital")));
    ck_assert(sp_bytes_eq(back.notice_of.package, SP_LIT("pkg-1")));
    ck_assert_int_eq(back.notice_of.n, 3);
    sp_buf_clear(&text);
    sp_arena_free(arena);
}
END_TEST

START_TEST(a_floor_that_is_not_known_is_malformed)
{
    struct sp_arena *arena = sp_arena_new(1024);
    struct sp_options o;

    ck_assert_int_eq(sp_options_read(SP_LIT("{\"portal\":{\"notify_floor\":\"none\"}}"), arena, &o),
                     SP_E_MALFORMED);
    ck_assert_int_eq(sp_options_read(SP_LIT("{\"sealed\":tru"), arena, &o), SP_E_MALFORMED);
    sp_arena_free(arena);
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_test(c, ordinary_options_are_no_text);
    tcase_add_test(c, what_is_written_is_read);
    tcase_add_test(c, a_floor_that_is_not_known_is_malformed);
}

SP_TEST_MAIN("policy.options", add_tests)
