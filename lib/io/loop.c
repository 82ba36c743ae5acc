/*
 * The loop is libevent's, turned one round at a time: each round runs what is ready, then what was asked for "at the end
 * of this turn" (streams that have output), then what was posted, then the deferred frees. So a callback can free
 * anything, and nothing that an event of the same round still holds goes away under it.
 */
#include "io/loop_priv.h"

#include "base/fault.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* A step costs as much as a hundred commands: in one turn no more than a few milliseconds' worth of them */
#define HANDSHAKES_TURN 4

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct sp_loop {
    struct event_base *base;
    struct sp_clock clock;
    int64_t born_mono_ms, born_wall_ms;
    pthread_t thread;
    bool stop;
    struct sp_list tasks; /* struct sp_task, run at the end of the turn */
    uint64_t turn;
    unsigned handshakes; /* steps of them in this turn */
    struct post *frees;  /* newest first */
    uint8_t *scratch;

    pthread_mutex_t lock; /* guards posts, posts_tail */
    struct post *posts;
    struct post **posts_tail;
    int wake_fd;
    struct event *wake;
};

static int64_t read_clock(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t mono_ms(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME) + SP_FAULT_CLOCK(read_clock(CLOCK_MONOTONIC));
}

static int64_t steady_ms(void *ctx)
{
    const struct sp_loop *loop = ctx;

    return loop->born_wall_ms + read_clock(CLOCK_MONOTONIC) - loop->born_mono_ms;
}

static void on_wake(evutil_socket_t fd, short events, void *arg)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));

    (void)n;
    (void)events;
    (void)arg;
}

struct sp_loop *sp_loop_new(void)
{
    struct sp_loop *loop = sp_calloc(1, sizeof(*loop));
    struct event_config *config = event_config_new();

    sp_assert(config != NULL);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    loop->clock = (struct sp_clock){mono_ms, wall_ms, loop, steady_ms};
    loop->born_mono_ms = mono_ms(NULL);
    loop->born_wall_ms = wall_ms(NULL);
    loop->thread = pthread_self();
    sp_list_init(&loop->tasks);
    pthread_mutex_init(&loop->lock, NULL);
    loop->posts_tail = &loop->posts;
    loop->wake_fd = SP_FAULT("io.loop") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->base == NULL || loop->wake_fd < 0)
        sp_out_of("descriptors");
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    sp_assert(loop->wake != NULL && event_add(loop->wake, NULL) == 0);
    return loop;
}

static bool run_posts(struct sp_loop *loop)
{
    struct post *posts;
    bool any;

    pthread_mutex_lock(&loop->lock);
    posts = loop->posts;
    loop->posts = NULL;
    loop->posts_tail = &loop->posts;
    pthread_mutex_unlock(&loop->lock);
    any = posts != NULL;
    while (posts != NULL) {
        struct post *p = posts;

        posts = p->next;
        p->fn(p->arg);
        sp_free(p);
    }
    return any;
}

static void run_tasks(struct sp_loop *loop)
{
    struct sp_list now;

    /* only those that are there now: one that asks again gets the next turn */
    sp_list_init(&now);
    if (sp_list_is_empty(&loop->tasks))
        return;
    now.next = loop->tasks.next;
    now.prev = loop->tasks.prev;
    now.next->prev = &now;
    now.prev->next = &now;
    sp_list_init(&loop->tasks);
    while (!sp_list_is_empty(&now)) {
        struct sp_task *task = SP_CONTAINER(now.next, struct sp_task, link);

        sp_list_remove(&task->link);
        task->fn(task->arg);
    }
}

static void run_frees(struct sp_loop *loop)
{
    while (loop->frees != NULL) {
        struct post *p = loop->frees;

        loop->frees = p->next;
        p->fn(p->arg);
        sp_free(p);
    }
}

