/*
 * deposit: relay -> portal. A message's handle goes over, a package is made of it, and the link for the notice comes
 * back. Doing it again for the same message and recipient changes nothing and returns the same package and link. Descriptor 0 of the request is the content's. thread: any
 */
#ifndef SP_JOBS_DEPOSIT_H
#define SP_JOBS_DEPOSIT_H

#include "base/buf.h"
#include "content/content.h"

#define SP_JOBS_DEPOSIT_TEXT_MAX   2048
#define SP_JOBS_DEPOSIT_REMIND_MAX 4
#define SP_JOBS_DEPOSIT_NOTICE_MAX 16384

enum {
    SP_JOBS_DEPOSIT_TELL_OPENED = 1,   /* `delivered`, when it is first opened */
    SP_JOBS_DEPOSIT_TELL_UNOPENED = 2, /* `failed`, when it expires and nobody has opened it */
    SP_JOBS_DEPOSIT_TELL_TLS = 4,      /* by REQUIRETLS */
};

struct sp_jobs_deposit_request {
    struct sp_content content; /* its id is the message's; decoded: fd is -1 */
    uint32_t n;                /* the recipient's index in the message */
    struct sp_bytes tenant;
    struct sp_bytes sender;
    struct sp_bytes recipient;
    struct sp_bytes floor;  /* of our mail about it (mailbox codes): "tls:encrypted"; empty: that */
    struct sp_bytes login;  /* comma-separated: "code,passkey"; empty: the default */
    int64_t accepted_at_ms; /* wall clock */
    int64_t expires_at_ms;  /* wall clock */
    bool may_reply;
    bool may_forward;
    int64_t remind_at_ms[SP_JOBS_DEPOSIT_REMIND_MAX]; /* wall clock; 0: no more */
    int64_t unread_at_ms;                             /* the sender hears then; 0: never */
    struct sp_bytes name; /* display name of the reminders; may be empty */
    uint8_t reports;      /* SP_JOBS_DEPOSIT_TELL_*: what the sender hears of its end */
    struct sp_bytes envid;
    struct sp_bytes orcpt;
    struct sp_bytes notice; /* shown beside the message, UTF-8; may be empty */
};

/* returned: relay -> portal. The notice of this package reached nobody; an empty reply when that is durable. */
struct sp_jobs_returned_request {
    struct sp_bytes package;
    bool tells;             /* nobody has told the sender: the portal does */
    struct sp_bytes status; /* then: "5.1.1" */
};

struct sp_jobs_deposit_reply {
    struct sp_bytes package; /* "pkg-..." */
    struct sp_bytes link;    /* https://...#token: secret, for the notice alone */
    struct sp_bytes key;     /* name of the package's key, for the audit */
};

/* Appends the encoding; what passes a limit marks out as failed. Holds keys: wipe the buffer. */
void sp_jobs_deposit_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_deposit_request *request);
void sp_jobs_returned_request_encode(struct sp_buf *out,
                                     const struct sp_jobs_returned_request *request);
void sp_jobs_deposit_reply_encode(struct sp_buf *out, const struct sp_jobs_deposit_reply *reply);

/* owner: the handle is the caller's, to sp_content_clear; text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_deposit_request_decode(struct sp_bytes data,
                                                        struct sp_jobs_deposit_request *out);
/* owner: text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_returned_request_decode(struct sp_bytes data,
                                                         struct sp_jobs_returned_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_deposit_reply_decode(struct sp_bytes data,
                                                      struct sp_jobs_deposit_reply *out);

#endif
