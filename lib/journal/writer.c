/*
 * Batches and failure. Everything before `at` is synced, always: a batch is written at `at`, synced, and only then does
 * `at` move. A failed write or sync therefore ends the segment at `at`, and reading the rest back would prove nothing
 * (the page cache returns bytes that never reached the disk). The next segment's batches say where this one ends; what
 * was asked for in the failed batch is refused, what has happened is written again there, or waits here until something
 * can be written again: it is never refused, or it would be done twice. Bodies are written from where the caller has
 * them; only heads and metadata are gathered.
 */
#include "journal/writer_priv.h"

#include "base/text.h"

#include <errno.h>
#include <time.h>

enum {
    IOV_COUNT = 2 + SP_BATCH_RECORDS * (1 + SP_JOURNAL_BODIES_MAX),
    WAITING_BATCH = 1024 * 1024,
};

struct sp_writer {
    const struct sp_segment_maker *maker;
    const struct sp_journal_io *io;
    struct sp_log *log;
    uint64_t segment_len;
    uint64_t last;             /* number of the active segment, or of the last there was */
    uint64_t at;               /* its durable end, where the next batch goes */
    struct sp_segment *active; /* lent: NULL until one is activated, and when stopped */
    struct sp_segment *next;
    struct sp_segment *reserve;
    struct sp_aead *record_key;
    struct sp_aead *content_key;
    bool is_empty; /* the active segment, or the last one before a stop, has no durable batch */
    uint64_t prev_end;
    uint64_t batch;
    uint64_t sequence;
    enum sp_journal_state state;
    struct sp_journal_append *waiting; /* has happened, and could not be written yet */
    struct sp_journal_stats stats;
    struct sp_buf heads;
    uint32_t offsets[SP_BATCH_RECORDS];
    struct iovec iov[IOV_COUNT];
};

struct sp_writer *sp_writer_new(const struct sp_segment_maker *maker, struct sp_log *log,
                                uint64_t segment_len, uint64_t last, uint64_t last_end)
{
    struct sp_writer *w = sp_calloc(1, sizeof(*w));

    w->maker = maker;
    w->io = maker->io;
    w->log = log;
    w->segment_len = segment_len;
    w->last = last;
    w->at = last_end;
    w->record_key = sp_aead_new(NULL);
    w->content_key = sp_aead_new(NULL);
    sp_buf_init(&w->heads, SP_BATCH_MAX);
    return w;
}

void sp_writer_free(struct sp_writer *w)
{
    if (w == NULL)
        return;
    sp_segment_drop(w->maker, w->next);
    sp_segment_drop(w->maker, w->reserve);
    sp_aead_free(w->record_key);
    sp_aead_free(w->content_key);
    sp_buf_clear(&w->heads);
    sp_free(w);
}

void sp_writer_give_next(struct sp_writer *w, struct sp_segment *s)
{
    sp_segment_drop(w->maker, w->next);
    w->next = s;
}

void sp_writer_give_reserve(struct sp_writer *w, struct sp_segment *s)
{
    sp_segment_drop(w->maker, w->reserve);
    w->reserve = s;
}

size_t sp_writer_cost(const struct sp_journal_append *a)
{
    size_t len = 4 + SP_RECORD_HEADER + a->meta.len + SP_AEAD_TAG_LEN;

    for (size_t i = 0; i < a->body_count; i++)
        len += SP_WRAPPED_LEN + a->bodies[i].sealed.len;
    return len;
}

/*
 * Makes a spare the active segment. On failure the spare is gone. A segment that failed before anything in it was durable
 * gives up its number and its file, or nobody could tell after a crash where the one before it ends.
 */
static enum sp_rc activate(struct sp_writer *w, struct sp_segment *s, struct sp_commit *out)
{
    uint64_t number = w->is_empty ? w->last : w->last + 1;
    enum sp_rc rc;

    if (out->opened_count == SP_COMMIT_OPENED_MAX) {
        sp_segment_drop(w->maker, s);
        return SP_E_IO;
    }
    rc = sp_segment_number(w->maker, s, number);
    if (rc != SP_OK) {
        sp_log_error(w->log, "journal.segment-refused", SP_INT("segment", number),
                     SP_RC("why", rc));
        sp_segment_drop(w->maker, s);
        return rc;
    }
    if (!w->is_empty)
        w->prev_end = w->at;
    w->is_empty = true;
    w->last = number;
    w->at = SP_BLOCK;
    w->batch = 0;
    w->sequence = 0;
    w->active = s;
    s->prev_end = w->prev_end;
    sp_aead_set_key(w->record_key, &s->record_key);
    sp_aead_set_key(w->content_key, &s->content_key);
    out->opened[out->opened_count++] = s;
    return SP_OK;
}