static void end_turn(struct sp_loop *loop)
{
    loop->handshakes = 0;
    loop->turn++; /* these tasks and the events behind them stand in one row: they are one turn */
    run_tasks(loop);
    run_posts(loop);
    run_frees(loop);
}

static bool has_work(struct sp_loop *loop)
{
    bool posts;

    pthread_mutex_lock(&loop->lock);
    posts = loop->posts != NULL;
    pthread_mutex_unlock(&loop->lock);
    return posts || !sp_list_is_empty(&loop->tasks);
}

void sp_loop_free(struct sp_loop *loop)
{
    if (loop == NULL)
        return;
    while (has_work(loop) || loop->frees != NULL)
        end_turn(loop);
    event_free(loop->wake);
    close(loop->wake_fd);
    event_base_free(loop->base);
    pthread_mutex_destroy(&loop->lock);
    sp_free(loop->scratch);
    sp_free(loop);
}

void sp_loop_run(struct sp_loop *loop)
{
    loop->thread = pthread_self();
    loop->stop = false;
    while (!loop->stop) {
        int flags = EVLOOP_ONCE | (has_work(loop) ? EVLOOP_NONBLOCK : 0);

        event_base_loop(loop->base, flags);
        end_turn(loop);
    }
}

static void nothing(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    (void)arg;
}

void sp_loop_run_once(struct sp_loop *loop, int64_t wait_ms)
{
    struct timeval limit = {wait_ms / 1000, wait_ms % 1000 * 1000};
    struct event *timer = event_new(loop->base, -1, 0, nothing, NULL);

    loop->thread = pthread_self();
    sp_assert(timer != NULL && event_add(timer, &limit) == 0);
    event_base_loop(loop->base, EVLOOP_ONCE | (has_work(loop) ? EVLOOP_NONBLOCK : 0));
    event_free(timer);
    end_turn(loop);
}

void sp_loop_stop(struct sp_loop *loop)
{
    loop->stop = true;
}

const struct sp_clock *sp_loop_clock(const struct sp_loop *loop)
{
    return &loop->clock;
}

uint64_t sp_loop_turn(const struct sp_loop *loop)
{
    return loop->turn;
}

bool sp_loop_is_here(const struct sp_loop *loop)
{
    return pthread_equal(loop->thread, pthread_self()) != 0;
}

void sp_loop_post(struct sp_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post *p = sp_malloc(sizeof(*p));
    uint64_t one = 1;
    ssize_t n;
    bool first;

    *p = (struct post){NULL, fn, arg};
    pthread_mutex_lock(&loop->lock);
    first = loop->posts == NULL;
    *loop->posts_tail = p;
    loop->posts_tail = &p->next;
    pthread_mutex_unlock(&loop->lock);
    if (first) {
        n = write(loop->wake_fd, &one, sizeof(one));
        (void)n; /* a full counter wakes as well */
    }
}

static void run_nothing(void *arg)
{
    (void)arg;
}

void sp_loop_free_later(struct sp_loop *loop, void (*fn)(void *ptr), void *ptr)
{
    struct post *p = sp_malloc(sizeof(*p));

    *p = (struct post){loop->frees, fn, ptr};
    loop->frees = p;
    if (sp_list_is_empty(&loop->tasks))
        sp_loop_post(loop, run_nothing, NULL); /* make sure that the turn comes */
}

void sp_task_init(struct sp_task *task, void (*fn)(void *arg), void *arg)
{
    sp_list_init(&task->link);
    task->fn = fn;
    task->arg = arg;
}

void sp_task_schedule(struct sp_loop *loop, struct sp_task *task)
{
    if (sp_list_is_empty(&task->link))
        sp_list_append(&loop->tasks, &task->link);
}

void sp_task_cancel(struct sp_task *task)
{
    sp_list_remove(&task->link);
}

bool sp_loop_take_handshake(struct sp_loop *loop)
{
    if (loop->handshakes >= HANDSHAKES_TURN)
        return false;
    loop->handshakes++;
    return true;
}

