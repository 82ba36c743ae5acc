/*
 * bounce: what came back to a return path of ours. relay -> scanner (SP_JOBS_BOUNCE): what a mail is and, of a report, what it
 * says; descriptor 0 of the request is the content's. relay -> ledger (SP_JOBS_ORIGIN): whose message it was, which has left
 * the queue long ago. thread: any
 */
#ifndef SP_JOBS_BOUNCE_H
#define SP_JOBS_BOUNCE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "content/content.h"
#include "mail/dsn_read.h"

enum sp_jobs_bounce_kind {
    SP_JOBS_BOUNCE_REPORT, /* a delivery status notification (RFC 3464) that tells of somebody */
    SP_JOBS_BOUNCE_AUTO,   /* an automatic answer (RFC 3834), as out-of-office ones are */
    SP_JOBS_BOUNCE_OTHER,  /* nothing that a machine can be sure of */
    SP_JOBS_BOUNCE_KIND_COUNT
};

#define SP_JOBS_BOUNCE_TEXT_MAX 1024

struct sp_jobs_bounce_request {
    struct sp_content content; /* decoded: fd is -1, for sp_jobs_job_take_fd(job, 0) */
};

struct sp_jobs_bounce_reply {
    enum sp_jobs_bounce_kind kind;
    const struct sp_dsn_said *said; /* addresses are foreign text */
    size_t said_count;              /* 0 unless it is a report */
};

struct sp_jobs_origin_request {
    struct sp_id id;
    uint16_t n; /* the recipient's number */
};

struct sp_jobs_origin_reply {
    bool known;             /* else the rest is empty */
    uint8_t kind;           /* enum sp_accept_kind */
    uint8_t floor;          /* enum sp_floor, of that recipient */
    struct sp_bytes tenant; /* its name */
    struct sp_bytes sender;
    struct sp_bytes recipient;
    struct sp_id
        message; /* the one asked for; of a portal notice the one that it tells of, and so is all above */
    uint16_t n;
    struct sp_bytes package; /* of a notice; else empty */
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_bounce_request_encode(struct sp_buf *out, const struct sp_jobs_bounce_request *r);
void sp_jobs_bounce_reply_encode(struct sp_buf *out, const struct sp_jobs_bounce_reply *r);
void sp_jobs_origin_request_encode(struct sp_buf *out, const struct sp_jobs_origin_request *r);
void sp_jobs_origin_reply_encode(struct sp_buf *out, const struct sp_jobs_origin_reply *r);

/* owner: the handle is the caller's, to sp_content_clear; text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_bounce_request_decode(struct sp_bytes data,
                                                       struct sp_jobs_bounce_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_bounce_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                                     struct sp_jobs_bounce_reply *out);
SP_MUST_CHECK enum sp_rc sp_jobs_origin_request_decode(struct sp_bytes data,
                                                       struct sp_jobs_origin_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_origin_reply_decode(struct sp_bytes data,
                                                     struct sp_jobs_origin_reply *out);

/* returns: the word of the audit: "report", "auto-reply", "other"; static */
const char *sp_jobs_bounce_kind_name(enum sp_jobs_bounce_kind kind);

#endif
