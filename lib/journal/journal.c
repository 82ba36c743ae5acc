/*
 * The loop's side of a journal: appends gather in a list; the commit thread takes up to one batch of it at a time, so
 * what gathers while a sync runs is the next batch. It is woken at the end of the turn that appended first, not at
 * once: the other sessions of that turn then share its sync. Finished commits come back through a list of our own and one
 * post, so that closing can take them without running the loop. Spare segments are made by a worker, as a growing one
 * can always be made in need.
 */
#include "journal/journal_priv.h"

#include "base/fault.h"

#include <errno.h>

enum {
    SEGMENT_LEN = 64 * 1024 * 1024,
    RESERVE_LEN = 4 * 1024 * 1024,
    SMALLER = 4, /* times, of a reserve in need */
    BATCH_LEN = 1024 * 1024,
    FAST_LEN =
        64 * 1024, /* bytes a ms: filling with zeroes would then take disk time from batches */
    BULKY_BATCH = 128 * 1024, /* bytes: a batch as large as that pays for its blocks by itself */
};

static void list_init(struct sp_journal_list *l)
{
    l->head = NULL;
    l->end = &l->head;
}

static void list_put(struct sp_journal_list *l, struct sp_journal_append *a)
{
    a->next = NULL;
    *l->end = a;
    l->end = &a->next;
}

/* Takes the head of the list, up to one batch. */
static struct sp_journal_append *list_take(struct sp_journal_list *l, size_t batch_len)
{
    struct sp_journal_append *first = l->head;
    struct sp_journal_append **end = &l->head;
    size_t len = 0;
    size_t count = 0;

    while (*end != NULL && count < SP_BATCH_RECORDS && len < batch_len) {
        len += sp_writer_cost(*end);
        count++;
        end = &(*end)->next;
    }
    if (*end == NULL) {
        list_init(l);
        return first;
    }
    l->head = *end;
    *end = NULL;
    return first;
}

static void table_put(struct sp_journal *j, struct sp_segment *s)
{
    struct sp_segment *last = j->count == 0 ? NULL : j->segments[j->count - 1];

    if (last != NULL && last->number == s->number) { /* it failed with nothing durable in it */
        sp_keyring_remove(j->maker.keyring, last->salt);
        sp_segment_free(j->o.io, last);
        j->segments[j->count - 1] = s;
        j->key_segment = 0;
        sp_journal_content_key_drop(j);
        return;
    }
    if (last != NULL && last->number + 1 == s->number)
        last->end =
            s->prev_end; /* one commit may have written the end of one and the start of the other */
    if (j->count == j->cap) {
        j->cap = j->cap == 0 ? 16 : j->cap * 2;
        j->segments = sp_realloc(j->segments, j->cap * sizeof(struct sp_segment *));
    }
    j->segments[j->count++] = s;
}

/* ---- commits ---- */

/* One commit on whichever thread does it. */
static struct sp_commit *commit_list(struct sp_journal *j, struct sp_journal_append *list,
                                     bool clean)
{
    struct sp_commit *c = sp_calloc(1, sizeof(*c));

    pthread_mutex_lock(&j->lock);
    if (j->next_made != NULL)
        sp_writer_give_next(j->writer, SP_STEAL(j->next_made));
    if (j->reserve_made != NULL)
        sp_writer_give_reserve(j->writer, SP_STEAL(j->reserve_made));
    pthread_mutex_unlock(&j->lock);
    sp_writer_commit(j->writer, list, clean, c);
    return c;
}

/* A segment was opened: how did the one before fill? */
static void judge_pace(struct sp_journal *j)
{
    int64_t now = sp_clock_mono_ms(j->o.clock);
    int64_t least = (int64_t)(j->o.segment_len / FAST_LEN);
    uint64_t bytes = j->stats.bytes - j->before.bytes;
    uint64_t batches = j->stats.batches - j->before.batches;

    j->is_fast = j->opened_ms > 0 && now - j->opened_ms < least;
    j->opened_ms = now;
    if (bytes >= j->o.segment_len / 4) /* less says nothing */
        j->is_bulky = bytes / BULKY_BATCH >= batches;
    j->before = j->stats;
}

