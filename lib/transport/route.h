/*
 * What is known of a domain's next hops at one moment, what each of them can promise, and what a handshake with one is
 * worth. Facts and reasons only; nothing is decided here.
 */
#ifndef SP_TRANSPORT_ROUTE_H
#define SP_TRANSPORT_ROUTE_H

#include "base/buf.h"
#include "dns/dns.h"
#include "transport/sts.h"

#define SP_TRANSPORT_HOPS_MAX      16 /* MX hosts that are considered, by preference */
#define SP_TRANSPORT_ADDRESSES_MAX 8  /* of a host */
#define SP_TRANSPORT_TLSA_MAX      16 /* of a host */

/* What a connection proved, weakest first; the names of floors and rungs in the policy language. */
enum sp_level {
    SP_LEVEL_PLAIN,
    SP_LEVEL_ENCRYPTED,
    SP_LEVEL_VERIFIED,
    SP_LEVEL_AUTHENTICATED,
    SP_LEVEL_DANE,
};

/* returns: "plain", "tls:encrypted", ... static */
const char *sp_level_name(enum sp_level level);

enum sp_via {
    SP_VIA_MX,
    SP_VIA_IMPLICIT, /* no MX: the domain's own address, RFC 5321 5.1 */
    SP_VIA_ROUTE,    /* delivery.routes */
    SP_VIA_NEXT_HOP, /* delivery.next_hop */
    SP_VIA_LITERAL,  /* user@[192.0.2.1] */
};

/* returns: "mx", "implicit", "route", "next-hop", "literal", static */
const char *sp_via_name(enum sp_via via);

enum sp_tlsa_state {
    SP_TLSA_NONE, /* proved absent, or not to be asked: the zone is unsigned or the resolver not trusted */
    SP_TLSA_USABLE,   /* DANE binds this host */
    SP_TLSA_UNUSABLE, /* TLS is mandatory, unauthenticated (RFC 7672 2.2) */
    SP_TLSA_ERROR,    /* this host must be skipped (RFC 7672 2.1) */
};

struct sp_tlsa {
    uint8_t usage;
    uint8_t selector;
    uint8_t matching_type;
    struct sp_bytes data;
};

struct sp_random;
struct sp_tls_context;

/* Who we are to a host that wants to know. Lent: it outlives every route and connection that names it. */
struct sp_hop_self {
    struct sp_tls_context *tls; /* with a certificate of ours; NULL: the ordinary one */
    const char *helo;           /* our name in EHLO; "": the ordinary one */
    const char *certificate;    /* its file, for the audit; "" without one */
};

/* One host to try. Lives as long as its route. */
struct sp_hop {
    enum sp_rc rc;        /* SP_OK, or why it can't be tried: addresses or TLSA not to be had */
    struct sp_bytes name; /* as the MX or the setting names it */
    struct sp_bytes base; /* TLSA base domain (RFC 7672 2.2.2): SNI and reference name of DANE */
    uint16_t port;
    bool is_address; /* name is an address literal */
    bool address_secure;
    struct sp_dns_ip addresses[SP_TRANSPORT_ADDRESSES_MAX];
    size_t address_count;
    enum sp_tlsa_state tlsa;
    enum sp_rc
        tlsa_why; /* where not usable: dane.none, dane.zone-unsigned, dane.unusable, a DNS error */
    struct sp_tlsa tlsa_set[SP_TRANSPORT_TLSA_MAX]; /* the usable ones: usages 2 and 3 */
    size_t tlsa_count;
    bool tlsa_pinned; /* the set is a partner's, from the settings: DNS was not asked */
    bool tlsa_secure; /* the answer, absence too, was validated */
    bool sts_match;   /* the name is one of the STS policy's */
    uint16_t preference;
    uint16_t weight;                /* share among those of the same preference; 0 counts as 1 */
    struct sp_bytes pin;            /* name that its own certificate must hold; or empty */
    const struct sp_hop_self *self; /* NULL: nobody special */
};

