/*
 * The walk through a message: Subject and file names, every text, what lies outside the parts, archives and office
 * documents. What a part is, its first bytes say; one that is labelled a text is read as that as well. Text is fed to the
 * patterns as it is decoded (document.c: pages, RTF, PDF). Whatever may hold text and is not read leaves a gap and makes the
 * scan partial; pictures leave a gap only.
 */
#include "detect/document_priv.h"

#include "mime/archive.h"
#include "mime/document.h"
#include "mime/html.h"
#include "mime/workbook.h"

#define FIELDS_MAX   (256 * 1024)
#define OUTSIDE_MAX  (1024 * 1024)
#define UNPACKED_MAX (256ULL * 1024 * 1024)
#define RATIO_MAX    100 /* unpacked bytes for each that came; deflate alone could make 1,032 of one */
#define SMALL_MAX    ((uint64_t)8 << 20) /* what the smallest may unpack to */
#define ENTRIES_MAX  2000

enum sp_rc sp_detect_stream_read(void *arg, uint8_t *out, size_t len, size_t *got)
{
    struct detect_stream *s = arg;
    struct detect_run *r = s->run;
    enum sp_rc rc = SP_OK;

    *got = 0;
    if (r->stopped)
        return SP_OK;
    if (s->head_at < s->head_len) {
        *got = s->head_len - s->head_at < len ? s->head_len - s->head_at : len;
        memcpy(out, s->head + s->head_at, *got);
        s->head_at += *got;
        return SP_OK;
    }
    rc = s->broken == SP_OK ? s->read(s->ctx, out, len, got) : s->broken;
    r->unpacked += *got;
    if (r->unpacked > r->limits->unpacked_max) {
        sp_detect_gap_add(r, "limit", true);
        r->stopped = true;
    }
    return rc;
}

/* Fills the head, for looking at it. What was read before an error is still examined; the error comes behind it. */
static void stream_peek(struct detect_stream *s)
{
    size_t got = 1;

    while (s->head_len < DETECT_HEAD_LEN && got > 0 && s->broken == SP_OK) {
        s->broken = s->read(s->ctx, s->head + s->head_len, DETECT_HEAD_LEN - s->head_len, &got);
        s->head_len += s->broken == SP_OK ? got : 0;
    }
    s->run->unpacked += s->head_len;
}

/* ---- examining ---- */

void sp_detect_text_open(struct detect_run *r)
{
    sp_detect_text_begin(r);
    if (r->prefix.len > 0) {
        sp_detect_text_feed(r, sp_buf_bytes(&r->prefix));
        sp_buf_wipe(&r->prefix);
    }
}

static enum sp_rc feed_stream(struct detect_stream *s)
{
    uint8_t piece[8192];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    sp_detect_text_open(s->run);
    while (got > 0 && rc == SP_OK) {
        rc = sp_detect_stream_read(s, piece, sizeof(piece), &got);
        if (rc == SP_OK)
            sp_detect_text_feed(s->run, sp_bytes(piece, got));
    }
    sp_detect_text_end(s->run);
    sp_wipe(piece, sizeof(piece));
    return rc;
}

static void feed_text(struct detect_run *r, struct sp_bytes text)
{
    if (text.len == 0)
        return;
    sp_detect_text_open(r);
    sp_detect_text_feed(r, text);
    sp_detect_text_end(r);
}

static enum sp_rc read_entry(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    return sp_mime_archive_data(ctx, out, len, got);
}

/* An archive in an archive is not opened: one level is what people send. */
static enum sp_rc examine_file(struct detect_stream *s)
{
    struct detect_run *r = s->run;
    const char *type = "";
    bool opaque = false;
    enum sp_rc rc = SP_OK;

