/*
 * A segment's records once more, without bodies and evidence, as one sealed piece behind its end: a restart reads this
 * instead of the segment, some hundred bytes a message instead of some thousand. It is written by the disk worker when a
 * segment has been closed for a while, so that mail that is delivered at once never pays for it, and from the file
 * itself, so that nothing is gathered in memory meanwhile and segments of earlier runs get one too. It has a key of its
 * own, derived from the record key, and a random nonce: nothing here can repeat a nonce of the records. Its
 * sync is for speed after a power cut alone: only a whole one opens. A segment with damage gets none, so that each start tells of it.
 */
#include "journal/footer_priv.h"

#include "base/reader.h"
#include "base/text.h"
#include "crypt/hash.h"

#include <errno.h>

#define MAGIC 0x31665053U /* "SPf1" */
enum {
    LAYOUT = 1,
    HEADER_LEN = 4 + 4 + SP_SALT_LEN + 8 + 8 + 8 + 8 + SP_AEAD_NONCE_LEN,
    ROWS_MAX = 64 * 1024 * 1024,
};

struct header {
    uint8_t salt[SP_SALT_LEN];
    uint64_t segment;
    uint64_t end; /* of the segment; where this begins */
    uint64_t len; /* of the sealed rows, with the tag */
    uint64_t count;
    struct sp_aead_nonce nonce;
};

static void put_header(const struct header *h, struct sp_buf *out)
{
    struct sp_buf rest;

    sp_buf_init(&rest, HEADER_LEN);
    sp_buf_put(&rest, sp_bytes(h->salt, SP_SALT_LEN));
    sp_buf_put_u64(&rest, h->segment);
    sp_buf_put_u64(&rest, h->end);
    sp_buf_put_u64(&rest, h->len);
    sp_buf_put_u64(&rest, h->count);
    sp_buf_put(&rest, sp_bytes(h->nonce.b, SP_AEAD_NONCE_LEN));
    sp_buf_put_u32(out, MAGIC);
    sp_buf_put_u32(out, sp_crc32c(0, sp_buf_bytes(&rest)));
    sp_buf_put(out, sp_buf_bytes(&rest));
    sp_buf_clear(&rest);
}

static bool get_header(struct sp_bytes in, struct header *h)
{
    struct sp_reader r = sp_reader(in);
    uint32_t magic = sp_reader_u32(&r);
    uint32_t crc = sp_reader_u32(&r);

    sp_reader_copy(&r, h->salt, SP_SALT_LEN);
    h->segment = sp_reader_u64(&r);
    h->end = sp_reader_u64(&r);
    h->len = sp_reader_u64(&r);
    h->count = sp_reader_u64(&r);
    sp_reader_copy(&r, h->nonce.b, SP_AEAD_NONCE_LEN);
    return sp_reader_end(&r) == SP_OK && magic == MAGIC &&
           crc == sp_crc32c(0, sp_bytes_slice(in, 8, in.len)) && h->len > SP_AEAD_TAG_LEN &&
           h->len <= ROWS_MAX + SP_AEAD_TAG_LEN;
}

static struct sp_aead *key_of(const struct sp_segment *s)
{
    struct sp_secret key;
    struct sp_aead *aead;

    sp_crypt_hkdf(sp_secret_bytes(&s->record_key), SP_LIT("sallyport footer 1"), &key);
    aead = sp_aead_new(&key);
    sp_secret_clear(&key);
    return aead;
}

/* ---- writing ---- */

/* What a walk over the segment gathers. */
struct gathering {
    struct sp_arena *arena;
    struct sp_aead *key;
    struct sp_buf batch;
    struct sp_buf meta;
    struct sp_buf brief;
    struct sp_buf rows;
    uint64_t count;
};

static enum sp_rc put_row(struct gathering *g, const struct sp_journal_entry *e)
{
    enum sp_rc rc;

