/*
 * Documents whose text is not what stands in them: pages and RTF, which are read as they come, and PDF, which must be whole
 * in memory and has a limit for that. Text goes on to the patterns piece by piece; none of it is held.
 */
#include "detect/detect_priv.h"

#include "mime/document.h"

#define PDF_MAX   (8 * 1024 * 1024) /* whole, in memory */
#define PAGES_MAX 2000

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
