/*
 * Text to tree. jansson decides what is valid and decodes strings and numbers, but it keeps no positions. So its result
 * is walked side by side with the text (members come out in the order of the text, since duplicates are refused): each
 * value's line and column are where the scan stands when the walk gets there. The walk uses a stack of its own; the
 * depth was bounded before jansson saw the text. What programs write to each other needs no places, so its text is not
 * walked, and where it is plain, quick.c has read it before. jansson's tree lives only as long as one call: its memory
 * comes from an arena and goes with it.
 */
#include <jansson.h>
#include <math.h>
#include <threads.h>

#include "json/json_priv.h"

#define ARENA_LEN 8192

struct frame {
    json_t *value;
    struct sp_json *node;
    struct sp_json *last; /* child */
    void *iter;           /* of an object */
    size_t index;         /* of an array */
};

struct walk {
    struct sp_json_doc *doc;
    bool has_places; /* s stands where the walk is */
    struct sp_json_scan s;
    struct frame stack[SP_JSON_DEPTH_MAX + 1];
    size_t depth;
    struct sp_err *err;
};

static uint8_t look(const struct walk *w)
{
    return w->s.at < w->s.text.len ? w->s.text.ptr[w->s.at] : 0;
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

/* To the next byte that begins a value, a key or an end: past spaces, commas and colons. */
static void skip_between(struct walk *w)
{
    while (w->s.at < w->s.text.len && is_one_of(look(w), " \t\r\n,:"))
        sp_json_scan_step(&w->s);
}

static void skip_string(struct walk *w)
{
    sp_json_scan_step(&w->s);
    while (w->s.at < w->s.text.len && look(w) != '"') {
        if (look(w) == '\\')
            sp_json_scan_step(&w->s);
        sp_json_scan_step(&w->s);
    }
    sp_json_scan_step(&w->s);
}

static void skip_scalar(struct walk *w)
{
    if (look(w) == '"') {
        skip_string(w);
        return;
    }
    while (w->s.at < w->s.text.len && !is_one_of(look(w), " \t\r\n,:]}"))
        sp_json_scan_step(&w->s);
}

static void step(struct walk *w)
{
    if (w->has_places)
        sp_json_scan_step(&w->s);
}

static enum sp_rc fail(const struct walk *w, const struct sp_json *node, const char *why)
{
    return sp_fail(w->err, SP_E_JSON_SYNTAX, "%s:%u:%u: %s", w->doc->file, node->line, node->column,
                   why);
}

/*
 * Whole numbers past 2^53 lose digits in other readers (RFC 8785 takes I-JSON, RFC 7493 2.2), so they are refused. The
 * canonical form writes reals below 1e21 as whole numbers: the same holds for them.
 */
static enum sp_rc fill(struct walk *w, struct sp_json *node, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        node->text.ptr = (const uint8_t *)sp_arena_cstr(
            w->doc->arena, sp_bytes(json_string_value(value), json_string_length(value)));
        node->text.len = json_string_length(value);
        break;
    case JSON_INTEGER:
        node->integer = json_integer_value(value);
        if (node->integer > SP_JSON_INT_MAX || node->integer < -SP_JSON_INT_MAX)
            return fail(w, node, "integer beyond 2^53");
        break;
    case JSON_REAL:
        node->real = json_real_value(value);
        if (fabs(node->real) > (double)SP_JSON_INT_MAX && fabs(node->real) < 1e21)
            return fail(w, node, "number beyond 2^53");
        break;
    case JSON_TRUE:
        node->integer = 1;
        break;
    default:
        break;
    }
    return SP_OK;
}

static enum sp_json_type type_of(const json_t *value)
{
    static const enum sp_json_type types[] = {
        [JSON_OBJECT] = SP_JSON_OBJECT, [JSON_ARRAY] = SP_JSON_ARRAY, [JSON_STRING] = SP_JSON_TEXT,
        [JSON_INTEGER] = SP_JSON_INT,   [JSON_REAL] = SP_JSON_REAL,   [JSON_TRUE] = SP_JSON_BOOL,
        [JSON_FALSE] = SP_JSON_BOOL,    [JSON_NULL] = SP_JSON_NULL,
    };

    return types[json_typeof(value)];
}

/* Makes the node of a value at which the scan stands; opens a frame if it has children. */
static enum sp_rc enter(struct walk *w, json_t *value, struct sp_json **out)
{
    struct sp_json *node = sp_json_node(w->doc, type_of(value));

    node->line = w->s.line;
    node->column = w->s.column;
    if (json_is_object(value) || json_is_array(value)) {
        step(w);
        w->stack[w->depth++] = (struct frame){.value = value, .node = node};
        if (json_is_object(value))
            w->stack[w->depth - 1].iter = json_object_iter(value);
    } else if (w->has_places) {
        skip_scalar(w);
    }
    *out = node;
    return fill(w, node, value);
}

/* The next child of a frame, with the scan set on it. returns: NULL when there is none left */
static json_t *next_child(struct walk *w, struct frame *f, struct sp_bytes *key)
{
    json_t *child;

    if (w->has_places)
        skip_between(w);
    *key = sp_bytes(NULL, 0);
    if (json_is_array(f->value))
        return json_array_get(f->value, f->index++);
    if (f->iter == NULL)
        return NULL;
    *key = sp_bytes(json_object_iter_key(f->iter), strlen(json_object_iter_key(f->iter)));
    child = json_object_iter_value(f->iter);
    f->iter = json_object_iter_next(f->value, f->iter);
    if (w->has_places) {
        skip_string(w);
        skip_between(w);
    }
    return child;
}

