/*
 * Inside delivery: one SMTP connection to a next hop: socket, TLS, client machine, body. thread: loop
 */
#ifndef SP_DELIVERY_CONN_H
#define SP_DELIVERY_CONN_H

#include "base/buf.h"
#include "config/sites.h"
#include "delivery/source.h"
#include "io/stream.h"
#include "smtp/client.h"
#include "tls/tls.h"
#include "transport/route.h"

struct sp_conn;

struct sp_conn_plan {
    struct sp_loop *loop;
    const char *hostname;
    struct sp_tls_context *tls;
    const struct sp_route *route; /* a reference is taken */
    size_t hop;
    bool plain; /* stay without TLS */
    int64_t connect_ms;
    int64_t command_ms;                  /* 0: the limits of RFC 5321 */
    const struct sp_site_source *source; /* addresses to bind to; NULL: the system chooses */
    unsigned source_turn;                /* which of those of a family */
};

/* Why there is no connection, or no more. */
struct sp_conn_end {
    enum sp_rc rc;
    int reply_code;             /* of the peer, 0 if none */
    bool is_new;                /* nobody was told of this end before: it counts in reports */
    struct sp_smtp_reply reply; /* where reply_code is not 0 */
};

struct sp_conn_events {
    /* May send a message now, for the first time and after each transaction. */
    void (*on_ready)(void *arg, struct sp_conn *c);
    /* A message is being sent on it: it is not ready any more. Called from within sp_conn_send. */
    void (*on_busy)(void *arg, struct sp_conn *c);
    /* What came of a transaction, before who sent it hears. May be NULL. */
    void (*on_result)(void *arg, struct sp_conn *c, const struct sp_smtp_result *result);
    /* It is over; free it. Once, and nothing comes after it. A result that was owed has been told. */
    void (*on_end)(void *arg, struct sp_conn *c, const struct sp_conn_end *end);
};

/* owner: the caller, to sp_conn_free. events: static. Starts connecting; callbacks come from the loop only */
struct sp_conn *sp_conn_new(const struct sp_conn_plan *plan, const struct sp_conn_events *events,
                            void *arg);
/* Closes at once. Allowed in its own callbacks. A result that is owed is not told. NULL is allowed. */
void sp_conn_free(struct sp_conn *c);

/* What it showed is good as long as the connection. returns: what the handshake proved, all false without TLS */
const struct sp_hop_proof *sp_conn_proof(const struct sp_conn *c);
/* returns: the JSON object of the audit's "tls", made once; empty without TLS */
struct sp_bytes sp_conn_tls_json(const struct sp_conn *c);
/* returns: the DER chain that the peer showed, or empty */
struct sp_bytes sp_conn_chain(const struct sp_conn *c);
/* returns: the TLSA record that matched, as text, or empty */
struct sp_bytes sp_conn_tlsa(const struct sp_conn *c);
/* returns: the peer's address as text, NUL-terminated */
const char *sp_conn_ip(const struct sp_conn *c);
unsigned sp_conn_extensions(const struct sp_conn *c);
uint64_t sp_conn_size_limit(const struct sp_conn *c);
/* returns: true once: the session is to be counted by who asked first */
bool sp_conn_take_new(struct sp_conn *c);
/* returns: messages sent over it so far */
unsigned sp_conn_messages(const struct sp_conn *c);

/*
 * rc:     SP_OK, or why our own side could not send all of it: it broke off before the dot
 * result: lent for the call
 */
typedef void (*sp_conn_result_fn)(void *arg, enum sp_rc rc, const struct sp_smtp_result *result);

/*
 * Sends a message, on a connection that is ready.
 *
 * mail:   borrowed for the call
 * source: lent until fn is called or the connection freed
 * returns: SP_OK: fn follows exactly once, from the loop; else why the message can't be sent there, and the connection
 *          is still ready
 */
SP_MUST_CHECK enum sp_rc sp_conn_send(struct sp_conn *c, const struct sp_smtp_mail *mail,
                                      struct sp_source *source, sp_conn_result_fn fn, void *arg);

/* Says QUIT; on_end follows. */
void sp_conn_quit(struct sp_conn *c);

/* What a handshake proved, in the terms of the route. */
void sp_conn_read_proof(const struct sp_route *route, const struct sp_hop *hop,
                        const struct sp_tls_proof *tls, struct sp_hop_proof *out);

#endif
