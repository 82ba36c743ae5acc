/*
 * report: ledger -> relay. A TLS report (RFC 8460) on its way: where a domain wants it (FIND), and one to one of those
 * places (SEND). The ledger knows what is to be told and what has been sent; the relay has DNS, queue and fetcher. thread: any
 */
#ifndef SP_JOBS_REPORT_H
#define SP_JOBS_REPORT_H

#include "base/arena.h"
#include "base/buf.h"

enum sp_jobs_report_op {
    SP_JOBS_REPORT_FIND, /* reply: submitter, contact, uris; SP_E_NOT_FOUND: the domain wants none */
    SP_JOBS_REPORT_SEND, /* reply: empty; mail: SP_OK once it is durable in the queue */
    SP_JOBS_REPORT_OP_COUNT
};

#define SP_JOBS_REPORT_TEXT_MAX    1024
#define SP_JOBS_REPORT_URIS_MAX    8
#define SP_JOBS_REPORT_CONTENT_MAX (2 * 1024 * 1024)

struct sp_jobs_report_request {
    enum sp_jobs_report_op op;
    struct sp_bytes domain; /* that the report is about */
    /* of SEND alone */
    struct sp_bytes uri; /* one of FIND's */
    struct sp_bytes id;  /* report-id */
    struct sp_bytes
        key;        /* of this report to this URI; what stands before the @ of its Message-ID */
    int64_t from_s; /* the day's first and last second, since 1970 */
    int64_t to_s;
    struct sp_bytes content; /* the report, gzip */
};

struct sp_jobs_report_reply {
    struct sp_bytes contact; /* address for contact-info */
    const struct sp_bytes *uris;
    size_t uri_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_report_request_encode(struct sp_buf *out,
                                   const struct sp_jobs_report_request *request);
void sp_jobs_report_reply_encode(struct sp_buf *out, const struct sp_jobs_report_reply *reply);

/* owner: text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_report_request_decode(struct sp_bytes data,
                                                       struct sp_jobs_report_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_report_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                                     struct sp_jobs_report_reply *out);

#endif
