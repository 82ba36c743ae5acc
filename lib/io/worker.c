/*
 * One thread, one queue. The thread touches nothing but the job that it runs; results go back through the loop's posts,
 * so that done callbacks run where all the logic lives.
 */
#include "io/worker.h"

#include "base/fault.h"
#include "base/map.h"

#include <pthread.h>

struct job {
    struct sp_list link;
    struct sp_worker *worker;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

struct sp_worker {
    struct sp_loop *loop;
    const char *name;
    pthread_t thread;
    pthread_mutex_t lock; /* guards jobs and ending */
    pthread_cond_t wake;
    struct sp_list jobs;
    bool ending;
    size_t backlog; /* loop thread only */
    bool freed;
};

static void on_done(void *arg)
{
    struct job *job = arg;
    struct sp_worker *w = job->worker;

    w->backlog--;
    job->done(job->arg);
    sp_free(job);
    if (w->freed && w->backlog == 0)
        sp_free(w);
}

static void *work(void *arg)
{
    struct sp_worker *w = arg;

    pthread_setname_np(pthread_self(), w->name); /* another's a role may not write */
    for (;;) {
        struct job *job;

        pthread_mutex_lock(&w->lock);
        while (sp_list_is_empty(&w->jobs) && !w->ending)
            pthread_cond_wait(&w->wake, &w->lock);
        if (sp_list_is_empty(&w->jobs)) {
            pthread_mutex_unlock(&w->lock);
            return NULL;
        }
        job = SP_CONTAINER(w->jobs.next, struct job, link);
        sp_list_remove(&job->link);
        pthread_mutex_unlock(&w->lock);
        job->run(job->arg);
        sp_loop_post(w->loop, on_done, job);
    }
}

struct sp_worker *sp_worker_new(struct sp_loop *loop, const char *name)
{
    struct sp_worker *w = sp_calloc(1, sizeof(*w));

    w->loop = loop;
    w->name = name;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    sp_list_init(&w->jobs);
    if (SP_FAULT("io.thread") || pthread_create(&w->thread, NULL, work, w) != 0)
        sp_out_of("threads");
    return w;
}

void sp_worker_free(struct sp_worker *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    w->freed = true;
    if (w->backlog == 0)
        sp_free(w); /* else the last done callback does it */
}

void sp_worker_submit(struct sp_worker *w, void (*run)(void *arg), void (*done)(void *arg),
                      void *arg)
{
    struct job *job = sp_malloc(sizeof(*job));

    *job = (struct job){.worker = w, .run = run, .done = done, .arg = arg};
    sp_list_init(&job->link);
    w->backlog++;
    pthread_mutex_lock(&w->lock);
    sp_list_append(&w->jobs, &job->link);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

size_t sp_worker_backlog(const struct sp_worker *w)
{
    return w->backlog;
}
