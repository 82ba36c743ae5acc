/*
 * Measures a message before GMime sees it: depth, number of parts, length and number of header lines. It reads as a
 * MIME parser does (RFC 2046 5.1) but keeps no more than a stack of boundaries and one Content-Type field. Where it and
 * a lenient reader could differ (no boundary, two of them, one in RFC 2231 form) it says so instead of guessing, since
 * text that only one of two parsers sees is the classic way past a filter.
 */
#include "mime/mime_priv.h"

#define BOUNDARY_MAX 256   /* RFC 2046 allows 70 */
#define PREFIX_MAX   1024  /* of a line: more than any boundary line needs */
#define FIELD_MAX    16384 /* of a Content-Type field with its folds */
#define BLOCK_LINES  4096  /* header lines in one block */
#define READ_LEN     65536

enum level_kind { LEVEL_MULTIPART, LEVEL_DIGEST, LEVEL_MESSAGE };

struct level {
    enum level_kind kind;
    size_t len;
    uint8_t boundary[BOUNDARY_MAX];
};

struct measure {
    const struct sp_mime_limits *limits;
    struct level levels[MIME_DEPTH_MAX];
    size_t depth;
    size_t parts;
    bool in_header;
    bool in_type;     /* the field of this line and its folds is Content-Type */
    bool encoded;     /* Content-Transfer-Encoding hides what is inside */
    unsigned types;   /* Content-Type fields in this block */
    size_t block_len; /* bytes of this header block */
    size_t block_lines;
    struct sp_buf type; /* the Content-Type field */
    uint8_t prefix[PREFIX_MAX];
    size_t prefix_len;
    size_t line_len; /* all of it, without its LF */
};

static void begin_block(struct measure *m)
{
    m->in_header = true;
    m->in_type = false;
    m->encoded = false;
    m->types = 0;
    m->block_len = 0;
    m->block_lines = 0;
    sp_buf_reset(&m->type);
}

/* Skips a quoted string or one byte; text[i] is not at the end. */
static size_t skip_one(struct sp_bytes text, size_t i)
{
    if (text.ptr[i] != '"')
        return i + 1;
    for (i++; i < text.len && text.ptr[i] != '"'; i++)
        if (text.ptr[i] == '\\')
            i++;
    return i < text.len ? i + 1 : text.len;
}

/* Cuts the next parameter off (RFC 2045 5.1), semicolons in quotes apart. */
static bool next_parameter(struct sp_bytes *rest, struct sp_bytes *name, struct sp_bytes *value)
{
    size_t end = 0, equals;
    struct sp_bytes one;

    if (rest->len == 0)
        return false;
    while (end < rest->len && rest->ptr[end] != ';')
        end = skip_one(*rest, end);
    one = sp_bytes_slice(*rest, 0, end);
    *rest = sp_bytes_slice(*rest, end + 1, SIZE_MAX);
    equals = sp_bytes_find(one, '=');
    *name = sp_bytes_trim(sp_bytes_slice(one, 0, equals));
    *value = equals == SIZE_MAX ? sp_bytes(NULL, 0)
                                : sp_bytes_trim(sp_bytes_slice(one, equals + 1, SIZE_MAX));
    return true;
}

static enum sp_rc put_boundary(struct level *l, struct sp_bytes value)
{
    bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';

    if (quoted)
        value = sp_bytes_slice(value, 1, value.len - 2);
    if (value.len == 0 || value.len > BOUNDARY_MAX)
        return SP_E_MALFORMED;
    l->len = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\\' && quoted && i + 1 < value.len)
            i++;
        else if (value.ptr[i] == '"' || (!quoted && (value.ptr[i] == ' ' || value.ptr[i] == '(')))
            return SP_E_MALFORMED; /* where it ends is a matter of taste */
        l->boundary[l->len++] = value.ptr[i];
    }
    return SP_OK;
}

static enum sp_rc find_boundary(struct sp_bytes parameters, struct level *l)
{
    struct sp_bytes name, value;
    unsigned found = 0;
    enum sp_rc rc = SP_E_MALFORMED;

