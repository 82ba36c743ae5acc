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
};

struct sp_jobs_deposit_reply {
    struct sp_bytes package; /* "pkg-..." */
    struct sp_bytes link;    /* https://...#token: secret, for the notice alone */
    struct sp_bytes key;     /* name of the package's key, for the audit */
};

/* Appends the encoding; what passes a limit marks out as failed. Holds keys: wipe the buffer. */
void sp_jobs_deposit_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_deposit_request *request);
void sp_jobs_deposit_reply_encode(struct sp_buf *out, const struct sp_jobs_deposit_reply *reply);

/* owner: the handle is the caller's, to sp_content_clear; text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_deposit_request_decode(struct sp_bytes data,
                                                        struct sp_jobs_deposit_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_deposit_reply_decode(struct sp_bytes data,
                                                      struct sp_jobs_deposit_reply *out);

#endif