    switch (sp_detect_form(sp_bytes(s->head, s->head_len), &type)) {
    case FORM_TEXT:
        rc = feed_stream(s);
        break;
    case FORM_WIDE:
        rc = sp_detect_wide(s);
        break;
    case FORM_MESSAGE:
        rc = sp_detect_nested(s);
        break;
    case FORM_MARKUP:
        rc = sp_detect_document(s, sp_mime_html_text);
        break;
    case FORM_PICTURE:
        sp_detect_gap_add(r, "image", false);
        rc = feed_stream(s);
        break;
    case FORM_PDF:
        rc = sp_detect_pdf(s, &opaque);
        break;
    case FORM_RTF:
        rc = sp_detect_document(s, sp_mime_rtf_text);
        break;
    case FORM_ARCHIVE:
        sp_detect_gap_add(r, "depth", true);
        break;
    default:
        sp_detect_gap_add(r, "type", true);
    }
    return rc;
}

/* One file in an archive. w: the spreadsheet among them, if one was met */
static enum sp_rc examine_entry(struct detect_run *r, struct sp_mime_archive *a, const char *name,
                                struct sp_mime_workbook **w)
{
    struct detect_stream *s = sp_calloc(1, sizeof(*s));
    enum sp_rc rc;

    *s = (struct detect_stream){.run = r, .read = read_entry, .ctx = a};
    feed_text(r, sp_bytes_cstr(name));
    stream_peek(s);
    if (sp_mime_workbook_wants(name))
        rc = sp_detect_workbook_take(s, w, name);
    else
        rc = examine_file(s);
    sp_wipe(s, sizeof(*s));
    sp_free(s);
    return rc;
}

static enum sp_rc examine_entries(struct detect_run *r, struct sp_mime_archive *a, bool *opaque)
{
    SP_AUTO(sp_mime_workbook) w = NULL;
    struct sp_mime_archive_entry entry;
    bool more = true;
    enum sp_rc rc = SP_OK;

    for (int i = 0; rc == SP_OK && !r->stopped; i++) {
        rc = sp_mime_archive_next(a, &entry, &more);
        if (rc != SP_OK || !more)
            break;
        if (i == ENTRIES_MAX) {
            sp_detect_gap_add(r, "limit", true);
            break;
        }
        if (entry.encrypted) {
            *opaque = true;
            sp_detect_gap_add(r, "encrypted", true);
            break; /* its end can't be found without reading it */
        }
        if (entry.is_file)
            rc = examine_entry(r, a, entry.name, &w);
    }
    sp_detect_workbook_end(r, w);
    return rc;
}

static enum sp_rc examine_archive(struct detect_stream *s, bool *opaque)
{
    struct sp_mime_archive *a = NULL;
    enum sp_rc rc = sp_mime_archive_open(sp_detect_stream_read, s, &a);

    if (rc == SP_OK)
        rc = examine_entries(s->run, a, opaque);
    sp_mime_archive_free(a);
    if (rc != SP_E_MALFORMED)
        return rc;
    sp_detect_gap_add(s->run, "malformed", true);
    return SP_OK;
}

/* ---- parts ---- */

static void add_attachment(struct detect_run *r, const struct sp_mime_part *part, const char *type,
                           bool opaque)
{
    struct sp_detect_result *out = r->out;

    if (out->attachment_count == SP_DETECT_LIST_MAX) {
        sp_detect_gap_add(r, "limit", true); /* a rule may ask for one of those behind */
        return;
    }
    if (out->attachments == NULL)
        out->attachments = sp_arena_alloc(r->arena, SP_DETECT_LIST_MAX * sizeof(*out->attachments));
    out->attachments[out->attachment_count++] = (struct sp_detect_attachment){
        .type = sp_arena_cstr(r->arena, sp_bytes_cstr(type[0] == '\0' ? part->type : type)),
        .name = sp_arena_cstr(r->arena, sp_bytes_cstr(part->name)),
        .opaque = opaque,
    };
}

static enum sp_rc read_decoder(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    return sp_mime_decoder_read(ctx, out, len, got);
}

