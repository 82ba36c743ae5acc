/*
 * Disk space: spare segments made ahead by the worker, because zero-filling one takes longer than a commit may wait, and
 * segments that nobody needs any more. Those lose their key first and their file then, so that no crash leaves a key
 * whose file was said to be gone.
 */
#include "journal/journal_priv.h"

enum { RETRY_MS = 5000, NOTES_MAX = 64 * 1024 * 1024 };

struct sp_segment *sp_journal_segment_find(const struct sp_journal *j, uint64_t number)
{
    for (size_t i = j->count; i > 0; i--)
        if (j->segments[i - 1]->number == number)
            return j->segments[i - 1];
    return NULL;
}

/* Asks on_going about every record with a body in a segment. */
static void take_notes(struct sp_journal_job *job, size_t which)
{
    struct sp_batch_header h;
    struct sp_scan scan;
    struct sp_buf batch;
    struct sp_buf meta;
    struct sp_aead *key = sp_aead_new(&job->gone[which]->record_key);
    uint64_t at;

    sp_buf_init(&batch, SP_BATCH_MAX);
    sp_buf_init(&meta, SP_RECORD_META_MAX + SP_AEAD_TAG_LEN);
    sp_scan_init(&scan, job->maker->io, job->gone[which]);
    while (sp_scan_next(&scan, job->gone[which]->end, &h, &at) == SP_OK &&
           sp_scan_load(&scan, at, &h, &batch) == SP_OK) {
        struct sp_scan_record r = {sp_buf_bytes(&batch), &h, at, 0};
        struct sp_journal_entry e;

        for (; r.index < h.count; r.index++)
            if (sp_scan_record(&r, key, &meta, &e) == SP_OK && e.body_count > 0)
                job->o->on_going(job->o->arg, &e, &job->notes[which]);
    }
    sp_buf_clear(&batch);
    sp_buf_wipe(&meta);
    sp_aead_free(key);
}

static void forget_keys(struct sp_journal_job *job)
{
    const struct sp_journal_io *io = job->maker->io;
    char name[SP_SEGMENT_NAME_MAX];
    enum sp_rc rc;

    for (size_t i = 0; i < job->gone_count; i++) {
        if (job->o->on_going != NULL)
            take_notes(job, i);
        sp_keyring_remove(job->maker->keyring, job->gone[i]->salt);
    }
    rc = sp_keyring_save(job->maker->keyring);
    job->keys_gone = rc == SP_OK;
    /* On a full disk the file goes all the same: its key is out of the next keyring that can be written. */
    if (rc == SP_E_IO)
        return;
    for (size_t i = 0; i < job->gone_count; i++) {
        sp_segment_name(job->gone[i]->number, name);
        (void)io->unlink(io->ctx, name);
    }
    (void)io->sync_folder(io->ctx, ".");
}

static void job_run(void *arg)
{
    struct sp_journal_job *job = arg;

    if (job->gone_count > 0)
        forget_keys(job);
    if (job->wants_reserve &&
        sp_segment_make(job->maker, job->reserve_len, true, &job->reserve) != SP_OK)
        job->reserve = NULL;
    if (job->wants_next &&
        sp_segment_make(job->maker, job->segment_len, job->prewrite, &job->next) != SP_OK)
        job->next = NULL;
}

/* Takes what a job made; frees what it removed. */
void sp_journal_job_collect(struct sp_journal *j, struct sp_journal_job *job)
{
    for (size_t i = 0; i < job->gone_count; i++) {
        if (job->keys_gone && j->o.on_gone != NULL)
            j->o.on_gone(j->o.arg, job->gone[i]->number, sp_buf_bytes(&job->notes[i]));
        sp_buf_clear(&job->notes[i]);
        sp_segment_free(j->o.io, job->gone[i]);
    }
    sp_free(job->gone);
    sp_free(job->notes);
    job->gone = NULL;
    job->notes = NULL;
    job->gone_count = 0;
    pthread_mutex_lock(&j->lock);
    if (j->next_made == NULL)
        j->next_made = SP_STEAL(job->next);
    if (j->reserve_made == NULL)
        j->reserve_made = SP_STEAL(job->reserve);
    pthread_mutex_unlock(&j->lock);
    sp_segment_drop(&j->maker, SP_STEAL(job->next)); /* one is at hand already */
    sp_segment_drop(&j->maker, SP_STEAL(job->reserve));
}

