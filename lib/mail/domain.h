/*
 * Domain names as mail uses them: letters, digits and hyphens in labels of 1 to 63 (RFC 5321 4.1.2; internationalised
 * names as A-labels), and address literals. thread: any; allocates nothing
 */
#ifndef SP_MAIL_DOMAIN_H
#define SP_MAIL_DOMAIN_H

#include "base/buf.h"
#include "base/bytes.h"

/* returns: whether text is a host or mail domain name; a trailing dot is not allowed */
bool sp_domain_is_valid(struct sp_bytes text);

/* returns: whether text is an address literal: [192.0.2.1], [IPv6:2001:db8::1] (RFC 5321 4.1.3) */
bool sp_domain_is_literal(struct sp_bytes text);

/* returns: whether both are the same name, case aside */
bool sp_domain_eq(struct sp_bytes a, struct sp_bytes b);

/* returns: whether name is parent itself or lies under it ("a.example.org" within "example.org") */
bool sp_domain_is_within(struct sp_bytes name, struct sp_bytes parent);

/* Appends it in lower case. */
void sp_domain_format(struct sp_bytes name, struct sp_buf *out);

#endif
