/*
 * Verifying DKIM signatures (RFC 6376, RFC 8463) by libopendkim: asks a callback for key records and never the network.
 * Signing is dkim/sign.h. thread: worker
 */
#ifndef SP_DKIM_DKIM_H
#define SP_DKIM_DKIM_H

#include "base/buf.h"
#include "base/mem.h"
#include "mail/header.h"

struct sp_dkim;

/* One library handle; make one a process. owner: the caller. returns: SP_OK or SP_E_DKIM_FAILED */
SP_MUST_CHECK enum sp_rc sp_dkim_new(struct sp_dkim **out, struct sp_err *err);
/* NULL is allowed; all its runs must be freed before. */
void sp_dkim_free(struct sp_dkim *d);
SP_AUTO_DEFINE(sp_dkim)

/* One message, fed in pieces cut anywhere: header, empty line, body, in CRLF. */
struct sp_dkim_run;

/*
 * Answers with the TXT record at name (selector._domainkey.domain), strings joined.
 *
 * out:     NUL-terminated, at most len bytes with the NUL
 * returns: SP_OK, SP_E_DNS_NONE if there is none, another DNS code if it can't be known now
 */
typedef enum sp_rc (*sp_dkim_lookup_fn)(void *ctx, const char *name, char *out, size_t len);

/* owner: the caller, until sp_dkim_run_free. lookup is called by sp_dkim_run_finish. returns: SP_OK, SP_E_DKIM_FAILED */
SP_MUST_CHECK enum sp_rc sp_dkim_verify_new(struct sp_dkim *d, sp_dkim_lookup_fn lookup, void *ctx,
                                            struct sp_dkim_run **out, struct sp_err *err);

/* NULL is allowed. */
void sp_dkim_run_free(struct sp_dkim_run *r);
SP_AUTO_DEFINE(sp_dkim_run)

/* The message's next bytes. returns: SP_OK, SP_E_HEADER_LIMIT, SP_E_DKIM_FAILED */
SP_MUST_CHECK enum sp_rc sp_dkim_run_feed(struct sp_dkim_run *r, struct sp_bytes data,
                                          struct sp_err *err);

#define SP_DKIM_DOMAIN_MAX 256
/*
 * Signatures that are looked at, from the top; what there is more counts as not there (RFC 6376 6.1: a verifier may limit
 * them). Each costs a canonical form of the header and, with a length of its own, a hash over the body.
 */
#define SP_DKIM_RESULTS_MAX 8
/* Bytes of a signature field; a longer one is not looked at: its list of names is walked against all fields. */
#define SP_DKIM_FIELD_MAX 4096

/*
 * Finds a tag of a DKIM-Signature field (RFC 6376 3.2): the first of that name, wherever it stands, its value trimmed.
 *
 * returns: false if there is none
 */
bool sp_dkim_tag_find(const struct sp_field *f, char name, struct sp_bytes *out);
/* returns: whether this DKIM-Signature field is one that a run looks at, if there are not too many before it */
bool sp_dkim_is_looked_at(const struct sp_field *f);

struct sp_dkim_result {
    char domain[SP_DKIM_DOMAIN_MAX];
    bool valid;
    bool whole; /* no l=: the signature covers the whole body */
    enum sp_rc
        why; /* SP_OK if valid, a DNS code if the key could not be had, else SP_E_DKIM_FAILED */
};

/*
 * After the last byte.
 *
 * results: one a signature, at most SP_DKIM_RESULTS_MAX
 * returns: SP_OK, even if no signature is there or valid; SP_E_DKIM_FAILED if the message could not be looked at
 */
SP_MUST_CHECK enum sp_rc sp_dkim_verify_finish(struct sp_dkim_run *r,
                                               struct sp_dkim_result *results, size_t *count,
                                               struct sp_err *err);

#endif
