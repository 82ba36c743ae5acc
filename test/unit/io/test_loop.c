/*
 * Timers, posts and workers: everything that was started calls back exactly once, and nothing after it was cancelled.
 */
#include "io/worker.h"
#include "support/check_main.h"

struct state {
    struct sp_loop *loop;
    int fired;
    int runs; /* worker thread */
    int dones;
    struct sp_timer *other;
};

static void on_timer(void *arg)
{
    struct state *s = arg;

    s->fired++;
    if (s->other != NULL)
        sp_timer_cancel(s->other);
}

START_TEST(a_cancelled_timer_never_fires)
{
    struct state s = {.loop = sp_loop_new()};
    struct sp_timer *first = sp_timer_new(s.loop, on_timer, &s);
    struct sp_timer *second = sp_timer_new(s.loop, on_timer, &s);

    s.other = second;
    sp_timer_start(first, 0);
    sp_timer_start(second, 1);
    ck_assert(sp_timer_is_running(second));
    for (int i = 0; i < 5; i++)
        sp_loop_run_once(s.loop, 2);
    ck_assert_int_eq(s.fired, 1);
    ck_assert(!sp_timer_is_running(second));
    sp_timer_free(first);
    sp_timer_free(second);
    sp_loop_free(s.loop);
}
END_TEST

static void run(void *arg)
{
    ((struct state *)arg)->runs++;
}

static void done(void *arg)
{
    struct state *s = arg;

    SP_ON_LOOP(s->loop);
    s->dones++;
    if (s->dones == 100)
        sp_loop_stop(s->loop);
}

START_TEST(every_job_is_done_exactly_once)
{
    struct state s = {.loop = sp_loop_new()};
    struct sp_worker *w = sp_worker_new(s.loop, "test");

    for (int i = 0; i < 100; i++)
        sp_worker_submit(w, run, done, &s);
    ck_assert_int_eq(s.dones, 0);
    sp_loop_run(s.loop);
    ck_assert_uint_eq(sp_worker_backlog(w), 0);
    sp_worker_free(w);
    ck_assert_int_eq(s.runs, 100);
    ck_assert_int_eq(s.dones, 100);
    sp_loop_free(s.loop);
}
END_TEST

START_TEST(jobs_of_a_freed_worker_are_still_done)
{
    struct state s = {.loop = sp_loop_new()};
    struct sp_worker *w = sp_worker_new(s.loop, "test");

    for (int i = 0; i < 10; i++)
        sp_worker_submit(w, run, done, &s);
    sp_worker_free(w);
    sp_loop_run_once(s.loop, 0);
    ck_assert_int_eq(s.dones, 10);
    sp_loop_free(s.loop);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_cancelled_timer_never_fires);
    tcase_add_test(c, every_job_is_done_exactly_once);
    tcase_add_test(c, jobs_of_a_freed_worker_are_still_done);
}

SP_TEST_MAIN("io.loop", add)
