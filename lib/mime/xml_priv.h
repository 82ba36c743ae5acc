/* Records in XML, whose elements and attributes say what their values are: xml.c. */
#ifndef SP_MIME_XML_PRIV_H
#define SP_MIME_XML_PRIV_H

#include "base/buf.h"

/* returns: whether a document in XML begins so that is no page */
bool sp_mime_xml_is_record(struct sp_bytes head);
/* atts: names and values in turns, a NULL behind them; or NULL. returns: whether a root of that name with these is an office document's or a picture's */
bool sp_mime_xml_is_form(const char *name, const unsigned char *const *atts);
/* Writes the name of an element and its attributes before what it holds. */
void sp_mime_xml_start(struct sp_buf *out, const char *name, const unsigned char *const *atts);

#endif
