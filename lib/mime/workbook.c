/*
 * A workbook's files by libxml2's push parser, element by element, into small records: a cell that shows a shared text keeps
 * its number until the texts are there, for they may come last; a number keeps its style, which tells whether it is a date.
 * Only at the end are records written out as text. Characters that no table takes, and comments, are text all the same: their
 * reader may not see them, but they leave the house. Nothing declared in a DTD is taken: such a file is malformed here.
 */
#include "mime/workbook.h"

#include "base/mem.h"
#include "base/reader.h"

#include <libxml/parser.h>
#include <time.h>

#define PIECE_LEN   4096
#define OUT_LEN     32768
#define CELL_MAX    32768u /* of a cell's text: Excel's own limit */
#define FORMATS_MAX 1024   /* of numbers, of a workbook's own: Excel has 250 */
#define STYLES_MAX  65536
#define WRITTEN_MAX                                                                                \
    4 /* times what was kept: a text may be shown by many cells, but not without end */
#define GAP_MAX       64 /* columns passed over */
#define COLUMNS_MAX   16384
#define DAYS_TO_1970  25569
#define DAYS_TO_1904  1462
#define DAY_MAX       2958465 /* 9999-12-31 */
#define DAY_OF_NO_DAY 60      /* 1900-02-29, which there was not */

enum file_kind { FILE_NONE, FILE_TEXTS, FILE_STYLES, FILE_BOOK, FILE_SHEET };

enum record {
    ROW = 'r',    /* begins */
    COLUMN = 'c', /* u8: tabs before the next cell */
    SHARED = 's', /* u32: number of a shared text */
    NUMBER = 'n', /* u32: style; var: its digits */
    TEXT = 't',   /* var */
};

struct sp_mime_workbook {
    struct sp_buf cells;   /* records of all sheets */
    struct sp_buf texts;   /* the shared ones, one behind the other */
    struct sp_buf ends;    /* u32: where each ends in texts */
    struct sp_buf formats; /* u32: numbers of formats of its own that show dates */
    struct sp_buf styles;  /* u8: whether this style shows a date */
    struct sp_buf loose;   /* what is in no cell, in lines */
    bool since_1904;
};

/* A file being read. */
struct parse {
    struct sp_mime_workbook *w;
    xmlParserCtxtPtr parser;
    enum file_kind kind;
    bool styles_of_cells;
    bool in_cell;
    bool taking;    /* characters belong to text */
    char cell_type; /* the first letter of its type, 'S' for "str"; 'n' if none */
    uint32_t style;
    uint32_t column; /* of the last cell, from 1 */
    struct sp_buf text;
    struct sp_buf outside; /* characters since the last element that belong to nothing */
};

static enum file_kind kind_of(const char *name)
{
    struct sp_bytes n = sp_bytes_cstr(name);

    if (sp_bytes_eq_nocase(n, SP_LIT("xl/sharedStrings.xml")))
        return FILE_TEXTS;
    if (sp_bytes_eq_nocase(n, SP_LIT("xl/styles.xml")))
        return FILE_STYLES;
    if (sp_bytes_eq_nocase(n, SP_LIT("xl/workbook.xml")))
        return FILE_BOOK;
    if (sp_bytes_starts_nocase(n, SP_LIT("xl/worksheets/")) && n.len > 18 &&
        sp_bytes_eq_nocase(sp_bytes_slice(n, n.len - 4, SIZE_MAX), SP_LIT(".xml")))
        return FILE_SHEET;
    return FILE_NONE;
}

bool sp_mime_workbook_wants(const char *name)
{
    return kind_of(name) != FILE_NONE;
}

struct sp_mime_workbook *sp_mime_workbook_new(size_t held_max)
{
    struct sp_mime_workbook *w = sp_calloc(1, sizeof(*w));

    sp_buf_init(&w->cells, held_max);
    sp_buf_init(&w->texts, held_max);
    sp_buf_init(&w->ends, held_max / 4);
    sp_buf_init(&w->loose, held_max);
    sp_buf_init(&w->formats, FORMATS_MAX * 4);
    sp_buf_init(&w->styles, STYLES_MAX);
    return w;
}

