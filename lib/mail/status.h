/*
 * Enhanced status codes (RFC 3463). thread: any
 */
#ifndef SP_MAIL_STATUS_H
#define SP_MAIL_STATUS_H

#include "base/buf.h"
#include "base/bytes.h"

struct sp_status {
    uint16_t class; /* 2, 4 or 5; 0 when there is none */
    uint16_t subject;
    uint16_t detail;
};

/*
 * Reads a code at the start of a text: digits "." digits "." digits, then the end or a space.
 *
 * returns: false if there is none
 */
SP_MUST_CHECK bool sp_status_parse(struct sp_bytes text, struct sp_status *out,
                                   struct sp_bytes *rest);

/* Appends "5.7.1". */
void sp_status_format(struct sp_status status, struct sp_buf *out);

/* returns: the code for a reply without one: 5xx is 5.0.0, 4xx is 4.0.0, 2xx is 2.0.0 */
struct sp_status sp_status_of_reply(int code);

#endif