/* All that is known of a domain now. Immutable and counted. */
struct sp_route {
    enum sp_rc rc; /* SP_OK; SP_E_DNS_NULL_MX or SP_E_DNS_NXDOMAIN: never; an error: later */
    struct sp_bytes domain;
    enum sp_via via;
    bool mx_secure;   /* the MX answer (or its proved absence) was validated */
    enum sp_rc mx_rc; /* SP_OK, or SP_E_DNS_NONE where the domain is its own host */
    struct sp_bytes
        pin; /* name that the certificate must hold, from delivery.pins or the route itself; or empty */
    const struct sp_bytes *names; /* a partner's: the certificate must hold one, or the pin */
    size_t name_count;
    enum sp_level must;       /* a partner's hosts must prove it; plain: nothing is asked */
    struct sp_sts_policy sts; /* mode none if there is none */
    enum sp_rc
        sts_why; /* where mode is not enforce: sts.none, sts.testing, or why it could not be had */
    bool sts_doubt;     /* sts_why is an error of a moment: wait before it counts as no policy */
    enum sp_rc sts_txt; /* of its TXT record: SP_OK, sts.none, or a DNS error */
    const struct sp_hop *hops; /* by preference, equal ones shuffled */
    size_t hop_count;
    int64_t good_until_ms; /* monotonic */
    int64_t as_of_ms;      /* wall clock */
};

/* returns: the same route, with one more owner. thread: loop */
const struct sp_route *sp_route_ref(const struct sp_route *r);
/* Gives one ownership back. NULL is allowed. thread: loop */
void sp_route_unref(const struct sp_route *r);

/* returns: whether a name is pinned for the route's hosts, or for this one */
bool sp_hop_has_pin(const struct sp_route *r, const struct sp_hop *h);

/*
 * Draws the order in which hosts are tried: by preference, among equals at random by weight (RFC 5321 5.1).
 *
 * random:  handed in
 * order:   gets hop_count indices of hops
 */
void sp_route_draw(const struct sp_route *r, const struct sp_random *random,
                   uint8_t order[SP_TRANSPORT_HOPS_MAX]);

/* returns: whether DANE binds the hop with full strength: usable TLSA behind a secure MX answer */
bool sp_hop_has_dane(const struct sp_route *r, const struct sp_hop *h);

/*
 * Writes all that a connection's proof rests on: host, port, addresses, TLSA set, pin, and the domain where a
 * certificate may be in its name. Equal bytes, and only those, mean that a connection can be shared: what it proved is
 * then what a connection of one's own would have proved. STS needs none: its names and mode are weighed by
 * sp_hop_judge, for each route anew.
 */
void sp_hop_put_site(const struct sp_route *r, const struct sp_hop *h, struct sp_buf *b);

/* What a TLS handshake with a hop showed; from tls's proof. */
struct sp_hop_proof {
    bool tls;     /* an approved version and suite */
    bool dane_ok; /* a record of the hop's set matched, with its name where the usage asks for it */
    bool chain_ok;        /* chains to system trust, valid now, and not revoked by its staple */
    enum sp_rc chain_why; /* where it is not: the reason, if it is a staple's; else SP_OK */
    bool name_ok;         /* the hop's own name is in the certificate */
    bool pin_ok;          /* the route's pin is, or one of its names */
    bool expired;
};

/* What a connection to a hop is worth. */
struct sp_hop_verdict {
    bool broken;             /* the domain's own promise is not kept: nothing may go there */
    enum sp_level level;     /* what has been proved */
    enum sp_rc dane_why;     /* why not tls:dane; SP_OK if it is */
    enum sp_rc auth_why;     /* why not tls:authenticated */
    enum sp_rc verified_why; /* why not tls:verified */
    enum sp_rc tls_why;      /* why not tls:encrypted */
};

/*
 * Weighs a handshake against what the domain promises. thread: any; pure
 *
 * proof:   with tls false for a hop that offers no STARTTLS or whose handshake failed for tls_rc
 * returns: the verdict; broken if DANE or an enforced STS policy binds this hop and is not met
 */
struct sp_hop_verdict sp_hop_judge(const struct sp_route *r, const struct sp_hop *h,
                                   const struct sp_hop_proof *proof, enum sp_rc tls_rc);

#endif
