/*
 * Client sessions that are kept: which are given once and which again, and until when.
 */
#include "support/check_main.h"
#include "tls/tls_priv.h"

#define HOUR_MS ((int64_t)60 * 60 * 1000)
#define NOW_MS  ((int64_t)1800000000000)

static SSL_CTX *ctx;
static struct sp_tls_cache *cache;

static void begin(void)
{
    ctx = SSL_CTX_new(TLS_client_method());
    cache = sp_tls_cache_new();
}

static void end(void)
{
    sp_tls_cache_free(cache);
    SSL_CTX_free(ctx);
}

/* A session of that version as a host would have given it. */
static SSL_SESSION *ticket_of(int version)
{
    SSL_SESSION *ticket = SSL_SESSION_new();

    ck_assert(SSL_SESSION_set_protocol_version(ticket, version) == 1);
    ck_assert(SSL_SESSION_set1_id(ticket, (const unsigned char *)"0123456789abcdef", 16) == 1);
    ck_assert_int_eq(SSL_SESSION_is_resumable(ticket), 1);
    return ticket;
}

static struct sp_tls_evidence proof_of(int64_t proved_at_ms)
{
    return (struct sp_tls_evidence){.proof.not_after_ms = NOW_MS + 100 * HOUR_MS,
                                    .proved_at_ms = proved_at_ms};
}

/* returns: whether there was one, and then when its certificate was seen */
static bool take(const char *key, int64_t now_ms, int64_t *proved_at_ms)
{
    struct sp_tls_evidence *evidence;
    SSL_SESSION *ticket;

    if (!sp_tls_cache_take(cache, sp_bytes_cstr(key), now_ms, &ticket, &evidence))
        return false;
    *proved_at_ms = evidence->proved_at_ms;
    SSL_SESSION_free(ticket);
    sp_tls_evidence_free(evidence);
    return true;
}

START_TEST(a_ticket_of_1_3_is_given_once_and_one_of_1_2_again)
{
    struct sp_tls_evidence proof = proof_of(NOW_MS);
    int64_t at = 0;

    begin();
    sp_tls_cache_put(cache, SP_LIT("new"), ticket_of(TLS1_3_VERSION), &proof, NOW_MS);
    sp_tls_cache_put(cache, SP_LIT("old"), ticket_of(TLS1_2_VERSION), &proof, NOW_MS);
    ck_assert(take("new", NOW_MS, &at) && !take("new", NOW_MS, &at));
    for (int i = 0; i < 3; i++)
        ck_assert(take("old", NOW_MS + i, &at));
    ck_assert(!take("other", NOW_MS, &at));
    end();
}
END_TEST

START_TEST(no_chain_of_tickets_outlives_the_hour_of_its_certificate)
{
    struct sp_tls_evidence proof = proof_of(NOW_MS);
    int64_t at = 0, now_ms;

    begin();
    sp_tls_cache_put(cache, SP_LIT("k"), ticket_of(TLS1_3_VERSION), &proof, NOW_MS);
    for (now_ms = NOW_MS; now_ms < NOW_MS + HOUR_MS; now_ms += HOUR_MS / 4) {
        ck_assert(take("k", now_ms, &at));
        proof = proof_of(at);
        sp_tls_cache_put(cache, SP_LIT("k"), ticket_of(TLS1_3_VERSION), &proof, now_ms);
    }
    ck_assert(!take("k", now_ms, &at));
    sp_tls_cache_put(cache, SP_LIT("k"), ticket_of(TLS1_2_VERSION), &proof, NOW_MS);
    ck_assert(!take("k", NOW_MS - 1, &at)); /* the clock went back: nobody knows how old it is */
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_ticket_of_1_3_is_given_once_and_one_of_1_2_again);
    tcase_add_test(c, no_chain_of_tickets_outlives_the_hour_of_its_certificate);
}

SP_TEST_MAIN("tls.cache", add)