    sp_buf_reset(&g->brief);
    sp_arena_reset(g->arena);
    rc = sp_record_brief(e->type, e->meta, g->arena, &g->brief);
    if (rc != SP_OK)
        return rc == SP_E_NOT_FOUND ? SP_OK : SP_E_JOURNAL_DAMAGED;
    sp_buf_put_u8(&g->rows, e->type);
    sp_buf_put_u8(&g->rows, e->body_count);
    sp_buf_put(&g->rows, sp_bytes(e->message.b, SP_ID_LEN));
    sp_buf_put_u64(&g->rows, e->place.offset);
    sp_buf_put_u32(&g->rows, e->place.len);
    sp_buf_put_u64(&g->rows, e->place.sequence);
    for (size_t i = 0; i < SP_JOURNAL_BODIES_MAX; i++)
        sp_buf_put_u32(&g->rows, e->body_len[i]);
    sp_buf_put_var(&g->rows, sp_buf_bytes(&g->brief));
    g->count++;
    return sp_buf_rc(&g->rows);
}

static enum sp_rc gather(struct gathering *g, const struct sp_journal_io *io,
                         const struct sp_segment *s)
{
    struct sp_batch_header h;
    struct sp_scan scan;
    uint64_t at;
    enum sp_rc rc;

    sp_scan_init(&scan, io, s);
    while (scan.at < s->end) {
        uint64_t expected = scan.at;

        rc = sp_scan_next(&scan, s->end, &h, &at);
        if (rc == SP_OK && at == expected)
            rc = sp_scan_load(&scan, at, &h, &g->batch);
        else if (rc != SP_E_IO)
            rc = SP_E_JOURNAL_DAMAGED;
        for (uint32_t i = 0; rc == SP_OK && i < h.count; i++) {
            struct sp_scan_record r = {
                .batch = sp_buf_bytes(&g->batch), .header = &h, .batch_at = at, .index = i};
            struct sp_journal_entry e;

            rc = sp_scan_record(&r, g->key, &g->meta, &e);
            if (rc == SP_OK)
                rc = put_row(g, &e);
        }
        if (rc != SP_OK)
            return rc;
    }
    return SP_OK;
}

static int write_at_end(const struct sp_journal_io *io, const struct sp_segment *s,
                        struct sp_bytes data)
{
    struct iovec iov = {(void *)data.ptr, data.len};
    char name[SP_SEGMENT_NAME_MAX];
    int err;
    int fd;

    sp_segment_name(s->number, name);
    fd = io->open(io->ctx, name, SP_IO_OPEN_WRITE);
    if (fd < 0)
        return fd;
    err = sp_write_fully(io, fd, &iov, 1, (int64_t)s->end);
    if (err == 0)
        err = io->sync(io->ctx, fd);
    io->close(io->ctx, fd);
    return err;
}

static enum sp_rc seal_and_write(const struct sp_journal_io *io, const struct sp_segment *s,
                                 const struct gathering *g, const struct sp_random *random)
{
    struct header h = {.segment = s->number,
                       .end = s->end,
                       .len = g->rows.len + SP_AEAD_TAG_LEN,
                       .count = g->count};
    struct sp_aead *key = key_of(s);
    struct sp_buf out;
    uint8_t *to;
    int err;

    memcpy(h.salt, s->salt, SP_SALT_LEN);
    sp_random_fill(random, h.nonce.b, SP_AEAD_NONCE_LEN);
    sp_buf_init(&out, HEADER_LEN + ROWS_MAX + SP_AEAD_TAG_LEN);
    put_header(&h, &out);
    to = sp_buf_reserve(&out, (size_t)h.len);
    sp_assert(to != NULL);
    sp_aead_seal(key, h.nonce, sp_bytes(out.ptr, HEADER_LEN), sp_buf_bytes(&g->rows), to);
    sp_buf_commit(&out, (size_t)h.len);
    err = write_at_end(io, s, sp_buf_bytes(&out));
    sp_buf_clear(&out);
    sp_aead_free(key);
    if (err == 0)
        return SP_OK;
    return err == -ENOSPC || err == -EDQUOT ? SP_E_JOURNAL_FULL : SP_E_IO;
}

