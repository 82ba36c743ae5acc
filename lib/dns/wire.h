/*
 * Packets: a query made, an answer read. libldns's home. thread: any
 */
#ifndef SP_DNS_WIRE_H
#define SP_DNS_WIRE_H

#include "base/buf.h"
#include "base/clock.h"
#include "dns/dns.h"

#define SP_DNS_QUERY_MAX  512
#define SP_DNS_UDP_MAX    1232 /* EDNS payload size asked for: passes without fragments everywhere */
#define SP_DNS_PACKET_MAX 65535

/* returns: whether name can stand in the DNS: labels of 1 to 63 letters, digits, - and _, 253 octets in all */
bool sp_dns_name_is_valid(struct sp_bytes name);

/*
 * Makes a query with EDNS, DO and AD, id and letter case from random.
 *
 * unchecked: with CD: what a validating resolver would hold back as bogus
 * out:       empty before
 * returns:   SP_OK, or SP_E_DNS_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_dns_wire_query(struct sp_bytes name, enum sp_dns_type type,
                                           bool unchecked, const struct sp_random *random,
                                           struct sp_buf *out);

enum sp_dns_fit {
    SP_DNS_FIT,      /* answers the query */
    SP_DNS_FIT_CASE, /* would, but for the letter case: a server that does not keep it, or a guess */
    SP_DNS_FIT_OTHER, /* is something else: drop it and wait on */
};

/* returns: whether packet is an answer to query: id, flags and question are compared octet by octet */
enum sp_dns_fit sp_dns_wire_fit(struct sp_bytes query, struct sp_bytes packet);

/* returns: whether the answer was cut (TC); packet fits its query */
bool sp_dns_wire_is_cut(struct sp_bytes packet);

/*
 * Reads an answer that fits its query.
 *
 * trusted: whether its AD bit may be believed
 * now_ms:  monotonic, for good_until_ms
 * returns: the answer, of which the caller has one reference; rc inside tells all, SP_E_DNS_MALFORMED too
 */
const struct sp_dns_answer *sp_dns_wire_read(struct sp_bytes packet, enum sp_dns_type type,
                                             bool trusted, int64_t now_ms);

/* returns: an answer without records */
const struct sp_dns_answer *sp_dns_answer_error(enum sp_rc rc, int64_t good_until_ms);

#endif
