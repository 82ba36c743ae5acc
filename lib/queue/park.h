/*
 * Recipients whose destination is left alone for a while. thread: loop
 */
#ifndef SP_QUEUE_PARK_H
#define SP_QUEUE_PARK_H

#include "queue/queue.h"

/* As sp_lines_rest, and tells (on_due) if something is due earlier now. */
void sp_queue_rest(struct sp_queue *q, sp_handle line, int64_t until_ms);

/*
 * Busy recipients of one line, of which sp_queue_rest has told, are idle again and parked (lines.h), because of why: due at
 * at_ms, or when the line lets them go. Nothing is written; a restart looks at them at once.
 */
void sp_queue_park(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns, size_t n_count,
                   int64_t at_ms, enum sp_rc why);

/*
 * returns: steady time until which the destination of recipient n is left alone, as its line was told: who comes before hears what
 *          was heard last, and is parked again; 0 if it is not, or there is no such recipient
 */
int64_t sp_queue_rests_until(struct sp_queue *q, const struct sp_id *id, uint16_t n);

#endif
