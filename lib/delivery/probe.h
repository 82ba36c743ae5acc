/*
 * Looks at a domain as a delivery would: route, each host's handshake, what each is worth. No message is ever sent: after
 * EHLO and STARTTLS it says QUIT. thread: loop
 */
#ifndef SP_DELIVERY_PROBE_H
#define SP_DELIVERY_PROBE_H

#include "delivery/outcome.h"

struct sp_jw;
struct sp_loop;
struct sp_posture;
struct sp_probe;
struct sp_tls_context;
struct sp_transport;

struct sp_probe_plan {
    struct sp_loop *loop;
    struct sp_transport *transport;
    struct sp_tls_context *tls;
    const char *hostname;
    int64_t connect_ms;
    int64_t limit_ms; /* for all of it: who has not shown anything by then counts as silent */
};

/* What one host of the route showed. */
struct sp_probe_host {
    enum sp_rc rc;       /* SP_OK: it talks with us; else why not */
    int reply_code;      /* of its refusal, 0 if none */
    bool asked;          /* a connection was tried */
    struct sp_bytes ip;  /* that talked */
    unsigned extensions; /* SP_SMTP_EXT_ bits behind STARTTLS */
    struct sp_hop_proof proof;
    struct sp_hop_verdict verdict;
    struct sp_bytes tls_json; /* as in the audit */
    struct sp_bytes tlsa;     /* record that matched */
};

struct sp_probe_result {
    const struct sp_route *route;
    const struct sp_probe_host *hosts; /* one for each of the route's */
};

/* result: lent for the call */
typedef void (*sp_probe_fn)(void *arg, const struct sp_probe_result *result);

/*
 * domain: lower case, A-labels
 * owner:  the caller, to free in the call back at the latest; fn is called once, on a later turn
 */
struct sp_probe *sp_probe_new(const struct sp_probe_plan *plan, struct sp_bytes domain,
                              sp_probe_fn fn, void *arg);
/* No call back after this. NULL is allowed. */
void sp_probe_free(struct sp_probe *p);

/* Tells an attempt's standing all that the probe saw, as hosts that are asked in turn would. */
void sp_probe_tell(const struct sp_probe_result *result, struct sp_posture *posture,
                   struct sp_standing *s);

/* Writes what was seen as members of the object that w is in: domain, via, mx, sts, hosts. thread: any */
void sp_probe_write(const struct sp_probe_result *result, struct sp_jw *w);

/* Begins the report of a host: what was proved before, and which promises the route can't have. */
void sp_outcome_hop_report_init(const struct sp_route *route, size_t hop,
                                struct sp_posture *posture, struct sp_hop_report *r);

#endif
