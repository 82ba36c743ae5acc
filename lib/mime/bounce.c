/*
 * Only the machine's own part counts: the first message/delivery-status of a multipart/report. The words around it, the
 * subject and the sender say nothing that could be relied on, in hundreds of languages. A report without that part is a mail
 * like any other: passed on, and no address is left alone for it.
 */
#include "mime/bounce.h"

#define STATUS_MAX (256 * 1024)
#define FIELD_MAX  256

static bool is_auto(const struct sp_mime *m)
{
    struct sp_buf value;
    bool is = false;

    sp_buf_init(&value, FIELD_MAX);
    if (sp_mime_header(m, "Auto-Submitted", &value) == SP_OK)
        is = !sp_bytes_starts_nocase(sp_bytes_trim(sp_buf_bytes(&value)), SP_LIT("no"));
    sp_buf_clear(&value);
    return is;
}

static bool is_type(const char *type, const char *wanted)
{
    return sp_bytes_eq_nocase(sp_bytes_cstr(type), sp_bytes_cstr(wanted));
}

void sp_mime_bounce_read(const struct sp_mime_source *source, struct sp_mime_bounce *out)
{
    SP_AUTO(sp_mime) m = NULL;
    struct sp_err err;

    *out = (struct sp_mime_bounce){.said_count = 0};
    sp_buf_init(&out->text, STATUS_MAX);
    if (sp_mime_open(source, NULL, &m, &err) != SP_OK)
        return;
    out->is_auto = is_auto(m);
    if (!is_type(sp_mime_type(m), "multipart/report"))
        return;
    for (size_t i = 0; i < sp_mime_part_count(m); i++) {
        const struct sp_mime_part *part = sp_mime_part_get(m, i);

        if (part->depth > 1 || (!is_type(part->type, "message/delivery-status") &&
                                !is_type(part->type, "message/global-delivery-status")))
            continue;
        if (sp_mime_part_text(m, i, &out->text) == SP_OK)
            out->said_count = sp_dsn_read(sp_buf_bytes(&out->text), out->said, SP_DSN_READ_MAX);
        return;
    }
}

void sp_mime_bounce_clear(struct sp_mime_bounce *b)
{
    sp_buf_clear(&b->text);
}
