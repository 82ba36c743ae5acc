/*
 * Three stretches: a header and the text above, both made here; the message's body, read from the source; the text below
 * and the closing boundary. What the header said of the content (Content-*) becomes the header of the inner part, so
 * whatever the body was, it still is. A message that is signed by its author must not come here: its signature would hold
 * for a part of it only, and the policy keeps such edits from it.
 */
#include "seal/wrap.h"

#include "mail/header.h"
#include "seal/entity.h"

#define HEAD_MAX (SP_SEAL_HEADER_MAX * 2 + 65536)
#define TAIL_MAX 65536

struct sp_seal_wrap {
    struct sp_seal_source source;
    uint64_t body_at;
    struct sp_buf head;
    struct sp_buf tail;
};

static enum sp_rc to_buf(void *ctx, struct sp_bytes data)
{
    sp_buf_put(ctx, data);
    return SP_OK;
}

static bool is_plain(struct sp_bytes text)
{
    size_t line = 0;

    for (size_t i = 0; i < text.len; i++) {
        line = text.ptr[i] == '\n' ? 0 : line + 1;
        if (text.ptr[i] >= 0x7f || line > 900 ||
            (text.ptr[i] < ' ' && text.ptr[i] != '\n' && text.ptr[i] != '\r' &&
             text.ptr[i] != '\t'))
            return false;
    }
    return true;
}

static void put_base64(struct sp_buf *out, struct sp_bytes text)
{
    struct sp_seal_base64 *b = sp_malloc(sizeof(*b));

    sp_seal_base64_init(b, (struct sp_seal_sink){to_buf, out});
    if (sp_seal_base64_feed(b, text) != SP_OK || sp_seal_base64_finish(b) != SP_OK)
        sp_buf_put_cstr(out, ""); /* the sink never fails; the buffer remembers a limit */
    sp_free(b);
}

/* One part of ours, from its boundary to its last line's end. */
static void put_part(struct sp_buf *out, const char *boundary, struct sp_bytes text)
{
    bool plain = is_plain(text);

    sp_buf_printf(out,
                  "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: "
                  "inline\r\nContent-Transfer-Encoding: %s\r\n\r\n",
                  boundary, plain ? "7bit" : "base64");
    if (!plain) {
        put_base64(out, text);
        sp_buf_put_cstr(out, "\r\n");
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n')
            sp_buf_put_cstr(out, "\r\n");
        else if (text.ptr[i] != '\r')
            sp_buf_put_u8(out, text.ptr[i]);
    }
    sp_buf_put_cstr(out, "\r\n");
}

static void put_raw(struct sp_buf *out, const struct sp_field *f)
{
    sp_buf_put(out, f->raw);
    if (!sp_bytes_ends_nocase(f->raw, SP_LIT("\r\n")))
        sp_buf_put_cstr(out, "\r\n");
}

static bool is_8bit(const struct sp_header *h)
{
    struct sp_field f;
    struct sp_bytes token;

    if (!sp_header_find(h, SP_LIT("Content-Transfer-Encoding"), 0, &f))
        return false;
    token = sp_field_token(&f);
    return sp_bytes_eq_nocase(token, SP_LIT("8bit")) || sp_bytes_eq_nocase(token, SP_LIT("binary"));
}

static void put_head(struct sp_seal_wrap *w, const struct sp_header *h, const char *boundary,
                     struct sp_bytes above)
{
    struct sp_field f;

    for (size_t at = 0; sp_header_next(h, &at, &f);)
        if (!sp_field_is_content(&f) && !sp_field_is(&f, SP_LIT("MIME-Version")))
            put_raw(&w->head, &f);
    sp_buf_printf(&w->head,
                  "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"%s\"\r\n",
                  boundary);
    if (is_8bit(h))
        sp_buf_put_cstr(&w->head, "Content-Transfer-Encoding: 8bit\r\n");
    sp_buf_put_cstr(&w->head, "\r\n");
    if (above.len > 0)
        put_part(&w->head, boundary, above);
    sp_buf_printf(&w->head, "--%s\r\n", boundary);
    for (size_t at = 0; sp_header_next(h, &at, &f);)
        if (sp_field_is_content(&f))
            put_raw(&w->head, &f);
    sp_buf_put_cstr(&w->head, "\r\n");
}

