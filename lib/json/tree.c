/*
 * The tree itself: making nodes, finding values, paths for messages, and changing members. Children are a chain of
 * siblings, which is all that files of settings and audit records of a few dozen members need. A removed node stays in
 * the arena until the document goes.
 */
#include "json/json_priv.h"

#include "base/text.h"

#define ARENA_MIN 2048
#define ARENA_MAX 65536

struct sp_json *sp_json_node(struct sp_json_doc *doc, enum sp_json_type type)
{
    struct sp_json *node = sp_arena_alloc(doc->arena, sizeof(*node));

    node->type = type;
    node->doc = doc;
    return node;
}

void sp_json_attach(struct sp_json *parent, struct sp_json *last, struct sp_json *child)
{
    child->parent = parent;
    child->index = last == NULL ? 0 : last->index + 1;
    if (last == NULL)
        parent->first = child;
    else
        last->next = child;
    parent->count++;
}

struct sp_json_doc *sp_json_doc_sized(size_t len)
{
    struct sp_json_doc *doc = sp_calloc(1, sizeof(*doc));

    doc->arena = sp_arena_new(len < ARENA_MIN ? ARENA_MIN : len > ARENA_MAX ? ARENA_MAX : len);
    doc->file = "";
    return doc;
}

struct sp_json_doc *sp_json_doc_new(void)
{
    struct sp_json_doc *doc = sp_json_doc_sized(ARENA_MIN);

    doc->root = sp_json_node(doc, SP_JSON_OBJECT);
    return doc;
}

void sp_json_doc_free(struct sp_json_doc *doc)
{
    if (doc == NULL)
        return;
    sp_arena_free(doc->arena);
    sp_free(doc);
}

const struct sp_json *sp_json_root(const struct sp_json_doc *doc)
{
    return doc->root;
}

const char *sp_json_file(const struct sp_json_doc *doc)
{
    return doc->file;
}

const struct sp_json *sp_json_find_bytes(const struct sp_json *object, struct sp_bytes key)
{
    if (object == NULL || object->type != SP_JSON_OBJECT)
        return NULL;
    for (const struct sp_json *m = object->first; m != NULL; m = m->next)
        if (sp_bytes_eq(m->key, key))
            return m;
    return NULL;
}

const struct sp_json *sp_json_find(const struct sp_json *object, const char *key)
{
    return sp_json_find_bytes(object, sp_bytes_cstr(key));
}

const struct sp_json *sp_json_find_path(const struct sp_json *object, const char *path)
{
    struct sp_bytes rest = sp_bytes_cstr(path), part;

    while (object != NULL && sp_bytes_split(&rest, '.', &part))
        object = sp_json_find_bytes(object, part);
    return object;
}

struct sp_bytes sp_json_text_of(const struct sp_json *object, const char *key)
{
    const struct sp_json *m = sp_json_find(object, key);

    return m != NULL && m->type == SP_JSON_TEXT ? m->text : sp_bytes(NULL, 0);
}

int64_t sp_json_int_of(const struct sp_json *object, const char *key, int64_t otherwise)
{
    const struct sp_json *m = sp_json_find(object, key);

    return m != NULL && m->type == SP_JSON_INT ? m->integer : otherwise;
}

bool sp_json_bool_of(const struct sp_json *object, const char *key, bool otherwise)
{
    const struct sp_json *m = sp_json_find(object, key);

    return m != NULL && m->type == SP_JSON_BOOL ? m->integer != 0 : otherwise;
}

const char *sp_json_type_name(enum sp_json_type type)
{
    static const char *const names[] = {
        [SP_JSON_NULL] = "null",        [SP_JSON_BOOL] = "true or false",
        [SP_JSON_INT] = "whole number", [SP_JSON_REAL] = "decimal number",
        [SP_JSON_TEXT] = "text",        [SP_JSON_ARRAY] = "array",
        [SP_JSON_OBJECT] = "object",
    };

    return names[type];
}

void sp_json_path(const struct sp_json *value, struct sp_buf *out)
{
    const struct sp_json *chain[SP_JSON_DEPTH_MAX + 1];
    size_t n = 0;

    for (; value != NULL && value->parent != NULL && n < SP_ARRAY_LEN(chain); value = value->parent)
        chain[n++] = value;
    if (n == 0)
        sp_buf_put_cstr(out, "$");
    for (size_t i = n; i-- > 0;) {
        if (chain[i]->key.ptr == NULL) {
            sp_buf_printf(out, "[%u]", chain[i]->index);
            continue;
        }
        if (i + 1 < n)
            sp_buf_put_u8(out, '.');
        sp_buf_put(out, chain[i]->key);
    }
}

