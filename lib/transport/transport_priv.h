/*
 * Inside transport: routes being made, and the look-up that makes them. thread: loop
 */
#ifndef SP_TRANSPORT_TRANSPORT_PRIV_H
#define SP_TRANSPORT_TRANSPORT_PRIV_H

#include "transport/transport.h"

/* ---- making a route ---- */

/*
 * Makes a counted route of a draft; all its texts are copied, hops too.
 *
 * like:    with hops of its own
 * returns: the route, of which the caller has one reference
 */
const struct sp_route *sp_route_copy(const struct sp_route *like);

/* ---- targets of settings ---- */
struct sp_target {
    struct sp_bytes host; /* a name, or an address without brackets */
    uint16_t port;
    bool is_address;
    struct sp_dns_ip ip;
    uint16_t priority;
    uint16_t weight;
    struct sp_bytes pin; /* of this host alone; or empty */
    const struct sp_hop_self *self;
};

struct sp_targets {
    struct sp_target items[SP_TRANSPORT_HOPS_MAX];
    size_t count;
};

/* Reads HOST, HOST:PORT, ADDRESS:PORT, [ADDRESS]:PORT. returns: false if it is none of them */
SP_MUST_CHECK bool sp_target_parse(struct sp_bytes text, uint16_t port, struct sp_target *out);

/* Reads [192.0.2.1] and [IPv6:2001:db8::1]. returns: false if domain is no address literal */
SP_MUST_CHECK bool sp_target_parse_literal(struct sp_bytes domain, uint16_t port,
                                           struct sp_target *out);

/* ---- look-up ---- */
struct sp_look_up;
struct sp_partner;

struct sp_look_up_plan {
    struct sp_loop *loop;
    struct sp_log *log;
    const struct sp_dns_ops *dns;
    struct sp_jobs *jobs; /* or NULL */
    struct sp_sts_cache *sts;
    struct sp_bytes domain;
    struct sp_bytes own_name; /* or empty */
    uint16_t port;
    enum sp_via via;                  /* MX, or what target stands for */
    const struct sp_targets *targets; /* of a route or literal; copied; NULL for MX */
    struct sp_bytes pin;              /* or empty */
    const struct sp_partner *partner; /* or NULL */
    int64_t cache_ms;
};

/* route: the callee's to unref */
typedef void (*sp_look_up_fn)(void *arg, const struct sp_route *route);

/* plan: copied. owner: the caller, to free in the call back at the latest; fn is called once, on a later turn */
struct sp_look_up *sp_look_up_new(const struct sp_look_up_plan *plan, sp_look_up_fn fn, void *arg);
/* Somebody better waits for it, too: what is asked is asked by these slots. */
void sp_look_up_hurry(struct sp_look_up *l, const struct sp_dns_ops *dns);
/* No call back after this. NULL is allowed. */
void sp_look_up_free(struct sp_look_up *l);

#endif
