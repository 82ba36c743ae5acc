/*
 * The client side of SMTP as a machine: replies in, commands and events out. No sockets; the clock is handed in. One
 * session carries any number of transactions, one after another. With PIPELINING, MAIL, all RCPT and DATA travel
 * together (RFC 2920).
 *
 *     sp_smtp_client_next(c, &input, &event)   until it returns false; then send sp_smtp_client_output, read more
 *
 * The body of a message does not go through the machine: after DATA the driver sends the output, then the slices of
 * sp_smtp_stuff_next, then calls sp_smtp_client_body_end.
 */
#ifndef SP_SMTP_CLIENT_H
#define SP_SMTP_CLIENT_H

#include "base/clock.h"
#include "base/err.h"
#include "mail/envelope.h"
#include "smtp/reply.h"

struct sp_smtp_client;

enum sp_smtp_client_tls {
    SP_SMTP_TLS_NEVER,    /* stay plain, whatever is offered */
    SP_SMTP_TLS_OFFERED,  /* STARTTLS if it is offered */
    SP_SMTP_TLS_REQUIRED, /* FAILED with SP_E_TLS_ABSENT if it is not */
};

struct sp_smtp_client_config {
    const char *hostname; /* for EHLO */
    const struct sp_clock *clock;
    enum sp_smtp_client_tls tls;
    bool tls_active; /* implicit TLS: the handshake is done */
    /*
     * Longest wait for the reply to a command; 0: what RFC 5321 4.5.3.2 says. The last dot is waited for at least 10 minutes
     * all the same: who gives up earlier sends twice (RFC 1047).
     */
    int64_t command_ms;
};

/* What the next hop offers, as its last EHLO reply says. */
enum sp_smtp_extension {
    SP_SMTP_EXT_PIPELINING = 1,
    SP_SMTP_EXT_SIZE = 2,
    SP_SMTP_EXT_8BITMIME = 4,
    SP_SMTP_EXT_STARTTLS = 8,
    SP_SMTP_EXT_ENHANCED = 16,
    SP_SMTP_EXT_DSN = 32,
    SP_SMTP_EXT_SMTPUTF8 = 64,
    SP_SMTP_EXT_CHUNKING = 128,
    SP_SMTP_EXT_REQUIRETLS = 256,
};

enum sp_smtp_client_event_type {
    SP_SMTP_CLIENT_STARTTLS, /* send the output, drop nothing: handshake, then sp_smtp_client_tls_done */
    SP_SMTP_CLIENT_READY, /* may send a message; sp_smtp_client_extensions is true now */
    SP_SMTP_CLIENT_DATA,  /* at least one recipient stands: send the body now */
    SP_SMTP_CLIENT_RESULT, /* the transaction is over: result; READY follows unless the session ends */
    SP_SMTP_CLIENT_FAILED, /* the session is over: rc, reply if there was one. Close. The last event */
    SP_SMTP_CLIENT_CLOSED, /* QUIT was answered: close. The last event */
};

enum sp_smtp_rcpt_state {
    SP_SMTP_RCPT_UNSENT,   /* never asked */
    SP_SMTP_RCPT_ACCEPTED, /* recipient and message taken: it is delivered */
    SP_SMTP_RCPT_DEFERRED, /* 4xx, or the session ended before the message was offered whole */
    SP_SMTP_RCPT_REFUSED,  /* 5xx */
    SP_SMTP_RCPT_UNSURE,   /* the session ended behind the last dot: it may have been taken */
};

struct sp_smtp_rcpt_result {
    enum sp_smtp_rcpt_state state;
    struct sp_smtp_reply reply; /* the one that decided; code 0 if none came */
    bool is_own;                /* it answered this recipient's RCPT, not MAIL, DATA or the body */
};

struct sp_smtp_result {
    const struct sp_smtp_rcpt_result *rcpts; /* in the order of the mail's recipients */
    size_t count;
    bool
        is_unheard; /* no command of the transaction was answered but by 421, if at all: it had not begun */
};

struct sp_smtp_client_event {
    enum sp_smtp_client_event_type type;
    enum sp_rc rc;
    struct sp_smtp_reply reply;
    struct sp_smtp_result result; /* lent until the next call with this client */
};

