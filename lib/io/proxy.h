/*
 * The PROXY protocol, version 2, as a load balancer writes it in front of a connection (HAProxy's specification, 2.2): who
 * the client really is. Version 1 is not understood. thread: any
 */
#ifndef SP_IO_PROXY_H
#define SP_IO_PROXY_H

#include "base/err.h"
#include "io/addr.h"

#define SP_PROXY_MIN 16          /* bytes that every header has */
#define SP_PROXY_MAX (16 + 2048) /* bytes of a header with its extensions */

struct sp_proxy {
    size_t len;    /* bytes of the header; with SP_E_CLOSED: of as much of it as is known to come */
    bool is_local; /* the balancer's own connection, a health check: the peer is who it is */
    struct sp_addr client;
};

/*
 * Reads a header at the start of what has come.
 *
 * returns: SP_OK; SP_E_CLOSED if more bytes are needed, out->len in all; SP_E_MALFORMED if it is no header, is too long, or names no
 *          client over TCP
 */
SP_MUST_CHECK enum sp_rc sp_proxy_parse(struct sp_bytes in, struct sp_proxy *out);

#endif
