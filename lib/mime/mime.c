/*
 * The view: measured by our own scanner, parsed by GMime from a stream, flattened into a list of leaves and nested
 * messages. The tree is walked with a stack of our own, since its depth is the sender's choice.
 */
#include "mime/mime_priv.h"

#include "base/arena.h"
#include "base/text.h"

static const struct sp_mime_limits defaults = {
    .depth = 30, .parts = 250, .header_len = 256 * 1024, .line_len = 64 * 1024};

#define NAME_MAX_LEN 1024

static void start_gmime(void)
{
    static gsize started; /* GMime has a start of its own for the whole process */

    if (g_once_init_enter(&started)) {
        g_mime_init();
        g_once_init_leave(&started, 1);
    }
}

/* ---- parts ---- */

/* What is still to be looked at. */
struct todo {
    GMimeObject *object;
    unsigned depth;
    bool related;
    bool nested;
};

struct walk {
    struct sp_mime *m;
    struct todo *todo;
    size_t count;
    size_t cap;
};

static void walk_push(struct walk *w, struct todo t)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 64 : w->cap * 2;
        w->todo = sp_realloc(w->todo, w->cap * sizeof(*w->todo));
    }
    w->todo[w->count++] = t;
}

/* "text/plain": foreign, so only what a media type may hold (RFC 6838 4.2). */
static const char *type_text(struct sp_mime *m, GMimeContentType *type)
{
    struct sp_buf b;
    const char *halves[2] = {g_mime_content_type_get_media_type(type),
                             g_mime_content_type_get_media_subtype(type)};
    const char *out;

    sp_buf_init(&b, 200);
    for (int h = 0; h < 2; h++) {
        for (const char *p = halves[h] == NULL ? "" : halves[h]; *p != '\0' && b.len < 127; p++)
            if (sp_ascii_is_alnum((uint8_t)*p) || strchr("!#$&^_.+-", *p) != NULL)
                sp_buf_put_u8(&b, sp_ascii_lower((uint8_t)*p));
        if (h == 0)
            sp_buf_put_u8(&b, '/');
    }
    out = sp_arena_cstr(m->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return out;
}

static const char *clean_text(struct sp_mime *m, const char *text, bool lower)
{
    struct sp_buf b;
    char *out;

    sp_buf_init(&b, NAME_MAX_LEN);
    if (text != NULL && strlen(text) <= NAME_MAX_LEN / 4)
        sp_mime_clean(&b, text);
    out = sp_arena_cstr(m->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    for (char *p = out; lower && *p != '\0'; p++)
        *p = (char)sp_ascii_lower((uint8_t)*p);
    return out;
}

static struct mime_part *add_part(struct sp_mime *m, const struct todo *t)
{
    struct mime_part *p;
    GMimeContentType *type = g_mime_object_get_content_type(t->object);

    if (m->part_count == m->part_cap) {
        m->part_cap = m->part_cap == 0 ? 16 : m->part_cap * 2;
        m->parts = sp_realloc(m->parts, m->part_cap * sizeof(*m->parts));
    }
    p = &m->parts[m->part_count++];
    *p = (struct mime_part){.object = t->object, .nested = t->nested};
    p->pub.depth = t->depth;
    p->pub.related = t->related;
    p->pub.type = type_text(m, type);
    p->pub.charset = clean_text(m, g_mime_content_type_get_parameter(type, "charset"), true);
    p->pub.content_id = clean_text(m, g_mime_object_get_content_id(t->object), false);
    p->pub.name = "";
    p->pub.encoding_known = true;
    return p;
}

static void add_message(struct walk *w, const struct todo *t)
{
    GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(t->object));
    GMimeObject *top = inner == NULL ? NULL : g_mime_message_get_mime_part(inner);
    struct mime_part *p = add_part(w->m, t);

    p->pub.kind = SP_MIME_MESSAGE;
    p->pub.attachment = true;
    if (top != NULL)
        walk_push(w, (struct todo){top, t->depth + 1, false, true});
}

static void add_leaf(struct sp_mime *m, const struct todo *t)
{
    struct mime_part *p = add_part(m, t);
    const char *disposition = g_mime_object_get_disposition(t->object);
    GMimePart *part = GMIME_IS_PART(t->object) ? GMIME_PART(t->object) : NULL;
    GMimeDataWrapper *content = part == NULL ? NULL : g_mime_part_get_content(part);
    GMimeStream *stream = content == NULL ? NULL : g_mime_data_wrapper_get_stream(content);
    const char *encoding = g_mime_object_get_header(t->object, "Content-Transfer-Encoding");
    gint64 len = stream == NULL ? 0 : g_mime_stream_length(stream);

    p->pub.kind = strcmp(p->pub.type, "text/plain") == 0  ? SP_MIME_TEXT
                  : strcmp(p->pub.type, "text/html") == 0 ? SP_MIME_HTML
                                                          : SP_MIME_FILE;
    if (part != NULL)
        p->pub.name = clean_text(m, g_mime_part_get_filename(part), false);
    p->pub.attachment = p->pub.kind == SP_MIME_FILE ||
                        (disposition != NULL && g_ascii_strcasecmp(disposition, "attachment") == 0);
    p->pub.raw_len = len < 0 ? 0 : (uint64_t)len;
    p->pub.encoding_known =
        encoding == NULL || part == NULL ||
        g_mime_part_get_content_encoding(part) != GMIME_CONTENT_ENCODING_DEFAULT;
}

static void keep_multipart(struct sp_mime *m, GMimeMultipart *multi)
{
    m->multiparts = sp_realloc(m->multiparts, (m->multipart_count + 1) * sizeof(GMimeMultipart *));
    m->multiparts[m->multipart_count++] = multi;
}

static enum sp_rc visit(struct walk *w, const struct todo *t)
{
    if (t->depth > w->m->limits.depth || w->m->part_count > w->m->limits.parts)
        return SP_E_SCAN_LIMIT;
    if (GMIME_IS_MESSAGE_PART(t->object)) {
        add_message(w, t);
    } else if (GMIME_IS_MULTIPART(t->object)) {
        GMimeMultipart *multi = GMIME_MULTIPART(t->object);
        GMimeContentType *type = g_mime_object_get_content_type(t->object);
        bool related = g_mime_content_type_is_type(type, "multipart", "related");
        int count = g_mime_multipart_get_count(multi);

        keep_multipart(w->m, multi);
        if (count < 0 || (unsigned)count > w->m->limits.parts)
            return SP_E_SCAN_LIMIT;
        for (int i = count; i-- > 0;) /* last first: the stack turns them round */
            walk_push(w, (struct todo){g_mime_multipart_get_part(multi, i), t->depth + 1,
                                       t->related || (related && i > 0), t->nested});
    } else {
        add_leaf(w->m, t);
    }
    return SP_OK;
}

static enum sp_rc walk_parts(struct sp_mime *m)
{
    struct walk w = {.m = m};
    GMimeObject *top = g_mime_message_get_mime_part(m->message);
    enum sp_rc rc = SP_OK;

    m->type = "";
    if (top != NULL) {
        m->type = type_text(m, g_mime_object_get_content_type(top));
        walk_push(&w, (struct todo){top, 0, false, false});
    }
    while (w.count > 0 && rc == SP_OK) {
        struct todo t = w.todo[--w.count];

        rc = visit(&w, &t);
    }
    sp_free(w.todo);
    return rc;
}

/* ---- opening ---- */

static void set_limits(struct sp_mime *m, const struct sp_mime_limits *limits)
{
    m->limits = limits == NULL ? defaults : *limits;
    if (m->limits.depth == 0 || m->limits.depth > MIME_DEPTH_MAX)
        m->limits.depth = m->limits.depth == 0 ? defaults.depth : MIME_DEPTH_MAX;
    if (m->limits.parts == 0)
        m->limits.parts = defaults.parts;
    if (m->limits.header_len == 0)
        m->limits.header_len = defaults.header_len;
    if (m->limits.line_len == 0)
        m->limits.line_len = defaults.line_len;
}

static enum sp_rc parse(struct sp_mime *m, struct sp_err *err)
{
    GMimeParser *parser;

    start_gmime();
    m->stream = sp_mime_stream_new(m);
    parser = g_mime_parser_new_with_stream(m->stream);
    g_mime_parser_set_persist_stream(parser, TRUE);
    m->message = g_mime_parser_construct_message(parser, NULL);
    g_object_unref(parser);
    if (m->source_rc != SP_OK)
        return sp_fail(err, m->source_rc, "the message could not be read");
    if (m->message == NULL)
        return sp_fail(err, SP_E_MALFORMED, "no message in it");
    return walk_parts(m);
}

enum sp_rc sp_mime_open(const struct sp_mime_source *source, const struct sp_mime_limits *limits,
                        struct sp_mime **out, struct sp_err *err)
{
    SP_AUTO(sp_mime) m = sp_calloc(1, sizeof(*m));
    enum sp_rc rc;

    m->source = *source;
    m->arena = sp_arena_new(1024);
    set_limits(m, limits);
    rc = sp_mime_measure(source, &m->limits);
    if (rc != SP_OK)
        return sp_fail(err, rc, "the message's structure: %s", sp_rc_name(rc));
    rc = parse(m, err);
    if (rc != SP_OK)
        return rc;
    *out = SP_STEAL(m);
    return SP_OK;
}

void sp_mime_free(struct sp_mime *m)
{
    if (m == NULL)
        return;
    if (m->message != NULL)
        g_object_unref(m->message);
    if (m->stream != NULL)
        g_object_unref(m->stream);
    sp_arena_free(m->arena);
    sp_free(m->parts);
    sp_free(m->multiparts);
    sp_free(m);
}

size_t sp_mime_part_count(const struct sp_mime *m)
{
    return m->part_count;
}

const struct sp_mime_part *sp_mime_part_get(const struct sp_mime *m, size_t i)
{
    sp_assert(i < m->part_count);
    return &m->parts[i].pub;
}

static size_t find_body(const struct sp_mime *m, enum sp_mime_kind kind)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct mime_part *p = &m->parts[i];

        if (p->pub.kind == kind && !p->pub.attachment && !p->nested && !p->pub.related)
            return i;
    }
    return SP_MIME_NONE;
}

size_t sp_mime_body_text(const struct sp_mime *m)
{
    return find_body(m, SP_MIME_TEXT);
}

size_t sp_mime_body_html(const struct sp_mime *m)
{
    return find_body(m, SP_MIME_HTML);
}

const char *sp_mime_type(const struct sp_mime *m)
{
    return m->type;
}

/* Appends as much as fits. */
static void put_text(struct sp_buf *out, const char *text)
{
    struct sp_bytes b = sp_bytes_cstr(text == NULL ? "" : text);
    size_t room = out->max - out->len;

    sp_buf_put(out, sp_bytes_slice(b, 0, room));
    if (b.len > room)
        out->failed = true;
    else if (b.len > 0)
        sp_buf_put_u8(out, '\n');
}

enum sp_rc sp_mime_outside(const struct sp_mime *m, struct sp_buf *out)
{
    for (size_t i = 0; i < m->multipart_count; i++) {
        put_text(out, g_mime_multipart_get_prologue(m->multiparts[i]));
        put_text(out, g_mime_multipart_get_epilogue(m->multiparts[i]));
    }
    return sp_buf_rc(out);
}
