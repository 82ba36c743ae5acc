/*
 * A GMimeStream over a source. GMime keeps parts as bounded substreams of it (persist_stream), so a message of any size
 * costs a few kilobytes. A failure of the source is kept in the view: GMime only knows -1.
 */
#include "mime/mime_priv.h"

struct mime_stream {
    GMimeStream parent;
    struct sp_mime *mime;
};
struct mime_stream_class {
    GMimeStreamClass parent;
};

static GType mime_stream_get_type(void);
static GMimeStream *stream_make(struct sp_mime *m, gint64 start, gint64 end);

static gint64 stream_end(GMimeStream *s)
{
    struct mime_stream *ms = (struct mime_stream *)s;

    return s->bound_end == -1 ? (gint64)ms->mime->source.len : s->bound_end;
}

static ssize_t stream_read(GMimeStream *s, char *buf, size_t len)
{
    struct mime_stream *ms = (struct mime_stream *)s;
    gint64 left = stream_end(s) - s->position;
    enum sp_rc rc;

    if (left <= 0)
        return 0;
    if (len > (size_t)left)
        len = (size_t)left;
    rc = ms->mime->source.read(ms->mime->source.ctx, (uint64_t)s->position, (uint8_t *)buf, len);
    if (rc != SP_OK) {
        if (ms->mime->source_rc == SP_OK)
            ms->mime->source_rc = rc;
        return -1;
    }
    s->position += (gint64)len;
    return (ssize_t)len;
}

static ssize_t stream_write(GMimeStream *s, const char *buf, size_t len)
{
    (void)s;
    (void)buf;
    (void)len;
    return -1;
}

static int stream_nothing(GMimeStream *s)
{
    (void)s;
    return 0;
}

static gboolean stream_eos(GMimeStream *s)
{
    return s->position >= stream_end(s);
}

static int stream_reset(GMimeStream *s)
{
    s->position = s->bound_start;
    return 0;
}

static gint64 stream_seek(GMimeStream *s, gint64 offset, GMimeSeekWhence whence)
{
    gint64 base = whence == GMIME_STREAM_SEEK_SET   ? 0
                  : whence == GMIME_STREAM_SEEK_CUR ? s->position
                                                    : stream_end(s);
    gint64 to = base + offset;

    if (to < s->bound_start || to > stream_end(s))
        return -1;
    s->position = to;
    return to;
}

static gint64 stream_tell(GMimeStream *s)
{
    return s->position;
}

static gint64 stream_length(GMimeStream *s)
{
    return stream_end(s) - s->bound_start;
}

static GMimeStream *stream_substream(GMimeStream *s, gint64 start, gint64 end)
{
    return stream_make(((struct mime_stream *)s)->mime, start, end);
}

static void class_init(gpointer class, gpointer data)
{
    GMimeStreamClass *c = class;

    (void)data;
    c->read = stream_read;
    c->write = stream_write;
    c->flush = stream_nothing;
    c->close = stream_nothing;
    c->eos = stream_eos;
    c->reset = stream_reset;
    c->seek = stream_seek;
    c->tell = stream_tell;
    c->length = stream_length;
    c->substream = stream_substream;
}

/* GObject wants its types registered once a process. */
static GType mime_stream_get_type(void)
{
    static gsize type;

    if (g_once_init_enter(&type)) {
        GType made = g_type_register_static_simple(GMIME_TYPE_STREAM, "SpMimeStream",
                                                   sizeof(struct mime_stream_class), class_init,
                                                   sizeof(struct mime_stream), NULL, 0);

        g_once_init_leave(&type, made);
    }
    return type;
}

static GMimeStream *stream_make(struct sp_mime *m, gint64 start, gint64 end)
{
    struct mime_stream *ms = g_object_new(mime_stream_get_type(), NULL);

    ms->mime = m;
    g_mime_stream_construct(&ms->parent, start, end);
    return &ms->parent;
}

GMimeStream *sp_mime_stream_new(struct sp_mime *m)
{
    return stream_make(m, 0, (gint64)m->source.len);
}
