/*
 * Another address or another way for recipients that wait. thread: loop
 */
#ifndef SP_QUEUE_REDIRECT_H
#define SP_QUEUE_REDIRECT_H

#include "queue/queue.h"

struct sp_queue_change {
    uint16_t n;
    struct sp_bytes address;            /* as it is to be */
    struct sp_bytes orcpt;              /* the same */
    struct sp_accept_decision decision; /* PROTECT, due at once, or HOLD */
};
struct sp_queue_redirect {
    struct sp_id id;
    const struct sp_queue_change *changes;
    size_t n_count;
    struct sp_bytes
        policy; /* hash of the one that decided; the message's own if all recipients change */
    struct sp_audit_list audit;
};

/*
 * Changes recipients that are not final; they begin anew, with no attempt made. Who is held stays held.
 *
 * r:    encoded at once, not kept
 * done: SP_OK when durable; SP_E_EXISTS if anybody of the message is busy, SP_E_NOT_FOUND if it is gone or none fits;
 *       SP_E_JOURNAL_DAMAGED, SP_E_JOURNAL_FULL, SP_E_JOURNAL_FAILED, SP_E_LIMIT, SP_E_IO
 */
void sp_queue_redirect(struct sp_queue *q, const struct sp_queue_redirect *r,
                       void (*done)(void *arg, enum sp_rc rc), void *arg);

#endif
