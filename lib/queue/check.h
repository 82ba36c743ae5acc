/*
 * Looking at all that a shard holds, as `queue check` does, and at what it should hold and does not. thread: loop
 */
#ifndef SP_QUEUE_CHECK_H
#define SP_QUEUE_CHECK_H

#include "queue/queue.h"

/* A message that can't be delivered as it is. */
struct sp_queue_finding {
    struct sp_id id; /* zero: not even that can be read */
    enum sp_rc why;
    uint64_t segment;
    uint64_t record; /* its number in the segment, as the audit names it; 0: not known */
};

/*
 * Reads every living message, its record and its whole body. Best on a queue opened read-only, which has read all records.
 *
 * visit:   why: SP_E_JOURNAL_DAMAGED, SP_E_CONTENT_DAMAGED, SP_E_CONTENT_TRUNCATED (or its file is gone),
 *          SP_E_CRYPT_AUTH, SP_E_IO (not now)
 * returns: how many those are
 */
size_t sp_queue_check(struct sp_queue *q,
                      void (*visit)(void *arg, const struct sp_queue_finding *f), void *arg);

/* returns: whether somebody of this message is still to be served, or nobody can read whether */
bool sp_queue_has(const struct sp_queue *q, const struct sp_id *id);

/*
 * The numbers of segments of which something is lost, nobody knows whose: what one finding without an id stands for.
 *
 * out:     lent till the queue is closed
 * returns: how many; once they are given up, still
 */
size_t sp_queue_lost(const struct sp_queue *q, const uint64_t **out);

/*
 * Takes in a message of which somebody else knows, and no record does: as one that can't be read, so that it can be given up by a
 * SP_RECORD_DELETE, on record. Nothing is written; after a restart it is not known again.
 */
void sp_queue_miss(struct sp_queue *q, const struct sp_id *id);

#endif
