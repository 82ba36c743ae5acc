/*
 * Evidence is written until a record that holds it is durable, and nothing is cited that is written nowhere.
 */
#include "delivery/delivery_priv.h"
#include "delivery/report_priv.h"
#include "delivery/unrouted_priv.h"
#include "support/check_main.h"
#include "transport/transport_priv.h"

#include <stdio.h>

static struct sp_delivery delivery;
static struct sp_queue_message message;
static struct sp_parcel parcel = {.m = &message};

static struct sp_attempt *attempt(struct sp_bytes chain)
{
    struct sp_attempt *a = sp_calloc(1, sizeof(*a));

    a->d = &delivery;
    a->p = &parcel;
    a->chain = chain;
    sp_report_evidence(a);
    return a;
}

static void drop(struct sp_attempt *a)
{
    for (size_t i = 0; i < a->event_count; i++)
        sp_buf_clear(&a->events[i]);
    sp_free(a);
}

START_TEST(evidence_is_written_until_it_is_durable)
{
    struct sp_attempt *a;

    delivery.evidence = sp_map_new();
    for (int i = 0; i < 2; i++) { /* the first was put back */
        a = attempt(SP_LIT("chain"));
        ck_assert(a->event_count == 1 && a->cited_count == 1);
        sp_report_evidence(a); /* once in one record */
        ck_assert(a->event_count == 1 && a->cited_count == 1);
        if (i == 1)
            sp_report_evidence_durable(&delivery, a->fresh, a->fresh_count);
        drop(a);
    }
    a = attempt(SP_LIT("chain"));
    ck_assert(a->event_count == 0 && a->cited_count == 1);
    drop(a);
    sp_map_free(delivery.evidence);
}
END_TEST

START_TEST(what_does_not_fit_is_not_cited)
{
    static uint8_t big[100000];
    struct sp_attempt *a;

    delivery.evidence = sp_map_new();
    a = attempt(sp_bytes(big, sizeof(big)));
    ck_assert(a->event_count == 0 && a->cited_count == 0 && a->fresh_count == 0);
    drop(a);
    sp_map_free(delivery.evidence);
}
END_TEST

START_TEST(the_memory_of_it_is_bounded)
{
    uint8_t sum[1][SP_SHA256_LEN] = {{0}};

    delivery.evidence = sp_map_new();
    for (size_t i = 0; i < 25000; i++) {
        memcpy(sum[0], &i, sizeof(i));
        sp_report_evidence_durable(&delivery, sum, 1);
    }
    ck_assert_uint_le(sp_map_count(delivery.evidence), 10000);
    sp_map_free(delivery.evidence);
}
END_TEST

START_TEST(who_is_split_off_cites_what_protected_the_others)
{
    struct sp_accept_decision decision = {0};
    struct sp_hop hop = {.base = SP_LIT_INIT("mx.example.test"), .tlsa_count = 1};
    struct sp_route route = {.hops = &hop, .hop_count = 1};
    struct sp_attempt *a, *b;
    uint16_t n = 1;

    delivery = (struct sp_delivery){
        .parts.loop = sp_loop_new(), .evidence = sp_map_new(), .draining = true};
    delivery.unrouted = sp_unrouted_new(&delivery);
    sp_list_init(&delivery.attempts);
    parcel.refs = 2;
    a = attempt(SP_LIT("the host's certificates"));
    a->decision = &decision;
    a->route = sp_route_copy(&route);
    a->tlsa_matched = SP_LIT("3 1 1 8d02");
    sp_report_evidence(a);
    ck_assert_uint_eq(a->cited_count, 2);
    b = sp_attempt_split(a, &n, 1);
    ck_assert(sp_bytes_eq(b->tlsa_matched, a->tlsa_matched));
    sp_report_evidence(b);
    ck_assert_uint_eq(b->cited_count, 2);
    for (size_t i = 0; i < a->cited_count; i++)
        ck_assert_str_eq(a->cited[i], b->cited[i]);
    ck_assert_uint_eq(b->fresh_count, 2); /* its record may be durable before the other's */
    sp_route_unref(a->route);
    drop(a);
    sp_attempt_free(b);
    sp_unrouted_free(delivery.unrouted);
    sp_map_free(delivery.evidence);
    sp_loop_free(delivery.parts.loop);
}
END_TEST

/* The ledger has each policy since it was fetched. */
START_TEST(a_policy_is_cited_whose_text_is_not_at_hand)
{
    static char text[SP_STS_TEXT_MAX];
    struct sp_sts_cache *cache = sp_sts_cache_new(2000);
    struct sp_bytes policy = sp_bytes((uint8_t *)text, sizeof(text));
    static const char begin[] = "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 86400\nx: ";
    char domain[32], digest[SP_DIGEST_MAX];
    uint8_t sum[SP_SHA256_LEN];
    struct sp_buf hex;
    unsigned shorts = 0;

    delivery.evidence = sp_map_new();
    memset(text, 'x', sizeof(text));
    memcpy(text, begin, sizeof(begin) - 1);
    text[sizeof(text) - 1] = '\n';
    sp_crypt_sha256(policy, sum);
    sp_buf_init(&hex, 80);
    sp_hex_encode(&hex, sp_bytes(sum, sizeof(sum)));
    (void)snprintf(digest, sizeof(digest), "sts:%.*s", SP_FMT(sp_buf_bytes(&hex)));
    sp_buf_clear(&hex);
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(domain, sizeof(domain), "d%u.test", i);
        ck_assert_int_eq(sp_sts_cache_put(cache, sp_bytes_cstr(domain), SP_LIT("1"), policy, 1000),
                         SP_OK);
    }
    for (unsigned i = 0; i < 600; i++) { /* put away, or too long to be written beside an attempt */
        struct sp_route like = {.domain = SP_LIT_INIT("d.test")};
        struct sp_attempt *a = attempt(SP_LIT(""));

        (void)snprintf(domain, sizeof(domain), "d%u.test", i);
        like.sts = *sp_sts_cache_find(cache, sp_bytes_cstr(domain), 2000);
        shorts += like.sts.is_short;
        a->route = sp_route_copy(&like);
        a->seen_hop = SIZE_MAX;
        sp_report_evidence(a);
        ck_assert_uint_eq(a->cited_count, 1);
        ck_assert_str_eq(a->cited[0], digest);
        ck_assert(a->event_count == 0 && a->fresh_count == 0);
        sp_route_unref(a->route);
        drop(a);
    }
    ck_assert(shorts > 0 && shorts < 600);
    sp_map_free(delivery.evidence);
    sp_sts_cache_free(cache);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_policy_is_cited_whose_text_is_not_at_hand);
    tcase_add_test(c, who_is_split_off_cites_what_protected_the_others);
    tcase_add_test(c, evidence_is_written_until_it_is_durable);
    tcase_add_test(c, what_does_not_fit_is_not_cited);
    tcase_add_test(c, the_memory_of_it_is_bounded);
}

SP_TEST_MAIN("delivery.evidence", add)