enum sp_rc sp_footer_write(const struct sp_journal_io *io, const struct sp_segment *s,
                           const struct sp_random *random)
{
    struct gathering g = {.arena = sp_arena_new(16384), .key = sp_aead_new(&s->record_key)};
    enum sp_rc rc;

    sp_buf_init(&g.batch, SP_BATCH_MAX);
    sp_buf_init(&g.meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    sp_buf_init(&g.brief, SP_RECORD_META_MAX);
    sp_buf_init(&g.rows, ROWS_MAX);
    sp_buf_put_u8(&g.rows, LAYOUT);
    rc = gather(&g, io, s);
    if (rc == SP_OK)
        rc = seal_and_write(io, s, &g, random);
    sp_buf_clear(&g.batch);
    sp_buf_wipe(&g.meta);
    sp_buf_wipe(&g.brief);
    sp_buf_wipe(&g.rows);
    sp_aead_free(g.key);
    sp_arena_free(g.arena);
    return rc;
}

/* ---- reading ---- */

static bool next_row(struct sp_reader *r, const struct sp_segment *s, struct sp_journal_entry *e)
{
    *e = (struct sp_journal_entry){.place.segment = s->number};
    e->type = sp_reader_u8(r);
    e->body_count = sp_reader_u8(r);
    sp_reader_copy(r, e->message.b, SP_ID_LEN);
    e->place.offset = sp_reader_u64(r);
    e->place.len = sp_reader_u32(r);
    e->place.sequence = sp_reader_u64(r);
    for (size_t i = 0; i < SP_JOURNAL_BODIES_MAX; i++)
        e->body_len[i] = sp_reader_u32(r);
    e->meta = sp_reader_var(r, SP_RECORD_META_MAX);
    if (e->body_count > SP_JOURNAL_BODIES_MAX)
        sp_reader_fail(r);
    return sp_reader_rc(r) == SP_OK;
}

/* Walks the rows twice: nothing is given out of what is not wholly understood. */
static enum sp_rc give_out(struct sp_bytes rows, const struct sp_segment *s, uint64_t count,
                           void (*visit)(void *arg, const struct sp_journal_entry *e), void *arg)
{
    for (int pass = 0; pass < 2; pass++) {
        struct sp_reader r = sp_reader(rows);
        struct sp_journal_entry e;

        if (sp_reader_u8(&r) != LAYOUT)
            return SP_E_NOT_FOUND;
        for (uint64_t i = 0; i < count; i++) {
            if (!next_row(&r, s, &e))
                return SP_E_NOT_FOUND;
            if (pass == 1)
                visit(arg, &e);
        }
        if (sp_reader_end(&r) != SP_OK)
            return SP_E_NOT_FOUND;
    }
    return SP_OK;
}

/* Reads and opens the rows. returns: as sp_footer_read */
static enum sp_rc open_rows(const struct sp_journal_io *io, const struct sp_segment *s,
                            const uint8_t *head, const struct header *h, struct sp_buf *rows)
{
    size_t len = (size_t)h->len;
    uint8_t *sealed = sp_malloc(len);
    uint8_t *to = sp_buf_reserve(rows, len - SP_AEAD_TAG_LEN);
    ssize_t n = sp_read_fully(io, s->fd, sealed, len, (int64_t)(h->end + HEADER_LEN));
    enum sp_rc rc = n < 0 ? SP_E_IO : SP_E_NOT_FOUND;

    if (n == (ssize_t)len && to != NULL) {
        struct sp_aead *key = key_of(s);

        if (sp_aead_open(key, h->nonce, sp_bytes(head, HEADER_LEN), sp_bytes(sealed, len), to) ==
            SP_OK) {
            sp_buf_commit(rows, len - SP_AEAD_TAG_LEN);
            rc = SP_OK;
        }
        sp_aead_free(key);
    }
    sp_free(sealed);
    return rc;
}

enum sp_rc sp_footer_read(const struct sp_journal_io *io, const struct sp_segment *s, uint64_t end,
                          void (*visit)(void *arg, const struct sp_journal_entry *e), void *arg)
{
    uint8_t head[HEADER_LEN];
    struct sp_buf rows;
    struct header h;
    ssize_t n = sp_read_fully(io, s->fd, head, sizeof(head), (int64_t)end);
    enum sp_rc rc;

    if (n < 0)
        return SP_E_IO;
    if (!get_header(sp_bytes(head, (size_t)n), &h) || h.segment != s->number || h.end != end ||
        memcmp(h.salt, s->salt, SP_SALT_LEN) != 0)
        return SP_E_NOT_FOUND;
    sp_buf_init(&rows, ROWS_MAX);
    rc = open_rows(io, s, head, &h, &rows);
    if (rc == SP_OK)
        rc = give_out(sp_buf_bytes(&rows), s, h.count, visit, arg);
    sp_buf_wipe(&rows);
    return rc;
}
