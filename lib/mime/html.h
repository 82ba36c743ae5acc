/*
 * Foreign HTML: as text for the detector (hidden text kept), and cleaned for showing in a sandboxed frame. Input is
 * UTF-8; what is not becomes U+FFFD. libxml2 lives behind this. thread: any
 */
#ifndef SP_MIME_HTML_H
#define SP_MIME_HTML_H

#include "mime/text.h"

/*
 * All text of a page, a line for each block and table row, cells parted by a tab; alt, title, placeholder and value texts
 * are text too; scripts, styles and comments as well, since what hides there still leaves the house.
 *
 * A page is read as it comes; what a data: address holds in base 64 is passed over.
 *
 * returns: SP_E_LIMIT if out wants no more, or if one element or comment is larger than SP_MIME_HTML_HELD_MAX;
 *          SP_E_MALFORMED if the parser gave up (out has the beginning): look at the rest of in as it stands then; or what in
 *          says
 */
#define SP_MIME_HTML_HELD_MAX (3 * 1024 * 1024)
SP_MUST_CHECK enum sp_rc sp_mime_html_text(const struct sp_mime_input *in,
                                           const struct sp_mime_output *out);

/*
 * Rebuilds a page from elements and attributes on a list of harmless ones: no script, style sheet, frame, form, object,
 * no event handler, no address of anything remote (src, href, background, url() in styles), no comment. Well-formed
 * whatever came in. Pictures by cid: become empty.
 *
 * out:     appended to
 * returns: SP_E_LIMIT if it does not fit, SP_E_MALFORMED if the parser gave up
 */
SP_MUST_CHECK enum sp_rc sp_mime_html_clean(struct sp_bytes html, struct sp_buf *out);

#endif
