/*
 * The typed records: what is encoded is decoded again, whole; anything cut, longer or out of range is refused.
 */
#include "journal/records.h"
#include "support/check_main.h"

static struct sp_arena *arena;
static struct sp_buf buf;

static void setup(void)
{
    arena = sp_arena_new(1024);
    sp_buf_init(&buf, SP_RECORD_META_MAX);
}

static void teardown(void)
{
    sp_arena_free(arena);
    sp_buf_clear(&buf);
}

static struct sp_accept_rung rungs[] = {{1, -1, 14400000}, {3, 60000, 0}, {7, -1, -1}};
static struct sp_accept_decision decisions[] = {
    {.does = SP_ACCEPT_DO_PROTECT,
     .floor = 4,
     .rule = SP_LIT_INIT("phi"),
     .rungs = rungs,
     .rung_count = 3,
     .expire_at_ms = 1795000000000,
     .options = SP_LIT_INIT("{\"portal\":{}}")},
    {.does = SP_ACCEPT_DO_HOLD,
     .at_end = 1,
     .rule = SP_LIT_INIT("approval"),
     .hold_until_ms = 17,
     .text = SP_LIT_INIT("wait")},
};
static struct sp_accept_recipient recipients[] = {
    {.address = SP_LIT_INIT("pat@example.net"), .notify = 12, .decision = 0},
    {.address = SP_LIT_INIT("\"odd one\"@example.org"),
     .orcpt = SP_LIT_INIT("rfc822;odd"),
     .decision = 1},
};
static struct sp_bytes events[] = {SP_LIT_INIT("{\"event\":\"message.accepted\"}"),
                                   SP_LIT_INIT("{\"event\":\"message.held\"}")};

static struct sp_accept accept_of(uint8_t kind, const struct sp_accept *child)
{
    return (struct sp_accept){
        .id = {{1, 2, 3}},
        .parent = {{9}},
        .time_ms = 1795446245118,
        .kind = kind,
        .ret = SP_ACCEPT_RET_HDRS,
        .needs = SP_NEEDS_8BIT | SP_ASKED_REQUIRETLS,
        .tenant = SP_LIT("hospital"),
        .sender = SP_LIT("dr@hospital.example"),
        .envid = SP_LIT("QQ314159"),
        .message_id = SP_LIT("<a1b2@hospital.example>"),
        .policy = SP_LIT("41f0"),
        .trace = SP_LIT("Received: from x\r\n"),
        .facts = SP_LIT("{}"),
        .body_len = 18342,
        .sha256 = {0xc3, 0xab},
        .body_in_file = true,
        .decisions = decisions,
        .decision_count = 2,
        .recipients = recipients,
        .recipient_count = 2,
        .audit = {events, 2},
        .child = child,
    };
}

static void assert_same_accept(const struct sp_accept *a, const struct sp_accept *b)
{
    ck_assert(sp_id_eq(&a->id, &b->id) && sp_id_eq(&a->parent, &b->parent));
    ck_assert(a->time_ms == b->time_ms && a->kind == b->kind && a->ret == b->ret &&
              a->needs == b->needs && a->body_len == b->body_len &&
              a->body_in_file == b->body_in_file);
    ck_assert(sp_bytes_eq(a->tenant, b->tenant) && sp_bytes_eq(a->sender, b->sender) &&
              sp_bytes_eq(a->envid, b->envid) && sp_bytes_eq(a->trace, b->trace));
    ck_assert(memcmp(a->sha256, b->sha256, 32) == 0);
    ck_assert_uint_eq(b->decision_count, 2);
    ck_assert_uint_eq(b->decisions[0].rung_count, 3);
    ck_assert(memcmp(&b->decisions[0].rungs[1].unreachable_ms, &rungs[1].unreachable_ms, 8) == 0);
    ck_assert(sp_bytes_eq(b->decisions[1].text, SP_LIT("wait")));
    ck_assert_int_eq(b->decisions[1].hold_until_ms, 17);
    ck_assert_uint_eq(b->recipient_count, 2);
    ck_assert(sp_bytes_eq(b->recipients[1].orcpt, SP_LIT("rfc822;odd")));
    ck_assert_uint_eq(b->recipients[0].notify, 12);
    ck_assert_uint_eq(b->audit.count, 2);
    ck_assert(sp_bytes_eq(b->audit.events[1], events[1]));
}