static enum sp_rc plan(struct sp_seal_wrap *w, struct sp_bytes start, struct sp_bytes above,
                       struct sp_bytes below)
{
    char boundary[SP_SEAL_BOUNDARY_LEN];
    struct sp_header h;
    enum sp_rc rc = sp_header_parse(start, start.len == w->source.len, &h);

    if (rc != SP_OK)
        return rc;
    sp_seal_boundary(boundary);
    put_head(w, &h, boundary, above);
    w->body_at = h.body_at;
    sp_buf_put_cstr(&w->tail, "\r\n");
    if (below.len > 0)
        put_part(&w->tail, boundary, below);
    sp_buf_printf(&w->tail, "--%s--\r\n", boundary);
    if (sp_buf_rc(&w->head) != SP_OK || sp_buf_rc(&w->tail) != SP_OK)
        return SP_E_HEADER_LIMIT;
    return SP_OK;
}

enum sp_rc sp_seal_wrap_new(struct sp_seal_source source, struct sp_bytes above,
                            struct sp_bytes below, struct sp_seal_wrap **out, struct sp_err *err)
{
    SP_AUTO(sp_seal_wrap) w = sp_calloc(1, sizeof(*w));
    size_t len = source.len < SP_SEAL_HEADER_MAX ? (size_t)source.len : SP_SEAL_HEADER_MAX;
    uint8_t *start = sp_malloc(len + 1);
    enum sp_rc rc;

    w->source = source;
    sp_buf_init(&w->head, HEAD_MAX);
    sp_buf_init(&w->tail, TAIL_MAX);
    rc = source.read(source.ctx, 0, start, len);
    if (rc == SP_OK)
        rc = plan(w, sp_bytes(start, len), above, below);
    sp_wipe(start, len);
    sp_free(start);
    if (rc != SP_OK)
        return sp_fail(err, rc, "no text can be put beside the message");
    *out = SP_STEAL(w);
    return SP_OK;
}

void sp_seal_wrap_free(struct sp_seal_wrap *w)
{
    if (w == NULL)
        return;
    sp_buf_wipe(&w->head);
    sp_buf_wipe(&w->tail);
    sp_free(w);
}

/* The part of a stretch that lies in the range. returns: how many bytes of it were taken */
static size_t take(struct sp_bytes stretch, uint64_t at, uint8_t *out, size_t len)
{
    size_t n = at < stretch.len ? (size_t)(stretch.len - at) : 0;

    n = n < len ? n : len;
    if (n > 0)
        memcpy(out, stretch.ptr + at, n);
    return n;
}

static enum sp_rc read_wrap(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct sp_seal_wrap *w = ctx;
    uint64_t body_len = w->source.len - w->body_at;
    uint8_t *out = buf;
    size_t n = take(sp_buf_bytes(&w->head), offset, out, len);
    uint64_t at = offset + n - w->head.len; /* in the body, once the head is passed */
    enum sp_rc rc = SP_OK;

    if (n < len && at < body_len) {
        size_t part = body_len - at < len - n ? (size_t)(body_len - at) : len - n;

        rc = w->source.read(w->source.ctx, w->body_at + at, out + n, part);
        n += part;
        at += part;
    }
    if (n < len && rc == SP_OK)
        n += take(sp_buf_bytes(&w->tail), at - body_len, out + n, len - n);
    return rc == SP_OK && n < len ? SP_E_CONTENT_TRUNCATED : rc;
}

struct sp_seal_source sp_seal_wrap_source(struct sp_seal_wrap *w)
{
    return (struct sp_seal_source){
        .read = read_wrap,
        .len = w->head.len + (w->source.len - w->body_at) + w->tail.len,
        .ctx = w,
    };
}
