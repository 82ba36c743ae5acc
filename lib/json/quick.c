/*
 * Text to tree for what programs of ours write to each other, which is nearly always plain: no escapes but the short ones,
 * whole numbers of up to 15 digits, few members. It is read once, in a copy that the tree keeps: a string's value is its
 * place in the copy, with a NUL where the quote was. Whatever is not plain, and whatever is wrong, is left to jansson,
 * which alone says what is refused and why; so this reader may only take what jansson takes, with the same result, and a
 * test and a fuzz target hold the two side by side. Measured: a quarter of the time, and two allocations.
 */
#include "base/text.h"
#include "json/json_priv.h"

#define DIGITS_MAX  15 /* below 2^53 */
#define MEMBERS_MAX 64 /* more are left to jansson: names are compared with each other */
#define NODE_SHARE  8  /* bytes of arena for a byte of text: nodes are large and values short */

struct frame {
    struct sp_json *node;
    struct sp_json *last;
};

struct quick {
    struct sp_json_doc *doc;
    uint8_t *at;
    const uint8_t *end; /* here stands a NUL, which is plain nowhere */
    struct frame stack[SP_JSON_DEPTH_MAX];
    size_t depth;
};

static void skip_space(struct quick *q)
{
    while (*q->at == ' ' || *q->at == '\n' || *q->at == '\r' || *q->at == '\t')
        q->at++;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* returns: the byte for a short escape (RFC 8259 7), 0 for the others */
static uint8_t unescape(uint8_t c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c == '"' || c == '\\' || c == '/' ? c : 0;
    }
}

/* Moves what follows an escape or is no ASCII to where it belongs. returns: its bytes in the text, 0 if not plain */
static size_t move_step(const struct quick *q, const uint8_t *from, uint8_t *to, size_t *made)
{
    size_t step;

    *made = 1;
    if (*from == '\\') {
        *to = unescape(from[1]); /* the NUL at the end is none */
        return *to == 0 ? 0 : 2;
    }
    if (*from < 0x80) {
        *to = *from;
        return is_plain(*from) ? 1 : 0;
    }
    step = sp_utf8_step(sp_bytes(from, (size_t)(q->end - from)));
    memmove(to, from, step);
    *made = step;
    return step;
}

/* A string from behind its first quote to behind its last. returns: false if it is not plain */
static bool read_string(struct quick *q, struct sp_bytes *out)
{
    uint8_t *begin = q->at, *to;
    const uint8_t *from;

    while (is_plain(*q->at))
        q->at++;
    to = q->at;
    from = q->at;
    while (*from != '"') {
        size_t made, step = move_step(q, from, to, &made);

        if (step == 0)
            return false;
        from += step;
        to += made;
    }
    q->at += from + 1 - q->at;
    *to = 0;
    *out = sp_bytes(begin, (size_t)(to - begin));
    return true;
}

static bool read_int(struct quick *q, int64_t *out)
{
    bool is_negative = *q->at == '-';
    const uint8_t *digits;
    int64_t v = 0;

    if (is_negative)
        q->at++;
    digits = q->at;
    while (sp_ascii_is_digit(*q->at))
        v = v <= SP_JSON_INT_MAX ? v * 10 + (*q->at++ - '0') : (q->at++, v);
    if (q->at == digits || q->at - digits > DIGITS_MAX || *q->at == '.' || *q->at == 'e' ||
        *q->at == 'E' || (*digits == '0' && (is_negative || q->at - digits > 1)))
        return false;
    *out = is_negative ? -v : v;
    return true;
}

static bool read_word(struct quick *q, const char *word, size_t len)
{
    if ((size_t)(q->end - q->at) < len || memcmp(q->at, word, len) != 0)
        return false;
    q->at += len;
    return true;
}

static bool read_scalar(struct quick *q, struct sp_json *node)
{
    switch (*q->at) {
    case '"':
        q->at++;
        node->type = SP_JSON_TEXT;
        return read_string(q, &node->text);
    case 't':
        node->type = SP_JSON_BOOL;
        node->integer = 1;
        return read_word(q, "true", 4);
    case 'f':
        node->type = SP_JSON_BOOL;
        return read_word(q, "false", 5);
    case 'n':
        return read_word(q, "null", 4);
    default:
        node->type = SP_JSON_INT;
        return read_int(q, &node->integer);
    }
}

/* Reads a scalar, or opens an array or object. */
static bool read_value(struct quick *q, struct sp_json *node)
{
    node->line = 1;
    node->column = 1;
    if (*q->at != '{' && *q->at != '[')
        return read_scalar(q, node);
    if (q->depth == SP_ARRAY_LEN(q->stack))
        return false;
    node->type = *q->at++ == '{' ? SP_JSON_OBJECT : SP_JSON_ARRAY;
    q->stack[q->depth++] = (struct frame){.node = node};
    return true;
}

static bool has_member(const struct sp_json *object, struct sp_bytes key)
{
    for (const struct sp_json *m = object->first; m != NULL; m = m->next)
        if (m->key.len == key.len && memcmp(m->key.ptr, key.ptr, key.len) == 0)
            return true;
    return false;
}

static bool read_key(struct quick *q, const struct sp_json *object, struct sp_bytes *key)
{
    if (*q->at != '"' || object->count == MEMBERS_MAX)
        return false;
    q->at++;
    if (!read_string(q, key) || has_member(object, *key))
        return false;
    skip_space(q);
    if (*q->at != ':')
        return false;
    q->at++;
    skip_space(q);
    return true;
}

/* The next member or item, or the end of the innermost array or object. */
static bool read_next(struct quick *q)
{
    struct frame *f = &q->stack[q->depth - 1];
    bool is_object = f->node->type == SP_JSON_OBJECT;
    struct sp_bytes key = sp_bytes(NULL, 0);
    struct sp_json *node;

    skip_space(q);
    if (*q->at == (is_object ? '}' : ']')) {
        q->at++;
        q->depth--;
        return true;
    }
    if (f->last != NULL) {
        if (*q->at != ',')
            return false;
        q->at++;
        skip_space(q);
    }
    if (is_object && !read_key(q, f->node, &key))
        return false;
    node = sp_json_node(q->doc, SP_JSON_NULL);
    node->key = key;
    sp_json_attach(f->node, f->last, node);
    f->last = node;
    return read_value(q, node);
}

struct sp_json_doc *sp_json_quick(struct sp_bytes text)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct quick q = {.depth = 0};

    if (text.len == 0)
        return NULL;
    doc = sp_json_doc_sized(text.len * NODE_SHARE);
    q.doc = doc;
    q.at = (uint8_t *)sp_arena_cstr(doc->arena, text);
    q.end = q.at + text.len;
    skip_space(&q);
    doc->root = sp_json_node(doc, SP_JSON_NULL);
    if (!read_value(&q, doc->root))
        return NULL;
    while (q.depth > 0)
        if (!read_next(&q))
            return NULL;
    skip_space(&q);
    return q.at == q.end ? SP_STEAL(doc) : NULL;
}
