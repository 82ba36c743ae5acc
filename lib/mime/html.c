/*
 * Foreign HTML through libxml2's push parser, which reports elements one by one (no tree, no recursion over nesting) and
 * reads what browsers read, more or less. Cleaning writes a new page out of what it reports: an element or attribute
 * that is not on the lists below does not exist. It is the second wall; the first is the frame's sandbox and its
 * Content-Security-Policy, which hold whatever this file misses.
 */
#include "mime/html.h"
#include "mime/xml_priv.h"

#include "base/mem.h"

#include <libxml/HTMLparser.h>
#include <stdlib.h>

#define PIECE_LEN  4096
#define OPEN_MAX   200  /* elements open at a time in what is written */
#define HREF_MAX   500  /* of a link's address, shown as text */
#define DATA_KEPT  1024 /* of what is in a data: address: less may as well be text */
#define TEXT_KEPT  65536
#define HELD_LINES 2 /* a blank line; more say no more */

enum element_kind {
    KIND_INLINE = 1,
    KIND_BLOCK,
    KIND_CELL,
    KIND_VOID, /* has no end */
    KIND_DROP, /* goes with all it holds */
};

static const struct element {
    const char *name;
    enum element_kind kind;
} elements[] = {
    {"a", KIND_INLINE},      {"abbr", KIND_INLINE},      {"acronym", KIND_INLINE},
    {"address", KIND_BLOCK}, {"article", KIND_BLOCK},    {"b", KIND_INLINE},
    {"big", KIND_INLINE},    {"blockquote", KIND_BLOCK}, {"br", KIND_VOID},
    {"caption", KIND_BLOCK}, {"center", KIND_BLOCK},     {"cite", KIND_INLINE},
    {"code", KIND_INLINE},   {"col", KIND_VOID},         {"colgroup", KIND_INLINE},
    {"dd", KIND_BLOCK},      {"del", KIND_INLINE},       {"div", KIND_BLOCK},
    {"dl", KIND_BLOCK},      {"dt", KIND_BLOCK},         {"em", KIND_INLINE},
    {"font", KIND_INLINE},   {"footer", KIND_BLOCK},     {"h1", KIND_BLOCK},
    {"h2", KIND_BLOCK},      {"h3", KIND_BLOCK},         {"h4", KIND_BLOCK},
    {"h5", KIND_BLOCK},      {"h6", KIND_BLOCK},         {"header", KIND_BLOCK},
    {"hr", KIND_VOID},       {"i", KIND_INLINE},         {"ins", KIND_INLINE},
    {"kbd", KIND_INLINE},    {"li", KIND_BLOCK},         {"ol", KIND_BLOCK},
    {"p", KIND_BLOCK},       {"pre", KIND_BLOCK},        {"q", KIND_INLINE},
    {"s", KIND_INLINE},      {"section", KIND_BLOCK},    {"small", KIND_INLINE},
    {"span", KIND_INLINE},   {"strike", KIND_INLINE},    {"strong", KIND_INLINE},
    {"sub", KIND_INLINE},    {"sup", KIND_INLINE},       {"table", KIND_BLOCK},
    {"tbody", KIND_BLOCK},   {"td", KIND_CELL},          {"tfoot", KIND_BLOCK},
    {"th", KIND_CELL},       {"thead", KIND_BLOCK},      {"tr", KIND_BLOCK},
    {"tt", KIND_INLINE},     {"u", KIND_INLINE},         {"ul", KIND_BLOCK},
    {"applet", KIND_DROP},   {"audio", KIND_DROP},       {"button", KIND_DROP},
    {"canvas", KIND_DROP},   {"embed", KIND_DROP},       {"frame", KIND_DROP},
    {"frameset", KIND_DROP}, {"head", KIND_DROP},        {"iframe", KIND_DROP},
    {"math", KIND_DROP},     {"noembed", KIND_DROP},     {"noframes", KIND_DROP},
    {"noscript", KIND_DROP}, {"object", KIND_DROP},      {"script", KIND_DROP},
    {"select", KIND_DROP},   {"style", KIND_DROP},       {"svg", KIND_DROP},
    {"template", KIND_DROP}, {"textarea", KIND_DROP},    {"title", KIND_DROP},
    {"video", KIND_DROP},    {"xml", KIND_DROP},
};

static const char *const attributes[] = {
    "align", "bgcolor", "border", "cellpadding", "cellspacing", "color", "colspan",
    "dir",   "face",    "height", "lang",        "rowspan",     "size",  "start",
    "style", "summary", "title",  "valign",      "width",
};

