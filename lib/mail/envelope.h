/*
 * What MAIL and RCPT say beside the addresses (RFC 1870, 6152, 3461, 6531, 8689), as values that the queue keeps and the client
 * machine says again. xtext values stay encoded as they came, checked by sp_xtext_is_valid.
 */
#ifndef SP_MAIL_ENVELOPE_H
#define SP_MAIL_ENVELOPE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define SP_ENVID_MAX 100 /* RFC 3461 4.4 */
#define SP_ORCPT_MAX 500 /* RFC 3461 4.2 */

enum sp_body_type {
    SP_BODY_7BIT,
    SP_BODY_8BITMIME,
};

enum sp_dsn_ret {
    SP_RET_NONE,
    SP_RET_HDRS,
    SP_RET_FULL,
};

/* Bits of NOTIFY; 0 means that the client gave none. */
enum sp_notify {
    SP_NOTIFY_NEVER = 1,
    SP_NOTIFY_SUCCESS = 2,
    SP_NOTIFY_FAILURE = 4,
    SP_NOTIFY_DELAY = 8,
};

struct sp_mail_params {
    bool has_size;
    uint64_t size; /* bytes, as the client declared */
    enum sp_body_type body;
    enum sp_dsn_ret ret;
    struct sp_bytes envid; /* xtext; empty if not given */
    bool requiretls;       /* RFC 8689: only over TLS that is proved, all the way */
    bool smtputf8;         /* RFC 6531: addresses and header may hold UTF-8 */
};

struct sp_rcpt_params {
    unsigned notify;       /* enum sp_notify bits */
    struct sp_bytes orcpt; /* addr-type;xtext; empty if not given */
};

/* returns: whether text is xtext (RFC 3461 4): printable ASCII but "+" and "=", and +XX. thread: any */
bool sp_xtext_is_valid(struct sp_bytes text);

/*
 * An original recipient of type utf-8 (RFC 6533 3): brings the value of ORCPT behind "utf-8;", which may hold UTF-8 as it is or
 * as \x{HEX}, into the form that is ASCII alone (utf-8-addr-xtext).
 *
 * returns: SP_OK, SP_E_SMTP_SYNTAX if it is neither. thread: any
 */
SP_MUST_CHECK enum sp_rc sp_orcpt_utf8_encode(struct sp_bytes value, struct sp_buf *out);

/* The address itself in UTF-8 (utf-8-address). returns: false if the value is not of the form above. thread: any */
SP_MUST_CHECK bool sp_orcpt_utf8_decode(struct sp_bytes value, struct sp_buf *out);

/* Appends an address as such a value: what the form reserves as \x{HEX}, the rest as it is. thread: any */
void sp_orcpt_utf8_quote(struct sp_bytes address, struct sp_buf *out);

/*
 * Appends what ORCPT says of an address that somebody else stands in for (RFC 3461 5.2.1): of type rfc822, or of type utf-8 where it
 * is not ASCII.
 *
 * returns: SP_OK, or an error if it does not fit: then nothing is said. thread: any
 */
SP_MUST_CHECK enum sp_rc sp_orcpt_of(struct sp_bytes address, struct sp_buf *out);

/* Appends text encoded as xtext. thread: any */
void sp_xtext_encode(struct sp_bytes text, struct sp_buf *out);

/* Appends the decoded text. returns: false if it is not valid or decodes to anything but printable ASCII (RFC 3461 4.2, 4.4) */
SP_MUST_CHECK bool sp_xtext_decode(struct sp_bytes text, struct sp_buf *out);

#endif
