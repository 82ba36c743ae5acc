/*
 * Segments that nobody needs any more, in three stages: their keys leave the keyring, durably; what they held is told (and
 * stands in the log before anything else happens); then the files go, oldest first, the folder synced for each. So a key whose loss was
 * told is gone for good, and after a crash in between the file without a key is still there to be told of. A stage that
 * fails, on a full disk as a rule, is tried again with the spares' timer.
 */
#include "journal/journal_priv.h"

#include <errno.h>

enum { NOTES_MAX = 64 * 1024 * 1024 };

/* Asks on_going about every record with a body in a segment. */
static void take_notes(struct sp_forget *f, size_t which)
{
    struct sp_batch_header h;
    struct sp_scan scan;
    struct sp_buf batch;
    struct sp_buf meta;
    struct sp_aead *key = sp_aead_new(&f->segments[which]->record_key);
    uint64_t at;

    sp_buf_init(&batch, SP_BATCH_MAX);
    sp_buf_init(&meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    sp_scan_init(&scan, f->maker->io, f->segments[which]);
    while (sp_scan_next(&scan, f->segments[which]->end, &h, &at) == SP_OK &&
           sp_scan_load_heads(&scan, at, &h, &batch) == SP_OK) {
        struct sp_scan_record r = {
            .batch = sp_buf_bytes(&batch), .header = &h, .batch_at = at, .heads_only = true};
        struct sp_journal_entry e;

        for (; r.index < h.count; r.index++)
            if (sp_scan_record(&r, key, &meta, &e) == SP_OK && e.body_count > 0)
                f->o->on_going(f->o->arg, &e, &f->notes[which]);
    }
    sp_buf_clear(&batch);
    sp_buf_wipe(&meta);
    sp_aead_free(key);
}

static bool forget_keys(struct sp_forget *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!f->noted && f->o->on_going != NULL)
            take_notes(f, i);
        sp_keyring_remove(f->maker->keyring, f->segments[i]->salt);
    }
    sp_keyring_remove_to(f->maker->keyring, f->to);
    f->noted = true;
    return sp_keyring_save(f->maker->keyring) == SP_OK;
}

/* The last descriptor of a removed file takes its pages with it, some milliseconds of work: not the loop's. */
static void close_removed(const struct sp_journal_io *io, struct sp_segment *s)
{
    if (s->fd >= 0)
        io->close(io->ctx, s->fd);
    s->fd = -1;
}

/*
 * Oldest first, each durably: one that is back after a crash has those behind it that went with it, and what is told of it
 * is what was told before.
 */
static bool remove_files(struct sp_forget *f)
{
    const struct sp_journal_io *io = f->maker->io;
    char name[SP_SEGMENT_NAME_MAX];

    for (size_t i = 0; i < f->count; i++) {
        int rc;

        sp_segment_name(f->segments[i]->number, name);
        rc = io->unlink(io->ctx, name);
        if ((rc != 0 && rc != -ENOENT) || io->sync_folder(io->ctx, ".") != 0)
            return false;
        close_removed(io, f->segments[i]);
    }
    return true;
}

/* thread: the disk worker's, if there is one */
static void run(void *arg)
{
    struct sp_forget *f = arg;

    f->ok = f->stage == SP_FORGET_KEYS ? forget_keys(f) : remove_files(f);
}

/* first: number of the oldest segment that stays; 0: none does. Behind an older keyring it may be one before those that go. */
static struct sp_forget *forget_new(struct sp_journal *j, struct sp_segment **segments,
                                    size_t count, uint64_t first)
{
    struct sp_forget *f = sp_calloc(1, sizeof(*f));

    sp_journal_content_key_drop(j);
    f->journal = j;
    f->maker = &j->maker;
    f->o = &j->o;
    f->count = count;
    f->to = segments[count - 1]->number;
    if (first != 0 && first <= f->to)
        f->to = first - 1;
    f->segments = sp_calloc(count, sizeof(struct sp_segment *));
    memcpy(f->segments, segments, count * sizeof(struct sp_segment *));
    f->notes = sp_calloc(count, sizeof(*f->notes));
    f->told = sp_calloc(count, sizeof(*f->told));
    for (size_t i = 0; i < count; i++)
        sp_buf_init(&f->notes[i], NOTES_MAX);
    return f;
}

