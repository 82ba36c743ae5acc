/*
 * What a probe tells: the same host and the same rung as an attempt would come to, of the same hosts.
 */
#include "delivery/probe.h"
#include "support/check_main.h"
#include "transport/posture.h"

#define DAY ((int64_t)24 * 3600 * 1000)

static const struct sp_ladder open_ladder = {
    .rungs = {{SP_RUNG_TLS_ENCRYPTED, SP_STAY_UNTIL_EXPIRE, 0}, {SP_RUNG_PLAIN, 0, 0}}, .count = 2};
static const struct sp_ladder sealed_ladder = {.rungs = {{SP_RUNG_SMIME, 0, 0}}, .count = 1};
static const struct sp_ladder plain_ladder = {.rungs = {{SP_RUNG_PLAIN, 0, 0}}, .count = 1};

/* The first host breaks its handshakes, or says first; the second is as second says: SP_OK with TLS, or why it is silent. */
static void tell_reply(int first, const struct sp_ladder *ladder, enum sp_via via,
                       enum sp_rc second, struct sp_next *next, size_t *hop)
{
    struct sp_posture *posture = sp_posture_new(4);
    struct sp_hop hops[2] = {{.name = SP_LIT_INIT("a"), .tlsa_why = SP_E_DANE_NONE},
                             {.name = SP_LIT_INIT("b"), .tlsa_why = SP_E_DANE_NONE}};
    struct sp_route route = {.domain = SP_LIT_INIT("d.test"),
                             .via = via,
                             .sts_why = SP_E_STS_NONE,
                             .hops = hops,
                             .hop_count = 2};
    struct sp_probe_host seen[2] = {{.rc = SP_E_TLS_HANDSHAKE, .reply_code = first},
                                    {.rc = second}};
    struct sp_probe_result result = {.route = &route, .hosts = seen};
    struct sp_standing s = {.ladder = ladder, .expire_ms = 2 * DAY};

    seen[1].proof.tls = second == SP_OK;
    for (size_t i = 0; i < 2; i++)
        seen[i].verdict = sp_hop_judge(&route, &hops[i], &seen[i].proof, seen[i].rc);
    sp_outcome_begin(&s);
    sp_outcome_keys(&s, SP_OK, SP_OK);
    sp_probe_tell(&result, posture, &s);
    sp_outcome_next(&s, next);
    *hop = s.rungs[next->index].hop;
    sp_posture_free(posture);
}

static void tell(const struct sp_ladder *ladder, enum sp_via via, enum sp_rc second,
                 struct sp_next *next, size_t *hop)
{
    tell_reply(0, ladder, via, second, next, hop);
}

START_TEST(a_host_whose_handshake_breaks_is_not_the_first_that_will_do)
{
    static const struct {
        const struct sp_ladder *ladder;
        enum sp_via via;
    } rows[] = {{&sealed_ladder, SP_VIA_MX},
                {&sealed_ladder, SP_VIA_ROUTE},
                {&plain_ladder, SP_VIA_MX},
                {&plain_ladder, SP_VIA_ROUTE}};
    struct sp_next next;
    size_t hop;

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        tell(rows[i].ladder, rows[i].via, SP_OK, &next, &hop);
        ck_assert_int_eq(next.step, SP_STEP_TAKE);
        ck_assert_uint_eq(hop, 1);
        tell(rows[i].ladder, rows[i].via, SP_E_HOP_UNREACHABLE, &next, &hop);
        ck_assert_int_eq(next.step, SP_STEP_TAKE);
        ck_assert_uint_eq(hop, 0);
    }
}
END_TEST

START_TEST(a_silent_host_is_waited_for_beside_one_whose_handshake_breaks)
{
    struct sp_next next;
    size_t hop;

    tell(&open_ladder, SP_VIA_MX, SP_E_HOP_UNREACHABLE, &next, &hop);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert_uint_eq(next.index, 0);
}
END_TEST

START_TEST(who_says_454_to_starttls_is_waited_for)
{
    struct sp_next next;
    size_t hop;

    tell_reply(454, &open_ladder, SP_VIA_MX, SP_E_HOP_UNREACHABLE, &next, &hop);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    tell_reply(454, &plain_ladder, SP_VIA_MX, SP_E_HOP_UNREACHABLE, &next, &hop);
    ck_assert_int_ne(next.step, SP_STEP_TAKE);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_host_whose_handshake_breaks_is_not_the_first_that_will_do);
    tcase_add_test(c, a_silent_host_is_waited_for_beside_one_whose_handshake_breaks);
    tcase_add_test(c, who_says_454_to_starttls_is_waited_for);
}

SP_TEST_MAIN("delivery.probe", add)
