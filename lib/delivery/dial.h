/*
 * Inside delivery: a TCP connection to one of a host's addresses. The families race, so that a broken road of one costs a
 * fraction of a second and not a time limit (the idea of RFC 8305). thread: loop
 */
#ifndef SP_DELIVERY_DIAL_H
#define SP_DELIVERY_DIAL_H

#include "io/stream.h"
#include "transport/route.h"

struct sp_dial;

#define SP_DIAL_STAGGER_MS 250 /* RFC 8305 5: Connection Attempt Delay */

struct sp_dial_plan {
    struct sp_loop *loop;
    const struct sp_hop *hop; /* lent for the dial's life */
    int64_t connect_ms;       /* patience with one address */
    /*
     * Chooses the address to bind to. NULL: the system does.
     *
     * out, source: *source is set to out, or to NULL if the system is to choose
     * returns:     false if that family can't be used
     */
    bool (*choose)(void *arg, unsigned family, struct sp_addr *out, const struct sp_addr **source);
    void *choose_arg;
};

/* stream: connected, the callee's, with no events set yet; NULL if no address took the connection. ip: lent for the call */
typedef void (*sp_dial_fn)(void *arg, struct sp_stream *stream, const char *ip);

/* plan: copied. owner: the caller, to sp_dial_free. fn is called exactly once, on a later turn, unless freed before */
struct sp_dial *sp_dial_new(const struct sp_dial_plan *plan, sp_dial_fn fn, void *arg);
/* Ends what is under way. Allowed in fn. NULL is allowed. */
void sp_dial_free(struct sp_dial *d);

#endif