/* The node of that name, made anew (with the place of the old one in the order) or put at the end. */
static struct sp_json *member(struct sp_json_doc *doc, const struct sp_json *object,
                              const char *key, enum sp_json_type type)
{
    struct sp_json *parent = (struct sp_json *)object, *last = NULL;
    struct sp_json *node;

    sp_assert(object->type == SP_JSON_OBJECT && object->doc == doc);
    sp_json_remove(doc, object, key);
    for (const struct sp_json *m = object->first; m != NULL; m = m->next)
        last = (struct sp_json *)m;
    node = sp_json_node(doc, type);
    node->key = sp_bytes(sp_arena_cstr(doc->arena, sp_bytes_cstr(key)), strlen(key));
    sp_json_attach(parent, last, node);
    return node;
}

void sp_json_remove(struct sp_json_doc *doc, const struct sp_json *object, const char *key)
{
    struct sp_json *before = NULL;

    sp_assert(object->doc == doc);
    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        if (sp_bytes_eq(m->key, sp_bytes_cstr(key))) {
            if (before == NULL)
                ((struct sp_json *)object)->first = m->next;
            else
                before->next = m->next;
            ((struct sp_json *)object)->count--;
            return;
        }
        before = (struct sp_json *)m;
    }
}

/* A copy in the arena that is certainly UTF-8: bad bytes become U+FFFD. */
static struct sp_bytes copy_text(struct sp_json_doc *doc, struct sp_bytes v)
{
    struct sp_buf out;
    struct sp_bytes copy;

    if (sp_utf8_is_valid(v) && sp_bytes_find(v, 0) == SIZE_MAX)
        return sp_bytes(sp_arena_cstr(doc->arena, v), v.len);
    sp_buf_init(&out, v.len * 3);
    for (size_t i = 0; i < v.len;) {
        size_t n = 4;

        while (n > 0 &&
               (i + n > v.len || !sp_utf8_is_valid(sp_bytes_slice(v, i, n)) || v.ptr[i] == 0))
            n--;
        sp_buf_put(&out, n == 0 ? SP_LIT("\xef\xbf\xbd") : sp_bytes_slice(v, i, n));
        i += n == 0 ? 1 : n;
    }
    copy = sp_bytes(sp_arena_cstr(doc->arena, sp_buf_bytes(&out)), out.len);
    sp_buf_clear(&out);
    return copy;
}

void sp_json_set_text(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                      struct sp_bytes v)
{
    member(doc, object, key, SP_JSON_TEXT)->text = copy_text(doc, v);
}

const struct sp_json *sp_json_set_object(struct sp_json_doc *doc, const struct sp_json *object,
                                         const char *key)
{
    return member(doc, object, key, SP_JSON_OBJECT);
}

void sp_json_set_int(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                     int64_t v)
{
    sp_assert(v <= SP_JSON_INT_MAX && v >= -SP_JSON_INT_MAX);
    member(doc, object, key, SP_JSON_INT)->integer = v;
}

void sp_json_set_bool(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                      bool v)
{
    member(doc, object, key, SP_JSON_BOOL)->integer = v;
}

static void copy_scalar(struct sp_json_doc *doc, struct sp_json *to, const struct sp_json *from)
{
    to->integer = from->integer;
    to->real = from->real;
    to->line = from->line;
    to->column = from->column;
    if (from->type == SP_JSON_TEXT)
        to->text = sp_bytes(sp_arena_cstr(doc->arena, from->text), from->text.len);
}

/* Copies children level by level without recursion: `from` and `to` walk the same shape. */
void sp_json_set_copy(struct sp_json_doc *doc, const struct sp_json *object, const char *key,
                      const struct sp_json *v)
{
    struct sp_json *to = member(doc, object, key, v->type), *top = to;
    const struct sp_json *from = v;

    copy_scalar(doc, to, from);
    for (;;) {
        const struct sp_json *next = from->first;
        struct sp_json *parent = to, *last = NULL;

        while (next == NULL && to != top) {
            last = to;
            parent = (struct sp_json *)to->parent;
            next = from->next;
            if (next != NULL)
                break;
            to = parent;
            from = from->parent;
        }
        if (next == NULL)
            return;
        to = sp_json_node(doc, next->type);
        copy_scalar(doc, to, next);
        if (next->key.ptr != NULL)
            to->key = sp_bytes(sp_arena_cstr(doc->arena, next->key), next->key.len);
        sp_json_attach(parent, last, to);
        from = next;
    }
}