/* Takes a finished commit in: state first, then the callbacks. */
static void take_in(struct sp_journal *j, struct sp_commit *c)
{
    struct sp_journal_append *a = c->appends;
    bool has_changed = j->state != c->state;
    struct sp_segment *s;

    for (size_t i = 0; i < c->opened_count; i++) {
        table_put(j, c->opened[i]);
        judge_pace(j);
    }
    j->state = c->state;
    j->stats = c->stats;
    j->wants_next = c->wants_next;
    j->wants_reserve = c->wants_reserve;
    s = sp_journal_segment_find(j, c->segment);
    if (s != NULL) {
        s->end = c->end;
        if (s->end > SP_BLOCK && !s->is_numbered) {
            s->is_numbered = true;
            sp_keyring_number(j->maker.keyring, s->salt, s->number);
        }
        if (j->o.on_durable != NULL)
            j->o.on_durable(j->o.arg, c->segment, c->end);
    }
    sp_free(c);
    while (a != NULL) {
        struct sp_journal_append *next = a->next;

        a->done(a, a->rc);
        a = next;
    }
    if (has_changed && j->o.on_state != NULL)
        j->o.on_state(j->o.arg);
    sp_journal_make_spares(j);
    sp_journal_make_footers(j);
}

static void take_in_all(struct sp_journal *j)
{
    struct sp_commit *c;

    pthread_mutex_lock(&j->lock);
    c = j->finished;
    j->finished = NULL;
    j->finished_end = &j->finished;
    pthread_mutex_unlock(&j->lock);
    while (c != NULL) {
        struct sp_commit *next = c->next;

        take_in(j, c);
        c = next;
    }
}

static void on_finished(void *arg)
{
    struct sp_journal_trigger *t = arg;
    struct sp_journal *j = t->journal;

    if (j == NULL) {
        sp_free(t);
        return;
    }
    pthread_mutex_lock(&j->lock);
    t->posted = false;
    pthread_mutex_unlock(&j->lock);
    take_in_all(j);
}

static void *commit_thread(void *arg)
{
    struct sp_journal *j = arg;
    for (;;) {
        bool ended;
        struct sp_journal_append *list;
        struct sp_commit *c;
        bool must_post;

        pthread_mutex_lock(&j->lock);
        while (j->pending.head == NULL && !j->ending && !j->poke)
            pthread_cond_wait(&j->wake, &j->lock);
        list = list_take(&j->pending, j->o.batch_len);
        ended = j->ending && list == NULL;
        j->poke = false;
        pthread_mutex_unlock(&j->lock);
        if (ended)
            break;
        c = commit_list(j, list, false);
        pthread_mutex_lock(&j->lock);
        *j->finished_end = c;
        j->finished_end = &c->next;
        must_post = !j->done_trigger->posted;
        j->done_trigger->posted = true;
        pthread_mutex_unlock(&j->lock);
        if (must_post)
            sp_loop_post(j->o.loop, on_finished, j->done_trigger);
    }
    return NULL;
}

