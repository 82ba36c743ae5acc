/*
 * Spare segments, made ahead by the worker because zero-filling one takes longer than a commit may wait. Where there was
 * no room, or nothing could be written, they are tried for again every few seconds: the reserve first, so that mail is
 * taken again only when there is room for its outcomes too.
 */
#include "journal/journal_priv.h"

struct sp_segment *sp_journal_segment_find(const struct sp_journal *j, uint64_t number)
{
    for (size_t i = j->count; i > 0; i--)
        if (j->segments[i - 1]->number == number)
            return j->segments[i - 1];
    return NULL;
}

static void job_run(void *arg)
{
    struct sp_journal_job *job = arg;
    bool has_reserve = !job->wants_reserve;

    if (job->wants_reserve)
        has_reserve = sp_segment_make(job->maker, job->reserve_len, true, &job->reserve) == SP_OK;
    if (!has_reserve && job->in_need &&
        sp_segment_make(job->maker, job->reserve_len, false, &job->reserve) != SP_OK)
        job->reserve = NULL;
    if (job->wants_next && has_reserve &&
        sp_segment_make(job->maker, job->segment_len, job->prewrite, &job->next) != SP_OK)
        job->next = NULL;
}

/* Takes what a job made. */
void sp_journal_job_collect(struct sp_journal *j, struct sp_journal_job *job)
{
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
            sp_timer_start(j->retry, SP_JOURNAL_RETRY_MS);
        else
            sp_journal_make_spares(j);
        if (j->state != SP_JOURNAL_OPEN && j->worker != NULL) { /* there may be room again */
            pthread_mutex_lock(&j->lock);
            j->poke =
                j->next_made != NULL || (j->state == SP_JOURNAL_STOPPED && j->reserve_made != NULL);
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
    job->segment_len = j->o.segment_len;
    job->reserve_len = j->o.reserve_len;
    job->prewrite = j->o.prewrite && !j->is_fast && !j->is_bulky && j->state == SP_JOURNAL_OPEN;
    job->in_need = j->state == SP_JOURNAL_STOPPED;
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

    if (j->worker == NULL || j->job != NULL || (!j->wants_next && !j->wants_reserve))
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

    job->wants_reserve = j->wants_reserve;
    job->wants_next = j->wants_next && (j->o.prewrite || j->state != SP_JOURNAL_OPEN);
    job_start(j, job);
    sp_forget_go_on(j);
}

void sp_journal_on_retry(void *arg)
{
    sp_journal_make_spares(arg);
    sp_forget_go_on(arg);
}

enum sp_rc sp_journal_rekey(struct sp_journal *j, const struct sp_journal_keys *keys)
{
    enum sp_rc rc = sp_keyring_rewrap(j->maker.keyring, keys);

    return rc == SP_OK ? sp_keyring_save(j->maker.keyring) : rc;
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
    return sp_journal_len_from(j, 0);
}

uint64_t sp_journal_len_from(const struct sp_journal *j, uint64_t segment)
{
    uint64_t len = 0;

    for (size_t i = j->count; i > 0 && j->segments[i - 1]->number >= segment; i--)
        len += j->segments[i - 1]->end;
    return len;
}

struct sp_journal_stats sp_journal_stats(const struct sp_journal *j)
{
    return j->stats;
}
