/*
 * Delivery status notifications of others (RFC 3464): what a message/delivery-status part says of each recipient. The text is
 * foreign: nothing is taken from it but addresses to compare, words of closed lists, and numbers. thread: any
 */
#ifndef SP_MAIL_DSN_READ_H
#define SP_MAIL_DSN_READ_H

#include "base/bytes.h"
#include "mail/dsn.h"

#define SP_DSN_READ_MAX 64 /* recipients that are looked at */

struct sp_dsn_said {
    struct sp_bytes final; /* Final-Recipient without its type, trimmed, without <>; may be empty */
    struct sp_bytes original; /* Original-Recipient likewise, as xtext or not */
    bool has_action;          /* one of the four that are told of here */
    enum sp_dsn_action action;
    struct sp_status status; /* class 0: none was given */
    int reply_code;          /* of Diagnostic-Code, where its type is smtp; 0: none */
};

/*
 * text:    the part with its transfer encoding undone; lines end with LF or CRLF. Lent by what comes out
 * out:     room for max
 * returns: how many recipients it tells of, at most max
 */
size_t sp_dsn_read(struct sp_bytes text, struct sp_dsn_said *out, size_t max);

/* returns: whether this is about that address: its final recipient, or else its original one; any case, xtext undone */
bool sp_dsn_said_is_about(const struct sp_dsn_said *s, struct sp_bytes address);
/*
 * returns: whether it is that address itself that it happened to, and not one that its mail was sent on to: that one is final,
 * and ours the original. thread: any
 */
bool sp_dsn_said_is_final(const struct sp_dsn_said *s, struct sp_bytes address);

#endif
