/*
 * A thread of the queue's own for what blocks: body files written, synced, removed. Unlike io's worker it can be drained
 * by its owner at closing, without the loop. For the queue alone.
 */
#ifndef SP_QUEUE_DISK_PRIV_H
#define SP_QUEUE_DISK_PRIV_H

#include "io/loop.h"

struct sp_queue_disk;

/*
 * Lives in its owner's struct until done. Syncs that wait at the same time are done as a group: all are prepared, then
 * all run and each of their folders is synced once, side by side and in no order, so that the file system can answer many
 * with one flush; done follows when all of the group have returned. Without a loop: in order, files first.
 */
struct sp_queue_job {
    void (*run)(struct sp_queue_job *job);     /* on the thread; a sync's: on some thread */
    void (*done)(struct sp_queue_job *job);    /* on the loop */
    void (*prepare)(struct sp_queue_job *job); /* a sync's: starts write-back; NULL: not a sync */
    int (*sync_folder)(struct sp_queue_job *job); /* a sync's, as run; returns 0 or -errno */
    unsigned folder;                              /* a sync's: which one */
    int folder_err;                               /* what sync_folder gave for its folder */
    struct sp_queue_job *next;
};

/* owner: the caller. loop NULL: no thread; sp_queue_disk_run does the work */
struct sp_queue_disk *sp_queue_disk_new(struct sp_loop *loop);

/* Runs what is left, calls back, ends the thread; what is submitted later waits for sp_queue_disk_run. */
void sp_queue_disk_stop(struct sp_queue_disk *d);

/* Stops it if it was not, runs what is left, frees. */
void sp_queue_disk_free(struct sp_queue_disk *d);

/* Jobs run one at a time, in order; done follows on the loop, never within this call. */
void sp_queue_disk_submit(struct sp_queue_disk *d, struct sp_queue_job *job);

/* done alone follows on the loop, without waiting for the jobs submitted. */
void sp_queue_disk_defer(struct sp_queue_disk *d, struct sp_queue_job *job);

/* Runs all that waits and calls back; only without a loop, or once the thread has ended. returns: whether there was any */
bool sp_queue_disk_run(struct sp_queue_disk *d);

#endif