static void stop(struct sp_writer *w)
{
    w->state = SP_JOURNAL_STOPPED;
    w->active = NULL;
    sp_log_error(w->log, "journal.stopped", SP_INT("segment", w->last));
}

/* Takes up another segment: the spare, a new one (unless it has stopped), or in need the reserve. Sets the state. */
static void rotate(struct sp_writer *w, struct sp_commit *out)
{
    bool had_stopped = w->state == SP_JOURNAL_STOPPED;
    struct sp_segment *fresh = NULL;

    w->state = SP_JOURNAL_OPEN;
    if (w->next != NULL && activate(w, SP_STEAL(w->next), out) == SP_OK)
        return;
    if (!had_stopped && sp_segment_make(w->maker, w->segment_len, false, &fresh) == SP_OK &&
        activate(w, fresh, out) == SP_OK)
        return;
    if (w->reserve != NULL && activate(w, SP_STEAL(w->reserve), out) == SP_OK) {
        w->state = SP_JOURNAL_DRAINING;
        sp_log_error(w->log, "journal.draining", SP_INT("segment", w->last));
        return;
    }
    stop(w);
}

/* Header, wrapped keys and sealed metadata of one record at `to`. returns: their length */
static size_t put_head(struct sp_writer *w, struct sp_journal_append *a, uint8_t *to)
{
    struct sp_record_header h = {.type = a->type, .message = a->message};
    uint8_t context[SP_KEY_CONTEXT_LEN];
    size_t aad_len;
    uint32_t crc;

    h.sequence = ++w->sequence;
    h.body_count = (uint8_t)a->body_count;
    h.meta_len = (uint32_t)(a->meta.len + SP_AEAD_TAG_LEN);
    aad_len = sp_record_aad_len(&h);
    h.len = (uint32_t)aad_len + h.meta_len;
    for (size_t i = 0; i < a->body_count; i++) {
        h.body_len[i] = (uint32_t)a->bodies[i].sealed.len;
        h.len += h.body_len[i];
        sp_record_key_context(h.sequence, i, context);
        sp_crypt_wrap(w->content_key, w->maker->random, sp_bytes(context, sizeof(context)),
                      a->bodies[i].key, to + SP_RECORD_HEADER + i * SP_WRAPPED_LEN);
    }
    sp_record_header_encode(&h, to);
    sp_aead_seal(w->record_key, sp_aead_nonce_of(h.sequence), sp_bytes(to, aad_len), a->meta,
                 to + aad_len);
    crc = sp_crc32c(0, sp_bytes(to, aad_len + h.meta_len));
    for (size_t i = 0; i < a->body_count; i++)
        crc = a->bodies[i].has_crc ? sp_crc32c_join(crc, a->bodies[i].crc, h.body_len[i])
                                   : sp_crc32c(crc, a->bodies[i].sealed);
    sp_record_header_set_crc(to, crc);
    a->place.segment = w->last;
    a->place.len = h.len;
    a->place.sequence = h.sequence;
    return aad_len + h.meta_len;
}

