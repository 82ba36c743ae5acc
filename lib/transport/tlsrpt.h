/*
 * SMTP TLS reporting (RFC 8460): which policy a session was under, and what became of it in the words of that RFC. thread: any
 */
#ifndef SP_TRANSPORT_TLSRPT_H
#define SP_TRANSPORT_TLSRPT_H

#include "transport/route.h"

/* returns: "tlsa", "sts" or "no-policy-found" (RFC 8460 4.4), static */
const char *sp_tlsrpt_policy(const struct sp_route *r, const struct sp_hop *h);

/*
 * A session's result. An MTA-STS policy in testing mode is judged like an enforced one: that is what it is for.
 *
 * proof:   as for sp_hop_judge; tls_rc says why there is no TLS
 * returns: "success" or a result type of RFC 8460 4.3, static
 */
const char *sp_tlsrpt_result(const struct sp_route *r, const struct sp_hop *h,
                             const struct sp_hop_proof *proof, enum sp_rc tls_rc);

#endif
