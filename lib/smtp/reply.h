/*
 * Replies of a server, read with caps: at most SP_SMTP_REPLY_LINE_MAX bytes a line, SP_SMTP_REPLY_LINES_MAX lines. What
 * the peer writes is never used for anything but its codes; one line is kept for people. thread: any
 */
#ifndef SP_SMTP_REPLY_H
#define SP_SMTP_REPLY_H

#include "base/bytes.h"
#include "base/err.h"
#include "mail/status.h"

#define SP_SMTP_REPLY_LINE_MAX  1024
#define SP_SMTP_REPLY_LINES_MAX 128
#define SP_SMTP_REPLY_TEXT_MAX  200

struct sp_smtp_reply {
    int code;                /* 200 .. 599 */
    struct sp_status status; /* of the last line; made from the code where the peer gave none */
    uint8_t
        text[SP_SMTP_REPLY_TEXT_MAX]; /* of all lines, a space between them, printable ASCII, cut */
    size_t text_len;
};

/*
 * Looks at the next line of a reply.
 *
 * input:   bytes received
 * len:     bytes of the line with its CRLF; 0 if it is not all there yet
 * code, last, text: what the line says
 * returns: SP_OK; SP_E_SMTP_REPLY if it can't be a reply line: too long, no code, bare CR, bare LF, NUL
 */
SP_MUST_CHECK enum sp_rc sp_smtp_reply_line(struct sp_bytes input, size_t *len, int *code,
                                            bool *last, struct sp_bytes *text);

#endif
