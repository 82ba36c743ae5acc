/*
 * fetch: relay -> fetcher. What goes over HTTPS: a domain's MTA-STS policy (RFC 8461), a TLS report (RFC 8460). The asker has
 * resolved the addresses; the fetcher asks no DNS of its own. An error comes back as the job's rc. thread: any
 */
#ifndef SP_JOBS_FETCH_H
#define SP_JOBS_FETCH_H

#include "base/arena.h"
#include "base/buf.h"

enum sp_jobs_fetch_kind {
    SP_JOBS_FETCH_STS,    /* https://mta-sts.DOMAIN/.well-known/mta-sts.txt */
    SP_JOBS_FETCH_REPORT, /* POST of a TLS report to https://DOMAIN:PORT/PATH */
    SP_JOBS_FETCH_KIND_COUNT
};

#define SP_JOBS_FETCH_ADDRESSES_MAX 16
#define SP_JOBS_FETCH_TEXT_MAX      256
#define SP_JOBS_FETCH_BODY_MAX      (64 * 1024) /* RFC 8461 3.3 */
#define SP_JOBS_FETCH_PATH_MAX      1024
#define SP_JOBS_FETCH_CONTENT_MAX   (2 * 1024 * 1024)

struct sp_jobs_fetch_request {
    enum sp_jobs_fetch_kind kind;
    struct sp_bytes domain; /* the policy's domain, A-labels, without "mta-sts."; or the host */
    const struct sp_bytes *addresses; /* "203.0.113.7", "2001:db8::7" of the host */
    size_t address_count;
    uint16_t port;           /* REPORT */
    struct sp_bytes path;    /* REPORT: with its query */
    struct sp_bytes content; /* REPORT: application/tlsrpt+gzip */
    struct sp_bytes
        key; /* REPORT: of this report to this place; what was taken is not posted again */
};

struct sp_jobs_fetch_reply {
    struct sp_bytes body; /* of a policy; empty after a report */
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_fetch_request_encode(struct sp_buf *out, const struct sp_jobs_fetch_request *request);
void sp_jobs_fetch_reply_encode(struct sp_buf *out, const struct sp_jobs_fetch_reply *reply);

/* owner: text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_fetch_request_decode(struct sp_bytes data, struct sp_arena *arena,
                                                      struct sp_jobs_fetch_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_fetch_reply_decode(struct sp_bytes data,
                                                    struct sp_jobs_fetch_reply *out);

#endif
