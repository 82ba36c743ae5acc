/*
 * IP address and port, IPv4 and IPv6. thread: any
 */
#ifndef SP_IO_ADDR_H
#define SP_IO_ADDR_H

#include "base/buf.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct sp_addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } u;
    socklen_t len;
};

#define SP_ADDR_TEXT_MAX 64

/* returns: false if ip is no numeric IPv4 or IPv6 address (no brackets) */
SP_MUST_CHECK bool sp_addr_from_ip(struct sp_bytes ip, uint16_t port, struct sp_addr *out);

/* Reads "127.0.0.1:25" or "[::1]:25". returns: false if it is neither */
SP_MUST_CHECK bool sp_addr_parse(struct sp_bytes text, struct sp_addr *out);

/* From 4 or 16 bytes in network order. returns: false for another length */
SP_MUST_CHECK bool sp_addr_from_raw(struct sp_bytes raw, uint16_t port, struct sp_addr *out);

/* out: SP_ADDR_TEXT_MAX bytes; "127.0.0.1:25", "[::1]:25" */
void sp_addr_format(const struct sp_addr *a, char *out);

/* out: SP_ADDR_TEXT_MAX bytes; the address alone, an IPv4-mapped IPv6 address as IPv4 */
void sp_addr_format_ip(const struct sp_addr *a, char *out);

/* returns: the port, 0 if it is no IP address; whether address and port are the same (IPv4 equals its mapped form);
 * whether it is 127.0.0.0/8 or ::1 */
uint16_t sp_addr_port(const struct sp_addr *a);
bool sp_addr_eq(const struct sp_addr *a, const struct sp_addr *b);
bool sp_addr_is_loopback(const struct sp_addr *a);
/* returns: whether a connection can leave from it now: it is this machine's, and not tentative */
bool sp_addr_can_leave_from(const struct sp_addr *a);

/* A network as "10.0.0.0/8" or "fd00::/8" or a lone address. */
struct sp_network {
    uint8_t ip[16]; /* IPv4 as mapped */
    unsigned bits;  /* of 128 */
};
/* returns: false if text is no network */
SP_MUST_CHECK bool sp_network_parse(struct sp_bytes text, struct sp_network *out);
bool sp_network_has(const struct sp_network *n, const struct sp_addr *a);

#endif