void sp_mime_workbook_free(struct sp_mime_workbook *w)
{
    if (w == NULL)
        return;
    sp_buf_wipe(&w->cells);
    sp_buf_wipe(&w->texts);
    sp_buf_wipe(&w->ends);
    sp_buf_wipe(&w->loose);
    sp_buf_wipe(&w->formats);
    sp_buf_wipe(&w->styles);
    sp_free(w);
}

/* ---- reading ---- */

static bool is(const xmlChar *name, const char *what)
{
    return strcmp((const char *)name, what) == 0;
}

/* atts: as libxml2 reports them: name, prefix, URI, value, its end. returns: the value, or nothing */
static struct sp_bytes attribute(const xmlChar **atts, int count, const char *name)
{
    for (int i = 0; i < count; i++, atts += 5)
        if (is(atts[0], name))
            return sp_bytes(atts[3], (size_t)(atts[4] - atts[3]));
    return SP_LIT("");
}

static uint32_t number_of(struct sp_bytes digits)
{
    uint64_t n = 0;

    return sp_bytes_to_u64(digits, &n) && n < UINT32_MAX ? (uint32_t)n : 0;
}

static bool is_true(struct sp_bytes value)
{
    return sp_bytes_eq(value, SP_LIT("1")) || sp_bytes_eq(value, SP_LIT("true"));
}

static void put_loose(struct sp_mime_workbook *w, struct sp_bytes text)
{
    text = sp_bytes_trim(text);
    if (text.len == 0)
        return;
    sp_buf_put(&w->loose, text);
    sp_buf_put_u8(&w->loose, '\n');
}

/* returns: whether a formula consists of functions and cells only, like SUM(A1:B22): what it gave stands beside it */
static bool is_only_formula(struct sp_bytes formula)
{
    size_t digits = 0;

    for (size_t i = 0; i < formula.len; i++) {
        uint8_t c = formula.ptr[i];

        digits = sp_ascii_is_digit(c) ? digits + 1 : 0;
        if (digits > 4 || (!sp_ascii_is_digit(c) && !(c >= 'A' && c <= 'Z') &&
                           (c == 0 || strchr("()+-*/,:$!.<>=^%", c) == NULL)))
            return false;
    }
    return true;
}

/* What stood between two elements. */
static void end_outside(struct parse *p, bool formula)
{
    struct sp_bytes text = sp_buf_bytes(&p->outside);

    if (!formula || !is_only_formula(text))
        put_loose(p->w, text);
    sp_buf_reset(&p->outside);
}

/* Texts of a sheet that are no cell's: what is shown beside it, and where links lead. */
static void keep_attributes(struct sp_mime_workbook *w, const xmlChar **atts, int count)
{
    static const char *const names[] = {"prompt",  "promptTitle", "error",   "errorTitle",
                                        "display", "tooltip",     "formula", "description"};

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++)
        put_loose(w, attribute(atts, count, names[i]));
}

/* "BC12" is in column 55. */
static uint32_t column_of(struct sp_bytes reference, uint32_t otherwise)
{
    uint32_t column = 0;

    for (size_t i = 0; i < reference.len && i < 3 && sp_ascii_is_alpha(reference.ptr[i]); i++)
        column = column * 26 + (uint32_t)(sp_ascii_lower(reference.ptr[i]) - 'a') + 1;
    return column == 0 || column > COLUMNS_MAX ? otherwise : column;
}

static void start_cell(struct parse *p, const xmlChar **atts, int count)
{
    struct sp_bytes type = attribute(atts, count, "t");
    uint32_t column = column_of(attribute(atts, count, "r"), p->column + 1);
    uint32_t gap = column > p->column ? column - p->column : 1;

    gap -= p->column == 0; /* the first column has no tab before it */
    p->column = column;
    p->in_cell = true;
    p->style = number_of(attribute(atts, count, "s"));
    p->cell_type = type.len == 0 ? 'n' : (char)type.ptr[0];
    if (sp_bytes_eq(type, SP_LIT("str")))
        p->cell_type = 'S';
    sp_buf_put_u8(&p->w->cells, COLUMN);
    sp_buf_put_u8(&p->w->cells, (uint8_t)(gap < GAP_MAX ? gap : GAP_MAX));
    sp_buf_reset(&p->text);
}

