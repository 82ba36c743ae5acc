/*
 * Two walks. The first reads batch headers only: the first one of each segment says where the one before ends, whatever
 * lies behind; where nobody says so, all of a segment's say how far it was durable. The second reads the footer of each
 * segment, or without one every record: a broken one below the durable end is damage and told as such; at or above it is
 * a tail that nobody was promised, and dropped. Between the two the last segment's intact tail is written and synced: it
 * will be relied upon, and may so far be in the page cache alone.
 */
#include "journal/recover_priv.h"

#include "journal/footer_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LOST_MAX                                                                                   \
    10000 /* segments in a row: more can't have been lost, and a number is a stranger's */

/* Gives out a stretch that could not be read. */
static void tell_damage(const struct sp_journal_options *o, struct sp_journal_entry *e,
                        struct sp_journal_recovery *found)
{
    found->damaged++;
    sp_log_error(o->log, "journal.damaged", SP_INT("segment", e->place.segment),
                 SP_INT("offset", e->place.offset), SP_ID("message", &e->message));
    if (o->on_entry != NULL)
        o->on_entry(o->arg, e);
}

/* Gives out the records of one loaded batch. */
static void read_batch(const struct sp_journal_options *o, struct sp_scan_record *at,
                       struct sp_aead *key, uint64_t durable, struct sp_journal_recovery *found)
{
    struct sp_journal_entry e;
    struct sp_buf meta;

