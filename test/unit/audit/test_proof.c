/* A proof file: made in one pass, checked offline, and every tampering with it found. */
#include "audit/proof.h"
#include "chain.h"
#include "support/check_main.h"

static struct chain chain;
static struct sp_buf proof;

static void make(const uint64_t *seqs, size_t count, uint64_t checkpoint_seq)
{
    struct sp_audit_proof_ask ask = {.message = chain.message,
                                     .seqs = seqs,
                                     .seq_count = count,
                                     .checkpoint_seq = checkpoint_seq,
                                     .key = chain.signer.key};
    SP_AUTO(sp_audit_prover) p = sp_audit_prover_new(&ask);
    size_t i = 0;

    while (i < chain.count && sp_audit_prover_add(p, sp_bytes_cstr(chain.line[i])))
        i++;
    ck_assert_int_eq(sp_audit_prover_finish(p, &proof, NULL), SP_OK);
}

static void set_up(void)
{
    static const uint64_t seqs[] = {2, 4, 5};

    chain_init(&chain);
    sp_buf_init(&proof, SP_AUDIT_PROOF_MAX);
    make(seqs, 3, 10);
}

static void tear_down(void)
{
    sp_buf_clear(&proof);
    chain_clear(&chain);
}

static enum sp_audit_verdict check(struct sp_bytes text, const struct sp_audit_ring *ring)
{
    struct sp_audit_proof_report report;

    sp_audit_proof_check(text, ring, &report);
    return report.report.verdict;
}

START_TEST(a_proof_holds_by_its_own_key_and_by_a_trusted_one)
{
    struct sp_audit_proof_report report;
    struct sp_audit_ring ring = {0};

    ck_assert(sp_audit_proof_is(sp_buf_bytes(&proof)));
    sp_audit_proof_check(sp_buf_bytes(&proof), NULL, &report);
    ck_assert_msg(report.report.verdict == SP_AUDIT_PROVED, "%s", report.report.why);
    ck_assert_uint_eq(report.report.records, 3);
    ck_assert(report.settled);
    ck_assert(report.report.key_from_file);
    ck_assert(sp_id_eq(&report.message, &chain.message));
    ck_assert(sp_audit_ring_add(&ring, &chain.signer.key));
    ck_assert_int_eq(check(sp_buf_bytes(&proof), &ring), SP_AUDIT_PROVED);
}
END_TEST

START_TEST(another_trusted_key_does_not_know_it)
{
    struct sp_audit_signer other;
    struct sp_audit_ring ring = {0};

    chain_signer(&other, 5);
    ck_assert(sp_audit_ring_add(&ring, &other.key));
    ck_assert_int_eq(check(sp_buf_bytes(&proof), &ring), SP_AUDIT_KEY_IS_UNKNOWN);
}
END_TEST

START_TEST(no_changed_byte_passes)
{
    for (size_t i = 0; i + 1 < proof.len; i++) {
        uint8_t was = proof.ptr[i];

        proof.ptr[i] = (uint8_t)(was ^ 1);
        ck_assert_msg(check(sp_buf_bytes(&proof), NULL) != SP_AUDIT_PROVED, "byte %zu: %.40s", i,
                      (const char *)proof.ptr + (i < 20 ? 0 : i - 20));
        proof.ptr[i] = was;
    }
}
END_TEST

START_TEST(a_record_left_out_makes_it_incomplete)
{
    static const uint64_t without_accept[] = {4, 5};
    static const uint64_t without_attempt[] = {2, 5};
    static const uint64_t unsettled[] = {2, 4};

    sp_buf_reset(&proof);
    make(without_accept, 2, 10);
    ck_assert_int_eq(check(sp_buf_bytes(&proof), NULL), SP_AUDIT_IS_INCOMPLETE);
    sp_buf_reset(&proof);
    make(without_attempt, 2, 10);
    ck_assert_int_eq(check(sp_buf_bytes(&proof), NULL), SP_AUDIT_IS_INCOMPLETE);
    sp_buf_reset(&proof);
    make(unsettled, 2, 6);
    ck_assert_int_eq(check(sp_buf_bytes(&proof), NULL), SP_AUDIT_PROVED);
}
END_TEST

START_TEST(what_is_no_proof_is_altered)
{
    ck_assert_int_eq(check(SP_LIT(""), NULL), SP_AUDIT_WAS_ALTERED);
    ck_assert_int_eq(check(SP_LIT("{}"), NULL), SP_AUDIT_WAS_ALTERED);
    ck_assert_int_eq(check(SP_LIT("{\"format\":\"sallyport-audit-proof\",\"v\":1}"), NULL),
                     SP_AUDIT_WAS_ALTERED);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_proof_holds_by_its_own_key_and_by_a_trusted_one);
    tcase_add_test(c, another_trusted_key_does_not_know_it);
    tcase_add_test(c, no_changed_byte_passes);
    tcase_add_test(c, a_record_left_out_makes_it_incomplete);
    tcase_add_test(c, what_is_no_proof_is_altered);
}

SP_TEST_MAIN("audit.proof", add)