static void end_cell(struct parse *p)
{
    struct sp_buf *out = &p->w->cells;
    struct sp_bytes text = sp_buf_bytes(&p->text);
    uint64_t shared;

    p->in_cell = p->taking = false;
    if (text.len > 0 && p->cell_type == 's' && sp_bytes_to_u64(text, &shared) &&
        shared < UINT32_MAX) {
        sp_buf_put_u8(out, SHARED);
        sp_buf_put_u32(out, (uint32_t)shared);
    } else if (text.len > 0 && p->cell_type == 'n') {
        sp_buf_put_u8(out, NUMBER);
        sp_buf_put_u32(out, p->style);
        sp_buf_put_var(out, text);
    } else if (text.len > 0) {
        sp_buf_put_u8(out, TEXT);
        sp_buf_put_var(out, text);
    }
}

static void start_in_sheet(struct parse *p, const xmlChar *name, const xmlChar **atts, int count)
{
    if (is(name, "row")) {
        sp_buf_put_u8(&p->w->cells, ROW);
        p->column = 0;
    } else if (is(name, "c")) {
        start_cell(p, atts, count);
    } else {
        p->taking = p->in_cell && (is(name, "v") || is(name, "t"));
        keep_attributes(p->w, atts, count);
    }
}

/* A format shows a date if a year or a day stands in it, outside of quotes and brackets. */
static bool shows_date(struct sp_bytes format)
{
    uint8_t until = 0;

    for (size_t i = 0; i < format.len; i++) {
        uint8_t c = sp_ascii_lower(format.ptr[i]);

        if (until != 0)
            until = c == until ? 0 : until;
        else if (c == '"' || c == '[')
            until = c == '[' ? ']' : c;
        else if (c == '\\' || c == '_' || c == '*')
            i++;
        else if (c == 'y' || c == 'd')
            return true;
    }
    return false;
}

/* Numbers of formats that need no declaration (18.8.30): 14 to 17 and 22; 27 to 31, 36 and 50 to 58 in the Far East. */
static bool is_date_format(const struct sp_mime_workbook *w, uint32_t id)
{
    struct sp_reader r = sp_reader(sp_buf_bytes(&w->formats));

    if ((id >= 14 && id <= 17) || id == 22 || (id >= 27 && id <= 31) || id == 36 ||
        (id >= 50 && id <= 58))
        return true;
    while (sp_reader_left(&r) > 0)
        if (sp_reader_u32(&r) == id)
            return true;
    return false;
}

static void start_in_styles(struct parse *p, const xmlChar *name, const xmlChar **atts, int count)
{
    uint32_t id = number_of(attribute(atts, count, "numFmtId"));

    if (is(name, "cellXfs"))
        p->styles_of_cells = true;
    else if (is(name, "numFmt") && shows_date(attribute(atts, count, "formatCode")))
        sp_buf_put_u32(&p->w->formats, id);
    else if (is(name, "xf") && p->styles_of_cells)
        sp_buf_put_u8(&p->w->styles, is_date_format(p->w, id));
}

static void start_in_book(struct parse *p, const xmlChar *name, const xmlChar **atts, int count)
{
    if (is(name, "workbookPr"))
        p->w->since_1904 = is_true(attribute(atts, count, "date1904"));
    else if (is(name, "sheet"))
        put_loose(p->w, attribute(atts, count, "name"));
}

static bool is_full(const struct parse *p)
{
    const struct sp_mime_workbook *w = p->w;

    return w->cells.failed || w->texts.failed || w->ends.failed || w->loose.failed ||
           w->formats.failed || w->styles.failed || p->text.failed || p->outside.failed;
}

/* NOLINTNEXTLINE(readability-function-size): so libxml2 wants it */
static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int spaces, const xmlChar **namespaces, int count, int defaulted,
                     const xmlChar **atts)
{
    struct parse *p = arg;

    (void)prefix, (void)uri, (void)spaces, (void)namespaces, (void)defaulted;
    end_outside(p, false);
    if (p->kind == FILE_SHEET)
        start_in_sheet(p, name, atts, count);
    else if (p->kind == FILE_STYLES)
        start_in_styles(p, name, atts, count);
    else if (p->kind == FILE_BOOK)
        start_in_book(p, name, atts, count);
    else
        p->taking = is(name, "t");
    if (is_full(p))
        xmlStopParser(p->parser);
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct parse *p = arg;

    (void)prefix, (void)uri;
    end_outside(p, p->in_cell && is(name, "f"));
    if (p->in_cell && is(name, "c"))
        end_cell(p);
    else if (p->kind == FILE_TEXTS && is(name, "si"))
        sp_buf_put_u32(&p->w->ends, (uint32_t)p->w->texts.len);
    else if (p->kind == FILE_STYLES && is(name, "cellXfs"))
        p->styles_of_cells = false;
    p->taking = false;
}