static const char *const properties[] = {
    "background-color", "border",        "border-bottom",   "border-collapse", "border-color",
    "border-left",      "border-radius", "border-right",    "border-style",    "border-top",
    "border-width",     "color",         "direction",       "font-family",     "font-size",
    "font-style",       "font-weight",   "height",          "line-height",     "list-style-type",
    "margin",           "margin-bottom", "margin-left",     "margin-right",    "margin-top",
    "max-width",        "padding",       "padding-bottom",  "padding-left",    "padding-right",
    "padding-top",      "text-align",    "text-decoration", "text-indent",     "vertical-align",
    "white-space",      "width",
};

/* Attributes whose value is text that a reader or a search could mean. */
static const char *const texts[] = {"alt",     "title",   "placeholder", "value",
                                    "content", "summary", "label"};

struct html {
    struct sp_buf *out;
    bool clean;    /* else: text only */
    unsigned span; /* columns that the open cell covers beside its own */
    bool rooted;   /* an element was met */
    bool xml; /* and the names of elements and attributes, which tell what a record's values are */
    unsigned dropping; /* depth inside an element that goes with all it holds */
    const struct element *open[OPEN_MAX];
    size_t open_count;
    char href[HREF_MAX + 1]; /* of the link that is open */
    bool in_row;             /* writing text: behind a cell of this row */
    bool cell_empty;         /* nothing was said in that cell yet */
    bool row_ended;          /* and nothing was said since */
    unsigned
        held_lines; /* line ends within that cell, not written: the next cell is on the same line all the same */
};

static const struct element *find_element(const char *name)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(elements); i++)
        if (strcmp(name, elements[i].name) == 0)
            return &elements[i];
    return NULL;
}

static bool is_in(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static void put_escaped(struct sp_buf *out, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
            sp_buf_printf(out, "&#%u;", (unsigned)c);
        else if (c >= 0x20 || c == '\n' || c == '\t')
            sp_buf_put_u8(out, c);
    }
}

/* ---- writing a clean page ---- */

/* One declaration of a style: a known property, and a value in which nothing can be fetched or escaped. */
static void put_declaration(struct sp_buf *out, struct sp_bytes declaration)
{
    size_t colon = sp_bytes_find(declaration, ':');
    struct sp_bytes name = sp_bytes_trim(sp_bytes_slice(declaration, 0, colon));
    struct sp_bytes value;
    bool known = false;

    if (colon == SIZE_MAX)
        return;
    value = sp_bytes_trim(sp_bytes_slice(declaration, colon + 1, SIZE_MAX));
    for (size_t i = 0; i < SP_ARRAY_LEN(properties) && !known; i++)
        known = sp_bytes_eq_nocase(name, sp_bytes_cstr(properties[i]));
    for (size_t i = 0; i < value.len && known; i++)
        known = sp_ascii_is_alnum(value.ptr[i]) ||
                (value.ptr[i] != 0 && strchr(" #.,%-!", value.ptr[i]) != NULL);
    if (!known)
        return;
    put_escaped(out, name);
    sp_buf_put_u8(out, ':');
    put_escaped(out, value);
    sp_buf_put_u8(out, ';');
}

static void put_attribute(struct sp_buf *out, const char *name, struct sp_bytes value)
{
    if (!is_in(name, attributes, SP_ARRAY_LEN(attributes)))
        return;
    sp_buf_printf(out, " %s=\"", name);
    if (strcmp(name, "style") == 0) {
        struct sp_bytes declaration;

        while (sp_bytes_split(&value, ';', &declaration))
            put_declaration(out, declaration);
    } else {
        put_escaped(out, value);
    }
    sp_buf_put_u8(out, '"');
}

/* A link leads nowhere; its address is shown beside it, so that a reader sees where it wanted to lead. */
static void keep_href(struct html *h, const xmlChar **atts)
{
    h->href[0] = '\0';
    for (; atts != NULL && atts[0] != NULL; atts += 2) {
        struct sp_bytes v = sp_bytes_cstr((const char *)atts[1]);

        if (strcmp((const char *)atts[0], "href") != 0 || v.len > HREF_MAX)
            continue;
        if (sp_bytes_starts_nocase(v, SP_LIT("https://")) ||
            sp_bytes_starts_nocase(v, SP_LIT("http://")) ||
            sp_bytes_starts_nocase(v, SP_LIT("mailto:"))) {
            memcpy(h->href, v.ptr, v.len);
            h->href[v.len] = '\0';
        }
    }
}

