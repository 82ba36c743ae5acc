/*
 * intake's own: what comes back to a return path of ours, from MAIL to its reply. thread: loop
 */
#ifndef SP_INTAKE_BOUNCE_PRIV_H
#define SP_INTAKE_BOUNCE_PRIV_H

#include "crypt/token.h"
#include "intake/intake_priv.h"
#include "jobs/bounce.h"

struct bounce {
    struct sp_intake *in;
    struct session *session; /* NULL once it is gone */
    struct generation *gen;
    struct sp_arena *arena;
    struct sp_id id;
    int64_t time_ms, skew_ms;
    struct sp_crypt_token token;    /* of its recipient */
    const struct sp_tenant *tenant; /* whose return path it is, of gen; NULL: none yet */
    struct sp_buf head;             /* until the header is whole */
    bool split;
    enum sp_rc refuse_rc; /* refused at the end of data */
    struct sp_queue_body *body;
    struct sp_smtp_data_facts data;
    struct sp_content content; /* for the scanner */
    sp_handle call;
    struct sp_jobs_bounce_reply said; /* in arena, and so is the next */
    struct sp_jobs_origin_reply origin;
    int64_t alone_until_ms; /* the recipient is left alone; 0: it is not */
    struct sp_accept accept;
    size_t told;    /* of its audit events, if they go to the ledger alone */
    bool in_flight; /* counted in in->transactions */
};

#define SP_BOUNCE_EVENTS_MAX 3

/* ---- bounce.c: the session's side ---- */

/* returns: whether the event was one of a transaction */
bool sp_intake_bounce_event(struct session *s, const struct sp_smtp_server_event *ev);
/* returns: whether reading should stop until the body has room (the session is pumped then) */
bool sp_intake_bounce_is_full(struct session *s);
/* RSET, or a handshake. */
void sp_intake_bounce_drop(struct session *s);
/* The session is gone: drops it, unless the queue has it. */
void sp_intake_bounce_orphan(struct bounce *b);
/* Answers the session (if it is there) and frees it. */
void sp_intake_bounce_done(struct bounce *b, enum sp_rc rc, struct sp_bytes text);

/* ---- bounced.c: it is whole ---- */

/* Asks what it is and whose, and queues it; sp_intake_bounce_done follows. */
void sp_intake_bounced(struct bounce *b);
/* What it says of the recipient; of a report about one alone, whoever it names. *exact: it names the recipient */
const struct sp_dsn_said *sp_intake_bounce_said(const struct bounce *b, bool *exact);
/* Adds dsn.received, and list.changed if the address is left alone, to its audit. returns: SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_intake_bounce_events(struct bounce *b);

/* ---- bounced_notice.c ---- */

/* returns: whether it is the report that a notice of the portal's came back */
bool sp_intake_bounced_is_notice(const struct bounce *b);
/* Tells the audit and the portal; sp_intake_bounce_done follows. returns: else, why not */
SP_MUST_CHECK enum sp_rc sp_intake_bounced_notice(struct bounce *b);

#endif
