/*
 * Building answers: for the packet reader, and for a test's resolver.
 */
#ifndef SP_DNS_ANSWER_H
#define SP_DNS_ANSWER_H

#include "dns/dns.h"

struct sp_dns_draft;

/* owner: the caller, until finish or drop. returns: an empty draft, never NULL. thread: any */
struct sp_dns_draft *sp_dns_draft_new(void);

/* Copies a record in, its texts too. returns: SP_OK, or SP_E_DNS_MALFORMED past SP_DNS_RECORDS_MAX */
SP_MUST_CHECK enum sp_rc sp_dns_draft_add(struct sp_dns_draft *d,
                                          const struct sp_dns_record *record);

/* returns: the number of records so far */
size_t sp_dns_draft_count(const struct sp_dns_draft *d);

/*
 * Makes the draft an answer; the fields of like are copied, but for the records.
 *
 * owner:   d is gone; the caller has the one reference
 * returns: the answer, never NULL
 */
const struct sp_dns_answer *sp_dns_draft_finish(struct sp_dns_draft *d,
                                                const struct sp_dns_answer *like);

/* returns: bytes of memory that an answer holds, about */
size_t sp_dns_answer_size(const struct sp_dns_answer *a);

/* Throws a draft away. NULL is allowed. */
void sp_dns_draft_drop(struct sp_dns_draft *d);

#endif
