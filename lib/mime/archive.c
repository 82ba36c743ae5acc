/* Archives as streams, by libarchive: only the formats that people mail, so that fewer parsers see foreign bytes. */
#include "mime/archive.h"

#include <archive.h>
#include <archive_entry.h>

#define PIECE_LEN 16384

struct sp_mime_archive {
    struct archive *archive;
    sp_mime_archive_read_fn read;
    void *ctx;
    enum sp_rc source_rc;
    uint8_t piece[PIECE_LEN];
};

static la_ssize_t on_read(struct archive *archive, void *arg, const void **out)
{
    struct sp_mime_archive *a = arg;
    size_t got = 0;
    enum sp_rc rc = a->read(a->ctx, a->piece, PIECE_LEN, &got);

    (void)archive;
    if (rc != SP_OK) {
        a->source_rc = rc;
        return -1;
    }
    *out = a->piece;
    return (la_ssize_t)got;
}

static enum sp_rc why(const struct sp_mime_archive *a)
{
    return a->source_rc != SP_OK ? a->source_rc : SP_E_MALFORMED;
}

enum sp_rc sp_mime_archive_open(sp_mime_archive_read_fn read, void *ctx,
                                struct sp_mime_archive **out)
{
    SP_AUTO(sp_mime_archive) a = sp_calloc(1, sizeof(*a));

    a->read = read;
    a->ctx = ctx;
    a->archive = archive_read_new();
    if (a->archive == NULL)
        return SP_E_INTERNAL;
    archive_read_support_format_zip_streamable(a->archive);
    archive_read_support_format_tar(a->archive);
    archive_read_support_format_raw(a->archive); /* a lone file in gzip */
    archive_read_support_filter_gzip(a->archive);
    if (archive_read_open(a->archive, a, NULL, on_read, NULL) != ARCHIVE_OK)
        return why(a);
    *out = SP_STEAL(a);
    return SP_OK;
}

void sp_mime_archive_free(struct sp_mime_archive *a)
{
    if (a == NULL)
        return;
    if (a->archive != NULL)
        archive_read_free(a->archive);
    sp_wipe(a->piece, sizeof(a->piece));
    sp_free(a);
}

enum sp_rc sp_mime_archive_next(struct sp_mime_archive *a, struct sp_mime_archive_entry *out,
                                bool *more)
{
    struct archive_entry *entry = NULL;
    int rc = archive_read_next_header(a->archive, &entry);
    const char *name;

    *more = false;
    if (rc == ARCHIVE_EOF)
        return a->source_rc;
    if ((rc != ARCHIVE_OK && rc != ARCHIVE_WARN) || entry == NULL)
        return why(a);
    name = archive_entry_pathname(entry);
    out->name = name == NULL ? "" : name;
    out->encrypted = archive_entry_is_encrypted(entry) != 0;
    out->is_file = archive_entry_filetype(entry) == AE_IFREG;
    *more = true;
    return SP_OK;
}

enum sp_rc sp_mime_archive_data(struct sp_mime_archive *a, uint8_t *out, size_t len, size_t *got)
{
    la_ssize_t n = archive_read_data(a->archive, out, len);

    *got = n < 0 ? 0 : (size_t)n;
    return n < 0 ? why(a) : SP_OK;
}