static void job_done(void *arg)
{
    struct sp_journal_job *job = arg;
    struct sp_journal *j = job->journal;

    if (j != NULL) {
        bool made_all = (!job->wants_next || job->next != NULL) &&
                        (!job->wants_reserve || job->reserve != NULL);

        j->wants_next = j->wants_next && job->next == NULL;
        j->wants_reserve = j->wants_reserve && job->reserve == NULL;
        sp_journal_job_collect(j, job);
        j->job = NULL;
        if (!made_all)
            sp_timer_start(j->retry, RETRY_MS);
        sp_journal_forget(j, j->needed); /* may have moved meanwhile */
        if (made_all)
            sp_journal_make_spares(j);
        if (j->state == SP_JOURNAL_DRAINING && j->worker != NULL) { /* there may be room again */
            pthread_mutex_lock(&j->lock);
            j->poke = j->next_made != NULL;
            pthread_cond_signal(&j->wake);
            pthread_mutex_unlock(&j->lock);
        }
    }
    sp_free(job);
}

static struct sp_journal_job *job_new(struct sp_journal *j)
{
    struct sp_journal_job *job = sp_calloc(1, sizeof(*job));

    job->journal = j;
    job->maker = &j->maker;
    job->o = &j->o;
    job->segment_len = j->o.segment_len;
    job->reserve_len = j->o.reserve_len;
    job->prewrite = j->o.prewrite && !j->is_fast;
    return job;
}

static void job_start(struct sp_journal *j, struct sp_journal_job *job)
{
    if (j->worker == NULL) {
        job_run(job);
        sp_journal_job_collect(j, job);
        sp_free(job);
        return;
    }
    j->job = job;
    sp_worker_submit(j->worker, job_run, job_done, job);
}

/* Has the worker make what the writer lacks. */
void sp_journal_make_spares(struct sp_journal *j)
{
    struct sp_journal_job *job;

    if (j->worker == NULL || j->job != NULL || j->state == SP_JOURNAL_STOPPED ||
        (!j->wants_next && !j->wants_reserve))
        return;
    job = job_new(j);
    pthread_mutex_lock(&j->lock); /* what was made may not have been taken yet */
    job->wants_next = j->wants_next && j->next_made == NULL;
    job->wants_reserve = j->wants_reserve && j->reserve_made == NULL;
    pthread_mutex_unlock(&j->lock);
    if (!job->wants_next && !job->wants_reserve)
        sp_free(job);
    else
        job_start(j, job);
}

void sp_journal_make_spares_now(struct sp_journal *j)
{
    struct sp_journal_job *job = job_new(j);

    job->wants_reserve = j->wants_reserve && j->state == SP_JOURNAL_OPEN;
    job->wants_next = j->wants_next && (j->o.prewrite || j->state == SP_JOURNAL_DRAINING);
    job_start(j, job);
}

void sp_journal_on_retry(void *arg)
{
    sp_journal_make_spares(arg);
}

void sp_journal_passed(struct sp_journal *j, uint64_t segment)
{
    j->passed = segment;
    sp_journal_forget(j, j->needed);
}

void sp_journal_forget(struct sp_journal *j, uint64_t before)
{
    uint64_t limit = before < j->passed ? before : j->passed;
    struct sp_journal_job *job;
    size_t n = 0;

    j->needed = before;
    while (n + 1 < j->count && j->segments[n]->number < limit) /* never the last: it is written */
        n++;
    if (n == 0 || j->job != NULL)
        return;
    job = job_new(j);
    job->gone = sp_calloc(n, sizeof(struct sp_segment *));
    memcpy(job->gone, j->segments, n * sizeof(struct sp_segment *));
    job->notes = sp_calloc(n, sizeof(*job->notes));
    for (size_t i = 0; i < n; i++)
        sp_buf_init(&job->notes[i], NOTES_MAX);
    job->gone_count = n;
    memmove(j->segments, j->segments + n, (j->count - n) * sizeof(struct sp_segment *));
    j->count -= n;
    job_start(j, job);
}

enum sp_journal_state sp_journal_state(const struct sp_journal *j)
{
    return j->state;
}

uint64_t sp_journal_first(const struct sp_journal *j)
{
    return j->count == 0 ? 0 : j->segments[0]->number;
}

uint64_t sp_journal_current(const struct sp_journal *j)
{
    return j->count == 0 ? 0 : j->segments[j->count - 1]->number;
}

uint64_t sp_journal_disk_len(const struct sp_journal *j)
{
    uint64_t len = 0;

    for (size_t i = 0; i < j->count; i++)
        len += j->segments[i]->end;
    return len;
}

struct sp_journal_stats sp_journal_stats(const struct sp_journal *j)
{
    return j->stats;
}