static enum sp_rc examine_form(struct detect_stream *s, enum detect_form form, bool *opaque)
{
    switch (form) {
    case FORM_TEXT:
        return feed_stream(s);
    case FORM_WIDE:
        return sp_detect_wide(s);
    case FORM_MESSAGE:
        return sp_detect_nested(s);
    case FORM_MARKUP:
        return sp_detect_document(s, sp_mime_html_text);
    case FORM_ARCHIVE:
        return examine_archive(s, opaque);
    case FORM_PDF:
        return sp_detect_pdf(s, opaque);
    case FORM_RTF:
        return sp_detect_document(s, sp_mime_rtf_text);
    case FORM_OLE:
        return sp_detect_ole(s, opaque);
    case FORM_PICTURE: /* no more than its captions can be read */
        sp_detect_gap_add(s->run, "image", false);
        return feed_stream(s);
    case FORM_DICOM: /* a picture of a patient, with his name in it */
        sp_detect_count(s->run, SP_DETECT_PHOTO, 90, SP_LIT("dicom"));
        s->run->phi_score = 90;
        sp_detect_gap_add(s->run, "image", false);
        return feed_stream(s);
    case FORM_BIOMETRIC: /* somebody's, but not whose: what else it holds nobody has seen */
        sp_detect_count(s->run, SP_DETECT_BIOMETRIC, 90, SP_LIT("file"));
        sp_detect_gap_add(s->run, "type", true);
        return feed_stream(s);
    case FORM_OPAQUE:
        *opaque = true;
        sp_detect_gap_add(s->run, "encrypted", true);
        return SP_OK;
    default:
        sp_detect_gap_add(s->run, "type", true);
        return feed_stream(s); /* what is readable in it is looked at all the same */
    }
}

static bool is_text_type(const struct sp_mime_part *part)
{
    return part->kind == SP_MIME_TEXT || part->kind == SP_MIME_HTML ||
           strncmp(part->type, "text/", 5) == 0;
}

static bool is_labelled_signature(const struct sp_mime_part *part)
{
    return part->raw_len <= 256 * 1024 &&
           (strcmp(part->type, "application/pkcs7-signature") == 0 ||
            strcmp(part->type, "application/x-pkcs7-signature") == 0 ||
            strcmp(part->type, "application/pgp-signature") == 0);
}

/* A part that is being examined. */
struct leaf {
    struct sp_mime *m;
    size_t i;
    const struct sp_mime_part *part;
    const char *type;       /* what its bytes tell, or "" */
    const char *wide;       /* their charset if they are a text of other than ASCII's bytes */
    bool opaque, signature; /* PGP's armor of one is what they begin with */
};

/* A text is read as such: its label says whether as a page, its bytes may say so of other than plain text. */
static enum detect_form form_as_text(const struct leaf *l, enum detect_form form)
{
    if (l->part->kind == SP_MIME_HTML)
        return FORM_MARKUP;
    if (l->part->kind != SP_MIME_TEXT && (form == FORM_RTF || form == FORM_MARKUP))
        return form;
    return FORM_TEXT;
}

/* Reads the part once. form: set to what its bytes are */
static enum sp_rc read_leaf(struct detect_run *r, struct leaf *l, enum sp_mime_as as, bool examined,
                            enum detect_form *form)
{
    SP_AUTO(sp_mime_decoder) d = sp_mime_decoder_new(l->m, l->i, as);
    struct detect_stream *s = sp_calloc(1, sizeof(*s));
    enum sp_rc rc = SP_OK;

    *s = (struct detect_stream){.run = r, .read = read_decoder, .ctx = d};
    stream_peek(s);
    *form = sp_detect_form(sp_bytes(s->head, s->head_len), &l->type);
    l->signature = sp_bytes_starts_nocase(sp_bytes(s->head, s->head_len),
                                          SP_LIT("-----BEGIN PGP SIGNATURE-----"));
    if (*form == FORM_WIDE)
        l->wide = sp_detect_wide_charset(sp_bytes(s->head, s->head_len));
    if (examined)
        rc = examine_form(s, as == SP_MIME_AS_UTF8 ? form_as_text(l, *form) : *form, &l->opaque);
    sp_wipe(s, sizeof(*s));
    sp_free(s);
    return rc;
}