/* Lays a batch out. returns: number of iov entries; *len: the batch's length without padding */
static int lay_out(struct sp_writer *w, struct sp_journal_append *list, bool clean, uint32_t *len)
{
    static const uint8_t zeroes[SP_BLOCK];
    struct sp_batch_header h = {.segment = w->last, .batch = ++w->batch, .durable_to = w->at};
    size_t room = 0;
    size_t from = 0; /* of what lies in heads and no iov entry covers yet */
    size_t pos;
    size_t disk;
    int n = 0;
    uint8_t *heads;

    for (const struct sp_journal_append *a = list; a != NULL; a = a->next) {
        room += SP_RECORD_HEADER + SP_JOURNAL_BODIES_MAX * SP_WRAPPED_LEN + a->meta.len +
                SP_AEAD_TAG_LEN;
        h.count++;
    }
    sp_assert(h.count <= SP_BATCH_RECORDS);
    pos = SP_BATCH_HEADER + 4 * (size_t)h.count;
    disk = pos;
    sp_buf_reset(&w->heads);
    heads = sp_buf_reserve(&w->heads, pos + room);
    sp_assert(heads != NULL);
    h.count = 0;
    for (struct sp_journal_append *a = list; a != NULL; a = a->next) {
        size_t head = put_head(w, a, heads + pos);

        w->offsets[h.count++] = (uint32_t)disk;
        a->place.offset = w->at + disk;
        pos += head;
        disk += head;
        for (size_t i = 0; i < a->body_count; i++) {
            if (a->bodies[i].sealed.len == 0)
                continue;
            if (pos > from)
                w->iov[n++] = (struct iovec){heads + from, pos - from};
            from = pos;
            w->iov[n++] = (struct iovec){(void *)a->bodies[i].sealed.ptr, a->bodies[i].sealed.len};
            disk += a->bodies[i].sealed.len;
        }
    }
    if (pos > from)
        w->iov[n++] = (struct iovec){heads + from, pos - from};
    if (disk % SP_BLOCK != 0)
        w->iov[n++] = (struct iovec){(void *)zeroes, SP_BLOCK - disk % SP_BLOCK};
    memcpy(h.salt, w->active->salt, SP_SALT_LEN);
    h.prev_end = w->prev_end;
    h.flags = clean ? SP_BATCH_CLEAN : 0;
    h.len = (uint32_t)disk;
    sp_batch_header_encode(&h, w->offsets, heads);
    *len = h.len;
    return n;
}

/* Not the journal's clock, which tests set and which knows milliseconds: this is the disk's time. */
static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t sp_journal_sync_step_us(size_t i)
{
    static const int64_t steps[SP_JOURNAL_SYNC_STEPS] = {
        250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000};

    sp_assert(i < SP_JOURNAL_SYNC_STEPS);
    return steps[i];
}

static void note_sync(struct sp_journal_stats *stats, int64_t took_us)
{
    size_t i = 0;

    while (i < SP_JOURNAL_SYNC_STEPS && took_us > sp_journal_sync_step_us(i))
        i++;
    stats->sync_steps[i]++;
    stats->sync_us += (uint64_t)took_us;
}

/* Writes and syncs one batch. returns: 0, and `at` has moved; or -errno, and the segment has ended */
static int write_batch(struct sp_writer *w, struct sp_journal_append *list, bool clean)
{
    uint32_t len;
    int n = lay_out(w, list, clean, &len);
    int64_t began_us = now_us();
    int err = sp_write_fully(w->io, w->active->fd, w->iov, n, (int64_t)w->at);

    if (err == 0)
        err = w->io->sync(w->io->ctx, w->active->fd);
    if (err != 0) {
        w->stats.failures++;
        sp_log_error(w->log, "journal.segment-failed", SP_INT("segment", w->last),
                     SP_INT("end", w->at), SP_INT("errno", -err));
        return err;
    }
    w->at += sp_block_up(len);
    w->is_empty = false;
    note_sync(&w->stats, now_us() - began_us);
    w->stats.syncs++;
    w->stats.batches++;
    w->stats.bytes += len;
    return 0;
}

/* Splits off the appends that may be refused, giving them rc. returns: the others */
static struct sp_journal_append *refuse(struct sp_journal_append *list, enum sp_rc rc,
                                        struct sp_journal_append **refused)
{
    struct sp_journal_append *kept = NULL;
    struct sp_journal_append **kept_end = &kept;
    struct sp_journal_append **refused_end = refused;
    struct sp_journal_append *next;

    while (*refused_end != NULL)
        refused_end = &(*refused_end)->next;
    for (; list != NULL; list = next) {
        struct sp_journal_append ***end =
            list->class == SP_JOURNAL_ASKED ? &refused_end : &kept_end;

        next = list->next;
        list->next = NULL;
        if (list->class == SP_JOURNAL_ASKED)
            list->rc = rc;
        **end = list;
        *end = &list->next;
    }
    return kept;
}

static struct sp_journal_append *join(struct sp_journal_append *a, struct sp_journal_append *b)
{
    struct sp_journal_append **end = &a;

