/*
 * Where mail for a domain goes: MX, addresses, DANE (RFC 7672), MTA-STS (RFC 8461), configured routes, gathered into a
 * route (transport/route.h) that is kept as long as the DNS allows. It decides nothing: it reports facts.
 */
#ifndef SP_TRANSPORT_TRANSPORT_H
#define SP_TRANSPORT_TRANSPORT_H

#include "base/clock.h"
#include "dns/dns.h"
#include "transport/route.h"

struct sp_config_route;
struct sp_config_smarthost;
struct sp_partners;
struct sp_loop;
struct sp_log;
struct sp_jobs;
struct sp_transport;

struct sp_transport_settings {
    const char *hostname; /* our own: an MX of that name is ourselves; NULL: not known */
    uint16_t port;        /* delivery.port */
    const char *next_hop; /* HOST:PORT for all, or "" */
    const struct sp_config_route *routes; /* domain to HOST:PORT, [ADDRESS]:PORT or HOST */
    size_t route_count;
    const struct sp_config_route
        *pins; /* domain to the name that its hosts' certificates must show */
    size_t pin_count;
    const struct sp_config_smarthost *smarthosts;
    size_t smarthost_count;
    const struct sp_hop_self *const *
        selves; /* who we are to each smarthost, or NULL for the ordinary; lent for the transport's life */
    const struct sp_partners *partners; /* lent for the transport's life; NULL: none */
    int64_t cache_ms;                   /* longest life of a route; 0: 300000 */
};

struct sp_transport_parts {
    struct sp_loop *loop;
    struct sp_log *log;
    const struct sp_dns_ops *dns;
    struct sp_jobs *jobs; /* NULL where no policy can be fetched: then only remembered ones count */
    struct sp_sts_cache *sts;   /* lent, shared with other transports; NULL: one of its own */
    struct sp_posture *posture; /* the same */
};

/*
 * owner: the caller, to sp_transport_free. What parts point at is lent for its life; settings are copied.
 *
 * returns: SP_OK, or SP_E_CONFIG_INVALID with the detail in err
 */
SP_MUST_CHECK enum sp_rc sp_transport_new(const struct sp_transport_parts *parts,
                                          const struct sp_transport_settings *settings,
                                          struct sp_transport **out, struct sp_err *err);
/* Ends all look-ups without calling back. NULL is allowed. */
void sp_transport_free(struct sp_transport *t);
SP_AUTO_DEFINE(sp_transport)

/*
 * For who is about to use it. Who has cancelled a look-up and comes back finds what came of it, for half a minute; as many as have.
 *
 * returns: the route if it is known and fresh (lent: take a reference to keep it), else NULL. cost: O(1)
 */
const struct sp_route *sp_transport_find(struct sp_transport *t, struct sp_bytes domain);
/* returns: the same to tell people: nobody has come back by that */
const struct sp_route *sp_transport_look(const struct sp_transport *t, struct sp_bytes domain);

/* returns: the route that was known last, fresh or not: to tell people, not to send by (lent for the turn); NULL: none is kept */
const struct sp_route *sp_transport_last(const struct sp_transport *t, struct sp_bytes domain);

/* route: lent for the call */
typedef void (*sp_transport_fn)(void *arg, const struct sp_route *route);

/*
 * Looks a domain up (lower case, A-labels; or an address literal in brackets). Equal questions share one look-up, which the best of
 * those who wait for it asks.
 *
 * returns: a handle; fn is called exactly once, never before this has returned, never after cancel
 */
sp_handle sp_transport_resolve(struct sp_transport *t, struct sp_bytes domain,
                               enum sp_dns_party party, sp_transport_fn fn, void *arg);
/* Ends the wait without a call back; a stale handle is ignored. The look-up goes on, and its route is kept for who comes back. */
void sp_transport_cancel(struct sp_transport *t, sp_handle look_up);
/* returns: whether a domain is being looked up */
bool sp_transport_is_asking(const struct sp_transport *t, struct sp_bytes domain);

/* Forgets a domain's route, so that the next look-up asks anew: after a hop did not keep what the route said. */
void sp_transport_forget(struct sp_transport *t, struct sp_bytes domain);

/* Refreshes an MTA-STS policy that is getting old, though nobody mails its domain. Call it now and then. */
void sp_transport_refresh(struct sp_transport *t);

/* returns: the STS policies in memory */
struct sp_sts_cache *sp_transport_sts(struct sp_transport *t);
/* returns: what domains have proved */
struct sp_posture *sp_transport_posture(struct sp_transport *t);

#endif
