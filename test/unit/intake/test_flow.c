/*
 * Bytes a second: who is not read from, for how long, and in which order they go on. The clock is the test's; a look at the
 * row is asked for by hand.
 */
#include "intake/intake_priv.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#include <stdlib.h>

#define KIB    1024
#define SECOND 1000
#define CROWD  10
#define PIECE  ((size_t)SP_STREAM_TURN_MAX)

static struct fake_clock fake;
static struct sp_intake in;
static struct generation now;
static struct source noisy, calm;
static struct session crowd[CROWD], lone;
static const struct sp_stream_events no_events;

static void begin(struct session *s, struct source *source)
{
    s->in = &in;
    s->source = source;
    s->share = &source->share;
    s->stream = sp_stream_new(in.parts.loop, -1, &no_events, s);
}

static void set_up(void)
{
    memset(&in, 0, sizeof(in));
    memset(&now, 0, sizeof(now));
    memset(&noisy, 0, sizeof(noisy));
    memset(&calm, 0, sizeof(calm));
    memset(crowd, 0, sizeof(crowd));
    memset(&lone, 0, sizeof(lone));
    fake_clock_init(&fake, 1795359845118);
    in.parts.clock = &fake.clock;
    in.parts.loop = sp_loop_new();
    in.now = &now;
    in.quotas = sp_map_new();
    in.sources = sp_map_new();
    now.relays = 1;
    sp_intake_flows_init(&in.flows);
    for (int i = 0; i < CROWD; i++)
        begin(&crowd[i], &noisy);
    begin(&lone, &calm);
}

static void end(struct session *s)
{
    sp_intake_flow_forget(s);
    sp_stream_free(s->stream);
}

static void tear_down(void)
{
    for (int i = 0; i < CROWD; i++)
        end(&crowd[i]);
    end(&lone);
    ck_assert(sp_list_is_empty(&in.flows.waiters));
    ck_assert_uint_eq(in.flows.all.waiting + noisy.flow.waiting + calm.flow.waiting, 0);
    sp_intake_flows_clear(&in);
    sp_intake_limits_free(&in);
    sp_loop_free(in.parts.loop);
}

static void pass(int64_t ms)
{
    fake_clock_advance(&fake, ms);
    sp_intake_flows_look(&in);
    sp_loop_run_once(in.parts.loop, 0);
    sp_loop_run_once(in.parts.loop, 0);
}

START_TEST(without_a_limit_nothing_is_counted)
{
    for (int i = 0; i < 1000; i++)
        sp_intake_flow_took(&lone, PIECE);
    ck_assert(!lone.flow.waits && !lone.is_held && !in.flows.all.begun && !calm.flow.begun);
}
END_TEST

START_TEST(who_is_ahead_waits_until_the_bucket_has_filled)
{
    now.source_bytes = 64 * KIB / 1000.0;
    sp_intake_flow_took(&lone, 128 * KIB); /* two seconds' worth at once */
    ck_assert(!lone.flow.waits);
    sp_intake_flow_took(&lone, 64 * KIB);
    ck_assert(lone.flow.waits && lone.is_held);
    pass(SECOND - 10);
    ck_assert(lone.flow.waits);
    pass(20);
    ck_assert(!lone.flow.waits && !lone.is_held);
    sp_intake_flow_took(&lone, PIECE - 1); /* its piece is paid for */
    ck_assert(!lone.flow.waits);
    sp_intake_flow_took(&lone, 1);
    ck_assert(lone.flow.waits);
    ck_assert_uint_eq(in.flows.waits, 2);
}
END_TEST

/* Everybody takes a whole piece whenever he may. returns: bytes that came in so long */
static size_t run(int64_t ms, size_t *of_lone)
{
    size_t sum = 0;

    *of_lone = 0;
    for (int64_t t = 0; t < ms; t += 10) {
        for (int i = 0; i < CROWD; i++) {
            if (crowd[i].flow.waits)
                continue;
            sp_intake_flow_took(&crowd[i], PIECE);
            sum += PIECE;
        }
        if (!lone.flow.waits) {
            sp_intake_flow_took(&lone, PIECE);
            *of_lone += PIECE;
        }
        pass(10);
    }
    return sum + *of_lone;
}

START_TEST(a_crowd_takes_no_more_than_the_rate)
{
    size_t of_lone, came;

    now.bytes = 1024 * KIB / 1000.0;
    came = run(60 * SECOND, &of_lone);
    ck_assert_uint_ge(came, 60 * 1024 * KIB);
    ck_assert_uint_le(came,
                      (60 + 2 + 1) * 1024 * KIB); /* a bucket to begin with, and the first round */
    ck_assert_uint_ge(of_lone, 28 * 1024 * KIB);  /* half of it, however many the others are */
}
END_TEST

