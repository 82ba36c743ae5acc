/*
 * What DNS said, in the words of the audit: an attempt's record and a probe must not differ in them.
 */
#include "delivery/words.h"

const char *sp_report_dns_word(enum sp_rc rc, bool secure)
{
    if (rc == SP_E_DNS_BOGUS)
        return "bogus";
    if (sp_dns_rc_is_error(rc))
        return "error";
    if (rc == SP_OK)
        return secure ? "secure" : "insecure";
    return secure ? "none-secure" : "none";
}

const char *sp_report_tlsa_word(const struct sp_hop *h)
{
    static const char *const words[] = {
        [SP_TLSA_NONE] = "none",
        [SP_TLSA_USABLE] = "secure",
        [SP_TLSA_UNUSABLE] = "unusable",
        [SP_TLSA_ERROR] = "error",
    };

    return h->tlsa == SP_TLSA_ERROR ? sp_report_dns_word(h->tlsa_why, false) : words[h->tlsa];
}
