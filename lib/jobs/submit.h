/*
 * submit: portal or ledger -> relay. Mail of our own making, to be queued like any other; SP_OK and its id come back once
 * it is durable. The same `once` text given again within the relay's memory is one message; behind that memory it is another
 * one, which the audit marks as a possible duplicate if the asker says that it asks again. thread: any
 */
#ifndef SP_JOBS_SUBMIT_H
#define SP_JOBS_SUBMIT_H

#include "base/buf.h"
#include "base/id.h"

enum sp_jobs_submit_kind {
    SP_JOBS_SUBMIT_CODE,   /* the portal's mailbox code */
    SP_JOBS_SUBMIT_NOTICE, /* of a package */
    SP_JOBS_SUBMIT_REPORT, /* TLSRPT and alerts */
    SP_JOBS_SUBMIT_REPLY,  /* a recipient's answer to the tenant's sender */
    SP_JOBS_SUBMIT_WORD,   /* to a sender of the tenant's, under the floor of its reports */
    SP_JOBS_SUBMIT_DSN,    /* to a sender of the tenant's: the end of a package */
    SP_JOBS_SUBMIT_KIND_COUNT
};

#define SP_JOBS_SUBMIT_TEXT_MAX 1024
#define SP_JOBS_SUBMIT_BODY_MAX (8 * 1024 * 1024)

struct sp_jobs_submit_request {
    enum sp_jobs_submit_kind kind;
    struct sp_bytes tenant;
    struct sp_bytes from;    /* envelope sender; empty: the null sender */
    struct sp_bytes to;      /* one recipient */
    struct sp_bytes floor;   /* "tls:encrypted" and so on */
    struct sp_bytes once;    /* empty: not deduplicated */
    struct sp_bytes content; /* header and body, CRLF lines */
    struct sp_id cause;      /* message that it is about; zero if none */
    int64_t expires_at_ms;   /* wall clock; 0: the queue's default */
    bool requires_tls;       /* RFC 8689 5 */
    bool again; /* it was asked for before, and no answer is known: it may be queued already */
};

struct sp_jobs_submit_reply {
    struct sp_id id;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_submit_request_encode(struct sp_buf *out,
                                   const struct sp_jobs_submit_request *request);
void sp_jobs_submit_reply_encode(struct sp_buf *out, const struct sp_jobs_submit_reply *reply);

/* owner: text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_submit_request_decode(struct sp_bytes data,
                                                       struct sp_jobs_submit_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_submit_reply_decode(struct sp_bytes data,
                                                     struct sp_jobs_submit_reply *out);

/* returns: "code", "notice", "report", "reply", "word", "dsn", static */
const char *sp_jobs_submit_kind_name(enum sp_jobs_submit_kind kind);

#endif
