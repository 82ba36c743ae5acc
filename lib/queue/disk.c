/*
 * Two lists under one lock: jobs that wait for the thread, and jobs whose callback waits for the loop. The loop is told by
 * one post however many are done; the little struct that was posted outlives us if we are closed before it comes.
 */
#include "queue/disk_priv.h"

#include "base/fault.h"
#include "queue/crew_priv.h"

#include <pthread.h>

enum {
    WRITES_BEFORE_SYNC = 256
}; /* at most, so that writes that keep coming keep no sync waiting */

struct list {
    struct sp_queue_job *head;
    struct sp_queue_job **end;
};

struct trigger {
    struct sp_queue_disk *disk; /* NULL: gone */
    bool posted;
};

struct sp_queue_disk {
    struct sp_loop *loop;
    struct trigger *trigger;
    pthread_t thread;
    struct sp_queue_crew *crew; /* of that thread; NULL without it */
    pthread_mutex_t lock;       /* guards what follows, and trigger->posted */
    pthread_cond_t wake;
    struct list waiting;
    struct list finished;
    bool ending;
};

static void list_init(struct list *l)
{
    l->head = NULL;
    l->end = &l->head;
}

static void list_put(struct list *l, struct sp_queue_job *job)
{
    job->next = NULL;
    *l->end = job;
    l->end = &job->next;
}

static struct sp_queue_job *list_take(struct list *l)
{
    struct sp_queue_job *job = l->head;

    if (job == NULL)
        return NULL;
    l->head = job->next;
    if (l->head == NULL)
        l->end = &l->head;
    return job;
}

/* Calls back what is finished. returns: whether there was any */
static bool call_back(struct sp_queue_disk *d)
{
    struct list finished;
    struct sp_queue_job *job;
    bool any = false;

    pthread_mutex_lock(&d->lock);
    finished = d->finished;
    if (finished.head == NULL)
        finished.end = &finished.head;
    list_init(&d->finished);
    pthread_mutex_unlock(&d->lock);
    while ((job = finished.head) != NULL) {
        finished.head = job->next;
        any = true;
        job->done(job);
    }
    return any;
}

static void on_finished(void *arg)
{
    struct trigger *t = arg;
    struct sp_queue_disk *d = t->disk;

    if (d == NULL) {
        sp_free(t);
        return;
    }
    pthread_mutex_lock(&d->lock);
    t->posted = false;
    pthread_mutex_unlock(&d->lock);
    (void)call_back(d);
}

static void finish(struct sp_queue_disk *d, struct sp_queue_job *job)
{
    bool must_post;

    pthread_mutex_lock(&d->lock);
    list_put(&d->finished, job);
    must_post = d->loop != NULL && !d->trigger->posted;
    d->trigger->posted = d->trigger->posted || must_post;
    pthread_mutex_unlock(&d->lock);
    if (must_post)
        sp_loop_post(d->loop, on_finished, d->trigger);
}

/* Syncs that wait at the same time. */
struct group {
    struct sp_queue_job **jobs;
    size_t count;
    struct sp_queue_job **folders; /* the first job of each folder */
    size_t folder_count;
};

static struct sp_queue_job *first_of_folder(const struct group *g, unsigned folder)
{
    for (size_t i = 0; i < g->folder_count; i++)
        if (g->folders[i]->folder == folder)
            return g->folders[i];
    return NULL;
}

static void group_init(struct group *g, struct sp_queue_job *syncs)
{
    size_t count = 0;

    for (struct sp_queue_job *job = syncs; job != NULL; job = job->next)
        count++;
    *g = (struct group){.jobs = sp_calloc(count, sizeof(struct sp_queue_job *)),
                        .folders = sp_calloc(count, sizeof(struct sp_queue_job *))};
    for (struct sp_queue_job *job = syncs; job != NULL; job = job->next) {
        g->jobs[g->count++] = job;
        if (first_of_folder(g, job->folder) == NULL)
            g->folders[g->folder_count++] = job;
    }
}