/*
 * A text is always read as one, converted from its charset: that is what its reader sees, whatever its first bytes are. If
 * they are a file's, the file is examined too; what else the part may be to somebody nobody knows: the scan is not complete.
 * What is another text by itself than by its label is read both ways.
 */
static enum sp_rc examine_text(struct detect_run *r, struct leaf *l)
{
    enum detect_form form = FORM_TEXT, unused;
    enum sp_rc rc;
    bool disguised, again;

    (void)read_leaf(r, l, SP_MIME_AS_BYTES, false, &form); /* an error comes again */
    disguised = sp_detect_is_disguised(form, l->type);
    again = disguised || form == FORM_MESSAGE ||
            (form == FORM_RTF && l->part->kind == SP_MIME_TEXT) ||
            sp_detect_is_mislabelled(l->part->charset, form, l->wide);
    if (disguised)
        sp_detect_gap_add(r, "type", true);
    else
        l->type = "";
    rc = read_leaf(r, l, SP_MIME_AS_UTF8, true, &unused);
    if (rc == SP_OK && !r->stopped && again)
        rc = read_leaf(r, l, SP_MIME_AS_BYTES, true, &form);
    return rc;
}

/* A detached signature holds certificates, no text of the sender's; what is only labelled so may hold any. */
static bool is_signature(struct detect_run *r, struct leaf *l)
{
    enum detect_form form = FORM_TEXT;

    return is_labelled_signature(l->part) &&
           read_leaf(r, l, SP_MIME_AS_BYTES, false, &form) == SP_OK &&
           (l->signature || form == FORM_OTHER);
}

static enum sp_rc examine_leaf(struct detect_run *r, struct sp_mime *m, size_t i)
{
    struct leaf l = {.m = m, .i = i, .part = sp_mime_part_get(m, i), .type = ""};
    enum detect_form form;
    enum sp_rc rc = SP_OK;

    r->pictures = false;
    if (!is_signature(r, &l)) {
        if (!l.part->encoding_known)
            sp_detect_gap_add(r, "encoding", true);
        rc = is_text_type(l.part) ? examine_text(r, &l)
                                  : read_leaf(r, &l, SP_MIME_AS_BYTES, true, &form);
    }
    if (l.part->attachment)
        add_attachment(r, l.part, l.type, l.opaque);
    if (l.part->attachment && r->pictures) /* rules that ask for pictures mean these pages too */
        add_attachment(r, l.part, "image/pdf", false);
    return rc;
}

struct field {
    const char *name;
    bool people; /* the addresses go: they are the envelope's, not the text's */
};

/* A line of the header goes before the text if it is this field and says something. */
static void examine_field(struct detect_run *r, const struct field *f, struct sp_bytes line)
{
    struct sp_bytes value = sp_bytes_slice(line, strlen(f->name), SIZE_MAX);

    if (!sp_bytes_starts_nocase(line, sp_bytes_cstr(f->name)))
        return;
    if (f->people)
        value = sp_bytes_trim(sp_bytes_slice(value, 0, sp_bytes_find(value, '<')));
    if (value.len == 0 || (f->people && (value.len > 100 || sp_bytes_find(value, '@') != SIZE_MAX)))
        return;
    sp_buf_put(&r->prefix, f->people ? line : value);
    r->prefix.len -= f->people ? line.len - strlen(f->name) - value.len : 0;
    sp_buf_put_cstr(&r->prefix, "\n\n");
}

