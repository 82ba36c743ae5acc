/*
 * act: any role -> ledger. An audited step that no message record holds (log-in, key import, portal open, refused
 * session) goes over as its audit event; SP_OK comes back once it is durable. thread: any
 */
#ifndef SP_JOBS_ACT_H
#define SP_JOBS_ACT_H

#include "base/buf.h"

#define SP_JOBS_ACT_MAX (256 * 1024) /* bytes of JSON */

struct sp_jobs_act_request {
    bool batch;            /* may wait for others (refusals): durable soon, not before the reply */
    struct sp_bytes event; /* JSON object {"event":...} without v, node, seq, prev, time */
};

/* Appends the encoding; what passes a limit marks out as failed. The reply has no payload. */
void sp_jobs_act_request_encode(struct sp_buf *out, const struct sp_jobs_act_request *request);

/* owner: text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_act_request_decode(struct sp_bytes data,
                                                    struct sp_jobs_act_request *out);

#endif
