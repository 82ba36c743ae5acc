/*
 * A small strict HTTP/1.1 server on our own streams, with TLS: for the portal and the admin role. Requests have a
 * length and are held whole up to their route's limit; replies are whole or stream from a source. Every phase of a
 * connection has a deadline of its own that single bytes don't restart.
 *
 * A handler answers at once or later, exactly once. It may keep the request across a wait only by its handle: when the
 * client goes away, the handle finds nothing and the answer is dropped. thread: loop
 */
#ifndef SP_WEB_WEB_H
#define SP_WEB_WEB_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "io/addr.h"
#include "io/loop.h"
#include "log/log.h"
#include "web/head.h"

struct sp_tls_context;
struct sp_web_server;
struct sp_web_request;

struct sp_web_route {
    enum sp_web_method method; /* GET also serves HEAD */
    const char *path;          /* pattern of sp_web_path_fits */
    size_t body_max;           /* bytes; 0: a request with a body is refused */
    void (*run)(void *arg, struct sp_web_request *req);
};

struct sp_web_limits {
    size_t connections;         /* in all */
    size_t connections_address; /* from one address (IPv6: one /64) */
    int64_t handshake_ms;
    int64_t idle_ms;  /* between requests */
    int64_t head_ms;  /* from a request's first byte to its head's end */
    int64_t body_ms;  /* from there to its body's end */
    int64_t stall_ms; /* a client that takes nothing of a reply for so long is cut off */
    int64_t reply_ms; /* a whole reply, however slowly it is taken */
};

struct sp_web_options {
    struct sp_loop *loop;
    struct sp_log *log;         /* may be NULL */
    struct sp_tls_context *tls; /* borrowed; NULL serves plain HTTP, for tests and UNIX sockets */
    const struct sp_web_route *routes; /* borrowed, static as a rule */
    size_t route_count;
    void *arg;                   /* goes to the handlers */
    const char *headers;         /* fields of every reply: whole lines with CRLF; borrowed */
    const char *content_policy;  /* Content-Security-Policy where a reply sets none; NULL: none */
    struct sp_web_limits limits; /* zeros take the defaults */
    /* Makes the body of our own error pages (404, 405, 413 ...): appends HTML to out. NULL: a plain line. */
    void (*error_page)(void *arg, int status, struct sp_buf *out);
};

/* owner: the caller, until sp_web_server_free. returns: a server without listeners */
struct sp_web_server *sp_web_server_new(const struct sp_web_options *options);

/* Cuts all connections off and frees it; sources of running replies are ended. NULL is allowed. */
void sp_web_server_free(struct sp_web_server *s);
SP_AUTO_DEFINE(sp_web_server)

/* Serves connections of a listening socket, too; fd stays the caller's. */
void sp_web_server_listen(struct sp_web_server *s, int fd);

/* Takes one connected socket. owner: the server owns fd from now on */
void sp_web_server_accept(struct sp_web_server *s, int fd, const struct sp_addr *peer);

/* Accepts no more; on_idle(arg) comes once, when the last connection has gone, at the latest after limit_ms. */
void sp_web_server_drain(struct sp_web_server *s, int64_t limit_ms, void (*on_idle)(void *arg),
                         void *arg);

/* ---- a request, in its handler or found by its handle ---- */

/* returns: a handle that outlives the request */
sp_handle sp_web_request_handle(const struct sp_web_request *req);
/* returns: the request that still waits for its answer, or NULL */
struct sp_web_request *sp_web_server_find(const struct sp_web_server *s, sp_handle h);

/* returns: its head, lent until the request is answered */
const struct sp_web_head *sp_web_request_head(const struct sp_web_request *req);
/* returns: its body, lent until the request is answered; empty if it has none */
struct sp_bytes sp_web_request_body(const struct sp_web_request *req);
/* returns: what the i-th ":" of the route's path took */
struct sp_bytes sp_web_request_segment(const struct sp_web_request *req, size_t i);
/* returns: the cookie's value, empty if there is not exactly one */
struct sp_bytes sp_web_request_cookie(const struct sp_web_request *req, struct sp_bytes name);
/* Reads a form field; see sp_web_form_field. returns: false too if the body is no form */
SP_MUST_CHECK bool sp_web_request_form(const struct sp_web_request *req, struct sp_bytes name,
                                       struct sp_buf *out);
/* returns: the client's address, lent */
const struct sp_addr *sp_web_request_peer(const struct sp_web_request *req);

/* ---- its answer ---- */

/* Adds a field to the answer; name and value are checked: CR, LF or NUL in them end the process (a bug of ours). */
void sp_web_reply_field(struct sp_web_request *req, const char *name, struct sp_bytes value);

/* Answers with a whole body (copied). type: may be NULL if body is empty */
void sp_web_reply(struct sp_web_request *req, int status, const char *type, struct sp_bytes body);

/* Answers with 303 See Other. */
void sp_web_reply_see(struct sp_web_request *req, const char *location);

/* Answers with the server's error page of that status. */
void sp_web_reply_error(struct sp_web_request *req, int status);

#define SP_WEB_LENGTH_UNKNOWN UINT64_MAX
#define SP_WEB_SOURCE_CHUNK   (64 * 1024)

/* Where a streamed body comes from. read is called when the client has room; *got 0 is the end. */
struct sp_web_source {
    enum sp_rc (*read)(void *ctx, uint8_t *out, size_t len, size_t *got);
    /* Called exactly once when no read will follow: SP_OK if all was handed to the kernel. Frees ctx. */
    void (*end)(void *ctx, enum sp_rc rc);
    void *ctx;
};

/*
 * Answers with a streamed body. A source that fails, or yields another length than promised, breaks the connection off, so that
 * the client sees a cut download and never a whole-looking one.
 *
 * len:   bytes, or SP_WEB_LENGTH_UNKNOWN (sent chunked)
 * owner: the server owns the source's ctx from now on, in any case
 */
void sp_web_reply_stream(struct sp_web_request *req, int status, const char *type, uint64_t len,
                         const struct sp_web_source *source);

#endif
