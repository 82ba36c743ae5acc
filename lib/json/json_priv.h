/*
 * What the files of json share: the document and the making of nodes.
 */
#ifndef SP_JSON_JSON_PRIV_H
#define SP_JSON_JSON_PRIV_H

#include "base/arena.h"
#include "json/json.h"

#define SP_JSON_INT_MAX ((int64_t)1 << 53)

struct sp_json_doc {
    struct sp_arena *arena;
    struct sp_json *root;
    const char *file;
};

/* A place in a text. */
struct sp_json_scan {
    struct sp_bytes text;
    size_t at;
    uint32_t line;
    uint32_t column;
};

/* Moves one byte on, counting lines and columns. */
static inline void sp_json_scan_step(struct sp_json_scan *s)
{
    if (s->text.ptr[s->at++] == '\n') {
        s->line++;
        s->column = 1;
    } else {
        s->column++;
    }
}

/*
 * Checks depth and comments, and appends the text with comments as spaces.
 *
 * returns: SP_OK or SP_E_JSON_SYNTAX with place and reason in err
 */
SP_MUST_CHECK enum sp_rc sp_json_blank(struct sp_bytes text, const struct sp_json_options *options,
                                       struct sp_buf *out, struct sp_err *err);

/* returns: SP_OK, or SP_E_JSON_SYNTAX if values are nested deeper than SP_JSON_DEPTH_MAX */
SP_MUST_CHECK enum sp_rc sp_json_check_depth(struct sp_bytes text, struct sp_err *err);

/*
 * Reads plain text: no places, and of what jansson takes only what is common.
 *
 * owner:   the caller
 * returns: NULL if the text is not plain, or wrong: jansson is to be asked
 */
struct sp_json_doc *sp_json_quick(struct sp_bytes text);

/* owner: the caller. returns: a document without a root that has room for so many bytes of nodes and text */
struct sp_json_doc *sp_json_doc_sized(size_t len);

/* owner: the document. returns: a node without parent */
struct sp_json *sp_json_node(struct sp_json_doc *doc, enum sp_json_type type);

/* Puts a node behind the last child (NULL: the first) of parent. */
void sp_json_attach(struct sp_json *parent, struct sp_json *last, struct sp_json *child);

#endif
