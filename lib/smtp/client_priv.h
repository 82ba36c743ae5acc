/*
 * What the files of the client machine share.
 */
#ifndef SP_SMTP_CLIENT_PRIV_H
#define SP_SMTP_CLIENT_PRIV_H

#include "base/buf.h"
#include "base/mem.h"
#include "smtp/client.h"

#define CLIENT_EVENTS_MAX 4

enum client_state {
    GREETING,
    EHLO_SENT,
    HELO_SENT,
    TLS_SENT,  /* STARTTLS said, its reply awaited */
    TLS_WAIT,  /* handshake not done */
    IDLE,      /* ready for a transaction */
    MAILING,   /* MAIL, RCPT, DATA: replies awaited */
    BODY,      /* 354 given: the driver sends */
    DOT,       /* end of data sent */
    EMPTY_DOT, /* the same, where no recipient stood: the answer means nothing */
    RSET_SENT,
    QUIT_SENT,
    OVER,
};

struct sp_smtp_client {
    const struct sp_smtp_client_config *config;
    enum client_state state;
    int64_t deadline_ms;
    struct sp_buf out;
    bool tls;
    unsigned extensions;
    uint64_t size_limit;

    /* the reply in work */
    int code;
    unsigned lines;
    struct sp_smtp_reply reply;

    /* the transaction: commands with where each ends; reply i answers command i */
    struct sp_buf commands;
    size_t *ends; /* MAIL, one for each recipient, DATA */
    size_t commands_count;
    size_t said;
    size_t answered;
    struct sp_smtp_rcpt_result *rcpts;
    size_t count;
    size_t standing; /* recipients accepted so far */
    bool result_owed;

    struct sp_smtp_client_event events[CLIENT_EVENTS_MAX];
    unsigned events_count;
};

/* Changes the state; the table in client.c says what may follow what. */
void sp_smtp_client_enter(struct sp_smtp_client *c, enum client_state next);

/* Queues an event. returns: it, zeroed but for its type */
struct sp_smtp_client_event *sp_smtp_client_emit(struct sp_smtp_client *c,
                                                 enum sp_smtp_client_event_type type);

/* Ends the session: RESULT if one is owed, then FAILED. */
void sp_smtp_client_fail(struct sp_smtp_client *c, enum sp_rc rc,
                         const struct sp_smtp_reply *reply);

/* Says EHLO or HELO. */
void sp_smtp_client_hello(struct sp_smtp_client *c, bool extended);

/* A line of the reply to EHLO. first: it names the host */
void sp_smtp_client_ehlo_line(struct sp_smtp_client *c, struct sp_bytes text, bool first);

/* A whole reply within a transaction (MAILING, BODY, DOT, EMPTY_DOT). */
void sp_smtp_client_transaction_reply(struct sp_smtp_client *c);

/* Gives all recipients that still stand, or were never answered, their end, and queues RESULT. */
void sp_smtp_client_settle(struct sp_smtp_client *c, enum sp_smtp_rcpt_state state,
                           const struct sp_smtp_reply *reply);

#endif
