/*
 * Documents whose text is not what stands in them: pages and RTF, which are read as they come; PDF, which must be whole in
 * memory, and spreadsheets, whose parts make sense together only: both have a limit for that. Text goes on to the patterns
 * piece by piece.
 */
#include "detect/document_priv.h"

#include "mime/document.h"
#include "mime/workbook.h"

#define PDF_MAX   (8 * 1024 * 1024) /* whole, in memory */
#define PAGES_MAX 2000
#define CELLS_MAX (6 * 1024 * 1024) /* of a spreadsheet, and as much of its texts */

/* Reads a stream to its end. returns: what the source said; whole.failed if it is too long */
static enum sp_rc read_whole(struct detect_stream *s, struct sp_buf *whole)
{
    uint8_t piece[8192];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    while (got > 0 && rc == SP_OK && !whole->failed) {
        rc = sp_detect_stream_read(s, piece, sizeof(piece), &got);
        if (rc == SP_OK)
            sp_buf_put(whole, sp_bytes(piece, got));
    }
    sp_wipe(piece, sizeof(piece));
    if (whole->failed)
        sp_detect_gap_add(s->run, "limit", true);
    return rc;
}

/* A stream for those who read documents: to them its failure is an end. */
struct source {
    struct detect_stream *s;
    enum sp_rc rc;
};

static enum sp_rc read_source(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    struct source *source = ctx;

    source->rc = sp_detect_stream_read(source->s, out, len, got);
    if (source->rc != SP_OK)
        *got = 0;
    return SP_OK;
}

/* A document's text; none begins if it has none. */
struct text {
    struct detect_run *run;
    bool begun;
};

static bool put_text(void *ctx, struct sp_bytes piece)
{
    struct text *t = ctx;

    if (piece.len > 0 && !t->begun)
        sp_detect_text_open(t->run);
    t->begun |= piece.len > 0;
    if (piece.len > 0)
        sp_detect_text_feed(t->run, piece);
    return !t->run->stopped;
}

static void end_text(const struct text *t)
{
    if (t->begun)
        sp_detect_text_end(t->run);
}

/* What is left of a document that can't be read as such is looked at as it stands. */
static void feed_rest(struct text *t, const struct sp_mime_input *in)
{
    uint8_t piece[8192];
    size_t got = 1;

    (void)put_text(t, SP_LIT("\n"));
    while (got > 0 && in->read(in->ctx, piece, sizeof(piece), &got) == SP_OK &&
           put_text(t, sp_bytes(piece, got)))
        continue;
    sp_wipe(piece, sizeof(piece));
}

enum sp_rc sp_detect_document(struct detect_stream *s, detect_text_of_fn text_of)
{
    struct source source = {.s = s};
    struct text text = {.run = s->run};
    const struct sp_mime_input in = {read_source, &source};
    const struct sp_mime_output out = {put_text, &text};
    enum sp_rc rc = text_of(&in, &out);

    if (rc != SP_OK && !s->run->stopped) {
        sp_detect_gap_add(s->run, rc == SP_E_LIMIT ? "limit" : "malformed", true);
        feed_rest(&text, &in);
    }
    end_text(&text);
    return source.rc;
}

enum sp_rc sp_detect_workbook_take(struct detect_stream *s, struct sp_mime_workbook **w,
                                   const char *name)
{
    struct source source = {.s = s};
    struct text text = {.run = s->run};
    const struct sp_mime_input in = {read_source, &source};
    enum sp_rc rc;

    if (*w == NULL)
        *w = sp_mime_workbook_new(CELLS_MAX);
    rc = sp_mime_workbook_take(*w, name, &in);
    if (rc != SP_OK && !s->run->stopped) {
        sp_detect_gap_add(s->run, rc == SP_E_LIMIT ? "limit" : "malformed", true);
        feed_rest(&text, &in);
    }
    end_text(&text);
    return source.rc;
}

void sp_detect_workbook_end(struct detect_run *r, const struct sp_mime_workbook *w)
{
    struct text text = {.run = r};
    const struct sp_mime_output out = {put_text, &text};

    if (w != NULL && sp_mime_workbook_text(w, &out) != SP_OK && !r->stopped)
        sp_detect_gap_add(r, "limit", true);
    end_text(&text);
}

/* ---- old office files ---- */

/* The name, in UTF-16, of the only stream of a document with a password (MS-OFFCRYPTO 2.3). */
static const uint8_t ole_mark[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e";

/* returns: how much of the mark stands at the end of what has passed; no part of it but its first letter begins it anew */
static size_t match_mark(size_t matched, struct sp_bytes piece)
{
    for (size_t i = 0; i < piece.len && matched < sizeof(ole_mark) - 1; i++)
        matched = piece.ptr[i] == ole_mark[matched] ? matched + 1 : piece.ptr[i] == ole_mark[0];
    return matched;
}

enum sp_rc sp_detect_ole(struct detect_stream *s, bool *opaque)
{
    struct text text = {.run = s->run};
    uint8_t piece[8192];
    size_t got = 1, matched = 0;
    enum sp_rc rc = SP_OK;

    while (got > 0 && rc == SP_OK) {
        rc = sp_detect_stream_read(s, piece, sizeof(piece), &got);
        if (rc == SP_OK)
            (void)put_text(&text, sp_bytes(piece, got));
        matched = match_mark(matched, sp_bytes(piece, rc == SP_OK ? got : 0));
    }
    end_text(&text);
    sp_wipe(piece, sizeof(piece));
    *opaque = *opaque || matched == sizeof(ole_mark) - 1;
    sp_detect_gap_add(s->run, *opaque ? "encrypted" : "type", true);
    return rc;
}

/* ---- PDF ---- */

static void read_pdf(struct detect_run *r, struct sp_bytes whole, bool *opaque)
{
    struct text text = {.run = r};
    const struct sp_mime_output out = {put_text, &text};
    struct sp_mime_pdf_found found;
    enum sp_rc rc = sp_mime_pdf_text(whole, PAGES_MAX, &out, &found);

    end_text(&text);
    *opaque = *opaque || found.encrypted;
    if (rc == SP_E_MALFORMED)
        sp_detect_gap_add(r, found.encrypted ? "encrypted" : "malformed", true);
    else if (found.cut)
        sp_detect_gap_add(r, "limit", true);
    if (rc == SP_OK && found.pictures)
        sp_detect_gap_add(r, "image", false); /* as with a picture of its own */
    r->pictures = r->pictures || (rc == SP_OK && found.pictures);
}

enum sp_rc sp_detect_pdf(struct detect_stream *s, bool *opaque)
{
    struct sp_buf whole;
    enum sp_rc rc;

    sp_buf_init(&whole, PDF_MAX);
    rc = read_whole(s, &whole);
    if (!whole.failed)
        read_pdf(s->run, sp_buf_bytes(&whole), opaque);
    sp_buf_wipe(&whole);
    return rc;
}
