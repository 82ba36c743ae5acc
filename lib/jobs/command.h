/*
 * command: admin -> the role that owns the matter. A JSON object with "command" goes over, one with the answer comes back;
 * an answer too long for a frame comes by descriptor 0 of the reply (a readable file of JSON lines), and json then holds
 * what stands before it. thread: any
 */
#ifndef SP_JOBS_COMMAND_H
#define SP_JOBS_COMMAND_H

#include "base/buf.h"

#define SP_JOBS_COMMAND_MAX (8 * 1024 * 1024) /* bytes of JSON */

struct sp_jobs_command_request {
    struct sp_bytes actor; /* JSON object for the audit: who asks, how proved */
    struct sp_bytes json;
};

struct sp_jobs_command_reply {
    struct sp_bytes json;
    bool has_file; /* descriptor 0 */
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_command_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_command_request *request);
void sp_jobs_command_reply_encode(struct sp_buf *out, const struct sp_jobs_command_reply *reply);

/* owner: text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_command_request_decode(struct sp_bytes data,
                                                        struct sp_jobs_command_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_command_reply_decode(struct sp_bytes data,
                                                      struct sp_jobs_command_reply *out);

#endif
