/*
 * The mail that carries a TLS report (RFC 8460 5.3): multipart/report with a text for people and the gzip'ed JSON. thread: any
 */
#ifndef SP_MAIL_TLS_REPORT_H
#define SP_MAIL_TLS_REPORT_H

#include "base/buf.h"
#include "base/err.h"

struct sp_tls_report {
    struct sp_bytes domain;    /* that it is about */
    struct sp_bytes submitter; /* domain that reports, and signs */
    struct sp_bytes from;      /* address in it */
    struct sp_bytes to;
    struct sp_bytes id;         /* report-id */
    struct sp_bytes message_id; /* with <> */
    int64_t from_s;             /* first and last second of the time reported on, since 1970 */
    int64_t to_s;
    struct sp_bytes gzip;
    int64_t now_ms; /* wall clock */
};

/* Appends the whole message. returns: as sp_compose_end */
SP_MUST_CHECK enum sp_rc sp_tls_report_build(const struct sp_tls_report *r, struct sp_buf *out);

#endif
