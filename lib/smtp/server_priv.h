/*
 * What the files of the server machine share: its state, its one way to change it, and its replies.
 */
#ifndef SP_SMTP_SERVER_PRIV_H
#define SP_SMTP_SERVER_PRIV_H

#include "base/buf.h"
#include "base/mem.h"
#include "smtp/server.h"

#define OUTPUT_MAX (1024 * 1024) /* far above what max_idle commands can bring forth */
#define EVENTS_MAX 8 /* a line gives at most refused, reset and close, a timeout two more */

enum state {
    GREETED, /* nothing said yet, or TLS has just begun */
    READY,
    MAIL,
    RCPT,
    DATA,
    CHUNK,      /* the octets of a BDAT are awaited */
    CHUNK_WAIT, /* more BDATs are to come */
    AUTH,       /* the answer to 334 is awaited */
    TLS_WAIT,   /* 220 given, handshake not done */
    CLOSED,
};

struct sp_smtp_server {
    const struct sp_smtp_server_config *config;
    enum state state;
    int64_t deadline_ms;
    struct sp_buf out;

    /* the connection */
    bool tls;
    bool extended;
    bool authenticated;
    unsigned errors;
    unsigned idle;
    enum sp_rc shut_rc; /* close with it when we may speak */
    struct sp_buf helo;

    /* the line in work */
    size_t scanned; /* bytes of the input known to hold no LF */
    bool skipping;  /* an overlong line was answered; its rest is dropped */
    bool tainted;   /* the line began behind a bare LF: it is not executed */

    /* the answer awaited */
    bool waiting;
    enum sp_smtp_server_event_type asked;

    /* the transaction */
    size_t recipients;
    bool utf8; /* MAIL said SMTPUTF8 */
    struct sp_buf
        domain; /* of the command's address, where its A-labels differ from what was said */
    struct sp_buf orcpt; /* the same of an ORCPT of type utf-8 */

    /* the data */
    bool line_start;
    size_t line_len;
    bool too_long; /* a line passed the limit: refused at the end of data */
    bool too_big;
    bool normalise;        /* bare CR and LF become CRLF */
    int64_t data_since_ms; /* monotonic: when the message began */
    uint64_t data_taken;   /* bytes of it on the wire */
    struct sp_smtp_data_facts data;

    /* BDAT (RFC 3030) */
    uint64_t octets;  /* of the chunk, still to come */
    uint64_t swallow; /* octets of a chunk that was refused: dropped unread */
    bool last;        /* the chunk is the last one */
    bool chunking;    /* the message comes by BDAT */
    bool held_cr;     /* a chunk ended in the middle of a CRLF */

    struct sp_smtp_server_event events[EVENTS_MAX];
    unsigned events_count;

    enum sp_smtp_auth mechanism; /* of the exchange under way */
    bool challenged;             /* by the driver */
    size_t auth_user_len;        /* LOGIN: the user is in secret */
    uint8_t *secret;             /* decoded responses, wiped when answered; NULL: none came yet */
    size_t secret_len, secret_cap;
    int64_t progress_ms; /* monotonic: when mail moved last, or the session began */
};

/* Changes the state; the table in server.c says what may follow what. */
void sp_smtp_server_enter(struct sp_smtp_server *s, enum state next);

/* The client moved: its time begins anew. */
void sp_smtp_server_touch(struct sp_smtp_server *s);

/* Queues an event. returns: it, zeroed but for its type, to be filled in */
struct sp_smtp_server_event *sp_smtp_server_emit(struct sp_smtp_server *s,
                                                 enum sp_smtp_server_event_type type);

/* Queues an event that stops the machine until it is answered. */
struct sp_smtp_server_event *sp_smtp_server_ask(struct sp_smtp_server *s,
                                                enum sp_smtp_server_event_type type);

/* Writes one reply line: code, enhanced code where there is one, text. */
void sp_smtp_server_reply(struct sp_smtp_server *s, int code, const char *enhanced,
                          struct sp_bytes text);

/* Answers a fault of the client's: the table's reply, an event for the audit, the count of errors. */
void sp_smtp_server_fault(struct sp_smtp_server *s, enum sp_rc rc);

/* Forgets the transaction, and says so if there was one. */
void sp_smtp_server_reset(struct sp_smtp_server *s);

/* Ends the session: the last event. rc: why, SP_OK for QUIT */
void sp_smtp_server_close(struct sp_smtp_server *s, enum sp_rc rc);

/* Runs a command line without its CRLF. */
void sp_smtp_server_command(struct sp_smtp_server *s, struct sp_bytes line);

/* Wipes what AUTH has left. */
void sp_smtp_server_forget_secret(struct sp_smtp_server *s);

/* A message begins: DATA was answered, or the first BDAT. */
void sp_smtp_server_data_start(struct sp_smtp_server *s);
/* Takes the next step in the data. returns: false if more input is needed */
bool sp_smtp_server_data(struct sp_smtp_server *s, struct sp_bytes *input);
/* Takes good text, or handles what is not. dots: stuffed ones are taken out. returns: false if more input is needed */
bool sp_smtp_server_text(struct sp_smtp_server *s, struct sp_bytes *input, bool dots);
/* A CR or LF stands alone: the end of the session, or a CRLF. */
void sp_smtp_server_bare(struct sp_smtp_server *s);
/* A CRLF whose CR came with the chunk before. */
void sp_smtp_server_late_crlf(struct sp_smtp_server *s);
/* The message is whole: asks the driver, or refuses it. */
void sp_smtp_server_data_end(struct sp_smtp_server *s);

/* BDAT. rc: why it is refused, or SP_OK: its octets are dropped or taken accordingly */
void sp_smtp_server_chunk_start(struct sp_smtp_server *s, struct sp_bytes arg, enum sp_rc rc);
/* The driver refused the message at its first chunk; the reply is out. */
void sp_smtp_server_chunk_refused(struct sp_smtp_server *s);
/* Takes the next step in a chunk. returns: false if more input is needed */
bool sp_smtp_server_chunk(struct sp_smtp_server *s, struct sp_bytes *input);
/* Drops octets of a refused chunk. returns: false if more input is needed */
bool sp_smtp_server_swallow(struct sp_smtp_server *s, struct sp_bytes *input);

/* Says the line of the EHLO reply. */
void sp_smtp_server_auth_offer(struct sp_smtp_server *s);
/* Begins an AUTH exchange; arg: mechanism and initial response. */
void sp_smtp_server_auth_start(struct sp_smtp_server *s, struct sp_bytes arg);
/* Takes the client's response line. */
void sp_smtp_server_auth_response(struct sp_smtp_server *s, struct sp_bytes line);

/* Reads MAIL's (RCPT's) parameters. returns: SP_OK or the fault */
SP_MUST_CHECK enum sp_rc sp_smtp_params_mail(const struct sp_smtp_server *s, struct sp_bytes text,
                                             struct sp_mail_params *out);
SP_MUST_CHECK enum sp_rc sp_smtp_params_rcpt(struct sp_smtp_server *s, struct sp_bytes text,
                                             struct sp_rcpt_params *out);

#endif
