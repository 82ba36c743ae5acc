/*
 * A DNS server on the test's own loop, UDP and TCP on one free loopback port, that says what the test wants: the wrong
 * id, nothing at all, a cut answer.
 */
#ifndef SP_TEST_SUPPORT_DNS_SERVER_H
#define SP_TEST_SUPPORT_DNS_SERVER_H

#include "base/buf.h"
#include "io/loop.h"

struct dns_server;

/* Writes the reply to query into out; nothing written is silence. tcp: how it came; nth: queries so far, from 1 */
typedef void (*dns_server_fn)(void *arg, struct sp_bytes query, bool tcp, unsigned nth,
                              struct sp_buf *out);

struct dns_server *dns_server_new(struct sp_loop *loop, dns_server_fn fn, void *arg);
void dns_server_free(struct dns_server *s);
uint16_t dns_server_port(const struct dns_server *s);
unsigned dns_server_queries(const struct dns_server *s);
/* returns: the port that the last datagram came from */
uint16_t dns_server_asker(const struct dns_server *s);

enum { DNS_AD = 1, DNS_TC = 2 };

/* Starts a reply: header and question as in the query. Counts are kept by dns_reply_rr. */
void dns_reply(struct sp_buf *out, struct sp_bytes query, int rcode, int flags);
/* Adds a record; owner NULL: the question's name. authority: else the answer section */
void dns_reply_rr(struct sp_buf *out, const char *owner, uint16_t type, uint32_t ttl,
                  struct sp_bytes rdata, bool authority);
/* A name in wire form, appended. */
void dns_name(struct sp_buf *out, const char *name);
/* returns: the query's type; and whether CD is set */
uint16_t dns_query_type(struct sp_bytes query);
bool dns_query_is_unchecked(struct sp_bytes query);
/* returns: the name in lower case, in a static buffer */
const char *dns_query_name(struct sp_bytes query);

#endif