static void on_wake(void *arg)
{
    struct sp_journal_trigger *t = arg;
    struct sp_journal *j = t->journal;

    if (j == NULL) {
        sp_free(t);
        return;
    }
    t->posted = false;
    pthread_mutex_lock(&j->lock);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

void sp_journal_append(struct sp_journal *j, struct sp_journal_append *a)
{
    sp_assert(a->body_count <= SP_JOURNAL_BODIES_MAX && a->meta.len <= SP_RECORD_META_MAX);
    pthread_mutex_lock(&j->lock);
    list_put(&j->pending, a);
    pthread_mutex_unlock(&j->lock);
    if (j->o.loop != NULL && !j->wake_trigger->posted) {
        j->wake_trigger->posted = true;
        sp_loop_post(j->o.loop, on_wake, j->wake_trigger);
    }
}

void sp_journal_commit(struct sp_journal *j)
{
    sp_assert(j->o.loop == NULL);
    sp_forget_go_on(j);
    if (j->state != SP_JOURNAL_OPEN) { /* there may be room again */
        sp_journal_make_spares_now(j);
        if (j->next_made != NULL || (j->state == SP_JOURNAL_STOPPED && j->reserve_made != NULL))
            take_in(j, commit_list(j, NULL, false));
    }
    while (j->pending.head != NULL) {
        sp_journal_make_spares_now(j);
        take_in(j, commit_list(j, list_take(&j->pending, j->o.batch_len), false));
    }
}

/* ---- opening and closing ---- */

static struct sp_journal_trigger *trigger_new(struct sp_journal *j)
{
    struct sp_journal_trigger *t = sp_calloc(1, sizeof(*t));

    t->journal = j;
    return t;
}

/* A posted trigger frees itself when it comes. */
static void trigger_end(struct sp_journal_trigger *t)
{
    if (t->posted)
        t->journal = NULL;
    else
        sp_free(t);
}

static struct sp_journal *journal_new(const struct sp_journal_options *options)
{
    struct sp_journal *j = sp_calloc(1, sizeof(*j));

    j->o = *options;
    j->o.segment_len = j->o.segment_len == 0 ? SEGMENT_LEN : j->o.segment_len;
    j->o.reserve_len = j->o.reserve_len == 0 ? RESERVE_LEN : j->o.reserve_len;
    j->o.batch_len = j->o.batch_len == 0 ? BATCH_LEN : j->o.batch_len;
    j->o.keys = NULL;
    j->maker.io = j->o.io;
    j->maker.random = j->o.random;
    j->maker.keyring = sp_keyring_new(j->o.io, options->keys, j->o.random);
    j->maker.record_kek = options->keys->record;
    memcpy(j->maker.kek_id, options->keys->kek_id, sizeof(j->maker.kek_id));
    j->key = sp_aead_new(NULL);
    j->content = sp_aead_new(NULL);
    list_init(&j->pending);
    j->finished_end = &j->finished;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->wake, NULL);
    j->done_trigger = trigger_new(j);
    j->wake_trigger = trigger_new(j);
    return j;
}

static void journal_free(struct sp_journal *j)
{
    sp_writer_free(j->writer);
    sp_forget_free(j);
    sp_segment_drop(&j->maker, j->next_made);
    sp_segment_drop(&j->maker, j->reserve_made);
    for (size_t i = 0; i < j->count; i++)
        sp_segment_free(j->o.io, j->segments[i]);
    sp_free(j->segments);
    sp_keyring_free(j->maker.keyring);
    sp_secret_clear(&j->maker.record_kek);
    sp_aead_free(j->key);
    sp_aead_free(j->content);
    trigger_end(j->done_trigger);
    trigger_end(j->wake_trigger);
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    sp_free(j);
}

/* What a segment has beyond its end is of no use any more: none that was recovered is written to. */
static void give_back_rest(const struct sp_journal *j, const struct sp_recovered *r)
{
    const struct sp_journal_io *io = j->o.io;
    char name[SP_SEGMENT_NAME_MAX];
    int fd;

    sp_segment_name(r->last, name);
    fd = io->open(io->ctx, name, SP_IO_OPEN_WRITE);
    if (fd < 0)
        return;
    if (io->truncate(io->ctx, fd, (int64_t)((r->last_end + SP_BLOCK - 1) / SP_BLOCK * SP_BLOCK)) ==
        0)
        (void)io->sync(io->ctx, fd); /* until then the room is nobody's */
    io->close(io->ctx, fd);
}

/*
 * A start on a full disk whose reserve is in use already: the rest of that one gives the room for a smaller one, so that what
 * waits can go out. With damage nothing is cut: what lies behind it may be wanted.
 */
static void begin_in_need(struct sp_journal *j, const struct sp_recovered *r)
{
    struct sp_segment *s = NULL;

    if (r->count == 0 || r->found.damaged > 0)
        return;
    give_back_rest(j, r);
    if (sp_segment_make(&j->maker, j->o.reserve_len / SMALLER, true, &s) != SP_OK &&
        sp_segment_make(&j->maker, j->o.reserve_len, false, &s) != SP_OK)
        return;
    sp_writer_give_reserve(j->writer, s);
    take_in(j, commit_list(j, NULL, false));
}

