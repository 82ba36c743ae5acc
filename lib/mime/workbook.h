/*
 * Spreadsheets of Office Open XML (ECMA-376 part 1, 18.3, 18.4, 18.8): their texts lie in one file, their cells in others that
 * show them by number, their dates are days since 1900. Here the files are taken in whatever order they come, and given back
 * as the tables that a reader sees. libxml2 lives behind this. thread: any (one at a time)
 */
#ifndef SP_MIME_WORKBOOK_H
#define SP_MIME_WORKBOOK_H

#include "base/mem.h"
#include "mime/text.h"

struct sp_mime_workbook;

/* held_max: bytes of cells, and of texts, that are kept. owner: the caller (sp_mime_workbook_free). returns: never NULL */
struct sp_mime_workbook *sp_mime_workbook_new(size_t held_max);
void sp_mime_workbook_free(struct sp_mime_workbook *w);
SP_AUTO_DEFINE(sp_mime_workbook)

/* name: of a file in an archive, however it is written. returns: whether it belongs to a workbook's tables */
bool sp_mime_workbook_wants(const char *name);

/*
 * Takes one of these files.
 *
 * returns: SP_E_MALFORMED if it is no XML or declares entities, SP_E_LIMIT if no more can be kept (both: what was taken up to
 *          there stays), or what in says
 */
SP_MUST_CHECK enum sp_rc sp_mime_workbook_take(struct sp_mime_workbook *w, const char *name,
                                               const struct sp_mime_input *in);

/*
 * All that was taken: each sheet a table, a line for each row, cells parted by tabs (as many as columns are passed over, up to
 * a bound), dates as 2024-02-28; behind them texts that no cell shows and all else that is written in these files: names of
 * sheets, headers, prompts, comments, formulas that say more than functions and cells.
 *
 * returns: SP_E_LIMIT if out wants no more, or if cells show texts so often that it would be four times held_max
 */
SP_MUST_CHECK enum sp_rc sp_mime_workbook_text(const struct sp_mime_workbook *w,
                                               const struct sp_mime_output *out);

#endif
