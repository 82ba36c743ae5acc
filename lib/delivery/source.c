/*
 * A copy's bytes. What was received goes out byte for byte; only private fields (Bcc, a tenant's secret, Exchange's
 * internal ones) are cut out, by range, which the audit then tells ("unchanged": false). Almost every header lies in
 * the first chunk; only where it does not, it is copied together to be looked at.
 */
#include "delivery/source.h"

#include "mail/trace.h"

static enum sp_rc add_cut(struct sp_source *s, const struct sp_field *f)
{
    struct sp_source_cut *last = s->cut_count > 0 ? &s->cuts[s->cut_count - 1] : NULL;

    s->removed += f->raw.len;
    if (last != NULL && last->at + last->len == f->at) {
        last->len += f->raw.len;
        return SP_OK;
    }
    if (s->cut_count == SP_SOURCE_CUTS_MAX)
        return SP_E_HEADER_LIMIT;
    s->cuts[s->cut_count++] = (struct sp_source_cut){f->at, f->raw.len};
    return SP_OK;
}

static enum sp_rc cut_fields(struct sp_source *s, const struct sp_header *h)
{
    enum sp_rc rc = SP_OK;
    struct sp_field f;
    size_t at = 0;

    while (rc == SP_OK && sp_header_next(h, &at, &f))
        if (sp_trace_is_private(&f, SP_LIT("")))
            rc = add_cut(s, &f);
    return rc;
}

/* The header does not end in the first chunk. */
static enum sp_rc scan_long_header(struct sp_source *s)
{
    uint8_t *start = sp_malloc(SP_HEADER_MAX);
    struct sp_header h;
    size_t got = 0;
    enum sp_rc rc = sp_content_read(s->reader, 0, start, SP_HEADER_MAX, &got);

    if (rc == SP_OK)
        rc = sp_header_parse(sp_bytes(start, got), got == s->len, &h);
    if (rc == SP_OK)
        rc = cut_fields(s, &h);
    sp_wipe(start, SP_HEADER_MAX);
    sp_free(start);
    return rc;
}

static enum sp_rc scan_header(struct sp_source *s)
{
    struct sp_bytes first;
    struct sp_header h;
    enum sp_rc rc = sp_content_view(s->reader, 0, &first);

    if (rc != SP_OK || first.len == 0)
        return rc;
    if (sp_header_parse(first, first.len == s->len, &h) == SP_OK &&
        (h.has_blank || first.len == s->len))
        return cut_fields(s, &h);
    return scan_long_header(s);
}

enum sp_rc sp_source_open(struct sp_source *s, const struct sp_content *content,
                          struct sp_bytes prefix, bool as_is)
{
    enum sp_rc rc = SP_OK;

    memset(s, 0, sizeof(*s));
    s->prefix = prefix;
    s->len = content->len;
    s->reader = sp_content_reader_new(content);
    if (!as_is)
        rc = scan_header(s);
    return rc;
}

void sp_source_clear(struct sp_source *s)
{
    sp_content_reader_free(s->reader);
    memset(s, 0, sizeof(*s));
}

void sp_source_rewind(struct sp_source *s)
{
    s->prefix_done = false;
    s->at = 0;
    s->next_cut = 0;
}

uint64_t sp_source_total(const struct sp_source *s)
{
    return s->prefix.len + s->len - s->removed;
}

bool sp_source_is_at_end(const struct sp_source *s)
{
    return s->prefix_done && s->at >= s->len;
}

enum sp_rc sp_source_next(struct sp_source *s, struct sp_bytes *out)
{
    uint64_t stop = s->len;
    enum sp_rc rc;

    *out = SP_LIT("");
    if (!s->prefix_done) {
        s->prefix_done = true;
        if (s->prefix.len > 0) {
            *out = s->prefix;
            return SP_OK;
        }
    }
    while (s->next_cut < s->cut_count && s->cuts[s->next_cut].at == s->at)
        s->at += s->cuts[s->next_cut++].len;
    if (s->next_cut < s->cut_count)
        stop = s->cuts[s->next_cut].at;
    if (s->at >= s->len)
        return SP_OK;
    rc = sp_content_view(s->reader, s->at, out);
    if (rc == SP_OK && out->len == 0)
        rc = SP_E_CONTENT_TRUNCATED;
    if (rc != SP_OK)
        return rc;
    if (s->at + out->len > stop)
        out->len = (size_t)(stop - s->at);
    s->at += out->len;
    return SP_OK;
}
