/*
 * The words of TLS reports. A session is reported under the policy that bound it: DANE before MTA-STS, as in delivery. What
 * no policy asked for can't fail, but for TLS itself.
 */
#include "transport/tlsrpt.h"

static bool is_tlsa(const struct sp_hop *h)
{
    return !h->tlsa_pinned && (h->tlsa == SP_TLSA_USABLE || h->tlsa == SP_TLSA_UNUSABLE);
}

const char *sp_tlsrpt_policy(const struct sp_route *r, const struct sp_hop *h)
{
    if (is_tlsa(h))
        return "tlsa";
    return r->sts.mode == SP_STS_MODE_NONE ? "no-policy-found" : "sts";
}

static const char *sts_result(const struct sp_hop *h, const struct sp_hop_proof *proof)
{
    if (!h->sts_match)
        return "validation-failure";
    if (proof->expired)
        return "certificate-expired";
    if (!proof->chain_ok)
        return "certificate-not-trusted";
    return proof->name_ok ? "success" : "certificate-host-mismatch";
}

const char *sp_tlsrpt_result(const struct sp_route *r, const struct sp_hop *h,
                             const struct sp_hop_proof *proof, enum sp_rc tls_rc)
{
    if (!proof->tls)
        return tls_rc == SP_E_TLS_ABSENT ? "starttls-not-supported" : "validation-failure";
    if (is_tlsa(h))
        return h->tlsa == SP_TLSA_UNUSABLE || proof->dane_ok ? "success" : "validation-failure";
    return r->sts.mode == SP_STS_MODE_NONE ? "success" : sts_result(h, proof);
}
