/*
 * Going through the queue: its messages in the order of their ids, a page at a time. thread: loop
 */
#ifndef SP_QUEUE_LIST_H
#define SP_QUEUE_LIST_H

#include "base/map.h"
#include "queue/queue.h"

struct sp_queue_query {
    int state;              /* enum sp_rcpt_state of any recipient, -1: any */
    bool quarantined_only;  /* none but those that can't be read */
    struct sp_bytes sender; /* contains, ASCII case ignored; empty: any */
    struct sp_bytes recipient;
    struct sp_bytes tenant; /* equals; empty: any */
    struct sp_bytes rule;   /* equals that of any recipient; empty: any */
    const struct sp_map
        *destinations;  /* where any recipient who is not final goes; NULL: anywhere */
    struct sp_id after; /* where the last page ended; zero to begin */
    size_t limit;       /* messages to visit; at most 1,000 that may match are read a call */
    /* m is lent for the call */
    void (*visit)(void *arg, const struct sp_queue_message *m);
    void *arg;
};

/*
 * Visits messages in the order of their ids.
 *
 * last:    the last one examined
 * returns: whether there may be more: go on after *last
 */
bool sp_queue_list(struct sp_queue *q, const struct sp_queue_query *query, struct sp_id *last);

/* returns: where recipient n's mail goes (struct sp_queue_way), lent till the queue changes; empty for one who is final or gone */
struct sp_bytes sp_queue_destination(const struct sp_queue *q, const struct sp_id *id, size_t n);

#define SP_QUEUE_IDS_MAX 10000
/*
 * The ids of messages that have a recipient in a state, in order, those behind `after`: for who goes through a long queue and reads a
 * few records a turn (sp_queue_load), since each look goes over the whole index.
 *
 * state:   enum sp_rcpt_state; -1: any
 * out:     room for max, at most SP_QUEUE_IDS_MAX
 * returns: how many; max: there may be more. cost: O(messages in the queue)
 */
size_t sp_queue_ids(struct sp_queue *q, int state, const struct sp_id *after, struct sp_id *out,
                    size_t max);

#endif