static void close_top(struct html *h)
{
    const struct element *e = h->open[--h->open_count];

    sp_buf_printf(h->out, "</%s>", e->name);
    if (strcmp(e->name, "a") == 0 && h->href[0] != '\0') {
        sp_buf_put_cstr(h->out, " <small>[");
        put_escaped(h->out, sp_bytes_cstr(h->href));
        sp_buf_put_cstr(h->out, "]</small>");
        h->href[0] = '\0';
    }
}

static void start_clean(struct html *h, const char *name, const xmlChar **atts)
{
    const struct element *e = find_element(name);

    if (h->dropping > 0 || (e != NULL && e->kind == KIND_DROP)) {
        h->dropping += e != NULL && e->kind == KIND_DROP;
        return;
    }
    if (e == NULL) {
        for (; strcmp(name, "img") == 0 && atts != NULL && atts[0] != NULL; atts += 2)
            if (strcmp((const char *)atts[0], "alt") == 0 && atts[1] != NULL)
                put_escaped(h->out, sp_bytes_cstr((const char *)atts[1]));
        return;
    }
    if (e->kind != KIND_VOID && h->open_count == OPEN_MAX)
        return;
    if (strcmp(name, "a") == 0)
        keep_href(h, atts);
    sp_buf_printf(h->out, "<%s", e->name);
    for (; atts != NULL && atts[0] != NULL; atts += 2)
        put_attribute(h->out, (const char *)atts[0], sp_bytes_cstr((const char *)atts[1]));
    sp_buf_put_u8(h->out, '>');
    if (e->kind != KIND_VOID)
        h->open[h->open_count++] = e;
}

static void end_clean(struct html *h, const char *name)
{
    const struct element *e = find_element(name);
    size_t at = h->open_count;

    if (e != NULL && e->kind == KIND_DROP && h->dropping > 0) {
        h->dropping--;
        return;
    }
    if (e == NULL || h->dropping > 0)
        return;
    while (at > 0 && h->open[at - 1] != e)
        at--;
    if (at == 0)
        return; /* never opened */
    while (h->open_count >= at)
        close_top(h);
}

/* ---- writing text ---- */

/* A cell that holds paragraphs, as word processors write them, stays on the line of its row. */
static void break_line(struct html *h)
{
    if (!h->in_row)
        sp_buf_put_u8(h->out, '\n');
    else if (!h->cell_empty && h->held_lines < HELD_LINES)
        h->held_lines++;
}

static void write_held_lines(struct html *h)
{
    for (; h->held_lines > 0; h->held_lines--)
        sp_buf_put_u8(h->out, '\n');
}

/* Rows follow each other without an empty line, which would end the table; one stands around a table. */
static void break_row(struct html *h, bool table)
{
    h->held_lines = h->span = 0;
    h->in_row = false;
    if (table || !h->row_ended)
        sp_buf_put_u8(h->out, '\n');
    h->row_ended = true;
}

static void break_cell(struct html *h)
{
    h->held_lines = 0;
    h->in_row = h->cell_empty = true;
    h->row_ended = false;
    for (; h->span > 0; h->span--) /* what stands behind a wide cell is under its own heading */
        sp_buf_put_u8(h->out, '\t');
    sp_buf_put_u8(h->out, '\t');
}

/* How many columns more than one a cell is wide. */
static void take_span(struct html *h, const xmlChar **atts)
{
    for (; atts != NULL && atts[0] != NULL; atts += 2) {
        const char *value = (const char *)atts[1];

        if (value == NULL || strcmp((const char *)atts[0], "colspan") != 0 ||
            strspn(value, "0123456789") != strlen(value) || strlen(value) > 2)
            continue;
        h->span = (unsigned)strtoul(value, NULL, 10);
        h->span -= h->span > 0;
    }
}

static bool is_row(const char *name)
{
    static const char *const rows[] = {"tr", "row", "table-row", "thead", "tbody", "tfoot"};

    return is_in(name, rows, SP_ARRAY_LEN(rows));
}

static bool is_table(const char *name)
{
    return strcmp(name, "table") == 0 || strcmp(name, "tbl") == 0;
}

/* Office documents are XML that this parser reads as well: their paragraphs, rows and cells part words, other elements
 * of theirs do not (a run ends in the middle of a number). */
