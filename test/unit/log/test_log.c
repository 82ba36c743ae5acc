/*
 * A log line is one JSON object, and no field can carry what a peer wrote but as a name with its odd bytes masked.
 */
#include "log/log.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#include <unistd.h>

START_TEST(a_line_holds_its_fields_and_masks_odd_names)
{
    struct fake_clock clock;
    struct sp_log *log;
    int pipe_fds[2];
    char line[1024];
    ssize_t n;

    fake_clock_init(&clock, 0);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    log = sp_log_new(pipe_fds[1], "relay", SP_LOG_INFO, &clock.clock);
    sp_log_debug(log, "too.quiet");
    sp_log_info(log, "delivery.done", SP_DOMAIN("next_hop", SP_LIT("mx.\"evil\"\n.example")),
                SP_MS("took", 12), SP_RC("why", SP_E_TLS_NAME));
    n = read(pipe_fds[0], line, sizeof(line) - 1);
    ck_assert_int_gt(n, 0);
    line[n] = '\0';
    ck_assert_str_eq(
        line, "{\"time\":\"2026-11-22T12:00:00.000Z\",\"level\":\"info\",\"role\":\"relay\","
              "\"event\":\"delivery.done\",\"next_hop\":\"mx.?evil??.example\",\"took_ms\":12,"
              "\"why\":\"tls.name-mismatch\"}\n");
    sp_log_free(log);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_line_holds_its_fields_and_masks_odd_names);
}

SP_TEST_MAIN("log", add)
