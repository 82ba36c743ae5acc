/*
 * Delivery status notifications (RFC 3461 to 3464). Of the original they hold only From, To, Date and Message-ID, never
 * its subject or body, and of a peer's reply only the codes. thread: any
 */
#ifndef SP_MAIL_DSN_H
#define SP_MAIL_DSN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "mail/header.h"
#include "mail/status.h"

enum sp_dsn_action {
    SP_DSN_FAILED,
    SP_DSN_DELAYED,
    SP_DSN_DELIVERED,
    SP_DSN_RELAYED,
};

/* returns: "failed", "delayed", "delivered", "relayed" (RFC 3464 2.3.3), static */
const char *sp_dsn_action_name(enum sp_dsn_action action);

struct sp_dsn_recipient {
    struct sp_bytes address;
    struct sp_bytes orcpt; /* addr-type;xtext as given, or empty */
    enum sp_dsn_action action;
    struct sp_status status;
    struct sp_bytes remote_mta;    /* a host name, or empty */
    int reply_code;                /* the peer's, or 0 */
    struct sp_status reply_status; /* of that reply, where another than status; class 0: the same */
    struct sp_bytes why;           /* a text of ours or the policy's, or empty */
    int64_t retry_until_ms;        /* delayed: when we give up; or 0 */
};

struct sp_dsn {
    struct sp_id id;        /* ours, of this notification */
    struct sp_bytes host;   /* reporting MTA */
    struct sp_bytes from;   /* our address, e.g. postmaster@host */
    struct sp_bytes to;     /* the sender of the original */
    struct sp_bytes recall; /* an answer to this address takes the original back; or empty */
    struct sp_bytes envid;
    int64_t now_ms;     /* wall clock */
    int64_t arrived_ms; /* when the original was accepted */
    bool is_of_portal;  /* it tells of packages in the portal: other words for people */
    struct sp_bytes
        original_header; /* From, To, Date, Message-ID as kept (sp_dsn_keep_header); or empty */
    const struct sp_dsn_recipient *recipients;
    size_t count;
};

/*
 * Writes the whole message, multipart/report, in place of what is in out. What there is no room for is left out: first
 * what is kept of the original, then the text for people no longer names everyone. The status names each recipient always.
 *
 * returns: SP_OK, or what sp_compose_end says
 */
SP_MUST_CHECK enum sp_rc sp_dsn_build(const struct sp_dsn *dsn, struct sp_buf *out);

/*
 * Appends what a DSN may later show of a message: its From, To, Date and Message-ID fields, as raw lines, those with
 * foreign control bytes left out; at most 4 KiB.
 */
void sp_dsn_keep_header(const struct sp_header *h, struct sp_buf *out);

#endif
