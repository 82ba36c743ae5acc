/*
 * HTTPS client on our loop: one GET or POST, to addresses that the caller resolved, with limits on time and size. Redirects
 * are not followed, no proxy, no cookies, certificates are always verified for the host's name.
 */
#ifndef SP_FETCH_FETCH_H
#define SP_FETCH_FETCH_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/map.h"

struct sp_loop;
struct sp_log;
struct sp_fetch;

#define SP_FETCH_ADDRESSES_MAX 8

struct sp_fetch_request {
    const char *host; /* for SNI, the certificate and Host: */
    uint16_t port;
    const char *path;                              /* "/.well-known/mta-sts.txt" */
    const char *addresses[SP_FETCH_ADDRESSES_MAX]; /* as text; the name is not looked up */
    size_t address_count;
    size_t body_max;         /* octets of the answer */
    const char *type;        /* NULL: GET; else POST of content as this media type */
    struct sp_bytes content; /* lent for the call */
    int64_t timeout_ms;      /* for all of it */
};

/* type: the media type without parameters. Lent for the call. */
struct sp_fetch_reply {
    enum sp_rc
        rc; /* SP_OK; SP_E_FETCH_STATUS: not 200, after POST not 2xx; SP_E_LIMIT: too long; SP_E_TIMEOUT; SP_E_TLS_UNTRUSTED; SP_E_FETCH_FAILED */
    int status; /* HTTP, 0 if none came */
    struct sp_bytes type;
    struct sp_bytes body;
};
typedef void (*sp_fetch_fn)(void *arg, const struct sp_fetch_reply *reply);

/*
 * owner: the caller, to sp_fetch_free.
 *
 * ca_pem:  trust anchors beside the system's, or empty; lent for its life. Tests and closed networks need it
 * returns: SP_OK, or SP_E_FETCH_FAILED if libcurl does not start
 */
SP_MUST_CHECK enum sp_rc sp_fetch_new(struct sp_loop *loop, struct sp_log *log,
                                      struct sp_bytes ca_pem, struct sp_fetch **out);
/* Ends what is under way without calling back. NULL is allowed. */
void sp_fetch_free(struct sp_fetch *f);
SP_AUTO_DEFINE(sp_fetch)

/* returns: a handle; fn is called exactly once, never before this has returned, never after cancel. thread: loop */
sp_handle sp_fetch_start(struct sp_fetch *f, const struct sp_fetch_request *request, sp_fetch_fn fn,
                         void *arg);
/* Ends it without a call back; a stale handle is ignored. */
void sp_fetch_cancel(struct sp_fetch *f, sp_handle fetch);

#endif
