/*
 * Text of documents that are neither pages nor archives: PDF (poppler lives behind this) and RTF. Both must be whole in
 * memory. thread: any (one at a time)
 */
#ifndef SP_MIME_DOCUMENT_H
#define SP_MIME_DOCUMENT_H

#include "base/buf.h"
#include "base/err.h"

struct sp_mime_pdf_found {
    bool encrypted; /* nothing could be read */
    bool cut;       /* more pages than the limit */
    bool pictures;  /* pages without a word: scanned ones, as a rule */
};

/*
 * All text of a PDF, its title and form fields' values, a line for each line, a blank line between pages.
 *
 * out:     appended to
 * pages:   at most so many are read
 * returns: SP_E_MALFORMED if it is no PDF that can be read (found says whether it is encrypted), SP_E_LIMIT if the text does
 *          not fit
 */
SP_MUST_CHECK enum sp_rc sp_mime_pdf_text(struct sp_bytes pdf, int pages, struct sp_buf *out,
                                          struct sp_mime_pdf_found *found);

/*
 * All text of an RTF document: paragraphs as lines, cells parted by tabs; hidden text and document properties too.
 *
 * out:     appended to
 * returns: SP_E_LIMIT if it does not fit, SP_E_MALFORMED if its groups do not end (out holds what was read)
 */
SP_MUST_CHECK enum sp_rc sp_mime_rtf_text(struct sp_bytes rtf, struct sp_buf *out);

#endif
