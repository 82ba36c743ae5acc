/*
 * Header edits, and the copy that is made for them alone. Every field that no edit names keeps its bytes; a subject whose
 * tag goes is written anew from its decoded text, since the tag may hide in an encoded word.
 */
#include "seal/edit_priv.h"

#include "mail/compose.h"
#include "mail/trace.h"

#define SUBJECT_MAX (64U * 1024U)
#define PIECE       (64U * 1024U)

bool sp_seal_is_among(const struct sp_field *f, const struct sp_bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sp_field_is(f, names[i]))
            return true;
    return false;
}

bool sp_seal_is_stripped(const struct sp_field *f, const struct sp_seal_options *options)
{
    return sp_trace_is_private(f, (struct sp_bytes){NULL, 0}) ||
           sp_seal_is_among(f, options->strip, options->strip_count);
}

/* Raw fields end with CRLF, but for a message that ends in its header without one. */
static void put_raw(struct sp_buf *out, const struct sp_field *f)
{
    sp_buf_put(out, f->raw);
    if (!sp_bytes_ends_nocase(f->raw, SP_LIT("\r\n")))
        sp_buf_put_cstr(out, "\r\n");
}

/* The subject's text without "[tag] ". returns: false if it has no tag, or can't be written anew */
static bool put_untagged(struct sp_buf *out, const struct sp_field *f)
{
    struct sp_buf text, rest;
    struct sp_compose compose;
    struct sp_bytes all, tag;
    size_t from, to;
    bool done = false;

    sp_buf_init(&text, SUBJECT_MAX);
    sp_buf_init(&rest, SUBJECT_MAX);
    sp_field_text(f, &text);
    all = sp_buf_bytes(&text);
    tag = sp_subject_tag(all);
    if (sp_buf_rc(&text) == SP_OK && tag.len > 0) {
        from = (size_t)(tag.ptr - all.ptr) - 1; /* its bracket */
        to = from + tag.len + 2;
        while (to < all.len && all.ptr[to] == ' ')
            to++;
        sp_buf_put(&rest, sp_bytes_slice(all, 0, from));
        sp_buf_put(&rest, sp_bytes_slice(all, to, SIZE_MAX));
        sp_compose_init(&compose, out);
        sp_compose_text_field(&compose, "Subject", sp_bytes_trim(sp_buf_bytes(&rest)));
        done = sp_compose_end(&compose) == SP_OK;
    }
    sp_buf_wipe(&text);
    sp_buf_wipe(&rest);
    return done;
}

void sp_seal_put_field(struct sp_buf *out, const struct sp_field *f,
                       const struct sp_seal_options *options)
{
    if (!options->strip_tag || !sp_field_is(f, SP_LIT("Subject")) || !put_untagged(out, f))
        put_raw(out, f);
}

enum sp_rc sp_seal_put_added(struct sp_buf *out, const struct sp_seal_options *options)
{
    struct sp_compose compose;

    sp_compose_init(&compose, out);
    for (size_t i = 0; i < options->add_count; i++) {
        char *name = sp_strdup_bytes(options->add[i].name);

        if (strlen(name) != options->add[i].name.len || strpbrk(name, " :\t\r\n") != NULL)
            compose.rc = compose.rc == SP_OK ? SP_E_SMTP_INJECTION : compose.rc;
        else
            sp_compose_text_field(&compose, name, options->add[i].value);
        sp_free(name);
    }
    return sp_compose_end(&compose);
}

static enum sp_rc edit(struct sp_bytes start, bool whole, const struct sp_seal_options *options,
                       struct sp_buf *out, uint64_t *body_at)
{
    struct sp_header h;
    struct sp_field f;
    enum sp_rc rc = sp_header_parse(start, whole, &h);

    if (rc == SP_OK)
        rc = sp_seal_put_added(out, options);
    if (rc != SP_OK)
        return rc;
    for (size_t at = 0; sp_header_next(&h, &at, &f);)
        if (!sp_seal_is_stripped(&f, options))
            sp_seal_put_field(out, &f, options);
    sp_buf_put_cstr(out, "\r\n");
    *body_at = h.body_at;
    return sp_buf_rc(out) == SP_OK ? SP_OK : SP_E_HEADER_LIMIT;
}

/* The bytes from at on to the sink. */
static enum sp_rc copy_rest(const struct sp_seal_source *source, uint64_t at, uint8_t *piece,
                            struct sp_seal_sink *out)
{
    enum sp_rc rc = SP_OK;

    while (rc == SP_OK && at < source->len) {
        size_t len = source->len - at < PIECE ? (size_t)(source->len - at) : PIECE;

        rc = source->read(source->ctx, at, piece, len);
        if (rc == SP_OK)
            rc = sp_seal_write(out, sp_bytes(piece, len));
        at += len;
    }
    return rc;
}

enum sp_rc sp_seal_copy(struct sp_seal_source source, const struct sp_seal_options *options,
                        struct sp_seal_sink out, struct sp_err *err)
{
    size_t len = source.len < SP_SEAL_HEADER_MAX ? (size_t)source.len : SP_SEAL_HEADER_MAX;
    uint8_t *piece = sp_malloc(len < PIECE ? PIECE : len);
    uint64_t body_at = 0;
    struct sp_buf header;
    enum sp_rc rc = source.read(source.ctx, 0, piece, len);

    sp_buf_init(&header, SP_SEAL_HEADER_MAX * 2);
    if (rc == SP_OK)
        rc = edit(sp_bytes(piece, len), len == source.len, options, &header, &body_at);
    if (rc == SP_OK)
        rc = sp_seal_write(&out, sp_buf_bytes(&header));
    if (rc == SP_OK)
        rc = copy_rest(&source, body_at, piece, &out);
    sp_wipe(piece, len < PIECE ? PIECE : len);
    sp_free(piece);
    sp_buf_wipe(&header);
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "the message could not be copied");
}
