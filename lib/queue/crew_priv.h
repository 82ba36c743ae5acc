/*
 * Threads that help one: what blocks and does not depend on each other is done side by side. For the queue's disk thread
 * alone.
 */
#ifndef SP_QUEUE_CREW_PRIV_H
#define SP_QUEUE_CREW_PRIV_H

#include <stddef.h>

struct sp_queue_crew;

/* Starts no thread: that is done when there is work for one. owner: the caller */
struct sp_queue_crew *sp_queue_crew_new(void);

/* Ends its threads. NULL is allowed. */
void sp_queue_crew_free(struct sp_queue_crew *c);

/*
 * Calls run(arg, i) for each i below count, in no order and several at once, and returns when all have returned. Where no
 * thread can be had, the caller does more of it, or all.
 *
 * c:      NULL: the caller does all, in order
 * thread: any, one at a time; what the runs wrote can be read afterwards
 */
void sp_queue_crew_run(struct sp_queue_crew *c, void (*run)(void *arg, size_t i), void *arg,
                       size_t count);

#endif
