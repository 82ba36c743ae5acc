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

/* One of a server's certificates, ready to be shown. */
struct identity {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* without the leaf */
    char **names;           /* DNS names, in small letters */
    size_t name_count;
    uint8_t *staple; /* NULL: there is none to show */
    size_t staple_len;
    int64_t staple_from_ms, staple_until_ms; /* wall clock */
};

/* What only servers have. */
struct sp_tls_server {
    struct identity *identities;
    size_t count;
    uint64_t usual; /* a bit for each that is shown to who asks for no name of ours */
    uint8_t ticket_keys[SP_TLS_TICKET_KEYS_MAX][SP_TLS_TICKET_KEY_LEN];
    size_t ticket_key_count;
};

struct sp_tls_context {
    SSL_CTX *ctx;
    size_t refs;
    struct sp_tls_server *server; /* NULL: a client */
    struct sp_tls_cache *cache;   /* client only */
};

/* returns: a context for ctx, which is its from now on. owner: the caller holds one reference */
struct sp_tls_context *sp_tls_context_new(SSL_CTX *ctx);
/* returns: OpenSSL's context with what both sides have in common. owner: the caller */
SSL_CTX *sp_tls_ctx_new(const SSL_METHOD *method);
/* returns: a reader of PEM, lent the text. owner: the caller */
BIO *sp_tls_pem_reader(struct sp_bytes pem);
/* For PEM readers: a key that is protected by a password is an error, not a prompt. returns: -1 */
int sp_tls_no_password(char *buf, int size, int rwflag, void *arg);
/* Adds every certificate of pem to the trust. returns: how many */
int sp_tls_add_trust(SSL_CTX *ctx, struct sp_bytes pem);

void sp_tls_server_free(struct sp_tls_server *server);

/*
 * Reads one of a server's certificates.
 *
 * owner:   the caller, of what out holds (sp_tls_identity_clear), also of what was read before a failure
 * returns: SP_OK, or SP_E_TLS_CONFIG and err says what is wrong
 */
SP_MUST_CHECK enum sp_rc sp_tls_identity_read(const struct sp_tls_identity *in,
                                              struct identity *out, struct sp_err *err);
void sp_tls_identity_clear(struct identity *i);
/* Puts the usual ones into ctx and has the others chosen by name. returns: SP_OK or SP_E_TLS_CONFIG */
SP_MUST_CHECK enum sp_rc sp_tls_identities_use(struct sp_tls_context *context, struct sp_err *err);

/*
 * Takes an OCSP response for i's leaf if its authority, which must stand in the chain, has signed it and it says that the
 * leaf is good. Its times are looked at when it is shown.
 *
 * returns: NULL, or why it will not be shown
 */
const char *sp_tls_stapling_take(struct identity *i, struct sp_bytes der);
/* Has staples shown to clients that ask for them. */
void sp_tls_stapling_use(struct sp_tls_context *context);

/* Takes ticket keys, or makes one; a ticket holds only where the same clients' CAs are trusted. returns: SP_OK or SP_E_TLS_CONFIG */
SP_MUST_CHECK enum sp_rc sp_tls_tickets_use(struct sp_tls_context *context, struct sp_bytes keys,
                                            struct sp_bytes client_ca_pem, struct sp_err *err);

/* A proof with what its pointers need. */
struct sp_tls_evidence {
    struct sp_tls_proof proof; /* first: sp_tls_proof_chain finds the rest from it */
    struct sp_bytes chain;
    int64_t proved_at_ms; /* wall clock of the handshake that showed the certificate */
    struct sp_arena *arena;
};

struct session {
    SSL *ssl;
    struct sp_stream *stream;
    struct sp_tls_context *context;
    struct sp_timer *timer;
    bool timed_out;
    bool handshaken;
    bool more_follows;   /* what is written now is not the last of this turn */
    bool ended;          /* the peer has closed its side */
    size_t without_data; /* bytes read since the handshake, or since there was data in them */
    unsigned messages;   /* of handshakes, that came behind it */
    bool unusable;       /* TLSA were given, none was usable */
    bool dane;           /* usable TLSA are set */
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

/* returns: a BIO that reads and writes the stream's socket, or NULL: no memory. owner: the caller; s must outlive it */
BIO *sp_tls_socket(struct session *s);

/* returns: wall-clock milliseconds of the session's loop */
int64_t sp_tls_session_now_ms(const struct session *s);

/* returns: a time of a certificate or a response in milliseconds; 0 if it can't be read */
int64_t sp_tls_time_ms(const ASN1_TIME *t);

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
/* Takes ticket over; the evidence is copied. now_ms: wall clock */
void sp_tls_cache_put(struct sp_tls_cache *cache, struct sp_bytes key, SSL_SESSION *ticket,
                      const struct sp_tls_evidence *evidence, int64_t now_ms);
/*
 * Takes a session out, if its ticket is for one use (TLS 1.3: RFC 8446 C.4), or lends it.
 *
 * owner:   the caller, of both
 * returns: false if there is none that may still be used
 */
bool sp_tls_cache_take(struct sp_tls_cache *cache, struct sp_bytes key, int64_t now_ms,
                       SSL_SESSION **ticket, struct sp_tls_evidence **evidence);

/* The handshake that offered it has failed: whoever comes next makes a whole one. */
void sp_tls_cache_drop(struct sp_tls_cache *cache, struct sp_bytes key);

/* OpenSSL's new-session callback for client contexts. */
int sp_tls_session_new_ticket(SSL *ssl, SSL_SESSION *ticket);

/* Empties OpenSSL's error queue into err. returns: rc */
enum sp_rc sp_tls_fail(struct sp_err *err, enum sp_rc rc, const char *what);

#endif
