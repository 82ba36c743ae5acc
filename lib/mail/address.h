/*
 * Mailbox addresses by the grammar of RFC 5321 4.1.2 and, for what is not ASCII, RFC 6531 3.3: dot-string and quoted local parts,
 * domains and address literals. What passes is printable ASCII and valid UTF-8 without CR, LF, NUL or control characters, so that it
 * may stand in a command line, a header field or a log of ours; whether UTF-8 may stand there is for mail/idn.h and the
 * caller to say. Lengths are in octets. thread: any; allocates nothing
 */
#ifndef SP_MAIL_ADDRESS_H
#define SP_MAIL_ADDRESS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define SP_ADDRESS_MAX       254 /* RFC 5321 4.5.3.1.3: a path is 256 with its brackets */
#define SP_ADDRESS_LOCAL_MAX 64
#define SP_DOMAIN_MAX        253

/* Views of the text that was parsed. The null reverse-path is two empty views. */
struct sp_address {
    struct sp_bytes local;  /* as written, with its quotes */
    struct sp_bytes domain; /* a name, perhaps of U-labels, or a literal with its brackets */
};

/*
 * Reads a whole text as one Mailbox: local@domain, nothing before or behind.
 *
 * out:     views of text
 * returns: SP_OK, SP_E_ADDR_SYNTAX, SP_E_ADDR_LONG
 */
SP_MUST_CHECK enum sp_rc sp_address_parse(struct sp_bytes text, struct sp_address *out);

/*
 * Reads <...> at the start of a text, as MAIL and RCPT carry it. A source route (@a,@b:) is skipped (RFC 5321 C).
 * The null path <> gives empty views; whether it may stand there is the caller's to say. <postmaster> without a domain
 * gives an empty domain.
 *
 * rest:    what follows the closing bracket
 * returns: SP_OK, SP_E_ADDR_SYNTAX, SP_E_ADDR_LONG
 */
SP_MUST_CHECK enum sp_rc sp_address_parse_path(struct sp_bytes text, struct sp_address *out,
                                               struct sp_bytes *rest);

/* returns: whether it is the null reverse-path */
bool sp_address_is_null(const struct sp_address *a);

/* returns: whether both name the same mailbox: local parts byte for byte, domains without case */
bool sp_address_eq(const struct sp_address *a, const struct sp_address *b);

/* Appends local@domain with the domain in lower case; nothing for the null path. */
void sp_address_format(const struct sp_address *a, struct sp_buf *out);

/*
 * Walks the mailboxes of a From, To or Cc value (RFC 5322 3.4): display names, comments, groups and folding are
 * skipped. Text that is no mailbox ends the walk with *failed set, so that nothing is guessed.
 *
 * rest:    in: what is left of the field's value; out: behind the mailbox
 * out:     views of the value, valid by sp_address_parse
 * returns: false at the end or at a fault
 */
bool sp_address_list_next(struct sp_bytes *rest, struct sp_address *out, bool *failed);

#endif