/* Only fields that people write texts into, and names; the others are full of numbers that mean nothing. */
static void examine_fields(struct detect_run *r, struct sp_mime *m, size_t i)
{
    static const struct field fields[] = {{"From: ", true},
                                          {"To: ", true},
                                          {"Subject: ", false},
                                          {"Comments: ", false},
                                          {"Keywords: ", false}};
    struct sp_buf all;
    struct sp_bytes rest, line;

    sp_buf_init(&all, FIELDS_MAX);
    if (sp_mime_headers(m, i, &all) != SP_OK)
        sp_detect_gap_add(r, "limit", true);
    rest = sp_buf_bytes(&all);
    while (sp_bytes_split(&rest, '\n', &line))
        for (size_t k = 0; k < SP_ARRAY_LEN(fields); k++)
            examine_field(r, &fields[k], line);
    sp_buf_wipe(&all);
}

static enum sp_rc examine_parts(struct detect_run *r, struct sp_mime *m)
{
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < sp_mime_part_count(m) && rc == SP_OK && !r->stopped; i++) {
        const struct sp_mime_part *part = sp_mime_part_get(m, i);

        if (r->nested == 0) /* else it is the file's */
            r->part = (uint32_t)i + 1;
        feed_text(r, sp_bytes_cstr(part->name));
        if (part->kind == SP_MIME_MESSAGE)
            examine_fields(r, m, i);
        else
            rc = examine_leaf(r, m, i);
    }
    if (r->nested == 0)
        r->part = 0;
    if (r->prefix.len > 0)
        feed_text(r, SP_LIT("\n")); /* there was no text */
    return rc;
}

/* What stands outside of all parts, and the header. */
static void examine_top(struct detect_run *r, struct sp_mime *m)
{
    struct sp_buf outside;

    sp_buf_init(&outside, OUTSIDE_MAX);
    if (sp_mime_outside(m, &outside) != SP_OK)
        sp_detect_gap_add(r, "limit", true);
    feed_text(r, sp_buf_bytes(&outside));
    sp_buf_wipe(&outside);
    examine_fields(r, m, SP_MIME_NONE);
}

enum sp_rc sp_detect_parts(struct detect_run *r, struct sp_mime *m)
{
    examine_top(r, m);
    return examine_parts(r, m);
}

static enum sp_rc examine(struct detect_run *r, struct sp_mime *m)
{
    r->out->sealed = sp_detect_sealed_of(m);
    examine_top(r, m);
    if (r->out->sealed == SP_DETECT_SMIME || r->out->sealed == SP_DETECT_PGP) {
        feed_text(r, SP_LIT("\n"));
        sp_detect_gap_add(r, "sealed", false);
        return SP_OK;
    }
    return examine_parts(r, m);
}

/* ---- a run ---- */

static void run_begin(struct detect_run *r, struct sp_detect *d,
                      const struct sp_detect_limits *limits, struct sp_arena *arena,
                      struct sp_detect_result *out)
{
    *out = (struct sp_detect_result){0};
    *r = (struct detect_run){.d = d, .limits = limits, .arena = arena, .out = out};
    sp_buf_init(&r->norm, DETECT_WINDOW + 32768);
    sp_buf_init(&r->tag, 512);
    sp_buf_init(&r->prefix, FIELDS_MAX);
    sp_random_fill(sp_random_system(), r->hash_key, sizeof(r->hash_key));
    if (limits->findings)
        r->places = sp_calloc(DETECT_WINDOW + 32768, sizeof(*r->places));
}

static void run_end(struct detect_run *r)
{
    sp_detect_conclude(r);
    sp_buf_wipe(&r->norm);
    sp_buf_wipe(&r->tag);
    sp_buf_wipe(&r->prefix);
    sp_free(r->values.slots);
    sp_free(r->places);
    sp_wipe(r, sizeof(*r));
}