static void on_text(void *arg, const xmlChar *text, int len)
{
    struct parse *p = arg;
    struct sp_bytes b = sp_bytes(text, len < 0 ? 0 : (size_t)len);

    if (!p->taking)
        sp_buf_put(&p->outside, b);
    else
        sp_buf_put(p->kind == FILE_TEXTS ? &p->w->texts : &p->text, b);
}

static void on_comment(void *arg, const xmlChar *text)
{
    struct parse *p = arg;

    put_loose(p->w, sp_bytes_cstr((const char *)text));
}

/* No workbook has one; entities live there. */
static void on_dtd(void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    struct parse *p = arg;

    (void)name, (void)external, (void)system;
    p->parser->wellFormed = 0;
    xmlStopParser(p->parser);
}

static void on_problem(void *arg, const char *format, ...)
{
    (void)arg; /* told by the parser's state */
    (void)format;
}

static const xmlSAXHandler handler = {
    .initialized = XML_SAX2_MAGIC,
    .startElementNs = on_start,
    .endElementNs = on_end,
    .characters = on_text,
    .ignorableWhitespace = on_text,
    .cdataBlock = on_text,
    .comment = on_comment,
    .internalSubset = on_dtd,
    .warning = on_problem,
    .error = on_problem,
    .fatalError = on_problem,
};

static enum sp_rc read_file(struct parse *p, const struct sp_mime_input *in)
{
    uint8_t piece[PIECE_LEN];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    while (rc == SP_OK && got > 0) {
        rc = in->read(in->ctx, piece, sizeof(piece), &got);
        if (rc != SP_OK)
            break;
        xmlParseChunk(p->parser, (const char *)piece, (int)got, got == 0);
        if (is_full(p))
            rc = SP_E_LIMIT;
        else if (!p->parser->wellFormed)
            rc = SP_E_MALFORMED;
    }
    end_outside(p, false);
    if (rc == SP_OK && is_full(p))
        rc = SP_E_LIMIT;
    if (p->in_cell) /* it has no end */
        put_loose(p->w, sp_buf_bytes(&p->text));
    if (rc == SP_E_MALFORMED)
        put_loose(p->w, sp_bytes(piece, got)); /* as it stands, like what follows */
    sp_wipe(piece, sizeof(piece));
    return rc;
}

