/*
 * Inside delivery: the words of the audit for what DNS said. thread: any
 */
#ifndef SP_DELIVERY_WORDS_H
#define SP_DELIVERY_WORDS_H

#include "transport/route.h"

/* returns: "secure", "insecure", "none", "none-secure", "bogus", "error", static */
const char *sp_report_dns_word(enum sp_rc rc, bool secure);
/* returns: "none", "secure", "unusable", "bogus", "error", static */
const char *sp_report_tlsa_word(const struct sp_hop *h);

#endif