/* What unpacks to so much more than it is was made to. */
static void bound_unpacked(struct sp_detect_limits *limits, uint64_t len)
{
    uint64_t honest =
        len > UINT64_MAX / RATIO_MAX - SMALL_MAX ? UINT64_MAX : SMALL_MAX + len * RATIO_MAX;

    if (limits->unpacked_max == 0)
        limits->unpacked_max = UNPACKED_MAX;
    if (limits->unpacked_max > honest)
        limits->unpacked_max = honest;
}

enum sp_rc sp_detect_message(struct sp_detect *d, const struct sp_mime_source *source,
                             const struct sp_detect_limits *limits, struct sp_arena *arena,
                             struct sp_detect_result *out)
{
    struct sp_detect_limits own = *limits;
    SP_AUTO(sp_mime) m = NULL;
    struct detect_run r;
    enum sp_rc rc;

    bound_unpacked(&own, source->len);
    run_begin(&r, d, &own, arena, out);
    rc = sp_mime_open(source, &own.mime, &m, NULL);
    if (rc == SP_E_SCAN_LIMIT || rc == SP_E_MALFORMED) {
        sp_detect_gap_add(&r, rc == SP_E_MALFORMED ? "malformed" : "limit", true);
        rc = SP_OK;
    } else if (rc == SP_OK) {
        rc = examine(&r, m);
        if (rc == SP_E_MALFORMED) {
            sp_detect_gap_add(&r, "malformed", true);
            rc = SP_OK;
        }
    }
    run_end(&r);
    return rc;
}

enum sp_rc sp_detect_file(struct sp_detect *d, struct sp_bytes file,
                          const struct sp_detect_limits *limits, struct sp_arena *arena,
                          struct sp_detect_result *out)
{
    struct sp_detect_limits own = *limits;
    const struct sp_mime_input memory = sp_mime_input_bytes(&file);
    struct detect_stream *s = sp_calloc(1, sizeof(*s));
    struct detect_run r;
    const char *type = "";
    bool opaque = false;
    enum sp_rc rc;

    bound_unpacked(&own, file.len);
    run_begin(&r, d, &own, arena, out);
    *s = (struct detect_stream){.run = &r, .read = memory.read, .ctx = memory.ctx};
    stream_peek(s);
    rc = examine_form(s, sp_detect_form(sp_bytes(s->head, s->head_len), &type), &opaque);
    if (rc == SP_E_MALFORMED) {
        sp_detect_gap_add(&r, "malformed", true);
        rc = SP_OK;
    }
    run_end(&r);
    sp_wipe(s, sizeof(*s));
    sp_free(s);
    return rc;
}

bool sp_detect_is_text(struct sp_bytes file)
{
    const char *type;
    enum detect_form form = sp_detect_form(sp_bytes_slice(file, 0, DETECT_HEAD_LEN), &type);

    return form == FORM_TEXT || form == FORM_MARKUP;
}

/* A text that is the source of a page: tags are taken out, places stay those of the source. */
static bool is_markup(struct sp_bytes text)
{
    static const char *const tags[] = {"<html", "<table",    "<td", "<p>", "<br", "<div",
                                       "<span", "<!doctype", "<b>", "<li", "<p "};
    struct sp_bytes head = sp_bytes_slice(text, 0, 65536);

    for (size_t i = 0; i < head.len; i++)
        for (size_t k = 0; head.ptr[i] == '<' && k < SP_ARRAY_LEN(tags); k++)
            if (sp_bytes_starts_nocase(sp_bytes_slice(head, i, SIZE_MAX), sp_bytes_cstr(tags[k])))
                return true;
    return false;
}

void sp_detect_text(struct sp_detect *d, struct sp_bytes text,
                    const struct sp_detect_limits *limits, struct sp_arena *arena,
                    struct sp_detect_result *out)
{
    struct sp_detect_limits own = {0};
    struct detect_run r;

    if (limits != NULL)
        own = *limits;
    bound_unpacked(&own, text.len);
    run_begin(&r, d, &own, arena, out);
    r.markup = is_markup(text);
    feed_text(&r, text);
    run_end(&r);
}