static void put_break(struct html *h, const struct element *e, const char *name)
{
    static const char *const lines[] = {"p", "br", "si", "cr", "h", "line-break"};
    static const char *const cells[] = {"tc", "c", "v", "table-cell"};
    const char *colon = strchr(name, ':');

    name = e != NULL || colon == NULL ? name : colon + 1;
    if (is_row(name) || is_table(name))
        break_row(h, is_table(name));
    else if (e == NULL ? is_in(name, cells, SP_ARRAY_LEN(cells)) : e->kind == KIND_CELL)
        break_cell(h);
    else if (e == NULL && strcmp(name, "tab") == 0)
        sp_buf_put_u8(h->out, '\t');
    else if (e == NULL ? is_in(name, lines, SP_ARRAY_LEN(lines)) : e->kind != KIND_INLINE)
        break_line(h);
}

/* Text between elements: spaces there say nothing of a cell's end. */
static void put_text(struct html *h, struct sp_bytes text)
{
    bool blank = sp_bytes_trim(text).len == 0;

    if (blank && (h->row_ended || (h->in_row && (h->cell_empty || h->held_lines > 0))))
        return;
    h->cell_empty = h->cell_empty && blank;
    h->row_ended = h->row_ended && blank;
    write_held_lines(h);
    sp_buf_put(h->out, text);
}

/* Of a record, the elements within a cell of a table do not part its row: "<td><content>" is how summaries write one. */
static void start_text(struct html *h, const char *name, const xmlChar **atts)
{
    static const char *const added[] = {"html", "body",
                                        "p"}; /* by the parser, in what is no page */
    const struct element *e = find_element(name);
    const unsigned char *const *all = (const unsigned char *const *)atts;

    if (h->xml && atts == NULL && is_in(name, added, SP_ARRAY_LEN(added)))
        return;
    h->xml = h->xml && (h->rooted || (e == NULL && !sp_mime_xml_is_form(name, all)));
    h->rooted = true;
    if (h->xml && !h->in_row && (e == NULL || strcmp(name, "code") == 0)) {
        sp_mime_xml_start(h->out, name, all);
        return;
    }
    put_break(h, e, name);
    if (e != NULL && e->kind == KIND_CELL)
        take_span(h, atts);
    for (; atts != NULL && atts[0] != NULL; atts += 2) {
        if (atts[1] == NULL || !is_in((const char *)atts[0], texts, SP_ARRAY_LEN(texts)))
            continue;
        put_text(h, sp_bytes_cstr((const char *)atts[1]));
        sp_buf_put_u8(h->out, ' ');
    }
}

/* ---- what the parser reports ---- */

static void on_start(void *arg, const xmlChar *name, const xmlChar **atts)
{
    struct html *h = arg;

    if (h->clean)
        start_clean(h, (const char *)name, atts);
    else
        start_text(h, (const char *)name, atts);
}

static void on_end(void *arg, const xmlChar *name)
{
    struct html *h = arg;
    const struct element *e;

    if (h->clean) {
        end_clean(h, (const char *)name);
        return;
    }
    e = find_element((const char *)name);
    if (e != NULL && (is_row(e->name) || is_table(e->name)))
        break_row(h, is_table(e->name));
    else if (e != NULL && e->kind == KIND_BLOCK)
        break_line(h);
}

static void on_text(void *arg, const xmlChar *text, int len)
{
    struct html *h = arg;
    struct sp_bytes b = sp_bytes(text, len < 0 ? 0 : (size_t)len);

    if (!h->clean)
        put_text(h, b);
    else if (h->dropping == 0)
        put_escaped(h->out, b);
}

static void on_comment(void *arg, const xmlChar *text)
{
    struct html *h = arg;

    if (h->clean)
        return;
    break_line(h);
    put_text(h, sp_bytes_cstr((const char *)text));
    break_line(h);
}

static void on_problem(void *arg, const char *format, ...)
{
    (void)arg; /* bad HTML is the rule */
    (void)format;
}

static const htmlSAXHandler handler = {
    .startElement = on_start,
    .endElement = on_end,
    .characters = on_text,
    .ignorableWhitespace = on_text,
    .cdataBlock = on_text,
    .comment = on_comment,
    .warning = on_problem,
    .error = on_problem,
    .fatalError = on_problem,
};

/* A picture within a page, "data:image/png;base64,iVBOR...", says nothing; the parser would hold it whole. */
struct data_filter {
    size_t matched; /* of the mark */
    size_t run;     /* behind it; 0: none */
};

static bool is_base64(uint8_t c)
{
    return sp_ascii_is_alnum(c) || c == '+' || c == '/' || c == '=';
}

