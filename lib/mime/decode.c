/*
 * A part as bytes or as UTF-8, pulled through GMime's filters. GMime's charset filter writes UTF-8 for what it can read;
 * for text that names no charset, or one that nobody knows, the bytes pass as they are and what is no UTF-8 in them is
 * taken for windows-1252 here, as readers do, so that ASCII survives whatever a sender claims, and names do as a rule.
 */
#include "mime/mime_priv.h"

#include "base/text.h"

#define RAW_LEN 8192
#define OUT_MAX (4 * RAW_LEN) /* each bad byte becomes three */

struct sp_mime_decoder {
    struct sp_mime *mime;
    GMimeStream *stream; /* NULL: nothing to decode */
    enum sp_mime_as as;
    uint8_t raw[RAW_LEN];
    uint8_t pending[4]; /* the beginning of a character */
    size_t pending_len;
    struct sp_buf text; /* checked, not yet handed out */
    bool end;
};

static void add_filter(GMimeStreamFilter *to, GMimeFilter *filter)
{
    if (filter == NULL)
        return;
    g_mime_stream_filter_add(to, filter);
    g_object_unref(filter);
}

/* A fresh bounded stream, since the part's own has one position for all. */
static GMimeStream *open_content(GMimeDataWrapper *content)
{
    GMimeStream *whole = g_mime_data_wrapper_get_stream(content);
    GMimeStream *own;

    if (whole == NULL)
        return NULL;
    own = g_mime_stream_substream(whole, whole->bound_start, whole->bound_end);
    g_mime_stream_reset(own);
    return own;
}

static GMimeStream *open_part(const struct mime_part *p, enum sp_mime_as as)
{
    GMimeDataWrapper *content;
    GMimeStream *own, *filtered;

    if (!GMIME_IS_PART(p->object))
        return NULL;
    content = g_mime_part_get_content(GMIME_PART(p->object));
    own = content == NULL ? NULL : open_content(content);
    if (own == NULL)
        return NULL;
    filtered = g_mime_stream_filter_new(own);
    g_object_unref(own);
    add_filter(GMIME_STREAM_FILTER(filtered),
               g_mime_filter_basic_new(g_mime_data_wrapper_get_encoding(content), FALSE));
    if (as == SP_MIME_AS_UTF8) {
        if (p->pub.charset[0] != '\0' && strcmp(p->pub.charset, "utf-8") != 0 &&
            strcmp(p->pub.charset, "us-ascii") != 0)
            add_filter(GMIME_STREAM_FILTER(filtered),
                       g_mime_filter_charset_new(p->pub.charset, "utf-8"));
        add_filter(GMIME_STREAM_FILTER(filtered), g_mime_filter_dos2unix_new(FALSE));
    }
    return filtered;
}

/* What has been seen of a base 64 text. */
struct base64_seen {
    size_t digits, pads;
    bool is_bad;
};

/* RFC 4648 4: digits, then padding, then nothing; line ends and blanks anywhere. */
static void see_base64(struct base64_seen *seen, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
            continue;
        if (c == '=')
            seen->pads++;
        else if (seen->pads == 0 && (sp_ascii_is_alnum(c) || c == '+' || c == '/'))
            seen->digits++;
        else
            seen->is_bad = true;
    }
}

static bool is_strict_base64(GMimeStream *raw)
{
    struct base64_seen seen = {0};
    uint8_t text[RAW_LEN];
    ssize_t n;

    while ((n = g_mime_stream_read(raw, (char *)text, sizeof(text))) > 0)
        see_base64(&seen, sp_bytes(text, (size_t)n));
    return n == 0 && !seen.is_bad && seen.pads <= 2 && (seen.digits + seen.pads) % 4 == 0;
}

bool sp_mime_part_is_exact(struct sp_mime *m, size_t i)
{
    GMimeDataWrapper *content;
    GMimeStream *raw;
    bool is_exact = false;

    sp_assert(i < m->part_count);
    if (!GMIME_IS_PART(m->parts[i].object))
        return false;
    content = g_mime_part_get_content(GMIME_PART(m->parts[i].object));
    raw = content == NULL ? NULL : open_content(content);
    if (raw == NULL)
        return false;
    switch (g_mime_data_wrapper_get_encoding(content)) {
    case GMIME_CONTENT_ENCODING_BASE64:
        is_exact = is_strict_base64(raw) && m->source_rc == SP_OK;
        break;
    case GMIME_CONTENT_ENCODING_7BIT:
    case GMIME_CONTENT_ENCODING_8BIT:
    case GMIME_CONTENT_ENCODING_BINARY:
        is_exact = true;
        break;
    default: /* none named, quoted-printable, uuencode: nothing that ciphertext needs */
        is_exact = m->parts[i].pub.encoding_known &&
                   g_mime_data_wrapper_get_encoding(content) == GMIME_CONTENT_ENCODING_DEFAULT;
        break;
    }
    g_object_unref(raw);
    return is_exact;
}

