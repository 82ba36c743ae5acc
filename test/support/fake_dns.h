/*
 * A resolver of the test's: answers from a table, with DNSSEC status, errors, silence. Names that are not in it do not
 * exist (SP_E_DNS_NXDOMAIN); a name that is, with another type, has none (SP_E_DNS_NONE).
 */
#ifndef SP_TEST_SUPPORT_FAKE_DNS_H
#define SP_TEST_SUPPORT_FAKE_DNS_H

#include "dns/dns.h"
#include "io/loop.h"

struct fake_dns;

/* trusted: is_trusted, and whether `secure` below can be seen at all */
struct fake_dns *fake_dns_new(struct sp_loop *loop, bool trusted);
void fake_dns_free(struct fake_dns *f);
const struct sp_dns_ops *fake_dns_ops(struct fake_dns *f);

/*
 * Adds a record, several to a set. text: MX "10 mx.test" ("0 ." is null), A and AAAA an address, TXT the text, TLSA
 * "3 1 1 aabb..", CNAME a name (all other types of that owner then lead there).
 */
void fake_dns_add(struct fake_dns *f, const char *owner, enum sp_dns_type type, bool secure,
                  const char *text);
/* Makes a question fail, or be absent with that security. rc SP_E_CANCELLED: it is never answered */
void fake_dns_set_rc(struct fake_dns *f, const char *owner, enum sp_dns_type type, enum sp_rc rc,
                     bool secure);
/* Forgets everything told. */
void fake_dns_clear(struct fake_dns *f);
/* returns: questions asked for that owner and type */
unsigned fake_dns_asked(const struct fake_dns *f, const char *owner, enum sp_dns_type type);

#endif
