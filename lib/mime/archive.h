/*
 * What lies in a zip, tar, gzip or OOXML attachment: entries one by one, read as a stream. libarchive lives behind this.
 * thread: any
 */
#ifndef SP_MIME_ARCHIVE_H
#define SP_MIME_ARCHIVE_H

#include "base/err.h"
#include "base/mem.h"

struct sp_mime_archive;

/* Where the archive's bytes come from; *got 0 is the end. */
typedef enum sp_rc (*sp_mime_archive_read_fn)(void *ctx, uint8_t *out, size_t len, size_t *got);

/*
 * owner:   the caller; ctx is lent to it
 * returns: SP_E_MALFORMED if it is none of the formats known
 */
SP_MUST_CHECK enum sp_rc sp_mime_archive_open(sp_mime_archive_read_fn read, void *ctx,
                                              struct sp_mime_archive **out);
void sp_mime_archive_free(struct sp_mime_archive *a);
SP_AUTO_DEFINE(sp_mime_archive)

struct sp_mime_archive_entry {
    const char *name; /* foreign; good until the next call */
    bool encrypted;
    bool is_file; /* not a folder */
};

/* Goes to the next entry. more: false at the end. returns: SP_E_MALFORMED, or what the source said */
SP_MUST_CHECK enum sp_rc sp_mime_archive_next(struct sp_mime_archive *a,
                                              struct sp_mime_archive_entry *out, bool *more);

/* Next bytes of the entry; *got 0 at its end. returns: SP_E_MALFORMED, or what the source said */
SP_MUST_CHECK enum sp_rc sp_mime_archive_data(struct sp_mime_archive *a, uint8_t *out, size_t len,
                                              size_t *got);

#endif