START_TEST(who_sends_little_waits_for_one_piece_of_the_others)
{
    now.bytes = 1024 * KIB / 1000.0;
    for (int i = 0; i < CROWD; i++)
        sp_intake_flow_took(&crowd[i], i == 0 ? 32 * PIECE : PIECE);
    ck_assert(crowd[CROWD - 1].flow.waits);
    sp_intake_flow_took(&lone, 30);
    ck_assert(lone.flow.waits);
    for (int64_t ms = 0; in.flows.all.room < 0 && lone.flow.waits; ms += 10) {
        ck_assert_int_lt(ms, 3000);
        pass(10);
    }
    pass(70); /* a piece takes 62 ms at this rate */
    ck_assert(!lone.flow.waits);
    for (int i = 0; i < 1000; i++) {
        sp_intake_flow_took(&lone, 30); /* and what it says now is paid for */
        ck_assert(!lone.flow.waits);
    }
}
END_TEST

START_TEST(what_was_not_used_goes_back)
{
    now.bytes = 64 * KIB / 1000.0;
    sp_intake_flow_took(&crowd[0], 3 * PIECE);
    ck_assert(crowd[0].flow.waits);
    pass(SECOND);
    ck_assert(!crowd[0].flow.waits);
    ck_assert_double_lt(in.flows.all.room, -60 * KIB);
    sp_intake_flow_forget(&crowd[0]);
    ck_assert_double_ge(in.flows.all.room, 0);
}
END_TEST

/* The next in the row would have had to wait for four seconds. */
START_TEST(what_goes_back_lets_the_next_one_go)
{
    now.bytes = 16 * KIB / 1000.0;
    sp_intake_flow_took(&crowd[0], PIECE);
    sp_intake_flow_took(&crowd[1], PIECE);
    pass(6 * SECOND + 10);
    ck_assert(!crowd[0].flow.waits && crowd[1].flow.waits);
    sp_intake_flow_forget(&crowd[0]);
    for (int i = 0; i < 200 && crowd[1].flow.waits; i++)
        sp_loop_run_once(in.parts.loop, 5);
    ck_assert(!crowd[1].flow.waits);
}
END_TEST

START_TEST(a_limit_that_is_gone_keeps_nobody)
{
    now.bytes = 64 * KIB / 1000.0;
    sp_intake_flow_took(&crowd[0], 100 * PIECE);
    ck_assert(crowd[0].flow.waits);
    now.bytes = 0;
    pass(1);
    ck_assert(!crowd[0].flow.waits);
}
END_TEST

/* Each took a piece, and waits for one: at 16 KiB a second the eighth would have its own after a minute. */
START_TEST(a_row_that_is_too_long_is_told_at_mail)
{
    now.bytes = 1 / 1000.0; /* counts as 16 KiB */
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(sp_intake_flow_check(&crowd[i], NULL), i < 8 ? SP_OK : SP_E_INTAKE_RATE);
        ck_assert_int_eq(sp_intake_flow_check(&lone, NULL), SP_OK); /* none of its own waits */
        sp_intake_flow_took(&crowd[i], PIECE);
        ck_assert(crowd[i].flow.waits);
    }
}
END_TEST

START_TEST(a_tenant_has_its_rate_in_each_relay)
{
    struct sp_tenant t = {.name = "some", .limits = {.bytes = (int64_t)256 * KIB}};
    struct transaction tx = {.counted = &t};

    now.relays = 2;
    lone.tx = &tx;
    sp_intake_flow_took(&lone, 256 * KIB);
    ck_assert(!lone.flow.waits);
    sp_intake_flow_took(&lone, 128 * KIB);
    ck_assert(lone.flow.waits);
    sp_intake_flow_took(&crowd[0], 1000 * PIECE);
    ck_assert(!crowd[0].flow.waits);
    pass(SECOND + 10);
    ck_assert(!lone.flow.waits);
    lone.tx = NULL; /* the message is through: what it had in advance counts on */
    sp_intake_flow_took(&lone, 30);
    ck_assert(!lone.flow.waits);
}
END_TEST

