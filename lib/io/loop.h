/*
 * The event loop (libevent's home): timers, descriptors, signals, work posted from other threads, deferred frees, and
 * the real clock. One loop a process; thread: loop, but where a function says any.
 */
#ifndef SP_IO_LOOP_H
#define SP_IO_LOOP_H

#include "base/clock.h"
#include "base/mem.h"

struct sp_loop;

/* owner: the caller, until sp_loop_free. returns: a loop; ends the process if the kernel gives none */
struct sp_loop *sp_loop_new(void);

/* Frees it after running what was posted or left to free. Everything on it must be gone. NULL is allowed. */
void sp_loop_free(struct sp_loop *loop);
SP_AUTO_DEFINE(sp_loop)

/* Runs until sp_loop_stop. */
void sp_loop_run(struct sp_loop *loop);

/* Runs what is due now, waiting at most wait_ms for something; for tests. */
void sp_loop_run_once(struct sp_loop *loop, int64_t wait_ms);

/* Makes sp_loop_run return after this turn. */
void sp_loop_stop(struct sp_loop *loop);

/* returns: the real clock, good as long as the loop. mono_ms is cached a turn; wall_ms too. thread: any may read */
const struct sp_clock *sp_loop_clock(const struct sp_loop *loop);

/* returns: the number of this turn: what is counted by the turn begins anew when it changes */
uint64_t sp_loop_turn(const struct sp_loop *loop);

/* returns: whether the calling thread is the loop's */
bool sp_loop_is_here(const struct sp_loop *loop);
#define SP_ON_LOOP(loop) sp_assert(sp_loop_is_here(loop))

/* Calls fn(arg) on a later turn of the loop, in the order posted. thread: any */
void sp_loop_post(struct sp_loop *loop, void (*fn)(void *arg), void *arg);

/* Calls fn(ptr) at the end of this turn, when no other event of the turn can hold it any more. */
void sp_loop_free_later(struct sp_loop *loop, void (*fn)(void *ptr), void *ptr);

/* ---- timers ---- */
struct sp_timer;

/* owner: the caller, until sp_timer_free; not running yet */
struct sp_timer *sp_timer_new(struct sp_loop *loop, void (*fn)(void *arg), void *arg);
void sp_timer_free(struct sp_timer *t);
/* Starts or moves it: fires once, after_ms from now (0: next turn). */
void sp_timer_start(struct sp_timer *t, int64_t after_ms);
/* Never fires after this. */
void sp_timer_cancel(struct sp_timer *t);
bool sp_timer_is_running(const struct sp_timer *t);

/* ---- descriptors ---- */
enum { SP_READ = 1, SP_WRITE = 2 };
struct sp_watch;

/* owner: the caller; the descriptor stays the caller's too. fn gets the events that are ready. Watches nothing yet. */
struct sp_watch *sp_watch_new(struct sp_loop *loop, int fd, void (*fn)(void *arg, int events),
                              void *arg);
/* Frees it; call before closing the descriptor. NULL is allowed. */
void sp_watch_free(struct sp_watch *w);
/* events: SP_READ, SP_WRITE, both or 0. Level-triggered: fires again while ready. */
void sp_watch_set(struct sp_watch *w, int events);

/* ---- signals ---- */
struct sp_signal;
/* owner: the caller, until sp_signal_free. fn runs on the loop, not in a signal handler. */
struct sp_signal *sp_signal_new(struct sp_loop *loop, int signum, void (*fn)(void *arg), void *arg);
void sp_signal_free(struct sp_signal *s);

#endif