enum sp_rc sp_mime_workbook_take(struct sp_mime_workbook *w, const char *name,
                                 const struct sp_mime_input *in)
{
    struct parse p = {.w = w, .kind = kind_of(name)};
    xmlSAXHandler sax = handler;
    enum sp_rc rc = SP_E_INTERNAL;

    sp_buf_init(&p.text, CELL_MAX * 4);
    sp_buf_init(&p.outside, w->loose.max);
    p.parser = xmlCreatePushParserCtxt(&sax, &p, NULL, 0, NULL);
    if (p.parser != NULL) {
        xmlCtxtUseOptions(p.parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
        rc = read_file(&p, in);
        xmlFreeParserCtxt(p.parser);
    }
    if (p.kind == FILE_TEXTS) /* what lies behind the last that ended */
        sp_buf_put_u32(&w->ends, (uint32_t)w->texts.len);
    sp_buf_wipe(&p.outside);
    sp_buf_wipe(&p.text);
    return rc;
}

/* ---- writing ---- */

struct writer {
    const struct sp_mime_workbook *w;
    const struct sp_mime_output *out;
    struct sp_buf text;
    size_t count; /* of shared texts */
    size_t written;
    bool *shown;
};

static struct sp_bytes shared_text(const struct writer *wr, size_t i)
{
    struct sp_reader r =
        sp_reader(sp_bytes_slice(sp_buf_bytes(&wr->w->ends), i == 0 ? 0 : (i - 1) * 4, SIZE_MAX));
    size_t start = i == 0 ? 0 : sp_reader_u32(&r);
    size_t end = sp_reader_u32(&r);

    return sp_bytes_slice(sp_buf_bytes(&wr->w->texts), start, end - start);
}

/* A text with line ends of its own stays in its cell. */
static void put_cell(struct writer *wr, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        sp_buf_put_u8(&wr->text, text.ptr[i] < 0x20 ? ' ' : text.ptr[i]);
}

static void put_number(struct writer *wr, uint32_t style, struct sp_bytes digits)
{
    const struct sp_mime_workbook *w = wr->w;
    uint64_t day = 0;
    time_t when;
    struct tm tm;
    char date[32];

    if (style >= w->styles.len || w->styles.ptr[style] == 0 ||
        !sp_bytes_to_u64(sp_bytes_slice(digits, 0, sp_bytes_find(digits, '.')), &day) || day == 0 ||
        day > DAY_MAX - DAYS_TO_1904) {
        put_cell(wr, digits);
        return;
    }
    if (w->since_1904)
        day += DAYS_TO_1904;
    else if (day < DAY_OF_NO_DAY)
        day++;
    when = ((time_t)day - DAYS_TO_1970) * 86400;
    if (gmtime_r(&when, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%d", &tm) == 0)
        put_cell(wr, digits);
    else
        sp_buf_put_cstr(&wr->text, date);
}

static void put_shared(struct writer *wr, uint32_t i)
{
    if (i >= wr->count)
        return;
    wr->shown[i] = true;
    put_cell(wr, shared_text(wr, i));
}

static enum sp_rc flush(struct writer *wr)
{
    bool more = wr->text.len == 0 || wr->out->put(wr->out->ctx, sp_buf_bytes(&wr->text));

    wr->written += wr->text.len;
    sp_buf_reset(&wr->text);
    return more && wr->written <= WRITTEN_MAX * wr->w->texts.max ? SP_OK : SP_E_LIMIT;
}

static void put_record(struct writer *wr, struct sp_reader *r)
{
    uint32_t number;

    switch (sp_reader_u8(r)) {
    case ROW:
        sp_buf_put_u8(&wr->text, '\n');
        break;
    case COLUMN:
        for (number = sp_reader_u8(r); number > 0; number--)
            sp_buf_put_u8(&wr->text, '\t');
        break;
    case SHARED:
        put_shared(wr, sp_reader_u32(r));
        break;
    case NUMBER:
        number = sp_reader_u32(r);
        put_number(wr, number, sp_reader_var(r, CELL_MAX * 4));
        break;
    default:
        put_cell(wr, sp_reader_var(r, CELL_MAX * 4));
    }
}

static enum sp_rc write_all(struct writer *wr)
{
    struct sp_reader r = sp_reader(sp_buf_bytes(&wr->w->cells));
    enum sp_rc rc = SP_OK;

    while (sp_reader_left(&r) > 0 && rc == SP_OK) {
        put_record(wr, &r);
        rc = wr->text.len < OUT_LEN ? SP_OK : flush(wr);
    }
    sp_buf_put_cstr(&wr->text, "\n\n");
    for (size_t i = 0; i < wr->count && rc == SP_OK; i++) {
        if (wr->shown[i] || shared_text(wr, i).len == 0)
            continue;
        put_cell(wr, shared_text(wr, i));
        sp_buf_put_u8(&wr->text, '\n');
        rc = wr->text.len < OUT_LEN ? SP_OK : flush(wr);
    }
    if (rc == SP_OK)
        rc = flush(wr);
    return rc == SP_OK && !wr->out->put(wr->out->ctx, sp_buf_bytes(&wr->w->loose)) ? SP_E_LIMIT
                                                                                   : rc;
}

enum sp_rc sp_mime_workbook_text(const struct sp_mime_workbook *w, const struct sp_mime_output *out)
{
    struct writer wr = {.w = w, .out = out, .count = w->ends.len / 4};
    enum sp_rc rc;

    wr.shown = sp_calloc(wr.count, sizeof(*wr.shown));
    sp_buf_init(&wr.text, OUT_LEN + w->texts.max + GAP_MAX);
    rc = write_all(&wr);
    sp_buf_wipe(&wr.text);
    sp_free(wr.shown);
    return rc;
}