uint8_t *sp_loop_scratch(struct sp_loop *loop)
{
    if (loop->scratch == NULL)
        loop->scratch = sp_malloc(SP_LOOP_SCRATCH_LEN);
    return loop->scratch;
}

/* ---- timers ---- */

struct sp_timer {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    struct sp_timer *t = arg;

    (void)fd;
    (void)events;
    t->fn(t->arg);
}

struct sp_timer *sp_timer_new(struct sp_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct sp_timer *t = sp_calloc(1, sizeof(*t));

    t->fn = fn;
    t->arg = arg;
    t->event = event_new(loop->base, -1, 0, on_timer, t);
    sp_assert(t->event != NULL);
    return t;
}

void sp_timer_free(struct sp_timer *t)
{
    if (t == NULL)
        return;
    event_free(t->event);
    sp_free(t);
}

void sp_timer_start(struct sp_timer *t, int64_t after_ms)
{
    struct timeval tv;

    if (after_ms < 0)
        after_ms = 0;
    tv = (struct timeval){after_ms / 1000, after_ms % 1000 * 1000};
    sp_assert(event_add(t->event, &tv) == 0);
}

void sp_timer_cancel(struct sp_timer *t)
{
    event_del(t->event);
}

bool sp_timer_is_running(const struct sp_timer *t)
{
    return event_pending(t->event, EV_TIMEOUT, NULL) != 0;
}

/* ---- descriptors ---- */

struct sp_watch {
    struct sp_loop *loop;
    int fd;
    int events;
    struct event *event;
    void (*fn)(void *arg, int events);
    void *arg;
};

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
    struct sp_watch *w = arg;

    (void)fd;
    w->fn(w->arg,
          ((events & EV_READ) != 0 ? SP_READ : 0) | ((events & EV_WRITE) != 0 ? SP_WRITE : 0));
}

struct sp_watch *sp_watch_new(struct sp_loop *loop, int fd, void (*fn)(void *arg, int events),
                              void *arg)
{
    struct sp_watch *w = sp_calloc(1, sizeof(*w));

    *w = (struct sp_watch){.loop = loop, .fd = fd, .fn = fn, .arg = arg};
    w->event = event_new(loop->base, fd, EV_PERSIST, on_ready, w);
    sp_assert(w->event != NULL);
    return w;
}

void sp_watch_free(struct sp_watch *w)
{
    if (w == NULL)
        return;
    event_free(w->event);
    sp_free(w);
}

void sp_watch_set(struct sp_watch *w, int events)
{
    short wanted = (short)(EV_PERSIST | ((events & SP_READ) != 0 ? EV_READ : 0) |
                           ((events & SP_WRITE) != 0 ? EV_WRITE : 0));

    if (events == w->events)
        return;
    if (w->events != 0)
        event_del(w->event);
    w->events = events;
    if (events == 0)
        return;
    sp_assert(event_assign(w->event, w->loop->base, w->fd, wanted, on_ready, w) == 0);
    sp_assert(event_add(w->event, NULL) == 0);
}

/* ---- signals ---- */

struct sp_signal {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

static void on_signal(evutil_socket_t fd, short events, void *arg)
{
    struct sp_signal *s = arg;

    (void)fd;
    (void)events;
    s->fn(s->arg);
}

struct sp_signal *sp_signal_new(struct sp_loop *loop, int signum, void (*fn)(void *arg), void *arg)
{
    struct sp_signal *s = sp_calloc(1, sizeof(*s));

    s->fn = fn;
    s->arg = arg;
    s->event = event_new(loop->base, signum, EV_SIGNAL | EV_PERSIST, on_signal, s);
    sp_assert(s->event != NULL && event_add(s->event, NULL) == 0);
    return s;
}

void sp_signal_free(struct sp_signal *s)
{
    if (s == NULL)
        return;
    event_free(s->event);
    sp_free(s);
}