/* returns: whether this byte goes to the parser */
static bool passes(struct data_filter *f, uint8_t c)
{
    static const char mark[] = ";base64,";

    if (f->run > 0 && is_base64(c))
        return ++f->run <= DATA_KEPT;
    f->run = 0;
    f->matched = sp_ascii_lower(c) == (uint8_t)mark[f->matched] ? f->matched + 1 : c == ';';
    if (f->matched == sizeof(mark) - 1) {
        f->run = 1;
        f->matched = 0;
    }
    return true;
}

static htmlParserCtxtPtr open_parser(struct html *h, htmlSAXHandler *sax)
{
    htmlParserCtxtPtr parser =
        htmlCreatePushParserCtxt(sax, h, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);

    if (parser != NULL)
        htmlCtxtUseOptions(parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                       HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    return parser;
}

/* Gives the parser a piece, NUL bytes as spaces, since it takes a NUL for the end. */
static enum sp_rc push(htmlParserCtxtPtr parser, struct sp_bytes piece, struct data_filter *filter)
{
    char ready[PIECE_LEN];
    size_t len = 0;

    for (size_t i = 0; i < piece.len; i++)
        if (filter == NULL || passes(filter, piece.ptr[i]))
            ready[len++] = piece.ptr[i] == 0 ? ' ' : (char)piece.ptr[i];
    if (len > 0)
        htmlParseChunk(parser, ready, (int)len, 0);
    sp_wipe(ready, sizeof(ready));
    return parser->disableSAX != 0 || parser->instate == XML_PARSER_EOF ? SP_E_MALFORMED : SP_OK;
}

/* returns: whether the parser holds too much, of something that does not end */
static bool holds_much(const htmlParserCtxtPtr parser)
{
    return parser->input != NULL && parser->input->end - parser->input->cur > SP_MIME_HTML_HELD_MAX;
}

enum sp_rc sp_mime_html_text(const struct sp_mime_input *in, const struct sp_mime_output *out)
{
    struct sp_buf text;
    struct html h = {.out = &text};
    htmlSAXHandler sax = handler;
    htmlParserCtxtPtr parser = open_parser(&h, &sax);
    struct data_filter filter = {0};
    uint8_t piece[PIECE_LEN];
    size_t got = 1;
    bool begun = false;
    enum sp_rc rc = parser == NULL ? SP_E_INTERNAL : SP_OK;

    sp_buf_init(&text, 4 * SP_MIME_HTML_HELD_MAX);
    while (rc == SP_OK && got > 0) {
        rc = in->read(in->ctx, piece, sizeof(piece), &got);
        if (rc == SP_OK && got > 0 && !begun)
            h.xml = sp_mime_xml_is_record(sp_bytes(piece, got));
        begun = true;
        if (rc == SP_OK && got > 0)
            rc = push(parser, sp_bytes(piece, got), &filter);
        else if (rc == SP_OK)
            htmlParseChunk(parser, "", 0, 1);
        if (!out->put(out->ctx, sp_buf_bytes(&text)) || text.failed ||
            (rc == SP_OK && holds_much(parser)))
            rc = SP_E_LIMIT;
        sp_buf_reset(&text);
        if (text.cap > TEXT_KEPT)
            sp_buf_wipe(&text);
    }
    if (parser != NULL)
        htmlFreeParserCtxt(parser);
    sp_buf_wipe(&text);
    sp_wipe(piece, sizeof(piece));
    return rc;
}

static enum sp_rc run_clean(struct html *h, struct sp_bytes page)
{
    htmlSAXHandler sax = handler;
    htmlParserCtxtPtr parser = open_parser(h, &sax);
    enum sp_rc rc = parser == NULL ? SP_E_INTERNAL : SP_OK;

    while (page.len > 0 && rc == SP_OK && !h->out->failed) {
        rc = push(parser, sp_bytes_slice(page, 0, PIECE_LEN), NULL);
        page = sp_bytes_slice(page, PIECE_LEN, SIZE_MAX);
    }
    if (rc == SP_OK)
        htmlParseChunk(parser, "", 0, 1);
    if (parser != NULL)
        htmlFreeParserCtxt(parser);
    return rc;
}

enum sp_rc sp_mime_html_clean(struct sp_bytes html, struct sp_buf *out)
{
    struct html h = {.out = out, .clean = true};
    enum sp_rc rc = run_clean(&h, html);

    while (h.open_count > 0)
        close_top(&h);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}