struct sp_smtp_mail_rcpt {
    struct sp_bytes address;
    struct sp_rcpt_params params; /* said only where DSN is offered */
};

struct sp_smtp_mail {
    struct sp_bytes from; /* empty for the null path */
    struct sp_mail_params
        params; /* size: said where SIZE is offered; body where 8BITMIME is; ret, envid where DSN is; requiretls, smtputf8 always */
    const struct sp_smtp_mail_rcpt *rcpts;
    size_t count; /* 1 .. SP_SMTP_CLIENT_RCPTS_MAX */
};

#define SP_SMTP_CLIENT_RCPTS_MAX 1000

/* config: borrowed for the session's life. owner: the caller. returns: never NULL; it waits for the greeting */
struct sp_smtp_client *sp_smtp_client_new(const struct sp_smtp_client_config *config);
/* NULL is allowed. */
void sp_smtp_client_free(struct sp_smtp_client *c);

/*
 * Takes the next event.
 *
 * input:   in: bytes received and not consumed; out: what is left of them
 * returns: false if more input or a step of the driver is awaited, or the session is over
 * thread:  loop
 * rules:   replies are capped (reply.h); bytes behind the reply to STARTTLS end the session (RFC 3207 6); a reply that
 *          nobody asked for ends the session
 */
bool sp_smtp_client_next(struct sp_smtp_client *c, struct sp_bytes *input,
                         struct sp_smtp_client_event *event);

/* The handshake is done: EHLO is said again; what was offered before is forgotten. */
void sp_smtp_client_tls_done(struct sp_smtp_client *c);

/*
 * Starts a transaction, after READY.
 *
 * mail:    borrowed for the call
 * returns: SP_OK; SP_E_SMTP_INJECTION if an address or parameter can't be said safely; SP_E_HOP_LACKS if the body is
 *          8BITMIME, or REQUIRETLS is asked for, and the next hop does not offer it; SP_E_HOP_LACKS_UTF8 if SMTPUTF8 is and it does not,
 *          or is not and an address needs it; SP_E_SMTP_SIZE if it is larger than the next hop's limit
 * after:   exactly one RESULT follows, whatever becomes of the session
 */
SP_MUST_CHECK enum sp_rc sp_smtp_client_send(struct sp_smtp_client *c,
                                             const struct sp_smtp_mail *mail);

/* The body has been sent, whole; the end of data goes to the output. at_line_start: from sp_smtp_stuff */
void sp_smtp_client_body_end(struct sp_smtp_client *c, bool at_line_start);

/*
 * The body can't be finished (it could not be read): the session is over without the dot, so the next hop drops what it
 * has. after: RESULT with all deferred, then FAILED
 */
void sp_smtp_client_body_abort(struct sp_smtp_client *c);

/* Ends the session in order: QUIT; in the middle of a transaction it waits for nothing and just fails it. */
void sp_smtp_client_quit(struct sp_smtp_client *c);

/* The connection is gone. after: next() yields RESULT if one is owed, then FAILED with SP_E_HOP_LOST or rc */
void sp_smtp_client_lost(struct sp_smtp_client *c, enum sp_rc rc);

/* returns: SP_SMTP_EXT_ bits of the last EHLO reply */
unsigned sp_smtp_client_extensions(const struct sp_smtp_client *c);
/* returns: the next hop's limit in bytes; 0 if it gave none */
uint64_t sp_smtp_client_size_limit(const struct sp_smtp_client *c);
/* returns: whether a transaction may start now */
bool sp_smtp_client_is_ready(const struct sp_smtp_client *c);

/* returns: when sp_smtp_client_check_time is due (monotonic ms); INT64_MAX if nothing is awaited (RFC 5321 4.5.3.2) */
int64_t sp_smtp_client_deadline_ms(const struct sp_smtp_client *c);
/* Fails the session with SP_E_TIMEOUT if its time has passed. returns: whether it has */
bool sp_smtp_client_check_time(struct sp_smtp_client *c);
/* Bytes of the body went out: the time for the next ones begins anew. */
void sp_smtp_client_body_moved(struct sp_smtp_client *c);

/* returns: bytes to send, lent until the next call with this client */
struct sp_bytes sp_smtp_client_output(const struct sp_smtp_client *c);
void sp_smtp_client_sent(struct sp_smtp_client *c, size_t len);

#endif
