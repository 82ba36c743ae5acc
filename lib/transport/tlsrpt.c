/*
 * The words of TLS reports. A session is reported under the policy that bound it: DANE before MTA-STS, as in delivery. What
 * no policy asked for can't fail, but for TLS itself.
 */
#include "transport/tlsrpt.h"

static bool is_tlsa(const struct sp_hop *h)
{
    return !h->tlsa_pinned && (h->tlsa == SP_TLSA_USABLE || h->tlsa == SP_TLSA_UNUSABLE);
}

/* A policy that the domain announces and nobody could have (RFC 8460 4.3.2.2). returns: its result type, or NULL */
static const char *sts_failure(const struct sp_route *r)
{
    if (r->sts.mode != SP_STS_MODE_NONE || r->sts_txt != SP_OK)
        return NULL;
    switch (r->sts_why) {
    case SP_OK:
    case SP_E_STS_NONE:
    case SP_E_STS_TESTING:
        return NULL;
    case SP_E_TLS_UNTRUSTED:
        return "sts-webpki-invalid";
    case SP_E_STS_INVALID:
    case SP_E_LIMIT:
        return "sts-policy-invalid";
    default:
        return "sts-policy-fetch-error";
    }
}

/* We want DANE, and the host has nothing to match (RFC 8460 4.3.2.1). */
static bool lacks_dane(const struct sp_hop *h, enum sp_level must)
{
    return must == SP_LEVEL_DANE && !is_tlsa(h);
}

const char *sp_tlsrpt_policy(const struct sp_route *r, const struct sp_hop *h, enum sp_level must)
{
    if (is_tlsa(h) || lacks_dane(h, must))
        return "tlsa";
    return r->sts.mode == SP_STS_MODE_NONE && sts_failure(r) == NULL ? "no-policy-found" : "sts";
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

const char *sp_tlsrpt_dns_result(enum sp_rc rc)
{
    return rc == SP_E_DNS_BOGUS ? "dnssec-invalid" : NULL;
}

const char *sp_tlsrpt_result(const struct sp_route *r, const struct sp_hop *h, enum sp_level must,
                             const struct sp_hop_proof *proof, enum sp_rc tls_rc)
{
    if (lacks_dane(h, must))
        return "dane-required";
    if (!proof->tls)
        return tls_rc == SP_E_TLS_ABSENT ? "starttls-not-supported" : "validation-failure";
    if (is_tlsa(h) && h->tlsa == SP_TLSA_UNUSABLE)
        return "tlsa-invalid"; /* none of the records is of a kind that can hold */
    if (is_tlsa(h))
        return proof->dane_ok ? "success" : "validation-failure";
    if (r->sts.mode != SP_STS_MODE_NONE)
        return sts_result(h, proof);
    return sts_failure(r) == NULL ? "success" : sts_failure(r);
}
