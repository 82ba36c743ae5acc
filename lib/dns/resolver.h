/*
 * The resolver on our loop: UDP with EDNS and DO, random ids, ports and letter case (0x20), TCP where an answer is cut
 * or looks wrong, several servers, retries within a deadline, a bounded cache, and one exchange for equal questions.
 */
#ifndef SP_DNS_RESOLVER_H
#define SP_DNS_RESOLVER_H

#include "base/clock.h"
#include "dns/dns.h"

struct sp_loop;
struct sp_log;
struct sp_dns_resolver;

struct sp_dns_server {
    struct sp_dns_ip ip;
    uint16_t port;
};

struct sp_dns_settings {
    struct sp_dns_server servers[SP_DNS_SERVERS_MAX];
    size_t server_count;
    bool trusted;         /* its AD bit is believed: loopback, or a path that nobody can touch */
    int64_t first_try_ms; /* patience with the first datagram, doubled at each; 0: 800 */
    int64_t deadline_ms;  /* for a question in all; 0: 8000 */
    size_t cache_max;     /* answers kept; 0: 20000 */
    size_t cache_bytes;   /* and their memory; 0: 32 MiB */
};

/* owner: the caller, to sp_dns_resolver_free. loop and log are lent for its life. returns: never NULL */
struct sp_dns_resolver *sp_dns_resolver_new(struct sp_loop *loop, struct sp_log *log,
                                            const struct sp_dns_settings *settings);

/* Ends all questions without calling back. NULL is allowed. */
void sp_dns_resolver_free(struct sp_dns_resolver *r);
SP_AUTO_DEFINE(sp_dns_resolver)

/* returns: the slots by which SP_DNS_PARTY_OURS asks this resolver; good for its life */
const struct sp_dns_ops *sp_dns_resolver_ops(struct sp_dns_resolver *r);

/* Forgets every answer (tests, and an operator's wish). */
void sp_dns_resolver_flush(struct sp_dns_resolver *r);

struct sp_dns_stats {
    uint64_t asked;     /* questions taken */
    uint64_t cached;    /* of them answered from memory */
    uint64_t merged;    /* of them joined to one under way */
    uint64_t datagrams; /* sent */
    uint64_t tcp;       /* connections tried */
    uint64_t dropped;   /* packets that answered nothing we asked */
    uint64_t rested;    /* times that a server was passed over, since it had gone silent */
};
/* returns: counts since the start */
struct sp_dns_stats sp_dns_resolver_stats(const struct sp_dns_resolver *r);

#endif
