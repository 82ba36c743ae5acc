/*
 * Files given to `audit verify`: an audit file, or a proof. However the bytes are cut, the verdict is the same; and
 * nothing is proved by a key that nobody has (the ring holds one whose secret half was thrown away).
 */
#include "audit/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct sp_audit_report verify(struct sp_bytes text, size_t step,
                                     const struct sp_audit_ring *ring)
{
    SP_AUTO(sp_audit_verifier) v = sp_audit_verifier_new(ring, sp_bytes(NULL, 0));

    for (size_t at = 0; at < text.len; at += step)
        sp_audit_verifier_feed(v, sp_bytes_slice(text, at, step));
    return *sp_audit_verifier_finish(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t nobody[SP_SIGN_PUBLIC_LEN] = {9};
    struct sp_bytes text = sp_bytes(data, len);
    struct sp_audit_proof_report proof;
    struct sp_audit_ring ring = {0};
    struct sp_audit_public key;
    struct sp_audit_report whole = verify(text, len + 1, NULL);
    struct sp_audit_report cut = verify(text, 1 + len / 7, NULL);

    sp_assert(whole.verdict == cut.verdict && whole.records == cut.records);
    sp_assert(sp_audit_public_from_raw(sp_bytes(nobody, sizeof(nobody)), &key));
    sp_assert(sp_audit_ring_add(&ring, &key));
    sp_assert(verify(text, len + 1, &ring).verdict != SP_AUDIT_PROVED);
    sp_audit_proof_check(text, &ring, &proof);
    sp_assert(proof.report.verdict != SP_AUDIT_PROVED);
    sp_audit_proof_check(text, NULL, &proof);
    return 0;
}