static enum sp_rc build(struct walk *w, json_t *root)
{
    enum sp_rc rc;

    if (w->has_places)
        skip_between(w);
    rc = enter(w, root, &w->doc->root);
    while (rc == SP_OK && w->depth > 0) {
        struct frame *f = &w->stack[w->depth - 1];
        struct sp_json *node;
        struct sp_bytes key;
        json_t *child = next_child(w, f, &key);

        if (child == NULL) {
            step(w); /* the closing bracket */
            w->depth--;
            continue;
        }
        rc = enter(w, child, &node);
        if (key.ptr != NULL)
            node->key = sp_bytes(sp_arena_cstr(w->doc->arena, key), key.len);
        sp_json_attach(f->node, f->last, node);
        f->last = node;
    }
    return rc;
}

/* ---- jansson's memory ---- */

static _Thread_local struct sp_arena *scratch;

static void *scratch_alloc(size_t len)
{
    return sp_arena_alloc(scratch, len);
}

static void scratch_free(void *ptr)
{
    (void)ptr; /* goes with the arena */
}

static void set_memory(void)
{
    json_set_alloc_funcs(scratch_alloc, scratch_free);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* What jansson says, for people who write JSON by hand: what they most often meant. returns: "" if nothing more can be said */
static const char *hint(struct sp_bytes text, const char *said)
{
    bool is_utf16 = text.len >= 2 && ((text.ptr[0] == 0xff && text.ptr[1] == 0xfe) ||
                                      (text.ptr[0] == 0xfe && text.ptr[1] == 0xff));

    if (has(said, "unable to decode"))
        return is_utf16 ? "; this is UTF-16: save the file as UTF-8"
                        : "; this is not UTF-8: save the file as UTF-8";
    if (has(said, "near '''"))
        return "; texts stand in double quotes";
    if (has(said, "string or '}' expected near '}'") || has(said, "unexpected token near ']'"))
        return "; nothing may follow the last comma: take that out";
    if (has(said, "'}' expected near '\"") || has(said, "']' expected near '\"") ||
        has(said, "']' expected near '{'") || has(said, "']' expected near '['"))
        return "; is a comma missing before it?";
    if (has(said, "unexpected newline"))
        return "; a text ends on its line: is a quote missing?";
    return "";
}

static enum sp_rc refuse(struct sp_bytes text, const struct sp_json_doc *doc, const json_error_t *e,
                         struct sp_err *err)
{
    const char *file = doc->file[0] == 0 ? "json" : doc->file;

    if (sp_bytes_trim(text).len == 0)
        return sp_fail(err, SP_E_JSON_SYNTAX, "%s:1:1: nothing is in it: expected { and }", file);
    if (has(e->text, "JSON_ALLOW_NUL"))
        return sp_fail(err, SP_E_JSON_SYNTAX, "%s:%d:%d: a text can't have \\u0000 in it", file,
                       e->line, e->column);
    return sp_fail(err, SP_E_JSON_SYNTAX, "%s:%d:%d: %s%s", file, e->line, e->column, e->text,
                   hint(text, e->text));
}

static enum sp_rc parse_blanked(struct sp_bytes text, struct sp_json_doc *doc, bool has_places,
                                struct sp_err *err)
{
    static once_flag once = ONCE_FLAG_INIT;
    struct walk w = {.doc = doc, .has_places = has_places, .s = {text, 0, 1, 1}, .err = err};
    SP_AUTO(sp_arena) arena = sp_arena_new(ARENA_LEN);
    json_error_t e;
    enum sp_rc rc;
    json_t *root;

    call_once(&once, set_memory);
    scratch = arena;
    root =
        json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (root == NULL)
        rc = refuse(text, doc, &e, err);
    else
        rc = build(&w, root);
    scratch = NULL;
    return rc;
}

/* What a program wrote: no places, no comments. */
static enum sp_rc read_plain(struct sp_bytes text, struct sp_json_doc **out, struct sp_err *err)
{
    struct sp_json_doc *doc = sp_json_quick(text);
    enum sp_rc rc;

    if (doc != NULL) {
        *out = doc;
        return SP_OK;
    }
    rc = sp_json_check_depth(text, err);
    if (rc != SP_OK)
        return rc;
    *out = sp_json_doc_new();
    return parse_blanked(text, *out, false, err);
}

static enum sp_rc read_placed(struct sp_bytes text, const struct sp_json_options *options,
                              struct sp_json_doc *doc, struct sp_err *err)
{
    struct sp_buf blanked;
    enum sp_rc rc;

    if (options->file != NULL)
        doc->file = sp_arena_cstr(doc->arena, sp_bytes_cstr(options->file));
    sp_buf_init(&blanked, SP_JSON_LEN_MAX + 1);
    rc = sp_json_blank(text, options, &blanked, err);
    if (rc == SP_OK)
        rc = parse_blanked(sp_buf_bytes(&blanked), doc, true, err);
    sp_buf_clear(&blanked);
    return rc;
}

enum sp_rc sp_json_parse(struct sp_bytes text, const struct sp_json_options *options,
                         struct sp_json_doc **out, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    enum sp_rc rc;

    if (text.len > SP_JSON_LEN_MAX)
        return sp_fail(err, SP_E_LIMIT, "JSON text of %zu bytes is longer than %zu", text.len,
                       SP_JSON_LEN_MAX);
    if (options == NULL) {
        rc = read_plain(text, &doc, err);
    } else {
        doc = sp_json_doc_new();
        rc = read_placed(text, options, doc, err);
    }
    if (rc == SP_OK)
        *out = SP_STEAL(doc);
    return rc;
}
