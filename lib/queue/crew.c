/*
 * A loop over numbers whose turns run side by side. Who calls takes turns too, so a crew of no threads is only slower.
 * Threads come one by one as groups grow, and stay: they sleep on a condition.
 */
#include "queue/crew_priv.h"

#include "base/fault.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>

enum { THREADS_MAX = 15 };

struct sp_queue_crew {
    pthread_t threads[THREADS_MAX];
    size_t thread_count;  /* of the caller's thread */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* there are turns, or it ends */
    pthread_cond_t idle;  /* the last turn has ended */
    void (*run)(void *arg, size_t i);
    void *arg;
    size_t next;  /* turn to be taken */
    size_t count; /* of turns */
    size_t open;  /* turns that have not ended */
    bool ending;
};

/* Takes turns until there are none. The lock is held, and given up meanwhile. */
static void take_turns(struct sp_queue_crew *c)
{
    while (c->next < c->count) {
        size_t i = c->next++;

        pthread_mutex_unlock(&c->lock);
        c->run(c->arg, i);
        pthread_mutex_lock(&c->lock);
        if (--c->open == 0)
            pthread_cond_signal(&c->idle);
    }
}

static void *work(void *arg)
{
    struct sp_queue_crew *c = arg;

    pthread_setname_np(pthread_self(), "queue-sync"); /* another's a role may not write */
    pthread_mutex_lock(&c->lock);
    while (!c->ending) {
        take_turns(c);
        if (!c->ending)
            pthread_cond_wait(&c->wake, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct sp_queue_crew *sp_queue_crew_new(void)
{
    struct sp_queue_crew *c = sp_calloc(1, sizeof(*c));

    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->idle, NULL);
    return c;
}

void sp_queue_crew_free(struct sp_queue_crew *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->ending = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    while (c->thread_count > 0)
        (void)pthread_join(c->threads[--c->thread_count], NULL);
    pthread_cond_destroy(&c->idle);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    sp_free(c);
}

/* Has a thread for each turn but the caller's, if it can be had. */
static void grow(struct sp_queue_crew *c, size_t count)
{
    while (c->thread_count < THREADS_MAX && c->thread_count + 1 < count) {
        if (SP_FAULT("queue.sync-thread") ||
            pthread_create(&c->threads[c->thread_count], NULL, work, c) != 0)
            return;
        c->thread_count++;
    }
}

void sp_queue_crew_run(struct sp_queue_crew *c, void (*run)(void *arg, size_t i), void *arg,
                       size_t count)
{
    for (size_t i = 0; c == NULL && i < count; i++)
        run(arg, i);
    if (c == NULL || count == 0)
        return;
    grow(c, count);
    pthread_mutex_lock(&c->lock);
    c->run = run;
    c->arg = arg;
    c->next = 0;
    c->count = c->open = count;
    pthread_cond_broadcast(&c->wake);
    take_turns(c);
    while (c->open > 0)
        pthread_cond_wait(&c->idle, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
