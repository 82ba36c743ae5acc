/*
 * SMTP TLS reporting (RFC 8460): which policy a session was under, what became of it in the words of that RFC, and where a
 * domain wants to be told. thread: any
 */
#ifndef SP_TRANSPORT_TLSRPT_H
#define SP_TRANSPORT_TLSRPT_H

#include "transport/route.h"

/*
 * must:    what we demand of the host ourselves, by a partner's entry or the message's floor; plain: nothing
 * returns: "tlsa", "sts" or "no-policy-found" (RFC 8460 4.4), static
 */
const char *sp_tlsrpt_policy(const struct sp_route *r, const struct sp_hop *h, enum sp_level must);

/*
 * A session's result. An MTA-STS policy in testing mode is judged like an enforced one: that is what it is for.
 *
 * must:    as above: without TLSA records, a host of which DANE is demanded is "dane-required"
 * proof:   as for sp_hop_judge; tls_rc says why there is no TLS
 * returns: "success" or a result type of RFC 8460 4.3, static
 */
const char *sp_tlsrpt_result(const struct sp_route *r, const struct sp_hop *h, enum sp_level must,
                             const struct sp_hop_proof *proof, enum sp_rc tls_rc);

/*
 * A host, or a domain's MX, that was not tried for its DNS (RFC 8460 4.3.2.1); it counts under "tlsa".
 *
 * returns: "dnssec-invalid", static, or NULL: that reason is none for a report
 */
const char *sp_tlsrpt_dns_result(enum sp_rc rc);

/* ---- where reports go ---- */

#define SP_TLSRPT_URIS_MAX    4 /* of a record; more are left out */
#define SP_TLSRPT_URI_MAX     512
#define SP_TLSRPT_ADDRESS_MAX 320

struct sp_tlsrpt_record {
    struct sp_bytes uris[SP_TLSRPT_URIS_MAX]; /* views into the record */
    size_t uri_count;                         /* at least one */
};

/*
 * Reads the TXT answers of _smtp._tls.DOMAIN (RFC 8460 3).
 *
 * returns: SP_OK, or SP_E_NOT_FOUND: no such record, more than one, or one that is malformed
 */
SP_MUST_CHECK enum sp_rc sp_tlsrpt_record_parse(const struct sp_bytes *txt, size_t count,
                                                struct sp_tlsrpt_record *out);

struct sp_tlsrpt_uri {
    bool is_mail;
    char address[SP_TLSRPT_ADDRESS_MAX]; /* mailto: decoded; without NUL */
    size_t address_len;
    struct sp_bytes host; /* https: views into the URI */
    struct sp_bytes path; /* with its query */
    uint16_t port;
};

/* returns: false if it is neither a mailto: with one address nor an https: of a host name; out is then untouched */
SP_MUST_CHECK bool sp_tlsrpt_uri_parse(struct sp_bytes uri, struct sp_tlsrpt_uri *out);

#endif
