/*
 * The server side of SMTP (RFC 5321) as a machine: bytes in, replies and events out. No sockets; the clock is handed in.
 * Extensions: STARTTLS, AUTH (over TLS), PIPELINING, SIZE, 8BITMIME, CHUNKING, ENHANCEDSTATUSCODES, DSN, and
 * REQUIRETLS (over TLS).
 *
 *     sp_smtp_server_next(s, &input, &event)   until it returns false; then send sp_smtp_server_output, read more
 *
 * The machine keeps no input: what it leaves in `input` is to be offered again with what arrived behind it. However the
 * bytes are cut, the same bytes give the same replies and events (chunks of data may be cut elsewhere).
 * An event marked "answer" stops the machine until sp_smtp_server_answer.
 */
#ifndef SP_SMTP_SERVER_H
#define SP_SMTP_SERVER_H

#include "base/clock.h"
#include "base/err.h"
#include "mail/address.h"
#include "mail/envelope.h"

#define SP_SMTP_COMMAND_MAX                                                                        \
    4096 /* bytes of a command line with its CRLF (RFC 5321 4.5.3.1.4, 4954) */
#define SP_SMTP_AUTH_LINE_MAX 12288 /* bytes of a line with a token in it (RFC 4954 4) */
#define SP_SMTP_AUTH_MAX      255   /* bytes of a user name or password */

struct sp_smtp_server;

/* Mechanisms of AUTH, as bits. */
enum sp_smtp_auth {
    SP_SMTP_AUTH_PLAIN = 1,
    SP_SMTP_AUTH_LOGIN = 2,
    SP_SMTP_AUTH_EXTERNAL = 4,
    SP_SMTP_AUTH_SCRAM = 8,  /* SCRAM-SHA-256 */
    SP_SMTP_AUTH_OAUTH = 16, /* OAUTHBEARER */
};

struct sp_smtp_server_config {
    const char *hostname;
    const struct sp_clock *clock;
    uint64_t size_limit; /* bytes of a message as sent, without stuffed dots */
    size_t line_limit; /* bytes of a data line with its CRLF; longer ones are refused at the end */
    size_t max_recipients; /* a message; more get 452 */
    unsigned max_errors;   /* a session; then 421 */
    unsigned max_idle;     /* commands without a message accepted between; then 421 */
    unsigned free_idle; /* of those so many, then the driver says when the next may come; 0: all */
    int64_t
        idle_ms; /* longest silence; 0: 5 minutes (RFC 5321 4.5.3.2.7); three of it without any mail moved */
    uint64_t
        least_rate; /* bytes of a message a second, behind idle_ms of grace; slower gets 421; 0: any */
    bool tls_active;    /* implicit TLS: the handshake is done */
    bool tls_offered;   /* STARTTLS is in the EHLO reply */
    bool tls_required;  /* nothing but EHLO, NOOP, RSET, HELP, QUIT and STARTTLS before TLS */
    unsigned auth;      /* mechanisms that are offered, under TLS only; 0: none */
    bool auth_required; /* no MAIL before AUTH: a submission port (RFC 6409 4.3) */
};

enum sp_smtp_server_event_type {
    SP_SMTP_SERVER_HELLO,    /* text: the client's name; also after TLS */
    SP_SMTP_SERVER_STARTTLS, /* send the output, then handshake, then sp_smtp_server_tls_done */
    SP_SMTP_SERVER_AUTH, /* answer, or challenge. mechanism; PLAIN, LOGIN: user, password, authzid; EXTERNAL: authzid;
                                SCRAM, OAUTHBEARER: text, is_first */
    SP_SMTP_SERVER_MAIL,  /* answer. address, mail */
    SP_SMTP_SERVER_RCPT,  /* answer. address, rcpt */
    SP_SMTP_SERVER_DATA,  /* answer: SP_OK asks for the message (354, or the first BDAT) */
    SP_SMTP_SERVER_CHUNK, /* text: bytes of the message, unstuffed, in order */
    SP_SMTP_SERVER_END,   /* answer. data: the whole message has come */
    SP_SMTP_SERVER_IDLE, /* answer, SP_OK. Many commands have moved no mail; this one's reply is in the output */
    SP_SMTP_SERVER_RESET, /* the transaction ended without a message accepted: RSET, EHLO, STARTTLS, a fault */
    SP_SMTP_SERVER_REFUSED, /* rc: a reply of ours to a fault, for the audit; nothing to do */
    SP_SMTP_SERVER_CLOSE,   /* rc: send the output, then close; the last event */
};