    while (*end != NULL)
        end = &(*end)->next;
    *end = b;
    return a;
}

/* A segment with room for need bytes, in a state that fits. */
static void make_ready(struct sp_writer *w, size_t need, struct sp_commit *out)
{
    bool leave_reserve = w->state == SP_JOURNAL_DRAINING && w->next != NULL;
    bool is_full = w->active != NULL && w->at > SP_BLOCK && w->at + need > w->active->len;
    bool is_better = w->active != NULL && w->next != NULL && w->next->prewritten &&
                     !w->active->prewritten; /* the first after a start, as a rule */

    if (w->state == SP_JOURNAL_STOPPED)
        return;
    if (w->active == NULL || leave_reserve || is_full || is_better)
        rotate(w, out);
}

/* Writes list, and after a failure what has happened of it once more; else that waits. returns: the appends that have ended */
static struct sp_journal_append *write_or_save(struct sp_writer *w, struct sp_journal_append *list,
                                               bool clean, struct sp_commit *out)
{
    struct sp_journal_append *refused = NULL;
    int err;

    if (w->state != SP_JOURNAL_OPEN)
        list = refuse(list, SP_E_JOURNAL_FULL, &refused);
    if (w->state == SP_JOURNAL_STOPPED) {
        w->waiting = join(w->waiting, list);
        return refused;
    }
    err = write_batch(w, list, clean);
    if (err != 0) {
        list = refuse(list, err == -ENOSPC ? SP_E_JOURNAL_FULL : SP_E_JOURNAL_FAILED, &refused);
        rotate(w, out);
        if (w->state == SP_JOURNAL_STOPPED || write_batch(w, list, clean) != 0) {
            if (w->state != SP_JOURNAL_STOPPED)
                stop(w);
            w->waiting = join(list, w->waiting);
            return refused;
        }
    }
    for (struct sp_journal_append *a = list; a != NULL; a = a->next) {
        a->rc = SP_OK;
        w->stats.records++;
    }
    return join(refused, list);
}

/* Takes one batch's worth of what waits. */
static struct sp_journal_append *take_waiting(struct sp_writer *w, size_t *need)
{
    struct sp_journal_append *first = w->waiting;
    struct sp_journal_append **end = &w->waiting;
    size_t count = 0;

    *need = SP_BATCH_HEADER;
    while (*end != NULL && count < SP_BATCH_RECORDS && *need < WAITING_BATCH) {
        *need += sp_writer_cost(*end);
        count++;
        end = &(*end)->next;
    }
    if (first != NULL) {
        struct sp_journal_append *rest = *end;

        *end = NULL;
        w->waiting = rest;
    }
    return first;
}

/* After a stop, if there is a segment again: what waits goes first. */
static void start_again(struct sp_writer *w, struct sp_commit *out)
{
    if (w->state == SP_JOURNAL_STOPPED && (w->next != NULL || w->reserve != NULL)) {
        rotate(w, out);
        if (w->state != SP_JOURNAL_STOPPED)
            sp_log_info(w->log, "journal.goes-on", SP_INT("segment", w->last));
    }
    while (w->waiting != NULL && w->state != SP_JOURNAL_STOPPED) {
        size_t need;
        struct sp_journal_append *list = take_waiting(w, &need);

        make_ready(w, need, out);
        out->appends = join(out->appends, write_or_save(w, list, false, out));
    }
}

struct sp_journal_append *sp_writer_give_up(struct sp_writer *w)
{
    struct sp_journal_append *list = SP_STEAL(w->waiting);

    for (struct sp_journal_append *a = list; a != NULL; a = a->next)
        a->rc = SP_E_JOURNAL_FAILED;
    return list;
}

void sp_writer_commit(struct sp_writer *w, struct sp_journal_append *list, bool clean,
                      struct sp_commit *out)
{
    size_t need = SP_BATCH_HEADER;

    start_again(w, out);
    for (const struct sp_journal_append *a = list; a != NULL; a = a->next)
        need += sp_writer_cost(a);
    make_ready(w, need, out);
    out->appends = join(out->appends, write_or_save(w, list, clean && w->waiting == NULL, out));
    out->segment = w->last;
    out->end = w->at;
    out->state = w->state;
    out->stats = w->stats;
    out->wants_next = w->next == NULL;
    out->wants_reserve = w->reserve == NULL;
}
