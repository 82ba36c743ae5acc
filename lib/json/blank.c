/*
 * The pass before the parser: comments become spaces, byte for byte, so that every line and column that is counted
 * afterwards is the one in the file. Strings are walked over, since "//" inside one is text. Nesting is bounded here,
 * because the parser behind it recurses.
 */
#include "json/json_priv.h"

#define BOM "\xef\xbb\xbf"

struct blank {
    struct sp_json_scan s;
    const struct sp_json_options *options;
    uint8_t *copy; /* of the text */
    struct sp_err *err;
    unsigned depth;
};

static enum sp_rc fail(const struct blank *b, const struct sp_json_scan *at, const char *why)
{
    const char *file = b->options != NULL && b->options->file != NULL ? b->options->file : "json";

    return sp_fail(b->err, SP_E_JSON_SYNTAX, "%s:%u:%u: %s", file, at->line, at->column, why);
}

static bool at_pair(const struct sp_json_scan *s, char first, char second)
{
    return s->at + 1 < s->text.len && s->text.ptr[s->at] == (uint8_t)first &&
           s->text.ptr[s->at + 1] == (uint8_t)second;
}

/* Goes over n bytes, which stay as they are or become spaces; line ends stay. */
static void pass(struct blank *b, size_t n, bool as_spaces)
{
    for (; n > 0 && b->s.at < b->s.text.len; n--) {
        uint8_t c = b->s.text.ptr[b->s.at];

        if (as_spaces && c != '\n' && c != '\r')
            b->copy[b->s.at] = ' ';
        sp_json_scan_step(&b->s);
    }
}

static void pass_string(struct blank *b)
{
    pass(b, 1, false);
    while (b->s.at < b->s.text.len) {
        uint8_t c = b->s.text.ptr[b->s.at];

        pass(b, c == '\\' ? 2 : 1, false);
        if (c == '"' || c == '\n')
            return;
    }
}

static enum sp_rc pass_comment(struct blank *b)
{
    struct sp_json_scan begin = b->s;

    if (b->options == NULL || !b->options->comments)
        return fail(b, &begin, "comments are not allowed here");
    if (at_pair(&b->s, '/', '/')) {
        while (b->s.at < b->s.text.len && b->s.text.ptr[b->s.at] != '\n')
            pass(b, 1, true);
        return SP_OK;
    }
    pass(b, 2, true);
    while (b->s.at < b->s.text.len && !at_pair(&b->s, '*', '/'))
        pass(b, 1, true);
    if (b->s.at == b->s.text.len)
        return fail(b, &begin, "this comment has no end");
    pass(b, 2, true);
    return SP_OK;
}

enum sp_rc sp_json_blank(struct sp_bytes text, const struct sp_json_options *options,
                         struct sp_buf *out, struct sp_err *err)
{
    struct blank b = {{text, 0, 1, 1}, options, NULL, err, 0};
    size_t from = out->len;

    sp_buf_put(out, text);
    if (sp_buf_rc(out) != SP_OK || text.len == 0)
        return sp_buf_rc(out);
    b.copy = out->ptr + from;
    if (options != NULL && options->comments && sp_bytes_starts_nocase(text, SP_LIT(BOM)))
        pass(&b, sizeof(BOM) - 1, true); /* people's editors write it; RFC 8259 8.1 */
    while (b.s.at < text.len) {
        uint8_t c = text.ptr[b.s.at];
        enum sp_rc rc = SP_OK;

        if (c == '"') {
            pass_string(&b);
        } else if (at_pair(&b.s, '/', '/') || at_pair(&b.s, '/', '*')) {
            rc = pass_comment(&b);
        } else if ((c == '{' || c == '[') && ++b.depth > SP_JSON_DEPTH_MAX) {
            rc = fail(&b, &b.s, "nested too deeply: at most 64 deep");
        } else {
            if ((c == '}' || c == ']') && b.depth > 0)
                b.depth--;
            pass(&b, 1, false);
        }
        if (rc != SP_OK)
            return rc;
    }
    return sp_buf_rc(out);
}

/* Strings are walked over; what is no JSON at all is the parser's to refuse. */
enum sp_rc sp_json_check_depth(struct sp_bytes text, struct sp_err *err)
{
    unsigned depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '"') {
            for (i++; i < text.len && text.ptr[i] != '"'; i++)
                i += text.ptr[i] == '\\';
        } else if (c == '{' || c == '[') {
            if (++depth > SP_JSON_DEPTH_MAX)
                return sp_fail(err, SP_E_JSON_SYNTAX, "json: nested too deeply");
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return SP_OK;
}
