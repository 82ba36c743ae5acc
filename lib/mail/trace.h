/*
 * The fields that we put before a message that passes: Received (RFC 5321 4.4) with what TLS proved, and a loop mark;
 * and what we take out: Bcc, Resent-Bcc, X-MS-Exchange-Organization-* and the tenant's secret header. thread: any
 */
#ifndef SP_MAIL_TRACE_H
#define SP_MAIL_TRACE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "mail/header.h"

#define SP_TRACE_MARK         "X-Sallyport-Hop"
#define SP_TRACE_RECEIVED_MAX 100 /* RFC 5321 6.3 */

struct sp_trace {
    struct sp_id id;
    struct sp_bytes host;        /* our name */
    struct sp_bytes helo;        /* the client's word, or empty */
    struct sp_bytes ip;          /* the client's address as text */
    const char *with;            /* "ESMTP", "ESMTPS", "ESMTPSA", "SMTP" */
    struct sp_bytes tls_version; /* empty without TLS */
    struct sp_bytes tls_cipher;
    struct sp_bytes mark; /* value of the loop mark: a MAC over tenant and Message-ID, opaque */
    int64_t now_ms;       /* wall clock */
};

/* Appends both fields. returns: as sp_compose_end */
SP_MUST_CHECK enum sp_rc sp_trace_build(const struct sp_trace *t, struct sp_buf *out);

/* returns: whether a message was here before: our mark among its fields, or more than SP_TRACE_RECEIVED_MAX Received */
bool sp_trace_is_loop(const struct sp_header *h, struct sp_bytes mark);

/*
 * Says whether a field must not leave: Bcc, Resent-Bcc, X-MS-Exchange-Organization-*, X-MS-Exchange-CrossPremises-*, the secret.
 *
 * secret:  the tenant's secret header name, or empty
 */
bool sp_trace_is_private(const struct sp_field *f, struct sp_bytes secret);

#endif
