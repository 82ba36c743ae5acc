/*
 * A walk goes from header to header by their lengths, and where there is none, from block to block: so it passes torn
 * and damaged stretches, stale batches of a file's earlier life (another salt), and the zeroes of a prewritten end.
 */
#include "journal/scan_priv.h"

enum {
    WINDOW = 64 * 1024,
    WHOLE_MAX = 16 * 1024, /* a record up to this is read whole: cheaper than one call more */
    HEAD = 4096,           /* covers the metadata of most records */
};

void sp_scan_init(struct sp_scan *s, const struct sp_journal_io *io,
                  const struct sp_segment *segment)
{
    *s = (struct sp_scan){.io = io, .segment = segment, .at = SP_BLOCK};
}

/* Whether a header belongs to this segment, behind the batches seen. */
static bool is_next(const struct sp_scan *s, const struct sp_batch_header *h)
{
    return memcmp(h->salt, s->segment->salt, SP_SALT_LEN) == 0 &&
           h->segment == s->segment->number && h->batch > s->batch;
}

/* Looks at each block of one window. returns: SP_OK if a header was found, SP_E_NOT_FOUND */
static enum sp_rc search(const struct sp_scan *s, struct sp_bytes window, struct sp_batch_header *h,
                         size_t *found)
{
    for (size_t off = 0; off < window.len; off += SP_BLOCK) {
        struct sp_bytes block = sp_bytes_slice(window, off, SP_BLOCK);

        if (sp_batch_header_decode(block, h) == SP_OK && is_next(s, h)) {
            *found = off;
            return SP_OK;
        }
    }
    return SP_E_NOT_FOUND;
}

enum sp_rc sp_scan_next(struct sp_scan *s, uint64_t limit, struct sp_batch_header *h, uint64_t *at)
{
    uint8_t *window = sp_malloc(WINDOW);
    size_t want = SP_BLOCK; /* as a rule the next header is where it should be */
    enum sp_rc rc = SP_E_NOT_FOUND;

    while (rc == SP_E_NOT_FOUND && s->at < limit) {
        size_t found = 0;
        ssize_t n = sp_read_fully(s->io, s->segment->fd, window, want, (int64_t)s->at);

        if (n < 0)
            rc = SP_E_IO;
        if (n <= 0)
            break;
        rc = search(s, sp_bytes(window, (size_t)n), h, &found);
        if (rc == SP_OK && s->at + found >= limit)
            rc = SP_E_NOT_FOUND;
        if (rc == SP_OK) {
            *at = s->at + found;
            s->batch = h->batch;
            s->at = *at + sp_block_up(h->len);
        } else {
            s->at += want;
            want = WINDOW;
        }
    }
    sp_free(window);
    return rc;
}

enum sp_rc sp_scan_load(const struct sp_scan *s, uint64_t at, const struct sp_batch_header *h,
                        struct sp_buf *buf)
{
    uint8_t *to;
    ssize_t n;

    sp_buf_reset(buf);
    to = sp_buf_reserve(buf, h->len);
    if (to == NULL)
        return SP_E_MALFORMED;
    n = sp_read_fully(s->io, s->segment->fd, to, h->len, (int64_t)at);
    if (n < 0)
        return SP_E_IO;
    memset(to + n, 0, h->len - (size_t)n); /* what the file lacks is damage, record by record */
    sp_buf_commit(buf, h->len);
    return SP_OK;
}

/* Reads a range of the batch to its place in buf. What the file lacks is damage, record by record. */
static enum sp_rc load_range(const struct sp_scan *s, uint64_t at, uint8_t *batch, size_t from,
                             size_t to)
{
    ssize_t n = sp_read_fully(s->io, s->segment->fd, batch + from, to - from, (int64_t)(at + from));

    if (n < 0)
        return SP_E_IO;
    memset(batch + from + n, 0, to - from - (size_t)n);
    return SP_OK;
}

/* How much of a large record has its metadata, once its first HEAD bytes are there. */
static size_t head_len(struct sp_bytes record)
{
    struct sp_record_header h;
    size_t len = HEAD;

    if (sp_record_header_decode(record, &h) == SP_OK)
        len = sp_record_aad_len(&h) + h.meta_len;
    return len < record.len ? len : record.len;
}

enum sp_rc sp_scan_load_heads(const struct sp_scan *s, uint64_t at, const struct sp_batch_header *h,
                              struct sp_buf *buf)
{
    size_t from = 0; /* of the run to be read next: the batch's header and records that touch */
    size_t to = SP_BATCH_HEADER + 4 * (size_t)h->count;
    struct sp_bytes batch;
    struct sp_bytes record;
    uint8_t *room;
    enum sp_rc rc;

    sp_buf_reset(buf);
    room = sp_buf_reserve(buf, h->len);
    if (room == NULL)
        return SP_E_MALFORMED;
    rc = load_range(s, at, room, 0, to); /* where the records lie */
    batch = sp_bytes(room, h->len);
    from = to;
    for (uint32_t i = 0; rc == SP_OK && i < h->count; i++) {
        size_t begin, end;

        if (sp_batch_record(batch, h, i, &record) != SP_OK)
            continue; /* told as damage when it is looked at */
        begin = (size_t)(record.ptr - room);
        end = begin + (record.len <= WHOLE_MAX ? record.len : HEAD);
        if (begin != to) {
            rc = load_range(s, at, room, from, to);
            from = begin;
        }
        to = end;
        if (rc == SP_OK && record.len > WHOLE_MAX) {
            rc = load_range(s, at, room, from, to);
            from = to;
            to = begin + head_len(record);
            to = to < from ? from : to;
        }
    }
    if (rc == SP_OK)
        rc = load_range(s, at, room, from, to);
    sp_buf_commit(buf, h->len);
    return rc;
}