struct sp_smtp_data_facts {
    uint64_t size;   /* bytes */
    size_t line_max; /* longest line in bytes, without its CRLF */
    bool has_8bit;
};

/* Views are good until the next call with this server. */
struct sp_smtp_server_event {
    enum sp_smtp_server_event_type type;
    enum sp_rc rc;
    struct sp_bytes text;
    struct sp_address address;
    struct sp_mail_params mail;
    struct sp_rcpt_params rcpt;
    enum sp_smtp_auth mechanism;
    bool is_first; /* the exchange begins */
    struct sp_bytes authzid, user, password;
    struct sp_smtp_data_facts data;
};

/*
 * Starts a session: the greeting is in the output.
 *
 * config:  borrowed for the session's life
 * owner:   the caller
 * returns: never NULL
 */
struct sp_smtp_server *sp_smtp_server_new(const struct sp_smtp_server_config *config);
/* Frees it and wipes what it held. NULL is allowed. */
void sp_smtp_server_free(struct sp_smtp_server *s);

/*
 * Takes the next event.
 *
 * input:   in: bytes received and not consumed; out: what is left of them
 * returns: false if more input, an answer or a handshake is awaited, or the session is closed
 * thread:  loop
 * cost:    O(bytes consumed), allocates nothing once warm, copies no data
 * rules:   RFC 5321 2.3.8, 4.1.1, 4.5.2; a bare CR, bare LF or NUL in a command gets 500 5.5.2 and is not executed; in
 *          data 550 5.6.0, and the session ends
 */
bool sp_smtp_server_next(struct sp_smtp_server *s, struct sp_bytes *input,
                         struct sp_smtp_server_event *event);

/*
 * Answers the event that waits. SP_OK gives the verb's own success; else the reply of errors.def. An rc whose reply is
 * 421 ends the session.
 *
 * text:    for people, in place of the table's text; CR, LF, NUL and control bytes become spaces; empty for the default
 */
void sp_smtp_server_answer(struct sp_smtp_server *s, enum sp_rc rc, struct sp_bytes text);

/*
 * For the message that DATA or BDAT begins: a bare CR or LF in it becomes CRLF instead of ending the session. Only
 * CRLF.CRLF as received ends the data all the same. To be called while SP_SMTP_SERVER_DATA waits for its answer.
 */
void sp_smtp_server_normalise(struct sp_smtp_server *s);

/* Answers SP_SMTP_SERVER_AUTH with a challenge (334): the client's response comes as another such event. */
void sp_smtp_server_challenge(struct sp_smtp_server *s, struct sp_bytes text);

/* The handshake is done: the session begins again, and all that the client said before is forgotten (RFC 3207 4.2). */
void sp_smtp_server_tls_done(struct sp_smtp_server *s);

/* Ends the session with a 421 reply when it next may speak: shutdown, too busy. after: next() yields CLOSE */
void sp_smtp_server_shut(struct sp_smtp_server *s, enum sp_rc rc);

/* returns: when sp_smtp_server_check_time is next due (monotonic ms); INT64_MAX while an answer is awaited */
int64_t sp_smtp_server_deadline_ms(const struct sp_smtp_server *s);
/* Ends the session with 421 4.4.2 if its time has passed. after: next() yields CLOSE. returns: whether it has */
bool sp_smtp_server_check_time(struct sp_smtp_server *s);

/* The session was not read from for so long, for reasons of ours: its deadlines move by as much. */
void sp_smtp_server_held(struct sp_smtp_server *s, int64_t ms);

/* returns: bytes to send, lent until the next call with this server */
struct sp_bytes sp_smtp_server_output(const struct sp_smtp_server *s);
/* Says that the first len bytes of the output are on their way. */
void sp_smtp_server_sent(struct sp_smtp_server *s, size_t len);

/* returns: whether a message is being received (between DATA's 354, or the first BDAT, and the last reply) */
bool sp_smtp_server_in_data(const struct sp_smtp_server *s);
/* returns: whether the session has ended: it takes no more input, and next() yields what there is to tell of it */
bool sp_smtp_server_is_closed(const struct sp_smtp_server *s);
/* returns: whether the client said EHLO (not HELO) */
bool sp_smtp_server_is_extended(const struct sp_smtp_server *s);

#endif
