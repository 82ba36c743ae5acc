/*
 * Recipients whose own time ends while they stand in line. thread: loop
 */
#ifndef SP_QUEUE_OVER_H
#define SP_QUEUE_OVER_H

#include "queue/queue.h"

/* Who had to wait for us, as we did not run or by order, has so long for a last try although his time is over. */
#define SP_QUEUE_SPARE_MS 600000

/*
 * As sp_queue_next_due, of who has stood in line until the end that the classify said, or that sp_queue_stand_again set: whatever keeps the
 * line from being served, but no freeze. Who becomes due when it is over, or nearly so, has a few seconds for an ordinary turn before.
 */
bool sp_queue_next_over(struct sp_queue *q, int64_t now_ms, struct sp_queue_due *out);

/*
 * As sp_queue_put_first, of who is over, and has nothing to do but to wait: he waits for his turn again, until end_ms, behind others
 * who came back so before him.
 */
void sp_queue_stand_again(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                          size_t n_count, int64_t end_ms);

#endif
