/*
 * TLS on a stream (OpenSSL's home together with crypt and smime). A context holds certificate, key and trust; sp_tls_start
 * turns a plain stream into a protected one. Verification never passes silently: the handshake goes through with any
 * certificate, the proof says all that holds (chain, name, time, DANE), each by itself, and the caller decides.
 * TLS 1.2 and 1.3 only, with the suites of NIST SP 800-52r2. thread: loop
 */
#ifndef SP_TLS_TLS_H
#define SP_TLS_TLS_H

#include "base/err.h"
#include "base/mem.h"
#include "io/stream.h"

struct sp_tls_context;

#define SP_TLS_TICKET_KEY_LEN  80 /* bytes of one ticket key */
#define SP_TLS_TICKET_KEYS_MAX 4  /* that a server knows at a time */
#define SP_TLS_IDENTITIES_MAX  64 /* certificates of one server */

/* A certificate of a server and what belongs to it. */
struct sp_tls_identity {
    struct sp_bytes certificate_pem; /* with its chain, leaf first */
    struct sp_bytes key_pem;
    struct sp_bytes staple; /* DER of an OCSP response for the leaf; empty: none is shown */
};

struct sp_tls_server_config {
    struct sp_tls_identity
        identity; /* for clients that ask for no name, or for one that nobody has */
    /* Shown to who asks by SNI for a DNS name that is in them. Those with a key of another kind and a name in common with
     * the first are shown beside it: the client's signature algorithms choose. */
    const struct sp_tls_identity *more;
    size_t more_count;
    struct sp_bytes client_ca_pem; /* trusted for client certificates; empty: the system's trust */
    /* Keys of SP_TLS_TICKET_KEY_LEN secret bytes that processes share, the newest first: it makes tickets, all read them.
     * Empty: a random one. */
    struct sp_bytes ticket_keys;
    bool ask_client_certificate; /* asked for, never required */
    /* Told of each staple that is not shown, and why; 0 is identity, then come more. May be NULL. */
    void (*unstapled)(void *arg, size_t identity, const char *why);
    void *arg;
};

struct sp_tls_client_config {
    bool system_trust;               /* the system's CA file */
    struct sp_bytes extra_ca_pem;    /* trusted besides; may be empty */
    struct sp_bytes certificate_pem; /* of our own, shown if asked; may be empty */
    struct sp_bytes key_pem;
};

/* owner: the caller holds one reference. returns: NULL and err filled (SP_E_TLS_CONFIG) if the config is no good */
struct sp_tls_context *sp_tls_server_new(const struct sp_tls_server_config *config,
                                         struct sp_err *err);
struct sp_tls_context *sp_tls_client_new(const struct sp_tls_client_config *config,
                                         struct sp_err *err);

/* returns: a number that changes when the system's trust anchors do; for one who keeps a context over a reload */
uint64_t sp_tls_system_trust_stamp(void);

/* A context is shared and immutable; each session holds a reference of its own. NULL is allowed for unref. returns: it */
struct sp_tls_context *sp_tls_context_ref(struct sp_tls_context *context);
void sp_tls_context_unref(struct sp_tls_context *context);

#define SP_TLS_NAMES_MAX 8  /* reference names that a caller may give */
#define SP_TLS_TLSA_MAX  32 /* TLSA records that are looked at */

struct sp_tls_tlsa { /* RFC 6698 2.1 */
    uint8_t usage;
    uint8_t selector;
    uint8_t matching;
    struct sp_bytes data;
};

struct sp_tls_params {
    int64_t timeout_ms; /* for the handshake */

    /* client only: */
    struct sp_bytes server_name; /* for SNI and as DANE base domain; empty: none is sent */
    const struct sp_bytes *
        names; /* reference names; the certificate must have any one of them. For RFC 7672 DANE: the
                                       MX host and the next-hop domain; for MTA-STS: the MX host. "*.example" or ".example"
                                       is not understood here */
    size_t name_count;
    const struct sp_tls_tlsa
        *tlsa; /* as DNS gave them; usages 0 and 1 are dropped here (RFC 7672 3.1.3) */
    size_t tlsa_count;
    bool resume; /* keep and use sessions with this server (same address and port, names, TLSA) */
};

enum sp_tls_dane {
    SP_TLS_DANE_NOT_ASKED, /* no TLSA given */
    SP_TLS_DANE_UNUSABLE,  /* given, none usable: TLS is mandatory, unauthenticated */
    SP_TLS_DANE_MISMATCH,
    SP_TLS_DANE_EE, /* matched 3 x x: name and time do not matter */
    SP_TLS_DANE_TA, /* matched 2 x x: chain, name and time hold too */
};

#define SP_TLS_PROOF_NAMES_MAX 200 /* more are left out of names; name_ok looks at all */

/* What the peer proved. All pointers are good as long as the stream. */
struct sp_tls_proof {
    const char *version; /* "1.2", "1.3" */
    const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
    const char *group;   /* "X25519", "P-256"; "" if unknown */
    const char *profile; /* "sp800-52r2" */
    bool resumed;

    bool has_certificate; /* the peer showed one; else all below is empty */
    uint8_t spki_sha256[32];
    uint8_t certificate_sha256[32];
    const struct sp_bytes *names; /* DNS names (subjectAltName; the CN where there is none) */
    size_t name_count;
    int64_t not_before_ms; /* wall clock */
    int64_t not_after_ms;

    enum sp_rc
        chain; /* SP_OK: chains to trust, all valid now; else SP_E_TLS_UNTRUSTED, SP_E_TLS_EXPIRED; of a
                  server also SP_E_TLS_REVOKED by its staple, SP_E_TLS_STAPLE: it must staple and did not */
    bool name_ok; /* one of params.names is in it */
    bool time_ok; /* the peer's own certificate is valid now */
    enum sp_tls_dane dane;
    struct sp_tls_tlsa tlsa; /* the record that matched */

    const char *
        verified_by; /* the best that holds: "dane-ee", "dane-ta", "pkix" (chain and name), "none" */
};

/*
 * Starts TLS on a connected stream with nothing pending in either direction (the caller has checked that no plain text
 * lies behind STARTTLS). done(arg, rc, proof) follows exactly once unless the stream is freed before, on a later turn:
 * SP_OK and the proof, lent as long as the stream; or SP_E_TLS_HANDSHAKE, SP_E_TIMEOUT, SP_E_CLOSED and NULL, and then the
 * stream is good for sp_stream_free only.
 *
 * context: server or client; the session refs it
 * params:  copied; NULL for a server: 30 s
 */
void sp_tls_start(struct sp_stream *stream, struct sp_tls_context *context,
                  const struct sp_tls_params *params,
                  void (*done)(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof),
                  void *arg);

/* returns: the DER of the peer's chain, one after the other, leaf first, for the evidence; ptr NULL if there is none.
 * Good as long as the stream. proof: of sp_tls_start */
struct sp_bytes sp_tls_proof_chain(const struct sp_tls_proof *proof);

#endif
