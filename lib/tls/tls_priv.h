/*
 * tls' own: contexts, sessions, proofs. thread: loop
 */
#ifndef SP_TLS_TLS_PRIV_H
#define SP_TLS_TLS_PRIV_H

#include "base/arena.h"
#include "base/map.h"
#include "tls/tls.h"

#include <openssl/ssl.h>

struct sp_tls_cache;

enum { SP_TLS_USAGE_TA = 2, SP_TLS_USAGE_EE = 3 }; /* RFC 6698 2.1.1 */

/* 112 bits: RSA and DH of 2048, elliptic curves of 224 at least, no SHA-1 (SP 800-52r2 3.3, SP 800-57 5.6), whatever the
 * system's openssl.cnf says */
#define SP_TLS_SECURITY_LEVEL 2

struct sp_tls_context {
    SSL_CTX *ctx;
    size_t refs;
    bool is_server;
    struct sp_tls_cache *cache; /* client only */
};

/* A proof with what its pointers need. */
struct sp_tls_evidence {
    struct sp_tls_proof proof; /* first: sp_tls_proof_chain finds the rest from it */
    struct sp_bytes chain;
    struct sp_arena *arena;
};

struct session {
    SSL *ssl;
    struct sp_stream *stream;
    struct sp_tls_context *context;
    struct sp_timer *timer;
    bool timed_out;
    bool handshaken;
    bool unusable; /* TLSA were given, none was usable */
    bool dane;     /* usable TLSA are set */
    char **names;
    size_t name_count;
    struct sp_bytes key;              /* of the resumption cache; empty: not resumed */
    struct sp_tls_evidence *offered;  /* what the offered session once proved */
    struct sp_tls_evidence *evidence; /* once handshaken */
    SSL_SESSION *early;               /* a session that came before the proof (TLS 1.2) */
    struct sp_arena *arena;
    void (*done)(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof);
    void *arg;
};

/*
 * What the server's staple says of a certificate that chains to trust.
 *
 * returns: SP_OK; SP_E_TLS_REVOKED; SP_E_TLS_STAPLE if it must staple, and no good one of now is here
 */
SP_MUST_CHECK enum sp_rc sp_tls_staple_check(const struct session *s, X509 *leaf);

/* Builds what the peer proved. owner: the caller */
struct sp_tls_evidence *sp_tls_evidence_new(const struct session *s);
/* The same proof again, by a resumed session of ssl. owner: the caller */
struct sp_tls_evidence *sp_tls_evidence_again(const struct sp_tls_evidence *old, SSL *ssl);
/* owner: the caller. returns: a copy with memory of its own */
struct sp_tls_evidence *sp_tls_evidence_copy(const struct sp_tls_evidence *old);
void sp_tls_evidence_free(struct sp_tls_evidence *e);

/* owner: the caller. returns: an empty cache of client sessions */
struct sp_tls_cache *sp_tls_cache_new(void);
void sp_tls_cache_free(struct sp_tls_cache *cache);
/* Takes ticket over; the evidence is copied. */
void sp_tls_cache_put(struct sp_tls_cache *cache, struct sp_bytes key, SSL_SESSION *ticket,
                      const struct sp_tls_evidence *evidence, int64_t now_ms);
/*
 * Takes a session out (TLS 1.3 tickets are for one use, RFC 8446 C.4).
 *
 * owner:   the caller, of both
 * returns: false if there is none that may still be used
 */
bool sp_tls_cache_take(struct sp_tls_cache *cache, struct sp_bytes key, int64_t now_ms,
                       SSL_SESSION **ticket, struct sp_tls_evidence **evidence);

/* OpenSSL's new-session callback for client contexts. */
int sp_tls_session_new_ticket(SSL *ssl, SSL_SESSION *ticket);

/* Empties OpenSSL's error queue into err. returns: rc */
enum sp_rc sp_tls_fail(struct sp_err *err, enum sp_rc rc, const char *what);

#endif