/* All but the struct itself. */
static void clear(const struct sp_journal_io *io, struct sp_forget *f)
{
    for (size_t i = 0; i < f->count; i++) {
        sp_buf_wipe(&f->notes[i]);
        sp_segment_free(io, f->segments[i]);
    }
    sp_free(f->segments);
    sp_free(f->notes);
    sp_free(f->told);
}

/* Says what has gone. Those asked may answer at once, or later by sp_journal_told. */
static void tell(struct sp_journal *j, struct sp_forget *f)
{
    f->stage = SP_FORGET_TELLING;
    f->running = true; /* no answer goes on from within */
    for (size_t i = 0; i < f->count && j->o.on_noted != NULL; i++)
        j->o.on_noted(j->o.arg, f->segments[i]->number, sp_buf_bytes(&f->notes[i]));
    for (size_t i = 0; i < f->count; i++) {
        if (j->o.on_gone == NULL)
            f->told[i] = true;
        else
            j->o.on_gone(j->o.arg, f->segments[i]->number, sp_buf_bytes(&f->notes[i]));
    }
    f->running = false;
}

static bool all_told(const struct sp_forget *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (!f->told[i])
            return false;
    return true;
}

/* A stage has ended. returns: whether the next can begin at once */
static bool stage_ended(struct sp_journal *j, struct sp_forget *f)
{
    f->running = false;
    if (!f->ok)
        return false;
    if (f->stage == SP_FORGET_KEYS) {
        tell(j, f);
        return true;
    }
    j->forget = NULL;
    clear(j->o.io, f);
    sp_free(f);
    return false;
}

static void done(void *arg)
{
    struct sp_forget *f = arg;
    struct sp_journal *j = f->journal;

    if (j == NULL) { /* closed meanwhile */
        sp_free(f);
        return;
    }
    if (!f->ok)
        sp_timer_start(j->retry, SP_JOURNAL_RETRY_MS);
    if (stage_ended(j, f))
        sp_forget_go_on(j);
    if (j->forget == NULL)
        sp_journal_forget(j, j->needed); /* may have moved meanwhile */
}

void sp_forget_go_on(struct sp_journal *j)
{
    struct sp_forget *f = j->forget;

    while (f != NULL && !f->running) {
        if (f->stage == SP_FORGET_TELLING && !all_told(f))
            return;
        if (f->stage == SP_FORGET_TELLING)
            f->stage = SP_FORGET_FILES;
        if (j->o.loop != NULL && j->worker == NULL)
            return; /* closing */
        f->running = true;
        if (j->worker != NULL) {
            sp_worker_submit(j->worker, run, done, f);
            return;
        }
        run(f);
        if (!stage_ended(j, f) && j->forget != NULL)
            return;
        f = j->forget;
    }
}

void sp_forget_found(struct sp_journal *j, struct sp_segment **segments, size_t count)
{
    if (count > 0)
        j->forget = forget_new(j, segments, count, sp_journal_first(j));
}

void sp_forget_free(struct sp_journal *j)
{
    struct sp_forget *f = SP_STEAL(j->forget);

    if (f == NULL)
        return;
    clear(j->o.io, f);
    f->journal = NULL;
    if (!f->running) /* else its done callback is still to come */
        sp_free(f);
}

void sp_journal_told(struct sp_journal *j, uint64_t segment)
{
    struct sp_forget *f = j->forget;

    for (size_t i = 0; f != NULL && i < f->count; i++)
        if (f->segments[i]->number == segment)
            f->told[i] = true;
    sp_forget_go_on(j);
}

void sp_journal_passed(struct sp_journal *j, uint64_t segment)
{
    j->passed = segment;
    sp_journal_forget(j, j->needed);
}

void sp_journal_forget(struct sp_journal *j, uint64_t before)
{
    uint64_t limit = before < j->passed ? before : j->passed;
    size_t n = 0;

    j->needed = before;
    if (j->forget == NULL) {
        while (n + 1 < j->count &&
               j->segments[n]->number < limit) /* never the last: it is written */
            n++;
        if (n == 0)
            return;
        j->forget = forget_new(j, j->segments, n, j->segments[n]->number);
        memmove(j->segments, j->segments + n, (j->count - n) * sizeof(struct sp_segment *));
        j->count -= n;
    }
    if (j->forget->stage != SP_FORGET_TELLING)
        sp_forget_go_on(j);
}
