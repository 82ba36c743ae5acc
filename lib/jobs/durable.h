/*
 * durable: relay -> ledger. A shard's journal is on disk up to here, so the ledger may fold it; the reply says which
 * segments of that shard the ledger no longer needs. A relay keeps one such call under way for each shard and tells the
 * newest end with the next. thread: any
 */
#ifndef SP_JOBS_DURABLE_H
#define SP_JOBS_DURABLE_H

#include "base/buf.h"

#define SP_JOBS_DURABLE_SHARD_MAX 64

struct sp_jobs_durable_request {
    struct sp_bytes shard; /* name of its folder under spool/ */
    uint64_t segment;
    uint64_t end; /* bytes of that segment that are durable */
};

struct sp_jobs_durable_reply {
    uint64_t passed; /* all segments before this one are folded, durably */
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_durable_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_durable_request *request);
void sp_jobs_durable_reply_encode(struct sp_buf *out, const struct sp_jobs_durable_reply *reply);

/* owner: text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_durable_request_decode(struct sp_bytes data,
                                                        struct sp_jobs_durable_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_durable_reply_decode(struct sp_bytes data,
                                                      struct sp_jobs_durable_reply *out);

#endif