static void sync_one(void *arg, size_t i)
{
    const struct group *g = arg;

    if (i < g->count)
        g->jobs[i]->run(g->jobs[i]);
    else
        g->folders[i - g->count]->folder_err =
            g->folders[i - g->count]->sync_folder(g->folders[i - g->count]);
}

/* Syncs files and each folder once, side by side. */
static void run_syncs(struct sp_queue_disk *d, struct sp_queue_job *syncs)
{
    struct group g;

    if (syncs == NULL)
        return;
    group_init(&g, syncs);
    for (size_t i = 0; i < g.count; i++)
        g.jobs[i]->prepare(g.jobs[i]);
    sp_queue_crew_run(d->crew, sync_one, &g, g.count + g.folder_count);
    for (size_t i = 0; i < g.count; i++)
        g.jobs[i]->folder_err = first_of_folder(&g, g.jobs[i]->folder)->folder_err;
    for (size_t i = 0; i < g.count; i++)
        finish(d, g.jobs[i]); /* it may be gone from then on */
    sp_free(g.jobs);
    sp_free(g.folders);
}

/* Runs all that waits: the syncs last, as a group. returns: whether there was any */
static bool run_waiting(struct sp_queue_disk *d)
{
    struct list syncs;
    struct sp_queue_job *job;
    int writes = 0;
    bool any = false;

    list_init(&syncs);
    while (writes < WRITES_BEFORE_SYNC) {
        pthread_mutex_lock(&d->lock);
        job = list_take(&d->waiting);
        pthread_mutex_unlock(&d->lock);
        if (job == NULL)
            break;
        any = true;
        if (job->prepare != NULL) {
            list_put(&syncs, job);
            continue;
        }
        job->run(job);
        finish(d, job);
        writes += syncs.head != NULL ? 1 : 0;
    }
    run_syncs(d, syncs.head);
    return any;
}

static void *work(void *arg)
{
    struct sp_queue_disk *d = arg;
    bool ended = false;

    pthread_setname_np(pthread_self(), "queue-body"); /* another's a role may not write */
    while (!ended) {
        pthread_mutex_lock(&d->lock);
        while (d->waiting.head == NULL && !d->ending)
            pthread_cond_wait(&d->wake, &d->lock);
        ended = d->waiting.head == NULL;
        pthread_mutex_unlock(&d->lock);
        (void)run_waiting(d);
    }
    return NULL;
}

struct sp_queue_disk *sp_queue_disk_new(struct sp_loop *loop)
{
    struct sp_queue_disk *d = sp_calloc(1, sizeof(*d));

    d->loop = loop;
    d->trigger = sp_calloc(1, sizeof(*d->trigger));
    d->trigger->disk = d;
    list_init(&d->waiting);
    list_init(&d->finished);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    if (loop != NULL) {
        d->crew = sp_queue_crew_new();
        if (SP_FAULT("queue.thread") || pthread_create(&d->thread, NULL, work, d) != 0)
            sp_out_of("threads");
    }
    return d;
}

void sp_queue_disk_stop(struct sp_queue_disk *d)
{
    if (d->loop != NULL && !d->ending) {
        pthread_mutex_lock(&d->lock);
        d->ending = true;
        pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
        (void)pthread_join(d->thread, NULL);
        sp_queue_crew_free(SP_STEAL(d->crew));
    }
    while (sp_queue_disk_run(d))
        ;
}

void sp_queue_disk_free(struct sp_queue_disk *d)
{
    if (d == NULL)
        return;
    sp_queue_disk_stop(d);
    if (d->trigger->posted)
        d->trigger->disk = NULL;
    else
        sp_free(d->trigger);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    sp_free(d);
}

void sp_queue_disk_submit(struct sp_queue_disk *d, struct sp_queue_job *job)
{
    pthread_mutex_lock(&d->lock);
    list_put(&d->waiting, job);
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

void sp_queue_disk_defer(struct sp_queue_disk *d, struct sp_queue_job *job)
{
    finish(d, job);
}

bool sp_queue_disk_run(struct sp_queue_disk *d)
{
    bool any = run_waiting(d);

    return call_back(d) || any;
}
