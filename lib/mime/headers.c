/* Header fields as readable text: encoded words decoded, folds and control characters gone. */
#include "mime/mime_priv.h"

#include "base/text.h"

/* returns: the length of the character at p if it is valid UTF-8, else 0; p ends with NUL */
static size_t char_len(const char *p)
{
    for (size_t n = 1; n <= 4; n++) {
        if (sp_utf8_is_valid(sp_bytes(p, n)))
            return n;
        if (p[n - 1] == '\0')
            break;
    }
    return 0;
}

void sp_mime_clean(struct sp_buf *out, const char *text)
{
    bool space = false;

    while (*text != '\0') {
        size_t n = char_len(text);
        uint8_t c = (uint8_t)*text;

        if (n <= 1 && (c <= 0x20 || c == 0x7f)) {
            space = true;
        } else {
            if (space && out->len > 0)
                sp_buf_put_u8(out, ' ');
            space = false;
            if (n == 0)
                sp_buf_put_cstr(out, "\xef\xbf\xbd");
            else
                sp_buf_put(out, sp_bytes(text, n));
        }
        text += n == 0 ? 1 : n;
    }
}

/* Appends a raw field value, decoded and cleaned. */
static void put_value(struct sp_buf *out, const char *raw)
{
    char *decoded = g_mime_utils_header_decode_text(NULL, raw);
    struct sp_buf clean;

    sp_buf_init(&clean, out->max);
    sp_mime_clean(&clean, decoded == NULL ? raw : decoded);
    if (clean.failed)
        out->failed = true;
    sp_buf_put(out, sp_buf_bytes(&clean));
    sp_buf_clear(&clean);
    g_free(decoded);
}

enum sp_rc sp_mime_header(const struct sp_mime *m, const char *name, struct sp_buf *out)
{
    GMimeHeaderList *list = g_mime_object_get_header_list(GMIME_OBJECT(m->message));
    GMimeHeader *header = g_mime_header_list_get_header(list, name);
    const char *raw = header == NULL ? NULL : g_mime_header_get_raw_value(header);

    if (raw == NULL)
        return SP_E_NOT_FOUND;
    put_value(out, raw);
    return sp_buf_rc(out);
}

enum sp_rc sp_mime_headers(const struct sp_mime *m, size_t i, struct sp_buf *out)
{
    GMimeObject *object = GMIME_OBJECT(m->message);
    GMimeHeaderList *list;

    if (i != SP_MIME_NONE) {
        sp_assert(i < m->part_count);
        object = m->parts[i].object;
        if (GMIME_IS_MESSAGE_PART(object))
            object = GMIME_OBJECT(g_mime_message_part_get_message(GMIME_MESSAGE_PART(object)));
    }
    if (object == NULL)
        return SP_OK;
    list = g_mime_object_get_header_list(object);
    for (int k = 0; k < g_mime_header_list_get_count(list); k++) {
        GMimeHeader *header = g_mime_header_list_get_header_at(list, k);
        const char *raw = g_mime_header_get_raw_value(header);

        sp_mime_clean(out, g_mime_header_get_name(header));
        sp_buf_put_cstr(out, ": ");
        put_value(out, raw == NULL ? "" : raw);
        sp_buf_put_u8(out, '\n');
    }
    return sp_buf_rc(out);
}
