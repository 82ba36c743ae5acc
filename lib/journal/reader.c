/*
 * The ledger's reader. It trusts three sources for how far a segment is durable: a batch header's durable_to (the writer
 * had synced so far when it wrote that), the next segment's prev_end (final: nothing behind it counts), and what the
 * relay tells. It keeps one batch in memory, of large records their heads alone: metadata are proved by GCM, and a damaged
 * body is for whoever sends it to find.
 */
#include "journal/reader.h"

#include "journal/recover_priv.h"

#include <errno.h>

struct sp_journal_reader {
    const struct sp_journal_io *io;
    struct sp_secret record_kek;
    struct sp_journal_cursor cursor;
    struct sp_segment *segment; /* NULL: none open yet */
    struct sp_aead *key;
    struct sp_scan scan;
    struct sp_batch_header header; /* of the batch in buf */
    uint64_t batch_at;
    uint32_t index; /* of the next record in it */
    struct sp_buf buf;
    struct sp_buf meta;
    uint64_t limit;   /* this segment is durable up to here */
    bool limit_final; /* and nothing follows */
    uint64_t told_segment;
    uint64_t told_end;
};

struct sp_journal_reader *sp_journal_reader_new(const struct sp_journal_io *io,
                                                const struct sp_secret *record_kek,
                                                const struct sp_journal_cursor *from)
{
    struct sp_journal_reader *r = sp_calloc(1, sizeof(*r));

    r->io = io;
    r->record_kek = *record_kek;
    r->cursor = *from;
    r->key = sp_aead_new(NULL);
    sp_buf_init(&r->buf, SP_BATCH_MAX);
    sp_buf_init(&r->meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    return r;
}

void sp_journal_reader_free(struct sp_journal_reader *r)
{
    if (r == NULL)
        return;
    sp_segment_free(r->io, r->segment);
    sp_secret_clear(&r->record_kek);
    sp_aead_free(r->key);
    sp_buf_clear(&r->buf);
    sp_buf_wipe(&r->meta);
    sp_free(r);
}

void sp_journal_reader_tell(struct sp_journal_reader *r, uint64_t segment, uint64_t end)
{
    if (segment > r->told_segment || (segment == r->told_segment && end > r->told_end)) {
        r->told_segment = segment;
        r->told_end = end;
    }
}

void sp_journal_reader_trim(struct sp_journal_reader *r)
{
    if (r->index >= r->header.count)
        sp_buf_clear(&r->buf);
    sp_buf_wipe(&r->meta);
}

size_t sp_journal_reader_bytes(const struct sp_journal_reader *r)
{
    return r->buf.cap + r->meta.cap;
}

uint64_t sp_journal_reader_behind(const struct sp_journal_reader *r)
{
    uint64_t here = r->limit > r->cursor.offset ? r->limit - r->cursor.offset : 0;

    if (r->told_segment > r->cursor.segment)
        return here + r->told_end;
    return r->told_segment == r->cursor.segment && r->told_end > r->cursor.offset
               ? r->told_end - r->cursor.offset
               : 0;
}

struct sp_journal_cursor sp_journal_reader_cursor(const struct sp_journal_reader *r)
{
    return r->cursor;
}

struct lowest {
    uint64_t least; /* numbers below do not count */
    uint64_t found; /* 0: none */
};

static void on_name(void *arg, const char *name)
{
    struct lowest *l = arg;
    uint64_t number;

    if (sp_segment_name_parse(name, &number) && number >= l->least &&
        (l->found == 0 || number < l->found))
        l->found = number;
}

/* Opens the first segment there is from `least` on. */
static enum sp_rc open_from(struct sp_journal_reader *r, uint64_t least)
{
    struct lowest l = {.least = least == 0 ? 1 : least};
    struct sp_segment *s = NULL;
    enum sp_rc rc;

    if (r->io->list(r->io->ctx, ".", on_name, &l) != 0)
        return SP_E_IO;
    if (l.found == 0)
        return SP_E_NOT_FOUND;
    rc = sp_segment_open(r->io, &r->record_kek, l.found, &s);
    if (rc == SP_E_JOURNAL_DAMAGED) /* told once; the next call begins behind it */
        r->cursor = (struct sp_journal_cursor){l.found + 1, SP_BLOCK};
    if (rc != SP_OK)
        return rc;
    sp_segment_free(r->io, r->segment);
    r->segment = s;
    sp_aead_set_key(r->key, &s->record_key);
    sp_scan_init(&r->scan, r->io, s);
    if (r->cursor.segment != s->number)
        r->cursor = (struct sp_journal_cursor){s->number, SP_BLOCK};
    r->header.count = 0;
    r->index = 0;
    r->limit = SP_BLOCK;
    r->limit_final = false;
    return SP_OK;
}

static void raise_limit(struct sp_journal_reader *r, uint64_t to)
{
    if (to > r->limit)
        r->limit = to;
}

/* This segment has ended, and nobody can tell where: as a recovery sees it. */
static enum sp_rc judge_end(struct sp_journal_reader *r)
{
    uint64_t end;
    enum sp_rc rc = sp_scan_durable_end(r->io, r->segment, &end);

    if (rc == SP_OK) {
        r->limit = end;
        r->limit_final = true;
    }
    return rc;
}

/*
 * Asks the next segment, if there is one with a batch in it, where this one ends. Its batches say so also without its header.
 * If it is lost, or nothing of it can be found, the relay has been writing to a later one.
 */
static enum sp_rc ask_next_segment(struct sp_journal_reader *r)
{
    uint64_t number = r->segment->number + 1;
    struct sp_segment *next = NULL;
    struct sp_batch_header h = {0};
    struct sp_scan scan;
    uint64_t at;
    enum sp_rc rc = sp_segment_open(r->io, &r->record_kek, number, &next);

    if (rc == SP_E_JOURNAL_DAMAGED)
        rc = sp_segment_open_headless(r->io, number, &next);
    if (rc == SP_OK) {
        sp_scan_init(&scan, r->io, next);
        rc = sp_scan_next(&scan, 2 * SP_BLOCK, &h, &at);
    }
    sp_segment_free(r->io, next);
    if (rc == SP_OK && h.prev_end >= SP_BLOCK) {
        r->limit = h.prev_end;
        r->limit_final = true;
        return SP_OK;
    }
    if (rc == SP_OK || (rc == SP_E_NOT_FOUND && r->told_segment > number))
        return judge_end(r);
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

/* Learns how far the segment is durable by now. */
static enum sp_rc refresh_limit(struct sp_journal_reader *r)
{
    struct sp_scan ahead = r->scan;
    struct sp_batch_header h;
    uint64_t at;

    if (r->limit_final)
        return SP_OK;
    if (r->told_segment == r->segment->number)
        raise_limit(r, r->told_end);
    /* The batch at the cursor says nothing of itself; the one behind it does. */
    for (int i = 0; i < 2 && r->limit <= r->scan.at; i++) {
        if (sp_scan_next(&ahead, ahead.at + 1, &h, &at) != SP_OK)
            break;
        raise_limit(r, h.durable_to);
    }
    return r->limit > r->scan.at ? SP_OK : ask_next_segment(r);
}

/* Goes on to the next segment; one whose header can't be read is told once. */
static enum sp_rc open_next(struct sp_journal_reader *r, struct sp_journal_entry *out)
{
    uint64_t least = r->segment == NULL ? r->cursor.segment : r->segment->number + 1;
    enum sp_rc rc = open_from(r, least > r->cursor.segment ? least : r->cursor.segment);

    if (rc == SP_E_JOURNAL_DAMAGED)
        *out =
            (struct sp_journal_entry){.damaged = true, .place = {.segment = r->cursor.segment - 1}};
    return rc;
}

/* Loads the next durable batch. returns: SP_OK, SP_E_NOT_FOUND, SP_E_JOURNAL_DAMAGED, SP_E_IO */
static enum sp_rc load_batch(struct sp_journal_reader *r, struct sp_journal_entry *out)
{
    uint64_t expected = r->scan.at;
    struct sp_scan before;
    enum sp_rc rc;

    if (r->scan.at >= r->limit) {
        rc = refresh_limit(r);
        if (rc != SP_OK)
            return rc;
    }
    if (r->scan.at >= r->limit) {
        if (r->limit_final && r->cursor.offset > r->limit) { /* more was durable once */
            r->cursor.offset = r->limit;
            *out = (struct sp_journal_entry){
                .damaged = true, .place = {.segment = r->segment->number, .offset = r->limit}};
            return SP_E_JOURNAL_DAMAGED;
        }
        if (r->limit_final)
            return open_next(r, out);
        if (r->scan.at ==
            SP_BLOCK) { /* nothing in it yet: another file may still take its number */
            sp_segment_free(r->io, r->segment);
            r->segment = NULL;
        }
        return SP_E_NOT_FOUND;
    }
    before = r->scan;
    rc = sp_scan_next(&r->scan, r->limit, &r->header, &r->batch_at);
    if (rc == SP_E_NOT_FOUND) { /* nothing readable up to where it is durable */
        r->scan.at = r->limit;
        r->header.count = 0;
    } else if (rc == SP_OK) {
        rc = sp_scan_load_heads(&r->scan, r->batch_at, &r->header, &r->buf);
        r->index = 0;
    }
    if (rc ==
        SP_E_IO) { /* the next call begins where this one did: what can't be read now is not damage */
        r->scan = before;
        r->header.count = 0;
        return rc;
    }
    if (rc != SP_OK || r->batch_at > expected) {
        *out = (struct sp_journal_entry){
            .damaged = true, .place = {.segment = r->segment->number, .offset = expected}};
        return SP_E_JOURNAL_DAMAGED;
    }
    return SP_OK;
}

/* The next record of the batch in memory; SP_E_NOT_FOUND behind its last. */
static enum sp_rc next_in_batch(struct sp_journal_reader *r, struct sp_journal_entry *out)
{
    while (r->index < r->header.count) {
        struct sp_scan_record at = {.batch = sp_buf_bytes(&r->buf),
                                    .header = &r->header,
                                    .batch_at = r->batch_at,
                                    .index = r->index++,
                                    .heads_only = true};
        enum sp_rc rc = sp_scan_record(&at, r->key, &r->meta, out);

        if (out->place.offset < r->cursor.offset) /* given out before */
            continue;
        r->cursor.offset = out->place.offset + 1;
        return rc;
    }
    return SP_E_NOT_FOUND;
}

enum sp_rc sp_journal_reader_next(struct sp_journal_reader *r, struct sp_journal_entry *out)
{
    enum sp_rc rc;

    if (r->segment == NULL) {
        rc = open_next(r, out);
        if (rc != SP_OK)
            return rc;
    }
    do {
        rc = next_in_batch(r, out);
        if (rc != SP_E_NOT_FOUND)
            return rc;
        rc = load_batch(r, out);
    } while (rc == SP_OK);
    return rc;
}