    sp_buf_init(&meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    for (at->index = 0; at->index < at->header->count; at->index++) {
        if (sp_scan_record(at, key, &meta, &e) == SP_OK) {
            found->records++;
            if (o->on_entry != NULL)
                o->on_entry(o->arg, &e);
        } else if (at->batch_at < durable) {
            tell_damage(o, &e, found);
        } else {
            found->dropped++;
        }
    }
    sp_buf_clear(&meta);
}

/* Gives out all records of a segment before `end`. */
static enum sp_rc read_segment(const struct sp_journal_options *o, const struct sp_segment *s,
                               uint64_t durable, uint64_t end, struct sp_journal_recovery *found)
{
    struct sp_batch_header h;
    struct sp_scan scan;
    struct sp_buf buf;
    struct sp_aead *key = sp_aead_new(&s->record_key);
    uint64_t expected = SP_BLOCK;
    uint64_t at;
    enum sp_rc rc;

    sp_buf_init(&buf, SP_BATCH_MAX);
    sp_scan_init(&scan, o->io, s);
    while ((rc = sp_scan_next(&scan, end, &h, &at)) == SP_OK) {
        struct sp_scan_record record = {.header = &h, .batch_at = at};

        if (at > expected && expected < durable) {
            struct sp_journal_entry gap = {.damaged = true,
                                           .place = {.segment = s->number, .offset = expected}};

            tell_damage(o, &gap, found);
        }
        rc = sp_scan_load(&scan, at, &h, &buf);
        if (rc != SP_OK)
            break;
        record.batch = sp_buf_bytes(&buf);
        read_batch(o, &record, key, durable, found);
        expected = scan.at;
    }
    if (rc == SP_E_NOT_FOUND && expected < durable) {
        struct sp_journal_entry gap = {.damaged = true,
                                       .place = {.segment = s->number, .offset = expected}};

        tell_damage(o, &gap, found);
    }
    sp_buf_clear(&buf);
    sp_aead_free(key);
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

/*
 * The batch behind what is known to be durable: the last one, as the next would have said how far the sync had come. It
 * may have been acknowledged, and is whole then; else it goes as a whole, or what is left of it would look like damage
 * once a later segment says that this one is durable up to there.
 */
static enum sp_rc judge_tail(struct sp_recover_work *w, const struct sp_segment *s,
                             const struct sp_scan_summary *sum, uint64_t *end)
{
    enum sp_rc rc;

    if (sum->end <= sum->durable)
        return SP_OK;
    rc = sp_scan_check(w->m->io, s, sum->last);
    if (rc == SP_E_JOURNAL_DAMAGED) {
        *end = sum->last;
        w->r->found.dropped++;
        return SP_OK;
    }
    return rc;
}

/*
 * Makes the tail durable that is going to be relied upon. Its bytes are written over by themselves first: after a sync
 * that failed the page cache takes them for written, and a sync alone would do nothing and say that all is well.
 */
static enum sp_rc settle_tail(const struct sp_recover_work *w, const struct sp_segment *s,
                              uint64_t from, uint64_t end)
{
    const struct sp_journal_io *io = w->m->io;
    size_t len = end > from ? (size_t)(end - from) : 0;
    char name[SP_SEGMENT_NAME_MAX];
    struct iovec iov = {NULL, len};
    ssize_t n;
    int err;
    int fd;

    if (len == 0 || w->o->read_only)
        return SP_OK;
    sp_segment_name(s->number, name);
    fd = io->open(io->ctx, name, SP_IO_OPEN_WRITE);
    if (fd < 0)
        return SP_E_IO;
    iov.iov_base = sp_malloc(len);
    n = sp_read_fully(io, fd, iov.iov_base, len, (int64_t)from);
    err = n < 0 ? (int)n : 0;
    if (err == 0) {
        void *bytes = iov.iov_base;

        iov.iov_len = (size_t)n;
        err = sp_write_fully(io, fd, &iov, 1, (int64_t)from);
        iov.iov_base = bytes;
    }
    sp_free(iov.iov_base);
    if (err == 0)
        err = io->sync(io->ctx, fd);
    io->close(io->ctx, fd);
    return err == 0 ? SP_OK : SP_E_IO;
}

/* Those whose key is gone are no part of the log any more. */
static void set_gone_aside(struct sp_recovered *r)
{
    size_t kept = 0;

    r->gone = sp_calloc(r->count + 1, sizeof(struct sp_segment *));
    for (size_t i = 0; i < r->count; i++) {
        if (r->segments[i]->is_gone)
            r->gone[r->gone_count++] = r->segments[i];
        else
            r->segments[kept++] = r->segments[i];
    }
    r->count = kept;
}

/* Whether the next segment says where the i-th ends. */
static bool is_told(const struct sp_recover_work *w, size_t i)
{
    const struct sp_recovered *r = w->r;

    return i + 1 < r->count && w->sums[i + 1].any && w->sums[i + 1].prev_end >= SP_BLOCK &&
           r->segments[i + 1]->number == r->segments[i]->number + 1;
}

/* Where the i-th segment ends, and how far it is durable. */
static enum sp_rc find_end(struct sp_recover_work *w, size_t i, uint64_t *end, uint64_t *durable)
{
    const struct sp_recovered *r = w->r;
    enum sp_rc rc;

    if (is_told(w, i)) {
        *durable = *end = w->sums[i + 1].prev_end;
        return SP_OK;
    }
    rc = sp_scan_summary(w->m->io, r->segments[i], &w->sums[i]);
    *end = w->sums[i].end;
    *durable = w->sums[i].durable;
    if (r->segments[i]->is_headless) { /* what was acknowledged of it, nobody can tell */
        *durable = *end;
        return rc;
    }
    if (rc != SP_OK || r->segments[i]->is_gone)
        return rc;
    rc = judge_tail(w, r->segments[i], &w->sums[i], end);
    return rc == SP_OK ? settle_tail(w, r->segments[i], *durable, *end) : rc;
}

static void on_row(void *arg, const struct sp_journal_entry *e)
{
    struct sp_recover_work *w = arg;

    w->r->found.records++;
    if (w->o->on_entry != NULL)
        w->o->on_entry(w->o->arg, e);
}

/* The i-th segment's records: by its footer, or one by one. */
static enum sp_rc give_out(struct sp_recover_work *w, size_t i, uint64_t end, uint64_t durable)
{
    struct sp_segment *s = w->r->segments[i];
    enum sp_rc rc = SP_E_NOT_FOUND;

    if (is_told(w, i) && (!w->o->read_only || w->o->by_footers) && !s->is_headless)
        rc = sp_footer_read(w->m->io, s, end, on_row, w);
    if (rc == SP_E_IO) /* nothing was given out yet: the records themselves may be readable */
        rc = SP_E_NOT_FOUND;
    s->is_footed = rc == SP_OK;
    w->r->found.footers += rc == SP_OK;
    s->is_footed |= s->is_headless;
    if (rc != SP_E_NOT_FOUND)
        return rc;
    if (is_told(w, i)) {
        rc = sp_scan_summary(w->m->io, s, &w->sums[i]);
        if (rc != SP_OK)
            return rc;
        if (w->sums[i].end > end)
            w->r->found.dropped++;
    }
    return read_segment(w->o, s, durable, end, &w->r->found);
}

/* Something is lost of which there is no record left that would name a message. */
static void tell_lost(struct sp_recover_work *w, uint64_t number, uint64_t offset)
{
    struct sp_journal_entry lost = {.damaged = true,
                                    .place = {.segment = number, .offset = offset}};

    tell_damage(w->o, &lost, &w->r->found);
}

/*
 * Whether its owner has let go of it while we looked. Keys go oldest first and before files: then the keyring, read once more, names
 * none so old.
 */
static bool has_ended(const struct sp_recover_work *w, uint64_t number)
{
    return w->o->read_only && sp_keyring_reload(w->m->keyring, NULL) == SP_OK &&
           sp_keyring_next(w->m->keyring, 0) > number;
}

/* Files that are not there between the i-th segment and the one before. A number that had one is not given again. */
static enum sp_rc tell_lost_before(struct sp_recover_work *w, size_t i)
{
    struct sp_recovered *r = w->r;
    const struct sp_segment *last = i == 0 ? NULL : r->segments[i - 1];
    uint64_t after =
        last == NULL || last->is_gone ? 0 : last->number; /* one that goes proves nothing */
    uint64_t before = i == r->count ? 0 : r->segments[i]->number;
    uint64_t at = last == NULL ? 0 : last->number;

    if (after != 0 && before > after + LOST_MAX)
        return sp_fail(w->err, SP_E_JOURNAL_DAMAGED,
                       "between segments %" PRIu64 " and %012" PRIu64
                       ".seg there is none: one of the two is not of this log; move that away",
                       after, before);
    while ((at = sp_segment_lost(w->m, after, before, at)) != 0) {
        if (has_ended(w, at))
            continue;
        tell_lost(w, at, 0);
        r->found.clean = false;
        r->last = at;
        r->last_end = 0;
    }
    return SP_OK;
}

/* Where each segment ends, then all records. A last one that holds nothing after all gives its number back. */
static enum sp_rc read_all(struct sp_recover_work *w)
{
    struct sp_recovered *r = w->r;
    enum sp_rc rc;

    for (size_t i = 0; i < r->count; i++) {
        struct sp_segment *s = r->segments[i];
        uint64_t end;
        uint64_t durable;

        rc = tell_lost_before(w, i);
        if (rc != SP_OK)
            return rc;
        rc = find_end(w, i, &end, &durable);
        if (rc == SP_OK && !s->is_gone)
            rc = give_out(w, i, end, durable);
        if (rc != SP_OK)
            return sp_fail(w->err, rc, "segment %" PRIu64 " can't be read or synced", s->number);
        s->end = end;
        s->len = end;
        if (end == SP_BLOCK && !is_told(w, i) && !s->is_gone && sp_recover_is_emptied(w, s)) {
            tell_lost(w, s->number, SP_BLOCK);
            end = 0; /* not known: nobody is to take it for one that held nothing */
            s->is_footed = true;
        } else if (end == SP_BLOCK && i + 1 == r->count) {
            sp_recover_remove(w->o, s->number);
            sp_keyring_remove(w->m->keyring, s->salt);
            sp_segment_free(w->m->io, s);
            r->count--;
            break;
        }
        r->last = s->number;
        r->last_end = end;
        r->found.clean = w->sums[i].clean;
        if (end != SP_BLOCK && !s->is_gone)
            sp_recover_name(w, s);
    }
    rc = tell_lost_before(w, r->count);
    set_gone_aside(r);
    r->found.segments = r->count;
    r->found.first = sp_keyring_next(w->m->keyring, 0);
    if (r->count > 0 && (r->found.first == 0 || r->segments[0]->number < r->found.first))
        r->found.first = r->segments[0]->number;
    return rc;
}

static bool is_kept(void *arg, const uint8_t *salt)
{
    const struct sp_recovered *r = arg;

    for (size_t i = 0; i < r->count; i++)
        if (memcmp(r->segments[i]->salt, salt, SP_SALT_LEN) == 0)
            return true;
    return false;
}

/* One of the generation before, or of which only one of two is whole, is written anew. */
static void renew_keyring(struct sp_recover_work *w)
{
    struct sp_keyring *k = w->m->keyring;
    bool is_saved;

    w->r->found.copies += sp_keyring_is_torn(k);
    if (sp_keyring_is_torn(k))
        sp_log_warn(w->o->log, "journal.keyring-copy");
    if (w->o->read_only || (!sp_keyring_is_torn(k) && !sp_keyring_is_old(k)))
        return;
    is_saved = sp_keyring_save(k) == SP_OK;
    w->r->found.renewed = is_saved && sp_keyring_is_old(k);
    if (!is_saved) /* goes on all the same: what there is opens it */
        sp_log_error(w->o->log, "journal.keyring-not-renewed");
}

enum sp_rc sp_recover(const struct sp_journal_options *o, const struct sp_segment_maker *m,
                      struct sp_recovered *out, struct sp_err *err)
{
    struct sp_recover_work w = {.o = o, .m = m, .r = out, .err = err};
    enum sp_rc rc;

    *out = (struct sp_recovered){.found = {.clean = true}};
    sp_buf_init(&w.l.spares, 1024 * 1024);
    rc = sp_recover_gather(&w);
    if (rc == SP_OK && !w.is_headless && !o->read_only)
        sp_keyring_keep(m->keyring, is_kept, out);
    if (rc == SP_OK)
        renew_keyring(&w);
    if (rc == SP_OK)
        rc = read_all(&w);
    sp_free(w.sums);
    sp_free(w.l.numbers);
    sp_buf_clear(&w.l.spares);
    return rc;
}

enum sp_rc sp_journal_durable_end(const struct sp_journal_io *io,
                                  const struct sp_secret *record_kek, uint64_t number,
                                  uint64_t *end)
{
    struct sp_segment *s = NULL;
    enum sp_rc rc = sp_segment_open(io, record_kek, number, &s);

    if (rc != SP_OK)
        return rc;
    rc = sp_scan_durable_end(io, s, end);
    sp_segment_free(io, s);
    return rc;
}
