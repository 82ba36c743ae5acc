/*
 * Inside dns: the cache, and one exchange with one server. thread: loop
 */
#ifndef SP_DNS_DNS_PRIV_H
#define SP_DNS_DNS_PRIV_H

#include "dns/resolver.h"

struct sp_loop;

/* ---- cache ---- */
struct sp_dns_cache;

/* owner: the caller. max, bytes_max: answers kept, and their memory; the oldest go first */
struct sp_dns_cache *sp_dns_cache_new(size_t max, size_t bytes_max);
void sp_dns_cache_free(struct sp_dns_cache *c);
/* returns: a fresh answer, lent, or NULL */
const struct sp_dns_answer *sp_dns_cache_find(struct sp_dns_cache *c, struct sp_bytes key,
                                              int64_t now_ms);
/* Keeps an answer (one more reference), in place of what was there. */
void sp_dns_cache_put(struct sp_dns_cache *c, struct sp_bytes key, const struct sp_dns_answer *a);
void sp_dns_cache_flush(struct sp_dns_cache *c);
size_t sp_dns_cache_count(const struct sp_dns_cache *c);
size_t sp_dns_cache_bytes(const struct sp_dns_cache *c);

/* ---- exchange ---- */
struct sp_dns_exchange;

struct sp_dns_exchange_plan {
    struct sp_loop *loop;
    const struct sp_random *random;
    const struct sp_dns_server *server;
    struct sp_dns_stats *stats;
    struct sp_bytes name;
    enum sp_dns_type type;
    bool unchecked; /* with CD */
    bool trusted;
    int64_t timeout_ms;
};

/* answer: the callee's to unref; rc SP_E_DNS_TIMEOUT inside where the server said nothing of use in time */
typedef void (*sp_dns_exchange_fn)(void *arg, const struct sp_dns_answer *answer);

/* owner: the caller, to free it in the call back at the latest. fn is called once, never before this has returned. */
struct sp_dns_exchange *sp_dns_exchange_new(const struct sp_dns_exchange_plan *plan,
                                            sp_dns_exchange_fn fn, void *arg);
/* No call back after this. NULL is allowed. */
void sp_dns_exchange_free(struct sp_dns_exchange *x);

#endif
