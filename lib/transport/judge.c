/*
 * What a handshake is worth, against what the domain promises. The order of strength: DANE binds a host whose TLSA set
 * is usable, and then MTA-STS is not asked (RFC 8461 2); an enforced STS policy binds every other host. A promise that
 * is not kept makes the host broken: nothing goes there, whatever floor the mail has. A promise that does not exist
 * only leaves the level lower. Unsure counts as not proved.
 */
#include "transport/route.h"

const char *sp_level_name(enum sp_level level)
{
    static const char *const names[] = {
        [SP_LEVEL_PLAIN] = "plain",           [SP_LEVEL_ENCRYPTED] = "tls:encrypted",
        [SP_LEVEL_VERIFIED] = "tls:verified", [SP_LEVEL_AUTHENTICATED] = "tls:authenticated",
        [SP_LEVEL_DANE] = "tls:dane",
    };

    return names[level];
}

const char *sp_via_name(enum sp_via via)
{
    static const char *const names[] = {
        [SP_VIA_MX] = "mx",           [SP_VIA_IMPLICIT] = "implicit",
        [SP_VIA_ROUTE] = "route",     [SP_VIA_NEXT_HOP] = "next-hop",
        [SP_VIA_LITERAL] = "literal",
    };

    return names[via];
}

bool sp_hop_has_dane(const struct sp_route *r, const struct sp_hop *h)
{
    return r->mx_secure && h->tlsa == SP_TLSA_USABLE && !h->tlsa_pinned;
}

bool sp_hop_has_pin(const struct sp_route *r, const struct sp_hop *h)
{
    return r->pin.len > 0 || r->name_count > 0 || h->pin.len > 0;
}

static bool sts_binds(const struct sp_route *r, const struct sp_hop *h)
{
    return r->sts.mode == SP_STS_MODE_ENFORCE && !sp_hop_has_dane(r, h) && !h->tlsa_pinned;
}

static enum sp_rc pkix_why(const struct sp_hop_proof *proof, bool name_ok)
{
    if (proof->chain_ok && name_ok)
        return SP_OK;
    if (proof->expired)
        return SP_E_TLS_EXPIRED;
    if (proof->chain_ok)
        return SP_E_TLS_NAME;
    return proof->chain_why != SP_OK ? proof->chain_why : SP_E_TLS_UNTRUSTED;
}

/* Without TLS nothing holds; a host that is bound to it is broken. */
static struct sp_hop_verdict no_tls(const struct sp_route *r, const struct sp_hop *h, enum sp_rc rc)
{
    enum sp_rc why = rc == SP_OK ? SP_E_TLS_ABSENT : rc;

    return (struct sp_hop_verdict){
        .broken = h->tlsa == SP_TLSA_USABLE || h->tlsa == SP_TLSA_UNUSABLE || sts_binds(r, h) ||
                  r->must > SP_LEVEL_PLAIN,
        .level = SP_LEVEL_PLAIN,
        .dane_why = h->tlsa == SP_TLSA_USABLE ? why : h->tlsa_why,
        .auth_why = why,
        .verified_why = why,
        .tls_why = why,
    };
}

static void judge_dane(const struct sp_route *r, const struct sp_hop *h,
                       const struct sp_hop_proof *proof, struct sp_hop_verdict *v)
{
    if (h->tlsa != SP_TLSA_USABLE) {
        v->dane_why = h->tlsa_why;
    } else if (!proof->dane_ok) {
        v->dane_why = SP_E_TLS_DANE;
        v->broken = true;
    } else if (!r->mx_secure) {
        v->dane_why = SP_E_DANE_UNSIGNED;
    } else {
        v->level = SP_LEVEL_DANE;
    }
}

/* returns: why the connection is not authenticated by STS or a pin; SP_OK if it is by either */
static enum sp_rc authenticated(const struct sp_route *r, const struct sp_hop *h,
                                const struct sp_hop_proof *proof)
{
    enum sp_rc why = r->sts_why == SP_OK ? SP_E_STS_NONE : r->sts_why;

    if (r->sts.mode == SP_STS_MODE_ENFORCE) {
        why = h->sts_match ? pkix_why(proof, proof->name_ok) : SP_E_STS_MX;
        if (why == SP_OK)
            return SP_OK;
    }
    return sp_hop_has_pin(r, h) ? pkix_why(proof, proof->pin_ok) : why;
}

/* A partner's keys: who shows one is the partner, by the operator's word; who does not is somebody else. */
static void judge_keys(const struct sp_hop_proof *proof, struct sp_hop_verdict *v)
{
    v->dane_why = SP_E_DANE_NONE;
    if (proof->dane_ok) {
        v->auth_why = SP_OK;
        v->level = SP_LEVEL_AUTHENTICATED;
    } else {
        v->auth_why = SP_E_PARTNER_KEY;
        v->broken = true;
    }
}

struct sp_hop_verdict sp_hop_judge(const struct sp_route *r, const struct sp_hop *h,
                                   const struct sp_hop_proof *proof, enum sp_rc tls_rc)
{
    struct sp_hop_verdict v = {.level = SP_LEVEL_ENCRYPTED};

    if (!proof->tls)
        return no_tls(r, h, tls_rc);
    v.verified_why = pkix_why(proof, proof->name_ok);
    if (v.verified_why == SP_OK)
        v.level = SP_LEVEL_VERIFIED;
    v.auth_why = authenticated(r, h, proof);
    if (v.auth_why == SP_OK)
        v.level = SP_LEVEL_AUTHENTICATED;
    if (sts_binds(r, h) && (!h->sts_match || v.verified_why != SP_OK))
        v.broken = true;
    if (h->tlsa_pinned)
        judge_keys(proof, &v);
    else
        judge_dane(r, h, proof, &v);
    if (v.level == SP_LEVEL_DANE)
        v.auth_why = v.verified_why = SP_OK;
    if (v.level < r->must && !v.broken) {
        v.broken = true;
        if (v.auth_why == SP_OK || r->must == SP_LEVEL_DANE)
            v.auth_why = SP_E_PARTNER_LEVEL;
    }
    if (v.broken)
        v.level = SP_LEVEL_PLAIN;
    return v;
}
