/*
 * A thread with a queue, for what blocks: disk, password hashing. Jobs run in the order submitted, one at a time; a job
 * owns its input, returns its output, shares nothing.
 */
#ifndef SP_IO_WORKER_H
#define SP_IO_WORKER_H

#include "io/loop.h"

struct sp_worker;

/* owner: the caller. name: at most 15 bytes, for ps and gdb; good for its life. thread: loop */
struct sp_worker *sp_worker_new(struct sp_loop *loop, const char *name);

/* Waits for all jobs submitted to have run, then for their done callbacks to be posted, and ends the thread. thread: loop */
void sp_worker_free(struct sp_worker *w);

/* run(arg) on the worker's thread, then done(arg) on the loop, exactly once. thread: loop */
void sp_worker_submit(struct sp_worker *w, void (*run)(void *arg), void (*done)(void *arg),
                      void *arg);

/* returns: jobs that are not done yet */
size_t sp_worker_backlog(const struct sp_worker *w);

#endif
