/*
 * What the files of io share about the loop: tasks at the end of a turn, and one buffer that all streams read into.
 */
#ifndef SP_IO_LOOP_PRIV_H
#define SP_IO_LOOP_PRIV_H

#include "base/map.h"
#include "io/addr.h"
#include "io/loop.h"

#define SP_LOOP_SCRATCH_LEN (64 * 1024)

struct sp_task {
    struct sp_list link;
    void (*fn)(void *arg);
    void *arg;
};

void sp_task_init(struct sp_task *task, void (*fn)(void *arg), void *arg);
/* Runs it once at the end of this turn (of the next, if the tasks of this one are running already). */
void sp_task_schedule(struct sp_loop *loop, struct sp_task *task);
void sp_task_cancel(struct sp_task *task);

/* Counts a step of a handshake. returns: false if as many were made in this turn as it may have: next turn, then */
bool sp_loop_take_handshake(struct sp_loop *loop);

/* returns: SP_LOOP_SCRATCH_LEN bytes that belong to whoever runs now, until it returns to the loop */
uint8_t *sp_loop_scratch(struct sp_loop *loop);

/* returns: a socket that connects to an address, from source if that is not NULL; -1 if that can't be begun */
int sp_stream_open(const struct sp_addr *to, const struct sp_addr *source);

#endif
