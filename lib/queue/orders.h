/*
 * What an administrator has ordered of a whole shard and what outlives a restart: tenants and destinations whose mail is
 * frozen, and that no mail is taken (drain). Kept in a small file beside the segments, written anew, synced and renamed for
 * each change, so that a crash leaves the one or the other. thread: loop; writing blocks for two syncs
 */
#ifndef SP_QUEUE_ORDERS_H
#define SP_QUEUE_ORDERS_H

#include "base/bytes.h"
#include "base/err.h"

struct sp_queue;

#define SP_QUEUE_ORDERS_MAX     1000 /* frozen at a time */
#define SP_QUEUE_ORDER_NAME_MAX 255

enum sp_queue_order {
    SP_QUEUE_ORDER_DRAIN,  /* no name: no mail is taken */
    SP_QUEUE_ORDER_TENANT, /* its mail is not delivered */
    SP_QUEUE_ORDER_SITE, /* mail to this destination (a domain, or the route that a rule names) is not */
    SP_QUEUE_ORDER_HOST, /* nor what would go to this host first: its name, or "*." and the end of one */
    SP_QUEUE_ORDER_COUNT,
};

/* returns: "drain", "tenant", "site", "host"; static */
const char *sp_queue_order_name(enum sp_queue_order what);

/*
 * Who gave an order, when and why; texts are lent. It is kept in a file of its own beside the orders, so that those stay what a
 * version from before it can read; an order without it, or with one that can't be read, stands all the same.
 */
struct sp_queue_given {
    int64_t time_ms;        /* wall clock; 0: not known */
    struct sp_bytes actor;  /* as the audit has it; empty if it is longer than SP_QUEUE_GIVEN_MAX */
    struct sp_bytes reason; /* cut to SP_QUEUE_GIVEN_MAX, control characters are spaces */
};
#define SP_QUEUE_GIVEN_MAX 500 /* bytes of each text */

/*
 * Gives an order or takes it back; what stands already is no error. What is being delivered goes on to its end.
 *
 * given:   who gives it; not kept; NULL: not known
 * returns: SP_OK and it is on disk and in effect; SP_E_LIMIT for too many or a name that can't be one, SP_E_IO and all is as before
 */
SP_MUST_CHECK enum sp_rc sp_queue_order(struct sp_queue *q, enum sp_queue_order what,
                                        struct sp_bytes name, bool on,
                                        const struct sp_queue_given *given);

/* returns: whether this is ordered now */
bool sp_queue_is_ordered(const struct sp_queue *q, enum sp_queue_order what, struct sp_bytes name);

/* returns: whether a host's name is meant by a pattern: the same, or below what follows "*." */
bool sp_queue_host_fits(struct sp_bytes pattern, struct sp_bytes host);

/* returns: whether mail whose best host is this one is not delivered */
bool sp_queue_freezes_host(const struct sp_queue *q, struct sp_bytes host);

/*
 * What a destination's mail would go to first is frozen: nothing of it is handed out until an order about hosts is taken
 * back; then it is looked at anew.
 */
void sp_queue_freeze_way(struct sp_queue *q, struct sp_bytes destination);

/* Visits all orders, in no order of their own. name, given: lent for the call */
void sp_queue_orders_each(const struct sp_queue *q,
                          void (*visit)(void *arg, enum sp_queue_order what, struct sp_bytes name,
                                        const struct sp_queue_given *given),
                          void *arg);

#endif