/* 25 connections a second; each that is read from at all takes a piece at once, and goes. */
START_TEST(who_comes_again_and_again_starves_nobody)
{
    struct session once;
    size_t came = 0, of_lone = 0;

    now.bytes = 1024 * KIB / 1000.0;
    now.source_bytes = 64 * KIB / 1000.0;
    for (int64_t t = 0; t < 60 * SECOND; t += 40) {
        memset(&once, 0, sizeof(once));
        begin(&once, &noisy);
        sp_intake_flow_ask(&once);
        if (!once.flow.waits) {
            sp_intake_flow_took(&once, PIECE);
            came += PIECE;
        }
        end(&once);
        if (!lone.flow.waits) {
            sp_intake_flow_took(&lone, 2 * KIB);
            of_lone += 2 * KIB;
        }
        pass(40);
    }
    ck_assert_uint_ge(of_lone, 60 * 49 * KIB); /* it wants 50 KiB a second */
    ck_assert_uint_le(came, (60 + 2 + 1) * 64 * KIB);
}
END_TEST

START_TEST(a_crowd_that_was_quiet_takes_one_piece_at_once)
{
    size_t came = 0;

    now.bytes = 64 * KIB / 1000.0;
    sp_intake_flow_took(&lone, 2 * PIECE);
    for (int i = 0; i < CROWD; i++) {
        sp_intake_flow_ask(&crowd[i]);
        if (crowd[i].flow.waits)
            continue;
        sp_intake_flow_took(&crowd[i], PIECE);
        came += PIECE;
    }
    ck_assert_uint_eq(came, PIECE);
    ck_assert_uint_eq(in.flows.now, CROWD);
}
END_TEST

START_TEST(no_debt_is_for_ever)
{
    now.source_bytes = 64 * KIB / 1000.0;
    sp_intake_flow_took(&lone, 100000 * PIECE);
    ck_assert(lone.flow.waits);
    pass(59 * SECOND);
    ck_assert(lone.flow.waits);
    pass(2 * SECOND);
    ck_assert(!lone.flow.waits);
}
END_TEST

/* Those who left the row had no piece: the next of their source stands where they would have begun. */
START_TEST(who_leaves_the_row_costs_its_own_no_turn)
{
    int of_crowd = 0, of_lone = 0;

    now.bytes = 1024 * KIB / 1000.0;
    sp_intake_flow_took(&crowd[0], 33 * PIECE);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < CROWD - 1; i++)
            sp_intake_flow_ask(&crowd[i]);
        for (int i = 0; i < CROWD - 1; i++)
            sp_intake_flow_forget(&crowd[i]);
    }
    for (int64_t t = 0; t < 10 * SECOND; t += 10) {
        if (!crowd[CROWD - 1].flow.waits && ++of_crowd)
            sp_intake_flow_took(&crowd[CROWD - 1], PIECE);
        if (!lone.flow.waits && ++of_lone)
            sp_intake_flow_took(&lone, PIECE);
        pass(10);
    }
    ck_assert_int_ge(of_crowd + of_lone, 140);
    ck_assert_int_le(abs(of_crowd - of_lone), 2);
}
END_TEST

START_TEST(a_bucket_of_a_low_limit_is_full_when_it_is)
{
    double rate = 1 / 1000.0; /* counts as 16 KiB */

    now.source_bytes = rate;
    sp_intake_flow_took(&lone, 16 * KIB);
    ck_assert(!sp_intake_flow_is_full(&calm.flow, rate, sp_clock_mono_ms(&fake.clock)));
    pass(SECOND + 10);
    ck_assert(sp_intake_flow_is_full(&calm.flow, rate, sp_clock_mono_ms(&fake.clock)));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, without_a_limit_nothing_is_counted);
    tcase_add_test(c, who_is_ahead_waits_until_the_bucket_has_filled);
    tcase_add_test(c, a_crowd_takes_no_more_than_the_rate);
    tcase_add_test(c, who_sends_little_waits_for_one_piece_of_the_others);
    tcase_add_test(c, what_was_not_used_goes_back);
    tcase_add_test(c, what_goes_back_lets_the_next_one_go);
    tcase_add_test(c, a_limit_that_is_gone_keeps_nobody);
    tcase_add_test(c, a_row_that_is_too_long_is_told_at_mail);
    tcase_add_test(c, a_tenant_has_its_rate_in_each_relay);
    tcase_add_test(c, who_comes_again_and_again_starves_nobody);
    tcase_add_test(c, a_crowd_that_was_quiet_takes_one_piece_at_once);
    tcase_add_test(c, no_debt_is_for_ever);
    tcase_add_test(c, who_leaves_the_row_costs_its_own_no_turn);
    tcase_add_test(c, a_bucket_of_a_low_limit_is_full_when_it_is);
}

SP_TEST_MAIN("intake.flow", add)
