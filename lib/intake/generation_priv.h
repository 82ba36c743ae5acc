/*
 * A generation of intake's configuration: made once, changed never, and kept by those that began under it. thread: loop
 */
#ifndef SP_INTAKE_GENERATION_PRIV_H
#define SP_INTAKE_GENERATION_PRIV_H

#include "base/map.h"
#include "crypt/hash.h"
#include "intake/intake.h"
#include "smtp/server.h"
#include "token/token.h"

struct networks {
    struct sp_network *items;
    size_t count;
};

struct who {
    struct sp_tenant *tenant;
    struct sp_network *networks;
    size_t network_count;
    uint8_t secret[SP_SHA256_LEN]; /* of the secret header's value */
    char digest[65];               /* SHA-256 of its file, hexadecimal */
};

struct issuer {
    char *issuer, *audience, *claim;
    char *tenant; /* "": any */
    int64_t leeway_ms;
    struct sp_token_keys *keys;
};

/* Immutable; counted by sessions and transactions. */
struct generation {
    unsigned refs;
    char *node, *hostname;
    struct sp_smtp_server_config *servers; /* by listen index */
    enum sp_listen_tls *listen_tls;
    bool *plain_ok;
    bool *bounces;            /* by listen index: takes nothing else */
    struct networks *proxies; /* by listen index */
    size_t listen_count;
    unsigned auth; /* mechanisms */
    unsigned relays;
    int64_t handshake_ms;
    size_t max_sessions, max_source;
    int64_t scan_ms;
    double max_connects;          /* of one source in a minute; 0: any */
    double memory, source_memory; /* bytes, of all and of one source; 0: any */
    double bytes, source_bytes;   /* a millisecond, of all and of one source; 0: any */
    bool long_lines;              /* they are sent as they are */
    int64_t expire_ms;            /* where policy names none */
    struct sp_policy *policy;
    struct sp_policy_stage stage;     /* draft NULL: nothing is staged */
    struct sp_tls_context **tls;      /* of each listener; NULL: none is offered */
    struct sp_dns_resolver *resolver; /* NULL: no key of a signature can be had */
    struct issuer *issuers;
    size_t issuer_count;
    struct who *tenants;
    size_t tenant_count;
    struct sp_map *secrets; /* names of all tenants' secret fields, in lower case */
};

struct generation *sp_intake_generation_new(const struct sp_intake_settings *s,
                                            const struct sp_clock *clock);
struct generation *sp_intake_generation_ref(struct generation *g);
void sp_intake_generation_unref(struct generation *g);

#endif
