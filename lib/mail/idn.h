/*
 * Internationalised mail addresses (RFC 6531, RFC 5890): libidn2's and libunistring's home. Inside, a domain has one form only, that
 * of its A-labels in lower case; a local part stays as it was written. thread: any
 */
#ifndef SP_MAIL_IDN_H
#define SP_MAIL_IDN_H

#include "base/buf.h"
#include "mail/address.h"

/* returns: whether every byte is ASCII */
bool sp_text_is_ascii(struct sp_bytes text);

/*
 * Appends a domain name in A-labels and lower case; an ASCII name or literal as it is, in lower case.
 *
 * returns: SP_OK, SP_E_ADDR_SYNTAX if it is no name that may be registered (RFC 5891 5), SP_E_ADDR_LONG
 */
SP_MUST_CHECK enum sp_rc sp_domain_to_ascii(struct sp_bytes name, struct sp_buf *out);

#define SP_DOMAIN_POINTS_MAX 256

/*
 * Reads a domain name as people see it: in lower case, A-labels decoded (RFC 3492). A label that can't be decoded stands as it is
 * written. name: at most SP_DOMAIN_MAX bytes
 *
 * out:     SP_DOMAIN_POINTS_MAX code points
 * returns: how many there are. cost: allocates nothing
 */
size_t sp_domain_read(struct sp_bytes name, uint32_t *out);

/* returns: whether text is in normal form C (RFC 6532 3.1), or has more bytes than an address */
bool sp_text_is_normal(struct sp_bytes text);

/*
 * Checks a parsed address and brings its domain into A-labels.
 *
 * domain:  gets the domain's bytes where they change; *a is then a view of it
 * returns: SP_OK, SP_E_ADDR_SYNTAX if the local part is not in normal form or the domain no name, SP_E_ADDR_LONG
 */
SP_MUST_CHECK enum sp_rc sp_address_to_ascii(struct sp_address *a, struct sp_buf *domain);

/*
 * Appends a mailbox that somebody wrote in the form that addresses have inside.
 *
 * returns: SP_OK, SP_E_ADDR_SYNTAX, SP_E_ADDR_LONG
 */
SP_MUST_CHECK enum sp_rc sp_address_normalise(struct sp_bytes text, struct sp_buf *out);

/*
 * Writes an address for people and rules: domain in A-labels if it has such, else as it stands, in lower case. For fields of headers,
 * which may hold anything.
 */
void sp_address_format_ascii(const struct sp_address *a, struct sp_buf *out);

/*
 * A domain, an address, or a pattern of either ("*.example", ".example"): appends it with the labels behind the last "@" that are not
 * ASCII as A-labels, each by itself, and all else as it stands.
 *
 * returns: SP_OK, SP_E_ADDR_SYNTAX if one of them is no label
 */
SP_MUST_CHECK enum sp_rc sp_domain_pattern_to_ascii(struct sp_bytes text, struct sp_buf *out);

#endif
