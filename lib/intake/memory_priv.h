/*
 * How much of the relay's memory a source, a tenant, and all hold with what they send: memory.c.
 */
#ifndef SP_INTAKE_MEMORY_PRIV_H
#define SP_INTAKE_MEMORY_PRIV_H

#include "base/err.h"
#include "io/addr.h"

struct session;
struct source;
struct sp_intake;
struct sp_tenant;
struct transaction;

struct memory {
    size_t bytes;
    int64_t told_ms; /* when it was logged that it is full; 0: never */
};

struct memories {
    struct memory all;
    size_t holders;   /* sources and tenants that hold any */
    uint64_t refused; /* connections, commands and messages, since the start */
};

/* Counts anew what a session and its message hold; one that receives a message may have to wait, or is refused. */
void sp_intake_memory_weigh(struct session *s);
/* The session goes; a message that stays is counted by itself until it has gone, too. */
void sp_intake_memory_leave(struct session *s);
/* The message goes. */
void sp_intake_memory_drop(struct transaction *tx);
/* returns: SP_OK, or SP_E_INTAKE_MEMORY if this client should begin nothing more. t: whose it is; or NULL */
SP_MUST_CHECK enum sp_rc sp_intake_memory_check(struct session *s, const struct sp_tenant *t);
/* returns: whether a source may have another session */
bool sp_intake_memory_admits(struct sp_intake *in, struct source *src, const struct sp_addr *peer);

#endif