START_TEST(an_accept_comes_back_with_its_child)
{
    struct sp_accept child = accept_of(SP_ACCEPT_KIND_DSN, NULL);
    struct sp_accept a = accept_of(SP_ACCEPT_KIND_MAIL, &child);
    struct sp_accept out;
    struct sp_audit_list audit;
    int64_t time_ms;

    ck_assert_int_eq(sp_accept_encode(&a, &buf), SP_OK);
    ck_assert_int_eq(sp_accept_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    assert_same_accept(&a, &out);
    ck_assert_ptr_nonnull(out.child);
    assert_same_accept(&child, out.child);
    ck_assert_int_eq(sp_record_audit(SP_RECORD_ACCEPT, sp_buf_bytes(&buf), arena, &time_ms, &audit),
                     SP_OK);
    ck_assert_uint_eq(audit.count, 4);
    ck_assert_int_eq(time_ms, a.time_ms);
}
END_TEST

START_TEST(an_outcome_comes_back)
{
    struct sp_result results[] = {{0, SP_RCPT_DELIVERED, 3, 250, 0, 0, false},
                                  {7, SP_RCPT_DEFERRED, 255, 451, SP_E_HOP_DEFERRED, 99, true}};
    struct sp_outcome o = {
        .id = {{5}}, .time_ms = 1, .attempt = 3, .results = results, .result_count = 2};
    struct sp_outcome out;

    o.audit = (struct sp_audit_list){events, 1};
    ck_assert_int_eq(sp_outcome_encode(&o, &buf), SP_OK);
    ck_assert_int_eq(sp_outcome_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    ck_assert_uint_eq(out.result_count, 2);
    ck_assert(out.results[1].n == 7 && out.results[1].smtp == 451 &&
              out.results[1].why == SP_E_HOP_DEFERRED && out.results[1].next_at_ms == 99);
    ck_assert(out.results[1].told && !out.results[0].told);
    ck_assert_uint_eq(out.attempt, 3);
    ck_assert_uint_eq(out.audit.count, 1);
    ck_assert_ptr_null(out.child);
}
END_TEST

START_TEST(an_act_and_a_carry_come_back)
{
    uint16_t ns[] = {3, 1};
    struct sp_act act = {.id = {{4}},
                         .time_ms = 8,
                         .next_at_ms = 9,
                         .ns = ns,
                         .n_count = 2,
                         .reason = SP_LIT("asked by phone")};
    struct sp_act act_out;
    struct sp_rcpt states[] = {{SP_RCPT_DELIVERED, 3, 250, 0, 0, 0, 1, 0},
                               {SP_RCPT_DEFERRED, 255, 450, 1, 1, 0, 9, 77}};
    struct sp_carry carry = {accept_of(SP_ACCEPT_KIND_MAIL, NULL), states};
    struct sp_carry carry_out;

    ck_assert_int_eq(sp_act_encode(&act, &buf), SP_OK);
    ck_assert_int_eq(sp_act_decode(sp_buf_bytes(&buf), arena, &act_out), SP_OK);
    ck_assert(act_out.n_count == 2 && act_out.ns[1] == 1 && act_out.next_at_ms == 9);
    ck_assert(sp_bytes_eq(act_out.reason, act.reason));
    sp_buf_reset(&buf);
    ck_assert_int_eq(sp_carry_encode(&carry, &buf), SP_OK);
    ck_assert_int_eq(sp_carry_decode(sp_buf_bytes(&buf), arena, &carry_out), SP_OK);
    assert_same_accept(&carry.accept, &carry_out.accept);
    ck_assert(carry_out.states[1].next_at_ms == 77 && carry_out.states[1].attempts == 9);
    ck_assert(carry_out.states[1].smtp == 450 && carry_out.states[1].told &&
              carry_out.states[1].by_hand);
    ck_assert(carry_out.states[0].smtp == 250 && !carry_out.states[0].told &&
              !carry_out.states[0].by_hand);
}
END_TEST

START_TEST(every_cut_and_every_extra_byte_is_refused)
{
    struct sp_accept a = accept_of(SP_ACCEPT_KIND_MAIL, NULL);
    struct sp_accept out;
    size_t refused = 0;

    ck_assert_int_eq(sp_accept_encode(&a, &buf), SP_OK);
    for (size_t len = 0; len < buf.len; len++)
        if (sp_accept_decode(sp_bytes(buf.ptr, len), arena, &out) == SP_E_MALFORMED)
            refused++;
    ck_assert_uint_eq(refused, buf.len);
    sp_buf_put_u8(&buf, 0);
    ck_assert_int_eq(sp_accept_decode(sp_buf_bytes(&buf), arena, &out), SP_E_MALFORMED);
}
END_TEST

START_TEST(values_out_of_range_are_refused)
{
    struct sp_accept a = accept_of(SP_ACCEPT_KIND_MAIL, NULL);
    struct sp_outcome o = {.id = {{5}}, .result_count = SP_RECORD_RECIPIENTS_MAX + 1};
    struct sp_result wrong = {.state = SP_RCPT_STATE_COUNT};
    struct sp_outcome one = {.results = &wrong, .result_count = 1};
    struct sp_accept out;
    struct sp_outcome outcome_out;

    a.kind = SP_ACCEPT_KIND_COUNT;
    ck_assert_int_eq(sp_accept_encode(&a, &buf), SP_OK);
    ck_assert_int_eq(sp_accept_decode(sp_buf_bytes(&buf), arena, &out), SP_E_MALFORMED);
    ck_assert_int_eq(sp_outcome_encode(&o, &buf), SP_E_LIMIT);
    sp_buf_reset(&buf);
    ck_assert_int_eq(sp_outcome_encode(&one, &buf), SP_OK);
    ck_assert_int_eq(sp_outcome_decode(sp_buf_bytes(&buf), arena, &outcome_out), SP_E_MALFORMED);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_accept_comes_back_with_its_child);
    tcase_add_test(c, an_outcome_comes_back);
    tcase_add_test(c, an_act_and_a_carry_come_back);
    tcase_add_test(c, every_cut_and_every_extra_byte_is_refused);
    tcase_add_test(c, values_out_of_range_are_refused);
}

SP_TEST_MAIN("records", add)
