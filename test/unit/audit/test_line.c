/* Lines: what the ledger adds, the canonical form, and what is refused. */
#include "audit/line.h"
#include "support/check_main.h"

static const struct sp_audit_stamp stamp = {
    .node = "gw1", .seq = 48211, .prev = {{0x9b, 0x1c}}, .time_ms = 1795446245118};

static char *make(const char *event, enum sp_rc expected)
{
    struct sp_err err = {0};
    struct sp_buf out;

    sp_buf_init(&out, SP_AUDIT_LINE_MAX);
    ck_assert_msg(sp_audit_line_make(sp_bytes_cstr(event), &stamp, &out, &err) == expected,
                  "%s: %s", event, err.text);
    if (expected != SP_OK) {
        sp_buf_clear(&out);
        return NULL;
    }
    return sp_buf_take_cstr(&out);
}

START_TEST(a_line_is_canonical_and_stamped)
{
    char *line =
        make("{ \"tenant\":\"h\", \"event\" : \"intake.throttled\",\n \"count\": 1.0e1 }", SP_OK);

    ck_assert_str_eq(
        line, "{\"count\":10,\"event\":\"intake.throttled\",\"node\":\"gw1\","
              "\"prev\":\"9b1c000000000000000000000000000000000000000000000000000000000000\","
              "\"seq\":48211,\"tenant\":\"h\",\"time\":\"2026-11-23T15:04:05.118Z\",\"v\":1}");
    sp_free(line);
}
END_TEST

START_TEST(a_line_reads_back)
{
    char *line =
        make("{\"event\":\"message.returned\",\"message\":\"01M84EZ1QY6Q2N8W4M5T7R3HBC\"}", SP_OK);
    struct sp_audit_line read;
    char id[SP_ID_TEXT_LEN + 1];

    ck_assert_int_eq(sp_audit_line_parse(sp_bytes_cstr(line), &read, NULL), SP_OK);
    ck_assert_uint_eq(read.seq, 48211);
    ck_assert(read.time_ms == stamp.time_ms);
    ck_assert(sp_digest_eq(&read.prev, &stamp.prev));
    ck_assert(sp_bytes_eq(read.node, SP_LIT("gw1")));
    ck_assert(read.has_message);
    sp_id_format(&read.message, id);
    ck_assert_str_eq(id, "01M84EZ1QY6Q2N8W4M5T7R3HBC");
    sp_audit_line_clear(&read);
    sp_free(line);
}
END_TEST

START_TEST(the_place_in_the_journal_is_told)
{
    struct sp_audit_stamp placed = stamp;
    struct sp_buf out;

    placed.origin = (struct sp_audit_origin){"3", 7, 12, 1};
    sp_buf_init(&out, SP_AUDIT_LINE_MAX);
    ck_assert_int_eq(
        sp_audit_line_make(SP_LIT("{\"event\":\"config.changed\"}"), &placed, &out, NULL), SP_OK);
    ck_assert(sp_bytes_find_all(
                  sp_buf_bytes(&out),
                  SP_LIT("\"journal\":{\"part\":1,\"record\":12,\"segment\":7,\"shard\":\"3\"}")) !=
              SIZE_MAX);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(what_is_no_event_is_refused)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"event\":\"message.eaten\",\"message\":\"01M84EZ1QY6Q2N8W4M5T7R3HBC\"}",
        "{\"event\":\"message.settled\"}",
        "{\"event\":\"message.settled\",\"message\":\"x\"}",
        "{\"event\":\"config.changed\",\"seq\":1}",
        "{\"event\":\"config.changed\",\"prev\":\"\"}",
        "{\"event\":\"config.changed\",\"time\":\"2026\"}",
        "{\"event\":\"config.changed\",\"journal\":null}",
        "{\"event\":\"config.changed\",\"event\":\"config.changed\"}",
        "{\"event\":\"policy.published\"}",
        "{\"event\":\"policy.published\",\"actor\":{},\"reason\":\"\"}",
        "{\"event\":\"config.changed\"} x",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(wrong); i++)
        (void)make(wrong[i], SP_E_MALFORMED);
}
END_TEST

START_TEST(a_line_in_another_form_is_altered)
{
    static const char *const wrong[] = {
        "",
        "{}",
        /* a space */
        "{\"event\":\"config.changed\", \"node\":\"gw1\","
        "\"prev\":\"9b1c000000000000000000000000000000000000000000000000000000000000\","
        "\"seq\":1,\"time\":\"2026-11-23T15:04:05.118Z\",\"v\":1}",
        /* order */
        "{\"node\":\"gw1\",\"event\":\"config.changed\","
        "\"prev\":\"9b1c000000000000000000000000000000000000000000000000000000000000\","
        "\"seq\":1,\"time\":\"2026-11-23T15:04:05.118Z\",\"v\":1}",
        /* no prev */
        "{\"event\":\"config.changed\",\"node\":\"gw1\",\"seq\":1,"
        "\"time\":\"2026-11-23T15:04:05.118Z\",\"v\":1}",
        /* another schema */
        "{\"event\":\"config.changed\",\"node\":\"gw1\","
        "\"prev\":\"9b1c000000000000000000000000000000000000000000000000000000000000\","
        "\"seq\":1,\"time\":\"2026-11-23T15:04:05.118Z\",\"v\":2}",
        /* seq 0 */
        "{\"event\":\"config.changed\",\"node\":\"gw1\","
        "\"prev\":\"9b1c000000000000000000000000000000000000000000000000000000000000\","
        "\"seq\":0,\"time\":\"2026-11-23T15:04:05.118Z\",\"v\":1}",
    };
    struct sp_audit_line line;

    for (size_t i = 0; i < SP_ARRAY_LEN(wrong); i++)
        ck_assert_msg(sp_audit_line_parse(sp_bytes_cstr(wrong[i]), &line, NULL) ==
                          SP_E_AUDIT_ALTERED,
                      "%s", wrong[i]);
}
END_TEST

START_TEST(the_list_of_events_has_no_name_twice)
{
    for (size_t i = 0; sp_audit_event_at(i) != NULL; i++)
        ck_assert_ptr_eq(sp_audit_event_find(sp_bytes_cstr(sp_audit_event_at(i)->name)),
                         sp_audit_event_at(i));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_line_is_canonical_and_stamped);
    tcase_add_test(c, a_line_reads_back);
    tcase_add_test(c, the_place_in_the_journal_is_told);
    tcase_add_test(c, what_is_no_event_is_refused);
    tcase_add_test(c, a_line_in_another_form_is_altered);
    tcase_add_test(c, the_list_of_events_has_no_name_twice);
}

SP_TEST_MAIN("audit.line", add)