enum sp_rc sp_scan_record(const struct sp_scan_record *r, struct sp_aead *key, struct sp_buf *meta,
                          struct sp_journal_entry *out)
{
    struct sp_record_header h;
    struct sp_bytes record;

    *out = (struct sp_journal_entry){
        .damaged = true,
        .place = {.segment = r->header->segment, .offset = r->batch_at},
    };
    if (sp_batch_record(r->batch, r->header, r->index, &record) != SP_OK)
        return SP_E_JOURNAL_DAMAGED;
    out->place.offset = r->batch_at + (uint64_t)(record.ptr - r->batch.ptr);
    out->place.len = (uint32_t)record.len;
    if (sp_record_header_decode(record, &h) != SP_OK)
        return SP_E_JOURNAL_DAMAGED;
    out->type = h.type;
    out->message = h.message;
    out->place.sequence = h.sequence;
    sp_buf_reset(meta);
    if (h.len != record.len || (!r->heads_only && !sp_record_is_intact(record, &h)) ||
        sp_record_open(key, record, &h, meta) != SP_OK)
        return SP_E_JOURNAL_DAMAGED;
    out->meta = sp_buf_bytes(meta);
    out->body_count = h.body_count;
    memcpy(out->body_len, h.body_len, sizeof(out->body_len));
    out->damaged = false;
    return SP_OK;
}

enum sp_rc sp_scan_first(const struct sp_journal_io *io, const struct sp_segment *segment,
                         struct sp_scan_summary *out)
{
    struct sp_batch_header h;
    struct sp_scan s;
    uint64_t at;
    enum sp_rc rc;

    *out = (struct sp_scan_summary){.durable = SP_BLOCK, .last = SP_BLOCK, .end = SP_BLOCK};
    sp_scan_init(&s, io, segment);
    rc = sp_scan_next(&s, UINT64_MAX, &h, &at);
    out->any = rc == SP_OK;
    if (out->any)
        out->prev_end = h.prev_end;
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

enum sp_rc sp_scan_summary(const struct sp_journal_io *io, const struct sp_segment *segment,
                           struct sp_scan_summary *out)
{
    struct sp_batch_header h;
    struct sp_scan s;
    uint64_t at;
    enum sp_rc rc;

    *out = (struct sp_scan_summary){.durable = SP_BLOCK, .last = SP_BLOCK, .end = SP_BLOCK};
    sp_scan_init(&s, io, segment);
    while ((rc = sp_scan_next(&s, UINT64_MAX, &h, &at)) == SP_OK) {
        if (!out->any)
            out->prev_end = h.prev_end;
        out->any = true;
        if (h.durable_to > out->durable)
            out->durable = h.durable_to;
        out->last = at;
        out->end = at + sp_block_up(h.len);
        out->clean = (h.flags & SP_BATCH_CLEAN) != 0;
    }
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

enum sp_rc sp_scan_check(const struct sp_journal_io *io, const struct sp_segment *segment,
                         uint64_t at)
{
    struct sp_aead *key = sp_aead_new(&segment->record_key);
    struct sp_batch_header h;
    struct sp_journal_entry e;
    struct sp_scan s;
    struct sp_buf batch;
    struct sp_buf meta;
    uint64_t found;
    enum sp_rc rc;

    sp_buf_init(&batch, SP_BATCH_MAX);
    sp_buf_init(&meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    sp_scan_init(&s, io, segment);
    s.at = at;
    rc = sp_scan_next(&s, at + 1, &h, &found);
    if (rc == SP_OK)
        rc = sp_scan_load(&s, found, &h, &batch);
    for (uint32_t i = 0; rc == SP_OK && i < h.count; i++) {
        struct sp_scan_record r = {
            .batch = sp_buf_bytes(&batch), .header = &h, .batch_at = found, .index = i};

        rc = sp_scan_record(&r, key, &meta, &e);
    }
    sp_buf_clear(&batch);
    sp_buf_wipe(&meta);
    sp_aead_free(key);
    return rc == SP_OK || rc == SP_E_IO ? rc : SP_E_JOURNAL_DAMAGED;
}

enum sp_rc sp_scan_durable_end(const struct sp_journal_io *io, const struct sp_segment *segment,
                               uint64_t *end)
{
    struct sp_scan_summary sum;
    enum sp_rc rc = sp_scan_summary(io, segment, &sum);

    *end = sum.durable;
    if (rc != SP_OK || sum.end <= sum.durable)
        return rc;
    rc = sp_scan_check(io, segment, sum.last); /* the last batch: no later one says of it */
    if (rc == SP_OK)
        *end = sum.end;
    return rc == SP_E_JOURNAL_DAMAGED ? SP_OK : rc;
}