/* The first segment, and a batch in it that says where the last one before ends. */
static void begin(struct sp_journal *j, const struct sp_recovered *r)
{
    struct sp_segment *s = NULL;

    j->writer = sp_writer_new(&j->maker, j->o.log, j->o.segment_len, r->last, r->last_end);
    if (sp_segment_make(&j->maker, j->o.reserve_len, true, &s) == SP_OK)
        sp_writer_give_reserve(j->writer, SP_STEAL(s));
    if (j->o.loop != NULL) {
        j->worker = sp_worker_new(j->o.loop, "journal-spare");
        j->retry = sp_timer_new(j->o.loop, sp_journal_on_retry, j);
    }
    take_in(j, commit_list(j, NULL, false));
    if (j->state == SP_JOURNAL_STOPPED)
        begin_in_need(j, r);
}

static void start_thread(struct sp_journal *j)
{
    if (SP_FAULT("journal.thread") || pthread_create(&j->thread, NULL, commit_thread, j) != 0)
        sp_out_of("threads");
}

enum sp_rc sp_journal_open(const struct sp_journal_options *options, struct sp_journal **out,
                           struct sp_journal_recovery *found, struct sp_err *err)
{
    struct sp_recovered r;
    struct sp_journal *j;
    enum sp_rc rc;
    int locked = options->read_only ? 0 : options->io->lock(options->io->ctx);

    if (locked != 0)
        return sp_fail_errno(err, locked == -EWOULDBLOCK ? SP_E_JOURNAL_LOCKED : SP_E_IO, -locked,
                             "the shard's folder can't be locked");
    j = journal_new(options);
    rc = sp_recover(&j->o, &j->maker, &r, err);
    j->segments = r.segments;
    j->count = r.count;
    j->cap = r.cap;
    if (!options->read_only)
        sp_forget_found(j, r.gone, r.gone_count);
    for (size_t i = 0; options->read_only && i < r.gone_count; i++)
        sp_segment_free(j->o.io, r.gone[i]);
    sp_free(r.gone);
    if (rc != SP_OK) {
        journal_free(j);
        return rc;
    }
    if (options->read_only)
        j->state = SP_JOURNAL_STOPPED;
    else
        begin(j, &r);
    if (!options->read_only && j->o.loop != NULL)
        start_thread(j);
    *found = r.found;
    *out = j;
    return SP_OK;
}

/* Ends the threads; what they finished is taken in. */
static void end_threads(struct sp_journal *j)
{
    pthread_mutex_lock(&j->lock);
    j->ending = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    (void)pthread_join(j->thread, NULL);
    sp_timer_free(SP_STEAL(j->retry));
    sp_worker_free(SP_STEAL(j->worker)); /* waits for its jobs */
    sp_journal_footing_end(j);
    if (j->job != NULL) {
        j->job->journal = NULL;
        sp_journal_job_collect(j, SP_STEAL(j->job));
    }
    take_in_all(j);
}

void sp_journal_close_as(struct sp_journal *j, bool (*is_clean)(void *arg), void *arg)
{
    if (j == NULL)
        return;
    if (j->o.read_only) {
        journal_free(j);
        return;
    }
    if (j->o.loop != NULL)
        end_threads(j);
    while (j->pending.head != NULL) /* callbacks may have appended */
        take_in(j, commit_list(j, list_take(&j->pending, j->o.batch_len), false));
    take_in(j, commit_list(j, NULL, is_clean == NULL || is_clean(arg)));
    for (struct sp_journal_append *a = sp_writer_give_up(j->writer); a != NULL;) {
        struct sp_journal_append *next = a->next;

        a->done(a, a->rc);
        a = next;
    }
    journal_free(j);
}

void sp_journal_close(struct sp_journal *j)
{
    sp_journal_close_as(j, NULL, NULL);
}