    while (next_parameter(&parameters, &name, &value)) {
        if (!sp_bytes_starts_nocase(name, SP_LIT("boundary")))
            continue;
        if (name.len != 8 || found++ > 0)
            return SP_E_MALFORMED;
        rc = put_boundary(l, value);
    }
    return rc;
}

static enum sp_rc push(struct measure *m, enum level_kind kind, struct sp_bytes parameters)
{
    struct level *l;

    if (m->depth >= m->limits->depth)
        return SP_E_SCAN_LIMIT;
    l = &m->levels[m->depth];
    l->kind = kind;
    l->len = 0;
    if (kind != LEVEL_MESSAGE) {
        enum sp_rc rc = find_boundary(parameters, l);

        if (rc != SP_OK)
            return rc;
    }
    m->depth++;
    return SP_OK;
}

/* Counts a part; more is only its body to come. */
static enum sp_rc count_part(struct measure *m)
{
    m->in_header = false;
    return ++m->parts > m->limits->parts ? SP_E_SCAN_LIMIT : SP_OK;
}

static enum sp_rc begin_message(struct measure *m)
{
    enum sp_rc rc = count_part(m);

    if (rc == SP_OK)
        rc = push(m, LEVEL_MESSAGE, (struct sp_bytes){0});
    begin_block(m);
    return rc;
}

/* The empty line behind a header block: what is it that begins here? */
static enum sp_rc end_block(struct measure *m)
{
    struct sp_bytes field = sp_bytes_trim(sp_buf_bytes(&m->type));
    size_t semicolon = sp_bytes_find(field, ';');
    struct sp_bytes type = sp_bytes_trim(sp_bytes_slice(field, 0, semicolon));
    struct sp_bytes rest =
        semicolon == SIZE_MAX ? sp_bytes(NULL, 0) : sp_bytes_slice(field, semicolon + 1, SIZE_MAX);
    bool in_digest = m->depth > 0 && m->levels[m->depth - 1].kind == LEVEL_DIGEST;

    if (m->types > 1)
        return SP_E_MALFORMED;
    if (sp_bytes_starts_nocase(type, SP_LIT("multipart/"))) {
        bool digest = sp_bytes_eq_nocase(type, SP_LIT("multipart/digest"));

        m->in_header = false;
        return push(m, digest ? LEVEL_DIGEST : LEVEL_MULTIPART, rest);
    }
    if (!m->encoded &&
        (sp_bytes_eq_nocase(type, SP_LIT("message/rfc822")) ||
         sp_bytes_eq_nocase(type, SP_LIT("message/global")) ||
         sp_bytes_eq_nocase(type, SP_LIT("message/news")) || (m->types == 0 && in_digest)))
        return begin_message(m);
    return count_part(m);
}

/* Whether a line is a delimiter of level l: 0 no, 1 another part, 2 the end (RFC 2046 5.1.1). */
static int match(const struct level *l, struct sp_bytes line)
{
    struct sp_bytes tail;

    if (l->kind == LEVEL_MESSAGE || line.len < l->len + 2 ||
        memcmp(line.ptr + 2, l->boundary, l->len) != 0)
        return 0;
    tail = sp_bytes_slice(line, l->len + 2, SIZE_MAX);
    if (sp_bytes_trim(tail).len == 0)
        return 1;
    return sp_bytes_starts_nocase(tail, SP_LIT("--")) ? 2 : 0;
}

