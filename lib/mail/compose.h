/*
 * Writes mail of our own. The one way to build a header: every value is refused if it holds CR, LF or NUL, folded, and
 * encoded where it is not ASCII (RFC 2047), so no value can add a field or a line. A fault is remembered; ask once at the
 * end. thread: any
 */
#ifndef SP_MAIL_COMPOSE_H
#define SP_MAIL_COMPOSE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "mail/address.h"

struct sp_compose {
    struct sp_buf *out;
    enum sp_rc rc; /* the first fault */
};

/* out: lent until the end */
void sp_compose_init(struct sp_compose *c, struct sp_buf *out);
/* Structured text that is ASCII: folded at spaces only. */
void sp_compose_field(struct sp_compose *c, const char *name, struct sp_bytes value);
/* Structured text that may be UTF-8 as it is, of a message that goes by SMTPUTF8 alone (RFC 6532 3.2); folded at spaces only. */
void sp_compose_utf8_field(struct sp_compose *c, const char *name, struct sp_bytes value);
/* Unstructured UTF-8 text: encoded words where needed. */
void sp_compose_text_field(struct sp_compose *c, const char *name, struct sp_bytes value);
#define SP_COMPOSE_DISPLAY_MAX 256 /* bytes of a display name */

/* returns: whether a text may stand as a display name: one line of UTF-8, not too long */
bool sp_compose_is_display(struct sp_bytes name);
/* A mailbox with a display name (may be empty): encoded, quoted. address: checked by sp_address_parse */
void sp_compose_address(struct sp_compose *c, const char *name, struct sp_bytes display,
                        struct sp_bytes address);
void sp_compose_date(struct sp_compose *c, const char *name, int64_t wall_ms);
/* Message-ID: <id@host>. */
void sp_compose_message_id(struct sp_compose *c, const struct sp_id *id, struct sp_bytes host);
/* A line of ours as it is, without CRLF: boundaries, blank lines. */
void sp_compose_line(struct sp_compose *c, const char *line);
/* A body part of UTF-8 text with LF or CRLF line ends, as quoted-printable (RFC 2045 6.7). */
void sp_compose_quoted(struct sp_compose *c, struct sp_bytes text);
/* returns: SP_OK, SP_E_SMTP_INJECTION if a value held CR, LF or NUL, SP_E_ADDR_SYNTAX, SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_compose_end(const struct sp_compose *c);

/*
 * A short text to a person: portal notice, code, late warning. Auto-Submitted, so that nobody answers by machine.
 */
struct sp_notice {
    struct sp_id id;      /* ours; makes the Message-ID */
    struct sp_bytes host; /* our name */
    struct sp_bytes from; /* address */
    struct sp_bytes from_name;
    struct sp_bytes to;
    struct sp_bytes subject;
    struct sp_bytes text; /* UTF-8 */
    int64_t now_ms;       /* wall clock */
};

/* Appends the whole message. returns: as sp_compose_end */
SP_MUST_CHECK enum sp_rc sp_notice_build(const struct sp_notice *n, struct sp_buf *out);

#endif