struct sp_mime_decoder *sp_mime_decoder_new(struct sp_mime *m, size_t i, enum sp_mime_as as)
{
    struct sp_mime_decoder *d = sp_calloc(1, sizeof(*d));

    sp_assert(i < m->part_count);
    d->mime = m;
    d->as = as;
    d->stream = open_part(&m->parts[i], as);
    sp_buf_init(&d->text, OUT_MAX);
    return d;
}

void sp_mime_decoder_free(struct sp_mime_decoder *d)
{
    if (d == NULL)
        return;
    if (d->stream != NULL)
        g_object_unref(d->stream);
    sp_buf_wipe(&d->text);
    sp_wipe(d, sizeof(*d));
    sp_free(d);
}

static enum sp_rc read_raw(struct sp_mime_decoder *d, uint8_t *out, size_t len, size_t *got)
{
    ssize_t n = d->stream == NULL ? 0 : g_mime_stream_read(d->stream, (char *)out, len);

    if (d->mime->source_rc != SP_OK)
        return d->mime->source_rc;
    if (n < 0)
        return SP_E_MALFORMED;
    *got = (size_t)n;
    return SP_OK;
}

/* Hands on what is whole; of what can't become whole, each byte is a character of windows-1252. */
static void settle(struct sp_mime_decoder *d, bool at_end)
{
    while (d->pending_len > 0) {
        struct sp_bytes pending = sp_bytes(d->pending, d->pending_len);
        size_t len = sp_utf8_step(pending);
        uint8_t c[4];

        if (len == 0 && !at_end && sp_utf8_may_grow(pending))
            return;
        if (len > 0)
            sp_buf_put(&d->text, sp_bytes_slice(pending, 0, len));
        else
            sp_buf_put(&d->text,
                       sp_bytes(c, sp_utf8_encode(sp_windows1252_point(pending.ptr[0]), c)));
        len += len == 0;
        d->pending_len -= len;
        memmove(d->pending, d->pending + len, d->pending_len);
    }
}

static enum sp_rc fill_text(struct sp_mime_decoder *d)
{
    size_t got = 0;
    enum sp_rc rc = read_raw(d, d->raw, sizeof(d->raw), &got);

    if (rc != SP_OK)
        return rc;
    d->end = got == 0;
    for (size_t i = 0; i < got; i++) {
        d->pending[d->pending_len++] = d->raw[i];
        settle(d, false);
    }
    if (d->end)
        settle(d, true);
    return sp_buf_rc(&d->text);
}

enum sp_rc sp_mime_decoder_read(struct sp_mime_decoder *d, uint8_t *out, size_t len, size_t *got)
{
    enum sp_rc rc = SP_OK;

    *got = 0;
    if (d->as == SP_MIME_AS_BYTES)
        return read_raw(d, out, len, got);
    while (d->text.len == 0 && !d->end && rc == SP_OK)
        rc = fill_text(d);
    if (rc != SP_OK)
        return rc;
    *got = len < d->text.len ? len : d->text.len;
    if (*got > 0)
        memcpy(out, d->text.ptr, *got);
    sp_buf_drop(&d->text, *got);
    return SP_OK;
}

enum sp_rc sp_mime_part_text(struct sp_mime *m, size_t i, struct sp_buf *out)
{
    SP_AUTO(sp_mime_decoder) d = sp_mime_decoder_new(m, i, SP_MIME_AS_UTF8);
    uint8_t piece[4096];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    while (got > 0 && rc == SP_OK) {
        rc = sp_mime_decoder_read(d, piece, sizeof(piece), &got);
        if (rc != SP_OK)
            break;
        if (got > out->max - out->len) {
            sp_buf_put(out, sp_bytes(piece, out->max - out->len));
            rc = SP_E_LIMIT;
        } else {
            sp_buf_put(out, sp_bytes(piece, got));
        }
    }
    sp_wipe(piece, sizeof(piece));
    return rc;
}
