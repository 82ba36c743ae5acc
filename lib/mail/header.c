/*
 * The field splitter. It must never see less of the header than a lenient reader behind us would (a Bcc that we fail to
 * remove), and never more (a forged field in the body that we believe): the empty line decides, and without one the
 * first line that can be no field. Everything is a view of the bytes given; walking is by memchr from line to line.
 */
#include "mail/header.h"

/* returns: length of the line at the start with its LF, or 0 if it has none */
static size_t line_len(struct sp_bytes text)
{
    const uint8_t *lf = text.len == 0 ? NULL : memchr(text.ptr, '\n', text.len);

    return lf == NULL ? 0 : (size_t)(lf - text.ptr) + 1;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* returns: offset of the colon of a field line, or 0 if it is none (RFC 5322 3.6.8; spaces before the colon: 4.5.8) */
static size_t colon_at(struct sp_bytes line)
{
    size_t i = 0;

    while (i < line.len && line.ptr[i] > 32 && line.ptr[i] < 127 && line.ptr[i] != ':')
        i++;
    if (i == 0)
        return 0;
    while (i < line.len && is_blank(line.ptr[i]))
        i++;
    return i < line.len && line.ptr[i] == ':' ? i : 0;
}

/* What a line is to the header. */
enum line_kind { LINE_FIELD, LINE_FOLD, LINE_EMPTY, LINE_OTHER };

static enum line_kind kind_of(struct sp_bytes line, size_t seen)
{
    if (line.len == 1 || (line.len == 2 && line.ptr[0] == '\r'))
        return LINE_EMPTY;
    if (is_blank(line.ptr[0]) && seen > 0)
        return LINE_FOLD;
    return colon_at(line) > 0 ? LINE_FIELD : LINE_OTHER;
}

enum sp_rc sp_header_parse(struct sp_bytes start, bool whole, struct sp_header *out)
{
    struct sp_header h = {{start.ptr, 0}, 0, 0, false};
    struct sp_bytes window = sp_bytes_slice(start, 0, SP_HEADER_MAX);
    size_t at = 0;

    whole = whole && start.len <= SP_HEADER_MAX;
    for (;;) {
        struct sp_bytes rest = sp_bytes_slice(window, at, window.len);
        size_t len = line_len(rest);
        enum line_kind kind;

        if (len == 0 && !whole)
            return SP_E_HEADER_LIMIT;
        if (len == 0)
            len = rest.len;
        if (len == 0)
            break;
        kind = kind_of(sp_bytes_slice(rest, 0, len), h.count);
        if (kind == LINE_EMPTY) {
            h.has_blank = true;
            h.bytes.len = at;
            h.body_at = at + len;
            *out = h;
            return SP_OK;
        }
        if (kind == LINE_OTHER)
            break;
        if (kind == LINE_FIELD && ++h.count > SP_HEADER_FIELDS_MAX)
            return SP_E_HEADER_LIMIT;
        at += len;
    }
    h.bytes.len = at;
    h.body_at = at;
    *out = h;
    return SP_OK;
}

/* returns: the bytes without a last CRLF or LF */
static struct sp_bytes without_end(struct sp_bytes b)
{
    if (b.len > 0 && b.ptr[b.len - 1] == '\n')
        b.len--;
    if (b.len > 0 && b.ptr[b.len - 1] == '\r')
        b.len--;
    return b;
}

bool sp_header_next(const struct sp_header *h, size_t *at, struct sp_field *out)
{
    struct sp_bytes rest = sp_bytes_slice(h->bytes, *at, h->bytes.len);
    size_t len = line_len(rest);
    size_t colon, name;

    if (rest.len == 0)
        return false;
    len = len == 0 ? rest.len : len;
    colon = colon_at(rest);
    while (len < rest.len && is_blank(rest.ptr[len])) {
        size_t more = line_len(sp_bytes_slice(rest, len, rest.len));

        len = more == 0 ? rest.len : len + more;
    }
    name = colon;
    while (name > 0 && is_blank(rest.ptr[name - 1]))
        name--;
    out->raw = sp_bytes_slice(rest, 0, len);
    out->name = sp_bytes_slice(rest, 0, name);
    out->value = without_end(sp_bytes_slice(out->raw, colon + 1, len));
    out->at = *at;
    *at += len;
    return true;
}

bool sp_header_next_of(const struct sp_header *h, struct sp_bytes name, size_t *at,
                       struct sp_field *out)
{
    struct sp_field f;

    while (sp_header_next(h, at, &f)) {
        if (!sp_field_is(&f, name))
            continue;
        *out = f;
        return true;
    }
    return false;
}

bool sp_header_find(const struct sp_header *h, struct sp_bytes name, size_t nth,
                    struct sp_field *out)
{
    struct sp_field f;
    size_t at = 0;

    while (sp_header_next_of(h, name, &at, &f)) {
        if (nth-- > 0)
            continue;
        *out = f;
        return true;
    }
    return false;
}

size_t sp_header_count(const struct sp_header *h, struct sp_bytes name)
{
    struct sp_field f;
    size_t at = 0, count = 0;

    while (sp_header_next_of(h, name, &at, &f))
        count++;
    return count;
}

bool sp_field_is_content(const struct sp_field *f)
{
    return sp_bytes_starts_nocase(f->name, SP_LIT("Content-"));
}

bool sp_field_is(const struct sp_field *f, struct sp_bytes name)
{
    return sp_bytes_eq_nocase(f->name, name);
}
