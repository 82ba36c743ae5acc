/* Budgets of a scan: what is past one is not read, and the result says so. */
#include "base/clock.h"
#include "detect/detect.h"
#include "support/check_main.h"

static int64_t mono_ms(void *ctx)
{
    int64_t *now = ctx;

    *now += 10; /* each look costs something */
    return *now;
}

/* Scans filler, then an identifier with a disease. */
static void scan(const struct sp_detect_limits *limits, size_t lines, struct sp_detect_result *out)
{
    struct sp_detect *detect = NULL;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_err err = {0};
    struct sp_buf b;
    struct sp_bytes text;
    struct sp_mime_source source;

    ck_assert_msg(sp_detect_new(&detect, &err) == SP_OK, "%s", err.text);
    sp_buf_init(&b, 1 << 20);
    sp_buf_put_cstr(&b, "Subject: x\r\n\r\n");
    for (size_t i = 0; i < lines; i++)
        sp_buf_put_cstr(&b, "Nothing of interest stands in this line, nor in the next.\r\n");
    sp_buf_put_cstr(&b, "SSN 219-45-6781 diabetes\r\n");
    text = sp_buf_bytes(&b);
    source = sp_mime_source_bytes(&text);
    ck_assert_int_eq(sp_detect_message(detect, &source, limits, arena, out), SP_OK);
    if (out->gap_count > 0)
        ck_assert_str_eq(out->gaps[0].why, limits->clock != NULL ? "time" : "limit");
    sp_buf_clear(&b);
    sp_detect_free(detect);
}

START_TEST(what_is_unpacked_has_an_end)
{
    const struct sp_detect_limits narrow = {.unpacked_max = 20000},
                                  wide = {.unpacked_max = 1 << 20};
    struct sp_detect_result r;

    scan(&narrow, 5000, &r);
    ck_assert(r.partial && r.class == SP_DETECT_NONE);
    scan(&wide, 5000, &r);
    ck_assert(!r.partial && r.class == SP_DETECT_PHI);
}
END_TEST

START_TEST(so_has_its_time)
{
    int64_t now = 0;
    const struct sp_clock clock = {.mono_ms = mono_ms, .ctx = &now};
    const struct sp_detect_limits brief = {.clock = &clock, .deadline_ms = 25},
                                  long_enough = {.clock = &clock, .deadline_ms = 1000000};
    struct sp_detect_result r;

    scan(&brief, 5000, &r);
    ck_assert(r.partial && r.class == SP_DETECT_NONE && now >= 25);
    scan(&long_enough, 5000, &r);
    ck_assert(!r.partial && r.class == SP_DETECT_PHI);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, what_is_unpacked_has_an_end);
    tcase_add_test(c, so_has_its_time);
}

SP_TEST_MAIN("detect.budget", add)