/* returns: whether the line was a delimiter and has been acted on */
static bool take_delimiter(struct measure *m, struct sp_bytes line)
{
    if (line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-')
        return false;
    for (size_t i = m->depth; i-- > 0;) {
        int kind = match(&m->levels[i], line);

        if (kind == 0)
            continue;
        m->depth = kind == 1 ? i + 1 : i;
        m->in_header = false;
        if (kind == 1)
            begin_block(m);
        return true;
    }
    return false;
}

static enum sp_rc take_header_line(struct measure *m, struct sp_bytes line)
{
    static const char encoding[] = "content-transfer-encoding:";

    m->block_len += m->line_len + 1;
    if (m->block_len > m->limits->header_len || m->line_len > m->limits->line_len ||
        ++m->block_lines > BLOCK_LINES)
        return SP_E_SCAN_LIMIT;
    if (m->line_len == 0 || sp_bytes_eq(line, SP_LIT("\r")))
        return end_block(m);
    if (line.ptr[0] != ' ' && line.ptr[0] != '\t') {
        m->in_type = sp_bytes_starts_nocase(line, SP_LIT("content-type"));
        if (m->in_type) {
            size_t colon = sp_bytes_find(line, ':');

            m->types++;
            line = colon == SIZE_MAX ? line : sp_bytes_slice(line, colon + 1, SIZE_MAX);
        }
        if (sp_bytes_starts_nocase(line, sp_bytes_cstr(encoding))) {
            struct sp_bytes v = sp_bytes_trim(sp_bytes_slice(line, sizeof(encoding) - 1, SIZE_MAX));

            m->encoded = sp_bytes_starts_nocase(v, SP_LIT("base64")) ||
                         sp_bytes_starts_nocase(v, SP_LIT("quoted"));
        }
    }
    if (m->in_type) {
        if (m->line_len > PREFIX_MAX)
            return SP_E_MALFORMED;
        sp_buf_put(&m->type, line);
        sp_buf_put_u8(&m->type, ' ');
    }
    return sp_buf_rc(&m->type) == SP_OK ? SP_OK : SP_E_MALFORMED;
}

static enum sp_rc end_line(struct measure *m)
{
    struct sp_bytes line = sp_bytes(m->prefix, m->prefix_len);
    enum sp_rc rc = SP_OK;

    if (!take_delimiter(m, line) && m->in_header)
        rc = take_header_line(m, line);
    m->prefix_len = 0;
    m->line_len = 0;
    return rc;
}

static void add_to_line(struct measure *m, struct sp_bytes piece)
{
    struct sp_bytes fits = sp_bytes_slice(piece, 0, PREFIX_MAX - m->prefix_len);

    memcpy(m->prefix + m->prefix_len, fits.ptr, fits.len);
    m->prefix_len += fits.len;
    m->line_len += piece.len;
}

static enum sp_rc feed(struct measure *m, struct sp_bytes data)
{
    while (data.len > 0) {
        size_t lf = sp_bytes_find(data, '\n');
        enum sp_rc rc;

        if (lf == SIZE_MAX) {
            add_to_line(m, data);
            if (m->in_header && m->line_len > m->limits->line_len)
                return SP_E_SCAN_LIMIT;
            return SP_OK;
        }
        add_to_line(m, sp_bytes_slice(data, 0, lf));
        rc = end_line(m);
        if (rc != SP_OK)
            return rc;
        data = sp_bytes_slice(data, lf + 1, SIZE_MAX);
    }
    return SP_OK;
}

enum sp_rc sp_mime_measure(const struct sp_mime_source *source, const struct sp_mime_limits *limits)
{
    struct measure *m = sp_calloc(1, sizeof(*m));
    uint8_t *piece = sp_malloc(READ_LEN);
    enum sp_rc rc = SP_OK;

    m->limits = limits;
    sp_buf_init(&m->type, FIELD_MAX);
    begin_block(m);
    for (uint64_t at = 0; at < source->len && rc == SP_OK;) {
        size_t len = source->len - at < READ_LEN ? (size_t)(source->len - at) : READ_LEN;

        rc = source->read(source->ctx, at, piece, len);
        if (rc == SP_OK)
            rc = feed(m, sp_bytes(piece, len));
        at += len;
    }
    if (rc == SP_OK && m->line_len > 0)
        rc = end_line(m);
    sp_wipe(piece, READ_LEN);
    sp_free(piece);
    sp_buf_clear(&m->type);
    sp_free(m);
    return rc;
}
