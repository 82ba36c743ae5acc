/*
 * Inside delivery: connections by site, so that messages to one place share them and a dead place costs only its own.
 * A site is a host with all that its connections' proofs rest on (sp_hop_put_site). thread: loop
 */
#ifndef SP_DELIVERY_POOL_H
#define SP_DELIVERY_POOL_H

#include "base/map.h"
#include "delivery/conn.h"

struct sp_pool;

struct sp_pool_settings {
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_tls_context *tls;
    const char *hostname;
    int64_t connect_ms;
    int64_t command_ms; /* 0: the limits of RFC 5321 */
    int64_t idle_ms;
    int64_t rest_ms;    /* how long a host that could not be reached is left alone */
    unsigned total_max; /* connections in all */
    unsigned site_max;  /* to one site */
    unsigned messages_max;
};

/* settings: copied; what they point at is lent. owner: the caller. returns: never NULL */
struct sp_pool *sp_pool_new(const struct sp_pool_settings *settings);
/* Drops all connections and waiters without calling back. NULL is allowed. */
void sp_pool_free(struct sp_pool *p);

struct sp_pool_ask {
    const struct sp_route *route;
    size_t hop;
    bool plain; /* a connection that stays without TLS */
};

/*
 * c:   ready to send, lent until this call returns or, if a message is sent on it, until its result; NULL without one
 * end: why there is none
 */
typedef void (*sp_pool_fn)(void *arg, struct sp_conn *c, const struct sp_conn_end *end);

/* returns: an idle connection, to be used at once or left alone; or NULL */
struct sp_conn *sp_pool_find(struct sp_pool *p, const struct sp_pool_ask *ask);

/* Waits for a connection. returns: a handle; fn is called exactly once, on a later turn, and never after cancel */
sp_handle sp_pool_wait(struct sp_pool *p, const struct sp_pool_ask *ask, sp_pool_fn fn, void *arg);
void sp_pool_cancel(struct sp_pool *p, sp_handle wait);

/*
 * Asks before waiting. A site serves so many a second; who would only stand in line comes back when it is about their turn,
 * so that a long backlog for one slow host is not looked at over and over.
 *
 * returns: 0 to wait now, else the milliseconds after which to come again
 */
int64_t sp_pool_crowd_ms(struct sp_pool *p, const struct sp_pool_ask *ask);

struct sp_pool_stats {
    uint64_t opened;
    size_t open;
};
/* returns: counts since the start */
struct sp_pool_stats sp_pool_stats(const struct sp_pool *p);

#endif
