/*
 * Text of documents that are neither pages nor archives: PDF (poppler lives behind this), which must be whole in memory, and
 * RTF, which is read as it comes. Text leaves piece by piece. thread: any (one at a time)
 */
#ifndef SP_MIME_DOCUMENT_H
#define SP_MIME_DOCUMENT_H

#include "mime/text.h"

struct sp_mime_pdf_found {
    bool encrypted; /* nothing could be read */
    bool cut;       /* more pages than the limit */
    bool pictures;  /* pages without a word: scanned ones, as a rule */
};

/*
 * All text of a PDF, its title and form fields' values, a line for each line, a blank line between pages.
 *
 * pages:   at most so many are read
 * returns: SP_E_MALFORMED if it is no PDF that can be read (found says whether it is encrypted), SP_E_LIMIT if out wants no
 *          more
 */
SP_MUST_CHECK enum sp_rc sp_mime_pdf_text(struct sp_bytes pdf, int pages,
                                          const struct sp_mime_output *out,
                                          struct sp_mime_pdf_found *found);

/*
 * All text of an RTF document: paragraphs as lines, cells parted by tabs; hidden text and document properties too.
 *
 * returns: SP_E_LIMIT if out wants no more, SP_E_MALFORMED if its groups do not end (out has what was read), or what in says
 */
SP_MUST_CHECK enum sp_rc sp_mime_rtf_text(const struct sp_mime_input *in,
                                          const struct sp_mime_output *out);

#endif
