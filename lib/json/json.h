/*
 * JSON as an immutable tree that knows where each value stood. Accepts RFC 8259 text, strictly: valid UTF-8, no
 * duplicate keys, bounded depth and length, integers within 2^53; with `comments`, also `//` and block comments
 * (blanked before the parser sees them, so that lines and columns stay true). Trees can also be built by hand; both
 * kinds have the canonical form of RFC 8785. thread: any (one at a time; a finished document may be read by many)
 */
#ifndef SP_JSON_JSON_H
#define SP_JSON_JSON_H

#include "base/buf.h"
#include "base/mem.h"

#define SP_JSON_DEPTH_MAX 32
#define SP_JSON_LEN_MAX   ((size_t)8 << 20)

enum sp_json_type {
    SP_JSON_NULL,
    SP_JSON_BOOL,
    SP_JSON_INT,
    SP_JSON_REAL,
    SP_JSON_TEXT,
    SP_JSON_ARRAY,
    SP_JSON_OBJECT,
};

struct sp_json_doc;

/* One value. Read its members, never write them. All of it belongs to the document. */
struct sp_json {
    enum sp_json_type type;
    uint32_t line; /* from 1; 0 if built by hand */
    uint32_t column;
    uint32_t index;       /* in its array or object, from 0 */
    size_t count;         /* items of an array, members of an object */
    struct sp_bytes key;  /* of a member; NULL ptr if not in an object */
    struct sp_bytes text; /* SP_JSON_TEXT: decoded, UTF-8, no NUL inside, NUL-terminated behind */
    int64_t integer;      /* SP_JSON_INT, and the truth of SP_JSON_BOOL */
    double real;          /* SP_JSON_REAL */
    const struct sp_json *first; /* item or member */
    const struct sp_json *next;  /* sibling */
    const struct sp_json *parent;
    struct sp_json_doc *doc;
};

struct sp_json_options {
    bool comments;
    const char *file; /* for messages and problems; copied; NULL for none */
};

/*
 * Reads one JSON text.
 *
 * text:    borrowed for the call; longer than SP_JSON_LEN_MAX is SP_E_LIMIT
 * options: NULL for what a program wrote: no comments, and values have no places (all at line 1)
 * out:     owner: the caller, to sp_json_doc_free
 * returns: SP_OK, SP_E_LIMIT or SP_E_JSON_SYNTAX with "file:line:column: what" in err
 */
SP_MUST_CHECK enum sp_rc sp_json_parse(struct sp_bytes text, const struct sp_json_options *options,
                                       struct sp_json_doc **out, struct sp_err *err);

/* owner: the caller. returns: an empty document whose root (an object) is to be built with sp_json_set_* */
struct sp_json_doc *sp_json_doc_new(void);
void sp_json_doc_free(struct sp_json_doc *doc);
SP_AUTO_DEFINE(sp_json_doc)

/* returns: the outermost value */
const struct sp_json *sp_json_root(const struct sp_json_doc *doc);
/* returns: the file of the options, "" if none */
const char *sp_json_file(const struct sp_json_doc *doc);

/* returns: the member, or NULL (also if object is NULL or no object). cost: O(members) */
const struct sp_json *sp_json_find(const struct sp_json *object, const char *key);
const struct sp_json *sp_json_find_bytes(const struct sp_json *object, struct sp_bytes key);
/* Walks "a.b.c" through objects. returns: the value, or NULL */
const struct sp_json *sp_json_find_path(const struct sp_json *object, const char *path);

/* returns: the text member's value, or the empty view if it is not there or no text */
struct sp_bytes sp_json_text_of(const struct sp_json *object, const char *key);
/* returns: the integer member's value, or otherwise */
int64_t sp_json_int_of(const struct sp_json *object, const char *key, int64_t otherwise);
/* returns: the boolean member's value, or otherwise */
bool sp_json_bool_of(const struct sp_json *object, const char *key, bool otherwise);

/* returns: "object", "text" ...: for messages, static */
const char *sp_json_type_name(enum sp_json_type type);

/* Appends the path from the root: settings.portal.login[0]; "$" for the root itself. */
void sp_json_path(const struct sp_json *value, struct sp_buf *out);

/*
 * Appends the canonical form (RFC 8785): sorted members, shortest numbers, no spaces.
 *
 * returns: SP_OK, or SP_E_LIMIT if it does not fit
 */
SP_MUST_CHECK enum sp_rc sp_json_canonical(const struct sp_json *value, struct sp_buf *out);

/* Parse and canonicalise in one go. returns: as sp_json_parse and sp_json_canonical */
SP_MUST_CHECK enum sp_rc sp_json_canonicalise(struct sp_bytes text, struct sp_buf *out,
                                              struct sp_err *err);

/*
 * Sets a member of an object of this document (parsed or built), replacing one of that name. The values are copied;
 * text that is no UTF-8 has its bad bytes replaced by U+FFFD, and integers must lie within 2^53.
 */
void sp_json_set_text(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                      struct sp_bytes v);
void sp_json_set_int(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                     int64_t v);
void sp_json_set_bool(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                      bool v);
/* returns: the new member, an empty object of this document; owner: the document */
const struct sp_json *sp_json_set_object(struct sp_json_doc *doc, const struct sp_json *object,
                                         const char *key);
/* Copies a whole value of any document. */
void sp_json_set_copy(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                      const struct sp_json *v);
/* Removes a member; none of that name is no error. */
void sp_json_remove(struct sp_json_doc *doc, const struct sp_json *object, const char *key);

#endif
