/*
 * Reading one record again by its place: delivery and lists want the metadata, sending wants the body's key. Only as much
 * is read as the metadata needs; its GCM tag proves it, the CRC over the body is recovery's.
 */
#include "journal/journal_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>

enum { HEAD_READ = 4096 /* covers the metadata of most records */ };

/* Reads a record up to the end of its metadata into buf. */
static enum sp_rc read_head(const struct sp_journal *j, const struct sp_segment *s,
                            const struct sp_journal_place *at, struct sp_buf *buf,
                            struct sp_record_header *h)
{
    size_t want = at->len < HEAD_READ ? at->len : HEAD_READ;
    size_t need;

    for (;;) {
        uint8_t *to = sp_buf_reserve(buf, want);
        ssize_t n = to == NULL
                        ? -EFBIG
                        : sp_read_fully(j->o.io, s->fd, to, want, (int64_t)(at->offset + buf->len));

        if (n < 0)
            return SP_E_IO;
        sp_buf_commit(buf, (size_t)n);
        if (sp_record_header_decode(sp_buf_bytes(buf), h) != SP_OK || h->len != at->len ||
            h->sequence != at->sequence)
            return SP_E_JOURNAL_DAMAGED;
        need = sp_record_aad_len(h) + h->meta_len;
        if (buf->len >= need)
            return SP_OK;
        if ((size_t)n < want)
            return SP_E_JOURNAL_DAMAGED;
        want = need - buf->len;
    }
}

enum sp_rc sp_journal_read(struct sp_journal *j, const struct sp_journal_place *at,
                           struct sp_buf *meta, struct sp_journal_entry *entry)
{
    const struct sp_segment *s = sp_journal_segment_find(j, at->segment);
    struct sp_record_header h;
    struct sp_buf buf;
    size_t from = meta->len;
    enum sp_rc rc;

    if (s == NULL)
        return SP_E_NOT_FOUND;
    if (j->key_segment != s->number) {
        sp_aead_set_key(j->key, &s->record_key);
        j->key_segment = s->number;
    }
    sp_buf_init(&buf, SP_RECORD_META_MAX + HEAD_READ);
    rc = read_head(j, s, at, &buf, &h);
    if (rc == SP_OK && sp_record_open(j->key, sp_buf_bytes(&buf), &h, meta) != SP_OK)
        rc = SP_E_JOURNAL_DAMAGED;
    sp_buf_clear(&buf);
    if (rc != SP_OK)
        return rc;
    *entry = (struct sp_journal_entry){
        .type = h.type,
        .message = h.message,
        .place = *at,
        .meta = sp_bytes(meta->ptr + from, meta->len - from),
        .body_count = h.body_count,
        .body_len = {h.body_len[0], h.body_len[1]},
    };
    return SP_OK;
}

void sp_journal_content_key_drop(struct sp_journal *j)
{
    static const struct sp_secret none;

    sp_aead_set_key(j->content, &none);
    j->content_segment = 0;
}

enum sp_rc sp_journal_body(struct sp_journal *j, const struct sp_journal_place *at, size_t which,
                           struct sp_journal_body_place *out)
{
    const struct sp_segment *s = sp_journal_segment_find(j, at->segment);
    uint8_t head[SP_RECORD_HEADER + SP_JOURNAL_BODIES_MAX * SP_WRAPPED_LEN];
    uint8_t context[SP_KEY_CONTEXT_LEN];
    struct sp_record_header h;
    ssize_t n;
    enum sp_rc rc;

    if (s == NULL)
        return SP_E_NOT_FOUND;
    if (s->is_keyless)
        return SP_E_CRYPT_AUTH;
    n = sp_read_fully(j->o.io, s->fd, head, sizeof(head), (int64_t)at->offset);
    if (n < 0)
        return SP_E_IO;
    if (sp_record_header_decode(sp_bytes(head, (size_t)n), &h) != SP_OK || h.len != at->len ||
        which >= h.body_count || (size_t)n < sp_record_aad_len(&h))
        return SP_E_JOURNAL_DAMAGED;
    sp_record_key_context(h.sequence, which, context);
    if (j->content_segment != s->number) {
        sp_aead_set_key(j->content, &s->content_key);
        j->content_segment = s->number;
    }
    rc = sp_crypt_unwrap(j->content, sp_bytes(context, sizeof(context)),
                         sp_bytes(head + SP_RECORD_HEADER + which * SP_WRAPPED_LEN, SP_WRAPPED_LEN),
                         &out->key);
    if (rc != SP_OK)
        return rc;
    out->offset = at->offset + sp_record_body_offset(&h, which);
    out->fd = -1;
    if (h.body_len[which] > 0) {
        out->fd = SP_FAULT("journal.dup") ? -1 : fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
        if (out->fd < 0) {
            sp_secret_clear(&out->key);
            return SP_E_IO;
        }
    }
    return SP_OK;
}
