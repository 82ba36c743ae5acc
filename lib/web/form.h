/*
 * Small encodings of the web: form bodies, cookies, HTML text, file names in header fields. thread: any
 */
#ifndef SP_WEB_FORM_H
#define SP_WEB_FORM_H

#include "base/buf.h"

/*
 * Reads one field of an application/x-www-form-urlencoded body.
 *
 * out:     appended to; decoded, may hold any byte, NUL and line ends too
 * returns: false if the field is not there, comes twice, is badly encoded or does not fit out
 */
SP_MUST_CHECK bool sp_web_form_field(struct sp_bytes body, struct sp_bytes name,
                                     struct sp_buf *out);

/* returns: the value of the only cookie of that name in a Cookie field, else the empty view */
struct sp_bytes sp_web_cookie(struct sp_bytes field, struct sp_bytes name);

/*
 * Appends text for HTML, in content or in a quoted attribute: & < > " ' become references, bytes that are no UTF-8 and
 * control characters but tab and LF become U+FFFD.
 */
void sp_web_html_escape(struct sp_buf *out, struct sp_bytes text);

/*
 * Appends "attachment; filename=...; filename*=..." (RFC 6266, RFC 8187) for a foreign file name: directories, control
 * characters, quotes and direction marks are dropped; an empty name becomes fallback.
 */
void sp_web_disposition(struct sp_buf *out, struct sp_bytes name, const char *fallback);

#endif
