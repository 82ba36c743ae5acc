/*
 * Sender Policy Framework (RFC 7208) as far as an administrator asks it: whether a host may send for a domain, and which
 * networks a provider publishes. Answers are fetched by whoever calls, so it knows no sockets. Within the limits of RFC
 * 7208 4.6.4: 10 look-ups, 2 of them void, 10 hosts of an MX. Macros, ptr and exists match nobody here. thread: loop
 */
#ifndef SP_DNS_SPF_H
#define SP_DNS_SPF_H

#include "dns/dns.h"
#include "io/addr.h"

#define SP_SPF_LOOKUPS_MAX  10
#define SP_SPF_VOID_MAX     2
#define SP_SPF_NETWORKS_MAX 2000

/*
 * Who looks up. Fills *out, with one reference for the caller; what it could not find out is an answer too, by its rc.
 */
struct sp_spf_ops {
    void (*ask)(void *ctx, struct sp_bytes name, enum sp_dns_type type,
                const struct sp_dns_answer **out);
    void *ctx;
};

enum sp_spf_result {
    SP_SPF_NONE, /* the domain has no record */
    SP_SPF_NEUTRAL,
    SP_SPF_PASS,
    SP_SPF_SOFTFAIL,
    SP_SPF_FAIL,
    SP_SPF_TEMPERROR,
    SP_SPF_PERMERROR,
};

/* returns: "pass", "softfail", ...; static */
const char *sp_spf_result_name(enum sp_spf_result result);

/*
 * Says whether host may send for domain (RFC 7208 4, check_host).
 *
 * err:     what is wrong with the records, for PERMERROR and TEMPERROR
 * returns: the result
 */
enum sp_spf_result sp_spf_check(const struct sp_spf_ops *ops, struct sp_bytes domain,
                                const struct sp_addr *host, struct sp_err *err);

/*
 * Walks a provider's record with all that it includes, and tells each network that may send, as written. A record that
 * lets everybody send, excludes networks, or can't be read whole is an error: half a list is none.
 *
 * on_network: text is lent for the call
 * returns:    SP_OK, SP_E_DNS_NONE (no record), SP_E_DNS_SERVFAIL or another DNS error, SP_E_MALFORMED, SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_spf_networks(const struct sp_spf_ops *ops, struct sp_bytes domain,
                                         void (*on_network)(void *arg, struct sp_bytes text),
                                         void *arg, struct sp_err *err);

#endif
