/*
 * Memory of a source, a tenant, and all: what counts, who is asked to stop, and that nothing is counted behind the end.
 */
#include "intake/intake_priv.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#define MIB  ((size_t)1024 * 1024)
#define MANY 8

static struct fake_clock fake;
static struct sp_intake in;
static struct generation now;
static struct source sources[MANY];
static struct session sessions[MANY];
static struct transaction messages[MANY];
static struct sp_tenant some = {.name = "some"}, other = {.name = "other"};
static const struct sp_stream_events no_events;

static void set_up(void)
{
    memset(&in, 0, sizeof(in));
    memset(&now, 0, sizeof(now));
    memset(sources, 0, sizeof(sources));
    memset(sessions, 0, sizeof(sessions));
    memset(messages, 0, sizeof(messages));
    some.limits.memory = 0;
    fake_clock_init(&fake, 1795359845118);
    in.parts.clock = &fake.clock;
    in.parts.loop = sp_loop_new();
    in.now = &now;
    in.quotas = sp_map_new();
    in.sources = sp_map_new();
    now.relays = 1;
    for (int i = 0; i < MANY; i++) {
        sessions[i].in = &in;
        sessions[i].source = &sources[i];
        sessions[i].stream = sp_stream_new(in.parts.loop, -1, &no_events, &sessions[i]);
        messages[i].in = &in;
        messages[i].arena = sp_arena_new(1024);
    }
}

static void end(int i)
{
    sp_intake_memory_leave(&sessions[i]);
    sp_intake_memory_drop(&messages[i]);
    sp_stream_free(sessions[i].stream);
    sp_arena_free(messages[i].arena);
    sessions[i].stream = NULL;
    messages[i].arena = NULL;
}

static void tear_down(void)
{
    for (int i = 0; i < MANY; i++)
        end(i);
    ck_assert_uint_eq(in.memories.all.bytes + in.memories.holders, 0);
    for (int i = 0; i < MANY; i++)
        ck_assert_uint_eq(sources[i].memory.bytes, 0);
    ck_assert_uint_eq(sp_intake_tenant_memory(&in, &some)->bytes, 0);
    sp_intake_limits_free(&in);
    sp_loop_free(in.parts.loop);
}

/* A message of this tenant's that holds so much. The session's server is asked only by who waits, so there is none. */
static void hold(int i, const struct sp_tenant *t, size_t bytes)
{
    messages[i].counted = t;
    messages[i].refuse_rc = SP_E_SMTP_SIZE; /* it will be refused: nothing to wait for */
    sessions[i].tx = &messages[i];
    sessions[i].closing = true;
    (void)sp_arena_alloc(messages[i].arena, bytes);
    sp_intake_memory_weigh(&sessions[i]);
}

START_TEST(without_limits_all_is_counted_and_nobody_refused)
{
    hold(0, &some, 100 * MIB);
    hold(1, NULL, MIB);
    ck_assert_uint_ge(in.memories.all.bytes, 101 * MIB);
    ck_assert_uint_ge(sources[0].memory.bytes, 100 * MIB);
    ck_assert_uint_ge(sp_intake_tenant_memory(&in, &some)->bytes, 100 * MIB);
    ck_assert_uint_eq(in.memories.holders, 3); /* two sources and a tenant */
    ck_assert_int_eq(sp_intake_memory_check(&sessions[0], &some), SP_OK);
    ck_assert_uint_eq(in.memories.refused, 0);
}
END_TEST

START_TEST(a_source_has_its_limit_alone)
{
    struct sp_addr peer = {.len = 0};

    now.source_memory = 8.0 * MIB;
    hold(0, &some, 7 * MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[0], &some), SP_OK);
    ck_assert(sp_intake_memory_admits(&in, &sources[0], &peer));
    hold(0, &some, 2 * MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[0], &some), SP_E_INTAKE_MEMORY);
    ck_assert(!sp_intake_memory_admits(&in, &sources[0], &peer));
    ck_assert_int_eq(sp_intake_memory_check(&sessions[1], &some), SP_OK);
    ck_assert(sp_intake_memory_admits(&in, &sources[1], &peer));
    ck_assert_uint_eq(in.memories.refused, 2);
}
END_TEST

START_TEST(a_tenant_has_its_part_in_each_relay)
{
    some.limits.memory = (int64_t)(16 * MIB);
    now.relays = 2;
    hold(0, &some, 5 * MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[1], &some), SP_OK);
    hold(1, &some, 4 * MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[2], &some), SP_E_INTAKE_MEMORY);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[2], &other), SP_OK);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[2], NULL), SP_OK);
    end(0);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[2], &some), SP_OK);
    messages[0].arena = sp_arena_new(64);
    sessions[0].stream = sp_stream_new(in.parts.loop, -1, &no_events, &sessions[0]);
    sessions[0].tx = NULL;
}
END_TEST

START_TEST(the_gateways_limit_asks_who_holds_more_than_a_part)
{
    now.memory = 32.0 * MIB;
    hold(0, NULL, 31 * MIB);
    for (int i = 1; i < 4; i++)
        hold(i, NULL, MIB / 4);
    hold(4, NULL, MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[0], NULL), SP_E_INTAKE_MEMORY);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(sp_intake_memory_check(&sessions[i], NULL), SP_OK);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[1], &some), SP_OK); /* holds nothing yet */
    hold(4, NULL, 8 * MIB); /* a quarter more: now it is everybody's */
    ck_assert_int_eq(sp_intake_memory_check(&sessions[1], NULL), SP_E_INTAKE_MEMORY);
}
END_TEST

START_TEST(a_low_limit_leaves_room_for_a_message)
{
    now.memory = now.source_memory = 1;
    hold(0, &some, 3 * MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[0], &some), SP_OK);
    hold(0, &some, MIB);
    ck_assert_int_eq(sp_intake_memory_check(&sessions[0], &some), SP_E_INTAKE_MEMORY);
}
END_TEST

START_TEST(a_message_that_outlives_its_session_counts_on)
{
    hold(0, &some, 5 * MIB);
    messages[0].in_flight = true;
    sp_intake_memory_leave(&sessions[0]);
    ck_assert_uint_eq(sources[0].memory.bytes, 0);
    ck_assert_uint_ge(in.memories.all.bytes, 5 * MIB);
    ck_assert_uint_ge(sp_intake_tenant_memory(&in, &some)->bytes, 5 * MIB);
    sp_intake_memory_drop(&messages[0]);
    ck_assert_uint_eq(in.memories.all.bytes, 0);
    sessions[0].tx = NULL;
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, without_limits_all_is_counted_and_nobody_refused);
    tcase_add_test(c, a_source_has_its_limit_alone);
    tcase_add_test(c, a_tenant_has_its_part_in_each_relay);
    tcase_add_test(c, the_gateways_limit_asks_who_holds_more_than_a_part);
    tcase_add_test(c, a_low_limit_leaves_room_for_a_message);
    tcase_add_test(c, a_message_that_outlives_its_session_counts_on);
}

SP_TEST_MAIN("intake.memory", add)
