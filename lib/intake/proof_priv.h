/*
 * Who may send: what is proved of a tenant, signal by signal, from the connection (prove.c), the header (attest.c), the names
 * that it sends under (sender.c) and a signature (signature.c).
 */
#ifndef SP_INTAKE_PROOF_PRIV_H
#define SP_INTAKE_PROOF_PRIV_H

#include "base/err.h"
#include "mail/address.h"

struct generation;
struct session;
struct transaction;
struct who;

#define PROOF_SIGNALS_MAX 12

struct proof {
    const struct who *who; /* NULL: nobody's */
    const char *auth;      /* for the actor: "tenant-proof", "auth-plain", "plain-listener" */
    const char *required[PROOF_SIGNALS_MAX];
    size_t required_count;
    const char *failed[PROOF_SIGNALS_MAX]; /* of the required ones */
    size_t failed_count;
    const char *also[PROOF_SIGNALS_MAX];
    size_t also_count;
    bool checks_header; /* fields of the message are still to be looked at */
};

/* ---- session ---- */

/* Who it may be as far as the connection and the envelope tell. */
struct candidates {
    bool open;    /* the envelope sender is nobody's: the header decides among all that fit */
    size_t index; /* else this one of the generation's tenants */
};

/*
 * Says which tenant the session may send for with this envelope sender.
 *
 * out:     the proof so far, of the first candidate; if refused, of the tenant that the sender names, with what failed
 * among:   who it may be
 * returns: SP_OK; SP_E_INTAKE_STRANGER, or what is wrong with the sender
 */
SP_MUST_CHECK enum sp_rc sp_intake_prove(const struct session *s, const struct generation *g,
                                         const struct sp_address *sender, struct proof *out,
                                         struct candidates *among);

/* Fills the proof of one tenant from the connection alone: certificate, network. */
void sp_intake_prove_connection(const struct session *s, const struct who *w, struct proof *out);
void sp_intake_proof_require(struct proof *p, const char *signal, bool holds);
/* One that holds and was not asked for. */
void sp_intake_proof_note(struct proof *p, const char *signal);

/*
 * Looks at the header: signals in fields, From and Sender. Sets the transaction's proof to the tenant that they prove.
 *
 * returns: SP_OK; SP_E_INTAKE_STRANGER if a signal failed; what is wrong with From or Sender
 */
SP_MUST_CHECK enum sp_rc sp_intake_attest(struct transaction *tx);

/* returns: whether the domain is the tenant's by its settings, subdomains included */
bool sp_intake_is_own(const struct generation *g, const struct who *w, struct sp_bytes domain);
/* returns: whether the envelope sender is not the proved tenant's own: no report of ours goes there */
bool sp_intake_sender_is_foreign(const struct transaction *tx);
/* returns: why an envelope sender's domain is not the tenant's: SP_OK if it is, or may be foreign */
SP_MUST_CHECK enum sp_rc sp_intake_sender_envelope(const struct generation *g, const struct who *w,
                                                   const struct sp_address *sender);
/* returns: SP_OK if From and Sender are such as the tenant may send, else why not */
SP_MUST_CHECK enum sp_rc sp_intake_sender_header(const struct transaction *tx, const struct who *w);

/* ---- signatures ---- */

/* The header is there: look-ups begin, if the tenant must be proved by DKIM, or if one of its domains has signed. */
void sp_intake_signature_start(struct transaction *tx);
/* Bytes of the message as received. */
void sp_intake_signature_feed(struct transaction *tx, struct sp_bytes bytes);
/* The message is whole: then(tx, rc) follows, at once or when the keys are known. */
void sp_intake_signature_finish(struct transaction *tx,
                                void (*then)(struct transaction *tx, enum sp_rc rc));
void sp_intake_signature_free(struct transaction *tx);

#endif
